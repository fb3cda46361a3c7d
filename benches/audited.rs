//! What the audit trail costs: one server that records as it is released, and one that does all the rest and records nothing,
//! which no configuration can ask for.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};
use tonic::{Request, Response, Status};
use toolgate::audit::{AuditSettings, Verdict};
use toolgate::decision::{Around, Step, Use, approach, decide};
use toolgate::envoy::check::{Check, Gate};
use toolgate::envoy::request;
use toolgate::envoy::response::{About, build};
use toolgate::envoy::tokens::Presented;
use toolgate::envoy::wire::{Authorization, Incoming, RawAnswer, RawCheck};
use toolgate::metrics;
use toolgate::server::{Address, Bound, DRAIN_LIMIT};
use toolgate::token::ProofId;

use crate::desk::{MESSAGE_LIMIT, gate_with};

/// Serves on one worker thread, as `toolgate serve --workers 1`, until it is killed; with its records in `audit`.
pub(crate) fn serve(address: SocketAddr, config: &Path, audit: &Path) {
    let gate = Arc::new(gate_with(config, &AuditSettings::file(audit.to_owned())));
    let runtime = one_worker();
    runtime.block_on(listen(address, Check::new(gate, None)));
}

/// The same without records.
pub(crate) fn serve_unaudited(address: SocketAddr, config: &Path, audit: &Path) {
    let gate = gate_with(config, &AuditSettings::file(audit.to_owned()));
    let runtime = one_worker();
    runtime.block_on(listen(address, Unaudited { gate }));
}

pub(crate) fn one_worker() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

async fn listen(address: SocketAddr, service: impl Authorization) {
    let bound = Bound::bind(&Address::Tcp(address)).await.unwrap();
    toolgate::server::serve(vec![(bound, service)], std::future::pending(), || {}, DRAIN_LIMIT).await.unwrap();
}

struct Unaudited {
    gate: Gate,
}

#[tonic::async_trait]
impl Authorization for Unaudited {
    /// What `Gate::answer` does, with its clocks and counters, up to the record.
    async fn check(&self, request: Request<RawCheck>) -> Result<Response<RawAnswer>, Status> {
        let gate = &self.gate;
        let started = Instant::now();
        let now = gate.clock.now();
        let generation = gate.live.current();
        let id = gate.audit.next_id();
        let Incoming::Request(message) = request.into_inner().read(MESSAGE_LIMIT) else { panic!("no request") };
        let context = request::context(message, None);
        let admitted = approach(&generation.rules, &context).unwrap();
        let server = admitted.server;
        let presented =
            Presented { credential: &admitted.credential, server, generation: &generation, now, patience: None };
        let fingerprint = |token: &[u8]| gate.audit.fingerprint(token);
        let (_, known) = gate.tokens.caller(&presented, &fingerprint).await;
        gate.metrics.token_cache_hit();
        let known = known.unwrap();
        let credential = Some(&admitted.credential);
        let decision =
            decide(&generation.rules, server, &context, credential, &known.caller, now, &mut Laps { last: started });
        let about = About {
            server: Some(server),
            source: context.peer,
            headers: &context.headers,
            caller: Some(&known.caller),
            principal: Some(&known.principal),
            decision_id: &id,
            generation: generation.rules.generation,
            digest: &generation.rules.digest,
            disclosure: &generation.disclosure,
            now,
        };
        let response = build(&decision, &about).response;
        generation.counters(&server.name).unwrap().count(decision.reason().as_str(), Verdict::Allow);
        let took = started.elapsed();
        for step in [
            metrics::Step::Token,
            metrics::Step::Parse,
            metrics::Step::Policy,
            metrics::Step::Audit,
            metrics::Step::Total,
        ] {
            gate.metrics.observe(step, took);
        }
        Ok(Response::new(response))
    }
}

struct Laps {
    last: Instant,
}

impl Around for Laps {
    fn lap(&mut self, _: Step) {
        self.last = Instant::now();
    }

    fn first_use(&mut self, _: ProofId) -> Use {
        Use::First
    }
}
