use std::future::Future;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use tokio::time::{Instant, sleep_until};

use super::http::FetchError;
use super::{Latest, State};
use crate::token::KeySet;

/// Where key sets come from.
pub(super) trait Fetch: Send + Sync + 'static {
    /// One attempt at the whole set.
    fn fetch(&self) -> impl Future<Output = Result<Fetched, FetchError>> + Send;
}

/// A key set, and for how long its server says that it is good.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) keys: KeySet,
    pub(super) max_age: Option<Duration>,
}

/// What [`Pace::max_stale`] may be. Below, keys would lapse between two fetches that both succeed, which are up to 48
/// minutes apart; above, a key that was stolen and withdrawn is good for a week to whoever cuts us off from its issuer.
pub const MAX_STALE: RangeInclusive<Duration> = Duration::from_secs(3600)..=Duration::from_secs(7 * 24 * 3600);

/// How often to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The wait after a first failure while there are no keys at all; each further one doubles it.
    pub min_retry: Duration,
    /// The longest wait after failures while there are no keys at all.
    pub max_retry: Duration,
    /// The least time from one fetch to the next once there are keys, whatever tokens name and whatever fails.
    pub cooldown: Duration,
    /// How long a set is good whose server says nothing of it.
    pub default_age: Duration,
    /// A server that asks for less gets this, for its own sake: twice the cooldown or more.
    pub min_age: Duration,
    /// A server that asks for more gets this: so long may a removed key go on verifying.
    pub max_age: Duration,
    /// How old keys may grow while every fetch fails. Longer than an issuer's outage, shorter than a withdrawn key may
    /// live on because someone keeps us from its issuer; a configuration chooses within [`MAX_STALE`].
    pub max_stale: Duration,
}

impl Pace {
    /// The pace in service.
    pub const DEFAULT: Pace = Pace {
        min_retry: Duration::from_secs(1),
        max_retry: Duration::from_secs(30),
        cooldown: Duration::from_secs(30),
        default_age: Duration::from_secs(600),
        min_age: Duration::from_secs(60),
        max_age: Duration::from_secs(3600),
        max_stale: Duration::from_secs(24 * 3600),
    };
}

/// Fetches for ever. Ended by dropping.
pub(super) async fn run(name: String, state: Arc<State>, fetch: impl Fetch, pace: Pace) {
    let mut schedule = Schedule::new(pace, Instant::now());
    schedule.supplied = state.latest.load().keys.is_some();
    loop {
        tokio::select! {
            () = sleep_until(schedule.due(false)) => {}
            () = state.wanted.notified() => sleep_until(schedule.due(true)).await,
        }
        schedule.begin(Instant::now());
        let result = fetch.fetch().await;
        let now = Instant::now();
        let latest = state.latest.load_full();
        let next = match result {
            Ok(Fetched { keys, max_age }) => {
                tracing::info!(issuer = name, keys = keys.len(), skipped = keys.skipped().len(), "key set fetched");
                schedule.succeeded(now, max_age, random());
                Latest { keys: Some(Arc::new(keys)), success: Some(now), failure: latest.failure.clone() }
            }
            Err(error) => {
                tracing::warn!(issuer = name, %error, "key set not fetched");
                schedule.failed(now, random());
                Latest { failure: Some((now, error)), ..Latest::clone(&latest) }
            }
        };
        state.latest.store(Arc::new(next));
    }
}

/// When to fetch next. Reads no clock.
#[derive(Debug)]
pub(super) struct Schedule {
    pace: Pace,
    planned: Instant,
    begun: Option<Instant>,
    failures: u32,
    /// Whether there are keys, from whatever fetch.
    supplied: bool,
}

impl Schedule {
    /// The first fetch is due at once.
    pub(super) fn new(pace: Pace, now: Instant) -> Self {
        Self { pace, planned: now, begun: None, failures: 0, supplied: false }
    }

    /// The moment of the next fetch. A key that is `wanted` brings it forward, but not to within a cooldown of the last.
    pub(super) fn due(&self, wanted: bool) -> Instant {
        match self.begun {
            Some(begun) if wanted => self.planned.min(begun + self.pace.cooldown),
            Some(_) | None => self.planned,
        }
    }

    /// A fetch begins: the cooldown counts from here, whatever becomes of it.
    pub(super) fn begin(&mut self, now: Instant) {
        self.begun = Some(now);
    }

    /// The next set is fetched when 50 to 80 % of this one's time is over; `random` is in 0..1.
    pub(super) fn succeeded(&mut self, now: Instant, max_age: Option<Duration>, random: f64) {
        self.supplied = true;
        let age = max_age.unwrap_or(self.pace.default_age).clamp(self.pace.min_age, self.pace.max_age);
        self.planned = now + age.mul_f64(0.5 + 0.3 * random);
    }

    /// Without keys the wait doubles with each failure, and is cut by up to a half, so that replicas do not come together.
    /// With keys nobody waits for the fetch to succeed: it is a cooldown, stretched by up to a half.
    pub(super) fn failed(&mut self, now: Instant, random: f64) {
        let wait = if self.supplied {
            self.pace.cooldown.mul_f64(1.0 + 0.5 * random)
        } else {
            let doubled = self.pace.min_retry.saturating_mul(2u32.saturating_pow(self.failures));
            doubled.min(self.pace.max_retry).mul_f64(1.0 - 0.5 * random)
        };
        self.failures = self.failures.saturating_add(1);
        self.planned = now + wait;
    }
}

/// A number in 0..1; without randomness, the middle.
fn random() -> f64 {
    let mut byte = [0];
    match rand::fill(&mut byte) {
        Ok(()) => f64::from(byte[0]) / 256.0,
        Err(_) => 0.5,
    }
}
