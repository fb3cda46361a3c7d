//! The request that everything is measured with: `tools/call` of the newest revision with an RS256 token, as Envoy 1.40
//! passes it under `examples/envoy/envoy.yaml` (raw headers, body as bytes).

use std::path::Path;

use envoy_types::pb::envoy::config::core::v3::address::Address as AddressKind;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address, HeaderMap, HeaderValue, Metadata, SocketAddress};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use envoy_types::pb::google::protobuf::Timestamp;
use prost::Message;
use toolgate::clock::Clock;

use crate::tokens::{TestKey, key_set};

/// The file of the encoded message, behind the five bytes of its gRPC frame.
const FRAME: &str = "check.bin";

/// Bytes before the message in a gRPC frame: whether it is compressed, and its length.
const FRAME_HEADER: usize = 5;

/// The tool that is called.
pub(crate) const TOOL: &str = "create_ticket";

const BODY: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"create_ticket","arguments":{"queue":"network","priority":2,"title":"No route to the lab since noon","tags":["lab","vpn"],"notify":true},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"desk-agent","version":"3.4.0"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#;

/// Writes `keys.json` and [`FRAME`] into `folder`.
pub(crate) fn prepare(folder: &Path) {
    let key = TestKey::new("RS256", "2026-11-signing-key");
    let token = key.token(&key.header(), &claims("ada", "5f1c2a90-9f0e-4be0-9a53-7f9f8a"));
    let message = request(&token, TOOL).encode_to_vec();
    let length = u32::try_from(message.len()).unwrap();
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("keys.json"), key_set(&[&key])).unwrap();
    std::fs::write(folder.join(FRAME), [&[0], length.to_be_bytes().as_slice(), &message].concat()).unwrap();
    println!("token {} bytes, body {} bytes, message {length} bytes", token.len(), BODY.len());
}

/// The message that [`prepare`] wrote.
pub(crate) fn message(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join(FRAME)).unwrap().split_off(FRAME_HEADER)
}

/// The claims of somebody with three groups.
pub(crate) fn claims(subject: &str, id: &str) -> String {
    claims_of(subject, id, r#""support","emea","on-call""#)
}

/// The same of somebody with this many groups, named as directories name them, and otherwise one of many.
pub(crate) fn claims_with(subject: &str, groups: usize) -> String {
    let groups: Vec<String> =
        (0..groups).map(|number| format!(r#""{number:08}-9f0e-4be0-9a53-7f9f8a5f1c2a""#)).collect();
    claims_of(subject, subject, &groups.join(","))
}

/// The same with these groups, as they stand in the array.
pub(crate) fn claims_of(subject: &str, id: &str, groups: &str) -> String {
    let now = Clock::System.now().seconds();
    let (issued, expires) = (now - 60, now + 6 * 3600);
    format!(
        r#"{{"iss":"https://id.example.com","sub":"{subject}","aud":"https://mcp.example.com/desk","client_id":"desk-agent","scope":"desk:read desk:write","groups":[{groups}],"iat":{issued},"exp":{expires},"jti":"{id}"}}"#
    )
}

/// The request with this token, for `tool`.
pub(crate) fn request(token: &str, tool: &str) -> CheckRequest {
    let body = BODY.replace(TOOL, tool);
    let length = body.len();
    let headers = [
        (":authority", "mcp.example.com"),
        (":method", "POST"),
        (":path", "/desk"),
        (":scheme", "https"),
        ("accept", "application/json, text/event-stream"),
        ("accept-encoding", "gzip, deflate"),
        ("authorization", &format!("Bearer {token}")),
        ("content-length", &length.to_string()),
        ("content-type", "application/json"),
        ("mcp-method", "tools/call"),
        ("mcp-name", tool),
        ("mcp-protocol-version", "2026-07-28"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("tracestate", "vendor=00f067aa0ba902b7"),
        ("user-agent", "python-httpx/0.28.1"),
        ("x-envoy-auth-partial-body", "false"),
        ("x-envoy-external-address", "192.0.2.17"),
        ("x-forwarded-for", "192.0.2.17"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "1639ff41-5d47-4573-9cff-4c41d147abf7"),
    ];
    let headers = headers.map(|(key, value)| HeaderValue {
        key: key.to_owned(),
        raw_value: value.as_bytes().to_vec(),
        ..HeaderValue::default()
    });
    let http = HttpRequest {
        id: "9544358273862603487".to_owned(),
        method: "POST".to_owned(),
        header_map: Some(HeaderMap { headers: headers.to_vec() }),
        path: "/desk".to_owned(),
        host: "mcp.example.com".to_owned(),
        scheme: "https".to_owned(),
        size: i64::try_from(length).unwrap(),
        protocol: "HTTP/2".to_owned(),
        raw_body: body.into_bytes(),
        ..HttpRequest::default()
    };
    let time = Timestamp { seconds: Clock::System.now().seconds(), nanos: 204_494_000 };
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(peer("192.0.2.17", 38646)),
            destination: Some(peer("127.0.0.1", 10000)),
            request: Some(Request { time: Some(time), http: Some(http) }),
            context_extensions: [("toolgate.server".to_owned(), "desk".to_owned())].into(),
            metadata_context: Some(Metadata::default()),
            route_metadata_context: Some(Metadata::default()),
            ..AttributeContext::default()
        }),
    }
}

fn peer(address: &str, port: u32) -> Peer {
    let socket = SocketAddress {
        address: address.to_owned(),
        port_specifier: Some(PortSpecifier::PortValue(port)),
        ..SocketAddress::default()
    };
    Peer { address: Some(Address { address: Some(AddressKind::SocketAddress(socket)) }), ..Peer::default() }
}
