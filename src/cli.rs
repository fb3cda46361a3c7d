//! Floor 3: the commands.

mod audit;
mod check;
mod explain;
mod explanation;
mod schema;
mod serve;
mod supposed;
mod test;
mod tools;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::problem::{Problem, Severity, render};
use crate::reload::load::{LoadFailure, Loaded, load};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// As asked; for `explain`, an allow.
    Success,
    /// Something that is neither the configuration nor a denial failed.
    Failure,
    /// `explain`: a deny.
    Deny,
    /// The configuration, a policy or another input is not valid.
    Invalid,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Deny => 2,
            Exit::Invalid => 3,
        })
    }
}

/// External authorization for MCP.
///
/// toolgate stands behind Envoy or Istio, which ask it about every request to an MCP server. It verifies the OAuth access
/// token, reads the MCP message, evaluates Cedar policies over claims, tool name and arguments, answers allow or deny, and
/// records the decision.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 success or allow, 1 failure (of a case, too), 2 deny (explain), 3 invalid command line, configuration or input.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve decisions until SIGTERM or SIGINT
    ///
    /// Prints one line when ready. The configuration, policies, catalogues and key files are read again when they change;
    /// what does not load changes nothing. SIGHUP reads them at once, and opens the audit file again.
    #[command(after_help = serve::EXAMPLE)]
    Serve(serve::Serve),
    /// Load everything and print every problem with file, line and remedy
    #[command(after_help = check::EXAMPLE)]
    Check(check::Check),
    /// Decide one message and say why
    ///
    /// Takes claims as a file (nothing is verified) or a token (verified as in service), and a JSON-RPC message.
    #[command(after_help = explain::EXAMPLE)]
    Explain(explain::Explain),
    /// Decide cases and hold each decision against what is expected
    ///
    /// Runs policy tests, the files of cases that PATH names. Prints each failure with the reasons of `explain`, and the
    /// policies that no case has shown at work.
    #[command(after_help = test::EXAMPLE)]
    Test(test::Test),
    /// Print the Cedar schema that the policies are checked against
    #[command(after_help = schema::EXAMPLE)]
    Schema(schema::Schema),
    /// Read the audit trail
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Get a server's tool catalogue, or see how much of one policies can read
    #[command(subcommand)]
    Tools(tools::Tools),
}

/// The configuration file, which every command reads.
#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = "toolgate.yaml")]
    config: PathBuf,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Runs the command line of this process.
pub fn run() -> Exit {
    match Arguments::try_parse() {
        Ok(Arguments { command: Command::Serve(command) }) => command.run(),
        Ok(Arguments { command: Command::Check(command) }) => command.run(),
        Ok(Arguments { command: Command::Explain(command) }) => command.run(),
        Ok(Arguments { command: Command::Schema(command) }) => command.run(),
        Ok(Arguments { command: Command::Test(command) }) => command.run(),
        Ok(Arguments { command: Command::Audit(command) }) => command.run(),
        Ok(Arguments { command: Command::Tools(command) }) => command.run(),
        Err(error) => {
            // By itself the parser would end with 2, which here means a denial. What it cannot print nobody reads.
            let _ = error.print();
            if error.use_stderr() { Exit::Invalid } else { Exit::Success }
        }
    }
}

/// Loads the configuration; on failure the problems are on standard error, and the command is over.
fn loaded(path: &Path) -> Result<Loaded, Exit> {
    load(path).map_err(|failure| refused(&failure))
}

/// Prints what is wrong; with this the command is over.
fn refused(failure: &LoadFailure) -> Exit {
    eprintln!("{}", render(&failure.problems, color()));
    eprintln!("\n{}", summary(&failure.problems));
    Exit::Invalid
}

/// `2 errors, 1 warning`.
fn summary(problems: &[Problem]) -> String {
    let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    format!("{}, {}", counted(errors, "error", "errors"), counted(warnings, "warning", "warnings"))
}

/// `1 policy`, `2 policies`.
fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Whether standard error is a terminal that shows colours.
fn color() -> bool {
    use std::io::IsTerminal as _;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
