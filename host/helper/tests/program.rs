//! Runs the program with descriptors that are not what it expects.

// Helpers of tests are tests, which clippy doesn't see.
#![allow(clippy::unwrap_used)]

use std::process::Command;

/// The exit code and stderr of the program, started by bash with these redirections.
fn run(before: &str, words: &str, redirections: &str) -> (Option<i32>, String) {
    let script = format!("{before}; exec \"$0\" {words} {redirections}");
    let program = env!("CARGO_BIN_EXE_bootc-image-helper");
    // Without descriptors of the process that runs the tests.
    let script = format!("exec 3<&- 4<&-; {script}");
    let output = Command::new("bash").args(["-c", &script]).arg(program).output().unwrap();
    assert!(output.stdout.is_empty(), "{output:?}");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_component_that_cannot_be_compiled_here_is_refused_with_the_reason() {
    let path = |name: &str| {
        let name = format!("bootc-image-helper-{}-{name}", std::process::id());
        std::env::temp_dir().join(name).display().to_string()
    };
    let (component, large) = (path("component"), path("large"));
    std::fs::write(&component, b"\0asm\x0d\0\x01\0").unwrap();
    std::fs::File::create(&large).unwrap().set_len((128 << 20) + 1).unwrap();
    // Root may raise hard limits, so it gives up that right first.
    let limited = "ulimit -t 30; if [ $UID = 0 ]; then exec setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource \"$0\" compile; fi";
    let here = format!("3<{component}");
    for (before, redirections, why) in [
        ("true", "", "descriptor 3 must be a component: No such file or directory (os error 2)"),
        ("true", "3</", "cannot read the component: Is a directory (os error 21)"),
        ("true", &here, "descriptor 4 must be a file: No such file or directory (os error 2)"),
        (
            "true",
            &format!("{here} 4>/dev/full"),
            "cannot write the machine code: No space left on device (os error 28)",
        ),
        (limited, &here, "cannot limit the resources of the compiler: Operation not permitted (os error 1)"),
    ] {
        assert_eq!(run(before, "compile", redirections), (Some(1), format!("{why}\n")));
    }
    let why = "the file is not a WebAssembly component: it has 134217729 bytes, but at most 134217728 are allowed\n";
    assert_eq!(run("true", "compile", &format!("3<{large}")), (Some(65), why.to_owned()));
    for path in [component, large] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_person_who_starts_it_is_told_what_does() {
    let expected = "this program is started by bootc-image; see: bootc-image --help\n".to_owned();
    assert_eq!(run("true", "", ""), (Some(1), expected));
}
