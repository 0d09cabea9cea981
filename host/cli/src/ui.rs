//! The only door to the terminal: stdout is data, stderr is talk.

use std::cell::Cell;
use std::error::Error;
use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;

use bootc_image_engine::sanitize;
use bootc_image_os::children;
use bootc_image_os::error::{size, with_causes};
use bootc_image_os::talk::Talk;
use indicatif::{ProgressBar, ProgressStyle};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::exit::{FAILED, Failure, OK};
use crate::options::LogFormat;
use crate::stdout;
use crate::streams::Stoppable;

/// What is said where there is no terminal: how far it is, every so many bytes.
const SAY_EVERY: u64 = 256 << 20;

/// Says things.
pub(crate) struct Ui {
    quiet: bool,
    /// On a terminal, how far the current step is.
    bar: ProgressBar,
    /// Elsewhere, how far it was when that was said.
    said: Cell<u64>,
    /// Whether stderr could be written so far; if not there is nobody left to tell.
    deaf: Cell<bool>,
}

impl Ui {
    pub(crate) fn new(quiet: bool) -> Self {
        let bar = if quiet || !io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            ProgressBar::no_length().with_style(bar_style())
        };
        Self { quiet, bar, said: Cell::new(0), deaf: Cell::new(false) }
    }

    /// Runs the program's body; what it returns becomes the exit code.
    pub(crate) fn finish(&self, body: impl FnOnce(&Self) -> u8) -> ExitCode {
        ExitCode::from(body(self))
    }

    /// Writes data to stdout.
    pub(crate) fn data(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
        stdout::check_open().map_err(Failure::Stdout)?;
        let mut out = io::BufWriter::new(Stoppable::stdout());
        let written = write(&mut out).and_then(|()| out.flush());
        // What is left of it isn't written when the buffer is dropped.
        drop(out.into_parts());
        written.map_err(|error| match children::check_not_asked_to_end() {
            Err(interrupted) => interrupted.into(),
            Ok(()) => Failure::Stdout(error),
        })
    }

    /// Writes a text that was asked for to stdout.
    pub(crate) fn text(&self, text: &str) -> Result<u8, Failure> {
        self.data(|out| out.write_all(text.as_bytes())).map(|()| OK)
    }

    /// An error with its causes, and what to do next.
    pub(crate) fn error(&self, error: &dyn Error, hint: Option<&str>) {
        self.line(&format!("error: {}", with_causes(error)));
        if let Some(hint) = hint {
            self.line(&format!("  hint: {hint}"));
        }
    }

    /// Something that went differently than it was asked for.
    pub(crate) fn warning(&self, warning: &dyn Error, instead: &str) {
        self.line(&format!("warning: {}; {instead}", with_causes(warning)));
    }

    /// A part of the answer that is missing.
    pub(crate) fn problem(&self, error: &dyn Error, hint: Option<&str>) -> u8 {
        self.error(error, hint);
        FAILED
    }

    /// A refusal: one line, the last, so that it can be told from podman's own words (D10.6).
    pub(crate) fn denied(&self, error: &dyn Error, hint: Option<&str>) {
        let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        self.line(&format!("bootc-image: denied: {}{hint}", with_causes(error)));
    }

    /// Text as it is.
    pub(crate) fn plain(&self, text: &str) {
        self.write(&sanitize::lines(text.trim_end()));
    }

    fn line(&self, text: &str) {
        let (start, rest) = text.split_at(text.len() - text.trim_start().len());
        let text = format!("{start}{}", sanitize::sanitize(rest));
        let text = width().map_or_else(|| text.clone(), |width| continued(&text, width));
        self.write(&(text + "\n"));
    }

    fn write(&self, text: &str) {
        self.bar.finish_and_clear();
        if !self.deaf.get() && Stoppable::stderr().write_all(text.as_bytes()).is_err() {
            self.deaf.set(true);
        }
    }
}

impl Talk for Ui {
    fn note(&self, message: &str) {
        self.line(&format!("note: {message}"));
    }

    fn progress(&self, message: &str) {
        if !self.quiet {
            self.line(message);
        }
        self.bar.reset();
        self.said.set(0);
    }

    fn advance(&self, done: u64, total: u64) {
        if !self.bar.is_hidden() {
            self.bar.set_length(total.max(done));
            self.bar.set_position(done);
        } else if !self.quiet && done >= self.said.get() + SAY_EVERY {
            self.said.set(done);
            let of = if total > done { format!(" of {}", size(total)) } else { String::new() };
            self.line(&format!("  {}{of}", size(done)));
        }
    }
}

impl Drop for Ui {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("  [{bar:40}] {bytes} of {total_bytes}, {bytes_per_sec}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("#> ")
}

/// Log lines, which may have a plugin's text in them, broken as everything else is that is said.
struct LogLines;

impl Write for LogLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match width() {
            None => Stoppable::stderr().write_all(bytes)?,
            Some(width) => {
                let text = String::from_utf8_lossy(bytes);
                let lines: String = text.lines().map(|line| continued(line, width) + "\n").collect();
                Stoppable::stderr().write_all(lines.as_bytes())?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How many columns the terminal has to which is talked, if there is one.
fn width() -> Option<usize> {
    if !io::stderr().is_terminal() {
        return None;
    }
    let columns = rustix::termios::tcgetwinsize(rustix::stdio::stderr()).ok()?.ws_col;
    Some(usize::from(columns)).filter(|columns| *columns >= NARROWEST)
}

/// On less nothing can be read anyway.
const NARROWEST: usize = 20;
/// In front of what doesn't fit into one line: only the host begins a line at its start, whatever a plugin's text has in it.
const CONTINUED: &str = "    ";

/// The text in lines of at most so many columns, broken at blanks where that is possible.
fn continued(text: &str, width: usize) -> String {
    let mut lines = String::new();
    let (mut line, mut columns) = (String::new(), 0);
    for word in text.split_inclusive(' ') {
        if columns + word.trim_end().width() > width && !line.trim().is_empty() {
            lines.push_str(line.trim_end());
            lines.push('\n');
            (line, columns) = (CONTINUED.to_owned(), CONTINUED.len());
        }
        for c in word.chars() {
            let wide = c.width().unwrap_or(0);
            if columns + wide > width && c != ' ' {
                lines.push_str(&line);
                lines.push('\n');
                (line, columns) = (CONTINUED.to_owned(), CONTINUED.len());
            }
            line.push(c);
            columns += wide;
        }
    }
    lines + line.trim_end()
}

/// Log lines go to stderr: warnings, with `-v` more, or what `RUST_LOG` asks for.
pub(crate) fn start_logging(verbose: u8, format: LogFormat) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let wanted = std::env::var("RUST_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let targets = wanted.unwrap_or_else(|| Targets::new().with_default(level));
    let registry = tracing_subscriber::registry().with(targets);
    let lines = tracing_subscriber::fmt::layer().with_ansi(false);
    let started = match format {
        LogFormat::Text => registry.with(lines.with_writer(|| LogLines).without_time()).try_init(),
        LogFormat::Json => registry.with(lines.with_writer(Stoppable::stderr).json()).try_init(),
    };
    // Somebody else's subscriber is as good.
    drop(started);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_begins_at_the_start() {
        for text in [
            "denied: plugin p: no such image in this registry, which is allowed by every policy",
            &format!("denied: {}allowed by every policy", "=".repeat(72)),
            &format!("denied: {} allowed", "漢".repeat(50)),
            "  hint: a long word that is broken: /var/lib/bootc-image/archives/a/very/long/name/of/a/file.tar",
        ] {
            for width in [20, 40, 80] {
                let shown = continued(text, width);
                let mut lines = shown.lines();
                assert!(lines.next().is_some_and(|first| text.starts_with(first.trim_end())), "{shown}");
                let rest: Vec<&str> = lines.collect();
                assert!(rest.iter().all(|line| line.starts_with(CONTINUED)), "{shown}");
                assert!(shown.lines().all(|line| line.width() <= width), "{width}: {shown}");
                let all = |text: &str| text.split_whitespace().collect::<String>();
                assert_eq!(all(&shown), all(text));
            }
        }
        assert_eq!(continued("short", 80), "short");
    }
}
