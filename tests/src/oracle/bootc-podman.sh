# bootc_podman ARGUMENTS: podman as bootc calls it. The store is bound to a fixed path in a mount namespace of the
# child's own, and the directory for what is lost at a reboot comes as descriptor 3. podman writes both paths into the
# store and insists on them.
bootc_podman() {
    mkdir -p /sysroot/ostree/bootc/storage /run/bootc/storage /run/bootc/storage-run
    (
        cd /sysroot/ostree/bootc/storage
        unshare --mount sh -euc '
            mount --bind . /run/bootc/storage
            exec 3</run/bootc/storage-run
            exec podman --root /run/bootc/storage --runroot /proc/self/fd/3 "$@"
        ' bootc "$@"
    )
}
