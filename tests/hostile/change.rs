//! The ways in which a request can be other than it should be.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use toolgate::envoy::wire::attribute_context::{Entry, HttpRequest, Request};
use toolgate::envoy::wire::header_map::Header;
use toolgate::envoy::wire::{AttributeContext, CheckRequest, HeaderMap};

/// One change of a message.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// A part of the message is not there.
    Without(Part),
    /// A field of the HTTP request holds these bytes.
    Field(Index, Bytes),
    /// A field of the HTTP request has a few bytes changed.
    Splice(Index, Splice),
    /// The stated size.
    Size(i64),
    /// The body as text, or as text too.
    Text { keep: bool },
    /// A header line goes.
    NoHeader(Index),
    /// A header line comes again, with this value or its own.
    Doubled(Index, Option<Bytes>),
    /// A header line has a few bytes changed.
    SplicedHeader(Index, Splice),
    /// One more header line.
    Header(Bytes, Bytes),
    /// Another message, whole.
    Message(&'static str),
    /// The headers in their other form; in both, if the first is kept.
    Exact { keep: bool },
    /// One more context extension.
    Extension(Bytes, Bytes),
}

/// What a message can lack.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Attributes,
    Request,
    Http,
    Source,
    Extensions,
    Headers,
    Credential,
}

/// Bytes in place of others.
#[derive(Debug, Clone)]
pub(super) struct Splice {
    at: Index,
    length: usize,
    with: Vec<u8>,
}

impl Splice {
    pub(super) fn apply(&self, bytes: &[u8]) -> Vec<u8> {
        let at = self.at.index(bytes.len() + 1);
        let end = bytes.len().min(at + self.length);
        [&bytes[..at], &self.with, &bytes[end..]].concat()
    }
}

impl Arbitrary for Splice {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let pieces =
            ["", "\"", ",", "{", "[", "\\u0000", "\u{feff}", "\"city\":\"Oslo\",", "\"name\":\"reset\",", "Oslo", ":1"];
        let with =
            prop_oneof![vec(any::<u8>(), 0..4), select(pieces.to_vec()).prop_map(|piece| piece.as_bytes().to_vec())];
        let parts = (any::<Index>(), prop_oneof![0..3usize, 0..200usize], with);
        parts.prop_map(|(at, length, with)| Self { at, length, with }).boxed()
    }
}

pub(super) fn any_change() -> impl Strategy<Value = Change> {
    let part = select(vec![
        Part::Attributes,
        Part::Request,
        Part::Http,
        Part::Source,
        Part::Extensions,
        Part::Headers,
        Part::Credential,
    ]);
    prop_oneof![
        1 => part.prop_map(Change::Without),
        2 => select(MESSAGES.to_vec()).prop_map(Change::Message),
        3 => (any::<Index>(), value()).prop_map(|(field, value)| Change::Field(field, value)),
        6 => (any::<Index>(), any::<Splice>()).prop_map(|(field, splice)| Change::Splice(field, splice)),
        1 => any::<i64>().prop_map(Change::Size),
        1 => any::<bool>().prop_map(|keep| Change::Text { keep }),
        2 => any::<Index>().prop_map(Change::NoHeader),
        2 => (any::<Index>(), proptest::option::of(value())).prop_map(|(line, value)| Change::Doubled(line, value)),
        3 => (any::<Index>(), any::<Splice>()).prop_map(|(line, splice)| Change::SplicedHeader(line, splice)),
        4 => (name(), value()).prop_map(|(name, value)| Change::Header(name, value)),
        2 => any::<bool>().prop_map(|keep| Change::Exact { keep }),
        1 => (name(), value()).prop_map(|(name, value)| Change::Extension(name, value)),
    ]
}

/// Messages that are well-formed, and are not the one call.
const MESSAGES: [&str; 6] = [
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"forecast","arguments":{"city":"Rome"}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"forecast"}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"reset","arguments":{"city":"Oslo"}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"forecast","arguments":{"city":"Oslo"}}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#,
    r#"[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"forecast","arguments":{"city":"Oslo"}}}]"#,
];

/// Names that mean something, and any bytes.
fn name() -> impl Strategy<Value = Bytes> {
    let known = [
        "authorization",
        "Authorization",
        "content-type",
        "content-length",
        "content-encoding",
        "origin",
        "mcp-method",
        "mcp-name",
        "mcp-protocol-version",
        "x-envoy-auth-partial-body",
        "x-toolgate-subject",
        "x_toolgate_role",
        "x-toolgate-\u{e9}\r\nx: y",
        "toolgate.server",
        ":path",
    ];
    prop_oneof![3 => select(known.to_vec()).prop_map(Bytes::from), 1 => bytes()]
}

/// Values that mean something, and any bytes.
fn value() -> impl Strategy<Value = Bytes> {
    let known = [
        "",
        "weather",
        "/weather",
        "/.well-known/oauth-protected-resource",
        "GET",
        "DELETE",
        "OPTIONS",
        "Bearer x",
        "application/json",
        "identity",
        "true",
        "https://app.example.com",
        "2026-07-28",
        "1999-01-01",
        "tools/call",
        "forecast",
        "reset",
    ];
    prop_oneof![2 => select(known.to_vec()).prop_map(Bytes::from), 1 => bytes()]
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![vec(any::<u8>(), 0..20), vec(select(b"\xff\x00\r\n, \"%".to_vec()), 0..6)].prop_map(Bytes::from)
}

impl Change {
    pub(super) fn apply(self, message: &mut CheckRequest) {
        let Some(attributes) = &mut message.attributes else { return };
        match self {
            Self::Without(Part::Attributes) => message.attributes = None,
            Self::Without(part) => without(part, attributes),
            Self::Extension(key, value) => attributes.context_extensions.push(Entry { key, value }),
            change => {
                if let Some(Request { http: Some(http) }) = &mut attributes.request {
                    change.apply_to(http);
                }
            }
        }
    }

    fn apply_to(self, http: &mut HttpRequest) {
        let line = |line: Index, http: &HttpRequest| (!http.headers.is_empty()).then(|| line.index(http.headers.len()));
        match self {
            Self::Field(which, value) => *field(which, http) = value,
            Self::Splice(which, splice) => {
                let field = field(which, http);
                *field = splice.apply(field).into();
            }
            Self::Message(text) => http.raw_body = text.into(),
            Self::Size(size) => http.size = size,
            Self::Text { keep } => {
                http.body = http.raw_body.clone();
                if !keep {
                    http.raw_body.clear();
                }
            }
            Self::NoHeader(which) => drop(line(which, http).map(|at| http.headers.remove(at))),
            Self::Doubled(which, value) => {
                if let Some(Entry { key, value: own }) = line(which, http).map(|at| http.headers[at].clone()) {
                    http.headers.push(Entry { key, value: value.unwrap_or(own) });
                }
            }
            Self::SplicedHeader(which, splice) => {
                if let Some(entry) = line(which, http).map(|at| &mut http.headers[at]) {
                    entry.value = splice.apply(&entry.value).into();
                }
            }
            Self::Header(key, value) => http.headers.push(Entry { key, value }),
            Self::Exact { keep } => {
                let exact = |Entry { key, value }: Entry| Header { key, value: Bytes::new(), raw_value: value };
                http.header_map = Some(HeaderMap { headers: http.headers.iter().cloned().map(exact).collect() });
                if !keep {
                    http.headers.clear();
                }
            }
            Self::Without(_) | Self::Extension(..) => {}
        }
    }
}

/// Makes the lengths that are stated those of the body, so that more is looked at than they.
pub(super) fn settle(message: &mut CheckRequest) {
    let request = message.attributes.as_mut().and_then(|attributes| attributes.request.as_mut());
    let Some(http) = request.and_then(|request| request.http.as_mut()) else { return };
    http.size = i64::try_from(http.raw_body.len()).unwrap();
    for entry in http.headers.iter_mut().filter(|entry| entry.key == "content-length") {
        entry.value = http.raw_body.len().to_string().into();
    }
}

fn without(part: Part, attributes: &mut AttributeContext) {
    let http = attributes.request.as_mut().and_then(|request| request.http.as_mut());
    match part {
        Part::Attributes => {}
        Part::Request => attributes.request = None,
        Part::Http => attributes.request = attributes.request.take().map(|_| Request { http: None }),
        Part::Source => attributes.source = None,
        Part::Extensions => attributes.context_extensions.clear(),
        Part::Headers => drop(http.map(|http| http.headers.clear())),
        Part::Credential => drop(http.map(|http| http.headers.retain(|entry| entry.key != "authorization"))),
    }
}

/// One of the fields that hold a caller's bytes; the body, of which there is most to say, more often.
fn field(which: Index, http: &mut HttpRequest) -> &mut Bytes {
    match which.index(8) {
        0 => &mut http.id,
        1 => &mut http.method,
        2 => &mut http.path,
        3 => &mut http.host,
        4 => &mut http.body,
        _ => &mut http.raw_body,
    }
}
