//! Who calls: tokens of several people, whole unless a test says what is different.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::gate::NOW;
use super::tokens::{TestKey, encode, key_set};

/// The keys of this process.
pub(crate) struct Keys {
    pub(crate) corp: TestKey,
    pub(crate) partner: TestKey,
    /// The key of a client, which it proves to have.
    pub(crate) client: TestKey,
    /// A key that no issuer published, under the name of one that is.
    pub(crate) stranger: TestKey,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    corp: TestKey::new("ES256", "corp-1"),
    partner: TestKey::new("ES256", "partner-1"),
    client: TestKey::new("ES256", "client-1"),
    stranger: TestKey::new("ES256", "corp-1"),
});

pub(crate) fn keys() -> &'static Keys {
    &KEYS
}

/// The key files of the issuers.
pub(crate) fn key_files() -> [(&'static str, String); 2] {
    [("corp.json", key_set(&[&KEYS.corp])), ("partner.json", key_set(&[&KEYS.partner]))]
}

/// A caller as records, metadata and the upstream see it.
#[derive(Clone, Copy)]
pub(crate) struct Who {
    pub(crate) principal: &'static str,
    pub(crate) issuer: &'static str,
    pub(crate) issuer_url: &'static str,
    /// As the upstream reads it; absent if there is none to tell.
    pub(crate) subject: Option<&'static str>,
    pub(crate) client: &'static str,
    /// The same.
    pub(crate) scopes: Option<&'static str>,
}

/// Somebody with a few scopes.
pub(crate) const ANN: Who = Who {
    principal: r#"User::"corp:ann""#,
    issuer: "corp",
    issuer_url: "https://id.example.com",
    subject: Some("ann"),
    client: "desk-app",
    scopes: Some("weather:read bank:read"),
};

/// An analyst without scopes.
pub(crate) const BOB: Who = Who { principal: r#"User::"corp:bob""#, subject: Some("bob"), scopes: Some(""), ..ANN };

/// A program that acts for itself.
pub(crate) const BATCH: Who =
    Who { principal: r#"Client::"corp:batch""#, subject: Some("batch"), client: "batch", scopes: Some(""), ..ANN };

/// Somebody from another company.
pub(crate) const PAT: Who = Who {
    principal: r#"User::"partner:pat""#,
    issuer: "partner",
    issuer_url: "https://partner.example.net",
    subject: Some("pat"),
    client: "trade-app",
    scopes: Some(""),
};

/// An access token to be.
#[derive(Clone)]
pub(crate) struct Token {
    key: &'static TestKey,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl Token {
    /// A token that is good for an hour, here and at every server.
    pub(crate) fn of(who: Who) -> Self {
        let key = if who.issuer == "partner" { &KEYS.partner } else { &KEYS.corp };
        let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": key.kid});
        let claims = json!({
            "iss": who.issuer_url,
            "sub": who.subject,
            "client_id": who.client,
            "aud": ["https://mcp.example.com/weather", "https://mcp.example.com/bank", "https://notes.example.com"],
            "iat": NOW - 60,
            "exp": NOW + 3600,
            "jti": format!("token-of-{}", who.principal),
            "scope": who.scopes,
        });
        Self { key, header: object(header), claims: object(claims) }
    }

    /// The same with another claim.
    pub(crate) fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// The same without a claim.
    pub(crate) fn without(mut self, name: &str) -> Self {
        assert!(self.claims.remove(name).is_some(), "{name}");
        self
    }

    /// The same with another header parameter.
    pub(crate) fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// The same signed with another key, of which its header says nothing.
    pub(crate) fn signed_by(mut self, key: &'static TestKey) -> Self {
        self.key = key;
        self
    }

    /// The compact form.
    pub(crate) fn text(&self) -> String {
        let header = Value::from(self.header.clone()).to_string();
        self.key.token(&header, &Value::from(self.claims.clone()).to_string())
    }

    /// The compact form with this for a signature.
    pub(crate) fn text_with_signature(&self, signature: &[u8]) -> String {
        let text = self.text();
        let (signed, _) = text.rsplit_once('.').unwrap();
        format!("{signed}.{}", encode(signature))
    }
}

pub(crate) fn ann() -> Token {
    Token::of(ANN)
}

pub(crate) fn bob() -> Token {
    Token::of(BOB).claim("groups", json!(["analysts"]))
}

pub(crate) fn batch() -> Token {
    Token::of(BATCH)
}

pub(crate) fn pat() -> Token {
    Token::of(PAT).claim("roles", json!(["traders"]))
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// SHA-256 in base64url.
pub(crate) fn digest(bytes: impl AsRef<[u8]>) -> String {
    encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes.as_ref()))
}

/// The thumbprint of an elliptic key (RFC 7638).
pub(crate) fn thumbprint(key: &TestKey) -> String {
    let material = key.material();
    let member = |name: &str| {
        let (_, rest) = material.split_once(&format!("\"{name}\":\"")).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    let (curve, x, y) = (member("crv"), member("x"), member("y"));
    digest(format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#))
}
