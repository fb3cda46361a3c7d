//! An hour without the provider, second by second of virtual time, in every way in which one can fail.

use super::*;
use crate::context::UnixTime;
use crate::json::JsonError;
use crate::token::{KeySetError, TokenError, UnverifiedToken, verify};

const HOUR: Duration = Duration::from_secs(3600);

const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);

const CLAIMS: &str = r#"{"iss":"https://id.example.com","sub":"ada","client_id":"agent","aud":"https://mcp.example.com/desk","iat":1799999990,"exp":1800000300,"jti":"1"}"#;

/// What the provider does when it is asked.
#[derive(Clone)]
enum Mode {
    /// The attempt ends in this.
    Fails(FetchError),
    /// Nothing comes back until the client gives up.
    BlackHole,
    /// This body comes, which is read as in service.
    Says(String),
}

#[derive(Clone)]
struct Provider(Arc<Mutex<(Mode, Vec<Instant>)>>);

impl Provider {
    fn new(mode: Mode) -> Self {
        Self(Arc::new(Mutex::new((mode, Vec::new()))))
    }

    fn turn(&self, mode: Mode) {
        self.0.lock().unwrap().0 = mode;
    }

    /// When it was asked since the last call.
    fn asked(&self) -> Vec<Instant> {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }
}

impl Fetch for Provider {
    async fn fetch(&self) -> Result<Fetched, FetchError> {
        let mode = {
            let mut provider = self.0.lock().unwrap();
            provider.1.push(Instant::now());
            provider.0.clone()
        };
        match mode {
            Mode::Fails(error) => Err(error),
            Mode::BlackHole => {
                tokio::time::sleep(Bounds::DEFAULT.total).await;
                Err(FetchError::Timeout)
            }
            Mode::Says(body) => {
                let keys = KeySet::parse(body.as_bytes()).map_err(FetchError::Keys)?;
                Ok(Fetched { keys, max_age: None })
            }
        }
    }
}

/// An issuer, and tokens of its present and its next key.
struct World {
    issuer: Issuer,
    provider: Provider,
    both: String,
    present: String,
    next: String,
    stranger: TestKey,
}

impl World {
    /// With the present key fetched, at the pace in service but for how old keys may grow.
    async fn start(max_stale: Duration) -> Self {
        let (present, next) = (TestKey::new("EdDSA", "present"), TestKey::new("EdDSA", "next"));
        let provider = Provider::new(Mode::Says(key_set(&[&present])));
        let pace = Pace { max_stale, ..Pace::DEFAULT };
        let issuer = Issuer::start(rules(), "script".to_owned(), provider.clone(), pace, Arc::default());
        until(|| issuer.ready()).await;
        let token = |key: &TestKey| key.token(&key.header(), CLAIMS);
        Self {
            issuer,
            both: key_set(&[&present, &next]),
            present: token(&present),
            next: token(&next),
            stranger: TestKey::new("EdDSA", "stranger"),
            provider,
        }
    }

    /// What becomes of a token, as it is asked about in service; `None` if there are no keys.
    fn ask(&self, token: &str) -> Option<Result<(), TokenError>> {
        let (token, keys) = (UnverifiedToken::parse(token).unwrap(), self.issuer.keys()?);
        let verified = verify(&token, self.issuer.rules(), &keys, NOW);
        if verified == Err(TokenError::UnknownKey) {
            self.issuer.unknown_kid();
        }
        Some(verified.map(|_| ()))
    }

    /// A token that names a key which nobody has.
    fn unknown(&self, number: u64) -> String {
        let header = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{number}"}}"#);
        self.stranger.token(&header, CLAIMS)
    }

    /// The virtual time until the next key is known, with somebody asking each second.
    async fn recovery(&self) -> Duration {
        self.provider.turn(Mode::Says(self.both.clone()));
        let back = Instant::now();
        while self.ask(&self.next) != Some(Ok(())) {
            assert!(back.elapsed() < HOUR, "it does not recover");
            tokio::time::sleep(SECOND).await;
        }
        back.elapsed()
    }
}

/// Whether no two of these are nearer to each other than the cooldown.
fn apart(asked: &[Instant]) -> bool {
    asked.windows(2).all(|pair| pair[1] - pair[0] >= Pace::DEFAULT.cooldown)
}

/// Every way in which a provider fails, and what is said of it.
fn modes() -> Vec<(&'static str, Mode, FetchError)> {
    let fails = |error: FetchError| (Mode::Fails(error.clone()), error);
    let says = |body: String, error| (Mode::Says(body), FetchError::Keys(error));
    let (a, b) = (TestKey::new("EdDSA", "present"), TestKey::new("EdDSA", "present"));
    let set = key_set(&[&a]);
    let half = set.split_at(set.len() / 2).0.to_owned();
    let torn = JsonError::Syntax { at: half.len() };
    let secret = set.replacen("\"kty\"", r#""d":"AA","kty""#, 1);
    let modes = [
        ("refused", fails(FetchError::Connect)),
        ("black hole", (Mode::BlackHole, FetchError::Timeout)),
        ("500", fails(FetchError::Status(500))),
        ("HTML with 200", says("<!doctype html>".to_owned(), KeySetError::Json(JsonError::Syntax { at: 0 }))),
        ("redirect", fails(FetchError::Status(302))),
        ("too long", fails(FetchError::TooLong)),
        ("empty set", says(r#"{"keys":[]}"#.to_owned(), KeySetError::Empty)),
        ("truncated", says(half, KeySetError::Json(torn))),
        ("one kid twice", says(key_set(&[&a, &b]), KeySetError::DuplicateName { index: 1 })),
        ("private key", says(secret, KeySetError::Secret { index: 0 })),
    ];
    modes.map(|(name, (mode, error))| (name, mode, error)).into()
}

/// Keys that are known go on verifying, others never do, and the provider is asked at most once in a cooldown however
/// often unknown keys are named; when it is back, so are its new keys.
#[tokio::test(start_paused = true)]
async fn an_hour_without_the_provider_costs_no_token_of_a_known_key() {
    for (mode_name, mode, error) in modes() {
        let world = World::start(Pace::DEFAULT.max_stale).await;
        let unknown: Vec<String> = (0..8).map(|number| world.unknown(number)).collect();
        world.provider.turn(mode);
        let down = Instant::now();
        while down.elapsed() < HOUR {
            assert_eq!(world.ask(&world.present), Some(Ok(())), "{mode_name}");
            for token in unknown.iter().chain([&world.next]) {
                assert_eq!(world.ask(token), Some(Err(TokenError::UnknownKey)), "{mode_name}");
            }
            tokio::time::sleep(SECOND).await;
        }
        assert_eq!(world.issuer.status().error, Some(error), "{mode_name}");
        let recovery = world.recovery().await;
        assert!(recovery <= Pace::DEFAULT.cooldown + Pace::DEFAULT.max_retry, "{mode_name}: {recovery:?}");
        assert_eq!(world.ask(&world.present), Some(Ok(())), "{mode_name}");
        let asked = world.provider.asked();
        assert!(apart(&asked), "{mode_name}: {asked:?}");
        assert!(asked.len() > 115, "{mode_name}: it is asked in each cooldown, not {} times", asked.len());
    }
}

/// With nobody asking for anything, a provider that is down is asked less often than the cooldown allows.
#[tokio::test(start_paused = true)]
async fn nobody_needs_to_ask_for_a_recovery() {
    let world = World::start(Pace::DEFAULT.max_stale).await;
    world.provider.turn(Mode::BlackHole);
    tokio::time::sleep(HOUR).await;
    let asked = world.provider.asked();
    assert!(apart(&asked) && (60..=110).contains(&asked.len()), "{asked:?}");
    world.provider.turn(Mode::Says(world.both.clone()));
    tokio::time::sleep(Pace::DEFAULT.cooldown + Pace::DEFAULT.max_retry).await;
    assert!(has(&world.issuer, "next"));
}

/// The last keys hold for exactly as long as is configured, and then there are none: nothing can be said of any token.
#[tokio::test(start_paused = true)]
async fn keys_that_are_too_old_are_no_keys() {
    for max_stale in [*MAX_STALE.start(), Pace::DEFAULT.max_stale] {
        let world = World::start(max_stale).await;
        let fetched = world.provider.asked()[0];
        world.provider.turn(Mode::Fails(FetchError::Connect));
        while fetched.elapsed() < max_stale + HOUR {
            let expected = (fetched.elapsed() <= max_stale).then_some(Ok(()));
            assert_eq!(world.ask(&world.present), expected, "{:?}", fetched.elapsed());
            assert_eq!(world.issuer.ready(), expected.is_some());
            tokio::time::sleep(10 * SECOND).await;
        }
        let recovery = world.recovery().await;
        assert!(recovery <= Pace::DEFAULT.cooldown + Pace::DEFAULT.max_retry, "{recovery:?}");
        assert!(world.issuer.ready() && apart(&world.provider.asked()));
    }
}

/// Before there were ever keys a provider is asked sooner: nobody of this issuer can be served meanwhile.
#[tokio::test(start_paused = true)]
async fn a_provider_that_is_down_at_the_start_is_asked_in_1_to_30_seconds() {
    let provider = Provider::new(Mode::Fails(FetchError::Connect));
    let issuer = Issuer::start(rules(), "script".to_owned(), provider.clone(), Pace::DEFAULT, Arc::default());
    tokio::time::sleep(HOUR).await;
    assert!(!issuer.ready());
    let asked = provider.asked();
    let waits: Vec<Duration> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits[0] <= SECOND && waits.iter().all(|wait| *wait <= Pace::DEFAULT.max_retry), "{waits:?}");
    assert!((120..=250).contains(&asked.len()), "{}", asked.len());
    provider.turn(Mode::Says(key_set(&[&TestKey::new("EdDSA", "present")])));
    tokio::time::sleep(Pace::DEFAULT.max_retry).await;
    assert!(has(&issuer, "present"));
}
