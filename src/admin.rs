//! What an operator and an orchestrator ask: alive, ready, figures, state. Plain HTTP, read only, no secrets.

mod status;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fmt, io};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tokio::net::TcpListener;

use crate::metrics;
use crate::metrics::Metrics;

pub use self::status::IssuerStatus;
pub use self::status::Loaded;
pub use self::status::ReloadFailure;
pub use self::status::StatusReport;

/// Everything that the answers are made of.
pub struct AdminState {
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Whether the process still wants requests.
    pub readiness: Readiness,
    /// Makes the report of this moment.
    pub status: Arc<dyn Fn() -> StatusReport + Send + Sync>,
}

/// Whether the process still wants requests. Shared: a clone sees the same.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// From now on the process is not ready: the first step of stopping, while requests are still answered.
    pub fn drain(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether [`Readiness::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The body of `/readyz`.
#[derive(Debug, Serialize)]
struct Ready {
    ready: bool,
    draining: bool,
    /// Whether decisions can be recorded.
    audit: bool,
    issuers: Vec<IssuerStatus>,
}

impl Ready {
    /// One dead issuer does not take the process out for the others; none that works does, and so does a trail that takes no
    /// record, since then everything is denied.
    fn new(draining: bool, StatusReport { issuers, records: audit, .. }: StatusReport) -> Self {
        let verifies = issuers.is_empty() || issuers.iter().any(|issuer| issuer.ready);
        Self { ready: !draining && verifies && audit, draining, audit, issuers }
    }
}

/// Answers on `listener` until `shutdown` is done, and then until the answers under way are sent.
///
/// # Errors
/// [`io::Error`] if the listener fails.
pub async fn serve<S>(listener: TcpListener, state: Arc<AdminState>, shutdown: S) -> io::Result<()>
where
    S: Future<Output = ()> + Send + 'static,
{
    axum::serve(listener, router(state)).with_graceful_shutdown(shutdown).await
}

fn router(state: Arc<AdminState>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(figures))
        .route("/status", get(status))
        .with_state(state)
}

async fn ready(State(state): State<Arc<AdminState>>) -> Response {
    let ready = Ready::new(state.readiness.is_draining(), (state.status)());
    json(if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &ready)
}

async fn figures(State(state): State<Arc<AdminState>>) -> Response {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], state.metrics.encode()).into_response()
}

async fn status(State(state): State<Arc<AdminState>>) -> Response {
    json(StatusCode::OK, &(state.status)())
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

impl fmt::Debug for AdminState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AdminState").field("readiness", &self.readiness).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::io::Write;
    use std::net::SocketAddr;
    use std::net::TcpStream;

    use tokio::sync::oneshot;
    use tokio::task::spawn_blocking;

    use super::*;
    use crate::context::UnixTime;

    fn report(issuers: Vec<IssuerStatus>, records: bool) -> StatusReport {
        StatusReport {
            version: "1.2.3",
            generation: 7,
            digest: "4f1c".to_owned(),
            since: UnixTime::from_seconds(1_700_000_000),
            loaded: Loaded { policies: 4, servers: 1, tools: 9 },
            issuers,
            last_reload_failure: Some(ReloadFailure {
                at: UnixTime::from_seconds(1_700_000_060),
                age_seconds: 12,
                message: "policies/a.cedar: unexpected end".to_owned(),
                problems: 2,
            }),
            restart_needed: vec!["listen.grpc"],
            records,
            audit: Vec::new(),
        }
    }

    fn issuer(name: &str, ready: bool) -> IssuerStatus {
        let detail = (!ready).then(|| "connection refused".to_owned());
        IssuerStatus { name: name.to_owned(), ready, detail, introspection: None }
    }

    /// Starts a server on a free port, asks each question over a connection of its own, and stops the server.
    async fn ask(
        readiness: Readiness,
        issuers: Vec<IssuerStatus>,
        records: bool,
        questions: &'static [&'static str],
    ) -> Vec<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = AdminState {
            metrics: Arc::new(Metrics::new("1.2.3")),
            readiness,
            status: Arc::new(move || report(issuers.clone(), records)),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, Arc::new(state), async { drop(stopped.await) }));
        let answers = questions.iter().map(|question| spawn_blocking(move || exchange(address, question)));
        let mut received = Vec::new();
        for answer in answers.collect::<Vec<_>>() {
            received.push(answer.await.unwrap());
        }
        drop(stop);
        server.await.unwrap().unwrap();
        received
    }

    fn exchange(address: SocketAddr, question: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "{question} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[track_caller]
    fn is(answer: &str, status: &str, content_type: &str, body: &str) {
        let (head, found) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(content_type.is_empty() || head.contains(&format!("content-type: {content_type}\r\n")), "{answer}");
        assert!(body == found || (body.ends_with('…') && found.starts_with(body.trim_end_matches('…'))), "{answer}");
    }

    #[tokio::test]
    async fn every_path_answers_what_it_should() {
        let questions = &[
            "GET /healthz",
            "HEAD /healthz",
            "POST /healthz",
            "GET /readyz",
            "GET /metrics",
            "GET /status",
            "GET /",
            "GET /status/",
            "DELETE /status",
        ];
        let answers = ask(Readiness::default(), vec![issuer("a", true), issuer("b", false)], true, questions).await;
        let json = "application/json";
        is(&answers[0], "200", "text/plain; charset=utf-8", "ok\n");
        is(&answers[1], "200", "", "");
        is(&answers[2], "405", "", "");
        let issuers =
            "[{\"name\":\"a\",\"ready\":true},{\"name\":\"b\",\"ready\":false,\"detail\":\"connection refused\"}]";
        is(
            &answers[3],
            "200",
            json,
            &format!("{{\"ready\":true,\"draining\":false,\"audit\":true,\"issuers\":{issuers}}}"),
        );
        is(&answers[4], "200", metrics::CONTENT_TYPE, "# HELP toolgate_build …");
        let expected = format!(
            "{{\"version\":\"1.2.3\",\"generation\":7,\"digest\":\"4f1c\",\"since\":\"2023-11-14T22:13:20Z\",\
             \"loaded\":{{\"policies\":4,\"servers\":1,\"tools\":9}},\"issuers\":{issuers},\
             \"last_reload_failure\":{{\"at\":\"2023-11-14T22:14:20Z\",\"age_seconds\":12,\
             \"message\":\"policies/a.cedar: unexpected end\",\"problems\":2}},\"restart_needed\":[\"listen.grpc\"],\"audit\":[]}}"
        );
        is(&answers[5], "200", json, &expected);
        is(&answers[6], "404", "", "");
        is(&answers[7], "404", "", "");
        is(&answers[8], "405", "", "");
    }

    #[tokio::test]
    async fn ready_while_an_issuer_and_the_trail_work_and_not_draining() {
        let draining = Readiness::default();
        draining.drain();
        for (readiness, issuers, records, status) in [
            (Readiness::default(), vec![], true, "200"),
            (Readiness::default(), vec![issuer("a", true)], true, "200"),
            (Readiness::default(), vec![issuer("a", true)], false, "503"),
            (Readiness::default(), vec![issuer("a", false)], true, "503"),
            (draining.clone(), vec![issuer("a", true)], true, "503"),
        ] {
            let answers = ask(readiness, issuers, records, &["GET /readyz", "GET /healthz"]).await;
            is(&answers[0], status, "application/json", "{…");
            is(&answers[1], "200", "", "ok\n");
        }
    }
}
