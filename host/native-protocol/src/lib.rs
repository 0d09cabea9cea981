//! The protocol between `bootc-image` (the host) and the process of a native extension, over a socket pair.
//!
//! A frame consists of its kind (1 byte: `m` for a message, `o` for output), the length of its content (4 bytes, little-endian) and
//! the content: a message as JSON, or raw bytes of output. The host sends one request at a time and waits for the answer. It does not
//! trust the process, in which native code runs: the process could send anything at any time.

use std::io::{self, Read, Write};

use bootc_image_plugin_model::{List, Operation, Pair, Plan, PluginRole, Problem};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The largest content of a frame, in bytes.
pub const LARGEST_FRAME: usize = 64 << 20;

/// The largest content of a frame that the process may send, in bytes: a mebibyte of text, of which JSON may escape every byte as six
/// bytes, and some more for the structure.
pub const LARGEST_ANSWER: usize = 6 * (1 << 20) + (64 << 10);

/// The file descriptor of the socket in the process.
pub const SOCKET: i32 = 3;
/// The file descriptor of the library in the process.
pub const LIBRARY: i32 = 4;

/// A request as the process receives it.
pub type Ask = Question<Operation>;

/// A request of the host. `Judged` is the policy input: the host serializes its own type, whose JSON is the same as that of
/// [`Operation`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Question<Judged> {
    /// The first request: set the limits and load the library. The answer is [`Answer::Loaded`] or [`Answer::Unusable`].
    Load(Load),
    /// Judge an operation. The answer is [`Answer::Verdict`], [`Answer::Denied`] or [`Answer::Failed`].
    Evaluate(Judged),
    /// Format a list. The process requests rows with [`Answer::WantsRows`] and sends output in [`Frame::Output`]. The last answer is
    /// [`Answer::Formatted`] or [`Answer::Failed`].
    Format(List),
    /// The answer to [`Answer::WantsRows`]: the cells of the next rows, in the order of the columns. Empty at the end of the list.
    Rows(Vec<Vec<String>>),
    /// Plan a command. The answer is [`Answer::Plan`], [`Answer::Denied`] or [`Answer::Failed`].
    Plan(Command),
}

/// The limits and settings of an extension.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Load {
    /// The limit for the address space of the process, in bytes.
    pub address_space: u64,
    /// The limit for the processor time of one request, in whole seconds.
    pub processor_seconds: u64,
    /// The limit for the texts that the extension passes to the host during one request, in bytes.
    pub texts: u64,
    /// The extension's settings as a JSON object.
    pub settings: String,
}

/// A command to plan.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Command {
    /// The subcommand of `cmd`.
    pub name: String,
    /// The arguments after the subcommand.
    pub args: Vec<String>,
}

/// A message of the process.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// The library is loaded.
    Loaded {
        /// The roles for which it has a function.
        roles: Vec<PluginRole>,
    },
    /// The library or the extension cannot be used, for this reason.
    Unusable(String),
    /// A log message: the level as in `bootc_image_extension.h`, and the text.
    Log(u32, String),
    /// A policy allows the operation.
    Verdict {
        /// The reason, may be empty.
        reason: String,
        /// Attributes that the policy adds to the verdict, as keys and values.
        attrs: Vec<Pair>,
    },
    /// A policy or a wrapper denies the operation.
    Denied {
        /// Code, message and hint of the denial.
        problem: Problem,
        /// Attributes that the policy adds to the verdict, as keys and values.
        attrs: Vec<Pair>,
    },
    /// The extension failed: code, message and hint.
    Failed(Problem),
    /// A format requests the next rows.
    WantsRows,
    /// The list is complete.
    Formatted,
    /// A wrapper's plan: the arguments for podman.
    Plan(Plan),
}

/// A received frame.
#[derive(Debug)]
pub enum Frame<T> {
    /// A message.
    Message(T),
    /// Bytes of a formatted list.
    Output(Vec<u8>),
}

const MESSAGE: u8 = b'm';
const OUTPUT: u8 = b'o';

/// Sends a message.
///
/// # Errors
/// If writing fails, or with `InvalidInput` if the message is larger than [`LARGEST_FRAME`].
pub fn send(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    send_frame(to, MESSAGE, &serde_json::to_vec(message)?)
}

/// Sends output.
///
/// # Errors
/// If writing fails, or with `InvalidInput` if the output is larger than [`LARGEST_FRAME`].
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

/// Receives a frame with at most `largest` bytes of content. Returns `None` if the other side has closed the socket.
///
/// # Errors
/// If reading fails, with `UnexpectedEof` within a frame, or with `InvalidData` for an unknown, invalid or too large frame.
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
    fn an_invalid_frame_is_refused_before_memory_is_allocated_for_it() {
        let refused = |bytes: &[u8]| receive::<Answer>(&mut &*bytes, 100).unwrap_err().to_string();
        assert_eq!(
            refused(b"m\xff\xff\xff\xff"),
            "a frame of 4294967295 bytes is larger than the allowed 100 bytes"
        );
        assert!(refused(b"hello, world").ends_with(" bytes is larger than the allowed 100 bytes"));
        assert!(refused(b"h\x01\0\0\0x") == "not a frame: it begins with 0x68");
        assert!(refused(b"m\x02\0\0\0{}").contains("unknown message"));
        assert!(refused(b"m\x02\0\0\0{").contains("fill whole buffer"));
    }

    #[test]
    fn a_frame_that_the_other_side_would_refuse_is_not_sent() {
        let mut sent = Vec::new();
        let refused = send_output(&mut sent, &vec![0; LARGEST_FRAME + 1]).unwrap_err();
        assert_eq!(
            (refused.kind(), refused.to_string()),
            (io::ErrorKind::InvalidInput, "the frame is too large".to_owned())
        );
        assert!(sent.is_empty());
        send_output(&mut sent, &vec![0; LARGEST_FRAME]).unwrap();
    }
}
