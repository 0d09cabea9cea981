//! The time of a run. Compiled code looks at the engine's epoch at every loop and at the beginning of every function; a timer's
//! signal moves the epoch on, and at each move the code that runs has its time looked at. Calls into the host that stand one
//! after the other in a function pass no such place, so time is looked at when one of them returns as well.
//!
//! A signal, because a thread costs a short run as much as all else does, and every change to its memory is then two processors'
//! business.

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

/// How often the time of a run is looked at.
const TICK: Duration = Duration::from_millis(20);

/// Moves the engine's epoch on, unless it is dropped.
pub(super) struct Watchdog {
    ticks: Arc<AtomicU64>,
    /// Goes first, so that no tick comes that nobody counts.
    _timer: Timer,
    _action: Action,
}

// SAFETY: a timer belongs to the process, and whoever knows its number may delete it.
#[allow(unsafe_code)]
unsafe impl Send for Watchdog {}

/// What is done at each tick, until it is dropped.
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
        // SAFETY: two atomics are added to, which a handler of signals may do.
        #[allow(unsafe_code)]
        let action = Action(unsafe { register_sigaction(Signal::SIGALRM as i32, move |_| tick()) }?);
        // A caller may have started us with the signal held back.
        SigSet::from(Signal::SIGALRM).thread_unblock()?;
        let notify = SigevNotify::SigevSignal { signal: Signal::SIGALRM, si_value: 0 };
        let mut timer = Timer::new(TimerClock::CLOCK_MONOTONIC, SigEvent::new(notify))?;
        timer.set(Expiration::Interval(TICK.into()), TimerSetTimeFlags::empty())?;
        Ok(Self { ticks, _timer: timer, _action: action })
    }

    /// How often the epoch has moved.
    pub(super) fn ticks(&self) -> Arc<AtomicU64> {
        self.ticks.clone()
    }
}

/// The time that a run has: of this thread's processor, so that a busy machine stops nobody, and all in all.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    used_before: Duration,
    guest_time: Duration,
    wall_time: Duration,
    /// For how long it had to wait for somebody else, which isn't counted.
    paused: Duration,
    ticks: Arc<AtomicU64>,
    seen: u64,
}

impl Clock {
    /// Time begins.
    pub(super) fn start(guest_time: Duration, wall_time: Duration, ticks: Arc<AtomicU64>) -> Self {
        let (start, used_before) = (Instant::now(), processor_time());
        Self { start, used_before, guest_time, wall_time, paused: Duration::ZERO, ticks, seen: 0 }
    }

    /// This long somebody else was waited for.
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

    /// As [`Clock::check`], if some time can have passed since the last time.
    fn check_now_and_then(&mut self) -> Result<(), Exceeded> {
        let now = self.ticks.load(Ordering::Relaxed);
        if now == self.seen {
            return Ok(());
        }
        self.seen = now;
        self.check()
    }
}

/// Makes the code in `store` stop when it has used up its time. Nothing that a component can call waits, so what is used is its own.
pub(super) fn obey(store: &mut Store<Guest>) {
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

/// What this thread has used of a processor.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}
