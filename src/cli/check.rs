//! `toolgate check`.

use super::{ConfigFile, Exit, Format, color, problems_json, summary};
use crate::problem::render;
use crate::reload::load::load;

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
                let (policies, servers) = (loaded.rules.engine.bundle().len(), loaded.rules.servers.len());
                let found = format!("{policies} policies, {servers} servers, {tools} catalogued tools");
                (Some(found), loaded.warnings)
            }
            Err(failure) => (None, failure.problems),
        };
        match self.format {
            Format::Json => {
                let report = serde_json::json!({ "ok": found.is_some(), "problems": problems_json(&problems) });
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
