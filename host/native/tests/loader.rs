//! Runs the program over a socket pair as the host does, with a C library that uses every function of the host. The same tests run under
//! valgrind.

// Helpers of tests are tests, which clippy doesn't see.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bootc_image_native_protocol::{Answer, Ask, Command as Asked, Frame, Load, receive, send};
use bootc_image_plugin_model::{Image, List, Operation, Plan, PluginRole, Reference};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};

/// How the program is started.
#[derive(Debug, Clone, Copy)]
enum Under {
    Nothing,
    Valgrind,
}

struct Loader {
    process: Child,
    socket: UnixStream,
    log: Vec<String>,
}

impl Loader {
    /// Starts the program with the library, compiled with these options, in its descriptors.
    fn start(under: Under, options: &[&str]) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut library = File::from(memfd_create("library", MemfdFlags::CLOEXEC).unwrap());
        library.write_all(&compiled(options)).unwrap();
        library.rewind().unwrap();
        // The shell does not use descriptors with such high numbers.
        let inherited = |file: OwnedFd| rustix::io::fcntl_dupfd_cloexec(&file, 100).unwrap();
        let (theirs, library) = (inherited(theirs.into()), inherited(library.into()));
        fcntl_setfd(&theirs, FdFlags::empty()).unwrap();
        fcntl_setfd(&library, FdFlags::empty()).unwrap();
        let shipped = PathBuf::from(env!("CARGO_BIN_EXE_bootc-image-native"));
        let (program, valgrind) = match under {
            Under::Nothing => (shipped, "exec"),
            // valgrind does not support seccomp, so the program is built without that filter. It does not allow changing the limit of
            // open files either, so the limit is set before.
            Under::Valgrind => (
                without_seccomp(),
                "export BOOTC_IMAGE_WITHOUT=processes; ulimit -Sn 256; exec valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite",
            ),
        };
        let script = format!(
            "exec 3<&{0} 4<&{1} {0}<&- {1}<&-; {valgrind} \"$0\"",
            theirs.as_raw_fd(),
            library.as_raw_fd()
        );
        let process =
            Command::new("bash").args(["-euc", &script]).arg(program).stderr(Stdio::piped()).spawn().unwrap();
        Self { process, socket: ours, log: Vec::new() }
    }

    fn load(&mut self) -> Answer {
        let settings = "{\"known\": [1, \"\u{e4}\"]}".to_owned();
        // valgrind needs memory itself.
        let (address_space, processor_seconds) = (u64::MAX >> 1, 60);
        self.ask(&Ask::Load(Load { address_space, processor_seconds, settings, texts: 1 << 20 }))
    }

    fn ask(&mut self, ask: &Ask) -> Answer {
        send(&mut self.socket, ask).unwrap();
        let Frame::Message(answer) = self.next() else { panic!("output") };
        answer
    }

    fn next(&mut self) -> Frame<Answer> {
        loop {
            match receive(&mut self.socket, 2 << 20).unwrap() {
                Some(Frame::Message(Answer::Log(level, text))) => self.log.push(format!("{level} {text}")),
                Some(other) => return other,
                None => panic!("it closed the socket: {}", self.stderr()),
            }
        }
    }

    /// Its output on stderr until it ends.
    fn stderr(&mut self) -> String {
        let mut text = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// Closes the socket and checks that the process ends without an error of valgrind.
    fn end(mut self) {
        self.socket.shutdown(std::net::Shutdown::Both).unwrap();
        let stderr = self.stderr();
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}: {stderr}");
        assert_eq!(stderr, "");
    }
}

/// The program built with switches for tests, by `make mutants`.
fn without_seccomp() -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../mutants/bootc-image-native-with");
    assert!(program.exists(), "{} is missing: run make mutants", program.display());
    program
}

fn compiled(options: &[&str]) -> Vec<u8> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Tests run in parallel.
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let library = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("roles-{test}.so"));
    let output = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-fPIC", "-shared", "-pthread", "-I"])
        .arg(here.join("../../extension-sdk/include"))
        .args(options)
        .arg("-o")
        .arg(&library)
        .arg(here.join("tests/roles.c"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(library).unwrap()
}

fn text(of: &str) -> String {
    of.to_owned()
}

fn operation() -> Operation {
    let name = Reference {
        canonical: text("docker://quay.io/a/b"),
        transport: text("docker"),
        registry: text("quay.io"),
        repository: text("a/b"),
        tag: None,
        digest: None,
    };
    let image = |name, attrs| Image { role: text("source"), name, digest: None, attrs };
    Operation {
        kind: text("cmd pull"),
        digest: text("sha256:0"),
        argv: vec![text("a"), text("b c")],
        images: vec![image(Some(name), vec![(text("id"), text("1234"))]), image(None, Vec::new())],
        attrs: vec![(text("pinned"), text("false"))],
    }
}

fn everything(under: Under) {
    let mut loader = Loader::start(under, &[]);
    let loaded = loader.load();
    assert!(matches!(&loaded, Answer::Loaded { roles } if roles == PluginRole::ALL), "{loaded:?}");
    for _ in 0..2 {
        let verdict = loader.ask(&Ask::Evaluate(operation()));
        assert!(
            matches!(&verdict, Answer::Verdict { reason, attrs } if reason == "all is well" && attrs.len() == 1),
            "{verdict:?}"
        );
    }
    loader.log.retain(|line| line.len() < 100);
    assert_eq!(loader.log, ["2 a line", "2 a line"]);

    let (columns, options) = (vec![text("image_type"), text("image")], vec![(text("color"), text("false"))]);
    send(&mut loader.socket, &Ask::Format(List { format: text("lines"), columns, options })).unwrap();
    let (mut chunks, mut output) = (2, Vec::new());
    let last = loop {
        match loader.next() {
            Frame::Message(Answer::WantsRows) => {
                let row = |number| vec![text("host"), format!("image {number}")];
                send(&mut loader.socket, &Ask::Rows((0..3 * chunks).map(row).collect())).unwrap();
                chunks -= i32::from(chunks > 0);
            }
            Frame::Message(answer) => break answer,
            Frame::Output(bytes) => output.extend(bytes),
        }
    };
    assert!(matches!(last, Answer::Formatted), "{last:?}");
    let lines = String::from_utf8(output).unwrap();
    assert!(lines.starts_with("host\timage 0\nhost\timage 1\n"), "{lines:.100}");
    assert_eq!((lines.lines().count(), lines.len()), (10, 9 * "host\timage 0\n".len() + (3 << 20)));

    for (kind, code, message) in [
        ("denied with odd words", "Not A Code", ""),
        ("denied with bytes", "unspecified", "the plugin gave a reason that cannot be shown: not UTF-8 text"),
        ("denied with too much", "unspecified", "the plugin gave a reason that cannot be shown: too long"),
        (
            "denied with nothing there",
            "unspecified",
            "the plugin gave a reason that cannot be shown: not UTF-8 text",
        ),
        ("denied at last", "unspecified", "the plugin gave a reason that cannot be shown: too long"),
    ] {
        let before: usize = loader.log.iter().map(|line| line.len() + 14).sum();
        let answer = loader.ask(&Ask::Evaluate(Operation { kind: text(kind), ..operation() }));
        let Answer::Denied { problem, attrs } = &answer else { panic!("{kind}: {answer:?}") };
        assert_eq!((&*problem.code, &*problem.message), (code, message), "{kind}");
        // The host counts in the same way. Otherwise it could reject a denial because of its size.
        let logged: usize = loader.log.iter().map(|line| line.len() + 14).sum();
        let details: usize = attrs.iter().map(|(key, value)| key.len() + value.len() + 32).sum();
        let words = code.len() + message.len() + problem.hint.len() + 48;
        assert!(logged - before + details + words <= 1 << 20, "{kind}");
    }
    let list = List { format: text("fails"), columns: Vec::new(), options: Vec::new() };
    let failed = loader.ask(&Ask::Format(list));
    assert!(matches!(&failed, Answer::Failed(problem) if problem.code == "unspecified"), "{failed:?}");

    let plan = loader.ask(&Ask::Plan(Asked { name: text("newest"), args: vec![text("-a")] }));
    assert!(
        matches!(&plan, Answer::Plan(Plan { argv, message }) if *argv == ["list", "--all"] && message == "all of them"),
        "{plan:?}"
    );
    loader.end();
}

#[test]
fn every_function_of_the_host_does_what_the_header_says() {
    everything(Under::Nothing);
}

#[test]
fn all_of_it_is_clean_under_valgrind() {
    everything(Under::Valgrind);
}

/// A library could raise a soft limit, so hard limits are set.
#[test]
fn limits_except_that_of_time_cannot_be_raised() {
    let mut loader = Loader::start(Under::Nothing, &[]);
    loader.load();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", loader.process.id())).unwrap();
    let of = |name: &str| -> Vec<String> {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().take(2).map(str::to_owned).collect()
    };
    assert_eq!(of("Max core file size"), ["0", "0"]);
    assert_eq!(of("Max open files"), ["256", "256"]);
    let most = (u64::MAX >> 1).to_string();
    assert_eq!(of("Max address space"), [&*most, &*most]);
    // The limit of time is set again for every request.
    let time = of("Max cpu time");
    assert_ne!(time[0], time[1]);
    assert!(matches!(loader.ask(&Ask::Evaluate(operation())), Answer::Verdict { .. }));
    loader.end();
}

#[test]
fn of_a_newer_minor_version_the_known_fields_are_used() {
    for under in [Under::Nothing, Under::Valgrind] {
        let mut loader = Loader::start(under, &["-DNEWER"]);
        let loaded = loader.load();
        assert!(matches!(&loaded, Answer::Loaded { roles } if roles.len() == 3), "{loaded:?}");
        assert!(matches!(loader.ask(&Ask::Evaluate(operation())), Answer::Verdict { .. }));
        loader.end();
    }
}

#[test]
fn of_an_older_minor_version_missing_fields_are_null() {
    for under in [Under::Nothing, Under::Valgrind] {
        let mut loader = Loader::start(under, &["-DOLDER"]);
        let loaded = loader.load();
        assert!(matches!(&loaded, Answer::Loaded { roles } if *roles == [PluginRole::Policy]), "{loaded:?}");
        assert!(matches!(loader.ask(&Ask::Evaluate(operation())), Answer::Verdict { .. }));
        let plan = loader.ask(&Ask::Plan(Asked { name: text("newest"), args: Vec::new() }));
        assert!(
            matches!(&plan, Answer::Unusable(reason) if reason == "it has no function `plan`"),
            "{plan:?}"
        );
        loader.end();
    }
}

#[test]
fn a_library_that_cannot_be_used_is_refused_with_the_reason() {
    for (option, why) in [
        ("-DMISSING", "cannot load it: undefined symbol: missing"),
        (
            "-Dbootc_image_extension_entry=another",
            "it does not export bootc_image_extension_entry; `nm -D` shows what it exports",
        ),
        (
            "-DMAJOR=0",
            "it was built for version 0.0 of bootc_image_extension.h, but this host provides 1.0: install a newer extension",
        ),
        ("-DMORE=1", "its table has 49 bytes, which matches no version of bootc_image_extension.h"),
        (
            "-Wl,-rpath,/var/tmp",
            "it sets the library search path \"/var/tmp\" (RUNPATH), but libraries may come only from the system's directories: \
             build it without",
        ),
    ] {
        let mut loader = Loader::start(Under::Nothing, &[option]);
        let loaded = loader.load();
        assert!(matches!(&loaded, Answer::Unusable(reason) if reason == why), "{option}: {loaded:?}");
        loader.end();
    }
}

#[test]
fn without_memory_no_thread_is_started() {
    let mut loader = Loader::start(Under::Nothing, &[]);
    let (address_space, processor_seconds) = (1 << 20, 60);
    let load = Load { address_space, processor_seconds, settings: text("{}"), texts: 1 << 20 };
    let loaded = loader.ask(&Ask::Load(load));
    assert!(
        matches!(&loaded, Answer::Unusable(reason) if reason.starts_with("cannot start a thread: ")),
        "{loaded:?}"
    );
    loader.end();
}
