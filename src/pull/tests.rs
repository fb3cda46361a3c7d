//! The client against a fake server: one that answers each request, in turn, with bytes of a test's choice.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::*;
use crate::json::JsonError;
use crate::policy::catalog::CatalogError;

const BOUNDS: Bounds = Bounds {
    connect: Duration::from_secs(5),
    request: Duration::from_secs(20),
    answer: 10_000,
    total: 2_000,
    pages: 4,
};

/// A fake MCP server.
struct FakeServer {
    url: Url,
    /// The head and the body of each request, in turn.
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl FakeServer {
    /// Answers with each of `answers` in turn, and then with 500.
    fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("http://{}/mcp", listener.local_addr().unwrap())).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        thread::spawn(move || {
            let mut answers = answers.into_iter();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut head = String::new();
                while reader.read_line(&mut head).unwrap() > 2 {}
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
                reader.read_exact(&mut body).unwrap();
                log.lock().unwrap().push((head.to_ascii_lowercase(), String::from_utf8(body).unwrap()));
                let answer = answers.next().unwrap_or_else(|| status("500 Internal Server Error", ""));
                // That the client has gone is no failure of the server.
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { url, seen }
    }

    async fn pull(&self, era: Era, token: Option<&str>) -> Result<Pulled, PullError> {
        Pull { url: self.url.clone(), token: token.map(str::to_owned), era, bounds: BOUNDS }.run().await
    }

    fn seen(&self) -> Vec<(String, String)> {
        self.seen.lock().unwrap().clone()
    }
}

fn status(line: &str, headers: &str) -> String {
    format!("HTTP/1.1 {line}\r\nconnection: close\r\ncontent-length: 0\r\n{headers}\r\n")
}

fn ok(media_type: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: {media_type}\r\n{headers}\r\n{body}")
}

fn json_rpc(id: usize, result: &str) -> String {
    ok("application/json", "", &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))
}

fn page(id: usize, tool: &str, next: Option<&str>) -> String {
    let next = next.map(|next| format!(r#","nextCursor":"{next}""#)).unwrap_or_default();
    json_rpc(id, &format!(r#"{{"tools":[{{"name":"{tool}"}}]{next}}}"#))
}

/// The error of a modern pull that is answered so.
#[track_caller]
fn fails(answers: &[String], expected: &PullError) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = FakeServer::start(answers.to_vec());
    assert_eq!(runtime.block_on(server.pull(Era::Modern, None)).unwrap_err(), *expected, "{answers:?}");
}

#[tokio::test]
async fn pages_in_the_era_without_sessions() {
    let events = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n\
        data: {\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}\n\n\
        data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n\n\
        data: {\"jsonrpc\":\"2.0\",\"id\":2,\ndata: \"result\":{\"tools\":[{\"name\":\"a\"}],\"nextCursor\":\"\"}}\n\n";
    let server = FakeServer::start(vec![
        page(1, "b", Some("c\\u00e9")),
        ok("Text/Event-Stream; x=y", "", events),
        page(3, "c", None),
    ]);
    let pulled = server.pull(Era::Auto, Some("s3cret")).await.unwrap();
    assert_eq!((pulled.pages, pulled.protocol.as_str()), (3, "2026-07-28"));
    assert_eq!(pulled.catalog.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["b", "a", "c"]);
    let seen = server.seen();
    let cursors = ["", r#""cursor":"cé""#, r#""cursor":"""#];
    for ((head, body), cursor) in seen.iter().zip(cursors) {
        for line in [
            "post /mcp http/1.1",
            "mcp-protocol-version: 2026-07-28",
            "mcp-method: tools/list",
            "authorization: bearer s3cret",
            "accept: application/json, text/event-stream",
        ] {
            assert!(head.contains(line), "{line}: {head}");
        }
        assert!(body.contains(cursor) && body.contains("io.modelcontextprotocol/clientInfo"), "{cursor}: {body}");
        assert_eq!(body.contains("cursor"), !cursor.is_empty());
    }
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn a_session_of_the_handshake_era() {
    let hello = r#"{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{}}"#;
    let initialized =
        ok("application/json", "mcp-session-id: abc\r\n", &format!(r#"{{"jsonrpc":"2.0","id":0,"result":{hello}}}"#));
    let answers = vec![
        status("400 Bad Request", ""),
        initialized,
        status("202 Accepted", ""),
        page(1, "a", Some("x")),
        page(2, "b", None),
        status("405 Method Not Allowed", ""),
    ];
    let server = FakeServer::start(answers);
    let pulled = server.pull(Era::Auto, None).await.unwrap();
    assert_eq!((pulled.pages, pulled.protocol.as_str(), pulled.catalog.tools.len()), (2, "2025-06-18", 2));
    let seen = server.seen();
    assert_eq!(seen.len(), 6);
    assert!(seen[1].1.contains(r#""protocolVersion":"2025-11-25""#) && !seen[1].0.contains("mcp-protocol-version"));
    for (head, body) in &seen[2..] {
        assert!(head.contains("mcp-session-id: abc") && head.contains("mcp-protocol-version: 2025-06-18"), "{head}");
        assert!(!body.contains("_meta"), "{body}");
    }
    assert!(seen[2].1.contains("notifications/initialized") && seen[5].0.starts_with("delete /mcp"));
    assert!(seen.iter().all(|(head, _)| !head.contains("authorization")));
}

#[tokio::test]
async fn a_server_that_gives_no_session() {
    let hello = json_rpc(0, r#"{"protocolVersion":"2025-11-25"}"#);
    let server = FakeServer::start(vec![hello, status("202 Accepted", ""), page(1, "a", None)]);
    let pulled = server.pull(Era::Handshake, None).await.unwrap();
    assert_eq!((pulled.protocol.as_str(), server.seen().len()), ("2025-11-25", 3));
    for answer in ["{}", r#"{"protocolVersion":"2025-11-25\n"}"#, r#"{"protocolVersion":7}"#] {
        let server = FakeServer::start(vec![json_rpc(0, answer)]);
        assert!(matches!(server.pull(Era::Handshake, None).await, Err(PullError::Version(_))), "{answer}");
    }
    let hello = ok("application/json", "mcp-session-id: a b\r\n", "{}");
    assert_eq!(FakeServer::start(vec![hello]).pull(Era::Handshake, None).await.unwrap_err(), PullError::Session);
}

#[tokio::test]
async fn who_is_refused_is_not_asked_in_another_era() {
    let challenge = "www-authenticate: Bearer scope=\"a\"\r\nwww-authenticate: DPoP\r\n";
    let said = "Bearer scope=\"a\", DPoP";
    for (line, token, expected) in [
        ("401 Unauthorized", None, PullError::Unauthorized { sent: false, challenge: said.to_owned() }),
        ("401 Unauthorized", Some("x"), PullError::Unauthorized { sent: true, challenge: said.to_owned() }),
        ("403 Forbidden", Some("x"), PullError::Forbidden { challenge: said.to_owned() }),
        ("429 Too Many Requests", None, PullError::Status(429)),
        ("503 Service Unavailable", None, PullError::Status(503)),
    ] {
        let server = FakeServer::start(vec![status(line, challenge)]);
        assert_eq!(server.pull(Era::Auto, token).await.unwrap_err(), expected);
        assert_eq!(server.seen().len(), 1, "{line}");
    }
    let unauthorized = |sent| PullError::Unauthorized { sent, challenge: said.to_owned() }.to_string();
    assert_eq!(
        unauthorized(false),
        format!("the server wants a token: pass one with --token-file or TOOLGATE_TOKEN (401); it says: {said}")
    );
    assert_eq!(unauthorized(true), format!("the server does not accept the token (401); it says: {said}"));
}

#[test]
fn what_is_no_catalogue_is_an_error() {
    let rpc = |error: &str| ok("application/json", "", &format!(r#"{{"jsonrpc":"2.0","id":1,"error":{error}}}"#));
    let event = |data: &str| ok("text/event-stream", "", &format!("data: {data}\n\n"));
    for (answer, expected) in [
        (
            status("302 Found", "location: https://elsewhere.example/\r\n"),
            PullError::Redirect("https://elsewhere.example/".to_owned()),
        ),
        (status("404 Not Found", ""), PullError::Status(404)),
        (ok("text/html", "", "<p>"), PullError::MediaType),
        (status("200 OK", ""), PullError::MediaType),
        (ok("application/json", "", "{"), PullError::Json(broken())),
        (event("{"), PullError::Json(broken())),
        (ok("text/event-stream", "", ": nothing\n\n"), PullError::NoAnswer),
        (event(r#"{"id":2,"result":{"tools":[]}}"#), PullError::NoAnswer),
        (ok("application/json", "", "{}"), PullError::NoAnswer),
        (json_rpc(1, "{}"), PullError::NoTools),
        (json_rpc(1, r#"{"tools":{}}"#), PullError::NoTools),
        (
            rpc(r#"{"code":-32601,"message":"no\u001b[2J"}"#),
            PullError::Rpc { code: -32601, message: "no\\u{1b}[2J".to_owned() },
        ),
        (rpc("7"), PullError::Rpc { code: 0, message: String::new() }),
        (json_rpc(1, r#"{"tools":[{"title":"x"}]}"#), PullError::Catalog(CatalogError::Unnamed(1))),
        (
            json_rpc(1, r#"{"tools":[{"name":"a"},{"name":"a"}]}"#),
            PullError::Catalog(CatalogError::Doubled("a".to_owned())),
        ),
        ("nonsense\r\n\r\n".to_owned(), PullError::Transport),
    ] {
        fails(&[answer], &expected);
    }
    fails(&[page(1, "a", Some("x")), page(2, "a", None)], &PullError::Catalog(CatalogError::Doubled("a".to_owned())));
}

#[test]
fn bounds_hold_on_each_side() {
    let body = |length: usize| format!("{:length$}", r#"{"id":1,"result":{"tools":[]}}"#);
    fails(&[ok("application/json", "", &body(BOUNDS.answer + 1))], &PullError::TooLong(BOUNDS.answer));
    fails(&[ok("text/event-stream", "", &": x\n".repeat(BOUNDS.answer))], &PullError::TooLong(BOUNDS.answer));
    fails(
        &[json_rpc(1, &format!(r#"{{"tools":[{{"name":"{}"}}]}}"#, "x".repeat(BOUNDS.total)))],
        &PullError::TooLong(BOUNDS.total),
    );
    let pages = |count: usize| {
        (1..=count)
            .map(|at| page(at, &format!("t{at}"), (at < count).then_some(&*format!("c{at}"))))
            .collect::<Vec<_>>()
    };
    fails(&pages(BOUNDS.pages + 1), &PullError::Pages(BOUNDS.pages));
    fails(&[page(1, "a", Some("x")), page(2, "b", Some("x"))], &PullError::Cursor);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for answers in [pages(BOUNDS.pages), vec![ok("application/json", "", &body(BOUNDS.answer))]] {
        let pulled = runtime.block_on(FakeServer::start(answers.clone()).pull(Era::Modern, None));
        assert!(pulled.is_ok(), "{pulled:?}");
    }
}

#[tokio::test]
async fn a_token_goes_where_nobody_else_reads_it() {
    let pull = |url: &str, token: &str| Pull {
        url: Url::parse(url).unwrap(),
        token: Some(token.to_owned()),
        era: Era::Auto,
        bounds: BOUNDS,
    };
    for url in [
        "http://mcp.example.com/",
        "http://10.0.0.1/",
        "http://localhost.example.com/",
        "http://127.0.0.1.example.com/",
    ] {
        assert_eq!(pull(url, "x").run().await.unwrap_err(), PullError::TokenInTheOpen, "{url}");
    }
    for url in [
        "ftp://mcp.example.com/",
        "https://user@mcp.example.com/",
        "https://:x@mcp.example.com/",
        "file:///etc/passwd",
        "data:x",
    ] {
        assert_eq!(pull(url, "x").run().await.unwrap_err(), PullError::Url, "{url}");
    }
    for token in ["", "a b", "a\n", "é"] {
        assert_eq!(pull("https://mcp.example.com/", token).run().await.unwrap_err(), PullError::Token, "{token:?}");
    }
    // Nobody listens there: the address is tried.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(pull(&format!("http://{free}/"), "x").run().await.unwrap_err(), PullError::Connect);
}

#[tokio::test]
async fn a_server_that_says_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let bounds = Bounds { request: Duration::from_millis(100), ..BOUNDS };
    assert_eq!(Pull { url, token: None, era: Era::Auto, bounds }.run().await.unwrap_err(), PullError::Timeout);
}

/// What is wrong with `{`.
fn broken() -> JsonError {
    Document::parse(b"{", LIMITS).unwrap_err()
}
