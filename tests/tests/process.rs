//! The process itself: what of its caller reaches it, what it leaves behind, who can hold it up, and what the record makes of it.

mod plugins;

use bootc_image_tests::guide::Page;
use bootc_image_tests::oracle::{self, Store};
use bootc_image_tests::world::Enter;
use bootc_image_tests::{World, programs, stock};
use plugins::{install, ship_in_image};
use serde_json::Value;

const STORE: &str = "/sysroot/ostree/bootc/storage";
const SITE: &str = "/etc/bootc-image/plugins";

/// podman, after this script.
fn with_podman(enter: Enter, script: &str) -> Enter {
    let real = programs::machine().join("usr/bin/podman");
    let script = format!("#!/bin/sh\n{script}\nexec /usr/libexec/podman-itself \"$@\"\n");
    enter.program(&real, "/usr/libexec/podman-itself").file_with_mode("/usr/bin/podman", script, 0o755)
}

/// The report as it was given: in `/etc/cron.d` a core file of root's, with a line of the caller's in it, is a job of root's.
#[test]
fn no_core_file_is_left_where_the_caller_stands() {
    let world = World::new();
    let spy = "{ grep '^Max core' /proc/$PPID/limits; readlink /proc/$PPID/cwd; grep '^Max core' /proc/self/limits; } >&2";
    let script = "mkdir -p /etc/cron.d; cd /etc/cron.d; ulimit -c unlimited; bootc-image cmd list --quiet";
    let output = with_podman(world.enter(), spy).sh(script).ok();
    let limits: Vec<&str> = output.stderr.lines().filter(|line| line.starts_with("Max core")).collect();
    let is_none = |line: &&str| line.split_whitespace().nth(4) == Some("0");
    assert!(limits.len() == 2 && limits.iter().all(is_none), "{output:#?}");
    assert!(output.stderr.lines().any(|line| line == "/"), "{output:#?}");
    // Ended before it could say a word, for want of a stack (with less sudo itself ends so); and by a signal that nobody has
    // blocked yet.
    let script = "mkdir -p /etc/cron.d; cd /etc/cron.d; ulimit -c unlimited
        for stack in 12 16 24 32 64; do
            (ulimit -Ss $stack; exec bootc-image list '* * * * * root touch /var/owned') >/dev/null 2>&1 || true
        done
        bootc-image list --format json >/dev/null & kill -QUIT $! 2>/dev/null; wait $! || true
        ls -A";
    assert_eq!(world.enter().sh(script).ok().stdout, "");
}

/// What is named begins where the caller stands all the same.
#[test]
fn names_of_files_begin_in_the_callers_directory() {
    let world = World::new();
    let script = "mkdir -p /tmp/here/context; cd /tmp/here
        printf 'FROM scratch\\nCOPY file /file\\n' >context/Containerfile; echo 1 >context/file
        bootc-image cmd build --quiet --tag localhost/built:1 context >&2
        printf '[[case]]\\nrun = [\"cmd\", \"list\"]\\nexpect = \"allow\"\\n' >cases.toml
        bootc-image policy test cases.toml
        ln -s /sysroot root; bootc-image --sysroot root list --type host | grep -c docker://";
    let output = world.enter().sh(script).ok();
    assert!(output.stdout.starts_with("ok      cmd list\n1 of 1 cases passed\n"), "{output:#?}");
    assert!(oracle::podman_names(&world, Store::Bootc).contains(&"localhost/built:1".to_owned()));
}

/// The report as it was given: a local user's read lock on a file of the store keeps root waiting.
#[test]
fn a_store_that_is_open_is_closed() {
    let world = World::new();
    let script = format!(
        "chmod 0755 {STORE}
        su=\"/usr/bin/setpriv --reuid=1000 --regid=1000 --clear-groups\"
        $su cat {STORE}/storage.lock >/dev/null
        bootc-image cmd list --quiet >/dev/null
        stat -c %a {STORE}
        ! $su cat {STORE}/storage.lock >/dev/null 2>&1"
    );
    assert_eq!(world.enter().sh(&script).ok().lines(), ["700"]);
}

/// Whoever holds a lock is named before podman is started, which waits without a word.
#[test]
fn who_holds_a_lock_that_podman_waits_for_is_named() {
    let world = World::new();
    let holding = "use Fcntl; open(F, '+<', $ARGV[0]) or die; $lock = pack('s s l! l! i', F_RDLCK, 0, 0, 0, 0); \
                   fcntl(F, F_SETLK, $lock) or die; open(R, '>', '/tmp/ready'); close(R); sleep 600";
    let script = format!(
        "perl -e \"$HOLDING\" {STORE}/storage.lock & holder=$!
        until [ -e /tmp/ready ]; do sleep 0.02; done
        for command in 'cmd list --quiet' 'remove localhost/app:stable'; do
            bootc-image $command >/dev/null 2>/tmp/said & ours=$!
            until grep -q \"storage.lock, locked by process $holder (perl) (at most 600 s)\" /tmp/said; do
                kill -0 $ours; sleep 0.02
            done
            kill -TERM $ours; code=0; wait $ours || code=$?; echo $code
        done
        kill $holder"
    );
    let output = world.enter().env("HOLDING", holding).sh(&script).ok();
    assert_eq!(output.lines(), ["143", "143"], "{output:#?}");
}

/// The report as it was given: a registry that sends nothing makes everybody else wait.
#[test]
fn a_fetch_that_never_ends_holds_up_nobody_else() {
    let world = World::new();
    stock::mine(&world, &[]);
    let stuck = "case \" $* \" in *' pull '*lab/app@*) touch /tmp/pulling; exec sleep 600;; esac";
    let script = "bootc-image cmd pull --quiet 127.0.0.1:5000/lab/app:3 2>/dev/null & ours=$!
        until [ -e /tmp/pulling ]; do kill -0 $ours; sleep 0.02; done
        bootc-image remove localhost/mine:1
        bootc-image prune >&2
        bootc-image cmd pull --quiet 127.0.0.1:5000/lab/multi:1 >/dev/null
        bootc-image pull-from-default-storage localhost/mine:1 >&2
        kill -TERM $ours; code=0; wait $ours || code=$?; echo $code";
    let output = with_podman(world.enter().registry(true), stuck).sh(script).ok();
    assert_eq!(output.lines().last(), Some(&"143"), "{output:#?}");
    let names = oracle::podman_names(&world, Store::Bootc);
    assert!(names.contains(&"127.0.0.1:5000/lab/multi:1".to_owned()), "{names:?}");
}

/// The report as it was given: 1 MB a refusal. What is refused is recorded in short.
#[test]
fn a_refusal_is_recorded_in_short() {
    let world = World::new();
    let enter = ship_in_image(world.enter(), "registry-policy").file(
        "/usr/lib/bootc-image/config.d/50-test.toml",
        "[settings.registry-policy]\ndefault = \"deny\"\n",
    );
    let names: Vec<String> =
        (0..60).map(|n| format!("quay.io/{}/x{n}:{}", "y".repeat(200), "t".repeat(120))).collect();
    let mut command = vec!["bootc-image", "cmd", "pull"];
    command.extend(names.iter().map(String::as_str));
    enter.run(&command).exits(77);
    let text = std::fs::read_to_string(world.outside("/var/lib/bootc-image/audit/audit.jsonl")).unwrap();
    let last = text.lines().last().unwrap();
    assert!(last.len() < 8 << 10, "{} bytes", last.len());
    let line: Value = serde_json::from_str(last).unwrap();
    assert!(
        line["canonical"].is_null() && line["digest"].as_str().unwrap().starts_with("sha256:"),
        "{line:#}"
    );
    assert!(line["canonical_prefix"].as_str().unwrap().starts_with("{\"operation\":"), "{line:#}");
    assert_eq!(line["denial"]["denied_by"], "registry-policy");
    // Nor does what a delegated caller has looked up in vain fill the disk.
    let names = names.iter().map(|name| name.replacen("quay.io", "127.0.0.1:1", 1)).collect::<Vec<_>>();
    let command: Vec<&str> =
        ["bootc-image", "cmd", "pull"].into_iter().chain(names.iter().map(String::as_str)).collect();
    world.enter().env("SUDO_UID", "1000").run(&command).exits(1);
    let line = world.record().pop().unwrap();
    assert_eq!((&line["event"], &line["canonical"]), (&"resolved".into(), &Value::Null), "{line:#}");
    assert!(line.to_string().len() < 8 << 10 && !line["canonical_prefix"].is_null(), "{line:#}");
}

/// Below a floor refusals are only counted, and the next line that is written says how many.
#[test]
fn refusals_leave_room_for_what_is_done() {
    let world = World::new();
    let script = "mkdir -p /var/lib/bootc-image; mount -t tmpfs -o size=16m none /var/lib/bootc-image
        audit=/var/lib/bootc-image/audit/audit.jsonl
        bootc-image cmd mount x || true; wc -l <$audit
        head -c 16400000 /dev/zero >/var/lib/bootc-image/fill
        for n in 1 2 3; do bootc-image cmd mount x || true; done; wc -l <$audit
        rm /var/lib/bootc-image/fill
        bootc-image cmd mount x || true; wc -l <$audit
        jq -c 'select(.event == \"suppressed\") | .count' $audit";
    assert_eq!(world.enter().sh(script).ok().lines(), ["1", "1", "3", "3"]);
}

/// The command of docs/how-to/query-audit-record.md, on a record of a thousand operations.
#[test]
fn the_digest_of_every_operation_can_be_computed_from_the_record() {
    let page = Page::parse(include_str!("../../docs/how-to/query-audit-record.md"));
    let documented = page.commands().map(|command| &command.text).find(|text| text.contains("sha256sum"));
    let documented = documented.expect("the page has the command");
    let world = World::new();
    let settings = "[settings.registry-policy]\ndefault = \"deny\"\n[[settings.registry-policy.rule]]\n\
                    effect = \"allow\"\noperations = [\"cmd list\", \"cmd inspect\"]\n";
    let enter = ship_in_image(ship_in_image(world.enter(), "registry-policy"), "podman-maintenance")
        .file("/usr/lib/bootc-image/config.d/50-test.toml", settings);
    let script = format!(
        "i=0
        while [ $i -lt 980 ]; do
            i=$((i + 1))
            bootc-image cmd tag localhost/app:stable \"localhost/é-\\\"\\\\&<'\\$i:$i\" \"quay.io/x/$i:漢\" 2>/dev/null || true
            [ $((i % 2)) = 0 ] || bootc-image cmd pull \"quay.io/a/b:$i\" 2>/dev/null || true
        done
        for format in '{{{{.Id}}}} \"quoted\"' 'a\\b' 'ü 漢 🦀' '<&>' ''; do
            bootc-image cmd list --quiet --format \"$format\" >/dev/null 2>&1 || true
            bootc-image cmd inspect --format \"$format\" localhost/app:stable >/dev/null 2>&1 || true
        done
        cd /var/lib/bootc-image/audit
        record() {{ cat audit.jsonl; }}
        {documented}"
    );
    let output = enter.limit(std::time::Duration::from_secs(600)).sh(&script).ok();
    let lines = output.lines();
    assert!(lines.len() >= 1000, "{}", lines.len());
    assert!(
        lines.iter().all(|line| line.ends_with(" ok")),
        "{:?}",
        lines.iter().find(|line| !line.ends_with(" ok"))
    );
    let with_digest = world.record().into_iter().filter(|line| !line["canonical"].is_null()).count();
    assert_eq!(lines.len(), with_digest);
}

/// The uid, how they came to be root, and what they could be, as the last line of the record has them.
fn who(world: &World, script: &str) -> (Value, Value, Value) {
    let enter = world.enter().file("/usr/lib/passwd", "core:x:1007:1007::/:/bin/sh\n");
    enter.sh(&format!("{script} bootc-image cmd mount x")).exits(77);
    let subject = world.record().pop().unwrap()["subject"].clone();
    (subject["uid"].clone(), subject["delegation"].clone(), subject["claims"].clone())
}

/// The report as it was given: `SUDO_UID=0` beside doas was root itself. What could be made up makes nobody root.
#[test]
fn who_asks_is_known_or_unknown_and_never_made_up() {
    let world = World::new();
    let known = |uid: u32, by: &str| (uid.into(), by.into(), Value::Null);
    let unknown = |by: &str, claims: &[&str]| (Value::Null, by.into(), claims.into());
    for (script, expected) in [
        ("env SUDO_UID=1000", known(1000, "sudo")),
        ("env SUDO_UID=0", known(0, "sudo")),
        ("env DOAS_USER=lab", known(1000, "doas")),
        // As image-based hosts have the users of their image.
        ("env DOAS_USER=core", known(1007, "doas")),
        ("env DOAS_USER=nobody-here", unknown("doas", &["DOAS_USER=nobody-here"])),
        ("env SUDO_UID=0 DOAS_USER=lab", unknown("unclear", &["SUDO_UID=0", "DOAS_USER=lab"])),
        ("env PKEXEC_UID=1000 SUDO_UID=1000", unknown("unclear", &["SUDO_UID=1000", "PKEXEC_UID=1000"])),
        ("/usr/bin/setpriv --ruid=1000 --clear-groups", known(1000, "setuid")),
        (
            "env SUDO_UID=0 /usr/bin/setpriv --ruid=1000 --clear-groups",
            unknown("sudo", &["SUDO_UID=0", "real uid 1000"]),
        ),
        (
            "echo 1001 >/proc/self/loginuid; env SUDO_UID=0",
            unknown("sudo", &["SUDO_UID=0", "login uid 1001"]),
        ),
        ("echo 1000 >/proc/self/loginuid; env SUDO_UID=1000", known(1000, "sudo")),
        ("echo 1000 >/proc/self/loginuid;", (0.into(), Value::Null, Value::Null)),
    ] {
        assert_eq!(who(&world, script), expected, "{script}");
    }
}

/// The report as it was given: another real uid approved plugins, and `policy test` opened root's files for it.
#[test]
fn somebody_elses_real_uid_is_no_root() {
    let world = World::new();
    let enter = || install(world.enter(), "policy-does", SITE);
    for (by, command) in [
        ("/usr/bin/setpriv --ruid=1000 --clear-groups", "plugin approve policy-does"),
        ("/usr/bin/setpriv --ruid=1000 --clear-groups", "policy test /etc/shadow"),
        ("/usr/bin/setpriv --ruid=1000 --clear-groups", "--sysroot /sysroot cmd list"),
        ("env SUDO_UID=0 DOAS_USER=lab", "plugin approve policy-does"),
        ("env SUDO_UID=0 DOAS_USER=lab", "policy test /etc/shadow"),
    ] {
        let output = enter().sh(&format!("{by} bootc-image {command}")).exits(77);
        assert!(output.stderr.contains("is not allowed for a caller who became root"), "{output:#?}");
    }
    assert!(!world.outside("/etc/bootc-image/grants.d").exists());
}

/// The report as it was given: an index is allowed by digest, and its image for another machine takes the name of a bound one.
#[test]
fn what_a_name_means_includes_the_instance() {
    let world = World::new();
    let index = world.facts().multi.digest.clone();
    let name = "127.0.0.1:5000/lab/multi:1";
    let allow = format!(
        "[settings.registry-policy]\ndefault = \"deny\"\n[[settings.registry-policy.rule]]\neffect = \"allow\"\n\
         digest = [\"{index}\"]\n"
    );
    let enter = || ship_in_image(world.enter().registry(true), "registry-policy");
    let pull = |arguments: &str, configuration: &str| {
        let enter = enter().file("/usr/lib/bootc-image/config.d/50-test.toml", configuration);
        enter.sh(&format!("bootc-image cmd pull --quiet {arguments} {name}"))
    };
    pull("", &allow).ok();
    let own = oracle::podman_inspect(&world, Store::Bootc, name);
    let of_index: Value = oracle::skopeo_manifest(&world, &format!("docker://{name}"));
    let instance = |architecture: &str| {
        let mut all = of_index["manifests"].as_array().unwrap().iter();
        all.find(|entry| entry["platform"]["architecture"] == architecture).unwrap()["digest"].clone()
    };
    let last = |world: &World| world.record().pop().unwrap();
    let intent = world.record().into_iter().rfind(|line| line["event"] == "intent").unwrap();
    let image = &intent["canonical"]["operation"]["images"][0];
    assert_eq!(image["instance"], instance(own["Architecture"].as_str().unwrap()));
    // The digest of an index doesn't allow what another machine takes from it.
    let other = if own["Architecture"] == "amd64" { "arm64" } else { "amd64" };
    for option in [format!("--arch={other}"), format!("--platform=linux/{other}")] {
        let output = pull(&option, &allow).exits(77);
        assert!(output.stderr.contains("registry-policy"), "{output:#?}");
        let image = last(&world)["canonical"]["operation"]["images"][0].clone();
        assert_eq!(image["instance"], instance(other));
    }
    assert_eq!(oracle::podman_inspect(&world, Store::Bootc, name)["Id"], own["Id"]);
    // Where nothing else forbids it, a name that is needed doesn't get it either.
    let unit = format!("[Image]\nImage={name}\n");
    let bound = |command: &str| {
        let enter = world.enter().registry(true).file("/usr/share/containers/systemd/multi.image", &unit);
        enter.sh(&format!(
            "mount -t tmpfs none /usr/lib/bootc/bound-images.d
            ln -s /usr/share/containers/systemd/multi.image /usr/lib/bootc/bound-images.d/multi.image
            bootc-image cmd pull --quiet {command}"
        ))
    };
    let output = bound(&format!("--arch={other} {name}")).exits(77);
    assert!(
        output.stderr.contains(&format!(
            "cannot be given to the image for {other}, which is not the one for this host"
        )),
        "{output:#?}"
    );
    bound(name).ok();
    assert_eq!(oracle::podman_inspect(&world, Store::Bootc, name)["Id"], own["Id"]);
    // What nobody needs may be fetched for others.
    world.enter().registry(true).sh(&format!("bootc-image cmd pull --quiet --arch={other} {name}")).ok();
    assert_ne!(oracle::podman_inspect(&world, Store::Bootc, name)["Id"], own["Id"]);
}
