//! The time of a run. Compiled code looks at the engine's epoch at every loop and call; a thread moves the epoch on, and at
//! each move the code that runs has its time looked at.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bootc_image_grammar::weakened::is_off;
use rustix::time::{ClockId, clock_gettime};
use wasmtime::{Engine, Store, UpdateDeadline};

use super::guest::Guest;
use super::limits::Exceeded;

/// How often the time of a run is looked at.
const TICK: Duration = Duration::from_millis(20);

/// Moves the engine's epoch on, unless it is dropped.
pub(super) struct Watchdog {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    pub(super) fn start(engine: &Engine) -> io::Result<Self> {
        let (end, ended) = mpsc::channel();
        let engine = engine.clone();
        let watch = move || {
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                engine.increment_epoch();
            }
        };
        let thread = thread::Builder::new().name("plugin-watchdog".to_owned()).spawn(watch)?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // It can't have panicked, and if it had, nothing would run any more.
            let _ = thread.join();
        }
    }
}

/// Makes the code in `store` stop when it has used up its time: of this thread's processor, so that a busy machine stops
/// nobody, or all in all. Nothing that a component can call waits, so both are the component's own.
pub(super) fn obey(store: &mut Store<Guest>, guest_time: Duration, wall_time: Duration) {
    let (start, used_before) = (Instant::now(), processor_time());
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |context| {
        if is_off("deadline") {
            Ok(UpdateDeadline::Continue(1))
        } else if processor_time().saturating_sub(used_before) >= guest_time {
            Err(Exceeded::GuestTime(guest_time).into())
        } else if start.elapsed().saturating_sub(context.data().paused()) >= wall_time {
            Err(Exceeded::WallTime(wall_time).into())
        } else {
            Ok(UpdateDeadline::Continue(1))
        }
    });
}

/// What this thread has used of a processor.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}
