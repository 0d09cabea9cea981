//! What asks us to end is the child's to obey while one runs; then we clean up, record, and end ourselves.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, sigaction};
use rustix::process::{Pid, Signal, getpid, kill_process};
use signal_hook_registry::register_sigaction;

use crate::error::Error;

/// The child that runs, 0 if none does.
static CHILD: AtomicI32 = AtomicI32::new(0);
/// The signal that asked us to end, 0 if none has.
static ASKED: AtomicI32 = AtomicI32::new(0);

/// Whether a child is being started: it may run already, and can't be told anything before its number is known.
static STARTING: AtomicBool = AtomicBool::new(false);
/// Whether somebody stopped us meanwhile.
static STOPPED_AT_START: AtomicBool = AtomicBool::new(false);

/// What asks a program to end.
const SIGNALS: [Signal; 4] = [Signal::INT, Signal::QUIT, Signal::TERM, Signal::HUP];
/// What stops a program, and what lets it go on.
const STOP: Signal = Signal::TSTP;
const GO_ON: Signal = Signal::CONT;
/// What a caller that starts a program in the background, or has it outlive a terminal, ignores on its behalf and on that of all that it
/// starts. Anything else that a caller ignores would only confuse the tools.
const LEFT_IGNORED: [Signal; 7] =
    [Signal::INT, Signal::QUIT, Signal::TERM, Signal::HUP, STOP, Signal::TTIN, Signal::TTOU];
/// `si_code` of a signal that the kernel itself sent: the terminal's, which the child has got as well.
const SI_KERNEL: i32 = 0x80;

/// From now on what asks us to end only says so: whoever waits must ask [`check_not_asked_to_end`].
///
/// # Errors
/// The system's.
pub fn heed_signals() -> Result<(), Error> {
    take_over().map_err(Error::io("handle", "signals"))
}

/// Nothing more is begun once we were asked to end.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn check_not_asked_to_end() -> Result<(), Error> {
    asked_to_end().map_or(Ok(()), |signal| Err(Error::Interrupted { signal }))
}

/// From now on nothing but SIGKILL ends us while a child runs. What our caller wants ignored, as nohup does, stays ignored.
#[allow(unsafe_code)]
fn take_over() -> io::Result<()> {
    static DONE: Once = Once::new();
    once(&DONE, || {
        hear_of_children()?;
        let ignored = ignored();
        if !has(ignored, STOP) {
            stop_together()?;
        }
        let mut heeded = SIGNALS.into_iter().filter(|signal| !has(ignored, *signal));
        heeded.try_for_each(|signal| {
            // SAFETY: the handler stores to an atomic and makes one system call.
            let registered = unsafe {
                register_sigaction(signal.as_raw(), move |info| {
                    ASKED.store(signal.as_raw(), Ordering::SeqCst);
                    if info.si_code != SI_KERNEL {
                        send_to_child(signal);
                    }
                })
            };
            registered.map(drop)
        })
    })
}

/// What was done, or why it couldn't be, however often it is asked for.
type Once = OnceLock<Result<(), io::ErrorKind>>;

fn once(done: &Once, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    done.get_or_init(|| work().map_err(|error| error.kind())).map_err(io::Error::from)
}

/// A caller who ignores the end of children would have us do so too, and we would never hear how one ended.
#[allow(unsafe_code)]
pub(super) fn hear_of_children() -> io::Result<()> {
    static DONE: Once = Once::new();
    // SAFETY: the handler does nothing.
    once(&DONE, || unsafe { register_sigaction(Signal::CHILD.as_raw(), |_| {}) }.map(drop))
}

/// A write beyond the caller's limit on the size of files is an error from now on, and not the end of us.
#[allow(unsafe_code)]
pub fn survive_file_limits() {
    // SAFETY: the handler does nothing. Without it everything is as before.
    let _ = unsafe { register_sigaction(Signal::XFSZ.as_raw(), |_| {}) };
}

/// Whoever stops us, or lets us go on, means the child too; the terminal has told it already.
#[allow(unsafe_code)]
fn stop_together() -> io::Result<()> {
    // SAFETY: the handlers make system calls only.
    unsafe {
        register_sigaction(STOP.as_raw(), move |info| {
            if info.si_code != SI_KERNEL {
                if STARTING.load(Ordering::SeqCst) {
                    STOPPED_AT_START.store(true, Ordering::SeqCst);
                    return;
                }
                send_to_child(STOP);
            }
            let _ = kill_process(getpid(), Signal::STOP);
        })?;
        register_sigaction(GO_ON.as_raw(), move |info| {
            if info.si_code != SI_KERNEL {
                send_to_child(GO_ON);
            }
        })?;
    }
    Ok(())
}

/// Lets every signal through that the caller of this process has blocked: one that asks us to end would never arrive, nor the
/// timer of plugins. What the caller ignores stays ignored.
pub fn unblock_signals() {
    // It fails for no set of signals that there is.
    let _ = SigSet::empty().thread_set_mask();
}

/// The signals that a program which we start must not ignore though we do, a bit each.
pub(super) fn ignored_by_mistake() -> u64 {
    LEFT_IGNORED.into_iter().fold(ignored(), |ignored, signal| ignored & !bit(signal))
}

/// Between fork and exec: no signal is held back, and these get their default actions. Those that we handle get them by the
/// exec itself.
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

/// The signals that are ignored, a bit each; none if the kernel doesn't tell.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn send_to_child(signal: Signal) {
    if let Some(child) = Pid::from_raw(CHILD.load(Ordering::SeqCst)) {
        // It may have ended by itself.
        let _ = kill_process(child, signal);
    }
}

/// The signal that asked us to end, if one has: then nothing new is started.
fn asked_to_end() -> Option<i32> {
    Some(ASKED.load(Ordering::SeqCst)).filter(|&signal| signal != 0)
}

/// A child is about to be started. [`started`] must follow.
pub(super) fn starting() {
    STARTING.store(true, Ordering::SeqCst);
}

/// It was started, or couldn't be. Says which child gets what comes; one that came while it was being started is passed on now.
pub(super) fn started(pid: Option<u32>) {
    CHILD.store(pid.map_or(0, u32::cast_signed), Ordering::SeqCst);
    STARTING.store(false, Ordering::SeqCst);
    if STOPPED_AT_START.swap(false, Ordering::SeqCst) {
        let _ = kill_process(getpid(), STOP);
    }
    if let Some(signal) = SIGNALS.into_iter().find(|signal| Some(signal.as_raw()) == asked_to_end()) {
        send_to_child(signal);
    }
}

/// No child runs any more.
pub(super) fn child_ended() {
    CHILD.store(0, Ordering::SeqCst);
}
