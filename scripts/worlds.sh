# Sourced: puts the worlds of tests on an XFS of their own in memory, where there is memory for it. Worlds are copied and removed
# by the hundred, which an ext4 without a journal, as cloud machines have it, does slowly. One test alone has its worlds in the
# target directory, on whatever file system that is.
memory=/dev/shm
if [[ -z ${BOOTC_IMAGE_WORLDS-} ]] && (($(df --output=avail --block-size=1G $memory | tail -n 1) >= 8)); then
    worlds=$(mktemp --directory)
    disk=$memory/bootc-image-worlds.$$
    truncate --size=8G "$disk"
    mkfs.xfs -q "$disk"
    # In a container, there may be no loop device; then the worlds are where they always are.
    if mount --options loop "$disk" "$worlds"; then
        export BOOTC_IMAGE_WORLDS=$worlds
        trap 'umount --lazy "$worlds"; rmdir "$worlds"' EXIT
    else
        rmdir "$worlds"
    fi
    # Open, and so it is there as long as it is mounted.
    rm "$disk"
fi
