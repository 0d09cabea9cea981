//! The inside of a sandbox: `world-enter` starts itself again as process 1 of new namespaces, which builds the file
//! system, starts the services, runs the command and reaps what is left to it.
//!
//! Run as `world-enter hold-lock FILE` it holds a lock instead; see [`crate::faults::HeldLock`].

use std::fs;
use std::io::{self, BufRead, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_change,
    mount_remount, unmount,
};
use rustix::process::{WaitOptions, chdir, pivot_root, wait};
use rustix::thread::UnshareFlags;

use super::{Sandbox, Service, Step, inherited, loopback};

/// Where the machine's root is while the new one is furnished.
const OLD_ROOT: &str = "/run/old-root";

/// Exit code for trouble of our own, which no program under test uses.
const TROUBLE: u8 = 125;

pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ready = inherited::reset().context("making this process like any other");
    let code = ready.and_then(|()| match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => enter(),
        ["first-process"] => first_process(),
        ["hold-lock", file] => hold_lock(Path::new(file)),
        _ => Err(anyhow::anyhow!("not for use by hand")),
    });
    code.map_or_else(
        |error| {
            eprintln!("world-enter: {error:#}");
            ExitCode::from(TROUBLE)
        },
        |code| ExitCode::from(code as u8),
    )
}

/// Makes the namespaces. The next child is process 1 of the new one for processes.
fn enter() -> Result<i32> {
    #[expect(
        deprecated,
        reason = "its replacement is unsafe only for the flag FILES, which isn't used here"
    )]
    rustix::thread::unshare(UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWNET)
        .context("new namespaces (needs root)")?;
    let mut first = Command::new(std::env::current_exe()?);
    let status = first.arg("first-process").status().context("starting process 1")?;
    Ok(super::code(status))
}

fn first_process() -> Result<i32> {
    let mut request = String::new();
    io::stdin().lock().read_line(&mut request)?;
    let sandbox: Sandbox = serde_json::from_str(&request).context("the request")?;
    std::thread::spawn(exit_with_life_line);

    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .context("private mounts")?;
    loopback::bring_up().context("loopback")?;
    perform(&sandbox.mounts)?;
    if let Some(root) = &sandbox.root {
        change_root(root).with_context(|| format!("changing the root to {}", root.display()))?;
    }
    perform(&sandbox.furnishing)?;
    for service in &sandbox.services {
        start(service, &sandbox).with_context(|| format!("starting {:?}", service.command))?;
    }
    run_command(&sandbox)
}

/// Nobody is left who wants the result: the kernel ends the sandbox with its process 1.
fn exit_with_life_line() {
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    std::process::exit(i32::from(TROUBLE));
}

fn change_root(root: &Path) -> Result<()> {
    let old = root.join(OLD_ROOT.trim_start_matches('/'));
    fs::create_dir(&old)?;
    pivot_root(root, &old)?;
    chdir("/")?;
    unmount(OLD_ROOT, UnmountFlags::DETACH)?;
    Ok(fs::remove_dir(OLD_ROOT)?)
}

fn perform(steps: &[Step]) -> Result<()> {
    steps.iter().try_for_each(|step| perform_one(step).with_context(|| format!("{step:?}")))
}

fn perform_one(step: &Step) -> Result<()> {
    let no_flags = MountFlags::empty();
    match step {
        Step::Bind { from, to } => mount_bind(from, to)?,
        Step::BindTree { from, to } => mount_bind_recursive(from, to)?,
        Step::Tmpfs { to, mode } => {
            mount("tmpfs", to, "tmpfs", no_flags, Some(&*c_string(format!("mode={mode:o}"))?))?
        }
        Step::Proc { to } => mount("proc", to, "proc", no_flags, None)?,
        Step::Overlay { lower, upper, work, to } => {
            let lower = lower.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(":");
            let options = format!("lowerdir={lower},upperdir={},workdir={}", upper.display(), work.display());
            mount("overlay", to, "overlay", no_flags, Some(&*c_string(options)?))?;
        }
        Step::ReadOnly { path } => mount_remount(path, MountFlags::BIND | MountFlags::RDONLY, c"")?,
        Step::Directory { path } => fs::create_dir_all(path)?,
        Step::File { path, content, mode } => write_file(path, content, *mode)?,
        Step::Link { path, target } => symlink(target, path)?,
        Step::Remove { path } => fs::remove_file(path)?,
    }
    Ok(())
}

fn c_string(text: String) -> Result<std::ffi::CString> {
    Ok(std::ffi::CString::new(text)?)
}

fn write_file(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    fs::create_dir_all(path.parent().context("a file is in a directory")?)?;
    fs::write(path, content)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

fn start(service: &Service, sandbox: &Sandbox) -> Result<()> {
    let log = fs::File::create(&service.log)?;
    command(&service.command, sandbox)?.stdout(log.try_clone()?).stderr(log).spawn()?;
    let Some(port) = service.port else { return Ok(()) };
    let deadline = Instant::now() + Duration::from_secs(20);
    while !answers(port) {
        if Instant::now() > deadline {
            bail!("no answer on port {port}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn answers(port: u16) -> bool {
    let mut answer = [0; 5];
    TcpStream::connect(("127.0.0.1", port))
        .and_then(|mut stream| {
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            stream.read_exact(&mut answer)
        })
        .is_ok_and(|()| answer == *b"HTTP/")
}

fn run_command(sandbox: &Sandbox) -> Result<i32> {
    let mut command = command(&sandbox.command, sandbox)?;
    if let Some(user) = sandbox.user {
        command.uid(user).gid(user);
    }
    let child = match command.spawn() {
        Ok(child) => child.id() as i32,
        // As a shell would answer.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(127),
        Err(error) => return Err(error).with_context(|| format!("starting {:?}", sandbox.command)),
    };
    loop {
        let (pid, status) = wait(WaitOptions::empty())?.context("there is a child to wait for")?;
        if pid.as_raw_nonzero().get() == child {
            let signalled = status.terminating_signal().map(|signal| 128 + signal);
            return status.exit_status().or(signalled).context("an ended process has one of them");
        }
    }
}

fn command(argv: &[String], sandbox: &Sandbox) -> Result<Command> {
    let [program, arguments @ ..] = argv else { bail!("an empty command") };
    let mut command = Command::new(find(program, sandbox));
    command.arg0(program).args(arguments).env_clear().envs(sandbox.environment.iter().cloned());
    command.stdin(Stdio::null());
    Ok(command)
}

/// Looks a program up in the `PATH` of the sandbox, not in our own.
fn find(program: &str, sandbox: &Sandbox) -> PathBuf {
    let path = sandbox.environment.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
    let on_path = |directory| Path::new(directory).join(program);
    let found = path.split(':').map(on_path).find(|candidate| !program.contains('/') && candidate.exists());
    found.unwrap_or_else(|| program.into())
}

/// Holds a POSIX write lock on the whole file until its standard input ends.
fn hold_lock(file: &Path) -> Result<i32> {
    let file = fs::OpenOptions::new().read(true).write(true).open(file)?;
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(error) = fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        if Instant::now() > deadline {
            return Err(error).context("somebody else holds it");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("held");
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    Ok(0)
}
