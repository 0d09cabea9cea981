//! The tutorial and the how-to pages do what they show: every command runs on the emulated host, and its output is compared.
//! After a change: `BLESS=1 cargo test -p bootc-image-tests --test guides`. How pages are written: `bootc_image_tests::guide`.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bootc_image_tests::guide::{self, Page, Step};
use bootc_image_tests::world::Enter;
use bootc_image_tests::{World, programs, toolchains};

const LIMIT: Duration = Duration::from_secs(600);

/// How long a how-to page may be: a screen.
const LENGTH: usize = 60;

/// Why a block or a page isn't run here.
const REASONS: &[&str] = &[
    "tests/tests/demo.rs compares it with the demo",
    "it starts what runs this test",
    "it would make a build of many minutes",
    "there is no sudo on the emulated host",
    "it needs an OS image with these files",
];

/// What stands for bootc on the emulated host: it deploys as bootc does.
const BOOTC: &str = "#!/bin/sh -eu
[ \"$1\" = switch ]
exec labtool container image deploy --sysroot /sysroot --stateroot lab --karg rw \
    --imgref \"ostree-unverified-registry:$2\" --insecure-skip-tls-verification >/dev/null 2>&1
";

/// Before each command and after the last one.
const MARK: char = '\u{1e}';

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

macro_rules! pages {
    ($($test:ident $page:literal)*) => {
        const PAGES: &[&str] = &[$($page),*];
        $(#[test]
        fn $test() {
            check($page);
        })*
    };
}

pages! {
    approve_plugin "how-to/approve-plugin.md"
    change_plugins "how-to/change-plugins.md"
    copy_to_podman "how-to/copy-to-podman.md"
    explain_and_test_policies "how-to/explain-and-test-policies.md"
    full_disk "how-to/full-disk.md"
    list_images "how-to/list-images.md"
    pull_from_podman "how-to/pull-from-podman.md"
    query_audit_record "how-to/query-audit-record.md"
    remove_images "how-to/remove-images.md"
    repair_images "how-to/repair-images.md"
    restrict_pulls "how-to/restrict-pulls.md"
    rotate_and_ship_record "how-to/rotate-and-ship-record.md"
    run_podman "how-to/run-podman.md"
    set_unified "how-to/set-unified.md"
    shell_completion "how-to/shell-completion.md"
    ship_policy_in_os_image "how-to/ship-policy-in-os-image.md"
    use_in_scripts "how-to/use-in-scripts.md"
    use_with_ansible "how-to/use-with-ansible.md"
    when_a_policy_denies_everything "how-to/when-a-policy-denies-everything.md"
    write_format "how-to/write-format.md"
    write_native_extension "how-to/write-native-extension.md"
    write_plugin_in_javascript "how-to/write-plugin-in-javascript.md"
    write_plugin_in_python "how-to/write-plugin-in-python.md"
    write_policy "how-to/write-policy.md"
    write_wrapper "how-to/write-wrapper.md"
    demo "tutorial/demo.md"
    first_policy "tutorial/first-policy.md"
}

#[test]
fn no_page_is_left_out() {
    let mut found = BTreeSet::new();
    for folder in ["how-to", "tutorial"] {
        for entry in std::fs::read_dir(docs().join(folder)).unwrap().flatten() {
            found.insert(format!("{folder}/{}", entry.file_name().to_string_lossy()));
        }
    }
    assert_eq!(found, PAGES.iter().map(|page| (*page).to_owned()).collect());
}

#[test]
fn how_to_pages_have_one_form() {
    for page in PAGES.iter().filter(|page| page.starts_with("how-to/")) {
        let page = Page::parse(&std::fs::read_to_string(docs().join(page)).unwrap());
        assert!(page.title().starts_with("# How to "), "{}", page.title());
        assert!(page.length() <= LENGTH, "{}: {} lines", page.title(), page.length());
    }
}

fn check(name: &str) {
    let path = docs().join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    let page = Page::parse(&text);
    for reason in &page.not_run {
        assert!(
            REASONS.contains(&reason.as_str()),
            "{name}: not run, and the test doesn't know why: {reason}"
        );
    }
    if page.commands().next().is_none() {
        assert!(!page.not_run.is_empty(), "{name} has no command that is run, and doesn't say why");
        return;
    }
    let names = if name.starts_with("how-to/") { Names::Example } else { Names::World };
    let printed = run(name, &page, names);
    for (command, printed) in page.commands().zip(&printed) {
        let is_built = page.builder.is_some() && !command.as_root;
        assert!(
            printed.code == 0 || !is_built && printed.says_why(),
            "{name}: {} ends with {} and doesn't say why: {:#?}",
            command.text,
            printed.code,
            printed.lines
        );
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, page.blessed(printed.iter().map(|printed| &printed.lines[..]))).unwrap();
    }
    let page = Page::parse(&std::fs::read_to_string(&path).unwrap());
    for (command, printed) in page.commands().zip(&printed) {
        assert!(
            command.expected.matches(&printed.lines),
            "{name}: {}\nprints:\n{}\nand the page has: {:#?}\nIf that is right: BLESS=1 cargo test -p bootc-image-tests \
             --test guides",
            command.text,
            printed.lines.join("\n"),
            command.expected
        );
    }
}

/// What a command has printed, its exit code, and whether the next command shows that.
struct Printed {
    lines: Vec<String>,
    code: i32,
    is_asked_for: bool,
}

impl Printed {
    /// Whether the page shows to readers that the command fails.
    fn says_why(&self) -> bool {
        let is_failure = |line: &String| {
            ["bootc-image: denied: ", "error: ", "  fix: ", "FAILED"]
                .iter()
                .any(|start| line.starts_with(start))
        };
        self.is_asked_for || self.lines.iter().any(is_failure)
    }
}

fn run(name: &str, page: &Page, names: Names) -> Vec<Printed> {
    let world = World::new();
    let stem = Path::new(name).file_stem().unwrap().to_string_lossy().into_owned();
    let builder = page.builder.as_deref().map(|package| Builder::new(&stem, package));
    let mut printed = Vec::new();
    // What is built comes first: hosts get it ready.
    let (built, hosts): (Vec<&Step>, Vec<&Step>) = page.steps.iter().partition(|step| match step {
        Step::File { path, .. } => page.builder.is_some() && !path.starts_with('/'),
        Step::Command(command) => page.builder.is_some() && !command.as_root,
        Step::Hidden(_) => false,
    });
    if let Some(builder) = &builder {
        printed.extend(builder.run(&built));
    }
    let last_built = printed.len();
    for stay in hosts.split(|step| is_reboot(step)) {
        let mut enter = furnished(&world);
        if let Some(builder) = &builder {
            enter = builder.bring(enter);
        }
        let (script, enter) = script(stay, names, enter);
        let output = enter.limit(LIMIT).run(&["bash", "-c", &script]);
        printed.extend(parts(&output.stdout, names, name));
        // The reboot itself.
        printed.push(Printed { lines: Vec::new(), code: 0, is_asked_for: true });
    }
    printed.pop();
    let in_order = in_order(page, &built, printed, last_built);
    assert_eq!(in_order.len(), page.commands().count(), "{name}");
    in_order
}

/// Commands of hosts and of the machine where plugins are built, as the page has them.
fn in_order(page: &Page, built: &[&Step], printed: Vec<Printed>, last_built: usize) -> Vec<Printed> {
    let mut hosts = printed;
    let mut builders = hosts.drain(..last_built).collect::<Vec<_>>().into_iter();
    let mut hosts = hosts.into_iter();
    let steps = page.steps.iter().filter(|step| matches!(step, Step::Command(_)));
    let is_built = |step: &Step| built.iter().any(|built| std::ptr::eq(*built, step));
    steps.filter_map(|step| if is_built(step) { builders.next() } else { hosts.next() }).collect()
}

fn is_reboot(step: &Step) -> bool {
    matches!(step, Step::Command(command) if command.text == "systemctl reboot")
}

/// A host on which everything is installed.
fn furnished(world: &World) -> Enter {
    let labtool = programs::required("labtool");
    let enter = world.enter().registry(true).installed();
    enter.file_with_mode("/usr/bin/bootc", BOOTC, 0o755).program(&labtool, "/usr/bin/labtool")
}

/// A script of all steps of a stay, which prints a mark before and the exit code after each command.
fn script(steps: &[&Step], names: Names, mut enter: Enter) -> (String, Enter) {
    let mut script = "cd /root; last=0\n".to_owned();
    for (number, step) in steps.iter().enumerate() {
        let file = format!("/run/guide/{number}");
        match step {
            Step::File { path, content } => {
                enter = enter.file(&file, names.inside(content));
                script += &format!("mkdir -p \"$(dirname '{path}')\"; cp {file} '{path}' || exit\n");
            }
            Step::Hidden(command) => {
                enter = enter.file(&file, names.inside(command));
                script += &format!(
                    "bash -euo pipefail {file} >/run/guide/hidden 2>&1 || {{ printf '{MARK}hidden\\n'; cat {file} /run/guide/hidden; exit; }}\n"
                );
            }
            Step::Command(command) => {
                enter = enter.file(&file, names.inside(&command.text));
                let run = if command.as_root {
                    "eval \"$text\""
                } else {
                    "setpriv --reuid=1000 --regid=1000 --clear-groups env HOME=/var/home/lab bash -c \"cd; $text\""
                };
                script += &format!(
                    "text=$(cat {file}); printf '{MARK}\\n'; (exit $last); {run} 2>&1; last=$?; printf '{MARK}%s\\n' $last\n"
                );
            }
        }
    }
    (script, enter)
}

/// What each command has printed. A line that isn't ended is a line.
fn parts(output: &str, names: Names, name: &str) -> Vec<Printed> {
    let mut printed: Vec<Printed> = Vec::new();
    let mut parts = output.split(MARK).skip(1);
    while let Some(part) = parts.next() {
        let text = part.strip_prefix('\n').unwrap_or_else(|| panic!("{name}: {output}"));
        let code = parts.next().and_then(|code| code.trim().parse().ok());
        let lines: Vec<String> = text.lines().map(|line| names.outside(line)).collect();
        printed.push(Printed {
            lines,
            code: code.unwrap_or_else(|| panic!("{name}: {output}")),
            is_asked_for: false,
        });
    }
    let shows_code = |printed: &Printed, code: i32| printed.lines == [code.to_string()];
    for at in 1..printed.len() {
        printed[at - 1].is_asked_for = shows_code(&printed[at], printed[at - 1].code);
    }
    printed
}

/// Whose names a page has: those of the emulated host, or examples that stand for them.
#[derive(Clone, Copy)]
enum Names {
    World,
    Example,
}

/// Each with what stands for it in a page, the longest first.
const EXAMPLES: &[(&str, &str)] = &[
    ("127.0.0.1:5000/lab/", "quay.io/example/"),
    ("127.0.0.1:5000", "quay.io"),
    ("\"lab/", "\"example/"),
    ("repository lab/", "repository example/"),
];

impl Names {
    fn inside(self, text: &str) -> String {
        match self {
            Self::World => text.to_owned(),
            Self::Example => {
                EXAMPLES.iter().fold(text.to_owned(), |text, (inside, page)| text.replace(page, inside))
            }
        }
    }

    /// Columns stay where they are.
    fn outside(self, line: &str) -> String {
        let line = line.trim_end();
        match self {
            Self::World => line.to_owned(),
            Self::Example => EXAMPLES
                .iter()
                .fold(line.to_owned(), |line, (inside, page)| replace_aligned(&line, inside, page)),
        }
    }
}

/// Replaces a text by a shorter or longer one; what the columns lose behind it they get back as blanks.
fn replace_aligned(line: &str, from: &str, to: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(from) {
        text = text + &rest[..at] + to;
        rest = &rest[at + from.len()..];
        let word = rest.find(' ').unwrap_or(rest.len());
        if rest[word..].starts_with("  ") && from.len() > to.len() {
            text = text + &rest[..word] + &" ".repeat(from.len() - to.len());
            rest = &rest[word..];
        }
    }
    text + rest
}

/// The machine where plugins are built, in a directory beside a clone of the sources.
struct Builder {
    directory: PathBuf,
}

impl Builder {
    /// What pages have cargo do, with what the tests have already: no registry is asked, the program that packages plugins is the
    /// one that packaged those that are shipped, and it puts them into `out`. `scripts/toolchains.sh` has run the commands for
    /// toolchains of other languages, and what they made is there.
    const CARGO: &str = "
        rustup() { :; }
        cargo() {
            case $1 in
            generate-lockfile) cp ../bootc-image/Cargo.lock .; command cargo update --quiet --offline --workspace ;;
            run)
                while [ \"$1\" != -- ]; do shift; done
                shift 2
                \"$PACKAGE_PLUGINS\" out \"$@\" >build.log 2>&1 || { cat build.log; return 1; } ;;
            *) command cargo \"$@\" --offline ;;
            esac
        }
        made() { while [ $# -gt 0 ]; do [ \"$1\" != -o ] || cp \"$TOOLCHAIN/$2\" \"$2\" || return; shift; done; }
        export -f made
        python3() {
            mkdir -p tools/bin
            printf '#!/bin/bash\\n' >tools/bin/pip
            printf '#!/bin/bash\\nmade \"$@\" && echo Component built successfully\\n' >tools/bin/componentize-py
            chmod +x tools/bin/*
        }
        npm() { :; }
        npx() { made \"$@\"; }
        last=0
    ";

    /// With the files that the tutorial shows of its crate, for this one, if one is named.
    fn new(page: &str, package: &str) -> Self {
        let guides = programs::target().join("guides");
        let directory = guides.join(page);
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).unwrap();
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
        let clone = guides.join("bootc-image");
        if std::fs::read_link(&clone).ok().as_ref() != Some(&sources) {
            let _ = std::fs::remove_file(&clone);
            // Another test may have made it.
            let _ = std::os::unix::fs::symlink(sources, &clone);
        }
        let builder = Self { directory };
        if !package.is_empty() {
            let tutorial = std::fs::read_to_string(docs().join("tutorial/first-policy.md")).unwrap();
            for step in Page::parse(&tutorial).steps {
                match step {
                    Step::File { path, content } if path.ends_with("Cargo.toml") => {
                        builder.write(
                            &path.replace("keep-local", package),
                            &content.replace("keep-local", package),
                        );
                    }
                    _ => {}
                }
            }
        }
        builder
    }

    /// The last word of the page's name.
    fn language(&self) -> String {
        let page = self.directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        page.rsplit('-').next().unwrap_or_default().to_owned()
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.directory.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn run(&self, steps: &[&Step]) -> Vec<Printed> {
        let mut script = Self::CARGO.to_owned();
        for step in steps {
            match step {
                Step::File { path, content } => self.write(path, content),
                Step::Command(command) => {
                    let text = &command.text;
                    script += &format!(
                        "printf '{MARK}\\n'; (exit $last); {{ {text}\n}} 2>&1; last=$?; printf '{MARK}%s\\n' $last\n"
                    );
                }
                Step::Hidden(_) => {}
            }
        }
        let target = programs::target();
        let output = Command::new("bash")
            .args(["-c", &script])
            .current_dir(&self.directory)
            .env("CARGO_TARGET_DIR", &target)
            .env("CARGO_NET_OFFLINE", "true")
            .env("PACKAGE_PLUGINS", programs::required("package-plugins"))
            .env("TOOLCHAIN", target.join("toolchains").join(self.language()))
            .output()
            .unwrap();
        parts(&String::from_utf8_lossy(&output.stdout), Names::World, &self.directory.display().to_string())
    }

    /// What was built is on the host, where the pages say that it is.
    fn bring(&self, mut enter: Enter) -> Enter {
        let mut directories = vec![self.directory.join("out")];
        while let Some(directory) = directories.pop() {
            for path in std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path())
            {
                if path.is_dir() {
                    directories.push(path);
                    continue;
                }
                let below = path.strip_prefix(self.directory.join("out")).unwrap().display();
                let content = std::fs::read(&path).unwrap();
                let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
                // With an interpreter inside, which takes long to compile.
                if path.extension().is_some_and(|name| name == "wasm") && content.len() > 1 << 20 {
                    enter = toolchains::cached(enter, &content);
                }
                for place in ["/root/out", "/run/share"] {
                    enter = enter.file_with_mode(&format!("{place}/{below}"), &content, mode);
                }
            }
        }
        enter
    }
}

#[test]
fn names_are_exchanged_and_columns_stay() {
    let line = "127.0.0.1:5000/lab/app  1  a";
    assert_eq!(Names::Example.outside(line), "quay.io/example/app     1  a");
    let text = "registry = [\"quay.io\"], repository = [\"example/os\"], quay.io/example/os:1";
    let inside = Names::Example.inside(text);
    assert_eq!(inside, "registry = [\"127.0.0.1:5000\"], repository = [\"lab/os\"], 127.0.0.1:5000/lab/os:1");
    assert_eq!(Names::Example.outside(&inside), text);
    assert_eq!(guide::masked(line), "127.0.0.1:5000/lab/app 1 a");
}
