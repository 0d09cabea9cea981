//! Digests, as registries and containers-storage write them.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// `sha256:` and 64 lower-case hexadecimal digits, or `sha512:` and 128. Digests that are computed here are SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Digest(String);

/// An invalid [`Digest`] or [`Commit`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct InvalidDigest {
    text: String,
    expected: &'static str,
}

/// Whether a text consists of `length` lower-case hexadecimal digits.
pub fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a text has the form of an image or layer id of containers-storage: 64 hexadecimal digits. Real ids are lower-case; one
/// with capital letters is harmless, because no image or layer has it.
pub fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Digest {
    /// Checks the text.
    ///
    /// # Errors
    /// [`InvalidDigest`] if it does not have the form that the type describes.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidDigest> {
        let text = text.into();
        let is_digest = match text.split_once(':') {
            Some(("sha256", hex)) => is_hex(hex, 64),
            Some(("sha512", hex)) => is_hex(hex, 128),
            _ => false,
        };
        if is_digest {
            Ok(Self(text))
        } else {
            Err(InvalidDigest {
                text,
                expected: "a digest (sha256:<64 hexadecimal digits> or sha512:<128 hexadecimal digits>)",
            })
        }
    }

    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("sha256:{:x}", Sha256::digest(bytes)))
    }

    /// The digest of a text that `write` produces in pieces.
    pub fn of_written(write: impl FnOnce(&mut dyn FnMut(&str))) -> Self {
        let mut hash = Sha256::new();
        write(&mut |piece| hash.update(piece));
        Self(format!("sha256:{:x}", hash.finalize()))
    }

    /// The text, with the algorithm.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits, without the algorithm.
    pub fn hex(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, digits)| digits)
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        Self::new(text)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checksum of an ostree commit: 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Commit(String);

impl Commit {
    /// Checks the text.
    ///
    /// # Errors
    /// [`InvalidDigest`] if it does not have the form that the type describes.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidDigest> {
        let text = text.into();
        if is_hex(&text, 64) {
            Ok(Self(text))
        } else {
            Err(InvalidDigest { text, expected: "an ostree commit (64 hexadecimal digits)" })
        }
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lower_case_sha256_and_sha512_are_digests() {
        let hex = "a".repeat(64);
        assert_eq!(Digest::new(format!("sha256:{hex}")).unwrap().hex(), hex);
        assert_eq!(Digest::new(format!("sha512:{hex}{hex}")).unwrap().hex(), hex.repeat(2));
        for bad in
            [hex.clone(), format!("sha512:{hex}"), format!("sha256:{}", "A".repeat(64)), "sha256:".into()]
        {
            assert!(Digest::new(bad.clone()).is_err(), "{bad}");
        }
        assert!(is_id(&hex) && is_id(&hex.to_uppercase()) && !is_hex(&hex.to_uppercase(), 64));
        for bad in [&hex[1..], &hex.replace('a', "g"), &format!("{hex}a"), ""] {
            assert!(!is_id(bad) && !is_hex(bad, 64), "{bad}");
        }
        assert_eq!(
            Digest::new("md5:0").unwrap_err().to_string(),
            "\"md5:0\" is not a digest (sha256:<64 hexadecimal digits> or sha512:<128 hexadecimal digits>)"
        );
        assert!(Commit::new(hex).is_ok());
        assert!(Commit::new("../../etc").is_err());
        assert_eq!(
            Digest::of(b"").as_str(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
