//! `docs/cli.md` has the help texts of the program. After a change: `BLESS=1 cargo test --test reference`.

use std::fmt::Write as _;

use bootc_image_tests::World;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");

const HEAD: &str = "# Command line\n\n\
    The help text of every command, as `--help` prints it. A test compares this page with the program.\n";

#[test]
fn the_page_is_what_the_program_says() {
    let world = World::new();
    let help = |words: &[&str]| {
        let command = [&["bootc-image"], words, &["--help"]].concat();
        world.enter().run(&command).ok().stdout
    };
    let mut page = HEAD.to_owned();
    let mut describe = |words: &[&str]| {
        let text = help(words);
        let title = std::iter::once("bootc-image").chain(words.iter().copied()).collect::<Vec<_>>().join(" ");
        let _ = write!(page, "\n## {title}\n\n```text\n{}\n```\n", text.trim_end());
        text
    };
    let commands = listed(&describe(&[]), "Commands:");
    assert!(commands.len() >= 5, "{commands:?}");
    for command in commands.iter().filter(|command| *command != "help") {
        let text = describe(&[command]);
        for subcommand in listed(&text, "Subcommands of enabled plugins:") {
            describe(&[command, &subcommand]);
        }
        for subcommand in listed(&text, "Commands:").iter().filter(|subcommand| *subcommand != "help") {
            describe(&[command, subcommand]);
        }
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(PAGE, &page).unwrap();
    }
    let kept = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(kept == page, "docs/cli.md is out of date; update it with: BLESS=1 cargo test --test reference");
}

/// The first words of the lines below a heading.
fn listed(help: &str, heading: &str) -> Vec<String> {
    let below = help.lines().skip_while(|line| *line != heading).skip(1);
    let entries = below.take_while(|line| line.starts_with("  "));
    entries
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}
