//! The only door to the terminal: stdout is data, stderr is talk.

use std::cell::Cell;
use std::error::Error;
use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;

use bootc_image_core::talk::Talk;
use bootc_image_engine::sanitize;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::arguments::LogFormat;
use crate::exit::{FAILED, Failure, OK};
use crate::stdout;

/// Says things.
pub(crate) struct Ui {
    quiet: bool,
    /// Whether stderr could be written so far; if not there is nobody left to tell.
    deaf: Cell<bool>,
}

impl Ui {
    pub(crate) fn new(quiet: bool) -> Self {
        Self { quiet, deaf: Cell::new(false) }
    }

    /// Runs the program's body; what it returns becomes the exit code.
    pub(crate) fn finish(&self, body: impl FnOnce(&Self) -> u8) -> ExitCode {
        ExitCode::from(body(self))
    }

    /// Writes data to stdout.
    pub(crate) fn data(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
        stdout::check_open().map_err(Failure::Stdout)?;
        let mut out = io::BufWriter::new(io::stdout().lock());
        write(&mut out).and_then(|()| out.flush()).map_err(Failure::Stdout)
    }

    /// Writes a text that was asked for to stdout.
    pub(crate) fn text(&self, text: &str) -> Result<u8, Failure> {
        self.data(|out| out.write_all(text.as_bytes())).map(|()| OK)
    }

    /// An error with its causes, and what to do next.
    pub(crate) fn error(&self, error: &dyn Error, hint: Option<&str>) {
        self.line(&format!("error: {}", chain(error)));
        if let Some(hint) = hint {
            self.line(&format!("  hint: {hint}"));
        }
    }

    /// A part of the answer that is missing.
    pub(crate) fn problem(&self, error: &dyn Error, hint: Option<&str>) -> u8 {
        self.error(error, hint);
        FAILED
    }

    /// A refusal: one line, the last, so that it can be told from podman's own words (D10.6).
    pub(crate) fn denied(&self, error: &dyn Error, hint: Option<&str>) {
        let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        self.line(&format!("bootc-image: denied: {}{hint}", chain(error)));
    }

    /// Text as it is.
    pub(crate) fn plain(&self, text: &str) {
        for line in text.trim_end().lines() {
            self.line(line);
        }
    }

    fn line(&self, text: &str) {
        let text = sanitize::sanitize(text);
        if !self.deaf.get() && writeln!(io::stderr(), "{text}").is_err() {
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
    }
}

/// `error: context: cause`, without saying the same twice.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
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
    let lines =
        tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let started = match format {
        LogFormat::Text => registry.with(lines.without_time()).try_init(),
        LogFormat::Json => registry.with(lines.json()).try_init(),
    };
    // Somebody else's subscriber is as good.
    drop(started);
}
