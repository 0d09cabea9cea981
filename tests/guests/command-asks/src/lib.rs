//! Asks the host for what its setting `do` says, and tells what came of it in the message of a plan for nothing.

use bootc_image_plugin_sdk::command::{Command, Plan};
use bootc_image_plugin_sdk::images::{copy_to_storage, list, pull_from_default_storage};
use bootc_image_plugin_sdk::{Failure, config, export_command};

struct Asks;

impl Command for Asks {
    fn plan(name: &str, args: &[String]) -> Result<Plan, Failure> {
        let what = config::get("do").unwrap_or_default();
        let told = match what.trim_matches('"') {
            "list" => rows(&list(&["image_type", "image", "digest"], &[])?),
            "list-some" => {
                rows(&list(&["image"], &[("type", "unified"), ("image", "127.0.0.1:5000/*/app")])?)
            }
            "bad-column" => rows(&list(&["colour"], &[])?),
            "columns-twice" => rows(&list(&["id"; 100_000], &[])?),
            "bad-type" => rows(&list(&["image"], &[("type", "red")])?),
            "copy-and-tell" => format!("{:?}", copy_to_storage(None, Some("localhost/copied:1"))),
            "bad-filter" => rows(&list(&["image"], &[("colour", "red")])?),
            "copy" => format!("{:?}", copy_to_storage(None, Some("localhost/copied:1"))?),
            "copy-outside" => format!("{:?}", copy_to_storage(None, Some("localhost/bootc"))?),
            "copy-missing" => {
                format!("{:?}", copy_to_storage(Some("127.0.0.1:5000/lab/none:1"), Some("localhost/copied"))?)
            }
            "copy-missing-outside" => {
                format!("{:?}", copy_to_storage(Some("quay.io/none/none:1"), Some("localhost/copied"))?)
            }
            "copy-there-outside" => {
                format!("{:?}", copy_to_storage(Some("localhost/app:stable"), Some("localhost/copied"))?)
            }
            "pull" => format!("{:?}", pull_from_default_storage("localhost/mine:1")?),
            "pull-outside" => format!("{:?}", pull_from_default_storage("127.0.0.1:5000/lab/app:1")?),
            "go-on" => match copy_to_storage(None, Some("localhost/bootc")) {
                Err(Failure::Denied(denial)) => format!("went on in spite of {}", denial.code),
                other => format!("{other:?}"),
            },
            "many" => {
                for _ in 0..10_000 {
                    list(&["image"], &[("type", "logical")])?;
                }
                "asked 10000 times".to_owned()
            }
            "copy-and-loop" => {
                copy_to_storage(None, Some("localhost/copied:1"))?;
                loop {
                    std::hint::black_box(());
                }
            }
            "copy-and-plan" => {
                copy_to_storage(None, Some("localhost/copied:1"))?;
                return Ok(planned(name, &[], args));
            }
            // Goes on in a dry run.
            "copy-twice-and-plan" => {
                for copied in [
                    copy_to_storage(None, Some("localhost/copied:1")),
                    pull_from_default_storage("localhost/mine:1"),
                ] {
                    match copied {
                        Err(Failure::Failed(problem)) if problem.code == "dry-run" => {}
                        copied => drop(copied?),
                    }
                }
                return Ok(planned(name, &[], args));
            }
            "nul" => return Ok(planned(name, &["--format=a\0b"], args)),
            "again" => return Ok(planned("cmd", &[name], args)),
            "remove" => return Ok(planned("rm", &[], args)),
            _ => "nothing".to_owned(),
        };
        Ok(Plan::nothing().with_message(told))
    }
}

fn planned(name: &str, more: &[&str], args: &[String]) -> Plan {
    Plan::run(std::iter::once(name).chain(more.iter().copied()).chain(args.iter().map(String::as_str)))
}

fn rows(rows: &[Vec<String>]) -> String {
    rows.iter().map(|row| row.join(" ")).collect::<Vec<_>>().join("; ")
}

export_command!(Asks);
