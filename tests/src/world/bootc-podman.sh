# bootc_podman ARGUMENTS: podman as bootc calls it. The store is bound to a fixed path in a mount namespace of the child's
# own, and the directory below that mount point, opened before, comes as descriptor 3 for what is lost at a reboot. podman
# writes both paths into the store and insists on them.
bootc_podman() {
    bootc_mount podman --root /run/bootc/storage --runroot /proc/self/fd/3 "$@"
}

# bootc_mount COMMAND: any command that finds the store there; its working directory is the caller's.
bootc_mount() {
    mkdir -p /sysroot/ostree/bootc/storage /run/bootc/storage
    (
        cd /sysroot/ostree/bootc/storage
        exec 3</run/bootc/storage
        unshare --mount sh -euc 'mount --bind . /run/bootc/storage; cd "$0"; exec "$@"' "$OLDPWD" "$@"
    )
}
