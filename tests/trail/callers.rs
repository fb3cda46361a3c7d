//! Who asks at a steady rate, each on a connection of its own, and perhaps gives up.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;
use prost_types::value::Kind;
use tokio::task::JoinHandle;
use toolgate::envoy::wire::{CheckRequest, CheckResponse};

use crate::cli::support::{PATIENCE, reason};
use crate::support::frames::{Event, Wire};

/// Calls of one that wait for their answers; the program takes 1,024.
const CALLS: usize = 1_000;

/// Between two looks at what is to be asked.
const LOOK: Duration = Duration::from_millis(2);

/// What somebody does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) per_second: u32,
    /// After so long without an answer the call is given up, as Envoy does.
    pub(super) patience: Option<Duration>,
    /// Whether ids of decisions are of interest: they take time to read.
    pub(super) ids: bool,
}

impl Load {
    pub(super) const fn patient(per_second: u32) -> Self {
        Self { per_second, patience: None, ids: true }
    }
}

/// What callers were answered.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) asked: u64,
    /// Ids of decisions.
    pub(super) allowed: HashSet<String>,
    pub(super) allowed_at: Vec<Instant>,
    /// By the reason.
    pub(super) denied: BTreeMap<String, HashSet<String>>,
    /// How many there were of each reason.
    pub(super) answers: BTreeMap<String, u64>,
    pub(super) given_up: u64,
    /// From when it was to be asked until the answer, of each that was not given up.
    pub(super) waits: Vec<Duration>,
}

/// What was answered so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) allowed: AtomicU64,
    pub(super) denied: AtomicU64,
    over: AtomicBool,
}

impl Seen {
    pub(super) fn allowed(&self) -> u64 {
        self.allowed.load(Ordering::Relaxed)
    }

    pub(super) fn denied(&self) -> u64 {
        self.denied.load(Ordering::Relaxed)
    }
}

/// Some who ask, until they are told to end.
pub(super) struct Callers {
    pub(super) seen: Arc<Seen>,
    running: Vec<JoinHandle<Result<Told, String>>>,
}

impl Callers {
    /// `count` callers, who ask `questions` in turn.
    pub(super) fn start(count: usize, address: &str, questions: &[CheckRequest], load: Load) -> Self {
        let seen = Arc::new(Seen::default());
        let messages: Vec<Bytes> = questions.iter().map(|question| question.encode_to_vec().into()).collect();
        let running = (0..count)
            .map(|_| tokio::spawn(caller(address.to_owned(), messages.clone(), load, seen.clone())))
            .collect();
        Self { seen, running }
    }

    /// What they were told, all together. A connection that was lost is the end.
    pub(super) async fn end(self) -> Told {
        self.seen.over.store(true, Ordering::Relaxed);
        let mut all = Told::default();
        for running in self.running {
            let told = running.await.unwrap().expect("no connection is lost");
            all.asked += told.asked;
            all.allowed.extend(told.allowed);
            all.allowed_at.extend(told.allowed_at);
            for (reason, ids) in told.denied {
                all.denied.entry(reason).or_default().extend(ids);
            }
            for (reason, count) in told.answers {
                *all.answers.entry(reason).or_default() += count;
            }
            all.given_up += told.given_up;
            all.waits.extend(told.waits);
        }
        all.waits.sort();
        all
    }
}

impl Told {
    /// Every call was answered, or given up.
    #[track_caller]
    pub(super) fn is_complete(&self) {
        assert_eq!(self.answers.values().sum::<u64>() + self.given_up, self.asked);
    }

    pub(super) fn percentile(&self, percent: usize) -> Duration {
        self.waits[(self.waits.len() * percent / 100).min(self.waits.len() - 1)]
    }

    fn add(&mut self, message: Bytes, ids: bool, seen: &Seen) {
        let (reason, id) = if ids { whole(message) } else { (Head::decode(message).unwrap().reason(), None) };
        *self.answers.entry(reason.clone()).or_default() += 1;
        if reason == "allow" {
            seen.allowed.fetch_add(1, Ordering::Relaxed);
            self.allowed.extend(id);
            self.allowed_at.push(Instant::now());
        } else {
            seen.denied.fetch_add(1, Ordering::Relaxed);
            self.denied.entry(reason).or_default().extend(id);
        }
    }
}

/// The start of an answer.
#[derive(Clone, PartialEq, prost::Message)]
struct Head {
    #[prost(message, optional, tag = "1")]
    status: Option<toolgate::envoy::wire::RpcStatus>,
}

impl Head {
    fn reason(self) -> String {
        self.status.map(|status| status.message).filter(|text| !text.is_empty()).unwrap_or_else(|| "allow".to_owned())
    }
}

/// The reason and the id of a decision.
fn whole(message: Bytes) -> (String, Option<String>) {
    let fields = CheckResponse::decode(message.clone()).unwrap().dynamic_metadata.unwrap().fields;
    let Some(Kind::StringValue(id)) = fields["decision_id"].kind.clone() else { panic!("no id") };
    (reason(message), Some(id))
}

async fn caller(address: String, messages: Vec<Bytes>, load: Load, seen: Arc<Seen>) -> Result<Told, String> {
    let mut wire = Wire::open(&address).await;
    let mut told = Told::default();
    // When it was to be asked, and when it was.
    let mut waiting: BTreeMap<u32, (Instant, Instant)> = BTreeMap::new();
    let began = Instant::now();
    let interval = Duration::from_secs(1) / load.per_second;
    let mut ended = None;
    loop {
        let now = Instant::now();
        if seen.over.load(Ordering::Relaxed) {
            let ended = *ended.get_or_insert(now);
            if waiting.is_empty() {
                return Ok(told);
            }
            assert!(now < ended + PATIENCE, "{} calls are not answered", waiting.len());
        } else {
            let mut due = began + interval * u32::try_from(told.asked).unwrap();
            while due <= now && waiting.len() < CALLS {
                let message = &messages[usize::try_from(told.asked).unwrap() % messages.len()];
                let Some(call) = wire.ask(message) else { break };
                waiting.insert(call, (due, now));
                told.asked += 1;
                due += interval;
            }
        }
        while let Some((call, (_, asked))) = waiting.first_key_value()
            && load.patience.is_some_and(|patience| now > *asked + patience)
        {
            wire.cancel(*call);
            told.given_up += 1;
            waiting.pop_first();
        }
        for event in wire.events(now + LOOK).await? {
            match event {
                Event::Answer(call, message) => match waiting.remove(&call) {
                    Some((due, _)) => {
                        told.waits.push(due.elapsed());
                        told.add(message, load.ids, &seen);
                    }
                    // It crossed the cancellation, and is to be on record all the same.
                    None => {
                        let (reason, id) = whole(message);
                        told.allowed.extend(id.filter(|_| reason == "allow"));
                    }
                },
                Event::Over(call) => assert!(!waiting.contains_key(&call), "a call ended without an answer"),
            }
        }
    }
}
