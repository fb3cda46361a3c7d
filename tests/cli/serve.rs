//! `toolgate serve`: from its first line to its last answer, and what changes in between without a restart.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use prost::Message as _;
use rustix::process::Signal;
use serde_json::json;
use tokio::sync::{Notify, oneshot};
use tokio_stream::Stream;
use toolgate::clock::Clock;

use super::support::{
    FORECAST, Files, PATIENCE, Serving, ask, becomes, check, json as read, nonsense, question, reason, records,
    wait_for,
};
use crate::server::Raw;
use crate::support::provider::{Answer, Provider, keys};
use crate::support::tokens::{TestKey, key_set};

#[test]
fn one_line_says_what_listens_and_which_rules_hold() {
    let files = Files::new();
    let mut serving = Serving::start(&files, "toolgate.yaml");
    let digest = serving.status()["digest"].as_str().unwrap().to_owned();
    let expected = format!(", admin {}, generation 1, digest {}", serving.admin, digest.get(..12).unwrap());
    assert!(serving.ready.starts_with("toolgate ready: grpc 127.0.0.1:"), "{}", serving.ready);
    assert!(serving.ready.ends_with(&expected), "{} {expected}", serving.ready);
    for stop in [Signal::TERM, Signal::INT] {
        let mut serving = Serving::start(&Files::new(), "toolgate.yaml");
        serving.signal(stop);
        assert_eq!(serving.ended(), 0);
    }
    serving.signal(Signal::TERM);
    assert_eq!(serving.ended(), 0);
}

#[tokio::test]
async fn decisions_are_answered_counted_and_on_record() {
    let files = Files::new();
    let serving = Serving::start(&files, "toolgate.yaml");
    let channel = serving.connect().await;
    let token = files.token("ada", "weather:read");
    for (token, tool, arguments, expected) in [
        (&token, "get_forecast", json!({"city": "Oslo"}), "allow"),
        (&token, "get_forecast", json!({"city": "Oslo", "days": 9}), "policy_denied"),
        (&token, "delete_station", json!({"station": "north"}), "policy_denied"),
        (&files.token("ada", "other"), "get_forecast", json!({"city": "Oslo"}), "scope_insufficient"),
        (&nonsense(), "get_forecast", json!({"city": "Oslo"}), "token_invalid"),
    ] {
        assert_eq!(ask(&channel, &question(token, tool, &arguments)).await, expected, "{tool} {arguments}");
    }
    let records = records(&files.path("audit/audit.jsonl"));
    let reasons: Vec<_> = records.iter().map(|record| record["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["allow", "policy_denied", "policy_denied", "scope_insufficient", "token_invalid"]);
    assert_eq!(records[0]["policies"], json!(["forecast"]));
    assert_eq!(records[0]["principal"], "User::\"corp:ada\"");
    assert_eq!(records[2]["policies"], json!(["nothing-deleted"]));
    for (metric, expected) in [
        ("toolgate_decisions_total{reason=\"allow\",server=\"weather\",decision=\"allow\"}", 1.0),
        ("toolgate_decisions_total{reason=\"policy_denied\",server=\"weather\",decision=\"deny\"}", 2.0),
        ("toolgate_decisions_total{reason=\"token_invalid\",server=\"weather\",decision=\"deny\"}", 1.0),
        ("toolgate_decisions_total{reason=\"no_route\",server=\"\",decision=\"deny\"}", 0.0),
        ("toolgate_decision_duration_seconds_count{step=\"total\"}", 5.0),
        ("toolgate_decision_duration_seconds_count{step=\"policy\"}", 4.0),
        ("toolgate_token_cache_total{result=\"hit\"}", 2.0),
        ("toolgate_token_cache_total{result=\"miss\"}", 3.0),
        ("toolgate_reload_total{outcome=\"loaded\"}", 1.0),
        ("toolgate_reload_total{outcome=\"refused\"}", 0.0),
        ("toolgate_generation", 1.0),
        ("toolgate_audit_failures_total", 0.0),
        ("toolgate_panics_total", 0.0),
    ] {
        assert_eq!(serving.metric(metric), expected, "{metric}");
    }
}

#[test]
fn the_admin_port_tells_the_state() {
    let files = Files::new();
    let serving = Serving::start(&files, "toolgate.yaml");
    assert_eq!(serving.get("/healthz"), (200, "ok\n".to_owned()));
    let (code, body) = serving.get("/readyz");
    assert_eq!((code, body.contains("\"ready\":true")), (200, true), "{body}");
    assert_eq!(serving.get("/nowhere").0, 404);
    let status = serving.status();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["generation"], 1);
    assert_eq!(status["loaded"], json!({"policies": 2, "servers": 1, "tools": 2}));
    assert_eq!(status["issuers"], json!([{"name": "corp", "ready": true}]));
    assert_eq!(status.get("last_reload_failure"), None);
    assert!(status["audit"].is_array() && status["since"].is_string() && status["digest"].is_string(), "{status}");
    assert_eq!(serving.metric("toolgate_issuer_ready{issuer=\"corp\"}"), 1.0);
}

/// A provider that is down from the start takes no other with it, is named, and is taken back by itself.
#[tokio::test]
async fn one_dead_provider_is_told_and_harms_no_other() {
    let files = Files::new();
    let provider = Provider::start(Answer::Down);
    let key = TestKey::new("ES256", "partner");
    let partner = format!(
        "  - {{name: partner, issuer: \"https://partner.example.net\", jwks: {{url: \"{}\"}}, insecure_http: true}}\n",
        provider.url
    );
    let servers = format!("{partner}servers:\n");
    files.configure(&[("servers:\n", &servers), ("issuers: [corp]", "issuers: [corp, partner]")]);
    let serving = Serving::start(&files, "toolgate.yaml");
    let channel = serving.connect().await;
    let now = Clock::System.now().seconds();
    let claims = json!({
        "iss": "https://partner.example.net", "aud": "https://mcp.example.com/weather", "sub": "pat",
        "client_id": "agent", "scope": "weather:read", "iat": now, "exp": now + 3600, "jti": "1",
    });
    let call = |token: &str| question(token, "get_forecast", &json!({"city": "Oslo"}));
    let own = call(&files.token("ada", "weather:read"));
    let theirs = call(&key.token(&key.header(), &claims.to_string()));
    let state = |ready: bool, detail: bool| {
        let (code, body) = serving.get("/readyz");
        let issuers = serving.status()["issuers"].clone();
        let metric = serving.metric("toolgate_issuer_ready{issuer=\"partner\"}");
        (code, read(&body)["issuers"].clone()) == (200, issuers.clone())
            && issuers[0] == json!({"name": "corp", "ready": true})
            && (issuers[1]["name"].as_str(), issuers[1]["ready"].as_bool()) == (Some("partner"), Some(ready))
            && issuers[1]["detail"].is_string() == detail
            && metric == f64::from(u8::from(ready))
    };
    assert!(wait_for(|| state(false, true)), "{}", serving.status());
    assert_eq!(ask(&channel, &theirs).await, "keys_unavailable");
    assert_eq!(ask(&channel, &own).await, "allow");

    provider.turn(keys(key_set(&[&key])));
    becomes(&channel, &theirs, "allow").await;
    assert!(wait_for(|| state(true, true)), "{}", serving.status());
    provider.turn(Answer::Down);
    assert_eq!(ask(&channel, &theirs).await, "allow");
    assert_eq!(ask(&channel, &own).await, "allow");
}

/// A call whose body is still on its way when the order to stop comes is answered; nobody new is let in.
#[tokio::test]
async fn a_stop_answers_what_is_in_flight() {
    let files = Files::new();
    let mut serving = Serving::start(&files, "toolgate.yaml");
    let channel = serving.connect().await;
    let asked = question(&files.token("ada", "weather:read"), "get_forecast", &json!({"city": "Oslo"}));
    let (send, body) = oneshot::channel::<Bytes>();
    let begun = Arc::new(Notify::new());
    let call = tokio::spawn({
        let (channel, begun) = (channel.clone(), begun.clone());
        async move {
            let stream = Late { begun, body: Some(body) };
            let mut client = tonic::client::Grpc::new(channel);
            client.ready().await.unwrap();
            client.client_streaming(tonic::Request::new(stream), check(), Raw).await.unwrap().into_inner()
        }
    });
    tokio::time::timeout(PATIENCE, begun.notified()).await.unwrap();
    // Behind the first one on the same connection: when this is answered, that one has begun over there.
    assert_eq!(ask(&channel, &asked).await, "allow");

    serving.signal(Signal::TERM);
    assert!(wait_for(|| !serving.listens()), "it still listens");
    let (code, ready) = serving.get("/readyz");
    assert_eq!((code, ready.contains("\"draining\":true")), (503, true), "{ready}");
    assert!(!call.is_finished());

    send.send(Bytes::from(asked.encode_to_vec())).unwrap();
    let answer = tokio::time::timeout(PATIENCE, call).await.unwrap().unwrap();
    assert_eq!(reason(answer), "allow");
    assert_eq!(serving.ended(), 0);
    assert_eq!(records(&files.path("audit/audit.jsonl")).len(), 2);
}

#[test]
fn what_cannot_start_says_why_and_is_gone() {
    let files = Files::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (key, old) in [("grpc", "grpc: \"127.0.0.1:0\""), ("admin", "admin: \"127.0.0.1:0\"")] {
        files.configure(&[(old, &format!("{key}: \"{address}\""))]);
        let ran = files.run(&["serve"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
        assert!(ran.stderr.contains(&format!("cannot listen on `{address}`")), "{}", ran.stderr);
    }
    files.configure(&[]);
    let first = Serving::start(&files, "toolgate.yaml");
    let second = files.run(&["serve"]);
    assert_eq!((second.code, second.stdout.as_str()), (1, ""));
    assert!(second.stderr.contains("is being written by another process"), "{}", second.stderr);
    drop(first);
}

#[test]
fn a_bad_configuration_starts_nothing() {
    let files = Files::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    files.configure(&[("grpc: \"127.0.0.1:0\"", &format!("grpc: \"{address}\"")), ("name: corp", "nmae: corp")]);
    let ran = files.run(&["serve"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (3, ""));
    assert!(ran.stderr.contains("toolgate.yaml:6"), "{}", ran.stderr);
    assert!(std::net::TcpStream::connect(address).is_err());
    assert!(!files.path("audit/audit.jsonl").exists());
}

/// With the configuration named by a path of its folder and by one from elsewhere: events must be told in both.
#[tokio::test]
async fn a_changed_policy_holds_without_a_restart() {
    let files = Files::new();
    let absolute = files.path("toolgate.yaml");
    for config in ["toolgate.yaml", absolute.to_str().unwrap()] {
        files.write("policies/forecast.cedar", FORECAST);
        let serving = Serving::start(&files, config);
        let channel = serving.connect().await;
        let asked = question(&files.token("ada", "weather:read"), "get_forecast", &json!({"city": "Oslo", "days": 3}));
        assert_eq!(ask(&channel, &asked).await, "allow");

        files.write("policies/forecast.cedar", &FORECAST.replace("days > 7", "days > 2"));
        becomes(&channel, &asked, "policy_denied").await;
        assert_eq!(serving.status()["generation"], 2);
        // The rules hold before they are counted.
        assert!(wait_for(|| serving.metric("toolgate_reload_total{outcome=\"loaded\"}") == 2.0));
        assert_eq!(serving.metric("toolgate_generation"), 2.0);
        let digest = serving.status()["digest"].as_str().unwrap().to_owned();
        assert_eq!(serving.metric(&format!("toolgate_rules{{digest=\"{digest}\"}}")), 1.0);
        for record in records(&files.path("audit/audit.jsonl")).iter().rev().take(2) {
            assert_eq!((&record["generation"], &record["digest"]), (&json!(2), &json!(digest)), "{record}");
        }

        files.write("policies/forecast.cedar", FORECAST);
        becomes(&channel, &asked, "allow").await;
        assert_eq!(serving.status()["generation"], 3);
        let log = std::fs::read_to_string(files.path("audit/log")).unwrap();
        assert!(!log.contains("no file events"), "{log}");
    }
}

#[tokio::test]
async fn bad_policies_change_nothing_and_are_told() {
    let files = Files::new();
    let mut serving = Serving::start(&files, "toolgate.yaml");
    let channel = serving.connect().await;
    let asked = question(&files.token("ada", "weather:read"), "get_forecast", &json!({"city": "Oslo"}));
    let refused = "toolgate_reload_total{outcome=\"refused\"}";
    for (count, bad) in
        ["permit (principal", "", "permit (principal == Nobody::\"x\", action, resource);"].into_iter().enumerate()
    {
        files.write("policies/forecast.cedar", bad);
        let expected = count as f64 + 1.0;
        assert!(wait_for(|| serving.metric(refused) == expected), "{bad:?}: {}", serving.metric(refused));
        let status = serving.status();
        assert_eq!(status["generation"], 1, "{bad:?}");
        let failure = &status["last_reload_failure"];
        assert!(failure["message"].as_str().unwrap().contains("forecast.cedar"), "{failure}");
        assert!(failure["problems"].as_u64().unwrap() >= 1 && failure["age_seconds"].is_u64(), "{failure}");
        assert_eq!(serving.metric("toolgate_reload_failing"), 1.0);
        assert_eq!(serving.get("/readyz").0, 200, "ready for what holds");
        assert_eq!(ask(&channel, &asked).await, "allow", "{bad:?}");
    }
    // The same files are not tried again by themselves, but they are on request.
    serving.signal(Signal::HUP);
    assert!(wait_for(|| serving.metric(refused) == 4.0), "{}", serving.metric(refused));

    files.write("policies/forecast.cedar", FORECAST);
    assert!(wait_for(|| serving.status().get("last_reload_failure").is_none()));
    assert_eq!(ask(&channel, &asked).await, "allow");
    let attempts: Vec<_> = records(&files.path("audit/audit.jsonl"))
        .into_iter()
        .filter(|record| record["kind"] == "reload")
        .map(|record| record["outcome"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(attempts, ["refused", "refused", "refused", "refused", "unchanged"]);
    assert!(std::fs::read_to_string(files.path("audit/log")).unwrap().contains("policies/forecast.cedar"));
    serving.signal(Signal::TERM);
    assert_eq!(serving.ended(), 0);
}

/// What moved the audit file away sends SIGHUP, and the next record is in a file of the old name.
#[tokio::test]
async fn a_hangup_reopens_the_audit_file() {
    let files = Files::new();
    let serving = Serving::start(&files, "toolgate.yaml");
    let channel = serving.connect().await;
    let asked = question(&files.token("ada", "weather:read"), "get_forecast", &json!({"city": "Oslo"}));
    assert_eq!(ask(&channel, &asked).await, "allow");
    let (path, moved) = (files.path("audit/audit.jsonl"), files.path("audit/audit.jsonl.1"));
    std::fs::rename(&path, &moved).unwrap();
    serving.signal(Signal::HUP);
    assert!(wait_for(|| path.exists()), "not opened again");
    assert_eq!(ask(&channel, &asked).await, "allow");
    let of = |path: &std::path::Path, kind: &str| records(path).iter().filter(|record| record["kind"] == kind).count();
    assert_eq!((of(&moved, "decision"), of(&path, "decision")), (1, 1));
    assert!(wait_for(|| of(&path, "reload") == 1), "that somebody asked for other rules is on record too");
    assert!(records(&path).iter().any(|record| record["outcome"] == "unchanged"));
}

#[test]
fn records_on_standard_output_have_it_for_themselves() {
    let files = Files::new();
    files.configure(&[("  file: {path: audit/audit.jsonl}", "  stdout: {}")]);
    let mut child = files.command(&["serve"]);
    let mut child = child.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let first = std::io::BufRead::lines(stderr).next().unwrap().unwrap();
    assert!(first.starts_with("toolgate ready: "), "{first}");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b""[..]));
}

/// A request body that says when it is first asked for, and comes when it is told to.
struct Late {
    begun: Arc<Notify>,
    body: Option<oneshot::Receiver<Bytes>>,
}

impl Stream for Late {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.begun.notify_one();
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let received = ready!(Pin::new(body).poll(context));
        self.body = None;
        Poll::Ready(received.ok())
    }
}
