//! Signatures that are not the key's over exactly these bytes, each of a form that some verifier has taken for one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::header::der;
use super::world::{claims, good, header, keys, signers, text, token};
use super::{Attack, Expected, bearer, control, shape, wrong_signature};
use crate::support::tokens::{TestKey, encode};

/// The order of a curve and its field's prime (FIPS 186-4 D.1.2.3, D.1.2.4).
const P256: [&str; 2] = [
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
];
const P384: [&str; 2] = [
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
];
/// The order of Ed25519's group, little-endian (RFC 8032 §5.1).
const ED25519_ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
/// Encodings of points of small order on Curve25519: the identity, those of order 2, 4 and 8, and non-canonical ones.
const SMALL_ORDER: [&str; 9] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

pub(super) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// `a + b`, big-endian, as long as the longer of the two or a byte more.
pub(super) fn sum(a: &[u8], b: &[u8]) -> Vec<u8> {
    let (mut out, mut carry) = (Vec::new(), 0);
    for at in 0..a.len().max(b.len()) {
        let digit = |n: &[u8]| n.len().checked_sub(at + 1).map_or(0, |place| u16::from(n[place]));
        let total = digit(a) + digit(b) + carry;
        out.push(total as u8);
        carry = total >> 8;
    }
    if carry > 0 {
        out.push(carry as u8);
    }
    out.reverse();
    out
}

/// `a - b`, big-endian; `a` is the larger and as long.
pub(super) fn difference(a: &[u8], b: &[u8]) -> Vec<u8> {
    let (mut out, mut borrow) = (a.to_vec(), 0);
    for at in (0..a.len()).rev() {
        let digit = i16::from(a[at]) - i16::from(b[at]) - borrow;
        borrow = i16::from(digit < 0);
        out[at] = digit.rem_euclid(256) as u8;
    }
    out
}

/// What a token of `key` is signed over, and its good signature.
fn signed(key: &TestKey) -> (String, Vec<u8>) {
    let token = key.token(&key.header(), &claims(&[]));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    (signed.to_owned(), URL_SAFE_NO_PAD.decode(signature).unwrap())
}

/// The token with this for its signature.
fn with(name: String, signed: &str, signature: &[u8], expected: Expected) -> Attack {
    bearer(name, format!("{signed}.{}", encode(signature)), expected)
}

/// Numbers at the ends of their ranges (CVE-2022-21449 took zeros for a signature of anything).
pub(super) fn psychic_signature() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for (key, [order, prime]) in [(&keys().es256, P256), (&keys().es384, P384)] {
        let (signed, real) = signed(key);
        let (r, s) = real.split_at(real.len() / 2);
        let (order, prime) = (unhex(order), unhex(prime));
        let small = |n: u8| [vec![0; r.len() - 1], vec![n]].concat();
        let one = small(1);
        let ends = [
            small(0),
            small(1),
            small(2),
            difference(&order, &one),
            order.clone(),
            sum(&order, &one),
            prime.clone(),
            difference(&prime, &one),
            vec![0xff; r.len()],
            [vec![0x80], vec![0; r.len() - 1]].concat(),
            r.to_vec(),
            s.to_vec(),
        ];
        for (i, first) in ends.iter().enumerate() {
            for (j, second) in ends.iter().enumerate() {
                let is_real = first == r && second == s;
                let expected = if is_real { Expected::Allow } else { wrong_signature() };
                attacks.push(with(
                    format!("{} r {i} s {j}", key.alg),
                    &signed,
                    &[&first[..], second].concat(),
                    expected,
                ));
            }
        }
        // Of every ECDSA signature there are two: (r, s) and (r, n - s). It is the same signer and the same claims, and
        // nothing here takes a token's text for its identity.
        let twin = [r, &difference(&order, s)].concat();
        attacks.push(with(format!("{} n - s", key.alg), &signed, &twin, Expected::Allow));
    }
    let (signed, real) = signed(&keys().ed);
    let (point, scalar) = real.split_at(32);
    let order = unhex(ED25519_ORDER);
    let flip = |bytes: &[u8]| bytes.iter().rev().copied().collect::<Vec<u8>>();
    let beyond = flip(&sum(&flip(scalar), &flip(&order)));
    let scalars = [vec![0; 32], order, beyond, vec![0xff; 32], scalar.to_vec()];
    for (i, first) in SMALL_ORDER.map(unhex).into_iter().chain([point.to_vec(), vec![0xff; 32]]).enumerate() {
        for (j, second) in scalars.iter().enumerate() {
            let is_real = first == point && *second == scalar;
            let expected = if is_real { Expected::Allow } else { wrong_signature() };
            attacks.push(with(format!("EdDSA R {i} S {j}"), &signed, &[&first[..], second].concat(), expected));
        }
    }
    attacks
}

/// ECDSA signatures as X.509 and TLS have them, and other ways to write two numbers (RFC 7518 §3.4 has one).
pub(super) fn der_instead_of_fixed() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for key in [&keys().es256, &keys().es384] {
        let (signed, real) = signed(key);
        let half = real.len() / 2;
        let (r, s) = real.split_at(half);
        let integer = |bytes: &[u8]| {
            let mut plain: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
            if plain.first().is_none_or(|first| *first > 127) {
                plain.insert(0, 0);
            }
            der(2, &plain)
        };
        let both = [integer(r), integer(s)].concat();
        let asn1 = der(0x30, &both);
        let raw = |tag: u8| der(tag, &real);
        let padded = [der(2, &[&[0, 0], r].concat()), der(2, &[&[0, 0], s].concat())].concat();
        let zero = vec![0];
        let forms: Vec<Vec<u8>> = vec![
            asn1.clone(),
            der(0x31, &both),
            both.clone(),
            der(0x30, &padded),
            [&asn1[..], &[0]].concat(),
            [&[0x30, 0x80], &both[..], &[0, 0]].concat(),
            der(3, &[&[0], &asn1[..]].concat()),
            der(4, &asn1),
            raw(3),
            raw(4),
            raw(0x30),
            [&[4], &real[..]].concat(),
            [&zero, r, &zero, s].concat(),
            [&real[..], &[0x1b]].concat(),
            [&[0x1b], &real[..]].concat(),
            [s, r].concat(),
            [r, r].concat(),
            [s, s].concat(),
            real.iter().rev().copied().collect(),
            [r.iter().rev().copied().collect::<Vec<u8>>(), s.iter().rev().copied().collect()].concat(),
            real.iter().map(|byte| !byte).collect(),
            encode(&real).into_bytes(),
            real.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(),
        ];
        attacks.push(with(format!("{} as it is", key.alg), &signed, &real, Expected::Allow));
        for (number, form) in forms.iter().enumerate() {
            attacks.push(with(format!("{} form {number}", key.alg), &signed, form, wrong_signature()));
        }
    }
    attacks
}

/// A signature has one length: every shorter one, and some that go on.
pub(super) fn signature_of_another_length() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for key in signers() {
        let (signed, real) = signed(key);
        attacks.push(with(format!("{} whole", key.alg), &signed, &real, Expected::Allow));
        for length in 0..real.len() {
            let expected = if length == 0 { shape() } else { wrong_signature() };
            attacks.push(with(format!("{} cut to {length}", key.alg), &signed, &real[..length], expected));
        }
        for more in [1, 2, 3, 16, 32, 64, 256, 1024] {
            for byte in [0, 1, 0xff] {
                let (after, before) =
                    ([&real[..], &vec![byte; more]].concat(), [&vec![byte; more], &real[..]].concat());
                attacks.push(with(format!("{} and {more} of {byte}", key.alg), &signed, &after, wrong_signature()));
                attacks.push(with(format!("{more} of {byte} and {}", key.alg), &signed, &before, wrong_signature()));
            }
        }
        attacks.push(with(format!("{} twice", key.alg), &signed, &real.repeat(2), wrong_signature()));
    }
    attacks
}

/// One bit of each byte of each signature, and every bit of one.
pub(super) fn signature_with_a_bit_changed() -> Vec<Attack> {
    let mut attacks = vec![control(good())];
    for key in signers() {
        let (signed, real) = signed(key);
        for at in 0..real.len() {
            let bits = if key.alg == "ES256" { 0..8 } else { at % 8..at % 8 + 1 };
            for bit in bits {
                let mut changed = real.clone();
                changed[at] ^= 1 << bit;
                attacks.push(with(format!("{} byte {at} bit {bit}", key.alg), &signed, &changed, wrong_signature()));
            }
        }
    }
    attacks
}

/// A real signature of the right key over other bytes than those that came.
pub(super) fn signature_of_another_token() -> Vec<Attack> {
    let mut attacks = Vec::new();
    let root = claims(&[("sub", r#""root""#)]);
    for key in signers() {
        let (signed, real) = signed(key);
        let (head, payload) = signed.split_once('.').unwrap();
        attacks.push(with(format!("{} over these", key.alg), &signed, &real, Expected::Allow));
        let others: Vec<Vec<u8>> = vec![
            format!("{head}.{}", encode(&root)).into_bytes(),
            format!("{}.{payload}", encode(key.header().replace(',', ", "))).into_bytes(),
            head.as_bytes().to_vec(),
            payload.as_bytes().to_vec(),
            format!("{payload}.{head}").into_bytes(),
            format!("{head}{payload}").into_bytes(),
            format!("{signed}.").into_bytes(),
            format!(".{signed}").into_bytes(),
            format!("{head}..{payload}").into_bytes(),
            format!("{signed}=").into_bytes(),
            format!("{signed}\n").into_bytes(),
            format!("{head}.{}", claims(&[])).into_bytes(),
            format!("{}.{payload}", key.header()).into_bytes(),
            format!("{}.{}", key.header(), claims(&[])).into_bytes(),
            claims(&[]).into_bytes(),
            key.header().into_bytes(),
            signed.to_lowercase().into_bytes(),
            signed.to_uppercase().into_bytes(),
            Vec::new(),
            b"\0".to_vec(),
            vec![0; 32],
            format!("{head}.{}", encode(claims(&[]).replace(',', ", "))).into_bytes(),
            format!("{head}.").into_bytes(),
            b".".to_vec(),
        ];
        for (number, other) in others.iter().enumerate() {
            attacks.push(with(format!("{} over {number}", key.alg), &signed, &key.sign(other), wrong_signature()));
        }
        for (what, other) in
            [("another subject", &root), ("the same, written otherwise", &claims(&[]).replace(',', ", "))]
        {
            let moved = format!("{head}.{}", encode(other));
            attacks.push(with(format!("{} under {what}", key.alg), &moved, &real, wrong_signature()));
        }
        for other in signers().into_iter().chain(&keys().strangers).chain([&keys().partner, &keys().wide]) {
            if !std::ptr::eq(key, other) {
                let foreign = other.sign(signed.as_bytes());
                attacks.push(with(
                    format!("{} of another {}", key.alg, other.alg),
                    &signed,
                    &foreign,
                    wrong_signature(),
                ));
            }
        }
    }
    let mut halves = Vec::new();
    for _ in 0..2 {
        let text = token(&claims(&[]));
        halves.push(URL_SAFE_NO_PAD.decode(text.rsplit_once('.').unwrap().1).unwrap());
    }
    let (signed, _) = signed(&keys().es256);
    let mixed = [&halves[0][..32], &halves[1][32..]].concat();
    attacks.push(with("halves of two signatures of the same token".to_owned(), &signed, &mixed, wrong_signature()));
    attacks
}

/// RSA has two paddings and three hashes (RFC 8725 §2.1): none stands in for another, even where the key may do all.
pub(super) fn rsa_padding_of_another_algorithm() -> Vec<Attack> {
    let mut attacks = Vec::new();
    let all = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    for alg in all {
        let named = header(&[("alg", &text(alg)), ("kid", r#""rsa-any""#)]);
        let signed = format!("{}.{}", encode(named), encode(claims(&[])));
        for signed_as in all {
            let expected = if alg == signed_as { Expected::Allow } else { wrong_signature() };
            let signature = keys().rsa.sign_as(signed_as, signed.as_bytes());
            attacks.push(with(format!("{alg} signed as {signed_as}"), &signed, &signature, expected));
        }
        // The same key under a name that is for one of them.
        let named = header(&[("alg", &text(alg)), ("kid", r#""rsa""#)]);
        let signed = format!("{}.{}", encode(named), encode(claims(&[])));
        let expected = if alg == "RS256" { Expected::Allow } else { super::algorithm() };
        let signature = keys().rsa.sign_as(alg, signed.as_bytes());
        attacks.push(with(format!("{alg} by the key for RS256"), &signed, &signature, expected));
    }
    attacks
}

/// A signature is a number below the modulus (RFC 8017 §8.2.2): the same one beyond it, and those that are their own power.
pub(super) fn rsa_signature_out_of_range() -> Vec<Attack> {
    let mut attacks = Vec::new();
    let material = keys().rsa.material();
    let modulus =
        URL_SAFE_NO_PAD.decode(material.split("\"n\":\"").nth(1).unwrap().split('"').next().unwrap()).unwrap();
    let number = |n: u8| [vec![0; modulus.len() - 1], vec![n]].concat();
    for alg in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        let header = header(&[("alg", &text(alg)), ("kid", r#""rsa-any""#)]);
        let signed = format!("{}.{}", encode(header), encode(claims(&[])));
        let real = keys().rsa.sign_as(alg, signed.as_bytes());
        attacks.push(with(format!("{alg} s"), &signed, &real, Expected::Allow));
        let beyond = sum(&real, &modulus);
        let negative = difference(&modulus, &real);
        for (what, signature) in [
            ("s + n", beyond),
            ("n - s", negative),
            ("0", number(0)),
            ("1", number(1)),
            ("2", number(2)),
            ("n", modulus.clone()),
            ("n - 1", difference(&modulus, &number(1))),
            ("n + 1", sum(&modulus, &number(1))),
            ("2^2048 - 1", vec![0xff; modulus.len()]),
            ("a zero before", [&[0], &real[..]].concat()),
            ("reversed", real.iter().rev().copied().collect()),
        ] {
            attacks.push(with(format!("{alg} {what}"), &signed, &signature, wrong_signature()));
        }
    }
    attacks
}
