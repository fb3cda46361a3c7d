//! `toolgate tools pull`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::json;
use url::Url;

use crate::cli::{Exit, Format, counted};
use crate::policy::exposure::Exposure;
use crate::pull::{Bounds, Era, Pull, Pulled};

pub(super) const EXAMPLE: &str = "Example:
  toolgate tools pull http://127.0.0.1:8000/mcp > catalogs/weather.json
  toolgate tools pull https://mcp.example.com/weather --token-file token -o catalogs/weather.json

The token is read from --token-file, or from the environment variable TOOLGATE_TOKEN. The catalogue is in the server's own
order. With --output the file is replaced as a whole, or not at all.

Exit codes: 0 written, 1 the server has no catalogue to give, 3 invalid command line or token file.";

/// The environment variable that holds a token: a command line can be read by every user of a machine.
const TOKEN: &str = "TOOLGATE_TOKEN";

/// Bytes of a token file, as much as a request's token may have.
const MAX_TOKEN: u64 = 16 * 1024;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PullCommand {
    /// The server's MCP endpoint
    #[arg(value_name = "URL")]
    url: Url,
    /// A file with a bearer token; one line feed at its end is not part of it
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Where to write the catalogue; by default to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Which era of the protocol to speak
    #[arg(long, value_enum, default_value_t = Protocol::Auto)]
    protocol: Protocol,
    /// How to say what was pulled
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    /// 2026-07-28, and if the server does not answer that, the handshake
    Auto,
    /// Without sessions
    #[value(name = "2026-07-28")]
    Modern,
    /// With a handshake and a session; the server may answer with an older revision
    #[value(name = "2025-11-25")]
    Handshake,
}

impl PullCommand {
    pub(in crate::cli) fn run(self) -> Exit {
        let token = match token(self.token_file.as_deref()) {
            Ok(token) => token,
            Err(message) => {
                eprintln!("toolgate: {message}");
                return Exit::Invalid;
            }
        };
        let era = match self.protocol {
            Protocol::Auto => Era::Auto,
            Protocol::Modern => Era::Modern,
            Protocol::Handshake => Era::Handshake,
        };
        let pull = Pull { url: self.url.clone(), token, era, bounds: Bounds::DEFAULT };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let pulled = runtime
            .map_err(|error| error.to_string())
            .and_then(|runtime| runtime.block_on(pull.run()).map_err(|error| error.to_string()));
        let written = pulled.and_then(|pulled| self.write(&pulled));
        match written {
            Ok(()) => Exit::Success,
            Err(message) => {
                eprintln!("toolgate: {}: {message}", self.url);
                Exit::Failure
            }
        }
    }

    fn write(&self, pulled: &Pulled) -> Result<(), String> {
        let said = self.said(pulled);
        match &self.output {
            Some(path) => {
                replace(path, &pulled.text).map_err(|error| format!("cannot write `{}`: {error}", path.display()))?;
                println!("{said}");
            }
            None => {
                let written = std::io::stdout().write_all(pulled.text.as_bytes());
                written.map_err(|error| format!("cannot write to standard output: {error}"))?;
                eprintln!("{said}");
            }
        }
        Ok(())
    }

    fn said(&self, pulled: &Pulled) -> String {
        let exposures: Vec<Exposure> = pulled.catalog.tools.iter().map(Exposure::of).collect();
        let exposed: usize = exposures.iter().map(|exposure| exposure.exposed).sum();
        let declared: usize = exposures.iter().map(Exposure::declared).sum();
        let tools = pulled.catalog.tools.len();
        match self.format {
            Format::Text => format!(
                "{} ({}, in {}); policies can read {exposed} of {declared} arguments",
                counted(tools, "tool", "tools"),
                pulled.protocol,
                counted(pulled.pages, "page", "pages"),
            ),
            Format::Json => json!({
                "url": self.url.as_str(), "output": self.output, "protocol": pulled.protocol, "pages": pulled.pages,
                "tools": tools, "exposed": exposed, "declared": declared,
            })
            .to_string(),
        }
    }
}

/// The token of the file, or of the environment.
fn token(file: Option<&Path>) -> Result<Option<String>, String> {
    let Some(path) = file else {
        return match std::env::var(TOKEN) {
            Ok(token) if token.is_empty() => Ok(None),
            Ok(token) => Ok(Some(token)),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(format!("{TOKEN} is not text")),
        };
    };
    let failed = |what: String| format!("cannot read the token in `{}`: {what}", path.display());
    let length = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if length > MAX_TOKEN {
        return Err(failed(format!("it is longer than {MAX_TOKEN} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let token = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    if token.is_empty() { Err(failed("it is empty".to_owned())) } else { Ok(Some(token.to_owned())) }
}

/// Writes a file beside `path` and puts it in its place in one step: whoever reads it, and toolgate does when it changes,
/// sees the old one or the new one.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let name = path.file_name().ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut part = std::ffi::OsString::from(".");
    part.push(name);
    part.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(part);
    let written = std::fs::OpenOptions::new().write(true).create_new(true).open(&part).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let replaced = written.and_then(|()| std::fs::rename(&part, path));
    if replaced.is_err() {
        // What is left of it is of no use to anybody.
        let _ = std::fs::remove_file(&part);
    }
    replaced
}
