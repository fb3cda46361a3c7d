//! Requests as Envoy 1.40 puts them: a test says what is different about one.

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::service::auth::v3 as published;
use envoy_types::pb::google::protobuf::Timestamp;
use prost::Message;
use serde_json::{Value, json};
use toolgate::envoy::wire::attribute_context::{Entry, HttpRequest, Peer, Request};
use toolgate::envoy::wire::header_map::Header;
use toolgate::envoy::wire::{Address, AttributeContext, CheckRequest, HeaderMap, SocketAddress};

use super::gate::NOW;
use super::people::Token;

/// The older revision that requests speak unless they say otherwise.
pub(crate) const LEGACY: &str = "2025-11-25";
/// The newer one.
pub(crate) const MODERN: &str = "2026-07-28";
/// Envoy's id of every request here.
pub(crate) const REQUEST_ID: &str = "1639ff41-5d47-4573-9cff-4c41d147abf7";
/// Where every request here comes from, unless it says otherwise.
pub(crate) const CALLER: &str = "192.0.2.2";

/// A request to be.
#[derive(Clone)]
pub(crate) struct Ask {
    /// The server that it is meant for.
    pub(crate) server: &'static str,
    pub(crate) method: &'static str,
    /// The number of the listener that it comes by.
    pub(crate) listener: usize,
    path: String,
    host: String,
    /// The values of the context extension `toolgate.server`.
    extensions: Vec<&'static str>,
    headers: Vec<(String, Vec<u8>)>,
    body: Option<Vec<u8>>,
    /// Whether Envoy is told to `encode_raw_headers`.
    raw_headers: bool,
    /// The client's certificate as Envoy hands it over.
    certificate: Bytes,
    changes: Vec<fn(&mut HttpRequest)>,
    /// What goes over the wire in place of all this.
    instead: Option<Vec<u8>>,
}

/// A request without a body to the server's endpoint, by the route that names it.
pub(crate) fn bare(method: &'static str, server: &'static str) -> Ask {
    let (host, path) = match server {
        "notes" => ("notes.example.com", "/mcp".to_owned()),
        _ => ("mcp.example.com", format!("/{server}")),
    };
    let ask = Ask {
        server,
        method,
        listener: 0,
        path,
        host: host.to_owned(),
        extensions: vec![server],
        headers: Vec::new(),
        body: None,
        raw_headers: false,
        certificate: Bytes::new(),
        changes: Vec::new(),
        instead: None,
    };
    ask.add("user-agent", "curl/7.88.1")
        .add("accept", "application/json, text/event-stream")
        .add("x-forwarded-for", CALLER)
        .add("x-forwarded-proto", "https")
        .add("x-request-id", REQUEST_ID)
}

/// A POST of these bytes.
pub(crate) fn post(server: &'static str, body: impl Into<Vec<u8>>) -> Ask {
    let body = body.into();
    let length = body.len().to_string();
    let mut ask = bare("POST", server).add("content-type", "application/json").add("content-length", length);
    ask.body = Some(body);
    ask.add("x-envoy-auth-partial-body", "false")
}

/// The request number 1 as the older revisions put it.
pub(crate) fn legacy(server: &'static str, method: &str, params: Value) -> Ask {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    post(server, body.to_string()).add("mcp-protocol-version", LEGACY)
}

/// The request number 1 as the newer revision puts it: what it is, is said in its headers too.
pub(crate) fn modern(server: &'static str, method: &str, mut params: Value) -> Ask {
    params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": MODERN});
    let name = ["name", "uri", "taskId"].into_iter().find_map(|field| params[field].as_str().map(str::to_owned));
    let ask = legacy(server, method, params).header("mcp-protocol-version", MODERN).add("mcp-method", method);
    match name {
        Some(name) => ask.add("mcp-name", name),
        None => ask,
    }
}

/// A notification, which has no id.
pub(crate) fn notify(server: &'static str, method: &str) -> Ask {
    post(server, json!({"jsonrpc": "2.0", "method": method}).to_string()).add("mcp-protocol-version", LEGACY)
}

/// A call of a tool, in the older era.
pub(crate) fn call(server: &'static str, tool: &str, arguments: Value) -> Ask {
    legacy(server, "tools/call", json!({"name": tool, "arguments": arguments}))
}

/// The same in the newer one.
pub(crate) fn modern_call(server: &'static str, tool: &str, arguments: Value) -> Ask {
    modern(server, "tools/call", json!({"name": tool, "arguments": arguments}))
}

/// Not even a request.
pub(crate) fn raw(message: impl Into<Vec<u8>>) -> Ask {
    Ask { instead: Some(message.into()), ..bare("", "weather") }
}

impl Ask {
    pub(crate) fn by(self, token: &Token) -> Self {
        self.header("authorization", format!("Bearer {}", token.text()))
    }

    /// One more header line, even if there is one of that name.
    pub(crate) fn add(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// This header line in place of any of that name.
    pub(crate) fn header(self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.without(name).add(name, value)
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(own, _)| own != name);
        self
    }

    pub(crate) fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    pub(crate) fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    pub(crate) fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// With these context extensions `toolgate.server`, which are none if the host is to choose.
    pub(crate) fn extensions(mut self, servers: &[&'static str]) -> Self {
        self.extensions = servers.to_vec();
        self
    }

    pub(crate) fn listener(mut self, number: usize) -> Self {
        self.listener = number;
        self
    }

    /// As Envoy puts it when told to `encode_raw_headers`: lines apart, bytes exact.
    pub(crate) fn raw_headers(mut self) -> Self {
        self.raw_headers = true;
        self
    }

    /// Over a connection with this certificate.
    pub(crate) fn certificate(mut self, certificate: &str) -> Self {
        self.certificate = certificate.to_owned().into();
        self
    }

    /// With something changed that Envoy itself says.
    pub(crate) fn but(mut self, change: fn(&mut HttpRequest)) -> Self {
        self.changes.push(change);
        self
    }

    /// The revision that its header names.
    pub(crate) fn version(&self) -> String {
        let header = self.headers.iter().find(|(name, _)| name == "mcp-protocol-version");
        header.map_or(String::new(), |(_, value)| String::from_utf8(value.clone()).unwrap())
    }

    /// The message as it goes over the wire.
    pub(crate) fn encode(&self) -> Bytes {
        if let Some(message) = &self.instead {
            return message.clone().into();
        }
        let mut bytes = self.message().encode_to_vec();
        // Two messages in a row are one to protobuf: this adds what Envoy also says and toolgate does not read.
        surroundings().encode(&mut bytes).unwrap();
        bytes.into()
    }

    /// The message, as far as toolgate reads it.
    pub(crate) fn message(&self) -> CheckRequest {
        let mut http = HttpRequest {
            id: "9544358273862603487".into(),
            method: self.method.into(),
            path: self.path.clone().into(),
            host: self.host.clone().into(),
            size: self.body.as_ref().map_or(0, |body| i64::try_from(body.len()).unwrap()),
            raw_body: self.body.clone().unwrap_or_default().into(),
            ..HttpRequest::default()
        };
        if self.raw_headers {
            let lines = self.lines().into_iter();
            let headers = lines.map(|(key, value)| Header { key, value: Bytes::new(), raw_value: value }).collect();
            http.header_map = Some(HeaderMap { headers });
        } else {
            http.headers = joined(self.lines());
        }
        for change in &self.changes {
            change(&mut http);
        }
        let extension = |server: &&'static str| Entry { key: "toolgate.server".into(), value: (*server).into() };
        let peer = SocketAddress { address: "127.0.0.1".into() };
        let attributes = AttributeContext {
            source: Some(Peer {
                address: Some(Address { socket_address: Some(peer) }),
                certificate: self.certificate.clone(),
            }),
            request: Some(Request { http: Some(http) }),
            context_extensions: self.extensions.iter().map(extension).collect(),
        };
        CheckRequest { attributes: Some(attributes) }
    }

    fn lines(&self) -> Vec<(Bytes, Bytes)> {
        let pseudo =
            [(":authority", &*self.host), (":method", self.method), (":path", &*self.path), (":scheme", "https")];
        let pseudo = pseudo.map(|(name, value)| (Bytes::from(name), Bytes::from(value.to_owned())));
        let own = self.headers.iter().map(|(name, value)| (name.clone().into(), value.clone().into()));
        pseudo.into_iter().chain(own).collect()
    }
}

/// The lines as a map: Envoy joins those of one name with a comma.
fn joined(lines: Vec<(Bytes, Bytes)>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for (key, value) in lines {
        match entries.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => entry.value = [&entry.value[..], b",", &value[..]].concat().into(),
            None => entries.push(Entry { key, value }),
        }
    }
    entries
}

/// What Envoy says besides, in the published definitions.
fn surroundings() -> published::CheckRequest {
    use published::attribute_context::{HttpRequest, Peer, Request};
    let socket = core::SocketAddress {
        address: "127.0.0.1".to_owned(),
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(10000)),
        ..core::SocketAddress::default()
    };
    let address = core::Address { address: Some(core::address::Address::SocketAddress(socket)) };
    let http = HttpRequest { scheme: "https".to_owned(), protocol: "HTTP/1.1".to_owned(), ..HttpRequest::default() };
    let time = Timestamp { seconds: NOW, nanos: 204_494_000 };
    published::CheckRequest {
        attributes: Some(published::AttributeContext {
            destination: Some(Peer { address: Some(address), ..Peer::default() }),
            request: Some(Request { time: Some(time), http: Some(http) }),
            metadata_context: Some(core::Metadata::default()),
            route_metadata_context: Some(core::Metadata::default()),
            ..published::AttributeContext::default()
        }),
    }
}
