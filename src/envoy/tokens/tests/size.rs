//! How many bytes a remembered token counts for.

use cedar_policy::Entities;

use super::super::*;
use crate::policy::names::EntityKind;
use crate::policy::subject::{Placed, ScopeHierarchy};
use crate::token::support::{TestKey, key_set};
use crate::token::{Algorithm, IssuerRules, KeySet};

/// A remembered token without length of its own, of somebody in this many groups.
fn known(groups: usize) -> Known {
    let key = TestKey::new("EdDSA", "a");
    let rules = IssuerRules {
        name: "corp".to_owned(),
        issuer: "https://id.example.com".to_owned(),
        algorithms: vec![Algorithm::EdDSA],
        token_types: vec!["at+jwt".to_owned()],
        groups: Some("/groups".to_owned()),
        scope_claim: "/scope".to_owned(),
        claims: Vec::new(),
    };
    let names: Vec<String> = (0..groups).map(|number| format!("\"{number}\"")).collect();
    let claims = format!(
        r#"{{"iss":"https://id.example.com","sub":"ada","client_id":"agent","aud":"a","iat":1,"exp":1000,"jti":"1","groups":[{}]}}"#,
        names.join(",")
    );
    let token = key.token(&key.header(), &claims);
    let keys = KeySet::parse(key_set(&[&key]).as_bytes()).unwrap();
    let now = UnixTime::from_seconds(500);
    let principal = Arc::new(verify(&UnverifiedToken::parse(&token).unwrap(), &rules, &keys, now).unwrap());
    let subject = Subject::new(principal.clone(), &ScopeHierarchy::default()).unwrap();
    Known {
        principal: subject.uid().to_string(),
        caller: Caller { principal, subject, hierarchy: Arc::default() },
        fingerprint: String::new(),
        issuer: Weak::new(),
        active: None,
        length: 0,
        counted: AtomicU32::new(0),
    }
}

#[test]
fn groups_and_stores_are_counted() {
    for (groups, above) in [(0, 0), (3, 0), (3, 7), (1000, 20)] {
        let known = known(groups);
        let store = STORE + groups * STORED_PARENT;
        for stores in 0..4 {
            let expected = OVERHEAD + groups * PARENT + stores.max(1) * store + stores * above * STORED_PARENT;
            assert_eq!(known.size() as usize, expected, "{groups} groups, {above} above, {stores} stores");
            let above = (0..above).map(|number| EntityKind::Group.uid(number.to_string())).collect();
            let place = |base: &Entities| Ok::<_, ()>(Placed { entities: base.clone(), above });
            let made = known.caller.subject.store(&Arc::default(), place);
            assert!(made.is_ok());
        }
    }
}
