//! `toolgate audit stats`.

use std::collections::HashMap;
use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;

use serde_json::json;

use super::super::loaded;
use super::{Exit, Format, open, unreadable};
use crate::audit::{Count, Stats as Counted};

pub(crate) const EXAMPLE: &str = "Example:
  toolgate audit stats audit.jsonl
  toolgate audit stats audit.jsonl.* audit.jsonl -c toolgate.yaml

Exit codes: 0 counted, 3 a file cannot be read, or the configuration is not valid.";

#[derive(Debug, clap::Args)]
pub(crate) struct Stats {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A configuration: which of its policies never decided anything
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How many of each to show, the most frequent first
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

impl Stats {
    pub(crate) fn run(self) -> Exit {
        let (counted, idle) = match self.count() {
            Ok(counted) => counted,
            Err(exit) => return exit,
        };
        let text = match self.format {
            Format::Text => self.text(&counted, idle.as_deref()),
            Format::Json => format!("{:#}\n", self.json(&counted, idle.as_deref())),
        };
        // Whoever closed the output has read enough.
        let _ = std::io::stdout().write_all(text.as_bytes());
        Exit::Success
    }

    fn count(&self) -> Result<(Counted, Option<Vec<String>>), Exit> {
        let policies = self.config.as_ref().map(|path| {
            let loaded = loaded(path)?;
            Ok(loaded.rules.engine.bundle().iter().map(|policy| policy.id.to_string()).collect::<Vec<_>>())
        });
        let policies = policies.transpose()?;
        let mut counted = Counted::default();
        let mut line = Vec::new();
        for path in &self.files {
            let mut reader = open(path)?;
            loop {
                line.clear();
                match reader.read_until(b'\n', &mut line) {
                    Ok(0) => break,
                    Ok(_) => counted.add(&line),
                    Err(error) => return Err(unreadable(path, &error)),
                }
            }
        }
        let idle = policies.map(|mut policies| {
            policies.retain(|policy| !counted.policies.contains_key(policy));
            policies.sort();
            policies
        });
        Ok((counted, idle))
    }

    /// The most frequent, and how many others there are.
    fn top<'c>(&self, counts: &'c HashMap<String, Count>) -> (Vec<(&'c str, Count)>, usize) {
        let mut all: Vec<(&str, Count)> = counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        all.sort_by_key(|(name, count)| (std::cmp::Reverse(count.total()), *name));
        let rest = all.len().saturating_sub(self.top);
        all.truncate(self.top);
        (all, rest)
    }

    fn text(&self, counted: &Counted, idle: Option<&[String]>) -> String {
        let mut lines = Vec::new();
        let Count { allowed, denied } = counted.decisions;
        lines.push(format!("{} decisions: {allowed} allowed, {denied} denied", allowed + denied));
        if let Some((first, last)) = &counted.range {
            lines.push(format!("from {first} to {last}"));
        }
        for (count, what) in [
            (counted.summed, "of these denials are on record as sums only"),
            (counted.lost, "records were lost"),
            (counted.unreadable, "lines are no records"),
        ] {
            if count > 0 {
                lines.push(format!("{count} {what}"));
            }
        }
        for (title, counts) in tables(counted) {
            let (top, rest) = self.top(counts);
            if top.is_empty() {
                continue;
            }
            lines.push(format!("\n{:>10} {:>10}  {title}", "allowed", "denied"));
            for (name, count) in top {
                let name = if name.is_empty() { "(nobody known)" } else { name };
                lines.push(format!("{:>10} {:>10}  {name}", count.allowed, count.denied));
            }
            if rest > 0 {
                lines.push(format!("{:>21}  and {rest} more", ""));
            }
        }
        if let Some(idle) = idle {
            lines.push(match idle {
                [] => "\nevery policy decided something".to_owned(),
                idle => format!("\npolicies that never decided anything:\n  {}", idle.join("\n  ")),
            });
        }
        lines.join("\n") + "\n"
    }

    fn json(&self, counted: &Counted, idle: Option<&[String]>) -> serde_json::Value {
        let count = |count: Count| json!({"allowed": count.allowed, "denied": count.denied});
        let mut report = json!({
            "decisions": count(counted.decisions),
            "first": counted.range.as_ref().map(|(first, _)| first),
            "last": counted.range.as_ref().map(|(_, last)| last),
            "summed": counted.summed,
            "lost": counted.lost,
            "unreadable": counted.unreadable,
            "policies_without_decisions": idle,
        });
        for (title, counts) in tables(counted) {
            let rows: Vec<_> =
                self.top(counts).0.into_iter().map(|(name, of)| json!({"name": name, "count": count(of)})).collect();
            if let Some(report) = report.as_object_mut() {
                report.insert(title.to_owned(), rows.into());
            }
        }
        report
    }
}

fn tables(counted: &Counted) -> [(&'static str, &HashMap<String, Count>); 5] {
    [
        ("principals", &counted.principals),
        ("actions", &counted.actions),
        ("reasons", &counted.reasons),
        ("policies", &counted.policies),
        ("errors", &counted.errors),
    ]
}
