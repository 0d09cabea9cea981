/* The binary interface of native extensions of bootc-image.
 *
 * Generated from extension-sdk/src/abi.rs. How to write, ship and enable one: docs/how-to/write-native-extension.md
 *
 * An extension is a shared library that exports one function:
 *
 *     const bootc_image_extension *bootc_image_extension_entry(const bootc_image_host *host);
 *
 * It returns the extension's table of functions. bootc-image calls it once, in a process that runs only this extension.
 *
 * Versions. The tables of bootc-image and of the extension start with `size`, `major` and `minor`. The major versions must be equal.
 * Within a major version, fields are only added at the end of structs. A field that the older side does not have counts as null.
 * An extension must check `size` before it reads a field that was added after version MAJOR.0, and must return a table with all
 * fields of its own header.
 *
 * Ownership. Passing a pointer never transfers ownership. Arguments belong to the side that passed them and are valid until the
 * called function returns; copy what you need longer. Each side frees what it allocated. Both tables must stay at the same address
 * while the process lives.
 *
 * Threads. bootc-image calls from one thread, and makes one call at a time. An extension may create threads, but may use a call only on
 * the thread that was called, and only until the called function returns.
 *
 * Errors. Functions of bootc-image return BOOTC_IMAGE_OK, or an error code if they did nothing. An extension reports its own errors with
 * `fail`. Nothing may unwind across the interface: catch exceptions before you return. If the process exits, hangs or sends invalid
 * data, that is a failure: a policy denies the operation, unless the administrator listed it under `fail-open`; a wrapper's plan does not
 * run; and nothing of a list is printed, or on a terminal the list in the built-in table format.
 *
 * Texts are UTF-8 with a length, without a terminating NUL. Sizes are in bytes.
 */


#pragma once

#include <stddef.h>
#include <stdint.h>
// Marks what an extension exports.
#define BOOTC_IMAGE_EXTENSION_EXPORT __attribute__((visibility("default")))

// A call from bootc-image into an extension. It is valid only on the thread that was called, and only until the called function returns.
typedef struct bootc_image_call bootc_image_call;


// The major version of this interface. bootc-image and extension must have the same major version.
#define BOOTC_IMAGE_EXTENSION_MAJOR 1

// The minor version of this interface. Newer minor versions add fields at the end of structs. Either side may be the newer one.
#define BOOTC_IMAGE_EXTENSION_MINOR 0

// The function succeeded.
#define BOOTC_IMAGE_OK 0

// The setting is not set, or there are no more rows.
#define BOOTC_IMAGE_ABSENT 1

// An argument is null where that is not allowed, or is not valid UTF-8; or the function is not available in this kind of call; or the
// call has an answer already. The state of the call is unchanged.
#define BOOTC_IMAGE_INVALID 2

// The text of this call would exceed the limit: 64 KiB in total for a policy, 1 MiB in total for a format or a wrapper. 256
// bytes of it are reserved for `deny` and `fail`. The state of the call is unchanged.
#define BOOTC_IMAGE_TOO_LARGE 3

// bootc-image has ended this call. Return from the function.
#define BOOTC_IMAGE_GONE 4

// A level of `log`: the extension failed.
#define BOOTC_IMAGE_LOG_ERROR 0

// A level of `log`: the extension succeeded, but the administrator should check something.
#define BOOTC_IMAGE_LOG_WARN 1

// A level of `log`: what the extension did.
#define BOOTC_IMAGE_LOG_INFO 2

// A level of `log`: details for debugging.
#define BOOTC_IMAGE_LOG_DEBUG 3

// UTF-8 text of `length` bytes, not terminated by NUL. `data` may be null if `length` is 0.
typedef struct bootc_image_text {
  // Pointer to the first byte.
  const char *data;
  // Length in bytes.
  size_t length;
} bootc_image_text;

// The name of an image, split into its parts.
typedef struct bootc_image_reference {
  // Size of this struct, in bytes.
  size_t size;
  // The full name with its transport.
  struct bootc_image_text canonical;
  // The transport: `docker` for registries.
  struct bootc_image_text transport;
  // Host name of the registry, with its port if there is one. Empty if the transport has no registries.
  struct bootc_image_text registry;
  // Path within the registry. If the transport has no registries: all text after the transport.
  struct bootc_image_text repository;
  // Tag. Empty if there is none.
  struct bootc_image_text tag;
  // Digest in the name. Empty if there is none.
  struct bootc_image_text digest;
} bootc_image_reference;

// A key and its value.
typedef struct bootc_image_pair {
  // The key.
  struct bootc_image_text key;
  // The value.
  struct bootc_image_text value;
} bootc_image_pair;

// An image that an operation uses.
typedef struct bootc_image_image {
  // Size of this struct, in bytes.
  size_t size;
  // The role of the image: `source` if it is read or fetched, `target` if it is written or pushed, `image` if it is used in another
  // way. More roles may be added.
  struct bootc_image_text role;
  // The requested name. Null if the image was requested by its ID.
  const struct bootc_image_reference *name;
  // Digest of the manifest that will be used. Empty for targets, and before names are resolved.
  struct bootc_image_text digest;
  // Attributes, if they are known: `id`, `commit`, `instance`, `option`, `platform`. More may be added.
  const struct bootc_image_pair *attrs;
  // Number of elements in `attrs`.
  size_t attr_count;
} bootc_image_image;

// The operation that a policy judges.
typedef struct bootc_image_operation {
  // Size of this struct, in bytes.
  size_t size;
  // The kind: `list`, `exists`, `copy-to-storage`, `pull-from-default-storage`, `set-unified`, `remove`, `prune`, `repair`, or `cmd`,
  // a space and podman's subcommand. More kinds may be added: apply your default to kinds that you do not recognise.
  struct bootc_image_text kind;
  // The operation digest, which identifies the operation in verdicts and in the audit record.
  struct bootc_image_text digest;
  // For `cmd`: the arguments that podman would get after the subcommand. Empty for all other kinds.
  const struct bootc_image_text *argv;
  // Number of elements in `argv`.
  size_t argv_count;
  // The images that the operation uses.
  const struct bootc_image_image *const *images;
  // Number of elements in `images`.
  size_t image_count;
  // Attributes, sorted by key: `caller.uid`, `caller.via`, `plugin`, `pinned`, `resolved`, `sysroot`. More may be added.
  const struct bootc_image_pair *attrs;
  // Number of elements in `attrs`.
  size_t attr_count;
} bootc_image_operation;

// A list to be formatted. `next_row` returns its rows.
typedef struct bootc_image_list {
  // Size of this struct, in bytes.
  size_t size;
  // The format that the user asked for, one of those listed in the manifest.
  struct bootc_image_text format;
  // The columns that the manifest lists for this format. Cells have the same order.
  const struct bootc_image_text *columns;
  // Number of elements in `columns`.
  size_t column_count;
  // Properties of the output: `terminal` and `color`, each `true` or `false`; `argument`, if the user typed one, which may be empty.
  const struct bootc_image_pair *options;
  // Number of elements in `options`.
  size_t option_count;
} bootc_image_list;

// A subcommand of `cmd`, as the user typed it.
typedef struct bootc_image_command {
  // Size of this struct, in bytes.
  size_t size;
  // The subcommand, one of those listed in the manifest.
  struct bootc_image_text name;
  // The unchanged words that followed the subcommand.
  const struct bootc_image_text *args;
  // Number of elements in `args`.
  size_t arg_count;
} bootc_image_command;

// The functions of an extension. The table belongs to the extension and stays at the same address while the process lives. Functions
// that the extension does not have are null. A manifest with the role `policy` requires `evaluate`, `format` requires `format`,
// `command` requires `plan`.
typedef struct bootc_image_extension {
  // Size of this struct, in bytes.
  size_t size;
  // The major version of the interface that the extension was built with.
  uint32_t major;
  // The minor version of the interface that the extension was built with.
  uint32_t minor;
  // Passed to every function of the extension. May be null.
  void *state;
  // Judges an operation. Must answer once, with `allow`, `deny` or `fail`. No answer is a failure. A failure denies the operation,
  // unless the administrator listed the plugin under `fail-open` and the caller did not become root through sudo or the like.
  void (*evaluate)(void *state, bootc_image_call *call, const struct bootc_image_operation *operation);
  // Formats a list with `next_row` and `write`. The list is complete when this function returns, unless it called `fail`.
  void (*format)(void *state, bootc_image_call *call, const struct bootc_image_list *list);
  // Plans a command. Must answer once, with `plan`, `deny` or `fail`.
  void (*plan)(void *state, bootc_image_call *call, const struct bootc_image_command *command);
} bootc_image_extension;

// The functions that bootc-image provides to an extension. The table stays at the same address while the process lives. Every function
// takes the call to which it belongs and copies its arguments. It returns `OK` (0), or an error code if it did nothing.
typedef struct bootc_image_host {
  // Size of this struct, in bytes.
  size_t size;
  // The major version of bootc-image's interface.
  uint32_t major;
  // The minor version of bootc-image's interface.
  uint32_t minor;
  // Writes a line to bootc-image's log, which `-v` and `-vv` show. Unknown levels are treated like `LOG_DEBUG`.
  int32_t (*log)(bootc_image_call *call, uint32_t level, struct bootc_image_text message);
  // Reads one of the extension's settings as JSON text (a string has its quotes). The text is valid until the call ends.
  int32_t (*setting)(bootc_image_call *call, struct bootc_image_text key, struct bootc_image_text *json);
  // For policies: adds an attribute to `allow` or `deny`, for the audit record. The audit record keeps 32 of them.
  int32_t (*detail)(bootc_image_call *call, struct bootc_image_text key, struct bootc_image_text value);
  // Answers the call with a failure. `code` is a stable name such as `no-session`, of 1 to 64 lower-case letters, digits and `-`. The
  // code `usage` means a usage error. `message` is one sentence for a person. `hint` is what the person can do next, and may be empty.
  // Invalid codes and texts (too long, or not UTF-8) are replaced; the answer is a failure in any case.
  int32_t (*fail)(bootc_image_call *call, struct bootc_image_text code, struct bootc_image_text message, struct bootc_image_text hint);
  // For policies: answers that the operation is allowed. `reason` may be empty.
  int32_t (*allow)(bootc_image_call *call, struct bootc_image_text reason);
  // For policies and wrappers: answers that the operation is denied. `code`, `message` and `hint` are treated as by `fail`; the answer
  // is a denial in any case.
  int32_t (*deny)(bootc_image_call *call, struct bootc_image_text code, struct bootc_image_text message, struct bootc_image_text hint);
  // For formats: returns the next row, with one cell per column of the list. The cells are valid until the next row is requested. A
  // format may return before the last row; the list then has only the rows that were taken.
  int32_t (*next_row)(bootc_image_call *call, const struct bootc_image_text **cells);
  // For formats: prints these bytes.
  int32_t (*write)(bootc_image_call *call, const void *bytes, size_t length);
  // For wrappers: answers with the podman command to run. The first argument is the subcommand that the user typed. Without arguments,
  // there is nothing to run. bootc-image treats the plan as if the user had typed it: it parses the plan, has every policy judge it, and
  // records it. `message` is shown before anything runs, and may be empty.
  int32_t (*plan)(bootc_image_call *call, const struct bootc_image_text *argv, size_t argv_count, struct bootc_image_text message);
} bootc_image_host;

// The only function that an extension must export.
#ifdef __cplusplus
extern "C"
#endif
BOOTC_IMAGE_EXTENSION_EXPORT const bootc_image_extension *bootc_image_extension_entry(const bootc_image_host *host);
