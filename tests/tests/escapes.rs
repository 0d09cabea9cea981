//! What a caller can try with `cmd` to leave bootc's store, to have a file written or read, or to be connected to something
//! else. Each attempt runs against the real podman: either it is refused with 77 and nothing was started, contacted or
//! changed, or what it tries has no effect. And each mechanism that holds is switched off once, to show that it is what
//! holds: see tests/mutants.

mod harms;

use std::collections::BTreeSet;

use bootc_image_grammar::{GLOBAL, Kind, TABLES};
use bootc_image_tests::oracle::Store;
use bootc_image_tests::world::Enter;
use bootc_image_tests::{World, programs};
use harms::HARMS;

/// Runs one attempt under strace: prints its exit code, how many programs were started beside it, how many connections were
/// tried, and its last line on stderr.
const TRY: &str = r#"
try() {
    code=0
    strace -f -qq -e trace=execve,execveat,connect -o /run/trace "$@" >/run/out 2>/run/err </dev/null || code=$?
    started=$(grep -c 'execve.* = 0$' /run/trace || true)
    connected=$(grep -c 'connect(.*AF_INET' /run/trace || true)
    printf '%s %s %s %s\n' "$code" "$((started - 1))" "$connected" "$(tail -n 1 /run/err)"
}
# All that there is, with the time of its last change, but for what is recorded and what this test itself writes.
snapshot() {
    find / /var /sysroot /tmp /run -xdev \( -path '/var/lib/bootc-image/audit' -o -path /run/trace -o -path /run/out \
        -o -path /run/err -o -path '/run/before' -o -path /run/lab \) -prune -o ! -path /run -printf '%p %y %s %T@ %l\n' | sort
}
"#;

/// An image that could be pulled.
fn image(world: &World) -> String {
    format!("127.0.0.1:5000/lab/app@{}", world.facts().app1.digest)
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Runs attempts, each the words after `bootc-image cmd`; in front of them may stand `NAME=VALUE` words for the environment.
fn all_refused<S: AsRef<str>>(mechanism: &str, attempts: &[Vec<S>]) {
    let world = World::new();
    let mut script = format!("{TRY}snapshot >/run/before\n");
    for attempt in attempts {
        let words: Vec<&str> = attempt.iter().map(AsRef::as_ref).collect();
        let variables = words.iter().take_while(|word| word.starts_with("env:")).count();
        let (variables, words) = words.split_at(variables);
        let variables: String = variables.iter().map(|word| quoted(&word[4..]) + " ").collect();
        let words: String =
            words.iter().map(|word| quoted(&word.replace("IMAGE", &image(&world))) + " ").collect();
        script += &format!("try env {variables}bootc-image {words}\n");
    }
    script += "snapshot | diff /run/before - >&2 || { echo 'something changed' >&2; exit 1; }\n";
    let output = world.enter().registry(true).sh(&script).ok();
    let lines = output.lines();
    assert_eq!(lines.len(), attempts.len(), "{output:#?}");
    for (attempt, line) in attempts.iter().zip(lines) {
        let attempt: Vec<&str> = attempt.iter().map(AsRef::as_ref).collect();
        // The one program beside strace's own is ours, which `env` becomes.
        let refused = line.starts_with("77 1 0 bootc-image: denied: ");
        assert!(refused, "{mechanism}: {attempt:?}: {line}");
    }
    let denied = world.record().iter().filter(|line| line["event"] == "denied").count();
    assert_eq!(denied, attempts.len(), "{mechanism}: every refusal is recorded");
}

fn attempts(lines: &[&str]) -> Vec<Vec<String>> {
    lines.iter().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

/// `bootc-image cmd` and each of these.
fn cmd(lines: &[&str]) -> Vec<Vec<String>> {
    attempts(
        &lines
            .iter()
            .map(|line| format!("cmd {line}"))
            .collect::<Vec<_>>()
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    )
}

#[test]
fn options_of_podman_itself_are_refused() {
    let subcommands = ["list", "pull IMAGE", "push localhost/app:stable", "build /tmp"];
    let mut tried = Vec::new();
    for (number, option) in GLOBAL.iter().enumerate() {
        if ["help", "runtime-flag", "hooks-dir"].contains(option) {
            continue;
        }
        let subcommand = subcommands[number % subcommands.len()];
        let form =
            if number % 2 == 0 { format!("--{option}=/var/tmp/x") } else { format!("--{option} /var/tmp/x") };
        tried.push(format!("{subcommand} {form}"));
    }
    tried.push("list -c x".to_owned());
    tried.push("list -H tcp://127.0.0.1:5000".to_owned());
    tried.push("list -r".to_owned());
    all_refused("global options", &cmd(&tried.iter().map(String::as_str).collect::<Vec<_>>()));
}

#[test]
fn options_that_no_table_lists_are_refused() {
    all_refused(
        "unknown options",
        &cmd(&[
            "list --al",
            "list --remote",
            "list --url=tcp://127.0.0.1:5000",
            "pull --connection=x IMAGE",
            "list --identity=/etc/shadow",
            "list --config=/var/tmp/x",
            "list ---all",
            "list -x",
            "list -ax",
            "list --ALL",
            "list --all-tags",
            "list --all=",
            "list --=x",
            "pull --policy=always IMAGE",
            "pull --digestfile=/var/tmp/x IMAGE",
            "pull -v IMAGE",
            "pull --blob-cache=/var/tmp/x IMAGE",
            "push --output=/var/tmp/x localhost/app:stable",
            "build --privileged /tmp",
            "build --mount=type=bind,src=/ /tmp",
            "build --env-host /tmp",
            "build --no-such-option /tmp",
        ]),
    );
}

/// Every option in the tables that names a file, a secret or something of the machine, in each of its forms.
#[test]
fn options_that_reach_for_files_secrets_or_the_machine_are_refused() {
    let mut tried = Vec::new();
    let claimed = ["build", "list", "pull", "push"];
    for table in TABLES.iter().filter(|table| claimed.contains(&table.subcommand)) {
        let operand = match table.subcommand {
            "build" => "/tmp",
            "push" => "localhost/app:stable",
            _ => "IMAGE",
        };
        for flag in table.flags {
            let reaches =
                [Kind::PathRead, Kind::PathWrite, Kind::Secret, Kind::SecretFile, Kind::HostResource];
            if !reaches.contains(&flag.kind) {
                continue;
            }
            let mut forms = vec![format!("--{}=/var/tmp/x", flag.name)];
            forms.extend(flag.alias.map(|alias| format!("--{alias}=/var/tmp/x")));
            if let Some(letter) = flag.short {
                forms.extend([
                    format!("-{letter} /var/tmp/x"),
                    format!("-{letter}=/var/tmp/x"),
                    format!("-{letter}/var/tmp/x"),
                ]);
                forms.push(format!("-q{letter} /var/tmp/x"));
            }
            tried.extend(forms.iter().map(|form| format!("{} {form} {operand}", table.subcommand)));
        }
    }
    tried.push("build -v /:/host:rw /tmp".to_owned());
    tried.push("build /tmp --output type=local,dest=/var/tmp/x".to_owned());
    tried.push("push localhost/app:stable --digestfile /etc/passwd".to_owned());
    assert!(tried.len() > 60, "{}", tried.len());
    all_refused("kinds", &cmd(&tried.iter().map(String::as_str).collect::<Vec<_>>()));
}

const TRANSPORTS: [&str; 14] = [
    "dir:/var/tmp/x",
    "oci:/var/tmp/x",
    "oci:/var/tmp/x:tag",
    "oci-archive:/var/tmp/x",
    "docker-archive:/var/tmp/x",
    "docker-daemon:a:1",
    "containers-storage:localhost/a",
    "containers-storage:[overlay@/var/tmp/o+/var/tmp/r]localhost/a",
    "ostree:a@/var/tmp/x",
    "tarball:/var/tmp/x",
    "sif:/var/tmp/x",
    "atomic:quay.io/a",
    "oci:5000/x",
    "docker://dir:/var/tmp/x",
];

#[test]
fn transports_are_refused_in_operands() {
    let forms = ["pull", "push localhost/app:stable", "pull IMAGE", "list"];
    let tried: Vec<String> = forms
        .iter()
        .flat_map(|form| TRANSPORTS.iter().map(move |transport| format!("{form} {transport}")))
        .chain(
            ["push dir:/var/tmp/x", "push containers-storage:localhost/a 127.0.0.1:5000/a"]
                .map(str::to_owned),
        )
        .collect();
    all_refused("transports", &cmd(&tried.iter().map(String::as_str).collect::<Vec<_>>()));
}

#[test]
fn transports_are_refused_in_options() {
    let options = ["-t", "--from", "--manifest", "--cache-from", "--cache-to"];
    let tried: Vec<String> = options
        .iter()
        .flat_map(|option| {
            TRANSPORTS[..4].iter().map(move |transport| format!("build {option} {transport} /tmp"))
        })
        .collect();
    all_refused("transports in options", &cmd(&tried.iter().map(String::as_str).collect::<Vec<_>>()));
}

/// podman looks up what some conditions name, in whichever storage that is.
#[test]
fn conditions_lead_to_no_other_storage() {
    let keys =
        ["since", "before", "after", "reference", "since!", "label=a,since", "SINCE", "manifest=x,before"];
    let tried: Vec<String> = keys
        .iter()
        .flat_map(|key| {
            TRANSPORTS[..7].iter().map(move |transport| format!("list --filter {key}={transport}"))
        })
        .chain(
            [
                "list -f since=dir:/var/tmp/x",
                "list -qf=since=dir:/var/tmp/x",
                "list --filter since",
                "list --filter x=y",
            ]
            .map(str::to_owned),
        )
        .collect();
    all_refused("conditions", &cmd(&tried.iter().map(String::as_str).collect::<Vec<_>>()));
}

#[test]
fn names_that_arent_full_names_arent_fetched() {
    all_refused(
        "references",
        &cmd(&[
            "pull fedora",
            "pull library/fedora:42",
            "pull a@sha256:0000",
            "pull QUAY.io/A",
            "pull quay.io/a:..",
            "pull /etc/passwd",
            "pull ./x",
            "pull ../x",
            "pull quay.io/../a",
            "pull user:secret@quay.io/a",
            "pull quay.io/a?x=y",
            "pull quay.io/a#x",
            "pull https://quay.io/a",
            "pull http://127.0.0.1:5000/lab/app:1",
            "pull docker:quay.io/a",
            "pull quay.io:x/a",
            "pull quay.io:999999/a",
            "pull 127.0.0.1:05000/lab/app:3",
            "pull localhost/app:stable",
            "push localhost/app:stable localhost/other",
            "push localhost/app:stable pushed",
            "push localhost/app:stable https://127.0.0.1:5000/a",
            "pull --all-tags 127.0.0.1:5000/lab/app",
            "pull -a IMAGE",
        ]),
    );
}

#[test]
fn operands_that_look_like_options_or_hide_something_are_refused() {
    let many: Vec<String> =
        ["cmd", "pull"].into_iter().chain(std::iter::repeat_n("IMAGE", 300)).map(str::to_owned).collect();
    let words = |words: &[&str]| -> Vec<String> { words.iter().map(|&word| word.to_owned()).collect() };
    let long = "a".repeat(5000);
    all_refused(
        "text",
        &[
            words(&["cmd", "list", "--", "--root=/var/tmp/x"]),
            words(&["cmd", "pull", "--", "--authfile=/etc/shadow", "IMAGE"]),
            words(&["cmd", "pull", "IMAGE", "--", "--quiet"]),
            words(&["cmd", "push", "--", "-q", "127.0.0.1:5000/a"]),
            words(&["cmd", "build", "-"]),
            words(&["cmd", "build", "--", "-"]),
            words(&["cmd", "pull", ""]),
            words(&["cmd", "list", "a\nb"]),
            words(&["cmd", "list", "a\u{1b}[2Jb"]),
            words(&["cmd", "list", "--filter", "a\u{7f}"]),
            words(&["cmd", "list", "--format", "a\tb"]),
            words(&["cmd", "list", &long]),
            words(&["cmd", "pull"]),
            words(&["cmd", "list", "a", "b"]),
            words(&["cmd", "push", "a", "quay.io/b", "quay.io/c"]),
            many,
        ],
    );
}

#[test]
fn what_no_plugin_claims_is_refused_whatever_it_is_called() {
    let words = |word: &str| -> Vec<String> { ["cmd", word, "x"].map(str::to_owned).to_vec() };
    let names = [
        "mount",
        "unmount",
        "umount",
        "rm",
        "rmi",
        "prune",
        "scp",
        "import",
        "save",
        "load",
        "sign",
        "trust",
        "inspect",
        "history",
        "exists",
        "images",
        "ls",
        "buildx",
        "LIST",
        "List",
        "list ",
        " list",
        "../list",
        "list\n",
        "",
        "image",
        "podman",
        "trust set",
    ];
    all_refused("claims", &names.map(words));
}

#[test]
fn a_caller_who_is_root_for_another_stays_here_and_builds_nothing() {
    let mut tried = Vec::new();
    for by in ["SUDO_UID=1000", "PKEXEC_UID=1000", "DOAS_USER=nobody", "SUDO_UID=nonsense"] {
        for what in [
            "--sysroot /sysroot cmd list",
            "--sysroot=/ cmd pull IMAGE",
            "cmd build /tmp",
            "cmd pull --tls-verify=false IMAGE",
            "--sysroot /root/nowhere cmd list",
            "--sysroot /etc/passwd copy-to-storage",
            "cmd build -f /etc/shadow /tmp",
        ] {
            tried.push(format!("env:{by} {what}"));
        }
    }
    all_refused("sudo", &attempts(&tried.iter().map(String::as_str).collect::<Vec<_>>()));
}

#[test]
fn what_is_built_is_here() {
    all_refused(
        "build contexts",
        &cmd(&[
            "build http://127.0.0.1:5000/context.tar",
            "build https://127.0.0.1:5000/context.tar.gz",
            "build git://127.0.0.1/a",
            "build git@127.0.0.1:a/b",
            "build github.com/a/b",
            "build ssh://git@127.0.0.1/a",
            "build -f http://127.0.0.1:5000/Containerfile /tmp",
            "build -f https://127.0.0.1:5000/Containerfile /tmp",
            "build --ignorefile=http://127.0.0.1:5000/x /tmp",
            "build --from fedora /tmp",
            "build --cache-from fedora /tmp",
            "build --cache-to fedora /tmp",
            "build --sbom-scanner-image fedora /tmp",
            "build --build-context a=docker://127.0.0.1:5000/lab/app:1 /tmp",
            "build --build-context a=/etc /tmp",
            "build --build-context=a=https://127.0.0.1:5000/x /tmp",
        ]),
    );
}

#[test]
fn names_of_files_cant_become_two() {
    let world = World::new();
    let script = format!(
        "{TRY}mkdir /tmp/context && cd /tmp/context && echo FROM scratch >Containerfile
        echo nonsense >'Containerfile,..,..,etc,passwd'
        echo nonsense >'a\"b'
        snapshot >/run/before
        try bootc-image cmd build -f 'Containerfile,..,..,etc,passwd' .
        try bootc-image cmd build -f 'a\"b' .
        mkdir \"$(printf 'new\\nline')\"
        snapshot >/run/before
        try bootc-image cmd build \"$(printf 'new\\nline')\"
        ln -s \"$(printf 'new\\nline')\" link
        snapshot >/run/before
        try bootc-image cmd build link
        snapshot | diff /run/before - >&2"
    );
    let output = world.enter().sh(&script).ok();
    for line in output.lines() {
        assert!(line.starts_with("77 0 0 bootc-image: denied: "), "{output:#?}");
    }
    assert_eq!(output.lines().len(), 4);
}

/// Files and programs in a directory that a caller prepares. Each program and each socket would leave a mark.
fn prepared(enter: Enter) -> Enter {
    let leave_mark = "#!/bin/sh\ntouch /var/mark\nexit 0\n";
    let other = "[storage]\ndriver = \"vfs\"\ngraphroot = \"/var/other\"\nrunroot = \"/var/other-run\"\n";
    let containers = "[engine]\nevents_logger = \"file\"\nevents_logfile_path = \"/var/mark\"\n";
    let registries = "unqualified-search-registries = [\"127.0.0.1:5000\"]\n[[registry]]\nlocation = \"127.0.0.1:5000\"\nblocked = true\n";
    let mut enter = enter;
    for program in [
        "podman",
        "skopeo",
        "crun",
        "runc",
        "conmon",
        "fuse-overlayfs",
        "newuidmap",
        "bootc-image-helper",
        "sh",
    ] {
        enter = enter.file_with_mode(&format!("/tmp/evil/{program}"), leave_mark, 0o755);
    }
    let policy = r#"{"default":[{"type":"reject"}]}"#;
    for directory in ["/tmp/evil/.config/containers", "/tmp/evil/containers", "/tmp/evil/etc/containers"] {
        enter = enter
            .file(&format!("{directory}/storage.conf"), other)
            .file(&format!("{directory}/containers.conf"), containers)
            .file(&format!("{directory}/registries.conf"), registries)
            .file(&format!("{directory}/policy.json"), policy)
            .file(&format!("{directory}/auth.json"), "nonsense");
    }
    enter
        .file("/tmp/evil/.docker/config.json", "nonsense")
        .file("/tmp/evil/config.json", "nonsense")
        .file("/tmp/evil/storage.conf", other)
        .file("/tmp/evil/containers.conf", containers)
        .file("/tmp/evil/registries.conf", registries)
        .file("/tmp/evil/auth.json", "nonsense")
}

/// What an unhindered run prints, and then what each of these prints, with what was left behind.
fn without_effect(setups: &[String]) {
    for command in ["list --no-trunc".to_owned(), "pull --quiet IMAGE".to_owned()] {
        let world = World::new();
        let command = command.replace("IMAGE", &image(&world));
        let enter = prepared(world.enter().registry(true));
        let mut script = format!("/usr/bin/bootc-image cmd {command} >/run/expected\n");
        for setup in setups {
            script += &format!(
                "( {setup}
                /usr/bin/bootc-image cmd {command} >/run/out 2>/run/err ) || {{ cat /run/err; echo 'failed: {quoted}' >&2; exit 1; }}
                cmp /run/out /run/expected || {{ echo 'other output: {quoted}' >&2; exit 1; }}
                for mark in mark other other-run; do [ ! -e /var/$mark ] || {{ echo \"$mark left: {quoted}\" >&2; exit 1; }}; done\n",
                quoted = setup.replace(['\'', '"', '$'], "_"),
            );
        }
        enter.sh(&script).ok();
    }
}

#[test]
fn the_callers_environment_has_no_effect() {
    let file = |name: &str| format!("/tmp/evil/{name}");
    let variables = [
        ("CONTAINERS_CONF", file("containers.conf")),
        ("CONTAINERS_CONF_OVERRIDE", file("containers.conf")),
        ("CONTAINERS_STORAGE_CONF", file("storage.conf")),
        ("CONTAINERS_REGISTRIES_CONF", file("registries.conf")),
        ("CONTAINERS_REGISTRIES_CONF_DIR", "/tmp/evil".to_owned()),
        ("REGISTRIES_CONFIG_PATH", file("registries.conf")),
        ("CONTAINERS_POLICY_JSON", file("containers/policy.json")),
        ("CONTAINER_HOST", "unix:///tmp/evil/socket".to_owned()),
        ("CONTAINER_SSHKEY", file("auth.json")),
        ("CONTAINER_CONNECTION", "evil".to_owned()),
        ("DOCKER_HOST", "unix:///tmp/evil/socket".to_owned()),
        ("DOCKER_CONFIG", "/tmp/evil".to_owned()),
        ("REGISTRY_AUTH_FILE", file("auth.json")),
        ("STORAGE_DRIVER", "vfs".to_owned()),
        ("STORAGE_OPTS", "additionalimagestore=/tmp/evil".to_owned()),
        ("BUILDAH_ISOLATION", "chroot".to_owned()),
        ("XDG_CONFIG_HOME", "/tmp/evil".to_owned()),
        ("XDG_DATA_HOME", "/tmp/evil".to_owned()),
        ("XDG_RUNTIME_DIR", "/tmp/evil".to_owned()),
        ("TMPDIR", "/nowhere".to_owned()),
        ("LD_PRELOAD", "/tmp/evil/sh".to_owned()),
        ("LD_LIBRARY_PATH", "/tmp/evil".to_owned()),
        ("GODEBUG", "inittrace=1".to_owned()),
        ("GOTRACEBACK", "crash".to_owned()),
        ("SSL_CERT_FILE", file("auth.json")),
        ("SSL_CERT_DIR", "/tmp/evil".to_owned()),
        ("_CONTAINERS_USERNS_CONFIGURED", "done".to_owned()),
        ("PODMAN_CONNECTIONS_CONF", file("auth.json")),
        ("NOTIFY_SOCKET", "/tmp/evil/socket".to_owned()),
        ("LISTEN_FDS", "3".to_owned()),
        ("LANG", "tr_TR.UTF-8".to_owned()),
    ];
    without_effect(&variables.map(|(name, value)| format!("export {name}='{value}'")));
}

#[test]
fn the_callers_path_home_directory_and_descriptors_have_no_effect() {
    without_effect(&[
        "export PATH=/tmp/evil".to_owned(),
        "export PATH=/tmp/evil:/usr/bin HOME=/tmp/evil".to_owned(),
        "export PATH=".to_owned(),
        "unset PATH HOME".to_owned(),
        "export HOME=/tmp/evil".to_owned(),
        "export HOME=relative".to_owned(),
        "cd /tmp/evil".to_owned(),
        "mkdir /tmp/gone; cd /tmp/gone; rmdir /tmp/gone".to_owned(),
        "exec 3>/var/tmp/fd3".to_owned(),
        "exec 4</etc/passwd 5>/var/tmp/fd5".to_owned(),
        "umask 0777".to_owned(),
        "umask 0".to_owned(),
        "trap '' TERM INT CHLD".to_owned(),
        "ulimit -c unlimited".to_owned(),
    ]);
}

/// What would be read or written through a link that somebody has laid.
#[test]
fn links_lead_nowhere() {
    for (link, expected) in [
        (
            "rm -rf /run/bootc-image; mkdir -p /run/bootc-image; ln -s /tmp/evil /run/bootc-image/home",
            "must be an empty directory",
        ),
        ("mkdir -p /run/bootc-image/home; touch /run/bootc-image/home/.config", "must be an empty directory"),
        ("mkdir -p /run/bootc-image/home; chmod 777 /run/bootc-image/home", "must be an empty directory"),
        (
            "mv /sysroot/ostree/bootc/storage /var/tmp/storage; ln -s /var/tmp/storage /sysroot/ostree/bootc/storage",
            "Bootc storage not available",
        ),
        (
            "ln -sfn ../../../etc /sysroot/ostree/bootc/storage.tmp; rm -rf /sysroot/ostree/bootc/storage; ln -s ../../../../etc /sysroot/ostree/bootc/storage",
            "Bootc storage not available",
        ),
    ] {
        let world = World::new();
        let output = prepared(world.enter()).sh(&format!("{link}; bootc-image cmd list")).exits(1);
        assert!(output.stderr.contains(expected), "{link}: {output:#?}");
        assert!(output.stdout.is_empty() && !world.outside("/var/mark").exists());
    }
}

/// Every mechanism is what holds: with its check off, an attempt from above does its harm.
#[test]
fn without_its_check_each_attempt_succeeds() {
    let checks: BTreeSet<&str> = HARMS.iter().map(|(check, ..)| *check).collect();
    assert!(checks.len() >= 12, "{checks:?}");
    let program = programs::mutated("bootc-image-with");
    for (check, words, harm) in HARMS {
        let run = |variable: &str| {
            let world = World::new();
            let real = programs::machine().join("usr/bin/podman");
            let words = words.replace("IMAGE", &image(&world));
            let prepare = match *check {
                "delegation" => "export SUDO_UID=1000",
                "search" => "export PATH=/tmp/evil:$PATH",
                "environment" => "export CONTAINERS_STORAGE_CONF=/tmp/evil/storage.conf STORAGE_DRIVER=vfs",
                "descriptors" => "exec 9</etc/passwd",
                "directory" => "cd /tmp/context",
                _ => "",
            };
            // Where podman looks around before it starts, for what it can't be made to tell.
            let looking = "#!/bin/sh\nreadlink /proc/self/fd/9 >/run/descriptors\npwd >/run/directory\nexec /usr/libexec/podman-itself \"$@\"\n";
            let mut enter = prepared(world.enter().registry(true)).program(&program, "/usr/bin/bootc-image");
            if ["descriptors", "directory"].contains(check) {
                enter = enter.program(&real, "/usr/libexec/podman-itself").file_with_mode(
                    "/usr/bin/podman",
                    looking,
                    0o755,
                );
            }
            let script = format!(
                "{shell}mkdir -p /tmp/context; cd /tmp/context; echo FROM scratch >Containerfile; echo nonsense >Other; cp Other Containerfile,Other; cd /tmp
                {prepare}
                code=0
                bootc-image {words} >/run/out 2>/run/err || code=$?
                export PATH=/usr/bin; unset SUDO_UID CONTAINERS_STORAGE_CONF STORAGE_DRIVER BOOTC_IMAGE_WITHOUT
                cat /run/err >&2; echo $code >&2
                if {harm}; then echo harm; else echo none; fi",
                shell = Store::Bootc.shell(),
            );
            // This one claims `list`, and plans a build.
            let plugins = if *check == "claims" { "command-unclaimed" } else { "builtin" };
            let enter = enter.env("BOOTC_IMAGE_TEST_PLUGINS", plugins).env("BOOTC_IMAGE_WITHOUT", variable);
            enter.sh(&script).ok()
        };
        let (held, weakened) = (run("nothing"), run(check));
        assert_eq!(
            (held.stdout.as_str(), weakened.stdout.as_str()),
            ("none\n", "harm\n"),
            "{check}: {words}: {held:#?} {weakened:#?}"
        );
    }
}

/// What the caller's resource limits could cut off.
#[test]
fn the_callers_limits_hide_nothing_from_the_record() {
    for limit in ["ulimit -Sf 0", "ulimit -Sn 20", "ulimit -Sv 100000", "ulimit -Sd 1000"] {
        let world = World::new();
        let output = world.enter().sh(&format!("{limit}; bootc-image cmd mount x")).exits(77);
        assert!(output.stderr.contains("no enabled plugin provides `cmd mount`"), "{limit}: {output:#?}");
        assert_eq!(world.record().len(), 1, "{limit}");
        world.enter().sh(&format!("{limit}; bootc-image cmd list --quiet")).ok();
        assert_eq!(world.record().len(), 3, "{limit}");
    }
    // A hard limit is lifted where root may do that, and is an error elsewhere: nothing runs without its record.
    let world = World::new();
    let output = world.enter().sh("ulimit -f 0; bootc-image copy-to-storage 2>&1 | cat");
    let lifted = output.stdout.contains("Copied: ");
    let refused = output.stdout.contains("nothing was run because the audit record cannot be written");
    assert!(lifted != refused && world.record().len() == if lifted { 2 } else { 0 }, "{output:#?}");
}

/// What reaches podman of them: see host/cli/src/limits.rs.
#[test]
fn the_callers_limits_dont_reach_podman() {
    let world = World::new();
    let given = "--fsize=4096: --cpu=100: --data=1000000000: --as=1000000000: --stack=1000000: --nofile=100: --sigpending=10:";
    let spy = "#!/bin/sh\nexec cat /proc/self/limits\n";
    let soft = |limits: &str, name: &str| -> u64 {
        let line = limits.lines().find_map(|line| line.strip_prefix(name));
        let limit = line.and_then(|line| line.split_whitespace().next()).unwrap();
        if limit == "unlimited" { u64::MAX } else { limit.parse().unwrap() }
    };
    let enter = world.enter().file_with_mode("/usr/bin/podman", spy, 0o755);
    let limits = enter.sh(&format!("/usr/bin/prlimit {given} bootc-image cmd list")).ok().stdout;
    for (name, least) in [
        ("Max file size", u64::MAX),
        ("Max cpu time", u64::MAX),
        ("Max data size", u64::MAX),
        ("Max address space", u64::MAX),
        ("Max stack size", 8 << 20),
        ("Max open files", 1024),
        ("Max pending signals", 64),
    ] {
        assert!(soft(&limits, name) >= least, "{name}: {limits}");
    }
}

/// Root's credentials go to the registry, whatever proxy a caller has set who is root on another's behalf.
#[test]
fn a_delegated_caller_chooses_no_proxy() {
    let world = World::new();
    let proxies = ["HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"];
    // The registry is looked at with the one, and pulled from with the other.
    for (child, command) in [("skopeo", "pull 127.0.0.1:5000/lab/app:3"), ("podman", "list")] {
        let passed = |enter: Enter| {
            let spy = "#!/bin/sh\ntr '\\0' '\\n' </proc/self/environ >/tmp/environment\nexit 1\n";
            let enter = enter.file_with_mode(&format!("/usr/bin/{child}"), spy, 0o755);
            let enter = proxies.iter().fold(enter, |enter, name| enter.env(name, "spied"));
            let names = "sed -n 's/=spied$//p' /tmp/environment | sort";
            enter.sh(&format!("bootc-image cmd {command} >&2 || true; {names}")).ok().stdout
        };
        assert_eq!(passed(world.enter()).lines().collect::<Vec<_>>(), proxies, "{child}");
        assert_eq!(passed(world.enter().env("SUDO_UID", "1000")), "", "{child}");
    }
}

/// Asking a registry sends root's credentials there: that it failed is on record.
#[test]
fn a_look_up_that_fails_is_on_record() {
    let world = World::new();
    let output = world
        .enter()
        .registry(true)
        .run(&["bootc-image", "cmd", "pull", "127.0.0.1:5000/lab/none:1"])
        .exits(1);
    assert!(
        output.stderr.contains("cannot resolve 127.0.0.1:5000/lab/none:1 in its registry"),
        "{output:#?}"
    );
    let record = world.record();
    assert_eq!((record.len(), &record[0]["event"]), (1, &"resolved".into()));
}
