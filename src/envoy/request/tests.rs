use proptest::prelude::*;

use super::*;

const PATH: (&str, &str) = (":path", "/mcp");
const WHOLE: (&str, &str) = (PARTIAL_MARK, "false");
const PART: (&str, &str) = (PARTIAL_MARK, "true");

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn entries(pairs: &[(&str, &str)]) -> Vec<Entry> {
    pairs.iter().map(|(key, value)| Entry { key: bytes(key), value: bytes(value) }).collect()
}

fn exact(pairs: &[(&str, &str)]) -> Option<HeaderMap> {
    let header = |(key, value): &(&str, &str)| Header { key: bytes(key), value: Bytes::new(), raw_value: bytes(value) };
    Some(HeaderMap { headers: pairs.iter().map(header).collect() })
}

fn about(http: HttpRequest) -> CheckRequest {
    let request = Some(Request { http: Some(http) });
    CheckRequest { attributes: Some(AttributeContext { request, ..AttributeContext::default() }) }
}

fn shown(headers: &Headers) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    headers.iter().map(|(name, value)| (text(name), text(value))).collect()
}

/// Checks the body in both forms of the headers.
#[track_caller]
fn judged(http: HttpRequest, headers: &[(&str, &str)], expected: &Body) {
    let joined = HttpRequest { headers: entries(headers), ..http.clone() };
    assert_eq!(context(about(joined), None).body, *expected, "joined headers {headers:?}");
    let raw = HttpRequest { header_map: exact(headers), ..http };
    assert_eq!(context(about(raw), None).body, *expected, "exact headers {headers:?}");
}

fn raw(body: &str, size: i64) -> HttpRequest {
    HttpRequest { raw_body: bytes(body), size, ..HttpRequest::default() }
}

fn text(body: &str, size: i64) -> HttpRequest {
    HttpRequest { body: bytes(body), size, ..HttpRequest::default() }
}

#[test]
fn a_body_is_complete_only_if_every_statement_about_it_agrees() {
    let complete = Body::Complete(bytes("abcd"));
    judged(raw("abcd", 4), &[PATH, WHOLE], &complete);
    judged(raw("abcd", 4), &[PATH, WHOLE, ("content-length", "4")], &complete);
    judged(raw("abcd", 0), &[PATH, WHOLE], &complete);
    for size in [3, 5, -1, i64::MIN, i64::MAX] {
        judged(raw("abcd", size), &[PATH, WHOLE], &Body::LengthMismatch);
        judged(text("abcd", size), &[PATH, WHOLE], &Body::LengthMismatch);
    }
    for length in ["3", "", "+4", "-4", "4,4", " 4", "0x4", "4.0", "18446744073709551620"] {
        judged(raw("abcd", 4), &[PATH, WHOLE, ("content-length", length)], &Body::LengthMismatch);
    }
    judged(raw("abcd", 4), &[PATH, WHOLE, ("content-length", "4"), ("Content-Length", "4")], &Body::LengthMismatch);
}

#[test]
fn a_body_that_goes_on_after_a_full_buffer_is_truncated() {
    judged(raw("abcd", 4), &[PATH, WHOLE, ("content-length", "5")], &Body::Truncated);
    judged(text("abcd", 4), &[PATH, WHOLE, ("content-length", "5")], &Body::Truncated);
}

#[test]
fn text_is_told_apart_and_never_beside_bytes() {
    judged(text("abcd", 4), &[PATH, WHOLE], &Body::Text(bytes("abcd")));
    judged(text("abcd", 4), &[PATH, WHOLE, ("content-length", "3")], &Body::LengthMismatch);
    let both = HttpRequest { body: bytes("abcd"), ..raw("abcd", 4) };
    judged(both, &[PATH, WHOLE], &Body::LengthMismatch);
}

#[test]
fn a_part_is_truncated_whatever_else_is_said() {
    judged(raw("abcd", 4), &[PATH, PART], &Body::Truncated);
    judged(raw("abcd", 65536), &[PATH, PART, ("content-length", "65536")], &Body::Truncated);
    judged(text("abcd", 4), &[PATH, PART], &Body::Truncated);
    judged(raw("", 0), &[PATH, PART], &Body::Truncated);
    judged(raw("abcd", 4), &[PATH, WHOLE, PART], &Body::Truncated);
    judged(raw("abcd", 4), &[PATH, (PARTIAL_MARK, "false,true")], &Body::Truncated);
    judged(raw("abcd", 4), &[PATH, (PARTIAL_MARK, "")], &Body::Truncated);
}

#[test]
fn no_body_is_absent_only_if_nobody_speaks_of_one() {
    judged(raw("", 0), &[PATH], &Body::Absent);
    judged(raw("", 0), &[PATH, WHOLE], &Body::Absent);
    judged(raw("", 0), &[PATH, ("content-length", "0")], &Body::Absent);
    judged(raw("", 7), &[PATH], &Body::Truncated);
    judged(raw("", -1), &[PATH], &Body::Truncated);
    judged(raw("", 0), &[PATH, ("content-length", "7")], &Body::Truncated);
    judged(raw("", 0), &[PATH, ("content-length", "x")], &Body::Truncated);
    judged(raw("", 0), &[PATH, ("content-length", "0"), ("content-length", "0")], &Body::Truncated);
}

#[test]
fn headers_that_the_proxy_keeps_back_are_noticed() {
    judged(raw("abcd", 4), &[PATH], &Body::HeadersFiltered);
    judged(raw("abcd", 4), &[WHOLE], &Body::HeadersFiltered);
    judged(raw("", 0), &[("authorization", "Bearer t")], &Body::HeadersFiltered);
    assert_eq!(context(CheckRequest::default(), None).body, Body::HeadersFiltered);
}

#[test]
fn exact_headers_win_and_pseudo_headers_go() {
    let http = HttpRequest {
        headers: entries(&[PATH, ("x-a", "joined")]),
        header_map: exact(&[PATH, ("x-a", "1"), (":method", "GET"), ("x-a", "2")]),
        ..HttpRequest::default()
    };
    let expected = [("x-a", "1"), ("x-a", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(shown(&context(about(http), None).headers), expected);
}

#[test]
fn joined_headers_serve_where_there_are_no_exact_ones() {
    for header_map in [None, Some(HeaderMap::default())] {
        let http = HttpRequest { headers: entries(&[PATH, ("x-a", "1,2")]), header_map, ..HttpRequest::default() };
        assert_eq!(shown(&context(about(http), None).headers), [("x-a".to_owned(), "1,2".to_owned())]);
    }
}

#[test]
fn an_exact_header_without_bytes_has_its_text() {
    let header = Header { key: bytes("x-a"), value: bytes("text"), raw_value: Bytes::new() };
    let http = HttpRequest { header_map: Some(HeaderMap { headers: vec![header] }), ..HttpRequest::default() };
    assert_eq!(shown(&context(about(http), None).headers), [("x-a".to_owned(), "text".to_owned())]);
}

#[track_caller]
fn served_by(extensions: &[(&str, &str)], listener: Option<&str>, expected: Option<&str>) {
    let attributes = AttributeContext { context_extensions: entries(extensions), ..AttributeContext::default() };
    let found = context(CheckRequest { attributes: Some(attributes) }, listener.map(bytes).as_ref()).server;
    assert_eq!(found, expected.map(bytes), "{extensions:?} by {listener:?}");
}

#[test]
fn the_server_is_the_listeners_or_the_one_that_the_route_names_once() {
    let weather = ("toolgate.server", "weather");
    served_by(&[], None, None);
    served_by(&[("server", "bank"), ("toolgate.serverx", "bank")], None, None);
    served_by(&[("a", "b"), weather], None, Some("weather"));
    served_by(&[weather, ("toolgate.server", "bank")], None, Some(""));
    served_by(&[weather, weather], None, Some(""));
    served_by(&[weather], Some("bank"), Some("bank"));
    served_by(&[], Some("bank"), Some("bank"));
}

#[track_caller]
fn comes_from(address: &[u8], expected: Option<&str>) {
    let socket_address = Some(SocketAddress { address: Bytes::copy_from_slice(address) });
    let source = Some(Peer { address: Some(Address { socket_address }), certificate: Bytes::new() });
    let attributes = AttributeContext { source, ..AttributeContext::default() };
    let found = context(CheckRequest { attributes: Some(attributes) }, None).peer;
    assert_eq!(found, expected.map(|ip| ip.parse().unwrap()), "{address:?}");
}

#[test]
fn the_peer_is_an_ip_address_in_its_plain_form() {
    comes_from(b"192.0.2.2", Some("192.0.2.2"));
    comes_from(b"2001:db8::1", Some("2001:db8::1"));
    comes_from(b"::ffff:192.0.2.2", Some("192.0.2.2"));
    comes_from(b"::1", Some("::1"));
    for no_ip in [b"".as_slice(), b"/run/envoy.sock", b"192.0.2.2:80", b"192.0.2.256", b"\xff"] {
        comes_from(no_ip, None);
    }
    assert_eq!(context(CheckRequest::default(), None).peer, None);
}

#[test]
fn bytes_that_are_not_utf_8_arrive_as_they_are() {
    let odd = Bytes::from_static(b"/caf\xe9");
    let http = HttpRequest { path: odd.clone(), host: odd.clone(), method: odd.clone(), ..HttpRequest::default() };
    let found = context(about(http), None);
    assert_eq!((found.path, found.host, found.method), (odd.clone(), odd.clone(), odd));
}

proptest! {
    /// Whatever is said, what passes for complete is the whole body and of the length that everybody states.
    #[test]
    fn a_complete_body_is_the_whole_body(
        raw_body in "[ab]{0,3}", body in "[ab]{0,3}", size in -1..4_i64,
        length in prop::option::of("[0-4x]"), mark in prop::option::of("true|false|x"), path in any::<bool>(),
    ) {
        let mut headers: Vec<(&str, &str)> = if path { vec![PATH] } else { vec![] };
        headers.extend(length.iter().map(|length| ("content-length", length.as_str())));
        headers.extend(mark.iter().map(|mark| (PARTIAL_MARK, mark.as_str())));
        let http = HttpRequest {
            raw_body: bytes(&raw_body), body: bytes(&body), size, headers: entries(&headers), ..HttpRequest::default()
        };
        let trusted = |content: &str| {
            path && !content.is_empty() && mark.as_deref() == Some("false")
                && [0, content.len() as i64].contains(&size)
                && length.as_ref().is_none_or(|length| *length == content.len().to_string())
        };
        let found = context(about(http), None).body;
        prop_assert_eq!(found == Body::Complete(bytes(&raw_body)), trusted(&raw_body) && body.is_empty());
        prop_assert_eq!(found == Body::Text(bytes(&body)), trusted(&body) && raw_body.is_empty());
        let silent = raw_body.is_empty() && body.is_empty() && size == 0;
        let none = path && silent && length.is_none_or(|length| length == "0") && mark.is_none_or(|mark| mark == "false");
        prop_assert_eq!(found == Body::Absent, none);
    }
}
