//! What is nobody's request, and what is our own trouble.

use prost::Message;
use serde_json::json;
use toolgate::decision::denial::Reason;
use toolgate::envoy::wire::CheckRequest;

use super::expect::{Answer, Row, row};
use super::table::{body_too_large, internal, no_route, unavailable};
use crate::support::envoy::{Ask, bare, legacy, post, raw};
use crate::support::people::{ANN, ann};

/// Bytes of the largest message.
const MESSAGE_LIMIT: usize = 64 * 1024;

/// Of such a message nothing is known, not even where it is from.
fn unread(answer: Answer) -> Answer {
    answer.no_server().source(None).request("", "")
}

pub(super) fn rows() -> Vec<Row> {
    let undecodable = || unread(internal("the proxy's message cannot be decoded"));
    let too_large = || unread(body_too_large()).nobody();
    let full = |length: usize| {
        // Unknown to protobuf is a field of the number 1000, in three bytes with its length in three more.
        let mut message = vec![0xc2, 0x3e];
        prost::encoding::encode_varint(u64::try_from(length - 5).unwrap(), &mut message);
        message.resize(length, 0);
        raw(message)
    };
    vec![
        row("an empty message", raw(""), unread(no_route())),
        row(
            "a request without attributes",
            raw(CheckRequest { attributes: Some(Default::default()) }.encode_to_vec()),
            unread(no_route()),
        ),
        row("no protobuf", raw("GET / HTTP/1.1\r\n\r\n"), undecodable()),
        row("half a message", raw(half()), undecodable()),
        row("the longest message", full(MESSAGE_LIMIT), unread(no_route())),
        row("a message one byte longer", full(MESSAGE_LIMIT + 1), too_large()),
    ]
}

fn half() -> Vec<u8> {
    let whole = legacy("weather", "ping", json!({})).by(&ann()).encode();
    whole[..whole.len() / 2].to_vec()
}

/// The same gate, on a disk that is full: what cannot be recorded is denied, whatever it would have been.
pub(super) fn rows_without_a_record() -> Vec<Row> {
    let ill = || unavailable(Reason::AuditUnavailable);
    let from_a_page = |ask: Ask| ask.add("origin", "https://app.example.com");
    vec![
        row("an allow", legacy("weather", "ping", json!({})).by(&ann()), ill().who(ANN)),
        row("a denial", bare("GET", "weather").by(&ann()), ill().who(ANN)),
        row("a malformed message", post("weather", "{").by(&ann()), ill().who(ANN)),
        row("no token", legacy("weather", "ping", json!({})), ill()),
        row(
            "for a page",
            from_a_page(legacy("weather", "ping", json!({}))),
            ill().readable_by("https://app.example.com"),
        ),
        row("metadata", bare("GET", "weather").path("/.well-known/oauth-protected-resource/weather"), ill()),
        row("no route", bare("GET", "weather").path("/"), ill().no_server()),
        row("nothing", raw(""), ill().no_server()),
    ]
}
