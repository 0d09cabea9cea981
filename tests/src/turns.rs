//! Two hands on one store: podman with bootc's exact mount, argv and environment, and `bootc-image`.

use std::time::Duration;

use crate::oracle::Store;
use crate::world::World;

/// What podman with bootc's mount, argv and environment finds, whoever wrote it.
const READ_ALL: &str = r#"
read_all() {
    bootc_podman image list --quiet --no-trunc | sort -u >/tmp/ids
    [ -s /tmp/ids ]
    while read -r id; do
        bootc_podman image tree "${id#sha256:}" >/dev/null
        rm -rf /tmp/read
        bootc_mount skopeo copy --quiet "containers-storage:[overlay@/run/bootc/storage+/proc/self/fd/3]@${id#sha256:}" dir:/tmp/read
    done </tmp/ids
}
"#;

/// As bootc does it: `podman image pull` in its store, and `podman image push` into it.
const BOOTCS: &str = r#"
bootc_pull() { bootc_podman image pull --quiet "$1" >/dev/null; }
bootc_pull_from_default() {
    bootc_mount podman image push --quiet --remove-signatures "$1" \
        "containers-storage:[overlay@/run/bootc/storage+/proc/self/fd/3]$1"
}
"#;

/// Who made the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// The base world, with this machine's podman.
    World,
    /// `bootc-image`.
    Us,
    /// podman as bootc calls it.
    Bootc,
}

/// Takes turns, in one order in odd rounds and in the other in even ones; returns the version of podman. Panics if one of us
/// can't read what the other wrote.
pub fn take_turns(rounds: usize, maker: Maker) -> String {
    let world = World::new();
    let first = match maker {
        Maker::World => "true",
        Maker::Us => "rm -r /sysroot/ostree/bootc; bootc-image cmd list --quiet",
        Maker::Bootc => "rm -r /sysroot/ostree/bootc; bootc_podman images --quiet",
    };
    let script = format!(
        "{}{READ_ALL}{BOOTCS}
        {first} >&2
        for round in $(seq {rounds}); do
            printf 'FROM scratch\nLABEL round=%s\n' $round >/tmp/Containerfile
            podman build --quiet --file /tmp/Containerfile --tag localhost/turn:$round /tmp >/dev/null
            podman build --quiet --file /tmp/Containerfile --label by=us --tag localhost/ours:$round /tmp >/dev/null
            if [ $((round % 2)) = 0 ]; then
                bootc_pull_from_default localhost/turn:$round
                bootc-image --quiet pull-from-default-storage localhost/ours:$round >/dev/null
            else
                bootc-image --quiet pull-from-default-storage localhost/ours:$round >/dev/null
                bootc_pull_from_default localhost/turn:$round
            fi
            # Each finds what the other wrote.
            bootc_podman image exists localhost/ours:$round
            bootc-image list --type unified --format json | grep -q localhost/turn:$round
            bootc-image --quiet copy-to-storage --source localhost/turn:$round --target back:$round >/dev/null
            podman image exists localhost/back:$round
            bootc-image cmd list --quiet >/dev/null
            bootc_pull 127.0.0.1:5000/lab/app:2
            bootc_podman image rm --force localhost/turn:$round localhost/ours:$round >/dev/null
            podman image rm --force localhost/turn:$round localhost/ours:$round localhost/back:$round >/dev/null
            read_all
        done >&2
        podman --version",
        Store::Bootc.shell()
    );
    let output = world.enter().registry(true).limit(Duration::from_secs(600)).sh(&script);
    assert!(output.code == 0 && !output.stderr.contains("configuration mismatch"), "{output:#?}");
    output.stdout.trim().to_owned()
}
