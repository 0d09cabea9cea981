//! The limits of this process. The host enforces the limit for elapsed time.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bootc_image_native_protocol::Load;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

/// The most open file descriptors.
const DESCRIPTORS: u64 = 256;
/// `CLONE_THREAD`: `clone` creates a thread and not a process.
const CLONE_THREAD: u64 = 0x10000;
/// System calls that create processes or execute a program, by number. Those above `X32` are for programs with 32-bit pointers.
#[cfg(target_arch = "x86_64")]
const REFUSED: &[i64] = &[57, 58, 59, 322, X32 + 57, X32 + 58, X32 + 59, X32 + 322, X32 + 520, X32 + 545];
#[cfg(target_arch = "x86_64")]
const CLONE: &[i64] = &[56, X32 + 56];
#[cfg(target_arch = "x86_64")]
const CLONE3: &[i64] = &[435, X32 + 435];
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;
#[cfg(target_arch = "aarch64")]
const REFUSED: &[i64] = &[221, 281];
#[cfg(target_arch = "aarch64")]
const CLONE: &[i64] = &[220];
#[cfg(target_arch = "aarch64")]
const CLONE3: &[i64] = &[435];
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// Whether a file descriptor is open.
pub(crate) fn is_open(number: RawFd) -> bool {
    fcntl(number, FcntlArg::F_GETFD).is_ok()
}

/// The time that this process gets to exit after the host has closed the socket.
const GRACE: Duration = Duration::from_millis(500);
/// The stack size of the thread that enforces this.
const STACK: usize = 64 << 10;

/// Aborts this process when the host has closed the socket, whatever the process is doing. `PR_SET_PDEATHSIG` is not sufficient: the
/// kernel clears it if an extension changes its credentials.
pub(crate) fn exit_with_host(socket: &UnixStream) -> io::Result<()> {
    let socket = socket.as_raw_fd();
    let wait = move || {
        // SAFETY: the descriptor is only polled, and nothing in this program closes it.
        #[allow(unsafe_code)]
        let socket = unsafe { BorrowedFd::borrow_raw(socket) };
        let mut hang_up = [PollFd::new(socket, PollFlags::POLLHUP)];
        while poll(&mut hang_up, PollTimeout::NONE) == Err(Errno::EINTR) {}
        std::thread::sleep(GRACE);
        std::process::abort();
    };
    // Signals are delivered to the extension's threads and not to this one.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let spawned = std::thread::Builder::new().stack_size(STACK).spawn(wait).map(drop);
    before.thread_set_mask()?;
    spawned
}

/// Resets signals that the caller ignores or blocks to their default actions. A crash ends the process at once, without Rust's
/// handler for stack overflows.
fn reset_signals() -> nix::Result<()> {
    for signal in Signal::iterator().filter(|signal| !UNCHANGED.contains(signal)) {
        // SAFETY: no handler is set.
        #[allow(unsafe_code)]
        unsafe {
            sigaction(signal, &SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty()))?;
        }
    }
    SigSet::empty().thread_set_mask()
}

/// Signals whose action cannot be changed, and SIGPIPE, which is ignored so that writing fails with `EPIPE`.
const UNCHANGED: &[Signal] = &[Signal::SIGKILL, Signal::SIGSTOP, Signal::SIGPIPE];

/// Limits this process. The extension cannot undo the limits, except with root's privileges.
pub(crate) fn apply(load: &Load) -> Result<(), String> {
    fn failed<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> String {
        move |error| format!("{what}: {error}")
    }
    reset_signals().map_err(failed("cannot reset signal handling"))?;
    limit(Resource::RLIMIT_CORE, 0).map_err(failed("cannot disable core files"))?;
    limit(Resource::RLIMIT_NOFILE, DESCRIPTORS).map_err(failed("cannot limit open files"))?;
    limit(Resource::RLIMIT_AS, load.address_space).map_err(failed("cannot limit memory"))?;
    allow_processor_time(load.processor_seconds).map_err(failed("cannot limit processor time"))?;
    forbid_processes().map_err(|error| format!("cannot forbid new processes: {error}"))
}

/// Sets the soft and the hard limit; lower limits are kept.
fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let (current, maximum) = getrlimit(resource)?;
    Ok(setrlimit(resource, current.min(most), maximum.min(most))?)
}

/// Allows this many seconds of processor time from now on, rounded up because the kernel counts whole seconds. Called for each
/// request.
pub(crate) fn allow_processor_time(seconds: u64) -> io::Result<()> {
    let used = getrusage(UsageWho::RUSAGE_SELF)?;
    let used = used.user_time().tv_sec() + used.system_time().tv_sec();
    // Both times were rounded down.
    let most = u64::try_from(used).unwrap_or(u64::MAX).saturating_add(2).saturating_add(seconds);
    let (_, maximum) = getrlimit(Resource::RLIMIT_CPU)?;
    Ok(setrlimit(Resource::RLIMIT_CPU, most.min(maximum), maximum)?)
}

/// Forbids new processes: they would outlive this one and its time limits.
fn forbid_processes() -> Result<(), seccompiler::Error> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let is_process =
        SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(CLONE_THREAD), 0)?;
    let is_process = SeccompRule::new(vec![is_process])?;
    let mut refused: Vec<(i64, Vec<SeccompRule>)> =
        REFUSED.iter().map(|&number| (number, Vec::new())).collect();
    refused.extend(CLONE.iter().map(|&number| (number, vec![is_process.clone()])));
    // The filter cannot check the arguments of `clone3`, which are in memory. With ENOSYS, the C library falls back to `clone`.
    let unknown = CLONE3.iter().map(|&number| (number, Vec::new())).collect();
    for (rules, error) in [(refused, EPERM), (unknown, ENOSYS)] {
        let filter = SeccompFilter::new(
            rules.into_iter().collect(),
            SeccompAction::Allow,
            SeccompAction::Errno(error),
            arch,
        )?;
        let program = BpfProgram::try_from(filter)?;
        apply_filter(&program)?;
    }
    Ok(())
}
