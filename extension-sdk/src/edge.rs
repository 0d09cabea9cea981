//! The edge: from the binary interface to values and back. Nothing unwinds across it.

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

/// What an extension has.
pub struct Parts {
    /// A policy.
    pub policy: Option<&'static dyn Policy>,
    /// A formatter.
    pub formatter: Option<&'static dyn Formatter>,
    /// A command.
    pub command: Option<&'static dyn Command>,
}

impl Parts {
    /// Nothing.
    pub const NONE: Self = Self { policy: None, formatter: None, command: None };
}

/// Size of the host's table in version 1.0: what this crate uses is in every host.
const HOST_SIZE: usize = std::mem::offset_of!(abi::Host, plan) + size_of::<usize>();

static HOST: AtomicPtr<abi::Host> = AtomicPtr::new(ptr::null_mut());

/// Makes the table of an extension; null if it can't work with this host.
///
/// # Safety
/// `host` is null, or what the header says.
pub unsafe fn entry(host: *const abi::Host, parts: &'static Parts) -> *const abi::Extension {
    if host.is_null() {
        return ptr::null();
    }
    // SAFETY: every version of the table begins with these.
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

/// `deny` or `fail` of the host.
type Refuse = unsafe extern "C" fn(*mut Call, Text, Text, Text) -> i32;

/// What the host offers during one call.
pub struct Host<'a> {
    call: *mut Call,
    host: &'a abi::Host,
    of_this_call: PhantomData<&'a Call>,
}

impl Host<'_> {
    /// Writes a line to the host's log.
    pub fn log(&self, level: Level, message: &str) {
        let level = match level {
            Level::Error => abi::LOG_ERROR,
            Level::Warn => abi::LOG_WARN,
            Level::Info => abi::LOG_INFO,
            Level::Debug => abi::LOG_DEBUG,
        };
        // SAFETY: the call goes on. If it isn't taken there is nothing to do about it.
        let _ = unsafe { (self.host.log)(self.call, level, lend(message)) };
    }

    /// A setting of the extension's, as JSON.
    pub fn setting(&self, key: &str) -> Option<String> {
        let mut json = lend("");
        // SAFETY: the call goes on, and `json` is ours.
        let found = unsafe { (self.host.setting)(self.call, lend(key), &raw mut json) };
        // SAFETY: what is found is valid as long as the call.
        (found == abi::OK).then(|| unsafe { take(json) })
    }

    fn fail(&self, problem: &Problem) {
        self.refuse(self.host.fail, [&problem.code, &problem.message, &problem.hint]);
    }

    fn deny(&self, denial: &Denial) {
        self.refuse(self.host.deny, [&denial.code, &denial.message, &denial.hint]);
    }

    /// A refusal must arrive, if need be without its words.
    fn refuse(&self, how: Refuse, words: [&str; 3]) {
        for [code, message, hint] in [words, ["not-taken", "the host hasn't taken the reason", ""]] {
            // SAFETY: the call goes on.
            if unsafe { how(self.call, lend(code), lend(message), lend(hint)) } == abi::OK {
                return;
            }
        }
    }

    /// An answer that isn't taken is a failure: silence would say less.
    fn answered(&self, taken: i32) {
        if taken != abi::OK {
            self.fail(&Problem::new("not-taken", "the host hasn't taken the answer"));
        }
    }

    fn say(&self, verdict: &Verdict) {
        match &verdict.decision {
            // SAFETY: the call goes on.
            Decision::Allow(reason) => {
                self.answered(unsafe { (self.host.allow)(self.call, lend(reason)) });
            }
            Decision::Deny(denial) => self.deny(denial),
        }
        // Afterwards, so that too many of them can't keep the decision out.
        for (key, value) in &verdict.attrs {
            // SAFETY: the call goes on.
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

    /// The cells of the next row, one a column.
    fn next(&mut self) -> Option<Vec<String>> {
        let mut cells = ptr::null();
        // SAFETY: the call goes on, and `cells` is ours.
        let found = unsafe { (self.host.host.next_row)(self.host.call, &raw mut cells) };
        // SAFETY: as many cells as there are columns, until the next row is asked for.
        (found == abi::OK).then(|| unsafe { all(cells, self.columns, |cell| take(*cell)) })
    }
}

/// Where a formatter writes.
pub struct Out<'a>(&'a Host<'a>);

impl std::io::Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // SAFETY: the call goes on.
        let taken = unsafe { (self.0.host.write)(self.0.call, bytes.as_ptr().cast(), bytes.len()) };
        if taken == abi::OK { Ok(bytes.len()) } else { Err(std::io::ErrorKind::BrokenPipe.into()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

unsafe extern "C" fn evaluate(state: *mut c_void, call: *mut Call, operation: *const abi::Operation) {
    // SAFETY: the header says what is passed.
    unsafe {
        answer(state, call, |parts, host| {
            let Some(policy) = parts.policy else { return };
            match policy.evaluate(host, &of_operation(&*operation)) {
                Ok(verdict) => host.say(&verdict),
                Err(problem) => host.fail(&problem),
            }
        });
    }
}

unsafe extern "C" fn format(state: *mut c_void, call: *mut Call, list: *const abi::List) {
    // SAFETY: the header says what is passed.
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
    // SAFETY: the header says what is passed.
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

/// Runs `work`; its panic is a failure.
unsafe fn answer(state: *mut c_void, call: *mut Call, work: impl FnOnce(&Parts, &Host<'_>)) {
    // SAFETY: the state is what `entry` put there, and the host's table stays where it is.
    let (parts, host) = unsafe { (&*state.cast_const().cast::<Parts>(), &*HOST.load(Ordering::SeqCst)) };
    let host = Host { call, host, of_this_call: PhantomData };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(parts, &host))) {
        let said = words(panic.as_ref()).to_owned();
        // What a panic was raised with can panic again when it is dropped.
        std::mem::forget(panic);
        host.fail(&Problem::new("panic", format!("panicked: {said}")));
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or(panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without words")
}

fn lend(text: &str) -> Text {
    Text { data: text.as_ptr().cast(), length: text.len() }
}

/// Copies a text of the host's.
unsafe fn take(text: Text) -> String {
    if text.data.is_null() {
        return String::new();
    }
    // SAFETY: the host vouches for as many bytes.
    String::from_utf8_lossy(unsafe { slice::from_raw_parts(text.data.cast(), text.length) }).into_owned()
}

/// Copies an array of the host's.
unsafe fn all<T, U>(first: *const T, count: usize, copy: impl Fn(&T) -> U) -> Vec<U> {
    if first.is_null() {
        return Vec::new();
    }
    // SAFETY: the host vouches for as many.
    unsafe { slice::from_raw_parts(first, count) }.iter().map(copy).collect()
}

unsafe fn pairs(first: *const abi::Pair, count: usize) -> Vec<(String, String)> {
    // SAFETY: as above.
    unsafe { all(first, count, |pair| (take(pair.key), take(pair.value))) }
}

/// A text that is empty if there is none.
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
        /// What the host was told, and the longest text that it takes.
        static TOLD: RefCell<(Vec<String>, usize)> = const { RefCell::new((Vec::new(), 0)) };
    }

    fn told(what: &str, texts: &[Text]) -> i32 {
        // SAFETY: they are the tested code's.
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

    /// What a host that takes texts of up to 64 bytes is told of this verdict.
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
        Host { call: ptr::null_mut(), host: &host, of_this_call: PhantomData }.say(verdict);
        TOLD.take().0
    }

    #[test]
    fn a_denial_arrives_whatever_the_host_takes_of_its_words() {
        let long = "x".repeat(65);
        assert_eq!(said(&Verdict::deny("no", "not today")), ["deny: no, not today, "]);
        let short = said(&Verdict::deny("no", &long).with_attr("a", "b"));
        assert_eq!(short, ["deny: not-taken, the host hasn't taken the reason, ", "detail: a, b"]);
        assert_eq!(said(&Verdict::allow(&long)), ["fail: not-taken, the host hasn't taken the answer, "]);
    }
}
