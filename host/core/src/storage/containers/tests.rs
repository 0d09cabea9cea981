use super::*;

struct Silent;
impl Talk for Silent {
    fn note(&self, _: &str) {}
    fn progress(&self, _: &str) {}
    fn advance(&self, _: u64, _: u64) {}
}

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
        assert!(matches!(images("overlay", Some(bad)), Err(Error::Corrupt { .. })), "{bad:?}");
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

/// A store with one image of two layers, changed by `damage` before it is looked at.
fn is_whole(driver: &str, damage: impl FnOnce(&Path)) -> bool {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name);
    let (base, top) = (Digest::of(b"base"), Digest::of(b"top"));
    let configuration = format!(r#"{{"rootfs":{{"diff_ids":["{base}","{top}"]}}}}"#);
    let id = Digest::of(configuration.as_bytes()).hex().to_owned();
    std::fs::create_dir_all(path(&format!("{driver}-images/{id}"))).unwrap();
    std::fs::create_dir(path(&format!("{driver}-layers"))).unwrap();
    std::fs::write(path(&format!("{driver}-images/{id}/manifest")), "{}").unwrap();
    std::fs::write(path(&format!("{driver}-images/{id}/=c2hh")), configuration).unwrap();
    let images = format!(r#"[{{"id":"{id}","names":["localhost/a:1"],"layer":"t"}}]"#);
    std::fs::write(path(&format!("{driver}-images/images.json")), images).unwrap();
    let layers = format!(
        r#"[{{"id":"b","diff-digest":"{base}","diff-size":5}},
            {{"id":"t","parent":"b","diff-digest":"{top}","diff-size":7,"flags":{{}}}}]"#
    );
    std::fs::write(path(&format!("{driver}-layers/layers.json")), layers).unwrap();
    for layer in ["b", "t"] {
        let directory =
            if driver == "vfs" { format!("vfs/dir/{layer}") } else { format!("overlay/{layer}/diff") };
        std::fs::create_dir_all(path(&directory)).unwrap();
    }
    damage(scratch.path());
    let root = RootDir::open(scratch.path()).unwrap();
    let store = Store::open(&root).unwrap();
    let images = store.images(Duration::from_secs(1), &Silent).unwrap();
    let image = images.named(&Reference::parse("localhost/a:1").unwrap()).unwrap();
    images.is_whole(image).unwrap()
}

#[test]
fn an_image_is_whole_only_if_every_part_is_there() {
    assert!(is_whole("overlay", |_| {}) && is_whole("vfs", |_| {}));
    let edit = |file: &'static str, from: &'static str, to: &'static str| {
        move |root: &Path| {
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            assert!(text.contains(from));
            std::fs::write(root.join(file), text.replace(from, to)).unwrap();
        }
    };
    let layers = "overlay-layers/layers.json";
    assert!(!is_whole("overlay", |root| std::fs::remove_dir(root.join("overlay/b/diff")).unwrap()));
    assert!(!is_whole("vfs", |root| std::fs::remove_dir(root.join("vfs/dir/t")).unwrap()));
    assert!(!is_whole("overlay", |root| std::fs::remove_file(root.join(layers)).unwrap()));
    assert!(!is_whole("overlay", edit(layers, r#""flags":{}"#, r#""flags":{"incomplete":true}"#)));
    assert!(!is_whole("overlay", edit(layers, r#""parent":"b""#, r#""parent":"""#)));
    assert!(!is_whole("overlay", edit(layers, r#"{"id":"b","#, r#"{"id":"b","parent":"t","#)));
    assert!(!is_whole("overlay", edit(layers, r#""diff-digest":"sha256:"#, r#""diff-digest":"sha512:"#)));
    assert!(!is_whole("overlay", |root| {
        let directory = std::fs::read_dir(root.join("overlay-images")).unwrap();
        let image = directory.map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
        std::fs::write(image.join("=c2hh"), "{}").unwrap();
    }));
}
