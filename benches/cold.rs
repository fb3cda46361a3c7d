//! CPU time of a token that was never seen, beside that of the signature check alone: what toolgate adds to it.

use std::path::Path;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt;
use prost::Message;
use toolgate::decision::approach;
use toolgate::envoy::request;
use toolgate::envoy::tokens::{Lookup, Presented};
use toolgate::envoy::wire::RawCheck;
use toolgate::token::{UnverifiedToken, verify};

use crate::desk::{Desk, message, settled};
use crate::scene;
use crate::steps::{SAMPLES, median, read, sample_once};
use crate::tokens::TestKey;

/// Prints for each algorithm, in microseconds: a token that was never seen, up to its place in the cache (`cold`), its
/// verification without that (`verified`), the signature check alone (`raw`), and what the two first add to the last; then
/// the whole decision with such a token (`first`), with one that is remembered (`again`), and what the first time adds to the
/// second beside the signature check. Each token of the first four is another. Samples are taken in turn.
pub(crate) fn measure(folder: &Path) {
    let desk = Desk::new(folder);
    let rows: Vec<String> = desk.keys.iter().map(|key| row(&desk, key)).collect();
    println!("{{\n{}\n}}", rows.join(",\n"));
}

fn row(desk: &Desk, key: &TestKey) -> String {
    let generation = desk.gate.live.current();
    let issuer = &generation.issuer("corp").unwrap().issuer;
    let (rules, keys) = (issuer.rules(), issuer.keys().unwrap());
    let now = desk.gate.clock.now();
    let parsed = public(key);
    let same = token(key, "same");
    let mut number = 0;
    let mut samples = Vec::new();
    for _ in 0..SAMPLES {
        let prepare = || {
            number += 1;
            let message = scene::request(&token(key, &number.to_string()), scene::TOOL).encode_to_vec();
            request::context(read(message.into()), None)
        };
        let cold = sample_once(prepare, |context| {
            let admitted = approach(&generation.rules, &context).unwrap();
            let fingerprint = |token: &[u8]| desk.gate.audit.fingerprint(token);
            let presented = Presented {
                credential: &admitted.credential,
                server: admitted.server,
                generation: &generation,
                now,
                patience: None,
            };
            let asked = desk.gate.tokens.caller(&presented, &fingerprint).now_or_never();
            let (lookup, known) = asked.unwrap();
            assert!(lookup == Lookup::Miss && known.is_ok(), "{known:?}");
            known
        });
        let mut fresh = || {
            number += 1;
            token(key, &number.to_string())
        };
        let verified = sample_once(&mut fresh, |token| {
            verify(&UnverifiedToken::parse(&token).unwrap(), rules, &keys, now).unwrap()
        });
        let parts = || {
            let token = fresh();
            let (signed, signature) = token.rsplit_once('.').unwrap();
            (signed.to_owned(), URL_SAFE_NO_PAD.decode(signature).unwrap())
        };
        let raw = sample_once(parts, |(signed, signature)| parsed.verify_sig(signed.as_bytes(), &signature).unwrap());
        let fresh = || message(&fresh(), scene::TOOL);
        let answer = |message| settled(desk.gate.answer(RawCheck::new(message), None, None));
        let first = sample_once(fresh, answer);
        let known = message(&same, scene::TOOL);
        let again = sample_once(|| known.clone(), answer);
        desk.forget_records();
        samples.push([cold, verified, raw, verified - raw, cold - raw, first, again, first - again - raw]);
    }
    let names = ["cold", "verified", "raw", "verified_added", "cold_added", "first", "again", "first_added"];
    let members = names.iter().enumerate().map(|(index, name)| {
        let micros = median(samples.iter().filter_map(|sample| sample.get(index).copied()));
        format!("\"{name}\": {micros:.2}")
    });
    format!("  \"{}\": {{{}}}", key.alg, members.collect::<Vec<_>>().join(", "))
}

fn token(key: &TestKey, id: &str) -> String {
    key.token(&key.header(), &scene::claims("ada", id))
}

/// The key as the signature library reads it once and for all.
fn public(key: &TestKey) -> ParsedPublicKey {
    let material = key.material();
    let member = |name: &str| {
        let (_, rest) = material.split_once(&format!("\"{name}\":\"")).unwrap();
        URL_SAFE_NO_PAD.decode(rest.split('"').next().unwrap()).unwrap()
    };
    match key.alg {
        "RS256" => RsaPublicKeyComponents { n: member("n"), e: member("e") }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .unwrap(),
        "ES256" => {
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [vec![4], member("x"), member("y")].concat()).unwrap()
        }
        "EdDSA" => ParsedPublicKey::new(&ED25519, member("x")).unwrap(),
        other => panic!("no such key here: {other}"),
    }
}
