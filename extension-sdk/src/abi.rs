//! The binary interface between bootc-image and a native extension. The C header `include/bootc_image_extension.h` is generated from
//! this file. The header starts with the rules of the interface, which are kept in `cbindgen.toml`.
//!
//! Most structs start with their size, and new fields are only added at the end. An older side never reads the fields that it does
//! not know.

use core::ffi::{c_char, c_void};

/// The major version of this interface. bootc-image and extension must have the same major version.
pub const MAJOR: u32 = 1;

/// The minor version of this interface. Newer minor versions add fields at the end of structs. Either side may be the newer one.
pub const MINOR: u32 = 0;

/// The only symbol that an extension must export: a function of the type [`Entry`].
pub const ENTRY: &str = "bootc_image_extension_entry";

/// The function succeeded.
pub const OK: i32 = 0;
/// The setting is not set, or there are no more rows.
pub const ABSENT: i32 = 1;
/// An argument is null where that is not allowed, or is not valid UTF-8; or the function is not available in this kind of call; or the
/// call has an answer already. The state of the call is unchanged.
pub const INVALID: i32 = 2;
/// The text of this call would exceed the limit: 64 KiB in total for a policy, 1 MiB in total for a format or a wrapper. 256
/// bytes of it are reserved for `deny` and `fail`. The state of the call is unchanged.
pub const TOO_LARGE: i32 = 3;
/// bootc-image has ended this call. Return from the function.
pub const GONE: i32 = 4;

/// A level of `log`: the extension failed.
pub const LOG_ERROR: u32 = 0;
/// A level of `log`: the extension succeeded, but the administrator should check something.
pub const LOG_WARN: u32 = 1;
/// A level of `log`: what the extension did.
pub const LOG_INFO: u32 = 2;
/// A level of `log`: details for debugging.
pub const LOG_DEBUG: u32 = 3;

/// UTF-8 text of `length` bytes, not terminated by NUL. `data` may be null if `length` is 0.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Text {
    /// Pointer to the first byte.
    pub data: *const c_char,
    /// Length in bytes.
    pub length: usize,
}

/// A key and its value.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// The key.
    pub key: Text,
    /// The value.
    pub value: Text,
}

/// A call from bootc-image into an extension. It is valid only on the thread that was called, and only until the called function returns.
#[repr(C)]
#[derive(Debug)]
pub struct Call {
    _opaque: [u8; 0],
}

/// The name of an image, split into its parts.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Reference {
    /// Size of this struct, in bytes.
    pub size: usize,
    /// The full name with its transport.
    pub canonical: Text,
    /// The transport: `docker` for registries.
    pub transport: Text,
    /// Host name of the registry, with its port if there is one. Empty if the transport has no registries.
    pub registry: Text,
    /// Path within the registry. If the transport has no registries: all text after the transport.
    pub repository: Text,
    /// Tag. Empty if there is none.
    pub tag: Text,
    /// Digest in the name. Empty if there is none.
    pub digest: Text,
}

/// An image that an operation uses.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Image {
    /// Size of this struct, in bytes.
    pub size: usize,
    /// The role of the image: `source` if it is read or fetched, `target` if it is written or pushed, `image` if it is used in another
    /// way. More roles may be added.
    pub role: Text,
    /// The requested name. Null if the image was requested by its ID.
    pub name: *const Reference,
    /// Digest of the manifest that will be used. Empty for targets, and before names are resolved.
    pub digest: Text,
    /// Attributes, if they are known: `id`, `commit`, `instance`, `option`, `platform`. More may be added.
    pub attrs: *const Pair,
    /// Number of elements in `attrs`.
    pub attr_count: usize,
}

/// The operation that a policy judges.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// Size of this struct, in bytes.
    pub size: usize,
    /// The kind: `list`, `exists`, `copy-to-storage`, `pull-from-default-storage`, `set-unified`, `remove`, `prune`, `repair`, or `cmd`,
    /// a space and podman's subcommand. More kinds may be added: apply your default to kinds that you do not recognise.
    pub kind: Text,
    /// The operation digest, which identifies the operation in verdicts and in the audit record.
    pub digest: Text,
    /// For `cmd`: the arguments that podman would get after the subcommand. Empty for all other kinds.
    pub argv: *const Text,
    /// Number of elements in `argv`.
    pub argv_count: usize,
    /// The images that the operation uses.
    pub images: *const *const Image,
    /// Number of elements in `images`.
    pub image_count: usize,
    /// Attributes, sorted by key: `caller.uid`, `caller.via`, `plugin`, `pinned`, `resolved`, `sysroot`. More may be added.
    pub attrs: *const Pair,
    /// Number of elements in `attrs`.
    pub attr_count: usize,
}

/// A list to be formatted. `next_row` returns its rows.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct List {
    /// Size of this struct, in bytes.
    pub size: usize,
    /// The format that the user asked for, one of those listed in the manifest.
    pub format: Text,
    /// The columns that the manifest lists for this format. Cells have the same order.
    pub columns: *const Text,
    /// Number of elements in `columns`.
    pub column_count: usize,
    /// Properties of the output: `terminal` and `color`, each `true` or `false`; `argument`, if the user typed one, which may be empty.
    pub options: *const Pair,
    /// Number of elements in `options`.
    pub option_count: usize,
}

/// A subcommand of `cmd`, as the user typed it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// Size of this struct, in bytes.
    pub size: usize,
    /// The subcommand, one of those listed in the manifest.
    pub name: Text,
    /// The unchanged words that followed the subcommand.
    pub args: *const Text,
    /// Number of elements in `args`.
    pub arg_count: usize,
}

/// The functions that bootc-image provides to an extension. The table stays at the same address while the process lives. Every function
/// takes the call to which it belongs and copies its arguments. It returns `OK` (0), or an error code if it did nothing.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Host {
    /// Size of this struct, in bytes.
    pub size: usize,
    /// The major version of bootc-image's interface.
    pub major: u32,
    /// The minor version of bootc-image's interface.
    pub minor: u32,
    /// Writes a line to bootc-image's log, which `-v` and `-vv` show. Unknown levels are treated like `LOG_DEBUG`.
    pub log: unsafe extern "C" fn(call: *mut Call, level: u32, message: Text) -> i32,
    /// Reads one of the extension's settings as JSON text (a string has its quotes). The text is valid until the call ends.
    pub setting: unsafe extern "C" fn(call: *mut Call, key: Text, json: *mut Text) -> i32,
    /// For policies: adds an attribute to `allow` or `deny`, for the audit record. The audit record keeps 32 of them.
    pub detail: unsafe extern "C" fn(call: *mut Call, key: Text, value: Text) -> i32,
    /// Answers the call with a failure. `code` is a stable name such as `no-session`, of 1 to 64 lower-case letters, digits and `-`. The
    /// code `usage` means a usage error. `message` is one sentence for a person. `hint` is what the person can do next, and may be empty.
    /// Invalid codes and texts (too long, or not UTF-8) are replaced; the answer is a failure in any case.
    pub fail: unsafe extern "C" fn(call: *mut Call, code: Text, message: Text, hint: Text) -> i32,
    /// For policies: answers that the operation is allowed. `reason` may be empty.
    pub allow: unsafe extern "C" fn(call: *mut Call, reason: Text) -> i32,
    /// For policies and wrappers: answers that the operation is denied. `code`, `message` and `hint` are treated as by `fail`; the answer
    /// is a denial in any case.
    pub deny: unsafe extern "C" fn(call: *mut Call, code: Text, message: Text, hint: Text) -> i32,
    /// For formats: returns the next row, with one cell per column of the list. The cells are valid until the next row is requested. A
    /// format may return before the last row; the list then has only the rows that were taken.
    pub next_row: unsafe extern "C" fn(call: *mut Call, cells: *mut *const Text) -> i32,
    /// For formats: prints these bytes.
    pub write: unsafe extern "C" fn(call: *mut Call, bytes: *const c_void, length: usize) -> i32,
    /// For wrappers: answers with the podman command to run. The first argument is the subcommand that the user typed. Without arguments,
    /// there is nothing to run. bootc-image treats the plan as if the user had typed it: it parses the plan, has every policy judge it, and
    /// records it. `message` is shown before anything runs, and may be empty.
    pub plan:
        unsafe extern "C" fn(call: *mut Call, argv: *const Text, argv_count: usize, message: Text) -> i32,
}

/// The functions of an extension. The table belongs to the extension and stays at the same address while the process lives. Functions
/// that the extension does not have are null. A manifest with the role `policy` requires `evaluate`, `format` requires `format`,
/// `command` requires `plan`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Extension {
    /// Size of this struct, in bytes.
    pub size: usize,
    /// The major version of the interface that the extension was built with.
    pub major: u32,
    /// The minor version of the interface that the extension was built with.
    pub minor: u32,
    /// Passed to every function of the extension. May be null.
    pub state: *mut c_void,
    /// Judges an operation. Must answer once, with `allow`, `deny` or `fail`. No answer is a failure. A failure denies the operation,
    /// unless the administrator listed the plugin under `fail-open` and the caller did not become root through sudo or the like.
    pub evaluate:
        Option<unsafe extern "C" fn(state: *mut c_void, call: *mut Call, operation: *const Operation)>,
    /// Formats a list with `next_row` and `write`. The list is complete when this function returns, unless it called `fail`.
    pub format: Option<unsafe extern "C" fn(state: *mut c_void, call: *mut Call, list: *const List)>,
    /// Plans a command. Must answer once, with `plan`, `deny` or `fail`.
    pub plan: Option<unsafe extern "C" fn(state: *mut c_void, call: *mut Call, command: *const Command)>,
}

/// The type of the entry function. It is called once, before anything else. It returns null if the extension cannot work with this
/// version of bootc-image.
pub type Entry = unsafe extern "C" fn(host: *const Host) -> *const Extension;
