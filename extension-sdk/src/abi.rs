//! What crosses the edge between bootc-image and a native extension. The C header `include/bootc_image_extension.h` is generated
//! from this file; the rules of the edge are at its head (`cbindgen.toml`).
//!
//! Every struct begins with its size and only ever grows at its end, so what an older side doesn't know lies beyond what it reads.

use core::ffi::{c_char, c_void};

/// The major version of these definitions. Host and extension must have the same one.
pub const MAJOR: u32 = 1;

/// The minor version. A newer one has more at the end of structs; either side may be the newer one.
pub const MINOR: u32 = 0;

/// The one symbol that an extension exports: a function of the type [`Entry`].
pub const ENTRY: &str = "bootc_image_extension_entry";

/// The function was carried out.
pub const OK: i32 = 0;
/// There is none: no such setting, or no further row.
pub const ABSENT: i32 = 1;
/// An argument is null where it mustn't be, isn't UTF-8, or the function doesn't belong to this kind of call; or an answer was
/// given before. The call is as it was.
pub const INVALID: i32 = 2;
/// With it a call would have more text than the host takes: 64 KiB of a policy, a mebibyte of others, all in all, of which 256 bytes
/// are kept for `deny` and `fail`. The call is as it was.
pub const TOO_LARGE: i32 = 3;
/// The host doesn't listen any more. Return.
pub const GONE: i32 = 4;

/// A level of `log`: something failed.
pub const LOG_ERROR: u32 = 0;
/// A level of `log`: something may be wrong.
pub const LOG_WARN: u32 = 1;
/// A level of `log`: what an administrator may want to know.
pub const LOG_INFO: u32 = 2;
/// A level of `log`: what whoever looks for an error wants to know.
pub const LOG_DEBUG: u32 = 3;

/// UTF-8 text: `length` bytes, without a NUL at the end. `data` may be null if `length` is 0.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Text {
    /// Its first byte.
    pub data: *const c_char,
    /// How many bytes it has.
    pub length: usize,
}

/// A key and what belongs to it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// The key.
    pub key: Text,
    /// The value.
    pub value: Text,
}

/// One call of the host's into an extension. Valid until the called function returns, on the thread that was called.
#[repr(C)]
#[derive(Debug)]
pub struct Call {
    _opaque: [u8; 0],
}

/// The name of an image, taken apart.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Reference {
    /// Size of this struct, in bytes.
    pub size: usize,
    /// All of it, with the transport.
    pub canonical: Text,
    /// `docker` for registries.
    pub transport: Text,
    /// Host name and port; empty if the transport knows none.
    pub registry: Text,
    /// Path within the registry; else all that follows the transport.
    pub repository: Text,
    /// The tag; empty if there is none.
    pub tag: Text,
    /// The digest in the name; empty if there is none.
    pub digest: Text,
}

/// An image that an operation is about.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Image {
    /// Size of this struct, in bytes.
    pub size: usize,
    /// `source` is read or fetched, `target` is written or sent to, `image` is named otherwise. An open set.
    pub role: Text,
    /// Its name as asked for; null if it was asked for by its id.
    pub name: *const Reference,
    /// The manifest's digest that will run; empty of targets, and before names are looked up.
    pub digest: Text,
    /// What else is known: `id`, `commit`, `instance`, `option`, `platform`.
    pub attrs: *const Pair,
    /// How many there are.
    pub attr_count: usize,
}

/// What a policy judges.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// Size of this struct, in bytes.
    pub size: usize,
    /// `list`, `copy-to-storage`, `pull-from-default-storage`, `set-unified`, `remove`, `prune`, `repair`, or `cmd` with a
    /// blank and podman's subcommand. An open set: decide on what you don't know by your default.
    pub kind: Text,
    /// Names this operation in verdicts and in the audit record.
    pub digest: Text,
    /// Of `cmd`: what podman would get after the subcommand.
    pub argv: *const Text,
    /// How many there are.
    pub argv_count: usize,
    /// The images that it is about.
    pub images: *const *const Image,
    /// How many there are.
    pub image_count: usize,
    /// What else is known, sorted by key: `caller.uid`, `caller.via`, `plugin`, `pinned`, `resolved`, `sysroot`.
    pub attrs: *const Pair,
    /// How many there are.
    pub attr_count: usize,
}

/// A list that is to be formatted. Its rows come from `next_row`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct List {
    /// Size of this struct, in bytes.
    pub size: usize,
    /// The format that the user asked for, one of those in the manifest.
    pub format: Text,
    /// The columns that the manifest names for it, in that order.
    pub columns: *const Text,
    /// How many there are.
    pub column_count: usize,
    /// What else is known: `terminal` and `color`, `true` or `false`; `argument`, if one was typed, which may be empty.
    pub options: *const Pair,
    /// How many there are.
    pub option_count: usize,
}

/// A subcommand of `cmd` as the user typed it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// Size of this struct, in bytes.
    pub size: usize,
    /// The subcommand, one of those in the manifest.
    pub name: Text,
    /// What followed it, untouched.
    pub args: *const Text,
    /// How many there are.
    pub arg_count: usize,
}

/// What the host offers to an extension. It stays where it is. Every function takes the call that it belongs to, copies what it
/// is given, and returns 0, or why it did nothing.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Host {
    /// Size of this struct, in bytes.
    pub size: usize,
    /// The host's major version.
    pub major: u32,
    /// The host's minor version.
    pub minor: u32,
    /// Writes a line to the host's log, which is seen with `-v` and `-vv`. A level beyond those above is that of `LOG_DEBUG`.
    pub log: unsafe extern "C" fn(call: *mut Call, level: u32, message: Text) -> i32,
    /// A setting of the extension's, as JSON: a string has its quotes. `json` is valid as long as the call.
    pub setting: unsafe extern "C" fn(call: *mut Call, key: Text, json: *mut Text) -> i32,
    /// A policy's: adds a detail to `allow` or `deny`, for the audit record, which keeps 32.
    pub detail: unsafe extern "C" fn(call: *mut Call, key: Text, value: Text) -> i32,
    /// The answer: this can't be done. `code` is a stable name such as `no-session`, 1 to 64 lower-case letters, digits and `-`;
    /// `usage` if what the user typed makes no sense. `message` is a sentence for a person. `hint` says what to do next, and may be
    /// empty. Texts that can't be taken, being too long or no UTF-8, are replaced, as is a code that isn't one: it fails all the same.
    pub fail: unsafe extern "C" fn(call: *mut Call, code: Text, message: Text, hint: Text) -> i32,
    /// A policy's answer: no objection. `reason` may be empty.
    pub allow: unsafe extern "C" fn(call: *mut Call, reason: Text) -> i32,
    /// A policy's or a command's answer: this must not run. `code`, `message` and `hint` as of `fail`: whatever they are, it is denied.
    pub deny: unsafe extern "C" fn(call: *mut Call, code: Text, message: Text, hint: Text) -> i32,
    /// Of a formatter: the next row, as many cells as the list has columns. They are valid until the next row is asked for. Whoever
    /// returns before the last one has made a list of those that were taken.
    pub next_row: unsafe extern "C" fn(call: *mut Call, cells: *mut *const Text) -> i32,
    /// Of a formatter: what is printed next.
    pub write: unsafe extern "C" fn(call: *mut Call, bytes: *const c_void, length: usize) -> i32,
    /// A command's answer: what is asked of podman. The first argument is the subcommand that the user typed, the others follow;
    /// none at all: nothing is left to do. It is a request: the host parses it, asks every policy, and records it. `message` is
    /// shown before anything runs, and may be empty.
    pub plan:
        unsafe extern "C" fn(call: *mut Call, argv: *const Text, argv_count: usize, message: Text) -> i32,
}

/// What an extension offers. It is the extension's, and stays where it is. What it doesn't do is null: a manifest with the role
/// `policy` needs `evaluate`, `format` needs `format`, `command` needs `plan`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Extension {
    /// Size of this struct, in bytes.
    pub size: usize,
    /// The major version that it was built with.
    pub major: u32,
    /// The minor version.
    pub minor: u32,
    /// Given back in every call; may be null.
    pub state: *mut c_void,
    /// Judges an operation. It answers with `allow`, `deny` or `fail`, once. Without an answer it has failed, which denies, unless
    /// the administrator lets this policy fail.
    pub evaluate:
        Option<unsafe extern "C" fn(state: *mut c_void, call: *mut Call, operation: *const Operation)>,
    /// Formats a list with `next_row` and `write`; it has come to its end when this returns, unless it called `fail`.
    pub format: Option<unsafe extern "C" fn(state: *mut c_void, call: *mut Call, list: *const List)>,
    /// Plans a command. It answers with `plan`, `deny` or `fail`, once.
    pub plan: Option<unsafe extern "C" fn(state: *mut c_void, call: *mut Call, command: *const Command)>,
}

/// Called once, before anything else. Returns null if the extension can't work with this host.
pub type Entry = unsafe extern "C" fn(host: *const Host) -> *const Extension;
