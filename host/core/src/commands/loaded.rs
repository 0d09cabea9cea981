//! `cmd load` into a storage with damaged layers. podman reports "Loaded" even if layers that it already has are damaged. So the
//! archive is loaded into a temporary storage first, and damaged layers are replaced from there.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bootc_image_containers_storage::{Damage, Store, TemporaryStore, Which};
use bootc_image_grammar::Command;
use bootc_image_model::digest::Digest;
use bootc_image_os::processes::{Process, Program, check_interrupted};
use bootc_image_os::scratch::{self, Scratch};
use bootc_image_stores::bootc_store::BootcStore;
use bootc_image_stores::images::local::store_lock;
use bootc_image_stores::images::repair;
use bootc_image_stores::images::storages::Storage;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::context::Context;
use crate::error::Error;

/// podman's run root, in its `/var/tmp`.
const RUN: &str = "run";
/// The file descriptor of the archive in podman's process.
const ARCHIVE_FD: i32 = 3;
/// How often reading stdin checks for signals.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
const CHUNK: usize = 1 << 16;

/// Loads an archive with `run`, which runs podman on the given stdin or on our own. Returns podman's exit code.
pub(crate) fn load(
    context: &Context<'_>,
    store: &BootcStore,
    command: &Command,
    run: &dyn Fn(Option<File>) -> Result<u8, Error>,
) -> Result<u8, Error> {
    let storage = Storage::Bootc(store);
    let Some(damage) = storage.any_damage(context.host)? else { return run(None) };
    let input = command.text("input").map(PathBuf::from);
    // podman reports that it cannot read an archive from a terminal.
    if input.is_none() && io::stdin().is_terminal() {
        return run(None);
    }
    let _alone = store_lock(context.host, "bootc")?;
    let scratch = Scratch::new()?;
    let is_stdin = input.is_none();
    let archive = input.map_or_else(|| spool(&scratch), Ok)?;
    let loaded = replace(context, &storage, command, &archive, &damage)?;
    let stdin = is_stdin.then(|| File::open(&archive).map_err(Error::io("open", &archive))).transpose()?;
    let code = run(stdin)?;
    if code == 0 {
        loaded.iter().try_for_each(|(id, _)| storage.whole(context.host, id, id).map(drop))?;
    }
    Ok(code)
}

/// The id and the layers of an image.
type Loaded = (String, Vec<Digest>);

/// Replaces the damaged layers of the images in an archive. Returns these images.
fn replace(
    context: &Context<'_>,
    storage: &Storage<'_>,
    command: &Command,
    archive: &Path,
    damage: &Damage,
) -> Result<Vec<Loaded>, Error> {
    let is_damaged = |(id, diff_ids): &Loaded| storage.damage(context.host, Some(id), diff_ids);
    let mut replaced: Option<Loaded> = None;
    loop {
        if let Some(image) = &replaced
            && let Some(damage) = is_damaged(image)?
        {
            return Err(storage.damaged(context.host, image.0.clone(), &damage).into());
        }
        // Layers are moved, so each image needs a temporary storage of its own: images may share layers.
        let temporary = TemporaryStore::new(&storage.path())?;
        let images = load_beside(context, storage, command, archive, &temporary)?;
        let mut damaged = None;
        for image in &images {
            if is_damaged(image)?.is_some() {
                damaged = Some(image.clone());
                break;
            }
        }
        let Some(image) = damaged else { return Ok(images) };
        if replaced.is_none() {
            storage.note(context.host, damage);
        }
        repair::put(context.host, storage, &temporary, &image.0, Which::Damaged, &[])?;
        replaced = Some(image);
    }
}

/// Loads the archive into a temporary storage. Returns its images.
fn load_beside(
    context: &Context<'_>,
    storage: &Storage<'_>,
    command: &Command,
    archive: &Path,
    temporary: &TemporaryStore,
) -> Result<Vec<Loaded>, Error> {
    let scratch = Scratch::new()?;
    let driver = storage.read(|store, _| Ok(store.driver()))?;
    let mut podman = Process::new(Program::Podman, &context.host.settings.proxies)?;
    podman.arg("--root").arg(temporary.root().path("."));
    let run = scratch.directory(RUN)?;
    // Paths below `PARENT` must stay the same for podman if the storage is there.
    if temporary.root().path(".").starts_with(scratch::PARENT) {
        podman.arg("--runroot").arg(run).temporary(scratch.path());
    } else {
        podman.arg("--runroot").arg(Path::new(scratch::PARENT).join(RUN)).temporary_instead(scratch.path());
    }
    podman.args(["--storage-driver", driver, "image", "load"]);
    let policy = command.flags().iter().filter(|flag| flag.name == "signature-policy");
    podman.args(policy.map(ToString::to_string)).arg("--input").arg(format!("/proc/self/fd/{ARCHIVE_FD}"));
    // Passed as a descriptor, since its path may lead elsewhere in podman's mount namespace.
    let archive = File::open(archive).map_err(Error::io("open", archive))?;
    podman.descriptor(archive, ARCHIVE_FD)?;
    podman.run_quietly()?;
    let store = Store::with_driver(temporary.root(), driver)?;
    let images = store.images(context.host.settings.lock_limit, context.host.reporter)?;
    Ok(images.iter().map(|image| (image.id.clone(), images.diff_ids(image))).collect())
}

/// Copies stdin to a file, since it is read more than once.
fn spool(scratch: &Scratch) -> Result<PathBuf, Error> {
    let path = scratch.path().join("archive");
    let mut file = File::create_new(&path).map_err(Error::io("create", &path))?;
    let stdin = io::stdin();
    let mut chunk = vec![0; CHUNK];
    let limit = Timespec { tv_sec: 0, tv_nsec: CHECK_INTERVAL.subsec_nanos().into() };
    loop {
        match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&limit)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => match rustix::io::read(&stdin, &mut chunk)
                .map_err(|error| Error::io("read", "stdin")(error.into()))?
            {
                0 => return Ok(path),
                length => {
                    let read = chunk.get(..length).unwrap_or_default();
                    file.write_all(read).map_err(Error::io("write", &path))?;
                }
            },
            Err(error) => return Err(Error::io("read", "stdin")(error.into())),
        }
        check_interrupted()?;
    }
}
