/* Native extensions of bootc-image: what is exchanged with them.
 *
 * Generated from extension-sdk/src/abi.rs. How to write, ship and enable one: docs/native-extensions.md
 *
 * An extension is a shared library that exports one function,
 *
 *     const bootc_image_extension *bootc_image_extension_entry(const bootc_image_host *host);
 *
 * which returns the extension's table. It is called once, in a process that runs this extension and nothing else.
 *
 * Versions. Both tables begin with `size`, `major` and `minor`. Majors must be the same. Within a major, structs only grow at
 * their end, and what an older side doesn't know is as if it were null: an extension checks `size` before it reads what was
 * added after version MAJOR.0, and leaves out nothing of its own table that its header has.
 *
 * Ownership. Nothing changes hands. What is passed in either direction belongs to whoever passed it: arguments are valid until
 * the function returns that they were passed to, and are copied by whoever wants to keep them. Each side frees what it
 * allocated. The two tables stay where they are as long as the process lives.
 *
 * Threads. The host calls from one thread, and never while another call is going on. An extension may have threads, but uses a
 * call only on the thread that was called, and only until the function returns.
 *
 * Errors. Functions of the host return BOOTC_IMAGE_OK or why they did nothing. An extension says what is wrong with `fail`.
 * Nothing may unwind across the edge: catch exceptions before you return. If the process ends, hangs or says nonsense, a policy
 * has failed, which denies unless the administrator lets it fail, a command isn't planned, and a list is printed by the host
 * itself.
 *
 * Texts are UTF-8 with a length, and end with no NUL. Sizes are in bytes.
 */


#pragma once

#include <stddef.h>
#include <stdint.h>
// What an extension exports is marked with this.
#define BOOTC_IMAGE_EXTENSION_EXPORT __attribute__((visibility("default")))

// One call of the host's into an extension. Valid until the called function returns, on the thread that was called.
typedef struct bootc_image_call bootc_image_call;


// The major version of these definitions. Host and extension must have the same one.
#define BOOTC_IMAGE_EXTENSION_MAJOR 1

// The minor version. A newer one has more at the end of structs; either side may be the newer one.
#define BOOTC_IMAGE_EXTENSION_MINOR 0

// The function was carried out.
#define BOOTC_IMAGE_OK 0

// There is none: no such setting, or no further row.
#define BOOTC_IMAGE_ABSENT 1

// An argument is null where it mustn't be, isn't UTF-8, or the function doesn't belong to this kind of call; or an answer was
// given before. The call is as it was.
#define BOOTC_IMAGE_INVALID 2

// With it a call would have more text than the host takes: 64 KiB of a policy, a mebibyte of others, all in all, of which 256 bytes
// are kept for `deny` and `fail`. The call is as it was.
#define BOOTC_IMAGE_TOO_LARGE 3

// The host doesn't listen any more. Return.
#define BOOTC_IMAGE_GONE 4

// A level of `log`: something failed.
#define BOOTC_IMAGE_LOG_ERROR 0

// A level of `log`: something may be wrong.
#define BOOTC_IMAGE_LOG_WARN 1

// A level of `log`: what an administrator may want to know.
#define BOOTC_IMAGE_LOG_INFO 2

// A level of `log`: what whoever looks for an error wants to know.
#define BOOTC_IMAGE_LOG_DEBUG 3

// UTF-8 text: `length` bytes, without a NUL at the end. `data` may be null if `length` is 0.
typedef struct bootc_image_text {
  // Its first byte.
  const char *data;
  // How many bytes it has.
  size_t length;
} bootc_image_text;

// The name of an image, taken apart.
typedef struct bootc_image_reference {
  // Size of this struct, in bytes.
  size_t size;
  // All of it, with the transport.
  struct bootc_image_text canonical;
  // `docker` for registries.
  struct bootc_image_text transport;
  // Host name and port; empty if the transport knows none.
  struct bootc_image_text registry;
  // Path within the registry; else all that follows the transport.
  struct bootc_image_text repository;
  // The tag; empty if there is none.
  struct bootc_image_text tag;
  // The digest in the name; empty if there is none.
  struct bootc_image_text digest;
} bootc_image_reference;

// A key and what belongs to it.
typedef struct bootc_image_pair {
  // The key.
  struct bootc_image_text key;
  // The value.
  struct bootc_image_text value;
} bootc_image_pair;

// An image that an operation is about.
typedef struct bootc_image_image {
  // Size of this struct, in bytes.
  size_t size;
  // `source` is read or fetched, `target` is written or sent to, `image` is named otherwise. An open set.
  struct bootc_image_text role;
  // Its name as asked for; null if it was asked for by its id.
  const struct bootc_image_reference *name;
  // The manifest's digest that will run; empty of targets, and before names are looked up.
  struct bootc_image_text digest;
  // What else is known: `id`, `commit`, `instance`, `option`, `platform`.
  const struct bootc_image_pair *attrs;
  // How many there are.
  size_t attr_count;
} bootc_image_image;

// What a policy judges.
typedef struct bootc_image_operation {
  // Size of this struct, in bytes.
  size_t size;
  // `list`, `copy-to-storage`, `pull-from-default-storage`, `set-unified`, `remove`, `prune`, `repair`, or `cmd` with a
  // blank and podman's subcommand. An open set: decide on what you don't know by your default.
  struct bootc_image_text kind;
  // Names this operation in verdicts and in the audit record.
  struct bootc_image_text digest;
  // Of `cmd`: what podman would get after the subcommand.
  const struct bootc_image_text *argv;
  // How many there are.
  size_t argv_count;
  // The images that it is about.
  const struct bootc_image_image *const *images;
  // How many there are.
  size_t image_count;
  // What else is known, sorted by key: `caller.uid`, `caller.via`, `plugin`, `pinned`, `resolved`, `sysroot`.
  const struct bootc_image_pair *attrs;
  // How many there are.
  size_t attr_count;
} bootc_image_operation;

// A list that is to be formatted. Its rows come from `next_row`.
typedef struct bootc_image_list {
  // Size of this struct, in bytes.
  size_t size;
  // The format that the user asked for, one of those in the manifest.
  struct bootc_image_text format;
  // The columns that the manifest names for it, in that order.
  const struct bootc_image_text *columns;
  // How many there are.
  size_t column_count;
  // What else is known: `terminal` and `color`, `true` or `false`; `argument`, if one was typed, which may be empty.
  const struct bootc_image_pair *options;
  // How many there are.
  size_t option_count;
} bootc_image_list;

// A subcommand of `cmd` as the user typed it.
typedef struct bootc_image_command {
  // Size of this struct, in bytes.
  size_t size;
  // The subcommand, one of those in the manifest.
  struct bootc_image_text name;
  // What followed it, untouched.
  const struct bootc_image_text *args;
  // How many there are.
  size_t arg_count;
} bootc_image_command;

// What an extension offers. It is the extension's, and stays where it is. What it doesn't do is null: a manifest with the role
// `policy` needs `evaluate`, `format` needs `format`, `command` needs `plan`.
typedef struct bootc_image_extension {
  // Size of this struct, in bytes.
  size_t size;
  // The major version that it was built with.
  uint32_t major;
  // The minor version.
  uint32_t minor;
  // Given back in every call; may be null.
  void *state;
  // Judges an operation. It answers with `allow`, `deny` or `fail`, once. Without an answer it has failed, which denies, unless
  // the administrator lets this policy fail.
  void (*evaluate)(void *state, bootc_image_call *call, const struct bootc_image_operation *operation);
  // Formats a list with `next_row` and `write`; it has come to its end when this returns, unless it called `fail`.
  void (*format)(void *state, bootc_image_call *call, const struct bootc_image_list *list);
  // Plans a command. It answers with `plan`, `deny` or `fail`, once.
  void (*plan)(void *state, bootc_image_call *call, const struct bootc_image_command *command);
} bootc_image_extension;

// What the host offers to an extension. It stays where it is. Every function takes the call that it belongs to, copies what it
// is given, and returns 0, or why it did nothing.
typedef struct bootc_image_host {
  // Size of this struct, in bytes.
  size_t size;
  // The host's major version.
  uint32_t major;
  // The host's minor version.
  uint32_t minor;
  // Writes a line to the host's log, which is seen with `-v` and `-vv`. A level beyond those above is that of `LOG_DEBUG`.
  int32_t (*log)(bootc_image_call *call, uint32_t level, struct bootc_image_text message);
  // A setting of the extension's, as JSON: a string has its quotes. `json` is valid as long as the call.
  int32_t (*setting)(bootc_image_call *call, struct bootc_image_text key, struct bootc_image_text *json);
  // A policy's: adds a detail to `allow` or `deny`, for the audit record, which keeps 32.
  int32_t (*detail)(bootc_image_call *call, struct bootc_image_text key, struct bootc_image_text value);
  // The answer: this can't be done. `code` is a stable name such as `no-session`, 1 to 64 lower-case letters, digits and `-`;
  // `usage` if what the user typed makes no sense. `message` is a sentence for a person. `hint` says what to do next, and may be
  // empty. Texts that can't be taken, being too long or no UTF-8, are replaced, as is a code that isn't one: it fails all the same.
  int32_t (*fail)(bootc_image_call *call, struct bootc_image_text code, struct bootc_image_text message, struct bootc_image_text hint);
  // A policy's answer: no objection. `reason` may be empty.
  int32_t (*allow)(bootc_image_call *call, struct bootc_image_text reason);
  // A policy's or a command's answer: this must not run. `code`, `message` and `hint` as of `fail`: whatever they are, it is denied.
  int32_t (*deny)(bootc_image_call *call, struct bootc_image_text code, struct bootc_image_text message, struct bootc_image_text hint);
  // Of a formatter: the next row, as many cells as the list has columns. They are valid until the next row is asked for. Whoever
  // returns before the last one has made a list of those that were taken.
  int32_t (*next_row)(bootc_image_call *call, const struct bootc_image_text **cells);
  // Of a formatter: what is printed next.
  int32_t (*write)(bootc_image_call *call, const void *bytes, size_t length);
  // A command's answer: what is asked of podman. The first argument is the subcommand that the user typed, the others follow;
  // none at all: nothing is left to do. It is a request: the host parses it, asks every policy, and records it. `message` is
  // shown before anything runs, and may be empty.
  int32_t (*plan)(bootc_image_call *call, const struct bootc_image_text *argv, size_t argv_count, struct bootc_image_text message);
} bootc_image_host;

// The one function that an extension exports.
#ifdef __cplusplus
extern "C"
#endif
BOOTC_IMAGE_EXTENSION_EXPORT const bootc_image_extension *bootc_image_extension_entry(const bootc_image_host *host);
