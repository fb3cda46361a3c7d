//! CPU time of the steps of one decision, in one thread and without network: what `envoy/check.rs` does, step by step.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use rustix::time::{ClockId, clock_gettime};
use toolgate::audit::{Audit, DecisionId, Latency, Record, Verdict};
use toolgate::context::{Body, RequestContext, UnixTime};
use toolgate::decision::server::Server;
use toolgate::decision::{Admitted, Around, Decision, Step, Use, approach, decide};
use toolgate::envoy::check::Gate;
use toolgate::envoy::request;
use toolgate::envoy::response::{About, build};
use toolgate::envoy::tokens::{Known, Presented, Tokens};
use toolgate::envoy::wire::{CheckRequest, Incoming, RawCheck};
use toolgate::json::Document;
use toolgate::mcp;
use toolgate::policy::Question;
use toolgate::policy::query::RequestFacts;
use toolgate::policy::stepup::Published;
use toolgate::reload::generation::Generation;
use toolgate::token::{Credential, ProofId};

use crate::desk::{MESSAGE_LIMIT, gate, settled};

/// Samples of each step; their median counts.
pub(crate) const SAMPLES: usize = 15;

/// Microseconds of CPU that one sample takes at least.
const SAMPLE_MICROS: f64 = 20_000.0;

/// Inputs that are made at a time, outside of what is measured.
const BATCH: usize = 64;

/// One step and its microseconds.
type Row = (&'static str, f64);

/// Everything that a request passes, taken apart.
struct Bench {
    gate: Gate,
    generation: Arc<Generation>,
    bytes: Bytes,
    context: RequestContext,
    credential: Credential,
    known: Arc<Known>,
    now: UnixTime,
}

/// Prints an object of step and microseconds: the steps of `Gate::answer`, and itself.
pub(crate) fn measure(config: &Path, folder: &Path) {
    let bench = Bench::new(config, folder);
    let mut rows = [bench.reading(), bench.deciding(), bench.answering()].concat();
    let sum: f64 = rows.iter().map(|(_, micros)| micros).sum();
    let total =
        sample(|| RawCheck::new(bench.bytes.clone()), |message| settled(bench.gate.answer(message, None, None)));
    rows.push(("clock, snapshot, counters", (total - sum).max(0.0)));
    rows.push(("Gate::answer, all of the above", total));
    let rows: Vec<String> = rows.into_iter().map(|(step, micros)| format!("  \"{step}\": {micros:.2}")).collect();
    println!("{{\n{}\n}}", rows.join(",\n"));
}

impl Bench {
    fn new(config: &Path, folder: &Path) -> Self {
        let gate = gate(config, &folder.join("steps.jsonl"));
        let now = gate.clock.now();
        let generation = gate.live.current();
        let bytes = Bytes::from(crate::scene::message(folder));
        let context = request::context(read(bytes.clone()), None);
        let admitted = approach(&generation.rules, &context).unwrap();
        let known = caller(&gate.tokens, &generation, &admitted, &gate.audit, now);
        let credential = admitted.credential;
        Self { gate, generation, bytes, context, credential, known, now }
    }

    fn reading(&self) -> Vec<Row> {
        let Self { gate, generation, context, now, .. } = self;
        let admitted = approach(&generation.rules, context).unwrap();
        let token = || {
            gate.metrics.token_cache_hit();
            caller(&gate.tokens, generation, &admitted, &gate.audit, *now)
        };
        vec![
            ("protobuf read", sample(|| self.bytes.clone(), read)),
            ("RequestContext", sample(|| read(self.bytes.clone()), |request| request::context(request, None))),
            ("approach", sample(|| (), |()| approach(&generation.rules, context))),
            ("token cache look-up", sample(|| (), |()| token())),
        ]
    }

    fn deciding(&self) -> Vec<Row> {
        let Self { generation, context, known, now, .. } = self;
        let Body::Complete(body) = &context.body else { panic!("no body") };
        let (rules, server) = (&generation.rules, self.server());
        let document = Document::parse(body, rules.json_limits).unwrap();
        let message = mcp::parse(&document, &context.headers).unwrap();
        let facts = RequestFacts { now: *now, ip: context.peer, zone: &rules.zone, revision: message.revision() };
        let question = Question {
            subject: &known.caller.subject,
            hierarchy: &known.caller.hierarchy,
            server: &server.model,
            operation: message.operation(),
            facts: &facts,
            published: Published { scopes: &server.challengeable, repeat_held: server.challenge_held },
        };
        let ask = || {
            let mut targets = Vec::new();
            (rules.engine.evaluate(&question, &mut targets), targets)
        };
        vec![
            ("JSON parse", sample(|| (), |()| Document::parse(body, rules.json_limits))),
            ("MCP classify", sample(|| (), |()| mcp::parse(&document, &context.headers))),
            ("policies (context, entities, Cedar)", sample(|| (), |()| ask())),
        ]
    }

    fn answering(&self) -> Vec<Row> {
        let decision = self.decision();
        let id = self.gate.audit.next_id();
        let about = self.about(&id);
        let record = self.record(&decision, &about);
        vec![
            ("response build and encode", sample(|| (), |()| build(&decision, &about))),
            ("audit record", sample(|| (), |()| settled(self.gate.audit.record(&record, ())).is_ok())),
        ]
    }

    fn decision(&self) -> Decision {
        let Self { generation, context, credential, known, now, .. } = self;
        let decision =
            decide(&generation.rules, self.server(), context, Some(credential), &known.caller, *now, &mut Nothing);
        assert!(decision.verdict.is_ok(), "{decision:?}");
        decision
    }

    fn about<'a>(&'a self, id: &'a DecisionId) -> About<'a> {
        About {
            server: Some(self.server()),
            source: self.context.peer,
            disclosure: &self.generation.disclosure,
            headers: &self.context.headers,
            caller: Some(&self.known.caller),
            principal: Some(&self.known.principal),
            decision_id: id,
            generation: self.generation.rules.generation,
            digest: &self.generation.rules.digest,
            now: self.now,
        }
    }

    fn record<'a>(&'a self, decision: &'a Decision, about: &About<'a>) -> Record<'a> {
        let principal = &self.known.caller.principal;
        Record {
            time: self.now,
            decision_id: about.decision_id,
            generation: about.generation,
            digest: about.digest,
            decision: Verdict::Allow,
            reason: decision.reason().as_str(),
            detail: None,
            server: Some(&self.server().name),
            principal: about.principal,
            issuer: Some(principal.issuer_name()),
            client: Some(principal.client()),
            token: Some(&self.known.fingerprint),
            method: &self.context.method,
            actions: &["Action::\"desk:create_ticket\""],
            resources: &["Tool::\"desk:create_ticket\""],
            policies: &["file-a-ticket", "file-an-urgent-ticket"],
            errors: &[],
            shadow: None,
            values: &decision.values,
            disclosure: about.disclosure,
            status: None,
            source: about.source,
            request_id: &self.context.id,
            trace_id: Some(b"4bf92f3577b34da6a3ce929d0e0e4736"),
            latency: Latency::default(),
        }
    }

    fn server(&self) -> &Server {
        self.generation.rules.servers.first().unwrap()
    }
}

/// Nobody times a step within a step.
struct Nothing;

impl Around for Nothing {
    fn lap(&mut self, _: Step) {}

    fn first_use(&mut self, _: ProofId) -> Use {
        Use::First
    }
}

pub(crate) fn read(bytes: Bytes) -> CheckRequest {
    match RawCheck::new(bytes).read(MESSAGE_LIMIT) {
        Incoming::Request(request) => request,
        Incoming::Undecodable | Incoming::TooLarge => panic!("the message cannot be read"),
    }
}

/// The verified caller, who is in the cache from here on.
fn caller(
    tokens: &Tokens,
    generation: &Generation,
    admitted: &Admitted<'_>,
    audit: &Audit,
    now: UnixTime,
) -> Arc<Known> {
    let presented =
        Presented { credential: &admitted.credential, server: admitted.server, generation, now, patience: None };
    let fingerprint = |token: &[u8]| audit.fingerprint(token);
    let (_, known) = tokens.caller(&presented, &fingerprint).now_or_never().unwrap();
    known.unwrap()
}

/// Microseconds of CPU of one `run`, the median of [`SAMPLES`]. What `prepare` makes is not counted; what `run` returns
/// is, until it is dropped.
fn sample<T, R>(mut prepare: impl FnMut() -> T, mut run: impl FnMut(T) -> R) -> f64 {
    median((0..SAMPLES).map(|_| sample_once(&mut prepare, &mut run)))
}

/// One sample of it.
pub(crate) fn sample_once<T, R>(mut prepare: impl FnMut() -> T, mut run: impl FnMut(T) -> R) -> f64 {
    let (mut micros, mut runs) = (0.0, 0);
    while micros < SAMPLE_MICROS {
        let inputs: Vec<T> = (0..BATCH).map(|_| prepare()).collect();
        let began = cpu_micros();
        for input in inputs {
            drop(black_box(run(black_box(input))));
        }
        micros += cpu_micros() - began;
        runs += BATCH;
    }
    micros / runs as f64
}

/// The middle one, of the upper half if there are two.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap()
}

/// CPU time of this thread.
fn cpu_micros() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}
