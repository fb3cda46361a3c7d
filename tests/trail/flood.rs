//! Ten thousand in a second without a valid token.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use toolgate::envoy::wire::CheckRequest;

use super::callers::{Callers, Load};
use super::{Trail, soak, verifies};
use crate::cli::support::{Files, Serving, nonsense, question};

/// Connections, and what comes on each in a second.
const CONNECTIONS: usize = 4;
const PER_SECOND: u32 = 2_500;

/// Callers that are known, and how often each asks.
const KNOWN: usize = 3;
const KNOWN_PER_SECOND: u32 = 100;

/// Before the flood.
const QUIET: Duration = Duration::from_secs(5);

/// What is recorded one by one in each second (`unauthenticated_rate`), and how often the rest is summed up.
const RATE: u64 = 100;
const TICKS: u64 = 4;

/// More than any line of an unknown caller here.
const LINE: u64 = 1024;

/// The priority of the flood: on Linux that of one thread (setpriority(2)).
const BEHIND: i32 = 10;

/// Without a token, with what is none, and with one of somebody else's key.
fn unknown(files: &Files) -> [CheckRequest; 3] {
    let plain = |token: &str| question(token, "get_forecast", &json!({"city": "Oslo"}));
    let mut bare = plain("");
    let request = bare.attributes.as_mut().unwrap().request.as_mut().unwrap();
    request.http.as_mut().unwrap().headers.retain(|entry| entry.key != "authorization");
    let stranger = Files::new().token("ada", "weather:read");
    assert_ne!(stranger, files.token("ada", "weather:read"));
    [bare, plain(&nonsense()), plain(&stranger)]
}

/// Where the flood comes from. It stands for other machines, so it has a thread of its own, which comes after those of the
/// program and of the known callers: what is measured of these is not how they wait for it.
fn elsewhere() -> Runtime {
    let behind = || rustix::process::setpriority_process(None, BEHIND).unwrap();
    Builder::new_multi_thread().worker_threads(1).on_thread_start(behind).enable_all().build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a minute; `make soak` runs it"]
async fn soak_of_a_flood_of_unknown_callers() {
    let files = Files::new();
    let mut serving = Serving::start(&files, "toolgate.yaml");
    let asked = question(&files.token("ada", "weather:read"), "get_forecast", &json!({"city": "Oslo"}));
    let known = |load| Callers::start(KNOWN, &serving.grpc, std::slice::from_ref(&asked), load);

    let callers = known(Load::patient(KNOWN_PER_SECOND));
    tokio::time::sleep(QUIET).await;
    let quiet = callers.end().await;

    let before = serving.resident();
    let load = Load { per_second: PER_SECOND, patience: None, ids: false };
    let began = Instant::now();
    let elsewhere = elsewhere();
    let flood = {
        let _there = elsewhere.enter();
        Callers::start(CONNECTIONS, &serving.grpc, &unknown(&files), load)
    };
    let callers = known(Load::patient(KNOWN_PER_SECOND));
    tokio::time::sleep(soak()).await;
    let flood = flood.end().await;
    let took = began.elapsed();
    let loud = callers.end().await;
    elsewhere.shutdown_background();
    let grown = serving.resident().saturating_sub(before);
    serving.signal(Signal::TERM);
    assert_eq!(serving.ended(), 0);

    let path = files.path("audit/audit.jsonl");
    let trail = Trail::read(std::slice::from_ref(&path));
    verifies(&files, &[path]);
    println!(
        "{} calls without a valid token in {took:?}, {:.0} a second; {} of them recorded one by one and {} in sums, in {} KiB; \
         {} calls of known callers, all allowed, p99 {:?}, and {:?} before; memory grew by {grown} KiB",
        flood.asked,
        flood.asked as f64 / took.as_secs_f64(),
        trail.unknown.values().sum::<u64>(),
        trail.summed.values().sum::<u64>(),
        trail.unknown_bytes / 1024,
        loud.asked,
        loud.percentile(99),
        quiet.percentile(99),
    );
    flood.is_complete();
    assert_eq!(flood.answers.keys().collect::<Vec<_>>(), ["token_invalid", "token_missing"]);
    for (reason, answered) in &flood.answers {
        let of = |counts: &std::collections::BTreeMap<String, u64>| counts.get(reason).copied().unwrap_or(0);
        assert_eq!(of(&trail.unknown) + of(&trail.summed), *answered, "{reason}");
    }
    // A part of a second at each end.
    let seconds = took.as_secs() + 2;
    assert!(u64::try_from(trail.unknown_bytes).unwrap() <= seconds * (RATE + TICKS) * LINE, "{trail:?}");
    for told in [&quiet, &loud] {
        told.is_complete();
        assert!(told.denied.is_empty(), "{:?}", told.denied);
        trail.holds(told);
    }
    assert_eq!(trail.lost, 0);
}
