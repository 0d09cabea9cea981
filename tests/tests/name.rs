//! Under the name `bootc` (D10.5): `bootc image` is ours, all else is the real one's.

use bootc_image_tests::World;
use bootc_image_tests::world::Enter;

/// bootc isn't packaged for Debian: this stands in for it.
const BOOTC: &str = "#!/bin/sh\nprintf '<%s>' real \"$0\" \"$@\"; echo \"$MARK\"; exit 7\n";

fn enter(world: &World) -> Enter {
    let evil = "#!/bin/sh\necho evil\n";
    world
        .enter()
        .file_with_mode("/tmp/evil/bootc", evil, 0o755)
        .env("PATH", "/tmp/evil:/usr/bin")
        .env("MARK", "mark")
}

const LINK: &str = "ln -s /usr/bin/bootc-image /tmp/bootc";

#[test]
fn image_is_ours() {
    let world = World::new();
    let script = format!(
        "{LINK}; /tmp/bootc image list >/tmp/a; bootc-image list >/tmp/b; cmp /tmp/a /tmp/b; /tmp/bootc image cmd rmi x"
    );
    let output = enter(&world).file_with_mode("/usr/bin/bootc", BOOTC, 0o755).sh(&script).exits(77);
    assert!(output.stdout.is_empty(), "{output:#?}");
}

#[test]
fn everything_else_is_the_real_ones() {
    let world = World::new();
    for (words, expected) in [
        ("status --json", "<status><--json>"),
        ("upgrade --check", "<upgrade><--check>"),
        ("", ""),
        ("--help", "<--help>"),
        ("--version image", "<--version><image>"),
        ("'a b' ''", "<a b><>"),
    ] {
        let real = enter(&world).file_with_mode("/usr/bin/bootc", BOOTC, 0o755);
        let output = real.sh(&format!("{LINK}; /tmp/bootc {words}")).exits(7);
        assert_eq!(output.stdout, format!("<real></usr/bin/bootc>{expected}mark\n"));
    }
}

#[test]
fn without_a_real_one_it_is_missing() {
    let world = World::new();
    let output = enter(&world).sh(&format!("{LINK}; /tmp/bootc status")).exits(69);
    assert!(
        output.stderr.contains("error: bootc isn't installed") && !output.stdout.contains("evil"),
        "{output:#?}"
    );
    // It is us.
    let ours = bootc_image_tests::programs::required("bootc-image");
    let output = enter(&world).program(&ours, "/usr/bin/bootc").run(&["/usr/bin/bootc", "status"]).exits(69);
    assert!(output.stderr.contains("bootc isn't installed"), "{output:#?}");
    enter(&world).program(&ours, "/usr/bin/bootc").run(&["/usr/bin/bootc", "image", "list"]).ok();
}

/// The name belongs to bootc's package.
#[test]
fn the_name_is_never_installed() {
    let makefile = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Makefile")).unwrap();
    assert!(makefile.contains("bin/bootc-image\n") && !makefile.contains("bin/bootc\n"));
}
