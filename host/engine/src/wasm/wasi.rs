//! Inert WASI for components whose toolchains make them import it. There are no environment variables, arguments, directories or
//! network; stdin is empty, output is dropped, and `exit` is a trap. Clocks and random numbers are real.

use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random, sync};
use wasmtime_wasi::random::{WasiRandom, WasiRandomCtx};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::guest::Guest;

/// The WASI context of a component, without any access.
pub(super) struct Wasi(WasiCtx);

/// The most random bytes of one call.
const MOST_RANDOM: u64 = 64 << 10;

impl Default for Wasi {
    fn default() -> Self {
        Self(WasiCtx::builder().max_random_size(MOST_RANDOM).build())
    }
}

/// Interfaces that may be imported.
const INTERFACES: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// Functions that would make the host wait. The time limits of a run are only checked in the component's code, so they are refused.
const WAITING: &[(&str, &str)] = &[
    ("wasi:clocks/monotonic-clock", "subscribe-duration"),
    ("wasi:clocks/monotonic-clock", "subscribe-instant"),
];

/// Whether an interface, given without its version, belongs to WASI.
pub(super) fn is_wasi(interface: &str) -> bool {
    interface.starts_with("wasi:")
}

/// Whether this function may be imported.
pub(super) fn is_inert(interface: &str, function: &str) -> bool {
    INTERFACES.contains(&interface) && !WAITING.contains(&(interface, function))
}

struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let (wasi, table) = self.wasi_and_table();
        WasiCtxView { ctx: &mut wasi.0, table }
    }
}

fn table(guest: &mut Guest) -> &mut ResourceTable {
    guest.wasi_and_table().1
}

fn source(guest: &mut Guest) -> &mut WasiRandomCtx {
    guest.wasi_and_table().0.0.random()
}

/// Links all interfaces.
pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    wasmtime_wasi_io::bindings::wasi::io::error::add_to_linker::<Guest, Io>(linker, table)?;
    sync::io::poll::add_to_linker::<Guest, Io>(linker, table)?;
    sync::io::streams::add_to_linker::<Guest, Io>(linker, table)?;
    clocks::wall_clock::add_to_linker::<Guest, WasiClocks>(linker, Guest::clocks)?;
    clocks::monotonic_clock::add_to_linker::<Guest, WasiClocks>(linker, Guest::clocks)?;
    filesystem::preopens::add_to_linker::<Guest, WasiFilesystem>(linker, Guest::filesystem)?;
    sync::filesystem::types::add_to_linker::<Guest, WasiFilesystem>(linker, Guest::filesystem)?;
    random::random::add_to_linker::<Guest, WasiRandom>(linker, source)?;
    random::insecure::add_to_linker::<Guest, WasiRandom>(linker, source)?;
    random::insecure_seed::add_to_linker::<Guest, WasiRandom>(linker, source)?;
    cli::exit::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    cli::environment::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    cli::stdin::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    cli::stdout::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    cli::stderr::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    cli::terminal_input::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    cli::terminal_output::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stdin::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stdout::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stderr::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)
}
