//! Headers that want another algorithm, another key, or another meaning of what is signed.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::world::{WIDE, claims, good, headed, header, keys, signers, text, token};
use super::{
    Attack, Expected, algorithm, bearer, control, no_object, parameter, shape, twice, unknown_key, wrong_signature,
};
use crate::support::tokens::{TestKey, encode, key_set};

/// `none` in every writing (CVE-2015-9235, CVE-2018-1000531), with all that may stand for a signature.
pub(super) fn algorithm_none() -> Vec<Attack> {
    let mut names: Vec<String> = (0..16)
        .map(|upper: u32| {
            let letters = "none".chars().enumerate();
            letters
                .map(|(at, letter)| if upper >> at & 1 == 1 { letter.to_ascii_uppercase() } else { letter })
                .collect()
        })
        .map(|name: String| text(&name))
        .collect();
    let others =
        ["none ", " none", "none\0", "n\u{43e}ne", "non\u{435}", "null", "undefined", "0", "-", "plain", "unsecured"];
    names.extend(others.map(text));
    names.extend([r#""no\u006ee""#, r#""\u006eone""#].map(str::to_owned));
    let mut attacks = vec![control(good())];
    for name in &names {
        for kid in [r#""es256""#, r#""ed""#, r#""unknown""#, ""] {
            let real = headed(&header(&[("alg", name), ("kid", kid)]));
            let signed = real.rsplit_once('.').unwrap().0;
            attacks.push(bearer(format!("{name} {kid}, no signature"), format!("{signed}."), shape()));
            attacks.push(bearer(format!("{name} {kid}, its real signature"), &real, algorithm()));
            for signature in [&b"\0"[..], &[0; 64], b"none"] {
                let forged = format!("{signed}.{}", encode(signature));
                attacks.push(bearer(format!("{name} {kid}, {signature:?}"), forged, algorithm()));
            }
        }
    }
    attacks.push(bearer("no alg", headed(&header(&[("alg", "")])), algorithm()));
    for value in
        [r#""""#, "null", "7", "0", "true", "false", "{}", "[]", r#"["ES256"]"#, r#"["none"]"#, r#"{"alg":"ES256"}"#]
    {
        attacks.push(bearer(format!("alg {value}"), headed(&header(&[("alg", value)])), parameter("alg")));
    }
    attacks
}

/// Names of algorithms: the registry's, and some that only look like one.
const ALGORITHMS: [&str; 62] = [
    "HS256",
    "HS384",
    "HS512",
    "RS256",
    "RS384",
    "RS512",
    "ES256",
    "ES384",
    "ES512",
    "PS256",
    "PS384",
    "PS512",
    "RSA1_5",
    "RSA-OAEP",
    "RSA-OAEP-256",
    "A128KW",
    "A192KW",
    "A256KW",
    "dir",
    "ECDH-ES",
    "ECDH-ES+A128KW",
    "ECDH-ES+A256KW",
    "A128GCMKW",
    "A256GCMKW",
    "PBES2-HS256+A128KW",
    "PBES2-HS512+A256KW",
    "A128CBC-HS256",
    "A256GCM",
    "EdDSA",
    "RS1",
    "RSA-OAEP-384",
    "RSA-OAEP-512",
    "A128CBC",
    "A128CTR",
    "HS1",
    "ES256K",
    "Ed25519",
    "Ed448",
    "ML-DSA-44",
    "ML-DSA-65",
    "ML-DSA-87",
    "SLH-DSA-SHA2-128s",
    "es256",
    "Es256",
    "eddsa",
    "rs256",
    "ES256 ",
    " ES256",
    "ES256\n",
    "ES256\0",
    "ES-256",
    "ES256,RS256",
    "ES256;none",
    "SHA256withECDSA",
    "ecdsa-sha2-nistp256",
    "RSA",
    "EC",
    "-7",
    "*",
    "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
    "\u{ff25}S256",
    "E\u{17f}256",
];

/// Every name on a token of every key (RFC 8725 §2.1): a key has its own algorithm and no other.
pub(super) fn algorithm_of_another_key() -> Vec<Attack> {
    let rsa = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    let mut attacks = Vec::new();
    let named = signers().into_iter().map(|key| (key, key.kid.as_str())).chain([(&keys().rsa, "rsa-any")]);
    for (key, kid) in named {
        for name in ALGORITHMS {
            let header = header(&[("alg", &text(name)), ("kid", &text(kid))]);
            let expected = match name {
                _ if name == key.alg => Expected::Allow,
                _ if kid == "rsa-any" && rsa.contains(&name) => wrong_signature(),
                _ => algorithm(),
            };
            attacks.push(bearer(format!("{name:?} for {kid}"), key.token(&header, &claims(&[])), expected));
        }
    }
    attacks
}

/// A key of the issuer with an algorithm that its tokens are not to have (RFC 8725 §3.1).
pub(super) fn algorithm_not_of_the_issuer() -> Vec<Attack> {
    let claims = claims(&[("iss", &text(WIDE))]);
    let by = |key: &TestKey, kid: &str| {
        key.token(&header(&[("alg", &text(key.alg)), ("kid", kid), ("typ", r#""JWT""#)]), &claims)
    };
    vec![
        control(by(&keys().wide, r#""wide-1""#)),
        bearer("by name", by(&keys().wide_384, r#""wide-384""#), algorithm()),
        bearer("without a name", by(&keys().wide_384, ""), algorithm()),
        bearer("by the name of the other", by(&keys().wide_384, r#""wide-1""#), algorithm()),
    ]
}

/// A public key is known to everybody: as the secret of an HMAC it signs for everybody (CVE-2016-10555, CVE-2026-34950;
/// CVE-2026-44699 for the empty one).
pub(super) fn hmac_keyed_by_public_key() -> Vec<Attack> {
    let mut attacks = vec![control(good())];
    let common = [&b""[..], b"\0", &[0; 32], &[0; 64], b"secret", b"null", b"es256"];
    let common = common.into_iter().map(|secret| ("common", &keys().es256, secret.to_vec()));
    let public =
        signers().into_iter().flat_map(|key| public_forms(key).into_iter().map(move |form| ("public", key, form)));
    for (number, (what, key, secret)) in common.chain(public).enumerate() {
        let tag = |name: &str, signed: &str| {
            let algorithm = match name {
                "HS384" => hmac::HMAC_SHA384,
                "HS512" => hmac::HMAC_SHA512,
                _ => hmac::HMAC_SHA256,
            };
            encode(hmac::sign(&hmac::Key::new(algorithm, &secret), signed.as_bytes()))
        };
        let mut forge = |name: &str, kid: &str, expected: Expected| {
            let header = header(&[("alg", &text(name)), ("kid", kid)]);
            let signed = format!("{}.{}", encode(header), encode(claims(&[])));
            let forged = format!("{signed}.{}", tag(name, &signed));
            attacks.push(bearer(format!("{what} secret {number} of {} as {name} {kid}", key.kid), forged, expected));
        };
        for name in ["HS256", "HS384", "HS512"] {
            forge(name, &text(&key.kid), algorithm());
        }
        forge("HS256", "", algorithm());
        forge(key.alg, &text(&key.kid), wrong_signature());
    }
    attacks
}

/// A public key in every form in which a library may be handed it.
fn public_forms(key: &TestKey) -> Vec<Vec<u8>> {
    let der = spki(key);
    let body = STANDARD.encode(&der);
    let lines = |end: &str| {
        let lines: Vec<&str> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN PUBLIC KEY-----{end}{}{end}-----END PUBLIC KEY-----", lines.join(end))
    };
    let material = key.material();
    let mut forms: Vec<Vec<u8>> = vec![
        lines("\n").into_bytes(),
        format!("{}\n", lines("\n")).into_bytes(),
        format!("\n{}\n", lines("\n")).into_bytes(),
        format!(" {}", lines("\n")).into_bytes(),
        lines("\r\n").into_bytes(),
        format!("{}\r\n", lines("\r\n")).into_bytes(),
        lines("").into_bytes(),
        format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n").into_bytes(),
        body.into_bytes(),
        der,
        format!("{{{material}}}").into_bytes(),
        format!("{{{}}}", key.members()).into_bytes(),
        key_set(&[key]).into_bytes(),
    ];
    for name in ["x", "y", "n", "e"] {
        if let Some(value) = member(&material, name) {
            forms.push(URL_SAFE_NO_PAD.decode(value).unwrap());
            forms.push(value.as_bytes().to_vec());
        }
    }
    forms
}

/// The value of a member in key material.
fn member<'a>(material: &'a str, name: &str) -> Option<&'a str> {
    material.split(&format!("\"{name}\":\"")).nth(1)?.split('"').next()
}

/// The SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) of a key.
fn spki(key: &TestKey) -> Vec<u8> {
    let material = key.material();
    let bytes = |name| URL_SAFE_NO_PAD.decode(member(&material, name).unwrap()).unwrap();
    let ec = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01][..];
    let (identifier, public) = match key.alg {
        "ES256" | "ES384" => {
            let curve: &[u8] = if key.alg == "ES256" {
                &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]
            } else {
                &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22]
            };
            ([ec, curve].concat(), [vec![4], bytes("x"), bytes("y")].concat())
        }
        "EdDSA" => (vec![0x06, 0x03, 0x2b, 0x65, 0x70], bytes("x")),
        _ => {
            let numbers = [der(2, &[vec![0], bytes("n")].concat()), der(2, &bytes("e"))].concat();
            let rsa = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
            (rsa.to_vec(), der(0x30, &numbers))
        }
    };
    der(0x30, &[der(0x30, &identifier), der(3, &[vec![0], public].concat())].concat())
}

/// One DER value.
pub(super) fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match length {
        0..=127 => out.push(length as u8),
        128..=255 => out.extend([0x81, length as u8]),
        _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend(content);
    out
}

/// A key or the place of one in the header is the sender's word (CVE-2018-0114): nothing is taken from it, nothing fetched.
pub(super) fn key_brought_along_in_the_header() -> Vec<Attack> {
    let mut attacks = Vec::new();
    let [own, ..] = &keys().strangers;
    let places = [
        "https://evil.example/jwks.json",
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:9192/status",
        "file:///etc/passwd",
        "data:application/json,{}",
        "https://id.example.com@evil.example/",
        "//evil.example",
        "https://id.example.com/../jwks",
        "",
    ];
    let mut extras = vec![
        ("jwk", format!("{{{}}}", own.material())),
        ("jwk", format!("{{{}}}", own.members())),
        ("jwk", format!(r#"{{{},"d":"AQ"}}"#, own.material())),
        ("jwk", r#"{"kty":"oct","k":""}"#.to_owned()),
        ("jwk", "null".to_owned()),
        ("jwk", "7".to_owned()),
        ("jwks", key_set(&[own])),
        ("keys", format!("[{{{}}}]", own.material())),
        ("x5c", r#"["MIIB"]"#.to_owned()),
        ("x5c", "[]".to_owned()),
        ("x5c", text(&STANDARD.encode(spki(own)))),
        ("x5t", text("AAAA")),
        ("x5t#S256", text(&encode([0; 32]))),
        ("pem", text("-----BEGIN PUBLIC KEY-----")),
        ("iss", text("https://evil.example")),
        ("epk", format!("{{{}}}", own.material())),
    ];
    extras.extend(places.iter().flat_map(|place| [("jku", text(place)), ("x5u", text(place))]));
    for (name, value) in &extras {
        let on = |key: &TestKey, kid: &str| {
            key.token(&header(&[("alg", &text(key.alg)), ("kid", kid), (name, value)]), &claims(&[]))
        };
        attacks.push(bearer(
            format!("{name} {value} beside a good key"),
            on(&keys().es256, r#""es256""#),
            Expected::Allow,
        ));
        for key in &keys().strangers {
            let of = |kid: &str| format!("{name} {value}, {} {kid}", key.alg);
            attacks.push(bearer(of("its own name"), on(key, &text(&key.kid)), wrong_signature()));
            attacks.push(bearer(of("no name"), on(key, ""), wrong_signature()));
            attacks.push(bearer(of("a new name"), on(key, r#""evil""#), unknown_key()));
        }
    }
    attacks
}

/// What must be understood and is not (RFC 7515 §4.1.11; CVE-2026-32597, CVE-2026-35042), and what changes the payload.
pub(super) fn crit_unknown() -> Vec<Attack> {
    let crit = [
        "[]",
        r#"["exp"]"#,
        r#"["b64"]"#,
        r#"["foo"]"#,
        r#"["alg"]"#,
        r#"["kid","kid"]"#,
        r#"["crit"]"#,
        r#"[""]"#,
        "[7]",
        "[null]",
        "[[]]",
        "[{}]",
        "null",
        "7",
        "0",
        "true",
        "false",
        r#""exp""#,
        r#""""#,
        "{}",
        r#"{"exp":true}"#,
        r#"["http://example.com/UNDEFINED"]"#,
    ];
    let b64 = ["true", "false", "null", "0", r#""false""#];
    let zip = [r#""DEF""#, r#""GZ""#, r#""""#, "null"];
    let enc = [r#""A256GCM""#, r#""A128CBC-HS256""#, r#""""#, "null"];
    let cty = [r#""JWT""#, r#""jwt""#, r#""JWE""#, r#""json""#, r#""application/at+jwt""#, r#""""#, "null", "7"];
    let mut attacks = vec![control(good())];
    let lists = [("crit", &crit[..]), ("b64", &b64), ("zip", &zip), ("enc", &enc), ("cty", &cty)];
    for (name, values) in lists {
        for value in values {
            for extra in [("exp", ""), ("exp", "1"), ("foo", r#""bar""#), ("http://example.com/UNDEFINED", "true")] {
                let header = header(&[(name, value), extra]);
                attacks.push(bearer(format!("{name} {value} {extra:?}"), headed(&header), parameter(name)));
            }
        }
    }
    // The first of two in the order in which they are looked at.
    let both = header(&[("b64", "false"), ("crit", r#"["b64"]"#)]);
    attacks.push(bearer("crit names b64", headed(&both), parameter("crit")));
    // An unknown parameter that nobody says is critical is ignored (RFC 7515 §4).
    attacks.push(bearer("foo", headed(&header(&[("foo", "[]"), ("CRIT2", "1")])), Expected::Allow));
    attacks
}

/// The first, the last, both: readers differ on which of two equal members counts (RFC 7515 §4).
pub(super) fn duplicate_header_parameters() -> Vec<Attack> {
    let mut attacks = vec![control(good())];
    let good = [("alg", r#""ES256""#), ("typ", r#""at+jwt""#), ("kid", r#""es256""#)];
    let all = good.map(|(name, value)| format!("{}:{value}", text(name))).join(",");
    for (name, value) in good.into_iter().chain([("x", "1"), ("crit", "[]"), ("jwk", "{}")]) {
        for other in [r#""none""#, r#""JWT""#, r#""other""#, "null", "7", value] {
            let known = if good.iter().any(|(own, _)| *own == name) { "" } else { value };
            let one = if known.is_empty() { String::new() } else { format!(",{}:{known}", text(name)) };
            let escaped = format!("\"\\u{:04x}{}\"", u32::from(name.as_bytes()[0]), &name[1..]);
            for (spelling, again) in [("again", text(name)), ("escaped", escaped)] {
                for header in [format!("{{{again}:{other},{all}{one}}}"), format!("{{{all}{one},{again}:{other}}}")] {
                    attacks.push(bearer(format!("{spelling} {header}"), headed(&header), twice("header")));
                }
            }
            for folded in [name.to_ascii_uppercase(), name.replace('k', "\u{212a}"), name.replacen('a', "A", 1)] {
                if folded != name {
                    let header = format!("{{{}:{other},{all}{one}}}", text(&folded));
                    attacks.push(bearer(format!("folded {header}"), headed(&header), Expected::Unreadable("header")));
                }
            }
        }
    }
    let nested = header(&[("jwk", r#"{"kty":"EC","kty":"oct"}"#)]);
    attacks.push(bearer("within a key", headed(&nested), twice("header")));
    attacks
}

/// A JWE (RFC 7516) has five parts; one of three says so by `enc`.
pub(super) fn encrypted_token() -> Vec<Attack> {
    let mut attacks = vec![control(good())];
    let algorithms = [
        "dir",
        "RSA1_5",
        "RSA-OAEP",
        "RSA-OAEP-256",
        "A128KW",
        "A256KW",
        "ECDH-ES",
        "ECDH-ES+A256KW",
        "PBES2-HS256+A128KW",
        "A256GCMKW",
    ];
    let encryptions = ["A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512", "A128GCM", "A192GCM", "A256GCM"];
    for alg in algorithms {
        for enc in encryptions {
            let header = header(&[("alg", &text(alg)), ("enc", &text(enc)), ("p2c", "2147483647")]);
            let parts = [&*header, "key", "iv-of-it", "ciphertext", "tag"].map(encode);
            attacks.push(bearer(format!("five parts, {alg} {enc}"), parts.join("."), shape()));
            let direct = format!("{}..{}", parts[0], parts[2..].join("."));
            attacks.push(bearer(format!("no key, {alg} {enc}"), direct, shape()));
            attacks.push(bearer(format!("three parts, {alg} {enc}"), headed(&header), parameter("enc")));
        }
    }
    attacks
}

/// A good token inside of another thing that is signed as well (RFC 7519 §5.2).
pub(super) fn nested_token() -> Vec<Attack> {
    let inner = good();
    let mut attacks = vec![control(&inner)];
    let unnamed = header(&[]);
    for cty in [r#""JWT""#, r#""jwt""#, r#""at+jwt""#] {
        let outer = header(&[("cty", cty)]);
        attacks.push(bearer(format!("cty {cty}"), keys().es256.token(&outer, &inner), parameter("cty")));
    }
    for key in signers() {
        let by = |claims: &str| key.token(&header(&[("alg", &text(key.alg)), ("kid", &text(&key.kid))]), claims);
        let of = |what: &str| format!("{what}, {}", key.kid);
        attacks.push(bearer(of("bare"), by(&inner), Expected::Unreadable("claims")));
        attacks.push(bearer(of("as a string"), by(&text(&inner)), no_object("claims")));
        attacks.push(bearer(of("in a list"), by(&format!("[{}]", text(&inner))), no_object("claims")));
        attacks.push(bearer(of("as a claim"), by(&format!(r#"{{"jwt":{}}}"#, text(&inner))), super::absent("iss")));
        attacks.push(bearer(of("encoded again"), by(&encode(&inner)), Expected::Unreadable("claims")));
    }
    let (head, rest) = inner.split_once('.').unwrap();
    attacks.push(bearer("a header in a header", format!("{}.{rest}", encode(head)), Expected::Unreadable("header")));
    attacks.push(bearer("a token for a header", format!("{}.{rest}", encode(&inner)), Expected::Unreadable("header")));
    let member = token(&claims(&[("token", &text(&inner))]));
    attacks.push(bearer("one that nobody reads", member, Expected::Allow));
    attacks.push(bearer("the header for claims", keys().es256.token(&unnamed, &unnamed), super::absent("iss")));
    attacks
}
