//! Everything impure about one request, once and in order: take a snapshot of the rules, verify the token through the
//! cache, decide, record, reply.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use tonic::{Request, Response, Status};

use crate::audit::{Audit, AuditError, DecisionId, Latency, Record, Recorded, Shadow, Verdict};
use crate::clock::Clock;
use crate::context::{Headers, RequestContext, UnixTime};
use crate::decision::denial::{Denial, Malfunction, Reason};
use crate::decision::server::Server;
use crate::decision::{Around, Decision, Step, Use, approach, caller_address, decide};
use crate::envoy::patience::patience;
use crate::envoy::proofs::Proofs;
use crate::envoy::request;
use crate::envoy::response::{About, Reply, build};
use crate::envoy::tokens::{Known, Lookup, Presented, Tokens};
use crate::envoy::trace::trace_id;
use crate::envoy::wire::{Authorization, Incoming, RawAnswer, RawCheck};
use crate::metrics;
use crate::metrics::{Metrics, NO_SERVER};
use crate::policy::shadow::Flip;
use crate::reload::Live;
use crate::reload::generation::Generation;
use crate::token::ProofId;

/// All that requests share.
#[derive(Debug)]
pub struct Gate {
    /// The rules that hold.
    pub live: Arc<Live>,
    /// The tokens that were verified before.
    pub tokens: Tokens,
    /// The proofs of possession that came before.
    pub proofs: Proofs,
    /// Where decisions are recorded.
    pub audit: Arc<Audit>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Clock,
    /// Bytes of the largest message that is read.
    pub message_limit: usize,
}

/// The gRPC service on one listener.
#[derive(Debug, Clone)]
pub struct Check {
    gate: Arc<Gate>,
    server: Option<Bytes>,
}

/// What is known of a request when it is answered.
struct Outcome<'g> {
    server: Option<&'g Server>,
    known: Option<Arc<Known>>,
    decision: Decision,
}

/// What an answer says of a request beside the decision, but for its headers.
struct Asked<'a> {
    generation: &'a Generation,
    server: Option<&'a Server>,
    known: Option<&'a Known>,
    principal: Option<&'a str>,
    source: Option<IpAddr>,
    id: &'a DecisionId,
    now: UnixTime,
}

impl Asked<'_> {
    fn about<'a>(&'a self, headers: &'a Headers) -> About<'a> {
        About {
            server: self.server,
            source: self.source,
            disclosure: &self.generation.disclosure,
            headers,
            caller: self.known.map(|known| &known.caller),
            principal: self.principal,
            decision_id: self.id,
            generation: self.generation.rules.generation,
            digest: &self.generation.rules.digest,
            now: self.now,
        }
    }
}

impl Check {
    /// The service of a listener, which may be bound to one server.
    pub fn new(gate: Arc<Gate>, server: Option<&str>) -> Self {
        Self { gate, server: server.map(|name| Bytes::copy_from_slice(name.as_bytes())) }
    }
}

#[tonic::async_trait]
impl Authorization for Check {
    async fn check(&self, request: Request<RawCheck>) -> Result<Response<RawAnswer>, Status> {
        let patience = patience(request.metadata());
        Ok(Response::new(self.gate.answer(request.into_inner(), self.server.as_ref(), patience).await))
    }
}

impl Gate {
    /// The answer to one message, on record. It waits for what an issuer says of an opaque token, as long as the proxy has
    /// `patience`, and for the audit trail, as its configuration says.
    pub async fn answer(&self, message: RawCheck, listener: Option<&Bytes>, patience: Option<Duration>) -> RawAnswer {
        let mut laps = Laps::start();
        let now = self.clock.now();
        let generation = self.live.current();
        let id = self.audit.next_id();
        let (context, unread) = match message.read(self.message_limit) {
            Incoming::Request(request) => (request::context(request, listener), None),
            Incoming::Undecodable => (RequestContext::unread(), Some(Denial::Internal(Malfunction::Undecodable))),
            Incoming::TooLarge => (RequestContext::unread(), Some(Denial::BodyTooLarge)),
        };
        let outcome = match unread {
            Some(denial) => Outcome::without_server(denial),
            None => self.guarded(&generation, &context, now, patience, &mut laps).await,
        };
        self.reply(&generation, context, outcome, &id, now, &mut laps).await
    }

    /// [`Gate::decide`]; a panic in it is a denial of this one request.
    async fn guarded<'g>(
        &self,
        generation: &'g Generation,
        context: &RequestContext,
        now: UnixTime,
        patience: Option<Duration>,
        laps: &mut Laps,
    ) -> Outcome<'g> {
        let decided = AssertUnwindSafe(self.decide(generation, context, now, patience, laps)).catch_unwind();
        decided.await.unwrap_or_else(|_| {
            self.metrics.panicked();
            Outcome::without_server(Denial::Internal(Malfunction::Panic))
        })
    }

    async fn decide<'g>(
        &self,
        generation: &'g Generation,
        context: &RequestContext,
        now: UnixTime,
        patience: Option<Duration>,
        laps: &mut Laps,
    ) -> Outcome<'g> {
        let admitted = match approach(&generation.rules, context) {
            Ok(admitted) => admitted,
            Err(turned) => {
                return Outcome { server: turned.server, known: None, decision: Decision::denied(turned.denial) };
            }
        };
        let server = admitted.server;
        let fingerprint = |token: &[u8]| self.audit.fingerprint(token);
        let presented = Presented { credential: &admitted.credential, server, generation, now, patience };
        let (lookup, known) = self.tokens.caller(&presented, &fingerprint).await;
        match lookup {
            Lookup::Hit => self.metrics.token_cache_hit(),
            Lookup::Miss => self.metrics.token_cache_miss(),
        }
        laps.token();
        let known = match known {
            Ok(known) => known,
            Err(denial) => return Outcome { server: Some(server), known: None, decision: Decision::denied(denial) },
        };
        let mut around = Surroundings { proofs: &self.proofs, request: &context.id, now, laps };
        let credential = Some(&admitted.credential);
        let decision = decide(&generation.rules, server, context, credential, &known.caller, now, &mut around);
        Outcome { server: Some(server), known: Some(known), decision }
    }

    /// Records the decision and builds its reply. What cannot be recorded is denied.
    async fn reply(
        &self,
        generation: &Generation,
        context: RequestContext,
        outcome: Outcome<'_>,
        id: &DecisionId,
        now: UnixTime,
        laps: &mut Laps,
    ) -> RawAnswer {
        let Outcome { server, known, decision } = outcome;
        let known = known.as_deref();
        let principal = known.map(|known| self.audit.named(&known.principal));
        let source = caller_address(&generation.rules, &context);
        let asked = Asked { generation, server, known, principal: principal.as_deref(), source, id, now };
        let about = asked.about(&context.headers);
        let reason = decision.reason();
        self.count_policies(&decision);
        let reply = build(&decision, &about);
        laps.end();
        let recorded = self.record(&decision, &about, &context, known, reply, laps);
        // Others may go on before this one: what it does not need is theirs, as long as it is in the processor's caches.
        let headers = context.headers.only("origin");
        drop((context, decision));
        let (reason, response) = match recorded.await {
            Ok(recorded) => (reason, recorded.into_inner()),
            Err(error) => {
                tracing::error!(%error, decision_id = id.as_str(), "a decision cannot be recorded; it is denied");
                let unrecorded = build(&Decision::denied(Denial::AuditUnavailable), &asked.about(&headers));
                (Reason::AuditUnavailable, unrecorded.response)
            }
        };
        self.count(generation, server, reason, laps);
        response
    }

    /// Writes the record; only then is there a reply to send.
    fn record(
        &self,
        decision: &Decision,
        about: &About<'_>,
        context: &RequestContext,
        known: Option<&Known>,
        reply: Reply,
        laps: &Laps,
    ) -> impl Future<Output = Result<Recorded<RawAnswer>, AuditError>> + use<> {
        let principal = known.map(|known| &known.caller.principal);
        let detail = decision.verdict.as_ref().err().and_then(Denial::detail);
        let actions: Vec<&str> = decision.targets.iter().map(|target| &*target.action).collect();
        let resources: Vec<&str> = decision.targets.iter().map(|target| &*target.resource).collect();
        let policies: Vec<&str> = decision.determining.iter().map(AsRef::as_ref).collect();
        let errors: Vec<&str> = decision.erring.iter().map(AsRef::as_ref).collect();
        let shadow = decision.shadow.as_ref();
        let flip = shadow.and_then(|shadow| shadow.flip.as_ref());
        let flipping: Vec<&str> = flip.iter().flat_map(|flip| &flip.policies).map(AsRef::as_ref).collect();
        let shadow_errors: Vec<&str> = shadow.iter().flat_map(|it| &it.erring).map(AsRef::as_ref).collect();
        let record = Record {
            time: about.now,
            decision_id: about.decision_id,
            generation: about.generation,
            digest: about.digest,
            decision: verdict(decision.reason()),
            reason: decision.reason().as_str(),
            detail: detail.as_deref(),
            server: about.server.map(|server| server.name.as_str()),
            principal: about.principal,
            issuer: principal.map(|principal| principal.issuer_name()),
            client: principal.map(|principal| principal.client()),
            token: known.map(|known| known.fingerprint.as_str()),
            method: &context.method,
            actions: &actions,
            resources: &resources,
            policies: &policies,
            errors: &errors,
            shadow: shadow.map(|_| Shadow {
                decision: flip.map(flipped),
                reason: decision.shadow_reason().map(Reason::as_str),
                policies: &flipping,
                errors: &shadow_errors,
            }),
            values: &decision.values,
            disclosure: about.disclosure,
            status: reply.status,
            source: about.source,
            request_id: request_id(context),
            trace_id: trace_id(&context.headers),
            latency: laps.latency(),
        };
        self.audit.record(&record, reply.response)
    }

    fn count_policies(&self, decision: &Decision) {
        let shadow = decision.shadow.as_ref();
        for policy in decision.erring.iter().chain(shadow.into_iter().flat_map(|shadow| &shadow.erring)) {
            self.metrics.policy_error(policy);
        }
        if let Some(flip) = shadow.and_then(|shadow| shadow.flip.as_ref()) {
            let would = flipped(flip);
            for policy in &flip.policies {
                self.metrics.shadow_flip(policy, would);
            }
            // One of several policies reads what cannot be represented: it is not said which.
            if flip.policies.is_empty() {
                self.metrics.shadow_flip("", would);
            }
        }
    }

    fn count(&self, generation: &Generation, server: Option<&Server>, reason: Reason, laps: &Laps) {
        if let Some(counters) = generation.counters(server.map_or(NO_SERVER, |server| &server.name)) {
            counters.count(reason.as_str(), verdict(reason));
        }
        let Latency { token, parse, policy, total } = laps.latency();
        let steps = [(metrics::Step::Token, token), (metrics::Step::Parse, parse), (metrics::Step::Policy, policy)];
        for (step, took) in steps.into_iter().filter_map(|(step, took)| Some((step, took?))) {
            self.metrics.observe(step, took);
        }
        let audited = laps.started.elapsed();
        self.metrics.observe(metrics::Step::Audit, audited.saturating_sub(total));
        self.metrics.observe(metrics::Step::Total, audited);
    }
}

/// What a decision asks of this process.
struct Surroundings<'a> {
    proofs: &'a Proofs,
    request: &'a [u8],
    now: UnixTime,
    laps: &'a mut Laps,
}

impl Around for Surroundings<'_> {
    fn lap(&mut self, step: Step) {
        self.laps.step(step);
    }

    fn first_use(&mut self, proof: ProofId) -> Use {
        self.proofs.first_use(proof, self.request, self.now)
    }
}

impl Outcome<'_> {
    fn without_server(denial: Denial) -> Self {
        Self { server: None, known: None, decision: Decision::denied(denial) }
    }
}

/// The id by which the proxy's access log knows the request, or else the proxy's internal one.
fn request_id(context: &RequestContext) -> &[u8] {
    context.headers.single("x-request-id").ok().flatten().unwrap_or(&context.id)
}

/// The decision that shadow policies would have made.
fn flipped(flip: &Flip) -> Verdict {
    if flip.allow { Verdict::Allow } else { Verdict::Deny }
}

fn verdict(reason: Reason) -> Verdict {
    if reason == Reason::Allow { Verdict::Allow } else { Verdict::Deny }
}

/// Durations of the steps. Timings are told, never decided on.
#[derive(Debug)]
struct Laps {
    started: Instant,
    last: Instant,
    latency: Latency,
}

impl Laps {
    fn start() -> Self {
        let now = Instant::now();
        Self { started: now, last: now, latency: Latency::default() }
    }

    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        let took = now.duration_since(self.last);
        self.last = now;
        took
    }

    fn token(&mut self) {
        self.latency.token = Some(self.lap());
    }

    fn step(&mut self, step: Step) {
        let took = Some(self.lap());
        match step {
            Step::Parse => self.latency.parse = took,
            Step::Policy => self.latency.policy = took,
        }
    }

    fn end(&mut self) {
        self.latency.total = self.started.elapsed();
    }

    fn latency(&self) -> Latency {
        self.latency
    }
}
