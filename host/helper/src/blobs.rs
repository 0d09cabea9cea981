//! The blobs of an OCI directory, which are named by their digests.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use sha2::{Digest as _, Sha256};

/// Digest and size of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob {
    /// With `sha256:` in front.
    pub(crate) digest: String,
    pub(crate) size: u64,
}

/// An OCI directory that is being written.
pub(crate) struct Blobs {
    root: PathBuf,
}

impl Blobs {
    pub(crate) fn create(root: &str) -> Result<Self> {
        let root = PathBuf::from(root);
        fs::create_dir_all(root.join("blobs/sha256"))?;
        fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(Self { root })
    }

    /// Writes a layer with the data that `fill` writes. `written` is called with the size of every piece.
    pub(crate) fn layer(
        &self,
        written: &mut dyn FnMut(u64) -> io::Result<()>,
        fill: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<Blob> {
        let unnamed = self.root.join("blobs/unfinished");
        let file = File::create_new(&unnamed)?;
        let mut out =
            io::BufWriter::with_capacity(BUFFER, Hashing { file, hash: Sha256::new(), size: 0, written });
        fill(&mut out)?;
        out.flush()?;
        let Hashing { hash, size, .. } = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        let blob = Blob { digest: format!("sha256:{:x}", hash.finalize()), size };
        fs::rename(unnamed, self.path(&blob))?;
        Ok(blob)
    }

    /// Writes a JSON document as a blob.
    pub(crate) fn document(&self, document: &serde_json::Value) -> Result<Blob> {
        let text = serde_json::to_vec(document)?;
        let blob = Blob { digest: format!("sha256:{:x}", Sha256::digest(&text)), size: text.len() as u64 };
        fs::write(self.path(&blob), text)?;
        Ok(blob)
    }

    /// Writes the index, which completes the directory.
    pub(crate) fn index(&self, index: &serde_json::Value) -> Result<()> {
        Ok(fs::write(self.root.join("index.json"), serde_json::to_vec(index)?)?)
    }

    fn path(&self, blob: &Blob) -> PathBuf {
        self.root.join("blobs").join(blob.digest.replace(':', "/"))
    }
}

/// A large buffer saves system calls.
const BUFFER: usize = 256 << 10;

struct Hashing<'a> {
    file: File,
    hash: Sha256,
    size: u64,
    written: &'a mut dyn FnMut(u64) -> io::Result<()>,
}

impl Write for Hashing<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.file.write(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        self.size += count as u64;
        (self.written)(count as u64)?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
