//! The pure part: what a request is answered with, given the rules, the verified caller and the time.
//!
//! Nothing here does I/O or reads a clock. `envoy/check.rs` calls [`approach`], verifies the token that it hands out, and
//! calls [`decide`]; so do tests, benches and `toolgate explain`.

pub mod body;
pub mod denial;
pub mod explain;
pub mod server;

use std::net::IpAddr;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::context::{Body, Headers, RequestContext, UnixTime};
use crate::decision::body::message_bytes;
use crate::decision::denial::{Denial, InvalidToken, Malformed, Malfunction, Reason};
use crate::decision::server::{Place, Server, route};
use crate::json::{Document, Limits};
use crate::mcp;
use crate::mcp::{McpError, McpFault, Message, Operation, RequestId, SessionMethod};
use crate::policy::evaluate::Permit;
use crate::policy::query::RequestFacts;
use crate::policy::shadow::ShadowOutcome;
use crate::policy::stepup::Published;
use crate::policy::subject::{ScopeHierarchy, Subject};
use crate::policy::values::Values;
use crate::policy::{Engine, Question, Target};
use crate::token::{Credential, Principal, ProofError, ProofId, Revocations, SenderError, Sent, check_sender};

/// One generation of everything that shapes a decision. Made by the loader alone, after full validation.
#[derive(Debug)]
pub struct Rules {
    /// Grows by one with every generation of this process.
    pub generation: u64,
    /// SHA-256 over the content of everything loaded, in hex.
    pub digest: String,
    /// The servers, by which requests are routed.
    pub servers: Vec<Server>,
    /// What must no longer be let in although it has not expired.
    pub revocations: Revocations,
    /// The policies.
    pub engine: Engine,
    /// Whose address `context.request.ip` is.
    pub client_address: Option<ClientAddress>,
    /// The zone of `context.request.local`.
    pub zone: TimeZone,
    /// The most bytes a message may have.
    pub body_limit: usize,
    /// The most bytes a token may have.
    pub token_limit: usize,
    /// What its JSON may hold.
    pub json_limits: Limits,
}

/// Whose address policies see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAddress {
    /// The proxy's peer.
    Peer,
    /// What the proxy itself wrote into `x-envoy-external-address`.
    ExternalAddress,
    /// The address that many trusted hops from the end of `x-forwarded-for`; 1 is the last one.
    XffHops(usize),
}

/// A verified caller: the token's facts, and the same as Cedar sees them.
#[derive(Debug)]
pub struct Caller {
    /// The proof that the token was verified.
    pub principal: Arc<Principal>,
    /// Its Cedar side.
    pub subject: Subject,
    /// The scope hierarchy of its issuer.
    pub hierarchy: Arc<ScopeHierarchy>,
}

/// What the deciding part asks of its surroundings.
pub trait Around {
    /// A step has ended.
    fn lap(&mut self, step: Step);
    /// Whether `proof` comes for the first time. Whatever is answered, it is remembered.
    fn first_use(&mut self, proof: ProofId) -> Use;
}

/// Whether a proof of possession came before (RFC 9449 §11.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It did not, or with this very request, which the proxy sends once more.
    First,
    /// It did.
    Again,
    /// That cannot be told: too many are remembered.
    Untold,
}

/// A step of the way, for those who time it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Reading the message.
    Parse,
    /// Asking the policies.
    Policy,
}

/// The answer to one message.
#[derive(Debug)]
pub struct Decision {
    /// A permit, or why not.
    pub verdict: Result<Permit, Denial>,
    /// The id of the JSON-RPC request, where it is known and the answer should carry it.
    pub id: Option<RequestId>,
    /// Whether the message is of a revision from 2026-07-28 on.
    pub modern: bool,
    /// Whether the message opens a stream that outlives the request.
    pub streams: bool,
    /// What the policies were asked.
    pub targets: Vec<Target>,
    /// The policies that decided.
    pub determining: Vec<Arc<str>>,
    /// The policies in error.
    pub erring: Vec<Arc<str>>,
    /// What shadow policies would have made of it. It has no say in the answer.
    pub shadow: Option<ShadowOutcome>,
    /// The values that the policies read.
    pub values: Values,
}

/// A request that has reached a server and presents a token.
#[derive(Debug)]
pub struct Admitted<'r> {
    /// The server it is for.
    pub server: &'r Server,
    /// The token to verify.
    pub credential: Credential,
}

/// A request that is answered before any token is looked at.
#[derive(Debug)]
pub struct Turned<'r> {
    /// The server it is for, if it reached one.
    pub server: Option<&'r Server>,
    /// The answer.
    pub denial: Denial,
}

impl Decision {
    /// A denial from outside of the message.
    pub fn denied(denial: Denial) -> Self {
        Self {
            verdict: Err(denial),
            id: None,
            modern: false,
            streams: false,
            targets: Vec::new(),
            determining: Vec::new(),
            erring: Vec::new(),
            shadow: None,
            values: Values::default(),
        }
    }

    /// Why shadow policies would have made a denial of it, if not by their own word.
    pub fn shadow_reason(&self) -> Option<Reason> {
        let because = self.shadow.as_ref()?.flip.as_ref()?.because.clone();
        because.map(|because| Denial::from(because).reason())
    }

    /// The name of the outcome.
    pub fn reason(&self) -> Reason {
        self.verdict.as_ref().map_or_else(Denial::reason, |_| Reason::Allow)
    }
}

/// Everything up to the token, first failure first: server and path, metadata, preflight and origin, headers, credential.
///
/// # Errors
/// [`Turned`], for a request that needs no token, or cannot be given the chance to present one.
pub fn approach<'r>(rules: &'r Rules, context: &RequestContext) -> Result<Admitted<'r>, Turned<'r>> {
    let Some((server, place)) = route(&rules.servers, context) else {
        return Err(Turned { server: None, denial: Denial::NoRoute });
    };
    let credential = match place {
        Place::Metadata => Err(metadata(&context.method)),
        Place::Endpoint => credential(server, context),
    };
    credential
        .map(|credential| Admitted { server, credential })
        .map_err(|denial| Turned { server: Some(server), denial })
}

fn metadata(method: &[u8]) -> Denial {
    match method {
        b"GET" | b"HEAD" => Denial::Metadata,
        b"OPTIONS" => Denial::Preflight,
        _ => Denial::MetadataMethod,
    }
}

fn credential(server: &Server, context: &RequestContext) -> Result<Credential, Denial> {
    let has_origin = allowed_origin(server, &context.headers)?.is_some();
    match context.method.as_ref() {
        b"POST" | b"GET" | b"DELETE" => {}
        b"OPTIONS" if has_origin => return Err(Denial::Preflight),
        _ => return Err(Denial::HttpMethodNotAllowed),
    }
    if context.body == Body::HeadersFiltered {
        return Err(Denial::Internal(Malfunction::HeadersFiltered));
    }
    Ok(Credential::from_request(&context.headers, &context.path)?)
}

/// The request's `Origin`, if it has one that the server allows (MCP transports, "DNS rebinding").
///
/// # Errors
/// [`Denial::OriginRefused`] if it has another, or two.
pub fn allowed_origin<'a>(server: &'a Server, headers: &Headers) -> Result<Option<&'a str>, Denial> {
    let Some(origin) = headers.single("origin").map_err(|_| Denial::OriginRefused)? else { return Ok(None) };
    let allowed = server.allowed_origins.iter().find(|allowed| allowed.as_bytes() == origin.as_ref());
    allowed.map(|origin| Some(origin.as_str())).ok_or(Denial::OriginRefused)
}

/// Everything from the verified caller on: audience, times and revocations, sender, body, message, policies. Without a
/// `credential` nobody has sent anything, as `toolgate explain` supposes, and there is no sender to check.
pub fn decide(
    rules: &Rules,
    server: &Server,
    context: &RequestContext,
    credential: Option<&Credential>,
    caller: &Caller,
    now: UnixTime,
    around: &mut dyn Around,
) -> Decision {
    if let Err(error) = caller.principal.check(&server.resource, now) {
        return Decision::denied(error.into());
    }
    if !server.issuers.iter().any(|name| name == caller.principal.issuer_name()) {
        return Decision::denied(Denial::TokenInvalid(InvalidToken::Issuer));
    }
    if rules.revocations.cover(&caller.principal) {
        return Decision::denied(Denial::TokenInvalid(InvalidToken::Revoked));
    }
    if let Some(credential) = credential
        && let Err(denial) = prove(server, context, credential, &caller.principal, now, around)
    {
        return Decision::denied(denial);
    }
    let question = Asked { rules, server, context, caller, now };
    let answered = match context.method.as_ref() {
        b"GET" => question.without_body(mcp::stream, around),
        b"DELETE" => question.without_body(mcp::end, around),
        _ => question.post(around),
    };
    answered.unwrap_or_else(|Stopped { denial, id }| Decision { id, ..Decision::denied(denial) })
}

/// Whether the sender of the token may use it, and has not done so with the same proof before.
fn prove(
    server: &Server,
    context: &RequestContext,
    credential: &Credential,
    principal: &Principal,
    now: UnixTime,
    around: &mut dyn Around,
) -> Result<(), Denial> {
    let url = server.public_url(context);
    let sent = Sent {
        credential,
        headers: &context.headers,
        method: &context.method,
        url: &url,
        certificate: &context.certificate,
    };
    let Some(proof) = check_sender(principal, &server.sender, &sent, now)? else { return Ok(()) };
    match around.first_use(proof) {
        Use::First => Ok(()),
        Use::Again => Err(SenderError::Proof(ProofError::Replayed).into()),
        Use::Untold => Err(Denial::Internal(Malfunction::ProofsFull)),
    }
}

/// A message that is answered before the policies are asked.
struct Stopped {
    denial: Denial,
    id: Option<RequestId>,
}

/// One verified request.
struct Asked<'a> {
    rules: &'a Rules,
    server: &'a Server,
    context: &'a RequestContext,
    caller: &'a Caller,
    now: UnixTime,
}

impl Asked<'_> {
    fn post(&self, around: &mut dyn Around) -> Result<Decision, Stopped> {
        self.read(|message| self.ask(message, around))
    }

    /// What `then` makes of the request's message.
    fn read<T>(&self, then: impl FnOnce(&Message<'_>) -> T) -> Result<T, Stopped> {
        let (headers, limit) = (&self.context.headers, self.rules.body_limit);
        let bytes = message_bytes(&self.context.body, headers, limit, self.server.accept_text_body)?;
        let document = Document::parse(bytes, self.rules.json_limits).map_err(McpError::from).map_err(Denial::from)?;
        let message = mcp::parse(&document, headers)?;
        Ok(then(&message))
    }

    fn without_body(
        &self,
        read: fn(&Headers) -> Result<Message<'static>, McpFault>,
        around: &mut dyn Around,
    ) -> Result<Decision, Stopped> {
        if self.context.body != Body::Absent {
            return Err(Denial::MessageMalformed(Malformed::UnexpectedBody).into());
        }
        Ok(self.ask(&read(&self.context.headers)?, around))
    }

    fn ask(&self, message: &Message<'_>, around: &mut dyn Around) -> Decision {
        around.lap(Step::Parse);
        let mut targets = Vec::new();
        let conclusion = self.question(message, |question| self.rules.engine.evaluate(question, &mut targets));
        around.lap(Step::Policy);
        Decision {
            verdict: conclusion.verdict.map_err(Denial::from),
            id: message.id().cloned(),
            modern: message.is_modern(),
            streams: opens_stream(message.operation()),
            targets,
            determining: conclusion.determining,
            erring: conclusion.erring,
            shadow: conclusion.shadow,
            values: conclusion.values,
        }
    }

    /// What `then` makes of the question that `message` raises.
    fn question<T>(&self, message: &Message<'_>, then: impl FnOnce(&Question<'_>) -> T) -> T {
        let facts = RequestFacts {
            now: self.now,
            ip: self.rules.client_address.and_then(|whose| client_address(whose, self.context)),
            zone: &self.rules.zone,
            revision: message.revision(),
        };
        let published = Published { scopes: &self.server.challengeable, repeat_held: self.server.challenge_held };
        then(&Question {
            subject: &self.caller.subject,
            hierarchy: &self.caller.hierarchy,
            server: &self.server.model,
            operation: message.operation(),
            facts: &facts,
            published,
        })
    }
}

/// Whether the answer to `operation` goes on for as long as the client likes.
fn opens_stream(operation: &Operation<'_>) -> bool {
    matches!(operation, Operation::Session(SessionMethod::Stream) | Operation::Listen { .. })
}

impl From<Denial> for Stopped {
    fn from(denial: Denial) -> Self {
        Self { denial, id: None }
    }
}

impl From<McpFault> for Stopped {
    fn from(fault: McpFault) -> Self {
        Self { denial: fault.error.into(), id: fault.id }
    }
}

/// The address to record: the caller's where the configuration says which one that is, else the proxy's peer.
pub fn caller_address(rules: &Rules, context: &RequestContext) -> Option<IpAddr> {
    rules.client_address.map_or(context.peer, |whose| client_address(whose, context))
}

/// The caller's address, v4-mapped v6 folded to v4; absent where the headers do not hold it.
fn client_address(whose: ClientAddress, context: &RequestContext) -> Option<IpAddr> {
    let parse = |text: &[u8]| std::str::from_utf8(text.trim_ascii()).ok()?.parse::<IpAddr>().ok();
    let address = match whose {
        ClientAddress::Peer => context.peer,
        ClientAddress::ExternalAddress => {
            context.headers.single("x-envoy-external-address").ok()?.and_then(|value| parse(value))
        }
        ClientAddress::XffHops(hops) => {
            let all: Vec<&[u8]> =
                context.headers.all("x-forwarded-for").flat_map(|value| value.split(|byte| *byte == b',')).collect();
            all.len().checked_sub(hops).and_then(|at| all.get(at)).and_then(|value| parse(value))
        }
    };
    address.map(|address| address.to_canonical())
}
