//! The only place where programs are started (D3.14): from an empty environment, found in fixed places, with no
//! descriptors but the ones they are given.

mod signals;

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::FdFlags;

use crate::error::Error;
use crate::mounts::bind_privately;

/// Where programs are looked for, whatever the caller's `PATH` says.
const SEARCH: [&str; 2] = ["/usr/bin", "/usr/sbin"];
/// An empty directory of root's: no program finds settings of the caller in it.
const HOME: &str = "/run/bootc-image/home";
/// How much of a child's stderr is kept for an error.
const MAX_STDERR: u64 = 64 << 10;

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
    /// ostree, 2022.6 or later; the exporter runs it.
    Ostree,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::Skopeo => "skopeo",
            Self::Ostree => "ostree",
        }
    }

    /// Its path.
    ///
    /// # Errors
    /// [`Error::MissingProgram`].
    pub fn find(self) -> Result<PathBuf, Error> {
        let candidates = SEARCH.iter().map(|directory| Path::new(directory).join(self.name()));
        candidates.into_iter().find(|path| is_executable(path)).ok_or_else(|| Error::MissingProgram {
            program: self.name(),
            package: self.name(),
            searched: SEARCH.join(", "),
        })
    }
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
}

/// Our own helper: the first of `candidates` that is there, if nobody but root can replace it.
///
/// # Errors
/// [`Error::MissingProgram`]; [`Error::UnsafeProgram`].
pub fn find_helper(candidates: &[PathBuf]) -> Result<PathBuf, Error> {
    let Some(path) = candidates.iter().find(|path| is_executable(path)) else {
        let searched =
            candidates.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        return Err(Error::MissingProgram {
            program: "bootc-image-helper",
            package: "bootc-image",
            searched,
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

/// A program about to be started.
#[derive(Debug)]
pub struct Child {
    name: &'static str,
    command: Command,
    descriptors: Vec<(OwnedFd, RawFd)>,
    bind: Option<(OwnedFd, PathBuf)>,
}

impl Child {
    /// `program` with the environment that every child gets, and nothing on stdin.
    ///
    /// # Errors
    /// [`Error::MissingProgram`]; the system's.
    pub fn new(program: Program, proxies: &[(&'static str, OsString)]) -> Result<Self, Error> {
        Self::with_path(program.name(), &program.find()?, proxies)
    }

    /// As [`Child::new`], for our helper.
    ///
    /// # Errors
    /// As [`find_helper`]; the system's.
    pub fn helper(candidates: &[PathBuf]) -> Result<Self, Error> {
        Self::with_path("bootc-image-helper", &find_helper(candidates)?, &[])
    }

    fn with_path(
        name: &'static str,
        path: &Path,
        proxies: &[(&'static str, OsString)],
    ) -> Result<Self, Error> {
        let mut command = Command::new(path);
        command
            .env_clear()
            .env("PATH", SEARCH.join(":"))
            .env("HOME", empty_home()?)
            .env("LANG", "C.UTF-8")
            .env("TMPDIR", "/var/tmp")
            .envs(proxies.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        Ok(Self { name, command, descriptors: Vec::new(), bind: None })
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
        self.bind = Some((copy, target.to_owned()));
        Ok(self)
    }

    /// Runs it on our own stdin, stdout and stderr. Its end is the answer, whatever it is.
    ///
    /// # Errors
    /// The system's, if it can't be started.
    pub fn run_in_place(mut self) -> Result<ExitStatus, Error> {
        self.command.stdin(Stdio::inherit());
        self.start_and_wait()
    }

    /// Runs it without output.
    ///
    /// # Errors
    /// [`Error::Child`] with the end of its stderr if it fails; the system's, if it can't be started.
    pub fn run_quietly(mut self) -> Result<(), Error> {
        let mut stderr = File::from(
            memfd_create("stderr", MemfdFlags::CLOEXEC)
                .map_err(|error| Error::io("create", "a file in memory")(error.into()))?,
        );
        let copy = stderr.try_clone().map_err(Error::io("duplicate", "a file in memory"))?;
        self.command.stdout(Stdio::null()).stderr(copy);
        let status = self.start_and_wait()?;
        if status.success() {
            return Ok(());
        }
        let stderr = last_of(&mut stderr).unwrap_or_default();
        Err(Error::Child { program: self.name, status: describe(status), stderr })
    }

    fn start_and_wait(&mut self) -> Result<ExitStatus, Error> {
        signals::take_over().map_err(Error::io("handle", "signals"))?;
        if let Some(signal) = signals::asked_to_end() {
            return Err(Error::Interrupted { signal });
        }
        self.prepare()?;
        self.log();
        let mut child = self.command.spawn().map_err(Error::io("run", self.name))?;
        signals::child_is(child.id());
        let status = child.wait();
        signals::child_ended();
        status.map_err(Error::io("wait for", self.name))
    }

    fn log(&self) {
        let argv: Vec<_> = self.command.get_args().map(|arg| arg.to_string_lossy()).collect();
        tracing::debug!(program = self.name, argv = argv.join(" "), "starting");
    }

    /// What happens between fork and exec.
    #[allow(unsafe_code)]
    fn prepare(&mut self) -> Result<(), Error> {
        close_on_exec()?;
        let descriptors = std::mem::take(&mut self.descriptors);
        let bind = self.bind.take();
        let enter = move || -> io::Result<()> {
            if let Some((directory, target)) = &bind {
                bind_privately(directory.as_fd(), target)?;
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

/// A directory of our own under `/var/tmp`, removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes one that only root can enter.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> Result<Self, Error> {
        let mut bytes = [0_u8; 8];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
            .map_err(|error| Error::io("read", "random bytes")(error.into()))?;
        let path = PathBuf::from(format!("/var/tmp/bootc-image.{:016x}", u64::from_ne_bytes(bytes)));
        DirBuilder::new().mode(0o700).create(&path).map_err(Error::io("create", &path))?;
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "can't remove");
        }
    }
}
