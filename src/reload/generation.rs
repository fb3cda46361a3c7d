//! One generation at work: its rules, its issuers with their keys, its counters.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::audit::{Disclosure, Verdict};
use crate::config;
use crate::config::{IntrospectionConfig, IssuerConfig};
use crate::context::UnixTime;
use crate::decision::Rules;
use crate::decision::denial::Reason;
use crate::issuer::{Credential, Endpoint, FetchError, Introspector, Issuer, KeySource};
use crate::metrics::{Decisions, Metrics, NO_SERVER};
use crate::policy::subject::ScopeHierarchy;
use crate::reload::files::Folder;
use crate::reload::fixed::Fixed;
use crate::reload::load::Loaded;
use crate::token::{IssuerRules, KeySet};

/// One generation, at work.
#[derive(Debug)]
pub struct Generation {
    /// The rules.
    pub rules: Rules,
    /// The issuers, in the order of the configuration.
    pub issuers: Vec<Trusted>,
    /// How much records show of what policies read.
    pub disclosure: Disclosure,
    /// Since when it holds.
    pub since: UnixTime,
    /// What of its configuration does not come into force with it.
    pub(super) fixed: Fixed,
    /// Where its files are.
    pub(super) folders: Vec<Folder>,
    counters: HashMap<String, Decisions>,
}

/// Why a generation that loads cannot be put to work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// The issuer's address cannot be fetched from at all.
    #[error("an issuer's keys cannot be fetched: {0}")]
    Fetch(FetchError),
    /// The loader did not read the issuer's key file; it always does.
    #[error("the key file `{path}` was not read", path = .0.display())]
    NoKeyFile(PathBuf),
    /// The issuer's introspection endpoint cannot be asked at all.
    #[error("an issuer's introspection endpoint cannot be asked: {0}")]
    Introspection(FetchError),
    /// The loader did not read what the issuer is asked with; it always does.
    #[error("the file `{path}` was not read", path = .0.display())]
    NoCredential(PathBuf),
}

/// One issuer of a generation.
#[derive(Debug, Clone)]
pub struct Trusted {
    /// Its name.
    pub name: String,
    /// Its rules and keys. The same object in the next generation, as long as its configuration is the same.
    pub issuer: Arc<Issuer>,
    /// Which scopes its scopes imply.
    pub hierarchy: Arc<ScopeHierarchy>,
    /// All that made it, as text: what decides whether the next generation takes it over.
    made_of: String,
}

impl Generation {
    /// Puts `loaded` to work: issuers that are configured as in `previous` are taken over with their keys.
    ///
    /// # Errors
    /// [`IssuerError`] if an issuer's keys cannot be fetched from here at all.
    pub fn start(
        loaded: Loaded,
        previous: Option<&Self>,
        metrics: &Metrics,
        now: UnixTime,
    ) -> Result<Self, IssuerError> {
        let fixed = Fixed::of(&loaded);
        let Loaded { rules, config, mut keys, mut credentials, hierarchies, folders, .. } = loaded;
        let disclosure = config.audit.disclosure();
        let mut issuers = Vec::with_capacity(config.issuers.len());
        for configured in config.issuers {
            let name = configured.rules.name.clone();
            let set = keys.remove(&name);
            let credential = credentials.remove(&name);
            // Of a credential this has a digest: another secret makes another issuer, which remembers nothing.
            let made_of = format!("{configured:?} {set:?} {credential:?}");
            let before = previous.and_then(|previous| previous.issuer(&name));
            let issuer = match before {
                Some(kept) if kept.made_of == made_of => kept.issuer.clone(),
                Some(changed) => Arc::new(issuer(configured, set, credential, Some(&changed.issuer), metrics)?),
                None => Arc::new(issuer(configured, set, credential, None, metrics)?),
            };
            let hierarchy = hierarchies.get(&name).cloned().unwrap_or_default();
            issuers.push(Trusted { name, issuer, hierarchy, made_of });
        }
        for gone in previous.into_iter().flat_map(|previous| &previous.issuers) {
            if !issuers.iter().any(|issuer| issuer.name == gone.name) {
                metrics.issuer_removed(&gone.name);
            }
        }
        let names = rules.servers.iter().map(|server| server.name.as_str()).chain([NO_SERVER]);
        let counters = names.map(|name| (name.to_owned(), metrics.decisions(name, verdicts()))).collect();
        Ok(Self { rules, issuers, disclosure, since: now, fixed, folders, counters })
    }

    /// The issuer called `name`.
    pub fn issuer(&self, name: &str) -> Option<&Trusted> {
        self.issuers.iter().find(|issuer| issuer.name == name)
    }

    /// The counters of the server called `server`.
    pub fn counters(&self, server: &str) -> Option<&Decisions> {
        self.counters.get(server)
    }
}

fn issuer(
    configured: IssuerConfig,
    set: Option<KeySet>,
    credential: Option<Credential>,
    previous: Option<&Issuer>,
    metrics: &Metrics,
) -> Result<Issuer, IssuerError> {
    let IssuerConfig { rules, keys, introspection, insecure_http, pace, implies: _ } = configured;
    let asked =
        introspection.map(|it| introspector(it, rules.clone(), credential, insecure_http, metrics)).transpose()?;
    let remote =
        |rules, source| Issuer::remote(rules, source, insecure_http, pace, previous).map_err(IssuerError::Fetch);
    let issuer = match (keys, set) {
        (None, _) => Issuer::without_keys(rules),
        (Some(config::KeySource::Url(url)), _) => remote(rules, KeySource::Url(url))?,
        (Some(config::KeySource::Discover), _) => remote(rules, KeySource::Discovery)?,
        (Some(config::KeySource::File(_)), Some(set)) => Issuer::with_keys(rules, set),
        (Some(config::KeySource::File(path)), None) => return Err(IssuerError::NoKeyFile(path.value)),
    };
    Ok(match asked {
        Some(introspector) => issuer.introspecting(introspector),
        None => issuer,
    })
}

fn introspector(
    configured: IntrospectionConfig,
    rules: IssuerRules,
    credential: Option<Credential>,
    insecure_http: bool,
    metrics: &Metrics,
) -> Result<Introspector, IssuerError> {
    let IntrospectionConfig { endpoint: url, client_id: client, credential: file, timeout, concurrency, cache } =
        configured;
    let credential = credential.ok_or_else(|| IssuerError::NoCredential(file.file().value.clone()))?;
    let counters = metrics.introspections(&rules.name);
    let endpoint = Endpoint { url, client, timeout, concurrency, cache };
    Introspector::new(rules, endpoint, credential, insecure_http, counters).map_err(IssuerError::Introspection)
}

/// Every reason with the decision it goes with.
fn verdicts() -> [(&'static str, Verdict); Reason::ALL.len()] {
    Reason::ALL.map(|reason| {
        let verdict = if reason == Reason::Allow { Verdict::Allow } else { Verdict::Deny };
        (reason.as_str(), verdict)
    })
}
