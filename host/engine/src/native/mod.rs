//! Runs native extensions, each in a process of its own (docs/adr/0010-native-extensions.md). Its answers are trusted as little as
//! those of a component, and go through the same checks.

mod judge;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bootc_image_core::listing::ImageRow;
use bootc_image_core::plugin::{Host, Plan, PlanError, PolicyVerdict};
use bootc_image_extension::abi;
use bootc_image_manifest::World;
use bootc_image_model::columns::Column;
use bootc_image_model::policy_input::PolicyInput;
use bootc_image_native_protocol::{
    Answer, Command, Frame, LARGEST_ANSWER, LIBRARY, Load, Question, SOCKET, receive, send,
};
use bootc_image_os::files::in_memory_executable;
use bootc_image_os::processes;
use bootc_image_os::processes::native::Native;
use bootc_image_plugin_model::{self as plugin_model, Problem};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{SealFlags, fcntl_add_seals};
use tracing::Level;

use crate::limits::{Budget, Exceeded};
use crate::run::answers::{self, Explanation};
use crate::run::lists::{self, LARGEST_CHUNK, next_chunk};
use crate::run::{BadSetting, Identity, List, Loaded, Unformatted};
use crate::sanitize::sanitize;
use crate::trust::code::Code;
use crate::unusable::Unusable;

pub(crate) use judge::Judge;

/// Address space of the process in addition to the memory limit of the extension, for the program and the system's libraries.
const ADDRESS_SPACE: usize = 256 << 20;
/// The time that a process gets to exit after it has closed the socket.
const GRACE: Duration = Duration::from_millis(500);
/// The most characters of the process's last line of output that are shown.
const LAST_OUTPUT: usize = 200;

/// A request to a process. The policy input is sent as the host has it.
type Ask<'a> = Question<&'a PolicyInput>;

/// A process in which an extension is loaded.
pub(crate) struct Process {
    native: Native,
    socket: UnixStream,
    identity: Identity,
    budget: Budget,
    deadline: Instant,
}

/// Why a policy could not judge, and what to do about it, if known.
struct NoVerdict {
    reason: String,
    fix: Option<String>,
    /// Whether its process ended, or closed the socket, without an answer.
    closed: bool,
}

/// Why a process cannot be used any more.
enum ProcessError {
    Socket(io::Error),
    /// It closed the socket.
    Closed,
    Exceeded(Exceeded),
    /// It reported an error, or sent an unexpected answer.
    Unusable(String),
    /// Its output could not be written.
    Output(io::Error),
}

impl From<io::Error> for ProcessError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                Self::Closed
            }
            _ => Self::Socket(error),
        }
    }
}

impl From<Exceeded> for ProcessError {
    fn from(exceeded: Exceeded) -> Self {
        Self::Exceeded(exceeded)
    }
}

/// The socket, with a deadline for reading and writing.
struct Until<'a>(&'a UnixStream, Instant);

impl Until<'_> {
    /// Repeats `work` while it is interrupted, until the deadline.
    fn retry_interrupted(
        &self,
        mut work: impl FnMut(&UnixStream, Duration) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            let rest = self.1.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            processes::check_interrupted().map_err(io::Error::other)?;
            let transient = [io::ErrorKind::Interrupted, io::ErrorKind::WouldBlock];
            match work(self.0, rest) {
                Err(error) if transient.contains(&error.kind()) => {}
                other => return other,
            }
        }
    }
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.retry_interrupted(|mut socket, rest| {
            socket.set_read_timeout(Some(rest))?;
            socket.read(buffer)
        })
    }
}

impl Write for Until<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.retry_interrupted(|mut socket, rest| {
            socket.set_write_timeout(Some(rest))?;
            socket.write(bytes)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Process {
    /// Starts a process with the approved library.
    pub(crate) fn start(
        code: &Code,
        identity: Identity,
        world: World,
        programs: &[PathBuf],
    ) -> Result<Self, Unusable> {
        let library = sealed(code)?;
        let (ours, theirs) =
            UnixStream::pair().map_err(|error| format!("cannot create a socket: {error}"))?;
        let native = start(programs, &theirs, &library)?;
        drop(theirs);
        let limits = identity.limits;
        let (budget, deadline) = (Budget::new(limits), Instant::now() + limits.wall_time);
        let mut process = Self { native, socket: ours, identity, budget, deadline };
        let loaded = process.load(world);
        match loaded {
            Ok(()) => Ok(process),
            Err(failure) => Err(process.explain(failure).into()),
        }
    }

    fn load(&mut self, world: World) -> Result<(), ProcessError> {
        let limits = self.identity.limits;
        let load = Load {
            address_space: (limits.memory + ADDRESS_SPACE) as u64,
            processor_seconds: processor_seconds(limits.guest_time),
            texts: limits.output.min(1 << 20) as u64,
            settings: self.identity.settings.full().to_owned(),
        };
        self.send(&Ask::Load(load))?;
        match self.next()? {
            Frame::Message(Answer::Loaded { roles })
                if roles.iter().any(|role| role.name() == world.kind()) =>
            {
                Ok(())
            }
            Frame::Message(Answer::Loaded { .. }) => {
                let function = match world {
                    World::CommandWrapper => "plan",
                    World::FormatOutput => "format",
                    World::PolicyValidator => "evaluate",
                };
                Err(ProcessError::Unusable(format!(
                    "its manifest declares the role {}, but it has no function `{function}`",
                    world.kind()
                )))
            }
            Frame::Message(Answer::Unusable(reason)) => Err(ProcessError::Unusable(sanitize(&reason))),
            other => Err(unexpected(&other)),
        }
    }

    /// Whether it waits for a request. It may have ended since the last one, and data sent without a request would be taken for the
    /// answer to the next one.
    fn listens(&self) -> bool {
        let mut socket = [PollFd::new(&self.socket, PollFlags::RDHUP | PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        // If `poll` fails, the process is not used.
        poll(&mut socket, Some(&now)).is_ok_and(|ready| ready == 0)
    }

    /// Has a policy judge an operation. Also returns the process, unless it cannot be used again.
    fn evaluate(mut self, policy_input: &PolicyInput) -> (Option<Self>, Result<PolicyVerdict, NoVerdict>) {
        let asked = self.ask(&Ask::Evaluate(policy_input));
        let plugin = self.identity.plugin.clone();
        match asked {
            Ok(Answer::Verdict { reason, attrs }) => {
                (Some(self), Ok(answers::opinion(&plugin, None, &reason, pairs(&attrs))))
            }
            Ok(Answer::Denied { problem, attrs }) => {
                let denial = Some(explanation(&problem));
                (Some(self), Ok(answers::opinion(&plugin, denial, "", pairs(&attrs))))
            }
            Ok(Answer::Failed(problem)) => {
                let (reason, fix) = answers::reason(explanation(&problem));
                (Some(self), Err(NoVerdict { reason, fix, closed: false }))
            }
            Ok(other) => (None, Err(self.no_opinion(unexpected(&Frame::Message(other))))),
            Err(failure) => (None, Err(self.no_opinion(failure))),
        }
    }

    fn format_rows(
        &mut self,
        List { format, rows, wanted }: List<'_>,
        out: &mut dyn Write,
    ) -> Result<Answer, ProcessError> {
        let options = lists::options(wanted).map(|(key, value)| (key.to_owned(), value)).collect();
        let columns = format.columns.iter().map(|column| column.name().to_owned()).collect();
        self.begin();
        self.send(&Ask::Format(plugin_model::List { format: format.name.clone(), columns, options }))?;
        let mut rest = rows.as_slice();
        loop {
            match self.next()? {
                Frame::Message(Answer::WantsRows) => {
                    let chunk = chunk(&mut rest, &format.columns);
                    self.budget.allow_output_of(chunk.iter().flatten().map(String::len).sum());
                    self.send(&Ask::Rows(chunk))?;
                }
                Frame::Message(answer) => {
                    self.budget.write(texts(&answer))?;
                    return Ok(answer);
                }
                Frame::Output(bytes) => {
                    self.budget.transfer_bytes(bytes.len())?;
                    let start = Instant::now();
                    out.write_all(&bytes).map_err(ProcessError::Output)?;
                    // The time that writing takes does not count against the plugin's limits.
                    self.deadline += start.elapsed();
                }
            }
        }
    }

    /// Starts a new request with a new budget and deadline.
    fn begin(&mut self) {
        let limits = self.identity.limits;
        self.budget = Budget::new(limits);
        self.deadline = Instant::now() + limits.wall_time;
    }

    /// Makes a request that is answered with one message.
    fn ask(&mut self, question: &Ask<'_>) -> Result<Answer, ProcessError> {
        self.begin();
        self.send(question)?;
        match self.next()? {
            Frame::Message(answer) => {
                self.budget.write(texts(&answer))?;
                Ok(answer)
            }
            output @ Frame::Output(_) => Err(unexpected(&output)),
        }
    }

    fn send(&mut self, question: &Ask<'_>) -> Result<(), ProcessError> {
        Ok(send(&mut Until(&self.socket, self.deadline), question)?)
    }

    /// Receives the next frame; log messages are passed to the log.
    fn next(&mut self) -> Result<Frame<Answer>, ProcessError> {
        loop {
            match receive(&mut Until(&self.socket, self.deadline), LARGEST_ANSWER)? {
                None => return Err(ProcessError::Closed),
                Some(Frame::Message(Answer::Log(level, text))) => {
                    self.budget.write([text.as_str()])?;
                    let level = match level {
                        abi::LOG_ERROR => Level::ERROR,
                        abi::LOG_WARN => Level::WARN,
                        abi::LOG_INFO => Level::INFO,
                        _ => Level::DEBUG,
                    };
                    answers::log(level, &self.identity.plugin, &sanitize(&text), "");
                }
                Some(Frame::Message(Answer::Unusable(reason))) => {
                    return Err(ProcessError::Unusable(sanitize(&reason)));
                }
                Some(other) => return Ok(other),
            }
        }
    }

    fn no_opinion(self, failure: ProcessError) -> NoVerdict {
        let fix = format!("contact the vendor of {}; its output is shown with -vv", self.identity.plugin);
        let closed = matches!(failure, ProcessError::Closed);
        NoVerdict { reason: self.explain(failure), fix: Some(fix), closed }
    }

    /// Ends the process and says what happened.
    fn explain(self, failure: ProcessError) -> String {
        let has_closed = matches!(failure, ProcessError::Closed);
        let end = self.native.end(if has_closed { GRACE } else { Duration::ZERO });
        tracing::debug!(plugin = %self.identity.plugin, output = sanitize(&end.said), "its process ended");
        let what = match failure {
            ProcessError::Unusable(reason) => reason,
            ProcessError::Exceeded(exceeded) => exceeded.to_string(),
            ProcessError::Socket(error) if error.kind() == io::ErrorKind::TimedOut => {
                Exceeded::WallTime(self.identity.limits.wall_time).to_string()
            }
            ProcessError::Socket(error) if error.kind() == io::ErrorKind::InvalidData => {
                format!("sent an invalid message: {}", sanitize(&error.to_string()))
            }
            ProcessError::Socket(error) | ProcessError::Output(error) => error.to_string(),
            ProcessError::Closed => match end.status {
                Some(how) => format!("its process ended without an answer: {how}"),
                None => "its process closed the connection without an answer".to_owned(),
            },
        };
        match end.said.lines().rev().map(str::trim).find(|line| !line.is_empty()) {
            Some(line) => {
                format!(
                    "{what}; its last output: {}",
                    sanitize(&line.chars().take(LAST_OUTPUT).collect::<String>())
                )
            }
            None => what,
        }
    }
}

impl Loaded for Process {
    fn plan(mut self: Box<Self>, name: &str, args: &[String], _: &dyn Host) -> Result<Plan, PlanError> {
        let asked = self.ask(&Ask::Plan(Command { name: name.to_owned(), args: args.to_vec() }));
        let plugin = self.identity.plugin.clone();
        let unusable = |reason| Err(PlanError::Unusable { plugin, reason });
        match asked {
            Ok(Answer::Plan(plugin_model::Plan { argv, message })) => Ok(answers::plan(argv, &message)),
            Ok(Answer::Denied { problem, .. }) => Err(answers::denied(explanation(&problem))),
            Ok(Answer::Failed(problem)) => Err(answers::failed(explanation(&problem))),
            Ok(other) => unusable(self.explain(unexpected(&Frame::Message(other)))),
            Err(failure) => unusable(self.explain(failure)),
        }
    }

    fn format(mut self: Box<Self>, list: List<'_>, out: &mut dyn Write) -> Result<(), Unformatted> {
        match self.format_rows(list, out) {
            Ok(Answer::Formatted) => Ok(()),
            Ok(Answer::Failed(problem)) => Err(answers::unformatted(explanation(&problem), "")),
            Ok(other) => Err(Unformatted::Failed(self.explain(unexpected(&Frame::Message(other))))),
            Err(ProcessError::Output(error)) => Err(Unformatted::Output(error)),
            Err(failure) => Err(Unformatted::Failed(self.explain(failure))),
        }
    }

    /// Loading was the check: native code has no function that checks settings.
    fn check(self: Box<Self>) -> Result<Vec<BadSetting>, Unusable> {
        Ok(Vec::new())
    }
}

/// A sealed copy of the approved library in memory, which cannot be changed any more.
fn sealed(code: &Code) -> Result<File, Unusable> {
    let Code::File(code) = code else {
        return Err("native code cannot be built into bootc-image".to_owned().into());
    };
    let mut copy = in_memory_executable("extension")
        .map_err(|error| format!("cannot create its copy in memory: {error}"))?;
    code.copy(&mut copy)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&copy, seals).map_err(|error| format!("cannot seal its copy in memory: {error}"))?;
    Ok(copy)
}

/// In whole seconds, as the kernel's limit is, rounded up.
fn processor_seconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u64::MAX)
}

fn start(programs: &[PathBuf], socket: &impl AsFd, library: &impl AsFd) -> Result<Native, Unusable> {
    Native::start(programs, &[(socket.as_fd(), SOCKET), (library.as_fd(), LIBRARY)])
        .map_err(|error| Unusable::NoProcess(error.with_causes()))
}

fn unexpected(frame: &Frame<Answer>) -> ProcessError {
    let what = match frame {
        Frame::Output(_) => "output",
        Frame::Message(Answer::Verdict { .. }) => "a verdict",
        Frame::Message(Answer::Denied { .. }) => "a denial",
        Frame::Message(Answer::Failed(_)) => "a failure",
        Frame::Message(Answer::Plan(_)) => "a plan",
        Frame::Message(_) => "something else",
    };
    ProcessError::Unusable(format!("sent an unexpected answer: {what}"))
}

fn explanation(problem: &Problem) -> Explanation<'_> {
    Explanation { code: &problem.code, message: &problem.message, hint: Some(&problem.hint) }
}

fn pairs(attrs: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    attrs.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

/// The texts of an answer, which count against the budget.
fn texts(answer: &Answer) -> Vec<&str> {
    fn of_problem(problem: &Problem) -> [&str; 3] {
        [&problem.code, &problem.message, &problem.hint]
    }
    fn of_pairs(attrs: &[(String, String)]) -> impl Iterator<Item = &str> {
        pairs(attrs).flat_map(|(key, value)| [key, value])
    }
    match answer {
        Answer::Verdict { reason, attrs } => of_pairs(attrs).chain([reason.as_str()]).collect(),
        Answer::Denied { problem, attrs } => of_pairs(attrs).chain(of_problem(problem)).collect(),
        Answer::Failed(problem) => of_problem(problem).to_vec(),
        Answer::Plan(plugin_model::Plan { argv, message }) => {
            argv.iter().chain([message]).map(String::as_str).collect()
        }
        Answer::Loaded { .. }
        | Answer::Unusable(_)
        | Answer::Log(..)
        | Answer::WantsRows
        | Answer::Formatted => Vec::new(),
    }
}

/// Takes the next rows from `rest`.
fn chunk(rest: &mut &[ImageRow], columns: &[Column]) -> Vec<Vec<String>> {
    let mut cells = Vec::new();
    let taken = next_chunk(rest, columns, LARGEST_CHUNK, |cell| cells.push(cell.to_owned()));
    *rest = rest.get(taken..).unwrap_or_default();
    let mut cells = cells.into_iter();
    (0..taken).map(|_| cells.by_ref().take(columns.len()).collect()).collect()
}
