//! Writes a layer as a tar archive. All modification times are 0, so that the same tree gives the same archive. The importer of
//! ostree-ext also uses this to recognize files that no container build has changed.

use std::io::{self, Write};

use anyhow::{Context as _, Result, ensure};
use ostree_ext::glib::Variant;
use tar::{Builder, EntryType, Header};

use crate::objects::{Attributes, Checksum, Content, FileObject};

/// SELinux labels are left out: they were computed for this host when the layer was imported, and another host computes its own.
const LABEL: &str = "security.selinux";
/// The longest link target that fits into a header.
const LINK_IN_HEADER: usize = 100;

/// An archive that is being written.
pub(crate) struct Archive<W: Write>(Builder<W>);

/// A header with root as the owner and these permissions.
pub(crate) fn of_root(mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_uid(0);
    header.set_gid(0);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_size(0);
    header
}

/// A header with the owner and the permissions of a file or directory.
pub(crate) fn of(attributes: &Attributes) -> Header {
    let mut header = of_root(attributes.mode);
    header.set_uid(attributes.uid.into());
    header.set_gid(attributes.gid.into());
    header
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(out: W) -> Self {
        Self(Builder::new(out))
    }

    pub(crate) fn directory(&mut self, mut header: Header, path: &str) -> Result<()> {
        header.set_entry_type(EntryType::Directory);
        self.append(header, path, io::empty())
    }

    pub(crate) fn data(&mut self, mut header: Header, path: &str, data: &[u8]) -> Result<()> {
        header.set_entry_type(EntryType::Regular);
        header.set_size(data.len() as u64);
        self.append(header, path, data)
    }

    pub(crate) fn hard_link(&mut self, mut header: Header, path: &str, target: &str) -> Result<()> {
        header.set_entry_type(EntryType::Link);
        self.link(header, path, target)
    }

    /// Writes a file, and verifies its content while it is copied.
    pub(crate) fn file(&mut self, path: &str, object: Checksum, file: FileObject) -> Result<()> {
        let mut header = of(&file.attributes);
        match file.content {
            Content::Regular { size, mut reader } => {
                header.set_entry_type(EntryType::Regular);
                header.set_size(size);
                let mut counted = io::Read::take(&mut reader, size);
                self.append(header, path, &mut counted)?;
                anyhow::ensure!(
                    counted.limit() == 0,
                    "object {object} of the ostree repository is shorter than its recorded size"
                );
                reader.finish(object)
            }
            Content::Symlink { target } => {
                header.set_entry_type(EntryType::Symlink);
                self.link(header, path, &target)
            }
        }
    }

    /// The extended attributes of the next entry, such as capabilities.
    pub(crate) fn attributes(&mut self, attributes: &Attributes) -> Result<()> {
        let pairs = attributes.xattrs.iter().map(|pair| named(&pair));
        let pairs = pairs.collect::<Result<Vec<_>>>()?;
        let kept = pairs.iter().filter(|(name, _)| name != LABEL);
        let keys: Vec<(String, &[u8])> =
            kept.map(|(name, value)| (format!("SCHILY.xattr.{name}"), value.as_slice())).collect();
        Ok(self.0.append_pax_extensions(keys.iter().map(|(key, value)| (key.as_str(), *value)))?)
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        Ok(self.0.finish()?)
    }

    /// Writes a link. Its target is not normalized, because it is part of the data from which the object's checksum is computed.
    fn link(&mut self, mut header: Header, path: &str, target: &str) -> Result<()> {
        if target.len() <= LINK_IN_HEADER {
            header.set_link_name_literal(target)?;
        } else {
            let mut long = of_root(0o644);
            long.set_entry_type(EntryType::GNULongLink);
            long.set_path("././@LongLink")?;
            long.set_size(target.len() as u64 + 1);
            long.set_cksum();
            self.0.append(&long, io::Read::chain(target.as_bytes(), &[0_u8][..]))?;
        }
        self.append(header, path, io::empty())
    }

    fn append(&mut self, mut header: Header, path: &str, data: impl io::Read) -> Result<()> {
        self.0
            .append_data(&mut header, path, data)
            .with_context(|| format!("cannot write {path} to the layer"))
    }
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
    fn an_entry_that_cannot_be_written_is_named() {
        let mut nowhere = [0_u8; 0];
        let mut archive = Archive::new(&mut nowhere[..]);
        let error = archive.directory(of_root(0o755), "usr/bin").unwrap_err();
        assert_eq!(error.to_string(), "cannot write usr/bin to the layer");
    }

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
