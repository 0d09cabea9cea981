//! Objects of an ostree repository. Every object is verified against the checksum that is its name, which libostree does not do when
//! it reads objects.

use std::fmt;
use std::io::{self, Read};

use anyhow::{Context as _, Result, bail, ensure};
use ostree_ext::gio::prelude::*;
use ostree_ext::glib::Variant;
use ostree_ext::ostree::{self, ObjectType, Repo};
use ostree_ext::{gio, glib};
use sha2::{Digest as _, Sha256};

const NONE: Option<&gio::Cancellable> = gio::Cancellable::NONE;

/// The checksum of an object, which is its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Checksum([u8; 32]);

impl Checksum {
    /// From 64 hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        ostree::validate_checksum_string(text)?;
        let digit = |byte: u8| if byte.is_ascii_digit() { byte - b'0' } else { byte - b'a' + 10 };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            if let [high, low] = pair {
                *byte = digit(*high) << 4 | digit(*low);
            }
        }
        Ok(Self(bytes))
    }

    fn from_variant(value: &Variant) -> Result<Self> {
        let bytes = value.fixed_array::<u8>().ok().and_then(|bytes| bytes.try_into().ok());
        Ok(Self(bytes.context("a checksum is not 32 bytes long")?))
    }

    fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A file in a directory.
pub(crate) struct FileEntry {
    pub(crate) name: String,
    pub(crate) object: Checksum,
}

/// A directory in a directory.
pub(crate) struct DirectoryEntry {
    pub(crate) name: String,
    pub(crate) tree: Checksum,
    pub(crate) meta: Checksum,
}

/// The contents of a directory, each list sorted by name.
pub(crate) struct Tree {
    pub(crate) bytes: glib::Bytes,
    pub(crate) files: Vec<FileEntry>,
    pub(crate) directories: Vec<DirectoryEntry>,
}

/// The attributes of a file or directory.
#[derive(Clone)]
pub(crate) struct Attributes {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The permissions, without the file type.
    pub(crate) mode: u32,
    /// Extended attributes as a variant of type `a(ayay)`: names, each terminated by NUL, and values.
    pub(crate) xattrs: Variant,
}

/// A directory's own object.
pub(crate) struct DirectoryMeta {
    pub(crate) bytes: glib::Bytes,
    pub(crate) attributes: Attributes,
}

/// The content of a file.
pub(crate) enum Content {
    Regular { size: u64, reader: Verifying },
    Symlink { target: String },
}

/// A file.
pub(crate) struct FileObject {
    pub(crate) attributes: Attributes,
    pub(crate) content: Content,
}

/// The root of a commit.
pub(crate) struct Root {
    pub(crate) bytes: glib::Bytes,
    pub(crate) tree: Checksum,
    pub(crate) meta: Checksum,
}

/// A repository, open for reading.
pub(crate) struct Objects(Repo);

impl Objects {
    pub(crate) fn open(path: &str) -> Result<Self> {
        let repository = Repo::new_for_path(path);
        repository.open(NONE)?;
        Ok(Self(repository))
    }

    /// The object to which a ref points; none if there is no such ref.
    pub(crate) fn resolve(&self, name: &str) -> Result<Option<Checksum>> {
        let found = self.0.resolve_rev(name, true)?;
        found.map(|text| Checksum::parse(&text)).transpose()
    }

    fn load(&self, kind: ObjectType, object: Checksum) -> Result<(Variant, glib::Bytes)> {
        let value = self.0.load_variant(kind, &object.to_string())?;
        let bytes = value.data_as_bytes();
        check(object, Checksum::of(&bytes))?;
        Ok((value, bytes))
    }

    /// A text in the metadata of a commit.
    pub(crate) fn commit_text(&self, commit: Checksum, key: &str) -> Result<String> {
        let (value, _) = self.load(ObjectType::Commit, commit)?;
        let metadata = glib::VariantDict::new(Some(&value.child_value(0)));
        let text = metadata.lookup::<String>(key).ok().flatten();
        text.with_context(|| {
            format!("commit {commit} was not made from a container image: its metadata has no {key}")
        })
    }

    pub(crate) fn root(&self, commit: Checksum) -> Result<Root> {
        let (value, bytes) = self.load(ObjectType::Commit, commit)?;
        let tree = Checksum::from_variant(&value.child_value(6))?;
        Ok(Root { bytes, tree, meta: Checksum::from_variant(&value.child_value(7))? })
    }

    /// Detached metadata such as signatures, which the commit's checksum does not cover.
    pub(crate) fn detached_metadata(&self, commit: Checksum) -> Result<Option<glib::Bytes>> {
        let metadata = self.0.read_commit_detached_metadata(&commit.to_string(), NONE)?;
        Ok(metadata.map(|value| value.data_as_bytes()))
    }

    pub(crate) fn tree(&self, object: Checksum) -> Result<Tree> {
        let (value, bytes) = self.load(ObjectType::DirTree, object)?;
        let name = |entry: &Variant| -> Result<String> {
            let name = entry.child_value(0);
            let name = name.str().context("a file name is not UTF-8 text")?;
            ensure!(!matches!(name, "" | "." | "..") && !name.contains('/'), "{name:?} is not a file name");
            Ok(name.to_owned())
        };
        let files = value.child_value(0).iter().map(|entry| {
            Ok(FileEntry { name: name(&entry)?, object: Checksum::from_variant(&entry.child_value(1))? })
        });
        let directories = value.child_value(1).iter().map(|entry| {
            let tree = Checksum::from_variant(&entry.child_value(1))?;
            Ok(DirectoryEntry {
                name: name(&entry)?,
                tree,
                meta: Checksum::from_variant(&entry.child_value(2))?,
            })
        });
        Ok(Tree {
            bytes,
            files: files.collect::<Result<_>>()?,
            directories: directories.collect::<Result<_>>()?,
        })
    }

    pub(crate) fn directory_meta(&self, object: Checksum) -> Result<DirectoryMeta> {
        let (value, bytes) = self.load(ObjectType::DirMeta, object)?;
        let number = |index| value.child_value(index).get::<u32>().map(u32::from_be).unwrap_or_default();
        let attributes = Attributes {
            uid: number(0),
            gid: number(1),
            mode: number(2) & 0o7777,
            xattrs: value.child_value(3),
        };
        Ok(DirectoryMeta { bytes, attributes })
    }

    /// The size of a file's content, 0 for a symbolic link.
    pub(crate) fn size(&self, object: Checksum) -> Result<u64> {
        let (info, _) = self.0.query_file(&object.to_string(), NONE)?;
        Ok(if info.file_type() == gio::FileType::Regular { info.size().unsigned_abs() } else { 0 })
    }

    pub(crate) fn file(&self, object: Checksum) -> Result<FileObject> {
        let (stream, info, xattrs) = self.0.load_file(&object.to_string(), NONE)?;
        let content = match stream {
            Some(stream) => {
                let size = info.size().unsigned_abs();
                let (stream, length) =
                    ostree::raw_file_to_content_stream(&stream, &info, Some(&xattrs), NONE)?;
                Content::Regular { size, reader: Verifying::new(stream, length - size)? }
            }
            None => {
                let none: Option<&gio::InputStream> = None;
                let found =
                    ostree::checksum_file_from_input(&info, Some(&xattrs), none, ObjectType::File, NONE)
                        .map_err(|error| anyhow::anyhow!("{error}"))?;
                check(object, Checksum::parse(&found.to_hex())?)?;
                let target = info.symlink_target().context("a symbolic link has no target")?;
                let target = target.into_os_string().into_string();
                Content::Symlink {
                    target: target.ok().context("the target of a symbolic link is not UTF-8 text")?,
                }
            }
        };
        let attributes = Attributes {
            uid: info.attribute_uint32("unix::uid"),
            gid: info.attribute_uint32("unix::gid"),
            mode: info.attribute_uint32("unix::mode") & 0o7777,
            xattrs,
        };
        Ok(FileObject { attributes, content })
    }
}

fn check(expected: Checksum, found: Checksum) -> Result<()> {
    if found != expected {
        bail!("object {expected} of the ostree repository is damaged: its checksum is {found}");
    }
    Ok(())
}

/// The content of a file, which is hashed while it is read. The checksum also covers a header, which has been read already.
pub(crate) struct Verifying {
    stream: Box<dyn Read>,
    hash: Sha256,
}

impl Verifying {
    fn new(stream: gio::InputStream, header: u64) -> Result<Self> {
        let mut reader = Self { stream: Box::new(stream.into_read()), hash: Sha256::new() };
        let copied = io::copy(&mut (&mut reader).take(header), &mut io::sink())?;
        ensure!(copied == header, "the header of a file object is truncated");
        Ok(reader)
    }

    /// Verifies the checksum. Must be called after all content was read.
    pub(crate) fn finish(mut self, object: Checksum) -> Result<()> {
        ensure!(
            self.read(&mut [0])? == 0,
            "object {object} of the ostree repository is longer than its recorded size"
        );
        check(object, Checksum(self.hash.finalize().into()))
    }
}

impl Read for Verifying {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}
