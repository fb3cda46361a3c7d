use thiserror::Error;

use crate::json::JsonError;
use crate::policy::catalog::CatalogError;

/// Letters of a server's own words that are shown.
const MAX_SHOWN: usize = 300;

/// Why there is no catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PullError {
    /// Neither http nor https, or with credentials.
    #[error("the address is not an http or https url without credentials")]
    Url,
    /// A token would be readable on its way.
    #[error("a token is sent over https only, or over http to this machine")]
    TokenInTheOpen,
    /// It does not fit a header.
    #[error("the token is no bearer token: it has a character that a header cannot hold")]
    Token,
    /// No TLS.
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
    /// 401.
    #[error("the server {} (401){}", if *.sent { "does not accept the token" } else { "wants a token: pass one with --token-file or TOOLGATE_TOKEN" }, after(.challenge))]
    Unauthorized {
        /// Whether a token was sent.
        sent: bool,
        /// `WWW-Authenticate`.
        challenge: String,
    },
    /// 403.
    #[error("the server refuses to list its tools (403){}", after(.challenge))]
    Forbidden {
        /// `WWW-Authenticate`.
        challenge: String,
    },
    /// A status from 300 to 399.
    #[error("the server redirects to `{0}`, which is not followed; if that is the server, pull from there")]
    Redirect(String),
    /// Any other status but one of success.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// Neither JSON nor a stream of events.
    #[error("the server's answer is neither application/json nor text/event-stream; is this its MCP endpoint?")]
    MediaType,
    /// More than the bounds allow.
    #[error("the server's answer is longer than {0} bytes")]
    TooLong(usize),
    /// Not JSON in the strict sense.
    #[error("the server's answer is not acceptable JSON: {0}")]
    Json(JsonError),
    /// A JSON-RPC error.
    #[error("the server answered with error {code}: {message}")]
    Rpc {
        /// Its code, 0 if it has none.
        code: i64,
        /// Its message.
        message: String,
    },
    /// A stream that ends, or a message, without an answer to what was asked.
    #[error("the server did not answer the request")]
    NoAnswer,
    /// A result of another method.
    #[error("the server's answer has no `tools`")]
    NoTools,
    /// A revision that is no date.
    #[error("the server speaks protocol version `{0}`, which does not exist")]
    Version(String),
    /// A session id that does not fit a header.
    #[error("the server's session id has a character other than visible ASCII")]
    Session,
    /// A cursor came twice.
    #[error("the server's pages lead back to one that was read already")]
    Cursor,
    /// More pages than the bounds allow.
    #[error("the catalogue does not end after {0} pages")]
    Pages(usize),
    /// All pages together are no catalogue.
    #[error("the server's tools are no catalogue: {0}")]
    Catalog(CatalogError),
}

impl PullError {
    /// Whether this is how a server answers that does not know the era: not if nothing came, or if it is about who asks.
    pub(super) fn may_be_of_another_era(&self) -> bool {
        match self {
            Self::Rpc { .. } | Self::NoTools | Self::NoAnswer | Self::MediaType => true,
            Self::Status(status) => (400..500).contains(status) && *status != 429,
            Self::Url
            | Self::TokenInTheOpen
            | Self::Token
            | Self::Client
            | Self::Connect
            | Self::Timeout
            | Self::Transport
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::Redirect(_)
            | Self::TooLong(_)
            | Self::Json(_)
            | Self::Version(_)
            | Self::Session
            | Self::Cursor
            | Self::Pages(_)
            | Self::Catalog(_) => false,
        }
    }

    pub(super) fn rpc(code: Option<i64>, message: &str) -> Self {
        Self::Rpc { code: code.unwrap_or(0), message: shown(message) }
    }

    pub(super) fn version(text: &str) -> Self {
        Self::Version(shown(text))
    }
}

/// A server's words as a terminal may show them: bounded, and without control characters.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect();
    // Quotes need no escape here.
    shown = shown.replace("\\\"", "\"").replace("\\'", "'");
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

fn after(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("; it says: {text}") }
}
