//! The program killed under load: whatever a caller was told is on record.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use prost::Message as _;
use rustix::process::Signal;
use serde_json::json;
use tonic::transport::Channel;
use toolgate::envoy::wire::{CheckRequest, CheckResponse};

use super::support::{Files, Serving, check, json as read, question, wait_for};
use crate::server::Raw;

/// Processes that are killed in `make test`, and in `make soak` unless `TOOLGATE_SOAK_KILLS` says how many.
const KILLS: usize = 50;
const SOAK_KILLS: usize = 1_000;

/// Who asks all the time.
const CALLERS: usize = 4;

/// The id of the decision that a caller was told; `None` once nobody answers.
async fn decision(channel: &Channel, question: &CheckRequest) -> Option<String> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.ok()?;
    let message = Bytes::from(question.encode_to_vec());
    let answer = client.unary(tonic::Request::new(message), check(), Raw).await.ok()?.into_inner();
    let fields = CheckResponse::decode(answer).unwrap().dynamic_metadata.unwrap().fields;
    let Some(prost_types::value::Kind::StringValue(id)) = fields["decision_id"].kind.clone() else { panic!("no id") };
    Some(id)
}

/// Kills `kills` processes one after another. No decision that was answered is missing.
async fn killed(kills: usize) {
    let files = Files::new();
    // Small, so that some are killed while a file is put aside.
    files.configure(&[("{path: audit/audit.jsonl}", "{path: audit/audit.jsonl, rotate: {size: 64KiB}}")]);
    let asked = Arc::new(question(&files.token("ada", "weather:read"), "get_forecast", &json!({"city": "Oslo"})));
    let mut told = HashSet::new();
    for round in 0..kills {
        let serving = Serving::start(&files, "toolgate.yaml");
        let channel = serving.connect().await;
        let answered = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (channel, asked, answered) = (channel.clone(), asked.clone(), answered.clone());
                tokio::spawn(async move {
                    let mut ids = Vec::new();
                    while let Some(id) = decision(&channel, &asked).await {
                        ids.push(id);
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    ids
                })
            })
            .collect();
        // Somewhere else in the stream each time.
        let enough = 1 + round * 3 % 97;
        while answered.load(Ordering::Relaxed) < enough {
            tokio::task::yield_now().await;
        }
        serving.signal(Signal::KILL);
        for caller in callers {
            told.extend(caller.await.unwrap());
        }
    }
    // One more start mends what the last kill left.
    let mut serving = Serving::start(&files, "toolgate.yaml");
    let channel = serving.connect().await;
    told.insert(decision(&channel, &asked).await.unwrap());
    serving.signal(Signal::TERM);
    assert_eq!(serving.ended(), 0);

    let mut names: Vec<String> = std::fs::read_dir(files.path("audit"))
        .unwrap()
        .map(|entry| format!("audit/{}", entry.unwrap().file_name().to_str().unwrap()))
        .filter(|name| name.starts_with("audit/audit.jsonl."))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no file was put aside");
    names.push("audit/audit.jsonl".to_owned());
    let paths: Vec<PathBuf> = names.iter().map(|name| files.path(name)).collect();
    let mut recorded = HashSet::new();
    let mut torn = 0;
    for line in
        paths.iter().flat_map(|path| std::fs::read_to_string(path).unwrap().lines().map(read).collect::<Vec<_>>())
    {
        recorded.extend(line["decision_id"].as_str().map(str::to_owned));
        torn += usize::from(line.get("torn").is_some());
    }
    let missing: Vec<_> = told.difference(&recorded).collect();
    assert!(missing.is_empty(), "{} of {} are missing: {missing:?}", missing.len(), told.len());
    assert!(told.len() > kills * 10 && torn <= kills, "{} told, {torn} torn", told.len());
    let arguments = [&["audit", "verify"][..], &names.iter().map(String::as_str).collect::<Vec<_>>()].concat();
    let verified = files.run(&arguments);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    println!("{kills} kills, {} answers, {torn} torn tails, {} files", told.len(), names.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_decision_that_was_answered_is_missing() {
    killed(KILLS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "some minutes; `make soak` runs it"]
async fn soak_of_kills() {
    killed(std::env::var("TOOLGATE_SOAK_KILLS").map_or(SOAK_KILLS, |count| count.parse().unwrap())).await;
}

/// With nothing but the name left to it, the process goes on in a new file, and says so.
#[tokio::test]
async fn a_file_deleted_under_its_feet_is_followed_by_another() {
    let files = Files::new();
    let serving = Serving::start(&files, "toolgate.yaml");
    let channel = serving.connect().await;
    let asked = question(&files.token("ada", "weather:read"), "get_forecast", &json!({"city": "Oslo"}));
    let path = files.path("audit/audit.jsonl");
    decision(&channel, &asked).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let told = decision(&channel, &asked).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"cause\":\"deleted\"") && text.contains(&told), "{text}");
    // A file that is moved is found without a signal.
    std::fs::rename(&path, files.path("audit/moved.jsonl")).unwrap();
    assert!(wait_for(|| path.exists()), "nobody looks");
    let told = decision(&channel, &asked).await.unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().contains(&told));
}
