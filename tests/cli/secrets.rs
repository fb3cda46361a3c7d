//! A thousand secrets go in, and none comes out: not in the trail, the log, the figures or an answer.

use bytes::Bytes;
use prost::Message as _;
use serde_json::json;
use tonic::transport::Channel;
use toolgate::clock::Clock;
use toolgate::envoy::wire::CheckRequest;
use toolgate::envoy::wire::attribute_context::Entry;

use super::support::{Files, Serving, check, question};
use crate::server::Raw;

/// In each place where one can stand.
const EACH: usize = 100;

async fn answer(channel: &Channel, question: &CheckRequest) -> Bytes {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let message = Bytes::from(question.encode_to_vec());
    client.unary(tonic::Request::new(message), check(), Raw).await.unwrap().into_inner()
}

/// One that nobody guesses and no other text holds.
fn secret(number: usize) -> String {
    let mut bytes = [0; 12];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    let random: String = bytes.iter().map(|byte| char::from(b'a' + byte % 26)).collect();
    format!("zq{number}{random}")
}

fn header(mut question: CheckRequest, key: &str, value: String) -> CheckRequest {
    let http = question.attributes.as_mut().unwrap().request.as_mut().unwrap().http.as_mut().unwrap();
    http.headers.push(Entry { key: key.as_bytes().to_vec().into(), value: value.into() });
    question
}

fn body(mut question: CheckRequest, body: String) -> CheckRequest {
    let http = question.attributes.as_mut().unwrap().request.as_mut().unwrap().http.as_mut().unwrap();
    let length = http.headers.iter_mut().find(|header| header.key == "content-length").unwrap();
    length.value = body.len().to_string().into();
    http.raw_body = body.into();
    question
}

/// A valid token with one more claim, which no policy reads.
fn token(files: &Files, secret: &str) -> String {
    let now = Clock::System.now().seconds();
    let claims = json!({
        "iss": "https://id.example.com", "aud": "https://mcp.example.com/weather", "sub": "ada", "client_id": "agent",
        "scope": "weather:read", "iat": now, "exp": now + 3600, "jti": secret, "api_key": secret,
        "nested": {"list": [secret]},
    });
    files.key.token(&files.key.header(), &claims.to_string())
}

/// The question number `number` of each kind, and all the forms of the secret that must not be seen.
fn questions(files: &Files, number: usize) -> Vec<(CheckRequest, Vec<String>)> {
    let valid = files.token("ada", "weather:read");
    let plain = |token: &str| question(token, "get_forecast", &json!({"city": "Oslo"}));
    let make = |kind: usize| secret(number * 10 + kind);
    let mut asked = Vec::new();
    let mut add = |secret: String, others: Vec<String>, question| {
        asked.push((question, [vec![secret], others].concat()));
    };
    let opaque = make(0);
    add(opaque.clone(), vec![], plain(&opaque));
    let claim = make(1);
    let with_claim = token(files, &claim);
    let signature = with_claim.rsplit('.').next().unwrap().to_owned();
    add(claim, vec![with_claim.clone(), signature], plain(&with_claim));
    // Not signed by anybody: its claims are looked at by none.
    let forged = make(2);
    let text = token(files, &forged);
    let (unsigned, _) = text.rsplit_once('.').unwrap();
    add(forged, vec![unsigned.to_owned()], plain(&format!("{unsigned}.AAAA")));
    let cookie = make(3);
    add(cookie.clone(), vec![], header(plain(&valid), "cookie", format!("session={cookie}")));
    let key = make(4);
    add(key.clone(), vec![], header(plain(&valid), "x-api-key", key));
    let argument = make(5);
    add(argument.clone(), vec![], question(&valid, "get_forecast", &json!({"city": argument, "days": 3})));
    // Where another argument is read, or the same one is not of its type.
    let beside = make(8);
    let nested = json!({"city": beside, "days": 3, "note": {beside.as_str(): [beside]}});
    add(beside.clone(), vec![], question(&valid, "get_forecast", &nested));
    let unfit = make(9);
    add(unfit.clone(), vec![], question(&valid, "get_forecast", &json!({"city": unfit, "days": unfit})));
    let denied = make(6);
    add(denied.clone(), vec![], question(&valid, "delete_station", &json!({"station": denied})));
    let broken = make(7);
    add(broken.clone(), vec![], body(plain(&valid), format!("{{\"jsonrpc\":\"2.0\",\"password\":\"{broken}\"")));
    asked
}

#[tokio::test]
async fn a_thousand_secrets_stay_inside() {
    let files = Files::new();
    let serving = Serving::start(&files, "toolgate.yaml");
    let channel = serving.connect().await;
    let mut secrets = Vec::new();
    let mut seen: Vec<u8> = Vec::new();
    for number in 0..EACH {
        for (question, forms) in questions(&files, number) {
            secrets.extend(forms);
            seen.extend_from_slice(&answer(&channel, &question).await);
        }
    }
    assert!(secrets.len() >= 1_000);
    let audit = std::fs::read(files.path("audit/audit.jsonl")).unwrap();
    let log = std::fs::read(files.path("audit/log")).unwrap();
    let (metrics, status) = (serving.get("/metrics").1, serving.get("/status").1);
    // All of it was looked at: each has something that only it says.
    for (text, part) in [
        (&audit, "\"decision\":\"allow\""),
        (&audit, "message_malformed"),
        (&audit, "\"values\":{\"context.arguments.days\":3}"),
        (&audit, "\"values\":{\"context.arguments.days\":{\"unfit\":true}}"),
        (&metrics.clone().into_bytes(), "toolgate_decisions_total"),
        (&status.clone().into_bytes(), "generation"),
        (&seen, "policy_denied"),
    ] {
        assert!(String::from_utf8_lossy(text).contains(part), "no `{part}`");
    }
    let all = [audit, log, metrics.into_bytes(), status.into_bytes(), seen].concat();
    let all = String::from_utf8_lossy(&all);
    let out: Vec<&String> = secrets.iter().filter(|secret| all.contains(secret.as_str())).collect();
    assert!(out.is_empty(), "{} came out, the first is {}", out.len(), out[0]);
}
