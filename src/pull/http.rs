use std::time::Duration;

use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, WWW_AUTHENTICATE,
};
use reqwest::{Response, StatusCode};
use serde_json::Value as Written;
use url::Url;

use crate::config::is_loopback;
use crate::json::Document;
use crate::policy::catalog::LIMITS;
use crate::pull::PullError;
use crate::pull::error::shown;
use crate::pull::events::Events;

/// What a catalogue may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Time to connect, with TLS.
    pub connect: Duration,
    /// Time of one request, to the last byte of its answer.
    pub request: Duration,
    /// Bytes of one answer.
    pub answer: usize,
    /// Bytes of the whole file.
    pub total: usize,
    /// Pages.
    pub pages: usize,
}

impl Bounds {
    /// Far more than any server needs: the largest catalogue seen has 300 KB. A configuration reads files up to the total.
    pub const DEFAULT: Self = Self {
        connect: Duration::from_secs(5),
        request: Duration::from_secs(30),
        answer: 16 * 1024 * 1024,
        total: 64 * 1024 * 1024,
        pages: 1000,
    };
}

/// A server that is asked.
pub(super) struct Client<'a> {
    http: reqwest::Client,
    url: &'a Url,
    token: Option<HeaderValue>,
    bounds: Bounds,
}

/// The message that answers a request.
pub(super) struct Reply {
    pub(super) message: Vec<u8>,
    /// `Mcp-Session-Id`.
    pub(super) session: Option<String>,
}

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

impl<'a> Client<'a> {
    pub(super) fn new(url: &'a Url, token: Option<&str>, bounds: Bounds) -> Result<Self, PullError> {
        let is_web = matches!(url.scheme(), "http" | "https") && url.host().is_some();
        if !is_web || !url.username().is_empty() || url.password().is_some() {
            return Err(PullError::Url);
        }
        if token.is_some() && url.scheme() != "https" && !is_loopback(url) {
            return Err(PullError::TokenInTheOpen);
        }
        let bearer = |token: &str| {
            // RFC 6750 §2.1 has fewer characters; what a server takes beyond them is its own.
            let visible = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok().filter(|_| visible)?;
            value.set_sensitive(true);
            Some(value)
        };
        let token = token.map(|token| bearer(token).ok_or(PullError::Token)).transpose()?;
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .user_agent(concat!("toolgate/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(bounds.connect)
            .timeout(bounds.request)
            .build()
            .map_err(|_| PullError::Client)?;
        Ok(Self { http, url, token, bounds })
    }

    /// The answer to the request `message`, whose id is `id`.
    pub(super) async fn ask(&self, headers: &[(&str, &str)], message: &Written, id: usize) -> Result<Reply, PullError> {
        let response = self.post(headers, message).await?;
        let session = response.headers().get("mcp-session-id").map(session).transpose()?;
        let message = match media_type(&response).as_str() {
            JSON => self.body(response).await?,
            EVENTS => self.event(response, id).await?,
            _ => return Err(PullError::MediaType),
        };
        Ok(Reply { message, session })
    }

    /// Sends a notification.
    pub(super) async fn notify(&self, headers: &[(&str, &str)], message: &Written) -> Result<(), PullError> {
        self.post(headers, message).await.map(drop)
    }

    /// Ends a session. That the server will not hear of it is its own affair.
    pub(super) async fn end(&self, headers: &[(&str, &str)]) {
        if let Ok(headers) = self.headers(headers) {
            let _ = self.http.delete(self.url.clone()).headers(headers).send().await;
        }
    }

    async fn post(&self, headers: &[(&str, &str)], message: &Written) -> Result<Response, PullError> {
        let request = self.http.post(self.url.clone()).headers(self.headers(headers)?);
        let request = request.header(CONTENT_TYPE, JSON).header(ACCEPT, "application/json, text/event-stream");
        let response = request.body(message.to_string()).send().await.map_err(|error| cause(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let header = |name: HeaderName| {
            let values = response.headers().get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
            shown(&values.collect::<Vec<_>>().join(", "))
        };
        Err(match status {
            StatusCode::UNAUTHORIZED => {
                PullError::Unauthorized { sent: self.token.is_some(), challenge: header(WWW_AUTHENTICATE) }
            }
            StatusCode::FORBIDDEN => PullError::Forbidden { challenge: header(WWW_AUTHENTICATE) },
            status if status.is_redirection() => PullError::Redirect(header(LOCATION)),
            status => PullError::Status(status.as_u16()),
        })
    }

    fn headers(&self, own: &[(&str, &str)]) -> Result<HeaderMap, PullError> {
        let mut headers = HeaderMap::new();
        for (name, value) in own {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| PullError::Client)?;
            headers.insert(name, HeaderValue::from_str(value).map_err(|_| PullError::Client)?);
        }
        headers.extend(self.token.clone().map(|token| (AUTHORIZATION, token)));
        Ok(headers)
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, PullError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| cause(&error))? {
            self.bounded(body.len() + chunk.len())?;
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// The event that answers the request `id`; what else the server says on the way is not for us.
    async fn event(&self, mut response: Response, id: usize) -> Result<Vec<u8>, PullError> {
        let (mut events, mut read) = (Events::default(), 0);
        while let Some(chunk) = response.chunk().await.map_err(|error| cause(&error))? {
            read += chunk.len();
            self.bounded(read)?;
            if let Some(answer) = events.take(&chunk).into_iter().find(|data| answers(data, id)) {
                return Ok(answer);
            }
        }
        Err(PullError::NoAnswer)
    }

    fn bounded(&self, bytes: usize) -> Result<(), PullError> {
        if bytes > self.bounds.answer { Err(PullError::TooLong(self.bounds.answer)) } else { Ok(()) }
    }
}

/// Whether `data` is for whoever asked `id`. What cannot be read is, so that the reader says what is wrong with it.
fn answers(data: &[u8], id: usize) -> bool {
    if data.is_empty() {
        return false;
    }
    Document::parse(data, LIMITS).map_or(true, |message| {
        let root = message.root();
        let own = root.get("id").and_then(crate::json::Value::as_i64).and_then(|found| usize::try_from(found).ok());
        root.get("method").is_none() && own == Some(id)
    })
}

/// The session id, which every later request repeats (MCP 2025-11-25, transports: visible ASCII only).
fn session(value: &HeaderValue) -> Result<String, PullError> {
    let text = value.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()));
    text.map(str::to_owned).ok_or(PullError::Session)
}

fn media_type(response: &Response) -> String {
    let value = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn cause(error: &reqwest::Error) -> PullError {
    if error.is_timeout() {
        PullError::Timeout
    } else if error.is_connect() {
        PullError::Connect
    } else {
        PullError::Transport
    }
}
