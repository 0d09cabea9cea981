//! Mends what ostree-ext leaves in an exported OCI directory.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// ostree-ext appends the `diff_ids` of the layers that it writes to those of the image that it read: there must be as
/// many as layers, or newer tools refuse the image. Rewrites configuration, manifest and index.
pub(crate) fn keep_diff_ids_of_layers(directory: &Path) -> Result<(), Box<dyn Error>> {
    let index_path = directory.join("index.json");
    let mut index = read(&index_path)?;
    let manifest_descriptor = index.pointer_mut("/manifests/0").ok_or("the index has no manifest")?;
    let old_manifest = blob(directory, manifest_descriptor)?;
    let mut manifest = read(&old_manifest)?;
    let layers = manifest["layers"].as_array().map_or(0, Vec::len);
    let old_config = blob(directory, &manifest["config"])?;
    let mut config = read(&old_config)?;

    let diff_ids =
        config.pointer_mut("/rootfs/diff_ids").and_then(Value::as_array_mut).ok_or("no diff_ids")?;
    let surplus = diff_ids.len().checked_sub(layers).ok_or("fewer diff_ids than layers")?;
    diff_ids.drain(..surplus);

    replace(directory, &old_config, &config, &mut manifest["config"])?;
    replace(directory, &old_manifest, &manifest, manifest_descriptor)?;
    Ok(fs::write(index_path, serde_json::to_vec(&index)?)?)
}

fn read(path: &Path) -> Result<Value, Box<dyn Error>> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// Every layer must be a whole tar archive, up to the two empty blocks at its end: ostree-ext doesn't look how the program
/// ended that wrote it.
pub(crate) fn check_layers(directory: &Path) -> Result<(), Box<dyn Error>> {
    let index = read(&directory.join("index.json"))?;
    let manifest = read(&blob(directory, &index["manifests"][0])?)?;
    for layer in manifest["layers"].as_array().into_iter().flatten() {
        let path = blob(directory, layer)?;
        let mut archive = GzDecoder::new(BufReader::new(File::open(&path)?));
        if !ends_like_tar(&mut archive)? {
            return Err(
                format!("layer {} was cut short: did the program ostree fail?", layer["digest"]).into()
            );
        }
    }
    Ok(())
}

fn ends_like_tar(archive: &mut impl Read) -> std::io::Result<bool> {
    let mut buffer = [0; 64 << 10];
    let (mut length, mut zeros) = (0_u64, 0_usize);
    loop {
        let count = archive.read(&mut buffer)?;
        let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else { break };
        length += count as u64;
        zeros = match read.iter().rposition(|&byte| byte != 0) {
            Some(last) => count - last - 1,
            None => zeros + count,
        };
    }
    Ok(length % 512 == 0 && zeros >= 1024)
}

/// The file that a descriptor is about.
fn blob(directory: &Path, descriptor: &Value) -> Result<PathBuf, Box<dyn Error>> {
    let hex = descriptor["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:"));
    let hex = hex.filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit())).ok_or("no digest")?;
    Ok(directory.join("blobs/sha256").join(hex))
}

/// Writes a document in the place of an old one and describes it anew.
fn replace(
    directory: &Path,
    old: &Path,
    document: &Value,
    descriptor: &mut Value,
) -> Result<(), Box<dyn Error>> {
    let text = serde_json::to_vec(document)?;
    fs::remove_file(old)?;
    descriptor["digest"] = json!(format!("sha256:{:x}", Sha256::digest(&text)));
    descriptor["size"] = json!(text.len());
    Ok(fs::write(blob(directory, descriptor)?, text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surplus_diff_ids_go_and_all_digests_fit() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        fs::create_dir_all(root.join("blobs/sha256")).unwrap();
        for (name, text) in [
            ("aa", json!({"rootfs": {"diff_ids": ["1", "2", "3", "4"]}, "kept": true})),
            ("bb", json!({"config": {"digest": "sha256:aa", "size": 1}, "layers": [{}, {}]})),
        ] {
            fs::write(root.join("blobs/sha256").join(name), text.to_string()).unwrap();
        }
        let index = json!({"manifests": [{"digest": "sha256:bb", "size": 1}]});
        fs::write(root.join("index.json"), index.to_string()).unwrap();

        keep_diff_ids_of_layers(root).unwrap();

        let index = read(&root.join("index.json")).unwrap();
        let path = blob(root, &index["manifests"][0]).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), index["manifests"][0]["size"].as_u64().unwrap());
        let manifest = read(&path).unwrap();
        let config = read(&blob(root, &manifest["config"]).unwrap()).unwrap();
        assert_eq!(config, json!({"rootfs": {"diff_ids": ["3", "4"]}, "kept": true}));
        assert_eq!(fs::read_dir(root.join("blobs/sha256")).unwrap().count(), 2);
    }

    #[test]
    fn a_layer_that_was_cut_short_is_noticed() {
        let ends = |bytes: &[u8]| ends_like_tar(&mut &bytes[..]).unwrap();
        let whole = [[b'x'; 512], [0; 512], [0; 512]].concat();
        assert!(ends(&whole) && ends(&vec![0; 100 * 1024]));
        for length in [0, 512, 1024, 1535] {
            assert!(!ends(&whole[..length]), "{length}");
        }
    }
}
