//! `audit`: where decisions are recorded, and what a reply waits for.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::reader::{Fault, Field, Section, Seen};
use super::values::{self, KIB, MIB, Millis, Plain};
use super::{Spanned, limits, path};
use crate::audit::{Disclosure, Mode, Rotation, Showing};
use crate::policy::values::names;
use crate::policy::values::path as path_of;

/// Where decisions are recorded; at least one of the three sinks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditConfig {
    /// A file of JSON lines.
    pub file: Option<AuditFile>,
    /// The standard output.
    pub stdout: Option<Mode>,
    /// A collector of logs.
    pub otlp: Option<OtlpConfig>,
    /// Signatures in the chain.
    pub checkpoints: Option<CheckpointConfig>,
    /// The key of the hashes that stand for principals; without it they are named.
    pub subject_key_file: Option<Spanned<PathBuf>>,
    /// Denials of unknown callers that are recorded one by one in each second.
    pub unauthenticated_rate: u64,
    /// What is shown of the caller's address.
    pub source: Showing,
    /// What is shown of the values that policies read.
    pub values: ValuesConfig,
}

/// What is shown of values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValuesConfig {
    /// Of those that are not named.
    pub default: Showing,
    /// Of those at these paths, and below them.
    pub paths: Vec<ValuePath>,
}

/// A path as policies write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValuePath {
    /// Its names, `context` or `principal` first.
    pub names: Spanned<Vec<String>>,
    /// What is shown of what is there.
    pub showing: Showing,
}

/// A file of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFile {
    /// Its name.
    pub path: Spanned<PathBuf>,
    /// What a reply waits for.
    pub mode: Mode,
    /// When it is put aside for a new one.
    pub rotation: Rotation,
}

/// A collector that records are exported to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpConfig {
    /// Where it takes logs, with the path.
    pub endpoint: Url,
    /// What a reply waits for.
    pub mode: Mode,
    /// Headers for each request.
    pub headers_file: Option<Spanned<PathBuf>>,
    /// Who vouches for its certificate; without it, whom the system trusts.
    pub ca_file: Option<Spanned<PathBuf>>,
}

/// When and with what the chain is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointConfig {
    /// The private key.
    pub key_file: Spanned<PathBuf>,
    /// After so many records.
    pub records: u64,
    /// After so long.
    pub interval: Duration,
    /// A second file that checkpoints go to.
    pub copy: Option<Spanned<PathBuf>>,
}

/// Below, files hold too few records to be worth a name each; above, none is ever put aside.
const ROTATE_SIZE: RangeInclusive<usize> = 64 * KIB..=1024 * 1024 * MIB;
/// Below, files hold too few records to be worth a name each; above, nobody waits for it.
const ROTATE_AGE: RangeInclusive<Millis> = Millis(60_000)..=Millis(366 * 24 * 3_600_000);
/// At one, every record costs a signature; above, too much goes unsigned.
const CHECKPOINT_RECORDS: RangeInclusive<usize> = 1..=1_000_000;
/// Below, an idle service would sign all the time; above, too much goes unsigned.
const CHECKPOINT_INTERVAL: RangeInclusive<Millis> = Millis(250)..=Millis(3_600_000);
/// Below one, nobody would see what such denials are; above, a disk is full within the hour.
const UNAUTHENTICATED: RangeInclusive<usize> = 1..=100_000;

const DEFAULT_RECORDS: usize = 1_000;
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
/// Enough to see what comes, and a few gigabytes a day at the worst.
const DEFAULT_UNAUTHENTICATED: usize = 100;

const MODES: [(&str, Mode); 3] =
    [("strict", Mode::Strict), ("durable", Mode::Durable), ("best_effort", Mode::BestEffort)];

const SHOWINGS: [(&str, Showing); 3] =
    [("shown", Showing::Shown), ("masked", Showing::Masked), ("hashed", Showing::Hashed)];

impl AuditConfig {
    /// What records show.
    pub fn disclosure(&self) -> Disclosure {
        let paths = self.values.paths.iter().map(|it| (written(&it.names.value), it.showing)).collect();
        Disclosure { values: self.values.default, paths, source: self.source }
    }
}

pub(super) fn audit(section: &mut Section<'_, '_>) -> Option<AuditConfig> {
    if section.present(&["file", "stdout", "otlp"]).is_empty() {
        // What cannot be recorded is denied, so without a place to record nothing would ever be allowed.
        section.report(Fault::new(
            "names no place to record decisions",
            "add `file: {path: audit.jsonl}`, `stdout: {}` or `otlp: {endpoint: …}`",
        ));
    }
    let file = section.optional("file", |field| field.section(file));
    let stdout = section.optional("stdout", |field| field.section(stdout));
    let otlp = section.optional("otlp", |field| field.section(otlp));
    let checkpoints = section.optional("checkpoints", |field| field.section(checkpoints));
    let subject_key_file = section.optional("subject_key_file", path);
    let rate = section
        .optional("unauthenticated_rate", |field| limits::count(field, UNAUTHENTICATED))
        .unwrap_or(DEFAULT_UNAUTHENTICATED);
    // What is wrong with the key is said of the key.
    let has_key = !section.present(&["subject_key_file"]).is_empty();
    let source = section.optional("source", |field| showing(field, has_key)).unwrap_or_default();
    let values = section.optional("values", |field| shown(field, has_key)).unwrap_or_default();
    let unauthenticated_rate = number(rate);
    Some(AuditConfig { file, stdout, otlp, checkpoints, subject_key_file, unauthenticated_rate, source, values })
}

/// One word for all values, or a section.
fn shown(field: &Field<'_>, has_key: bool) -> Option<ValuesConfig> {
    if field.is_text() {
        return Some(ValuesConfig { default: showing(field, has_key)?, paths: Vec::new() });
    }
    field.section(|section| {
        let default = section.optional("default", |field| showing(field, has_key)).unwrap_or_default();
        let paths = section.optional("paths", |field| {
            let mut seen = Seen::default();
            field.entries(|path, field| value_path(path, field, has_key, &mut seen))
        });
        Some(ValuesConfig { default, paths: paths.unwrap_or_default() })
    })
}

fn value_path(path: &Spanned<&str>, field: &Field<'_>, has_key: bool, seen: &mut Seen) -> Option<ValuePath> {
    let showing = showing(field, has_key);
    let Some(names) = names(path.value) else {
        let help = "write it as in a policy, such as `context.arguments.days` or `principal.department`";
        field.report(Fault::new("is no path of a value", help));
        return None;
    };
    field.distinct(seen, written(&names));
    Some(ValuePath { names: Spanned { value: names, span: path.span.clone() }, showing: showing? })
}

fn written(names: &[String]) -> String {
    path_of(names.iter().map(String::as_str))
}

fn showing(field: &Field<'_>, has_key: bool) -> Option<Showing> {
    let showing = field.choice(&SHOWINGS)?;
    if showing == Showing::Hashed && !has_key {
        let help = "add `subject_key_file`, a file with a long random secret, or write `masked`";
        field.report(Fault::new("cannot be `hashed`: there is no key", help));
        return None;
    }
    Some(showing)
}

fn file(section: &mut Section<'_, '_>) -> Option<AuditFile> {
    let path = section.required("path", path);
    let mode = section.optional("mode", |field| field.choice(&MODES)).unwrap_or_default();
    let rotation = section.optional("rotate", |field| field.section(rotation)).unwrap_or_default();
    Some(AuditFile { path: path?, mode, rotation })
}

fn rotation(section: &mut Section<'_, '_>) -> Option<Rotation> {
    if section.present(&["size", "age"]).is_empty() {
        section.report(Fault::new("says not when", "add `size: 100MiB` or `age: 24h`, or both"));
    }
    let size = section.optional("size", |field| limits::bytes(field, ROTATE_SIZE)).map(number);
    let age = section.optional("age", |field| limits::time(field, ROTATE_AGE));
    Some(Rotation { size, age })
}

fn stdout(section: &mut Section<'_, '_>) -> Option<Mode> {
    let why = "standard output is no disk";
    section.optional("mode", |field| diskless(field, why)).or(Some(Mode::Strict))
}

fn otlp(section: &mut Section<'_, '_>) -> Option<OtlpConfig> {
    let endpoint = section.required("endpoint", |field| field.read(endpoint));
    let why = "a collector does not say what is on its disk";
    let mode = section.optional("mode", |field| diskless(field, why)).unwrap_or_default();
    let headers_file = section.optional("headers_file", path);
    let ca_file = section.optional("ca_file", |field| {
        let file = path(field)?;
        if endpoint.as_ref().is_some_and(|endpoint: &Url| endpoint.scheme() == "http") {
            field.report(Fault::new("has no effect: `endpoint` is http", "write `https://…`, or leave `ca_file` out"));
        }
        Some(file)
    });
    Some(OtlpConfig { endpoint: endpoint?, mode, headers_file, ca_file })
}

/// The URL below which a collector takes each signal, and the path of logs (OTLP specification, "Endpoint URLs for OTLP/HTTP").
fn endpoint(text: &str) -> Result<Url, Fault> {
    const LOGS: &str = "v1/logs";
    let mut url = values::absolute(text, Plain::Anywhere)?;
    if url.query().is_some() {
        return Err(Fault::new("has a query", "remove everything from `?` on; a key goes into `headers_file`"));
    }
    let path = url.path().trim_end_matches('/');
    if path.ends_with(LOGS) {
        return Err(Fault::new(format!("ends in `{LOGS}`"), "leave that out: it is added"));
    }
    let path = format!("{path}/{LOGS}");
    url.set_path(&path);
    Ok(url)
}

/// A mode of a sink of which nobody knows what is on a disk.
fn diskless(field: &Field<'_>, why: &str) -> Option<Mode> {
    let mode = field.choice(&MODES)?;
    if mode == Mode::Durable {
        field.report(Fault::new(format!("cannot be `durable`: {why}"), "write `strict`, or use `file`"));
        return None;
    }
    Some(mode)
}

fn checkpoints(section: &mut Section<'_, '_>) -> Option<CheckpointConfig> {
    let key_file = section.required("key_file", path);
    let records =
        section.optional("records", |field| limits::count(field, CHECKPOINT_RECORDS)).unwrap_or(DEFAULT_RECORDS);
    let interval =
        section.optional("interval", |field| limits::time(field, CHECKPOINT_INTERVAL)).unwrap_or(DEFAULT_INTERVAL);
    let copy = section.optional("copy", path);
    Some(CheckpointConfig { key_file: key_file?, records: number(records), interval, copy })
}

fn number(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}
