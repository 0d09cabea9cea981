//! Components that are made here of text, as toolchains would make them.

use std::path::Path;

use sha2::{Digest as _, Sha256};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use bootc_image_tests::world::Enter;

use super::SITE;

pub const VALIDATOR: &str = "world = \"bootc-image:policy/validator\"\n";

/// The component of a core module. `world` has the items of its world, `packages` the packages that it uses besides ours.
pub fn component(module: &str, world: &str, packages: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut module = wat::parse_str(module).expect("the module is one");
    let mut resolve = Resolve::default();
    for package in ["types", "host", "policy", "format", "command"] {
        resolve.push_dir(root.join("../wit").join(package)).unwrap();
    }
    let text = format!("package tests:made; world made {{ {world} }} {packages}");
    let package = resolve.push_str("made.wit", &text).expect("the world is one");
    let world = resolve.select_world(&[package], Some("made")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().expect("the module fits its world")
}

/// A policy that allows everything. `imports` come first in its module, `more` at its end, and `evaluate` before it answers.
pub fn policy(imports: &str, more: &str, evaluate: &str, packages: &str, world: &str) -> Vec<u8> {
    let module = format!(
        "(module
            {imports}
            (import \"bootc-image:policy/operations@0.1.0\" \"[resource-drop]operation\" (func $drop (param i32)))
            (memory (export \"memory\") 2)
            (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
            (func (export \"bootc-image:policy/validate@0.1.0#evaluate\") (param $operation i32) (result i32)
                (call $drop (local.get $operation))
                {evaluate}
                (i32.const 0))
            {more})"
    );
    component(&module, &format!("include bootc-image:policy/validator@0.1.0; {world}"), packages)
}

/// A manifest for a component in `plugin.wasm`. `rest` begins within `[[component]]`.
pub fn manifest(id: &str, component: &[u8], rest: &str) -> String {
    format!(
        "schema = 1\nid = {id:?}\nversion = \"1.2.3\"\napi = \"^0.1\"\n[[component]]\nfile = \"plugin.wasm\"\n\
         sha256 = \"{:x}\"\n{rest}",
        Sha256::digest(component)
    )
}

/// A plugin of the site, which nobody has approved.
pub fn install(enter: Enter, id: &str, component: &[u8], rest: &str) -> Enter {
    enter
        .file(&format!("{SITE}/{id}/plugin.toml"), manifest(id, component, rest))
        .file(&format!("{SITE}/{id}/plugin.wasm"), component)
}
