//! The layout of version 1.0 stays the same: in Rust, in C, and in the released layout file.

// Clippy does not treat helpers of tests as tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write as _;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

use bootc_image_extension::abi::{self, Extension, Host, Image, List, Operation, Pair, Reference, Text};

/// Lines of `STRUCT FIELD OFFSET`, and the body of a C program that prints the same lines.
macro_rules! layouts {
    ($($of:ident $name:literal: $($field:ident)*;)*) => {{
        let (mut rust, mut c) = (String::new(), String::new());
        $(
            let _ = writeln!(rust, "{} {}", $name, size_of::<$of>());
            let _ = writeln!(c, "    printf(\"{0} %zu\\n\", sizeof(struct bootc_image_{0}));", $name);
            $(
                let _ = writeln!(rust, "{} {} {}", $name, stringify!($field), offset_of!($of, $field));
                let _ = writeln!(
                    c,
                    "    printf(\"{0} {1} %zu\\n\", offsetof(struct bootc_image_{0}, {1}));",
                    $name,
                    stringify!($field)
                );
            )*
        )*
        (rust, c)
    }};
}

#[test]
fn what_version_1_0_laid_down_stays_where_it_is() {
    use abi::Command as Asked;
    let (rust, c) = layouts! {
        Text "text": data length;
        Pair "pair": key value;
        Reference "reference": size canonical transport registry repository tag digest;
        Image "image": size role name digest attrs attr_count;
        Operation "operation":
            size kind digest argv argv_count images image_count attrs attr_count;
        List "list": size format columns column_count options option_count;
        Asked "command": size name args arg_count;
        Host "host":
            size major minor log setting detail fail allow deny next_row write plan;
        Extension "extension": size major minor state evaluate format plan;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let kept = std::fs::read_to_string(root.join("tests/layout-1.0.txt")).unwrap();
    let now: Vec<&str> = rust.lines().collect();
    for line in kept.lines() {
        // Structs may grow, so sizes may change.
        let is_size = line.split(' ').count() == 2;
        assert!(is_size || now.contains(&line), "{line} has changed:\n{rust}");
    }
    assert_eq!((abi::MAJOR, abi::MINOR), (1, 0), "for version 1.0 the sizes must be the same, too");
    assert_eq!(rust, kept);

    let directory = tempfile::tempdir().unwrap();
    let (source, program) = (directory.path().join("layout.c"), directory.path().join("layout"));
    let text = format!(
        "#include <stdio.h>\n#include \"bootc_image_extension.h\"\nint main(void)\n{{\n{c}    return 0;\n}}\n"
    );
    std::fs::write(&source, text).unwrap();
    for (compiler, options) in [("cc", &["-std=c99", "-pedantic"][..]), ("c++", &["-x", "c++", "-std=c++11"])]
    {
        let compiled = Command::new(compiler)
            .args(options)
            .args(["-Wall", "-Wextra", "-Werror", "-I"])
            .arg(root.join("include"))
            .arg(&source)
            .arg("-o")
            .arg(&program)
            .output()
            .unwrap();
        assert!(compiled.status.success(), "{compiler}: {}", String::from_utf8_lossy(&compiled.stderr));
        let printed = Command::new(&program).output().unwrap();
        assert_eq!(String::from_utf8(printed.stdout).unwrap(), kept, "{compiler}");
    }
}
