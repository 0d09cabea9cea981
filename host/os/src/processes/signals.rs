//! Signals that ask us to terminate: while a process runs they are forwarded to it, and once it has exited we clean up, write the
//! audit record, and exit.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, sigaction};
use rustix::process::{Pid, Signal, getpid, kill_process};
use signal_hook_registry::register_sigaction;

use crate::error::Error;

/// The running process, 0 if there is none.
static CHILD: AtomicI32 = AtomicI32::new(0);
/// The signal that asked us to terminate, 0 if there was none.
static TERMINATION: AtomicI32 = AtomicI32::new(0);

/// Whether a process is being started: it may run already, but no signal can be forwarded before its id is known.
static STARTING: AtomicBool = AtomicBool::new(false);
/// Whether a stop signal arrived while a process was being started.
static STOPPED_AT_START: AtomicBool = AtomicBool::new(false);

/// The signals that ask a program to terminate.
const SIGNALS: [Signal; 4] = [Signal::INT, Signal::QUIT, Signal::TERM, Signal::HUP];
/// The signals that suspend a program and resume it.
const STOP: Signal = Signal::TSTP;
const CONTINUE: Signal = Signal::CONT;
/// Signals that stay ignored in the programs that we start if our caller ignores them, as `nohup` does or a shell for a background
/// job. Any other ignored signal would only confuse those programs.
const KEPT_IGNORED: [Signal; 7] =
    [Signal::INT, Signal::QUIT, Signal::TERM, Signal::HUP, STOP, Signal::TTIN, Signal::TTOU];
/// The `si_code` of a signal from the kernel, such as one from the terminal, which the process has received as well.
const SI_KERNEL: i32 = 0x80;

/// From now on a signal that asks us to terminate is only recorded: every loop that waits must call [`check_interrupted`].
///
/// # Errors
/// Any I/O error.
pub fn record_signals() -> Result<(), Error> {
    install_handlers().map_err(Error::io("handle", "signals"))
}

/// Fails if a signal has asked us to terminate, so that nothing new is started.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn check_interrupted() -> Result<(), Error> {
    termination_signal().map_or(Ok(()), |signal| Err(Error::Interrupted { signal }))
}

/// Installs the handlers: only SIGKILL terminates us while a process runs. Signals that our caller ignores stay ignored.
#[allow(unsafe_code)]
fn install_handlers() -> io::Result<()> {
    static DONE: Once = Once::new();
    once(&DONE, || {
        handle_sigchld()?;
        let ignored = ignored();
        if !has(ignored, STOP) {
            forward_stop_and_continue()?;
        }
        let mut heeded = SIGNALS.into_iter().filter(|signal| !has(ignored, *signal));
        heeded.try_for_each(|signal| {
            // SAFETY: the handler stores to an atomic and makes one system call.
            let registered = unsafe {
                register_sigaction(signal.as_raw(), move |info| {
                    TERMINATION.store(signal.as_raw(), Ordering::SeqCst);
                    if info.si_code != SI_KERNEL {
                        forward_signal(signal);
                    }
                })
            };
            registered.map(drop)
        })
    })
}

/// The result of something that is done once, however often it is requested.
type Once = OnceLock<Result<(), io::ErrorKind>>;

fn once(done: &Once, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    done.get_or_init(|| work().map_err(|error| error.kind())).map_err(io::Error::from)
}

/// An ignored SIGCHLD is inherited from the caller, and with it no exit status could be waited for.
#[allow(unsafe_code)]
pub(super) fn handle_sigchld() -> io::Result<()> {
    static DONE: Once = Once::new();
    // SAFETY: the handler does nothing.
    once(&DONE, || unsafe { register_sigaction(Signal::CHILD.as_raw(), |_| {}) }.map(drop))
}

/// From now on a write beyond the caller's file size limit fails instead of killing us with SIGXFSZ.
#[allow(unsafe_code)]
pub fn survive_file_limits() {
    // SAFETY: the handler does nothing. Without it everything is as before.
    let _ = unsafe { register_sigaction(Signal::XFSZ.as_raw(), |_| {}) };
}

/// Forwards SIGTSTP and SIGCONT to the process, unless the terminal sent them, because then it has received them already.
#[allow(unsafe_code)]
fn forward_stop_and_continue() -> io::Result<()> {
    // SAFETY: the handlers make system calls only.
    unsafe {
        register_sigaction(STOP.as_raw(), move |info| {
            if info.si_code != SI_KERNEL {
                if STARTING.load(Ordering::SeqCst) {
                    STOPPED_AT_START.store(true, Ordering::SeqCst);
                    return;
                }
                forward_signal(STOP);
            }
            let _ = kill_process(getpid(), Signal::STOP);
        })?;
        register_sigaction(CONTINUE.as_raw(), move |info| {
            if info.si_code != SI_KERNEL {
                forward_signal(CONTINUE);
            }
        })?;
    }
    Ok(())
}

/// Unblocks every signal that our caller has blocked: otherwise neither a request to terminate nor the timer of plugins would
/// arrive. Ignored signals stay ignored.
pub fn unblock_signals() {
    // It cannot fail with a valid set of signals.
    let _ = SigSet::empty().thread_set_mask();
}

/// The signals that we ignore but the programs that we start must not, as a bit mask.
pub(super) fn ignored_by_mistake() -> u64 {
    KEPT_IGNORED.into_iter().fold(ignored(), |ignored, signal| ignored & !bit(signal))
}

/// Between fork and exec: unblocks all signals, and resets the given ones to their default actions. The exec itself resets those
/// that we handle.
#[allow(unsafe_code)]
pub(super) fn reset(ignored: u64) -> io::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in nix::sys::signal::Signal::iterator() {
        if ignored >> (signal as i32 - 1) & 1 == 1 {
            // SAFETY: no handler is set.
            unsafe { sigaction(signal, &default) }?;
        }
    }
    SigSet::empty().thread_set_mask()?;
    Ok(())
}

fn bit(signal: Signal) -> u64 {
    1 << (signal.as_raw() - 1)
}

fn has(set: u64, signal: Signal) -> bool {
    set & bit(signal) != 0
}

/// The ignored signals as a bit mask; 0 if `/proc` cannot be read.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn forward_signal(signal: Signal) {
    if let Some(child) = Pid::from_raw(CHILD.load(Ordering::SeqCst)) {
        // It may have exited already.
        let _ = kill_process(child, signal);
    }
}

/// The signal that asked us to terminate, if any.
fn termination_signal() -> Option<i32> {
    Some(TERMINATION.load(Ordering::SeqCst)).filter(|&signal| signal != 0)
}

/// A process is about to be started. [`started`] must follow.
pub(super) fn starting() {
    STARTING.store(true, Ordering::SeqCst);
}

/// The process was started, or could not be (`None`). From now on signals are forwarded to it; one that arrived meanwhile is
/// forwarded now.
pub(super) fn started(pid: Option<u32>) {
    CHILD.store(pid.map_or(0, u32::cast_signed), Ordering::SeqCst);
    STARTING.store(false, Ordering::SeqCst);
    if STOPPED_AT_START.swap(false, Ordering::SeqCst) {
        let _ = kill_process(getpid(), STOP);
    }
    if let Some(signal) = SIGNALS.into_iter().find(|signal| Some(signal.as_raw()) == termination_signal()) {
        forward_signal(signal);
    }
}

/// No process runs any more.
pub(super) fn process_ended() {
    CHILD.store(0, Ordering::SeqCst);
}
