//! `toolgate tools report`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::{Exit, Format, color, counted};
use crate::policy::catalog::Catalog;
use crate::policy::exposure::Exposure;
use crate::problem::{Problem, Severity, Source, render};

pub(super) const EXAMPLE: &str = "Example:
  toolgate tools report catalogs/*.json
  toolgate tools report catalogs/weather.json --format json

Exit codes: 0 printed, 3 a file is not a catalogue.";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Report {
    /// Catalogues: results of `tools/list`
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// How to print the report
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// One catalogue, and what each of its tools exposes.
struct Reported {
    file: String,
    tools: Vec<(String, Exposure)>,
}

/// All catalogues together.
#[derive(Default)]
struct Totals {
    tools: usize,
    whole: usize,
    exposed: usize,
    declared: usize,
    hidden: BTreeMap<String, usize>,
}

impl Report {
    pub(in crate::cli) fn run(self) -> Exit {
        let read: Vec<Result<Reported, Problem>> = self.files.iter().map(|file| reported(file)).collect();
        let (reports, problems): (Vec<_>, Vec<_>) = read.into_iter().partition(Result::is_ok);
        let problems: Vec<Problem> = problems.into_iter().filter_map(Result::err).collect();
        if !problems.is_empty() {
            eprintln!("{}", render(&problems, color()));
            return Exit::Invalid;
        }
        let reports: Vec<Reported> = reports.into_iter().filter_map(Result::ok).collect();
        let totals = Totals::of(&reports);
        match self.format {
            Format::Text => print(&reports, &totals),
            Format::Json => println!("{:#}", to_json(&reports, &totals)),
        }
        Exit::Success
    }
}

fn reported(file: &Path) -> Result<Reported, Problem> {
    let name = file.display().to_string();
    let problem = |message, help: &str| Problem {
        severity: Severity::Error,
        source: Source::new(name.as_str(), ""),
        span: None,
        message,
        help: Some(help.to_owned()),
    };
    let text =
        std::fs::read(file).map_err(|error| problem(format!("cannot read `{name}`: {error}"), "check the path"))?;
    let catalog =
        Catalog::parse(&text).map_err(|error| problem(error.to_string(), "it must be the result of `tools/list`"))?;
    let tools = catalog.tools.iter().map(|tool| (tool.name.clone(), Exposure::of(tool))).collect();
    Ok(Reported { file: name, tools })
}

impl Totals {
    fn of(reports: &[Reported]) -> Self {
        let mut totals = Self::default();
        for (_, exposure) in reports.iter().flat_map(|report| &report.tools) {
            totals.tools += 1;
            totals.whole += usize::from(exposure.hidden.is_empty());
            totals.exposed += exposure.exposed;
            totals.declared += exposure.declared();
            for (_, why) in &exposure.hidden {
                *totals.hidden.entry(why.to_string()).or_default() += 1;
            }
        }
        totals
    }
}

fn print(reports: &[Reported], totals: &Totals) {
    for report in reports {
        println!("{}: {}", report.file, counted(report.tools.len(), "tool", "tools"));
        for (tool, exposure) in &report.tools {
            // A name is the server's: escaped, so that it moves no cursor.
            println!("  {}: {} of {}", tool.escape_debug(), exposure.exposed, exposure.declared());
            for (pointer, why) in &exposure.hidden {
                let place = if pointer.is_empty() { "all arguments" } else { pointer };
                println!("    {}: {why}", place.escape_debug());
            }
        }
    }
    let Totals { tools, whole, exposed, declared, hidden } = totals;
    let (catalogs, tools) = (counted(reports.len(), "catalogue", "catalogues"), counted(*tools, "tool", "tools"));
    println!("{catalogs}, {tools}, {whole} of them whole; policies can read {exposed} of {declared} arguments");
    for (why, count) in hidden {
        println!("  {count}: {why}");
    }
}

fn to_json(reports: &[Reported], totals: &Totals) -> Value {
    let tool = |(name, exposure): &(String, Exposure)| {
        let hidden = exposure.hidden.iter().map(|(pointer, why)| json!({"argument": pointer, "why": why.to_string()}));
        json!({"name": name, "exposed": exposure.exposed, "declared": exposure.declared(), "hidden": hidden.collect::<Vec<_>>()})
    };
    let catalogs = reports
        .iter()
        .map(|report| json!({"file": report.file, "tools": report.tools.iter().map(tool).collect::<Vec<_>>()}));
    let Totals { tools, whole, exposed, declared, hidden } = totals;
    json!({
        "catalogs": catalogs.collect::<Vec<_>>(),
        "totals": {"tools": tools, "whole": whole, "exposed": exposed, "declared": declared, "hidden": hidden},
    })
}
