# Sourced: puts the worlds of tests on an XFS of their own in memory, where there is memory for it. Worlds are copied and removed
# by the hundred, which an ext4 without a journal, as cloud machines have it, does slowly. One test alone has its worlds in the
# target directory, on whatever file system that is.
memory=/dev/shm
if [[ -z ${BOOTC_IMAGE_WORLDS-} ]] && (($(df --output=avail --block-size=1G $memory | tail -n 1) >= 8)); then
    BOOTC_IMAGE_WORLDS=$(mktemp --directory)
    export BOOTC_IMAGE_WORLDS
    truncate --size=8G "$memory/bootc-image-worlds.$$"
    mkfs.xfs -q "$memory/bootc-image-worlds.$$"
    mount --options loop "$memory/bootc-image-worlds.$$" "$BOOTC_IMAGE_WORLDS"
    # Open, and so it is there as long as it is mounted.
    rm "$memory/bootc-image-worlds.$$"
    trap 'umount --lazy "$BOOTC_IMAGE_WORLDS"; rmdir "$BOOTC_IMAGE_WORLDS"' EXIT
fi
