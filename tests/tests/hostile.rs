//! The matrix of `tests/hostile/MATRIX.md`: every guest is held by the program as users get it, and breaks one in which the
//! mechanism of its row is off. See tests/mutants.

mod plugins;

use std::sync::LazyLock;

use bootc_image_test_guests as guests;
use bootc_image_tests::hostile::Ending;
use bootc_image_tests::world::Enter;
use bootc_image_tests::{World, programs};
use plugins::native::{CONFIG, Extension};
use plugins::{IMAGE, INSTALLED, SITE, grant, install, install_in_image, ship_in_image};
use sha2::{Digest as _, Sha256};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

struct Row {
    /// The check that keeps the guest from it; empty if it is wasmtime's own.
    mechanism: &'static str,
    guest: &'static str,
    test: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/hostile.rs"));

// A row without a test of its name doesn't compile.
macro_rules! has_a_test {
    ($test:ident) => {
        #[allow(unused_imports)]
        use self::$test as _;
    };
}
for_each_row!(has_a_test);

/// How long a policy may take in all, in ms; a formatter has five times as long, and waits for nothing here.
const WALL_TIME: u64 = 2000;
/// What the host may need more with a hostile guest than with an idle one.
const ROOM: u64 = 32 << 10;

const SETTINGS: &str = "/usr/lib/bootc-image/config.d/50-test.toml";
const GRANTS: &str = "/usr/lib/bootc-image/grants.d";
const CACHE: &str = "/var/cache/bootc-image";

/// How a host shows that it is broken.
#[derive(Debug, Clone, Copy)]
enum Harm {
    /// What must be refused would run.
    Runs,
    /// It has to be killed.
    Endless,
    /// It dies.
    Dies,
    /// It takes more memory than there is for it.
    Memory,
    /// It prints what a terminal obeys.
    Escapes,
    /// This is in its output.
    Says(&'static str),
}

impl Harm {
    fn came_of(self, ending: &Ending, most: u64) -> bool {
        match self {
            Self::Runs => ending.code == Some(0),
            Self::Endless => ending.killed,
            Self::Dies => ending.signal.is_some() && !ending.killed,
            Self::Memory => ending.peak_kib > most,
            Self::Escapes => obeyed(&ending.output),
            Self::Says(text) => ending.output.contains(text),
        }
    }
}

/// Whether a terminal would do anything but show this, or show it in another order.
fn obeyed(text: &str) -> bool {
    text.chars().any(|c| {
        (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

/// A guest in a world, and what is done with it.
struct Attack {
    row: &'static Row,
    /// Sets the world up.
    set_up: Box<dyn Fn(Enter) -> Enter>,
    /// Runs before the commands are measured, with everything compiled.
    script: String,
    command: &'static str,
    /// What starts the program, if it is neither shell nor administrator.
    started_by: &'static str,
    /// How a refusal ends.
    refused: i32,
    /// Whether it runs in the test build alone, with everything on.
    in_test_build: bool,
    /// What the guest may have, in KiB and ms.
    ceiling: u64,
    guest_time: u64,
}

/// The attack of the test in which it stands: the row says with which guest.
macro_rules! attack {
    () => {{
        fn here() {}
        let name = std::any::type_name_of_val(&here);
        let test = name.rsplit("::").nth(1).unwrap();
        Attack::of(ROWS.iter().find(|row| row.test == test).unwrap())
    }};
}

impl Attack {
    /// A policy of the OS image that is asked about a copy.
    fn of(row: &'static Row) -> Self {
        Self {
            row,
            set_up: Box::new(move |enter| in_image(enter, row.guest)),
            script: String::new(),
            command: "--dry-run copy-to-storage",
            started_by: "",
            refused: 77,
            in_test_build: false,
            ceiling: 64 << 10,
            guest_time: 250,
        }
    }

    /// A native policy that was approved and enabled: the guest, compiled with the name of the test defined.
    fn native(self) -> Self {
        let test = self.row.test;
        self.prepared(move |enter| library(&test.to_uppercase()).enabled(enter, PATIENT))
    }

    /// As [`Attack::native`], for a guest that doesn't end by itself.
    fn native_without_end(self) -> Self {
        let test = self.row.test;
        self.prepared(move |enter| library(&test.to_uppercase()).enabled(enter, HURRIED))
    }

    /// More memory than others, in MiB: that of the process of native code is counted as well.
    fn with_memory(self, mib: u64) -> Self {
        Self { ceiling: mib << 10, ..self }
    }

    /// The plugin's setting `do`.
    fn does(self, what: &'static str) -> Self {
        self.with(move |enter| enter.file(SETTINGS, format!("settings.policy-does.do = {what:?}\n")))
    }

    fn with(self, more: impl Fn(Enter) -> Enter + 'static) -> Self {
        let set_up = self.set_up;
        Self { set_up: Box::new(move |enter| more(set_up(enter))), ..self }
    }

    /// Another beginning than the guest in the OS image.
    fn prepared(self, set_up: impl Fn(Enter) -> Enter + 'static) -> Self {
        Self { set_up: Box::new(set_up), ..self }
    }

    fn after(self, script: impl Into<String>) -> Self {
        Self { script: script.into(), ..self }
    }

    /// A caller who starts the program in an unusual way.
    fn started_by(self, started_by: &'static str) -> Self {
        Self { started_by, ..self }
    }

    /// The program as users get it is too fast for this guest: a component that took long enough there would be too large.
    fn in_test_build(self) -> Self {
        Self { in_test_build: true, ..self }
    }

    /// A plugin that plans `cmd list`, and can't be used. The program as users get it has a plugin for that already.
    fn command(self, refused: i32) -> Self {
        Self { command: "--dry-run cmd list", refused, in_test_build: true, ..self }
    }

    fn command_line(self, command: &'static str) -> Self {
        Self { command, ..self }
    }

    /// A plugin that formats a list, with its setting `do`; it is stopped within the list.
    fn formats(self, what: &'static str) -> Self {
        let attack =
            self.with(move |enter| enter.file(SETTINGS, format!("settings.format-does.do = {what:?}\n")));
        Self { command: LIST, refused: 79, ceiling: 128 << 10, guest_time: 2000, ..attack }
    }

    /// It is refused for this reason, and harm comes of it where the mechanism is off.
    fn must_be_refused(self, reason: &str, harm: Harm) {
        let endings = self.endings();
        let idle = IDLE.as_slice();
        for (ending, idle) in endings[..2].iter().zip(idle) {
            self.held(ending, *idle);
            assert_eq!(ending.code, Some(self.refused), "{}: {ending:#?}", self.row.test);
            // On a busy machine it may not get so much processor time in the time that it has.
            let is_late = reason.starts_with("exceeded its processor time limit")
                && ending.output.contains("exceeded its time limit");
            assert!(is_late || ending.output.contains(reason), "{}: {ending:#?}", self.row.test);
            assert!(!harm.came_of(ending, *idle + self.ceiling + ROOM), "{}: {ending:#?}", self.row.test);
        }
        self.breaks(&endings[2], harm, idle[1]);
    }

    /// It does no harm but where the mechanism is off.
    fn must_do_no_harm(self, expected: &str, harm: Harm) {
        let endings = self.endings();
        for (ending, idle) in endings[..2].iter().zip(IDLE.as_slice()) {
            self.held(ending, *idle);
            assert!(ending.output.contains(expected), "{}: {ending:#?}", self.row.test);
            assert!(!harm.came_of(ending, *idle + self.ceiling + ROOM), "{}: {ending:#?}", self.row.test);
        }
        self.breaks(&endings[2], harm, IDLE[1]);
    }

    /// It is refused by wasmtime. A guest that does the same without the one wrong thing isn't.
    fn must_be_refused_by_wasmtime(self, reason: &str) {
        self.must_be_refused_unlike(reason, |enter| in_image(enter, "allows.wat"));
    }

    /// It is refused because of the process that it runs in. A library that does nothing wrong isn't.
    fn must_be_refused_by_its_process(self, reason: &str) {
        self.must_be_refused_unlike(reason, |enter| library("CONTROL").enabled(enter, ""));
    }

    fn must_be_refused_unlike(self, reason: &str, control: impl Fn(Enter) -> Enter + 'static) {
        assert!(self.row.mechanism.is_empty());
        for (ending, idle) in self.endings()[..2].iter().zip(IDLE.as_slice()) {
            self.held(ending, *idle);
            assert_eq!(ending.code, Some(self.refused), "{}: {ending:#?}", self.row.test);
            assert!(ending.output.contains(reason), "{}: {ending:#?}", self.row.test);
        }
        let control = Attack { set_up: Box::new(control), ..self };
        for ending in control.endings() {
            assert_eq!(ending.code, Some(0), "{ending:#?}");
        }
    }

    /// What its script left in the cache is told and not used. Without the script there is nothing to tell.
    fn must_be_compiled_anew(self) {
        let (told, reason) = ("compiling again", "nothing is allowed today");
        for (ending, idle) in self.endings()[..2].iter().zip(IDLE.as_slice()) {
            self.held(ending, *idle);
            assert_eq!(ending.code, Some(self.refused), "{}: {ending:#?}", self.row.test);
            assert!(ending.output.contains(told) && ending.output.contains(reason), "{ending:#?}");
        }
        for ending in self.after("").endings() {
            assert!(!ending.output.contains(told) && ending.output.contains(reason), "{ending:#?}");
        }
    }

    /// The host lives, in time, with little more memory than it may give away.
    fn held(&self, ending: &Ending, idle: u64) {
        assert!(!ending.killed && ending.signal.is_none(), "{}: {ending:#?}", self.row.test);
        let most = idle + self.ceiling + ROOM;
        assert!(ending.peak_kib < most, "{}: {} of {most} KiB: {ending:#?}", self.row.test, ending.peak_kib);
        assert!(!obeyed(&ending.output), "{}: {ending:#?}", self.row.test);
    }

    fn breaks(&self, ending: &Ending, harm: Harm, idle: u64) {
        assert!(
            harm.came_of(ending, idle + self.ceiling + ROOM),
            "{} without {}: no harm: {ending:#?}",
            self.row.test,
            self.row.mechanism
        );
    }

    /// Of the program as users get it, of the test build, and of that without the mechanism.
    fn endings(&self) -> Vec<Ending> {
        let world = World::new();
        let weakened = "/usr/bin/bootc-image-weakened";
        let program = if self.in_test_build { weakened } else { "bootc-image" };
        let plugins = if self.command == "--dry-run cmd list" { "" } else { "builtin" };
        let enter = (self.set_up)(world.enter())
            .program(&programs::mutated("bootc-image-with"), weakened)
            .program(
                &programs::mutated("bootc-image-native-with"),
                "/usr/libexec/bootc-image/bootc-image-native-with",
            )
            .program(&programs::ours("measured"), "/usr/bin/measured")
            .env("BOOTC_IMAGE_TEST_PLUGINS", plugins)
            .env("RUST_BACKTRACE", "0");
        let measured = format!("measured {} {} {}", 10 * self.guest_time, 10 * WALL_TIME, self.started_by);
        let (script, command, mechanism) = (&self.script, self.command, self.row.mechanism);
        // Whatever is compiled at all is compiled first: the helper has limits of its own.
        let output = enter.sh(&format!(
            "bootc-image plugin doctor >/dev/null 2>&1 || true
            {script}
            {measured} {program} {command}
            {script}
            {measured} {weakened} {command}
            {script}
            export BOOTC_IMAGE_WITHOUT={mechanism}
            {measured} {weakened} {command}"
        ));
        let output = output.ok();
        let endings: Vec<Ending> =
            output.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        assert_eq!(endings.len(), 3, "{output:#?}");
        endings
    }
}

/// The memory that the two programs take with a policy that does nothing, in KiB.
static IDLE: LazyLock<[u64; 2]> = LazyLock::new(|| {
    let row = &Row { mechanism: "", guest: "allows.wat", test: "" };
    let attack = Attack {
        row,
        set_up: Box::new(|enter| in_image(enter, row.guest)),
        script: String::new(),
        command: "--dry-run copy-to-storage",
        started_by: "",
        refused: 0,
        in_test_build: false,
        ceiling: 0,
        guest_time: 250,
    };
    let endings = attack.endings();
    assert!(endings.iter().all(|ending| ending.code == Some(0)), "{endings:#?}");
    [endings[0].peak_kib, endings[1].peak_kib]
});

/// The native policy that misbehaves as `what` says.
fn library(what: &str) -> Extension {
    let define = format!("-D{what}");
    Extension::compiled("native", "tests/hostile/native.c", &[&define], ROLE)
}

/// What its manifest says beside.
const ROLE: &str = "role = \"policy\"\n[limits]\nwall-ms = 10000\n";
/// What the configuration says: a busy machine has time to show how a guest ends, or little time is lost.
const PATIENT: &str = "[ceiling.policy]\nwall-ms = 10000\n";
const HURRIED: &str = "[ceiling.policy]\nwall-ms = 1000\n";
/// Its library.
const LIBRARY: &str = "/var/lib/bootc-image/plugins/native/extension.so";

/// A guest is part of the OS image, with its grant.
fn in_image(enter: Enter, guest: &str) -> Enter {
    let Some(id) = guest.strip_suffix(".wat") else { return install_in_image(enter, guest) };
    let component = component(guest);
    let world = world_of(guest);
    let claims = if world == WRAPPER { "[[command]]\nname = \"list\"\nsummary = \"Lists\"\n" } else { "" };
    let limits = if guest == "calls-in-a-row.wat" { "[limits]\nguest-ms = 20\n" } else { "" };
    let manifest = format!(
        "schema = 1\nid = {id:?}\nversion = \"1.0.0\"\napi = \"^0.1\"\n[[component]]\nfile = \"{id}.wasm\"\n\
         sha256 = \"{:x}\"\nworld = {world:?}\n{claims}{limits}",
        Sha256::digest(&component)
    );
    enter
        .file(&format!("{IMAGE}/{id}/plugin.toml"), manifest)
        .file(&format!("{IMAGE}/{id}/{id}.wasm"), component)
        .file(&format!("{GRANTS}/{id}.toml"), format!("[[grant]]\nplugin = {id:?}\n"))
}

const VALIDATOR: &str = "bootc-image:policy/validator";
const WRAPPER: &str = "bootc-image:command/wrapper";

fn world_of(guest: &str) -> &'static str {
    if guest == "sees-operations.wat" { WRAPPER } else { VALIDATOR }
}

/// The component that a core module makes, whatever it does.
fn component(guest: &str) -> Vec<u8> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("hostile").join(guest)).unwrap();
    let mut module = wat::parse_str(repeated(&text)).unwrap();
    let mut resolve = Resolve::default();
    for package in ["types", "host", "policy", "command"] {
        resolve.push_dir(root.join("../wit").join(package)).unwrap();
    }
    // A world of its own, since no world that there is lets commands import what policies are given.
    let world = match world_of(guest) {
        WRAPPER => "import bootc-image:policy/operations@0.1.0; export bootc-image:command/commands@0.1.0;",
        _ => "include bootc-image:policy/validator@0.1.0;",
    };
    let package = resolve
        .push_str("hostile.wit", &format!("package hostile:guest; world guest {{ {world} }}"))
        .unwrap();
    let world = resolve.select_world(&[package], Some("guest")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

#[test]
fn a_release_has_no_switches() {
    let name = b"BOOTC_IMAGE_WITHOUT";
    let has = |program| std::fs::read(program).unwrap().windows(name.len()).any(|window| window == name);
    for name in ["bootc-image", "bootc-image-native"] {
        let with = programs::mutated(&format!("{name}-with"));
        assert!(has(with) && !has(programs::required(name)), "{name}");
    }
    assert!(!has(programs::required("bootc-image-helper")));
}

/// The text, with each line below a `;; repeat N` N times.
fn repeated(text: &str) -> String {
    let mut times = 1;
    let mut all = String::new();
    for line in text.lines() {
        (0..times).for_each(|_| all.extend([line, "\n"]));
        let number = line.trim().strip_prefix(";; repeat ");
        times = number.map_or(1, |number| number.parse().unwrap());
    }
    all
}

#[test]
fn loop_in_start() {
    attack!().must_be_refused("exceeded its processor time limit (0.25 s)", Harm::Endless);
}

#[test]
fn loop_in_an_export() {
    attack!().does("loop").must_be_refused("exceeded its processor time limit (0.25 s)", Harm::Endless);
}

#[test]
fn loop_for_a_caller_who_holds_the_clock_back() {
    attack!()
        .does("loop")
        .started_by("env --ignore-signal=ALRM --block-signal=ALRM")
        .must_be_refused("exceeded its processor time limit (0.25 s)", Harm::Endless);
}

#[test]
fn loop_in_realloc() {
    attack!().must_be_refused("exceeded its processor time limit (0.25 s)", Harm::Endless);
}

#[test]
fn loop_of_host_calls() {
    attack!().does("call-loop").must_be_refused("exceeded its processor time limit (0.25 s)", Harm::Endless);
}

#[test]
fn calls_in_a_row() {
    attack!().in_test_build().must_be_refused("exceeded its processor time limit (0.02 s)", Harm::Runs);
}

#[test]
fn a_long_sleep() {
    attack!().must_be_refused(
        "called `wasi:clocks/monotonic-clock.subscribe-duration`, which this host does not provide to plugins",
        Harm::Endless,
    );
}

#[test]
fn deep_recursion() {
    // However small the caller has made the stack.
    attack!().after("ulimit -Ss 256").must_be_refused("call stack exhausted", Harm::Dies);
}

#[test]
fn memory_bomb() {
    attack!().does("memory").must_be_refused("exceeded its memory limit (64 MiB)", Harm::Memory);
}

#[test]
fn table_bomb() {
    attack!().must_be_refused("exceeded its limit of 50000 table entries", Harm::Runs);
}

#[test]
fn resource_bomb() {
    attack!().must_be_refused("exceeded its limit of 1024 host resources", Harm::Runs);
}

#[test]
fn string_bomb() {
    attack!()
        .does("read-bomb")
        .must_be_refused("exceeded its limit of 4 MiB of data passed between plugin and host", Harm::Runs);
}

#[test]
fn log_bomb() {
    attack!()
        .does("log-bomb")
        .must_be_refused("exceeded its limit of 64 KiB of log messages and results", Harm::Runs);
}

#[test]
fn long_answer() {
    attack!()
        .does("huge-reason")
        .must_be_refused("exceeded its limit of 64 KiB of log messages and results", Harm::Runs);
}

#[test]
fn list_of_a_gigabyte() {
    attack!()
        .must_be_refused("exceeded its limit of 4 MiB of data passed between plugin and host", Harm::Memory);
}

#[test]
fn a_length_that_lies() {
    attack!().must_be_refused_by_wasmtime("string pointer/length out of bounds of memory");
}

#[test]
fn invalid_utf8() {
    attack!().must_be_refused_by_wasmtime("invalid utf-8");
}

#[test]
fn a_forged_handle() {
    attack!().must_be_refused_by_wasmtime("unknown handle index");
}

#[test]
fn a_handle_given_back_twice() {
    attack!().must_be_refused_by_wasmtime("unknown handle index");
}

#[test]
fn a_stale_handle() {
    attack!().must_be_refused_by_wasmtime("unknown handle index");
}

#[test]
fn a_handle_that_is_kept() {
    attack!().must_be_refused_by_wasmtime("borrow handles still remain");
}

#[test]
fn a_trap() {
    attack!().does("trap").must_be_refused("crashed: wasm `unreachable` instruction executed", Harm::Runs);
}

#[test]
fn a_panic() {
    attack!().does("panic").must_be_refused("panicked: no verdict", Harm::Runs);
}

/// This guest's component, as a policy in the OS image that is called `policy-does`.
fn as_policy(enter: Enter, guest: &str) -> Enter {
    let (component, manifest) = (component_of(guest), manifest("policy-does", guest));
    place(enter, &format!("{IMAGE}/policy-does"), &manifest, &component)
        .file(&format!("{GRANTS}/policy-does.toml"), "[[grant]]\nplugin = \"policy-does\"\n")
}

fn place(enter: Enter, directory: &str, manifest: &str, component: &[u8]) -> Enter {
    enter
        .file(&format!("{directory}/plugin.toml"), manifest)
        .file(&format!("{directory}/policy_does.wasm"), component)
}

fn component_of(guest: &str) -> Vec<u8> {
    guests::files(guest).unwrap().swap_remove(1).1
}

/// The manifest of `policy` for the component of `guest`.
fn manifest(policy: &str, guest: &str) -> String {
    let manifest = String::from_utf8(guests::files(policy).unwrap().swap_remove(0).1).unwrap();
    manifest.replace(guests::sha256(policy).unwrap(), guests::sha256(guest).unwrap())
}

#[test]
fn wrong_world() {
    attack!().prepared(|enter| as_policy(enter, "command-loops")).must_be_refused(
        "cannot judge this operation: it does not export `bootc-image:policy/validate`",
        Harm::Runs,
    );
}

#[test]
fn wrong_version() {
    attack!()
        .prepared(|enter| {
            let manifest = manifest("policy-does", "policy-does").replace("\"^0.1\"", "\"^9.0\"");
            as_policy(enter, "policy-does").file(&format!("{IMAGE}/policy-does/plugin.toml"), manifest)
        })
        .must_be_refused(
            "does not include 0.1.0, the version of the plugin interface on this host",
            Harm::Runs,
        );
}

#[test]
fn undeclared_import() {
    attack!().prepared(|enter| as_policy(enter, "command-foreign-import")).must_be_refused(
        "it imports `site:doors/back@0.1.0.open`, which this host does not provide",
        Harm::Runs,
    );
}

#[test]
fn ungranted_import() {
    attack!().command(78).must_be_refused("operation.kind`, which this host does not provide", Harm::Runs);
}

#[test]
fn unapproved_plugin() {
    attack!()
        .prepared(|enter| install(enter, "policy-does", IMAGE))
        .must_be_refused("it has not been approved", Harm::Runs);
}

#[test]
fn wasi_sockets() {
    attack!().must_be_refused(
        "called `wasi:sockets/instance-network@0.2.0.instance-network`, which this host does not provide to plugins",
        Harm::Runs,
    );
}

#[test]
fn wasi_environment_and_files() {
    attack!()
        .after("rm -f /tmp/from-a-policy")
        .command_line("policy explain copy-to-storage")
        .must_do_no_harm("variables 0, arguments 0, opened 0, written false", Harm::Says("written true"));
}

#[test]
fn escapes_in_a_verdict() {
    attack!().does("escapes").must_be_refused("bootc-image: allowed", Harm::Escapes);
}

#[test]
fn blanks_in_a_verdict() {
    attack!().does("blanks").must_be_refused("no allowed by every policy", Harm::Says("no          "));
}

#[test]
fn a_when_that_matches_nothing() {
    attack!()
        .does("deny")
        .with(|enter| {
            let manifest = guests::files("policy-does").unwrap().swap_remove(0).1;
            let manifest = String::from_utf8(manifest).unwrap();
            let when = "[[component]]\nwhen = { references = [\"*:latest\"] }\n";
            let manifest = manifest.replace("[[component]]\n", when);
            enter.file(&format!("{IMAGE}/policy-does/plugin.toml"), manifest)
        })
        .must_be_refused("no image name can match \"*:latest\"", Harm::Runs);
}

#[test]
fn compiled_again_and_again() {
    attack!()
        .command_line("-v --dry-run copy-to-storage")
        .must_be_refused("cached failure", Harm::Says("compiling"));
}

#[test]
fn escapes_in_a_problem() {
    attack!().does("problem-escapes").must_be_refused("cannot judge this operation", Harm::Escapes);
}

#[test]
fn escapes_in_last_words() {
    attack!().does("panic").must_be_refused("no verdict", Harm::Escapes);
}

#[test]
fn escapes_in_a_log_line() {
    // The log's own form wouldn't let it through either.
    attack!()
        .does("log")
        .must_do_no_harm("the policy says \u{fffd}[31mred", Harm::Says("the policy says \\u{1b}[31mred"));
}

#[test]
fn escapes_in_a_directory() {
    let attack = attack!()
        .prepared(|enter| enter)
        .after(format!(
            "name=$(printf 'ev\\033[31mil\\342\\200\\256'); mkdir -p {INSTALLED}/\"$name\"
            echo 'schema = 2' >{INSTALLED}/\"$name\"/plugin.toml"
        ))
        .command_line("plugin doctor");
    Attack { refused: 0, ..attack }.must_be_refused("ev\u{fffd}[31mil\u{fffd}", Harm::Escapes);
}

#[test]
fn escapes_of_a_command() {
    attack!().command(0).must_do_no_harm("error: forged", Harm::Escapes);
}

/// A list that a plugin prints.
const LIST: &str = "list --type logical --format does";

#[test]
fn stands_still() {
    attack!().formats("stand-still").must_be_refused(
        "it neither reads rows nor returns output",
        // Whichever limit comes first.
        Harm::Says("exceeded its limit"),
    );
}

#[test]
fn output_after_the_end() {
    attack!().formats("after-the-end").must_be_refused("exceeded its limit of 1024 KiB", Harm::Runs);
}

#[test]
fn large_piece() {
    attack!().formats("long-piece").must_be_refused("exceeded its limit of 1024 KiB", Harm::Runs);
}

#[test]
fn loop_within_a_list() {
    attack!()
        .formats("loop-within")
        .must_be_refused("exceeded its processor time limit (2 s)", Harm::Endless);
}

/// A plugin that asks the host for something, with its setting `do`, as it plans `cmd diff`.
fn asks(attack: Attack, what: &'static str, refused: i32) -> Attack {
    let attack =
        attack.with(move |enter| enter.file(SETTINGS, format!("settings.command-asks.do = {what:?}\n")));
    Attack { command: "--quiet cmd diff app:stable", refused, guest_time: 2000, ..attack }
}

#[test]
fn loop_after_a_copy() {
    asks(attack!(), "copy-and-loop", 78)
        .must_be_refused("exceeded its processor time limit (2 s)", Harm::Endless);
}

#[test]
fn reentry() {
    attack!().must_be_refused_by_wasmtime("cannot leave component instance");
}

#[test]
fn import_without_its_capability() {
    let bare = |enter: Enter| {
        let manifest = String::from_utf8(guests::files("command-asks").unwrap().swap_remove(0).1).unwrap();
        let (bare, _) = manifest.split_once("[[capability]]").unwrap();
        enter.file(&format!("{IMAGE}/command-asks/plugin.toml"), bare)
    };
    asks(attack!(), "", 78).with(bare).must_be_refused("needs the capability", Harm::Runs);
}

#[test]
fn another_subcommand_of_our_own() {
    asks(attack!(), "remove", 77)
        .must_be_refused("planned `rm` for `cmd diff`", Harm::Says("Untagged: localhost/app:stable"));
}

#[test]
fn megabytes_of_arguments() {
    attack!()
        .command(78)
        .must_be_refused("exceeded its limit of 1024 KiB", Harm::Says("exceeds the limit of 256 arguments"));
}

#[test]
fn nul_in_a_plan() {
    asks(attack!(), "nul", 77)
        .command_line("--dry-run cmd diff app:stable")
        .must_be_refused("contains a control character", Harm::Runs);
}

#[test]
fn ten_thousand_operations() {
    asks(attack!(), "many", 78)
        .must_be_refused("exceeded its limit of 64 requested operations", Harm::Says("asked 10000 times"));
}

#[test]
fn copy_outside_the_scope() {
    asks(attack!(), "pull-outside", 77).must_be_refused("covers only localhost/mine", Harm::Runs);
}

#[test]
fn going_on_after_a_denial() {
    asks(attack!(), "go-on", 0)
        .must_do_no_harm("went on in spite of outside-scope", Harm::Says("localhost/bootc"));
}

/// Shipped plugins are hostile in the hands of a hostile caller.
fn maintenance(attack: Attack, command: &'static str) -> Attack {
    let attack = attack.prepared(|enter| ship_in_image(enter, "podman-maintenance"));
    Attack { command, refused: 77, guest_time: 2000, ..attack }
}

#[test]
fn a_needed_name() {
    maintenance(attack!(), "--quiet cmd untag 127.0.0.1:5000/lab/app:1 127.0.0.1:5000/lab/app:1")
        .must_be_refused("is needed by the running system", Harm::Runs);
}

#[test]
fn file_outside_the_scope() {
    maintenance(attack!(), "--dry-run cmd save --output=/etc/profile.d/x.sh app:stable").must_be_refused(
        "is outside the paths that plugin podman-maintenance may pass to podman",
        Harm::Runs,
    );
}

#[test]
fn another_subcommand() {
    attack!()
        .command(77)
        .must_be_refused("planned `pull` for `cmd list`", Harm::Says("cannot resolve registry.example/evil"));
}

/// A policy of the site that denies everything.
fn denying(enter: Enter) -> Enter {
    install(enter, "policy-does", SITE)
        .file("/etc/bootc-image/grants.d/site.toml", grant("policy-does"))
        .file(SETTINGS, "settings.policy-does.do = \"deny\"\n")
}

#[test]
fn path_traversal() {
    attack!()
        .prepared(|enter| {
            let manifest = manifest("policy-does", "wasi-policy")
                .replace("policy_does.wasm", "../../../../../run/elsewhere.wasm");
            as_policy(enter, "wasi-policy")
                .file(&format!("{IMAGE}/policy-does/plugin.toml"), manifest)
                .file("/run/elsewhere.wasm", component_of("wasi-policy"))
        })
        .must_be_refused("is not the plain name of a .wasm file", Harm::Runs);
}

#[test]
fn slow_pattern() {
    attack!()
        .prepared(|enter| {
            let when = format!("when = {{ references = [\"localhost/{}y/z\"] }}\n", "*[x/]".repeat(16));
            let manifest = manifest("policy-does", "policy-does");
            let manifest = manifest.replace("world =", &format!("{when}world ="));
            as_policy(enter, "policy-does").file(&format!("{IMAGE}/policy-does/plugin.toml"), manifest)
        })
        .command_line(
            "--dry-run copy-to-storage --target localhost/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx/z",
        )
        .must_be_refused("contains `[`, which is not allowed in these patterns", Harm::Endless);
}

#[test]
fn symlinked_component() {
    let directory = format!("{INSTALLED}/policy-does");
    attack!()
        .prepared(|enter| {
            install(enter, "policy-does", INSTALLED)
                .file("/etc/bootc-image/grants.d/policy-does.toml", grant("policy-does"))
                .file("/run/elsewhere.wasm", component_of("policy-does"))
        })
        .after(format!("ln -sf /run/elsewhere.wasm {directory}/policy_does.wasm"))
        .must_be_refused("it must be a regular file, but is a symbolic link", Harm::Runs);
}

#[test]
fn swapped_component() {
    attack!()
        .prepared(|enter| {
            denying(enter).file(&format!("{SITE}/policy-does/policy_does.wasm"), component_of("wasi-policy"))
        })
        .must_be_refused("but its manifest declares", Harm::Runs);
}

/// Machine code of a policy that allows is put where that of the denying one is kept.
fn poison(then: &str) -> String {
    let (allowing, denying) =
        (guests::sha256("wasi-policy").unwrap(), guests::sha256("policy-does").unwrap());
    format!(
        "rm -rf {CACHE}
        bootc-image plugin doctor >/dev/null 2>&1 || true
        cp {CACHE}/{allowing}.cwasm {CACHE}/{denying}.cwasm
        {then}"
    )
}

/// The denying policy, and beside it the one that allows.
fn two_policies(enter: Enter) -> Enter {
    install_in_image(denying(enter), "wasi-policy")
}

#[test]
fn poisoned_cache() {
    attack!()
        .prepared(two_policies)
        .after(poison(&format!("chown -R 1000 {CACHE}")))
        .must_be_refused("nothing is allowed today", Harm::Runs);
}

#[test]
fn world_writable_cache() {
    attack!()
        .prepared(two_policies)
        // That nobody can replace another's files in it isn't enough.
        .after(poison(&format!("chmod 1777 {CACHE}")))
        .must_be_refused("nothing is allowed today", Harm::Runs);
}

#[test]
fn truncated_cache() {
    let denying_code = format!("{CACHE}/{}.cwasm", guests::sha256("policy-does").unwrap());
    attack!()
        .prepared(two_policies)
        .after(format!(
            "bootc-image plugin doctor >/dev/null 2>&1 || true
            truncate -s $(($(stat -c %s {denying_code}) / 2)) {denying_code}"
        ))
        .must_be_compiled_anew();
}

#[test]
fn foreign_cache() {
    let denying_code = format!("{CACHE}/{}.cwasm", guests::sha256("policy-does").unwrap());
    attack!()
        .prepared(two_policies)
        .after(format!("mkdir -p {CACHE}; cp /usr/bin/true {denying_code}"))
        .must_be_compiled_anew();
}

#[test]
fn the_callers_own_plugin() {
    // Of root, or another check would hold.
    let (data, configuration) = ("/var/home/other/.local/share", "/var/home/other/.config");
    attack!()
        .prepared(move |enter| {
            install(enter, "policy-does", &format!("{data}/bootc-image/plugins"))
                .file(&format!("{configuration}/bootc-image/grants.d/p.toml"), grant("policy-does"))
                .file(SETTINGS, "settings.policy-does.do = \"deny\"\n")
                .env("HOME", "/var/home/other")
                .env("XDG_DATA_HOME", data)
                .env("XDG_CONFIG_HOME", configuration)
        })
        .must_do_no_harm("\"allowed\": true", Harm::Says("nothing is allowed today"));
}

#[test]
fn equal_ids() {
    attack!()
        .prepared(|enter| as_policy(denying(enter), "wasi-policy"))
        .must_be_refused("is used by both", Harm::Runs);
}

#[test]
fn broken_manifest() {
    attack!()
        .prepared(|enter| {
            denying(enter)
                .file(&format!("{SITE}/policy-does/plugin.toml"), "schema = 1\nid = \"policy-does\n")
        })
        .must_be_refused("cannot judge this operation", Harm::Runs);
}

#[test]
fn excused_by_a_second_one() {
    let settings = "settings.policy-does.do = \"deny\"\n[policy]\nmandatory = [\"policy-does\"]\nfail-open = [\"policy-does\"]\n";
    attack!()
        .prepared(move |enter| denying(enter).file(SETTINGS, settings))
        .after(format!("mkdir -p {INSTALLED}/policy-does"))
        .must_be_refused("is used by both", Harm::Runs);
}

#[test]
fn hidden_after_an_upgrade() {
    attack!()
        .prepared(|enter| enter.file(SETTINGS, "[policy]\nmandatory = [\"policy-does\"]\n"))
        .must_be_refused("the configuration makes it mandatory, but it is not installed", Harm::Runs);
}

#[test]
fn native_segfault() {
    attack!()
        .native()
        .must_be_refused_by_its_process("ended without an answer: killed by signal 11 (SIGSEGV)");
}

#[test]
fn native_abort() {
    attack!()
        .native()
        .must_be_refused_by_its_process("ended without an answer: killed by signal 6 (SIGABRT)");
}

#[test]
fn native_exit() {
    attack!().native().must_be_refused_by_its_process("ended without an answer: exit code 0");
}

#[test]
fn native_double_free() {
    attack!()
        .native()
        .must_be_refused_by_its_process("(SIGABRT); its last output: free(): double free detected");
}

#[test]
fn native_stack_overflow() {
    attack!().native().must_be_refused_by_its_process("killed by signal");
}

#[test]
fn native_memory() {
    attack!().native().with_memory(320).must_be_refused_by_its_process("killed by signal 6 (SIGABRT)");
}

#[test]
fn native_crash_while_loading() {
    attack!().native().must_be_refused_by_its_process("killed by signal 6 (SIGABRT)");
}

#[test]
fn native_loop() {
    attack!().native_without_end().must_be_refused("exceeded its time limit (1 s)", Harm::Endless);
}

#[test]
fn native_sleep() {
    attack!().native_without_end().must_be_refused("exceeded its time limit (1 s)", Harm::Endless);
}

#[test]
fn native_fork_bomb() {
    attack!().native().must_be_refused("no process could be started", Harm::Runs);
}

#[test]
fn native_program() {
    attack!().native().must_be_refused("no program could be started", Harm::Says("exit code 0"));
}

#[test]
fn native_stdout() {
    attack!().native().must_do_no_harm("\"allowed\": true", Harm::Says("printed by the library"));
}

#[test]
fn native_closes_descriptors() {
    attack!().native().must_be_refused_by_its_process("ended without an answer: exit code 1");
}

#[test]
fn native_wrong_size() {
    attack!().native().must_be_refused_by_its_process("its table has 3 bytes");
}

#[test]
fn native_wrong_major() {
    attack!().native().must_be_refused_by_its_process(
        "it was built for version 2.0 of bootc_image_extension.h, but this host provides 1.0: install a newer bootc-image",
    );
}

#[test]
fn native_missing_symbol() {
    attack!().native().must_be_refused_by_its_process("it does not export bootc_image_extension_entry");
}

#[test]
fn native_null_table() {
    attack!().native().must_be_refused_by_its_process("its entry point returned no table");
}

#[test]
fn native_null_callback() {
    attack!().native().must_be_refused_by_its_process("it has no function `evaluate`");
}

#[test]
fn native_invalid_utf8() {
    attack!().native().must_be_refused_by_its_process("neither allowed nor denied");
}

#[test]
fn native_escapes() {
    attack!().native().must_be_refused_by_its_process("denied: policy native: \u{fffd}[2J\u{fffd}[Hallowed");
}

#[test]
fn native_gigabyte_of_text() {
    attack!().native().must_be_refused_by_its_process("neither allowed nor denied");
}

#[test]
fn native_gigabyte_of_answer() {
    attack!().native().must_be_refused("a frame of 536870912 bytes is larger", Harm::Memory);
}

#[test]
fn native_garbage() {
    attack!().native().must_be_refused_by_its_process("sent an invalid message");
}

#[test]
fn native_answer_to_another_question() {
    attack!().native().must_be_refused_by_its_process("sent an unexpected answer: a plan");
}

#[test]
fn native_silence() {
    attack!().native().must_be_refused_by_its_process("neither allowed nor denied");
}

#[test]
fn native_second_thought() {
    attack!().native().must_be_refused_by_its_process("the first answer counts");
}

#[test]
fn native_forged_call() {
    attack!().native().must_be_refused_by_its_process("a forged call leads to nothing");
}

#[test]
fn native_cpp_exception() {
    attack!()
        .prepared(|enter| {
            Extension::compiled("native", "tests/hostile/native.cpp", &[], ROLE).enabled(enter, "")
        })
        .must_be_refused_by_its_process("killed by signal 6 (SIGABRT)");
}

#[test]
fn native_panic() {
    attack!()
        .prepared(|enter| {
            let library = std::fs::read(programs::example("libnative_panics.so")).unwrap();
            Extension::of("native", library, ROLE).enabled(enter, "")
        })
        .must_be_refused_by_its_process("panicked: nobody has thought of \u{fffd}[31mthis");
}

#[test]
fn native_changed_after_approval() {
    attack!()
        .prepared(|enter| {
            library("NATIVE_CHANGED_BEFORE").enabled(enter, "").file(LIBRARY, library("CONTROL").code)
        })
        .must_be_refused("but its manifest declares", Harm::Runs);
}

#[test]
fn native_writable_by_its_group() {
    attack!()
        .prepared(|enter| library("CONTROL").enabled(enter, ""))
        .after(format!("chmod 664 {LIBRARY}"))
        .must_be_refused("must be owned by root and not writable by others", Harm::Runs);
}

#[test]
fn native_in_a_writable_directory() {
    attack!()
        .prepared(|enter| library("CONTROL").enabled(enter, ""))
        .after("chmod 777 /var/lib/bootc-image")
        .must_be_refused("must be owned by root and not writable by others", Harm::Runs);
}

#[test]
fn native_symlink() {
    attack!()
        .prepared(|enter| library("CONTROL").enabled(enter, ""))
        .after(format!(
            "[ -L {LIBRARY} ] || {{ mv {LIBRARY} /var/tmp/there; ln -s /var/tmp/there {LIBRARY}; }}"
        ))
        .must_be_refused("it must be a regular file, but is a symbolic link", Harm::Runs);
}

#[test]
fn native_switched_off() {
    attack!()
        .prepared(|enter| library("CONTROL").enabled(enter, "").file(CONFIG, "[native]\nenabled = false\n"))
        .must_be_refused("native extensions are disabled on this host", Harm::Runs);
}

#[test]
fn native_wrong_architecture() {
    attack!()
        .prepared(|enter| {
            let mut bytes = library("CONTROL").code;
            // e_machine: SPARC.
            bytes[18..20].copy_from_slice(&2u16.to_le_bytes());
            Extension::of("native", bytes, ROLE).enabled(enter, "")
        })
        .must_be_refused_by_its_process("it was built for another architecture: ELF machine 2");
}

#[test]
fn native_cut_off() {
    attack!()
        .prepared(|enter| {
            let bytes = library("CONTROL").code[..2000].to_vec();
            Extension::of("native", bytes, ROLE).enabled(enter, "")
        })
        .must_be_refused_by_its_process("it is not a well-formed shared library");
}

#[test]
fn native_runpath() {
    attack!()
        .prepared(|enter| {
            let options = ["-DCONTROL", "-Wl,-rpath,/var/tmp"];
            Extension::compiled("native", "tests/hostile/native.c", &options, ROLE).enabled(enter, "")
        })
        .must_be_refused_by_its_process("it sets the library search path \"/var/tmp\" (RUNPATH)");
}

#[test]
fn native_needs_a_path() {
    attack!()
        .prepared(|enter| {
            let other = library("CONTROL").path;
            let options = ["-DCONTROL", "-Wl,--no-as-needed", other.to_str().unwrap()];
            Extension::compiled("native", "tests/hostile/native.c", &options, ROLE).enabled(enter, "")
        })
        .must_be_refused_by_its_process("but libraries are found only by plain name");
}

#[test]
fn native_auxiliary() {
    attack!()
        .prepared(|enter| {
            let options = ["-DCONTROL", "-Wl,-f,/var/tmp/later.so"];
            Extension::compiled("native", "tests/hostile/native.c", &options, ROLE).enabled(enter, "")
        })
        .must_be_refused_by_its_process(
            "it names \"/var/tmp/later.so\" as a filter, auxiliary or audit library",
        );
}

#[test]
fn native_needs_a_token() {
    attack!()
        .prepared(|enter| {
            let named = ["-DCONTROL", "-Wl,-soname,x${LIB}y.so"];
            let other = Extension::compiled("named", "tests/hostile/native.c", &named, ROLE).path;
            let options = ["-DCONTROL", "-Wl,--no-as-needed", other.to_str().unwrap()];
            Extension::compiled("native", "tests/hostile/native.c", &options, ROLE).enabled(enter, "")
        })
        .must_be_refused_by_its_process("it needs the library \"x${LIB}y.so\"");
}
