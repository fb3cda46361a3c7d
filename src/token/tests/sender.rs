//! Who may use a token that is bound to a key or to a certificate (RFC 9449, RFC 8705).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use bytes::Bytes;

use super::*;
use crate::context::Headers;

const URL: &str = "https://mcp.example.com/weather";

/// Keys of clients.
static OWN: LazyLock<TestKey> = LazyLock::new(|| TestKey::new("ES256", "own"));
static RSA: LazyLock<TestKey> = LazyLock::new(|| TestKey::new("RS256", "rsa"));
static OTHER: LazyLock<TestKey> = LazyLock::new(|| TestKey::new("ES256", "other"));

/// A proof to be, whole unless a test says what is different.
struct Proof {
    key: &'static TestKey,
    header: Vec<(&'static str, String)>,
    claims: Vec<(&'static str, String)>,
}

fn proof(token: &str) -> Proof {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    let claims = [
        ("jti", r#""p1""#.to_owned()),
        ("htm", r#""POST""#.to_owned()),
        ("htu", format!("{URL:?}")),
        ("iat", NOW.to_string()),
        ("ath", format!("{:?}", encode(digest))),
    ];
    Proof { key: &OWN, header: Vec::new(), claims: claims.to_vec() }.key(&OWN)
}

impl Proof {
    fn key(mut self, key: &'static TestKey) -> Self {
        self.key = key;
        let jwk = format!("{{{}}}", key.material());
        self.header = vec![("typ", r#""dpop+jwt""#.to_owned()), ("alg", format!("{:?}", key.alg)), ("jwk", jwk)];
        self
    }

    /// Another value; an empty one takes the member away.
    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.header.retain(|(own, _)| *own != name);
        self.header.push((name, value.into()));
        self
    }

    fn claim(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.claims.retain(|(own, _)| *own != name);
        self.claims.push((name, value.into()));
        self
    }

    fn text(&self) -> String {
        self.key.token(&object(&self.header), &object(&self.claims))
    }
}

fn object(members: &[(&str, String)]) -> String {
    let present = members.iter().filter(|(_, value)| !value.is_empty());
    let members: Vec<String> = present.map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

/// A token with this `cnf`; none if it is empty.
fn bound(cnf: &str) -> (String, Principal) {
    let claims = if cnf.is_empty() { claims() } else { claims().replacen('{', &format!(r#"{{"cnf":{cnf},"#), 1) };
    let text = token(&claims);
    let principal = read(&text).unwrap();
    (text, principal)
}

fn bound_to(key: &TestKey) -> (String, Principal) {
    let set = KeySet::parse(key_set(&[key]).as_bytes()).unwrap();
    let print = set.find(Some(&key.kid), Algorithm::parse(key.alg).unwrap()).unwrap().id().to_string();
    bound(&format!(r#"{{"jkt":"{print}"}}"#))
}

fn dpop() -> DpopRules {
    DpopRules { required: false, algorithms: vec![Algorithm::ES256, Algorithm::RS256], nonces: None }
}

fn with_dpop(rules: DpopRules) -> SenderRules {
    SenderRules { dpop: Some(rules), mtls: None }
}

fn check(
    (text, principal): &(String, Principal),
    scheme: &str,
    proofs: &[&str],
    rules: &SenderRules,
) -> Result<Option<ProofId>, SenderError> {
    let header = |name, value: &str| (Bytes::from_static(name), Bytes::copy_from_slice(value.as_bytes()));
    let mut pairs = vec![header(b"authorization", &format!("{scheme} {text}"))];
    pairs.extend(proofs.iter().map(|proof| header(b"DPoP", proof)));
    let headers = Headers::new(pairs);
    let credential = &Credential::from_request(&headers, b"/weather").unwrap();
    let sent = Sent { credential, headers: &headers, method: b"POST", url: URL, certificate: b"" };
    check_sender(principal, rules, &sent, UnixTime::from_seconds(NOW))
}

/// What becomes of a proof that goes with a token bound to [`OWN`].
fn judged(change: impl FnOnce(Proof) -> Proof) -> Result<ProofId, ProofError> {
    let own = bound_to(&OWN);
    let text = change(proof(&own.0)).text();
    match check(&own, "DPoP", &[&text], &with_dpop(dpop())) {
        Ok(id) => Ok(id.expect("a proof to remember")),
        Err(SenderError::Proof(error)) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn refused_proof(change: impl FnOnce(Proof) -> Proof, expected: ProofError) {
    assert_eq!(judged(change), Err(expected));
}

#[test]
fn a_whole_proof_is_accepted_and_known_by_its_key_and_id() {
    let id = judged(|proof| proof).unwrap();
    assert_eq!(judged(|proof| proof.claim("iat", (NOW - 9).to_string())), Ok(id), "the same key and `jti`");
    assert_ne!(judged(|proof| proof.claim("jti", r#""p2""#)), Ok(id));
    let by_rsa = bound_to(&RSA);
    let text = proof(&by_rsa.0).key(&RSA).text();
    let other = check(&by_rsa, "DPoP", &[&text], &with_dpop(dpop())).unwrap();
    assert!(other.is_some_and(|other| other != id));
}

#[test]
fn a_proof_has_the_right_type() {
    for typ in [r#""at+jwt""#, r#""jwt""#, r#""dpop""#, r#""dpop+jwt2""#, ""] {
        refused_proof(|proof| proof.header("typ", typ), ProofError::Type);
    }
    assert!(judged(|proof| proof.header("typ", r#""DPoP+JWT""#)).is_ok(), "media types have no case");
}

#[test]
fn a_proof_has_an_algorithm_of_the_list_that_its_key_has() {
    for alg in [r#""none""#, r#""HS256""#, r#""ES384""#, r#""EdDSA""#, r#""es256""#, ""] {
        refused_proof(|proof| proof.header("alg", alg), ProofError::Algorithm);
    }
    refused_proof(|proof| proof.header("alg", r#""RS256""#), ProofError::Algorithm);
    refused_proof(|proof| proof.header("alg", "7"), ProofError::Form(TokenError::Header("alg")));
    // Sound in itself, and of an algorithm that the server does not list.
    let bound = bound_to(&RSA);
    let text = proof(&bound.0).key(&RSA).text();
    let rules = with_dpop(DpopRules { algorithms: vec![Algorithm::ES256], ..dpop() });
    assert_eq!(check(&bound, "DPoP", &[&text], &rules), Err(SenderError::Proof(ProofError::Algorithm)));
}

#[test]
fn a_proof_brings_a_usable_public_key_and_no_private_one() {
    let own = OWN.material();
    for jwk in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "\"x\"".to_owned(),
        "{}".to_owned(),
        r#"{"kty":"oct","k":"AAAA"}"#.to_owned(),
        format!(r#"{{{own},"d":"AAAA"}}"#),
        format!(r#"{{{own},"use":"enc"}}"#),
        format!(r#"{{{own},"alg":"RS256"}}"#),
        format!(r#"{{"kty":"EC","crv":"P-256","x":"{0}","y":"{0}"}}"#, encode([1; 32])),
    ] {
        refused_proof(|proof| proof.header("jwk", jwk.clone()), ProofError::Key);
    }
}

#[test]
fn a_proof_is_made_with_the_key_that_the_token_is_bound_to() {
    refused_proof(|proof| proof.key(&OTHER), ProofError::OtherKey);
    let own = format!("{{{}}}", OWN.material());
    refused_proof(|proof| proof.key(&OTHER).header("jwk", own), ProofError::Signature);
}

#[test]
fn a_proof_is_for_this_method_and_url() {
    for htm in [r#""GET""#, r#""post""#, r#""POST ""#, r#""""#] {
        refused_proof(|proof| proof.claim("htm", htm), ProofError::Method);
    }
    for htu in [
        "https://mcp.example.com/bank",
        "https://mcp.example.com/weather/",
        "https://mcp.example.com/Weather",
        "https://mcp.example.com",
        "http://mcp.example.com/weather",
        "https://mcp.example.com:8443/weather",
        "https://mcp.example.com.evil.example/weather",
        "https://mcp.example.com@evil.example/weather",
        "https://a:b@mcp.example.com/weather",
        "/weather",
        "mcp.example.com/weather",
        "",
    ] {
        refused_proof(|proof| proof.claim("htu", format!("{htu:?}")), ProofError::Url);
    }
    for htu in [
        "HTTPS://MCP.example.com:443/weather",
        "https://mcp.example.com/x/../weather",
        "https://mcp.example.com/weather?a=b#c",
    ] {
        assert!(judged(|proof| proof.claim("htu", format!("{htu:?}"))).is_ok(), "{htu}");
    }
}

#[test]
fn a_proof_is_of_now() {
    for (seconds, good) in
        [(-PROOF_SECONDS - 1, false), (-PROOF_SECONDS, true), (PROOF_SECONDS, true), (PROOF_SECONDS + 1, false)]
    {
        let found = judged(|proof| proof.claim("iat", (NOW + seconds).to_string()));
        assert_eq!(found.err(), if good { None } else { Some(ProofError::Time) }, "{seconds}");
    }
    for iat in ["", "\"1800000000\"", "null", "-1", "1e30"] {
        refused_proof(|proof| proof.claim("iat", iat), ProofError::Claim("iat"));
    }
}

#[test]
fn a_proof_is_for_this_token() {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"another");
    refused_proof(|proof| proof.claim("ath", format!("{:?}", encode(digest))), ProofError::Token);
    refused_proof(|proof| proof.claim("ath", r#""""#), ProofError::Token);
}

#[test]
fn a_proof_has_every_claim_as_text() {
    for name in ["jti", "htm", "htu", "ath"] {
        for value in ["", "7", "null", "[]"] {
            refused_proof(|proof| proof.claim(name, value), ProofError::Claim(name));
        }
    }
    refused_proof(|proof| proof.claim("jti", r#""""#), ProofError::Claim("jti"));
    let long = |length| format!("{:?}", "x".repeat(length));
    assert!(judged(|proof| proof.claim("jti", long(MAX_PROOF_ID))).is_ok());
    refused_proof(|proof| proof.claim("jti", long(MAX_PROOF_ID + 1)), ProofError::Claim("jti"));
    refused_proof(
        |mut proof| {
            proof.claims.push(("htm", r#""GET""#.to_owned()));
            proof
        },
        ProofError::Form(TokenError::DuplicateMember("claims")),
    );
}

#[test]
fn one_proof_comes_with_a_request() {
    let own = bound_to(&OWN);
    let text = proof(&own.0).text();
    let rules = with_dpop(dpop());
    let judge = |proofs: &[&str]| check(&own, "DPoP", proofs, &rules).unwrap_err();
    assert_eq!(judge(&[]), SenderError::Proof(ProofError::Missing));
    assert_eq!(judge(&[&text, &text]), SenderError::Proof(ProofError::Repeated));
    let joined = format!("{text},{text}");
    for bad in [joined.as_str(), "", "x", "a.b.c", text.split_at(1).1, &format!("{text}x"), &format!(" {text}")] {
        assert!(matches!(judge(&[bad]), SenderError::Proof(ProofError::Form(_))), "{bad}");
    }
}

#[test]
fn a_nonce_is_good_for_its_time_and_once_again_as_long() {
    let nonces = Nonces::parse(&[b'a'; MIN_SECRET]).unwrap();
    let own = bound_to(&OWN);
    let rules = with_dpop(DpopRules { nonces: Some(nonces.clone()), ..dpop() });
    let judge = |nonce: &str| check(&own, "DPoP", &[&proof(&own.0).claim("nonce", nonce).text()], &rules).err();
    let at = |seconds| format!("{:?}", nonces.current(UnixTime::from_seconds(NOW + seconds)));
    for good in [at(0), at(-NONCE_SECONDS)] {
        assert_eq!(judge(&good), None, "{good}");
    }
    let foreign = Nonces::parse(&[b'b'; MIN_SECRET]).unwrap().current(UnixTime::from_seconds(NOW));
    for bad in [at(-2 * NONCE_SECONDS), at(NONCE_SECONDS), String::new(), r#""""#.to_owned(), format!("{foreign:?}")] {
        assert_eq!(judge(&bad), Some(SenderError::Proof(ProofError::Nonce)), "{bad}");
    }
}

#[test]
fn a_secret_of_nonces_is_long_enough() {
    assert_eq!(Nonces::parse(format!("{}\n", "a".repeat(MIN_SECRET - 1)).as_bytes()).err(), Some(WeakSecret));
    let now = UnixTime::from_seconds(NOW);
    let with_newline = Nonces::parse(format!("{}\n", "a".repeat(MIN_SECRET)).as_bytes()).unwrap();
    let without = Nonces::parse("a".repeat(MIN_SECRET).as_bytes()).unwrap();
    assert_eq!(with_newline.current(now), without.current(now));
    assert!(!format!("{without:?}").contains("aaaa"));
}

/// Every way of binding a token, of sending it, and of configuring a server.
#[test]
fn who_may_use_which_token_where() {
    let plain = || bound("");
    let by_key = || bound_to(&OWN);
    let by_certificate = || bound(&format!(r#"{{"x5t#S256":"{}"}}"#, encode([1; 32])));
    let required = DpopRules { required: true, ..dpop() };
    let mtls = |required| SenderRules { mtls: Some(MtlsRules { required }), dpop: None };
    for (name, token, scheme, rules, expected) in [
        ("a bearer token", plain(), "Bearer", SenderRules::default(), None),
        ("a bearer token where both are taken", plain(), "Bearer", with_dpop(dpop()), None),
        ("a bearer token where a key is required", plain(), "Bearer", with_dpop(required), Some(SenderError::Required)),
        ("a bearer token where a certificate is required", plain(), "Bearer", mtls(true), Some(SenderError::Required)),
        ("a bearer token where a certificate is taken", plain(), "Bearer", mtls(false), None),
        ("a bearer token sent with a proof", plain(), "DPoP", with_dpop(dpop()), Some(SenderError::NotBound)),
        ("the same where no proofs are taken", plain(), "DPoP", SenderRules::default(), Some(SenderError::NotBound)),
        ("a bound token sent alone", by_key(), "Bearer", with_dpop(dpop()), Some(SenderError::Downgraded)),
        ("the same where no proofs are taken", by_key(), "Bearer", mtls(false), Some(SenderError::Unconfigured)),
        ("with its proof, there", by_key(), "DPoP", SenderRules::default(), Some(SenderError::Unconfigured)),
        ("with its proof", by_key(), "DPoP", with_dpop(dpop()), None),
        (
            "bound to a certificate where none are taken",
            by_certificate(),
            "Bearer",
            with_dpop(dpop()),
            Some(SenderError::Unconfigured),
        ),
        ("without the certificate", by_certificate(), "Bearer", mtls(false), Some(SenderError::NoCertificate)),
    ] {
        let text = proof(&token.0).text();
        let proofs: &[&str] = if scheme == "DPoP" { &[&text] } else { &[] };
        assert_eq!(check(&token, scheme, proofs, &rules).err(), expected, "{name}");
    }
}

#[test]
fn a_certificate_is_the_one_that_the_token_is_bound_to() {
    let print = encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"certificate"));
    let (text, principal) = bound(&format!(r#"{{"x5t#S256":"{print}"}}"#));
    let pair = (Bytes::from_static(b"authorization"), Bytes::from(format!("Bearer {text}")));
    let headers = Headers::new(vec![pair]);
    let credential = &Credential::from_request(&headers, b"/weather").unwrap();
    let rules = SenderRules { mtls: Some(MtlsRules { required: true }), dpop: None };
    let pem = |der: &[u8]| {
        format!("-----BEGIN CERTIFICATE-----%0A{}%0A-----END CERTIFICATE-----%0A", STANDARD.encode(der))
            .replace('+', "%2B")
            .replace('=', "%3D")
    };
    for (certificate, expected) in [
        (pem(b"certificate"), None),
        (pem(b"another"), Some(SenderError::OtherCertificate)),
        (pem(b"another") + &pem(b"certificate"), Some(SenderError::OtherCertificate)),
        ("certificate".to_owned(), Some(SenderError::OtherCertificate)),
        (String::new(), Some(SenderError::NoCertificate)),
    ] {
        let sent =
            Sent { credential, headers: &headers, method: b"POST", url: URL, certificate: certificate.as_bytes() };
        let found = check_sender(&principal, &rules, &sent, UnixTime::from_seconds(NOW));
        assert_eq!(found.err(), expected, "{certificate}");
    }
}
