use std::path::Path;
use std::time::Duration;

use bootc_image_model::digest::Digest;
use bootc_image_model::reference::Reference;
use bootc_image_os::error::Error as OsError;
use bootc_image_os::reporter::doubles::Silent;
use bootc_image_os::root::RootDir;

use super::error::Error;
use super::samples::Sample;
use super::*;

fn images(driver: &str, index: Option<&[u8]>) -> Result<Vec<Image>, Error> {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join(format!("{driver}-images"));
    std::fs::create_dir(&directory).unwrap();
    if let Some(index) = index {
        std::fs::write(directory.join("images.json"), index).unwrap();
    }
    let root = RootDir::open(scratch.path()).unwrap();
    Ok(Store::open(&root)?.images(Duration::from_secs(1), &Silent)?.to_vec())
}

#[test]
fn an_index_is_read_for_both_drivers() {
    let hex = "a".repeat(64);
    let index =
        format!(r#"[{{"id":"{hex}","digest":"sha256:{hex}","names":["a/b:1"],"layer":"x"}},{{"id":"y"}}]"#);
    for driver in ["overlay", "vfs"] {
        let found = images(driver, Some(index.as_bytes())).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].names, ["a/b:1"]);
        assert_eq!(found[0].digest.as_ref().unwrap().hex(), hex);
        assert_eq!((found[1].names.len(), &found[1].digest), (0, &None));
    }
}

#[test]
fn a_young_store_is_empty() {
    assert_eq!(images("overlay", None).unwrap(), []);
    assert_eq!(images("overlay", Some(b"")).unwrap(), []);
    assert_eq!(images("overlay", Some(b"[]")).unwrap(), []);
    assert_eq!(
        images("overlay", Some(br#"[{"id":"x","names":null,"digest":null}]"#)).unwrap()[0].names.len(),
        0
    );
    let scratch = tempfile::tempdir().unwrap();
    let root = RootDir::open(scratch.path()).unwrap();
    assert!(Store::open(&root).unwrap().images(Duration::ZERO, &Silent).unwrap().is_empty());
}

#[test]
fn a_damaged_index_and_an_unknown_driver_are_named() {
    for bad in [&b"[{\"id\":\"x\""[..], b"{}", b"\0\0", b"[{\"names\":[]}]", b"nonsense"] {
        assert!(matches!(images("overlay", Some(bad)), Err(Error::Os(OsError::Corrupt { .. }))), "{bad:?}");
    }
    assert!(matches!(images("btrfs", None), Err(Error::UnknownDriver { driver, .. }) if driver == "btrfs"));
}

#[test]
fn a_digest_name_is_listed_only_without_a_tag() {
    let image = Image::named_in_tests;
    let rows = |image: &Image| image.listed_names().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(rows(&image(&["a@sha256:1", "a:1"])), ["a:1"]);
    assert_eq!(rows(&image(&["a@sha256:1"])), ["a@sha256:1"]);
    assert!(rows(&image(&[])).is_empty());
}

/// The damage of a sample's image after `change`.
fn damage(driver: &'static str, change: impl FnOnce(&Sample)) -> Option<String> {
    let sample = Sample::new(driver);
    change(&sample);
    let root = RootDir::open(sample.scratch.path()).unwrap();
    let store = Store::open(&root).unwrap();
    let images = store.images(Duration::from_secs(1), &Silent).unwrap();
    let image = crate::named(&images, &Reference::parse("localhost/a:1").unwrap()).unwrap();
    let damage = images.damage(image, &[]).unwrap()?;
    let mut text = damage.to_string();
    for (number, layer) in sample.layers.iter().enumerate() {
        text = text.replace(&layer[..12], &number.to_string());
    }
    Some(text)
}

#[test]
fn an_image_is_whole() {
    assert_eq!(damage("overlay", |_| {}), None);
    assert_eq!(damage("vfs", |_| {}), None);
}

/// A hard link excuses only the metadata that the link has itself.
#[test]
fn a_wrong_mode_of_a_file_with_two_names_is_reported() {
    use std::os::unix::fs::PermissionsExt as _;
    let found = damage("overlay", |sample| {
        let file = sample.directory(0).join("usr/b");
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o701)).unwrap();
    });
    assert_eq!(found.as_deref(), Some("layer 0: /usr/b has the wrong mode"));
}

#[test]
fn what_is_wrong_with_a_file_of_a_layer_is_reported() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    type Change = fn(&Path);
    let changes: [(usize, Change, &str); 12] = [
        (0, |layer| std::fs::remove_file(layer.join("usr/a")).unwrap(), "has no file /usr/a"),
        (
            0,
            |layer| std::fs::write(layer.join("usr/a"), "").unwrap(),
            ": file /usr/a has 0 bytes instead of 12",
        ),
        (
            0,
            |layer| std::fs::write(layer.join("usr/old/c"), "c").unwrap(),
            ": file /usr/old/c has 1 bytes instead of 0",
        ),
        (0, |layer| std::fs::remove_file(layer.join("usr/b2")).unwrap(), "has no hard link /usr/b2"),
        (
            0,
            |layer| {
                std::fs::remove_file(layer.join("usr/b2")).unwrap();
                std::fs::write(layer.join("usr/b2"), "content of b").unwrap();
            },
            "has no hard link /usr/b2",
        ),
        (0, |layer| std::fs::remove_file(layer.join("usr/link")).unwrap(), "has no link /usr/link"),
        (
            0,
            |layer| {
                std::fs::remove_file(layer.join("usr/link")).unwrap();
                symlink("../usr/b", layer.join("usr/link")).unwrap();
            },
            ": /usr/link has the wrong target",
        ),
        (0, |layer| std::fs::remove_dir_all(layer.join("usr")).unwrap(), "has no directory /usr"),
        (0, |layer| std::fs::remove_dir_all(layer.join("usr/old")).unwrap(), "has no directory /usr/old"),
        (
            0,
            |layer| {
                std::fs::remove_file(layer.join("usr/a")).unwrap();
                std::fs::create_dir(layer.join("usr/a")).unwrap();
            },
            "has no file /usr/a",
        ),
        (
            1,
            |layer| {
                std::fs::set_permissions(layer.join("usr/d"), std::fs::Permissions::from_mode(0o600)).unwrap()
            },
            ": /usr/d has the wrong mode",
        ),
        (1, |layer| std::fs::remove_dir_all(layer).unwrap(), ": its directory is missing"),
    ];
    for (layer, change, expected) in changes {
        for driver in ["overlay", "vfs"] {
            let found = damage(driver, |sample| change(&sample.directory(layer)));
            let space = if expected.starts_with(':') { "" } else { " " };
            assert_eq!(found, Some(format!("layer {layer}{space}{expected}")), "{driver}");
        }
    }
    let whiteout =
        damage("overlay", |sample| std::fs::remove_file(sample.directory(1).join(".wh.gone")).unwrap());
    assert_eq!(whiteout.as_deref(), Some("layer 1 has no whiteout /.wh.gone"));
    // Each directory of vfs includes the files of the layers below.
    let inherited = damage("vfs", |sample| std::fs::remove_file(sample.directory(1).join("usr/a")).unwrap());
    assert_eq!(inherited.as_deref(), Some("layer 1 has no /usr/a"));
    let inherited = damage("vfs", |sample| std::fs::write(sample.directory(1).join("usr/a"), "x").unwrap());
    assert_eq!(inherited.as_deref(), Some("layer 1: file /usr/a has 1 bytes instead of 12"));
}

#[test]
fn what_is_wrong_with_what_a_driver_keeps_beside_is_reported() {
    let layer = |file: &'static str, change: fn(&Path)| {
        damage("overlay", |sample| change(&sample.path(&format!("overlay/{}/{file}", sample.layers[1]))))
    };
    fn remove(path: &Path) {
        std::fs::remove_file(path).unwrap();
    }
    fn empty(path: &Path) {
        std::fs::write(path, "").unwrap();
    }
    assert_eq!(layer("link", remove).as_deref(), Some("layer 1: its file `link` is missing"));
    assert_eq!(layer("link", empty).as_deref(), Some("layer 1: its file `link` has no valid name in it"));
    assert_eq!(layer("lower", remove).as_deref(), Some("layer 1: its file `lower` is missing"));
    assert_eq!(layer("lower", empty).as_deref(), Some("layer 1: its file `lower` names the wrong layers"));
    let link = damage("overlay", |sample| std::fs::remove_file(sample.path("overlay/l/LINK0")).unwrap());
    assert_eq!(link.as_deref(), Some("layer 0 has no link l/LINK0"));
    let directory = damage("overlay", |sample| {
        std::fs::remove_dir(sample.path(&format!("overlay/{}/empty", sample.layers[0]))).unwrap();
    });
    assert_eq!(directory.as_deref(), Some("layer 0: its directory `empty` is missing"));
    for driver in ["overlay", "vfs"] {
        let archive = |change: fn(&Path)| {
            damage(driver, |sample| {
                change(&sample.path(&format!("{driver}-layers/{}.tar-split.gz", sample.layers[0])));
            })
        };
        assert_eq!(archive(remove).as_deref(), Some("layer 0 has no file tar-split.gz"));
        for half in [0, 1, 2] {
            let cut = damage(driver, |sample| {
                let path = sample.path(&format!("{driver}-layers/{}.tar-split.gz", sample.layers[0]));
                let bytes = std::fs::read(&path).unwrap();
                std::fs::write(path, &bytes[..bytes.len() * half / 3]).unwrap();
            });
            assert!(cut.unwrap().contains("has a damaged or incomplete file tar-split.gz"));
        }
    }
}

#[test]
fn what_is_wrong_with_the_records_is_reported() {
    for driver in ["overlay", "vfs"] {
        let edited = |index: &str, from: &str, to: &str| {
            damage(driver, |sample| sample.edit(&format!("{driver}-{index}"), from, to)).unwrap_or_default()
        };
        let layers = |from: &str, to: &str| edited("layers/layers.json", from, to);
        assert_eq!(
            layers(r#""flags":{}"#, r#""flags":{"incomplete":true}"#),
            "layer 0 was not unpacked completely"
        );
        assert_eq!(layers(r#""parent":"#, r#""no":"#), "it has 1 layers, but its configuration names 2");
        assert!(
            layers(r#""diff-digest":"sha256:"#, r#""diff-digest":"sha512:"#).starts_with(
                "layer 0 does not have the contents that the image's configuration names (sha256:"
            )
        );
        assert!(
            layers(r#""diff-size":"#, r#""diff-size":1"#)
                .starts_with("layer 0: the index gives its size as 1")
        );
        let images = |from: &str, to: &str| edited("images/images.json", from, to);
        assert!(images(r#""layer":""#, r#""layer":"x"#).ends_with("is not in the storage's index"));
        assert!(images(":0}", ":7}").starts_with("its document signature-"));
        let gone = damage(driver, |sample| {
            std::fs::remove_file(sample.path(&format!("{driver}-layers/layers.json"))).unwrap();
        });
        assert_eq!(gone.as_deref(), Some("layer 1 is not in the storage's index"));
    }
}

#[test]
fn what_is_wrong_with_a_document_is_reported() {
    for driver in ["overlay", "vfs"] {
        let documents = |sample: &Sample| {
            let directory =
                std::fs::read_dir(sample.path(&format!("{driver}-images/{}", sample.id))).unwrap();
            let mut paths: Vec<_> = directory.map(|entry| entry.unwrap().path()).collect();
            paths.sort();
            paths
        };
        for number in 0..4 {
            let gone = damage(driver, |sample| std::fs::remove_file(&documents(sample)[number]).unwrap());
            assert!(gone.unwrap().ends_with("is missing"), "{number}");
            let changed = damage(driver, |sample| std::fs::write(&documents(sample)[number], "{}").unwrap());
            assert!(changed.unwrap().ends_with("is damaged"), "{number}");
        }
    }
}

/// Whether damage is found in the image of a store with an additional store, in the image of the additional store, and in the layers
/// that podman would use for them. Both have the same image, and `change` is applied first.
fn damage_beside(change: impl FnOnce(&Sample, &Sample)) -> [bool; 3] {
    let samples = [Sample::new("overlay"), Sample::new("overlay")];
    change(&samples[0], &samples[1]);
    let roots = samples.each_ref().map(|sample| RootDir::open(sample.scratch.path()).unwrap());
    let stores = roots.each_ref().map(|root| Store::with_driver(root, "overlay").unwrap());
    let images = stores.each_ref().map(|store| store.images(Duration::from_secs(1), &Silent).unwrap());
    let diff_ids = images[0].diff_ids(&images[0][0]);
    let mut checker = Checker::among("overlay", stores.iter()).unwrap();
    let of_image =
        images.each_ref().map(|images| checker.image_of(images.store(), &images[0]).unwrap().is_some());
    [of_image[0], of_image[1], checker.layers_of(&diff_ids).unwrap().is_some()]
}

#[test]
fn layers_of_a_store_beside_count_where_the_tools_use_them() {
    fn spoil(sample: &Sample) {
        std::fs::remove_file(sample.directory(0).join("usr/a")).unwrap();
    }
    fn forget(sample: &Sample) {
        std::fs::remove_file(sample.path("overlay-layers/layers.json")).unwrap();
    }
    fn rename(sample: &Sample) {
        let (id, other) = (&sample.layers[0], "0123456789abcdef".repeat(4));
        for _ in ["id", "parent"] {
            sample.edit("overlay-layers/layers.json", id, &other);
        }
        let to_other = |from: String| {
            std::fs::rename(sample.path(&from), sample.path(&from.replace(id.as_str(), &other))).unwrap();
        };
        to_other(format!("overlay/{id}"));
        to_other(format!("overlay-layers/{id}.tar-split.gz"));
        std::fs::remove_file(sample.path("overlay/l/LINK0")).unwrap();
        std::os::unix::fs::symlink(format!("../{other}/diff"), sample.path("overlay/l/LINK0")).unwrap();
    }
    type Change = fn(&Sample);
    let changes: [(Change, Change, [bool; 3]); 6] = [
        (|_| {}, |_| {}, [false; 3]),
        (spoil, |_| {}, [true; 3]),
        (forget, |_| {}, [false; 3]),
        (forget, spoil, [true; 3]),
        // A layer hides those with the same id in additional stores.
        (|_| {}, spoil, [false; 3]),
        // podman reads it instead of others with the same contents; but it looks for a layer by its id in all stores.
        (rename, spoil, [false, false, true]),
    ];
    for (number, (own, other, expected)) in changes.into_iter().enumerate() {
        let found = damage_beside(|own_sample, other_sample| {
            own(own_sample);
            other(other_sample);
        });
        assert_eq!(found, expected, "{number}");
    }
}

#[test]
fn a_missing_file_counts_before_a_wrong_mode_of_a_lower_layer() {
    use std::os::unix::fs::PermissionsExt as _;
    let found = damage("overlay", |sample| {
        let wrong = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(sample.directory(0).join("usr/a"), wrong).unwrap();
        std::fs::remove_file(sample.directory(1).join("usr/d")).unwrap();
    });
    assert_eq!(found.as_deref(), Some("layer 1 has no file /usr/d"));
}

#[test]
fn a_layer_that_the_configuration_does_not_name_or_with_an_odd_id_is_reported() {
    for driver in ["overlay", "vfs"] {
        let more = damage(driver, |sample| {
            sample.edit(
                &format!("{driver}-layers/layers.json"),
                r#""flags":{}"#,
                r#""flags":{},"parent":"below""#,
            );
        });
        assert_eq!(more.as_deref(), Some("layer below is not named in the image's configuration"));
        let odd = damage(driver, |sample| {
            let top = &sample.layers[1];
            sample.edit(&format!("{driver}-layers/layers.json"), top, "../x");
            sample.edit(&format!("{driver}-images/images.json"), top, "../x");
        });
        assert_eq!(odd.as_deref(), Some("layer ../x has an invalid id"));
    }
}

/// Only a record that does not list its documents leaves this to the configuration itself.
#[test]
fn a_configuration_that_is_missing_or_cannot_be_parsed_is_reported() {
    for driver in ["overlay", "vfs"] {
        let with_configuration = |text: Option<&str>| {
            damage(driver, |sample| {
                let index = format!("{driver}-images/images.json");
                for kind in ["names", "digests", "sizes"] {
                    sample.edit(&index, &format!("big-data-{kind}"), &format!("no-{kind}"));
                }
                let id = text.map(|text| Digest::of(text.as_bytes()).hex().to_owned());
                let id = id.unwrap_or_else(|| "0".repeat(64));
                sample.edit(&index, &sample.id, &id);
                let directory = sample.path(&format!("{driver}-images/{id}"));
                std::fs::create_dir(&directory).unwrap();
                if let Some(text) = text {
                    std::fs::write(directory.join("configuration"), text).unwrap();
                }
            })
        };
        assert_eq!(with_configuration(None).as_deref(), Some("its configuration is missing"));
        assert_eq!(
            with_configuration(Some("nonsense")).as_deref(),
            Some("its configuration cannot be parsed")
        );
    }
}

#[test]
fn what_is_wrong_with_a_file_of_the_layer_below_is_reported() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = damage("vfs", |sample| {
        let file = sample.directory(1).join("usr/a");
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
    });
    assert_eq!(mode.as_deref(), Some("layer 1: /usr/a has the wrong owner or mode"));
    let kind = damage("vfs", |sample| {
        let file = sample.directory(1).join("usr/a");
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(file).unwrap();
    });
    assert_eq!(kind.as_deref(), Some("layer 1: /usr/a has the wrong type (file, directory or link)"));
}
