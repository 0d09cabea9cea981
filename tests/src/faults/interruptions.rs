//! Operations that are asked to end, wherever they are: how they end then, and that what they say of it is so.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::injector::{Class, EVERYWHERE, Fault, Report, SIGNALS};
use super::sweep::{CHECK, FAULTY};
use crate::oracle::Store;
use crate::programs;
use crate::world::{Enter, World};

/// An operation that can be asked to end. A new one is a row more in [`OPERATIONS`].
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    pub name: &'static str,
    /// A script that is run once before, in a world of its own that is then copied for each run. It may keep files in `/var/lab`.
    before: &'static str,
    command: &'static str,
    /// A script that prints how many of the acts have had their effect. What the command has printed is in `/tmp/out`.
    effects: &'static str,
    /// How many acts there are; each has an intent and an outcome of its own in the record.
    acts: usize,
    /// Whether they are recorded.
    recorded: bool,
    /// What must succeed afterwards, unless all effects are there; the command itself, if it is empty.
    again: &'static str,
    /// What it works on.
    store: Store,
    /// Whether the registry is needed.
    registry: bool,
}

/// podman's configuration where builds are to run something: nothing there can set up a network for them, and in a container
/// root may not raise limits.
pub const BUILDS: &str =
    "[containers]\nnetns = \"host\"\ndefault_ulimits = [\"nofile=200:200\", \"nproc=200:200\"]\n";

const BASE: Operation = Operation {
    name: "",
    before: "",
    command: "",
    effects: "",
    acts: 1,
    recorded: true,
    again: "",
    store: Store::Bootc,
    registry: false,
};

pub const OPERATIONS: &[Operation] = &[
    Operation {
        name: "list",
        command: "bootc-image list --format json",
        effects: "[ \"$(tail -n 1 /tmp/out)\" = ']' ] && echo 1 || echo 0",
        recorded: false,
        ..BASE
    },
    Operation {
        name: "cmd-list",
        command: "bootc-image cmd list --quiet --no-trunc",
        effects: "store_podman image list --quiet --no-trunc | cmp -s - /tmp/out && echo 1 || echo 0",
        ..BASE
    },
    Operation {
        name: "creation",
        before: "rm -r /sysroot/ostree/bootc",
        command: "bootc-image cmd list --quiet",
        // Made or not, nothing is listed: what counts is that there is none, or a whole one.
        effects: "[ -e /sysroot/ostree/bootc/storage/overlay-images ] && echo 1 || echo 0",
        ..BASE
    },
    Operation {
        name: "copy-to-storage",
        command: "bootc-image copy-to-storage",
        effects: "there localhost/bootc:latest",
        store: Store::Default,
        ..BASE
    },
    Operation {
        name: "pull-from-default-storage",
        before: "large; podman build --quiet --tag localhost/large:1 /var/lab/context >&2",
        command: "bootc-image pull-from-default-storage localhost/large:1 localhost/mine:1",
        effects: "there localhost/large:1 localhost/mine:1",
        acts: 2,
        ..BASE
    },
    Operation {
        name: "set-unified",
        command: "bootc-image set-unified",
        effects: "there 127.0.0.1:5000/lab/os:1",
        registry: true,
        ..BASE
    },
    Operation {
        name: "remove",
        before: "bootc-image --quiet pull-from-default-storage localhost/mine:1 >&2",
        command: "bootc-image remove localhost/mine:1 localhost/app:stable",
        effects: "gone localhost/mine:1 localhost/app:stable",
        acts: 2,
        again: "for name in localhost/mine:1 localhost/app:stable; do
                ! store_podman image exists $name || bootc-image remove $name || exit
            done",
        ..BASE
    },
    // An image with two names and one that is there by its digest alone; what is bound stays.
    Operation {
        name: "prune",
        before: "bootc-image --quiet pull-from-default-storage localhost/mine:1 >&2
            store_podman image tag localhost/mine:1 localhost/mine:2",
        command: "bootc-image prune --all",
        effects: "echo $((3 - $(store_podman image list --all --quiet --no-trunc | sort -u | wc -l)))",
        acts: 2,
        ..BASE
    },
    Operation {
        name: "repair",
        // What was there before can be told by a file that no archive has.
        before: "touch $(printf '%s/mark ' /sysroot/ostree/bootc/storage/overlay/*/diff)",
        command: "bootc-image repair localhost/app:stable",
        // All of it, or nothing.
        effects: "marks=$(ls /sysroot/ostree/bootc/storage/overlay/*/diff/mark | wc -l)
            case $marks in 3) echo 0 ;; 1) echo 1 ;; *) echo half a repair >&2; exit 1 ;; esac",
        ..BASE
    },
    Operation {
        name: "cmd-pull",
        before: "large
            podman build --quiet --tag 127.0.0.1:5000/lab/large:1 /var/lab/context >&2
            podman push --quiet 127.0.0.1:5000/lab/large:1 >&2",
        command: "bootc-image cmd pull --quiet 127.0.0.1:5000/lab/large:1 127.0.0.1:5000/lab/app:2",
        effects: "all_there 127.0.0.1:5000/lab/large:1 127.0.0.1:5000/lab/app:2",
        registry: true,
        ..BASE
    },
    Operation {
        name: "cmd-load",
        before: "large
            mkdir -p /var/lib/bootc-image/archives
            podman build --quiet --tag localhost/large:1 /var/lab/context >&2
            podman save --quiet --output /var/lib/bootc-image/archives/large.tar localhost/large:1 >&2",
        command: "bootc-image cmd load --quiet --input /var/lib/bootc-image/archives/large.tar",
        effects: "there localhost/large:1",
        ..BASE
    },
    Operation {
        name: "cmd-save",
        before: "large
            mkdir -p /var/lib/bootc-image/archives
            store_podman build --quiet --tag localhost/large:1 /var/lab/context >&2
            store_podman save --quiet localhost/large:1 >/var/lab/expected.tar",
        command: "bootc-image cmd save --quiet --output /var/lib/bootc-image/archives/large.tar localhost/large:1",
        // Half of one is worse than none.
        effects: "if ! [ -e /var/lib/bootc-image/archives/large.tar ]; then echo 0
            elif cmp -s /var/lib/bootc-image/archives/large.tar /var/lab/expected.tar; then echo 1
            else echo half an archive >&2; exit 1; fi",
        ..BASE
    },
    Operation {
        name: "cmd-save-to-a-pipe",
        before: "large
            store_podman build --quiet --tag localhost/large:1 /var/lab/context >&2
            store_podman save --quiet localhost/large:1 >/var/lab/expected.tar",
        command: "bootc-image cmd save --quiet localhost/large:1",
        effects: "cmp -s /tmp/out /var/lab/expected.tar && echo 1 || echo 0",
        ..BASE
    },
    Operation {
        name: "cmd-build",
        before: "large
            cp /bin/busybox /var/lab/context
            printf '%s\\n' 'FROM localhost/app:stable' 'COPY busybox /bin/sh' 'COPY data /data' \\
                'RUN --mount=type=cache,target=/cache echo x >>/cache/file' >/var/lab/context/Containerfile",
        command: "bootc-image cmd build --quiet --tag localhost/built:1 /var/lab/context",
        effects: "there localhost/built:1",
        ..BASE
    },
    Operation {
        name: "cmd-push",
        command: "bootc-image cmd push --quiet localhost/app:stable 127.0.0.1:5000/pushed/app:1",
        effects: "skopeo inspect docker://127.0.0.1:5000/pushed/app:1 >/dev/null 2>&1 && echo 1 || echo 0",
        registry: true,
        ..BASE
    },
    Operation {
        name: "cmd-tag",
        command: "bootc-image cmd tag localhost/app:stable localhost/app:new localhost/app:newer",
        effects: "all_there localhost/app:new localhost/app:newer",
        ..BASE
    },
    Operation {
        name: "cmd-untag",
        before: "store_podman image tag localhost/app:stable localhost/app:new",
        command: "bootc-image cmd untag localhost/app:stable localhost/app:new",
        effects: "gone localhost/app:new",
        ..BASE
    },
    Operation {
        name: "plugin-approve",
        before: "bootc-image --quiet plugin revoke podman-maintenance >&2",
        command: "bootc-image plugin approve podman-maintenance",
        effects: "ls -A /etc/bootc-image/grants.d | wc -l",
        ..BASE
    },
    Operation {
        name: "plugin-revoke",
        command: "bootc-image plugin revoke podman-maintenance",
        effects: "[ -z \"$(ls -A /etc/bootc-image/grants.d)\" ] && echo 1 || echo 0",
        ..BASE
    },
];

/// What the scripts of operations may call.
const WORDS: &str = r#"
# A build of some megabytes: long enough to be in the middle of it.
large() {
    mkdir -p /var/lab/context
    dd if=/dev/urandom of=/var/lab/context/data bs=1M count=8 2>/dev/null
    printf 'FROM scratch\nCOPY data /data\n' >/var/lab/context/Containerfile
}
# How many of these names the store has, and how many it hasn't.
there() {
    count=0
    for name; do if store_podman image exists "$name"; then count=$((count + 1)); fi; done
    echo $count
}
gone() { echo $(($# - $(there "$@"))); }
all_there() { [ $(there "$@") = $# ] && echo 1 || echo 0; }
# Every process but what belongs to the stay.
processes() {
    for process in /proc/[0-9]*; do
        name=$(cat $process/comm 2>/dev/null) || continue
        case $name in world-enter|sh|cat|docker-registry) ;; *) echo "$name ${process#/proc/}" ;; esac
    done
}
no_process() { [ -z "$(processes)" ]; }
settle() { for attempt in $(seq 100); do "$@" && return; sleep 0.1; done; return 1; }
"#;

/// How a run went.
#[derive(Debug, Deserialize)]
struct Story {
    code: i32,
    /// How many acts had had their effect, right after it.
    effects: usize,
    report: Report,
}

/// An operation in a world that is ready for it.
pub struct Ready {
    operation: Operation,
    world: World,
    /// How many calls it makes when nobody disturbs it, once they are counted.
    pub calls: usize,
}

/// How a run ended, for whoever counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It had its effect, and said so.
    Done,
    /// It said that it was interrupted.
    Interrupted,
    /// It was over before its time came.
    NotHit,
}

impl Operation {
    /// Makes a world in which it can be run again and again.
    pub fn prepare(&self) -> Ready {
        let world = World::new();
        let shell = self.shell();
        let before = self.before;
        let script = format!(
            "{shell}mkdir -p /var/lab
            bootc-image --quiet plugin approve podman-maintenance >&2
            {before}
            rm -rf /var/lib/bootc-image/audit /var/tmp/*"
        );
        self.enter(&world).sh(&script).ok();
        Ready { operation: *self, world, calls: 0 }
    }

    fn shell(&self) -> String {
        let in_store = match self.store {
            Store::Default => "store=\nin_store() { \"$@\"; }\n",
            Store::Bootc => {
                "store='[overlay@/run/bootc/storage+/proc/self/fd/3]'\nin_store() { bootc_mount \"$@\"; }\n"
            }
        };
        format!("{}{in_store}{WORDS}{CHECK}", self.store.shell())
    }

    /// With the plugin that most subcommands need.
    fn enter(&self, world: &World) -> Enter {
        let plugin = programs::required("plugins").join("podman-maintenance");
        let files = fs::read_dir(plugin).expect("`make lab` has packaged it").flatten();
        let enter = world.enter().registry(self.registry).program(&programs::ours("faulty"), FAULTY);
        let enter = enter.file("/etc/containers/containers.conf", BUILDS);
        let enter = enter.limit(Duration::from_secs(300));
        files.fold(enter, |enter, file| {
            let inside = Path::new("/var/lib/bootc-image/plugins/podman-maintenance").join(file.file_name());
            enter.file(&inside.display().to_string(), fs::read(file.path()).expect("it can be read"))
        })
    }
}

impl Ready {
    /// Runs it undisturbed once.
    pub fn counted(mut self) -> Self {
        let (ended, calls) = self.run_counted(usize::MAX, SIGNALS[0]);
        assert_eq!(ended, Ended::NotHit);
        self.calls = calls;
        self
    }

    /// Asks it to end at the call with this number. Panics with the whole story if something isn't as it should be then.
    pub fn run(&self, index: usize, fault: Fault) -> Ended {
        self.run_counted(index, fault).0
    }

    fn run_counted(&self, index: usize, fault: Fault) -> (Ended, usize) {
        let (operation, world) = (&self.operation, self.world.copy());
        let Operation { command, effects, acts, again, .. } = operation;
        let Class { name: class, .. } = EVERYWHERE;
        let script = format!(
            "{shell}
            effects() {{ {effects}; }}
            # Containers' control groups aren't all there.
            for unified in $(awk '$3 == \"cgroup2\" {{ print $2 }}' /proc/mounts); do umount $unified; done
            cat /proc/self/mountinfo >/tmp/mounts
            code=0
            {FAULTY} {class} {index} {fault} /tmp/report -- {command} >/tmp/out 2>/tmp/err || code=$?
            {{ head -c 2000 /tmp/err; echo \"exit code $code\"; }} >&2
            settle no_process || {{ echo 'a process is left:'; processes; exit 1; }} >&2
            cat /proc/self/mountinfo | cmp - /tmp/mounts || {{ echo 'a mount is left' >&2; exit 1; }}
            [ -z \"$(ls -A /var/tmp)\" ] || {{ echo 'left in /var/tmp:'; find /var/tmp; exit 1; }} >&2
            cp -r /var/lib/bootc-image/audit /var/lab/audit 2>/dev/null || mkdir /var/lab/audit
            effects=$(effects)
            if [ -e /sysroot/ostree/bootc/storage ]; then
                check >&2
                [ -z \"$(store_podman ps --all --external --quiet)\" ] || {{ echo 'a container is left' >&2; exit 1; }}
            fi
            ostree fsck --quiet >&2
            if [ $effects != {acts} ]; then
                again() {{
                    {again}
                }}
                again >/tmp/out 2>/tmp/err || {{ echo \"again: $?\"; cat /tmp/out /tmp/err; exit 1; }} >&2
                [ $(effects) = {acts} ] || {{ echo 'no effect the second time' >&2; exit 1; }}
                [ -z \"$(ls -A /var/tmp)\" ] || {{ echo 'then left in /var/tmp:'; find /var/tmp; exit 1; }} >&2
            fi
            [ \"$(ls -A /sysroot/ostree/bootc)\" = storage ]
            echo \"{{\\\"code\\\":$code,\\\"effects\\\":$effects,\\\"report\\\":$(cat /tmp/report)}}\"",
            shell = operation.shell(),
            fault = fault.name(),
            again = if again.is_empty() { command } else { again },
        );
        let output = operation.enter(&world).sh(&script);
        let place = format!("{}, {} at {index} of {}", operation.name, fault.name(), self.calls);
        assert!(output.code == 0 && !output.timed_out, "{place}: {output:#?}");
        let story: Story = output.json();
        let record = record(&world);
        let told = format!("{place}: {story:#?} {record:#?} {output:#?}");
        let ended = operation.judge(&story, &record, fault).unwrap_or_else(|why| panic!("{why}: {told}"));
        (ended, story.report.calls)
    }
}

impl Operation {
    /// Whether exit code, record and effect agree.
    fn judge(&self, story: &Story, record: &[Value], fault: Fault) -> Result<Ended, &'static str> {
        let Fault::Signal(_, signal, _) = fault else { return Err("not a signal") };
        let signal = signal.as_raw();
        let of = |event: &str| record.iter().filter(|line| line["event"] == event).count();
        let result = |line: &&Value, result: &str| line["event"] == "outcome" && line["result"] == result;
        let done = record
            .iter()
            .filter(|line| result(line, "done") || (result(line, "exited") && line["code"] == 0))
            .count();
        let interrupted =
            record.iter().filter(|line| result(line, "interrupted") && line["signal"] == signal).count();
        let ids = |event: &str| {
            let mut ids: Vec<String> = record
                .iter()
                .filter(|line| line["event"] == event)
                .map(|line| line["id"].to_string())
                .collect();
            ids.sort();
            ids
        };
        if story.report.left {
            return Err("a process went on");
        }
        let looked_up = record
            .iter()
            .filter(|line| line["event"] == "resolved" && line["result"] == "interrupted")
            .count();
        if of("intent") + of("outcome") + looked_up != record.len() || ids("intent") != ids("outcome") {
            return Err("not one outcome for each intent");
        }
        if done + interrupted != of("intent") || interrupted > 1 {
            return Err("an outcome that is neither");
        }
        let (least, most) = if self.recorded { (done, done + interrupted) } else { (0, self.acts) };
        if !(least..=most).contains(&story.effects) {
            return Err("the record says otherwise than the store");
        }
        let all = story.effects == self.acts && (done == self.acts || !self.recorded);
        match (story.code, &story.report.hit) {
            (0, None) if all => Ok(Ended::NotHit),
            (0, Some(_)) if all => Ok(Ended::Done),
            (0, _) => Err("a success that isn't one"),
            (code, Some(_)) if code == 128 + signal => Ok(Ended::Interrupted),
            _ => Err("a wrong exit code"),
        }
    }
}

fn record(world: &World) -> Vec<Value> {
    let path = world.outside("/var/lab/audit/audit.jsonl");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a line of the record is JSON")).collect()
}

/// Where the point with this number of so many lies: somewhere in its part of the run, the same for the same seed.
pub fn point(ready: &Ready, fault: Fault, number: usize, points: usize, seed: u64) -> usize {
    let name = format!("{} {} {number} {seed}", ready.operation.name, fault.name());
    let hash = Sha256::digest(name);
    let random = usize::from(hash[0]) << 8 | usize::from(hash[1]);
    (ready.calls * number + ready.calls * random / (1 << 16)) / points
}
