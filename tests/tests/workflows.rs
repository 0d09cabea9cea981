//! The guide's three workflows as they are written there, but for `bootc switch`, which is bootc's own.

use bootc_image_tests::World;
use bootc_image_tests::oracle::{self, Store};

/// The guide's registry, served by the world's.
const REGISTRIES: &str = "
[[registry]]
location = '127.0.0.1:5000'
insecure = true
[[registry]]
prefix = 'quay.io/myorg'
location = '127.0.0.1:5000/lab'
insecure = true
";

#[test]
fn development_build_and_copy() {
    let world = World::new();
    let script = "
        cd /tmp; printf 'FROM scratch\\nLABEL a=b\\n' >Containerfile
        bootc-image cmd build --quiet -t myimage:latest . >/dev/null
        bootc-image copy-to-storage --source=myimage:latest
        podman image inspect --format '{{.Labels}}' localhost/bootc";
    let output = world.enter().sh(script).ok();
    assert!(output.stdout.contains("a:b"), "{output:#?}");
}

#[test]
fn production_pull_and_copy() {
    let world = World::new();
    let script = "
        skopeo copy --quiet docker://127.0.0.1:5000/lab/app:3 docker://127.0.0.1:5000/lab/debian-bootc:v2.0
        bootc-image cmd pull --quiet quay.io/myorg/debian-bootc:v2.0 >/dev/null
        bootc-image copy-to-storage --source=quay.io/myorg/debian-bootc:v2.0
        podman image inspect --format '{{.Id}}' localhost/bootc";
    let enter = world.enter().registry(true).file("/etc/containers/registries.conf", REGISTRIES);
    let output = enter.sh(script).ok();
    assert_eq!(output.lines().last(), Some(&world.facts().app3.id.as_str()), "{output:#?}");
}

/// Without `--target` the second copy takes the name `localhost/bootc` from the first, as in the guide.
#[test]
fn backup_and_migration_list_copy_and_save() {
    let world = World::new();
    let script = "
        cd /tmp
        bootc-image list --format=json > images.json
        bootc-image copy-to-storage --source=127.0.0.1:5000/lab/os:0
        bootc-image copy-to-storage --source=127.0.0.1:5000/lab/os:1
        podman save --quiet -o backup.tar localhost/bootc
        # On another machine:
        podman rmi --all --force >/dev/null
        podman load --quiet -i backup.tar >/dev/null
        podman image inspect --format '{{len .RootFS.Layers}}' localhost/bootc
        cat images.json";
    let output = world.enter().sh(script).ok();
    assert!(output.stdout.contains("docker://127.0.0.1:5000/lab/os:1"), "{output:#?}");
    assert_eq!(output.lines()[2], world.facts().booted.layers.to_string(), "{output:#?}");
    assert!(oracle::podman_names(&world, Store::Default).contains(&"localhost/bootc:latest".to_owned()));
}

/// What is trusted is `policy.json`'s word, which podman and skopeo obey: that names are looked up and pinned to digests
/// before doesn't get around a signature, nor in its way.
#[test]
fn signatures_are_asked_for_as_the_systems_trust_policy_says() {
    let world = World::new();
    let sign = "
        export GNUPGHOME=/tmp/keys; mkdir -m 700 $GNUPGHOME
        gpg --batch --quiet --passphrase '' --quick-generate-key lab@example.com default default never
        gpg --armor --export lab@example.com >/etc/containers/lab.gpg
        key=$(gpg --with-colons --fingerprint lab@example.com | sed -n 's/^fpr:*\\([^:]*\\):.*/\\1/p' | head -n 1)
        for tag in signed unsigned; do
            skopeo copy --quiet docker://127.0.0.1:5000/lab/app:3 docker://127.0.0.1:5000/lab/$tag:1
        done
        skopeo inspect --raw docker://127.0.0.1:5000/lab/signed:1 >/tmp/manifest
        digest=$(skopeo manifest-digest /tmp/manifest)
        signatures=/var/lib/signatures/lab/signed@sha256=${digest#sha256:}
        mkdir -p $signatures
        skopeo standalone-sign --output $signatures/signature-1 /tmp/manifest 127.0.0.1:5000/lab/signed:1 $key";
    let lookaside = "docker:\n  127.0.0.1:5000:\n    lookaside: file:///var/lib/signatures\n";
    let trust = r#"{"default": [{"type": "reject"}], "transports": {
        "containers-storage": {"": [{"type": "insecureAcceptAnything"}]},
        "docker": {"127.0.0.1:5000": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/etc/containers/lab.gpg"}]}}}"#;
    world.enter().registry(true).file("/etc/containers/registries.d/lab.yaml", lookaside).sh(sign).ok();
    let pull = |image: &str| {
        let words = ["bootc-image", "cmd", "pull", "--quiet", image];
        world.enter().registry(true).file("/etc/containers/policy.json", trust).run(&words)
    };
    pull("127.0.0.1:5000/lab/signed:1").ok();
    let refused = pull("127.0.0.1:5000/lab/unsigned:1").exits(125);
    assert!(refused.stderr.contains("A signature was required, but no signature exists"), "{refused:#?}");
    let set_unified = ["bootc-image", "set-unified"];
    let refused = world.enter().registry(true).run(&set_unified).exits(1);
    assert!(refused.stderr.contains("A signature was required, but no signature exists"), "{refused:#?}");
    let names = oracle::podman_names(&world, Store::Bootc);
    assert!(names.contains(&"127.0.0.1:5000/lab/signed:1".to_owned()), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("unsigned") || name.contains("lab/os")), "{names:?}");
}
