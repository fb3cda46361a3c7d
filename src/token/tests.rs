//! Tests of the whole path from a token to a principal. The classes of hostile tokens are one file each.

mod claims;
mod form;
mod header;
mod introspection;
mod keys;
mod published;
mod sender;
mod signature;

use std::sync::LazyLock;

use proptest::prelude::*;

use super::support::{TestKey, encode, key_set};
use super::*;
use crate::context::UnixTime;

/// The second that it is in all of these tests.
const NOW: i64 = 1_800_000_000;

/// The claims of a token that is accepted, by name.
const CLAIMS: [(&str, &str); 8] = [
    ("iss", r#""https://id.example.com""#),
    ("aud", r#""https://mcp.example.com/weather""#),
    ("sub", r#""alice""#),
    ("client_id", r#""agent""#),
    ("exp", "1800000300"),
    ("iat", "1799999990"),
    ("jti", r#""j1""#),
    ("scope", r#""weather:read weather:write""#),
];

const AUDIENCE: &str = "https://mcp.example.com/weather";

/// One key of each kind, all in the issuer's set, and one that is not.
struct Keys {
    es256: TestKey,
    es384: TestKey,
    rs256: TestKey,
    ed: TestKey,
    stranger: TestKey,
    set: KeySet,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let (es256, es384) = (TestKey::new("ES256", "es256"), TestKey::new("ES384", "es384"));
    let (rs256, ed) = (TestKey::new("RS256", "rs256"), TestKey::new("EdDSA", "ed"));
    let set = KeySet::parse(key_set(&[&es256, &es384, &rs256, &ed]).as_bytes()).unwrap();
    Keys { es256, es384, rs256, ed, stranger: TestKey::new("ES256", "es256"), set }
});

fn rules() -> IssuerRules {
    let claim = |name: &str, kind| ClaimRule { name: name.to_owned(), pointer: format!("/ext/{name}"), kind };
    IssuerRules {
        name: "corp".to_owned(),
        issuer: "https://id.example.com".to_owned(),
        algorithms: Algorithm::ALL.to_vec(),
        token_types: vec!["at+jwt".to_owned()],
        groups: Some("/groups".to_owned()),
        scope_claim: "/scope".to_owned(),
        claims: vec![
            claim("text", ClaimType::String),
            claim("number", ClaimType::Long),
            claim("flag", ClaimType::Bool),
            claim("price", ClaimType::Decimal),
            claim("names", ClaimType::SetOfString),
            claim("numbers", ClaimType::SetOfLong),
        ],
    }
}

fn at(seconds: i64) -> UnixTime {
    UnixTime::from_seconds(seconds)
}

/// The accepted claims with one more, or with another value of one; an empty `value` leaves it out.
fn claims_with(name: &str, value: &str) -> String {
    let mut members: Vec<String> =
        CLAIMS.iter().filter(|(other, _)| *other != name).map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
    if !value.is_empty() {
        members.push(format!(r#""{name}":{value}"#));
    }
    format!("{{{}}}", members.join(","))
}

fn claims() -> String {
    claims_with("jti", r#""j1""#)
}

/// A token with these claims, good in all else.
fn token(claims: &str) -> String {
    KEYS.es256.token(&KEYS.es256.header(), claims)
}

fn read(token: &str) -> Result<Principal, TokenError> {
    read_with(token, &rules(), &KEYS.set, at(NOW))
}

fn read_with(token: &str, rules: &IssuerRules, keys: &KeySet, now: UnixTime) -> Result<Principal, TokenError> {
    verify(&UnverifiedToken::parse(token)?, rules, keys, now)
}

#[track_caller]
fn refused(token: &str, expected: TokenError) {
    let shown: String = token.chars().take(200).collect();
    assert_eq!(read(token).map(|_| ()), Err(expected), "{shown}");
}

#[test]
fn a_good_token_makes_a_principal_with_its_facts() {
    let claims = claims_with(
        "ext",
        r#"{"text":"t","number":1e0,"flag":true,"price":1.50,"names":["a"],"numbers":[1,2]},
           "groups":["g1","g2"],"nbf":1799999980,"auth_time":1799990000,"acr":"mfa","amr":["pwd","otp"],
           "act":{"sub":"b1","client_id":"b2","act":{"sub":"b3"}}"#,
    );
    let principal = read(&token(&claims)).unwrap();
    assert_eq!(principal.issuer_name(), "corp");
    assert_eq!(principal.issuer(), "https://id.example.com");
    assert_eq!(principal.audiences(), [AUDIENCE]);
    assert_eq!((principal.subject(), principal.client()), (Some("alice"), "agent"));
    assert!(!principal.is_client());
    assert_eq!(principal.scopes(), ["weather:read", "weather:write"]);
    assert_eq!(principal.groups(), ["g1", "g2"]);
    assert_eq!((principal.issued_at(), principal.expires_at()), (at(NOW - 10), at(NOW + 300)));
    assert_eq!((principal.not_before(), principal.auth_time()), (Some(at(NOW - 20)), Some(at(NOW - 10_000))));
    assert_eq!((principal.acr(), principal.token_id()), (Some("mfa"), Some("j1")));
    assert_eq!(principal.amr(), ["pwd", "otp"]);
    assert_eq!(principal.actors(), ["b2", "b3"]);
    assert!(matches!(principal.voucher(), Voucher::Key(key) if KEYS.set.contains(&key)));
    let expected = [
        ("text", ClaimValue::String("t".to_owned())),
        ("number", ClaimValue::Long(1)),
        ("flag", ClaimValue::Bool(true)),
        ("price", ClaimValue::Decimal("1.5".to_owned())),
        ("names", ClaimValue::Strings(vec!["a".to_owned()])),
        ("numbers", ClaimValue::Longs(vec![1, 2])),
    ];
    assert_eq!(principal.claims(), expected.map(|(name, value)| (name.to_owned(), value)));
}

#[test]
fn each_algorithm_verifies() {
    let keys = &*KEYS;
    for key in [&keys.es256, &keys.es384, &keys.rs256, &keys.ed] {
        assert_eq!(read(&key.token(&key.header(), &claims())).map(|_| ()), Ok(()), "{}", key.alg);
    }
    // One RSA key without `alg` can do all six.
    let set = format!(r#"{{"keys":[{{{},"kid":"rs256"}}]}}"#, keys.rs256.material());
    let set = KeySet::parse(set.as_bytes()).unwrap();
    for alg in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        let signed =
            format!("{}.{}", encode(format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"rs256"}}"#)), encode(claims()));
        let token = format!("{signed}.{}", encode(keys.rs256.sign_as(alg, signed.as_bytes())));
        assert_eq!(read_with(&token, &rules(), &set, at(NOW)).map(|_| ()), Ok(()), "{alg}");
    }
}

#[test]
fn a_supposed_principal_has_the_same_facts_and_no_key() {
    let (claims, rules) = (claims(), rules());
    let supposed = suppose(claims.as_bytes(), &rules, at(NOW)).unwrap();
    assert_eq!(supposed.voucher(), Voucher::Supposed);
    let verified = read(&token(&claims)).unwrap();
    assert_eq!((supposed.subject(), supposed.scopes()), (verified.subject(), verified.scopes()));
    let other = claims_with("iss", r#""https://other.example.com""#);
    assert_eq!(suppose(other.as_bytes(), &rules, at(NOW)), Err(TokenError::UnknownIssuer));
    assert_eq!(suppose(claims.as_bytes(), &rules, at(NOW + 330)), Err(TokenError::Expired));
}

#[test]
fn the_audience_is_exact() {
    let principal =
        read(&token(&claims_with("aud", r#"["https://a.example.com","https://b.example.com/x"]"#))).unwrap();
    let check = |audience| principal.check(audience, at(NOW));
    assert_eq!(check("https://a.example.com"), Ok(()));
    assert_eq!(check("https://b.example.com/x"), Ok(()));
    for audience in [
        "",
        "https://a.example.com/",
        "https://a.example.co",
        "https://A.example.com",
        "https://b.example.com",
        "https://b.example.com/x/",
        "https://b.example.com/X",
        "b.example.com/x",
    ] {
        assert_eq!(check(audience), Err(TokenError::Audience), "{audience}");
    }
}

#[test]
fn time_is_checked_with_leeway_to_the_millisecond() {
    let principal = read(&token(&claims_with("nbf", "1799999990"))).unwrap();
    let check = |millis| principal.check(AUDIENCE, UnixTime::from_millis(millis));
    let expiry = (NOW + 300 + LEEWAY_SECONDS) * 1000;
    assert_eq!(check(expiry - 1), Ok(()));
    assert_eq!(check(expiry), Err(TokenError::Expired));
    assert_eq!(check(expiry + 1), Err(TokenError::Expired));
    assert_eq!(check(i64::MAX - 60_000), Err(TokenError::Expired));
    let start = (NOW - 10 - LEEWAY_SECONDS) * 1000;
    assert_eq!(check(start), Ok(()));
    assert_eq!(check(start - 1), Err(TokenError::NotYetValid));
}

#[test]
fn verifying_looks_at_the_time_too() {
    let token = token(&claims());
    let (rules, set) = (rules(), &KEYS.set);
    let verify_at = |millis| read_with(&token, &rules, set, UnixTime::from_millis(millis)).map(|_| ());
    assert_eq!(verify_at((NOW + 330) * 1000 - 1), Ok(()));
    assert_eq!(verify_at((NOW + 330) * 1000), Err(TokenError::Expired));
    assert_eq!(verify_at((NOW - 40) * 1000), Ok(()));
    assert_eq!(verify_at((NOW - 40) * 1000 - 1), Err(TokenError::IssuedInFuture));
}

#[test]
fn errors_say_nothing_of_the_token() {
    let error = read(&token(&claims_with("sub", "\"secret\\u0000\""))).unwrap_err();
    assert_eq!(error.to_string(), "the token's claim `sub` is malformed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_changed_token_never_verifies(place in any::<prop::sample::Index>(), byte in any::<u8>(), kind in 0..3) {
        static TOKEN: LazyLock<String> = LazyLock::new(|| token(&claims()));
        let mut bytes = TOKEN.clone().into_bytes();
        let place = place.index(bytes.len());
        match kind {
            0 => bytes[place] = byte,
            1 => bytes.insert(place, byte),
            _ => { bytes.remove(place); }
        }
        if let Ok(text) = String::from_utf8(bytes) {
            prop_assert_eq!(read(&text).is_ok(), text == *TOKEN);
        }
    }
}
