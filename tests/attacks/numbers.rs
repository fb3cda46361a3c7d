//! Times at the edges of what is allowed, and numbers that are not what they look like.

use super::world::{claims, good, token};
use super::{Attack, Expected, bearer, control, invalid, malformed, reset};
use crate::support::gate::NOW;

/// How far clocks may be apart, as the documentation has it.
const LEEWAY_SECONDS: i64 = 30;

fn with(name: &str, value: &str) -> String {
    token(&claims(&[(name, value)]))
}

fn expired() -> Expected {
    invalid("the token has expired")
}

/// Seconds on both sides of each edge; the leeway is the only grace (RFC 7519 §4.1.4, RFC 9068 §4).
pub(super) fn times_at_the_edge() -> Vec<Attack> {
    let mut attacks = vec![control(good())];
    let offsets = (-40..=40).chain([-3600, -86_400, -315_360_000, 3600, 86_400, 315_360_000]);
    for offset in offsets {
        let at = (NOW + offset).to_string();
        // `exp` is the first second that is too late, of which the leeway is taken off; the others may be as far ahead.
        let exp = if offset > -LEEWAY_SECONDS { Expected::Allow } else { expired() };
        attacks.push(bearer(format!("exp {offset}"), with("exp", &at), exp));
        let iat =
            if offset <= LEEWAY_SECONDS { Expected::Allow } else { invalid("the token was issued in the future") };
        attacks.push(bearer(format!("iat {offset}"), with("iat", &at), iat));
        let nbf = if offset <= LEEWAY_SECONDS { Expected::Allow } else { invalid("the token is not valid yet") };
        attacks.push(bearer(format!("nbf {offset}"), with("nbf", &at), nbf));
        attacks.push(bearer(format!("auth_time {offset}"), with("auth_time", &at), Expected::Allow));
    }
    for (value, expected) in [
        ("0", expired()),
        ("1", expired()),
        ("253402300799", Expected::Allow),
        ("253402300800", malformed("exp")),
        ("4294967296", Expected::Allow),
        ("2147483648", Expected::Allow),
    ] {
        attacks.push(bearer(format!("exp {value}"), with("exp", value), expected));
    }
    // A fraction is dropped, so that it never adds life.
    for (second, expected) in [(-LEEWAY_SECONDS, false), (-LEEWAY_SECONDS - 1, false), (-LEEWAY_SECONDS + 1, true)] {
        for fraction in [".0", ".001", ".5", ".999", ".999999999"] {
            let value = format!("{}{fraction}", NOW + second);
            let expected = if expected { Expected::Allow } else { expired() };
            attacks.push(bearer(format!("exp {second}{fraction}"), with("exp", &value), expected));
        }
    }
    // The other times do not outweigh it.
    for more in
        [("nbf", "1"), ("iat", "1"), ("auth_time", "253402300799"), ("expires_in", "3600"), ("exp2", "9999999999")]
    {
        let late = token(&claims(&[("exp", &(NOW - 31).to_string()), more]));
        attacks.push(bearer(format!("expired, {more:?}"), late, expired()));
    }
    attacks
}

/// What is no NumericDate (RFC 7519 §2); CVE-2026-25537 took a wrong type for an absent claim.
pub(super) fn times_of_another_form() -> Vec<Attack> {
    let mut attacks = Vec::new();
    let soon = NOW + 20;
    let refused = [
        format!("\"{soon}\""),
        format!("\"{soon}.5\""),
        "\"\"".to_owned(),
        "\"never\"".to_owned(),
        "\"2099-01-01T00:00:00Z\"".to_owned(),
        "\"Infinity\"".to_owned(),
        "null".to_owned(),
        "true".to_owned(),
        "false".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        format!("[{soon}]"),
        format!("{{\"$numberLong\":\"{soon}\"}}"),
        format!("{{\"exp\":{soon}}}"),
        "-1".to_owned(),
        format!("-{soon}"),
        "-0.5".to_owned(),
        "-1e-9".to_owned(),
        "-1e3".to_owned(),
        "1e30".to_owned(),
        "1e400".to_owned(),
        "1e999999999".to_owned(),
        "-1e400".to_owned(),
        format!("{soon}000"),
        format!("{soon}000000"),
        "253402300800".to_owned(),
        "253402300800.0".to_owned(),
        "9223372036854775807".to_owned(),
        "9223372036854775808".to_owned(),
        "-9223372036854775808".to_owned(),
        "-9223372036854775809".to_owned(),
        "18446744073709551615".to_owned(),
        "18446744073709551616".to_owned(),
        "340282366920938463463374607431768211456".to_owned(),
        "1.7976931348623157e308".to_owned(),
        "1e309".to_owned(),
        "9".repeat(400),
        "2.5340230080e11".to_owned(),
    ];
    for name in ["exp", "iat", "nbf", "auth_time"] {
        for value in &refused {
            attacks.push(bearer(format!("{name} {value}"), with(name, value), malformed(name)));
        }
        // The same second, written as JSON also may.
        for value in [
            format!("{soon}"),
            format!("{soon}.0"),
            format!("{soon}.999"),
            format!("{soon}e0"),
            format!("{soon}E+0"),
            format!("{soon}0e-1"),
            format!("0.{soon}e10"),
            format!("{soon}.{}", "0".repeat(300)),
        ] {
            attacks.push(bearer(format!("{name} {value}"), with(name, &value), Expected::Allow));
        }
        let nothing = [
            "+1",
            "01",
            "1.",
            ".5",
            "0x7fffffff",
            "1e",
            "1e+",
            "NaN",
            "Infinity",
            "-Infinity",
            "-",
            "1_000",
            "1 000",
            "1,000",
            "\u{661}",
            "0b1",
            "1n",
        ];
        for value in nothing {
            attacks.push(bearer(format!("{name} {value}"), with(name, value), Expected::Unreadable("claims")));
        }
        // A second that has passed does not come back in another writing.
        let past = NOW - 1000;
        if name == "exp" {
            for value in [
                format!("{past}.999"),
                format!("{past}e0"),
                format!("{past}0e-1"),
                "0e999".to_owned(),
                "-0".to_owned(),
                "0.0".to_owned(),
                "1e-400".to_owned(),
                "1e9".to_owned(),
            ] {
                attacks.push(bearer(format!("past, {value}"), with(name, &value), expired()));
            }
        }
    }
    attacks
}

/// Declared claims that a policy compares: what is not exactly of the type is not rounded, not parsed, not read as absent.
pub(super) fn dirty_claim_numbers() -> Vec<Attack> {
    let mut attacks = Vec::new();
    let call = |name: String, ext: &str, expected: Expected| {
        let mut attack = bearer(name, with("ext", ext), expected);
        attack.ask = reset().add("authorization", attack.carried.clone());
        attack
    };
    for value in ["4", "4.0", "4e0", "40e-1", "9223372036854775807"] {
        attacks.push(call(format!("clearance {value}"), &format!(r#"{{"clearance":{value}}}"#), Expected::Allow));
    }
    let dirty = [
        r#""4""#,
        r#""9""#,
        r#""""#,
        "true",
        "false",
        "[4]",
        "[]",
        "{}",
        r#"{"__extn":{"fn":"decimal","arg":"4.0"}}"#,
        r#"{"__entity":{"type":"User","id":"corp:root"}}"#,
        "4.5",
        "3.0000000001",
        "4e-1",
        "1e19",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "1e400",
        "-1e400",
        "4.00000000000000000000000000001",
        "1e-400",
    ];
    for value in dirty {
        attacks.push(call(
            format!("clearance {value}"),
            &format!(r#"{{"clearance":{value}}}"#),
            Expected::Claim("clearance"),
        ));
    }
    for value in ["1.5", "1", "1.0000", "922337203685477.5807"] {
        attacks.push(call(format!("price {value}"), &format!(r#"{{"clearance":4,"price":{value}}}"#), Expected::Allow));
    }
    for value in [r#""1.5""#, "0.00001", "1.00001", "922337203685477.5808", "1e15", "1e400", "true", "[1.5]", "{}"] {
        attacks.push(call(
            format!("price {value}"),
            &format!(r#"{{"clearance":4,"price":{value}}}"#),
            Expected::Claim("price"),
        ));
    }
    for source in [r#""src1""#, r#"["a"]"#, "null"] {
        let sources = format!(r#"{{"ext":{source}}}"#);
        let mut elsewhere =
            bearer(format!("elsewhere, {source}"), with("_claim_names", &sources), Expected::Claim("clearance"));
        elsewhere.ask = reset().add("authorization", elsewhere.carried.clone());
        attacks.push(elsewhere);
    }
    // Where no policy reads it, it does not matter.
    attacks.push(bearer("a ping", with("ext", r#"{"clearance":"x"}"#), Expected::Allow));
    attacks
}
