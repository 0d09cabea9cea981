//! Pages of the documentation that are run: their commands, the files that they show, and the output that they promise.
//!
//! - A `console` block has commands, `# COMMAND` for root and `$ COMMAND` for a user, each with its output below. A command
//!   whose line ends in `\` goes on in the next line, and one with `<<'END'` up to the line `END`. A line `...` stands for any
//!   lines.
//! - A block in another language is a file if its first line is a comment that is nothing but a name, such as
//!   `# /etc/bootc-image/config.d/50-site.toml` or `// plugins/names/src/lib.rs`.
//! - `<!-- test: COMMAND -->` is run by the test and not shown to readers. `<!-- $: builder -->` says that commands of users
//!   run on the machine where plugins are built, and that files without a leading `/` are there; `<!-- $: builder NAME -->` that
//!   there is a crate of this name already.
//! - A block below `<!-- not run: REASON -->` is left out, as is a whole page without commands that says so.

use std::fmt::Write as _;

pub mod expected;

pub use expected::{Expected, masked};

/// A page, cut into what is done with it.
#[derive(Debug, Default)]
pub struct Page {
    lines: Vec<String>,
    /// How many of them are comments.
    comments: usize,
    pub steps: Vec<Step>,
    /// Why blocks are left out.
    pub not_run: Vec<String>,
    /// Commands of users run on the machine where plugins are built, on which there is this crate.
    pub builder: Option<String>,
}

/// Something that the page has done, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    File {
        path: String,
        content: String,
    },
    /// A command that only the test runs.
    Hidden(String),
    Command(Command),
}

/// A command that readers see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub as_root: bool,
    pub text: String,
    pub expected: Expected,
    /// Which lines of the page have the output, from the first to the one behind the last.
    lines: (usize, usize),
}

impl Page {
    /// Reads the text of a page. Panics if a block has no end.
    pub fn parse(text: &str) -> Self {
        let mut page = Self { lines: text.lines().map(str::to_owned).collect(), ..Self::default() };
        let mut at = 0;
        let mut left_out = false;
        while let Some(line) = page.lines.get(at).cloned() {
            if let Some(language) = line.strip_prefix("```") {
                let end = page.end_of_block(at + 1);
                match language {
                    _ if left_out => {}
                    "console" => page.read_console(at + 1, end),
                    _ => page.read_file(at + 1, end),
                }
                left_out = false;
                at = end + 1;
            } else if line.starts_with("<!--") {
                let end = page.end_of_comment(at);
                left_out |= page.read_comment(at, end);
                page.comments += end + 1 - at;
                at = end + 1;
            } else {
                at += 1;
            }
        }
        page
    }

    pub fn commands(&self) -> impl Iterator<Item = &Command> {
        self.steps.iter().filter_map(|step| match step {
            Step::Command(command) => Some(command),
            Step::File { .. } | Step::Hidden(_) => None,
        })
    }

    /// How many lines readers see of the page.
    pub fn length(&self) -> usize {
        self.lines.len() - self.comments
    }

    /// The first line.
    pub fn title(&self) -> &str {
        self.lines.first().map_or("", String::as_str)
    }

    /// The page with what the commands have printed, in their order, in the place of what it promises. What is as promised stays
    /// as it is.
    pub fn blessed<'a>(&self, printed: impl IntoIterator<Item = &'a [String]>) -> String {
        let mut text = String::new();
        let mut next = 0;
        for (command, printed) in self.commands().zip(printed) {
            let (start, end) = command.lines;
            let lines = self.lines[next..start].iter().cloned();
            let output = command.expected.blessed(printed);
            lines.chain(output).for_each(|line| writeln!(text, "{line}").expect("a text takes lines"));
            next = end;
        }
        self.lines[next..].iter().for_each(|line| writeln!(text, "{line}").expect("a text takes lines"));
        text
    }

    fn end_of_block(&self, start: usize) -> usize {
        let end = self.lines.iter().skip(start).position(|line| line == "```");
        start + end.unwrap_or_else(|| panic!("{}: a block without an end", self.title()))
    }

    fn end_of_comment(&self, start: usize) -> usize {
        let end = self.lines.iter().skip(start).position(|line| line.ends_with("-->"));
        start + end.unwrap_or_else(|| panic!("{}: a comment without an end", self.title()))
    }

    /// Whether the block below is left out.
    fn read_comment(&mut self, start: usize, end: usize) -> bool {
        let text = self.lines[start..=end].join("\n");
        let text = text.trim_start_matches("<!--").trim_end_matches("-->").trim();
        if let Some(command) = text.strip_prefix("test:") {
            self.steps.push(Step::Hidden(command.trim().to_owned()));
        } else if let Some(reason) = text.strip_prefix("not run:") {
            self.not_run.push(reason.trim().to_owned());
            return true;
        } else if let Some(package) = text.strip_prefix("$: builder") {
            self.builder = Some(package.trim().to_owned());
        }
        false
    }

    fn read_file(&mut self, start: usize, end: usize) {
        let Some(path) = self.lines[start..end].first().and_then(|line| named_in(line)) else { return };
        let content = self.lines[start..end].iter().fold(String::new(), |text, line| text + line + "\n");
        self.steps.push(Step::File { path: path.to_owned(), content });
    }

    fn read_console(&mut self, start: usize, end: usize) {
        let mut at = start;
        while at < end {
            let line = &self.lines[at];
            let (as_root, text) = match (line.strip_prefix("# "), line.strip_prefix("$ ")) {
                (Some(text), _) => (true, text),
                (_, Some(text)) => (false, text),
                _ => {
                    assert!(line.is_empty(), "{}: output without a command: {line}", self.title());
                    at += 1;
                    continue;
                }
            };
            let mut text = text.to_owned();
            let goes_on =
                |text: &str| text.ends_with('\\') || text.contains("<<'END'") && !text.ends_with("\nEND");
            while goes_on(&text) && at + 1 < end {
                at += 1;
                text = format!("{text}\n{}", self.lines[at]);
            }
            at += 1;
            let is_prompt = |line: &String| line.starts_with("# ") || line.starts_with("$ ");
            let output = self.lines[at..end].iter().position(is_prompt).map_or(end, |length| at + length);
            // Blank lines in front of the next command belong to nobody.
            let blank = self.lines[at..output].iter().rev().take_while(|line| line.is_empty()).count();
            let lines = (at, output - blank);
            let expected = Expected::of(&self.lines[lines.0..lines.1]);
            self.steps.push(Step::Command(Command { as_root, text, expected, lines }));
            at = output;
        }
    }
}

/// The file that a comment names: one word with a `/` or a `.` in it, and nothing else.
fn named_in(line: &str) -> Option<&str> {
    let name = line.strip_prefix("# ").or_else(|| line.strip_prefix("// "))?;
    let is_name = |name: &str| !name.contains(char::is_whitespace) && name.contains(['/', '.']);
    (is_name(name) || name == "Containerfile").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# How to do it\n\n\
        <!-- test: mkdir\n/x -->\n\n\
        ```toml\n# /etc/x.toml\na = 1\n```\n\n\
        ```console\n# one \\\n    two\nprinted\n...\n\n$ three\n```\n\n\
        <!-- not run: it reboots -->\n\n```console\n# reboot\n```\n\n\
        ```text\nplain\n```\n";

    #[test]
    fn a_page_is_cut_into_steps() {
        let page = Page::parse(PAGE);
        let [hidden, file, first, second] = &page.steps[..] else { panic!("{:#?}", page.steps) };
        assert_eq!(*hidden, Step::Hidden("mkdir\n/x".to_owned()));
        let content = "# /etc/x.toml\na = 1\n".to_owned();
        assert_eq!(*file, Step::File { path: "/etc/x.toml".to_owned(), content });
        let (Step::Command(first), Step::Command(second)) = (first, second) else { panic!("{page:#?}") };
        assert_eq!((first.as_root, first.text.as_str()), (true, "one \\\n    two"));
        assert_eq!((second.as_root, second.text.as_str(), page.commands().count()), (false, "three", 2));
        assert_eq!(page.not_run, ["it reboots"]);
    }

    #[test]
    fn a_command_may_take_several_lines() {
        let page = Page::parse("```console\n# cat >a <<'END'\n# b\n\nEND\n# c\n```\n");
        let texts: Vec<&str> = page.commands().map(|command| command.text.as_str()).collect();
        assert_eq!(texts, ["cat >a <<'END'\n# b\n\nEND", "c"]);
    }

    #[test]
    fn only_what_differs_is_blessed() {
        let page = Page::parse(PAGE);
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let same = [lines("printed\nmore\nmore"), lines("")];
        assert_eq!(page.blessed(same.iter().map(Vec::as_slice)), PAGE);
        let other = [lines("other\nmore"), lines("x")];
        let blessed = page.blessed(other.iter().map(Vec::as_slice));
        let expected = PAGE.replace("printed\n...", "other\n...").replace("$ three\n", "$ three\nx\n");
        assert_eq!(blessed, expected);
    }

    #[test]
    fn a_comment_names_a_file_or_says_something() {
        assert_eq!(named_in("# /etc/a.toml"), Some("/etc/a.toml"));
        assert_eq!(named_in("// src/lib.rs"), Some("src/lib.rs"));
        assert_eq!(named_in("# Containerfile"), Some("Containerfile"));
        for other in ["# a comment.", "[policy]", "# comment", "#!/bin/sh"] {
            assert_eq!(named_in(other), None, "{other}");
        }
    }
}
