//! The audit trail: every decision is one line, written before its reply leaves.
//!
//! INVARIANT (allowed ⊆ recorded): a reply takes a [`Recorded`], which only [`Audit::record`] makes, after at least one
//! sink has taken the whole line. Where none can, the answer is `audit_unavailable`.
//!
//! Where a record goes is a [`Sink`]; each has a chain of its own (`chain`), and a reply waits for it as its [`Mode`] says.
//! Numbers and hashes are given under the lock that also writes: the order in a file is the order of its chain.

mod chain;
mod checkpoint;
mod copy;
mod disclosure;
mod disk;
mod error;
mod file;
mod flood;
mod ledger;
mod line;
mod otlp;
mod reader;
mod record;
mod sink;
mod subject;
mod target;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::hmac;
use futures_util::future::join_all;
use prometheus_client::metrics::counter::Counter;

use crate::context::UnixTime;

pub use self::checkpoint::{CheckpointKeyError, CheckpointSettings, PublicKey, Signer};
pub use self::disclosure::{Disclosure, Showing};
pub use self::error::AuditError;
pub(crate) use self::line::hex;
pub(crate) use self::line::timestamp;
pub use self::otlp::{ExportError, OtlpAccess, OtlpHeaders, OtlpHeadersError, OtlpRoots, OtlpRootsError, OtlpSettings};
pub use self::reader::{Count, Filter, Stats, readable};
pub use self::record::Latency;
pub use self::record::Record;
pub use self::record::Reload;
pub use self::record::ReloadOutcome;
pub use self::record::Shadow;
pub use self::record::Verdict;
pub use self::sink::{Mode, SinkStatus};
pub use self::subject::{SubjectKey, SubjectKeyError};
pub use self::verify::{Fault, Finding, Verified, Verifier};
pub use self::writer::Rotation;

use self::chain::Chain;
use self::copy::Checkpoints;
use self::disk::{Disk, System};
use self::flood::Flood;
use self::ledger::Ledger;
use self::line::{Body, Line};
use self::otlp::Collector;
use self::sink::{Receipt, Sink};
use self::writer::Writer;

/// Bytes of a token's fingerprint: 128 bits, so that two tokens never share one.
const FINGERPRINT_BYTES: usize = 16;

/// Bytes of the salt of a record's personal part.
const SALT_BYTES: usize = 16;

/// Bytes that most records fit into, so that their text is not moved while it grows.
const TYPICAL_RECORD: usize = 1024;

/// Where records go.
#[derive(Debug, Clone, Default)]
pub struct AuditSettings {
    /// A file that this process alone writes.
    pub file: Option<FileSettings>,
    /// Standard output.
    pub stdout: Option<Mode>,
    /// A collector.
    pub otlp: Option<OtlpSettings>,
    /// When the chains are signed, and with what.
    pub checkpoints: Option<CheckpointSettings>,
    /// What principals are hashed with; without it they are named.
    pub subject_key: Option<SubjectKey>,
    /// Denials of unknown callers that are recorded one by one in each second; beyond, they are summed up.
    pub unauthenticated_rate: Option<u64>,
    /// Counts records that one sink did not take, whether or not another did.
    pub failures: Counter,
}

/// A file of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSettings {
    /// Its name.
    pub path: PathBuf,
    /// What a reply waits for.
    pub mode: Mode,
    /// When it is put aside for a new one.
    pub rotation: Rotation,
}

/// The open audit trail. Shared by all requests.
#[derive(Debug)]
pub struct Audit {
    boot: Arc<str>,
    key: hmac::Key,
    subject_key: Option<SubjectKey>,
    decisions: AtomicU64,
    flood: Flood,
    sinks: Vec<Sink>,
}

/// The id of one decision, `<boot>-<number in hexadecimal>`: unique among all processes, and only printable ASCII.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DecisionId(String);

/// Proof that the record of `T` is written.
#[derive(Debug)]
#[must_use = "the decision inside has not been answered yet"]
pub struct Recorded<T>(T);

impl AuditSettings {
    /// A file that takes each record before its reply, and nothing else.
    pub fn file(path: PathBuf) -> Self {
        let file = FileSettings { path, mode: Mode::Strict, rotation: Rotation::default() };
        Self { file: Some(file), ..Self::default() }
    }
}

impl Audit {
    /// Opens every sink. Half a line at the end of a file is cut off, and that is told with the first record.
    ///
    /// # Errors
    /// [`AuditError`]; there is no trail with a sink missing.
    pub fn open(settings: &AuditSettings, now: UnixTime) -> Result<Self, AuditError> {
        let disk: Arc<dyn Disk> = Arc::new(System);
        Self::open_on(&disk, settings, now)
    }

    fn open_on(disk: &Arc<dyn Disk>, settings: &AuditSettings, now: UnixTime) -> Result<Self, AuditError> {
        let boot: Arc<str> = hex(&random::<8>()?).into();
        let mut checkpoints = settings.checkpoints.clone();
        let mut sinks = Vec::new();
        if let Some(FileSettings { path, mode, rotation }) = &settings.file {
            let signed = checkpoints.as_ref().map(|settings| Checkpoints::new(settings.clone(), disk, now));
            let writer = Writer::file(disk, path, boot.clone(), now)?;
            if *mode == Mode::Durable {
                writer.sync_name()?;
            }
            let writer = writer.with(*rotation, signed, *mode == Mode::Durable);
            sinks.push(Sink::new(writer, *mode, false, disk, &settings.failures));
            // The second place is for one chain.
            checkpoints = checkpoints.map(CheckpointSettings::without_copy);
        }
        if let Some(mode) = settings.stdout {
            let signed = checkpoints.as_ref().map(|settings| Checkpoints::new(settings.clone(), disk, now));
            let writer = Writer::stdout(boot.clone(), now)?.with(Rotation::default(), signed, false);
            sinks.push(Sink::new(writer, mode, true, disk, &settings.failures));
            checkpoints = checkpoints.map(CheckpointSettings::without_copy);
        }
        if let Some(otlp) = &settings.otlp {
            let collector = Collector::new(otlp, boot.clone())?;
            let mut ledger = Ledger::new(boot.clone(), Chain::START, 0);
            ledger.checkpoints = checkpoints.map(|settings| Checkpoints::new(settings, disk, now));
            sinks.push(Sink::exporting(collector, ledger, otlp.mode, &settings.failures)?);
        }
        if sinks.is_empty() {
            return Err(AuditError::NoSink);
        }
        Ok(Self {
            boot,
            key: hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()?),
            subject_key: settings.subject_key.clone(),
            decisions: AtomicU64::new(0),
            flood: Flood::new(settings.unauthenticated_rate),
            sinks,
        })
    }

    /// A new decision id. It is not the record's sequence number, which is known only once the record is written.
    pub fn next_id(&self) -> DecisionId {
        DecisionId(format!("{}-{:x}", self.boot, self.decisions.fetch_add(1, Ordering::Relaxed)))
    }

    /// What stands for a token in records: the same for the same token in this process, and no help in guessing it.
    pub fn fingerprint(&self, token: &[u8]) -> String {
        self.keyed(token, FINGERPRINT_BYTES)
    }

    /// A principal as records and metadata name it: itself, or a keyed hash that is the same in every process of the key.
    pub fn named<'p>(&self, principal: &'p str) -> Cow<'p, str> {
        self.subject_key.as_ref().map_or(Cow::Borrowed(principal), |key| Cow::Owned(key.hash(principal)))
    }

    /// Records the decision, and only then gives it back for its reply. The record is handed over at once; what is returned
    /// waits for it, for as long as a sink's mode says, and holds nothing but the decision meanwhile.
    ///
    /// # Errors
    /// [`AuditError`] if no sink took it; the decision is gone, and the caller is told `audit_unavailable`.
    pub fn record<T>(
        &self,
        record: &Record<'_>,
        decision: T,
    ) -> impl Future<Output = Result<Recorded<T>, AuditError>> + use<T> {
        let receipts = (!self.flood.absorbs(record)).then(|| self.append(self.body(record), record.time));
        async move {
            if let Some(receipts) = receipts {
                settled(receipts).await?;
            }
            Ok(Recorded(decision))
        }
    }

    fn body(&self, record: &Record<'_>) -> Body {
        // Nothing of this key leaves the process: what is erased later cannot be guessed from its digest.
        let salt = self.keyed(record.decision_id.as_str().as_bytes(), SALT_BYTES);
        let mut line = Line::with_capacity(TYPICAL_RECORD);
        record.write(&mut line, &salt, self.subject_key.as_ref());
        line.finish()
    }

    /// Records an attempt to load other rules. No reply waits for it, so it is not waited for either.
    ///
    /// # Errors
    /// [`AuditError`] if no sink takes it.
    pub fn reload(&self, record: &Reload<'_>) -> Result<(), AuditError> {
        let mut line = Line::default();
        record.write(&mut line);
        self.append(line.finish(), record.time).into_iter().map(Receipt::sent).reduce(Result::or).unwrap_or(Ok(()))
    }

    /// Opens the file by its name again, as after a rotation.
    ///
    /// # Errors
    /// [`AuditError`]; then records go where they went before.
    pub fn reopen(&self, now: UnixTime) -> Result<(), AuditError> {
        self.sinks.iter().try_for_each(|sink| sink.find_again(now))
    }

    /// Does what time asks for; to be called a few times in each second. It may wait for a disk.
    pub fn tick(&self, now: UnixTime) {
        self.flood.settle(now, |body| self.offer(body, now));
        self.sinks.iter().for_each(|sink| sink.tick(now));
    }

    /// Writes what is still to be told, and the end. Records that come later are taken all the same.
    pub fn close(&self, now: UnixTime) {
        self.flood.settle(now, |body| self.offer(body, now));
        self.sinks.iter().for_each(|sink| sink.close(now));
    }

    /// Whether a record would be taken, as far as is known, and so whether anything can be allowed.
    pub fn takes_records(&self) -> bool {
        let mut counting = self.sinks.iter().filter(|sink| sink.counts()).peekable();
        counting.peek().is_none() || counting.any(Sink::works)
    }

    /// The state of every sink.
    pub fn sinks(&self) -> Vec<SinkStatus> {
        self.sinks.iter().map(Sink::status).collect()
    }

    /// To all sinks; each is asked, whatever another says.
    fn append(&self, body: Body, now: UnixTime) -> Vec<Receipt> {
        let bodies = std::iter::repeat_n(body, self.sinks.len());
        self.sinks.iter().zip(bodies).map(|(sink, body)| sink.append(body, now)).collect()
    }

    /// Hands over what is offered again if no sink takes it, and says whether one did: only then it is missing in the others.
    fn offer(&self, body: &Body, now: UnixTime) -> bool {
        let taken: Vec<bool> = self.sinks.iter().map(|sink| sink.offer(body, now)).collect();
        let any = taken.contains(&true);
        if any {
            self.sinks.iter().zip(taken).filter(|(_, taken)| !taken).for_each(|(sink, _)| sink.missed());
        }
        any
    }

    fn keyed(&self, bytes: &[u8], length: usize) -> String {
        let tag = hmac::sign(&self.key, bytes);
        hex(tag.as_ref().get(..length).unwrap_or_default())
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

/// One sink that counts is enough, if there is one.
async fn settled(receipts: Vec<Receipt>) -> Result<(), AuditError> {
    let mut settled = Ok(());
    let mut taken = false;
    // At once: one that stalls does not keep those behind it from being waited for.
    for outcome in join_all(receipts.into_iter().map(Receipt::outcome)).await {
        match outcome {
            Some(Ok(())) => taken = true,
            Some(Err(error)) => settled = Err(error),
            None => {}
        }
    }
    if taken { Ok(()) } else { settled }
}

fn random<const N: usize>() -> Result<[u8; N], AuditError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| AuditError::Random)?;
    Ok(bytes)
}
