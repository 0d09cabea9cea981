//! Help text that is not clap's: it is wrapped to the terminal's width as clap does it.

use unicode_width::UnicodeWidthStr as _;

use crate::called::OWN_NAME;
use crate::settings;

/// Help has no longer lines, however wide the terminal is.
pub(crate) const WIDEST: usize = 100;
/// In a narrower terminal, lines are as long as in one with so many columns.
const NARROWEST: usize = 20;
/// The indentation of a description that does not fit beside what it describes, in addition to that of the line.
const BELOW: usize = 8;

/// The text, wrapped to the width of the terminal.
pub(crate) fn fitted(text: &str) -> String {
    let streams = [rustix::stdio::stdout(), rustix::stdio::stderr(), rustix::stdio::stdin()];
    let size = streams.into_iter().find_map(|stream| rustix::termios::tcgetwinsize(stream).ok());
    let columns = size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
    wrapped(text, columns.or_else(settings::columns).unwrap_or(WIDEST))
}

fn wrapped(text: &str, width: usize) -> String {
    let width = width.clamp(NARROWEST, WIDEST);
    text.lines().map(|line| wrapped_line(line, width) + "\n").collect()
}

fn wrapped_line(line: &str, width: usize) -> String {
    let content = line.trim_start();
    let indent = line.len() - content.len();
    let (first, description) = content.split_once("  ").unwrap_or(("", content));
    let description = description.trim_start();
    let column = line.width() - description.width();
    // All options of a command have the same column, so either all descriptions go below, or none.
    let fits = line.width() <= width && (first.is_empty() || indent == 0 || column <= width / 2);
    // A command line has to stay one, so that it can be copied.
    if fits || content.starts_with(&format!("{OWN_NAME} ")) {
        return line.to_owned();
    }
    if first.is_empty() {
        let below = if content.starts_with("# ") { indent + 2 } else { indent };
        return words(line.get(..indent).unwrap_or_default(), description, below, width);
    }
    if column > width / 2 {
        let below = indent + BELOW;
        let head = line.get(..indent + first.len()).unwrap_or_default();
        return format!("{head}\n{}", words(&" ".repeat(below), description, below, width));
    }
    words(line.get(..line.len() - description.len()).unwrap_or_default(), description, column, width)
}

/// The words after `start`; the lines after the first begin at this column.
fn words(start: &str, text: &str, column: usize, width: usize) -> String {
    let mut lines = start.to_owned();
    let mut used = start.width();
    let mut is_first = true;
    for word in text.split_whitespace() {
        if !is_first && used + 1 + word.width() > width {
            lines.push('\n');
            lines.push_str(&" ".repeat(column));
            used = column;
        } else if !is_first {
            lines.push(' ');
            used += 1;
        }
        is_first = false;
        lines.push_str(word);
        used += word.width();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Run a podman image subcommand on the storage of bootc\n\n\
                        Usage: bootc-image cmd pull [OPTIONS] IMAGE\n\n\
                        Options:\n      --authfile VALUE  file with credentials\n  -q, --quiet           print only the id of the image\n\n\
                        Examples:\n  # Show who allows or denies the pull, without running it\n  \
                        bootc-image policy explain cmd pull quay.io/example/app:1\n";

    #[test]
    fn descriptions_stay_in_their_column_or_go_below() {
        assert_eq!(wrapped(TEXT, 250), TEXT);
        insta::assert_snapshot!(wrapped(TEXT, 50), @r"
        Run a podman image subcommand on the storage of
        bootc

        Usage: bootc-image cmd pull [OPTIONS] IMAGE

        Options:
              --authfile VALUE  file with credentials
          -q, --quiet           print only the id of the
                                image

        Examples:
          # Show who allows or denies the pull, without
            running it
          bootc-image policy explain cmd pull quay.io/example/app:1
        ");
        insta::assert_snapshot!(wrapped(TEXT, 40), @r"
        Run a podman image subcommand on the
        storage of bootc

        Usage: bootc-image cmd pull [OPTIONS]
        IMAGE

        Options:
              --authfile VALUE
                      file with credentials
          -q, --quiet
                  print only the id of the image

        Examples:
          # Show who allows or denies the pull,
            without running it
          bootc-image policy explain cmd pull quay.io/example/app:1
        ");
    }
}
