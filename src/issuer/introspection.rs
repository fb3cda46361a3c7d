//! Opaque tokens: what their issuer says of them (RFC 7662), asked once for all who want to know, and remembered briefly.
//!
//! INVARIANT (one issuer's word): everything here belongs to one issuer object. Nothing is shared with another issuer, nor
//! with the same one under other settings or another secret; both are another object, which remembers nothing.

mod memory;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout};
use url::{Url, form_urlencoded};

use super::address;
use super::breaker::{Breaker, Health, PAUSE, Turn};
use super::credential::Credential;
use super::http::{Bounds, FetchError, Http};
use crate::context::UnixTime;
use crate::decision::denial::{Denial, Unavailable};
use crate::metrics::{Introspected, Introspections};
use crate::token::{AnswerError, IssuerRules, TokenError, introspected};

pub use self::memory::Active;
#[cfg(test)]
pub(super) use self::memory::MAX_NEGATIVE;
use self::memory::Memory;

/// Bytes of an answer. Claims of a caller with a thousand groups fit.
pub(super) const MAX_ANSWER: usize = 64 * 1024;

/// How long a connection is kept for the next question: less than the 5 s after which some servers close an idle one, lest
/// a question is sent into a connection that is being closed.
const IDLE: Duration = Duration::from_secs(4);

/// Where an issuer answers about its opaque tokens, and what it may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub url: Url,
    /// Who asks: the `client_id` of the gate.
    pub client: String,
    /// How long one question may take.
    pub timeout: Duration,
    /// How many questions may be under way.
    pub concurrency: usize,
    /// How long an answer counts. So long may a token that was revoked go on.
    pub cache: Duration,
}

/// Asks one issuer about its opaque tokens.
pub struct Introspector(Arc<Shared>);

/// SHA-256 over an issuer's name and a whole token: what an opaque token is remembered under.
pub type TokenKey = [u8; 32];

/// Why there is no principal for an opaque token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntrospectionError {
    /// The token does not count: by its issuer's word, or by its claims.
    #[error(transparent)]
    Token(TokenError),
    /// Nobody knows, for now.
    #[error(transparent)]
    Unavailable(Unavailable),
}

impl From<IntrospectionError> for Denial {
    fn from(error: IntrospectionError) -> Self {
        match error {
            IntrospectionError::Token(error) => error.into(),
            IntrospectionError::Unavailable(why) => Self::IntrospectionUnavailable(why),
        }
    }
}

/// How the endpoint is doing, for people. The age is in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IntrospectionStatus {
    /// Whether it failed too often of late, and no call has succeeded since.
    pub circuit_open: bool,
    /// Why a call last failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<FetchError>,
    /// How long ago that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error_age: Option<u64>,
}

type Answer = Result<Arc<Active>, IntrospectionError>;

/// What the requests and the calls share.
struct Shared {
    rules: IssuerRules,
    endpoint: Endpoint,
    credential: Credential,
    http: Http,
    counters: Introspections,
    memory: Memory,
    permits: Arc<Semaphore>,
    /// The calls under way.
    flights: Mutex<HashMap<TokenKey, watch::Receiver<Option<Answer>>>>,
    circuit: Mutex<Circuit>,
}

#[derive(Debug)]
struct Circuit {
    breaker: Breaker,
    failure: Option<(Instant, FetchError)>,
}

/// What a request waits for.
enum Awaited {
    Nothing(Answer),
    Landing(watch::Receiver<Option<Answer>>),
}

impl Introspector {
    /// Asks `endpoint` about tokens that are held to `rules`, by proof of `credential`. `insecure_http` as for
    /// [`super::Issuer::remote`].
    ///
    /// # Errors
    /// What is wrong with the address, before anything is asked.
    pub fn new(
        rules: IssuerRules,
        endpoint: Endpoint,
        credential: Credential,
        insecure_http: bool,
        counters: Introspections,
    ) -> Result<Self, FetchError> {
        Self::with_pause(rules, endpoint, credential, insecure_http, counters, PAUSE)
    }

    /// The same, which leaves an endpoint that is ill alone for `pause`.
    pub(super) fn with_pause(
        rules: IssuerRules,
        endpoint: Endpoint,
        credential: Credential,
        insecure_http: bool,
        counters: Introspections,
        pause: Duration,
    ) -> Result<Self, FetchError> {
        address::check(&endpoint.url, insecure_http)?;
        let bounds = Bounds { connect: endpoint.timeout, total: endpoint.timeout, body: MAX_ANSWER, idle: IDLE };
        Ok(Self(Arc::new(Shared {
            http: Http::new(insecure_http, bounds)?,
            memory: Memory::new(endpoint.cache),
            permits: Arc::new(Semaphore::new(endpoint.concurrency)),
            flights: Mutex::default(),
            circuit: Mutex::new(Circuit { breaker: Breaker::new(pause), failure: None }),
            rules,
            endpoint,
            credential,
            counters,
        })))
    }

    /// What `token` is remembered under, here and wherever else something about it is kept.
    pub fn key(&self, token: &str) -> TokenKey {
        let mut context = digest::Context::new(&digest::SHA256);
        // Neither a name nor a token has a NUL, and no JWT has one either.
        for part in ["introspection", &self.0.rules.name, token] {
            context.update(part.as_bytes());
            context.update(&[0]);
        }
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        key
    }

    /// What is known at `now` of the token of this `key`, without asking.
    pub fn remembered(&self, key: &TokenKey, now: UnixTime) -> Option<Result<Arc<Active>, TokenError>> {
        self.0.memory.get(key, now)
    }

    /// What the issuer says of `token`, whose key is `key`. All who want to know it at one time share one call, which goes
    /// on when they are gone; each waits for `patience` at most, and no longer than the endpoint's timeout.
    ///
    /// # Errors
    /// [`IntrospectionError`]. What is [`Unavailable`] is never remembered.
    pub async fn ask(&self, key: TokenKey, token: &str, now: UnixTime, patience: Option<Duration>) -> Answer {
        let mut landing = match self.0.board(key, token, now)? {
            Awaited::Nothing(answer) => return answer,
            Awaited::Landing(landing) => landing,
        };
        let limit = self.0.endpoint.timeout;
        let landed = timeout(patience.map_or(limit, |patience| patience.min(limit)), landing.wait_for(Option::is_some));
        match landed.await {
            Err(_) => Err(IntrospectionError::Unavailable(Unavailable::Timeout)),
            // A call that ends without an answer has panicked.
            Ok(answer) => answer
                .ok()
                .and_then(|answer| answer.clone())
                .unwrap_or(Err(IntrospectionError::Unavailable(Unavailable::Endpoint))),
        }
    }

    /// Whether the endpoint would be asked. It is not for a moment after it has failed too often.
    pub fn ready(&self) -> bool {
        !lock(&self.0.circuit).breaker.rests(Instant::now())
    }

    /// How the endpoint is doing.
    pub fn status(&self) -> IntrospectionStatus {
        let circuit = lock(&self.0.circuit);
        IntrospectionStatus {
            circuit_open: circuit.breaker.is_open(),
            last_error: circuit.failure.as_ref().map(|(_, error)| error.clone()),
            last_error_age: circuit.failure.as_ref().map(|(at, _)| at.elapsed().as_secs()),
        }
    }
}

impl Shared {
    /// Joins the call about this token, or starts it.
    fn board(self: &Arc<Self>, key: TokenKey, token: &str, now: UnixTime) -> Result<Awaited, IntrospectionError> {
        let mut flights = lock(&self.flights);
        // Again under the lock: a call that has just landed has left its answer here before it left `flights`.
        if let Some(known) = self.memory.get(&key, now) {
            return Ok(Awaited::Nothing(known.map_err(IntrospectionError::Token)));
        }
        if let Some(flight) = flights.get(&key) {
            return Ok(Awaited::Landing(flight.clone()));
        }
        let flight = self.admit(key).map_err(|why| {
            self.counters.count(Introspected::Skipped);
            IntrospectionError::Unavailable(why)
        })?;
        let (lands, landing) = watch::channel(None);
        flights.insert(key, landing.clone());
        // A runtime that is closing drops the task at once, and with it a flight that wants this lock.
        drop(flights);
        tokio::spawn(call(flight, token.to_owned(), now, lands));
        Ok(Awaited::Landing(landing))
    }

    /// Leave to make one call. There is no queue: who would wait in it would be answered too late.
    fn admit(self: &Arc<Self>, key: TokenKey) -> Result<Flight, Unavailable> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| Unavailable::Busy)?;
        let turn = lock(&self.circuit).breaker.admits(Instant::now()).ok_or(Unavailable::Circuit)?;
        Ok(Flight { shared: Arc::clone(self), key, turn, health: Health::Unknown, _permit: permit })
    }

    /// One call, whatever it takes.
    async fn request(&self, token: &str, now: UnixTime) -> Result<Vec<u8>, FetchError> {
        let proof = self.credential.proof(&self.endpoint.client, &self.rules.issuer, now);
        let proof = proof.ok_or(FetchError::Assertion)?;
        let form = form(token, &proof.parameters);
        self.http.post(&self.endpoint.url, form, proof.authorization.as_deref()).await
    }

    /// What an answer amounts to, remembered unless it says nothing.
    fn keep(
        &self,
        key: TokenKey,
        answer: &[u8],
        now: UnixTime,
    ) -> Result<Result<Arc<Active>, TokenError>, AnswerError> {
        let said = introspected(answer, &self.rules, now)?;
        self.counters.count(match &said {
            Ok(_) => Introspected::Active,
            Err(TokenError::Inactive) => Introspected::Inactive,
            Err(_) => Introspected::Unacceptable,
        });
        Ok(self.memory.keep(key, said, answer.len(), now))
    }
}

/// The question (RFC 7662 §2.1).
fn form(token: &str, parameters: &[(&'static str, String)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("token", token).append_pair("token_type_hint", "access_token");
    form.extend_pairs(parameters);
    form.finish()
}

/// A call that was admitted. At its end, however it comes, the next one may begin.
struct Flight {
    shared: Arc<Shared>,
    key: TokenKey,
    turn: Turn,
    health: Health,
    _permit: OwnedSemaphorePermit,
}

/// Makes the call and tells those who wait: a task of its own, so that it does not end with the request that began it.
async fn call(mut flight: Flight, token: String, now: UnixTime, lands: watch::Sender<Option<Answer>>) {
    let shared = Arc::clone(&flight.shared);
    let answer = shared.request(&token, now).await;
    let kept = answer.and_then(|answer| shared.keep(flight.key, &answer, now).map_err(FetchError::Introspection));
    flight.health = kept.as_ref().map_or_else(health, |_| Health::Well);
    let answer = match kept {
        Ok(said) => said.map_err(IntrospectionError::Token),
        Err(error) => {
            shared.counters.count(Introspected::Failed);
            let why = if error == FetchError::Timeout { Unavailable::Timeout } else { Unavailable::Endpoint };
            lock(&shared.circuit).failure = Some((Instant::now(), error));
            Err(IntrospectionError::Unavailable(why))
        }
    };
    drop(flight);
    lands.send_replace(Some(answer));
}

/// What a failure says of the endpoint. Some a caller could bring about by a token of its own making, or by what stands
/// in its profile; were they to count, one caller could open the circuit for all.
fn health(error: &FetchError) -> Health {
    match error {
        FetchError::Status(status) if refuses_the_question(*status) => Health::Unknown,
        FetchError::TooLong | FetchError::Introspection(AnswerError::Json(_)) => Health::Unknown,
        FetchError::Url
        | FetchError::Address
        | FetchError::Client
        | FetchError::Connect
        | FetchError::Timeout
        | FetchError::Transport
        | FetchError::Status(_)
        | FetchError::MediaType
        | FetchError::Introspection(AnswerError::NotAnObject | AnswerError::Active)
        | FetchError::Assertion
        | FetchError::Keys(_)
        | FetchError::Metadata
        | FetchError::Issuer => Health::Ill,
    }
}

/// Whether a status is about what was asked (413 for a long token, 403 by a firewall) and not about who asks, where, or how
/// often.
const fn refuses_the_question(status: u16) -> bool {
    matches!(status, 400..=499) && !matches!(status, 401 | 404 | 408 | 429)
}

impl Drop for Flight {
    fn drop(&mut self) {
        lock(&self.shared.flights).remove(&self.key);
        let mut circuit = lock(&self.shared.circuit);
        if circuit.breaker.ended(self.turn, self.health, Instant::now()) {
            let (issuer, error) =
                (&self.shared.rules.name, circuit.failure.as_ref().map(|(_, error)| error.to_string()));
            if circuit.breaker.is_open() {
                tracing::warn!(issuer, error, "the introspection endpoint fails; it is left alone for a moment");
            } else {
                tracing::info!(issuer, "the introspection endpoint answers again");
            }
        }
    }
}

/// A panic while one of these was held leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Introspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspector").field("endpoint", &self.0.endpoint).finish_non_exhaustive()
    }
}
