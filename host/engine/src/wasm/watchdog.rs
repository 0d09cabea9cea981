//! The time of a run. Compiled code looks at the engine's epoch at every loop and call; a thread that lives as long as the
//! run moves the epoch on when time is up.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use wasmtime::{Engine, Store, UpdateDeadline};

use super::limits::Exceeded;

/// Interrupts the engine once, `time` after the start, unless it is dropped first.
pub(super) struct Watchdog {
    run: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    pub(super) fn start(engine: &Engine, time: Duration) -> io::Result<Self> {
        let (run, ended) = mpsc::channel();
        let engine = engine.clone();
        let watch = move || {
            if ended.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
                engine.increment_epoch();
            }
        };
        let thread = thread::Builder::new().name("plugin-watchdog".to_owned()).spawn(watch)?;
        Ok(Self { run: Some(run), thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.run.take());
        if let Some(thread) = self.thread.take() {
            // It can't have panicked, and if it had, the run would be over all the same.
            let _ = thread.join();
        }
    }
}

/// Makes the code in `store` stop at the first move of the epoch that comes after `time`. Earlier ones come from the
/// watchdogs of other runs and are let pass.
pub(super) fn obey<T>(store: &mut Store<T>, time: Duration) {
    let start = Instant::now();
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_| {
        if start.elapsed() < time {
            Ok(UpdateDeadline::Continue(1))
        } else {
            Err(Exceeded::Time(time).into())
        }
    });
}
