//! The definitions in `proto/` against the published ones: what either side writes, the other reads as the same thing.

use std::collections::HashMap;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3 as their_core;
use envoy_types::pb::envoy::service::auth::v3 as theirs;
use envoy_types::pb::envoy::r#type::v3 as their_type;
use envoy_types::pb::google::protobuf::{BoolValue, ListValue, Struct, Timestamp, Value, value};
use envoy_types::pb::google::rpc::Status as TheirStatus;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use prost::Message;
use theirs::attribute_context as their_context;
use toolgate::envoy::wire::attribute_context::{Entry, HttpRequest, Peer, Request};
use toolgate::envoy::wire::check_response::HttpResponse;
use toolgate::envoy::wire::header_map::Header;
use toolgate::envoy::wire::{
    Address, AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, HeaderMap, HeaderValue,
    HeaderValueOption, HttpStatus, Incoming, OkHttpResponse, RawCheck, RpcStatus, SocketAddress,
};

// ---- any value of ours, in UTF-8 ----

fn text() -> impl Strategy<Value = Bytes> {
    "\\PC{0,6}".prop_map(Bytes::from)
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let entry = |(key, value): (String, Bytes)| Entry { key: key.into(), value };
    btree_map("[a-z:-]{0,4}", text(), 0..5).prop_map(move |map| map.into_iter().map(entry).collect())
}

fn header_map() -> impl Strategy<Value = HeaderMap> {
    let header = (text(), text(), vec(any::<u8>(), 0..6)).prop_map(|(key, value, raw)| Header {
        key,
        value,
        raw_value: raw.into(),
    });
    vec(header, 0..5).prop_map(|headers| HeaderMap { headers })
}

prop_compose! {
    fn http_request()(
        [id, method, path, host, body] in [text(), text(), text(), text(), text()],
        headers in entries(), size in any::<i64>(), raw_body in vec(any::<u8>(), 0..20),
        header_map in option::of(header_map()),
    ) -> HttpRequest {
        HttpRequest { id, method, headers, path, host, size, body, raw_body: raw_body.into(), header_map }
    }
}

fn peer() -> impl Strategy<Value = Peer> {
    let socket = option::of(text().prop_map(|address| SocketAddress { address }));
    let address = option::of(socket.prop_map(|socket_address| Address { socket_address }));
    (address, text()).prop_map(|(address, certificate)| Peer { address, certificate })
}

fn check_request() -> impl Strategy<Value = CheckRequest> {
    let request = option::of(option::of(http_request()).prop_map(|http| Request { http }));
    let attributes = (option::of(peer()), request, entries())
        .prop_map(|(source, request, context_extensions)| AttributeContext { source, request, context_extensions });
    option::of(attributes).prop_map(|attributes| CheckRequest { attributes })
}

fn header_options() -> impl Strategy<Value = Vec<HeaderValueOption>> {
    let header = ("\\PC{0,6}", "\\PC{0,6}").prop_map(|(key, value)| HeaderValue { key, value });
    let option = (option::of(header), option::of(any::<bool>()));
    vec(option.prop_map(|(header, append)| HeaderValueOption { header, append }), 0..4)
}

fn http_response() -> impl Strategy<Value = HttpResponse> {
    let status = option::of(any::<i32>().prop_map(|code| HttpStatus { code }));
    let denied = (status, header_options(), "\\PC{0,9}").prop_map(|(status, headers, body)| DeniedHttpResponse {
        status,
        headers,
        body,
    });
    let ok = (header_options(), vec("\\PC{0,6}", 0..3))
        .prop_map(|(headers, headers_to_remove)| OkHttpResponse { headers, headers_to_remove });
    prop_oneof![denied.prop_map(HttpResponse::DeniedResponse), ok.prop_map(HttpResponse::OkResponse)]
}

fn metadata() -> impl Strategy<Value = Struct> {
    let kind = prop_oneof![
        any::<bool>().prop_map(value::Kind::BoolValue),
        (-1e9..1e9).prop_map(value::Kind::NumberValue),
        "\\PC{0,6}".prop_map(value::Kind::StringValue),
        "\\PC{0,6}".prop_map(|text| {
            let item = Value { kind: Some(value::Kind::StringValue(text)) };
            value::Kind::ListValue(ListValue { values: vec![item] })
        }),
    ];
    btree_map("[a-z]{1,4}", kind.prop_map(|kind| Value { kind: Some(kind) }), 0..4)
        .prop_map(|fields| Struct { fields: fields.into_iter().collect() })
}

prop_compose! {
    fn check_response()(
        status in option::of((any::<i32>(), "\\PC{0,6}").prop_map(|(code, message)| RpcStatus { code, message })),
        http_response in option::of(http_response()),
        metadata in option::of(metadata()),
    ) -> CheckResponse {
        let dynamic_metadata = metadata.map(|theirs| read::<prost_types::Struct>(&theirs.encode_to_vec()));
        CheckResponse { status, http_response, dynamic_metadata }
    }
}

// ---- the same value of theirs, field by field ----

fn utf8(bytes: Bytes) -> String {
    String::from_utf8(bytes.into()).unwrap()
}

fn map(entries: Vec<Entry>) -> HashMap<String, String> {
    entries.into_iter().map(|Entry { key, value }| (utf8(key), utf8(value))).collect()
}

fn their_headers(HeaderMap { headers }: HeaderMap) -> their_core::HeaderMap {
    let header = |Header { key, value, raw_value }| their_core::HeaderValue {
        key: utf8(key),
        value: utf8(value),
        raw_value: raw_value.into(),
    };
    their_core::HeaderMap { headers: headers.into_iter().map(header).collect() }
}

fn their_http(http: HttpRequest) -> their_context::HttpRequest {
    let HttpRequest { id, method, headers, path, host, size, body, raw_body, header_map } = http;
    their_context::HttpRequest {
        id: utf8(id),
        method: utf8(method),
        headers: map(headers),
        path: utf8(path),
        host: utf8(host),
        size,
        body: utf8(body),
        raw_body: raw_body.into(),
        header_map: header_map.map(their_headers),
        ..Default::default()
    }
}

fn their_peer(Peer { address, certificate }: Peer) -> their_context::Peer {
    let socket = |SocketAddress { address }| {
        their_core::address::Address::SocketAddress(their_core::SocketAddress {
            address: utf8(address),
            ..Default::default()
        })
    };
    let address = address.map(|Address { socket_address }| their_core::Address { address: socket_address.map(socket) });
    their_context::Peer { address, certificate: utf8(certificate), ..Default::default() }
}

fn their_request(CheckRequest { attributes }: CheckRequest) -> theirs::CheckRequest {
    let context = |AttributeContext { source, request, context_extensions }| theirs::AttributeContext {
        source: source.map(their_peer),
        request: request.map(|Request { http }| their_context::Request { time: None, http: http.map(their_http) }),
        context_extensions: map(context_extensions),
        ..Default::default()
    };
    theirs::CheckRequest { attributes: attributes.map(context) }
}

#[expect(deprecated, reason = "`append` is the one of the two that Envoy honours for a denial")]
fn their_options(options: Vec<HeaderValueOption>) -> Vec<their_core::HeaderValueOption> {
    let option = |HeaderValueOption { header, append }| their_core::HeaderValueOption {
        header: header.map(|HeaderValue { key, value }| their_core::HeaderValue { key, value, ..Default::default() }),
        append: append.map(|value| BoolValue { value }),
        ..Default::default()
    };
    options.into_iter().map(option).collect()
}

fn their_response(response: CheckResponse) -> theirs::CheckResponse {
    let CheckResponse { status, http_response, dynamic_metadata } = response;
    let http_response = http_response.map(|response| match response {
        HttpResponse::DeniedResponse(DeniedHttpResponse { status, headers, body }) => {
            theirs::check_response::HttpResponse::DeniedResponse(theirs::DeniedHttpResponse {
                status: status.map(|HttpStatus { code }| their_type::HttpStatus { code }),
                headers: their_options(headers),
                body,
            })
        }
        HttpResponse::OkResponse(OkHttpResponse { headers, headers_to_remove }) => {
            theirs::check_response::HttpResponse::OkResponse(theirs::OkHttpResponse {
                headers: their_options(headers),
                headers_to_remove,
                ..Default::default()
            })
        }
    });
    theirs::CheckResponse {
        status: status.map(|RpcStatus { code, message }| TheirStatus { code, message, details: Vec::new() }),
        http_response,
        dynamic_metadata: dynamic_metadata.map(|ours| read(&ours.encode_to_vec())),
    }
}

// ---- the laws ----

fn read<M: Message + Default>(bytes: &[u8]) -> M {
    M::decode(bytes).unwrap()
}

/// A map has no order on the wire.
fn sorted(mut request: CheckRequest) -> CheckRequest {
    if let Some(attributes) = &mut request.attributes {
        attributes.context_extensions.sort_by(|a, b| a.key.cmp(&b.key));
        if let Some(http) = attributes.request.as_mut().and_then(|request| request.http.as_mut()) {
            http.headers.sort_by(|a, b| a.key.cmp(&b.key));
        }
    }
    request
}

proptest! {
    #[test]
    fn a_request_is_the_same_in_both_definitions(ours in check_request()) {
        let theirs = their_request(ours.clone());
        prop_assert_eq!(&read::<theirs::CheckRequest>(&ours.encode_to_vec()), &theirs);
        prop_assert_eq!(sorted(read(&theirs.encode_to_vec())), sorted(ours));
    }

    #[test]
    fn a_response_is_the_same_in_both_definitions(ours in check_response()) {
        let theirs = their_response(ours.clone());
        prop_assert_eq!(&read::<theirs::CheckResponse>(&ours.encode_to_vec()), &theirs);
        prop_assert_eq!(read::<CheckResponse>(&theirs.encode_to_vec()), ours);
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in vec(any::<u8>(), 0..200)) {
        let limit = 100;
        let too_large = bytes.len() > limit;
        let read = RawCheck::new(bytes.into()).read(limit);
        prop_assert_eq!(read == Incoming::TooLarge, too_large);
    }
}

#[test]
fn fields_that_are_not_used_are_skipped() {
    let mut theirs = their_request(sample());
    let attributes = theirs.attributes.as_mut().unwrap();
    attributes.destination = Some(their_context::Peer { service: "s".into(), ..Default::default() });
    attributes.metadata_context = Some(Default::default());
    attributes.tls_session = Some(their_context::TlsSession { sni: "s".into() });
    let source = attributes.source.as_mut().unwrap();
    (source.principal, source.certificate) = ("p".into(), "c".into());
    let request = attributes.request.as_mut().unwrap();
    request.time = Some(Timestamp { seconds: 1, nanos: 2 });
    let http = request.http.as_mut().unwrap();
    (http.scheme, http.query, http.fragment, http.protocol) = ("s".into(), "q".into(), "f".into(), "p".into());
    assert_eq!(read::<CheckRequest>(&theirs.encode_to_vec()), sample());
}

/// A request with one of everything.
fn sample() -> CheckRequest {
    let entry = || vec![Entry { key: "k".into(), value: "v".into() }];
    let socket_address = Some(SocketAddress { address: "192.0.2.2".into() });
    let http = HttpRequest { id: "1".into(), headers: entry(), size: 2, raw_body: "{}".into(), ..Default::default() };
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(Peer { address: Some(Address { socket_address }), certificate: "c".into() }),
            request: Some(Request { http: Some(http) }),
            context_extensions: entry(),
        }),
    }
}

#[test]
fn an_empty_message_is_a_request_without_attributes() {
    assert_eq!(RawCheck::default().read(0), Incoming::Request(CheckRequest::default()));
}

#[test]
fn the_limit_is_the_last_length_that_is_read() {
    let message = Bytes::from(sample().encode_to_vec());
    assert_eq!(RawCheck::new(message.clone()).read(message.len()), Incoming::Request(sample()));
    assert_eq!(RawCheck::new(message.clone()).read(message.len() - 1), Incoming::TooLarge);
}

#[test]
fn what_is_no_request_is_undecodable() {
    let whole = sample().encode_to_vec();
    for bytes in [&whole[..whole.len() - 1], b"\x0a\xff", b"\x09", b"\x0a\x01\x08", b"garbage"] {
        assert_eq!(RawCheck::new(Bytes::copy_from_slice(bytes)).read(1000), Incoming::Undecodable, "{bytes:?}");
    }
}

#[test]
fn a_callers_bytes_need_not_be_utf_8() {
    let odd = || Bytes::from_static(b"caf\xe9");
    let mut request = sample();
    let http = request.attributes.as_mut().unwrap().request.as_mut().unwrap().http.as_mut().unwrap();
    (http.id, http.method, http.path, http.host, http.body) = (odd(), odd(), odd(), odd(), odd());
    http.headers.push(Entry { key: odd(), value: odd() });
    http.header_map = Some(HeaderMap { headers: vec![Header { key: odd(), value: odd(), raw_value: odd() }] });
    let bytes = request.encode_to_vec();
    assert!(theirs::CheckRequest::decode(bytes.as_slice()).is_err(), "the published definitions refuse it");
    assert_eq!(RawCheck::new(bytes.into()).read(1000), Incoming::Request(request));
}

#[test]
fn fields_share_the_memory_of_the_message() {
    let message = Bytes::from(sample().encode_to_vec());
    let Incoming::Request(request) = RawCheck::new(message.clone()).read(1000) else { panic!("a request") };
    let http = request.attributes.unwrap().request.unwrap().http.unwrap();
    assert!(message.as_ptr_range().contains(&http.raw_body.as_ptr()));
}
