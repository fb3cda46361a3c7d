//! The gate that is attacked, the keys of its issuers and of those who attack, and tokens over any text.

use std::sync::LazyLock;

use crate::support::gate::{House, NOW};
use crate::support::tokens::{TestKey, key_set};

/// The issuer whose tokens are attacked.
pub(super) const ISSUER: &str = "https://id.example.com";
/// One that the server trusts too, and that writes `JWT` or nothing for a type.
pub(super) const WIDE: &str = "https://wide.example.com";
/// One that only the other server trusts.
pub(super) const PARTNER: &str = "https://partner.example.net";
/// The server that is attacked.
pub(super) const AUDIENCE: &str = "https://mcp.example.com/weather";
/// The other server.
pub(super) const BANK: &str = "https://mcp.example.com/bank";
/// In every token as its id, and nowhere in what is said about one that does not verify.
pub(super) const CANARY: &str = "canary-7c1f";
/// The subject of every token.
pub(super) const SUBJECT: &str = "ann-7c1f";

const CONFIG: &str = r#"
listen: {grpc: 127.0.0.1:0}
policies: policies
issuers:
- name: corp
  issuer: https://id.example.com
  jwks: {file: corp.json}
  algorithms: [ES256, ES384, RS256, RS384, RS512, PS256, PS384, PS512, EdDSA]
  groups: /groups
  claims: {clearance: {type: Long, path: /ext/clearance}, price: {type: Decimal, path: /ext/price}}
- name: wide
  issuer: https://wide.example.com
  jwks: {file: wide.json}
  algorithms: [ES256]
  token_types: [JWT, ""]
- name: partner
  issuer: https://partner.example.net
  jwks: {file: partner.json}
servers:
- {name: weather, resource: "https://mcp.example.com/weather", issuers: [corp, wide], tools: weather.json}
- {name: bank, resource: "https://mcp.example.com/bank", issuers: [partner]}
revocations: revoked.yaml
audit: {file: {path: audit.jsonl}}
"#;

const CATALOG: &str = r#"{"tools": [{"name": "reset", "inputSchema": {"type": "object", "properties": {}}}]}"#;

const POLICY: &str = r#"
@id("ping")
permit (principal, action == Action::"ping", resource);

@id("no-contractors")
forbid (principal in Group::"corp:contractors", action == Action::"ping", resource);

@id("reset")
permit (principal, action == Action::"weather:reset", resource)
when { principal has clearance && principal.clearance > 3 }
unless { principal has price && principal.price.lessThan(decimal("1.0")) };
"#;

const REVOKED: &str = "corp:\n  tokens: [stolen-7c1f]\n  subjects: [mallory-7c1f]\n  clients: [lost-7c1f]\n";

/// The keys of this process. Each is under the name of its member in the key set of its issuer.
pub(super) struct Keys {
    pub(super) es256: TestKey,
    pub(super) es384: TestKey,
    pub(super) ed: TestKey,
    /// Twice in the set: as `rsa` for RS256, and as `rsa-any` for whatever an RSA key can do.
    pub(super) rsa: TestKey,
    pub(super) wide: TestKey,
    /// Also in that issuer's set, for another algorithm than its tokens may have.
    pub(super) wide_384: TestKey,
    pub(super) partner: TestKey,
    /// The partner's key that is called as one of the issuer under attack.
    pub(super) namesake: TestKey,
    /// Nobody published these; each has the name of a key that somebody did.
    pub(super) strangers: [TestKey; 3],
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    es256: TestKey::new("ES256", "es256"),
    es384: TestKey::new("ES384", "es384"),
    ed: TestKey::new("EdDSA", "ed"),
    rsa: TestKey::new("RS256", "rsa"),
    wide: TestKey::new("ES256", "wide-1"),
    wide_384: TestKey::new("ES384", "wide-384"),
    partner: TestKey::new("ES256", "partner-1"),
    namesake: TestKey::new("ES256", "es256"),
    strangers: [TestKey::new("ES256", "es256"), TestKey::new("ES384", "es384"), TestKey::new("EdDSA", "ed")],
});

pub(super) fn keys() -> &'static Keys {
    &KEYS
}

/// The keys with which the issuer under attack signs, each with its own algorithm.
pub(super) fn signers() -> [&'static TestKey; 4] {
    [&KEYS.es256, &KEYS.es384, &KEYS.ed, &KEYS.rsa]
}

/// A gate whose issuer also publishes `more`, JWKs that are to be left out.
pub(super) fn house(more: &[String]) -> House {
    let any = format!(r#"{{{},"kid":"rsa-any"}}"#, KEYS.rsa.material());
    let more: String = more.iter().chain([&any]).map(|key| format!(",{key}")).collect();
    let corp = key_set(&signers()).replace("]}", &format!("{more}]}}"));
    House::build(&[
        ("toolgate.yaml", CONFIG),
        ("weather.json", CATALOG),
        ("policies/one.cedar", POLICY),
        ("revoked.yaml", REVOKED),
        ("corp.json", &corp),
        ("wide.json", &key_set(&[&KEYS.wide, &KEYS.wide_384])),
        ("partner.json", &key_set(&[&KEYS.partner, &KEYS.namesake])),
    ])
}

/// The claims of a token that is good here, by name, as JSON.
pub(super) fn good_claims() -> Vec<(&'static str, String)> {
    vec![
        ("iss", text(ISSUER)),
        ("aud", text(AUDIENCE)),
        ("sub", text(SUBJECT)),
        ("client_id", text("desk-app")),
        ("iat", (NOW - 60).to_string()),
        ("exp", (NOW + 3600).to_string()),
        ("jti", text(CANARY)),
        ("scope", text("weather:read")),
    ]
}

/// `value` as a JSON string.
pub(super) fn text(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

/// The good claims with these in place of those of their names, or besides them; an empty one is left out.
pub(super) fn claims(changes: &[(&str, &str)]) -> String {
    let kept = good_claims().into_iter().filter(|(name, _)| !changes.iter().any(|(other, _)| other == name));
    let changed = changes.iter().filter(|(_, value)| !value.is_empty());
    let members: Vec<String> = kept
        .map(|(name, value)| format!("{}:{value}", text(name)))
        .chain(changed.map(|(name, value)| format!("{}:{value}", text(name))))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// The good claims as they are, followed by `more` members.
pub(super) fn claims_and(more: &str) -> String {
    let good = claims(&[]);
    format!("{},{more}}}", &good[..good.len() - 1])
}

/// A token with these claims, good in all else.
pub(super) fn token(claims: &str) -> String {
    KEYS.es256.token(&KEYS.es256.header(), claims)
}

/// A token with this header over the good claims, signed with `es256`.
pub(super) fn headed(header: &str) -> String {
    KEYS.es256.token(header, &claims(&[]))
}

/// The members of a header of an access token, with these instead or besides; an empty one is left out.
pub(super) fn header(changes: &[(&str, &str)]) -> String {
    let good = [("alg", r#""ES256""#), ("typ", r#""at+jwt""#), ("kid", r#""es256""#)];
    let kept = good.into_iter().filter(|(name, _)| !changes.iter().any(|(other, _)| other == name));
    let members: Vec<String> = kept
        .chain(changes.iter().copied().filter(|(_, value)| !value.is_empty()))
        .map(|(name, value)| format!("{}:{value}", text(name)))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// A good token of each signer.
pub(super) fn good() -> String {
    token(&claims(&[]))
}

/// Numbers that look arbitrary and are the same on every run (SplitMix64).
pub(super) struct Seeded(pub(super) u64);

impl Seeded {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A name of `length` characters.
    pub(super) fn name(&mut self, length: usize) -> String {
        const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789-_./:";
        (0..length).map(|_| char::from(LETTERS[self.next() as usize % LETTERS.len()])).collect()
    }
}
