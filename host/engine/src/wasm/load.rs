//! From a plugin's component on disk to machine code in memory (D7). What runs is what was hashed: the file is read once, its
//! digest is compared with the one that was approved, and machine code is found by that digest alone, never by a name or a
//! time. Without it the helper compiles, once.

use std::fs::{DirBuilder, File};
use std::io::{self, Seek as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use bootc_image_os::children;
use bootc_image_os::files::replace;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::runtime::Runtime;
use crate::places::{Owner, open_trusted, read_text, trusted_directory};
use crate::sanitize::sanitize;
use crate::trust::code::{Code, pass_on};
use crate::unusable::Unusable;

/// What compiling needs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Compiler {
    /// Where machine code is kept, if anywhere.
    pub(crate) cache: Option<PathBuf>,
    /// Directories in which the helper may be, in order.
    pub(crate) programs: Vec<PathBuf>,
}

/// Loads it; `anew`: also what couldn't be compiled before, which is forgotten, and tried once more.
pub(super) fn load(
    runtime: &Runtime,
    code: &Code,
    compiler: &Compiler,
    anew: bool,
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
    // Of a user's own plugins nothing is kept where others would load it.
    let cache = compiler.cache.as_deref().filter(|_| code.owner.user.is_none());
    // Another version of wasmtime refuses what is kept, and it is compiled anew.
    let name = format!("{found}.cwasm");
    if let Some(kept) = cache.and_then(|cache| from_cache(engine, cache, &name)) {
        return Ok(kept);
    }
    let refused = format!("{found}.{}.refused", runtime.fingerprint());
    let remembered = cache.and_then(|cache| refusal(cache, &refused));
    if let Some(reason) = remembered.filter(|_| !anew) {
        return Err(reason.into());
    }
    let named = code.file.named.display();
    tracing::info!(component = %named, "compiling");
    // What is compiled is read again, and must be the same.
    let component = memory("component").and_then(|mut copy| {
        file.rewind()?;
        let again = pass_on(&mut file, &mut copy)?;
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
        // It would be the same the next time, and may have taken a minute.
        (Err(Uncompiled { reason, is_final: true }), Some(cache)) => {
            let kept = keep(cache, &refused, &mut reason.as_bytes());
            if let Err(error) = kept {
                tracing::warn!(cache = %cache.display(), %error, "cannot cache the compilation failure");
            }
        }
        (Ok(_), Some(cache)) if anew => forget(cache, &refused),
        _ => {}
    }
    compiled.map_err(|uncompiled| uncompiled.reason.into())
}

/// Why there is no machine code.
struct Uncompiled {
    reason: String,
    /// Whether it is so because of the component alone: neither time nor memory nor anything else of this machine was short.
    is_final: bool,
}

/// Why a component couldn't be compiled by this engine with these limits, if that is remembered.
fn refusal(cache: &Path, name: &str) -> Option<String> {
    let directory = trusted_directory(cache, Owner::ROOT).ok()??;
    let reason = read_text(&directory.join(name), Owner::ROOT).ok()?;
    Some(format!(
        "{} (cached failure; to compile it again, run: bootc-image plugin doctor)",
        sanitize(&reason)
    ))
}

fn forget(cache: &Path, name: &str) {
    match std::fs::remove_file(cache.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(cache = %cache.display(), %error, "cannot remove the cached compilation failure");
        }
        _ => {}
    }
}

/// A file that is nowhere.
fn memory(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC)?))
}

/// What is kept there, if nobody but root can have written it and wasmtime takes it.
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
    // SAFETY: only root could write the file and its directory, and what root puts there is what `compile` wrote: by another
    // name first, and never changed in place. wasmtime refuses what another version or other settings made, and what is cut.
    #[allow(unsafe_code)]
    unsafe {
        Component::deserialize_file(engine, format!("/proc/self/fd/{}", file.as_raw_fd()))
    }
}

fn from_bytes(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes come from an `Artefact`, whose maker vouched that they are unchanged since our own compiler wrote
    // them. wasmtime itself refuses what another version of it, or other settings, wrote.
    #[allow(unsafe_code)]
    unsafe {
        Component::deserialize(engine, bytes)
    }
}

/// Has the helper compile it, and keeps the result in `cache`, if that can be written.
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
    children::compile(&compiler.programs, source, &code)
        .map_err(|error| failed(&error.with_causes(), children::is_uncompilable(&error)))?;
    let loaded = from_file(engine, &code).map_err(|error| {
        // Beyond a limit of the engine, unless the system had no memory for it.
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

/// Puts something into the cache, whole or not at all.
fn keep(cache: &Path, name: &str, contents: &mut dyn io::Read) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(cache)?;
    let Some(directory) = trusted_directory(cache, Owner::ROOT)? else { return Ok(()) };
    let unfinished = directory.join(format!(".{name}.{}", std::process::id()));
    replace(&directory.join(name), &unfinished, 0o644, |file| io::copy(contents, file).map(drop))
}
