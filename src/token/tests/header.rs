//! Headers that must not lead to a key, and types of token that are no access tokens.

use super::*;
use crate::json::JsonError;

/// A header that is accepted but for what `members` say; each test gives all that matters to it.
#[track_caller]
fn header_refused(header: &str, expected: TokenError) {
    refused(&KEYS.es256.token(header, &claims()), expected);
}

#[test]
fn the_header_is_one_strict_object() {
    let json = |error| TokenError::Json { part: "header", error };
    for (header, expected) in [
        ("{", json(JsonError::Syntax { at: 1 })),
        ("{}x", json(JsonError::Trailing { at: 2 })),
        ("[]", TokenError::NotAnObject("header")),
        ("null", TokenError::NotAnObject("header")),
        (r#"{"alg":"ES256","alg":"none"}"#, TokenError::DuplicateMember("header")),
        (r#"{"alg":"none","alg":"ES256"}"#, TokenError::DuplicateMember("header")),
        (r#"{"alg":"ES256","kid":"a","kid":"es256"}"#, TokenError::DuplicateMember("header")),
        (r#"{"alg":"ES256","Alg":"none"}"#, json(JsonError::FoldedKey { at: 15 })),
        ("", TokenError::Shape),
    ] {
        header_refused(header, expected);
    }
}

#[test]
fn only_an_algorithm_of_the_list_that_fits_the_key_is_tried() {
    for alg in [
        "\"none\"",
        "\"None\"",
        "\"NONE\"",
        "\"nOnE\"",
        "\"HS256\"",
        "\"HS384\"",
        "\"HS512\"",
        "\"ES256K\"",
        "\"ES512\"",
        "\"RS1\"",
        "\"es256\"",
        "\"ES256 \"",
        "\"ES256\\u0000\"",
        "\"dir\"",
        "\"RSA-OAEP\"",
        "\"Ed448\"",
    ] {
        header_refused(&format!(r#"{{"alg":{alg},"typ":"at+jwt","kid":"es256"}}"#), TokenError::Algorithm);
    }
    header_refused(r#"{"typ":"at+jwt","kid":"es256"}"#, TokenError::Algorithm);
    for alg in ["\"\"", "null", "7", "true", "{}", "[]", r#"["ES256"]"#] {
        header_refused(&format!(r#"{{"alg":{alg},"typ":"at+jwt","kid":"es256"}}"#), TokenError::Header("alg"));
    }
    for (alg, kid) in [
        ("ES384", "es256"),
        ("RS256", "es256"),
        ("EdDSA", "es256"),
        ("PS256", "es256"),
        ("ES256", "rs256"),
        ("RS384", "rs256"),
        ("RS512", "rs256"),
        ("PS256", "rs256"),
        ("ES256", "ed"),
        ("ES256", "es384"),
    ] {
        header_refused(&format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"{kid}"}}"#), TokenError::Algorithm);
    }
    let narrow = IssuerRules { algorithms: vec![Algorithm::RS256], ..rules() };
    assert_eq!(read_with(&token(&claims()), &narrow, &KEYS.set, at(NOW)), Err(TokenError::Algorithm));
}

#[test]
fn a_public_key_is_no_secret_to_sign_with() {
    use aws_lc_rs::hmac;
    let material = KEYS.rs256.material();
    let n = material.split("\"n\":\"").nth(1).unwrap().split('"').next().unwrap();
    for secret in [material.as_bytes(), n.as_bytes(), b""] {
        let signed = format!("{}.{}", encode(r#"{"alg":"HS256","typ":"at+jwt","kid":"rs256"}"#), encode(claims()));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        refused(&format!("{signed}.{}", encode(tag)), TokenError::Algorithm);
    }
}

#[test]
fn extensions_are_refused() {
    for (name, values) in [
        ("crit", ["[]", r#"["exp"]"#, r#"["b64"]"#, "null", "\"exp\"", "{}"].as_slice()),
        ("b64", &["true", "false", "null"]),
        ("zip", &["\"DEF\"", "null"]),
        ("enc", &["\"A256GCM\"", "null"]),
        ("cty", &["\"JWT\"", "\"json\"", "null"]),
    ] {
        for value in values {
            let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"es256","{name}":{value}}}"#);
            header_refused(&header, TokenError::Header(name));
        }
    }
}

#[test]
fn only_an_access_token_is_accepted() {
    for typ in [
        "JWT",
        "jwt",
        "dpop+jwt",
        "logout+jwt",
        "secevent+jwt",
        "oauth-id-jag+jwt",
        "token-introspection+jwt",
        "at",
        "at+jwt ",
        " at+jwt",
        "at+jwt;q=1",
        "application/JWT",
        "application/application/at+jwt",
        "text/at+jwt",
        "application/",
        "/at+jwt",
        "x/application/at+jwt",
        "at+\\u0130wt",
        "\\u0000at+jwt",
    ] {
        header_refused(&format!(r#"{{"alg":"ES256","typ":"{typ}","kid":"es256"}}"#), TokenError::Type);
    }
    header_refused(r#"{"alg":"ES256","kid":"es256"}"#, TokenError::Type);
    for typ in ["\"\"", "null", "7", r#"["at+jwt"]"#] {
        header_refused(&format!(r#"{{"alg":"ES256","typ":{typ},"kid":"es256"}}"#), TokenError::Header("typ"));
    }
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
        let header = format!(r#"{{"alg":"ES256","typ":"{typ}","kid":"es256"}}"#);
        assert_eq!(read(&KEYS.es256.token(&header, &claims())).map(|_| ()), Ok(()), "{typ}");
    }
}

#[test]
fn a_wider_list_of_types_still_keeps_id_tokens_out() {
    let wide = IssuerRules { token_types: vec!["Application/JWT".to_owned(), String::new()], ..rules() };
    let with = |header: &str, claims: &str| {
        read_with(&KEYS.es256.token(header, claims), &wide, &KEYS.set, at(NOW)).map(|_| ())
    };
    let (plain, untyped) = (r#"{"alg":"ES256","typ":"JWT","kid":"es256"}"#, r#"{"alg":"ES256","kid":"es256"}"#);
    assert_eq!(with(plain, &claims()), Ok(()));
    assert_eq!(with(untyped, &claims()), Ok(()));
    assert_eq!(with(&KEYS.es256.header(), &claims()), Err(TokenError::Type), "not in this list");
    for claim in ["nonce", "at_hash"] {
        assert_eq!(with(plain, &claims_with(claim, r#""x""#)), Err(TokenError::Type));
        assert_eq!(with(untyped, &claims_with(claim, "null")), Err(TokenError::Type));
    }
    assert_eq!(read(&token(&claims_with("nonce", r#""x""#))).map(|_| ()), Ok(()), "at+jwt says what it is");
}

#[test]
fn a_key_name_is_only_ever_compared() {
    for kid in [
        "../../../dev/null",
        "/dev/null",
        "es256\\u0000",
        "ES256",
        "es256 ",
        "' OR 1=1 --",
        "file:///etc/passwd",
        "https://evil.example/jwks.json",
        "es25",
        "es2566",
        "*",
        "e\\u0000s256",
        "${jndi:ldap://x}",
        "0",
    ] {
        header_refused(&format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{kid}"}}"#), TokenError::UnknownKey);
    }
    for kid in ["\"\"", "null", "7", "{}", r#"["es256"]"#, "true"] {
        header_refused(&format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":{kid}}}"#), TokenError::Header("kid"));
    }
    let long = |length: usize| format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{}"}}"#, "k".repeat(length));
    header_refused(&long(MAX_KEY_NAME), TokenError::UnknownKey);
    header_refused(&long(MAX_KEY_NAME + 1), TokenError::TooLong("kid"));
}

#[test]
fn a_key_that_the_token_brings_is_ignored() {
    let stranger = &KEYS.stranger;
    for extra in [
        format!(r#""jwk":{{{}}}"#, stranger.members()),
        r#""jku":"https://evil.example/jwks.json""#.to_owned(),
        r#""x5u":"http://169.254.169.254/latest""#.to_owned(),
        r#""x5c":["MIIB"]"#.to_owned(),
    ] {
        let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"es256",{extra}}}"#);
        refused(&stranger.token(&header, &claims()), TokenError::Signature);
        let unknown = header.replace("\"kid\":\"es256\"", "\"kid\":\"evil\"");
        refused(&stranger.token(&unknown, &claims()), TokenError::UnknownKey);
        assert_eq!(read(&KEYS.es256.token(&header, &claims())).map(|_| ()), Ok(()), "{extra}");
    }
}

#[test]
fn without_a_key_name_only_one_fitting_key_is_taken() {
    let header = r#"{"alg":"ES256","typ":"at+jwt"}"#;
    assert_eq!(read(&KEYS.es256.token(header, &claims())).map(|_| ()), Ok(()), "one of four has this algorithm");
    let second = TestKey::new("ES256", "second");
    let two = KeySet::parse(key_set(&[&KEYS.es256, &second]).as_bytes()).unwrap();
    for key in [&KEYS.es256, &second] {
        let token = key.token(header, &claims());
        assert_eq!(read_with(&token, &rules(), &two, at(NOW)), Err(TokenError::UnknownKey));
    }
    let none = KeySet::parse(key_set(&[&KEYS.rs256]).as_bytes()).unwrap();
    assert_eq!(read_with(&KEYS.es256.token(header, &claims()), &rules(), &none, at(NOW)), Err(TokenError::UnknownKey));
}
