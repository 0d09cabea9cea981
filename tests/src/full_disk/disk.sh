# A full disk, and everything that takes something away. FS, SIZE and OPTIONS say what is made; HOLDS what of the host is on it:
# `all`, only the `record` or only bootc's `store`; FULL of what it is: `room` or `inodes`; RESERVE which reserves there are: `none`, the `kernel`'s, or
# `all`. Prints how each command ended, and the record in the end. Runs after world/bootc-podman.sh.
app=127.0.0.1:5000/lab/app:1
store=/sysroot/ostree/bootc/storage
disk=/run/disk

# What is in two images that stay, by podman, and by skopeo as a whole.
neighbours() {
    for image in $app localhost/kept:1; do
        bootc_mount sh -euc '
            podman="podman --root /run/bootc/storage --runroot /proc/self/fd/3"
            at=$($podman image mount '$image')
            (cd "$at" && find . -type f -exec sha256sum {} + | sort)
            $podman image unmount '$image' >/dev/null
            skopeo copy --quiet "containers-storage:[overlay@/run/bootc/storage+/proc/self/fd/3]'$image'" dir:/run/copy
            sha256sum </run/copy/manifest.json
            rm -r /run/copy'
    done
}

make_disk() {
    truncate -s $SIZE /run/disk.img
    case $FS in
        # mkfs.xfs refuses what is small unless it is called from its own tests; 16 MiB is the least.
        xfs) TEST_DEV=1 TEST_DIR=1 QA_CHECK_FS=1 mkfs.xfs -q $OPTIONS /run/disk.img ;;
        *) mkfs.$FS -q $OPTIONS /run/disk.img >/dev/null ;;
    esac
    mkdir $disk
    mount -o loop /run/disk.img $disk
    if [ $RESERVE = none ]; then kernels_reserve 0; fi
    if [ $HOLDS != record ]; then
        cp -a $store $disk/storage
        mount --bind $disk/storage $store
    fi
    if [ $HOLDS = all ]; then
        cp -a /var /etc $disk
        mount --bind $disk/var /var
        mount --bind $disk/etc /etc
    fi
    if [ $HOLDS = record ]; then
        mkdir -p $disk/bootc-image /var/lib/bootc-image
        mount --bind $disk/bootc-image /var/lib/bootc-image
    fi
}

# kernels_reserve [BLOCKS]: sets, or shows, what the file system holds back.
kernels_reserve() {
    case $FS in
        ext4)
            knob=/sys/fs/ext4/$(basename "$(readlink /sys/dev/block/$(mountpoint -d $disk))")/reserved_clusters
            if [ $# = 0 ]; then cat $knob; else echo $1 >$knob; fi ;;
        xfs)
            xfs_io -x -c "resblks $*" $disk | sed -n 's/^reserved blocks = //p' ;;
    esac
}

fill() {
    case $FULL in
        inodes)
            mkdir -p $disk/fill
            # A link needs an inode and no block.
            while ln -s x $disk/fill/$((n = n + 1)); do :; done 2>/dev/null ;;
        room)
            for size in 1M 64k 4k 1k; do
                dd if=/dev/zero of=$disk/fill bs=$size oflag=append conv=notrunc 2>/dev/null || true
            done
            # What was freed a moment ago comes back once that is on disk.
            sync -f $disk
            dd if=/dev/zero of=$disk/fill bs=1k oflag=append conv=notrunc 2>/dev/null || true ;;
    esac
    sync -f $disk
    if (dd if=/dev/zero of=$disk/probe bs=64k count=1) 2>/dev/null; then echo "the disk isn't full"; exit 1; fi
    rm -f $disk/probe
}
n=0

# try COMMAND...: on a disk that is full, whatever was freed before.
try() {
    fill
    code=0
    bootc-image "$@" >/run/said 2>&1 || code=$?
    echo "$code $*"
    sed 's/^/    /' /run/said
}

neighbours >/run/before
make_disk
if [ $RESERVE = all ]; then
    # Whatever is done as root makes the reserves.
    bootc-image --quiet cmd list >/dev/null
fi
kernels_reserve >/run/reserve.before
fill
# podman hasn't run since the machine was started.
rm -rf /run/bootc /run/containers
try pull-from-default-storage localhost/mine:1
for words; do try $words; done
rm -rf $disk/fill
bootc-image list >/dev/null
if [ -s /run/bootc-image/audit/waiting.jsonl ]; then echo "lines still wait"; exit 1; fi
kernels_reserve | cmp - /run/reserve.before
neighbours | cmp - /run/before
echo "names: $(bootc_podman image list --all --format '{{.Names}}' | tr -d '[]' | tr ' ' '\n' | sort -u | tr '\n' ' ')"
echo "--- record"
cat /var/lib/bootc-image/audit/audit.jsonl
