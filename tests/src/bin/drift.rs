//! Finds every option that the machine's podman knows for the subcommands that have a table, and writes it down in
//! `tests/drift`. Takes some ten minutes; with names of subcommands only these are asked for again.

use bootc_image_tests::drift::{Record, SUBCOMMANDS, ask, version, words};

fn main() -> anyhow::Result<()> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let asked = |subcommand: &str| given.is_empty() || given.iter().any(|given| given == subcommand);
    let (words, version) = (words()?, version());
    let questions = SUBCOMMANDS
        .iter()
        .filter(|subcommand| asked(subcommand))
        .flat_map(|&subcommand| words.iter().map(move |word| (subcommand, word.as_str())));
    let mut known = ask(questions);
    let earlier = Record::all().into_iter().filter(|record| record.version == version);
    known.extend(earlier.flat_map(|record| record.known).filter(|known| !asked(&known.subcommand)));
    println!("podman {version}: {} words, {} options", words.len(), known.len());
    Record { version, known }.write()
}
