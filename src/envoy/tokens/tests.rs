//! What a remembered token is worth once its issuer's keys have changed under it, as a refresh changes them.

mod size;

use futures_util::FutureExt;

use super::*;
use crate::context::Headers;
use crate::metrics::Metrics;
use crate::reload::load::load;
use crate::token::KeySet;
use crate::token::support::{TestKey, key_set};

const NOW: i64 = 1_800_000_000;

const CONFIG: &str = "
listen: {grpc: 127.0.0.1:0}
policies: policies
issuers:
- {name: corp, issuer: https://id.example.com, jwks: {file: keys.json}}
servers:
- {name: weather, resource: https://mcp.example.com/weather, issuers: [corp]}
audit: {stdout: {}}
";

const CLAIMS: &str = r#"{"iss":"https://id.example.com","aud":"https://mcp.example.com/weather","sub":"ann",
    "client_id":"desk-app","iat":1799999990,"exp":1800000300}"#;

fn generation(keys: &[&TestKey]) -> Generation {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("policies")).unwrap();
    write("toolgate.yaml", CONFIG);
    write("keys.json", &key_set(keys));
    write("policies/ping.cedar", "permit (principal, action == Action::\"ping\", resource);");
    let loaded = load(&folder.path().join("toolgate.yaml")).unwrap();
    Generation::start(loaded, None, &Metrics::new("test"), UnixTime::from_seconds(NOW)).unwrap()
}

fn bearer(key: &TestKey) -> Credential {
    let value = format!("Bearer {}", key.token(&key.header(), CLAIMS));
    Credential::from_request(&Headers::new(vec![("authorization".into(), value.into())]), b"/weather").unwrap()
}

/// INVARIANT (nothing stale verifies): the issuer object stays, its set does not. In a set that keeps the key under another
/// name the token is still good; in one without it the token is as if it had never been seen.
#[test]
fn a_key_that_is_gone_takes_its_remembered_tokens_along() {
    let (first, second) = (TestKey::new("ES256", "first"), TestKey::new("ES256", "second"));
    let generation = generation(&[&first]);
    let (tokens, token) = (Tokens::default(), bearer(&first));
    let ask = || {
        let now = UnixTime::from_seconds(NOW);
        let server = &generation.rules.servers[0];
        let presented = Presented { credential: &token, server, generation: &generation, now, patience: None };
        let asked = tokens.caller(&presented, &|_| String::new()).now_or_never();
        let (lookup, known) = asked.expect("nothing to wait for");
        (lookup, known.map(|known| known.principal.clone()))
    };
    let ann = || Ok("User::\"corp:ann\"".to_owned());
    let unknown = || Err(Denial::from(TokenError::UnknownKey));
    let refreshed = |keys: &[&TestKey]| {
        let keys = KeySet::parse(key_set(keys).as_bytes()).unwrap();
        generation.issuer("corp").unwrap().issuer.replace_keys(keys);
    };
    assert_eq!(ask(), (Lookup::Miss, ann()));
    assert_eq!(ask(), (Lookup::Hit, ann()));
    refreshed(&[&second, &first]);
    assert_eq!(ask(), (Lookup::Hit, ann()));
    refreshed(&[&second]);
    assert_eq!(ask(), (Lookup::Miss, unknown()));
    assert_eq!(ask(), (Lookup::Miss, unknown()));
    refreshed(&[&first]);
    assert_eq!(ask().1, ann());
}
