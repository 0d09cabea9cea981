//! libFuzzer for the target that the variable `TARGET` names; see `scripts/fuzz.sh`.

#![no_main]

use std::sync::LazyLock;

use bootc_image_fuzz::Target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("TARGET").expect("TARGET names what is fuzzed");
    bootc_image_fuzz::target(&name).expect("there is no such target")
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| (TARGET.run)(input));
