//! The layers that an ostree commit was encapsulated in: files are in the archive as objects of a repository, and under
//! their own names as hard links to these. The format is ostree-ext's, version 1, so that what is copied out of a host can
//! be deployed to another.

use std::collections::{BTreeSet, HashSet};
use std::io::Write;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::archive::{Archive, of, of_root};
use crate::objects::{Checksum, Content, Objects};

const REPOSITORY: &str = "sysroot/ostree/repo";
const CONFIG: &[u8] = b"[core]\nrepo_version=1\nmode=bare-split-xattrs\n";
const DIRECTORIES: [&str; 8] =
    ["extensions", "refs", "refs/heads", "refs/mirrors", "refs/remotes", "state", "tmp", "tmp/cache"];

/// A commit with its files, and which of them are in which layer.
pub(crate) struct Encapsulated {
    commit: Checksum,
    /// Every file of the commit, sorted; paths begin below the root.
    files: Vec<(Checksum, String)>,
    /// The objects of every layer but the first, which has the rest.
    chunks: Vec<BTreeSet<Checksum>>,
}

impl Encapsulated {
    /// `chunks` are the commits that ostree-ext keeps of the layers after the first: each is a list of objects.
    pub(crate) fn new(objects: &Objects, commit: Checksum, chunks: &[Checksum]) -> Result<Self> {
        let mut files = Vec::new();
        collect(objects, objects.root(commit)?.tree, "", &mut files)?;
        files.sort_unstable();
        let known: HashSet<Checksum> = files.iter().map(|(object, _)| *object).collect();
        let mut taken = HashSet::new();
        let chunks = chunks.iter().map(|&chunk| {
            let names = objects.tree(objects.root(chunk)?.tree)?.files;
            let mut chunk = BTreeSet::new();
            for entry in names {
                let object = Checksum::parse(&entry.name).context("a layer's list of objects")?;
                if known.contains(&object) && taken.insert(object) {
                    chunk.insert(object);
                }
            }
            Ok(chunk)
        });
        let chunks = chunks.collect::<Result<_>>()?;
        Ok(Self { commit, files, chunks })
    }

    /// How much all layers will be, about.
    pub(crate) fn size(&self, objects: &Objects) -> Result<u64> {
        // 256 directories and the like in each layer; per file four headers, per object its content.
        let mut total = (self.chunks.len() as u64 + 1) * (300 * 512);
        let mut last = None;
        for (object, _) in &self.files {
            total += 4 * 512;
            if last.replace(*object) != Some(*object) {
                total += objects.size(*object)?.next_multiple_of(512);
            }
        }
        Ok(total)
    }

    /// Writes the layer with this number.
    pub(crate) fn write(&self, objects: &Objects, layer: usize, out: impl Write) -> Result<()> {
        let mut layer_out = Layer {
            objects,
            archive: Archive::new(out),
            written: HashSet::new(),
            xattrs: HashSet::new(),
            has_var_tmp: false,
        };
        match layer.checked_sub(1).and_then(|index| self.chunks.get(index)) {
            None => {
                layer_out.commit(self.commit)?;
                let elsewhere: HashSet<&Checksum> = self.chunks.iter().flatten().collect();
                layer_out.files(self.files.iter().filter(|(object, _)| !elsewhere.contains(object)))?;
            }
            Some(chunk) => {
                layer_out.repository()?;
                layer_out.files(self.files.iter().filter(|(object, _)| chunk.contains(object)))?;
            }
        }
        layer_out.archive.finish()
    }
}

fn collect(objects: &Objects, tree: Checksum, path: &str, files: &mut Vec<(Checksum, String)>) -> Result<()> {
    let tree = objects.tree(tree)?;
    files.extend(tree.files.into_iter().map(|file| (file.object, format!("{path}{}", file.name))));
    for directory in tree.directories {
        collect(objects, directory.tree, &format!("{path}{}/", directory.name), files)?;
    }
    Ok(())
}

/// Where a file is when no host is booted from it.
fn in_container(path: &str) -> &str {
    match path.strip_prefix("usr/") {
        Some(rest) if rest == "etc" || rest.starts_with("etc/") => rest,
        _ => path,
    }
}

fn object_path(object: &impl ToString, kind: &str) -> String {
    let name = object.to_string();
    let (head, tail) = name.split_at(2);
    format!("{REPOSITORY}/objects/{head}/{tail}.{kind}")
}

struct Layer<'a, W: Write> {
    objects: &'a Objects,
    archive: Archive<W>,
    /// Directory objects that are in the archive.
    written: HashSet<Checksum>,
    /// Lists of extended attributes that are in the archive.
    xattrs: HashSet<String>,
    has_var_tmp: bool,
}

impl<W: Write> Layer<'_, W> {
    fn repository(&mut self) -> Result<()> {
        let directory = |archive: &mut Archive<W>, path: &str| archive.directory(of_root(0o755), path);
        for path in ["sysroot", "sysroot/ostree", REPOSITORY] {
            directory(&mut self.archive, path)?;
        }
        directory(&mut self.archive, &format!("{REPOSITORY}/objects"))?;
        for head in 0..=0xff_u8 {
            directory(&mut self.archive, &format!("{REPOSITORY}/objects/{head:02x}"))?;
        }
        for path in DIRECTORIES {
            directory(&mut self.archive, &format!("{REPOSITORY}/{path}"))?;
        }
        self.archive.data(of_root(0o644), &format!("{REPOSITORY}/config"), CONFIG)
    }

    /// Everything but files: the commit, its directories, and those that every container expects.
    fn commit(&mut self, commit: Checksum) -> Result<()> {
        let root = self.objects.root(commit)?;
        let meta = self.objects.directory_meta(root.meta)?;
        self.archive.directory(of(&meta.attributes), "./")?;
        self.repository()?;
        self.archive.data(of_root(0o644), &object_path(&commit, "commit"), &root.bytes)?;
        if let Some(detached) = self.objects.detached_metadata(commit)? {
            self.archive.data(of_root(0o644), &object_path(&commit, "commitmeta"), &detached)?;
        }
        self.object(root.meta, "dirmeta", &meta.bytes)?;
        self.directories(root.tree, "")?;
        if !self.has_var_tmp {
            self.archive.directory(of_root(0o1777), "var/tmp")?;
        }
        Ok(())
    }

    fn object(&mut self, object: Checksum, kind: &str, bytes: &[u8]) -> Result<()> {
        if self.written.insert(object) {
            self.archive.data(of_root(0o644), &object_path(&object, kind), bytes)?;
        }
        Ok(())
    }

    fn directories(&mut self, tree: Checksum, path: &str) -> Result<()> {
        let objects = self.objects;
        let contents = objects.tree(tree)?;
        self.object(tree, "dirtree", &contents.bytes)?;
        for directory in contents.directories {
            let meta = objects.directory_meta(directory.meta)?;
            self.object(directory.meta, "dirmeta", &meta.bytes)?;
            let inside = format!("{path}{}", directory.name);
            // There is one already, with the repository in it.
            if inside == "sysroot" {
                continue;
            }
            self.has_var_tmp |= inside == "var/tmp";
            self.archive.directory(of(&meta.attributes), in_container(&inside))?;
            self.directories(directory.tree, &(inside + "/"))?;
        }
        Ok(())
    }

    /// Files, sorted by object.
    fn files<'a>(&mut self, files: impl Iterator<Item = &'a (Checksum, String)>) -> Result<()> {
        let mut current = None;
        for (object, path) in files {
            let (of_object, header, empty) = match current.take() {
                Some((last, header, empty)) if last == *object => (last, header, empty),
                _ => self.file_object(*object)?,
            };
            let path = in_container(path);
            if empty {
                // Nobody should share an empty file with the repository: it is what gets written to.
                self.archive.data(header.clone(), path, &[])?;
            } else {
                self.archive.hard_link(header.clone(), path, &object_path(object, "file"))?;
            }
            current = Some((of_object, header, empty));
        }
        Ok(())
    }

    /// A file as an object, its attributes before it; with the header for links to it, and whether it is an empty file.
    fn file_object(&mut self, object: Checksum) -> Result<(Checksum, tar::Header, bool)> {
        let file = self.objects.file(object)?;
        let header = of(&file.attributes);
        let empty = matches!(file.content, Content::Regular { size: 0, .. });
        let xattrs = file.attributes.xattrs.data_as_bytes();
        let name = format!("{:x}", Sha256::digest(&xattrs));
        let path = object_path(&name, "file-xattrs");
        if self.xattrs.insert(name) {
            self.archive.data(of_root(0o644), &path, &xattrs)?;
        }
        self.archive.hard_link(of_root(0o644), &object_path(&object, "file-xattrs-link"), &path)?;
        self.archive.file(&object_path(&object, "file"), object, file)?;
        Ok((object, header, empty))
    }
}

#[cfg(test)]
mod tests {
    use super::in_container;

    #[test]
    fn etc_is_itself_again() {
        for (path, expected) in
            [("usr/etc", "etc"), ("usr/etc/a/b", "etc/a/b"), ("usr/etcetera", "usr/etcetera"), ("a", "a")]
        {
            assert_eq!(in_container(path), expected);
        }
    }
}
