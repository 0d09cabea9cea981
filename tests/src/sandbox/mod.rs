//! A command in namespaces of its own: mounts, processes and network.
//!
//! A [`Sandbox`] is plain data. It is sent as one line of JSON to the standard input of `world-enter`, which does what
//! it says ([`inside`]). That pipe is also the life line: when it closes, because time is up or because the test was
//! killed, process 1 of the sandbox exits and the kernel ends everything in it.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod inherited;
pub mod inside;
mod loopback;

use crate::programs;

/// How long the kernel may take to end all of a sandbox; beyond that a test fails instead of hanging.
const GRACE: Duration = Duration::from_secs(60);

/// What process 1 of a sandbox does, in this order.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Sandbox {
    /// Done while the machine's root is still the root.
    pub mounts: Vec<Step>,
    /// The directory that becomes the root; it must be a mount point by then.
    pub root: Option<PathBuf>,
    /// Done in the new root.
    pub furnishing: Vec<Step>,
    /// Started before the command, and ended with it.
    pub services: Vec<Service>,
    pub command: Vec<String>,
    /// The whole environment of the services and the command.
    pub environment: Vec<(String, String)>,
    /// User and group of the command; root if none is given.
    pub user: Option<u32>,
}

/// One change to the file system that the sandbox sees.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Step {
    Bind {
        from: PathBuf,
        to: PathBuf,
    },
    /// As `Bind`, with everything that is mounted below.
    BindTree {
        from: PathBuf,
        to: PathBuf,
    },
    Tmpfs {
        to: PathBuf,
        mode: u32,
    },
    Proc {
        to: PathBuf,
    },
    /// The first of `lower` wins.
    Overlay {
        lower: Vec<PathBuf>,
        upper: PathBuf,
        work: PathBuf,
        to: PathBuf,
    },
    /// Makes a mount point read-only, which leaves what is mounted below it as it is.
    ReadOnly {
        path: PathBuf,
    },
    Directory {
        path: PathBuf,
    },
    File {
        path: PathBuf,
        content: Vec<u8>,
        mode: u32,
    },
    Link {
        path: PathBuf,
        target: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
}

/// A program that runs next to the command.
#[derive(Debug, Serialize, Deserialize)]
pub struct Service {
    pub command: Vec<String>,
    /// The port of 127.0.0.1 where it answers HTTP once it is ready.
    pub port: Option<u16>,
    /// Where it may write what it has to say.
    pub log: PathBuf,
}

/// What came of a command.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its exit code; 128 and the signal's number if a signal ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// It was ended because it took too long.
    pub timed_out: bool,
}

impl Output {
    /// Panics with everything that was printed unless the command ended with 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    /// Panics with everything that was printed unless the command ended with `code`.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert!(!self.timed_out && self.code == code, "expected exit code {code}, got {self:#?}");
        self
    }

    /// What was printed, as JSON.
    #[track_caller]
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:#?}"))
    }

    /// What was printed, a string a line.
    pub fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }
}

impl Sandbox {
    /// Runs the command to its end, or ends it and all it has started when `limit` has passed.
    pub fn run(&self, limit: Duration) -> Output {
        let mut child = self.start(Stdio::piped);
        let stdout = collect(child.stdout.take());
        let stderr = collect(child.stderr.take());
        let (status, timed_out) = wait(child, Some(limit));
        Output { code: code(status), stdout: text(stdout), stderr: text(stderr), timed_out }
    }

    /// As [`Self::run`], but what the command prints goes where ours goes, and it has all the time it wants.
    pub fn run_in_sight(&self) -> i32 {
        code(wait(self.start(Stdio::inherit), None).0)
    }

    fn start(&self, output: fn() -> Stdio) -> Child {
        let mut child = Command::new(programs::ours("world-enter"))
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(output())
            .stderr(output())
            .spawn()
            .expect("world-enter starts");
        let mut request = serde_json::to_vec(self).expect("a sandbox is plain data");
        request.push(b'\n');
        // It may be gone already, having said why on its standard error.
        let _ = child.stdin.as_mut().expect("it is piped").write_all(&request);
        child
    }
}

/// Waits for the end; at the limit the life line is cut, and the kernel does the rest.
fn wait(mut child: Child, limit: Option<Duration>) -> (ExitStatus, bool) {
    let mut life_line = child.stdin.take();
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || ended.send(child.wait()));
    let status = match limit {
        Some(limit) => end.recv_timeout(limit).ok(),
        None => end.recv().ok(),
    };
    let timed_out = status.is_none();
    if timed_out {
        drop(life_line.take());
    }
    let status = status.unwrap_or_else(|| {
        end.recv_timeout(GRACE).unwrap_or_else(|_| panic!("its time was up {GRACE:?} ago and it goes on"))
    });
    (status.expect("a child can be waited for"), timed_out)
}

fn collect(stream: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    let mut stream = stream.expect("it is piped");
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("a pipe can be read");
        bytes
    })
}

fn text(stream: JoinHandle<Vec<u8>>) -> String {
    String::from_utf8_lossy(&stream.join().expect("reading doesn't panic")).into_owned()
}

pub(crate) fn code(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| 128 + signal)).expect("an ended process has one of them")
}
