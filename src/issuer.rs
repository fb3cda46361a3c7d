//! Floor 2: the keys of an issuer, from a file or over HTTP, and its word about opaque tokens.
//!
//! One background task per remote issuer fetches and replaces its whole key set; a request only ever reads what is there.
//! Opaque tokens alone make a request wait: [`Introspector`] asks the issuer, within bounds of time and number.
//! Absent on purpose: fetching keys on the request's path, keys that are kept after the issuer has removed them (removal is
//! revocation), placeholder keys while there are none, and any address that a token names.
//!
//! Architecture invariants: a fetch that fails changes no key; once there are keys, fetches are at least a
//! [`Pace::cooldown`] apart, however many unknown keys tokens name and however many fetches fail; the issuer of one set
//! never vouches for another's.

mod address;
mod breaker;
mod credential;
mod http;
mod introspection;
mod refresh;
mod source;

#[cfg(test)]
#[path = "../tests/support/endpoint.rs"]
mod endpoint;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

pub use credential::Credential;
pub use credential::CredentialError;
pub use http::Bounds;
pub use http::FetchError;
pub use introspection::{Active, Endpoint, IntrospectionError, IntrospectionStatus, Introspector, TokenKey};
pub use refresh::MAX_STALE;
pub use refresh::Pace;
pub use source::KeySource;

use crate::token::{IssuerRules, KeySet};
use refresh::Fetch;
use source::Remote;

/// An issuer of tokens: its rules, its keys as they are now, and how it is asked about opaque tokens. Dropping it ends its
/// task.
#[derive(Debug)]
pub struct Issuer {
    rules: IssuerRules,
    /// Where its keys come from; absent from one whose tokens are all opaque.
    source: Option<String>,
    max_stale: Duration,
    state: Arc<State>,
    task: Option<AbortHandle>,
    introspector: Option<Introspector>,
}

/// How an issuer is doing, for people. Ages are in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The issuer's short name.
    pub name: String,
    /// `file`, or the address of the key set or of the issuer that is asked for it; absent if it has no keys.
    pub source: Option<String>,
    /// Whether its tokens can be verified.
    pub ready: bool,
    /// The number of usable keys.
    pub keys: usize,
    /// The number of keys in the set that cannot be used.
    pub skipped: usize,
    /// How long ago the keys were fetched; absent for a file, and before the first success.
    pub success_age: Option<u64>,
    /// How long ago a fetch last failed.
    pub failure_age: Option<u64>,
    /// Why it failed.
    pub error: Option<FetchError>,
    /// How its introspection endpoint is doing, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection: Option<IntrospectionStatus>,
}

/// What the task and the requests share.
#[derive(Debug, Default)]
struct State {
    latest: ArcSwap<Latest>,
    /// Told when a token names a key that is not in the set.
    wanted: Notify,
}

/// What is known now. Written by the one task only.
#[derive(Debug, Clone, Default)]
struct Latest {
    keys: Option<Arc<KeySet>>,
    success: Option<Instant>,
    failure: Option<(Instant, FetchError)>,
}

impl Issuer {
    /// An issuer whose keys stand in a file: they change only by loading the rules anew.
    pub fn with_keys(rules: IssuerRules, keys: KeySet) -> Issuer {
        let state = State::default();
        state.latest.store(Arc::new(Latest { keys: Some(Arc::new(keys)), ..Latest::default() }));
        Self::new(rules, Some("file".to_owned()), state)
    }

    /// An issuer without keys: all its tokens are opaque. To be completed by [`Issuer::introspecting`].
    pub fn without_keys(rules: IssuerRules) -> Issuer {
        Self::new(rules, None, State::default())
    }

    fn new(rules: IssuerRules, source: Option<String>, state: State) -> Issuer {
        Issuer { rules, source, max_stale: Duration::MAX, state: Arc::new(state), task: None, introspector: None }
    }

    /// The same issuer, which is also asked about opaque tokens.
    #[must_use]
    pub fn introspecting(mut self, introspector: Introspector) -> Issuer {
        self.introspector = Some(introspector);
        self
    }

    /// Other keys in place of those that are there, as a refresh does it.
    #[cfg(test)]
    pub(crate) fn replace_keys(&self, keys: KeySet) {
        self.state.latest.store(Arc::new(Latest { keys: Some(Arc::new(keys)), ..Latest::default() }));
    }

    /// An issuer whose keys are fetched at this pace, from now on and until it is dropped. `insecure_http` allows `http`,
    /// and any scheme, to a loopback address. Until its own first fetch it has the keys of `previous`, with their age, if
    /// that is the same issuer with keys from the same place: other rules for it are no reason to be without keys while it
    /// cannot be reached. To be called within a tokio runtime.
    ///
    /// # Errors
    /// What is wrong with the address, before anything is fetched.
    pub fn remote(
        rules: IssuerRules,
        source: KeySource,
        insecure_http: bool,
        pace: Pace,
        previous: Option<&Issuer>,
    ) -> Result<Issuer, FetchError> {
        let remote = Remote::new(source, &rules.issuer, insecure_http, Bounds::DEFAULT)?;
        let source = remote.to_string();
        let same =
            previous.filter(|issuer| issuer.source.as_ref() == Some(&source) && issuer.rules.issuer == rules.issuer);
        let latest = same.map_or_else(Arc::default, |issuer| issuer.state.latest.load_full());
        Ok(Self::start(rules, source, remote, pace, latest))
    }

    fn start(rules: IssuerRules, source: String, fetch: impl Fetch, pace: Pace, latest: Arc<Latest>) -> Issuer {
        let state = Arc::new(State { latest: latest.into(), wanted: Notify::new() });
        let task = tokio::spawn(refresh::run(rules.name.clone(), Arc::clone(&state), fetch, pace));
        let (source, task) = (Some(source), Some(task.abort_handle()));
        Issuer { rules, source, max_stale: pace.max_stale, state, task, introspector: None }
    }

    /// How its tokens must look.
    pub fn rules(&self) -> &IssuerRules {
        &self.rules
    }

    /// The keys, unless none were ever fetched or they are older than [`Pace::max_stale`]. Then no token of the issuer can
    /// be judged, which is our trouble and not the caller's: 503, not 401.
    pub fn keys(&self) -> Option<Arc<KeySet>> {
        let latest = self.state.latest.load();
        let fresh = latest.success.is_none_or(|success| success.elapsed() <= self.max_stale);
        latest.keys.as_ref().filter(|_| fresh).map(Arc::clone)
    }

    /// To be called when a token names a key that is not in the set: a newer set may have it. Cheap, and never more than
    /// one fetch per [`Pace::cooldown`].
    pub fn unknown_kid(&self) {
        self.state.wanted.notify_one();
    }

    /// Whether it has keys at all. To a JWT of an issuer that has none there is nobody to say yes.
    pub fn has_keys(&self) -> bool {
        self.source.is_some()
    }

    /// How it is asked about opaque tokens, if it is.
    pub fn introspector(&self) -> Option<&Introspector> {
        self.introspector.as_ref()
    }

    /// Whether its tokens can be verified: it has its keys, or, if it is to have none, its endpoint is not left alone for
    /// its failures.
    pub fn ready(&self) -> bool {
        if self.has_keys() {
            return self.keys().is_some();
        }
        self.introspector.as_ref().is_some_and(Introspector::ready)
    }

    /// How it is doing.
    pub fn status(&self) -> Status {
        let latest = self.state.latest.load();
        let age = |moment: Instant| moment.elapsed().as_secs();
        Status {
            name: self.rules.name.clone(),
            source: self.source.clone(),
            ready: self.ready(),
            keys: latest.keys.as_ref().map_or(0, |keys| keys.len()),
            skipped: latest.keys.as_ref().map_or(0, |keys| keys.skipped().len()),
            success_age: latest.success.map(age),
            failure_age: latest.failure.as_ref().map(|(moment, _)| age(*moment)),
            error: latest.failure.as_ref().map(|(_, error)| error.clone()),
            introspection: self.introspector.as_ref().map(Introspector::status),
        }
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
