//! All output goes through here: data to stdout, messages to stderr.

use std::cell::Cell;
use std::error::Error;
use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;

use bootc_image_engine::sanitize;
use bootc_image_os::error::{size, with_causes};
use bootc_image_os::processes;
use bootc_image_os::reporter::Reporter;
use indicatif::{ProgressBar, ProgressStyle};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::called::Called;
use crate::exit::{DENIED, FAILED, Failure, OK, USAGE};
use crate::options::LogFormat;
use crate::stdout;
use crate::streams::Stoppable;

/// Without a terminal, progress is printed once per this many bytes.
const REPORT_EVERY: u64 = 256 << 20;
/// The target of messages among log lines in JSON.
const MESSAGE: &str = "bootc_image::message";

pub(crate) struct Ui {
    quiet: bool,
    /// Whether messages are log lines in JSON.
    json: bool,
    called: Called,
    /// Progress of the current step, on a terminal.
    bar: ProgressBar,
    /// Bytes of the current step that were reported last, without a terminal.
    reported: Cell<u64>,
    /// Whether writing to stderr failed; then nothing more is written to it.
    stderr_failed: Cell<bool>,
}

impl Ui {
    pub(crate) fn new(quiet: bool, format: LogFormat, called: Called) -> Self {
        let json = format == LogFormat::Json;
        let bar = if quiet || json || !io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            ProgressBar::no_length().with_style(bar_style())
        };
        Self { quiet, json, called, bar, reported: Cell::new(0), stderr_failed: Cell::new(false) }
    }

    pub(crate) fn finish(&self, body: impl FnOnce(&Self) -> u8) -> ExitCode {
        ExitCode::from(body(self))
    }

    /// Writes data to stdout. If nobody reads it any more, as after `| head -1`, the rest is dropped, and that is no error: what the
    /// command did, and its exit code, do not depend on it.
    pub(crate) fn data(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
        stdout::check_open().map_err(Failure::Stdout)?;
        let mut out = io::BufWriter::new(Stoppable::stdout());
        let written = write(&mut out).and_then(|()| out.flush());
        // Taken apart, so that dropping the buffer does not try to write the rest.
        drop(out.into_parts());
        written.or_else(|error| match processes::check_interrupted() {
            Err(interrupted) => Err(interrupted.into()),
            Ok(()) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Ok(()) => Err(Failure::Stdout(error)),
        })
    }

    /// Writes text to stdout.
    pub(crate) fn text(&self, text: &str) -> Result<u8, Failure> {
        self.data(|out| out.write_all(text.as_bytes())).map(|()| OK)
    }

    /// Writes help to stdout.
    pub(crate) fn help(&self, text: &str) -> Result<u8, Failure> {
        self.text(&self.called.in_text(text))
    }

    /// Prints an error with its causes, and a hint what to do next. Returns the exit code, which JSON has as well.
    pub(crate) fn error(&self, error: &dyn Error, hint: Option<&str>, code: u8) -> u8 {
        let text = with_causes(error);
        if self.json {
            self.error_line(&text, hint, code);
            return code;
        }
        self.line(&format!("error: {text}"));
        if let Some(hint) = hint {
            self.line(&format!("  hint: {hint}"));
        }
        code
    }

    /// Prints a warning, what was done instead, and a hint what to do next. Returns the exit code.
    pub(crate) fn warning(&self, warning: &dyn Error, instead: &str, hint: Option<&str>, code: u8) -> u8 {
        let text = format!("{instead}: {}", with_causes(warning));
        if self.json {
            let hint = hint.map(sanitize::sanitize);
            tracing::warn!(target: MESSAGE, exit_code = code, hint, "{}", sanitize::sanitize(&text));
        } else {
            self.line(&format!("warning: {text}"));
            if let Some(hint) = hint {
                self.line(&format!("  hint: {hint}"));
            }
        }
        code
    }

    /// Prints an error that makes the answer incomplete; returns the exit code.
    pub(crate) fn problem(&self, error: &dyn Error, hint: Option<&str>) -> u8 {
        self.error(error, hint, FAILED)
    }

    /// Prints a denial as one last line, whose prefix distinguishes it from podman's own messages.
    pub(crate) fn denied(&self, error: &dyn Error, hint: Option<&str>) {
        if self.json {
            return self.error_line(&format!("denied: {}", with_causes(error)), hint, DENIED);
        }
        let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        self.line(&format!("bootc-image: denied: {}{hint}", with_causes(error)));
    }

    /// Prints an error that has several lines and its own prefix, which JSON does not need. Returns the exit code.
    pub(crate) fn usage_error(&self, text: &str) -> u8 {
        let text = sanitize::lines(self.called.in_text(text).trim_end());
        if self.json {
            tracing::error!(target: MESSAGE, exit_code = USAGE, "{}", text.trim_start_matches("error: ").trim_end());
        } else {
            self.write(&text);
        }
        USAGE
    }

    fn error_line(&self, text: &str, hint: Option<&str>, code: u8) {
        let hint = hint.map(sanitize::sanitize);
        tracing::error!(target: MESSAGE, exit_code = code, hint, "{}", sanitize::sanitize(text));
    }

    /// Prints progress.
    fn say(&self, message: &str) {
        match (self.quiet, self.json) {
            (true, _) => {}
            (false, true) => tracing::info!(target: MESSAGE, "{}", sanitize::sanitize(message.trim())),
            (false, false) => self.line(message),
        }
    }

    fn line(&self, text: &str) {
        let (start, rest) = text.split_at(text.len() - text.trim_start().len());
        let text = format!("{start}{}", sanitize::sanitize(rest));
        let text = width().map_or_else(|| text.clone(), |width| continued(&text, width));
        self.write(&(text + "\n"));
    }

    fn write(&self, text: &str) {
        self.bar.finish_and_clear();
        if !self.stderr_failed.get() && Stoppable::stderr().write_all(text.as_bytes()).is_err() {
            self.stderr_failed.set(true);
        }
    }
}

impl Reporter for Ui {
    fn note(&self, message: &str) {
        if self.json {
            tracing::info!(target: MESSAGE, "{}", sanitize::sanitize(message));
        } else {
            self.line(&format!("note: {message}"));
        }
    }

    fn progress(&self, message: &str) {
        self.say(message);
        self.bar.reset();
        self.reported.set(0);
    }

    fn advance(&self, done: u64, total: u64) {
        if !self.bar.is_hidden() {
            self.bar.set_length(total.max(done));
            self.bar.set_position(done);
        } else if !self.quiet && done >= self.reported.get() + REPORT_EVERY {
            self.reported.set(done);
            let of = if total > done { format!(" of {}", size(total)) } else { String::new() };
            self.say(&format!("  {}{of}", size(done)));
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

/// Log lines can contain a plugin's text, so they are wrapped like messages.
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

/// The number of columns of the terminal on stderr, if there is one.
fn width() -> Option<usize> {
    if !io::stderr().is_terminal() {
        return None;
    }
    let columns = rustix::termios::tcgetwinsize(rustix::stdio::stderr()).ok()?.ws_col;
    Some(usize::from(columns)).filter(|columns| *columns >= NARROWEST)
}

/// In a narrower terminal, lines are not wrapped.
const NARROWEST: usize = 20;
/// Indents continuation lines: a plugin's text must not produce a line that looks like one of the host's.
const CONTINUED: &str = "    ";

/// Wraps the text to at most `width` columns, at spaces where possible.
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

/// Starts logging to stderr: warnings, or more with `-v`, or what `filter` (`RUST_LOG`) selects.
pub(crate) fn start_logging(verbose: u8, format: LogFormat, filter: Option<String>) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let selected = filter.and_then(|text| text.parse::<Targets>().ok());
    let targets = selected.unwrap_or_else(|| Targets::new().with_default(level));
    // Messages are no log lines that a filter could hide.
    let targets = targets.with_target(MESSAGE, LevelFilter::INFO);
    let registry = tracing_subscriber::registry().with(targets);
    // It would report to stderr that stderr cannot be written.
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).log_internal_errors(false);
    let started = match format {
        LogFormat::Text => registry.with(lines.with_writer(|| LogLines).without_time()).try_init(),
        LogFormat::Json => registry.with(lines.with_writer(Stoppable::stderr).json()).try_init(),
    };
    // Fails only if a subscriber is installed already, which is fine.
    drop(started);
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is logged.
    #[derive(Clone, Default)]
    struct Logged(Arc<Mutex<Vec<u8>>>);

    impl Write for Logged {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn hints_in_json_have_no_escape_sequences() {
        let logged = Logged::default();
        let writer = logged.clone();
        let lines = tracing_subscriber::fmt::layer().json().with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            let ui = Ui::new(false, LogFormat::Json, Called::ByOwnName);
            let (error, hint) = (io::Error::other("failed"), Some("call \u{1b}[2Jthe author"));
            ui.warning(&error, "a table is printed", hint, FAILED);
            ui.error(&error, hint, FAILED);
        });
        let text = String::from_utf8(logged.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let hint = line["fields"]["hint"].as_str().unwrap();
            assert!(hint.starts_with("call ") && !hint.contains('\u{1b}'), "{line}");
        }
    }

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
