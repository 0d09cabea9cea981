//! The drivers' file layouts. Missing and unreadable files are `None`; the caller decides what that means.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, statat};

use super::paths::is_damage;
use super::store::{MAX_DOCUMENT, Store};
use super::tar_split;
use crate::error::Error;

/// The maximum length of a link's name, and of a list of them.
pub(super) const MAX_LINK: u64 = 64;
pub(super) const MAX_LOWER: u64 = 1 << 16;

impl Store<'_> {
    /// Where a layer's files are.
    pub(super) fn directory_of(&self, id: &str) -> PathBuf {
        match self.driver() {
            "vfs" => format!("vfs/dir/{id}"),
            driver => format!("{driver}/{id}/diff"),
        }
        .into()
    }

    /// The headers of the archive from which a layer was unpacked.
    pub(super) fn archive_of(&self, id: &str) -> PathBuf {
        format!("{}-layers/{id}.tar-split.gz", self.driver()).into()
    }

    /// The outer error is an I/O error elsewhere; the inner one means that this file is damaged.
    pub(super) fn read_archive(
        &self,
        id: &str,
        take: &mut dyn FnMut(&tar_split::Entry) -> io::Result<()>,
    ) -> Result<io::Result<Option<u64>>, Error> {
        let path = self.archive_of(id);
        let file = match self.root.open_file(&path) {
            Ok(file) => file,
            Err(error) if is_damage(&error) => return Ok(Err(error)),
            Err(error) => return Err(self.root.error("open", path)(error).into()),
        };
        let mut failed = None;
        let read = tar_split::read(file, &mut |entry| {
            take(entry).map_err(|error| {
                // The error is about the layer, not about this file.
                failed = Some(error);
                io::ErrorKind::Other.into()
            })
        });
        match failed {
            Some(error) => Err(self.root.error("examine", self.directory_of(id))(error).into()),
            None => Ok(read),
        }
    }

    /// A document of an image; `None` if it cannot be read.
    pub(super) fn document(&self, image: &str, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.document_path(image, name);
        match self.root.read(&path, MAX_DOCUMENT) {
            Ok(text) => Ok(Some(text)),
            Err(error) if is_damage(&error) => Ok(None),
            Err(error) => Err(self.root.error("read", path)(error).into()),
        }
    }

    /// The path of a document: unless its name is a plain word, the file name is in base64.
    pub(super) fn document_path(&self, image: &str, name: &str) -> PathBuf {
        let plain = |byte: u8| byte == b'.' || byte.is_ascii_digit() || byte.is_ascii_lowercase();
        let directory = format!("{}-images/{image}", self.driver());
        if name.bytes().all(plain) {
            format!("{directory}/{name}").into()
        } else {
            format!("{directory}/={}", base64(name.as_bytes())).into()
        }
    }

    /// A small text file of the driver; `None` if it cannot be read.
    pub(super) fn small(&self, path: &str, max: u64) -> Result<Option<String>, Error> {
        match self.root.read_text(path, max) {
            Ok(text) => Ok(Some(text)),
            Err(error) if is_damage(&error) => Ok(None),
            Err(error) => Err(self.root.error("read", path)(error).into()),
        }
    }

    pub(super) fn link_target(&self, path: &str) -> Result<Option<String>, Error> {
        match self.root.read_link(path) {
            Ok(target) => Ok(target.into_os_string().into_string().ok()),
            Err(error) if is_damage(&error) => Ok(None),
            Err(error) => Err(self.root.error("read", path)(error).into()),
        }
    }

    /// The links of a layer and those below it, as the file `lower` of a layer above has them; `None` if they cannot be read.
    pub(super) fn lower_above(&self, id: &str) -> Result<Option<String>, Error> {
        let Some(link) = self.small(&format!("overlay/{id}/link"), MAX_LINK)? else { return Ok(None) };
        Ok(Some(match self.small(&format!("overlay/{id}/lower"), MAX_LOWER)? {
            Some(lower) if !lower.is_empty() => format!("l/{link}:{lower}"),
            _ => format!("l/{link}"),
        }))
    }

    /// The type of the file at a path, without following links; `None` if there is none.
    pub(super) fn kind(&self, path: &Path) -> Result<Option<FileType>, Error> {
        match statat(self.root, path, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
            Err(error) if is_damage(&error) => Ok(None),
            Err(error) => Err(self.root.error("examine", path)(error).into()),
        }
    }

    /// Whether a layer's files are not plain files in its directory: composefs objects, or an additional layer store.
    pub(super) fn is_of_another_form(&self, id: &str) -> Result<bool, Error> {
        for name in ["composefs-data", "additionallayer"] {
            if self.kind(format!("{}/{id}/{name}", self.driver()).as_ref())?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Standard base64, as podman uses it in file names.
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let value = group.iter().fold(0_u32, |value, &byte| value << 8 | u32::from(byte));
        let value = value << (8 * (3 - group.len()));
        for digit in 0..4 {
            let index = value >> (18 - 6 * digit) & 63;
            let digit = if digit > group.len() { None } else { ALPHABET.get(index as usize) };
            text.push(char::from(*digit.unwrap_or(&b'=')));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn names_are_written_in_base64() {
        for (bytes, text) in
            [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("sha256:", "c2hhMjU2Og==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
