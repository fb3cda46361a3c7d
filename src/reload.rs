//! Floor 2: the rules that hold, and how others take their place.
//!
//! One generation is everything that shapes a decision. It is built whole beside the one that holds and swapped in one
//! step; a request takes one snapshot at its start. What does not load changes nothing, and says so loudly.

mod credentials;
mod files;
pub mod generation;
pub mod load;
mod overlays;
mod watch;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::admin::ReloadFailure;
use crate::audit::{Audit, Reload, ReloadOutcome};
use crate::clock::Clock;
use crate::context::UnixTime;
use crate::metrics::Metrics;
use crate::problem::{Severity, render};
use crate::reload::generation::Generation;
use crate::reload::load::{LoadFailure, load_unless};

pub use watch::watch;

/// The rules that hold, and what it takes to replace them.
#[derive(Debug)]
pub struct Live {
    current: ArcSwap<Generation>,
    config: PathBuf,
    metrics: Arc<Metrics>,
    audit: Arc<Audit>,
    clock: Clock,
    failure: Mutex<Option<Failure>>,
}

/// The last attempt, if it failed and nothing was loaded since.
#[derive(Debug)]
struct Failure {
    at: UnixTime,
    message: String,
    digest: String,
}

/// Why an attempt is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// Files may have changed: what was tried before is not tried again.
    Files,
    /// Somebody asked for it.
    Signal,
}

impl Live {
    /// Starts from the generation `first`, loaded from `config`.
    pub fn new(first: Generation, config: PathBuf, metrics: Arc<Metrics>, audit: Arc<Audit>, clock: Clock) -> Self {
        metrics.loaded(first.rules.generation, first.since);
        Self { current: ArcSwap::from_pointee(first), config, metrics, audit, clock, failure: Mutex::new(None) }
    }

    /// The generation that holds now. A request asks once.
    pub fn current(&self) -> Arc<Generation> {
        self.current.load_full()
    }

    /// Why the files as they are now do not hold, if they do not.
    pub fn failure(&self) -> Option<ReloadFailure> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.as_ref().map(|failure| {
            let age = self.clock.now().seconds().saturating_sub(failure.at.seconds());
            let age_seconds = u64::try_from(age).unwrap_or(0);
            ReloadFailure { at: failure.at, age_seconds, message: failure.message.clone() }
        })
    }

    /// Reads the files and puts them in force if they load and differ from what holds. Blocks while it reads; only one
    /// attempt is made at a time, by the one task that calls it.
    pub fn reload(&self, trigger: Trigger) {
        let current = self.current();
        let now = self.clock.now();
        match load_unless(&self.config, current.rules.generation + 1, Some(&current.rules.digest)) {
            Ok(None) => self.forget_failure(),
            Ok(Some(loaded)) => match Generation::start(loaded, Some(&current), &self.metrics, now) {
                Ok(next) => self.put_in_force(next, now),
                Err(error) => self.refuse(&error.to_string(), &[], String::new(), now),
            },
            Err(failure) => {
                let known =
                    self.failure.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|f| f.digest.clone());
                if trigger == Trigger::Signal || known.as_ref() != Some(&failure.digest) {
                    self.refuse_files(failure, now);
                }
            }
        }
    }

    fn put_in_force(&self, next: Generation, now: UnixTime) {
        let (generation, digest) = (next.rules.generation, next.rules.digest.clone());
        self.current.store(Arc::new(next));
        self.forget_failure();
        self.metrics.loaded(generation, now);
        tracing::info!(generation, digest, "rules loaded");
        self.note(ReloadOutcome::Loaded, generation, &digest, &[], now);
    }

    fn refuse_files(&self, failure: LoadFailure, now: UnixTime) {
        let errors = failure.problems.iter().filter(|problem| problem.severity == Severity::Error);
        let messages: Vec<&str> = errors.map(|problem| problem.message.as_str()).collect();
        let first = messages.first().copied().unwrap_or("the files could not be loaded").to_owned();
        tracing::error!(
            "the changed files do not load; the rules stay as they are\n{}",
            render(&failure.problems, false)
        );
        self.refuse(&first, &messages, failure.digest, now);
    }

    fn refuse(&self, message: &str, problems: &[&str], digest: String, now: UnixTime) {
        let current = self.current();
        self.metrics.load_refused();
        self.note(ReloadOutcome::Refused, current.rules.generation, &current.rules.digest, problems, now);
        let failure = Failure { at: now, message: message.to_owned(), digest };
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
    }

    fn forget_failure(&self) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn note(&self, outcome: ReloadOutcome, generation: u64, digest: &str, problems: &[&str], time: UnixTime) {
        let record = Reload { time, outcome, generation, digest, problems };
        if let Err(error) = self.audit.reload(&record) {
            tracing::error!(%error, "the reload is not on record");
        }
    }
}
