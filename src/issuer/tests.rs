//! The task over scripted key sources, in real and in virtual time, and the client over a real loopback server.

mod credential;
mod introspection;
mod outage;
mod remote;

use std::collections::VecDeque;
use std::sync::Mutex;

use super::refresh::{Fetched, Schedule};
use super::*;
use crate::token::Algorithm;
use crate::token::support::{TestKey, key_set};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

fn rules() -> IssuerRules {
    IssuerRules {
        name: "corp".to_owned(),
        issuer: "https://id.example.com".to_owned(),
        algorithms: vec![Algorithm::EdDSA],
        token_types: vec!["at+jwt".to_owned()],
        groups: None,
        scope_claim: "/scope".to_owned(),
        claims: Vec::new(),
    }
}

fn keys(kid: &str) -> KeySet {
    KeySet::parse(key_set(&[&TestKey::new("EdDSA", kid)]).as_bytes()).unwrap()
}

/// Waits until `condition` holds, and fails if it does not within some seconds.
#[track_caller]
fn until(condition: impl Fn() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let limit = Instant::now() + 20 * SECOND;
        while !condition() {
            assert!(Instant::now() < limit, "what was waited for at {caller} did not come");
            tokio::time::sleep(2 * MILLI).await;
        }
    }
}

/// A pace that leaves everything to unknown keys and retries: no refresh falls due while a test runs.
const PACE: Pace = Pace {
    min_retry: MILLI,
    max_retry: Duration::from_millis(4),
    cooldown: Duration::from_millis(40),
    ..Pace::DEFAULT
};

/// Answers in order, the last one for ever, and notes when it was asked.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    answers: VecDeque<Result<KeySet, FetchError>>,
    asked: Vec<Instant>,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Result<KeySet, FetchError>>) -> Self {
        Self(Arc::new(Mutex::new(Lines { answers: answers.into_iter().collect(), asked: Vec::new() })))
    }

    fn asked(&self) -> Vec<Instant> {
        self.0.lock().unwrap().asked.clone()
    }

    fn start(&self, pace: Pace) -> Issuer {
        Issuer::start(rules(), "script".to_owned(), self.clone(), pace, Arc::default())
    }
}

impl Fetch for Script {
    async fn fetch(&self) -> Result<Fetched, FetchError> {
        let mut lines = self.0.lock().unwrap();
        lines.asked.push(Instant::now());
        let more = lines.answers.len() > 1;
        let answer = if more { lines.answers.pop_front() } else { lines.answers.front().cloned() };
        answer.unwrap().map(|keys| Fetched { keys, max_age: None })
    }
}

fn has(issuer: &Issuer, kid: &str) -> bool {
    issuer.keys().is_some_and(|keys| keys.names(kid))
}

#[tokio::test]
async fn keys_from_a_file_are_there_and_stay() {
    let issuer = Issuer::with_keys(rules(), keys("a"));
    issuer.unknown_kid();
    assert!(issuer.ready() && has(&issuer, "a"));
    let expected = r#"{"name":"corp","source":"file","ready":true,"keys":1,"skipped":0,"success_age":null,"failure_age":null,"error":null}"#;
    assert_eq!(serde_json::to_string(&issuer.status()).unwrap(), expected);
    assert_eq!(issuer.rules(), &rules());
}

#[tokio::test]
async fn without_a_first_set_there_are_no_keys_until_the_server_recovers() {
    let failures = vec![Err(FetchError::Connect); 5];
    let script = Script::new(failures.into_iter().chain([Ok(keys("a"))]));
    let issuer = script.start(PACE);
    assert!(!issuer.ready() && issuer.keys().is_none());
    until(|| issuer.ready()).await;
    assert_eq!(script.asked().len(), 6);
    let status = issuer.status();
    assert_eq!((status.keys, status.success_age, status.error), (1, Some(0), Some(FetchError::Connect)));
}

#[tokio::test]
async fn a_failure_keeps_the_keys() {
    let script = Script::new([Ok(keys("a")), Err(FetchError::Status(500))]);
    let issuer = script.start(PACE);
    until(|| issuer.ready()).await;
    issuer.unknown_kid();
    until(|| script.asked().len() > 3).await;
    assert!(has(&issuer, "a"));
    assert_eq!(issuer.status().error, Some(FetchError::Status(500)));
}

#[tokio::test]
async fn a_new_set_replaces_the_whole_old_one() {
    let script = Script::new([Ok(keys("a")), Ok(keys("b"))]);
    let issuer = script.start(PACE);
    until(|| has(&issuer, "a")).await;
    issuer.unknown_kid();
    until(|| has(&issuer, "b")).await;
    assert!(!has(&issuer, "a"));
}

#[tokio::test]
async fn keys_that_cannot_be_renewed_end_by_age() {
    let script = Script::new([Ok(keys("a")), Err(FetchError::Timeout)]);
    let issuer = script.start(Pace { max_stale: 200 * MILLI, ..PACE });
    until(|| issuer.ready()).await;
    until(|| !issuer.ready()).await;
    let status = issuer.status();
    assert!(!status.ready && status.keys == 1, "known, but not to be used");
}

#[tokio::test]
async fn a_storm_of_unknown_keys_fetches_once_in_a_cooldown() {
    let script = Script::new([Ok(keys("a"))]);
    let issuer = script.start(PACE);
    until(|| {
        (0..10_000).for_each(|_| issuer.unknown_kid());
        script.asked().len() >= 6
    })
    .await;
    for pair in script.asked().windows(2) {
        assert!(pair[1] - pair[0] >= PACE.cooldown, "{pair:?}");
    }
}

#[tokio::test]
async fn dropping_the_issuer_ends_its_task() {
    let script = Script::new([Ok(keys("a"))]);
    let issuer = script.start(PACE);
    until(|| issuer.ready()).await;
    assert_eq!(Arc::strong_count(&script.0), 2);
    drop(issuer);
    until(|| Arc::strong_count(&script.0) == 1).await;
}

#[test]
fn a_set_is_renewed_ahead_of_its_end() {
    let start = Instant::now();
    for (max_age, random, expected) in [
        (None, 0.0, 300.0),
        (None, 1.0, 480.0),
        (Some(0), 0.0, 30.0),
        (Some(59), 1.0, 48.0),
        (Some(60), 0.0, 30.0),
        (Some(1000), 0.5, 650.0),
        (Some(3600), 1.0, 2880.0),
        (Some(3601), 1.0, 2880.0),
        (Some(u64::MAX), 0.0, 1800.0),
    ] {
        let mut schedule = Schedule::new(Pace::DEFAULT, start);
        schedule.begin(start);
        schedule.succeeded(start, max_age.map(Duration::from_secs), random);
        let wait = (schedule.due(false) - start).as_secs_f64();
        assert!((wait - expected).abs() < 0.001, "{max_age:?} {random}: {wait}");
    }
}

#[test]
fn without_keys_failures_wait_longer_and_longer() {
    let start = Instant::now();
    let mut schedule = Schedule::new(Pace::DEFAULT, start);
    assert_eq!(schedule.due(false), start);
    for expected in [1, 2, 4, 8, 16, 30, 30, 30] {
        schedule.failed(start, 0.0);
        assert_eq!(schedule.due(false) - start, expected * SECOND);
    }
    schedule.failed(start, 0.5);
    assert_eq!((schedule.due(false) - start).as_secs_f64(), 22.5, "a quarter less");
}

#[test]
fn with_keys_failures_wait_a_cooldown_and_up_to_a_half_more() {
    let start = Instant::now();
    let mut schedule = Schedule::new(Pace::DEFAULT, start);
    schedule.begin(start);
    schedule.succeeded(start, None, 0.0);
    for (random, expected) in [(0.0, 30.0), (0.0, 30.0), (0.5, 37.5), (1.0, 45.0)] {
        schedule.failed(start, random);
        assert_eq!((schedule.due(false) - start).as_secs_f64(), expected);
    }
}

#[test]
fn a_set_is_renewed_no_sooner_than_a_cooldown() {
    assert!(Pace::DEFAULT.min_age.mul_f64(0.5) >= Pace::DEFAULT.cooldown);
}

#[test]
fn an_unknown_key_waits_for_the_cooldown_to_end() {
    let start = Instant::now();
    let mut schedule = Schedule::new(Pace::DEFAULT, start);
    schedule.begin(start);
    schedule.succeeded(start + SECOND, None, 0.0);
    assert_eq!(schedule.due(true) - start, Pace::DEFAULT.cooldown, "claimed when the fetch began");
    assert_eq!(schedule.due(false) - start, 301 * SECOND);
    schedule.begin(start + 30 * SECOND);
    schedule.failed(start + 33 * SECOND, 1.0);
    assert_eq!(schedule.due(true) - start, 60 * SECOND, "nor does a failure shorten or lengthen it");
    assert_eq!(schedule.due(false) - start, 78 * SECOND);
}
