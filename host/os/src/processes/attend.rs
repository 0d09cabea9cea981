//! Starting a program and waiting until it exits, while collecting its output and watching for signals that ask us to terminate.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::process::Process;
use super::signals::{self, check_interrupted, record_signals};
use crate::error::Error;
use crate::files::in_memory;

/// The maximum number of bytes at the end of a process's stderr that an error quotes.
const MAX_STDERR: u64 = 64 << 10;

/// The maximum number of bytes that are read from a process's stdout: no manifest is larger.
pub const MAX_OUTPUT: u64 = 16 << 20;

impl Process {
    /// Runs it with our stdin, stdout and stderr. Returns any exit status as `Ok`, unless a signal asked us to terminate.
    ///
    /// # Errors
    /// [`Error::Interrupted`]; [`Error::Io`] if it cannot be started.
    pub fn run_in_place(mut self) -> Result<ExitStatus, Error> {
        self.command.stdin(Stdio::inherit());
        self.run(&mut Running::wait)
    }

    /// As [`Process::run_in_place`], but with this file as its stdin.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be started.
    pub fn run_in_place_reading(mut self, stdin: File) -> Result<ExitStatus, Error> {
        self.command.stdin(stdin);
        self.run(&mut Running::wait)
    }

    /// As [`Process::run_in_place`], and calls `look` with its process id every 20 ms while it runs.
    ///
    /// # Errors
    /// As [`Process::run_in_place`].
    pub fn run_in_place_watched(mut self, look: &mut dyn FnMut(u32)) -> Result<ExitStatus, Error> {
        self.command.stdin(Stdio::inherit());
        self.run(&mut |running| {
            running.watch(&mut |pid| {
                look(pid);
                Ok::<(), Error>(())
            })
        })
    }

    /// Runs it and discards its stdout.
    ///
    /// # Errors
    /// [`Error::Process`] with the end of its stderr if it fails; [`Error::Interrupted`] if a signal asked us to terminate, whatever
    /// its exit status is; [`Error::Io`] if it cannot be started.
    pub fn run_quietly(mut self) -> Result<(), Error> {
        self.command.stdout(Stdio::null());
        self.run_to_success(&mut Running::wait)
    }

    /// As [`Process::run_quietly`], and calls `look` with its process id every 20 ms while it runs. If `look` fails, the
    /// process is terminated and that error is returned.
    ///
    /// # Errors
    /// As [`Process::run_quietly`]; the error of `look`.
    pub fn run_watched<E: From<Error>>(
        mut self,
        look: &mut dyn FnMut(u32) -> Result<(), E>,
    ) -> Result<(), E> {
        self.command.stdout(Stdio::null());
        self.run_to_success(&mut |running| running.watch(look))
    }

    /// As [`Process::run_quietly`], while `converse` writes to its stdin and reads its stdout until the end of file.
    ///
    /// # Errors
    /// The error of `converse`; as [`Process::run_quietly`].
    pub fn run_in_conversation<E: From<Error>>(
        mut self,
        converse: &mut dyn FnMut(ChildStdin, ChildStdout) -> Result<(), E>,
    ) -> Result<(), E> {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut said = Ok(());
        let ended = self.run_to_success(&mut |running| {
            if let (Some(stdin), Some(stdout)) = (running.child.stdin.take(), running.child.stdout.take()) {
                said = converse(stdin, stdout);
            }
            running.wait()
        });
        match ended {
            // The output of an interrupted process may be cut off, so an error in it says nothing.
            Err(interrupted @ Error::Interrupted { .. }) => Err(interrupted.into()),
            ended => said.and(ended.map_err(E::from)),
        }
    }

    /// As [`Process::run_quietly`]; returns up to [`MAX_OUTPUT`] bytes of its stdout.
    ///
    /// # Errors
    /// As [`Process::run_quietly`].
    pub fn run_for_output(self) -> Result<Vec<u8>, Error> {
        let (name, mut said) = (self.name, Vec::new());
        self.run_in_conversation(&mut |_, stdout| {
            let read = stdout.take(MAX_OUTPUT).read_to_end(&mut said);
            read.map(drop).map_err(Error::io("read from", name))
        })?;
        Ok(said)
    }

    /// As [`Process::run_quietly`], but it also runs after a signal asked us to terminate, so that nothing is left behind. Further
    /// signals are not forwarded to it, so it must be short.
    ///
    /// # Errors
    /// As [`Process::run_quietly`], except [`Error::Interrupted`].
    pub fn clean_up(mut self) -> Result<(), Error> {
        // In a process group of its own, it does not receive the terminal's signals.
        self.command.stdout(Stdio::null()).process_group(0);
        self.until_success(|child| {
            signals::handle_sigchld().map_err(Error::io("handle", "signals"))?;
            child.prepare()?;
            child.log();
            child.command.status().map_err(Error::io("run", child.name))
        })
    }

    fn run_to_success<E: From<Error>>(
        self,
        watch: &mut dyn FnMut(&mut Running) -> Result<ExitStatus, E>,
    ) -> Result<(), E> {
        self.until_success(|child| child.run(watch))
    }

    fn until_success<E: From<Error>>(
        mut self,
        run: impl FnOnce(&mut Self) -> Result<ExitStatus, E>,
    ) -> Result<(), E> {
        let mut stderr = in_memory("stderr").map_err(Error::io("create", "a file in memory"))?;
        let copy = stderr.try_clone().map_err(Error::io("duplicate", "a file in memory"))?;
        self.command.stderr(copy);
        let name = self.name;
        let status = run(&mut self)?;
        if status.success() {
            return Ok(());
        }
        let stderr = last_of(&mut stderr).unwrap_or_default();
        Err(Error::Process { program: name, status: describe(status), stderr }.into())
    }

    /// Starts it and waits until it has exited. If a signal asked us to terminate meanwhile, the result is
    /// [`Error::Interrupted`] whatever its exit status is: podman 4.3.1 exits with 0 after SIGTERM, with its work half done.
    fn run<E: From<Error>>(
        &mut self,
        watch: &mut dyn FnMut(&mut Running) -> Result<ExitStatus, E>,
    ) -> Result<ExitStatus, E> {
        record_signals()?;
        check_interrupted()?;
        self.prepare()?;
        self.log();
        signals::starting();
        let child = self.command.spawn();
        signals::started(child.as_ref().ok().map(std::process::Child::id));
        let child = child.map_err(Error::io("run", self.name))?;
        let mut running = Running::new(child, self.name).inspect_err(|_| signals::process_ended())?;
        let result = watch(&mut running);
        if result.is_err() {
            running.end();
        }
        signals::process_ended();
        check_interrupted()?;
        result
    }
}

/// How often a running process is checked.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running process.
pub(super) struct Running {
    pub(super) child: std::process::Child,
    pub(super) process: OwnedFd,
    name: &'static str,
}

impl Running {
    pub(super) fn new(mut child: std::process::Child, name: &'static str) -> Result<Self, Error> {
        match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(process) => Ok(Self { child, process, name }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(Error::io("watch the process of", name)(error.into()))
            }
        }
    }

    pub(super) fn wait(&mut self) -> Result<ExitStatus, Error> {
        self.child.wait().map_err(Error::io("wait for", self.name))
    }

    /// Waits until it exits, and calls `look` with its process id meanwhile.
    fn watch<E: From<Error>>(&mut self, look: &mut dyn FnMut(u32) -> Result<(), E>) -> Result<ExitStatus, E> {
        while !self.has_ended(LOOK_EVERY)? {
            look(self.child.id())?;
        }
        Ok(self.wait()?)
    }

    /// Waits until it exits, at most for `limit`.
    pub(super) fn has_ended(&self, limit: Duration) -> Result<bool, Error> {
        let limit = Timespec { tv_sec: 0, tv_nsec: limit.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&self.process, PollFlags::IN)], Some(&limit)) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(Error::io("wait for", self.name)(error.into())),
        }
    }

    /// Terminates it, and waits until it has exited.
    fn end(&mut self) {
        // It may have exited already.
        let _ = pidfd_send_signal(&self.process, Signal::TERM);
        let _ = self.child.wait();
    }
}

fn last_of(file: &mut File) -> io::Result<String> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_STDERR)))?;
    let mut bytes = Vec::new();
    file.take(MAX_STDERR).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

pub(super) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "unknown exit status".to_owned(),
    }
}

/// The exit code to pass on for a process: its own, or 128 + N if signal N killed it.
pub fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_words_and_a_code() {
        for (raw, words, code) in [
            (0, "exit code 0", 0),
            (125 << 8, "exit code 125", 125),
            (15, "killed by signal 15", 143),
            // A process that was stopped, which nobody waits for.
            (0x137f, "unknown exit status", 1),
        ] {
            let status = ExitStatus::from_raw(raw);
            assert_eq!((describe(status).as_str(), exit_code(status)), (words, code));
        }
    }
}
