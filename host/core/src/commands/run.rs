//! Runs podman on what was judged, and removes everything that podman leaves except the result.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use bootc_image_grammar::{Command, Does, Purpose};
use bootc_image_model::image::CommandImage;
use bootc_image_model::reference::Reference;
use bootc_image_os::files::private_directory;
use bootc_image_os::processes::{Process, exit_code};
use bootc_image_os::scratch::{self, Scratch};
use bootc_image_stores::bootc_store::BootcStore;
use bootc_image_stores::host::writable_physical;
use bootc_image_stores::images::full_disk::Room;
use bootc_image_stores::images::local::{fetch_locks, store_lock};
use bootc_image_stores::images::needs::note_until_upgrade;
use bootc_image_stores::images::storages::Storage;

use super::paths::exists_already;
use super::planned::{asked_of, refuse_needed};
use super::resolver::Live;
use super::working::Working;
use super::{built, fetched, loaded};
use crate::context::Context;
use crate::error::Error;

/// Names of buildah's cache (`RUN --mount=type=cache`) in the directory for temporary files: of buildah 1.28, and of newer ones.
const BUILD_CACHES: [&str; 2] = ["buildah-cache", "buildah-cache-0"];
/// Where GnuPG keeps root's keys.
const KEY_RING: &str = "/root/.gnupg";
/// The directory of this cache in our state directory.
const BUILD_CACHE: &str = "build-cache";

pub(crate) fn execute(
    context: &Context<'_>,
    command: &Command,
    images: &[CommandImage],
) -> Result<u8, Error> {
    let settings = context.host.settings;
    let physical = writable_physical(settings)?;
    let store = BootcStore::open_or_create(&physical, settings, context.host.reporter)?;
    // Removing names must work on a full disk.
    let room = (command.does() == Does::TakesNames).then(|| Room::make(settings, &physical, &store));
    let fetched = images.iter().filter_map(|image| match image {
        CommandImage::Registry { pinned, .. } => Some(pinned),
        CommandImage::Store { .. } => None,
    });
    let _fetching = fetch_locks(context.host, fetched.clone())?;
    let fetches = fetched.count() > 0;
    let asked = asked_of(command);
    let archive = NewArchive::of(command)?;
    if command.does().changes_names() {
        // Checked again: judging may have taken long.
        refuse_needed(command, &Live::new(context))?;
    }
    let prepared = || {
        let mut podman = store.podman(settings, context.host.reporter)?;
        podman.arg("image").args(command.argv());
        if command.text_for(Purpose::UsesKeyRing).is_some() {
            podman.key_ring(Path::new(KEY_RING))?;
        }
        let scratch = use_scratch(command, &settings.state, &mut podman)?;
        Ok::<_, Error>((podman, scratch))
    };
    let run = |stdin: Option<File>| {
        let (podman, _scratch) = prepared()?;
        let ended = match stdin {
            Some(stdin) => podman.run_in_place_reading(stdin)?,
            None => podman.run_in_place()?,
        };
        Ok::<u8, Error>(exit_code(ended))
    };
    let code = match command.does() {
        _ if fetches => fetched::pull(context, &store, images, &asked, &|| run(None))?,
        Does::Loads => loaded::load(context, &store, command, &run)?,
        does if does.needs_whole_images() => {
            check_whole(context, &store, images)?;
            run(None)?
        }
        Does::Builds => {
            let build = |look: &mut dyn FnMut(u32)| {
                let (podman, _scratch) = prepared()?;
                Ok::<u8, Error>(exit_code(podman.run_in_place_watched(look)?))
            };
            let watched = || Working::before(context, &store)?.watch(context, &store, build);
            built::build(context, &store, &watched)?
        }
        _ => run(None)?,
    };
    if code != 0
        && let Some(room) = room.filter(|room| !room.is_there())
    {
        context.host.reporter.note(&room.hint());
    }
    if code == 0 {
        archive.keep();
    }
    let is_nameless = command.operands().len() == 1 || command.is_on_for(Purpose::EachImage);
    if code == 0 && command.does() == Does::Saves && is_nameless {
        context
            .host
            .reporter
            .note("the archive contains no image names; after loading it, name the images with: bootc-image cmd tag");
    }
    // Operations that give or remove names must not run at the same time.
    let _alone = if fetches { Some(store_lock(context.host, "bootc")?) } else { None };
    let named = images.iter().map(|image| fetched::settle(context, &store, image, &asked));
    if code == 0 {
        named.collect::<Result<(), _>>()?;
        let fetched = |image: &'_ CommandImage| match image {
            CommandImage::Registry { name, .. } => Some(name.clone().with_default_tag()),
            CommandImage::Store { .. } => None,
        };
        let fetched: Vec<Reference> = images.iter().filter_map(fetched).collect();
        note_until_upgrade(context.host, &store, &fetched.iter().collect::<Vec<_>>());
    } else {
        // Images that did arrive get their names; podman has reported the others.
        named.for_each(drop);
    }
    Ok(code)
}

/// A damaged image gets no name and is not passed on: podman would report that it cannot read a layer, or fill in what is missing.
fn check_whole(context: &Context<'_>, store: &BootcStore, images: &[CommandImage]) -> Result<(), Error> {
    for image in images {
        if let CommandImage::Store { name, image, .. } = image {
            let name = name.as_ref().map_or_else(|| image.id.clone(), ToString::to_string);
            Storage::Bootc(store).whole(context.host, &name, &image.id)?;
        }
    }
    Ok(())
}

/// Gives podman a directory for its temporary files that is removed however podman ends: podman leaves them behind when it is
/// interrupted.
fn use_scratch(command: &Command, state: &Path, podman: &mut Process) -> Result<Option<Scratch>, Error> {
    // The command names a path below `PARENT`, which must stay the same for podman.
    let names_it = command.argv().iter().any(|argument| argument.contains(scratch::PARENT));
    if !command.needs_scratch() && !names_it {
        return Ok(None);
    }
    scratch::remove_abandoned();
    let scratch = Scratch::new()?;
    if command.does() == Does::Builds {
        keep_build_cache(&scratch, &state.join(BUILD_CACHE))?;
    }
    if names_it {
        podman.temporary(scratch.path());
    } else {
        podman.temporary_instead(scratch.path());
    }
    Ok(Some(scratch))
}

/// Builds share a cache, which must outlive each of them.
fn keep_build_cache(scratch: &Scratch, cache: &Path) -> Result<(), Error> {
    private_directory(cache).map_err(Error::io("create", cache))?;
    for name in BUILD_CACHES {
        let (kept, link) = (cache.join(name), scratch.path().join(name));
        let made = DirBuilder::new().recursive(true).mode(0o755).create(&kept);
        made.map_err(Error::io("create", &kept))?;
        symlink(&kept, &link).map_err(Error::io("create", &link))?;
    }
    Ok(())
}

/// An archive that podman is about to write. It is removed on drop unless [`NewArchive::keep`] was called.
struct NewArchive(Option<PathBuf>);

impl NewArchive {
    fn of(command: &Command) -> Result<Self, Error> {
        let output = command.text("output").filter(|_| command.does() == Does::Saves);
        let Some(path) = output.map(PathBuf::from) else { return Ok(Self(None)) };
        if let Some(directory) = path.parent().filter(|directory| !directory.exists()) {
            private_directory(directory).map_err(Error::io("create", directory))?;
        }
        // podman writes to an empty file or directory. One that exists by now belongs to somebody else.
        let is_directory = command.text("format").is_some_and(|format| format.ends_with("-dir"));
        let made = if is_directory {
            DirBuilder::new().mode(0o700).create(&path)
        } else {
            File::options().write(true).create_new(true).mode(0o600).open(&path).map(drop)
        };
        match made {
            Ok(()) => Ok(Self(Some(path))),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists_already(&path).into()),
            Err(error) => Err(Error::io("create", &path)(error)),
        }
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for NewArchive {
    fn drop(&mut self) {
        let Some(path) = &self.0 else { return };
        let removed = match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
            Ok(_) => fs::remove_file(path),
            // It is gone already.
            Err(_) => return,
        };
        match removed {
            Ok(()) => tracing::info!(path = %path.display(), "removed an incomplete archive"),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot remove an incomplete archive")
            }
        }
    }
}
