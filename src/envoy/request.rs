//! From Envoy's words to ours: a [`CheckRequest`] becomes a [`RequestContext`].
//!
//! Every message is taken apart without `..`, so that a field added to `proto/` does not compile until somebody has
//! decided here what it means. Nothing fails: what is missing is empty, and what is doubtful is said in [`Body`].

use std::net::IpAddr;

use bytes::Bytes;

use super::wire::attribute_context::{Entry, HttpRequest, Peer, Request};
use super::wire::header_map::Header;
use super::wire::{Address, AttributeContext, CheckRequest, HeaderMap, SocketAddress};
use crate::context::{Body, Headers, RequestContext};

/// The context extension by which a route names its server.
const SERVER_EXTENSION: &[u8] = b"toolgate.server";

/// Envoy's own header beside every body that it passes: whether that is only a part. Envoy drops a client's.
const PARTIAL_MARK: &str = "x-envoy-auth-partial-body";

/// The request that Envoy asks about, which came by a listener bound to `listener_server`, if it is bound to one.
pub fn context(request: CheckRequest, listener_server: Option<&Bytes>) -> RequestContext {
    let CheckRequest { attributes } = request;
    let AttributeContext { source, request, context_extensions } = attributes.unwrap_or_default();
    let Request { http } = request.unwrap_or_default();
    let HttpRequest { id, method, headers, path, host, size, body: text, raw_body, header_map } =
        http.unwrap_or_default();
    let (headers, complete) = all_headers(headers, header_map);
    let (peer, certificate) = peer(source);
    let body = if complete { body(raw_body, text, size, &headers) } else { Body::HeadersFiltered };
    RequestContext {
        server: listener_server.cloned().or_else(|| named_server(context_extensions)),
        method,
        path,
        host,
        headers,
        body,
        peer,
        certificate,
        id,
    }
}

/// The headers in whichever of its two forms the proxy uses, without pseudo-headers, and whether the proxy passes all:
/// if it was told to pass only some (`allowed_headers`), `:path` goes missing, for nobody lists that.
fn all_headers(joined: Vec<Entry>, exact: Option<HeaderMap>) -> (Headers, bool) {
    let HeaderMap { headers: exact } = exact.unwrap_or_default();
    let mut pairs: Vec<(Bytes, Bytes)> = if exact.is_empty() {
        joined.into_iter().map(|Entry { key, value }| (key, value)).collect()
    } else {
        let pair = |Header { key, value, raw_value }| (key, if raw_value.is_empty() { value } else { raw_value });
        exact.into_iter().map(pair).collect()
    };
    let complete = pairs.iter().any(|(name, _)| name == b":path".as_slice());
    pairs.retain(|(name, _)| !name.starts_with(b":"));
    (Headers::new(pairs), complete)
}

/// What is known of the body, given that all headers are.
fn body(raw: Bytes, text: Bytes, size: i64, headers: &Headers) -> Body {
    let mut marks = headers.all(PARTIAL_MARK);
    let first_mark = marks.next();
    if first_mark.into_iter().chain(marks).any(|mark| mark != b"false".as_slice()) {
        return Body::Truncated;
    }
    let (bytes, of_bytes): (Bytes, fn(Bytes) -> Body) = match (raw.is_empty(), text.is_empty()) {
        (true, true) if agree(0, size, headers) => return Body::Absent,
        (true, true) => return Body::Truncated,
        (false, true) => (raw, Body::Complete),
        (true, false) => (text, Body::Text),
        // Envoy sends one or the other; which of the two goes upstream is not ours to guess.
        (false, false) => return Body::LengthMismatch,
    };
    if first_mark.is_none() {
        return Body::HeadersFiltered;
    }
    if agree(bytes.len(), size, headers) {
        return of_bytes(bytes);
    }
    // Of a part that just fills its buffer Envoy 1.40 says that it is the whole; only the client's length shows more.
    let declared = headers.single("content-length").ok().flatten().and_then(|value| decimal(value));
    if declared.is_some_and(|declared| declared > bytes.len()) { Body::Truncated } else { Body::LengthMismatch }
}

/// Whether the proxy's `size` (0 says nothing) and the client's `content-length`, if sent, both state `length`.
fn agree(length: usize, size: i64, headers: &Headers) -> bool {
    let by_client = match headers.single("content-length") {
        Ok(Some(value)) => decimal(value) == Some(length),
        Ok(None) => true,
        Err(_) => false,
    };
    by_client && (size == 0 || usize::try_from(size) == Ok(length))
}

/// A number in digits alone, as RFC 9110 §8.6 has it (the standard parser would take a sign).
fn decimal(value: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(value).ok()?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// The server that the route names. Named twice it is the empty name, which no server has: neither of the two may be
/// taken, and neither may the `Host` header decide instead.
fn named_server(extensions: Vec<Entry>) -> Option<Bytes> {
    let mut names = extensions.into_iter().filter(|Entry { key, .. }| key == SERVER_EXTENSION);
    let Entry { key: _, value } = names.next()?;
    Some(if names.next().is_some() { Bytes::new() } else { value })
}

/// The peer's IP address and its certificate.
fn peer(source: Option<Peer>) -> (Option<IpAddr>, Bytes) {
    let Peer { address, certificate } = source.unwrap_or_default();
    (ip(address), certificate)
}

/// An IPv4 address mapped into IPv6 is that IPv4 address.
fn ip(address: Option<Address>) -> Option<IpAddr> {
    let Address { socket_address } = address?;
    let SocketAddress { address } = socket_address?;
    let ip: IpAddr = std::str::from_utf8(&address).ok()?.parse().ok()?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests;
