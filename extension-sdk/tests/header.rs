//! The C header is generated from `src/abi.rs`. `BLESS=1 cargo test -p bootc-image-extension --test header` writes it.

// Clippy does not treat helpers of tests as tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

#[test]
fn the_header_is_generated_from_the_rust_definitions() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let bindings =
        cbindgen::Builder::new().with_src(root.join("src/abi.rs")).with_config(config).generate().unwrap();
    let mut generated = Vec::new();
    bindings.write(&mut generated);
    let path = root.join("include/bootc_image_extension.h");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert_eq!(String::from_utf8(generated).unwrap(), kept);
}
