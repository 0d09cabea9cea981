//! A layer that was added to a base image: a plain archive of a tree. ostree stores `/etc` as `/usr/etc`; the archive has `/etc`.

use std::collections::{HashMap, HashSet};

use anyhow::{Context as _, Result};

use crate::archive::{Archive, of};
use crate::objects::{Checksum, Content, FileEntry, Objects, Tree};

/// The approximate size of the archive, in bytes.
pub(crate) fn size(objects: &Objects, commit: Checksum) -> Result<u64> {
    fn of_tree(objects: &Objects, tree: Checksum, seen: &mut HashSet<Checksum>) -> Result<u64> {
        let tree = objects.tree(tree)?;
        let mut total = 0;
        for file in tree.files {
            total += 1024;
            if seen.insert(file.object) {
                total += objects.size(file.object)?.next_multiple_of(512);
            }
        }
        for directory in tree.directories {
            total += of_tree(objects, directory.tree, seen)? + 1024;
        }
        Ok(total)
    }
    of_tree(objects, objects.root(commit)?.tree, &mut HashSet::new())
}

pub(crate) fn write(objects: &Objects, commit: Checksum, out: impl std::io::Write) -> Result<()> {
    let mut layer = Layer { objects, archive: Archive::new(out), written: HashMap::new() };
    let tree = objects.tree(objects.root(commit)?.tree)?;
    layer.tree("", &tree)?;
    layer.archive.finish()
}

struct Layer<'a, W: std::io::Write> {
    objects: &'a Objects,
    archive: Archive<W>,
    /// The files that are in the archive, by their objects.
    written: HashMap<Checksum, String>,
}

impl<W: std::io::Write> Layer<'_, W> {
    /// `path` is empty or ends in a slash.
    fn tree(&mut self, path: &str, tree: &Tree) -> Result<()> {
        for file in &tree.files {
            let path = format!("{path}{}", file.name);
            self.file(file, &path).with_context(|| format!("cannot export the file {path}"))?;
        }
        for directory in &tree.directories {
            let inside = self.objects.tree(directory.tree)?;
            let path = match (path, directory.name.as_str()) {
                ("usr/", "etc") => "etc".to_owned(),
                (path, name) => format!("{path}{name}"),
            };
            // If the layer only changes /etc, `usr` exists only for ostree's `usr/etc`, and has no entry of its own.
            if !(path == "usr" && is_made_for_etc(&inside)) {
                let meta = self.objects.directory_meta(directory.meta)?;
                self.archive.attributes(&meta.attributes)?;
                self.archive.directory(of(&meta.attributes), &path)?;
            }
            self.tree(&(path + "/"), &inside)?;
        }
        Ok(())
    }

    /// ostree has files that were hard links as one object, as it does files that are equal. They become links again, unless programs
    /// are likely to write to them: in a storage without overlayfs, such a program would change the other file as well.
    fn file(&mut self, file: &FileEntry, path: &str) -> Result<()> {
        let is_written_to = path.starts_with("etc/") || path.starts_with("var/");
        if let Some(first) = self.written.get(&file.object).filter(|_| !is_written_to) {
            let file = self.objects.file(file.object)?;
            return self.archive.hard_link(of(&file.attributes), path, first);
        }
        let object = self.objects.file(file.object)?;
        let is_linked = matches!(object.content, Content::Regular { size: 1.., .. });
        self.archive.attributes(&object.attributes)?;
        self.archive.file(path, file.object, object)?;
        if is_linked && !is_written_to {
            self.written.insert(file.object, path.to_owned());
        }
        Ok(())
    }
}

fn is_made_for_etc(usr: &Tree) -> bool {
    usr.files.is_empty() && matches!(usr.directories.as_slice(), [only] if only.name == "etc")
}
