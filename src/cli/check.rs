//! `toolgate check`.

use super::{ConfigFile, Exit, Format, color, counted, summary};
use crate::problem::{ProblemJson, render};
use crate::reload::load::load;

pub(super) const EXAMPLE: &str = "Example:
  toolgate check -c toolgate.yaml
  toolgate check -c toolgate.yaml --format json

Exit codes: 0 it would be served, 3 it would not. Warnings do not keep it from being served.";

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    #[command(flatten)]
    file: ConfigFile,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

impl Check {
    pub(super) fn run(self) -> Exit {
        let (found, problems) = match load(&self.file.config) {
            Ok(loaded) => {
                let tools: usize = loaded.rules.servers.iter().map(|server| server.model.catalogued_tools()).sum();
                let found = [
                    counted(loaded.rules.engine.bundle().len(), "policy", "policies"),
                    counted(loaded.rules.servers.len(), "server", "servers"),
                    counted(tools, "catalogued tool", "catalogued tools"),
                ];
                (Some(found.join(", ")), loaded.warnings)
            }
            Err(failure) => (None, failure.problems),
        };
        match self.format {
            Format::Json => {
                let report = serde_json::json!({ "ok": found.is_some(), "problems": ProblemJson::list(&problems) });
                println!("{report:#}");
            }
            Format::Text => {
                if !problems.is_empty() {
                    eprintln!("{}\n", render(&problems, color()));
                }
                match &found {
                    Some(found) => println!("ok: {found}; {}", summary(&problems)),
                    None => eprintln!("{}", summary(&problems)),
                }
            }
        }
        if found.is_some() { Exit::Success } else { Exit::Invalid }
    }
}
