//! Trouble by real means: system calls that fail or never return, locks in other hands, stores that change meanwhile.

pub mod injector;
pub mod interruptions;
pub mod sweep;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::programs;

/// A command under strace, which can also make its system calls fail.
///
/// ```no_run
/// # use bootc_image_tests::{World, faults::Strace};
/// let world = World::new();
/// let strace = Strace::new().inject("openat:error=EIO:when=3").only_on("/usr/lib/bootc/bound-images.d");
/// world.enter().run(&strace.command(&["bootc-image", "list"])).exits(1);
/// ```
#[derive(Debug, Default)]
pub struct Strace {
    options: Vec<String>,
}

impl Strace {
    pub fn new() -> Self {
        Self::default()
    }

    /// What to do to which calls, as in strace's `-e inject=`: `SYSCALL:error=EIO:when=N`, `:signal=KILL:when=N`,
    /// `:delay_enter=MICROSECONDS`.
    pub fn inject(self, fault: &str) -> Self {
        self.option("-e", format!("inject={fault}"))
    }

    /// Looks at these calls only; several are separated by commas.
    pub fn calls(self, calls: &str) -> Self {
        self.option("-e", format!("trace={calls}"))
    }

    /// Looks at calls on this path only.
    pub fn only_on(self, path: &str) -> Self {
        self.option("-P", path.to_owned())
    }

    /// Where inside the calls are written; without this they aren't.
    pub fn log(self, path: &str) -> Self {
        self.option("-o", path.to_owned())
    }

    /// The command line to run instead of this one.
    pub fn command(&self, command: &[&str]) -> Vec<String> {
        let strace = ["strace", "--follow-forks", "--quiet=all", "--output=/dev/null"].map(String::from);
        let command = command.iter().map(|word| word.to_string());
        strace.into_iter().chain(self.options.iter().cloned()).chain(["--".into()]).chain(command).collect()
    }

    fn option(mut self, name: &str, value: String) -> Self {
        self.options.extend([name.into(), value]);
        self
    }
}

/// A shell function: `eventually COMMAND` waits until the command succeeds, and ends the script with a word if it doesn't in a
/// minute.
pub const EVENTUALLY: &str = r#"
eventually() {
    for attempt in $(seq 600); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done
    echo "never came true: $*" >&2
    exit 1
}
"#;

/// Shell functions about processes that wait for locks, for root: `waits PROCESS`, and `podman_waits`, for the only podman.
/// The kernel tells in which call a thread is: on x86-64 72 is fcntl, here with F_SETLKW or F_OFD_SETLKW.
pub const WAITS: &str = r#"
waits() { grep -qs '^72 0x[0-9a-f]* 0x\(7\|26\) ' /proc/$1/task/*/syscall; }
podman_waits() { podman=$(pgrep -x podman) && waits $podman; }
"#;

/// Waits until a file has a text, and panics if it hasn't after a minute. The path is one outside.
pub fn wait_for_text(file: &Path, text: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let content = std::fs::read_to_string(file).unwrap_or_default();
        if content.contains(text) {
            return;
        }
        assert!(Instant::now() < deadline, "no {text:?} in {}: {content}", file.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A POSIX write lock on a whole file, as containers-storage takes them, until it is dropped.
///
/// The lock is a child's: a process loses its locks on a file as soon as it closes any descriptor of that file.
pub struct HeldLock(Child);

impl HeldLock {
    /// Waits until it has the lock. The path is one outside, see [`World::outside`](crate::World::outside).
    pub fn on(file: &Path) -> Self {
        let mut child = Command::new(programs::ours("world-enter"))
            .arg("hold-lock")
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("world-enter starts");
        let mut answer = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut answer).expect("a pipe can be read");
        assert_eq!(answer, "held\n", "locking {}", file.display());
        Self(child)
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        // Waiting closes its standard input, at whose end it ends.
        self.0.wait().expect("a child can be waited for");
    }
}

/// A podman that waits for a lock of bootc's store for as long as it runs. What is started before it finds the lock free: we wait
/// for locks ourselves before we start podman.
pub fn podman_that_waits(enter: crate::world::Enter) -> crate::world::Enter {
    let hold = "use Fcntl; $SIG{$_} = \"IGNORE\" for qw(INT TERM HUP QUIT TSTP); \
                open(F, \"+<\", $ARGV[0]) or die; $lock = pack(\"s s l! l! i\", F_WRLCK, 0, 0, 0, 0); \
                fcntl(F, F_SETLK, $lock) or die; \
                open(R, \">\", \"/tmp/held.$ARGV[1]\"); close(R); \
                select(undef, undef, undef, 0.02) while getppid() == $ARGV[1]";
    let lock = "/run/bootc/storage/overlay-images/images.lock";
    let script = format!(
        "#!/bin/sh\n/usr/bin/perl -e '{hold}' {lock} $$ </dev/null >/dev/null 2>&1 &\n\
         until [ -e /tmp/held.$$ ]; do sleep 0.02; done\nexec /usr/libexec/itself/podman \"$@\"\n"
    );
    let real = programs::machine().join("usr/bin/podman");
    enter.program(&real, "/usr/libexec/itself/podman").file_with_mode("/usr/bin/podman", script, 0o755)
}

/// A script for [`Enter::alongside`](crate::world::Enter::alongside): podman keeps pulling, tagging and removing images
/// in a store. The registry must be up.
pub fn busy_writer(store: crate::oracle::Store) -> String {
    let work = "
        set +e
        image=127.0.0.1:5000/lab/app:2
        while :; do
            store_podman image pull --quiet $image
            store_podman image tag $image localhost/busy:1
            store_podman image untag $image
            store_podman image rm --force localhost/busy:1 $image
        done";
    format!("{}{work}", store.shell())
}
