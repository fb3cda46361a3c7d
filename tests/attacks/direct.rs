//! What the whole gate does not show, because something before it refuses the same: asked of the verifier itself.

use toolgate::context::UnixTime;
use toolgate::token::{
    Algorithm, IssuerRules, KeySet, KeySetError, MAX_KEY_NAME, MAX_KEY_SET, MAX_KEYS, MAX_TOKEN, TokenError,
    UnverifiedToken, verify,
};

use super::world::{ISSUER, claims, good, keys, token};
use super::{Expected, bearer, world};
use crate::support::gate::{NOW, read};
use crate::support::tokens::{TestKey, key_set};

fn rules(issuer: &str) -> IssuerRules {
    IssuerRules {
        name: "corp".to_owned(),
        issuer: issuer.to_owned(),
        algorithms: vec![Algorithm::ES256],
        token_types: vec!["at+jwt".to_owned()],
        groups: None,
        scope_claim: "/scope".to_owned(),
        claims: Vec::new(),
    }
}

/// An issuer's keys are asked about its own tokens only, even if somebody picks the wrong ones.
#[test]
fn verifier_of_another_issuer() {
    let set = KeySet::parse(key_set(&[&keys().es256]).as_bytes()).unwrap();
    let good = good();
    let token = UnverifiedToken::parse(&good).unwrap();
    let verified = |issuer| verify(&token, &rules(issuer), &set, UnixTime::from_seconds(NOW)).map(|_| ());
    assert_eq!(verified(ISSUER), Ok(()));
    for other in ["https://id.example.com/", "https://other.example.com", ""] {
        assert_eq!(verified(other), Err(TokenError::UnknownIssuer), "{other}");
    }
}

/// The configured limit is never above the verifier's own, which holds without it.
#[test]
fn verifier_and_sizes() {
    let long = token(&claims(&[("pad", &format!("\"{}\"", "x".repeat(MAX_TOKEN)))]));
    for text in [long, "A".repeat(MAX_TOKEN + 1), ".".repeat(1_000_000)] {
        assert_eq!(UnverifiedToken::parse(&text).map(|_| ()), Err(TokenError::TooLong("token")));
    }
    assert_eq!(UnverifiedToken::parse(&".".repeat(MAX_TOKEN)).map(|_| ()), Err(TokenError::Shape));
}

/// Key sets that are refused whole: whoever publishes a secret, or two keys of one name, is not believed about the others.
#[test]
fn key_sets_that_are_refused() {
    let good = format!("{{{}}}", keys().es256.members());
    let parse = |keys: &[String]| KeySet::parse(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes());
    let refused = |keys: &[String]| parse(keys).map(|set| set.len());
    assert_eq!(refused(std::slice::from_ref(&good)), Ok(1));
    let rsa = keys().rsa.members();
    for member in ["d", "k", "p", "q", "dp", "dq", "qi", "oth"] {
        for value in [r#""AQAB""#, "null", r#""""#, "[]"] {
            let secret = format!(r#"{{{rsa},"{member}":{value}}}"#);
            assert_eq!(refused(&[good.clone(), secret]), Err(KeySetError::Secret { index: 1 }), "{member} {value}");
        }
    }
    let symmetric = r#"{"kty":"oct","kid":"s","alg":"HS256"}"#.to_owned();
    assert_eq!(refused(&[good.clone(), symmetric]), Err(KeySetError::Secret { index: 1 }));
    assert_eq!(refused(&[good.clone(), good.clone()]), Err(KeySetError::DuplicateName { index: 1 }));
    let unusable = r#"{"kty":"LMS","kid":"es256"}"#.to_owned();
    assert_eq!(refused(&[good.clone(), unusable]), Err(KeySetError::DuplicateName { index: 1 }));
    assert_eq!(refused(&[]), Err(KeySetError::Empty));
    assert_eq!(refused(&[r#"{"kty":"LMS"}"#.to_owned()]), Err(KeySetError::Empty));
}

/// On each side of each limit on a key set.
#[test]
fn key_sets_and_sizes() {
    let key = TestKey::new("EdDSA", "name");
    let named = |kid: &str| format!("{{{}}}", key.members().replace("\"name\"", &format!("\"{kid}\"")));
    let parse = |keys: &[String], pad: usize| {
        let text = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
        let pad = pad.saturating_sub(text.len());
        KeySet::parse(format!("{text}{}", " ".repeat(pad)).as_bytes()).map(|set| (set.len(), set.skipped().len()))
    };
    let many = |count: usize| (0..count).map(|at| named(&format!("k{at}"))).collect::<Vec<_>>();
    assert_eq!(parse(&many(MAX_KEYS), 0), Ok((MAX_KEYS, 0)));
    assert_eq!(parse(&many(MAX_KEYS + 1), 0), Err(KeySetError::TooMany));
    assert_eq!(parse(&many(1), MAX_KEY_SET), Ok((1, 0)));
    assert_eq!(parse(&many(1), MAX_KEY_SET + 1), Err(KeySetError::TooLong));
    let long = |length: usize| [named("a"), named(&"k".repeat(length))];
    assert_eq!(parse(&long(MAX_KEY_NAME), 0), Ok((2, 0)));
    assert_eq!(parse(&long(MAX_KEY_NAME + 1), 0), Ok((1, 1)));
    assert_eq!(parse(&long(0), 0), Ok((1, 1)));
}

/// Wycheproof's JWS as bearer tokens. None of them has the claims of an access token, so that none passes, good or bad.
#[test]
fn wycheproof_tokens() {
    let Some(folder) = std::env::var_os("TOOLGATE_CORPORA").map(std::path::PathBuf::from) else {
        eprintln!("skipped: TOOLGATE_CORPORA does not name a folder with wycheproof/");
        return;
    };
    let mut house = world::house(&[]);
    let mut seen = 0;
    for file in ["json_web_signature_test.json", "json_web_key_test.json"] {
        let vectors = read(&std::fs::read_to_string(folder.join("wycheproof").join(file)).unwrap());
        for group in vectors["testGroups"].as_array().unwrap() {
            for test in group["tests"].as_array().unwrap() {
                let attack = bearer(test["tcId"].to_string(), test["jws"].as_str().unwrap(), Expected::Ambiguous);
                let response = house.answer(attack.ask.encode());
                let records = house.records();
                assert_eq!(records.len(), 1, "{file} {}", attack.name);
                assert_eq!(records[0]["decision"], "deny", "{file} {}", attack.name);
                // Some are no compact JWS, and have commas: two credentials. One is empty: none.
                let reason = records[0]["reason"].as_str().unwrap();
                let expected = ["token_invalid", "token_ambiguous", "token_missing"];
                assert!(expected.contains(&reason), "{file} {}: {reason}", attack.name);
                assert_eq!(response.status.unwrap().code, 7, "{file} {}", attack.name);
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 401 + 26);
}
