//! A layer that was added to a base image: a plain archive of a tree. ostree stores `/etc` as `/usr/etc`; the archive has `/etc`.

use anyhow::{Context as _, Result, ensure};
use ostree_ext::glib::Variant;

use crate::archive::{Archive, of};
use crate::objects::{Attributes, Checksum, Objects, Tree};

/// SELinux labels are left out: they were computed for this host when the layer was imported, and another host computes its own.
const LABEL: &str = "security.selinux";

/// The approximate size of the archive, in bytes.
pub(crate) fn size(objects: &Objects, commit: Checksum) -> Result<u64> {
    fn of_tree(objects: &Objects, tree: Checksum) -> Result<u64> {
        let tree = objects.tree(tree)?;
        let files = tree.files.iter().map(|file| Ok(objects.size(file.object)?.next_multiple_of(512) + 1024));
        let directories = tree.directories.iter().map(|entry| Ok(of_tree(objects, entry.tree)? + 1024));
        files.chain(directories).sum()
    }
    of_tree(objects, objects.root(commit)?.tree)
}

pub(crate) fn write(objects: &Objects, commit: Checksum, out: impl std::io::Write) -> Result<()> {
    let mut layer = Layer { objects, archive: Archive::new(out) };
    let tree = objects.tree(objects.root(commit)?.tree)?;
    layer.tree("", &tree)?;
    layer.archive.finish()
}

struct Layer<'a, W: std::io::Write> {
    objects: &'a Objects,
    archive: Archive<W>,
}

impl<W: std::io::Write> Layer<'_, W> {
    /// `path` is empty or ends in a slash.
    fn tree(&mut self, path: &str, tree: &Tree) -> Result<()> {
        for file in &tree.files {
            let object = self.objects.file(file.object)?;
            let path = format!("{path}{}", file.name);
            self.xattrs(&object.attributes)?;
            self.archive.file(&path, file.object, object)?;
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
                self.xattrs(&meta.attributes)?;
                self.archive.directory(of(&meta.attributes), &path)?;
            }
            self.tree(&(path + "/"), &inside)?;
        }
        Ok(())
    }

    fn xattrs(&mut self, attributes: &Attributes) -> Result<()> {
        let pairs = attributes.xattrs.iter().map(|pair| named(&pair));
        let pairs = pairs.collect::<Result<Vec<_>>>()?;
        let kept = pairs.iter().filter(|(name, _)| name != LABEL);
        let keys: Vec<(String, &[u8])> =
            kept.map(|(name, value)| (format!("SCHILY.xattr.{name}"), value.as_slice())).collect();
        self.archive.extensions(keys.iter().map(|(key, value)| (key.as_str(), *value)))
    }
}

fn is_made_for_etc(usr: &Tree) -> bool {
    usr.files.is_empty() && matches!(usr.directories.as_slice(), [only] if only.name == "etc")
}

fn named(pair: &Variant) -> Result<(String, Vec<u8>)> {
    let bytes = |index| pair.child_value(index).fixed_array::<u8>().map(<[u8]>::to_vec);
    let name = bytes(0)?;
    let name = name.strip_suffix(&[0]).unwrap_or(&name);
    let name =
        String::from_utf8(name.to_vec()).context("the name of an extended attribute is not UTF-8 text")?;
    // In a PAX header, the name would end at the first of these characters.
    ensure!(
        !name.is_empty() && !name.contains(['=', '\0']),
        "an archive cannot hold the extended attribute {name:?}"
    );
    Ok((name, bytes(1)?))
}

#[cfg(test)]
mod tests {
    use ostree_ext::glib::prelude::*;

    use super::*;

    #[test]
    fn an_attribute_with_a_name_that_no_archive_holds_is_refused() {
        let of = |name: &[u8]| named(&(name.to_vec(), b"value".to_vec()).to_variant());
        assert_eq!(of(b"user.a\0").unwrap(), ("user.a".to_owned(), b"value".to_vec()));
        for (name, why) in [
            (&b"\0"[..], "an archive cannot hold the extended attribute \"\""),
            (b"user.a=b\0", "an archive cannot hold the extended attribute \"user.a=b\""),
            (b"user.\xff\0", "the name of an extended attribute is not UTF-8 text"),
        ] {
            assert_eq!(of(name).unwrap_err().to_string(), why);
        }
    }
}
