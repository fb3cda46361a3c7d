//! From a decision to Envoy's answer. `CheckResponse` is built here and nowhere else.
//!
//! INVARIANT (allow has one door): an empty `CheckResponse` is an allow to Envoy, and so is status 0 with a denied
//! response in it. [`build`] makes the only allow, out of a [`Permit`]; everything else carries [`PERMISSION_DENIED`].

mod answer;
mod challenge;
mod text;
mod upstream;

use std::net::IpAddr;
use std::sync::Arc;

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

use crate::audit::{DecisionId, Disclosure};
use crate::context::{Headers, UnixTime};
use crate::decision::denial::Denial;
use crate::decision::server::Server;
use crate::decision::{Caller, Decision};
use crate::envoy::wire::check_response::HttpResponse;
use crate::envoy::wire::{
    CheckResponse, DeniedHttpResponse, HeaderValue, HeaderValueOption, HttpStatus, OkHttpResponse, RawAnswer, RpcStatus,
};
use crate::policy::evaluate::Permit;

pub use answer::Answer;
pub use answer::answer;

/// `google.rpc.Code.OK`: to Envoy the whole of an allow.
const OK: i32 = 0;
/// `google.rpc.Code.PERMISSION_DENIED`: any code but 0 denies; the HTTP status is in the denied response.
const PERMISSION_DENIED: i32 = 7;

/// What an answer is built from, beside the decision.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The server, if the request reached one.
    pub server: Option<&'a Server>,
    /// The request's headers.
    pub headers: &'a Headers,
    /// The verified caller.
    pub caller: Option<&'a Caller>,
    /// The id under which the decision is recorded.
    pub decision_id: &'a DecisionId,
    /// The caller as policies name it, or its keyed hash.
    pub principal: Option<&'a str>,
    /// The rules' generation.
    pub generation: u64,
    /// The rules' digest.
    pub digest: &'a str,
    /// When the request was decided.
    pub now: UnixTime,
    /// The caller's address as the configuration says, or else the proxy's peer.
    pub source: Option<IpAddr>,
    /// How much the record shows of it, and of what policies read.
    pub disclosure: &'a Disclosure,
}

/// An answer, and the HTTP status in it; an allowed request has none, its server answers.
#[derive(Debug)]
pub struct Reply {
    /// For Envoy.
    pub response: RawAnswer,
    /// For the record.
    pub status: Option<u16>,
}

/// Envoy's answer to a decision.
pub fn build(decision: &Decision, about: &About<'_>) -> Reply {
    let metadata = dynamic_metadata(decision, about);
    match &decision.verdict {
        Ok(permit) => allow(permit, decision, about, metadata),
        Err(denial) => deny(denial, decision, about, metadata),
    }
}

fn allow(_: &Permit, decision: &Decision, about: &About<'_>, metadata: Struct) -> Reply {
    let changes = upstream::changes(about, decision.streams);
    let ok = OkHttpResponse {
        headers: changes.set.into_iter().map(|(name, value)| header(name, value)).collect(),
        headers_to_remove: changes.remove,
    };
    let response = CheckResponse {
        status: Some(RpcStatus { code: OK, message: String::new() }),
        http_response: Some(HttpResponse::OkResponse(ok)),
        dynamic_metadata: Some(metadata),
    };
    Reply { response: RawAnswer::new(&response), status: None }
}

fn deny(denial: &Denial, decision: &Decision, about: &About<'_>, metadata: Struct) -> Reply {
    let answer = answer(denial, decision, about);
    let denied = DeniedHttpResponse {
        status: Some(HttpStatus { code: i32::from(answer.status) }),
        headers: answer.headers.into_iter().map(|(name, value)| header(name, value)).collect(),
        body: answer.body,
    };
    let response = CheckResponse {
        status: Some(RpcStatus { code: PERMISSION_DENIED, message: denial.reason().as_str().to_owned() }),
        http_response: Some(HttpResponse::DeniedResponse(denied)),
        dynamic_metadata: Some(metadata),
    };
    Reply { response: RawAnswer::new(&response), status: Some(answer.status) }
}

/// One header. Envoy writes a denied header's value out verbatim, line feeds included, and ignores `raw_value`; so this
/// is the one place where values are made, and nothing but printable ASCII passes.
fn header(name: impl Into<String>, value: String) -> HeaderValueOption {
    HeaderValueOption { header: Some(HeaderValue { key: name.into(), value: text::printable(value) }), append: None }
}

fn dynamic_metadata(decision: &Decision, about: &About<'_>) -> Struct {
    let text = |value: &str| Value { kind: Some(Kind::StringValue(value.to_owned())) };
    let list = |ids: &[Arc<str>]| Value {
        kind: Some(Kind::ListValue(ListValue { values: ids.iter().map(|id| text(id)).collect() })),
    };
    let verdict = if decision.verdict.is_ok() { "allow" } else { "deny" };
    #[expect(clippy::as_conversions, reason = "a count of reloads is far below 2^53")]
    #[expect(clippy::cast_precision_loss, reason = "a count of reloads is far below 2^53")]
    let generation = Value { kind: Some(Kind::NumberValue(about.generation as f64)) };
    let mut fields = vec![
        ("decision_id", text(about.decision_id.as_str())),
        ("decision", text(verdict)),
        ("reason", text(decision.reason().as_str())),
        ("policies", list(&decision.determining)),
        ("generation", generation),
        ("digest", text(about.digest)),
    ];
    fields.extend(about.principal.map(|principal| ("principal", text(principal))));
    if let Some(target) = decision.targets.first() {
        fields.push(("action", text(&target.action)));
        fields.push(("resource", text(&target.resource)));
    }
    Struct { fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
}
