//! Claims that an access token must not have, or must have otherwise.

use super::super::claims::{MAX_ACTORS, MAX_AUDIENCES, MAX_GROUPS, MAX_METHODS, MAX_SCOPES};
use super::*;

#[track_caller]
fn claim_refused(name: &str, value: &str, expected: TokenError) {
    refused(&token(&claims_with(name, value)), expected);
}

#[track_caller]
fn accepted(name: &str, value: &str) -> Principal {
    read(&token(&claims_with(name, value))).unwrap()
}

#[test]
fn required_claims_are_required() {
    for name in ["iss", "aud", "exp", "iat", "client_id"] {
        claim_refused(name, "", TokenError::ClaimMissing(name));
    }
}

#[test]
fn the_issuer_is_exact() {
    for value in [
        "https://id.example.com/",
        "https://id.example.co",
        "https://id.example.com.evil.example",
        "https://ID.example.com",
        "HTTPS://id.example.com",
        "http://id.example.com",
        "id.example.com",
        "https://id.example.com:443",
        "https://\u{456}d.example.com",
        "https://id.example.com ",
        "https://id.example.com#",
    ] {
        claim_refused("iss", &format!("\"{value}\""), TokenError::UnknownIssuer);
    }
    for value in ["null", "7", "{}", r#"["https://id.example.com"]"#, "\"\"", "\"https://id.example.com\\u0000\""] {
        claim_refused("iss", value, TokenError::ClaimType("iss"));
    }
}

#[test]
fn the_audience_is_one_name_or_several() {
    for value in
        ["null", "7", "{}", "[]", "\"\"", "[7]", "[\"a\",null]", "[\"a\",[\"b\"]]", "[\"\"]", "true", "\"a\\n\""]
    {
        claim_refused("aud", value, TokenError::ClaimType("aud"));
    }
    let many = |n: usize| format!("[{}]", vec!["\"a\""; n].join(","));
    assert_eq!(accepted("aud", &many(MAX_AUDIENCES)).audiences().len(), MAX_AUDIENCES);
    claim_refused("aud", &many(MAX_AUDIENCES + 1), TokenError::TooMany("aud"));
}

#[test]
fn dates_are_numbers_of_seconds() {
    for name in ["exp", "iat", "nbf", "auth_time"] {
        for value in [
            "\"1800000300\"",
            "null",
            "true",
            "[]",
            "{}",
            "[1800000300]",
            "-1",
            "-1e3",
            "1e30",
            "1e400",
            "253402300800",
            "1800000300000",
            "18446744073709551615",
            "9223372036854775808",
            "1e999999999",
            "-0.5",
            "-1e-400",
            "1.5e99999999999999999999",
        ] {
            claim_refused(name, value, TokenError::ClaimType(name));
        }
    }
    for (value, seconds) in [
        ("1800000300", 1_800_000_300),
        ("1800000300.0", 1_800_000_300),
        ("1800000300.999", 1_800_000_300),
        ("1.8000003e9", 1_800_000_300),
        ("18000003005e-1", 1_800_000_300),
        ("1800000300.9999999999999999", 1_800_000_300),
        ("0.18000003009999999999999999e10", 1_800_000_300),
        ("253402300799", 253_402_300_799),
    ] {
        assert_eq!(accepted("exp", value).expires_at(), at(seconds), "{value}");
    }
}

#[test]
fn times_that_do_not_hold_now_are_refused() {
    for (name, value, expected) in [
        ("exp", "0", TokenError::Expired),
        ("exp", "1799999970", TokenError::Expired),
        ("exp", "1799999970.9", TokenError::Expired),
        ("exp", "1799999970.9999999999", TokenError::Expired),
        ("exp", "1e-400", TokenError::Expired),
        ("iat", "1800000031", TokenError::IssuedInFuture),
        ("iat", "253402300799", TokenError::IssuedInFuture),
        ("nbf", "1800000031", TokenError::NotYetValid),
    ] {
        claim_refused(name, value, expected);
    }
    for (name, value) in
        [("exp", "1799999971"), ("iat", "1800000030"), ("nbf", "1800000030"), ("nbf", "0"), ("iat", "0")]
    {
        accepted(name, value);
    }
}

#[test]
fn names_are_text_without_control_characters() {
    for name in ["sub", "client_id", "jti", "acr"] {
        for value in [
            "\"\"",
            "null",
            "7",
            "true",
            "[]",
            "[\"a\"]",
            "{}",
            "\"a\\u0000\"",
            "\"a\\nb\"",
            "\"\\u009b31m\"",
            "\"\\u007f\"",
        ] {
            claim_refused(name, value, TokenError::ClaimType(name));
        }
    }
    for value in ["null", "\"\"", "7"] {
        let claims = claims_with("client_id", "").replace('}', &format!(",\"azp\":{value}}}"));
        refused(&token(&claims), TokenError::ClaimType("azp"));
    }
}

#[test]
fn the_client_is_client_id_else_azp() {
    assert_eq!(accepted("azp", r#""other""#).client(), "agent");
    let principal = read(&token(&claims_with("client_id", "").replace('}', r#","azp":"other"}"#))).unwrap();
    assert_eq!(principal.client(), "other");
}

#[test]
fn a_client_acts_for_itself_without_a_subject_or_as_it() {
    assert!(accepted("sub", "").is_client());
    assert!(accepted("sub", r#""agent""#).is_client());
    assert!(!accepted("sub", r#""Agent""#).is_client());
    assert_eq!(accepted("sub", "").subject(), None);
}

#[test]
fn a_token_is_bound_in_a_known_way_or_refused() {
    let print = encode([7; 32]);
    let key = format!(r#""jkt":"{print}""#);
    let certificate = format!(r#""x5t#S256":"{print}""#);
    for more in [r#""jwk":{}"#, r#""kid":"a""#, r#""jku":"https://id.example.com""#, r#""x":1"#] {
        claim_refused("cnf", &format!("{{{more}}}"), TokenError::Bound);
        claim_refused("cnf", &format!("{{{key},{more}}}"), TokenError::Bound);
        claim_refused("cnf", &format!("{{{key},{certificate},{more}}}"), TokenError::Bound);
    }
    claim_refused("cnf", "{}", TokenError::Bound);
    for value in ["null", "\"x\"", "[]", "7"] {
        claim_refused("cnf", value, TokenError::ClaimType("cnf"));
    }
    let (short, padded, dirty) = (encode([7; 31]), format!("{print}="), format!("{}l", print.split_at(42).0));
    for text in [short.as_str(), &padded, &dirty, &encode([7; 33]), "", "x"] {
        for member in ["jkt", "x5t#S256"] {
            claim_refused("cnf", &format!(r#"{{"{member}":"{text}"}}"#), TokenError::ClaimType("cnf"));
        }
    }
    claim_refused("cnf", r#"{"jkt":null}"#, TokenError::ClaimType("cnf"));
    let both = accepted("cnf", &format!("{{{key},{certificate}}}"));
    let bound = *both.confirmation().unwrap();
    assert_eq!((bound.key.map(|key| key.to_string()), bound.certificate), (Some(print), Some([7; 32])));
    assert_eq!(accepted("jti", r#""j""#).confirmation(), None);
}

#[test]
fn scopes_are_scope_tokens() {
    for value in [
        "null",
        "7",
        "{}",
        "true",
        "\" \"",
        "\"a  b\"",
        "\" a\"",
        "\"a \"",
        "\"a\\tb\"",
        "\"a\\nb\"",
        "\"a\\\"b\"",
        "\"a\\\\b\"",
        "\"\u{e9}\"",
        "\"a\\u0000\"",
        "[\"a b\"]",
        "[\"\"]",
        "[7]",
        "[null]",
        "[[\"a\"]]",
        "[\"a\",\"b\\\"\"]",
    ] {
        claim_refused("scope", value, TokenError::ClaimType("scope"));
    }
    for (value, expected) in [
        ("", [].as_slice()),
        ("\"\"", &[]),
        ("[]", &[]),
        ("\"a\"", &["a"]),
        ("\"a b:c d/e\"", &["a", "b:c", "d/e"]),
        ("[\"a\",\"b!#[]~\"]", &["a", "b!#[]~"]),
    ] {
        assert_eq!(accepted("scope", value).scopes(), expected, "{value}");
    }
    let text = |n: usize| format!("\"{}\"", vec!["a"; n].join(" "));
    let array = |n: usize| format!("[{}]", vec!["\"a\""; n].join(","));
    for form in [&text as &dyn Fn(usize) -> String, &array] {
        assert_eq!(accepted("scope", &form(MAX_SCOPES)).scopes().len(), MAX_SCOPES);
        claim_refused("scope", &form(MAX_SCOPES + 1), TokenError::TooMany("scope"));
    }
}

#[test]
fn scopes_and_groups_are_where_the_rules_say() {
    let rules =
        IssuerRules { scope_claim: "/scp".to_owned(), groups: Some("/realm~1access/roles".to_owned()), ..rules() };
    let claims = claims_with("scp", r#"["x"],"realm/access":{"roles":["r"]},"groups":["g"]"#);
    let principal = read_with(&token(&claims), &rules, &KEYS.set, at(NOW)).unwrap();
    assert_eq!((principal.scopes(), principal.groups()), (["x".to_owned()].as_slice(), ["r".to_owned()].as_slice()));
    let none = IssuerRules { groups: None, ..rules };
    assert!(read_with(&token(&claims), &none, &KEYS.set, at(NOW)).unwrap().groups().is_empty());
}

#[test]
fn groups_are_names() {
    for value in ["null", "7", "{}", "[7]", "[null]", "[\"\"]", "\"\"", "[\"a\",{}]", "[\"a\\u0000\"]", "true"] {
        claim_refused("groups", value, TokenError::ClaimType("groups"));
    }
    assert_eq!(accepted("groups", "\"g one\"").groups(), ["g one"]);
    assert!(accepted("groups", "[]").groups().is_empty());
    let many = |n: usize| format!("[{}]", vec!["\"g\""; n].join(","));
    assert_eq!(accepted("groups", &many(MAX_GROUPS)).groups().len(), MAX_GROUPS);
    claim_refused("groups", &many(MAX_GROUPS + 1), TokenError::TooMany("groups"));
    claim_refused("groups", &many(2 * MAX_GROUPS), TokenError::TooMany("groups"));
}

#[test]
fn groups_that_stand_elsewhere_are_not_no_groups() {
    claim_refused("_claim_names", r#"{"groups":"src1"}"#, TokenError::TooMany("groups"));
    assert!(accepted("_claim_names", r#"{"address":"src1"}"#).groups().is_empty());
    let nested = IssuerRules { groups: Some("/realm~1access/roles".to_owned()), ..rules() };
    let token = token(&claims_with("_claim_names", r#"{"realm/access":"src1"}"#));
    assert_eq!(read_with(&token, &nested, &KEYS.set, at(NOW)).unwrap_err(), TokenError::TooMany("groups"));
}

#[test]
fn a_declared_claim_that_stands_elsewhere_is_not_absent() {
    for rule in rules().claims {
        let top = rule.pointer.split('/').nth(1).unwrap();
        let principal = accepted("_claim_names", &format!(r#"{{"{top}":"src1"}}"#));
        let expected = (rule.name.clone(), ClaimValue::Unrepresentable);
        assert!(principal.claims().contains(&expected), "{}", rule.name);
    }
}

#[test]
fn methods_are_an_array_of_names() {
    for value in ["null", "\"pwd\"", "7", "{}", "[7]", "[\"\"]"] {
        claim_refused("amr", value, TokenError::ClaimType("amr"));
    }
    let many = |n: usize| format!("[{}]", vec!["\"pwd\""; n].join(","));
    assert_eq!(accepted("amr", &many(MAX_METHODS)).amr().len(), MAX_METHODS);
    claim_refused("amr", &many(MAX_METHODS + 1), TokenError::TooMany("amr"));
}

#[test]
fn actors_are_a_chain_of_names() {
    for value in [
        "null",
        "7",
        "\"a\"",
        "[]",
        "{}",
        r#"{"sub":7}"#,
        r#"{"sub":""}"#,
        r#"{"sub":"a\u0000"}"#,
        r#"{"client_id":7,"sub":"a"}"#,
        r#"{"sub":"a","act":null}"#,
        r#"{"sub":"a","act":{}}"#,
        r#"{"iss":"a"}"#,
    ] {
        claim_refused("act", value, TokenError::ClaimType("act"));
    }
    let chain = |n: usize| {
        format!("{}{}", (0..n).map(|i| format!(r#"{{"sub":"a{i}","act":"#)).collect::<String>(), "}".repeat(n))
            .replace("\"act\":}", "\"x\":0}")
    };
    assert_eq!(accepted("act", &chain(MAX_ACTORS)).actors().len(), MAX_ACTORS);
    assert_eq!(accepted("act", &chain(2)).actors(), ["a0", "a1"]);
    claim_refused("act", &chain(MAX_ACTORS + 1), TokenError::TooMany("act"));
}

#[test]
fn a_declared_claim_of_another_type_is_not_representable() {
    for (name, values) in [
        ("text", ["7", "true", "[]", "{}"].as_slice()),
        ("number", &["\"7\"", "1.5", "9223372036854775808", "true", "[1]"]),
        ("flag", &["\"true\"", "1", "[]"]),
        ("price", &["\"1.5\"", "0.00001", "1e400", "true"]),
        ("names", &["\"a\"", "[7]", "[\"a\",null]", "{}"]),
        ("numbers", &["1", "[\"1\"]", "[1.5]", "[1,true]"]),
    ] {
        for value in values {
            let principal = accepted("ext", &format!(r#"{{"{name}":{value}}}"#));
            assert_eq!(principal.claims(), [(name.to_owned(), ClaimValue::Unrepresentable)], "{name} {value}");
        }
        assert!(accepted("ext", &format!(r#"{{"{name}":null}}"#)).claims().is_empty(), "{name} null");
    }
    assert!(accepted("ext", "7").claims().is_empty());
}
