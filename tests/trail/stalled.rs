//! An output that nobody reads for a while, and callers that give up meanwhile, as Envoy does.

use std::io::Read as _;
use std::process::ChildStdout;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::callers::{Callers, Load};
use super::{RECOVERY, Trail, recoveries, soak, until, verifies};
use crate::cli::support::{Files, Serving, question};

/// As Envoy by default.
const ENVOYS_PATIENCE: Duration = Duration::from_millis(200);

/// More than the queue of records, and all calls that wait, take; in KiB.
const MEMORY: u64 = 64 * 1024;

/// Reads the records that come, when it is told to.
struct Reader {
    reads: Arc<(Mutex<bool>, Condvar)>,
    text: JoinHandle<Vec<u8>>,
}

impl Reader {
    fn start(mut from: ChildStdout) -> Self {
        let reads = Arc::new((Mutex::new(true), Condvar::new()));
        let told = reads.clone();
        let text = std::thread::spawn(move || {
            let (mut text, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
            loop {
                drop(told.1.wait_while(told.0.lock().unwrap(), |reads| !*reads).unwrap());
                match from.read(&mut buffer).unwrap() {
                    0 => return text,
                    read => text.extend_from_slice(&buffer[..read]),
                }
            }
        });
        Self { reads, text }
    }

    fn set(&self, reads: bool) {
        *self.reads.0.lock().unwrap() = reads;
        self.reads.1.notify_all();
    }
}

/// So many stalls of `stall`, each followed by half as long a time without one.
async fn stalled(stalls: u32, stall: Duration, callers: usize, per_second: u32) {
    let files = Files::new();
    files.configure(&[("  file: {path: audit/audit.jsonl}", "  stdout: {}")]);
    let (mut serving, stdout) = Serving::start_piped(&files, "toolgate.yaml");
    let reader = Reader::start(stdout);
    let asked = question(&files.token("ada", "weather:read"), "get_forecast", &json!({"city": "Oslo"}));
    let load = Load { per_second, patience: Some(ENVOYS_PATIENCE), ids: true };
    let callers = Callers::start(callers, &serving.grpc, &[asked], load);
    tokio::time::sleep(stall / 2).await;
    let before = serving.resident();
    let mut most = before;
    let mut resumed = Vec::new();
    for _ in 0..stalls {
        reader.set(false);
        tokio::time::sleep(stall).await;
        most = most.max(serving.resident());
        let allowed = callers.seen.allowed();
        resumed.push(Instant::now());
        reader.set(true);
        until(|| callers.seen.allowed() > allowed, "it never allows again").await;
        tokio::time::sleep(stall / 2).await;
    }
    let told = callers.end().await;
    serving.signal(Signal::TERM);
    assert_eq!(serving.ended(), 0);

    let path = files.path("audit/stdout.jsonl");
    std::fs::write(&path, reader.text.join().unwrap()).unwrap();
    let trail = Trail::read(std::slice::from_ref(&path));
    let recovered = recoveries(&told, &resumed);
    println!(
        "{stalls} stalls of {stall:?}: {} calls, {} allowed, {} given up, {} denied; allowed again within {recovered:?}; \
         memory grew by {} KiB; {} records did not fit",
        told.asked,
        told.allowed.len(),
        told.given_up,
        told.answers.get("audit_unavailable").unwrap_or(&0),
        most - before,
        trail.lost,
    );
    told.is_complete();
    assert!(
        told.answers.keys().all(|reason| ["allow", "audit_unavailable"].contains(&reason.as_str())),
        "{:?}",
        told.answers
    );
    assert!(told.given_up > 0, "nobody had to wait");
    trail.holds(&told);
    assert!(recovered < RECOVERY, "{recovered:?}");
    assert!(most - before < MEMORY, "{most} KiB after {before}");
    verifies(&files, &[path]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_output_that_nobody_reads_allows_nothing_until_somebody_does() {
    stalled(1, Duration::from_millis(500), 1, 500).await;
}

/// A long stall denies at once when the queue is full, a short one has everybody give up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a minute; `make soak` runs it"]
async fn soak_of_an_output_that_stalls() {
    for stall in [Duration::from_secs(1), Duration::from_secs(4)] {
        let stalls = (soak() / 3).as_secs_f64() / stall.as_secs_f64();
        stalled((stalls as u32).max(1), stall, 2, 1_000).await;
    }
}
