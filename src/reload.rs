//! Floor 2: the rules that hold, and how others take their place.
//!
//! One generation is everything that shapes a decision. It is built whole beside the one that holds and swapped in one
//! step; a request takes one snapshot at its start. What does not load changes nothing, and says so loudly.

mod credentials;
mod disclosure;
mod files;
mod fixed;
mod gather;
pub mod generation;
pub mod load;
mod overlays;
mod policies;
mod view;
mod watch;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;

use crate::admin::ReloadFailure;
use crate::audit::{Audit, Reload, ReloadOutcome};
use crate::clock::Clock;
use crate::context::UnixTime;
use crate::metrics::Metrics;
use crate::problem::{Problem, Severity, render};
use crate::reload::fixed::Fixed;
use crate::reload::generation::Generation;
use crate::reload::load::LoadFailure;

pub use files::Folder;
pub use gather::Gathered;
pub use watch::{Pace, Watch, watch};

/// The rules that hold, and what it takes to replace them.
#[derive(Debug)]
pub struct Live {
    current: ArcSwap<Generation>,
    config: PathBuf,
    /// What the process was started with.
    fixed: Fixed,
    metrics: Arc<Metrics>,
    audit: Arc<Audit>,
    clock: Clock,
    failure: Mutex<Option<Failure>>,
    folders: Mutex<Vec<Folder>>,
    /// Generations that no longer hold, kept until no request has them: the last one to let go of it takes it apart, and
    /// that is not to be a request.
    retired: Mutex<Vec<Arc<Generation>>>,
}

/// The last attempt, if it failed and nothing was loaded since.
#[derive(Debug)]
struct Failure {
    at: UnixTime,
    message: String,
    problems: usize,
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
        metrics.loaded(first.rules.generation, &first.rules.digest, first.since);
        Self {
            fixed: first.fixed.clone(),
            folders: Mutex::new(first.folders.clone()),
            current: ArcSwap::from_pointee(first),
            config,
            metrics,
            audit,
            clock,
            failure: Mutex::new(None),
            retired: Mutex::new(Vec::new()),
        }
    }

    /// The generation that holds now. A request asks once.
    pub fn current(&self) -> Arc<Generation> {
        self.current.load_full()
    }

    /// Why the files as they are now do not hold, if they do not.
    pub fn failure(&self) -> Option<ReloadFailure> {
        locked(&self.failure).as_ref().map(|failure| {
            let age = self.clock.now().seconds().saturating_sub(failure.at.seconds());
            let age_seconds = u64::try_from(age).unwrap_or(0);
            let Failure { at, ref message, problems, .. } = *failure;
            ReloadFailure { at, age_seconds, message: message.clone(), problems }
        })
    }

    /// The keys of the configuration that were changed and hold only after a restart.
    pub fn restart_needed(&self) -> Vec<&'static str> {
        self.fixed.differing(&self.current().fixed)
    }

    /// The folders that the last look was at.
    pub fn folders(&self) -> Vec<Folder> {
        locked(&self.folders).clone()
    }

    /// [`Live::reload_when_still`] without a pause: whoever calls it knows that nobody is writing.
    pub fn reload(&self, trigger: Trigger) {
        self.reload_when_still(trigger, &|| ());
    }

    /// Reads the files and puts them in force if they load and differ from what holds; another content counts once it is
    /// found again after `pause`. Blocks meanwhile; only one attempt is made at a time, by the one thread that calls it.
    pub fn reload_when_still(&self, trigger: Trigger, pause: &dyn Fn()) {
        let began = Instant::now();
        let found = Gathered::look(&self.config);
        *locked(&self.folders) = found.folders();
        if !self.is_known(found.digest(), trigger) {
            match found.settle(&self.config, pause) {
                Ok(settled) if self.is_known(settled.digest(), trigger) => {}
                Ok(settled) => self.attempt(settled, began),
                Err(failure) if self.is_known(&failure.digest, trigger) => {}
                Err(failure) => self.refuse_files(failure, self.clock.now()),
            }
        }
        locked(&self.retired).retain(|generation| Arc::strong_count(generation) > 1);
    }

    /// Whether there is nothing to do about the content `digest`: it holds, or it was refused and nobody asks again.
    fn is_known(&self, digest: &str, trigger: Trigger) -> bool {
        let current = self.current();
        if current.rules.digest == digest {
            if self.forget_failure() || trigger == Trigger::Signal {
                let generation = current.rules.generation;
                tracing::info!(generation, digest, "the files are those of the rules that hold");
                self.note(ReloadOutcome::Unchanged, generation, digest, &[], self.clock.now());
                self.metrics.load_unchanged();
            }
            return true;
        }
        trigger == Trigger::Files && locked(&self.failure).as_ref().is_some_and(|failure| failure.digest == digest)
    }

    fn attempt(&self, settled: Gathered, began: Instant) {
        let current = self.current();
        let folders = settled.folders();
        let started = match settled.load(current.rules.generation + 1) {
            Ok(loaded) => {
                let digest = loaded.rules.digest.clone();
                Generation::start(loaded, Some(&current), &self.metrics, self.clock.now())
                    .map_err(|error| (error, digest))
            }
            Err(failure) => return self.refuse_files(failure, self.clock.now()),
        };
        *locked(&self.folders) = folders;
        match started {
            Ok(next) => self.put_in_force(next, began),
            Err((error, digest)) => {
                let message = error.to_string();
                tracing::error!(%error, "the changed files cannot be put to work; the rules stay as they are");
                self.refuse(&[message], digest, self.clock.now());
            }
        }
    }

    fn put_in_force(&self, next: Generation, began: Instant) {
        let (generation, digest, now) = (next.rules.generation, next.rules.digest.clone(), next.since);
        let before = self.restart_needed();
        let previous = self.current.swap(Arc::new(next));
        locked(&self.retired).push(previous);
        self.forget_failure();
        self.metrics.loaded(generation, &digest, now);
        let took = began.elapsed();
        self.metrics.reload_took(took);
        tracing::info!(generation, digest, took_ms = took.as_millis(), "rules loaded");
        let needed = self.restart_needed();
        if !needed.is_empty() && needed != before {
            tracing::warn!(keys = needed.join(", "), "these keys were changed; they hold after a restart only");
        }
        self.note(ReloadOutcome::Loaded, generation, &digest, &[], now);
    }

    fn refuse_files(&self, failure: LoadFailure, now: UnixTime) {
        let errors = failure.problems.iter().filter(|problem| problem.severity == Severity::Error);
        let mut messages: Vec<String> = errors.map(sentence).collect();
        if messages.is_empty() {
            messages.push("the files could not be loaded".to_owned());
        }
        tracing::error!(
            "the changed files do not load; the rules stay as they are\n{}",
            render(&failure.problems, false)
        );
        self.refuse(&messages, failure.digest, now);
    }

    /// Says everywhere that the content `digest` was refused; `messages` is not empty.
    fn refuse(&self, messages: &[String], digest: String, now: UnixTime) {
        let current = self.current();
        let message = messages.first().cloned().unwrap_or_default();
        *locked(&self.failure) = Some(Failure { at: now, message, problems: messages.len(), digest });
        // Last, so that whoever sees it counted finds the rest.
        let problems: Vec<&str> = messages.iter().map(String::as_str).collect();
        self.note(ReloadOutcome::Refused, current.rules.generation, &current.rules.digest, &problems, now);
        self.metrics.load_refused();
    }

    /// Whether there was a failure to forget.
    fn forget_failure(&self) -> bool {
        let forgotten = locked(&self.failure).take().is_some();
        if forgotten {
            self.metrics.load_mended();
        }
        forgotten
    }

    fn note(&self, outcome: ReloadOutcome, generation: u64, digest: &str, problems: &[&str], time: UnixTime) {
        let record = Reload { time, outcome, generation, digest, problems };
        if let Err(error) = self.audit.reload(&record) {
            tracing::error!(%error, "the reload is not on record");
        }
    }
}

/// What is wrong, with the place where.
fn sentence(problem: &Problem) -> String {
    match problem.position() {
        Some((line, column)) => format!("{}:{line}:{column}: {}", problem.source.name, problem.message),
        None => format!("{}: {}", problem.source.name, problem.message),
    }
}

/// What is behind the lock. Whoever panicked while holding it left a whole value.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
