//! The audit trail under load, against the program as it is run: floods, rotations, outputs that stall, disks that are full.
//! No allow goes without its record, no connection is lost, and once it can, it records again within a second.
//!
//! `make test` does each for a moment, `make soak` for `TOOLGATE_SOAK_SECONDS`, a minute by default. `TOOLGATE` names the build
//! that is tested.

mod callers;
mod flood;
mod full;
mod rotated;
mod stalled;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cli::support::{Files, PATIENCE, json};

use self::callers::Told;

/// After what held it up is over, so long until the next allow.
const RECOVERY: Duration = Duration::from_secs(1);

/// How long a soak goes on.
fn soak() -> Duration {
    Duration::from_secs(std::env::var("TOOLGATE_SOAK_SECONDS").map_or(60, |seconds| seconds.parse().unwrap()))
}

/// What is on record.
#[derive(Debug, Default)]
struct Trail {
    /// Ids of the decisions.
    decisions: HashSet<String>,
    /// By the reason, denials of callers that nobody knows: recorded one by one, and in sums.
    unknown: BTreeMap<String, u64>,
    summed: BTreeMap<String, u64>,
    /// Bytes of both.
    unknown_bytes: usize,
    lost: u64,
}

impl Trail {
    fn read(files: &[PathBuf]) -> Self {
        let mut trail = Self::default();
        for file in files {
            std::fs::read_to_string(file).unwrap().lines().for_each(|line| trail.add(line));
        }
        trail
    }

    fn add(&mut self, line: &str) {
        let record = json(line);
        self.decisions.extend(record["decision_id"].as_str().map(str::to_owned));
        if record["kind"] == "decision" && record.get("principal").is_none() {
            *self.unknown.entry(record["reason"].as_str().unwrap().to_owned()).or_default() += 1;
            self.unknown_bytes += line.len();
        }
        for (name, count) in record["denials"].as_object().into_iter().flatten() {
            let reason = name.strip_prefix("weather/").unwrap().to_owned();
            *self.summed.entry(reason).or_default() += count.as_u64().unwrap();
            self.unknown_bytes += line.len();
        }
        self.lost += record["count"].as_u64().unwrap_or(0);
    }

    /// Whatever was allowed is here, and so is whatever was denied for another reason than that it could not be.
    #[track_caller]
    fn holds(&self, told: &Told) {
        let denied = told.denied.iter().filter(|(reason, _)| *reason != "audit_unavailable").flat_map(|(_, ids)| ids);
        let missing: Vec<_> = told.allowed.iter().chain(denied).filter(|id| !self.decisions.contains(*id)).collect();
        assert!(missing.is_empty(), "{} are missing, the first is {}", missing.len(), missing[0]);
    }
}

/// The files that hold records, of those whose names start with `path`, in the order of the chain.
fn trail_files(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<(u64, PathBuf)> = entries
        .filter(|file| file.to_str().unwrap().starts_with(path.to_str().unwrap()))
        .filter_map(|file| Some((first_number(&std::fs::read_to_string(&file).unwrap())?, file)))
        .collect();
    files.sort();
    files.into_iter().map(|(_, file)| file).collect()
}

/// The number of the first record.
fn first_number(text: &str) -> Option<u64> {
    text.lines().next().map(|line| json(line)["seq"].as_u64().unwrap())
}

/// `toolgate audit verify` finds nothing.
#[track_caller]
fn verifies(files: &Files, trail: &[PathBuf]) {
    let names = trail.iter().map(|path| path.to_str().unwrap());
    let arguments: Vec<&str> = ["audit", "verify"].into_iter().chain(names).collect();
    let ran = files.run(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
}

/// The longest that the first allow took after each of `moments`.
#[track_caller]
fn recoveries(told: &Told, moments: &[Instant]) -> Duration {
    let after = |moment: &Instant| {
        let first = told.allowed_at.iter().filter(|at| *at >= moment).min().expect("it never allows again");
        first.duration_since(*moment)
    };
    moments.iter().map(after).max().unwrap()
}

/// Waits until `condition` holds, or says `what` is wrong.
async fn until(condition: impl Fn() -> bool, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
