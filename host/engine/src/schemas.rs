//! Checks that the published schemas are generated from the types that read the files.

use schemars::{JsonSchema, schema_for};

fn compare<T: JsonSchema>(name: &str) {
    let path = format!("{}/../../docs/schema/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let generated = serde_json::to_string_pretty(&schema_for!(T)).unwrap() + "\n";
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == generated,
        "{path} is out of date; renew it with: BLESS=1 cargo test -p bootc-image-engine schemas"
    );
}

#[test]
fn of_the_configuration() {
    compare::<crate::trust::configuration::RawConfiguration>("configuration");
}

#[test]
fn of_manifests() {
    compare::<bootc_image_manifest::raw::RawManifest>("plugin");
}

#[test]
fn of_grants() {
    compare::<crate::trust::grants::RawGrants>("grants");
}

#[test]
fn of_cases() {
    compare::<crate::cases::RawCases>("cases");
}
