//! Published vectors: Wycheproof's `json_web_signature_test.json` and `json_web_key_test.json`, from the folder that
//! `TOOLGATE_CORPORA` names. Where our verdict differs from theirs, [`OVERRIDES`] says why.

use std::path::PathBuf;

use super::super::jws::Jws;
use super::super::verify::authenticate;
use super::*;
use crate::json::{Document, Limits, Value};

const SYMMETRIC: &str = "symmetric algorithms are not supported: the set is refused";
const OTHER_ALG: &str = "the key's `alg` is not the token's";
const NO_PAYLOAD: &str = "a token without claims is no access token";
const NOT_BASE64: &str = "the encoding has characters that base64url does not have";

/// File, test id and reason, for vectors that are valid to Wycheproof and refused here. None is the other way round: 367
/// and 370 are marked invalid but are, byte for byte, the valid 357; being symmetric, they are refused all the same.
const OVERRIDES: [(&str, i64, &str); 24] = [
    ("json_web_signature_test.json", 1, SYMMETRIC),
    ("json_web_signature_test.json", 259, NO_PAYLOAD),
    ("json_web_signature_test.json", 264, NO_PAYLOAD),
    ("json_web_signature_test.json", 268, NO_PAYLOAD),
    ("json_web_signature_test.json", 272, NO_PAYLOAD),
    ("json_web_signature_test.json", 320, NO_PAYLOAD),
    ("json_web_signature_test.json", 325, NO_PAYLOAD),
    ("json_web_signature_test.json", 346, OTHER_ALG),
    ("json_web_signature_test.json", 347, OTHER_ALG),
    ("json_web_signature_test.json", 348, SYMMETRIC),
    ("json_web_signature_test.json", 350, OTHER_ALG),
    ("json_web_signature_test.json", 351, OTHER_ALG),
    ("json_web_signature_test.json", 352, SYMMETRIC),
    ("json_web_signature_test.json", 357, SYMMETRIC),
    ("json_web_signature_test.json", 358, SYMMETRIC),
    ("json_web_signature_test.json", 359, SYMMETRIC),
    ("json_web_signature_test.json", 372, NOT_BASE64),
    ("json_web_signature_test.json", 373, NOT_BASE64),
    ("json_web_signature_test.json", 376, SYMMETRIC),
    ("json_web_signature_test.json", 377, SYMMETRIC),
    ("json_web_key_test.json", 2, SYMMETRIC),
    ("json_web_key_test.json", 13, SYMMETRIC),
    ("json_web_key_test.json", 14, SYMMETRIC),
    ("json_web_key_test.json", 15, SYMMETRIC),
];

#[test]
fn wycheproof_signatures() {
    replay("json_web_signature_test.json", |public| format!(r#"{{"keys":[{public}]}}"#));
}

#[test]
fn wycheproof_keys() {
    replay("json_web_key_test.json", str::to_owned);
}

fn replay(file: &str, key_set: impl Fn(&str) -> String) {
    let Some(folder) = std::env::var_os("TOOLGATE_CORPORA").map(PathBuf::from) else {
        eprintln!("skipped: TOOLGATE_CORPORA does not name a folder with wycheproof/{file}");
        return;
    };
    let text = std::fs::read(folder.join("wycheproof").join(file)).unwrap();
    let document = Document::parse(&text, Limits { depth: 16, nodes: 1_000_000 }).unwrap();
    let (mut seen, mut wrong) = (0, Vec::new());
    for group in document.root().get("testGroups").unwrap().items() {
        let key = group.get("public").or_else(|| group.get("private")).unwrap();
        let keys = KeySet::parse(key_set(key.raw()).as_bytes());
        for test in group.get("tests").unwrap().items() {
            seen += 1;
            let id = test.get("tcId").and_then(Value::as_i64).unwrap();
            let valid = test.get("result").and_then(Value::as_str).unwrap() == "valid";
            let overridden = OVERRIDES.iter().any(|(name, number, _)| *name == file && *number == id);
            assert!(valid || !overridden, "{file} {id} is overridden but already refused");
            let token = test.get("jws").and_then(Value::as_str).unwrap();
            if accepts(&token, keys.as_ref().ok()) != (valid && !overridden) {
                wrong.push(id);
            }
        }
    }
    assert_eq!((document.root().get("numberOfTests").and_then(Value::as_i64), wrong), (Some(seen), vec![]), "{file}");
}

/// Whether the signature is good; the payloads are not claims.
fn accepts(token: &str, keys: Option<&KeySet>) -> bool {
    let rules = IssuerRules { token_types: vec![String::new(), "JWT".to_owned()], ..rules() };
    let Some(keys) = keys else { return false };
    Jws::parse(token).is_ok_and(|jws| authenticate(&jws, &rules, keys).is_ok())
}
