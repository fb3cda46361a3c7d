//! The audit trail: every decision is one line, written before its reply leaves.
//!
//! INVARIANT (allowed ⊆ recorded): a reply takes a [`Recorded`], which only [`Audit::record`] makes, after at least one
//! sink has taken the whole line. Where none can, the answer is `audit_unavailable`.
//!
//! A line survives the death of the process, because the kernel has it; it does not survive the death of the machine.
//! Sequence numbers are given under the lock that also writes: the order in a file is their order.

mod line;
mod record;
mod sink;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac;
use prometheus_client::metrics::counter::Counter;
use rustix::io::Errno;
use thiserror::Error;

use crate::context::UnixTime;

pub(crate) use self::line::timestamp;
pub use self::record::Latency;
pub use self::record::Record;
pub use self::record::Reload;
pub use self::record::ReloadOutcome;
pub use self::record::Scalar;
pub use self::record::Verdict;
pub use self::sink::SinkStatus;

use self::line::{Line, hex};
use self::sink::Sink;

/// Bytes of a token's fingerprint: 128 bits, so that two tokens never share one.
const FINGERPRINT_BYTES: usize = 16;

/// Where records go.
#[derive(Debug, Clone, Default)]
pub struct AuditSettings {
    /// A file that this process alone writes.
    pub file: Option<PathBuf>,
    /// Standard output.
    pub stdout: bool,
    /// Counts records that one sink did not take, whether or not another did.
    pub failures: Counter,
}

/// The open audit trail. Shared by all requests.
#[derive(Debug)]
pub struct Audit {
    boot: String,
    key: hmac::Key,
    decisions: AtomicU64,
    failures: Counter,
    trail: Mutex<Trail>,
}

/// The part that changes with each record, and whatever links one record to the next.
#[derive(Debug)]
struct Trail {
    seq: u64,
    frame: Vec<u8>,
    sinks: Vec<Sink>,
}

/// The id of one decision, `<boot>-<number in hexadecimal>`: unique among all processes, and only printable ASCII.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DecisionId(String);

/// Proof that the record of `T` is written.
#[derive(Debug)]
#[must_use = "the decision inside has not been answered yet"]
pub struct Recorded<T>(T);

/// Why a record was not written, or the trail not opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AuditError {
    /// The sink cannot be opened.
    #[error("cannot open the audit sink `{sink}`: {cause}")]
    Open {
        /// The path, or `stdout`.
        sink: String,
        /// What the system said.
        cause: Errno,
    },
    /// Another process has the file: two writers would make one trail of two.
    #[error("the audit file `{path}` is being written by another process", path = path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Nowhere to record to.
    #[error("no audit sink is configured")]
    NoSink,
    /// The system gave no random bytes for the id of this process.
    #[error("the system gives no random bytes")]
    Random,
    /// The record was refused whole.
    #[error("cannot write to the audit sink `{sink}`: {cause}")]
    Write {
        /// The path, or `stdout`.
        sink: String,
        /// What the system said.
        cause: Errno,
    },
    /// Only the start of the record was taken.
    #[error("the audit sink `{sink}` took {written} of {length} bytes")]
    Short {
        /// The path, or `stdout`.
        sink: String,
        /// Bytes taken.
        written: usize,
        /// Bytes of the record.
        length: usize,
    },
}

thread_local! {
    /// The text of the record at hand: made outside the lock, without a new buffer for each.
    static BODY: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Audit {
    /// Opens every sink. A file that ends in half a line gets that line ended, and a record of it dated `now`.
    ///
    /// # Errors
    /// [`AuditError`]; there is no trail with a sink missing.
    pub fn open(settings: &AuditSettings, now: UnixTime) -> Result<Self, AuditError> {
        let mut sinks = Vec::new();
        let mut torn = None;
        if let Some(path) = &settings.file {
            let (sink, tail) = Sink::file(path)?;
            sinks.push(sink);
            torn = tail;
        }
        if settings.stdout {
            sinks.push(Sink::stdout()?);
        }
        if sinks.is_empty() {
            return Err(AuditError::NoSink);
        }
        let audit = Self {
            boot: hex(&random::<8>()?),
            key: hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()?),
            decisions: AtomicU64::new(0),
            failures: settings.failures.clone(),
            trail: Mutex::new(Trail { seq: 0, frame: Vec::new(), sinks }),
        };
        audit.note_torn(torn, now)?;
        Ok(audit)
    }

    /// A new decision id. It is not the record's sequence number, which is known only once the record is written.
    pub fn next_id(&self) -> DecisionId {
        DecisionId(format!("{}-{:x}", self.boot, self.decisions.fetch_add(1, Ordering::Relaxed)))
    }

    /// What stands for a token in records: the same for the same token in this process, and no help in guessing it.
    pub fn fingerprint(&self, token: &[u8]) -> String {
        let tag = hmac::sign(&self.key, token);
        hex(tag.as_ref().get(..FINGERPRINT_BYTES).unwrap_or_default())
    }

    /// Writes the record, and only then gives the decision back for its reply.
    ///
    /// # Errors
    /// [`AuditError`] if no sink took it; the decision is gone, and the caller is told `audit_unavailable`.
    pub fn record<T>(&self, record: &Record<'_>, decision: T) -> Result<Recorded<T>, AuditError> {
        self.append(|line| record.write(line))?;
        Ok(Recorded(decision))
    }

    /// Writes the record of an attempt to load other rules.
    ///
    /// # Errors
    /// [`AuditError`] if no sink took it.
    pub fn reload(&self, record: &Reload<'_>) -> Result<(), AuditError> {
        self.append(|line| record.write(line))
    }

    /// Opens the file by its name again, as after a rotation.
    ///
    /// # Errors
    /// [`AuditError`]; then records go where they went before.
    pub fn reopen(&self, now: UnixTime) -> Result<(), AuditError> {
        let torn = self.trail().sinks.iter_mut().map(Sink::reopen).collect::<Result<Vec<_>, _>>()?;
        self.note_torn(torn.into_iter().flatten().next(), now)
    }

    /// The state of every sink.
    pub fn sinks(&self) -> Vec<SinkStatus> {
        self.trail().sinks.iter().map(Sink::status).collect()
    }

    fn note_torn(&self, torn: Option<usize>, now: UnixTime) -> Result<(), AuditError> {
        torn.map_or(Ok(()), |bytes| self.append(|line| record::write_torn(line, now, bytes)))
    }

    fn append(&self, write: impl FnOnce(&mut Line)) -> Result<(), AuditError> {
        let mut line = Line::new(BODY.take());
        write(&mut line);
        let body = line.into_bytes();
        let outcome = self.trail().append(&self.boot, &body, &self.failures);
        BODY.set(body);
        outcome
    }

    /// A panic while the lock was held leaves at worst a number unused or a line torn, which the next append ends.
    fn trail(&self) -> MutexGuard<'_, Trail> {
        self.trail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trail {
    fn append(&mut self, boot: &str, body: &[u8], failures: &Counter) -> Result<(), AuditError> {
        self.frame.clear();
        // A vector takes every write.
        let _ = write!(self.frame, "\n{{\"boot\":\"{boot}\",\"seq\":{}", self.seq);
        self.frame.extend_from_slice(body);
        self.frame.extend_from_slice(b"}\n");
        let mut outcome = Err(AuditError::NoSink);
        for sink in &mut self.sinks {
            let appended = sink.append(&self.frame);
            if appended.is_err() {
                failures.inc();
            }
            if outcome.is_err() {
                outcome = appended;
            }
        }
        // A record that nobody took leaves no gap: its number goes to the next.
        if outcome.is_ok() {
            self.seq += 1;
        }
        outcome
    }
}

impl DecisionId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl<T> Recorded<T> {
    /// The decision, now fit to be answered.
    pub fn into_inner(self) -> T {
        self.0
    }
}

fn random<const N: usize>() -> Result<[u8; N], AuditError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| AuditError::Random)?;
    Ok(bytes)
}
