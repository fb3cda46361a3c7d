//! Keys with which somebody else can sign, or that are for something else: published by the issuer beside good ones, and
//! left out, so that what they sign is signed by nobody.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::header::der;
use super::world::{claims, good, header, text};
use super::{Attack, bearer, control, unknown_key, wrong_signature};
use crate::support::tokens::{TestKey, encode};

/// Keys of sound material that say they are something else.
struct Misnamed {
    key: TestKey,
    jwk: String,
}

static MISNAMED: LazyLock<Vec<Misnamed>> = LazyLock::new(|| {
    let says = [
        r#""use":"enc""#,
        r#""use":"Sig""#,
        r#""use":"""#,
        r#""use":7"#,
        r#""use":null"#,
        r#""key_ops":["sign"]"#,
        r#""key_ops":[]"#,
        r#""key_ops":["encrypt","wrapKey"]"#,
        r#""key_ops":"verify""#,
        r#""key_ops":null"#,
        r#""use":"enc","key_ops":["verify"]"#,
        r#""use":"sig","key_ops":["sign"]"#,
        r#""alg":"ECDH-ES""#,
        r#""alg":"none""#,
        r#""alg":"HS256""#,
        r#""alg":"ES512""#,
        r#""alg":"RS256""#,
        r#""alg":"""#,
        r#""alg":null"#,
        r#""alg":["ES256"]"#,
    ];
    let make = |(number, says): (usize, &&str)| {
        let alg = if number % 2 == 0 { "ES256" } else { "EdDSA" };
        let key = TestKey::new(alg, &format!("misnamed-{number}"));
        let jwk = format!(r#"{{{},"kid":"{}",{says}}}"#, key.material(), key.kid);
        Misnamed { key, jwk }
    };
    says.iter().enumerate().map(make).collect()
});

/// A sound key whose point is cut in the wrong place: put together again it would be the same key under another name.
static CUT: LazyLock<Misnamed> = LazyLock::new(|| {
    let key = TestKey::new("ES256", "cut");
    let material = key.material();
    let coordinate = |name: &str| {
        let (_, rest) = material.split_once(&format!("\"{name}\":\"")).unwrap();
        URL_SAFE_NO_PAD.decode(rest.split('"').next().unwrap()).unwrap()
    };
    let (x, y) = (coordinate("x"), coordinate("y"));
    let (last, x) = x.split_last().unwrap();
    let (x, y) = (encode(x), encode([&[*last], &y[..]].concat()));
    let jwk = format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}","kid":"cut"}}"#);
    Misnamed { key, jwk }
});

/// Moduli by their length in bytes, each with an exponent: whoever knows `e = 1` signs by writing the padded hash itself.
const RSA: [(usize, &[u8]); 18] = [
    (64, &[1]),
    (128, &[1]),
    (192, &[1]),
    (255, &[1]),
    (256, &[1]),
    (384, &[1]),
    (512, &[1]),
    (1024, &[1]),
    (256, &[0, 1]),
    (256, &[0, 0, 1]),
    (1025, &[1]),
    (2048, &[1]),
    (64, &[3]),
    (128, &[1, 0, 1]),
    (255, &[1, 0, 1]),
    (256, &[2]),
    (256, &[1, 0, 0]),
    (256, &[1, 0, 0, 0, 1]),
];

fn modulus(bytes: usize) -> Vec<u8> {
    let mut modulus: Vec<u8> = (0..bytes).map(|at| (at * 167 + 13) as u8 | 1).collect();
    modulus[0] |= 0x80;
    modulus
}

/// The JWKs that the issuer publishes besides.
pub(super) fn published() -> Vec<String> {
    let rsa = RSA.iter().enumerate().map(|(number, (bytes, exponent))| {
        let (n, e) = (encode(modulus(*bytes)), encode(exponent));
        format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}","kid":"weak-{number}"}}"#)
    });
    let rsa_named = |n: &[u8], kid: &str| format!(r#"{{"kty":"RSA","n":"{}","e":"AQAB","kid":"{kid}"}}"#, encode(n));
    let point = |size: [u8; 2], byte: u8, kid: &str| {
        let [x, y] = size.map(|size| encode(vec![byte; usize::from(size)]));
        format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}","kid":"{kid}"}}"#)
    };
    let edwards = |curve: &str, x: &[u8], kid: &str| {
        format!(r#"{{"kty":"OKP","crv":"{curve}","x":"{}","kid":"{kid}"}}"#, encode(x))
    };
    let more = [
        rsa_named(&[modulus(255), vec![2]].concat(), "even"),
        rsa_named(&roca(), "roca"),
        format!(r#"{{"kty":"RSA","n":"{}","e":"Aw","kid":"three"}}"#, encode(modulus(256))),
        point([32, 32], 0, "zero"),
        point([32, 32], 1, "one"),
        point([31, 31], 1, "short"),
        edwards("Ed25519", &[1; 31], "ed-short"),
        edwards("X25519", &[9; 32], "x25519"),
    ];
    rsa.chain(more).chain(misnamed().map(|misnamed| misnamed.jwk.clone())).collect()
}

fn misnamed() -> impl Iterator<Item = &'static Misnamed> {
    MISNAMED.iter().chain([&*CUT])
}

/// A modulus with the mark of the flawed generator (CVE-2017-15361): 1, which is a power of 65537, modulo each small prime.
fn roca() -> Vec<u8> {
    let primes = [11_u128, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];
    let product: u128 = primes.iter().product();
    let digits: Vec<u8> = product.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    [&digits[..], &[0; 250], &[1]].concat()
}

/// What anybody can sign with these keys.
pub(super) fn forged_with_weak_keys() -> Vec<Attack> {
    let mut attacks = vec![control(good())];
    for (number, (bytes, exponent)) in RSA.iter().enumerate() {
        let kid = format!("weak-{number}");
        for alg in ["RS256", "RS384", "RS512"] {
            let forged = with_one(*bytes, &kid, alg);
            attacks.push(bearer(format!("{alg} e = {exponent:?}, {bytes} bytes"), forged, unknown_key()));
        }
    }
    for kid in ["even", "roca"] {
        attacks.push(bearer(kid, with_one(256, kid, "RS256"), unknown_key()));
    }
    for (kid, alg) in
        [("zero", "ES256"), ("one", "ES256"), ("short", "ES256"), ("ed-short", "EdDSA"), ("x25519", "EdDSA")]
    {
        let signed = signed(kid, alg);
        for (what, signature) in [("zeros", [0; 64]), ("ones", [0xff; 64]), ("01", [1; 64])] {
            attacks.push(bearer(format!("{kid}, {what}"), format!("{signed}.{}", encode(signature)), unknown_key()));
        }
    }
    // This key is used: an exponent of 3 is sound with a verifier that reads the padding to its end.
    for alg in ["RS256", "RS384"] {
        attacks.push(bearer(format!("{alg} e = 3, a cube root"), with_three("three", alg), wrong_signature()));
    }
    for misnamed in misnamed() {
        let key = &misnamed.key;
        let by = key.token(&header(&[("alg", &text(key.alg)), ("kid", &text(&key.kid))]), &claims(&[]));
        attacks.push(bearer(&*misnamed.jwk, by, unknown_key()));
    }
    attacks
}

fn signed(kid: &str, alg: &str) -> String {
    format!("{}.{}", encode(header(&[("alg", &text(alg)), ("kid", &text(kid))])), encode(claims(&[])))
}

/// A token whose signature is its own padded hash (RFC 8017 §9.2), which is what `e = 1` verifies.
fn with_one(bytes: usize, kid: &str, alg: &str) -> String {
    let signed = signed(kid, alg);
    let info = digest_info(alg, &signed);
    let padding = bytes.saturating_sub(info.len() + 3);
    let padded = [&[0, 1][..], &vec![0xff; padding], &[0], &info].concat();
    format!("{signed}.{}", encode(padded))
}

/// A token whose signature is the cube root of a padded hash with anything behind it (CVE-2006-4339). A root of 2048 bits
/// has no room for the hash of RS512.
fn with_three(kid: &str, alg: &str) -> String {
    let signed = signed(kid, alg);
    let begins = [&[0, 1][..], &[0xff; 8], &[0], &digest_info(alg, &signed)].concat();
    let mut most = begins.clone();
    most.resize(256, 0xff);
    // The largest number whose cube is not above.
    let mut root = vec![0_u8; 86];
    for bit in 0..86 * 8 {
        root[bit / 8] |= 0x80 >> (bit % 8);
        let cube = product(&product(&root, &root), &root);
        let (over, cube) = cube.split_at(cube.len() - 256);
        if over.iter().any(|byte| *byte > 0) || cube > &most[..] {
            root[bit / 8] &= !(0x80 >> (bit % 8));
        }
    }
    let cube = product(&product(&root, &root), &root);
    assert!(cube[cube.len() - 256..].starts_with(&begins), "what a lenient verifier takes for a signature");
    let signature = [vec![0; 256 - root.len()], root].concat();
    format!("{signed}.{}", encode(signature))
}

/// `a * b`, big-endian.
fn product(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut out = vec![0_u8; a.len() + b.len()];
    for (i, x) in a.iter().enumerate().rev() {
        let mut carry = 0_u32;
        for (j, y) in b.iter().enumerate().rev() {
            carry += u32::from(*x) * u32::from(*y) + u32::from(out[i + j + 1]);
            out[i + j + 1] = carry as u8;
            carry >>= 8;
        }
        out[i] = carry as u8;
    }
    out
}

/// The hash of what is signed, with the name of its algorithm (RFC 8017 §9.2).
fn digest_info(alg: &str, signed: &str) -> Vec<u8> {
    let (algorithm, last) = match alg {
        "RS384" => (&digest::SHA384, 2),
        "RS512" => (&digest::SHA512, 3),
        _ => (&digest::SHA256, 1),
    };
    let identifier = der(0x30, &[0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, last, 0x05, 0x00]);
    let hash = digest::digest(algorithm, signed.as_bytes());
    der(0x30, &[identifier, der(4, hash.as_ref())].concat())
}
