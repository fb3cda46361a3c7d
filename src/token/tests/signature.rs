//! Signatures that are not the key's over exactly these bytes.

use super::*;

#[test]
fn another_signature_is_refused() {
    let good = token(&claims());
    let signed = good.rsplit_once('.').unwrap().0;
    let real = KEYS.es256.sign(signed.as_bytes());
    // The order of P-256 (FIPS 186-4 D.1.2.3).
    let order: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad,
        0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let mut one = [0; 32];
    one[31] = 1;
    let der = {
        let integer = |half: &[u8]| [&[2, 33, 0], half].concat();
        let (r, s) = real.split_at(32);
        [[0x30, 70].as_slice(), &integer(r), &integer(s)].concat()
    };
    for (case, signature) in [
        ("all zero (CVE-2022-21449)", vec![0; 64]),
        ("r = 0", [[0; 32].as_slice(), &real[32..]].concat()),
        ("s = 0", [&real[..32], [0; 32].as_slice()].concat()),
        ("r = s = 1", [one, one].concat()),
        ("r = n", [order.as_slice(), &real[32..]].concat()),
        ("s = n", [&real[..32], order.as_slice()].concat()),
        ("all ones", vec![0xff; 64]),
        ("ASN.1 instead of r and s", der),
        ("a byte more", [real.as_slice(), &[0]].concat()),
        ("a zero before", [&[0], real.as_slice()].concat()),
        ("a byte less", real[..63].to_vec()),
        ("half", real[..32].to_vec()),
        ("one byte", vec![0]),
        ("twice", [real.as_slice(), &real].concat()),
        ("halves swapped", [&real[32..], &real[..32]].concat()),
        ("of other bytes", KEYS.es256.sign(b"other")),
        ("of the payload alone", KEYS.es256.sign(signed.split_once('.').unwrap().1.as_bytes())),
        ("of a stranger", KEYS.stranger.sign(signed.as_bytes())),
        ("of another key of the set", KEYS.rs256.sign(signed.as_bytes())),
    ] {
        assert_eq!(read(&format!("{signed}.{}", encode(signature))), Err(TokenError::Signature), "{case}");
    }
    assert_eq!(read(&format!("{signed}.{}", encode(real))).map(|_| ()), Ok(()));
}

#[test]
fn the_signature_covers_the_bytes_that_were_sent() {
    let good = token(&claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let spaced = encode(claims().replace(",", ", "));
    refused(&format!("{header}.{spaced}.{signature}"), TokenError::Signature);
    let admin = encode(claims_with("scope", r#""admin""#));
    refused(&format!("{header}.{admin}.{signature}"), TokenError::Signature);
    let spaced = encode(KEYS.es256.header().replace(",", ", "));
    refused(&format!("{spaced}.{payload}.{signature}"), TokenError::Signature);
    let other = token(&claims_with("jti", r#""j2""#));
    refused(&format!("{signed}.{}", other.rsplit_once('.').unwrap().1), TokenError::Signature);
}

#[test]
fn an_issuer_s_token_is_verified_with_its_own_keys_only() {
    let other = KeySet::parse(key_set(&[&KEYS.stranger]).as_bytes()).unwrap();
    assert_eq!(read_with(&token(&claims()), &rules(), &other, at(NOW)), Err(TokenError::Signature));
}

#[test]
fn rsa_paddings_do_not_stand_in_for_each_other() {
    let keys =
        KeySet::parse(format!(r#"{{"keys":[{{{},"kid":"rs256"}}]}}"#, KEYS.rs256.material()).as_bytes()).unwrap();
    let named = |alg: &str, signed_as: &str| {
        let signed =
            format!("{}.{}", encode(format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"rs256"}}"#)), encode(claims()));
        let token = format!("{signed}.{}", encode(KEYS.rs256.sign_as(signed_as, signed.as_bytes())));
        read_with(&token, &rules(), &keys, at(NOW)).map(|_| ())
    };
    for (alg, signed_as) in [("RS256", "PS256"), ("PS256", "RS256"), ("RS256", "RS384"), ("PS512", "PS256")] {
        assert_eq!(named(alg, signed_as), Err(TokenError::Signature), "{alg} signed as {signed_as}");
    }
}
