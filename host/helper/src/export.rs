//! `export`: writes a commit as an OCI directory with uncompressed layers, in one pass. Exporting the same commit always gives the same
//! image.
//!
//! The first line on stdout is a JSON document with the approximate number of bytes to write: `{"bytes":1234}`. The export starts when
//! it reads the line `go` from stdin. While it writes, it reports its progress with lines like `{"written":1234}`, in bytes.

use std::io::{self, Write as _};

use anyhow::{Context as _, Result, ensure};
use ostree_ext::refescape::prefix_escape_for_ref;
use serde_json::json;

use crate::blobs::Blobs;
use crate::derived;
use crate::documents::{Documents, index};
use crate::encapsulated::Encapsulated;
use crate::objects::{Checksum, Objects};

/// The ostree repository.
const REPOSITORY: &str = "/proc/self/fd/3";
/// The directory to fill.
const DIRECTORY: &str = "/proc/self/fd/4";
/// The prefix of the refs that ostree-ext keeps for layers.
const LAYER_REFS: &str = "ostree/container/blob";
/// Progress is reported each time this many bytes were written.
const REPORT_EVERY: u64 = 4 << 20;

pub(crate) fn export(commit: &str) -> Result<()> {
    let commit = Checksum::parse(commit)?;
    let objects = Objects::open(REPOSITORY)?;
    let documents = Documents::parse(
        &objects.commit_text(commit, "ostree.manifest")?,
        &objects.commit_text(commit, "ostree.container.image-config")?,
    )?;
    let layers = Layers::of(&objects, &documents)?;
    send(&json!({ "bytes": layers.size(&objects)? }))?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    ensure!(answer == "go\n", "bootc-image cancelled the export");

    let out = Blobs::create(DIRECTORY)?;
    let (mut written, mut reported) = (0, 0);
    let mut count = |bytes: u64| {
        written += bytes;
        if written - reported >= REPORT_EVERY {
            reported = written;
            send(&json!({ "written": written }))?;
        }
        Ok(())
    };
    let blobs = (0..layers.count())
        .map(|number| out.layer(&mut count, |out| layers.write(&objects, number, out)))
        .collect::<Result<Vec<_>>>()?;
    let configuration = out.document(&documents.configuration(&blobs)?)?;
    let manifest = out.document(&documents.manifest(&configuration, &blobs)?)?;
    out.index(&index(&manifest))
}

fn send(message: &serde_json::Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{message}")?;
    out.flush()
}

/// The layers of an image.
struct Layers {
    base: Option<Encapsulated>,
    encapsulated: usize,
    derived: Vec<Checksum>,
}

impl Layers {
    fn of(objects: &Objects, documents: &Documents) -> Result<Self> {
        let commits = documents.layer_digests()?.into_iter().map(|digest| {
            let name = prefix_escape_for_ref(LAYER_REFS, digest)?;
            let commit = objects.resolve(&name)?;
            commit
                .with_context(|| format!("layer {digest} is no longer in the ostree repository (ref {name})"))
        });
        let commits = commits.collect::<Result<Vec<_>>>()?;
        let encapsulated = documents.encapsulated_layers()?;
        let (base, derived) =
            commits.split_at_checked(encapsulated).context("the image has too few layers")?;
        let base = base
            .split_first()
            .map(|(&commit, chunks)| Encapsulated::new(objects, commit, chunks))
            .transpose()?;
        Ok(Self { base, encapsulated, derived: derived.to_vec() })
    }

    fn count(&self) -> usize {
        self.encapsulated + self.derived.len()
    }

    fn size(&self, objects: &Objects) -> Result<u64> {
        let base = self.base.as_ref().map_or(Ok(0), |base| base.size(objects))?;
        let derived: Result<u64> = self.derived.iter().map(|&commit| derived::size(objects, commit)).sum();
        Ok(base + derived?)
    }

    fn write(&self, objects: &Objects, number: usize, out: &mut dyn io::Write) -> Result<()> {
        let derived = number.checked_sub(self.encapsulated).and_then(|index| self.derived.get(index));
        match (derived, &self.base) {
            (Some(&commit), _) => derived::write(objects, commit, out),
            (None, Some(base)) => base.write(objects, number, out),
            (None, None) => anyhow::bail!("there is no layer {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::samples::Sample;

    #[test]
    fn a_layer_that_the_image_does_not_have_is_named() {
        let layers = Layers { base: None, encapsulated: 1, derived: Vec::new() };
        let objects = Sample::new().objects();
        let error = layers.write(&objects, 0, &mut io::sink()).unwrap_err();
        assert_eq!(error.to_string(), "there is no layer 0");
    }
}
