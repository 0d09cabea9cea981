//! Inert WASI for components whose toolchains make them import it. There are no environment variables, arguments, directories or
//! network; stdin is empty, output is dropped, and `exit` is a trap. Clocks and random numbers are real. Everything else, such as
//! sockets, HTTP and waiting, can be imported, and a plugin that calls it is ended.

use semver::Version;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable, ResourceType};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksCtxView, WasiClocksView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::{self, Duration, Instant};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random, sync};
use wasmtime_wasi::random::{WasiRandom, WasiRandomCtx};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::guest::Guest;
use super::imports::{Item, unversioned};

/// The WASI context of a component, without any access.
pub(super) struct Wasi(WasiCtx);

/// The most random bytes of one call.
const MOST_RANDOM: u64 = 64 << 10;

impl Default for Wasi {
    fn default() -> Self {
        Self(WasiCtx::builder().max_random_size(MOST_RANDOM).build())
    }
}

/// The version of WASI that [`wasmtime_wasi`] provides. It also serves components for other versions 0.2.
const VERSION: &str = "0.2.12";

/// Interfaces that this host provides.
const INTERFACES: &str = "cli/environment cli/exit cli/stderr cli/stdin cli/stdout cli/terminal-input cli/terminal-output \
    cli/terminal-stderr cli/terminal-stdin cli/terminal-stdout clocks/monotonic-clock clocks/wall-clock filesystem/preopens \
    filesystem/types io/error io/poll io/streams random/insecure random/insecure-seed random/random";

fn is_provided(interface: &str) -> bool {
    INTERFACES.split(' ').any(|provided| interface.strip_prefix("wasi:") == Some(provided))
}

/// A plugin called a function of WASI that this host does not provide.
#[derive(Debug, thiserror::Error)]
#[error("called `{0}`, which this host does not provide to plugins")]
pub(super) struct Unsupported(String);

/// Whether an interface belongs to WASI.
pub(super) fn is_wasi(interface: &str) -> bool {
    interface.starts_with("wasi:")
}

/// Whether an interface of WASI has a version that can be linked.
pub(super) fn is_our_version(interface: &str) -> bool {
    let version = interface.split_once('@').and_then(|(_, version)| Version::parse(version).ok());
    version.is_some_and(|version| version.pre.is_empty() && (version.major, version.minor) == (0, 2))
}

/// The monotonic clock without the functions that wait. The time limits of a run are only checked in the component's code, so the
/// host must never wait for a component.
struct Clock<'a>(WasiClocksCtxView<'a>);

impl monotonic_clock::Host for Clock<'_> {
    fn now(&mut self) -> wasmtime::Result<Instant> {
        monotonic_clock::Host::now(&mut self.0)
    }

    fn resolution(&mut self) -> wasmtime::Result<Duration> {
        monotonic_clock::Host::resolution(&mut self.0)
    }

    fn subscribe_instant(&mut self, _: Instant) -> wasmtime::Result<Resource<DynPollable>> {
        waits("subscribe-instant")
    }

    fn subscribe_duration(&mut self, _: Duration) -> wasmtime::Result<Resource<DynPollable>> {
        waits("subscribe-duration")
    }
}

fn waits(function: &str) -> wasmtime::Result<Resource<DynPollable>> {
    Err(Unsupported(format!("wasi:clocks/monotonic-clock.{function}")).into())
}

struct Clocks;

impl HasData for Clocks {
    type Data<'a> = Clock<'a>;
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

/// Links everything that a component imports of WASI: what this host provides, and stubs for the rest.
pub(super) fn link(linker: &mut Linker<Guest>, imported: &[Item]) -> wasmtime::Result<()> {
    provide(linker)?;
    for (interface, name, is_resource) in imported {
        let unversioned = unversioned(interface);
        // wasmtime links an interface by its exact version, if there is one, so stubs must not create another one.
        let mut instance = if is_provided(unversioned) {
            linker.instance(&format!("{unversioned}@{VERSION}"))?
        } else {
            linker.instance(interface)?
        };
        // An item that is there already is provided, and stays: adding it fails.
        let _ = if *is_resource {
            // There is none of this type, because nothing creates one.
            instance.resource(name, ResourceType::host::<Unsupported>(), |_, _| Ok(()))
        } else {
            let function = format!("{interface}.{name}");
            instance.func_new(name, move |_, _, _, _| Err(Unsupported(function.clone()).into()))
        };
    }
    Ok(())
}

/// Links the interfaces that this host provides.
fn provide(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    wasmtime_wasi_io::bindings::wasi::io::error::add_to_linker::<Guest, Io>(linker, table)?;
    sync::io::poll::add_to_linker::<Guest, Io>(linker, table)?;
    sync::io::streams::add_to_linker::<Guest, Io>(linker, table)?;
    clocks::wall_clock::add_to_linker::<Guest, WasiClocks>(linker, Guest::clocks)?;
    monotonic_clock::add_to_linker::<Guest, Clocks>(linker, |guest| Clock(guest.clocks()))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_0_2_is_linked_and_no_other() {
        for (interface, expected) in [
            ("wasi:cli/environment@0.2.0", true),
            ("wasi:cli/environment@0.2.99", true),
            ("wasi:cli/environment@0.2.0-rc-2023-11-10", false),
            ("wasi:cli/environment@0.3.0", false),
            ("wasi:cli/environment@1.2.0", false),
            ("wasi:cli/environment", false),
        ] {
            assert_eq!(is_our_version(interface), expected, "{interface}");
        }
    }

    /// Otherwise stubs could take the place of functions that are provided.
    #[test]
    fn the_version_is_that_of_the_library() {
        let engine = wasmtime::Engine::new(&bootc_image_engine_config::engine_config()).unwrap();
        let mut linker = Linker::new(&engine);
        provide(&mut linker).unwrap();
        for interface in INTERFACES.split(' ') {
            // It is there, and so cannot become anything else.
            let name = format!("wasi:{interface}@{VERSION}");
            assert!(linker.root().func_new(&name, |_, _, _, _| Ok(())).is_err(), "{name}");
        }
    }
}
