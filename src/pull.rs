//! A server's tool catalogue, asked of the server itself: `tools/list`, page by page, in either era of the protocol.
//!
//! What comes is a stranger's: it is bounded in time, size and pages, read by the strict reader, and must be a catalogue.
//! No redirect is followed and no proxy is used, so that a token goes where it was meant to go.
//!
//! Source: MCP 2025-11-25 and 2026-07-28, `basic/transports`, `server/tools` (Listing Tools), `server/utilities/pagination`.

mod catalogue;
mod error;
mod events;
mod http;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use serde_json::{Map, Value as Written, json};
use url::Url;

pub use error::PullError;
pub use http::Bounds;

use crate::json::{Document, Kind, Value};
use crate::mcp::Revision;
use crate::policy::catalog::{Catalog, LIMITS};
use crate::pull::catalogue::Pages;
use crate::pull::http::{Client, Reply};

/// Which era of the protocol to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// 2026-07-28, and if the server does not answer that, the handshake.
    Auto,
    /// 2026-07-28: every request stands for itself.
    Modern,
    /// 2025-11-25 and before: `initialize`, then a session.
    Handshake,
}

/// What to ask, and how.
#[derive(Debug)]
pub struct Pull {
    /// The server's MCP endpoint.
    pub url: Url,
    /// A bearer token.
    pub token: Option<String>,
    /// The era.
    pub era: Era,
    /// What it may cost.
    pub bounds: Bounds,
}

/// A catalogue as it was pulled.
#[derive(Debug)]
pub struct Pulled {
    /// The file: `{"tools": […]}`, in the server's order.
    pub text: String,
    /// What it says.
    pub catalog: Catalog,
    /// The revision that was spoken.
    pub protocol: String,
    /// How many pages it came in.
    pub pages: usize,
}

/// The revision that a client of the handshake era asks for; the server may answer with an older one.
const HANDSHAKE: Revision = Revision::V2025_11_25;

/// A session of the handshake era: its id, if the server gives one, and the agreed revision.
#[derive(Debug)]
struct Session {
    id: Option<String>,
    revision: String,
}

impl Pull {
    /// Asks for the whole catalogue.
    ///
    /// # Errors
    /// [`PullError`], the first one; of [`Era::Auto`] that of the handshake, where both fail.
    pub async fn run(&self) -> Result<Pulled, PullError> {
        let client = Client::new(&self.url, self.token.as_deref(), self.bounds)?;
        match self.era {
            Era::Modern => self.modern(&client).await,
            Era::Handshake => self.handshake(&client).await,
            Era::Auto => match self.modern(&client).await {
                Err(error) if error.may_be_of_another_era() => self.handshake(&client).await,
                done => done,
            },
        }
    }

    async fn modern(&self, client: &Client<'_>) -> Result<Pulled, PullError> {
        let revision = Revision::V2026_07_28.as_str();
        let headers = [("mcp-protocol-version", revision), ("mcp-method", "tools/list")];
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": revision,
            "io.modelcontextprotocol/clientInfo": client_info(),
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        self.list(client, &headers, Some(&meta), revision).await
    }

    async fn handshake(&self, client: &Client<'_>) -> Result<Pulled, PullError> {
        let session = initialize(client).await?;
        let mut headers = vec![("mcp-protocol-version", session.revision.as_str())];
        headers.extend(session.id.as_deref().map(|id| ("mcp-session-id", id)));
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        client.notify(&headers, &initialized).await?;
        let pulled = self.list(client, &headers, None, &session.revision).await;
        if session.id.is_some() {
            client.end(&headers).await;
        }
        pulled
    }

    /// Every page of `tools/list`.
    async fn list(
        &self,
        client: &Client<'_>,
        headers: &[(&str, &str)],
        meta: Option<&Written>,
        revision: &str,
    ) -> Result<Pulled, PullError> {
        let mut pages = Pages::new(self.bounds.total);
        let mut cursors = HashSet::new();
        let mut cursor: Option<String> = None;
        for page in 1..=self.bounds.pages {
            let mut params = Map::new();
            params.extend(meta.map(|meta| ("_meta".to_owned(), meta.clone())));
            params.extend(cursor.as_ref().map(|cursor| ("cursor".to_owned(), Written::from(cursor.as_str()))));
            let request = json!({"jsonrpc": "2.0", "id": page, "method": "tools/list", "params": params});
            let reply = client.ask(headers, &request, page).await?;
            cursor = read(&reply, |result| {
                let tools =
                    result.get("tools").filter(|tools| tools.kind() == Kind::Array).ok_or(PullError::NoTools)?;
                pages.add(tools)?;
                Ok(result.get("nextCursor").and_then(Value::as_str).map(std::borrow::Cow::into_owned))
            })?;
            let Some(next) = &cursor else {
                let text = pages.into_text();
                let catalog = Catalog::parse(text.as_bytes()).map_err(PullError::Catalog)?;
                return Ok(Pulled { text, catalog, protocol: revision.to_owned(), pages: page });
            };
            if !cursors.insert(next.clone()) {
                return Err(PullError::Cursor);
            }
        }
        Err(PullError::Pages(self.bounds.pages))
    }
}

async fn initialize(client: &Client<'_>) -> Result<Session, PullError> {
    let params = json!({"protocolVersion": HANDSHAKE.as_str(), "capabilities": {}, "clientInfo": client_info()});
    let request = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
    let reply = client.ask(&[], &request, 0).await?;
    let revision = read(&reply, |result| {
        let revision = result.get("protocolVersion").and_then(Value::as_str).unwrap_or_default();
        // It goes into a header from here on.
        let is_date = revision.len() == 10 && revision.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if is_date { Ok(revision.into_owned()) } else { Err(PullError::version(&revision)) }
    })?;
    Ok(Session { id: reply.session, revision })
}

/// What `then` makes of the result in `reply`.
fn read<T>(reply: &Reply, then: impl FnOnce(Value<'_>) -> Result<T, PullError>) -> Result<T, PullError> {
    let document = Document::parse(&reply.message, LIMITS).map_err(PullError::Json)?;
    let root = document.root();
    if let Some(error) = root.get("error").filter(|error| !error.is_null()) {
        let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
        return Err(PullError::rpc(error.get("code").and_then(Value::as_i64), &message));
    }
    then(root.get("result").ok_or(PullError::NoAnswer)?)
}

fn client_info() -> Written {
    json!({"name": "toolgate", "version": env!("CARGO_PKG_VERSION")})
}
