//! One system call of a whole family of processes fails, or is where one of them is killed or asked to end: `faulty CLASS N
//! FAULT REPORT -- COMMAND`. The calls of all processes are counted together, in the order in which they are made, which strace can't do;
//! so that every one of them can be hit in turn.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use libseccomp::{
    ScmpAction, ScmpFilterContext, ScmpNotifReq, ScmpNotifResp, ScmpNotifRespFlags, ScmpSyscall,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, PidfdGetfdFlags, Signal, WaitOptions, kill_process, kill_process_group, pidfd_getfd,
    pidfd_open, waitpid,
};
use serde::{Deserialize, Serialize};

/// A class of calls at which something can go wrong between two states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    pub name: &'static str,
    calls: &'static [&'static str],
    /// Only calls on files count; the first argument is the descriptor.
    on_files: bool,
}

pub const CLASSES: [Class; 6] = [
    Class {
        name: "write",
        calls: &["write", "pwrite64", "writev", "pwritev", "copy_file_range", "ftruncate"],
        on_files: true,
    },
    Class { name: "fsync", calls: &["fsync", "fdatasync", "sync_file_range", "syncfs"], on_files: false },
    Class { name: "rename", calls: &["rename", "renameat", "renameat2"], on_files: false },
    Class { name: "unlink", calls: &["unlink", "unlinkat", "rmdir"], on_files: false },
    Class { name: "execve", calls: &["execve", "execveat"], on_files: false },
    Class { name: "mount", calls: &["mount", "umount2"], on_files: false },
];

/// All of the above and what comes between: wherever an operation can be.
pub const EVERYWHERE: Class = Class {
    name: "everywhere",
    calls: &[
        "write",
        "pwrite64",
        "writev",
        "pwritev",
        "copy_file_range",
        "ftruncate",
        "fsync",
        "fdatasync",
        "sync_file_range",
        "syncfs",
        "rename",
        "renameat",
        "renameat2",
        "unlink",
        "unlinkat",
        "rmdir",
        "execve",
        "execveat",
        "mount",
        "umount2",
        "openat",
        "openat2",
        "mkdirat",
        "clone",
        "clone3",
        "vfork",
        "connect",
        "fcntl",
        "flock",
        "wait4",
        "waitid",
        "exit_group",
    ],
    on_files: false,
};

/// What happens at the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process that makes it is killed before it is made.
    Kill,
    /// It isn't made, and fails.
    Error(&'static str, i32),
    /// The command gets this signal before it is made, and goes on.
    Signal(&'static str, Signal, To),
}

/// Who is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// The command alone, as by `kill`.
    Command,
    /// It and its processes, as by a terminal or a service manager.
    All,
}

pub const FAULTS: [Fault; 4] =
    [Fault::Kill, Fault::Error("EIO", 5), Fault::Error("ENOSPC", 28), Fault::Error("EPERM", 1)];

/// Everything that asks a program to end, each way.
pub const SIGNALS: [Fault; 8] = [
    Fault::Signal("INT", Signal::INT, To::Command),
    Fault::Signal("INT-all", Signal::INT, To::All),
    Fault::Signal("TERM", Signal::TERM, To::Command),
    Fault::Signal("TERM-all", Signal::TERM, To::All),
    Fault::Signal("HUP", Signal::HUP, To::Command),
    Fault::Signal("HUP-all", Signal::HUP, To::All),
    Fault::Signal("QUIT", Signal::QUIT, To::Command),
    Fault::Signal("QUIT-all", Signal::QUIT, To::All),
];

impl Fault {
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Error(name, _) | Self::Signal(name, ..) => name,
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// How many calls of the class were made.
    pub calls: usize,
    /// Which one was hit: program, call and file.
    pub hit: Option<String>,
    /// Whether a process that the command has started was still there long after its end.
    #[serde(default)]
    pub left: bool,
}

/// The program `faulty`.
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["inside", class, "--", command @ ..] => inside(class, command),
        [class, index, fault, report, "--", command @ ..] => supervise(class, index, fault, report, command),
        _ => Err(anyhow::anyhow!("usage: faulty CLASS N FAULT REPORT -- COMMAND")),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("faulty: {error:#}");
            ExitCode::from(125)
        }
    }
}

fn class(name: &str) -> Result<Class> {
    let classes = CLASSES.into_iter().chain([EVERYWHERE]);
    classes.into_iter().find(|class| class.name == name).context("unknown class")
}

/// Becomes the command, under a filter that asks the supervisor at each call.
fn inside(name: &str, command: &[&str]) -> Result<u8> {
    let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
    filter.set_ctl_nnp(false)?;
    for call in class(name)?.calls {
        filter.add_rule(ScmpAction::Notify, ScmpSyscall::from_name(call)?)?;
    }
    filter.load()?;
    // Until the supervisor has the descriptor to answer on.
    kill_process(rustix::process::getpid(), Signal::STOP)?;
    let [program, rest @ ..] = command else { bail!("no command") };
    Err(Command::new(program).args(rest).exec().into())
}

fn supervise(name: &str, index: &str, fault: &str, report: &str, command: &[&str]) -> Result<u8> {
    let class = class(name)?;
    let index: usize = index.parse()?;
    let mut faults = FAULTS.into_iter().chain(SIGNALS);
    let fault = faults.find(|known| known.name() == fault).context("unknown fault")?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["inside", name, "--"])
        .args(command)
        // So that a signal can be sent to all of them, and not to us.
        .process_group(0)
        .spawn()
        .context("starting the command")?;
    let command = Pid::from_child(&child);
    let listener = listener_of(&child)?;
    let mut outcome = Report::default();
    let mut code = None;
    let mut last_exit = Instant::now();
    loop {
        let wait = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        let mut ready = [PollFd::new(&listener, PollFlags::IN)];
        let events = match poll(&mut ready, Some(&wait)) {
            Ok(_) => ready[0].revents(),
            Err(rustix::io::Errno::INTR) => PollFlags::empty(),
            Err(error) => return Err(error.into()),
        };
        if events.contains(PollFlags::IN) {
            answer(&listener, class, index, fault, command, &mut outcome);
            continue;
        }
        if code.is_none() {
            code = child.try_wait()?.map(crate::sandbox::code);
            last_exit = Instant::now();
        }
        // Nobody uses the filter any more; or somebody has been left over who never ends.
        if code.is_some()
            && (events.contains(PollFlags::HUP) || last_exit.elapsed() > Duration::from_secs(10))
        {
            outcome.left = !events.contains(PollFlags::HUP);
            break;
        }
    }
    fs::write(report, serde_json::to_vec(&outcome)?)?;
    Ok(code.unwrap_or(1) as u8)
}

/// The descriptor of the child's filter, which the child stops to hand over.
fn listener_of(child: &Child) -> Result<OwnedFd> {
    let pid = Pid::from_child(child);
    let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED)?.context("the child stops")?;
    if !status.stopped() {
        bail!("the filter can't be loaded");
    }
    let descriptors = fs::read_dir(format!("/proc/{}/fd", child.id()))?;
    let number = descriptors.flatten().find_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?;
        let is_it = target.to_string_lossy().contains("seccomp notify");
        is_it.then(|| entry.file_name().to_str()?.parse().ok())?
    });
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let listener =
        pidfd_getfd(process, number.context("the filter's descriptor")?, PidfdGetfdFlags::empty())?;
    kill_process(pid, Signal::CONT)?;
    Ok(listener)
}

fn answer(listener: &OwnedFd, class: Class, index: usize, fault: Fault, command: Pid, outcome: &mut Report) {
    // Whoever asked may have been killed meanwhile.
    let Ok(request) = ScmpNotifReq::receive(listener.as_raw_fd()) else { return };
    let proceed = ScmpNotifResp::new_continue(request.id, ScmpNotifRespFlags::empty());
    let file = descriptor(request.pid, request.data.args[0]);
    if class.on_files && !is_file(&file) {
        let _ = proceed.respond(listener.as_raw_fd());
        return;
    }
    let now = outcome.calls;
    outcome.calls += 1;
    let response = if now != index {
        proceed
    } else {
        let program = fs::read_to_string(format!("/proc/{}/comm", request.pid)).unwrap_or_default();
        let call = request.data.syscall.get_name().unwrap_or_default();
        let file = if class.on_files { file } else { String::new() };
        outcome.hit = Some(format!("{} {call} {file}", program.trim_end()));
        match fault {
            Fault::Kill => {
                if let Some(pid) = Pid::from_raw(request.pid as i32) {
                    let _ = kill_process(pid, Signal::KILL);
                }
                return;
            }
            Fault::Signal(_, signal, to) => {
                // It may have ended.
                let _ = match to {
                    To::Command => kill_process(command, signal),
                    To::All => kill_process_group(command, signal),
                };
                proceed
            }
            Fault::Error(_, number) => {
                ScmpNotifResp::new_error(request.id, -number, ScmpNotifRespFlags::empty())
            }
        }
    };
    let _ = response.respond(listener.as_raw_fd());
}

fn descriptor(process: u32, number: u64) -> String {
    let link = fs::read_link(format!("/proc/{process}/fd/{}", number as i32));
    link.map(|path| path.display().to_string()).unwrap_or_default()
}

fn is_file(path: &str) -> bool {
    let path = Path::new(path);
    path.is_absolute()
        && !["/dev", "/proc", "/sys"].iter().any(|other| path.starts_with(other))
        && !path.display().to_string().starts_with("/memfd:")
}
