//! The operator's log, on standard error. Never the audit stream: a log may be filtered, sampled and lost.

use std::io;
use std::io::Write;

use thiserror::Error;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// The form of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One line of text for each event.
    #[default]
    Text,
    /// One JSON object for each event.
    Json,
}

/// Why there is no log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TelemetryError {
    /// `RUST_LOG` is not a list of filters.
    #[error("the environment variable `RUST_LOG` is not a filter: {0}")]
    Filter(String),
    /// Something else in the process logs already.
    #[error("a log has been set up before")]
    Twice,
}

/// Sends the log to standard error, `info` and above unless `RUST_LOG` says otherwise.
///
/// # Errors
/// [`TelemetryError`].
pub fn init(format: LogFormat) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env()
        .map_err(|error| TelemetryError::Filter(error.to_string()))?;
    subscriber(format, filter, io::stderr).try_init().map_err(|_| TelemetryError::Twice)
}

/// There are no colours: tracing-subscriber 0.3.23 passes an escape character in a value recorded with `%` on, so a
/// terminal could not tell the caller's from the formatter's.
fn subscriber<W>(format: LogFormat, filter: EnvFilter, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // A log that cannot be written is lost: by default that is told on standard error, and where that is what is gone,
    // telling it panics.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).log_internal_errors(false);
    let builder = builder.with_ansi(false).with_writer(Lines(writer));
    match format {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => Box::new(builder.json().finish()),
    }
}

/// Makes each event one line that steers nothing. The formatter by itself escapes messages in part (RUSTSEC-2025-0055)
/// and leaves line feeds and bidirectional marks, with which a caller could write lines of his own.
#[derive(Debug)]
struct Lines<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Lines<W> {
    type Writer = Lines<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Lines(self.0.make_writer())
    }
}

impl<W: Write> Write for Lines<W> {
    /// Takes one event, which the formatter writes at once.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event.strip_suffix(b"\n").unwrap_or(event));
        let mut line = String::with_capacity(event.len() + 1);
        for character in text.chars() {
            if steers(character) {
                line.push_str(&format!("\\u{:04x}", u32::from(character)));
            } else {
                line.push(character);
            }
        }
        line.push('\n');
        self.0.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Controls, line separators, and marks that change the order of what is read. All are below U+10000, so that one
/// escape of JSON holds each.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex;

    use serde_json::Value;
    use tracing::subscriber::with_default;

    use super::*;

    const HOSTILE: &str = "a\u{1b}[31m\nforged\r\u{9b}\u{202e}\u{7}\t\u{0}é";

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: &str, event: impl FnOnce()) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let filter = EnvFilter::new(filter);
        with_default(subscriber(format, filter, move || writer.clone()), event);
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn hostile() {
        tracing::warn!(value = %HOSTILE, quoted = HOSTILE, "message {HOSTILE}");
    }

    #[test]
    fn hostile_values_stay_in_their_line_and_steer_nothing() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let log = logged(format, "info", hostile);
            let line = log.strip_suffix('\n').unwrap();
            let left: Vec<_> = line.chars().filter(|character| !matches!(character, ' '..='~')).collect();
            assert!(line.contains("forged") && left.iter().all(|character| *character == 'é'), "{log:?}");
        }
    }

    #[test]
    fn json_still_says_what_was_sent() {
        let log = logged(LogFormat::Json, "info", hostile);
        let event: Value = log.parse().unwrap();
        assert_eq!(event["fields"]["quoted"], HOSTILE);
        assert_eq!(event["level"], "WARN");
    }

    #[test]
    fn events_below_the_filter_are_left_out() {
        assert_eq!(logged(LogFormat::Text, "error", hostile), "");
    }
}
