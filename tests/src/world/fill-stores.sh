# Fills podman's default store and bootc's own. Runs in the booted system, with its registry on 127.0.0.1:5000, after
# world/bootc-podman.sh.
registry=127.0.0.1:5000

mkdir /tmp/mine
echo mine >/tmp/mine/data
printf 'FROM scratch\nCOPY data /data\n' >/tmp/mine/Containerfile
podman build --quiet --timestamp 1700000000 --tag localhost/mine:1 /tmp/mine
podman pull --quiet $registry/lab/app:1

other=$(skopeo inspect --format '{{.Digest}}' docker://$registry/lab/app:2)
bootc_podman image pull --quiet $registry/lab/app:1
bootc_podman image tag $registry/lab/app:1 localhost/app:stable
bootc_podman image pull --quiet $registry/lab/app@$other
