# What the disks begin with, put into bootc's store. Runs after world/bootc-podman.sh.
mkdir /tmp/context
cd /tmp/context
# build NAME FROM KIBIBYTES
build() {
    head -c ${3}k /dev/urandom >data
    printf 'FROM %s\nCOPY data /%s\n' "$2" "${1%:*}" >Containerfile
    bootc_podman build --quiet --pull=never --tag "localhost/$1" . >/dev/null
}
app=127.0.0.1:5000/lab/app:1
build shared:1 $app 40
# It has the layers of both, and stays: a container was made from it.
build kept:1 localhost/shared:1 20
bootc_podman create --name keeper localhost/kept:1 /x >/dev/null
build large:1 scratch 400
build other:1 scratch 60
build gone:1 scratch 30
bootc_podman image untag localhost/gone:1
for name in two three four; do bootc_podman image tag $app localhost/app:$name; done
# Two plugins, approved: one that offers commands, and one whose approval is taken back. Of that there is no other trace.
mkdir -p /etc/bootc-image
cp -r /run/plugins /etc/bootc-image
for plugin in podman-maintenance csv-format; do bootc-image --quiet plugin approve $plugin; done
rm -rf /var/lib/bootc-image
