//! The audit record as a file: rotated while it is written to, read by others, asked questions as the page says.

use std::collections::BTreeMap;

use bootc_image_tests::guide::Page;
use bootc_image_tests::world::Enter;
use bootc_image_tests::{Output, World};
use serde_json::Value;

const QUESTIONS: &str = include_str!("../../docs/how-to/query-audit-record.md");
const SHIPPING: &str = include_str!("../../docs/how-to/rotate-and-ship-record.md");
const CONFIGURATION: &str = "/etc/bootc-image/config.d/50-reads.toml";

/// A list is recorded: that is quick.
fn enter(world: &World) -> Enter {
    world
        .enter()
        .file(CONFIGURATION, "audit.reads = true\n")
        .file("/run/logrotate.conf", include_str!("../../dist/logrotate/bootc-image"))
}

/// A script in a shell that takes programs from the path: the world's own has some of its own, which can do less.
fn bash(world: &World, script: &str) -> Output {
    let zcat = "zcat() { shift; gzip -cdf \"$@\"; }\n";
    enter(world).run(&["bash", "-euc", &format!("{zcat}{script}")])
}

/// The events of each id, from a record with all its rotated files.
fn events(record: &str) -> BTreeMap<String, Vec<String>> {
    let mut events: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in record.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        events.entry(text("id")).or_default().push(text("event"));
    }
    for of_id in events.values_mut() {
        of_id.sort();
    }
    events
}

fn assert_paired(events: &BTreeMap<String, Vec<String>>) {
    let not_paired: Vec<_> = events.iter().filter(|(_, of_id)| **of_id != ["intent", "outcome"]).collect();
    assert!(not_paired.is_empty(), "{not_paired:#?}");
}

/// logrotate again and again, as often as it can, and 240 operations beside it, eight at a time. Files that are older than some
/// ten rotations are looked at like all others: each line is there once.
#[test]
fn rotation_loses_no_line_and_doubles_none() {
    let world = World::new();
    let script = r#"
        # All of them are kept here.
        sed -i 's/rotate 60/rotate 2000/' /run/logrotate.conf
        worker() { for round in $(seq 30); do bootc-image list >/dev/null || echo failed; done; }
        for number in $(seq 8); do worker & done >/run/said
        workers=$(jobs -p)
        (while [ ! -e /run/stop ]; do logrotate --force --state /run/logrotate.status /run/logrotate.conf || echo failed; done) >/run/rotated 2>&1 &
        rotation=$!
        wait $workers
        touch /run/stop
        wait $rotation
        cat /run/said /run/rotated
        cd /var/lib/bootc-image/audit
        ls | wc -l
        zcat --force audit.jsonl*
    "#;
    let output = bash(&world, script).ok();
    let (files, record) = output.stdout.split_once('\n').unwrap();
    assert!(files.trim().parse::<usize>().unwrap() > 3, "{files}");
    let events = events(record);
    assert_eq!(events.len(), 240);
    assert_paired(&events);
}

/// A writer opens the record only once it has the lock, and rotation ends only once no writer has it: no
/// process writes to a file that was renamed before.
#[test]
fn rotation_waits_for_a_line_that_is_being_written() {
    let world = World::new();
    let script = r#"
        bootc-image list >/dev/null
        lock=/run/bootc-image/audit/lock record=/var/lib/bootc-image/audit/audit.jsonl
        mkfifo /run/released
        # A process that is writing.
        flock $lock cat /run/released >/dev/null &
        until ! flock --nonblock $lock true; do :; done
        bootc-image list >/dev/null &
        ours=$!
        until ls -l /proc/$ours/fd 2>/dev/null | grep -q $lock; do :; done
        ! ls -l /proc/$ours/fd | grep $record
        logrotate --force --state /run/logrotate.status /run/logrotate.conf &
        rotation=$!
        # It has renamed the file, and waits.
        until grep -q -- '-> FLOCK' /proc/locks; do :; done
        test -e $record.1
        test ! -e $record
        kill -0 $rotation
        echo >/run/released
        wait $rotation
        wait $ours
        cat $record.1 $record
    "#;
    let events = events(&bash(&world, script).ok().stdout);
    assert_eq!(events.len(), 2);
    assert_paired(&events);
}

#[test]
fn a_log_shippers_group_reads_the_record_and_does_no_more() {
    let world = World::new();
    let list = || enter(&world).run(&["bootc-image", "list"]);
    list().ok();
    // As the page says it.
    let commands = SHIPPING
        .split("## Let a log shipper read the record\n")
        .nth(1)
        .unwrap()
        .split("```sh\n")
        .nth(1)
        .unwrap();
    let commands = commands.split("```").next().unwrap();
    bash(&world, &format!("echo adm:x:4: >>/etc/group\n{commands}")).ok();
    let shown = |script: &str| bash(&world, script).ok().stdout;
    let modes =
        || shown("stat -c '%a %u %g' /var/lib/bootc-image/audit /var/lib/bootc-image/audit/audit.jsonl");
    for mode in ["750", "2750"] {
        shown(&format!("chmod {mode} /var/lib/bootc-image/audit"));
        for before in
            ["true", "rm audit.jsonl", "chmod 666 audit.jsonl", "chgrp 0 audit.jsonl; chmod 644 audit.jsonl"]
        {
            shown(&format!("cd /var/lib/bootc-image/audit; {before}"));
            list().ok();
            assert_eq!(modes(), format!("{mode} 0 4\n640 0 4\n"), "{before}");
        }
        let reads =
            "setpriv --reuid=1000 --regid=4 --clear-groups cat /var/lib/bootc-image/audit/audit.jsonl";
        assert!(!shown(reads).is_empty());
        // It may lock what it may read: no writer waits for that.
        let held = "setpriv --reuid=1000 --regid=4 --clear-groups flock --exclusive /var/lib/bootc-image/audit/audit.jsonl \
                    sleep infinity & \
                    until ! flock --nonblock /var/lib/bootc-image/audit/audit.jsonl true; do :; done
                    timeout 60 bootc-image list >/dev/null";
        bash(&world, held).ok();
    }
    for mode in ["770", "755", "751"] {
        shown(&format!("chmod {mode} /var/lib/bootc-image/audit"));
        let output = list().exits(78);
        assert!(output.stderr.contains("0700, or 0750"), "{mode}: {output:#?}");
    }
}

/// With files that were rotated, compressed or not, and half a line in one.
#[test]
fn the_pages_questions_are_answered_from_all_files() {
    let world = World::new();
    let list = "bootc-image list >/dev/null\n";
    let rotate = "logrotate --force --state /run/logrotate.status /run/logrotate.conf\n";
    let deny = "bootc-image cmd nothing 2>/dev/null || true\n";
    let killed =
        "strace -o /dev/null -e inject=fdatasync:signal=KILL:when=1 bootc-image list >/dev/null || true\n";
    let half = "printf '{\"schema\":2,\"ev' >>/var/lib/bootc-image/audit/audit.jsonl\n";
    let script = [list, deny, killed, rotate, list, half, list, rotate, killed, rotate, list, deny].concat();
    bash(&world, &script).ok();
    let page = Page::parse(QUESTIONS);
    let questions: Vec<&str> = page.commands().map(|command| command.text.as_str()).collect();
    let [record, operations, unended, all, denied, _digests] = questions[..] else {
        panic!("{questions:#?}")
    };
    let ask = |question: &str| {
        let output = bash(&world, &format!("{record}\n{operations}\n{question}")).ok();
        output.lines().iter().map(|&line| line.to_owned()).collect::<Vec<_>>()
    };
    let files = enter(&world).sh("ls /var/lib/bootc-image/audit").ok().stdout;
    assert_eq!(files, "audit.jsonl\naudit.jsonl.1\naudit.jsonl.2.gz\naudit.jsonl.3.gz\n");
    let unended = ask(unended);
    assert!(unended.len() == 2 && unended.iter().all(|line| line.split(' ').count() == 2), "{unended:#?}");
    let all = ask(all);
    let done = |line: &&String| line.ends_with(" 0 list done");
    assert_eq!((all.len(), all.iter().filter(done).count()), (6, 4), "{all:#?}");
    assert!(all.iter().filter(|line| line.ends_with(" no outcome")).count() == 2, "{all:#?}");
    let denied = ask(denied);
    assert!(
        denied.len() == 2 && denied.iter().all(|line| line.contains("no enabled plugin provides")),
        "{denied:#?}"
    );
}
