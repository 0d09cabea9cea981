//! The time limits of a run. Compiled code checks the engine's epoch in every loop and at the beginning of every function. The signal
//! of a timer increments the epoch, and after each increment the limits of the running code are checked. A sequence of calls into
//! the host contains no such check, so the limits are also checked when a host function returns.
//!
//! The timer uses a signal and not a thread: starting a thread would take as long as all the rest of a short run, and with a second
//! thread every change to the memory mappings has to be synchronized between processors.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigEvent, SigSet, SigevNotify, Signal};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId as TimerClock;
use rustix::time::{ClockId, clock_gettime};
use signal_hook_registry::{SigId, register_sigaction, unregister};
use wasmtime::{CallHook, Engine, Store, UpdateDeadline};

use super::guest::Guest;
use crate::limits::Exceeded;

/// The interval of the timer.
const TICK: Duration = Duration::from_millis(20);

/// Increments the engine's epoch until it is dropped.
pub(super) struct Watchdog {
    ticks: Arc<AtomicU64>,
    /// Dropped first, so that no signal arrives without a handler.
    _timer: Timer,
    _action: Action,
}

// SAFETY: a timer belongs to the process, and any thread may delete it.
#[allow(unsafe_code)]
unsafe impl Send for Watchdog {}

/// The signal's handler, which is removed when this is dropped.
struct Action(SigId);

impl Drop for Action {
    fn drop(&mut self) {
        unregister(self.0);
    }
}

impl Watchdog {
    pub(super) fn start(engine: &Engine) -> io::Result<Self> {
        let ticks = Arc::new(AtomicU64::new(0));
        let (engine, ticking) = (engine.clone(), ticks.clone());
        let tick = move || {
            ticking.fetch_add(1, Ordering::Relaxed);
            engine.increment_epoch();
        };
        // SAFETY: the handler only increments two atomics, which is async-signal-safe.
        #[allow(unsafe_code)]
        let action = Action(unsafe { register_sigaction(Signal::SIGALRM as i32, move |_| tick()) }?);
        // The caller may have started this process with the signal blocked.
        SigSet::from(Signal::SIGALRM).thread_unblock()?;
        let notify = SigevNotify::SigevSignal { signal: Signal::SIGALRM, si_value: 0 };
        let mut timer = Timer::new(TimerClock::CLOCK_MONOTONIC, SigEvent::new(notify))?;
        timer.set(Expiration::Interval(TICK.into()), TimerSetTimeFlags::empty())?;
        Ok(Self { ticks, _timer: timer, _action: action })
    }

    /// The number of ticks so far.
    pub(super) fn ticks(&self) -> Arc<AtomicU64> {
        self.ticks.clone()
    }
}

/// The time limits of a run: for processor time, which is fair on a busy host, and for elapsed time.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    used_before: Duration,
    guest_time: Duration,
    wall_time: Duration,
    /// Time spent waiting for the host, which is not counted.
    paused: Duration,
    ticks: Arc<AtomicU64>,
    seen: u64,
}

impl Clock {
    /// Starts counting.
    pub(super) fn start(guest_time: Duration, wall_time: Duration, ticks: Arc<AtomicU64>) -> Self {
        let (start, used_before) = (Instant::now(), processor_time());
        Self { start, used_before, guest_time, wall_time, paused: Duration::ZERO, ticks, seen: 0 }
    }

    /// Excludes this much elapsed time, in which the plugin waited for the host.
    pub(super) fn pause(&mut self, waited: Duration) {
        self.paused += waited;
    }

    fn check(&self) -> Result<(), Exceeded> {
        if processor_time().saturating_sub(self.used_before) >= self.guest_time {
            Err(Exceeded::GuestTime(self.guest_time))
        } else if self.start.elapsed().saturating_sub(self.paused) >= self.wall_time {
            Err(Exceeded::WallTime(self.wall_time))
        } else {
            Ok(())
        }
    }

    /// Like [`Clock::check`], but only if the timer has ticked since the last check.
    fn check_now_and_then(&mut self) -> Result<(), Exceeded> {
        let now = self.ticks.load(Ordering::Relaxed);
        if now == self.seen {
            return Ok(());
        }
        self.seen = now;
        self.check()
    }
}

/// Stops the code in `store` when it exceeds its time limits.
pub(super) fn enforce(store: &mut Store<Guest>) {
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|context| {
        context.data().clock().check()?;
        Ok(UpdateDeadline::Continue(1))
    });
    store.call_hook(|mut context, hook| {
        if matches!(hook, CallHook::ReturningFromHost) {
            context.data_mut().clock_mut().check_now_and_then()?;
        }
        Ok(())
    });
}

/// The processor time of this thread.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}
