//! Key sets: what refuses the whole set, what leaves a key out, and what an identity is.

use aws_lc_rs::rsa::KeySize;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::json::JsonError;

fn set(keys: &[&str]) -> Result<KeySet, KeySetError> {
    KeySet::parse(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes())
}

/// A set of `key` and one that is good, so that what happens to `key` shows.
#[track_caller]
fn left_out(key: &str, reason: Unusable) {
    let set = set(&[key, &format!("{{{}}}", KEYS.ed.members())]).unwrap();
    assert_eq!(set.skipped(), [Skipped { index: 0, reason }], "{key}");
    assert_eq!(set.len(), 1);
}

/// The good key `key` with `from` replaced by `to`.
fn changed(key: &TestKey, from: &str, to: &str) -> String {
    let members = format!("{{{}}}", key.members());
    assert!(members.contains(from), "{members} has no {from}");
    members.replace(from, to)
}

#[test]
fn a_set_is_an_object_of_an_array_of_objects() {
    for text in [
        "[]",
        "{}",
        "null",
        r#"{"keys":{}}"#,
        r#"{"keys":null}"#,
        r#"{"keys":[7]}"#,
        r#"{"keys":[[]]}"#,
        r#"{"Keys":[]}"#,
    ] {
        assert_eq!(KeySet::parse(text.as_bytes()).map(|set| set.len()), Err(KeySetError::Shape), "{text}");
    }
    let html = KeySet::parse(b"<html>").map(|set| set.len());
    assert_eq!(html, Err(KeySetError::Json(JsonError::Syntax { at: 0 })));
    let twice = KeySet::parse(br#"{"keys":[],"keys":[]}"#).map(|set| set.len());
    assert_eq!(twice, Err(KeySetError::Json(JsonError::DuplicateKey { at: 11 })));
    assert_eq!(set(&[]).map(|set| set.len()), Err(KeySetError::Empty));
    assert_eq!(set(&[r#"{"kty":"LMS"}"#]).map(|set| set.len()), Err(KeySetError::Empty));
}

#[test]
fn a_set_has_limits() {
    let key = |i: usize| changed(&KEYS.ed, "\"kid\":\"ed\"", &format!("\"kid\":\"k{i}\""));
    let keys: Vec<String> = (0..=MAX_KEYS).map(key).collect();
    let all: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert_eq!(set(&all[..MAX_KEYS]).map(|set| set.len()), Ok(MAX_KEYS));
    assert_eq!(set(&all).map(|set| set.len()), Err(KeySetError::TooMany));
    let padded = |size: usize| {
        let text = format!(r#"{{"keys":[{}]}}"#, keys[0]);
        format!("{text}{}", " ".repeat(size - text.len()))
    };
    assert_eq!(KeySet::parse(padded(MAX_KEY_SET).as_bytes()).map(|set| set.len()), Ok(1));
    assert_eq!(KeySet::parse(padded(MAX_KEY_SET + 1).as_bytes()).map(|set| set.len()), Err(KeySetError::TooLong));
}

#[test]
fn secrets_and_shared_names_refuse_the_whole_set() {
    let good = format!("{{{}}}", KEYS.ed.members());
    for member in ["d", "k", "p", "q", "dp", "dq", "qi", "oth"] {
        let secret = changed(&KEYS.rs256, "\"kty\"", &format!("\"{member}\":\"AQAB\",\"kty\""));
        assert_eq!(set(&[&good, &secret]).map(|set| set.len()), Err(KeySetError::Secret { index: 1 }), "{member}");
    }
    assert_eq!(set(&[&good, r#"{"kty":"oct"}"#]).map(|set| set.len()), Err(KeySetError::Secret { index: 1 }));
    let same = changed(&KEYS.es256, "\"kid\":\"es256\"", "\"kid\":\"ed\"");
    assert_eq!(set(&[&good, &same]).map(|set| set.len()), Err(KeySetError::DuplicateName { index: 1 }));
    let other_use = same.replace("\"use\":\"sig\"", "\"use\":\"enc\"");
    assert_eq!(set(&[&other_use, &good]).map(|set| set.len()), Err(KeySetError::DuplicateName { index: 1 }));
}

#[test]
fn a_key_for_another_purpose_is_left_out() {
    for (from, to, reason) in [
        ("\"use\":\"sig\"", "\"use\":\"enc\"", Unusable::Use),
        ("\"use\":\"sig\"", "\"use\":\"SIG\"", Unusable::Use),
        ("\"use\":\"sig\"", "\"use\":null", Unusable::Use),
        ("\"use\":\"sig\"", "\"key_ops\":[\"encrypt\"]", Unusable::Use),
        ("\"use\":\"sig\"", "\"key_ops\":[\"sign\"]", Unusable::Use),
        ("\"use\":\"sig\"", "\"key_ops\":[]", Unusable::Use),
        ("\"use\":\"sig\"", "\"key_ops\":\"verify\"", Unusable::Use),
        ("\"use\":\"sig\"", "\"use\":\"sig\",\"key_ops\":[\"wrapKey\"]", Unusable::Use),
        ("\"kty\":\"EC\"", "\"kty\":\"ec\"", Unusable::Kind),
        ("\"kty\":\"EC\"", "\"kty\":\"RSA\"", Unusable::Kind),
        ("\"kty\":\"EC\"", "\"kty\":\"OKP\"", Unusable::Kind),
        ("\"kty\":\"EC\"", "\"kty\":7", Unusable::Kind),
        ("\"kty\":\"EC\",", "", Unusable::Kind),
        ("\"crv\":\"P-256\"", "\"crv\":\"P-521\"", Unusable::Kind),
        ("\"crv\":\"P-256\"", "\"crv\":\"secp256k1\"", Unusable::Kind),
        ("\"crv\":\"P-256\"", "\"crv\":\"P-384\"", Unusable::Material),
        ("\"crv\":\"P-256\",", "", Unusable::Kind),
        ("\"alg\":\"ES256\"", "\"alg\":\"ES384\"", Unusable::Algorithm),
        ("\"alg\":\"ES256\"", "\"alg\":\"RS256\"", Unusable::Algorithm),
        ("\"alg\":\"ES256\"", "\"alg\":\"HS256\"", Unusable::Algorithm),
        ("\"alg\":\"ES256\"", "\"alg\":\"none\"", Unusable::Algorithm),
        ("\"alg\":\"ES256\"", "\"alg\":\"ECDH-ES\"", Unusable::Algorithm),
        ("\"alg\":\"ES256\"", "\"alg\":7", Unusable::Algorithm),
        ("\"kid\":\"es256\"", "\"kid\":7", Unusable::Name),
        ("\"kid\":\"es256\"", "\"kid\":\"\"", Unusable::Name),
        ("\"kid\":\"es256\"", "\"kid\":null", Unusable::Name),
        ("\"x\":\"", "\"x\":\"=", Unusable::Material),
        ("\"x\":\"", "\"x\":\"AA", Unusable::Material),
        ("\"x\":\"", "\"x\":7,\"z\":\"", Unusable::Material),
        ("\"y\":\"", "\"z\":\"", Unusable::Material),
    ] {
        left_out(&changed(&KEYS.es256, from, to), reason);
    }
    let named =
        |length: usize| changed(&KEYS.es256, "\"kid\":\"es256\"", &format!("\"kid\":\"{}\"", "k".repeat(length)));
    assert_eq!(set(&[&named(MAX_KEY_NAME)]).map(|set| set.len()), Ok(1));
    left_out(&named(MAX_KEY_NAME + 1), Unusable::Name);
    left_out(&changed(&KEYS.rs256, "\"alg\":\"RS256\"", "\"alg\":\"RSA-OAEP\""), Unusable::Algorithm);
}

#[test]
fn a_point_off_its_curve_is_left_out() {
    let (a, b) = (KEYS.es256.material(), KEYS.stranger.material());
    let x = |material: &str| material.split("\"x\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    left_out(&format!("{{{}}}", a.replace(&x(&a), &x(&b))), Unusable::Material);
}

#[test]
fn coordinates_have_their_full_length() {
    // The same point, cut elsewhere: it would verify under another identity.
    let material = KEYS.es256.material();
    let member = |name: &str| material.split(&format!("\"{name}\":\"")).nth(1).unwrap().split('"').next().unwrap();
    let point = [member("x"), member("y")].map(|half| URL_SAFE_NO_PAD.decode(half).unwrap()).concat();
    let cut = |at: usize| {
        let (x, y) = point.split_at(at);
        format!(r#"{{"kty":"EC","crv":"P-256","x":"{}","y":"{}"}}"#, encode(x), encode(y))
    };
    assert_eq!(set(&[&cut(32)]).map(|set| set.len()), Ok(1));
    left_out(&cut(31), Unusable::Material);
    left_out(&cut(33), Unusable::Material);
    left_out(r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#, Unusable::Material);
}

#[test]
fn weak_rsa_keys_are_left_out() {
    let rsa = |n: &[u8], e: &str| format!(r#"{{"kty":"RSA","n":"{}","e":"{e}"}}"#, encode(n));
    let mut odd = vec![0xc5; 256];
    for size in [64, 128, 255] {
        left_out(&rsa(&odd[..size], "AQAB"), Unusable::Size);
    }
    odd[0] = 0x7f;
    left_out(&rsa(&odd, "AQAB"), Unusable::Size);
    odd[0] = 0x80;
    assert_eq!(set(&[&rsa(&odd, "AQAB")]).map(|set| set.len()), Ok(1), "2048 bits");
    assert_eq!(set(&[&rsa(&[0xc5; 1024], "AQAB")]).map(|set| set.len()), Ok(1), "8192 bits");
    left_out(&rsa(&[0xc5; 1025], "AQAB"), Unusable::Size);
    for exponent in ["AQ", "Ag", "AQAA", "AQAAAAE"] {
        left_out(&rsa(&odd, exponent), Unusable::Exponent);
    }
    left_out(&rsa(&odd, "AA"), Unusable::Material);
    left_out(&rsa(&odd, ""), Unusable::Material);
    assert_eq!(set(&[&rsa(&odd, "Aw")]).map(|set| set.len()), Ok(1), "exponent 3");
    odd[255] = 0xc4;
    left_out(&rsa(&odd, "AQAB"), Unusable::Material);
}

#[test]
fn a_modulus_of_the_flawed_generator_is_left_out() {
    let primes = [11u128, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];
    let product: u128 = primes.iter().product();
    let digits: Vec<u8> = product.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    // A multiple of the product plus 1 = 65537^0; plus 3, which is no power of 65537 modulo 13.
    let key = |last| {
        let modulus = [digits.as_slice(), &[0; 250], &[last]].concat();
        format!(r#"{{"kty":"RSA","n":"{}","e":"AQAB"}}"#, encode(modulus))
    };
    left_out(&key(1), Unusable::Roca);
    assert_eq!(set(&[&key(3)]).map(|set| set.len()), Ok(1));
}

#[test]
fn larger_rsa_keys_verify() {
    let key = TestKey::with_size("PS384", "big", KeySize::Rsa3072);
    let keys = KeySet::parse(key_set(&[&key]).as_bytes()).unwrap();
    let token = key.token(&key.header(), &claims());
    assert_eq!(read_with(&token, &rules(), &keys, at(NOW)).map(|_| ()), Ok(()));
}

#[test]
fn a_key_is_found_by_its_name_and_algorithm_only() {
    let keys = &KEYS.set;
    let found = |kid, algorithm| keys.find(kid, algorithm).map(|key| *key.id());
    assert!(found(Some("es256"), Algorithm::ES256).is_some());
    for (kid, algorithm) in
        [("es256", Algorithm::ES384), ("rs256", Algorithm::RS384), ("other", Algorithm::ES256), ("", Algorithm::ES256)]
    {
        assert_eq!(found(Some(kid), algorithm), None, "{kid} {algorithm}");
    }
    assert_eq!(found(None, Algorithm::ES256), found(Some("es256"), Algorithm::ES256));
    assert_eq!(found(None, Algorithm::PS256), None);
    let unnamed = set(&[&format!("{{{}}}", KEYS.es256.material())]).unwrap();
    assert!(unnamed.find(None, Algorithm::ES256).is_some());
    assert!(unnamed.find(Some("es256"), Algorithm::ES256).is_none());
}

#[test]
fn the_identity_is_the_thumbprint() {
    // The example of RFC 7638 §3.1.
    let key = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
    let id = *set(&[key]).unwrap().find(Some("2011-04-29"), Algorithm::RS256).unwrap().id();
    assert_eq!(id.to_string(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_eq!(format!("{id:?}"), "KeyId(NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs)");
    // A zero byte in front changes neither the number nor the identity.
    let n = key.split("\"n\":\"").nth(1).unwrap().split('"').next().unwrap();
    let padded = encode([[0].as_slice(), &URL_SAFE_NO_PAD.decode(n).unwrap()].concat());
    assert!(set(&[&key.replace(n, &padded)]).unwrap().contains(&id));
    assert!(KEYS.set.contains(KEYS.set.find(Some("ed"), Algorithm::EdDSA).unwrap().id()));
    assert!(!KEYS.set.contains(&id));
}
