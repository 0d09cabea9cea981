//! What `bootc-image` and the process of a native extension say to each other, over a socket pair.
//!
//! A frame is its kind in one byte, the length of what follows in four (the lowest first), and that many bytes: a message as JSON,
//! or output as it is. The host asks one thing at a time. It believes nothing: what a process says that native code runs in can
//! be anything, at any time.

use std::io::{self, Read, Write};

use bootc_image_plugin_model::{List, Operation, Pair, Plan, PluginRole, Problem};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The largest frame, in bytes: no answer and no chunk of rows needs more.
pub const LARGEST_FRAME: usize = 64 << 20;

/// The largest that a process may send, in bytes: a mebibyte of text, each of whose characters may be escaped.
pub const LARGEST_ANSWER: usize = 6 * (1 << 20) + (64 << 10);

/// The descriptor of the socket in the process.
pub const SOCKET: i32 = 3;
/// The descriptor of the library in the process.
pub const LIBRARY: i32 = 4;

/// What the process is asked for.
pub type Ask = Question<Operation>;

/// What the host asks for. `Judged` is an operation: the host lends its own, whose JSON is that of [`Operation`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Question<Judged> {
    /// First of all: be limited, and load the library. The answer is [`Answer::Loaded`] or [`Answer::Unusable`].
    Load(Load),
    /// Judge. The answer is [`Answer::Verdict`], [`Answer::Failed`] or [`Answer::Denied`].
    Evaluate(Judged),
    /// Format. Rows are asked for with [`Answer::WantsRows`], output comes in frames of its own; the last answer is
    /// [`Answer::Formatted`] or [`Answer::Failed`].
    Format(List),
    /// Rows, as asked for; none: there are no more.
    Rows(Vec<Vec<String>>),
    /// Plan. The answer is [`Answer::Plan`], [`Answer::Failed`] or [`Answer::Denied`].
    Plan(Command),
}

/// Limits, and what the extension is told about itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Load {
    /// The most address space of the process, in bytes.
    pub address_space: u64,
    /// The most processor time that one call may take, in whole seconds.
    pub processor_seconds: u64,
    /// The most text that the extension may give in one call, in bytes.
    pub texts: u64,
    /// The extension's settings, a JSON object.
    pub settings: String,
}

/// A command to be planned.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Command {
    /// The subcommand.
    pub name: String,
    /// What followed it.
    pub args: Vec<String>,
}

/// What the process says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// The library is loaded.
    Loaded {
        /// What it has functions for.
        roles: Vec<PluginRole>,
    },
    /// It can't be, for this reason.
    Unusable(String),
    /// A line for the log: a level of the binary interface, and a text.
    Log(u32, String),
    /// A policy allows.
    Verdict {
        /// Why.
        reason: String,
        /// Details.
        attrs: Vec<Pair>,
    },
    /// A policy or a command refuses.
    Denied {
        /// Why, and what to do.
        problem: Problem,
        /// Details.
        attrs: Vec<Pair>,
    },
    /// It says that it can't.
    Failed(Problem),
    /// A formatter wants more rows.
    WantsRows,
    /// A list has come to its end.
    Formatted,
    /// What podman is asked for.
    Plan(Plan),
}

/// What arrived.
#[derive(Debug)]
pub enum Frame<T> {
    /// A message.
    Message(T),
    /// Output.
    Output(Vec<u8>),
}

const MESSAGE: u8 = b'm';
const OUTPUT: u8 = b'o';

/// Sends a message.
///
/// # Errors
/// The socket's; one that is too large.
pub fn send(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    send_frame(to, MESSAGE, &serde_json::to_vec(message)?)
}

/// Sends output.
///
/// # Errors
/// As [`send`].
pub fn send_output(to: &mut impl Write, output: &[u8]) -> io::Result<()> {
    send_frame(to, OUTPUT, output)
}

fn send_frame(to: &mut impl Write, kind: u8, bytes: &[u8]) -> io::Result<()> {
    let too_large = || io::Error::new(io::ErrorKind::InvalidInput, "the frame is too large");
    let length = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= LARGEST_FRAME);
    let length = length.ok_or_else(too_large)?.to_le_bytes();
    let mut frame = Vec::with_capacity(1 + length.len() + bytes.len());
    frame.push(kind);
    frame.extend_from_slice(&length);
    frame.extend_from_slice(bytes);
    to.write_all(&frame)
}

/// Receives a frame of at most `largest` bytes. None: the other side has closed.
///
/// # Errors
/// The socket's; `InvalidData` for what isn't a frame, or isn't one of those.
pub fn receive<T: DeserializeOwned>(from: &mut impl Read, largest: usize) -> io::Result<Option<Frame<T>>> {
    let mut head = [0; 5];
    loop {
        match from.read(&mut head[..1]) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    from.read_exact(&mut head[1..])?;
    let [kind, length @ ..] = head;
    let length = u32::from_le_bytes(length) as usize;
    let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    if length > largest {
        return Err(wrong(format!("a frame of {length} bytes is larger than the allowed {largest} bytes")));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    match kind {
        MESSAGE => serde_json::from_slice(&bytes)
            .map(|message| Some(Frame::Message(message)))
            .map_err(|error| wrong(format!("unknown message: {error}"))),
        OUTPUT => Ok(Some(Frame::Output(bytes))),
        other => Err(wrong(format!("not a frame: it begins with {other:#04x}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_arrive_as_they_were_sent() {
        let mut sent = Vec::new();
        send(&mut sent, &Answer::Log(1, "a\nb".to_owned())).unwrap();
        send_output(&mut sent, b"\xff\0").unwrap();
        let mut from = sent.as_slice();
        let first = receive::<Answer>(&mut from, 100).unwrap();
        assert!(matches!(first, Some(Frame::Message(Answer::Log(1, text))) if text == "a\nb"));
        let second = receive::<Answer>(&mut from, 100).unwrap();
        assert!(matches!(second, Some(Frame::Output(bytes)) if bytes == b"\xff\0"));
        assert!(receive::<Answer>(&mut from, 100).unwrap().is_none());
    }

    #[test]
    fn what_is_no_frame_is_refused_before_memory_is_taken_for_it() {
        let refused = |bytes: &[u8]| receive::<Answer>(&mut &*bytes, 100).unwrap_err().to_string();
        assert_eq!(refused(b"m\xff\xff\xff\xff"), "a frame of 4294967295 bytes is larger than the allowed 100 bytes");
        assert!(refused(b"hello, world").ends_with(" bytes is larger than the allowed 100 bytes"));
        assert!(refused(b"h\x01\0\0\0x").contains("begins with 0x68"));
        assert!(refused(b"m\x02\0\0\0{}").contains("unknown message"));
        assert!(refused(b"m\x02\0\0\0{").contains("fill whole buffer"));
    }
}
