//! `toolgate audit`: what people do with the trail.

mod stats;
mod tail;
mod verify;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::{Exit, Format, counted};

/// Bytes read at once: a trail is read from its start to its end.
const BUFFER: usize = 1024 * 1024;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Audit {
    /// Find what was changed, deleted, moved or put in
    ///
    /// Reads the files in the order given, which must be that of the chain: files that were put aside first, by their
    /// numbers, and the one that is being written last. Without `--key`, signatures are not looked at, and whoever can write
    /// the files can have made all of them.
    #[command(after_help = verify::EXAMPLE)]
    Verify(verify::Verify),
    /// Show the last records, or those that come, a line each
    #[command(after_help = tail::EXAMPLE)]
    Tail(tail::Tail),
    /// Count who did what, what was denied, and which policies decided
    #[command(after_help = stats::EXAMPLE)]
    Stats(stats::Stats),
}

impl Audit {
    pub(super) fn run(self) -> Exit {
        match self {
            Self::Verify(command) => command.run(),
            Self::Tail(command) => command.run(),
            Self::Stats(command) => command.run(),
        }
    }
}

/// Opens a file of the trail; that it cannot be read is said.
fn open(path: &Path) -> Result<BufReader<File>, Exit> {
    match File::open(path) {
        Ok(file) => Ok(BufReader::with_capacity(BUFFER, file)),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Exit {
    eprintln!("cannot read `{}`: {error}", path.display());
    Exit::Invalid
}
