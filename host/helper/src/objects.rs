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
        bail!(
            "object {expected} of the ostree repository is damaged: the checksum of its contents is {found}"
        );
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

/// Repositories for unit tests.
#[cfg(test)]
pub(crate) mod samples {
    use std::collections::HashMap;
    use std::fs;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A repository in a directory of its own.
    pub(crate) struct Sample(PathBuf);

    impl Sample {
        pub(crate) fn new() -> Self {
            Self::with_mode(ostree::RepoMode::Archive)
        }

        pub(crate) fn with_mode(mode: ostree::RepoMode) -> Self {
            static NUMBER: AtomicUsize = AtomicUsize::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = format!("bootc-image-objects-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Repo::new_for_path(&path).create(mode, NONE).unwrap();
            Self(path)
        }

        pub(crate) fn objects(&self) -> Objects {
            Objects::open(self.0.to_str().unwrap()).unwrap()
        }

        /// Where an object is; its directory exists.
        pub(crate) fn path(&self, object: Checksum, kind: &str) -> PathBuf {
            let name = object.to_string();
            let (head, tail) = name.split_at(2);
            let directory = self.0.join("objects").join(head);
            fs::create_dir_all(&directory).unwrap();
            directory.join(format!("{tail}.{kind}"))
        }

        fn add(&self, kind: &str, value: &Variant) -> Checksum {
            let bytes = value.data_as_bytes();
            let object = Checksum::of(&bytes);
            fs::write(self.path(object, kind), bytes).unwrap();
            object
        }

        /// A directory with these files: names and checksums.
        pub(crate) fn tree(&self, files: &[(&str, &[u8])]) -> Checksum {
            let files: Vec<_> = files.iter().map(|(name, sum)| ((*name).to_owned(), sum.to_vec())).collect();
            let directories: Vec<(String, Vec<u8>, Vec<u8>)> = Vec::new();
            self.add("dirtree", &(files, directories).to_variant())
        }

        /// A commit without metadata.
        pub(crate) fn commit(&self, tree: Checksum) -> Checksum {
            let metadata: HashMap<String, Variant> = HashMap::new();
            let related: Vec<(String, Vec<u8>)> = Vec::new();
            let (parent, tree, meta) = (Vec::<u8>::new(), tree.0.to_vec(), vec![0_u8; 32]);
            self.add("commit", &(metadata, parent, related, "", "", 0_u64, tree, meta).to_variant())
        }
    }

    impl Drop for Sample {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::samples::Sample;
    use super::*;
    use crate::archive::Archive;

    #[test]
    fn what_is_wrong_with_a_directory_or_a_commit_is_said() {
        let repository = Sample::new();
        for (files, why) in [
            (&[("a/b", &[0_u8; 32][..])][..], "\"a/b\" is not a file name"),
            (&[("..", &[0; 32])], "\"..\" is not a file name"),
            (&[("a", &[0; 31])], "a checksum is not 32 bytes long"),
        ] {
            let tree = repository.tree(files);
            assert_eq!(repository.objects().tree(tree).err().unwrap().to_string(), why);
        }
        let commit = repository.commit(repository.tree(&[]));
        assert_eq!(
            repository.objects().commit_text(commit, "ostree.manifest").unwrap_err().to_string(),
            format!(
                "commit {commit} was not made from a container image: its metadata has no ostree.manifest"
            )
        );
    }

    /// An object of an archive repository: a header with its own length in front, and the content, which is not compressed here.
    fn archived(recorded: u64, content: &[u8]) -> Vec<u8> {
        let attributes: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mode = 0o100_644_u32;
        let header = (recorded.to_be(), 0_u32, 0_u32, mode.to_be(), 0_u32, "", attributes).to_variant();
        let header = header.data_as_bytes();
        let mut object = u32::try_from(header.len()).unwrap().to_be_bytes().to_vec();
        object.extend([0; 4]);
        object.extend(&header[..]);
        let length = u16::try_from(content.len()).unwrap();
        object.push(1);
        object.extend(length.to_le_bytes());
        object.extend((!length).to_le_bytes());
        object.extend(content);
        object
    }

    #[test]
    fn a_file_of_another_size_than_its_header_says_is_damaged() {
        let repository = Sample::new();
        let object = Checksum([0x11; 32]);
        for (recorded, content, why) in [
            (10, &b"abc"[..], "shorter than its recorded size"),
            (1, b"abc", "longer than its recorded size"),
        ] {
            std::fs::write(repository.path(object, "filez"), archived(recorded, content)).unwrap();
            let objects = repository.objects();
            let file = objects.file(object).unwrap();
            let error = Archive::new(io::sink()).file("a", object, file).unwrap_err();
            assert_eq!(error.to_string(), format!("object {object} of the ostree repository is {why}"));
        }
    }

    #[test]
    fn a_link_whose_target_is_not_text_is_refused() {
        let repository = Sample::with_mode(ostree::RepoMode::BareUserOnly);
        let at = |object| repository.path(object, "file");
        let target = std::ffi::OsStr::from_bytes(b"\xff");
        let refused = |object| repository.objects().file(object).err().unwrap().to_string();
        let wrong = Checksum([0x11; 32]);
        std::os::unix::fs::symlink(target, at(wrong)).unwrap();
        // The first error has the right checksum.
        let error = refused(wrong);
        let damaged =
            format!("object {wrong} of the ostree repository is damaged: the checksum of its contents is ");
        let right = Checksum::parse(error.strip_prefix(&damaged).unwrap()).unwrap();
        std::os::unix::fs::symlink(target, at(right)).unwrap();
        assert_eq!(refused(right), "the target of a symbolic link is not UTF-8 text");
    }
}
