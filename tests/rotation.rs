//! An issuer that changes its keys, and fails in every way, under load and over real HTTP: no wrong answer, and no failed
//! request for a key that is known.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use tokio::runtime::Runtime;
use toolgate::envoy::wire::check_response::HttpResponse;
use toolgate::issuer::{FetchError, Pace};

use crate::support::envoy::call;
use crate::support::gate::{House, NOW};
use crate::support::provider::{Answer, Provider, keys};
use crate::support::tokens::{TestKey, encode, key_set};

/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pace in service, a hundred times as fast, but for how old keys may grow.
const PACE: Pace = Pace {
    min_retry: Duration::from_millis(10),
    max_retry: Duration::from_millis(300),
    cooldown: Duration::from_millis(300),
    default_age: Duration::from_secs(6),
    min_age: Duration::from_millis(600),
    max_age: Duration::from_secs(36),
    ..Pace::DEFAULT
};

/// Different unknown keys that tokens name in the course of the test, at least; fewer where a request takes ten times as
/// long.
const UNKNOWN: usize = if cfg!(debug_assertions) { 20_000 } else { 100_000 };

const CONFIG: &str = r#"
listen: {grpc: "127.0.0.1:0"}
client_address: peer
policies: policies
issuers:
  - {name: corp, issuer: "https://id.example.com", jwks: {url: "URL"}, insecure_http: true}
  - {name: partner, issuer: "https://partner.example.net", jwks: {file: partner.json}}
servers:
  - {name: weather, resource: "https://mcp.example.com/weather", issuers: [corp, partner]}
audit: {file: {path: audit.jsonl}}
"#;

/// A gate with the issuer `corp` at `provider` and the issuer `partner` in a file.
fn house(provider: &Provider, partner: &TestKey, pace: Pace) -> House {
    let files = [
        ("toolgate.yaml", CONFIG.replace("URL", &provider.url)),
        ("partner.json", key_set(&[partner])),
        ("policies/all.cedar", "@id(\"all\") permit (principal, action, resource);".to_owned()),
    ];
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    House::build_with(&files, |loaded| loaded.config.issuers[0].pace = pace)
}

/// What a token of this key says, for the `number`th time.
fn token(key: &TestKey, iss: &str, number: usize) -> String {
    let claims = json!({
        "iss": iss, "aud": "https://mcp.example.com/weather", "sub": "ann", "client_id": "agent",
        "iat": NOW - 60, "exp": NOW + 3600, "jti": format!("{}-{number}", key.kid),
    });
    key.token(&key.header(), &claims.to_string())
}

fn own(key: &TestKey, number: usize) -> String {
    token(key, "https://id.example.com", number)
}

/// A token that names a key which nobody has; nobody looks at its signature.
fn unknown(number: usize) -> String {
    let header = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"unknown-{number}"}}"#);
    let claims = r#"{"iss":"https://id.example.com"}"#;
    format!("{}.{}.{}", encode(header), encode(claims), encode([7; 64]))
}

fn message(token: &str) -> Bytes {
    call("weather", "get_forecast", json!({"city": "Oslo"})).header("authorization", format!("Bearer {token}")).encode()
}

/// The reason of the answer: the one place that asks.
fn ask(house: &House, message: Bytes) -> String {
    let answer = house.answer(message);
    match (answer.status.unwrap(), answer.http_response) {
        (status, Some(HttpResponse::OkResponse(_))) if status.code == 0 => "allow".to_owned(),
        (status, _) => {
            assert_ne!(status.code, 0);
            status.message
        }
    }
}

#[track_caller]
fn until(what: &str, condition: impl Fn() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < limit, "what was waited for did not come: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What the threads that ask go by.
struct Load<'h> {
    house: &'h House,
    over: AtomicBool,
    /// Keys whose tokens must be allowed.
    good: RwLock<Vec<&'h TestKey>>,
    /// Keys whose tokens must be denied.
    gone: RwLock<Vec<&'h TestKey>>,
    /// How often each answer was given to whom.
    answers: Mutex<BTreeMap<(&'static str, String), usize>>,
    unknown: AtomicUsize,
}

impl<'h> Load<'h> {
    fn new(house: &'h House) -> Self {
        Self {
            house,
            over: AtomicBool::new(false),
            good: RwLock::default(),
            gone: RwLock::default(),
            answers: Mutex::default(),
            unknown: AtomicUsize::new(0),
        }
    }

    fn count(&self, who: &'static str, answer: String) {
        *self.answers.lock().unwrap().entry((who, answer)).or_default() += 1;
    }

    /// Asks with tokens of the keys in `keys`, one that is asked about over and over and one that is new each time. The
    /// lock is held for the length of a request, so that whoever changes the keys knows that none is under way.
    fn ask_as(&self, who: &'static str, keys: &RwLock<Vec<&'h TestKey>>, thread: usize) {
        let mut number = 0;
        while !self.over.load(Ordering::Relaxed) {
            number += 1;
            let keys = keys.read().unwrap();
            for key in keys.iter() {
                self.count(who, ask(self.house, message(&own(key, 0))));
                self.count(who, ask(self.house, message(&own(key, number * 10 + thread))));
            }
            drop(keys);
            std::thread::yield_now();
        }
    }

    /// Asks with tokens that name unknown keys, another one each time.
    fn storm(&self) {
        while !self.over.load(Ordering::Relaxed) {
            let number = self.unknown.fetch_add(1, Ordering::Relaxed);
            self.count("unknown", ask(self.house, message(&unknown(number))));
        }
    }

    /// What the issuer last failed with.
    fn error(&self) -> Option<FetchError> {
        let generation = self.house.gate.live.current();
        generation.issuer("corp").unwrap().issuer.status().error
    }

    /// From here on, tokens of `key` must be allowed.
    fn trust(&self, key: &'h TestKey) {
        until("a new key", || ask(self.house, message(&own(key, 0))) == "allow");
        self.good.write().unwrap().push(key);
    }
}

#[test]
fn keys_change_and_the_provider_fails_under_load() {
    let [old, new, next] = ["old", "new", "next"].map(|kid| TestKey::new("EdDSA", kid));
    let provider = Provider::start(keys(key_set(&[&old])));
    let runtime = Runtime::new().unwrap();
    let entered = runtime.enter();
    let began = Instant::now();
    let house = house(&provider, &TestKey::new("EdDSA", "partner"), PACE);
    let load = Load::new(&house);
    std::thread::scope(|scope| {
        let _stop = Stop(&load.over);
        load.trust(&old);
        for thread in 0..2 {
            let load = &load;
            scope.spawn(move || load.ask_as("good", &load.good, thread));
        }
        scope.spawn(|| load.ask_as("gone", &load.gone, 2));
        scope.spawn(|| load.storm());

        provider.turn(keys(key_set(&[&old, &new])));
        load.trust(&new);
        load.good.write().unwrap().retain(|key| key.kid != "old");
        provider.turn(keys(key_set(&[&new])));
        // One token that was verified before, and one that never was.
        until("the end of a key", || ask(&house, message(&own(&old, 0))) == "token_invalid");
        load.gone.write().unwrap().push(&old);

        for (answer, error) in failures(&new) {
            provider.turn(answer);
            until(&error.to_string(), || provider.asked_for_this() >= 2 && load.error().as_ref() == Some(&error));
        }

        provider.turn(keys(key_set(&[&new, &next])));
        load.trust(&next);
        until("very many unknown keys", || load.unknown.load(Ordering::Relaxed) >= UNKNOWN);
    });
    let most = 1 + began.elapsed().as_millis() / PACE.cooldown.as_millis();
    assert!((provider.asked() as u128) <= most, "{} fetches, not {most}", provider.asked());
    let answers = load.answers.into_inner().unwrap();
    let kinds: Vec<(&str, &str)> = answers.keys().map(|(who, answer)| (*who, answer.as_str())).collect();
    assert_eq!(kinds, [("gone", "token_invalid"), ("good", "allow"), ("unknown", "token_invalid")], "{answers:?}");
    drop((house, entered));
}

/// Ends the load, also when a test fails within it.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Every way in which the provider fails, and what is said of it.
fn failures(key: &TestKey) -> Vec<(Answer, FetchError)> {
    use toolgate::json::JsonError;
    use toolgate::token::KeySetError;
    let set = key_set(&[key]);
    let half = set.split_at(set.len() / 2).0.to_owned();
    let torn = JsonError::Syntax { at: half.len() };
    let keys_error = FetchError::Keys;
    vec![
        (Answer::Down, FetchError::Transport),
        (Answer::Says("500 Internal Server Error", String::new()), FetchError::Status(500)),
        (keys("<!doctype html>".to_owned()), keys_error(KeySetError::Json(JsonError::Syntax { at: 0 }))),
        (Answer::Says("302 Found\r\nlocation: /keys", String::new()), FetchError::Status(302)),
        (Answer::Flood(1_000_000_000), FetchError::TooLong),
        (keys(r#"{"keys":[]}"#.to_owned()), keys_error(KeySetError::Empty)),
        (keys(half), keys_error(KeySetError::Json(torn))),
        (keys(key_set(&[key, key])), keys_error(KeySetError::DuplicateName { index: 1 })),
        (keys(set.replacen("\"kty\"", r#""d":"AA","kty""#, 1)), keys_error(KeySetError::Secret { index: 0 })),
        (Answer::Drip, FetchError::Timeout),
    ]
}

/// Without keys, or with keys that are too old, nothing is said of the issuer's tokens, and the other's are as good as ever.
#[test]
fn one_issuer_without_keys_leaves_the_other_alone() {
    let (key, partner) = (TestKey::new("EdDSA", "corp"), TestKey::new("EdDSA", "partner"));
    let provider = Provider::start(Answer::Down);
    let runtime = Runtime::new().unwrap();
    let entered = runtime.enter();
    let pace = Pace { max_stale: Duration::from_millis(500), ..PACE };
    let house = house(&provider, &partner, pace);
    let corp = || ask(&house, message(&own(&key, 0)));
    let other = || ask(&house, message(&token(&partner, "https://partner.example.net", 0)));
    for _ in 0..2 {
        until("no keys", || corp() == "keys_unavailable");
        assert_eq!(other(), "allow");
        provider.turn(keys(key_set(&[&key])));
        until("keys", || corp() == "allow");
        assert_eq!(other(), "allow");
        provider.turn(Answer::Down);
    }
    drop((house, entered));
}
