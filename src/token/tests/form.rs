//! Tokens that are not one strict compact JWS of two JSON objects.

use super::*;
use crate::json::JsonError;

#[test]
fn what_is_not_three_parts_of_base64url_is_no_token() {
    let good = token(&claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    // 43 and 86 characters leave spare bits in the last one, so that four texts decode to the same bytes.
    let spare = |text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        *bytes.last_mut().unwrap() += 1;
        String::from_utf8(bytes).unwrap()
    };
    for bad in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        header.to_owned(),
        signed.to_owned(),
        format!("{signed}."),
        format!(".{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{header}.{payload}.{payload}.{signature}"),
        format!("{header}.{payload}.{payload}.{payload}.{signature}"),
        ".".repeat(MAX_TOKEN),
        format!("{good}="),
        format!("{good}=="),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}=.{signature}"),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\n"),
        format!("{good}\0"),
        format!("{header}\n.{payload}.{signature}"),
        format!("{header}. {payload}.{signature}"),
        format!("{header}.{payload}\r\n.{signature}"),
        format!("{header}.+{payload}.{signature}"),
        format!("{header}./{payload}.{signature}"),
        format!("{header}.{payload}.+{signature}"),
        format!("{header}.{payload}.?{signature}"),
        format!("{header}.{payload}.\u{e9}{signature}"),
        format!("{signed}.{}", spare(signature)),
        format!("{signed}.A"),
        format!(r#"{{"payload":"{payload}","signatures":[{{"protected":"{header}","signature":"{signature}"}}]}}"#),
        format!(r#"{{"payload":"{payload}","protected":"{header}","signature":"{signature}"}}"#),
        format!("{}.{payload}.{signature}", header.replace('e', "%65")),
    ] {
        refused(&bad, TokenError::Shape);
    }
}

#[test]
fn sizes_are_bounded_on_both_sides() {
    let key = &KEYS.es256;
    let sized = |pad: usize| token(&claims_with("pad", &format!(r#""{}""#, "x".repeat(pad))));
    let mut pad = 11_000;
    while sized(pad + 1).len() <= MAX_TOKEN {
        pad += 1;
    }
    assert_eq!(read(&sized(pad)).map(|_| ()), Ok(()));
    refused(&sized(pad + 1), TokenError::TooLong("token"));
    refused(&"x".repeat(1 << 20), TokenError::TooLong("token"));
    refused(&".".repeat(1_000_000), TokenError::TooLong("token"));

    let header = |pad: usize| format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"es256","pad":"{}"}}"#, "x".repeat(pad));
    let fits = MAX_HEADER / 4 * 3 - header(0).len();
    assert_eq!(read(&key.token(&header(fits), &claims())).map(|_| ()), Ok(()));
    refused(&key.token(&header(fits + 1), &claims()), TokenError::TooLong("header"));
}

#[test]
fn the_claims_are_one_strict_object() {
    let json = |error| TokenError::Json { part: "claims", error };
    for (text, expected) in [
        ("foo", json(JsonError::Syntax { at: 0 })),
        ("{", json(JsonError::Syntax { at: 1 })),
        (r#"{"iss":1}x"#, json(JsonError::Trailing { at: 9 })),
        (r#"{"iss":1}{"iss":1}"#, json(JsonError::Trailing { at: 9 })),
        ("\u{feff}{}", json(JsonError::Bom)),
        (r#"{'iss':1}"#, json(JsonError::Syntax { at: 1 })),
        (r#"{"iss":NaN}"#, json(JsonError::Syntax { at: 7 })),
        (r#"{"iss":01}"#, json(JsonError::Syntax { at: 8 })),
        (r#"{"iss":"\ud800"}"#, json(JsonError::LoneSurrogate { at: 8 })),
        (r#"{"iss":"a","ISS":"b"}"#, json(JsonError::FoldedKey { at: 11 })),
        (r#"{"i\u0000ss":"a"}"#, json(JsonError::ControlInKey { at: 1 })),
        ("[]", TokenError::NotAnObject("claims")),
        ("null", TokenError::NotAnObject("claims")),
        (r#""text""#, TokenError::NotAnObject("claims")),
        ("7", TokenError::NotAnObject("claims")),
        (r#"{"iss":"a","iss":"b"}"#, TokenError::DuplicateMember("claims")),
        (r#"{"iss":"a","\u0069ss":"b"}"#, TokenError::DuplicateMember("claims")),
        (r#"{"x":{"a":1,"a":1}}"#, TokenError::DuplicateMember("claims")),
    ] {
        refused(&token(text), expected);
    }
    let signed = format!("{}.{}", encode(KEYS.es256.header()), encode(b"{\"iss\":\"\xff\"}"));
    let signature = encode(KEYS.es256.sign(signed.as_bytes()));
    refused(&format!("{signed}.{signature}"), json(JsonError::NotUtf8 { at: 8 }));
}

#[test]
fn a_claim_that_is_given_twice_is_refused_in_either_order() {
    for (name, value) in CLAIMS {
        for (first, second) in [(value, "7"), ("7", value), (value, value)] {
            let claims = claims_with(name, first);
            let twice = format!(r#"{},"{name}":{second}}}"#, claims.trim_end_matches('}'));
            refused(&token(&twice), TokenError::DuplicateMember("claims"));
        }
    }
}

#[test]
fn claims_are_neither_deep_nor_many() {
    let nested = |depth: usize| claims_with("x", &format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    assert_eq!(read(&token(&nested(31))).map(|_| ()), Ok(()));
    let at = nested(32).find("[[").unwrap() + 31;
    refused(&token(&nested(32)), TokenError::Json { part: "claims", error: JsonError::TooDeep { at } });
    refused(&token(&nested(5_000)), TokenError::Json { part: "claims", error: JsonError::TooDeep { at } });
    // The object, eight claims of two nodes each, one more and its array leave 4,077 of the 4,096 nodes.
    let many = |items: usize| claims_with("x", &format!("[{}]", vec!["0"; items].join(",")));
    assert_eq!(read(&token(&many(4_077))).map(|_| ()), Ok(()));
    let at = many(4_078).len() - 3;
    refused(&token(&many(4_078)), TokenError::Json { part: "claims", error: JsonError::TooManyNodes { at } });
}
