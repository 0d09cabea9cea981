# Damages each part of a stored image, one after the other, has it healed, and asks podman and skopeo whether it is whole: the
# image, and another one that shares its lowest layer. Runs in bash in the booted system, with its registry, after
# world/bootc-podman.sh. `driver` is the storage's driver, `every` and `first` which cases are tried, `heals` how.
storage=/sysroot/ostree/bootc/storage
image=127.0.0.1:5000/lab/rich:1
neighbour=127.0.0.1:5000/lab/rich:2
work=/var/work
mkdir -p $work
cd $work

# Files of every kind; the second layer takes some of them away.
make_layers() {
    mkdir -p 1/usr/bin 1/usr/old 1/etc 1/gone 2/usr/old 3/usr
    echo program >1/usr/bin/app
    chmod 4755 1/usr/bin/app
    ln 1/usr/bin/app 1/usr/bin/same
    ln -s ../bin/app 1/usr/old/link
    echo hidden >1/usr/old/hidden
    : >1/etc/empty
    head -c 5000 /dev/zero >1/etc/zeros
    chown 7:8 1/etc/zeros
    mkfifo 1/etc/pipe
    mknod 1/etc/null c 1 3
    echo x >1/gone/file
    : >2/.wh.gone
    : >2/usr/old/.wh..wh..opq
    echo new >2/usr/old/new
    echo other >3/usr/other
    for layer in 1 2 3; do
        tar --sort=name --mtime=@1700000000 --format=gnu -C $layer -cf $layer.tar .
    done
}

# publish NAME LAYER...
publish() {
    local name=$1 ids= layers= layer
    shift
    for layer; do
        ids="$ids,\"sha256:$(sha256sum <"$layer.tar" | cut -d' ' -f1)\""
        layers="$layers,\"$layer.tar\""
    done
    printf '{"architecture":"amd64","os":"linux","config":{"Cmd":["%s"]},"rootfs":{"type":"layers","diff_ids":[%s]}}' \
        "$name" "${ids#,}" >config.json
    printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":[%s]}]' "$name" "${layers#,}" >manifest.json
    tar -cf archive.tar manifest.json config.json "${@/%/.tar}"
    skopeo copy --quiet --dest-tls-verify=false docker-archive:archive.tar "docker://$name"
}

# look IMAGE: its files as podman mounts them, and its blobs, whose digests must be their names.
look() {
    bootc_mount bash -euc '
        on() { podman --root /run/bootc/storage --runroot /proc/self/fd/3 image "$@"; }
        cd "$(on mount $0)"
        find . ! -name . -type d -printf "%p %m %U:%G\n" | sort
        find . ! -type d -printf "%p %y %m %U:%G %s %l\n" | sort
        find . -type f -exec sha256sum {} + | sort -k2
        cd /
        on umount $0 >/dev/null' "$1"
    rm -rf /tmp/blobs
    bootc_mount skopeo copy --quiet "containers-storage:[$driver@/run/bootc/storage+/proc/self/fd/3]$1" dir:/tmp/blobs
    local blob
    for blob in /tmp/blobs/*; do
        case ${blob##*/} in
            manifest.json) sha256sum <"$blob" ;;
            version) ;;
            *) [ "$(sha256sum <"$blob")" = "${blob##*/}  -" ] || echo "its digest isn't its name: $blob" ;;
        esac
    done
}

# The image's parts, a line each: its documents, and what the driver has of its layers. What is mounted on, and worked in, is
# nobody's.
parts() {
    local id base top layer
    id=$(bootc_podman image inspect --format '{{.Id}}' $image)
    base=$(sha256sum <1.tar | cut -d' ' -f1)
    top=$(printf '%s+sha256:%s' "$base" "$(sha256sum <2.tar | cut -d' ' -f1)" | sed s/+sha256:/+/ | tr -d '\n' | sha256sum | cut -d' ' -f1)
    [ -e "$storage/$driver-layers/$top.tar-split.gz" ]
    cd $storage
    find "$driver-images/$id"
    for layer in $base $top; do
        echo "$driver-layers/$layer.tar-split.gz"
        if [ $driver = vfs ]; then
            find "vfs/dir/$layer"
        else
            echo "overlay/l/$(cat "overlay/$layer/link")"
            find "overlay/$layer" ! -name merged ! -name work
        fi
    done
    cd $work
}

# damage HOW PART; fails if that can't be done to such a part.
damage() {
    local part=$storage/$2
    is_file() { [ -f "$part" ] && ! [ -L "$part" ]; }
    case $1 in
        remove) rm -rf "$part" ;;
        half) is_file && [ -s "$part" ] && truncate -s $(($(stat -c %s "$part") / 2)) "$part" ;;
        empty) is_file && [ -s "$part" ] && truncate -s 0 "$part" ;;
        mode) [ -z "${2##*/diff/*}" ] && ! [ -L "$part" ] && chmod 0701 "$part" ;;
        owner) [ -z "${2##*/diff/*}" ] && chown -h 4:5 "$part" ;;
    esac
}

# What the indexes say of the image, changed: a line of sed each.
edits() {
    local none=0000000000000000000000000000000000000000000000000000000000000000
    cat <<END
layers s/"diff-digest":"sha256:[0-9a-f]*"/"diff-digest":"sha256:$none"/
layers s/"diff-digest":/"other":/
layers s/"parent":"[0-9a-f]*",//
layers s/"parent":"[0-9a-f]*"/"parent":"$none"/
layers s/"diff-size":[0-9]*/"diff-size":17/
layers s/"diff-size":[0-9]*,//
layers s/"compression":2/"compression":2,"flags":{"incomplete":true}/
layers s/{"id":"[0-9a-f]*"/{"id":"$none"/
images s/"layer":"[0-9a-f]*"/"layer":"$none"/
images s/"big-data-sizes":{[^}]*}/"big-data-sizes":{}/
images s/"big-data-digests":{[^}]*}/"big-data-digests":{}/
images s/"manifest":[0-9]*/"manifest":3/
images s/"manifest":"sha256:[0-9a-f]*"/"manifest":"sha256:$none"/
END
}

repair() { bootc-image --quiet repair $image; }
pull() { bootc-image --quiet cmd pull --tls-verify=false $image; }
copy() { bootc-image --quiet pull-from-default-storage $image; }

if [ $driver = vfs ]; then
    sed -i 's/"overlay"/"vfs"/' /etc/containers/storage.conf
    rm -rf /var/lib/containers/storage
fi
# The image comes first in the indexes, so that the edits are about it.
rm -rf $storage
make_layers
publish $image 1 2
publish $neighbour 1 3
podman pull --quiet --tls-verify=false $image >/dev/null
bootc-image --quiet cmd pull --tls-verify=false $image $neighbour >/dev/null 2>&1
look $image >wanted
look $neighbour >wanted-neighbour
parts | sort >parts
cp --archive $storage pristine
{
    for how in remove half empty mode owner; do sed "s/^/$how /" parts; done
    edits | sed 's/^/edit /'
} >cases

tried=0
number=0
while read -r how what rest; do
    for heal in ${heals:-repair pull copy}; do
        number=$((number + 1))
        [ $(((number + first) % every)) = 0 ] || continue
        if [ "$how" = edit ]; then
            index=$storage/$driver-$what/$what.json
            sed "$rest" "$index" >/tmp/index
            ! cmp -s /tmp/index "$index" || { echo "nothing to edit: $rest" >&2; continue; }
            cp /tmp/index "$index"
        else
            damage "$how" "$what" || continue
        fi
        tried=$((tried + 1))
        wrong=
        $heal >/tmp/said 2>&1 || wrong="exit code $?"
        look $image >/tmp/found 2>/tmp/found-said && cmp -s /tmp/found wanted || wrong="$wrong, not whole"
        look $neighbour >/tmp/found-neighbour 2>>/tmp/found-said && cmp -s /tmp/found-neighbour wanted-neighbour ||
            wrong="$wrong, the neighbour isn't whole"
        [ -z "$(ls -A /var/tmp)" ] || wrong="$wrong, something is left in /var/tmp"
        ! ls $storage | grep -q '^bootc-image' || wrong="$wrong, something is left in the storage"
        if [ -n "$wrong" ]; then
            echo "$heal after $how $what $rest: $wrong"
            { cat /tmp/said /tmp/found-said; diff /tmp/found wanted; diff /tmp/found-neighbour wanted-neighbour; } 2>&1 | head -n 20 >&2 || true
        fi
        # Each case for itself.
        if [ -n "$wrong" ] || [ "$how" = edit ]; then
            rm -rf $storage /var/tmp/bootc-image.*
            cp --archive pristine $storage
        fi
    done
done <cases
echo "$tried"
