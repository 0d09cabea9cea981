//! The harness itself: what it shows is there, and what it hides stays hidden.

use bootc_image_tests::World;

#[test]
fn a_world_looks_booted() {
    let world = World::new();
    let script = "cat /etc/os-release; ls /run/ostree-booted; podman --version; test ! -w /usr/bin";
    let output = world.enter().sh(script).ok();
    assert!(output.stdout.contains("ID=lab"), "{output:#?}");
    let root = world.enter().sh("stat -c %d:%i / /sysroot/ostree/deploy/lab/deploy/*.0").ok();
    assert!(root.lines()[1..].contains(&root.lines()[0]), "libostree finds the booted deployment: {root:#?}");
}
