//! The only place where programs are started (D3.14): from an empty environment, found in fixed places, with no
//! descriptors but the ones they are given.

pub mod native;
mod signals;

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use bootc_image_model::weakened::is_off;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{Errno, FdFlags};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::error::Error;
use crate::files::private_directory;
use crate::mounts::{be_private, bind_privately, mount_memory, protect};

/// Where programs are looked for, whatever the caller's `PATH` says.
const SEARCH: [&str; 2] = ["/usr/bin", "/usr/sbin"];
/// An empty directory of root's: no program finds settings of the caller in it.
const HOME: &str = "/run/bootc-image/home";
/// Where programs put temporary files. podman writes to it whatever `TMPDIR` says: what it loads is unpacked there.
const TEMPORARY: &str = "/var/tmp";
/// Where podman puts little ones. In its own mount namespace that is in memory, and ends with it: when it is interrupted it leaves
/// something behind whatever it does.
const IN_MEMORY: &str = "/run/bootc-image/tmp";
/// How much of a child's stderr is kept for an error.
const MAX_STDERR: u64 = 64 << 10;

/// How much of a child's stdout is taken for an answer: no manifest is larger.
pub const MAX_OUTPUT: u64 = 16 << 20;

/// Proxy variables that pass.
pub const PROXY_VARIABLES: [&str; 6] =
    ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

/// A program that we start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// podman, 4.3 or later.
    Podman,
    /// skopeo, 1.9 or later.
    Skopeo,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::Skopeo => "skopeo",
        }
    }

    /// Its path.
    ///
    /// # Errors
    /// [`Error::MissingProgram`].
    pub fn find(self) -> Result<PathBuf, Error> {
        let caller = std::env::var("PATH").ok().filter(|_| is_off("search")).unwrap_or_default();
        let directories = caller.split(':').filter(|path| !path.is_empty()).chain(SEARCH);
        let mut candidates = directories.map(|directory| Path::new(directory).join(self.name()));
        candidates.find(|path| is_executable(path)).ok_or_else(|| Error::MissingProgram {
            program: self.name(),
            package: self.name(),
            searched: SEARCH.join(", "),
        })
    }
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
}

/// A program of our own: it does what we don't do ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// What is heavy: libostree, and the compiler.
    Helper,
    /// What native extensions run in.
    Native,
}

impl Own {
    fn name(self) -> &'static str {
        match self {
            Self::Helper => "bootc-image-helper",
            Self::Native => "bootc-image-native",
        }
    }

    /// Its path: the first of these directories in which it is, if nobody but root can replace it.
    ///
    /// # Errors
    /// [`Error::MissingProgram`]; [`Error::UnsafeProgram`].
    pub fn find(self, directories: &[PathBuf]) -> Result<PathBuf, Error> {
        let candidates: Vec<PathBuf> =
            directories.iter().map(|directory| directory.join(self.name())).collect();
        let Some(path) = candidates.iter().find(|path| is_executable(path)) else {
            let searched = candidates.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
            return Err(Error::MissingProgram {
                program: self.name(),
                package: "bootc-image",
                searched: searched.join(", "),
            });
        };
        let path = fs::canonicalize(path).map_err(Error::io("examine", path))?;
        for part in path.ancestors() {
            let metadata = fs::symlink_metadata(part).map_err(Error::io("examine", part))?;
            let sticky_directory = metadata.is_dir() && metadata.mode() & 0o1000 != 0;
            if metadata.uid() != 0 || (metadata.mode() & 0o022 != 0 && !sticky_directory) {
                return Err(Error::UnsafeProgram(path));
            }
        }
        Ok(path)
    }
}

/// Has our helper compile the component in `component` to machine code in `code`, an empty file.
///
/// # Errors
/// [`Error::Child`] with what the compiler says; as [`Own::find`]; the system's.
pub fn compile(directories: &[PathBuf], component: &File, code: &File) -> Result<(), Error> {
    let mut child = Child::helper(directories)?;
    child.descriptor(component, 3)?.descriptor(code, 4)?;
    child.arg("compile");
    child.run_quietly()
}

/// The exit code of the helper if a component can't be compiled, whichever machine tries. Its own is in `host/helper`.
const UNCOMPILABLE: &str = "exit code 65";

/// Whether the compiler refused the component itself, and ran out of nothing.
pub fn is_uncompilable(error: &Error) -> bool {
    matches!(error, Error::Child { status, .. } if status == UNCOMPILABLE)
}

/// A write beyond the caller's limit on the size of files is an error from now on, and not the end of us.
pub fn survive_file_limits() {
    signals::survive_file_limits();
}

/// Lets every signal through that the caller of this process has blocked: one that asks us to end would never arrive, nor the
/// timer of plugins. What the caller ignores stays ignored.
pub fn unblock_signals() {
    signals::unblock();
}

/// Where the real bootc is.
const BOOTC: &str = "/usr/bin/bootc";

/// Turns this process into the real bootc, with the caller's environment: it is the caller who runs it, not we. Returns only
/// why that can't be.
pub fn become_bootc(arguments: impl Iterator<Item = OsString>) -> Error {
    let path = Path::new(BOOTC);
    let file = |path: &str| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    if !is_executable(path) || file(BOOTC) == file("/proc/self/exe") {
        return Error::MissingProgram { program: "bootc", package: "bootc", searched: BOOTC.to_owned() };
    }
    let source = Command::new(path).arg0("bootc").args(arguments).exec();
    Error::Io { what: "run", path: path.to_owned(), source }
}

/// A program about to be started.
#[derive(Debug)]
pub struct Child {
    name: &'static str,
    command: Command,
    descriptors: Vec<(OwnedFd, RawFd)>,
    mounts: Mounts,
    /// What it can't write to, so that it is empty for the next one as well.
    home: Option<&'static str>,
    temporary: Temporary,
}

/// Where a child's temporary files are.
#[derive(Debug)]
enum Temporary {
    /// Where its `TMPDIR` says.
    AsTold,
    /// At [`IN_MEMORY`].
    InMemory,
    /// In this directory, which it finds as [`TEMPORARY`].
    Directory(PathBuf),
}

/// What of our mounts a child shares.
#[derive(Debug)]
enum Mounts {
    /// All of them.
    Ours,
    /// Whatever it mounts ends with it: tools that use a storage leave mounts behind otherwise.
    Private,
    /// As `Private`, and it sees the directory at this path.
    Bound(OwnedFd, PathBuf),
}

impl Child {
    /// `program` with the environment that every child gets, and nothing on stdin. podman's temporary files
    /// are in memory: what needs more room is given a directory.
    ///
    /// # Errors
    /// [`Error::MissingProgram`]; the system's.
    pub fn new(program: Program, proxies: &[(&'static str, OsString)]) -> Result<Self, Error> {
        let mut child = Self::with_path(program.name(), &program.find()?, proxies)?;
        if !is_off("environment") {
            let home = empty_home()?;
            child.command.env("HOME", home);
            child.home = Some(home);
        }
        child.mounts = Mounts::Private;
        if program == Program::Podman {
            private_directory(Path::new(IN_MEMORY)).map_err(Error::io("create", IN_MEMORY))?;
            child.command.env("TMPDIR", IN_MEMORY);
            child.temporary = Temporary::InMemory;
        }
        Ok(child)
    }

    /// As [`Child::new`], for our helper, which has no use for a home.
    ///
    /// # Errors
    /// As [`Own::find`]; the system's.
    pub fn helper(directories: &[PathBuf]) -> Result<Self, Error> {
        Self::with_path(Own::Helper.name(), &Own::Helper.find(directories)?, &[])
    }

    fn with_path(
        name: &'static str,
        path: &Path,
        proxies: &[(&'static str, OsString)],
    ) -> Result<Self, Error> {
        let mut command = Command::new(path);
        if !is_off("environment") {
            command
                .env_clear()
                .env("PATH", SEARCH.join(":"))
                .env("LANG", "C.UTF-8")
                .env("TMPDIR", TEMPORARY)
                .envs(proxies.iter().map(|(name, value)| (name, value)));
        }
        if !is_off("directory") {
            command.current_dir("/");
        }
        command.stdin(Stdio::null());
        Ok(Self {
            name,
            command,
            descriptors: Vec::new(),
            mounts: Mounts::Ours,
            home: None,
            temporary: Temporary::AsTold,
        })
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl Into<OsString>) -> &mut Self {
        self.command.arg(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<A: Into<OsString>>(&mut self, args: impl IntoIterator<Item = A>) -> &mut Self {
        for arg in args {
            self.arg(arg);
        }
        self
    }

    /// Has it put its temporary files here: what it leaves when it is killed goes with the directory.
    pub fn temporary(&mut self, directory: &Path) -> &mut Self {
        self.command.env("TMPDIR", directory);
        self.temporary = Temporary::AsTold;
        self
    }

    /// Shows it this directory in the place of `/var/tmp`: whatever it leaves there when it ends goes with the directory. Only
    /// for a program with mounts of its own, and one that isn't to find there what others have.
    pub fn temporary_instead(&mut self, directory: &Path) -> &mut Self {
        self.command.env("TMPDIR", TEMPORARY);
        self.temporary = Temporary::Directory(directory.to_owned());
        self
    }

    /// Gives it an open file under this number.
    ///
    /// # Errors
    /// The system's.
    pub fn descriptor(&mut self, file: impl AsFd, number: RawFd) -> Result<&mut Self, Error> {
        // Far from the numbers that are given out, so that none overwrites another.
        let copy = rustix::io::fcntl_dupfd_cloexec(file.as_fd(), 64)
            .map_err(|error| Error::io("duplicate", format!("descriptor {number}"))(error.into()))?;
        self.descriptors.push((copy, number));
        Ok(self)
    }

    /// Gives it these credentials, in memory, as its only ones.
    ///
    /// # Errors
    /// The system's.
    pub fn credentials(&mut self, json: &[u8], number: RawFd) -> Result<&mut Self, Error> {
        let memory = memfd_create("auth.json", MemfdFlags::CLOEXEC)
            .map_err(|error| Error::io("create", "a file in memory")(error.into()))?;
        File::from(memory.try_clone().map_err(Error::io("duplicate", "a file in memory"))?)
            .write_all(json)
            .map_err(Error::io("write", "a file in memory"))?;
        self.command.env("REGISTRY_AUTH_FILE", format!("/proc/self/fd/{number}"));
        self.descriptor(memory, number)
    }

    /// Shows it `directory` at `target`, in a mount namespace of its own: nothing stays mounted.
    ///
    /// # Errors
    /// The system's.
    pub fn bind(&mut self, directory: impl AsFd, target: &Path) -> Result<&mut Self, Error> {
        let copy = rustix::io::fcntl_dupfd_cloexec(directory.as_fd(), 64)
            .map_err(|error| Error::io("duplicate", target)(error.into()))?;
        self.mounts = Mounts::Bound(copy, target.to_owned());
        Ok(self)
    }

    /// Runs it on our own stdin, stdout and stderr. Its end is the answer, whatever it is, unless we were asked to end.
    ///
    /// # Errors
    /// [`Error::Interrupted`]; the system's, if it can't be started.
    pub fn run_in_place(mut self) -> Result<ExitStatus, Error> {
        self.command.stdin(Stdio::inherit());
        self.run(&mut Running::wait)
    }

    /// As [`Child::run_in_place`], but it reads this instead of our own stdin.
    ///
    /// # Errors
    /// The system's, if it can't be started.
    pub fn run_in_place_reading(mut self, stdin: File) -> Result<ExitStatus, Error> {
        self.command.stdin(stdin);
        self.run(&mut Running::wait)
    }

    /// Runs it without output.
    ///
    /// # Errors
    /// [`Error::Child`] with the end of its stderr if it fails; [`Error::Interrupted`] if we were asked to end, however it
    /// ended; the system's, if it can't be started.
    pub fn run_quietly(mut self) -> Result<(), Error> {
        self.command.stdout(Stdio::null());
        self.run_to_success(&mut Running::wait)
    }

    /// As [`Child::run_quietly`], and `look` is called again and again while it runs. If that fails, so does all of it, and
    /// the child is asked to end.
    ///
    /// # Errors
    /// As [`Child::run_quietly`]; what `look` returns.
    pub fn run_watched<E: From<Error>>(
        mut self,
        look: &mut dyn FnMut(u32) -> Result<(), E>,
    ) -> Result<(), E> {
        self.command.stdout(Stdio::null());
        self.run_to_success(&mut |running| {
            loop {
                if running.has_ended(LOOK_EVERY)? {
                    return Ok(running.wait()?);
                }
                look(running.child.id())?;
            }
        })
    }

    /// As [`Child::run_quietly`], while `converse` writes to its stdin and reads its stdout, up to its end.
    ///
    /// # Errors
    /// What `converse` returns; as [`Child::run_quietly`].
    pub fn run_in_conversation<E: From<Error>>(
        mut self,
        converse: &mut dyn FnMut(ChildStdin, ChildStdout) -> Result<(), E>,
    ) -> Result<(), E> {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut said = Ok(());
        let ended = self.run_to_success(&mut |running| {
            if let (Some(stdin), Some(stdout)) = (running.child.stdin.take(), running.child.stdout.take()) {
                said = converse(stdin, stdout);
            }
            running.wait()
        });
        match ended {
            // What was heard of somebody who was interrupted doesn't count.
            Err(interrupted @ Error::Interrupted { .. }) => Err(interrupted.into()),
            ended => said.and(ended.map_err(E::from)),
        }
    }

    /// As [`Child::run_quietly`]; its stdout is the answer, up to [`MAX_OUTPUT`] bytes of it.
    ///
    /// # Errors
    /// As [`Child::run_quietly`].
    pub fn run_for_output(self) -> Result<Vec<u8>, Error> {
        let (name, mut said) = (self.name, Vec::new());
        self.run_in_conversation(&mut |_, stdout| {
            let read = stdout.take(MAX_OUTPUT).read_to_end(&mut said);
            read.map(drop).map_err(Error::io("read from", name))
        })?;
        Ok(said)
    }

    /// As [`Child::run_quietly`], also after we were asked to end, so that nothing is left behind: what asks us once more isn't
    /// told to it. For what takes a moment.
    ///
    /// # Errors
    /// As [`Child::run_quietly`], but for [`Error::Interrupted`].
    pub fn clean_up(mut self) -> Result<(), Error> {
        // What a terminal sends is for us.
        self.command.stdout(Stdio::null()).process_group(0);
        self.until_success(|child| {
            signals::hear_of_children().map_err(Error::io("handle", "signals"))?;
            child.prepare()?;
            child.log();
            child.command.status().map_err(Error::io("run", child.name))
        })
    }

    fn run_to_success<E: From<Error>>(
        self,
        attend: &mut dyn FnMut(&mut Running) -> Result<ExitStatus, E>,
    ) -> Result<(), E> {
        self.until_success(|child| child.run(attend))
    }

    fn until_success<E: From<Error>>(
        mut self,
        run: impl FnOnce(&mut Self) -> Result<ExitStatus, E>,
    ) -> Result<(), E> {
        let mut stderr = File::from(
            memfd_create("stderr", MemfdFlags::CLOEXEC)
                .map_err(|error| Error::io("create", "a file in memory")(error.into()))?,
        );
        let copy = stderr.try_clone().map_err(Error::io("duplicate", "a file in memory"))?;
        self.command.stderr(copy);
        let name = self.name;
        let status = run(&mut self)?;
        if status.success() {
            return Ok(());
        }
        let stderr = last_of(&mut stderr).unwrap_or_default();
        Err(Error::Child { program: name, status: describe(status), stderr }.into())
    }

    /// Starts it and attends to it. It has ended when this returns. If we were asked to end meanwhile, that is how it ended,
    /// whatever its status is: podman 4.3.1 exits with 0 after SIGTERM, with its work half done.
    fn run<E: From<Error>>(
        &mut self,
        attend: &mut dyn FnMut(&mut Running) -> Result<ExitStatus, E>,
    ) -> Result<ExitStatus, E> {
        heed_signals()?;
        check_not_asked_to_end()?;
        self.prepare()?;
        self.log();
        signals::starting();
        let child = self.command.spawn();
        signals::started(child.as_ref().ok().map(std::process::Child::id));
        let child = child.map_err(Error::io("run", self.name))?;
        let mut running = Running::new(child, self.name).inspect_err(|_| signals::child_ended())?;
        let result = attend(&mut running);
        if result.is_err() {
            running.end();
        }
        signals::child_ended();
        check_not_asked_to_end()?;
        result
    }

    fn log(&self) {
        let argv: Vec<_> = self.command.get_args().map(|arg| arg.to_string_lossy()).collect();
        tracing::debug!(program = self.name, argv = argv.join(" "), "starting");
    }

    /// What happens between fork and exec.
    #[allow(unsafe_code)]
    fn prepare(&mut self) -> Result<(), Error> {
        if !is_off("descriptors") {
            close_on_exec()?;
        }
        let descriptors = std::mem::take(&mut self.descriptors);
        let mounts = std::mem::replace(&mut self.mounts, Mounts::Ours);
        let (parent, home) = (rustix::process::getpid(), self.home);
        let temporary = std::mem::replace(&mut self.temporary, Temporary::AsTold);
        let ignored = signals::ignored_by_mistake();
        let enter = move || -> io::Result<()> {
            signals::reset(ignored)?;
            // If we are killed, nobody is left to clean up after it: it must not go on.
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            if rustix::process::getppid() != Some(parent) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            match &mounts {
                Mounts::Ours => {}
                Mounts::Private => be_private()?,
                Mounts::Bound(directory, target) => bind_privately(directory.as_fd(), target)?,
            }
            if let Some(home) = home {
                protect(home)?;
            }
            match &temporary {
                Temporary::AsTold => {}
                Temporary::InMemory => mount_memory(IN_MEMORY)?,
                Temporary::Directory(directory) => rustix::mount::mount_bind(directory, TEMPORARY)?,
            }
            for (file, number) in &descriptors {
                // SAFETY: the number is only written to; forgetting the wrapper leaves it open for the program.
                let mut slot = std::mem::ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(*number) });
                rustix::io::dup2(file, &mut slot)?;
            }
            Ok(())
        };
        // SAFETY: `enter` makes system calls on memory that exists already; it neither allocates nor locks.
        unsafe { self.command.pre_exec(enter) };
        Ok(())
    }
}

/// From now on what asks us to end only says so: whoever waits must ask [`check_not_asked_to_end`].
///
/// # Errors
/// The system's.
pub fn heed_signals() -> Result<(), Error> {
    signals::take_over().map_err(Error::io("handle", "signals"))
}

/// Nothing more is begun once we were asked to end.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn check_not_asked_to_end() -> Result<(), Error> {
    signals::asked_to_end().map_or(Ok(()), |signal| Err(Error::Interrupted { signal }))
}

/// How often a running child is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A child that runs.
struct Running {
    child: std::process::Child,
    process: OwnedFd,
    name: &'static str,
}

impl Running {
    fn new(mut child: std::process::Child, name: &'static str) -> Result<Self, Error> {
        match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(process) => Ok(Self { child, process, name }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(Error::io("attend to", name)(error.into()))
            }
        }
    }

    fn wait(&mut self) -> Result<ExitStatus, Error> {
        self.child.wait().map_err(Error::io("wait for", self.name))
    }

    /// Waits for its end, but not longer than `limit`.
    fn has_ended(&self, limit: Duration) -> Result<bool, Error> {
        let limit = Timespec { tv_sec: 0, tv_nsec: limit.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&self.process, PollFlags::IN)], Some(&limit)) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(Error::io("wait for", self.name)(error.into())),
        }
    }

    /// Asks it to end, and waits until it has.
    fn end(&mut self) {
        // It may have ended by itself.
        let _ = pidfd_send_signal(&self.process, Signal::TERM);
        let _ = self.child.wait();
    }
}

/// Whatever the caller has left open stays with us.
#[allow(unsafe_code)]
fn close_on_exec() -> Result<(), Error> {
    const OPEN: &str = "/proc/self/fd";
    for entry in fs::read_dir(OPEN).map_err(Error::io("read", OPEN))? {
        let entry = entry.map_err(Error::io("read", OPEN))?;
        let number: Option<RawFd> = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(number) = number.filter(|&number| number > 2) {
            // SAFETY: the descriptor is borrowed for one call that only sets a flag; if it is gone, that fails.
            let open = unsafe { BorrowedFd::borrow_raw(number) };
            match rustix::io::fcntl_setfd(open, FdFlags::CLOEXEC) {
                Ok(()) | Err(rustix::io::Errno::BADF) => {}
                Err(error) => return Err(Error::io("protect", OPEN)(error.into())),
            }
        }
    }
    Ok(())
}

/// The empty home directory, made if need be. What somebody has put there would be read by podman, so it must be empty.
fn empty_home() -> Result<&'static str, Error> {
    DirBuilder::new().recursive(true).mode(0o755).create(HOME).map_err(Error::io("create", HOME))?;
    let metadata = fs::symlink_metadata(HOME).map_err(Error::io("examine", HOME))?;
    let entries = fs::read_dir(HOME).map_err(Error::io("read", HOME))?.count();
    if !metadata.is_dir() || metadata.uid() != 0 || metadata.mode() & 0o022 != 0 || entries != 0 {
        let source = io::Error::other("it must be an empty directory that only root can write to");
        return Err(Error::Io { what: "use", path: HOME.into(), source });
    }
    Ok(HOME)
}

fn last_of(file: &mut File) -> io::Result<String> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_STDERR)))?;
    let mut bytes = Vec::new();
    file.take(MAX_STDERR).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "unknown end".to_owned(),
    }
}

/// The exit code that stands for a child's end: its own, or 128 + N for signal N.
pub fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}
