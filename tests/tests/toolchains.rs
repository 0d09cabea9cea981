//! Components as toolchains of other languages make them, on real storages: nothing of them is changed. `scripts/toolchains.sh` makes
//! those of Python and JavaScript.

mod plugins;

use bootc_image_tests::world::Enter;
use bootc_image_tests::{Output, World, oracle, toolchains};
use plugins::SITE;
use plugins::components::{VALIDATOR, component, install, policy};

const FORMAT: &str = "world = \"bootc-image:format/output\"\n[[format]]\nname = \"names\"\nsummary = \"One name per line\"\n\
                      columns = [\"image\"]\n";

/// Approves a policy, has it judge a copy and a pull, and lists images with a format. Both are of one language.
fn judges_and_formats(language: &str) {
    let world = World::new();
    let policy = toolchains::component(&format!("{language}/out/no-latest/no-latest.wasm"));
    let format = toolchains::component(&format!("{language}/names.wasm"));
    let enter = toolchains::cached(toolchains::cached(world.enter(), &policy), &format);
    let enter = install(enter, "no-latest", &policy, &format!("{VALIDATOR}before-lookup = true\n"));
    let enter = install(enter, "names-format", &format, FORMAT);
    let script = "bootc-image plugin approve no-latest && bootc-image plugin approve names-format || exit
        bootc-image copy-to-storage || exit
        bootc-image list --format names >/var/tmp/names || exit
        bootc-image list --format json | jq -r '.[].image' | diff - /var/tmp/names || exit
        if bootc-image cmd pull quay.io/example/app:latest; then exit 1; fi
        bootc-image plugin doctor";
    let output = enter.sh(script).ok();
    let denied = "bootc-image: denied: policy no-latest: docker://quay.io/example/app:latest may change at any time \
                  (write a version or a digest)";
    assert!(output.stderr.contains(denied), "{output:#?}");
    let record = world.record();
    let copied =
        record.iter().find(|line| line["canonical"]["operation"]["kind"] == "copy-to-storage").unwrap();
    assert!(copied.to_string().contains("no image is fetched as latest"), "{copied}");
    let names = oracle::podman_names(&world, oracle::Store::Default);
    assert!(names.iter().any(|name| name.starts_with("localhost/bootc")), "{names:?}");
}

#[test]
fn python_judges_a_copy_and_formats_a_list() {
    judges_and_formats("python");
}

#[test]
fn javascript_judges_a_copy_and_formats_a_list() {
    judges_and_formats("javascript");
}

/// What TinyGo's runtime imports besides what every host provides, and what other toolchains add: sockets, HTTP, and a function that
/// a later version of WASI adds to an interface that is provided.
const IMPORTS: &str = "
    (import \"wasi:io/poll@0.2.0\" \"[method]pollable.block\" (func $block (param i32)))
    (import \"wasi:io/poll@0.2.0\" \"[resource-drop]pollable\" (func $drop-pollable (param i32)))
    (import \"wasi:clocks/monotonic-clock@0.2.0\" \"now\" (func $now (result i64)))
    (import \"wasi:clocks/monotonic-clock@0.2.0\" \"subscribe-duration\" (func $sleep (param i64) (result i32)))
    (import \"wasi:sockets/network@0.2.0\" \"[resource-drop]network\" (func $drop-network (param i32)))
    (import \"wasi:sockets/instance-network@0.2.0\" \"instance-network\" (func $network (result i32)))
    (import \"wasi:http/outgoing-handler@0.2.0\" \"handle\" (func $handle (param i32) (result i32)))
    (import \"wasi:cli/exit@0.2.99\" \"exit\" (func $exit (param i32)))
    (import \"wasi:cli/exit@0.2.99\" \"exit-in-style\" (func $exit-in-style))";

const WASI: &str = "
    import wasi:clocks/monotonic-clock@0.2.0; import wasi:io/poll@0.2.0; import wasi:sockets/network@0.2.0;
    import wasi:sockets/instance-network@0.2.0; import wasi:http/outgoing-handler@0.2.0; import wasi:cli/exit@0.2.99;";

const PACKAGES: &str = "
    package wasi:io@0.2.0 { interface poll { resource pollable { block: func(); } } }
    package wasi:clocks@0.2.0 {
        interface monotonic-clock {
            use wasi:io/poll@0.2.0.{pollable};
            now: func() -> u64;
            subscribe-duration: func(when: u64) -> pollable;
        }
    }
    package wasi:sockets@0.2.0 {
        interface network { resource network; }
        interface instance-network { use network.{network}; instance-network: func() -> network; }
    }
    package wasi:http@0.2.0 {
        interface types { use wasi:io/poll@0.2.0.{pollable}; resource outgoing { subscribe: func() -> pollable; } }
        interface outgoing-handler { use types.{outgoing}; handle: func(request: u32) -> u32; }
    }
    package wasi:cli@0.2.99 { interface exit { exit: func(status: result); exit-in-style: func(); } }";

fn copy_with(enter: Enter, component: &[u8]) -> Output {
    install(enter, "p", component, VALIDATOR)
        .sh("bootc-image plugin approve p && bootc-image copy-to-storage && bootc-image list")
}

#[test]
fn imports_that_are_never_called_link() {
    let world = World::new();
    // The clock is the real one.
    let evaluate = "(if (i64.eqz (call $now)) (then (unreachable)))";
    let output = copy_with(world.enter(), &policy(IMPORTS, "", evaluate, PACKAGES, WASI)).ok();
    assert!(output.stdout.contains("localhost/bootc"), "{output:#?}");
}

#[test]
fn an_import_that_is_called_ends_the_plugin_and_is_named() {
    for (evaluate, named) in [
        ("(drop (call $sleep (i64.const 1)))", "wasi:clocks/monotonic-clock.subscribe-duration"),
        ("(drop (call $network))", "wasi:sockets/instance-network@0.2.0.instance-network"),
        ("(drop (call $handle (i32.const 1)))", "wasi:http/outgoing-handler@0.2.0.handle"),
        ("(call $exit-in-style)", "wasi:cli/exit@0.2.99.exit-in-style"),
    ] {
        let world = World::new();
        let output = copy_with(world.enter(), &policy(IMPORTS, "", evaluate, PACKAGES, WASI)).exits(77);
        let reason = format!(
            "policy p: cannot judge this operation: called `{named}`, which this host does not provide to plugins"
        );
        assert!(output.stderr.contains(&reason), "{output:#?}");
    }
}

/// A stub is for WASI alone: of our own interfaces only what was granted is linked.
#[test]
fn our_own_interfaces_get_no_stubs() {
    let world = World::new();
    let imports = "(import \"bootc-image:host/transfers@0.1.0\" \"pull-from-default-storage\" (func (param i32 i32 i32)))";
    let component = policy(imports, "", "", "", "import bootc-image:host/transfers@0.1.0;");
    let output = copy_with(world.enter(), &component).exits(78);
    let reason = "it imports `bootc-image:host/transfers@0.1.0.pull-from-default-storage`, which this host does not provide";
    assert!(output.stderr.contains(reason), "{output:#?}");
}

/// A number as WebAssembly's binaries have it.
fn number(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).unwrap();
        value >>= 7;
        bytes.push(if value == 0 { low } else { low | 0x80 });
        if value == 0 {
            return bytes;
        }
    }
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], &number(content.len())[..], content].concat()
}

/// A component with another one inside, and an instance of that.
fn composed(mut outer: Vec<u8>, inner: &str) -> Vec<u8> {
    const COMPONENT: u8 = 4;
    const INSTANCE: u8 = 5;
    let mut count = 0_usize;
    let mut at = 8;
    while at < outer.len() {
        count += usize::from(outer[at] == COMPONENT);
        let (mut size, mut shift) = (0, 0);
        loop {
            at += 1;
            size |= usize::from(outer[at] & 0x7f) << shift;
            shift += 7;
            if outer[at] & 0x80 == 0 {
                break;
            }
        }
        at += 1 + size;
    }
    outer.extend(section(COMPONENT, &wat::parse_str(inner).expect("the inner component is one")));
    outer.extend(section(INSTANCE, &[&[1, 0][..], &number(count), &[0]].concat()));
    outer
}

/// A component with so many modules, each with an instance; some have a memory, and one a table as C# makes it.
fn modules(count: usize, memories: usize, entries: usize) -> String {
    let mut text = "(component".to_owned();
    for number in 0..count {
        let memory = if number < memories { "(memory 1)" } else { "" };
        let table = if number == 0 {
            format!(
                "(table {entries} {entries} funcref) (func $f) (elem (i32.const 0) func {})",
                "$f ".repeat(entries)
            )
        } else {
            "(table 3 funcref)".to_owned()
        };
        text +=
            &format!("(core module $m{number} {memory} {table}) (core instance (instantiate $m{number}))");
    }
    text + ")"
}

#[test]
fn a_composed_component_of_forty_modules_judges_a_copy() {
    let world = World::new();
    let component = composed(policy("", "", "", "", ""), &modules(40, 12, 10_511));
    let output = copy_with(world.enter(), &component).ok();
    assert!(output.stdout.contains("localhost/bootc"), "{output:#?}");
    // It was compiled once, when it was approved.
    let output = world.enter().sh("bootc-image -v copy-to-storage").ok();
    assert!(!output.stderr.contains("compiling"), "{output:#?}");
}

/// What is no plugin of this host is neither approved nor forgotten by `plugin doctor`, and says what its author has to do.
#[test]
fn what_cannot_be_instantiated_is_not_approved() {
    let allows = || policy("", "", "", "", "");
    let inside = |text: &str| composed(allows(), text);
    let importing = |interface: &str, exports: &str| {
        wat::parse_str(format!("(component (import \"{interface}\" (instance {exports})))"))
            .expect("it is a component")
    };
    let wasi = |interface: &str| importing(interface, "");
    let resources = |count: usize| -> String {
        (0..count).map(|number| format!("(export \"r{number}\" (type (sub resource)))")).collect()
    };
    // Each of the instances has its own copy of the elements.
    let elements = format!(
        "(component (core module $m (func $f) (elem func {})) {})",
        "$f ".repeat(1_000),
        "(core instance (instantiate $m))".repeat(190)
    );
    let doubled = (1..80).fold("(component $c0)".to_owned(), |text, level| {
        let instances = format!("(instance (instantiate $c{}))", level - 1).repeat(2);
        format!("(component $c{level} {text} {instances})")
    });
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (inside(&modules(201, 0, 1)), " core modules, but at most 200 are allowed"),
        (inside(&modules(40, 32, 1)), "it has 33 memories, but at most 32 are allowed"),
        (inside(&modules(1, 0, 50_001)), " table entries, but at most 50000 are allowed"),
        (inside(&elements), " element segments and their entries, but at most 100000 are allowed"),
        (inside(&doubled), " component instances, but at most 1000 are allowed"),
        (
            importing("wasi:x/y@0.2.0", &resources(2_000)),
            "it has 1001 imports of WASI, but at most 1000 are allowed",
        ),
        (
            importing("wasi:x/y@0.2.0", &resources(50_000)),
            "it has 50001 imports and exports, but at most 50000 are allowed",
        ),
        (policy("", "(func $start unreachable) (start $start)", "", "", ""), "crashed: wasm `unreachable`"),
        (
            inside("(component (core module $m (memory 2000)) (core instance (instantiate $m)))"),
            "exceeded its memory limit (64 MiB)",
        ),
        (
            wasi("wasi:cli/environment@0.3.0"),
            "it was built for WASI 0.3.0 (it imports `wasi:cli/environment@0.3.0`), but this host provides WASI 0.2: build it for WASI 0.2",
        ),
        (
            wat::parse_str("(module (import \"wasi_snapshot_preview1\" \"fd_write\" (func)))").unwrap(),
            "it is a core WebAssembly module, not a component: build it for WASI 0.2, or make a component of it with `wasm-tools component new`",
        ),
        (
            wat::parse_str("(component)").unwrap(),
            "it does not export `bootc-image:policy/validate`, which the world bootc-image:policy/validator in its manifest requires",
        ),
        (b"#!/bin/sh\n".to_vec(), "the file is not a WebAssembly component"),
    ];
    let world = World::new();
    for (component, reason) in cases {
        let enter = || install(world.enter(), "p", &component, VALIDATOR);
        let output = enter().sh("bootc-image plugin approve p").exits(78);
        assert!(output.stderr.contains(reason), "{reason}: {output:#?}");
        assert!(!world.enter().sh("ls /etc/bootc-image/grants.d").stdout.contains('p'), "{reason}");
        let output = enter().sh("bootc-image plugin doctor p").exits(78);
        assert!(output.stdout.contains(reason), "{reason}: {output:#?}");
        world.enter().sh(&format!("rm -rf {SITE}/p")).ok();
    }
}

#[test]
fn a_component_of_another_kind_is_named() {
    let module = "(module (memory (export \"memory\") 1)
        (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) unreachable)
        (func (export \"bootc-image:format/formatter@0.1.0#begin\") (param i32 i32 i32 i32 i32 i32) (result i32) unreachable)
        (func (export \"bootc-image:format/formatter@0.1.0#chunk\") (param i32) (result i32) unreachable))";
    let format = component(module, "include bootc-image:format/output@0.1.0;", "");
    let world = World::new();
    let output = copy_with(world.enter(), &format).exits(78);
    assert!(output.stderr.contains("it does not export `bootc-image:policy/validate`"), "{output:#?}");
    install(world.enter(), "f", &format, FORMAT).sh("bootc-image plugin approve f").ok();
}
