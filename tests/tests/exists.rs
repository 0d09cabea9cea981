//! `exists`: what scripts read of it is an exit code.

use bootc_image_tests::World;
use bootc_image_tests::oracle;

/// The exit codes of `exists`, one for each image.
fn codes(world: &World, images: &[&str]) -> String {
    let ask = |image: &&str| {
        format!("code=0; bootc-image exists '{image}' >>/tmp/said || code=$?; printf '%s ' $code; ")
    };
    let script = images.iter().map(ask).collect::<String>() + "cat /tmp/said";
    world.enter().sh(&script).ok().stdout.trim_end().to_owned()
}

#[test]
fn what_is_listed_exists_whatever_it_is_called() {
    let world = World::new();
    let app = &world.facts().app1.id;
    let (short, digest) = (app[..12].to_owned(), format!("sha256:{app}"));
    let hosts = oracle::host_names(&world);
    let mut images = vec![
        "localhost/app:stable",
        "app:stable",
        "containers-storage:localhost/app:stable",
        app.as_str(),
        short.as_str(),
        digest.as_str(),
    ];
    images.extend(hosts.iter().map(String::as_str));
    let bare: Vec<&str> = hosts.iter().filter_map(|name| name.strip_prefix("docker://")).collect();
    assert!(!bare.is_empty(), "{hosts:?}");
    images.extend(bare);
    assert_eq!(codes(&world, &images), vec!["0"; images.len()].join(" "), "{images:?}");
}

#[test]
fn what_isnt_there_is_1_and_what_is_no_name_is_2() {
    let world = World::new();
    let nobody = "0".repeat(64);
    let images = ["localhost/nobody", "docker://quay.io/no/body:1", "oci:/nowhere:x", &nobody, &nobody[..12]];
    assert_eq!(codes(&world, &images), "1 1 1 1 1");
    // Shorter than ids are, so it is a name.
    assert_eq!(codes(&world, &[&world.facts().app1.id[..11]]), "1");
    let wrong = world.enter().run(&["bootc-image", "exists", "quay.io/A:::b"]).exits(2);
    assert!(wrong.stderr.contains("quay.io/A:::b"), "{wrong:#?}");
}

#[test]
fn where_nobody_can_look_it_is_78_with_the_reason() {
    let world = World::new();
    let exists = |image: &str| ["bootc-image".to_owned(), "exists".to_owned(), image.to_owned()];
    let index = "/sysroot/ostree/bootc/storage/overlay-images/images.json";
    let cut = world.copy();
    let damaged = cut.enter().file(index, "[{").run(&exists("localhost/app:stable")).exits(78);
    assert!(damaged.stderr.contains("images.json") && damaged.stdout.is_empty(), "{damaged:#?}");
    // A host image was found before anybody looked there.
    let host = &oracle::host_names(&world)[0];
    cut.enter().file(index, "[{").run(&exists(host)).ok();
    let nobody = world.enter().as_uid(1000).run(&exists("localhost/nobody")).exits(78);
    assert!(nobody.stderr.contains("sudo"), "{nobody:#?}");
    world.enter().not_booted().run(&exists("localhost/app:stable")).exits(78);
    // With a configuration that can't be read, neither 0 nor 1 is an answer.
    for image in ["localhost/app:stable", "localhost/nobody"] {
        let broken = world.enter().file("/etc/bootc-image/config.d/a.toml", "audit = [");
        let unknown = broken.run(&exists(image)).exits(78);
        assert!(unknown.stderr.contains("a.toml"), "{unknown:#?}");
    }
}

#[test]
fn it_is_judged_and_read_like_a_list() {
    let world = World::new();
    let dry = world.enter().run(&["bootc-image", "--dry-run", "exists", "app:stable"]).ok();
    assert!(
        dry.stdout.contains("\"kind\":\"exists\"") && dry.stdout.contains("\"allowed\": true"),
        "{dry:#?}"
    );
    let sudo = world.enter().env("SUDO_UID", "1000");
    let denied = sudo.run(&["bootc-image", "--sysroot=/sysroot", "exists", "app:stable"]).exits(77);
    assert!(denied.stderr.contains("--sysroot"), "{denied:#?}");
    world.enter().run(&["bootc-image", "--sysroot=/sysroot", "exists", "app:stable"]).ok();
    let unrecorded = World::new();
    let record =
        unrecorded.enter().sh("bootc-image exists app:stable; ls /var/lib/bootc-image/audit 2>&1 || true");
    assert!(!record.stdout.contains("audit.jsonl"), "{record:#?}");
}
