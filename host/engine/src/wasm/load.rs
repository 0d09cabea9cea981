//! Loads a plugin's component from disk as machine code (docs/adr/0006-plugins-from-disk.md). The bytes that run are the bytes that
//! were hashed: the digest of the file is compared with the approved one, and cached machine code is found by that digest alone,
//! never by a file name or time. If there is none, the helper compiles the component once.

use std::fs::{DirBuilder, File};
use std::io::{self, Seek as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use bootc_image_os::error::Error as OsError;
use bootc_image_os::files::replace;
use bootc_image_os::processes;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::runtime::Runtime;
use crate::places::{Owner, open_trusted, read_text, trusted_directory};
use crate::sanitize::sanitize;
use crate::trust::code::{Code, copy_and_hash};
use crate::unusable::Unusable;

/// The largest file with a cached failure that is read, in bytes.
const LARGEST_REFUSAL: u64 = 64 << 10;

/// What compiling needs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Compiler {
    /// The directory in which machine code is cached, if any.
    pub(crate) cache: Option<PathBuf>,
    /// Directories in which the helper is searched, in order.
    pub(crate) programs: Vec<PathBuf>,
}

/// Loads a component. `retry`: ignores a cached failure, and compiles the component again.
pub(super) fn load(
    runtime: &Runtime,
    code: &Code,
    compiler: &Compiler,
    retry: bool,
) -> Result<Component, Unusable> {
    let engine = runtime.engine();
    let code = match code {
        Code::Embedded(artefact) => {
            return from_bytes(engine, artefact.bytes())
                .map_err(|error| format!("cannot load its code: {error:#}").into());
        }
        Code::File(code) => code,
    };
    let (mut file, found) = code.copy(&mut io::sink())?;
    // A user's own plugins are not cached: all users load from the cache.
    let cache = compiler.cache.as_deref().filter(|_| code.owner.user.is_none());
    // If wasmtime refuses cached code of another version, the component is compiled again.
    let name = format!("{found}.cwasm");
    if let Some(kept) = cache.and_then(|cache| from_cache(engine, cache, &name)) {
        return Ok(kept);
    }
    let refused = format!("{found}.{}.refused", runtime.fingerprint());
    let remembered = cache.and_then(|cache| refusal(cache, &refused));
    if let Some(reason) = remembered.filter(|_| !retry) {
        return Err(reason.into());
    }
    let named = code.file.named.display();
    tracing::info!(component = %named, "compiling");
    // The component is read a second time for the compiler, so its digest is checked again.
    let component = memory("component").and_then(|mut copy| {
        file.rewind()?;
        let again = copy_and_hash(&mut file, &mut copy)?;
        copy.rewind()?;
        Ok((again, copy))
    });
    let (again, copy) = component.map_err(|error| code.unreadable(error))?;
    if again != found {
        return Err(format!("{named} changed while it was being read").into());
    }
    let cache = cache.filter(|_| rustix::process::geteuid().is_root());
    let compiled = compile(engine, &copy, cache, &name, compiler);
    match (&compiled, cache) {
        // The next attempt would fail in the same way, possibly after a minute.
        (Err(Uncompiled { reason, is_final: true }), Some(cache)) => {
            let kept = keep(cache, &refused, &mut reason.as_bytes());
            if let Err(error) = kept {
                tracing::warn!(cache = %cache.display(), %error, "cannot cache the compilation failure");
            }
        }
        (Ok(_), Some(cache)) if retry => forget(cache, &refused),
        _ => {}
    }
    compiled.map_err(|uncompiled| uncompiled.reason.into())
}

/// Why a component could not be compiled.
struct Uncompiled {
    reason: String,
    /// Whether the component itself is the cause, and not a lack of time, memory or other resources of this host.
    is_final: bool,
}

/// The cached reason why this engine could not compile a component with these limits, if there is one.
fn refusal(cache: &Path, name: &str) -> Option<String> {
    let directory = trusted_directory(cache, Owner::ROOT).ok()??;
    let reason = read_text(&directory.join(name), Owner::ROOT, LARGEST_REFUSAL).ok()?;
    Some(format!("{} (cached failure; `plugin doctor` compiles it again)", sanitize(&reason)))
}

fn forget(cache: &Path, name: &str) {
    match std::fs::remove_file(cache.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(cache = %cache.display(), %error, "cannot remove the cached compilation failure");
        }
        _ => {}
    }
}

/// A file in memory.
fn memory(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC)?))
}

/// The cached machine code, if only root can have written it and wasmtime accepts it.
fn from_cache(engine: &Engine, cache: &Path, name: &str) -> Option<Component> {
    let directory = match trusted_directory(cache, Owner::ROOT) {
        Ok(directory) => directory?,
        Err(error) => {
            tracing::warn!(%error, "ignoring the cache of compiled components");
            return None;
        }
    };
    let path = directory.join(name);
    let opened = match open_trusted(&path, Owner::ROOT) {
        Ok(file) => from_file(engine, &file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => Err(error.into()),
    };
    opened.inspect_err(|error| tracing::warn!(path = %path.display(), %error, "cannot use the cached component, compiling again")).ok()
}

fn from_file(engine: &Engine, file: &File) -> wasmtime::Result<Component> {
    // SAFETY: only root can write the file and its directory, and the file there is the output of `compile`, which is written under
    // another name first and never changed in place. wasmtime refuses code of another version or other settings, and truncated code.
    #[allow(unsafe_code)]
    unsafe {
        Component::deserialize_file(engine, format!("/proc/self/fd/{}", file.as_raw_fd()))
    }
}

fn from_bytes(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes come from an `Artefact`, whose constructor requires that they are the unchanged output of our compiler.
    // wasmtime refuses code of another version or other settings.
    #[allow(unsafe_code)]
    unsafe {
        Component::deserialize(engine, bytes)
    }
}

/// Has the helper compile a component, and caches the machine code if the cache can be written.
fn compile(
    engine: &Engine,
    source: &File,
    cache: Option<&Path>,
    name: &str,
    compiler: &Compiler,
) -> Result<Component, Uncompiled> {
    let failed = |error: &dyn std::fmt::Display, is_final| Uncompiled {
        reason: format!("cannot compile it: {error}"),
        is_final,
    };
    let mut code = memory("code").map_err(|error| failed(&error, false))?;
    processes::compile(&compiler.programs, source, &code).map_err(|error| {
        let why = match &error {
            OsError::MissingProgram { package, .. } => {
                format!("{error}; {}", processes::how_to_install(package))
            }
            _ => error.with_causes(),
        };
        failed(&why, processes::is_uncompilable(&error))
    })?;
    let loaded = from_file(engine, &code).map_err(|error| {
        // The code exceeds a limit of the engine, unless the system ran out of memory.
        let is_final = !error.chain().any(|cause| cause.is::<io::Error>() || cause.is::<Errno>());
        failed(&format!("{error:#}"), is_final)
    })?;
    if let Some(cache) = cache
        && let Err(error) = code.rewind().and_then(|()| keep(cache, name, &mut code))
    {
        tracing::warn!(cache = %cache.display(), %error, "cannot cache the compiled component");
    }
    Ok(loaded)
}

/// Writes a file into the cache atomically.
fn keep(cache: &Path, name: &str, contents: &mut dyn io::Read) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(cache)?;
    let Some(directory) = trusted_directory(cache, Owner::ROOT)? else { return Ok(()) };
    let unfinished = directory.join(format!(".{name}.{}", std::process::id()));
    replace(&directory.join(name), &unfinished, 0o644, |file| io::copy(contents, file).map(drop))
}
