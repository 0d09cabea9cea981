//! A call into the extension, and the host functions that the extension can use during the call. A handle is a number that is valid
//! only for this call and on this thread: one that is forged, stale or used elsewhere is rejected with `INVALID`.

// Every function here calls foreign code or is called by it.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::io;
use std::os::unix::net::UnixStream;
use std::ptr;

use bootc_image_extension::abi::{self, ABSENT, Call, GONE, Host, INVALID, OK, TOO_LARGE, Text};
use bootc_image_native_protocol::{Answer, Ask, Frame, LARGEST_FRAME, Load, receive, send, send_output};
use bootc_image_plugin_model::{Pair, Plan, Problem};
use serde_json::value::RawValue;

use crate::lent::text;

/// Bytes reserved in the text limit of a call, so that a denial can always be reported.
const RESERVED: usize = 256;
/// The code of a denial whose texts are not acceptable.
const NO_CODE: &str = "unspecified";
/// The most bytes in one frame of output.
const PIECE: usize = 1 << 20;

/// The settings and limits for every call.
pub(crate) struct Settings {
    /// The extension's settings: for each key, the value as JSON.
    json: BTreeMap<String, String>,
    /// The most bytes of text in one call.
    texts: usize,
}

impl Settings {
    pub(crate) fn of(load: &Load) -> io::Result<Self> {
        let all: BTreeMap<String, &RawValue> = serde_json::from_str(&load.settings)?;
        let json = all.into_iter().map(|(key, value)| (key, value.get().to_owned())).collect();
        Ok(Self { json, texts: usize::try_from(load.texts).unwrap_or(usize::MAX) })
    }
}

/// The kind of a call, which determines the host functions that it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Policy,
    Formatter,
    Command,
}

/// The state of a call.
struct State {
    kind: Kind,
    /// Both outlive the call.
    socket: *const UnixStream,
    settings: *const Settings,
    answer: Option<Answer>,
    details: Vec<Pair>,
    texts: usize,
    columns: usize,
    rows: std::vec::IntoIter<Vec<String>>,
    rows_ended: bool,
    /// The row that the extension has pointers to, and its cells.
    row: Vec<String>,
    cells: Vec<Text>,
    unsent: Vec<u8>,
    gone: bool,
}

thread_local! {
    static CURRENT: RefCell<Option<(usize, State)>> = const { RefCell::new(None) };
}

/// The answer if the extension's table has no such function.
pub(crate) fn no_function(function: &str) -> Answer {
    Answer::Unusable(format!("it has no function `{function}`"))
}

/// Has `ask` call the extension with a handle, and returns the answer; none if the host closed the socket.
pub(crate) fn make(
    kind: Kind,
    socket: &UnixStream,
    settings: &Settings,
    columns: usize,
    ask: impl FnOnce(*mut Call),
) -> Option<Answer> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0x1000);
    let number = NEXT.fetch_add(16, Ordering::Relaxed);
    let state = State {
        kind,
        socket,
        settings,
        answer: None,
        details: Vec::new(),
        texts: 0,
        columns,
        rows: Vec::new().into_iter(),
        rows_ended: false,
        row: Vec::new(),
        cells: Vec::new(),
        unsent: Vec::new(),
        gone: false,
    };
    CURRENT.with_borrow_mut(|current| *current = Some((number, state)));
    ask(ptr::without_provenance_mut(number));
    let Some((_, mut state)) = CURRENT.take() else { return Some(no_answer(kind)) };
    let answer = state.answer.take();
    state.flush();
    if state.gone {
        return None;
    }
    Some(match (kind, answer) {
        (Kind::Formatter, None) => Answer::Formatted,
        (_, None) => no_answer(kind),
        (_, Some(Answer::Verdict { reason, .. })) => Answer::Verdict { reason, attrs: state.details },
        (_, Some(Answer::Denied { problem, .. })) => Answer::Denied { problem, attrs: state.details },
        (_, Some(other)) => other,
    })
}

fn no_answer(kind: Kind) -> Answer {
    let what = if kind == Kind::Policy { "neither allowed nor denied" } else { "gave no answer" };
    Answer::Unusable(what.to_owned())
}

impl State {
    fn socket(&self) -> &UnixStream {
        // SAFETY: it outlives the call.
        unsafe { &*self.socket }
    }

    fn settings(&self) -> &Settings {
        // SAFETY: they outlive the call.
        unsafe { &*self.settings }
    }

    /// Copies a text of the extension and counts it in the same way as the host.
    fn take(&mut self, text: Text) -> Result<String, i32> {
        self.take_up_to(text, self.settings().texts.saturating_sub(RESERVED))
    }

    fn take_up_to(&mut self, text: Text, most: usize) -> Result<String, i32> {
        self.texts = self.texts.saturating_add(text.length).saturating_add(16);
        if self.texts > most {
            return Err(TOO_LARGE);
        }
        read(text)
    }

    /// Sets the answer. Further answers are rejected.
    fn answer(&mut self, answer: Answer) -> Result<(), i32> {
        if self.answer.is_some() {
            return Err(INVALID);
        }
        self.answer = Some(answer);
        Ok(())
    }

    /// A denial or a failure. It is reported even if its texts are not acceptable; they are then replaced.
    fn problem(&mut self, code: Text, message: Text, hint: Text) -> Problem {
        let before = self.texts;
        let most = self.settings().texts;
        let mut take = |text| self.take_up_to(text, most);
        let taken = take(code).and_then(|code| Ok((code, take(message)?, take(hint)?)));
        match taken {
            Ok((code, message, hint)) => Problem { code, message, hint },
            Err(why) => {
                self.texts = before;
                let what = if why == TOO_LARGE { "too long" } else { "not UTF-8 text" };
                let message = format!("the plugin gave a reason that cannot be shown: {what}");
                let hint = "contact the plugin's vendor: a reason must be short UTF-8 text".to_owned();
                Problem { hint, ..Problem::new(NO_CODE, message) }
            }
        }
    }

    fn must_be(&self, kinds: &[Kind]) -> Result<(), i32> {
        if kinds.contains(&self.kind) { Ok(()) } else { Err(INVALID) }
    }

    /// Sends the buffered output.
    fn flush(&mut self) {
        let unsent = std::mem::take(&mut self.unsent);
        if !unsent.is_empty() && send_output(&mut self.socket(), &unsent).is_err() {
            self.gone = true;
        }
    }

    fn next_row(&mut self) -> Result<*const Text, i32> {
        self.must_be(&[Kind::Formatter])?;
        if self.rows.len() == 0 && !self.rows_ended {
            self.flush();
            let asked = send(&mut self.socket(), &Answer::WantsRows);
            let rows = asked.and_then(|()| receive(&mut self.socket(), LARGEST_FRAME));
            let Ok(Some(Frame::Message(Ask::Rows(rows)))) = rows else {
                self.gone = true;
                return Err(GONE);
            };
            self.rows_ended = rows.is_empty();
            self.rows = rows.into_iter();
        }
        self.row = self.rows.next().ok_or(ABSENT)?;
        if self.row.len() != self.columns {
            self.gone = true;
            return Err(GONE);
        }
        self.cells = self.row.iter().map(|cell| text(cell)).collect();
        Ok(self.cells.as_ptr())
    }

    fn write(&mut self, bytes: *const c_void, length: usize) -> Result<(), i32> {
        self.must_be(&[Kind::Formatter])?;
        if length == 0 {
            return Ok(());
        }
        if bytes.is_null() {
            return Err(INVALID);
        }
        if length > isize::MAX as usize {
            return Err(TOO_LARGE);
        }
        // SAFETY: the header requires the extension to pass this many bytes.
        let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) };
        for piece in bytes.chunks(PIECE) {
            if self.unsent.len() + piece.len() > PIECE {
                self.flush();
            }
            self.unsent.extend_from_slice(piece);
            if self.gone {
                return Err(GONE);
            }
        }
        Ok(())
    }
}

/// Copies a text of the extension.
fn read(text: Text) -> Result<String, i32> {
    let Text { data, length } = text;
    if length == 0 {
        return Ok(String::new());
    }
    if data.is_null() {
        return Err(INVALID);
    }
    if length > isize::MAX as usize {
        return Err(TOO_LARGE);
    }
    // SAFETY: the header requires the extension to pass this many bytes.
    let bytes = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) };
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| INVALID)
}

/// Runs `work` on the call behind a handle, if this call is running on this thread. If `work` fails, its texts do not count.
fn with(call: *mut Call, work: impl FnOnce(&mut State) -> Result<(), i32>) -> i32 {
    let found = CURRENT.try_with(|current| {
        let Ok(mut current) = current.try_borrow_mut() else { return INVALID };
        match current.as_mut().filter(|(number, _)| *number == call.addr()) {
            Some((_, state)) if state.gone => GONE,
            Some((_, state)) => {
                let texts = state.texts;
                work(state).map_or_else(
                    |why| {
                        state.texts = texts;
                        why
                    },
                    |()| OK,
                )
            }
            None => INVALID,
        }
    });
    found.unwrap_or(INVALID)
}

/// The table of host functions for extensions.
pub(crate) static HOST: Host = Host {
    size: size_of::<Host>(),
    major: abi::MAJOR,
    minor: abi::MINOR,
    log,
    setting,
    detail,
    fail,
    allow,
    deny,
    next_row,
    write,
    plan,
};

unsafe extern "C" fn log(call: *mut Call, level: u32, message: Text) -> i32 {
    with(call, |state| {
        let message = state.take(message)?;
        let sent = send(&mut state.socket(), &Answer::Log(level, message));
        state.gone = sent.is_err();
        sent.map_err(|_| GONE)
    })
}

unsafe extern "C" fn setting(call: *mut Call, key: Text, json: *mut Text) -> i32 {
    with(call, |state| {
        if json.is_null() {
            return Err(INVALID);
        }
        let key = read(key)?;
        let value = state.settings().json.get(&key).ok_or(ABSENT)?;
        // SAFETY: the pointer is not null, and the header requires it to be valid.
        unsafe {
            json.write(text(value));
        }
        Ok(())
    })
}

unsafe extern "C" fn detail(call: *mut Call, key: Text, value: Text) -> i32 {
    with(call, |state| {
        state.must_be(&[Kind::Policy])?;
        let detail = (state.take(key)?, state.take(value)?);
        state.details.push(detail);
        Ok(())
    })
}

unsafe extern "C" fn fail(call: *mut Call, code: Text, message: Text, hint: Text) -> i32 {
    with(call, |state| {
        let problem = state.problem(code, message, hint);
        state.answer(Answer::Failed(problem))
    })
}

unsafe extern "C" fn allow(call: *mut Call, reason: Text) -> i32 {
    with(call, |state| {
        state.must_be(&[Kind::Policy])?;
        let reason = state.take(reason)?;
        state.answer(Answer::Verdict { reason, attrs: Vec::new() })
    })
}

unsafe extern "C" fn deny(call: *mut Call, code: Text, message: Text, hint: Text) -> i32 {
    with(call, |state| {
        state.must_be(&[Kind::Policy, Kind::Command])?;
        let problem = state.problem(code, message, hint);
        state.answer(Answer::Denied { problem, attrs: Vec::new() })
    })
}

unsafe extern "C" fn next_row(call: *mut Call, cells: *mut *const Text) -> i32 {
    with(call, |state| {
        if cells.is_null() {
            return Err(INVALID);
        }
        let row = state.next_row()?;
        // SAFETY: the pointer is not null, and the header requires it to be valid.
        unsafe {
            cells.write(row);
        }
        Ok(())
    })
}

unsafe extern "C" fn write(call: *mut Call, bytes: *const c_void, length: usize) -> i32 {
    with(call, |state| state.write(bytes, length))
}

unsafe extern "C" fn plan(call: *mut Call, argv: *const Text, argv_count: usize, message: Text) -> i32 {
    with(call, |state| {
        state.must_be(&[Kind::Command])?;
        if argv.is_null() && argv_count > 0 {
            return Err(INVALID);
        }
        if argv_count > state.settings().texts / 16 {
            return Err(TOO_LARGE);
        }
        // SAFETY: the header requires the extension to pass this many texts.
        let argv =
            if argv_count == 0 { &[][..] } else { unsafe { std::slice::from_raw_parts(argv, argv_count) } };
        let argv = argv.iter().map(|text| state.take(*text)).collect::<Result<Vec<String>, i32>>()?;
        let message = state.take(message)?;
        state.answer(Answer::Plan(Plan { argv, message }))
    })
}
