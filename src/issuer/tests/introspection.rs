//! Opaque tokens, against a real endpoint on a loopback port.

use std::pin::Pin;
use std::task::Poll;

use futures_util::future::join_all;
use url::Url;

use super::super::breaker::OPENS_AFTER;
use super::super::endpoint::{Asked, Door, IntrospectionServer, Reply};
use super::super::introspection::{MAX_ANSWER, MAX_NEGATIVE};
use super::*;
use crate::context::UnixTime;
use crate::decision::denial::Unavailable;
use crate::json::JsonError;
use crate::metrics::{Introspections, Metrics};
use crate::token::{AnswerError, TokenError};

const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);

/// The members of an answer about an active token, without braces.
const CLAIMS: &str = r#""active":true,"iss":"https://id.example.com","aud":"https://mcp.example.com/weather","sub":"ann",
    "client_id":"desk-app","scope":"weather:read","iat":1799999990,"exp":1800003600,"token_type":"Bearer""#;

const INACTIVE: &str = r#"{"active":false}"#;

fn active() -> Reply {
    Reply::Json(format!("{{{CLAIMS}}}"))
}

/// The same with other text in place of some.
fn active_but(old: &str, new: &str) -> Reply {
    assert!(CLAIMS.contains(old), "{old}");
    Reply::Json(format!("{{{}}}", CLAIMS.replace(old, new)))
}

/// The same with white space, so many bytes long.
fn padded(size: usize) -> Reply {
    Reply::Json(format!("{{{CLAIMS}}}{}", " ".repeat(size - CLAIMS.len() - 2)))
}

fn inactive() -> Reply {
    Reply::Json(INACTIVE.to_owned())
}

fn counters() -> Introspections {
    Metrics::new("test").introspections("corp")
}

fn secret() -> Credential {
    Credential::secret("s3cret\n").unwrap()
}

fn endpoint(server: &IntrospectionServer) -> Endpoint {
    Endpoint {
        url: Url::parse(&format!("{}/introspect?tenant=one", server.base)).unwrap(),
        client: "toolgate".to_owned(),
        timeout: 20 * SECOND,
        concurrency: 8,
        cache: 30 * SECOND,
    }
}

fn introspector(endpoint: Endpoint) -> Introspector {
    Introspector::new(rules(), endpoint, secret(), true, counters()).unwrap()
}

/// What comes of a token, without the principal.
async fn ask(introspector: &Introspector, token: &str) -> Result<(), IntrospectionError> {
    ask_at(introspector, token, NOW).await
}

async fn ask_at(introspector: &Introspector, token: &str, now: UnixTime) -> Result<(), IntrospectionError> {
    introspector.ask(introspector.key(token), token, now, None).await.map(|_| ())
}

fn unavailable(why: Unavailable) -> Result<(), IntrospectionError> {
    Err(IntrospectionError::Unavailable(why))
}

fn invalid(error: TokenError) -> Result<(), IntrospectionError> {
    Err(IntrospectionError::Token(error))
}

fn after(time: Duration) -> UnixTime {
    UnixTime::from_millis(NOW.millis() + i64::try_from(time.as_millis()).unwrap())
}

/// What is remembered of a token.
fn memory(introspector: &Introspector, token: &str, now: UnixTime) -> Option<Result<(), TokenError>> {
    introspector.remembered(&introspector.key(token), now).map(|said| said.map(|_| ()))
}

/// Polls once; whether there is something to wait for.
async fn begin<F: Future>(mut future: Pin<&mut F>) -> bool {
    std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
}

#[tokio::test]
async fn the_question_is_that_of_the_specification() {
    let server = IntrospectionServer::always(active());
    let introspector = introspector(endpoint(&server));
    let said = introspector.ask(introspector.key("a+b/c="), "a+b/c=", NOW, None).await.unwrap();
    assert_eq!((said.principal.subject(), said.principal.issuer_name()), (Some("ann"), "corp"));
    let asked = server.asked();
    let [asked] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(asked.line, "POST /introspect?tenant=one HTTP/1.1");
    let form = [("token", "a+b/c="), ("token_type_hint", "access_token")];
    assert_eq!(asked.form, form.map(|(name, value)| (name.to_owned(), value.to_owned())));
    for (name, expected) in [
        ("accept", Some("application/json")),
        ("content-type", Some("application/x-www-form-urlencoded")),
        ("authorization", Some("Basic dG9vbGdhdGU6czNjcmV0")),
        ("accept-encoding", None),
        ("referer", None),
    ] {
        assert_eq!(asked.header(name), expected, "{name}");
    }
}

type Expected = (Result<(), IntrospectionError>, Option<FetchError>);

/// For each row: what comes of a token after this reply, what `/status` says then, and that there was one question.
async fn table(rows: Vec<(&str, Reply, Expected)>) {
    for (name, reply, (expected, error)) in rows {
        let server = IntrospectionServer::always(reply);
        let introspector = introspector(endpoint(&server));
        assert_eq!(ask(&introspector, "token").await, expected, "{name}");
        assert_eq!(introspector.status().last_error, error, "{name}");
        assert_eq!(server.count(), 1, "{name}: no redirect is followed, and nothing is asked twice");
    }
}

/// A hostile or broken endpoint. Whatever says nothing of the token is our trouble, not the caller's.
#[tokio::test]
async fn what_says_nothing_of_a_token() {
    let json = |text: &str| Reply::Json(text.to_owned());
    let nothing = |error| (unavailable(Unavailable::Endpoint), Some(error));
    let read = |error| nothing(FetchError::Introspection(error));
    let syntax = || read(AnswerError::Json(JsonError::Syntax { at: 0 }));
    let twice = read(AnswerError::Json(JsonError::DuplicateKey { at: 16 }));
    table(vec![
        ("active as text", active_but("true", r#""true""#), read(AnswerError::Active)),
        ("active as a number", active_but("true", "1"), read(AnswerError::Active)),
        ("active as nothing", active_but("true", "null"), read(AnswerError::Active)),
        ("no active", active_but(r#""active":true,"#, ""), read(AnswerError::Active)),
        ("an error in a good answer", json(r#"{"error":"invalid_client"}"#), read(AnswerError::Active)),
        ("a list", json("[true]"), read(AnswerError::NotAnObject)),
        ("active twice", json(r#"{"active":false,"active":true}"#), twice),
        ("html as json", json("<html>"), syntax()),
        ("empty", json(""), read(AnswerError::Json(JsonError::Empty))),
    ])
    .await;
    let whole = format!("{{{CLAIMS}}}");
    let of = |head: &str, body: &str| Reply::http(&format!("{head}\r\ncontent-type: application/json"), body);
    let typed = |kind: &str, body: &str| Reply::http(&format!("200 OK\r\ncontent-type: {kind}"), body);
    let torn = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{}";
    let status = |code| nothing(FetchError::Status(code));
    table(vec![
        ("html", typed("text/html", "<html>"), nothing(FetchError::MediaType)),
        ("json as html", typed("text/html", &whole), nothing(FetchError::MediaType)),
        ("two types", of("200 OK\r\ncontent-type: text/html", &whole), nothing(FetchError::MediaType)),
        ("no type", Reply::http("200 OK", &whole), nothing(FetchError::MediaType)),
        ("signed", typed("application/token-introspection+jwt", "e30.e30.e30"), nothing(FetchError::MediaType)),
        ("compressed", of("200 OK\r\ncontent-encoding: gzip", "\u{1f}"), syntax()),
        ("201", of("201 Created", &whole), status(201)),
        ("400", of("400 Bad Request", INACTIVE), status(400)),
        ("401", of("401 Unauthorized", INACTIVE), status(401)),
        ("429", of("429 Too Many Requests", INACTIVE), status(429)),
        ("500", of("500 Oops", INACTIVE), status(500)),
        ("a redirect", of("307 Moved\r\nlocation: /elsewhere", ""), status(307)),
        ("a byte too long", padded(MAX_ANSWER + 1), nothing(FetchError::TooLong)),
        ("endless", Reply::Flood, nothing(FetchError::TooLong)),
        ("torn", Reply::Bytes(torn.into()), nothing(FetchError::Transport)),
        ("no http", Reply::Bytes(b"nonsense\r\n\r\n".to_vec()), nothing(FetchError::Transport)),
    ])
    .await;
}

#[tokio::test]
async fn what_is_said_of_a_token() {
    let good = || (Ok(()), None);
    let token = |error| (invalid(error), None);
    let missing = |name| token(TokenError::ClaimMissing(name));
    let charset = "200 OK\r\ncontent-type: Application/JSON;charset=utf-8";
    let (ours, theirs) = ("https://id.example.com", "https://evil.example");
    table(vec![
        ("active", active(), good()),
        ("a charset", Reply::http(charset, &format!("{{{CLAIMS}}}")), good()),
        ("the longest", padded(MAX_ANSWER), good()),
        ("no issuer", active_but(r#""iss":"https://id.example.com","#, ""), good()),
        ("another issuer", active_but(ours, theirs), token(TokenError::UnknownIssuer)),
        ("a slash more", active_but(ours, "https://id.example.com/"), token(TokenError::UnknownIssuer)),
        ("inactive", inactive(), token(TokenError::Inactive)),
        ("inactive, with claims", active_but("true", "false"), token(TokenError::Inactive)),
        ("DPoP without its key", active_but("Bearer", "dpop"), token(TokenError::Type)),
        ("another type", active_but("Bearer", "mac"), token(TokenError::Type)),
        ("a refresh token", active_but(r#""sub""#, r#""token_use":"refresh_token","sub""#), token(TokenError::Type)),
        ("expired, and active", active_but("1800003600", "1799999970"), token(TokenError::Expired)),
        ("no end", active_but(r#","exp":1800003600"#, ""), missing("exp")),
        ("no time of issue", active_but(r#""iat":1799999990,"#, ""), missing("iat")),
        ("no audience", active_but(r#""aud":"https://mcp.example.com/weather","#, ""), missing("aud")),
        ("no client", active_but(r#""client_id":"desk-app","#, ""), missing("client_id")),
    ])
    .await;
}

/// The audience is a matter of each request.
#[tokio::test]
async fn another_audience_is_a_fact_and_no_error() {
    let server = IntrospectionServer::always(active_but("mcp.example.com/weather", "mcp.example.com/bank"));
    let introspector = introspector(endpoint(&server));
    let said = introspector.ask(introspector.key("a"), "a", NOW, None).await.unwrap();
    assert_eq!(said.principal.check("https://mcp.example.com/weather", NOW), Err(TokenError::Audience));
}

#[tokio::test]
async fn a_slow_endpoint_is_given_up() {
    for reply in [Reply::Drip, Reply::Silence] {
        let server = IntrospectionServer::always(reply);
        let introspector = introspector(Endpoint { timeout: 150 * MILLI, ..endpoint(&server) });
        assert_eq!(ask(&introspector, "token").await, unavailable(Unavailable::Timeout));
        until(|| introspector.status().last_error == Some(FetchError::Timeout)).await;
    }
}

#[tokio::test]
async fn a_proxy_that_is_in_a_hurry_waits_no_longer_and_the_call_goes_on() {
    let door = Door::default();
    let server = IntrospectionServer::always(Reply::Behind(door.clone(), Box::new(active())));
    let introspector = introspector(endpoint(&server));
    let key = introspector.key("token");
    for patience in [Duration::ZERO, 50 * MILLI] {
        let said = introspector.ask(key, "token", NOW, Some(patience)).await.map(|_| ());
        assert_eq!(said, unavailable(Unavailable::Timeout));
    }
    door.open();
    until(|| memory(&introspector, "token", NOW) == Some(Ok(()))).await;
    assert_eq!((server.count(), introspector.status().last_error), (1, None));
}

#[tokio::test]
async fn a_closed_port_is_an_endpoint_that_is_not_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let server = IntrospectionServer::always(active());
    let introspector = introspector(Endpoint { url, ..endpoint(&server) });
    assert_eq!(ask(&introspector, "token").await, unavailable(Unavailable::Endpoint));
    assert_eq!(introspector.status().last_error, Some(FetchError::Connect));
}

#[tokio::test]
async fn an_address_that_must_not_be_called_is_no_endpoint() {
    let server = IntrospectionServer::always(active());
    for (url, loopback, expected) in [
        ("http://id.example.com/", true, FetchError::Url),
        ("http://127.0.0.1/", false, FetchError::Url),
        ("https://127.0.0.1/", false, FetchError::Address),
        ("https://169.254.169.254/", true, FetchError::Address),
        ("https://user@id.example.com/", true, FetchError::Url),
    ] {
        let endpoint = Endpoint { url: Url::parse(url).unwrap(), ..endpoint(&server) };
        let made = Introspector::new(rules(), endpoint, secret(), loopback, counters());
        assert_eq!(made.map(|_| ()).unwrap_err(), expected, "{url}");
    }
}

#[tokio::test]
async fn a_connection_is_kept() {
    let server = IntrospectionServer::always(active());
    let introspector = introspector(endpoint(&server));
    for token in ["a", "b", "c"] {
        assert_eq!(ask(&introspector, token).await, Ok(()));
    }
    assert_eq!((server.count(), server.connections()), (3, 1));
}

#[tokio::test]
async fn a_hundred_callers_ask_once() {
    let door = Door::default();
    let server = IntrospectionServer::always(Reply::Behind(door.clone(), Box::new(active())));
    let introspector = introspector(endpoint(&server));
    let mut all = std::pin::pin!(join_all((0..100).map(|_| ask(&introspector, "token"))));
    assert!(begin(all.as_mut()).await);
    until(|| server.count() == 1).await;
    door.open();
    assert_eq!(all.await, vec![Ok(()); 100]);
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn who_comes_first_may_go_first() {
    let door = Door::default();
    let server = IntrospectionServer::always(Reply::Behind(door.clone(), Box::new(active())));
    let introspector = introspector(endpoint(&server));
    let mut second = std::pin::pin!(ask(&introspector, "token"));
    {
        let mut first = std::pin::pin!(ask(&introspector, "token"));
        assert!(begin(first.as_mut()).await && begin(second.as_mut()).await);
        until(|| server.count() == 1).await;
    }
    door.open();
    assert_eq!(second.await, Ok(()));
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_is_not_lost() {
    let door = Door::default();
    let server = IntrospectionServer::always(Reply::Behind(door.clone(), Box::new(inactive())));
    let introspector = introspector(endpoint(&server));
    {
        let mut only = std::pin::pin!(ask(&introspector, "token"));
        assert!(begin(only.as_mut()).await);
    }
    door.open();
    until(|| memory(&introspector, "token", NOW).is_some()).await;
    assert_eq!(ask(&introspector, "token").await, invalid(TokenError::Inactive));
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn answers_are_remembered_for_a_while() {
    let soon = active_but("1800003600", "1800000010");
    let late = active_but("1800003600", "1799999990");
    let (half_minute, two) = (30 * SECOND, 2 * SECOND);
    for (name, reply, cache, expected, lasts) in [
        ("active", active(), half_minute, Ok(()), half_minute),
        ("active, and soon no more", soon, half_minute, Ok(()), 10 * SECOND),
        ("active, for clocks that differ", late, half_minute, Ok(()), Duration::ZERO),
        ("active, and nothing is kept", active(), Duration::ZERO, Ok(()), Duration::ZERO),
        ("inactive", inactive(), half_minute, Err(TokenError::Inactive), MAX_NEGATIVE),
        ("inactive, where little is kept", inactive(), two, Err(TokenError::Inactive), two),
        ("inactive, and nothing is kept", inactive(), Duration::ZERO, Err(TokenError::Inactive), Duration::ZERO),
        ("another type", active_but("Bearer", "mac"), half_minute, Err(TokenError::Type), MAX_NEGATIVE),
    ] {
        let server = IntrospectionServer::always(reply);
        let introspector = introspector(Endpoint { cache, ..endpoint(&server) });
        let said = expected.clone().map_err(IntrospectionError::Token);
        assert_eq!(ask(&introspector, "token").await, said, "{name}");
        if let Some(last) = lasts.checked_sub(MILLI) {
            assert_eq!(memory(&introspector, "token", after(last)), Some(expected), "{name}");
            assert_eq!(ask_at(&introspector, "token", after(last)).await, said, "{name}");
        }
        assert_eq!((memory(&introspector, "token", after(lasts)), server.count()), (None, 1), "{name}");
        drop(ask_at(&introspector, "token", after(lasts)).await);
        assert_eq!(server.count(), 2, "{name}");
    }
}

#[tokio::test]
async fn a_new_answer_takes_the_place_of_the_old_one() {
    let server = IntrospectionServer::always(active());
    let introspector = introspector(endpoint(&server));
    assert_eq!(ask(&introspector, "token").await, Ok(()));
    server.turn(inactive());
    let later = after(30 * SECOND);
    assert_eq!(ask_at(&introspector, "token", later).await, invalid(TokenError::Inactive));
    assert_eq!(
        memory(&introspector, "token", NOW),
        Some(Err(TokenError::Inactive)),
        "even to a clock that is set back"
    );
    server.turn(active());
    let latest = after(30 * SECOND + MAX_NEGATIVE);
    assert_eq!(ask_at(&introspector, "token", latest).await, Ok(()));
    assert_eq!(memory(&introspector, "token", latest), Some(Ok(())));
}

#[tokio::test]
async fn what_is_unavailable_is_asked_again() {
    let server = IntrospectionServer::always(Reply::http("500 Oops", ""));
    let introspector = introspector(endpoint(&server));
    assert_eq!(ask(&introspector, "token").await, unavailable(Unavailable::Endpoint));
    assert_eq!(memory(&introspector, "token", NOW), None);
    server.turn(active());
    assert_eq!(ask(&introspector, "token").await, Ok(()));
}

#[tokio::test]
async fn beyond_the_cap_nobody_waits() {
    let door = Door::default();
    let server = IntrospectionServer::always(Reply::Behind(door.clone(), Box::new(active())));
    let introspector = introspector(Endpoint { concurrency: 2, ..endpoint(&server) });
    let mut two = std::pin::pin!(join_all(["a", "b"].map(|token| ask(&introspector, token))));
    assert!(begin(two.as_mut()).await);
    assert_eq!(ask(&introspector, "c").await, unavailable(Unavailable::Busy));
    let mut joined = std::pin::pin!(ask(&introspector, "a"));
    assert!(begin(joined.as_mut()).await, "who asks what is asked already takes no place");
    door.open();
    assert_eq!((two.await, joined.await), (vec![Ok(()), Ok(())], Ok(())));
    assert_eq!(ask(&introspector, "c").await, Ok(()));
    assert_eq!(server.count(), 3);
}

/// One that leaves an ill endpoint alone for so long.
fn pausing(server: &IntrospectionServer, pause: Duration) -> Introspector {
    Introspector::with_pause(rules(), endpoint(server), secret(), true, counters(), pause).unwrap()
}

/// Fails as often as it takes to open the circuit.
async fn opened(introspector: &Introspector) {
    for number in 0..OPENS_AFTER {
        assert!(introspector.ready() && !introspector.status().circuit_open);
        assert_eq!(ask(introspector, &number.to_string()).await, unavailable(Unavailable::Endpoint));
    }
    assert!(introspector.status().circuit_open);
}

#[tokio::test]
async fn an_ill_endpoint_is_left_alone() {
    let server = IntrospectionServer::always(Reply::http("500 Oops", ""));
    let introspector = pausing(&server, 3600 * SECOND);
    opened(&introspector).await;
    let failures = server.count();
    server.turn(active());
    assert_eq!(ask(&introspector, "token").await, unavailable(Unavailable::Circuit));
    assert_eq!((server.count(), introspector.ready()), (failures, false));
}

#[tokio::test]
async fn an_endpoint_that_recovers_is_found_out_by_one_call() {
    let server = IntrospectionServer::always(Reply::http("500 Oops", ""));
    let introspector = pausing(&server, 50 * MILLI);
    opened(&introspector).await;
    let failures = server.count();
    server.turn(active());
    until(|| introspector.ready()).await;
    assert!(introspector.status().circuit_open, "nobody has asked yet");
    assert_eq!(ask(&introspector, "token").await, Ok(()));
    assert_eq!((introspector.status().circuit_open, server.count()), (false, failures + 1));
    assert_eq!(introspector.status().last_error, Some(FetchError::Status(500)));
}

#[tokio::test]
async fn what_a_caller_could_bring_about_opens_nothing() {
    let refused = ["400 Bad Request", "403 Forbidden", "413 Content Too Large", "431 Too Large"];
    let refused = refused.map(|status| Reply::http(status, ""));
    for reply in refused.into_iter().chain([Reply::Json("{\"a\":1,\"a\":2}".to_owned()), Reply::Flood]) {
        let server = IntrospectionServer::always(reply);
        let introspector = introspector(endpoint(&server));
        for number in 0..2 * OPENS_AFTER {
            assert_eq!(ask(&introspector, &number.to_string()).await, unavailable(Unavailable::Endpoint));
        }
        assert!(!introspector.status().circuit_open);
    }
}

#[tokio::test]
async fn two_issuers_never_share_an_answer() {
    let (one, other) = (IntrospectionServer::always(active()), IntrospectionServer::always(inactive()));
    let corp = introspector(endpoint(&one));
    let partner = IssuerRules { name: "partner".to_owned(), ..rules() };
    let partner = Introspector::new(partner, endpoint(&other), secret(), true, counters()).unwrap();
    assert_eq!(ask(&corp, "token").await, Ok(()));
    assert_eq!(memory(&partner, "token", NOW), None);
    assert_eq!(ask(&partner, "token").await, invalid(TokenError::Inactive));
    assert_eq!(memory(&corp, "token", NOW), Some(Ok(())));
    assert_ne!(corp.key("token"), partner.key("token"));
    assert_eq!((one.count(), other.count()), (1, 1));
}

#[tokio::test]
async fn an_issuer_without_keys_is_ready_while_its_circuit_is_closed() {
    let server = IntrospectionServer::always(Reply::http("500 Oops", ""));
    let issuer = Issuer::without_keys(rules()).introspecting(pausing(&server, 3600 * SECOND));
    assert!(issuer.ready() && !issuer.has_keys() && issuer.keys().is_none());
    opened(issuer.introspector().unwrap()).await;
    assert!(!issuer.ready());
    let expected = r#"{"name":"corp","source":null,"ready":false,"keys":0,"skipped":0,"success_age":null,"failure_age":null,"error":null,"introspection":{"circuit_open":true,"last_error":"the server answered with status 500","last_error_age":0}}"#;
    let mut status = issuer.status();
    assert!(status.introspection.as_mut().unwrap().last_error_age.replace(0).is_some());
    assert_eq!(serde_json::to_string(&status).unwrap(), expected);
    let keyed = Issuer::with_keys(rules(), keys("a")).introspecting(pausing(&server, 3600 * SECOND));
    opened(keyed.introspector().unwrap()).await;
    assert!(keyed.ready(), "its keys still verify its JWTs");
}

#[tokio::test]
async fn every_outcome_is_counted() {
    let metrics = Metrics::new("test");
    let door = Door::default();
    let replies = [active(), inactive(), active_but("Bearer", "mac"), Reply::http("500 Oops", "")];
    let held = Reply::Behind(door.clone(), Box::new(active()));
    let reply = move |asked: &Asked| match asked.field("token").unwrap().parse::<usize>() {
        Ok(number) => replies[number].clone(),
        Err(_) => held.clone(),
    };
    let server = IntrospectionServer::start(reply);
    let endpoint = Endpoint { concurrency: 1, ..endpoint(&server) };
    let introspector = Introspector::new(rules(), endpoint, secret(), true, metrics.introspections("corp")).unwrap();
    for number in 0..4 {
        drop(ask(&introspector, &number.to_string()).await);
    }
    let mut held = std::pin::pin!(ask(&introspector, "held"));
    assert!(begin(held.as_mut()).await);
    assert_eq!(ask(&introspector, "another").await, unavailable(Unavailable::Busy));
    door.open();
    assert_eq!(held.await, Ok(()));
    for (outcome, count) in [("active", 2), ("inactive", 1), ("unacceptable", 1), ("failed", 1), ("skipped", 1)] {
        let line = format!("toolgate_introspections_total{{issuer=\"corp\",outcome=\"{outcome}\"}} {count}");
        assert!(metrics.encode().lines().any(|found| found == line), "no `{line}` in:\n{}", metrics.encode());
    }
}
