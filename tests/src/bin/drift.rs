//! Finds every option that the machine's podman knows for the subcommands that have a table, and writes it down in
//! `tests/drift`. Takes some ten minutes.

use bootc_image_tests::drift::{Record, SUBCOMMANDS, ask, version, words};

fn main() -> anyhow::Result<()> {
    let words = words()?;
    let questions =
        SUBCOMMANDS.iter().flat_map(|&subcommand| words.iter().map(move |word| (subcommand, word.as_str())));
    let record = Record { version: version(), known: ask(questions) };
    println!("podman {}: {} words, {} options", record.version, words.len(), record.known.len());
    record.write()
}
