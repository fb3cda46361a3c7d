//! Floor 0: plain data. What Envoy says of one HTTP request, before anything is believed.
//!
//! Everything here is a caller's bytes: no field is UTF-8 until somebody has checked it, and no header is unique until
//! [`Headers::single`] has said so.

use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;

/// A moment in milliseconds since the Unix epoch. Every clock reading of the decision path is one of these, read once
/// per request by the caller of the deciding functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime {
    millis: i64,
}

impl UnixTime {
    /// The moment `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self { millis }
    }

    /// The moment `seconds` after the epoch, saturating at the ends of the range.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self { millis: seconds.saturating_mul(1000) }
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.millis
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.millis.div_euclid(1000)
    }
}

/// One HTTP request as the proxy describes it (`envoy.service.auth.v3.AttributeContext`). Its `Debug` hides what may be
/// secret: the query, the values of headers, the body.
#[derive(Clone)]
pub struct RequestContext {
    /// The server that the listener is bound to, or else the route's context extension `toolgate.server` names.
    /// A client can set neither.
    pub server: Option<Bytes>,
    /// The HTTP method, as sent.
    pub method: Bytes,
    /// The request target with its query, as it goes upstream.
    pub path: Bytes,
    /// `:authority` or `Host`.
    pub host: Bytes,
    /// All headers that the proxy passed.
    pub headers: Headers,
    /// The body, and how much of it can be trusted to be what goes upstream.
    pub body: Body,
    /// The address of the proxy's peer: behind another proxy that is the other proxy.
    pub peer: Option<IpAddr>,
    /// The certificate of the proxy's peer as the proxy hands it over: PEM, percent-encoded; empty if there is none.
    pub certificate: Bytes,
    /// The proxy's id of this request; a retry carries the same one. No client can choose it.
    pub id: Bytes,
}

impl RequestContext {
    /// A request of which nothing could be read.
    pub fn unread() -> Self {
        let nothing = Bytes::new;
        Self {
            server: None,
            method: nothing(),
            path: nothing(),
            host: nothing(),
            headers: Headers::default(),
            body: Body::Absent,
            peer: None,
            certificate: nothing(),
            id: nothing(),
        }
    }
}

/// What is known of a request's body. Its `Debug` gives the length alone.
#[derive(Clone, PartialEq, Eq)]
pub enum Body {
    /// The request has none.
    Absent,
    /// Byte for byte what goes upstream.
    Complete(Bytes),
    /// The proxy's text form, in which it replaces bytes that are not UTF-8: the upstream may see other bytes.
    Text(Bytes),
    /// The proxy kept only a prefix.
    Truncated,
    /// The lengths that the proxy and the client state do not agree with the bytes.
    LengthMismatch,
    /// The proxy passes only some headers (it leaves out its own mark beside a body), so what toolgate cannot see it
    /// could not remove.
    HeadersFiltered,
}

/// The headers of a request, in order, repeats kept where the proxy keeps them. Their `Debug` gives the names alone.
#[derive(Clone, Default)]
pub struct Headers(Vec<(Bytes, Bytes)>);

/// A header that must stand alone was sent more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeated;

impl Headers {
    /// Takes the pairs as they came.
    pub fn new(pairs: Vec<(Bytes, Bytes)>) -> Self {
        Self(pairs)
    }

    /// All pairs, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// Every value of the header `name`; names compare without ASCII case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Bytes> {
        self.0.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// The one value of the header `name`, if it was sent.
    ///
    /// # Errors
    /// [`Repeated`] if it was sent twice; a comma inside one value is the caller's to judge.
    pub fn single<'a>(&'a self, name: &'a str) -> Result<Option<&'a Bytes>, Repeated> {
        let mut values = self.all(name);
        let first = values.next();
        if values.next().is_some() { Err(Repeated) } else { Ok(first) }
    }

    /// The headers `name` alone, in memory of their own: those of a request share that of its whole message.
    pub fn only(&self, name: &'static str) -> Self {
        let copied = self.all(name).map(|value| (Bytes::from_static(name.as_bytes()), Bytes::copy_from_slice(value)));
        Self(copied.collect())
    }
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.split(|byte| *byte == b'?').next().unwrap_or_default();
        f.debug_struct("RequestContext")
            .field("server", &self.server)
            .field("method", &self.method)
            .field("path", &path.escape_ascii().to_string())
            .field("host", &self.host)
            .field("headers", &self.headers)
            .field("body", &self.body)
            .field("peer", &self.peer)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("Absent"),
            Self::Complete(bytes) => write!(f, "Complete({} bytes)", bytes.len()),
            Self::Text(bytes) => write!(f, "Text({} bytes)", bytes.len()),
            Self::Truncated => f.write_str("Truncated"),
            Self::LengthMismatch => f.write_str("LengthMismatch"),
            Self::HeadersFiltered => f.write_str("HeadersFiltered"),
        }
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_shown() {
        let context = RequestContext {
            path: "/desk?access_token=s3cret".into(),
            headers: headers(&[("authorization", "Bearer s3cret")]),
            body: Body::Complete("s3cret".into()),
            certificate: "s3cret".into(),
            ..RequestContext::unread()
        };
        let shown = format!("{context:?} {:?}", Body::Text("s3cret".into()));
        assert!(shown.contains("/desk") && shown.contains("authorization"), "{shown}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> Headers {
        Headers::new(
            pairs.iter().map(|(k, v)| (Bytes::from_static(k.as_bytes()), Bytes::from_static(v.as_bytes()))).collect(),
        )
    }

    #[test]
    fn a_single_header_is_found_without_case() {
        let headers = headers(&[("Content-Type", "a"), ("x", "b")]);
        assert_eq!(headers.single("content-type"), Ok(Some(&Bytes::from_static(b"a"))));
        assert_eq!(headers.single("y"), Ok(None));
    }

    #[test]
    fn a_repeated_header_is_an_error_in_any_case() {
        assert_eq!(headers(&[("X", "a"), ("x", "b")]).single("x"), Err(Repeated));
    }

    #[test]
    fn seconds_round_down_before_the_epoch() {
        assert_eq!(UnixTime::from_millis(-1).seconds(), -1);
        assert_eq!(UnixTime::from_seconds(i64::MAX).millis(), i64::MAX);
    }
}
