//! Files that are put aside, moved and deleted, a hundred times a minute.

use std::fs::File;
use std::io::Read as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::callers::{Callers, Load};
use super::{Trail, first_number, soak, trail_files, verifies};
use crate::cli::support::{Files, PATIENCE, Serving, question};

/// Between two interventions: a hundred in a minute.
const PERIOD: Duration = Duration::from_millis(600);

const CALLERS: usize = 3;

/// Moves the file away and says so, deletes it while it is open, and leaves it to grow, in turn, while everybody asks.
async fn rotated(duration: Duration, period: Duration, per_second: u32) {
    let files = Files::new();
    files.configure(&[("{path: audit/audit.jsonl}", "{path: audit/audit.jsonl, rotate: {size: 64KiB}}")]);
    let mut serving = Serving::start(&files, "toolgate.yaml");
    let path = files.path("audit/audit.jsonl");
    let asked = question(&files.token("ada", "weather:read"), "get_forecast", &json!({"city": "Oslo"}));
    let callers = Callers::start(CALLERS, &serving.grpc, &[asked], Load::patient(per_second));
    let mut deleted: Vec<File> = Vec::new();
    let (began, mut moved) = (Instant::now(), 0);
    while began.elapsed() < duration {
        // Something is in it that can be missed.
        let (before, deadline) = (callers.seen.allowed(), Instant::now() + PATIENCE);
        tokio::time::sleep(period).await;
        while !path.exists() || callers.seen.allowed() == before {
            assert!(Instant::now() < deadline, "no record goes anywhere");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let beside = files.path(&format!("audit/audit.jsonl.moved-{moved}"));
        // Whichever file has the name at this moment.
        if std::fs::rename(&path, &beside).is_err() {
            continue;
        }
        moved += 1;
        if moved % 2 == 1 {
            serving.signal(Signal::HUP);
        } else {
            // What is in it by now cannot be had any more, but for this.
            deleted.push(File::open(&beside).unwrap());
            std::fs::remove_file(&beside).unwrap();
        }
    }
    let took = began.elapsed();
    let told = callers.end().await;
    serving.signal(Signal::TERM);
    assert_eq!(serving.ended(), 0);

    let deletions = deleted.len();
    for (number, mut file) in deleted.into_iter().enumerate() {
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        let Some(first) = first_number(&text) else { continue };
        let next =
            trail_files(&path).into_iter().filter_map(|file| first_number(&std::fs::read_to_string(file).unwrap()));
        // The record that found the file gone was written again into the next one.
        let end = next.filter(|next| *next > first).min().unwrap();
        let kept = text.split_inclusive('\n').filter(|line| first_number(line).unwrap() < end);
        std::fs::write(files.path(&format!("audit/audit.jsonl.deleted-{number}")), kept.collect::<String>()).unwrap();
    }
    let trail_files = trail_files(&path);
    let trail = Trail::read(&trail_files);
    // Those that the program put aside have a number at the end of their names.
    let own = trail_files.iter().filter(|file| file.extension().unwrap().as_encoded_bytes().len() == 12).count();
    println!(
        "{took:?}: {own} files put aside, {} moved, {deletions} deleted; {} answers, p99 {:?}",
        moved - deletions,
        told.asked,
        told.percentile(99),
    );
    told.is_complete();
    assert!(told.denied.is_empty(), "{:?}", told.denied);
    trail.holds(&told);
    assert_eq!(trail.lost, 0);
    assert!(own > 0 && deletions > 0 && moved > deletions, "{trail_files:?}");
    verifies(&files, &trail_files);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_put_aside_moved_or_deleted_loses_no_record_of_an_answer() {
    rotated(Duration::from_millis(900), Duration::from_millis(150), 300).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a minute; `make soak` runs it"]
async fn soak_of_rotation() {
    rotated(soak(), PERIOD, 300).await;
}
