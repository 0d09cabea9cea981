//! The layers of an encapsulated ostree commit: the archive contains files as objects of an ostree repository, and hard links to them
//! under their own names. The format is version 1 of ostree-ext's, so that the exported image can be deployed on another host.

use std::collections::{HashMap, HashSet};
use std::io::Write;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::archive::{Archive, of, of_root};
use crate::objects::{Attributes, Checksum, Content, Objects};

const REPOSITORY: &str = "sysroot/ostree/repo";
const CONFIG: &[u8] = b"[core]\nrepo_version=1\nmode=bare-split-xattrs\n";
const DIRECTORIES: [&str; 8] =
    ["extensions", "refs", "refs/heads", "refs/mirrors", "refs/remotes", "state", "tmp", "tmp/cache"];

/// A commit and its layers.
pub(crate) struct Encapsulated {
    commit: Checksum,
    /// The files of every layer, sorted by object. Paths are relative to the root.
    layers: Vec<Vec<(Checksum, String)>>,
}

impl Encapsulated {
    /// `chunks` are the commits in which ostree-ext stores the lists of objects of all layers but the first. The first layer has the
    /// remaining objects.
    pub(crate) fn new(objects: &Objects, commit: Checksum, chunks: &[Checksum]) -> Result<Self> {
        let mut layer_of = HashMap::new();
        for (layer, &chunk) in (1..).zip(chunks) {
            for entry in objects.tree(objects.root(chunk)?.tree)?.files {
                let object = Checksum::parse(&entry.name).context("cannot read a layer's list of objects")?;
                layer_of.entry(object).or_insert(layer);
            }
        }
        let mut files = Vec::new();
        collect(objects, objects.root(commit)?.tree, "", &mut files)?;
        files.sort_unstable();
        let mut layers = vec![Vec::new(); chunks.len() + 1];
        for file in files {
            layers[layer_of.get(&file.0).copied().unwrap_or(0)].push(file);
        }
        Ok(Self { commit, layers })
    }

    /// The approximate size of all layers, in bytes.
    pub(crate) fn size(&self, objects: &Objects) -> Result<u64> {
        // Each layer has some 256 directories; each file has four headers, and each object its content.
        let mut total = self.layers.len() as u64 * (300 * 512);
        for links in self.layers.iter().flat_map(|files| by_object(files)) {
            total += links.len() as u64 * (4 * 512) + objects.size(links[0].0)?.next_multiple_of(512);
        }
        Ok(total)
    }

    /// Writes the layer with this number.
    pub(crate) fn write(&self, objects: &Objects, layer: usize, out: impl Write) -> Result<()> {
        let files = self.layers.get(layer).with_context(|| format!("there is no layer {layer}"))?;
        let mut out = Layer {
            objects,
            archive: Archive::new(out),
            written: HashSet::new(),
            xattrs: HashSet::new(),
            has_var_tmp: false,
        };
        match layer {
            0 => out.commit(self.commit)?,
            _ => out.repository()?,
        }
        for links in by_object(files) {
            let path = links.first().map_or("", |(_, path)| in_container(path));
            out.file(links).with_context(|| format!("cannot export the file {path}"))?;
        }
        out.archive.finish()
    }
}

/// Groups the files that are links to the same object.
fn by_object(files: &[(Checksum, String)]) -> impl Iterator<Item = &[(Checksum, String)]> {
    files.chunk_by(|a, b| a.0 == b.0)
}

fn collect(objects: &Objects, tree: Checksum, path: &str, files: &mut Vec<(Checksum, String)>) -> Result<()> {
    let tree = objects.tree(tree)?;
    files.extend(tree.files.into_iter().map(|file| (file.object, format!("{path}{}", file.name))));
    for directory in tree.directories {
        collect(objects, directory.tree, &format!("{path}{}/", directory.name), files)?;
    }
    Ok(())
}

/// The path of a file in a container, where `/usr/etc` is `/etc`.
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

    /// Writes everything except files: the commit, its directories, and the directories that every container needs.
    fn commit(&mut self, commit: Checksum) -> Result<()> {
        let root = self.objects.root(commit)?;
        let meta = self.objects.directory_meta(root.meta)?;
        self.archive.attributes(&meta.attributes)?;
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
            // `repository` has already written it.
            if inside == "sysroot" {
                continue;
            }
            self.has_var_tmp |= inside == "var/tmp";
            self.archive.attributes(&meta.attributes)?;
            self.archive.directory(of(&meta.attributes), in_container(&inside))?;
            self.directories(directory.tree, &(inside + "/"))?;
        }
        Ok(())
    }

    /// Writes a file as an object, and the links to it.
    fn file(&mut self, links: &[(Checksum, String)]) -> Result<()> {
        let Some((object, _)) = links.first() else { return Ok(()) };
        let (attributes, empty) = self.file_object(*object)?;
        let header = of(&attributes);
        for (_, path) in links {
            let path = in_container(path);
            if empty {
                // An empty file is no link to the repository: programs often write to such a file, which would change the object.
                self.archive.attributes(&attributes)?;
                self.archive.data(header.clone(), path, &[])?;
            } else {
                self.archive.hard_link(header.clone(), path, &object_path(object, "file"))?;
            }
        }
        Ok(())
    }

    /// Writes a file as an object, after its attributes, which ostree imports, and with them, so that containers have them: the files of
    /// the image are links to it. Returns its attributes, and whether it is empty.
    fn file_object(&mut self, object: Checksum) -> Result<(Attributes, bool)> {
        let file = self.objects.file(object)?;
        let attributes = file.attributes.clone();
        let empty = matches!(file.content, Content::Regular { size: 0, .. });
        let xattrs = file.attributes.xattrs.data_as_bytes();
        let name = format!("{:x}", Sha256::digest(&xattrs));
        let path = object_path(&name, "file-xattrs");
        if self.xattrs.insert(name) {
            self.archive.data(of_root(0o644), &path, &xattrs)?;
        }
        self.archive.hard_link(of_root(0o644), &object_path(&object, "file-xattrs-link"), &path)?;
        self.archive.attributes(&attributes)?;
        self.archive.file(&object_path(&object, "file"), object, file)?;
        Ok((attributes, empty))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::samples::Sample;

    #[test]
    fn usr_etc_becomes_etc() {
        for (path, expected) in
            [("usr/etc", "etc"), ("usr/etc/a/b", "etc/a/b"), ("usr/etcetera", "usr/etcetera"), ("a", "a")]
        {
            assert_eq!(in_container(path), expected);
        }
    }

    #[test]
    fn lists_of_objects_that_are_damaged_and_layers_that_are_missing_are_named() {
        let repository = Sample::new();
        let tree = repository.tree(&[("notes", &[0; 32])]);
        let chunk = repository.commit(tree);
        let objects = repository.objects();
        let error = Encapsulated::new(&objects, chunk, &[chunk]).err().unwrap();
        assert_eq!(error.to_string(), "cannot read a layer's list of objects");
        let none = Encapsulated { commit: chunk, layers: Vec::new() };
        let error = none.write(&objects, 3, std::io::sink()).unwrap_err();
        assert_eq!(error.to_string(), "there is no layer 3");
    }
}
