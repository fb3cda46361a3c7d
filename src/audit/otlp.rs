//! A collector that is sent records: OTLP over HTTP, with protobuf in it
//! ([specification](https://opentelemetry.io/docs/specs/otlp/#otlphttp)).
//!
//! A client that follows no redirect and calls no proxy (the environment may name one), so that what is configured is what
//! gets the records.

mod access;
mod wire;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, Response, StatusCode};
use url::Url;

pub use self::access::{OtlpAccess, OtlpHeaders, OtlpHeadersError, OtlpRoots, OtlpRootsError};

use crate::audit::{AuditError, Mode};

/// Time to connect, with TLS.
const CONNECT: Duration = Duration::from_secs(1);

/// Time from the start to the last byte of the answer. What comes after it may have been taken all the same, and is sent again:
/// so it is long.
const EXPORT: Duration = Duration::from_secs(5);

/// How long sent bytes may go without the other machine's word that it has them: a machine that is gone is told from a
/// collector that takes its time.
const GONE: Duration = Duration::from_secs(1);

/// How long a connection is kept for the next batch: less than servers keep one.
const IDLE: Duration = Duration::from_secs(30);

/// Bytes of an answer that are read: a number and a sentence.
const ANSWER_LIMIT: usize = 64 * 1024;

/// Characters of a sentence that is not of this program.
const MESSAGE_LIMIT: usize = 256;

/// The media type of protobuf in OTLP.
const PROTOBUF: &str = "application/x-protobuf";

/// A collector, and how it is called.
#[derive(Debug, Clone)]
pub struct OtlpSettings {
    /// Where logs are taken: with the path, `/v1/logs` by default.
    pub endpoint: Url,
    /// What a reply waits for.
    pub mode: Mode,
    /// What it is called with.
    pub access: OtlpAccess,
}

/// Why a collector has not taken records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// No connection, no name, or a certificate that is not trusted; with what the system or the TLS library says.
    #[error("the collector cannot be reached: {0}")]
    Connect(String),
    /// Not all of the answer came in time.
    #[error("the collector took too long")]
    Timeout,
    /// The connection broke, or spoke no HTTP.
    #[error("the collector's answer cannot be read")]
    Transport,
    /// Any status that is no success. Redirects are not followed.
    #[error("the collector answered with status {0}")]
    Status(u16),
    /// A success in something that is not OTLP: it is not a collector.
    #[error("what answers is no collector, or not over HTTP")]
    Answer,
    /// A partial success.
    #[error("the collector rejected {count} of the records: {message:?}")]
    Rejected {
        /// How many.
        count: u64,
        /// Why, in its words; the start of them.
        message: String,
    },
}

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The collector has it.
    Taken,
    /// The collector has nothing of it, and is not to be asked again.
    Refused(ExportError),
    /// The collector may have some of it, and is not to be asked again.
    Doubtful { cause: ExportError, missing: u64 },
    /// Nobody knows. It is to be sent again, not before the time that the collector asks for.
    Again { cause: ExportError, after: Option<Duration> },
}

/// Records as they are sent.
#[derive(Debug)]
pub(super) struct Batch {
    message: Bytes,
    records: u64,
}

/// A collector.
#[derive(Debug)]
pub(super) struct Collector {
    client: Client,
    endpoint: Url,
    access: OtlpAccess,
    boot: Arc<str>,
}

impl Collector {
    /// The collector for records of the process that is called `boot`.
    ///
    /// # Errors
    /// [`AuditError::Client`].
    pub(super) fn new(settings: &OtlpSettings, boot: Arc<str>) -> Result<Self, AuditError> {
        let OtlpSettings { endpoint, access, .. } = settings.clone();
        let client = access.apply(client()).build().map_err(|_| AuditError::Client { sink: endpoint.to_string() })?;
        Ok(Self { client, endpoint, access, boot })
    }

    /// Where it is.
    pub(super) fn name(&self) -> &str {
        self.endpoint.as_str()
    }

    /// A batch of `lines`, in this order.
    pub(super) fn batch<'l>(&self, lines: impl Iterator<Item = &'l [u8]>) -> Batch {
        let mut records = 0;
        let message = wire::request(&self.boot, lines.inspect(|_| records += 1));
        Batch { message, records }
    }

    /// Sends the batch, once.
    pub(super) async fn export(&self, batch: &Batch) -> Answer {
        let request =
            self.client.post(self.endpoint.clone()).headers(self.access.headers()).header(CONTENT_TYPE, PROTOBUF);
        match request.body(batch.message.clone()).send().await {
            Ok(response) => answer(response, batch.records).await,
            Err(error) => again(&error),
        }
    }
}

/// What the answer says of a batch of so many records. What is to be sent again, the specification lists.
async fn answer(response: Response, records: u64) -> Answer {
    let status = response.status();
    let cause = ExportError::Status(status.as_u16());
    match status {
        // Some stores have nothing to say, and say so.
        StatusCode::NO_CONTENT => Answer::Taken,
        StatusCode::OK => match body(response).await {
            Ok(body) => success(body.as_deref(), records),
            Err(error) => again(&error),
        },
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Answer::Again { cause, after: retry_after(&response) },
        status if status.is_server_error() => Answer::Doubtful { cause, missing: records },
        _ => Answer::Refused(cause),
    }
}

/// What a success with this body says; it is empty for a whole success.
fn success(body: Option<&[u8]>, records: u64) -> Answer {
    match body.and_then(wire::response) {
        None => Answer::Doubtful { cause: ExportError::Answer, missing: records },
        Some(None) => Answer::Taken,
        Some(Some((count, message))) => {
            let cause = ExportError::Rejected { count, message: message.chars().take(MESSAGE_LIMIT).collect() };
            if count >= records { Answer::Refused(cause) } else { Answer::Doubtful { cause, missing: count } }
        }
    }
}

fn client() -> ClientBuilder {
    let client = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT)
        .timeout(EXPORT)
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(IDLE);
    #[cfg(target_os = "linux")]
    let client = client.tcp_user_timeout(GONE);
    client
}

/// The body, if it is one of OTLP.
async fn body(mut response: Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let is_protobuf = response.headers().get(CONTENT_TYPE).is_some_and(|value| {
        let media_type = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        media_type.trim_ascii().eq_ignore_ascii_case(PROTOBUF.as_bytes())
    });
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_LIMIT || !is_protobuf && !body.is_empty() {
            return Ok(None);
        }
    }
    Ok(Some(body))
}

/// `Retry-After` in seconds (RFC 9110 §10.2.3); a date is as good as nothing.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

fn again(error: &reqwest::Error) -> Answer {
    let cause = if error.is_timeout() && !error.is_connect() {
        ExportError::Timeout
    } else if error.is_connect() {
        ExportError::Connect(innermost(error))
    } else {
        ExportError::Transport
    };
    Answer::Again { cause, after: None }
}

/// What the first cause of an error says.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string().chars().take(MESSAGE_LIMIT).collect()
}
