//! A place that records go to, and what a reply waits for there.
//!
//! A file is written in the threads of the requests: that is cheaper than waking another. For `durable` a thread of its own
//! flushes what came in the meantime, all at once. Standard output, a collector, and whatever is `best_effort`, has a queue and
//! a thread that empties it, since nobody knows how long the other side takes.

mod direct;
mod export;
mod queue;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::audit::AuditError;
use crate::audit::disk::Disk;
use crate::audit::ledger::Ledger;
use crate::audit::line::Body;
use crate::audit::otlp::Collector;
use crate::audit::sink::direct::{Direct, Place};
use crate::audit::sink::queue::Queue;
use crate::audit::writer::{Writer, count};
use crate::context::UnixTime;

/// How long a reply waits for a sink. Longer than a disk takes for a flush, and than a proxy usually waits for an answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long the end of the process waits for a sink that does not move.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// What a reply waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// The system or the collector has the record: it survives the end of the process.
    #[default]
    Strict,
    /// The disk has it: it survives the end of the machine.
    Durable,
    /// Nothing. What the sink cannot take in time is dropped, and the loss is recorded.
    BestEffort,
}

/// A sink as `/status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SinkStatus {
    /// The path, `stdout`, or the URL of a collector.
    pub sink: String,
    /// What a reply waits for.
    pub mode: &'static str,
    /// How many records went in since the start.
    pub recorded: u64,
    /// How many did not.
    pub failures: u64,
    /// Why the last one did not; absent while it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing: Option<String>,
}

/// One place.
#[derive(Debug)]
pub(super) struct Sink {
    mode: Mode,
    state: Arc<State>,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// Written in the thread of the request; the end of the thread that flushes, if there is one.
    Direct(Arc<Direct>, Option<Mutex<Receiver<()>>>),
    /// Written in a thread of its own.
    Queued(Queue),
}

/// What a sink does beside records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Tick,
    FindAgain,
    Close,
}

impl Task {
    fn run(self, writer: &mut Writer, now: UnixTime) -> Result<(), AuditError> {
        match self {
            Self::Tick => writer.tick(now),
            Self::FindAgain => writer.find_again(now),
            Self::Close => writer.close(now),
        }
    }
}

/// Where a record is, as far as one sink is concerned.
#[derive(Debug)]
pub(super) enum Receipt {
    /// Nowhere.
    Refused(AuditError),
    /// Among those that are written next.
    Gathered(Place),
    /// In the queue.
    Queued(oneshot::Receiver<Result<(), AuditError>>, Arc<State>),
    /// In the queue or not; nobody waits.
    Unasked,
}

/// What came of a flush, once it is over.
type Flushed = Option<Result<(), AuditError>>;

impl Mode {
    /// The word in the configuration and in `/status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Durable => "durable",
            Self::BestEffort => "best_effort",
        }
    }
}

impl Sink {
    /// A sink that waits as `mode` says; `failures` counts what it does not take.
    pub(super) fn new(writer: Writer, mode: Mode, queued: bool, disk: &Arc<dyn Disk>, failures: &Counter) -> Self {
        let state = Arc::new(State::new(writer.name(), failures.clone()));
        let way = if queued || mode == Mode::BestEffort {
            Way::Queued(Queue::writing(writer, state.clone()))
        } else {
            let (direct, ended) = Direct::start(writer, mode == Mode::Durable, disk, &state);
            Way::Direct(direct, ended.map(Mutex::new))
        };
        Self { mode, state, way }
    }

    /// A sink of what is sent to `collector`.
    ///
    /// # Errors
    /// [`AuditError::Open`] if the system has not what that needs.
    pub(super) fn exporting(
        collector: Collector,
        ledger: Ledger,
        mode: Mode,
        failures: &Counter,
    ) -> Result<Self, AuditError> {
        let state = Arc::new(State::new(collector.name().to_owned(), failures.clone()));
        let queue = export::start(collector, ledger, state.clone())?;
        Ok(Self { mode, state, way: Way::Queued(queue) })
    }

    /// Whether an allow may rest on this sink alone.
    pub(super) fn counts(&self) -> bool {
        self.mode != Mode::BestEffort
    }

    /// Whether it takes records, as far as is known.
    pub(super) fn works(&self) -> bool {
        self.state.trouble().is_none()
    }

    /// Hands over one record.
    pub(super) fn append(&self, body: Body, now: UnixTime) -> Receipt {
        match &self.way {
            Way::Direct(direct, _) => Receipt::Gathered(direct.append(body, now)),
            Way::Queued(queue) => queue.append(body, now, self.counts(), &self.state),
        }
    }

    /// Hands over one record that is kept where no sink takes it, so that nothing is missing here yet if this one does not.
    pub(super) fn offer(&self, body: &Body, now: UnixTime) -> bool {
        match &self.way {
            Way::Direct(direct, _) => direct.offer(body, now),
            Way::Queued(queue) => queue.offer(body, now),
        }
    }

    /// A record that others took is missing here.
    pub(super) fn missed(&self) {
        self.state.missed();
        match &self.way {
            Way::Direct(direct, _) => direct.missed(),
            Way::Queued(queue) => queue.missed(),
        }
    }

    /// What time asks for: see [`Writer::tick`].
    pub(super) fn tick(&self, now: UnixTime) {
        self.run(Task::Tick, now);
    }

    /// Opens the file by its name again.
    ///
    /// # Errors
    /// [`AuditError`]; a sink with a queue says it in the log only.
    pub(super) fn find_again(&self, now: UnixTime) -> Result<(), AuditError> {
        match &self.way {
            Way::Direct(direct, _) => direct.run(Task::FindAgain, now),
            Way::Queued(queue) => {
                queue.run(Task::FindAgain, now);
                Ok(())
            }
        }
    }

    /// Writes the last record.
    pub(super) fn close(&self, now: UnixTime) {
        self.run(Task::Close, now);
    }

    fn run(&self, task: Task, now: UnixTime) {
        match &self.way {
            Way::Direct(direct, _) => {
                let outcome = direct.run(task, now);
                self.state.did(task, &outcome);
            }
            Way::Queued(queue) => queue.run(task, now),
        }
    }

    pub(super) fn status(&self) -> SinkStatus {
        self.state.status(self.mode)
    }
}

impl Receipt {
    /// Sees to it that the record is on its way, where nobody waits for it.
    ///
    /// # Errors
    /// [`AuditError`] if it is known that it is nowhere.
    pub(super) fn sent(self) -> Result<(), AuditError> {
        match self {
            Self::Refused(error) => Err(error),
            Self::Gathered(place) => place.sent(),
            Self::Queued(..) | Self::Unasked => Ok(()),
        }
    }

    /// Waits for the record, but not for ever; `None` if the reply does not wait.
    pub(super) async fn outcome(self) -> Option<Result<(), AuditError>> {
        Some(match self {
            Self::Refused(error) => Err(error),
            Self::Unasked => return None,
            Self::Gathered(place) => place.outcome().await,
            Self::Queued(written, state) => match tokio::time::timeout(PATIENCE, written).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) | Err(_) => Err(state.stall()),
            },
        })
    }
}

impl Drop for Sink {
    /// Waits until everything is written and the file is unlocked; not for ever.
    fn drop(&mut self) {
        let ended = match &mut self.way {
            Way::Direct(direct, ended) => {
                direct.end();
                ended.as_ref()
            }
            Way::Queued(queue) => Some(queue.end()),
        };
        if let Some(ended) = ended {
            // Nothing is ever received but the end of the thread.
            let _ = ended.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(LAST_PATIENCE);
        }
    }
}

/// How a sink is doing. Read without its lock, which may be held for as long as the other side takes.
#[derive(Debug)]
pub(super) struct State {
    name: String,
    recorded: AtomicU64,
    failed: AtomicU64,
    /// It did not move in time.
    stalls: AtomicBool,
    fails: AtomicBool,
    failing: Mutex<Option<AuditError>>,
    failures: Counter,
}

impl State {
    fn new(name: String, failures: Counter) -> Self {
        Self {
            name,
            recorded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            stalls: AtomicBool::new(false),
            fails: AtomicBool::new(false),
            failing: Mutex::new(None),
            failures,
        }
    }

    fn stalled(&self) -> AuditError {
        AuditError::Stalled { sink: self.name.clone() }
    }

    /// Somebody waited in vain.
    fn stall(&self) -> AuditError {
        self.stalls.store(true, Ordering::Relaxed);
        self.stalled()
    }

    /// It moves again.
    fn moved(&self) {
        self.stalls.store(false, Ordering::Relaxed);
    }

    /// Counts a record.
    fn note(&self, outcome: &Result<(), AuditError>) {
        self.wrote(usize::from(outcome.is_ok()), usize::from(outcome.is_err()), outcome);
    }

    /// Counts records; the `outcome` is of the last.
    fn wrote(&self, taken: usize, missing: usize, outcome: &Result<(), AuditError>) {
        self.recorded.fetch_add(count(taken), Ordering::Relaxed);
        if missing > 0 {
            self.failed.fetch_add(count(missing), Ordering::Relaxed);
            self.failures.inc_by(count(missing));
        }
        match outcome {
            Ok(()) => self.works(),
            Err(error) => self.fails(error),
        }
    }

    /// A look that finds nothing wrong has written what was missing: it works again, though nobody asks it for anything.
    fn did(&self, task: Task, outcome: &Result<(), AuditError>) {
        match (outcome, task) {
            (Ok(()), Task::Tick) => self.works(),
            (Ok(()), Task::FindAgain | Task::Close) => {}
            (Err(error), _) => self.fails(error),
        }
    }

    /// Logs where a failure ends, and [`State::fails`] where it starts: a line for each record would be a flood of its own.
    fn works(&self) {
        if self.fails.swap(false, Ordering::Relaxed) {
            *self.failing() = None;
            let failures = self.failed.load(Ordering::Relaxed);
            tracing::info!(sink = self.name, failures, "audit sink works again");
        }
    }

    fn fails(&self, error: &AuditError) {
        if !self.fails.swap(true, Ordering::Relaxed) {
            tracing::error!(sink = self.name, %error, "audit sink fails");
        }
        *self.failing() = Some(error.clone());
    }

    /// Why the next record may not be taken, if that is to be feared.
    fn trouble(&self) -> Option<AuditError> {
        self.failing().clone().or_else(|| self.stalls.load(Ordering::Relaxed).then(|| self.stalled()))
    }

    fn missed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.failures.inc();
    }

    fn status(&self, mode: Mode) -> SinkStatus {
        SinkStatus {
            sink: self.name.clone(),
            mode: mode.as_str(),
            recorded: self.recorded.load(Ordering::Relaxed),
            failures: self.failed.load(Ordering::Relaxed),
            failing: self.trouble().as_ref().map(ToString::to_string),
        }
    }

    fn failing(&self) -> MutexGuard<'_, Option<AuditError>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
