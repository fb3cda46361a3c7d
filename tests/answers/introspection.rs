//! Opaque tokens, which the issuer of `world/toolgate.yaml` is asked about on a loopback port.

use serde_json::{Value, json};
use tonic::Request;
use toolgate::decision::denial::Reason;
use toolgate::envoy::check::Check;
use toolgate::envoy::wire::{Authorization, RawCheck};

use super::expect::{Answer, Row, row};
use super::house;
use super::table::{allow, token_invalid, unavailable};
use crate::support::endpoint::{Asked, IntrospectionServer, Reply};
use crate::support::envoy::{Ask, legacy};
use crate::support::gate::{NOW, decoded};
use crate::support::people::{Who, ann};

/// Somebody whose token says nothing.
const EVE: Who = Who {
    principal: r#"User::"opaque:eve""#,
    issuer: "opaque",
    issuer_url: "https://opaque.example.org",
    subject: Some("eve"),
    client: "desk-app",
    scopes: Some("desk:read"),
};

/// The endpoint. What it answers is said by the token; JWTs it has never seen.
pub(super) fn endpoint() -> IntrospectionServer {
    IntrospectionServer::start(|asked: &Asked| {
        let claims = json!({
            "active": true, "sub": "eve", "client_id": "desk-app", "aud": "https://mcp.example.com/desk",
            "scope": "desk:read", "iat": NOW - 60, "exp": NOW + 60,
        });
        let with = |name: &str, value: Value| {
            let mut claims = claims.clone();
            claims[name] = value;
            Reply::Json(claims.to_string())
        };
        match asked.field("token").unwrap() {
            "good" => Reply::Json(claims.to_string()),
            "other-issuer" => with("iss", json!("https://id.example.com")),
            "other-audience" => with("aud", json!("https://mcp.example.com/weather")),
            "other-type" => with("token_type", json!("mac")),
            "expired" => with("exp", json!(NOW - 30)),
            "active-text" => with("active", json!("true")),
            "endless" => {
                let mut claims = claims.clone();
                claims.as_object_mut().unwrap().remove("exp");
                Reply::Json(claims.to_string())
            }
            "slow" => Reply::Silence,
            "sick" => Reply::http("500 Oops", ""),
            "html" => Reply::http("200 OK\r\ncontent-type: text/html", "<html>"),
            _ => Reply::Json(r#"{"active":false}"#.to_owned()),
        }
    })
}

/// After all rows: nobody showed the endpoint a JWT, and a good token was asked about once.
pub(super) fn check(endpoint: &IntrospectionServer) {
    let asked = endpoint.asked();
    let tokens: Vec<&str> = asked.iter().filter_map(|asked| asked.field("token")).collect();
    assert!(tokens.iter().all(|token| !token.starts_with("ey")), "{tokens:?}");
    assert_eq!(tokens.iter().filter(|token| **token == "good").count(), 1, "{tokens:?}");
}

fn ping(server: &'static str, token: &str) -> Ask {
    legacy(server, "ping", json!({})).add("authorization", format!("Bearer {token}"))
}

pub(super) fn rows() -> Vec<Row> {
    let pong = || allow(&["session"]).on("ping", "Server::\"desk\"").who(EVE);
    let bad = |name: &str, token: &str, detail: &str| row(name, ping("desk", token), token_invalid(detail));
    let ill = |name: &str, token: &str| {
        let detail = "the introspection endpoint gave no answer that can be used";
        row(name, ping("desk", token), unavailable(Reason::IntrospectionUnavailable).detail(detail))
    };
    let elsewhere: Answer = token_invalid("the token is meant for another resource").who(EVE);
    let theirs = ann().claim("iss", EVE.issuer_url).text();
    let signed = ann().claim("aud", "https://mcp.example.com/desk").text();
    let half = signed.rsplit_once('.').unwrap().0.to_owned();
    vec![
        row("active", ping("desk", "good"), pong()),
        row("active, and remembered", ping("desk", "good"), pong()),
        bad("inactive", "bad", "the issuer says that the token is not active"),
        bad("another issuer", "other-issuer", "the token's issuer is not known"),
        row("another audience", ping("desk", "other-audience"), elsewhere),
        bad("another type", "other-type", "the token's type is not accepted"),
        bad("expired, and active all the same", "expired", "the token has expired"),
        bad("without an end", "endless", "the token has no claim `exp`"),
        bad("longer than any token here", &"a".repeat(4097), "the token's `token` is too long"),
        ill("active as text", "active-text"),
        ill("a sick endpoint", "sick"),
        ill("html", "html"),
        bad(
            "a JWT of an issuer without keys",
            &theirs,
            "the token is a JWT, and its issuer has no keys to verify it with",
        ),
        row("a JWT of an issuer with keys", ping("desk", &signed), allow(&["session"]).on("ping", "Server::\"desk\"")),
        bad("half a JWT is opaque", &half.replacen("ey", "xx", 1), "the issuer says that the token is not active"),
        row("where no issuer is asked", ping("weather", "good"), token_invalid("the token is not a compact JWS")),
    ]
}

/// The proxy is answered before it gives up; the question, whose own time is not over, goes on.
#[tokio::test]
async fn the_timeout_of_the_proxy_counts() {
    let endpoint = endpoint();
    let house = house("audit.jsonl", &endpoint.base);
    let mut request = Request::new(RawCheck::new(ping("desk", "slow").encode()));
    request.metadata_mut().insert("grpc-timeout", "60m".parse().unwrap());
    let response = Check::new(house.gate.clone(), None).check(request).await.unwrap().into_inner();
    assert_eq!(decoded(&response).status.unwrap().message, "introspection_unavailable");
    let generation = house.gate.live.current();
    let introspector = generation.issuer("opaque").unwrap().issuer.introspector().unwrap();
    assert_eq!(introspector.status().last_error, None);
}
