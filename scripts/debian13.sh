#!/bin/bash
# A root file system of Debian 13 in target/debian13, whose programs the emulated hosts can have instead of this machine's:
# podman 5.4, skopeo 1.18, ostree 2025.2. Made once; `make interop` uses it.
set -euo pipefail
cd "$(dirname "$0")/.."
root=${CARGO_TARGET_DIR:-target}/debian13
[ -e "$root.complete" ] && [ -e "$root/usr/sbin/mkfs.xfs" ] && exit
command -v debootstrap >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install --yes debootstrap
mirror=$(sed -nE 's/^(deb|URIs:) *(\[[^]]*\] *)?(https?:[^ ]+).*/\3/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -1 || true)
rm -rf "$root"
mkdir -p "$root"
debootstrap --variant=minbase \
    --include=podman,crun,skopeo,buildah,ostree,docker-registry,netavark,strace,perl,util-linux,procps,libseccomp2,ca-certificates,e2fsprogs,xfsprogs,jq \
    trixie "$root" "${mirror:-http://deb.debian.org/debian}"
# What it depends on debootstrap can't put in order.
DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get install --yes --no-install-recommends logrotate
touch "$root.complete"
