//! `toolgate audit tail`.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Exit, Format, open, unreadable};
use crate::audit::{Filter, readable};

pub(crate) const EXAMPLE: &str = "Example:
  toolgate audit tail audit.jsonl
  toolgate audit tail audit.jsonl --follow --decision deny --tool delete_station
  toolgate audit tail audit.jsonl -n 1000000 --principal corp:ada --format json

Exit codes: 0 shown, 3 the file cannot be read.";

/// Between two looks at a file that is being written.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub(crate) struct Tail {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How many of the last records to show
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    lines: usize,
    /// Go on with what is written from now on, also into the file that follows this one
    #[arg(short, long)]
    follow: bool,
    /// Only these decisions
    #[arg(long, value_parser = ["allow", "deny"])]
    decision: Option<String>,
    /// Only of principals whose entity id holds this
    #[arg(long, value_name = "TEXT")]
    principal: Option<String>,
    /// Only with an action or resource whose entity id holds this
    #[arg(long, value_name = "TEXT")]
    tool: Option<String>,
    /// Only those that the policy of this id decided, or failed in
    #[arg(long, value_name = "ID")]
    policy: Option<String>,
    /// Only of this reason
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Lines for people, or the records themselves
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

impl Tail {
    pub(crate) fn run(self) -> Exit {
        match self.show() {
            Ok(()) => Exit::Success,
            Err(exit) => exit,
        }
    }

    fn show(&self) -> Result<(), Exit> {
        let filter = Filter {
            decision: self.decision.clone(),
            principal: self.principal.clone(),
            tool: self.tool.clone(),
            policy: self.policy.clone(),
            reason: self.reason.clone(),
        };
        let mut lines = Lines { path: &self.file, reader: open(&self.file)?, line: Vec::new() };
        let mut last = VecDeque::new();
        while let Some(line) = lines.next()? {
            let Some(shown) = self.shown(line, &filter) else { continue };
            if last.len() == self.lines {
                last.pop_front();
            }
            if self.lines > 0 {
                last.push_back(shown);
            }
        }
        let mut out = std::io::stdout().lock();
        for shown in last {
            if out.write_all(shown.as_bytes()).is_err() {
                return Ok(());
            }
        }
        if !self.follow {
            return Ok(());
        }
        loop {
            while let Some(line) = lines.next()? {
                let Some(shown) = self.shown(line, &filter) else { continue };
                // Whoever closed the output has seen enough.
                if out.write_all(shown.as_bytes()).and_then(|()| out.flush()).is_err() {
                    return Ok(());
                }
            }
            if !lines.go_on() {
                std::thread::sleep(LOOK);
            }
        }
    }

    fn shown(&self, line: &[u8], filter: &Filter) -> Option<String> {
        let readable = readable(line, filter)?;
        Some(match self.format {
            Format::Text => readable + "\n",
            Format::Json => String::from_utf8_lossy(line).into_owned() + "\n",
        })
    }
}

/// The lines of a file that may be being written.
struct Lines<'p> {
    path: &'p Path,
    reader: BufReader<File>,
    line: Vec<u8>,
}

impl Lines<'_> {
    /// The next whole line, without its line feed; half a one is kept until its rest is there.
    fn next(&mut self) -> Result<Option<&[u8]>, Exit> {
        if self.line.last() == Some(&b'\n') {
            self.line.clear();
        }
        self.reader.read_until(b'\n', &mut self.line).map_err(|error| unreadable(self.path, &error))?;
        Ok(self.line.strip_suffix(b"\n"))
    }

    /// Changes over to the file that the name stands for, if that is another by now.
    fn go_on(&mut self) -> bool {
        let id = |file: &File| file.metadata().map(|metadata| (metadata.dev(), metadata.ino())).ok();
        let Ok(file) = File::open(self.path) else { return false };
        if id(&file) == id(self.reader.get_ref()) {
            return false;
        }
        self.reader = BufReader::new(file);
        self.line.clear();
        true
    }
}
