//! A native extension in Rust that is all three: a policy, a formatter and a command. A plugin has one role, so three manifests
//! can name this library.

use std::io::Write as _;

use bootc_image_extension::{
    Command, Failure, Formatter, Host, Level, List, Operation, Out, Plan, Policy, Problem, Rows, Verdict,
    export_extension,
};

/// What is fetched must be named by its digest, unless its repository is the setting `trusted`.
struct Pinned;

impl Policy for Pinned {
    fn evaluate(&self, host: &Host<'_>, operation: &Operation) -> Result<Verdict, Problem> {
        let trusted = host.setting("trusted").unwrap_or_default();
        let is_trusted = |repository: &str| trusted.trim_matches('"') == repository;
        // What is read from a registry is fetched; what is sent to one isn't.
        let read = operation.images.iter().filter(|image| image.role == "source");
        let mut fetched =
            read.filter_map(|image| image.name.as_ref()).filter(|name| name.transport == "docker");
        let unpinned = fetched.find(|name| name.digest.is_none() && !is_trusted(&name.repository));
        Ok(match unpinned {
            Some(name) => Verdict::deny("not-pinned", "what is fetched must be named by its digest")
                .with_attr("image", &name.canonical),
            None => Verdict::allow("everything is named by its digest, or trusted"),
        })
    }
}

/// One row a line: its cells with a bar between them, and their number at the end.
struct Bars;

impl Formatter for Bars {
    fn format(
        &self,
        host: &Host<'_>,
        list: &List,
        rows: &mut Rows<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), Problem> {
        let between = match list.option("argument") {
            None => " | ",
            Some(between) if between.chars().count() == 1 => between,
            Some(_) => return Err(Problem::usage("what stands between the cells is one character")),
        };
        let mut count = 0;
        let mut print =
            |line: String| writeln!(out, "{line}").map_err(|error| Problem::new("output", error.to_string()));
        print(list.columns.join(between))?;
        for row in rows {
            print(row.join(between))?;
            count += 1;
        }
        host.log(Level::Debug, &format!("{count} rows"));
        print(format!("{count} images"))
    }
}

/// podman's `history` of one image, with nothing cut off.
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
