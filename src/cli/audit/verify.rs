//! `toolgate audit verify`.

use std::io::Write as _;
use std::path::PathBuf;

use super::{Exit, Format, counted, open, unreadable};
use crate::audit::{Finding, PublicKey, Verified, Verifier};

pub(crate) const EXAMPLE: &str = "Example:
  toolgate audit verify audit.jsonl
  toolgate audit verify audit.jsonl.* audit.jsonl --key audit-key.pub.pem --checkpoints checkpoints.jsonl

Exit codes: 0 nothing is wrong, 1 something is, 3 a file cannot be read.";

#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// The files of the trail, oldest first
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The public key of the checkpoints, as `openssl pkey -pubout` prints it
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The second place that checkpoints went to: each must be in the trail
    #[arg(long, value_name = "FILE")]
    checkpoints: Option<PathBuf>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

impl Verify {
    pub(crate) fn run(self) -> Exit {
        let verified = match self.verify() {
            Ok(verified) => verified,
            Err(exit) => return exit,
        };
        let text = match self.format {
            Format::Text => summary(&verified, self.key.is_some()),
            Format::Json => format!("{:#}\n", report(&verified)),
        };
        // Whoever closed the output has read enough; the exit code still tells.
        let _ = std::io::stdout().write_all(text.as_bytes());
        if verified.faults == 0 { Exit::Success } else { Exit::Failure }
    }

    fn verify(&self) -> Result<Verified, Exit> {
        let key = self.key.as_ref().map(|path| {
            let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
            PublicKey::parse(&text).map_err(|error| {
                eprintln!("`{}` is no key: {error}", path.display());
                Exit::Invalid
            })
        });
        let key = key.transpose()?;
        let mut verifier = Verifier::new(key.as_ref());
        for path in &self.files {
            let read = verifier.file(&path.display().to_string(), open(path)?);
            read.map_err(|error| unreadable(path, &error))?;
        }
        if let Some(path) = &self.checkpoints {
            let read = verifier.copies(&path.display().to_string(), open(path)?);
            read.map_err(|error| unreadable(path, &error))?;
        }
        Ok(verifier.finish())
    }
}

fn summary(verified: &Verified, keyed: bool) -> String {
    let mut lines: Vec<String> = verified.findings.iter().map(ToString::to_string).collect();
    let shown = u64::try_from(lines.len()).unwrap_or(u64::MAX);
    if verified.faults > shown {
        lines.push(format!("and {} more", verified.faults - shown));
    }
    let range = verified.range.map_or_else(String::new, |(first, last)| format!(" ({first} to {last})"));
    lines.push(format!("{}{range}", number(verified.records, "record", "records")));
    if verified.range.is_some_and(|(first, _)| first > 0) {
        lines.push("earlier records are in files that were not given".to_owned());
    }
    let signed = if keyed { format!(", {} signed with the key", verified.signed) } else { String::new() };
    lines.push(format!("{}{signed}", number(verified.checkpoints, "checkpoint", "checkpoints")));
    lines.push(format!("{} after the last checkpoint", number(verified.after, "record", "records")));
    if verified.erased > 0 {
        lines.push(format!("the personal part of {} was erased", number(verified.erased, "record", "records")));
    }
    if verified.unfinished > 0 {
        lines.push(format!("an unfinished line of {} bytes at an end", verified.unfinished));
    }
    lines.push(match verified.faults {
        0 if keyed => "ok: the chain holds, and is signed up to the last checkpoint".to_owned(),
        0 => "ok: the chain holds; without a key, that says nothing about whoever can write the files".to_owned(),
        faults => format!("not ok: {}", number(faults, "fault", "faults")),
    });
    lines.join("\n") + "\n"
}

fn number(count: u64, one: &str, many: &str) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), one, many)
}

fn report(verified: &Verified) -> serde_json::Value {
    let finding = |finding: &Finding| {
        serde_json::json!({
            "file": finding.file, "line": finding.line, "seq": finding.seq, "fault": finding.what.as_str(),
            "message": finding.what.to_string(),
        })
    };
    serde_json::json!({
        "ok": verified.faults == 0,
        "records": verified.records,
        "first": verified.range.map(|(first, _)| first),
        "last": verified.range.map(|(_, last)| last),
        "checkpoints": verified.checkpoints,
        "signed": verified.signed,
        "after_last_checkpoint": verified.after,
        "erased": verified.erased,
        "unfinished_bytes": verified.unfinished,
        "faults": verified.faults,
        "findings": verified.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}
