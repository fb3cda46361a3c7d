//! Many reloads under load, in every way in which people and programs change files, bad sets among them: no request
//! fails, and each answer is what the rules say whose digest it carries.
//!
//! `make test` does 500 in this process, with short pauses; `make soak` does `TOOLGATE_SOAK` of them, 10,000 by default,
//! against the program as it is run.

mod oracle;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;
use prost_types::value::Kind;
use serde_json::json;
use tonic::transport::{Channel, Endpoint};
use toolgate::clock::Clock;
use toolgate::envoy::check::Check;
use toolgate::envoy::wire::CheckResponse;
use toolgate::reload::{Pace, watch};
use toolgate::server::{Address, Bound, DRAIN_LIMIT, serve};

use crate::cli::support::{Files, PATIENCE, Serving, check, question, reason, records, wait_for};
use crate::reload::Gated;
use crate::server::Raw;

use self::oracle::{CITIES, DAYS, Oracle};
use self::writer::{STYLES, Writer};

/// Changes in `make test`.
const CHANGES: usize = 500;

/// Every so many changes there is a bad set first.
const BAD_EVERY: usize = 10;

/// Who asks, each on a connection of its own, one question after another.
const CALLERS: usize = 3;

/// Between two questions of one: the audit file is not to fill the disk in an hour.
const PAUSE: Duration = Duration::from_millis(2);

/// Asked with one token: its hour is longer than that.
const WITH_ONE_TOKEN: usize = 10_000;

/// What is tested: where to ask, and whether the files as they are now were refused.
struct Target<'a> {
    address: String,
    failing: &'a dyn Fn() -> bool,
}

/// What came of it.
struct Report {
    /// How long each change took to be served, in order of length.
    served: Vec<Duration>,
    bad: usize,
    asked: u64,
}

#[test]
fn five_hundred_changes_under_load() {
    let pace = Pace {
        poll: Duration::from_millis(250),
        quiet: Duration::from_millis(20),
        at_most: Duration::from_millis(500),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let files = Files::new();
    let oracle = Oracle::new(&files);
    let mut writer = Writer::new(&files, &oracle, pace.quiet);
    let mut gated = Gated::over(&files, "toolgate.yaml");
    gated.gate.clock = Clock::System;
    let live = gated.gate.live.clone();
    let watch = watch(live.clone(), Some(files.path("audit/audit.jsonl")), pace).unwrap();
    let bound = runtime.block_on(Bound::bind(&Address::Tcp("127.0.0.1:0".parse().unwrap()))).unwrap();
    let address = bound.address().to_string();
    let services = vec![(bound, Check::new(Arc::new(gated.gate), None))];
    runtime.spawn(serve(services, std::future::pending(), || {}, DRAIN_LIMIT));

    let target = Target { address, failing: &|| live.failure().is_some() };
    let report = churn(&runtime, &target, &mut writer, &files, &oracle, CHANGES);
    drop(watch);
    conclude(&report, &files, CHANGES);
}

#[test]
#[ignore = "an hour; `make soak` runs it"]
fn soak_of_changes_under_load() {
    let changes = std::env::var("TOOLGATE_SOAK").map_or(10_000, |count| count.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let files = Files::new();
    let oracle = Oracle::new(&files);
    let mut writer = Writer::new(&files, &oracle, Pace::default().quiet);
    let serving = Serving::start(&files, "toolgate.yaml");
    let failing = || serving.status().get("last_reload_failure").is_some();
    let target = Target { address: serving.grpc.clone(), failing: &failing };
    let report = churn(&runtime, &target, &mut writer, &files, &oracle, changes);
    conclude(&report, &files, changes);
    let p99 = percentile(&report.served, 99);
    assert!(p99 < Duration::from_secs(1), "{p99:?}");
}

/// Makes `changes` good sets hold, one after another, with the bad ones among them, while everybody asks.
fn churn(
    runtime: &tokio::runtime::Runtime,
    target: &Target<'_>,
    writer: &mut Writer<'_>,
    files: &Files,
    oracle: &Arc<Oracle>,
    changes: usize,
) -> Report {
    let over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..CALLERS)
        .map(|number| {
            let endpoint = Endpoint::from_shared(format!("http://{}", target.address)).unwrap();
            let channel = runtime.block_on(async { tokio::time::timeout(PATIENCE, endpoint.connect()).await });
            let token = files.token_maker();
            runtime.spawn(caller(channel.unwrap().unwrap(), token, oracle.clone(), over.clone(), number))
        })
        .collect();
    let mut served = Vec::with_capacity(changes);
    let mut bad = 0;
    for change in 0..changes {
        if change % BAD_EVERY == BAD_EVERY - 1 {
            let mend = writer.spoil(bad);
            assert!(wait_for(|| (target.failing)()), "the bad set {bad} was not refused");
            mend.done(files);
            assert!(wait_for(|| !(target.failing)()), "the bad set {bad} is not forgotten");
            bad += 1;
        }
        // Some of one style in a row, so that it meets its own traces.
        let digest = writer.change(STYLES[change / 4 % STYLES.len()]);
        let written = Instant::now();
        let seen = oracle.wait_for(&digest);
        served.push(seen.saturating_duration_since(written));
    }
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        runtime.block_on(caller).unwrap();
    }
    served.sort();
    Report { served, bad, asked: oracle.verdict() }
}

/// Asks about every city and every number of days, again and again.
async fn caller(
    channel: Channel,
    token: impl Fn() -> String,
    oracle: Arc<Oracle>,
    over: Arc<AtomicBool>,
    number: usize,
) {
    let mut client = tonic::client::Grpc::new(channel);
    let mut newest = 0.0;
    let mut messages: Vec<Bytes> = Vec::new();
    for asked in number.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        if messages.is_empty() || asked % WITH_ONE_TOKEN == 0 {
            let token = token();
            let cases = (0..CITIES.len() * DAYS).map(oracle::case);
            let message = |(city, days): (&str, usize)| {
                let question = question(&token, "get_forecast", &json!({"city": city, "days": days}));
                Bytes::from(question.encode_to_vec())
            };
            messages = cases.map(message).collect();
        }
        let case = asked % messages.len();
        let answered = async {
            client.ready().await.map_err(|error| error.to_string())?;
            let request = tonic::Request::new(messages[case].clone());
            client.unary(request, check(), Raw).await.map_err(|error| error.to_string())
        };
        let answer: Result<Bytes, String> = tokio::time::timeout(PATIENCE, answered)
            .await
            .unwrap_or_else(|_| Err("no answer in time".to_owned()))
            .map(tonic::Response::into_inner);
        match answer {
            Ok(answer) => {
                let (generation, digest) = rules(&answer);
                oracle.judge(case, &reason(answer), &digest);
                oracle.check(generation >= newest, || format!("generation {generation} after {newest}"));
                newest = generation;
            }
            Err(error) => oracle.check(false, || error),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The number and the digest of the rules that made an answer.
fn rules(answer: &Bytes) -> (f64, String) {
    let fields = CheckResponse::decode(answer.clone()).unwrap().dynamic_metadata.unwrap().fields;
    let Some(Kind::NumberValue(generation)) = fields["generation"].kind else { panic!("{fields:?}") };
    let Some(Kind::StringValue(digest)) = &fields["digest"].kind else { panic!("{fields:?}") };
    (generation, digest.clone())
}

/// Each attempt is on record, and the figures are told.
fn conclude(report: &Report, files: &Files, changes: usize) {
    let attempts: Vec<_> = records(&files.path("audit/audit.jsonl"))
        .into_iter()
        .filter(|record| record["kind"] == "reload")
        .map(|record| record["outcome"].as_str().unwrap().to_owned())
        .collect();
    let count = |outcome: &str| attempts.iter().filter(|found| *found == outcome).count();
    // A writer that is held up for long shows what it only passes through.
    assert!(count("loaded") >= changes, "{} of {changes}", count("loaded"));
    assert!(count("refused") >= report.bad, "{} of {}", count("refused"), report.bad);
    println!(
        "{changes} changes, {} bad sets, {} answers; a change was served after p50 {:?}, p99 {:?}, at most {:?}",
        report.bad,
        report.asked,
        percentile(&report.served, 50),
        percentile(&report.served, 99),
        report.served.last().unwrap(),
    );
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}
