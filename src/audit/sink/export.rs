//! A sink that is sent to a collector: what waits goes together, one batch after the other.
//!
//! A batch whose fate is not known is sent again, to the byte the same, until the collector says what became of it: so no number of
//! the chain is ever given twice, and what the collector may then have twice is one line and not two.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use rustix::io::Errno;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::audit::AuditError;
use crate::audit::ledger::{Draft, Ledger};
use crate::audit::otlp::{Answer, Collector, ExportError};
use crate::audit::record::closed;
use crate::audit::sink::queue::{Job, Jobs, Pending, Queue};
use crate::audit::sink::{State, Task};
use crate::context::UnixTime;

/// Records in one batch: what OpenTelemetry's own exporters send at most.
const BATCH_RECORDS: usize = 512;

/// A batch takes no further record once its records have so many bytes. With its attributes it stays below the MiB that proxies
/// let a request have.
const BATCH_BYTES: usize = 512 * 1024;

/// Bytes that the place in the chain adds to a record.
const PLACE_BYTES: usize = 128;

/// The wait before a batch is sent again, doubled each time up to the second: a collector that is back is found within a
/// second.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// The longest wait that a collector may ask for: meanwhile, requests are denied.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long the end of the process goes on sending. Less than it is waited for, so that what is left behind is in the log.
const GRACE: Duration = Duration::from_millis(1_500);

/// The queue of what is sent to `collector`, each record as `ledger` chains it.
pub(super) fn start(collector: Collector, ledger: Ledger, state: Arc<State>) -> Result<Queue, AuditError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| AuditError::Open {
        sink: collector.name().to_owned(),
        cause: Errno::from_io_error(&error).unwrap_or(Errno::IO),
    })?;
    let mut exporter = Exporter { collector, ledger, state };
    Ok(Queue::start(move |mut jobs, ending| {
        runtime.block_on(async {
            tokio::select! {
                () = exporter.run(&mut jobs) => {}
                () = end(ending) => {}
            }
        });
        let missing = jobs.waiting();
        if missing > 0 {
            tracing::error!(sink = exporter.state.name, missing, "the process ends, and the audit sink lacks records");
        }
        // A name that is being looked up would keep it.
        runtime.shutdown_background();
    }))
}

/// When no more can come, and those that are left had their time.
async fn end(ending: oneshot::Receiver<()>) {
    // Nothing is ever sent but the end.
    let _ = ending.await;
    sleep(GRACE).await;
}

#[derive(Debug)]
struct Exporter {
    collector: Collector,
    ledger: Ledger,
    state: Arc<State>,
}

/// What is done at once.
#[derive(Debug, Default)]
struct Batch {
    records: Vec<Pending>,
    bytes: usize,
    ticked: Option<UnixTime>,
    closed: Option<UnixTime>,
}

impl Batch {
    fn add(&mut self, job: Job) {
        match job {
            Job::Record(record) => {
                self.bytes += record.body.bytes.len() + PLACE_BYTES;
                self.records.push(record);
            }
            Job::Task(Task::Tick, now) => self.ticked = Some(now),
            Job::Task(Task::Close, now) => self.closed = Some(now),
            Job::Task(Task::FindAgain, _) => {}
        }
    }

    fn is_full(&self) -> bool {
        self.records.len() >= BATCH_RECORDS || self.bytes >= BATCH_BYTES || self.closed.is_some()
    }

    /// The last moment that anything in it knows of.
    fn now(&self) -> Option<UnixTime> {
        self.closed.or(self.records.last().map(|record| record.now)).or(self.ticked)
    }
}

impl Exporter {
    /// Sends what comes, until nothing can come any more.
    async fn run(&mut self, jobs: &mut Jobs) {
        while let Some(first) = jobs.next().await {
            let mut batch = Batch::default();
            batch.add(first);
            while !batch.is_full() {
                let Some(job) = jobs.try_next() else { break };
                batch.add(job);
            }
            self.ledger.lost += jobs.dropped();
            let records = batch.records.len();
            self.send(batch).await;
            jobs.done(records);
        }
    }

    async fn send(&mut self, batch: Batch) {
        let Some(now) = batch.now() else { return };
        let records = batch.records;
        let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
        let idle = records.is_empty() && self.ledger.lost == 0;
        let closing = batch.closed.filter(|_| !idle || !self.ledger.is_unused()).map(closed);
        let late = self.ledger.is_late(now);
        if idle && closing.is_none() && !late {
            // Whoever waited in vain did so for something else.
            self.state.moved();
            return;
        }
        let sign = late || closing.is_some() || self.ledger.until_full() <= count;
        let bodies = records.iter().map(|record| &record.body).chain(&closing);
        let draft = self.ledger.draft(bodies, sign, now, 0);
        let answer = self.deliver(&draft).await;
        self.state.moved();
        match answer {
            Ok(()) => {
                self.ledger.settle(draft, now);
                self.state.works();
                self.answer(records, 0, &Ok(()));
            }
            Err(Undelivered { cause, missing: None }) => {
                self.ledger.abandon(draft);
                self.ledger.lost += count;
                self.answer(records, count, &Err(self.error(cause)));
            }
            Err(Undelivered { cause, missing: Some(missing) }) => {
                let missing = missing.min(count);
                self.ledger.doubt(draft, missing, now);
                self.answer(records, missing, &Err(self.error(cause)));
            }
        }
    }

    /// All replies are told the same: which of the records are `missing`, nobody says.
    fn answer(&self, records: Vec<Pending>, missing: u64, outcome: &Result<(), AuditError>) {
        for (record, number) in records.into_iter().zip(0..) {
            self.state.note(if number < missing { outcome } else { &Ok(()) });
            record.answer(outcome.clone());
        }
    }

    /// Sends the lines, again and again, until it is known what became of them.
    async fn deliver(&self, draft: &Draft) -> Result<(), Undelivered> {
        let batch = self.collector.batch(draft.lines());
        let mut pause = FIRST_PAUSE;
        // What was sent may have come there, whatever is said of it the next time.
        let mut sent = false;
        loop {
            match self.collector.export(&batch).await {
                Answer::Taken => return Ok(()),
                Answer::Refused(cause) => return Err(Undelivered { cause, missing: sent.then_some(u64::MAX) }),
                Answer::Doubtful { cause, missing } => return Err(Undelivered { cause, missing: Some(missing) }),
                Answer::Again { cause, after } => {
                    sent |= !matches!(cause, ExportError::Connect(_));
                    self.state.fails(&self.error(cause));
                    sleep(wait(pause, after)).await;
                    pause = (pause * 2).min(LAST_PAUSE);
                }
            }
        }
    }

    fn error(&self, cause: ExportError) -> AuditError {
        AuditError::Export { sink: self.state.name.clone(), cause }
    }
}

/// Lines that are not, or not all, where they should be.
#[derive(Debug)]
struct Undelivered {
    cause: ExportError,
    /// How many are missing at the most; `None` if none of the lines ever left.
    missing: Option<u64>,
}

/// How long until the batch is sent again: about `pause`, or as long as the collector asks for.
fn wait(pause: Duration, after: Option<Duration>) -> Duration {
    let wait = pause.mul_f64(between_half_and_whole());
    after.map_or(wait, |after| after.clamp(wait, LONGEST_PAUSE))
}

/// Many processes that lost one collector do not come back in step.
fn between_half_and_whole() -> f64 {
    let mut byte = [0];
    // Without randomness the wait is only less even.
    let _ = rand::fill(&mut byte);
    0.5 + f64::from(byte[0]) / 512.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::line::Line;

    fn batch(records: usize, bytes: usize) -> Batch {
        let mut batch = Batch::default();
        for _ in 0..records {
            let mut line = Line::default();
            line.text("kind", &"x".repeat(200));
            let body = line.finish();
            batch.add(Job::Record(Pending::unasked(body, UnixTime::from_seconds(1))));
        }
        assert!(bytes >= batch.bytes);
        batch.bytes = bytes;
        batch
    }

    #[test]
    fn a_batch_is_full_at_its_bounds_and_not_before() {
        assert!(!batch(BATCH_RECORDS - 1, BATCH_BYTES - 1).is_full());
        assert!(batch(BATCH_RECORDS, BATCH_BYTES - 1).is_full());
        assert!(batch(1, BATCH_BYTES).is_full());
        let mut ended = batch(1, BATCH_BYTES - 1);
        ended.add(Job::Task(Task::Tick, UnixTime::from_seconds(2)));
        assert!(!ended.is_full());
        ended.add(Job::Task(Task::Close, UnixTime::from_seconds(3)));
        assert!(ended.is_full());
        assert_eq!(ended.now(), Some(UnixTime::from_seconds(3)));
    }

    #[test]
    fn a_collector_can_ask_for_a_longer_wait_within_bounds() {
        let seconds = Duration::from_secs;
        assert_eq!(wait(FIRST_PAUSE, Some(LONGEST_PAUSE)), LONGEST_PAUSE);
        assert_eq!(wait(FIRST_PAUSE, Some(LONGEST_PAUSE + seconds(1))), LONGEST_PAUSE);
        assert_eq!(wait(FIRST_PAUSE, Some(seconds(1))), seconds(1));
        for after in [None, Some(Duration::ZERO)] {
            for _ in 0..1_000 {
                assert!((FIRST_PAUSE / 2..FIRST_PAUSE).contains(&wait(FIRST_PAUSE, after)));
            }
        }
    }
}
