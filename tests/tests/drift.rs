//! The grammar's tables against what podman's own parser knows.

use std::collections::BTreeSet;

use bootc_image_grammar::{Arity, GLOBAL, TABLES, Table};
use bootc_image_tests::drift::{Known, Record, SUBCOMMANDS, Takes, ask, version};

fn table(subcommand: &str) -> &'static Table {
    TABLES.iter().find(|table| table.subcommand == subcommand).unwrap()
}

fn takes(arity: Arity) -> Takes {
    match arity {
        Arity::Switch => Takes::Nothing,
        Arity::Optional => Takes::Optionally,
        Arity::One | Arity::Many => Takes::Always,
    }
}

#[test]
fn every_table_is_compared() {
    assert_eq!(TABLES.iter().map(|table| table.subcommand).collect::<Vec<_>>(), SUBCOMMANDS);
    let versions: Vec<String> = Record::all().into_iter().map(|record| record.version).collect();
    assert!(versions.iter().any(|version| version.starts_with("4.3")), "{versions:?}");
    assert!(versions.iter().any(|version| version.starts_with("5.")), "{versions:?}");
}

/// What podman knows, hidden or not, is in the table with the right arity, or one of podman's own options. What only other
/// spellings of an option are for is refused like everything unknown, and needs no table.
#[test]
fn whatever_podman_knows_is_in_a_table_or_podmans_own() {
    for record in Record::all() {
        for known in &record.known {
            match table(&known.subcommand).long(&known.name) {
                Some(flag) => {
                    assert_eq!(takes(flag.arity), known.takes, "podman {}: {known}", record.version)
                }
                None => assert!(GLOBAL.contains(&known.name.as_str()), "podman {}: {known}", record.version),
            }
        }
    }
}

#[test]
fn whatever_is_in_a_table_some_podman_knows() {
    let records = Record::all();
    let known = |subcommand: &str, name: &str| {
        records
            .iter()
            .flat_map(|record| &record.known)
            .any(|known| known.subcommand == subcommand && known.name == name)
    };
    for table in TABLES {
        for flag in table.flags {
            assert!(known(table.subcommand, flag.name), "{} --{}", table.subcommand, flag.name);
        }
    }
    for name in GLOBAL {
        assert!(known("list", name) || known("history", name), "{name}");
    }
}

/// The record is about the podman that is here, and still true.
#[test]
fn the_installed_podman_is_as_recorded() {
    let version = version();
    let records = Record::all();
    let record = records.iter().find(|record| record.version == version);
    let record = record.unwrap_or_else(|| panic!("there is no record of podman {version}: run `make drift`"));
    let mut questions: BTreeSet<(&str, &str)> = BTreeSet::new();
    for table in TABLES {
        questions.extend(table.flags.iter().map(|flag| (table.subcommand, flag.name)));
        questions.extend(GLOBAL.iter().map(|name| (table.subcommand, *name)));
    }
    let asked = |known: &&Known| questions.contains(&(known.subcommand.as_str(), known.name.as_str()));
    let expected: BTreeSet<Known> = record.known.iter().filter(asked).cloned().collect();
    assert_eq!(ask(questions.iter().copied()), expected);
}
