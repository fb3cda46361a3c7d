//! `toolgate tools`.

mod pull;
mod report;

use super::Exit;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Tools {
    /// Write a catalogue from what a running server lists
    #[command(after_help = pull::EXAMPLE)]
    Pull(pull::PullCommand),
    /// Say of each tool how many of its arguments policies can read, and why not the others
    #[command(after_help = report::EXAMPLE)]
    Report(report::Report),
}

impl Tools {
    pub(super) fn run(self) -> Exit {
        match self {
            Self::Pull(command) => command.run(),
            Self::Report(command) => command.run(),
        }
    }
}
