//! The header that carries the token: two of them, other schemes, other places.

use super::world::{good, token};
use super::{Attack, Expected, bearer, control, credential, not_a_bearer_token, ping, shape};

/// Schemes that are neither `Bearer` nor `DPoP`, registered or made up.
const SCHEMES: [&str; 31] = [
    "Basic",
    "Digest",
    "HOBA",
    "Mutual",
    "Negotiate",
    "NTLM",
    "OAuth",
    "GNAP",
    "PrivateToken",
    "SCRAM-SHA-256",
    "Concealed",
    "vapid",
    "AWS4-HMAC-SHA256",
    "Token",
    "JWT",
    "Bearerx",
    "Bearer1",
    "Bearer-x",
    "xBearer",
    "Beare",
    "B",
    "Bear er",
    "\u{42}\u{435}arer",
    "Bearer\u{e9}x",
    "\"Bearer\"",
    "=",
    ":",
    "Authorization:",
    "Bearer:",
    "Bearer=",
    "\u{ff22}earer",
];

/// One credential, of one scheme, in one header (RFC 6750 §2.1; CVE-2020-25017, CVE-2021-32777, CVE-2026-26308).
pub(super) fn header_credentials() -> Vec<Attack> {
    let good = good();
    let mut attacks = vec![
        control(&good),
        credential("lower case", format!("bearer {good}"), Expected::Allow),
        credential("upper case", format!("BEARER {good}"), Expected::Allow),
        credential("spaces before", format!("  Bearer   {good}"), Expected::Allow),
    ];
    for scheme in SCHEMES {
        let after = scheme.strip_prefix("Bearer").and_then(|rest| rest.bytes().next());
        // `Bearer` ends where a token of RFC 9110 §5.6.2 ends, and then a space must follow.
        let ends = after.is_some_and(|byte| !byte.is_ascii_alphanumeric() && byte != b'-');
        let expected = if ends { not_a_bearer_token() } else { Expected::Missing };
        attacks.push(credential(format!("{scheme:?}"), format!("{scheme} {good}"), expected.clone()));
        attacks.push(credential(
            format!("{scheme:?} in upper case"),
            format!("{} {good}", scheme.to_uppercase()),
            expected,
        ));
    }
    for (name, value) in [
        ("empty", ""),
        ("a space", " "),
        ("a scheme", "Bearer"),
        ("a scheme and spaces", "Bearer   "),
        ("in lower case", "bearer"),
    ] {
        attacks.push(credential(name, value, Expected::Missing));
    }
    attacks.push(credential("no scheme", good.clone(), Expected::Missing));
    for between in ["\t", "\n", "\r\n", "\r\n ", "\n\t", "\0", "\u{b}", "\u{c}", "\u{a0}", ":", "=", "  \t", "\"", "/"]
    {
        attacks.push(credential(
            format!("{between:?} between"),
            format!("Bearer{between}{good}"),
            not_a_bearer_token(),
        ));
    }
    let (half, rest) = good.split_at(50);
    for fold in ["\r\n ", "\n ", "\r\n\t", "\n", "\r", "\t", " "] {
        attacks.push(credential(
            format!("folded with {fold:?}"),
            format!("Bearer {half}{fold}{rest}"),
            not_a_bearer_token(),
        ));
        attacks.push(credential(format!("{fold:?} at the end"), format!("Bearer {good}{fold}"), not_a_bearer_token()));
    }
    for after in ["\nx-toolgate-subject: root", "\r\nHost: evil", ";q=1", "; realm=\"x\"", " realm=x", " #", "\0admin"]
    {
        attacks.push(credential(format!("{after:?} after"), format!("Bearer {good}{after}"), not_a_bearer_token()));
    }
    for byte in 0x80..=0xff_u8 {
        attacks.push(credential(
            format!("byte {byte:#x} at the end"),
            [format!("Bearer {good}").as_bytes(), &[byte]].concat(),
            not_a_bearer_token(),
        ));
        attacks.push(credential(
            format!("byte {byte:#x} first"),
            [&b"Bearer "[..], &[byte], good.as_bytes()].concat(),
            not_a_bearer_token(),
        ));
    }
    attacks.extend(several(&good));
    attacks
}

/// Two credentials, in one line or two: whichever is meant.
fn several(good: &str) -> Vec<Attack> {
    let mut attacks = Vec::new();
    let bearer_good = format!("Bearer {good}");
    let expired = format!("Bearer {}", token(&super::world::claims(&[("exp", "1")])));
    let others = [
        "Bearer a",
        "bearer a",
        "Basic YTpi",
        "DPoP a",
        "Negotiate a",
        "",
        " ",
        "x",
        &bearer_good,
        &expired,
        "Bearer",
        "Digest a=\"b\"",
    ];
    for other in others {
        for join in [",", ", ", " , ", ",,", ",\t", ";,"] {
            for line in [format!("{bearer_good}{join}{other}"), format!("{other}{join}{bearer_good}")] {
                attacks.push(credential(format!("joined by {join:?} with {other:.12?}"), line, Expected::Ambiguous));
            }
        }
        for (first, second) in [(&*bearer_good, other), (other, &*bearer_good)] {
            let mut two = credential(format!("two lines with {other:.12?}"), first, Expected::Ambiguous);
            two.ask = two.ask.add("authorization", second);
            two.carried = [first, second].concat().into_bytes();
            attacks.push(two);
        }
    }
    for header in [
        "proxy-authorization",
        "x-authorization",
        "x-forwarded-authorization",
        "x-forwarded-access-token",
        "x-access-token",
        "cookie",
        "x-auth-request-access-token",
        "access-token",
        "token",
        "x-toolgate-subject",
        "authorization ",
    ] {
        let mut elsewhere = credential(format!("in {header}"), bearer_good.clone(), Expected::Missing);
        elsewhere.ask = ping("weather").add(header, elsewhere.carried.clone());
        attacks.push(elsewhere);
        let mut beside = bearer(format!("a bad one, and a good one in {header}"), "abc", shape());
        beside.ask = beside.ask.add(header, bearer_good.clone());
        attacks.push(beside);
    }
    attacks
}

/// A token in the query (RFC 6750 §2.3, gone from OAuth 2.1) ends up in logs, and is none beside a header either.
pub(super) fn query_credentials() -> Vec<Attack> {
    let good = good();
    let mut attacks = Vec::new();
    let query = |path: String, expected: Expected, with_header: bool| {
        let mut attack = bearer(format!("{path:.40}, header {with_header}"), &good, expected);
        attack.ask = if with_header { attack.ask } else { ping("weather") }.path(&path);
        attack.carried = [path.as_bytes(), good.as_bytes()].concat();
        attack
    };
    let names = [
        "access_token",
        "access%5Ftoken",
        "%61ccess_token",
        "ACCESS_TOKEN",
        "Access_Token",
        "access%5ftoken",
        "%61%63%63%65%73%73%5f%74%6f%6b%65%6e",
        "ac%43ess_token",
    ];
    for name in names {
        for with_header in [true, false] {
            for value in [&*good, "", "x", "%00", "Bearer%20x"] {
                attacks.push(query(format!("/weather?{name}={value}"), Expected::Ambiguous, with_header));
                attacks.push(query(format!("/weather?a=b&{name}={value}"), Expected::Ambiguous, with_header));
            }
            attacks.push(query(format!("/weather?{name}"), Expected::Ambiguous, with_header));
            attacks.push(query(format!("/weather?{name}&a=b"), Expected::Ambiguous, with_header));
            attacks.push(query(format!("/weather?a?b&{name}=c"), Expected::Ambiguous, with_header));
            attacks.push(query(format!("/weather?&&{name}=c&{name}=d"), Expected::Ambiguous, with_header));
        }
    }
    for name in [
        "my_access_token",
        "access_token_",
        "access-token",
        "accesstoken",
        "token",
        "access_token[]",
        "access%255Ftoken",
        "+access_token",
        "id_token",
    ] {
        attacks.push(query(format!("/weather?{name}={good}"), Expected::Missing, false));
        attacks.push(query(format!("/weather?{name}=x"), Expected::Allow, true));
    }
    attacks
}
