//! The client against a server of raw bytes on a loopback port.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use url::Url;

use super::super::source::Remote;
use super::*;
use crate::json::JsonError;
use crate::token::{KeySetError, MAX_KEY_SET};

/// What the server does with one request, by path.
type Answers = Arc<Mutex<Box<dyn FnMut(&str) -> Answer + Send>>>;

#[derive(Clone)]
enum Answer {
    /// These bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes, and no ear for what else comes on this connection until it ends.
    Deaf(Vec<u8>),
    /// The head, then a byte of the body now and then for as long as anyone listens.
    Drip(String),
    /// The head, then bytes without end.
    Flood(String),
    /// Nothing at all.
    Silence,
}

struct Server {
    base: String,
    answers: Answers,
    paths: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answer: impl FnMut(&str) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let answers: Answers = Arc::new(Mutex::new(Box::new(answer)));
        let paths = Arc::new(Mutex::new(Vec::new()));
        let (shared, seen) = (Arc::clone(&answers), Arc::clone(&paths));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, shared, seen) = (stream.unwrap(), Arc::clone(&shared), Arc::clone(&seen));
                thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                    let first = lines.next().unwrap_or_default();
                    lines.find(String::is_empty);
                    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
                    seen.lock().unwrap().push(path.clone());
                    let answer = (shared.lock().unwrap())(&path);
                    serve(&mut stream, answer)
                });
            }
        });
        Self { base, answers, paths }
    }

    fn always(answer: Answer) -> Self {
        Self::start(move |_| answer.clone())
    }

    fn turn(&self, answer: Answer) {
        *self.answers.lock().unwrap() = Box::new(move |_| answer.clone());
    }

    fn paths(&self) -> Vec<String> {
        self.paths.lock().unwrap().clone()
    }

    fn remote(&self) -> Remote {
        let url = Url::parse(&format!("{}/keys", self.base)).unwrap();
        Remote::new(KeySource::Url(url), "https://id.example.com", true, Bounds::DEFAULT).unwrap()
    }

    fn discovery(&self, issuer: &str) -> Remote {
        Remote::new(KeySource::Discovery, issuer, true, Bounds::DEFAULT).unwrap()
    }
}

/// Errors of writing only say that the client is gone.
fn serve(stream: &mut std::net::TcpStream, answer: Answer) -> std::io::Result<()> {
    match answer {
        Answer::Bytes(bytes) => stream.write_all(&bytes),
        Answer::Deaf(bytes) => {
            stream.write_all(&bytes)?;
            std::io::copy(stream, &mut std::io::sink()).map(|_| ())
        }
        Answer::Drip(head) => {
            stream.write_all(head.as_bytes())?;
            loop {
                stream.write_all(b" ")?;
                thread::sleep(20 * MILLI);
            }
        }
        Answer::Flood(head) => {
            stream.write_all(head.as_bytes())?;
            loop {
                stream.write_all(&[b' '; 4096])?;
            }
        }
        Answer::Silence => {
            thread::sleep(30 * SECOND);
            Ok(())
        }
    }
}

fn ok(headers: &str, body: &str) -> Answer {
    Answer::Bytes(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len()).into_bytes())
}

fn head(head: &str) -> Answer {
    Answer::Bytes(format!("HTTP/1.1 {head}\r\n\r\n").into_bytes())
}

fn one_key(kid: &str) -> String {
    key_set(&[&TestKey::new("EdDSA", kid)])
}

#[tokio::test]
async fn a_key_set_is_read_with_its_age() {
    for (headers, expected) in [
        ("", None),
        ("cache-control: max-age=120\r\n", Some(120)),
        ("Cache-Control: public, Max-Age=\"7\", must-revalidate\r\n", Some(7)),
        ("cache-control: max-age=9\r\ncache-control: s-maxage=1, max-age=8\r\n", Some(8)),
        ("cache-control: max-age=-1\r\n", None),
        ("cache-control: no-store\r\n", None),
    ] {
        let server = Server::always(ok(headers, &one_key("a")));
        let fetched = server.remote().fetch().await.unwrap();
        assert_eq!((fetched.keys.len(), fetched.max_age), (1, expected.map(Duration::from_secs)), "{headers:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_key_set_is_an_error() {
    let elsewhere = "302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0";
    let json = |at| FetchError::Keys(KeySetError::Json(JsonError::Syntax { at }));
    for (answer, expected) in [
        (head("500 Oops\r\ncontent-length: 0"), FetchError::Status(500)),
        (head("404 Not Found\r\ncontent-length: 0"), FetchError::Status(404)),
        (head("204 No Content"), FetchError::Status(204)),
        (head("206 Partial Content\r\ncontent-length: 0"), FetchError::Status(206)),
        (head(elsewhere), FetchError::Status(302)),
        (head("301 Moved\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0"), FetchError::Status(301)),
        (ok("", "<html>login</html>"), json(0)),
        (ok("content-encoding: gzip\r\n", "\u{1f}"), json(0)),
        (ok("", ""), FetchError::Keys(KeySetError::Json(JsonError::Empty))),
        (ok("", "{}"), FetchError::Keys(KeySetError::Shape)),
        (ok("", r#"{"keys":[]}"#), FetchError::Keys(KeySetError::Empty)),
        (ok("", r#"{"keys":[{"kty":"oct","k":"AA"}]}"#), FetchError::Keys(KeySetError::Secret { index: 0 })),
        (Answer::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}".to_vec()), FetchError::Transport),
        (Answer::Bytes(b"nonsense\r\n\r\n".to_vec()), FetchError::Transport),
        (Answer::Bytes(Vec::new()), FetchError::Transport),
    ] {
        let server = Server::always(answer);
        assert_eq!(server.remote().fetch().await.map(|_| ()), Err(expected));
        assert_eq!(server.paths(), ["/keys"], "no redirect is followed and nothing is asked twice");
    }
}

#[tokio::test]
async fn a_long_body_is_cut_off() {
    let padded = |size: usize| {
        let keys = one_key("a");
        format!("{keys}{}", " ".repeat(size - keys.len()))
    };
    let fetch = |answer| async { Server::always(answer).remote().fetch().await.map(|fetched| fetched.keys.len()) };
    assert_eq!(fetch(ok("", &padded(MAX_KEY_SET))).await, Ok(1));
    assert_eq!(fetch(ok("", &padded(MAX_KEY_SET + 1))).await, Err(FetchError::TooLong));
    let endless = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_owned();
    assert_eq!(fetch(Answer::Flood(endless)).await, Err(FetchError::TooLong));
    let promised = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n".to_owned();
    assert_eq!(fetch(Answer::Flood(promised)).await, Err(FetchError::TooLong));
}

#[tokio::test]
async fn a_connection_is_not_used_twice() {
    let Answer::Bytes(bytes) = ok("", &one_key("a")) else { panic!("`ok` makes bytes") };
    let server = Server::always(Answer::Deaf(bytes));
    let remote = server.remote();
    for _ in 0..2 {
        assert_eq!(remote.fetch().await.map(|fetched| fetched.keys.len()), Ok(1));
    }
}

#[tokio::test]
async fn a_slow_server_is_given_up() {
    let bounds = Bounds { total: 150 * MILLI, ..Bounds::DEFAULT };
    for answer in [Answer::Drip("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n".to_owned()), Answer::Silence] {
        let server = Server::always(answer);
        let url = Url::parse(&server.base).unwrap();
        let remote = Remote::new(KeySource::Url(url), "https://id.example.com", true, bounds).unwrap();
        assert_eq!(remote.fetch().await.map(|_| ()), Err(FetchError::Timeout));
    }
}

#[tokio::test]
async fn a_closed_port_cannot_be_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let remote = Remote::new(KeySource::Url(url), "https://id.example.com", true, Bounds::DEFAULT).unwrap();
    assert_eq!(remote.fetch().await.map(|_| ()), Err(FetchError::Connect));
}

#[tokio::test]
async fn a_name_of_this_machine_is_not_called_unless_allowed() {
    let url = Url::parse("https://localhost:1/keys").unwrap();
    let fetch = |loopback| {
        Remote::new(KeySource::Url(url.clone()), "https://id.example.com", loopback, Bounds::DEFAULT).unwrap()
    };
    assert_eq!(fetch(false).fetch().await.map(|_| ()), Err(FetchError::Address));
    assert_eq!(fetch(true).fetch().await.map(|_| ()), Err(FetchError::Connect));
}

#[tokio::test]
async fn an_address_that_must_not_be_called_is_no_issuer() {
    for (url, expected) in
        [("http://id.example.com/", FetchError::Url), ("https://169.254.169.254/", FetchError::Address)]
    {
        let made = Issuer::remote(rules(), KeySource::Url(Url::parse(url).unwrap()), false, PACE, None);
        assert_eq!(made.map(|_| ()).unwrap_err(), expected);
    }
}

/// A server of metadata at one path and of keys at `/keys`.
fn metadata_server(at: &'static str, metadata: impl Fn(&str) -> String + Send + 'static) -> Server {
    let base = Arc::new(Mutex::new(String::new()));
    let (shared, keys) = (Arc::clone(&base), one_key("a"));
    let server = Server::start(move |path| {
        if path == at {
            ok("", &metadata(&shared.lock().unwrap()))
        } else if path == "/keys" {
            ok("", &keys)
        } else {
            head("404 Not Found\r\ncontent-length: 0")
        }
    });
    base.lock().unwrap().clone_from(&server.base);
    server
}

#[tokio::test]
async fn metadata_leads_to_the_keys() {
    let document = |base: &str| format!(r#"{{"issuer":"{base}/one","jwks_uri":"{base}/keys","x":[]}}"#);
    let places = [
        "/.well-known/oauth-authorization-server/one",
        "/.well-known/openid-configuration/one",
        "/one/.well-known/openid-configuration",
    ];
    for (tried, at) in places.into_iter().enumerate() {
        let server = metadata_server(at, document);
        let fetched = server.discovery(&format!("{}/one", server.base)).fetch().await;
        assert_eq!(fetched.map(|fetched| fetched.keys.len()), Ok(1));
        assert_eq!(server.paths(), [&places[..=tried], &["/keys"]].concat());
    }
}

/// A document of another issuer is passed over as if there were none, and told if there is no better one.
#[tokio::test]
async fn each_document_is_held_against_the_issuer() {
    let own = |base: &str| format!(r#"{{"issuer":"{base}/one","jwks_uri":"{base}/keys"}}"#);
    let other = |base: &str| format!(r#"{{"issuer":"{base}/two","jwks_uri":"{base}/other"}}"#);
    let missing = || head("404 Not Found\r\ncontent-length: 0");
    for (has_own, expected) in [(true, Ok(1)), (false, Err(FetchError::Issuer))] {
        let base = Arc::new(Mutex::new(String::new()));
        let (shared, keys) = (Arc::clone(&base), one_key("a"));
        let server = Server::start(move |path| {
            let base = shared.lock().unwrap();
            match path {
                "/.well-known/oauth-authorization-server/one" => ok("", &other(&base)),
                "/one/.well-known/openid-configuration" if has_own => ok("", &own(&base)),
                "/keys" => ok("", &keys),
                _ => missing(),
            }
        });
        base.lock().unwrap().clone_from(&server.base);
        let fetched = server.discovery(&format!("{}/one", server.base)).fetch().await;
        assert_eq!(fetched.map(|fetched| fetched.keys.len()), expected);
        assert!(!server.paths().contains(&"/other".to_owned()));
    }
}

#[tokio::test]
async fn metadata_of_another_issuer_or_to_another_place_is_an_error() {
    type Document = fn(&str) -> String;
    let cases: [(Document, FetchError); 7] = [
        (|base| format!(r#"{{"issuer":"{base}/","jwks_uri":"{base}/keys"}}"#), FetchError::Issuer),
        (|base| format!(r#"{{"issuer":"https://evil.example","jwks_uri":"{base}/keys"}}"#), FetchError::Issuer),
        (|base| format!(r#"{{"issuer":"{base}"}}"#), FetchError::Metadata),
        (|base| format!(r#"{{"issuer":"{base}","issuer":"{base}","jwks_uri":"{base}/keys"}}"#), FetchError::Metadata),
        (|base| format!(r#"{{"issuer":"{base}","jwks_uri":"keys"}}"#), FetchError::Metadata),
        (|base| format!(r#"{{"issuer":"{base}","jwks_uri":"http://id.example.com/"}}"#), FetchError::Url),
        (|base| format!(r#"{{"issuer":"{base}","jwks_uri":"https://169.254.169.254/"}}"#), FetchError::Address),
    ];
    for (document, expected) in cases {
        let server = metadata_server("/.well-known/openid-configuration", document);
        assert_eq!(server.discovery(&server.base).fetch().await.map(|_| ()), Err(expected));
        assert!(!server.paths().contains(&"/keys".to_owned()));
    }
}

#[tokio::test]
async fn rotation_and_recovery_over_http() {
    let server = Server::always(head("500 Oops\r\ncontent-length: 0"));
    let remote = server.remote();
    let issuer = Issuer::start(rules(), remote.to_string(), remote, PACE, Arc::default());
    until(|| issuer.status().error == Some(FetchError::Status(500))).await;
    assert!(!issuer.ready());
    server.turn(ok("", &one_key("a")));
    until(|| has(&issuer, "a")).await;
    server.turn(ok("", &one_key("b")));
    issuer.unknown_kid();
    until(|| has(&issuer, "b")).await;
    assert!(!has(&issuer, "a"));
    server.turn(ok("", "<html>"));
    issuer.unknown_kid();
    until(|| matches!(issuer.status().error, Some(FetchError::Keys(_)))).await;
    assert!(has(&issuer, "b"));
    assert_eq!(issuer.status().source, Some(format!("{}/keys", server.base)));
}

#[tokio::test]
async fn other_rules_for_an_issuer_begin_with_the_keys_it_has() {
    let server = Server::always(ok("", &one_key("a")));
    let at = |path: &str| KeySource::Url(Url::parse(&format!("{}{path}", server.base)).unwrap());
    let with = |rules, source, previous| Issuer::remote(rules, source, true, PACE, previous).unwrap();
    let first = with(rules(), at("/keys"), None);
    until(|| first.ready()).await;
    server.turn(head("500 Oops\r\ncontent-length: 0"));
    let scoped = IssuerRules { scope_claim: "/scp".to_owned(), ..rules() };
    let other = IssuerRules { issuer: "https://other.example.com".to_owned(), ..rules() };
    for (changed, source, has_keys) in
        [(scoped.clone(), at("/keys"), true), (scoped, at("/elsewhere"), false), (other, at("/keys"), false)]
    {
        let issuer = with(changed, source, Some(&first));
        assert_eq!(issuer.ready(), has_keys);
        until(|| issuer.status().error == Some(FetchError::Status(500))).await;
        assert_eq!(has(&issuer, "a"), has_keys);
    }
    let in_file = Issuer::with_keys(rules(), keys("a"));
    assert!(!with(rules(), at("/keys"), Some(&in_file)).ready());
}
