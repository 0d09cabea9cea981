//! Where a plugin's code is, and how it is read. The bytes that run are the bytes that were hashed: a file is compared with the
//! approved digest while it is read, and never by its name or modification time.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read as _, Write};

use bootc_image_engine_config::structure;
use bootc_image_model::digest::Digest;
use sha2::{Digest as _, Sha256};

use crate::builtin::Artefact;
use crate::places::{Owner, TrustedPath, open_trusted};
use crate::unusable::Unusable;

/// The largest component that is read, in bytes. Interpreters of whole languages have about 20 MB.
const LARGEST: u64 = structure::FILE.most as u64;

/// Where a plugin's code comes from.
#[derive(Debug, Clone)]
pub(crate) enum Code {
    /// A plugin that is built into this executable.
    Embedded(Artefact),
    /// A component or a library next to a manifest.
    File(CodeFile),
}

/// A component or a library next to a manifest.
#[derive(Debug, Clone)]
pub(crate) struct CodeFile {
    pub(crate) file: TrustedPath,
    /// The digest that the file must have, in lower-case hexadecimal.
    pub(crate) sha256: String,
    pub(crate) owner: Owner,
}

impl CodeFile {
    /// The digest of the file as it is now, in lower-case hexadecimal.
    pub(crate) fn sha256_now(&self) -> io::Result<String> {
        copy_and_hash(&mut open_trusted(&self.file.real, self.owner)?, &mut io::sink())
    }

    /// Copies the file if its digest is the approved one. Returns the file, read to its end, and the digest.
    pub(crate) fn copy(&self, copy: &mut dyn Write) -> Result<(File, String), Unusable> {
        let mut file = open_trusted(&self.file.real, self.owner).map_err(|error| self.unreadable(error))?;
        let found = copy_and_hash(&mut file, copy).map_err(|error| self.unreadable(error))?;
        let Self { file: TrustedPath { named, .. }, sha256, .. } = self;
        if found != *sha256 {
            let named = named.display();
            return Err(digest_differs(&named, &found, sha256).into());
        }
        Ok((file, found))
    }

    pub(crate) fn unreadable(&self, error: io::Error) -> Unusable {
        let (named, why) = (self.file.named.display().to_string(), error.to_string());
        if why.starts_with(&named) { why.into() } else { format!("{named}: {why}").into() }
    }
}

/// Why a file is refused that was changed, or exchanged, since its manifest was written.
pub(crate) fn digest_differs(file: &dyn Display, found: &str, declared: &str) -> String {
    format!("the digest of {file} is {found}, but its manifest declares {declared}")
}

/// Digest in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    Digest::of(bytes).hex().to_owned()
}

/// Copies code and returns its digest. The memory used does not depend on the size of the file.
pub(crate) fn copy_and_hash(file: &mut File, copy: &mut dyn Write) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut rest = LARGEST;
    loop {
        let count = file.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return Ok(format!("{:x}", digest.finalize()));
        };
        rest = rest
            .checked_sub(count as u64)
            .ok_or_else(|| io::Error::other(format!("the file is larger than {} MiB", LARGEST >> 20)))?;
        digest.update(bytes);
        copy.write_all(bytes)?;
    }
}
