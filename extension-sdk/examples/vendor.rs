//! A native extension in Rust that has all three parts: a policy, a formatter and a command. A plugin has one role, so this library
//! can be used by three manifests.

use std::io::Write as _;

use bootc_image_extension::{
    Command, Failure, Formatter, Host, Level, List, Operation, Out, Plan, Policy, Problem, Rows, Verdict,
    export_extension,
};

/// Images must be fetched by digest, unless their repository is the one in the setting `trusted`.
struct Pinned;

impl Policy for Pinned {
    fn evaluate(&self, host: &Host<'_>, operation: &Operation) -> Result<Verdict, Problem> {
        let trusted = host.setting("trusted").unwrap_or_default();
        let is_trusted = |repository: &str| trusted.trim_matches('"') == repository;
        // Only sources are fetched; targets are pushed.
        let read = operation.images.iter().filter(|image| image.role == "source");
        let mut fetched =
            read.filter_map(|image| image.name.as_ref()).filter(|name| name.transport == "docker");
        let unpinned = fetched.find(|name| name.digest.is_none() && !is_trusted(&name.repository));
        Ok(match unpinned {
            Some(name) => Verdict::deny("not-pinned", "images must be fetched by digest")
                .with_attr("image", &name.canonical),
            None => Verdict::allow("every image is fetched by digest or trusted"),
        })
    }
}

/// Prints one row per line, with a bar between its cells, and then the number of rows.
struct Bars;

impl Formatter for Bars {
    fn format(
        &self,
        host: &Host<'_>,
        list: &List,
        rows: &mut Rows<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), Problem> {
        let separator = match list.option("argument") {
            None => " | ",
            Some(separator) if separator.chars().count() == 1 => separator,
            Some(_) => {
                return Err(Problem::usage(
                    "the argument of the format, the separator between cells, must be one character",
                ));
            }
        };
        let mut count = 0;
        let mut print =
            |line: String| writeln!(out, "{line}").map_err(|error| Problem::new("output", error.to_string()));
        print(list.columns.join(separator))?;
        for row in rows {
            print(row.join(separator))?;
            count += 1;
        }
        host.log(Level::Debug, &format!("{count} rows"));
        print(format!("{count} images"))
    }
}

/// podman's `history` of one image, without truncation.
struct History;

impl Command for History {
    fn plan(&self, _: &Host<'_>, name: &str, args: &[String]) -> Result<Plan, Failure> {
        let [image] = args else {
            return Err(Failure::Failed(Problem::usage(format!("`{name}` takes one image"))));
        };
        let argv = [name, "--no-trunc", image].map(str::to_owned).to_vec();
        Ok(Plan { argv, message: "The newest layer comes first.".to_owned() })
    }
}

export_extension!(policy: Pinned, formatter: Bars, command: History);
