//! Every check finds what it's for, in small invented houses.

use super::{House, Package, Row, circles, edges, sizes, style, walk};

/// A crate in host/a with these files, their paths from its `src`.
fn house(files: &[(&str, &str)]) -> House {
    let path = |file: &str| format!("host/a/src/{file}");
    House {
        files: files.iter().map(|(file, text)| (path(file), (*text).to_owned())).collect(),
        packages: vec![Package {
            name: "a".to_owned(),
            folder: "host/a".to_owned(),
            roots: vec![path("lib.rs")],
            ..Package::default()
        }],
    }
}

/// Two folders of which each takes something from the other: the first has one code, and the second the other.
fn two_folders(first: &str, second: &str) -> House {
    house(&[
        ("lib.rs", "mod one; mod two; pub struct Top;"),
        ("one/mod.rs", "pub mod first; pub use first::First;"),
        ("one/first.rs", &format!("pub struct First; pub fn first() {{}} {first}")),
        ("two/mod.rs", "pub mod second; mod plain; pub use second::*; pub use plain::Plain;"),
        ("two/second.rs", &format!("pub struct Second; {second}")),
        ("two/plain.rs", "pub struct Plain;"),
    ])
}

const CIRCLE: &str = "a: host/a/src/one/first.rs -> host/a/src/two/second.rs (takes Second) \
                      -> host/a/src/one/first.rs (takes First) (2 files in all)";

#[test]
fn a_circle_between_folders_is_found_and_named() {
    let first = "use crate::two::second::Second;";
    assert_eq!(circles(&two_folders(first, "use crate::one::first::First;")), [CIRCLE]);
    assert_eq!(circles(&two_folders(first, "")), [""; 0]);
    assert_eq!(circles(&two_folders("", "use crate::one::first::First;")), [""; 0]);
}

#[test]
fn a_facade_hides_no_circle() {
    // By name, and by a `*`.
    let found = circles(&two_folders("use crate::two::Second;", "use super::super::one::First;"));
    assert_eq!(found, [CIRCLE]);
    // What comes through a facade isn't the facade's.
    assert_eq!(circles(&two_folders("use crate::two::Plain;", "use crate::one::First;")), [""; 0]);
    // A facade in front of a facade, another name, and an import that is private.
    let found = circles(&house(&[
        ("lib.rs", "mod one; mod two; use one::Other as Third; pub(crate) use two::two;"),
        ("one/mod.rs", "pub use self::file::Real as Other; mod file;"),
        ("one/file.rs", "pub struct Real; fn f() { crate::two(); }"),
        ("two/mod.rs", "pub fn two(_: crate::Third) {}"),
    ]));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("one/file.rs -> host/a/src/two/mod.rs (takes two)"), "{found:?}");
}

#[test]
fn a_circle_in_one_folder_is_none() {
    let found = circles(&house(&[
        ("lib.rs", "mod one; mod two; pub struct Top;"),
        ("one.rs", "use crate::{Top, two::Two}; pub struct One;"),
        ("two.rs", "use super::one::One; pub struct Two;"),
    ]));
    assert_eq!(found, [""; 0]);
}

#[test]
fn a_circle_is_found_wherever_a_path_is() {
    for code in [
        "fn f() { crate::one::first::first(); }",
        "fn f() { use crate::one; one::first::first() }",
        "fn f(_: &[Option<super::super::one::First>]) {}",
        "fn f(x: u8) { match x { crate::one::first::X => {} } }",
        "use crate::one::first; fn f() { first::first() }",
        "use crate::one::{first::{self as other}}; fn f() { other::first() }",
        "fn f() { assert_eq!(1, 2, \"{}\", crate::one::first::first()); }",
        "use crate::one; fn f() { println!(\"{:?}\", [one::First, 2]) }",
        "macro_rules! m { () => { use $crate::one::{first, First}; } }",
        "#[arg(value_parser = crate::one::first::first)] struct S;",
        "#[serde(with = \"crate::one::first\", default = \"crate::one::first::first\")] struct S;",
        "use crate::one::*;",
        "mod inline { use super::super::super::one::First; }",
        "#[cfg(not(test))] use crate::one::First;",
        "impl From<u8> for crate::one::First {}",
        "#[cfg(feature = \"x\")] pub(crate) use crate::one::First as _;",
        "fn f() { crate::one::first::made_by_a_macro() }",
    ] {
        let found = circles(&two_folders("use crate::two::Second;", code));
        assert_eq!(found.len(), 1, "{code}: {found:?}");
    }
}

#[test]
fn what_looks_like_a_path_to_elsewhere_and_isnt_one_is_no_arrow() {
    for code in [
        "#[cfg(test)] mod tests { use crate::one::First; }",
        "#[cfg(all(test, unix))] use crate::one::First;",
        "fn f() { #[cfg(test)] crate::one::first::first(); }",
        "#[test] fn f() { crate::one::first::first(); }",
        "/// [`crate::one::First`]\nstruct S;",
        "// use crate::one::First;",
        "const TEXT: &str = \"crate::one::First\";",
        "use ::one::first::First;",
        "use crate::one;",
        "fn f() { m!(::one::first, x.one::first) }",
        "pub(in crate::two) struct S;",
        "use std::fmt; fn f() -> fmt::Result {}",
    ] {
        assert_eq!(circles(&two_folders("use crate::two::Second;", code)), [""; 0], "{code}");
    }
}

#[test]
fn the_circle_that_is_named_is_a_shortest() {
    let found = circles(&house(&[
        ("lib.rs", "mod a; mod b; mod c; mod d;"),
        ("a/mod.rs", "use crate::b::B; pub struct A;"),
        ("b/mod.rs", "use crate::c::C; pub struct B;"),
        ("c/mod.rs", "use crate::{a::A, d::D}; pub struct C;"),
        ("d/mod.rs", "use crate::c::C; pub struct D;"),
    ]));
    let expected = "a: host/a/src/c/mod.rs -> host/a/src/d/mod.rs (takes D) -> host/a/src/c/mod.rs (takes C) \
                    (4 files in all)";
    assert_eq!(found, [expected]);
}

#[test]
fn a_file_that_isnt_there_or_cant_be_read_is_named() {
    let found = circles(&house(&[("lib.rs", "mod gone;")]));
    assert_eq!(found, ["host/a/src/lib.rs: mod gone: its file isn't there"]);
    let found = sizes(&house(&[("lib.rs", "\nfn (")]));
    assert!(found[0].starts_with("host/a/src/lib.rs:"), "{found:?}");
    assert_eq!(circles(&house(&[("lib.rs", "#[cfg(test)] mod gone;")])), [""; 0]);
}

#[test]
fn a_file_over_the_limit_is_found_and_only_lines_of_code_count() {
    let at_limit = "struct S;\n".repeat(500);
    let for_free =
        "\n// a\n/// b\n/* c\nd */\n//! e\n#[cfg(test)]\nmod tests {\n}\n#[cfg(test)]\nmod more;\n";
    let documented = format!("//! a\n/*! b\n c */\n\n{at_limit}");
    assert_eq!(
        sizes(&house(&[("lib.rs", &format!("{documented}{}", for_free.replace("//! e\n", "")))])),
        [""; 0]
    );
    let found = sizes(&house(&[("lib.rs", &format!("{documented}mod b;")), ("b.rs", "")]));
    assert_eq!(found, ["host/a/src/lib.rs: 501 lines of code, and no file has more than 500"]);
    // Within an impl, a struct and a function too; and each line of a text.
    let over = format!(
        "{}fn f() {{\n#[cfg(test)]\nlet x = 1;\n}}\nimpl S {{\n#[cfg(test)]\nfn f() {{}}\n}}\nconst S: &str = \"\n\n//\n\";",
        "struct S;\n".repeat(493)
    );
    assert_eq!(sizes(&house(&[("lib.rs", &over)])), [""; 0]);
    let over = format!("{over}\nstruct T {{\n#[cfg(test)]\na: u8,\n}}");
    assert!(sizes(&house(&[("lib.rs", &over)]))[0].contains(" 502 lines"));
}

#[test]
fn a_crate_over_the_limit_is_found() {
    let text = "struct S;\n".repeat(500);
    let names: Vec<String> = ('a'..='l').map(|name| name.to_string()).collect();
    let modules: String = names.iter().map(|name| format!("mod {name};")).collect();
    let paths: Vec<String> = names.iter().map(|name| format!("{name}.rs")).collect();
    let mut files: Vec<_> = paths.iter().map(|path| (path.as_str(), text.as_str())).collect();
    files.push(("lib.rs", &modules));
    let mut house = house(&files);
    assert_eq!(sizes(&house), ["a in host/a: 6001 lines of code, and no crate has more than 6000"]);
    house.packages[0].folder = "tests/a".to_owned();
    assert_eq!(sizes(&house), [""; 0]);
}

#[test]
fn a_module_beside_its_folder_is_found() {
    let found = style(&house(&[
        ("lib.rs", ""),
        ("x.rs", "mod y;"),
        ("x/y.rs", ""),
        ("z/mod.rs", ""),
        ("z/w.rs", ""),
    ]));
    assert_eq!(
        found,
        ["host/a/src/x.rs is beside host/a/src/x/: git mv host/a/src/x.rs host/a/src/x/mod.rs"]
    );
    // A root isn't a module, and its folder isn't either.
    assert_eq!(style(&house(&[("lib.rs", ""), ("lib/x.rs", "")])), [""; 0]);
}

#[test]
fn an_edge_that_isnt_in_the_table_is_found() {
    let table: &[Row] = &[("a", &["b"]), ("plugins/*", &["sdk"])];
    let package = |name: &str, folder: &str, on: &[&str]| Package {
        name: name.to_owned(),
        folder: folder.to_owned(),
        dependencies: on.iter().map(|on| (*on).to_owned()).collect(),
        ..Package::default()
    };
    let with = |packages| edges(&House { packages, ..House::default() }, table);
    assert_eq!(
        with(vec![
            package("a", "host/a", &["b"]),
            package("b", "host/b", &[]),
            package("p", "plugins/p", &["sdk"]),
            package("t", "tests/t", &["a", "b"]),
        ]),
        [""; 0]
    );
    let why = "Cargo.toml has an edge that isn't in the table";
    assert_eq!(
        with(vec![
            package("a", "host/a", &["b", "c"]),
            package("b", "host/b", &["a"]),
            package("p", "plugins/p", &["a"]),
        ]),
        [
            format!("a -> c: host/a/{why}: its row has [\"b\"]"),
            format!("b -> a: host/b/{why}: it has no row"),
            format!("p -> a: plugins/p/{why}: its row has [\"sdk\"]"),
        ]
    );
}

const SECTION: &str = "# A\n\n## One operation, from argv to report\n\nIt goes so.\n\n";

fn complaints_of(document: &str) -> Vec<String> {
    let mut house = house(&[("lib.rs", "//! Gone\nfn run() -> Report<u8> { made!(Inner) }")]);
    house.files.insert("docs/explanation/architecture.md".to_owned(), document.to_owned());
    walk(&house)
}

fn complaint_of(list: &str) -> Option<String> {
    let complaints = complaints_of(&format!("{SECTION}{list}\n\n## Next\n\n- `host/other.rs`\n"));
    assert!(complaints.len() < 2, "{complaints:?}");
    complaints.into_iter().next()
}

#[test]
fn a_walk_that_leads_where_it_says_is_fine() {
    for list in [
        "1. `host/a/src/lib.rs`: `run()` makes a `Report` of `argv`, and\n   `Inner` of what is `any text`\n",
        "- `run()` in `host/a/src/lib.rs`, then `Report<Inner>`.\n\n  With `--dry-run` it's `Report::run()` as well.\n",
        "```text\n`Gone`\n```\n* `host/a/src/lib.rs` `&Report`",
    ] {
        assert_eq!(complaint_of(list), None, "{list}");
    }
}

#[test]
fn a_walk_that_leads_elsewhere_is_found() {
    let file = "docs/explanation/architecture.md: host/a/src/gone.rs: there is no such file";
    assert_eq!(
        complaint_of("- `host/a/src/lib.rs`: `run()`; `host/a/src/gone.rs`: `f()`").as_deref(),
        Some(file)
    );
    assert_eq!(
        complaint_of("- `host/a/src/lib.rs`: `run()`\n\nSee `host/a/src/gone.rs`").as_deref(),
        Some(file)
    );
    for (name, missing) in [
        ("gone()", "gone"),
        ("Gone", "Gone"),
        ("ru()", "ru"),
        ("Report<Gone>", "Gone"),
        ("Report::gone()", "gone"),
    ] {
        let expected =
            format!("docs/explanation/architecture.md: there is no {missing} in host/a/src/lib.rs");
        assert_eq!(complaint_of(&format!("- `host/a/src/lib.rs`:\n  `{name}`")), Some(expected));
    }
    let nothing = complaint_of("- `host/a/src/lib.rs` does it").unwrap_or_default();
    assert!(nothing.contains("nothing is named beside host/a/src/lib.rs"), "{nothing}");
    assert!(complaint_of("Nothing.").unwrap_or_default().contains("names a file"));
}

#[test]
fn a_missing_section_is_said_to_be_missing() {
    let expected =
        ["docs/explanation/architecture.md has no section \"## One operation, from argv to report\""];
    assert_eq!(complaints_of("# A\n\n## Other\n"), expected);
    assert_eq!(walk(&House::default()), expected);
}
