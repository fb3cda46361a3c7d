//! Who asks, and how the endpoint can tell.

use aws_lc_rs::encoding::{AsBigEndian, AsDer, Curve25519SeedBin, EcPrivateKeyBin, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING,
    ED25519, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA512, RsaKeyPair, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use url::Url;

use super::super::endpoint::{Asked, IntrospectionServer, Reply};
use super::*;
use crate::context::UnixTime;
use crate::json::{Document, Limits};
use crate::metrics::Metrics;
use crate::token::support::encode;

const NOW: i64 = 1_800_000_000;

fn basic(client: &str, text: &str) -> String {
    let proof = Credential::secret(text).unwrap().proof(client, "https://id.example.com", UnixTime::from_seconds(NOW));
    let value = proof.unwrap().authorization.unwrap();
    String::from_utf8(STANDARD.decode(value.strip_prefix("Basic ").unwrap()).unwrap()).unwrap()
}

#[test]
fn odd_characters_are_encoded_before_they_are_joined() {
    for (client, text, expected) in [
        ("toolgate", "s3cret", "toolgate:s3cret"),
        ("a:b", "c:d", "a%3Ab:c%3Ad"),
        ("my client", "p+w /%&=?~", "my+client:p%2Bw+%2F%25%26%3D%3F%7E"),
        ("https://gate.example.com/", "é€", "https%3A%2F%2Fgate.example.com%2F:%C3%A9%E2%82%AC"),
        ("-._*", "-._*", "-._*:-._*"),
    ] {
        assert_eq!(basic(client, text), expected);
    }
}

#[test]
fn a_secret_is_a_file_but_for_one_line_feed() {
    for (text, expected) in [("s", "c:s"), ("s\n", "c:s"), ("s\r\n", "c:s"), (" s ", "c:+s+")] {
        assert_eq!(basic("c", text), expected, "{text:?}");
    }
    for (text, expected) in [
        ("", CredentialError::Empty),
        ("\n", CredentialError::Empty),
        ("\r\n", CredentialError::Empty),
        ("s\n\n", CredentialError::Control),
        ("\ns", CredentialError::Control),
        ("a\tb", CredentialError::Control),
        ("a\0", CredentialError::Control),
    ] {
        assert_eq!(Credential::secret(text).unwrap_err(), expected, "{text:?}");
    }
}

#[test]
fn it_does_not_show_but_two_can_be_told_apart() {
    let shown = |text| format!("{:?}", Credential::secret(text).unwrap());
    assert!(!shown("s3cret").contains("s3cret"));
    assert_eq!(shown("s3cret"), shown("s3cret\n"));
    assert_ne!(shown("s3cret"), shown("s3cre"));
    let pem = elliptic(&ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P256_SHA256_FIXED, "P-256").pem;
    let key = |kid: Option<&str>| Credential::key(&pem, Algorithm::ES256, kid.map(str::to_owned)).unwrap();
    assert_eq!(format!("{:?}", key(None)), format!("{:?}", key(None)));
    assert_ne!(format!("{:?}", key(None)), format!("{:?}", key(Some("a"))));
}

/// A private key in both forms, and its public side.
struct Keyed {
    pem: String,
    jwk: String,
    verifier: &'static dyn VerificationAlgorithm,
    public: Vec<u8>,
}

fn pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let lines: Vec<&str> = encoded.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

fn elliptic(
    signing: &'static EcdsaSigningAlgorithm,
    verifier: &'static dyn VerificationAlgorithm,
    curve: &str,
) -> Keyed {
    let pair = EcdsaKeyPair::generate(signing).unwrap();
    let public = pair.public_key().as_ref().to_vec();
    let (x, y) = public[1..].split_at(public.len() / 2);
    let d: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().unwrap();
    let (x, y, d) = (encode(x), encode(y), encode(d.as_ref()));
    let jwk = format!(r#" {{"kty":"EC","crv":"{curve}","x":"{x}","y":"{y}","d":"{d}"}}"#);
    Keyed { pem: pem(pair.to_pkcs8v1().unwrap().as_ref()), jwk, verifier, public }
}

fn edwards() -> Keyed {
    let pair = Ed25519KeyPair::generate().unwrap();
    let public = pair.public_key().as_ref().to_vec();
    let seed: Curve25519SeedBin<'_> = pair.seed().unwrap().as_be_bytes().unwrap();
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}","d":"{}"}}"#, encode(&public), encode(seed.as_ref()));
    Keyed { pem: pem(pair.to_pkcs8v1().unwrap().as_ref()), jwk, verifier: &ED25519, public }
}

fn rsa(verifier: &'static dyn VerificationAlgorithm) -> Keyed {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    // The numbers of RFC 8017 A.1.2, in the only octet string of PKCS#8 (RFC 5208 §5).
    let numbers = integers(children(children(der.as_ref())[0])[2]);
    let names = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];
    let members: Vec<String> =
        names.iter().zip(&numbers[1..]).map(|(name, number)| format!(r#""{name}":"{}""#, encode(number))).collect();
    let jwk = format!(r#"{{"kty":"RSA",{}}}"#, members.join(","));
    Keyed { pem: pem(der.as_ref()), jwk, verifier, public: pair.public_key().as_ref().to_vec() }
}

/// The contents of the DER values that follow each other in `der`.
fn children(mut der: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !der.is_empty() {
        let (length, rest) = match der[1] {
            short if short < 0x80 => (usize::from(short), &der[2..]),
            0x81 => (usize::from(der[2]), &der[3..]),
            _ => (usize::from(der[2]) * 256 + usize::from(der[3]), &der[4..]),
        };
        let (content, after) = rest.split_at(length);
        found.push(content);
        der = after;
    }
    found
}

fn integers(sequence: &[u8]) -> Vec<Vec<u8>> {
    let strip = |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect();
    children(children(sequence)[0]).into_iter().map(strip).collect()
}

/// What an issuer checks of an assertion (RFC 7523 §3): `Err` says what is wrong.
fn checked(asked: &Asked, keyed: (&'static dyn VerificationAlgorithm, &[u8]), header: &str) -> Result<String, String> {
    let field = |name| asked.field(name).ok_or(format!("no `{name}`"));
    if asked.header("authorization").is_some() || field("client_id")? != "gate:1" {
        return Err("another client".to_owned());
    }
    if field("client_assertion_type")? != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
        return Err("another type".to_owned());
    }
    let (signed, signature) = field("client_assertion")?.rsplit_once('.').unwrap();
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    UnparsedPublicKey::new(keyed.0, keyed.1)
        .verify(signed.as_bytes(), &decode(signature))
        .map_err(|_| "the signature is wrong")?;
    let (found, claims) = signed.split_once('.').unwrap();
    let (found, claims) = (decode(found), decode(claims));
    if sorted(&found) != header {
        return Err(sorted(&found));
    }
    let document = Document::parse(&claims, Limits { depth: 2, nodes: 20 }).unwrap();
    let claim = |name| document.root().get(name).map(|value| value.raw().to_owned()).unwrap_or_default();
    let found = ["iss", "sub", "aud", "iat", "exp"].map(claim);
    let expected = ["\"gate:1\"", "\"gate:1\"", "\"https://id.example.com\"", "1800000000", "1800000060"];
    if found != expected || document.root().len() != 6 { Err(format!("{found:?}")) } else { Ok(claim("jti")) }
}

/// The members of a flat object in the order of their names.
fn sorted(text: &[u8]) -> String {
    let document = Document::parse(text, Limits { depth: 2, nodes: 20 }).unwrap();
    let mut members: Vec<String> =
        document.root().members().map(|(name, value)| format!("{name}={}", value.raw())).collect();
    members.sort();
    members.join(" ")
}

#[tokio::test]
async fn a_private_key_signs_an_assertion_that_the_endpoint_can_check() {
    let cases = [
        (Algorithm::ES256, elliptic(&ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P256_SHA256_FIXED, "P-256")),
        (Algorithm::ES384, elliptic(&ECDSA_P384_SHA384_FIXED_SIGNING, &ECDSA_P384_SHA384_FIXED, "P-384")),
        (Algorithm::EdDSA, edwards()),
        (Algorithm::RS256, rsa(&RSA_PKCS1_2048_8192_SHA256)),
        (Algorithm::PS512, rsa(&RSA_PSS_2048_8192_SHA512)),
    ];
    for (algorithm, Keyed { pem, jwk, verifier, public }) in cases {
        for (text, kid) in [(pem, None), (jwk, Some("one"))] {
            let header = match kid {
                None => format!("alg=\"{algorithm}\" typ=\"JWT\""),
                Some(kid) => format!("alg=\"{algorithm}\" kid=\"{kid}\" typ=\"JWT\""),
            };
            let (seen, public) = (Arc::new(Mutex::new(Vec::new())), public.clone());
            let all = Arc::clone(&seen);
            let server = IntrospectionServer::start(move |asked| {
                let checked = checked(asked, (verifier, &public), &header);
                all.lock().unwrap().push(checked.clone());
                match checked {
                    Ok(_) => Reply::Json(r#"{"active":false}"#.to_owned()),
                    Err(_) => Reply::http("401 Unauthorized", ""),
                }
            });
            let endpoint = Endpoint {
                url: Url::parse(&server.base).unwrap(),
                client: "gate:1".to_owned(),
                timeout: 20 * SECOND,
                concurrency: 1,
                cache: Duration::ZERO,
            };
            let credential = Credential::key(&text, algorithm, kid.map(str::to_owned)).unwrap();
            let counters = Metrics::new("test").introspections("corp");
            let introspector = Introspector::new(rules(), endpoint, credential, true, counters).unwrap();
            for _ in 0..2 {
                let now = UnixTime::from_seconds(NOW);
                drop(introspector.ask(introspector.key("token"), "token", now, None).await);
            }
            let seen = seen.lock().unwrap();
            let [Ok(first), Ok(second)] = seen.as_slice() else { panic!("{algorithm}: {seen:?}") };
            assert_ne!(first, second, "no assertion is used twice");
        }
    }
}

#[test]
fn a_file_that_is_no_key_for_the_algorithm_is_an_error() {
    let Keyed { pem, jwk, .. } = elliptic(&ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P256_SHA256_FIXED, "P-256");
    let other = elliptic(&ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P256_SHA256_FIXED, "P-256").jwk;
    let x = |jwk: &str| jwk.split(r#""x":""#).nth(1).unwrap().split('"').next().unwrap().to_owned();
    let mixed = jwk.replace(&x(&jwk), &x(&other));
    let public = jwk.split(r#","d""#).next().unwrap().to_owned() + "}";
    for (text, algorithm, expected) in [
        (pem.as_str(), Algorithm::ES384, CredentialError::Key),
        (&pem, Algorithm::EdDSA, CredentialError::Key),
        (&pem, Algorithm::RS256, CredentialError::Key),
        (&jwk, Algorithm::ES384, CredentialError::Key),
        (&jwk, Algorithm::EdDSA, CredentialError::Key),
        (&jwk, Algorithm::PS256, CredentialError::Key),
        (&mixed, Algorithm::ES256, CredentialError::Key),
        (&public, Algorithm::ES256, CredentialError::Key),
        (&pem.replace("PRIVATE", "EC PRIVATE"), Algorithm::ES256, CredentialError::Form),
        (&pem.replace("PRIVATE", "ENCRYPTED PRIVATE"), Algorithm::ES256, CredentialError::Form),
        (&format!("{pem}{pem}"), Algorithm::ES256, CredentialError::Form),
        ("", Algorithm::ES256, CredentialError::Form),
        ("s3cret", Algorithm::ES256, CredentialError::Form),
        ("{", Algorithm::ES256, CredentialError::Form),
        ("{}", Algorithm::ES256, CredentialError::Key),
    ] {
        assert_eq!(Credential::key(text, algorithm, None).unwrap_err(), expected, "{algorithm}: {text}");
    }
}
