//! Floor 2: the keys of an issuer, from a file or over HTTP.
//!
//! One background task per remote issuer fetches and replaces its whole key set; a request only ever reads what is there.
//! Absent on purpose: fetching on the request's path, keys that are kept after the issuer has removed them (removal is
//! revocation), placeholder keys while there are none, and any address that a token names.
//!
//! Architecture invariants: a fetch that fails changes no key; once there are keys, fetches are at least a
//! [`Pace::cooldown`] apart, however many unknown keys tokens name and however many fetches fail; the issuer of one set
//! never vouches for another's.

mod address;
mod http;
mod refresh;
mod source;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

pub use http::Bounds;
pub use http::FetchError;
pub use refresh::MAX_STALE;
pub use refresh::Pace;
pub use source::KeySource;

use crate::token::{IssuerRules, KeySet};
use refresh::Fetch;
use source::Remote;

/// An issuer of tokens: its rules, and its keys as they are now. Dropping it ends its task.
#[derive(Debug)]
pub struct Issuer {
    rules: IssuerRules,
    source: String,
    max_stale: Duration,
    state: Arc<State>,
    task: Option<AbortHandle>,
}

/// How an issuer is doing, for people. Ages are in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The issuer's short name.
    pub name: String,
    /// `file`, or the address of the key set or of the issuer that is asked for it.
    pub source: String,
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
        Issuer { rules, source: "file".to_owned(), max_stale: Duration::MAX, state: Arc::new(state), task: None }
    }

    /// An issuer whose keys are fetched at this pace, from now on and until it is dropped. `insecure_http` allows `http`,
    /// and any scheme, to a loopback address. To be called within a tokio runtime.
    ///
    /// # Errors
    /// What is wrong with the address, before anything is fetched.
    pub fn remote(
        rules: IssuerRules,
        source: KeySource,
        insecure_http: bool,
        pace: Pace,
    ) -> Result<Issuer, FetchError> {
        let remote = Remote::new(source, &rules.issuer, insecure_http, Bounds::DEFAULT)?;
        Ok(Self::start(rules, remote.to_string(), remote, pace))
    }

    fn start(rules: IssuerRules, source: String, fetch: impl Fetch, pace: Pace) -> Issuer {
        let state = Arc::new(State::default());
        let task = tokio::spawn(refresh::run(rules.name.clone(), Arc::clone(&state), fetch, pace));
        Issuer { rules, source, max_stale: pace.max_stale, state, task: Some(task.abort_handle()) }
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

    /// Whether its tokens can be verified.
    pub fn ready(&self) -> bool {
        self.keys().is_some()
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
