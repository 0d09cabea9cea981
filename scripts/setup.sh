#!/bin/bash
# Installs what a Debian 12 machine lacks to build and test this project. Does nothing if nothing is missing.
set -euo pipefail

packages=(
    gcc g++ libc6-dev pkg-config libostree-dev libssl-dev libzstd-dev   # to build
    podman crun skopeo buildah ostree                                   # what is driven and compared with
    docker-registry busybox-static e2fsprogs xfsprogs                   # to make worlds, and disks in them
    logrotate jq                                                        # what reads and rotates the record
    libseccomp-dev strace procps valgrind                               # to make faults and measurements
    zsh fish                                                            # to complete commands in
)
targets=(wasm32-unknown-unknown wasm32-wasip2)
policy=/usr/sbin/policy-rc.d

if [ "$(id -u)" -ne 0 ]; then
    echo "This needs root: system packages may have to be installed, and the emulated hosts are made of namespaces" \
        "and mounts. Run it as root, on a machine or in a virtual machine that you can spare." >&2
    exit 1
fi

missing() {
    for package in "${packages[@]}"; do
        dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
            echo "$package"
    done
}

# The registry would start as a service, and podman's timers too; invoke-rc.d asks this program whether they may.
hold_services_back() {
    saved=
    if [ -e $policy ]; then
        saved=$policy.of-this-machine
        mv $policy "$saved"
    fi
    trap let_services_go EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 0755 $policy
}
let_services_go() {
    rm -f $policy
    if [ -n "$saved" ]; then mv "$saved" $policy; fi
}

install_packages() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get install --yes --no-install-recommends "$@"
}

if ! command -v cargo >/dev/null; then
    echo "This needs the Rust toolchain: see https://rustup.rs" >&2
    exit 1
fi
mapfile -t wanted < <(missing)
if [ ${#wanted[@]} -ne 0 ]; then
    echo "Installing: ${wanted[*]}"
    hold_services_back
    # The lists may be absent or too old to name what the mirror has now.
    install_packages "${wanted[@]}" 2>/dev/null || { apt-get update; install_packages "${wanted[@]}"; }
fi
for target in "${targets[@]}"; do
    if ! [ -d "$(rustc --print target-libdir --target "$target")" ]; then
        rustup target add "$target"
    fi
done
