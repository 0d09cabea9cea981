//! Faults at every system call of an operation, and what must be true afterwards.

use crate::faults::injector::{Class, Fault, Report};
use crate::oracle::Store;
use crate::programs;
use crate::world::World;

/// Where the injector is inside.
pub(super) const FAULTY: &str = "/usr/libexec/bootc-image-faulty";

/// Something that is interrupted.
#[derive(Debug, Clone, Copy)]
pub struct Interrupted {
    pub name: &'static str,
    /// A script that is run before.
    before: &'static str,
    command: &'static str,
    /// What is written to.
    store: Store,
    /// Succeeds if the command has had its effect.
    effect: &'static str,
    /// Whether the registry is needed.
    registry: bool,
}

pub const OPERATIONS: [Interrupted; 6] = [
    Interrupted {
        name: "copy",
        before: "",
        command: "bootc-image copy-to-storage",
        store: Store::Default,
        effect: "store_podman image exists localhost/bootc:latest",
        registry: false,
    },
    Interrupted {
        name: "pull",
        before: "",
        command: "bootc-image pull-from-default-storage localhost/mine:1",
        store: Store::Bootc,
        effect: "store_podman image exists localhost/mine:1",
        registry: false,
    },
    Interrupted {
        name: "creation",
        before: "rm -r /sysroot/ostree/bootc",
        command: "bootc-image cmd list --quiet",
        store: Store::Bootc,
        effect: "[ -e /sysroot/ostree/bootc/storage/overlay-images ]",
        registry: false,
    },
    Interrupted {
        name: "set-unified",
        before: "",
        command: "bootc-image set-unified",
        store: Store::Bootc,
        effect: "store_podman image exists 127.0.0.1:5000/lab/os:1",
        registry: true,
    },
    // An image with two names and one that is there by its digest alone; what is bound stays.
    Interrupted {
        name: "prune",
        before: "bootc-image --quiet pull-from-default-storage localhost/mine:1 >&2
            store_podman image tag localhost/mine:1 localhost/mine:2",
        command: "bootc-image prune --all",
        store: Store::Bootc,
        effect: "store_podman image exists 127.0.0.1:5000/lab/app:1 &&
            [ $(store_podman image list --all --quiet --no-trunc | sort -u | wc -l) = 1 ]",
        registry: false,
    },
    // Of an image that is whole, and stays so. What was there before can be told by a file that no archive has.
    Interrupted {
        name: "repair",
        before: "touch $(printf '%s/mark ' /sysroot/ostree/bootc/storage/overlay/*/diff)",
        command: "bootc-image repair 127.0.0.1:5000/lab/app:1",
        store: Store::Bootc,
        effect: "[ $(ls /sysroot/ostree/bootc/storage/overlay/*/diff/mark | wc -l) = 1 ]",
        registry: false,
    },
];

/// As "pull", but what is pulled to has an image with a file that was changed.
pub const DAMAGED: Interrupted = Interrupted {
    name: "damaged",
    before: "for file in /sysroot/ostree/bootc/storage/overlay/*/diff/usr/share/lab/program; do echo x >>$file; done",
    ..OPERATIONS[1]
};

/// What is checked, in the words of the real programs. `$store` is how skopeo names the store. With bootc's store everything is
/// run with its mount.
pub(super) const CHECK: &str = r#"
check() {
    store_podman image list --all --quiet --no-trunc | sort -u >/tmp/ids
    while read -r id; do
        rm -rf /tmp/copy
        in_store skopeo copy --quiet "containers-storage:${store}@${id#sha256:}" dir:/tmp/copy
        for blob in /tmp/copy/*; do
            name=${blob##*/}
            case $name in manifest.json|version) continue ;; esac
            [ "$(sha256sum <"$blob")" = "$name  -" ] || { echo "wrong digest: $blob of $id"; exit 1; }
        done
        store_podman image tree "${id#sha256:}" >/dev/null
    done </tmp/ids
}
"#;

impl Interrupted {
    /// The same but for its command, which does nothing.
    pub fn idle(self) -> Self {
        Self { command: "true", ..self }
    }

    /// Hits the call with this number; returns how many there were, and panics with the whole story if something isn't as it
    /// should be afterwards.
    pub fn run(&self, class: Class, index: usize, fault: Fault) -> Report {
        let world = World::new();
        let in_store = match self.store {
            Store::Default => "store=\nin_store() { \"$@\"; }\n",
            Store::Bootc => {
                "store='[overlay@/run/bootc/storage+/proc/self/fd/3]'\nin_store() { bootc_mount \"$@\"; }\n"
            }
        };
        let script = format!(
            "{shell}{in_store}{CHECK}
            effect() {{
                {effect}
            }}
            {before}
            cat /proc/self/mountinfo >/tmp/mounts
            code=0
            {FAULTY} {class} {index} {fault} /tmp/report -- {command} >/tmp/out 2>&1 || code=$?
            {{ cat /tmp/out; echo \"exit code $code\"; }} >&2
            cat /proc/self/mountinfo | cmp - /tmp/mounts || {{ echo 'a mount is left'; exit 1; }}
            [ $code -ne 2 ] && [ $code -ne 101 ] || {{ echo 'a wrong exit code'; exit 1; }}
            ! [ -e /sysroot/ostree/bootc/storage ] || check
            [ $code -ne 0 ] || effect || {{ echo 'a success without its effect'; exit 1; }}
            ostree fsck --quiet >&2
            {command} >/tmp/out 2>&1 || {{ echo \"again: $?\"; cat /tmp/out; exit 1; }}
            check
            effect || {{ echo 'no effect'; exit 1; }}
            [ -z \"$(ls -A /var/tmp)\" ] || {{ echo 'left in /var/tmp:'; find /var/tmp; exit 1; }}
            [ \"$(ls -A /sysroot/ostree/bootc)\" = storage ]
            ! ls -A /sysroot/ostree/bootc/storage | grep ^bootc-image || {{ echo 'left in the storage'; exit 1; }}
            cat /tmp/report",
            shell = self.store.shell(),
            before = self.before,
            class = class.name,
            fault = fault.name(),
            command = self.command,
            effect = self.effect,
        );
        let enter = world.enter().registry(self.registry).program(&programs::ours("faulty"), FAULTY);
        let output = enter.sh(&script);
        assert!(
            output.code == 0 && !output.timed_out,
            "{}, {} at {} {index}: {output:#?}",
            self.name,
            fault.name(),
            class.name
        );
        output.json()
    }
}
