//! How long a caller waits at a steady 5,000 decisions a second, over the network, with records that wait for the disk and
//! with ones that do not: what is due is asked whether or not answers came.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message as _;
use toolgate::audit::{AuditSettings, FileSettings, Mode, Rotation};
use toolgate::envoy::check::Check;
use toolgate::envoy::wire::CheckResponse;
use toolgate::server::{Address, Bound, DRAIN_LIMIT};

use crate::audited::one_worker;
use crate::desk::{Desk, gate_with, message};
use crate::frames::{Event, Wire};
use crate::scene;
use crate::waits::Waits;

const PER_SECOND: u32 = 5_000;

/// Pairs of a round of each mode; the first warms up.
const ROUNDS: usize = 6;

const ROUND: Duration = Duration::from_secs(4);

/// Calls that wait for their answers; the program takes 1,024 of a connection.
const CALLS: usize = 1_000;

/// Prints an object with the p50 and p99 of both modes in microseconds, medians over the rounds.
pub(crate) fn measure(folder: &Path) {
    let desk = Desk::new(folder);
    let key = desk.fastest();
    let asked = message(&key.token(&key.header(), &scene::claims("ada", "good")), scene::TOOL);
    let (serving, asking) = (one_worker(), one_worker());
    let modes = [("strict", Mode::Strict), ("durable", Mode::Durable)].map(|(name, mode)| {
        let path = folder.join(format!("{name}.jsonl"));
        let file = FileSettings { path: path.clone(), mode, rotation: Rotation::default() };
        let settings = AuditSettings { file: Some(file), ..AuditSettings::default() };
        let gate = Arc::new(gate_with(&folder.join("toolgate.yaml"), &settings));
        let bound = serving.block_on(Bound::bind(&Address::Tcp("127.0.0.1:0".parse().unwrap()))).unwrap();
        let address = bound.address().to_string();
        let services = vec![(bound, Check::new(gate, None))];
        serving.spawn(toolgate::server::serve(services, std::future::pending(), || {}, DRAIN_LIMIT));
        (name, path, address)
    });
    let mut rounds: [Vec<(Waits, f64)>; 2] = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for ((_, _, address), rounds) in modes.iter().zip(&mut rounds) {
            let waits = asking.block_on(ask(address, &asked));
            if round > 0 {
                rounds.push(waits);
            }
        }
    }
    let figures = modes.iter().zip(&rounds).map(|((name, path, _), rounds)| {
        std::fs::remove_file(path).unwrap();
        let median = |value: fn(&(Waits, f64)) -> f64| crate::steps::median(rounds.iter().map(value));
        format!(
            "\"{name}\": {{\"p50\": {:.0}, \"p99\": {:.0}, \"per_second\": {:.0}}}",
            median(|(waits, _)| waits.p50),
            median(|(waits, _)| waits.p99),
            median(|(_, per_second)| *per_second),
        )
    });
    println!("{{\"offered\": {PER_SECOND}, {}}}", figures.collect::<Vec<_>>().join(", "));
}

/// How long each took from when it was due, and how many were answered in a second.
async fn ask(address: &str, message: &[u8]) -> (Waits, f64) {
    let mut wire = Wire::open(address).await;
    let interval = Duration::from_secs(1) / PER_SECOND;
    let mut waiting = BTreeMap::new();
    let mut micros = Vec::new();
    let began = Instant::now();
    let mut due = began;
    while due < began + ROUND || !waiting.is_empty() {
        let now = Instant::now();
        while due <= now && due < began + ROUND && waiting.len() < CALLS {
            let Some(call) = wire.ask(message) else { break };
            waiting.insert(call, due);
            due += interval;
        }
        for event in wire.events(due.max(now + Duration::from_micros(100))).await.unwrap() {
            let Event::Answer(call, answer) = event else { continue };
            assert_eq!(CheckResponse::decode(answer).unwrap().status.unwrap_or_default().code, 0);
            micros.push(waiting.remove(&call).unwrap().elapsed().as_secs_f64() * 1e6);
        }
    }
    let per_second = micros.len() as f64 / began.elapsed().as_secs_f64();
    (Waits::of(micros), per_second)
}
