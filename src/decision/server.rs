//! One MCP server as the rules know it, and which server a request is for.

use std::borrow::Cow;

use bytes::Bytes;

use crate::context::RequestContext;
use crate::policy::model::ServerModel;
use crate::token::SenderRules;

/// Where the metadata of a protected resource is found (RFC 9728 §3).
pub const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// One configured MCP server.
#[derive(Debug)]
pub struct Server {
    /// Its name in policies and records.
    pub name: String,
    /// Its public URL, verbatim: the audience of its tokens and the `resource` of its metadata.
    pub resource: String,
    /// Host and port of `resource`, lower case, a default port left out.
    pub authority: String,
    /// The path of `resource`, empty for the root.
    pub resource_path: String,
    /// The request paths that are its own.
    pub paths: Vec<String>,
    /// Whether `Host` may choose it (the warning in `docs/` applies).
    pub match_host: bool,
    /// The names of the issuers whose tokens it accepts.
    pub issuers: Vec<String>,
    /// The absolute URL of its metadata.
    pub metadata_url: String,
    /// Its metadata document.
    pub metadata: String,
    /// The scopes it publishes, in order.
    pub scopes_supported: Vec<String>,
    /// The scopes that a challenge for more of them may name: those, and such as are asked for only when needed.
    pub challengeable: Vec<String>,
    /// The origins that browsers may call it from.
    pub allowed_origins: Vec<String>,
    /// How denials of a message are answered.
    pub denials: Denials,
    /// Whether the token goes upstream.
    pub forward_token: bool,
    /// Whether the proxy's text form of a body is good enough.
    pub accept_text_body: bool,
    /// How it takes tokens that are bound to their sender.
    pub sender: SenderRules,
    /// Whether a challenge repeats the scopes that the token already has.
    pub challenge_held: bool,
    /// Whether a stream ends with the token that opened it.
    pub end_streams_at_expiry: bool,
    /// Its tools and further methods, as policies see them.
    pub model: ServerModel,
}

/// How the denial of a message is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denials {
    /// In the message to clients of the older era, whose connection one HTTP error can break; by status to newer ones.
    Auto,
    /// Always by HTTP status.
    Http,
    /// Always in the message, with HTTP 200.
    JsonRpc,
}

/// What a request's path is to the server that it reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The MCP endpoint.
    Endpoint,
    /// The metadata of the resource.
    Metadata,
}

/// The server that `context` is for, and what its path is there. The server named by the route or the listener counts
/// before anything that the client could choose; `Host` counts only for servers that say so.
pub fn route<'a>(servers: &'a [Server], context: &RequestContext) -> Option<(&'a Server, Place)> {
    let path = path_only(&context.path)?;
    if let Some(name) = &context.server {
        let server = servers.iter().find(|server| server.name.as_bytes() == name.as_ref())?;
        return server
            .place(path)
            .or_else(|| (path == WELL_KNOWN).then_some(Place::Metadata))
            .map(|place| (server, place));
    }
    let authority = authority(&context.host)?;
    let mut here = servers.iter().filter(|server| server.match_host && server.authority == authority);
    if path == WELL_KNOWN {
        // The root form names no resource, so it can speak only for a host's single one.
        let only = here.next()?;
        return here.next().is_none().then_some((only, Place::Metadata));
    }
    here.find_map(|server| server.place(path).map(|place| (server, place)))
}

impl Server {
    /// The public URL of a request for this server, without its query. Where the proxy is known to rewrite paths (the path
    /// of `resource` is not among `paths`) every request is one for `resource`.
    pub fn public_url<'a>(&'a self, context: &'a RequestContext) -> Cow<'a, str> {
        let own = if self.resource_path.is_empty() { "/" } else { &self.resource_path };
        match path_only(&context.path) {
            Some(path) if path != own && self.paths.iter().any(|known| known == own) => {
                let origin = self.resource.strip_suffix(own).unwrap_or(&self.resource);
                Cow::Owned(format!("{origin}{path}"))
            }
            Some(_) | None => Cow::Borrowed(&self.resource),
        }
    }

    fn place(&self, path: &str) -> Option<Place> {
        if self.paths.iter().any(|own| own == path) {
            return Some(Place::Endpoint);
        }
        let suffix = path.strip_prefix(WELL_KNOWN)?;
        (suffix == self.resource_path).then_some(Place::Metadata)
    }
}

/// The path without its query; `None` if it is not text, which no configured path is.
fn path_only(path: &Bytes) -> Option<&str> {
    let text = std::str::from_utf8(path).ok()?;
    Some(text.split_once('?').map_or(text, |(path, _)| path))
}

/// A `Host` value as servers compare it: lower case, a default port left out.
pub fn authority(host: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(host).ok()?;
    let text = text.strip_suffix(":443").or_else(|| text.strip_suffix(":80")).unwrap_or(text);
    let lower = text.bytes().any(|byte| byte.is_ascii_uppercase());
    Some(if lower { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) })
}
