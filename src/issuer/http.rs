use std::error::Error;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use serde::{Serialize, Serializer};
use thiserror::Error;
use url::Url;

use super::address;
use super::address::{AddressRefused, Resolver};
use crate::token::{AnswerError, KeySetError, MAX_KEY_SET};

/// An HTTP client that trusts no server with more than a few seconds and a few hundred KiB, follows no redirect, and calls
/// no proxy (the environment may name one), so that what is configured is what is called.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    bounds: Bounds,
    loopback: bool,
}

/// What one answer may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Time to connect, with TLS.
    pub connect: Duration,
    /// Time from the start to the last byte of the body.
    pub total: Duration,
    /// Bytes of the body.
    pub body: usize,
    /// How long a connection is kept for the next request; zero keeps none.
    pub idle: Duration,
}

impl Bounds {
    /// The bounds in service.
    ///
    /// Minutes pass between fetches: a kept connection is likely dead by then, and its address was checked long ago.
    pub const DEFAULT: Bounds = Bounds {
        connect: Duration::from_secs(1),
        total: Duration::from_secs(3),
        body: MAX_KEY_SET,
        idle: Duration::ZERO,
    };
}

/// Why there is no new key set, or no answer about a token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FetchError {
    /// Not `https`, nor `http` to this machine where that is allowed; or with credentials.
    #[error("the address is not an https url")]
    Url,
    /// Link-local, multicast, unspecified, or loopback where that is not allowed.
    #[error("the address is one that must not be called")]
    Address,
    /// No TLS, or no randomness.
    #[error("the http client cannot be made")]
    Client,
    /// No connection, or no name.
    #[error("the server cannot be reached")]
    Connect,
    /// Not all of it came in time.
    #[error("the server took too long")]
    Timeout,
    /// The connection broke, or spoke no HTTP.
    #[error("the server's answer cannot be read")]
    Transport,
    /// Any status but 200. Redirects are not followed.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// The body is not `application/json`, of which alone an answer about a token is believed.
    #[error("the server's answer is not application/json")]
    MediaType,
    /// The answer about a token is no answer.
    #[error("{0}")]
    Introspection(AnswerError),
    /// The private key made no signature.
    #[error("the client assertion cannot be signed")]
    Assertion,
    /// The body is longer than [`Bounds::body`].
    #[error("the server's answer is too long")]
    TooLong,
    /// The answer is no key set, or an unusable one.
    #[error("{0}")]
    Keys(KeySetError),
    /// The answer is no authorization server metadata with an `issuer` and a `jwks_uri` (RFC 8414 §2).
    #[error("the issuer's metadata has no `issuer` or no `jwks_uri`")]
    Metadata,
    /// The metadata is that of another issuer (RFC 8414 §3.3).
    #[error("the metadata names another issuer")]
    Issuer,
}

/// Serialised as its message.
impl Serialize for FetchError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A body, and how long it is good.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Vec<u8>,
    pub(super) max_age: Option<Duration>,
}

impl Http {
    pub(super) fn new(loopback: bool, bounds: Bounds) -> Result<Self, FetchError> {
        let client = Client::builder()
            .https_only(!loopback)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .connect_timeout(bounds.connect)
            .timeout(bounds.total)
            .dns_resolver(Resolver { loopback })
            .pool_max_idle_per_host(if bounds.idle.is_zero() { 0 } else { usize::MAX })
            .pool_idle_timeout(bounds.idle)
            .build()
            .map_err(|_| FetchError::Client)?;
        Ok(Self { client, bounds, loopback })
    }

    /// The body at `url`, if the server answers 200 within the bounds.
    pub(super) async fn get(&self, url: &Url) -> Result<Answer, FetchError> {
        address::check(url, self.loopback)?;
        let response = self.client.get(url.clone()).send().await.map_err(|error| cause(&error))?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let max_age = max_age(&response);
        Ok(Answer { body: self.body(response).await?, max_age })
    }

    /// The JSON that the server at `url` answers to this form, if it answers 200 within the bounds.
    pub(super) async fn post(
        &self,
        url: &Url,
        form: String,
        authorization: Option<&str>,
    ) -> Result<Vec<u8>, FetchError> {
        address::check(url, self.loopback)?;
        let request = self.client.post(url.clone()).header(ACCEPT, JSON).header(CONTENT_TYPE, FORM).body(form);
        let request = match authorization {
            None => request,
            Some(value) => {
                let mut value = HeaderValue::from_str(value).map_err(|_| FetchError::Client)?;
                value.set_sensitive(true);
                request.header(AUTHORIZATION, value)
            }
        };
        let response = request.send().await.map_err(|error| cause(&error))?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        if !is_json(&response) {
            return Err(FetchError::MediaType);
        }
        self.body(response).await
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, FetchError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| cause(&error))? {
            if body.len() + chunk.len() > self.bounds.body {
                return Err(FetchError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// The media type of a form (HTML standard), and the one that answers come in (RFC 7662 §2.2).
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Whether the answer says once that it is JSON. Parameters say nothing: JSON is UTF-8 (RFC 8259 §8.1, §11).
fn is_json(response: &Response) -> bool {
    let mut values = response.headers().get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let media_type = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    media_type.trim_ascii().eq_ignore_ascii_case(JSON.as_bytes())
}

/// `max-age` of `Cache-Control` (RFC 9111 §5.2.2.1), the least if there are several; nothing else there matters to us.
fn max_age(response: &Response) -> Option<Duration> {
    let values = response.headers().get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let directives = values.flat_map(|value| value.split(','));
    let ages = directives.filter_map(|directive| {
        let (name, seconds) = directive.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("max-age") {
            return None;
        }
        seconds.trim().trim_matches('"').parse().ok().map(Duration::from_secs)
    });
    ages.min()
}

fn cause(error: &reqwest::Error) -> FetchError {
    let mut source = error.source();
    while let Some(inner) = source {
        if inner.is::<AddressRefused>() {
            return FetchError::Address;
        }
        source = inner.source();
    }
    if error.is_timeout() {
        FetchError::Timeout
    } else if error.is_connect() {
        FetchError::Connect
    } else {
        FetchError::Transport
    }
}
