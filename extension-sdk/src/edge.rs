//! Converts between the binary interface and Rust values. Nothing unwinds across the interface.

// The host is on the other side of every function here.
#![allow(unsafe_code)]

use std::any::Any;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::{ptr, slice};

use crate::abi::{self, Call, Text};
use crate::{
    Command, Decision, Denial, Failure, Formatter, Level, List, Operation, Policy, Problem, Verdict,
};

/// The parts of an extension.
pub struct Parts {
    pub policy: Option<&'static dyn Policy>,
    pub formatter: Option<&'static dyn Formatter>,
    pub command: Option<&'static dyn Command>,
}

impl Parts {
    /// No parts.
    pub const NONE: Self = Self { policy: None, formatter: None, command: None };
}

/// Size of bootc-image's table in version 1.0. This crate uses only functions of that version, which every version of bootc-image has.
const HOST_SIZE: usize = std::mem::offset_of!(abi::Host, plan) + size_of::<usize>();

static HOST: AtomicPtr<abi::Host> = AtomicPtr::new(ptr::null_mut());

/// Creates the table of an extension. Returns null if the extension cannot work with this version of bootc-image.
///
/// # Safety
/// `host` must be null or a table as described in the header.
pub unsafe fn entry(host: *const abi::Host, parts: &'static Parts) -> *const abi::Extension {
    if host.is_null() {
        return ptr::null();
    }
    // SAFETY: every version of the table starts with these fields.
    let (size, major) = unsafe { ((&raw const (*host).size).read(), (&raw const (*host).major).read()) };
    if major != abi::MAJOR || size < HOST_SIZE {
        return ptr::null();
    }
    HOST.store(host.cast_mut(), Ordering::SeqCst);
    Box::leak(Box::new(abi::Extension {
        size: size_of::<abi::Extension>(),
        major: abi::MAJOR,
        minor: abi::MINOR,
        state: ptr::from_ref(parts).cast_mut().cast(),
        evaluate: parts.policy.map(|_| evaluate as unsafe extern "C" fn(_, _, _)),
        format: parts.formatter.map(|_| format as unsafe extern "C" fn(_, _, _)),
        plan: parts.command.map(|_| plan as unsafe extern "C" fn(_, _, _)),
    }))
}

/// bootc-image's `deny` or `fail`.
type Refuse = unsafe extern "C" fn(*mut Call, Text, Text, Text) -> i32;

/// bootc-image's functions during one call.
pub struct Host<'a> {
    call: *mut Call,
    host: &'a abi::Host,
    of_this_call: PhantomData<&'a Call>,
}

impl Host<'_> {
    /// Writes a line to bootc-image's log.
    pub fn log(&self, level: Level, message: &str) {
        let level = match level {
            Level::Error => abi::LOG_ERROR,
            Level::Warn => abi::LOG_WARN,
            Level::Info => abi::LOG_INFO,
            Level::Debug => abi::LOG_DEBUG,
        };
        // SAFETY: the call has not ended. If the host rejects the line, nothing can be done about it.
        let _ = unsafe { (self.host.log)(self.call, level, lend(message)) };
    }

    /// Returns one of the extension's settings as JSON text (a string keeps its quotes), or none if it is not set.
    pub fn setting(&self, key: &str) -> Option<String> {
        let mut json = lend("");
        // SAFETY: the call has not ended, and `json` is a local variable.
        let found = unsafe { (self.host.setting)(self.call, lend(key), &raw mut json) };
        // SAFETY: the text is valid until the call ends.
        (found == abi::OK).then(|| unsafe { take(json) })
    }

    fn fail(&self, problem: &Problem) {
        self.refuse(self.host.fail, [&problem.code, &problem.message, &problem.hint]);
    }

    fn deny(&self, denial: &Denial) {
        self.refuse(self.host.deny, [&denial.code, &denial.message, &denial.hint]);
    }

    /// A denial or failure must reach bootc-image, even if it rejects its texts.
    fn refuse(&self, how: Refuse, words: [&str; 3]) {
        for [code, message, hint] in [words, ["not-taken", "the host did not accept the reason", ""]] {
            // SAFETY: the call has not ended.
            if unsafe { how(self.call, lend(code), lend(message), lend(hint)) } == abi::OK {
                return;
            }
        }
    }

    /// Reports a rejected answer as a failure, so that the user sees a reason.
    fn answered(&self, taken: i32) {
        if taken != abi::OK {
            self.fail(&Problem::new("not-taken", "the host did not accept the answer"));
        }
    }

    fn send(&self, verdict: &Verdict) {
        match &verdict.decision {
            // SAFETY: the call has not ended.
            Decision::Allow(reason) => {
                self.answered(unsafe { (self.host.allow)(self.call, lend(reason)) });
            }
            Decision::Deny(denial) => self.deny(denial),
        }
        // After the decision, so that too many attributes cannot crowd it out.
        for (key, value) in &verdict.attrs {
            // SAFETY: the call has not ended.
            let _ = unsafe { (self.host.detail)(self.call, lend(key), lend(value)) };
        }
    }
}

/// The rows of a list.
pub struct Rows<'a> {
    host: &'a Host<'a>,
    columns: usize,
}

impl Iterator for Rows<'_> {
    type Item = Vec<String>;

    /// Returns the cells of the next row, one per column.
    fn next(&mut self) -> Option<Vec<String>> {
        let mut cells = ptr::null();
        // SAFETY: the call has not ended, and `cells` is a local variable.
        let found = unsafe { (self.host.host.next_row)(self.host.call, &raw mut cells) };
        // SAFETY: there is one cell per column, valid until the next row is requested.
        (found == abi::OK).then(|| unsafe { all(cells, self.columns, |cell| take(*cell)) })
    }
}

/// The output of a formatter.
pub struct Out<'a>(&'a Host<'a>);

impl std::io::Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // SAFETY: the call has not ended.
        let taken = unsafe { (self.0.host.write)(self.0.call, bytes.as_ptr().cast(), bytes.len()) };
        if taken == abi::OK { Ok(bytes.len()) } else { Err(std::io::ErrorKind::BrokenPipe.into()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

unsafe extern "C" fn evaluate(state: *mut c_void, call: *mut Call, operation: *const abi::Operation) {
    // SAFETY: the host passes the arguments that the header describes.
    unsafe {
        answer(state, call, |parts, host| {
            let Some(policy) = parts.policy else { return };
            match policy.evaluate(host, &of_operation(&*operation)) {
                Ok(verdict) => host.send(&verdict),
                Err(problem) => host.fail(&problem),
            }
        });
    }
}

unsafe extern "C" fn format(state: *mut c_void, call: *mut Call, list: *const abi::List) {
    // SAFETY: the host passes the arguments that the header describes.
    unsafe {
        answer(state, call, |parts, host| {
            let Some(formatter) = parts.formatter else { return };
            let list = &*list;
            let asked = List {
                format: take(list.format),
                columns: all(list.columns, list.column_count, |column| take(*column)),
                options: pairs(list.options, list.option_count),
            };
            let mut rows = Rows { host, columns: list.column_count };
            if let Err(problem) = formatter.format(host, &asked, &mut rows, &mut Out(host)) {
                host.fail(&problem);
            }
        });
    }
}

unsafe extern "C" fn plan(state: *mut c_void, call: *mut Call, command: *const abi::Command) {
    // SAFETY: the host passes the arguments that the header describes.
    unsafe {
        answer(state, call, |parts, host| {
            let Some(planner) = parts.command else { return };
            let command = &*command;
            let args = all(command.args, command.arg_count, |arg| take(*arg));
            match planner.plan(host, &take(command.name), &args) {
                Ok(plan) => {
                    let argv: Vec<Text> = plan.argv.iter().map(|arg| lend(arg)).collect();
                    host.answered((host.host.plan)(call, argv.as_ptr(), argv.len(), lend(&plan.message)));
                }
                Err(Failure::Denied(denial)) => host.deny(&denial),
                Err(Failure::Failed(problem)) => host.fail(&problem),
            }
        });
    }
}

/// Runs `work`, and reports its panic as a failure.
unsafe fn answer(state: *mut c_void, call: *mut Call, work: impl FnOnce(&Parts, &Host<'_>)) {
    // SAFETY: `entry` set the state, and the host's table stays at its address.
    let (parts, host) = unsafe { (&*state.cast_const().cast::<Parts>(), &*HOST.load(Ordering::SeqCst)) };
    let host = Host { call, host, of_this_call: PhantomData };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(parts, &host))) {
        let message = message(panic.as_ref()).to_owned();
        // Dropping the payload of a panic can panic again.
        std::mem::forget(panic);
        host.fail(&Problem::new("panic", format!("panicked: {message}")));
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or(panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

fn lend(text: &str) -> Text {
    Text { data: text.as_ptr().cast(), length: text.len() }
}

/// Copies a text of bootc-image.
unsafe fn take(text: Text) -> String {
    if text.data.is_null() {
        return String::new();
    }
    // SAFETY: the host guarantees this number of bytes.
    String::from_utf8_lossy(unsafe { slice::from_raw_parts(text.data.cast(), text.length) }).into_owned()
}

/// Copies an array of bootc-image.
unsafe fn all<T, U>(first: *const T, count: usize, copy: impl Fn(&T) -> U) -> Vec<U> {
    if first.is_null() {
        return Vec::new();
    }
    // SAFETY: the host guarantees this number of elements.
    unsafe { slice::from_raw_parts(first, count) }.iter().map(copy).collect()
}

unsafe fn pairs(first: *const abi::Pair, count: usize) -> Vec<(String, String)> {
    // SAFETY: as above.
    unsafe { all(first, count, |pair| (take(pair.key), take(pair.value))) }
}

/// Copies a text of bootc-image; an empty one means none.
unsafe fn optional(text: Text) -> Option<String> {
    // SAFETY: as above.
    Some(unsafe { take(text) }).filter(|text| !text.is_empty())
}

unsafe fn of_operation(operation: &abi::Operation) -> Operation {
    // SAFETY: as above.
    unsafe {
        Operation {
            kind: take(operation.kind),
            digest: take(operation.digest),
            argv: all(operation.argv, operation.argv_count, |arg| take(*arg)),
            images: all(operation.images, operation.image_count, |image| of_image(&**image)),
            attrs: pairs(operation.attrs, operation.attr_count),
        }
    }
}

unsafe fn of_image(image: &abi::Image) -> crate::Image {
    // SAFETY: as above.
    unsafe {
        crate::Image {
            role: take(image.role),
            name: image.name.as_ref().map(|name| crate::Reference {
                canonical: take(name.canonical),
                transport: take(name.transport),
                registry: take(name.registry),
                repository: take(name.repository),
                tag: optional(name.tag),
                digest: optional(name.digest),
            }),
            digest: optional(image.digest),
            attrs: pairs(image.attrs, image.attr_count),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    thread_local! {
        /// What the host received, and the longest text that it accepts.
        static TOLD: RefCell<(Vec<String>, usize)> = const { RefCell::new((Vec::new(), 0)) };
    }

    fn told(what: &str, texts: &[Text]) -> i32 {
        // SAFETY: the tested code passes valid texts.
        let texts: Vec<String> = texts.iter().map(|text| unsafe { take(*text) }).collect();
        TOLD.with_borrow_mut(|(told, longest)| {
            if texts.iter().any(|text| text.len() > *longest) {
                return abi::TOO_LARGE;
            }
            told.push(format!("{what}: {}", texts.join(", ")));
            abi::OK
        })
    }

    unsafe extern "C" fn log(_: *mut Call, _: u32, _: Text) -> i32 {
        abi::INVALID
    }
    unsafe extern "C" fn setting(_: *mut Call, _: Text, _: *mut Text) -> i32 {
        abi::ABSENT
    }
    unsafe extern "C" fn detail(_: *mut Call, key: Text, value: Text) -> i32 {
        told("detail", &[key, value])
    }
    unsafe extern "C" fn fail(_: *mut Call, code: Text, message: Text, hint: Text) -> i32 {
        told("fail", &[code, message, hint])
    }
    unsafe extern "C" fn allow(_: *mut Call, reason: Text) -> i32 {
        told("allow", &[reason])
    }
    unsafe extern "C" fn deny(_: *mut Call, code: Text, message: Text, hint: Text) -> i32 {
        told("deny", &[code, message, hint])
    }
    unsafe extern "C" fn next_row(_: *mut Call, _: *mut *const Text) -> i32 {
        abi::ABSENT
    }
    unsafe extern "C" fn write(_: *mut Call, _: *const c_void, _: usize) -> i32 {
        abi::INVALID
    }
    unsafe extern "C" fn plan(_: *mut Call, _: *const Text, _: usize, message: Text) -> i32 {
        told("plan", &[message])
    }

    /// What a host that accepts texts of up to 64 bytes receives for this verdict.
    fn said(verdict: &Verdict) -> Vec<String> {
        let host = abi::Host {
            size: size_of::<abi::Host>(),
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
        TOLD.set((Vec::new(), 64));
        Host { call: ptr::null_mut(), host: &host, of_this_call: PhantomData }.send(verdict);
        TOLD.take().0
    }

    #[test]
    fn a_denial_reaches_the_host_even_if_its_texts_are_rejected() {
        let long = "x".repeat(65);
        assert_eq!(said(&Verdict::deny("no", "not today")), ["deny: no, not today, "]);
        let short = said(&Verdict::deny("no", &long).with_attr("a", "b"));
        assert_eq!(short, ["deny: not-taken, the host did not accept the reason, ", "detail: a, b"]);
        assert_eq!(said(&Verdict::allow(&long)), ["fail: not-taken, the host did not accept the answer, "]);
    }
}
