//! `toolgate audit tail`.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
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

/// Bytes that are looked at in one step, from the end of a file backwards.
const BLOCK: usize = 64 * 1024;

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
        // With a filter, nobody knows how far back the last ones are. Neither is it known of what is no file on a disk.
        if filter.is_empty()
            && let Ok(start @ 1..) = start_of_last(lines.reader.get_ref(), self.lines, BLOCK)
        {
            lines.reader.seek(SeekFrom::Start(start)).map_err(|error| unreadable(&self.file, &error))?;
        }
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
        let mut out = io::stdout().lock();
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

/// Where the last `count` lines of a file begin, not counting one without its line feed; `block` bytes are read at a time.
fn start_of_last(file: &File, count: usize, block: usize) -> io::Result<u64> {
    let mut bytes = vec![0; block];
    let (mut end, mut found) = (file.metadata()?.len(), 0);
    while end > 0 {
        let start = end.saturating_sub(u64::try_from(block).unwrap_or(u64::MAX));
        let length = usize::try_from(end - start).unwrap_or(block);
        let part = bytes.get_mut(..length).unwrap_or_default();
        file.read_exact_at(part, start)?;
        for (at, _) in part.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            if found == count {
                return Ok(start + u64::try_from(at).unwrap_or(0) + 1);
            }
            found += 1;
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_last_lines_begin_where_they_do_however_they_are_read() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"one\ntwo\n\nfour\nhalf").unwrap();
        for block in 1..=20 {
            for (count, expected) in [(0, 14), (1, 9), (2, 8), (3, 4), (4, 0), (5, 0)] {
                assert_eq!(start_of_last(&file, count, block).unwrap(), expected, "{count} lines, {block} bytes");
            }
        }
        assert_eq!(start_of_last(&tempfile::tempfile().unwrap(), 3, 4).unwrap(), 0);
    }
}
