# Makes the disk of the host and what the registry serves. Runs in a sandbox whose registry is on 127.0.0.1:5000, with
# the new world in /run/world and room for what isn't kept in /run/build.
set -eu
registry=127.0.0.1:5000
phys=/run/world/phys
cd /run/build

quietly() {
    "$@" >output 2>&1 || { echo "failed: $*" >&2; cat output >&2; exit 1; }
}
lab_podman() {
    podman --root /run/build/store --runroot /run/build/store-run --storage-driver vfs "$@"
}

# The root file system of the OS: enough for ostree to deploy it and for a shell to run in it.
make_root() {
    mkdir -p root/boot root/dev root/proc root/run root/sys root/sysroot root/tmp root/var
    mkdir -p root/usr/bin root/usr/sbin root/usr/lib root/usr/lib64 root/usr/etc/containers
    for directory in bin sbin lib lib64; do ln -s usr/$directory root/$directory; done
    ln -s sysroot/ostree root/ostree
    ln -s var/home root/home
    ln -s var/roothome root/root
    mkdir -p root/usr/lib/modules/6.0.0-lab
    echo kernel >root/usr/lib/modules/6.0.0-lab/vmlinuz
    echo initramfs >root/usr/lib/modules/6.0.0-lab/initramfs.img
    cp /bin/busybox root/usr/bin/busybox
    ln -s busybox root/usr/bin/sh
    printf 'ID=lab\nNAME=Lab\nPRETTY_NAME="Lab OS"\n' >root/usr/lib/os-release
    ln -s ../lib/os-release root/usr/etc/os-release
    printf 'root:x:0:0::/root:/bin/sh\nlab:x:1000:1000::/var/home/lab:/bin/sh\n' >root/usr/etc/passwd
    printf 'root:x:0:\nlab:x:1000:\n' >root/usr/etc/group
    configure_containers root/usr/etc/containers
    bind_images root/usr
}

configure_containers() {
    echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$1/policy.json"
    printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' $registry >"$1/registries.conf"
    cat >"$1/storage.conf" <<EOF
[storage]
driver = "overlay"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
EOF
}

# The images that the OS wants to be there: one that is in bootc's store and one that isn't.
bind_images() {
    mkdir -p "$1/lib/bootc/bound-images.d" "$1/share/containers/systemd"
    ln -s /sysroot/ostree/bootc/storage "$1/lib/bootc/storage"
    printf '[Container]\nImage=%s/lab/app:1\n' $registry >"$1/share/containers/systemd/app.container"
    printf '[Image]\nImage=localhost/tool:1\n' >"$1/share/containers/systemd/tool.image"
    for unit in app.container tool.image; do
        ln -s /usr/share/containers/systemd/$unit "$1/lib/bootc/bound-images.d/$unit"
    done
}

# build NAME LAYER...: an image on top of $from with a layer for each file.
build() {
    name=$1; shift
    rm -rf context; mkdir context
    echo "FROM $from" >context/Containerfile
    for layer; do
        echo "$layer of $name" >"context/$layer"
        echo "COPY $layer /usr/share/lab/$layer" >>context/Containerfile
    done
    quietly lab_podman build --pull=never --layers --timestamp 1700000000 --tag "$name" context
}
publish() {
    build "$registry/$@"
    quietly lab_podman push --tls-verify=false "$registry/$1"
}

publish_base() {
    ostree --repo=repository init --mode=bare
    quietly ostree --repo=repository commit --branch=lab/base --tree=dir=root --owner-uid=0 --owner-gid=0 \
        --timestamp=@1700000000 --add-metadata-string=version=1 --bootable
    quietly labtool container encapsulate --repo=repository --label ostree.bootable=1 --label containers.bootc=1 \
        lab/base oci:/run/build/base
    quietly lab_podman tag "$(lab_podman pull --quiet oci:/run/build/base)" localhost/base:1
}

publish_for_many_architectures() {
    name=$registry/lab/multi:1
    for architecture in amd64 arm64; do
        printf 'FROM scratch\nCOPY %s /architecture\n' $architecture >context/Containerfile
        echo $architecture >context/$architecture
        quietly lab_podman build --timestamp 1700000000 --platform linux/$architecture --manifest $name context
    done
    quietly lab_podman manifest push --all --tls-verify=false $name docker://$name
}

# Deployed one after the other: the second is booted, the first is what is rolled back to.
deploy() {
    quietly labtool container image deploy --sysroot $phys --stateroot lab --karg rw \
        --imgref "ostree-unverified-registry:$registry/$1" --insecure-skip-tls-verification
}

make_root
publish_base
from=localhost/base:1
publish lab/os:0 first second
publish lab/os:1 first second third
from=scratch
publish lab/app:1 program data
publish lab/app:2 program
publish lab/app:3 program data notes
publish_for_many_architectures

mkdir $phys
quietly ostree admin init-fs --modern $phys
quietly ostree admin os-init --sysroot=$phys lab
ostree config --repo=$phys/ostree/repo set sysroot.bootloader none
deploy lab/os:0
deploy lab/os:1

var=$phys/ostree/deploy/lab/var
mkdir -p $var/tmp $var/lib $var/roothome $var/home/lab
chmod 1777 $var/tmp
chmod 0700 $var/roothome $var/home/lab
chown 1000:1000 $var/home/lab
