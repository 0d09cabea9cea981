//! Copies on a host whose `policy.json` rejects what nobody has signed, with the real skopeo, podman and gpg.

use std::fs;

use bootc_image_tests::oracle::{self, Store};
use bootc_image_tests::world::Enter;
use bootc_image_tests::{Output, World};

const POLICY: &str = "/etc/containers/policy.json";
const SIGNED_BY: &str =
    r#"[{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/etc/containers/lab.gpg"}]"#;
const REJECT: &str = r#"[{"type": "reject"}]"#;
const LOOKASIDE: &str = "docker:\n  127.0.0.1:5000:\n    lookaside: file:///var/lib/signatures\n";

/// Rejects by default; `scopes` are those of registries.
fn policy(scopes: &[(&str, &str)]) -> String {
    let scopes: Vec<String> = scopes.iter().map(|(scope, demand)| format!("\"{scope}\": {demand}")).collect();
    format!(r#"{{"default": {REJECT}, "transports": {{"docker": {{{}}}}}}}"#, scopes.join(", "))
}

fn with(world: &World, policy: &str) -> Enter {
    world.enter().file(POLICY, policy).file("/etc/containers/registries.d/lab.yaml", LOOKASIDE)
}

fn run(world: &World, policy: &str, arguments: &[&str]) -> Output {
    with(world, policy).run(&[&["bootc-image"], arguments].concat())
}

/// A signed and an unsigned image in podman's storage, which podman has fetched, and the signed one also in bootc's.
fn world_with_a_signed_image() -> World {
    let world = World::new();
    let sign = "
        export GNUPGHOME=/tmp/keys; mkdir -m 700 $GNUPGHOME
        for who in lab other; do
            gpg --batch --quiet --passphrase '' --quick-generate-key $who@example.com default default never
            gpg --armor --export $who@example.com >/etc/containers/$who.gpg
        done
        key=$(gpg --with-colons --fingerprint lab@example.com | sed -n 's/^fpr:*\\([^:]*\\):.*/\\1/p' | head -n 1)
        skopeo copy --quiet docker://127.0.0.1:5000/lab/app:3 docker://127.0.0.1:5000/lab/signed:1
        skopeo copy --quiet docker://127.0.0.1:5000/lab/app:2 docker://127.0.0.1:5000/lab/unsigned:1
        skopeo inspect --raw docker://127.0.0.1:5000/lab/signed:1 >/tmp/manifest
        digest=$(skopeo manifest-digest /tmp/manifest)
        signatures=/var/lib/signatures/lab/signed@sha256=${digest#sha256:}
        mkdir -p $signatures
        skopeo standalone-sign --output $signatures/signature-1 /tmp/manifest 127.0.0.1:5000/lab/signed:1 $key
        podman pull --quiet 127.0.0.1:5000/lab/signed:1 127.0.0.1:5000/lab/unsigned:1
        bootc-image cmd pull --quiet 127.0.0.1:5000/lab/signed:1";
    let open = r#"{"default": [{"type": "insecureAcceptAnything"}]}"#;
    with(&world, open).registry(true).sh(sign).ok();
    world
}

fn denied(output: Output, scope: &str, why: &str) {
    let output = output.exits(77);
    let file = format!("for which {POLICY} has requirements (docker, scope \"{scope}\"): ");
    assert!(output.stderr.contains(&file) && output.stderr.contains(why), "{output:#?}");
    assert!(output.stderr.contains("copy it under a name below localhost/)"), "{output:#?}");
}

/// The default is for what is fetched; it says nothing about what is on the host already.
#[test]
fn a_policy_that_rejects_by_default_lets_copies_on_the_host_pass() {
    let world = World::new();
    let policy = policy(&[("registry.example.com", SIGNED_BY)]);
    world.enter().sh("podman tag localhost/mine:1 127.0.0.1:5000/lab/copy:1").ok();
    run(&world, &policy, &["pull-from-default-storage", "mine:1"]).ok();
    run(&world, &policy, &["pull-from-default-storage", "127.0.0.1:5000/lab/copy:1"]).ok();
    run(&world, &policy, &["copy-to-storage"]).ok();
    run(&world, &policy, &["copy-to-storage", "--source=app:stable", "--target=127.0.0.1:5000/lab/x:1"]).ok();
    run(&world, &policy, &["repair", "mine:1"]).ok();
    let names = oracle::podman_names(&world, Store::Bootc);
    assert!(names.contains(&"127.0.0.1:5000/lab/copy:1".to_owned()), "{names:?}");
    let origin = format!("ostree/deploy/lab/deploy/{}.0.origin", world.facts().booted.commit);
    let local =
        "[origin]\ncontainer-image-reference=ostree-unverified-image:containers-storage:localhost/built:1\n";
    fs::write(world.sysroot().join(origin), local).unwrap();
    run(&world, &policy, &["set-unified"]).ok();
    // What is fetched is rejected as before.
    let fetch = ["bootc-image", "cmd", "pull", "--quiet", "127.0.0.1:5000/lab/app:2"];
    let refused = with(&world, &policy).registry(true).run(&fetch).exits(125);
    assert!(refused.stderr.contains("rejected by policy"), "{refused:#?}");
}

/// Signatures that were verified when the image was fetched are verified again: podman keeps them with the image.
#[test]
fn a_copy_under_a_name_that_needs_signatures_is_verified() {
    let world = world_with_a_signed_image();
    let (signed, unsigned) = ("127.0.0.1:5000/lab/signed:1", "127.0.0.1:5000/lab/unsigned:1");
    let demand = policy(&[("127.0.0.1:5000/lab", SIGNED_BY)]);
    let scope = "127.0.0.1:5000/lab";
    world.enter().sh("podman tag 127.0.0.1:5000/lab/signed:1 127.0.0.1:5000/lab/other:1").ok();

    let script = format!("{}store_podman image rm --force 127.0.0.1:5000/lab/signed:1", Store::Bootc.shell());
    world.enter().sh(&script).ok();
    run(&world, &demand, &["pull-from-default-storage", signed]).ok();
    denied(
        run(&world, &demand, &["pull-from-default-storage", unsigned]),
        scope,
        "A signature was required, but no signature exists",
    );
    // The signature is for another name.
    denied(
        run(&world, &demand, &["pull-from-default-storage", "127.0.0.1:5000/lab/other:1"]),
        scope,
        "127.0.0.1:5000/lab/other:1",
    );
    // A scope for all registries.
    let everywhere = policy(&[("", SIGNED_BY)]);
    denied(run(&world, &everywhere, &["pull-from-default-storage", unsigned]), "", "no signature exists");
    run(&world, &everywhere, &["pull-from-default-storage", "mine:1"]).ok();
    // Neither another key nor a scope that rejects accepts the signature.
    let target = ["pull-from-default-storage", signed];
    let remove = format!("{}store_podman image rm --force {signed}", Store::Bootc.shell());
    world.enter().sh(&remove).ok();
    let other = policy(&[(scope, &SIGNED_BY.replace("lab.gpg", "other.gpg"))]);
    denied(run(&world, &other, &target), scope, "Invalid GPG signature (");
    let rejecting = policy(&[("127.0.0.1:5000/lab/signed", REJECT)]);
    denied(run(&world, &rejecting, &target), "127.0.0.1:5000/lab/signed", "this scope rejects every image");
    // The name of the signed image was given to another one.
    world.enter().sh(&format!("podman tag {unsigned} {signed}")).ok();
    denied(run(&world, &demand, &target), scope, "no signature exists");
    let names = oracle::podman_names(&world, Store::Bootc);
    assert!(!names.iter().any(|name| name.contains("/unsigned") || name.contains("/signed:1")), "{names:?}");
    let outcome = world.record().pop().unwrap();
    assert_eq!(outcome["result"], "failed", "{outcome}");
}

#[test]
fn nothing_else_is_copied_under_a_name_that_needs_signatures() {
    let world = world_with_a_signed_image();
    let scope = "127.0.0.1:5000";
    let demand = policy(&[(scope, SIGNED_BY)]);
    let copy = |source: &[&str], target: &str| {
        run(&world, &demand, &[&["copy-to-storage", "--target", target], source].concat())
    };
    // The ostree repository has no signatures.
    let before = oracle::podman_names(&world, Store::Default);
    denied(copy(&[], "127.0.0.1:5000/lab/os:9"), scope, "the ostree repository keeps no signatures");
    copy(&[], "localhost/os:9").ok();
    // From bootc's storage: with its signature, under its own name only.
    let signed = "127.0.0.1:5000/lab/signed:1";
    world.enter().sh(&format!("podman image rm --force {signed}")).ok();
    denied(
        copy(&["--source", signed], "127.0.0.1:5000/lab/as:1"),
        scope,
        "the image does not have this name where it is copied from",
    );
    copy(&["--source", signed], signed).ok();
    world.enter().sh("podman image untag 127.0.0.1:5000/lab/app:1 127.0.0.1:5000/lab/app:1").ok();
    denied(copy(&["--source=127.0.0.1:5000/lab/app:1"], "127.0.0.1:5000/lab/app:1"), scope, "no signature");
    assert!(before.contains(&signed.to_owned()), "{before:?}");
    // Without any policy nothing is copied.
    let script = "rm /etc/containers/policy.json; exec bootc-image copy-to-storage --target x:1";
    let output = world.enter().sh(script).exits(1);
    assert!(output.stderr.contains(&format!("cannot read {POLICY}")), "{output:#?}");
}

/// A scope with a tag does not apply to the digest with which an image is fetched, but to the name that it gets.
#[test]
fn an_image_that_is_fetched_does_not_get_a_name_that_needs_signatures() {
    let world = World::new();
    let booted = &world.facts().booted.image;
    let anything = r#"[{"type": "insecureAcceptAnything"}]"#;
    for (name, command) in [
        ("127.0.0.1:5000/lab/app:3", "cmd pull --quiet 127.0.0.1:5000/lab/app:3"),
        (booted.as_str(), "set-unified"),
    ] {
        let before = oracle::podman_names(&world, Store::Bootc);
        let repository = name.rsplit_once(':').unwrap().0;
        let fetch =
            |policy: &str| with(&world, policy).registry(true).sh(&format!("exec bootc-image {command}"));
        for demand in [SIGNED_BY, REJECT] {
            let refused = fetch(&policy(&[("127.0.0.1:5000", anything), (name, demand)])).exits(77);
            let file = format!("{POLICY} demands ");
            let scope = format!(" of {name} (scope docker {name}), but the image is fetched by its digest");
            let next =
                format!("in {POLICY}, write the requirements for {repository}, and none for a tag or digest");
            for part in [&file, &scope, &next] {
                assert!(refused.stderr.contains(part), "{part}: {refused:#?}");
            }
            assert_eq!(oracle::podman_names(&world, Store::Bootc), before);
        }
        // As the message says.
        let refused = fetch(&policy(&[("127.0.0.1:5000", anything), (repository, REJECT)]));
        assert!(refused.code != 0 && refused.stderr.contains("rejected by policy"), "{refused:#?}");
        // The repository is accepted, and so is the tag.
        fetch(&policy(&[(repository, anything), (name, anything)])).ok();
        assert!(oracle::podman_names(&world, Store::Bootc).contains(&name.to_owned()));
    }
}
