//! Deciding cases, and holding what is seen against what is expected.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::files::Suite;
use crate::cli::explanation::{advice, scopes};
use crate::cli::supposed::{caller, client_headers, decision, request, set_header, supposed};
use crate::config::{Case, Expected};
use crate::context::{Body, RequestContext};
use crate::decision::denial::Denial;
use crate::decision::explain::explain;
use crate::decision::server::Server;
use crate::decision::{ClientAddress, Decision};
use crate::policy::evaluate::Refusal;
use crate::policy::explain::Explanation;
use crate::reload::load::Loaded;

/// One case, decided.
#[derive(Debug)]
pub(super) struct Outcome<'a> {
    /// The file.
    pub(super) file: &'a str,
    /// The line that the case starts on.
    pub(super) line: usize,
    /// Its name.
    pub(super) name: &'a str,
    /// What was decided, or why nothing could be.
    pub(super) seen: Result<Decision, String>,
    /// How the policies stand to it, if it is not what is expected: to find that takes longer than to decide.
    pub(super) why: Vec<Explanation>,
    /// What differs from what is expected.
    pub(super) differences: Vec<Difference>,
}

/// One thing that was expected and not seen.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) expected: String,
    pub(super) seen: String,
}

impl Outcome<'_> {
    pub(super) fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Decides all cases of `suite`.
pub(super) fn outcomes<'a>(suite: &'a Suite, loaded: &'a Loaded) -> impl Iterator<Item = Outcome<'a>> {
    suite.cases.iter().map(|case| {
        let (seen, differences, why) = match decided(case, loaded) {
            Ok((decision, differences, why)) => (Ok(decision), differences, why),
            Err(why) => {
                let expected = case.expected.decision.as_str().to_owned();
                (Err(why.clone()), vec![Difference { expected, seen: why }], Vec::new())
            }
        };
        let line = suite.source.line(case.span.start);
        Outcome { file: &suite.source.name, line, name: &case.name, seen, why, differences }
    })
}

/// The policies that decided none of `outcomes`, nor would have from shadow.
pub(super) fn never_decided(loaded: &Loaded, outcomes: &[Outcome<'_>]) -> Vec<Arc<str>> {
    let decisions = outcomes.iter().filter_map(|outcome| outcome.seen.as_ref().ok());
    let decided: BTreeSet<&Arc<str>> =
        decisions.flat_map(|decision| decision.determining.iter().chain(in_shadow(decision))).collect();
    let all = loaded.rules.engine.bundle().iter().map(|policy| &policy.id);
    all.filter(|id| !decided.contains(id)).cloned().collect()
}

/// The decision about `case`, what is not as expected of it, and why.
fn decided(case: &Case, loaded: &Loaded) -> Result<(Decision, Vec<Difference>, Vec<Explanation>), String> {
    let server = loaded.rules.servers.iter().find(|server| server.name == case.server);
    let server = server.ok_or_else(|| format!("there is no server `{}`", case.server))?;
    let caller = caller(supposed(case.claims.as_bytes(), loaded, server, case.now)?, loaded)?;
    let context = sent(case, loaded, server);
    let decision = decision(loaded, server, &context, &caller, case.now);
    let differences = differences(&case.expected, &decision);
    // What ended before the policies were asked has nothing to do with them.
    let is_wanted = !differences.is_empty() && !decision.targets.is_empty();
    let why = is_wanted.then(|| explain(&loaded.rules, server, &context, &caller, case.now));
    Ok((decision, differences, why.unwrap_or_default()))
}

/// The request, as the proxy would describe it.
fn sent(case: &Case, loaded: &Loaded, server: &Server) -> RequestContext {
    let body = case.request.body.as_deref();
    let mut headers = body.map_or_else(Vec::new, |body| client_headers(body.as_bytes()));
    let address = case.ip.zip(loaded.rules.client_address);
    if let Some((name, value)) = address.and_then(|(ip, whose)| address_header(ip, whose)) {
        set_header(&mut headers, name, &value);
    }
    for (name, value) in &case.headers {
        set_header(&mut headers, name, value);
    }
    RequestContext {
        method: Bytes::from_static(case.request.method.as_bytes()),
        body: body.map_or(Body::Absent, |body| Body::Complete(Bytes::copy_from_slice(body.as_bytes()))),
        peer: case.ip,
        ..request(server, headers)
    }
}

/// The header from which `ip` is read as the caller's, if it is read from one.
fn address_header(ip: IpAddr, whose: ClientAddress) -> Option<(&'static str, String)> {
    match whose {
        ClientAddress::Peer => None,
        ClientAddress::ExternalAddress => Some(("x-envoy-external-address", ip.to_string())),
        ClientAddress::XffHops(hops) => Some(("x-forwarded-for", vec![ip.to_string(); hops].join(", "))),
    }
}

fn differences(expected: &Expected, seen: &Decision) -> Vec<Difference> {
    let mut all = Vec::new();
    if !expected.decision.is(seen.reason()) {
        let seen = seen.reason().as_str().to_owned();
        all.push(Difference { expected: expected.decision.as_str().to_owned(), seen });
    }
    let (acr, max_age) = login(seen);
    let max_age: Vec<String> = max_age.map(|age| age.to_string()).into_iter().collect();
    let wanted_age = expected.max_age.map(|age| vec![age.to_string()]);
    let told: Vec<String> = advice(seen).map(str::to_owned).into_iter().collect();
    let wanted_advice = expected.advice.clone().map(|advice| vec![advice]);
    all.extend(compare("policies", expected.policies.as_deref(), &seen.determining));
    all.extend(compare("errors", expected.errors.as_deref(), &seen.erring));
    all.extend(compare("scopes", expected.scopes.as_deref(), scopes(seen).unwrap_or_default()));
    all.extend(compare("advice", wanted_advice.as_deref(), &told));
    all.extend(compare("acr", expected.acr.as_deref(), acr));
    all.extend(compare("max_age", wanted_age.as_deref(), &max_age));
    all.extend(compare("shadow", expected.shadow.as_deref(), in_shadow(seen)));
    all
}

/// The policies in shadow that would have made another decision.
fn in_shadow(decision: &Decision) -> &[Arc<str>] {
    decision.shadow.as_ref().and_then(|shadow| shadow.flip.as_ref()).map_or(&[], |flip| &flip.policies)
}

/// The login that would cure the denial.
fn login(decision: &Decision) -> (&[String], Option<u64>) {
    match &decision.verdict {
        Err(Denial::Policy(Refusal::LoginInsufficient { acr, max_age })) => (acr, *max_age),
        Err(_) | Ok(_) => (&[], None),
    }
}

/// The difference between two lists as sets, if `expected` is there and there is one.
fn compare<T: AsRef<str>>(what: &str, expected: Option<&[String]>, seen: &[T]) -> Option<Difference> {
    let wanted: BTreeSet<&str> = expected?.iter().map(String::as_str).collect();
    let seen: BTreeSet<&str> = seen.iter().map(AsRef::as_ref).collect();
    let list = |words: &BTreeSet<&str>| match words.len() {
        0 => format!("{what} none"),
        _ => format!("{what} {}", words.iter().copied().collect::<Vec<_>>().join(", ")),
    };
    (wanted != seen).then(|| Difference { expected: list(&wanted), seen: list(&seen) })
}
