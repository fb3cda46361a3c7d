//! What proves to an introspection endpoint who asks: a secret, or a private key. Neither ever shows in `Debug`.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use thiserror::Error;
use url::form_urlencoded::byte_serialize;

use crate::context::UnixTime;
use crate::json::{Document, Limits, Value};
use crate::token::Algorithm;

/// A client secret or a private key, as it was read from its file.
pub struct Credential {
    kind: Kind,
    /// SHA-256 over the file and what else makes it: tells one from another without telling what it is.
    digest: [u8; 32],
}

enum Kind {
    Secret(String),
    Key { pair: Pair, algorithm: Algorithm, kid: Option<String> },
}

enum Pair {
    Elliptic(EcdsaKeyPair),
    Edwards(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

/// Why a file holds no credential. Nothing of its text is in here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CredentialError {
    /// Nothing in it, or nothing but a line feed.
    #[error("the file of the client secret is empty")]
    Empty,
    /// A secret has none (RFC 6749 Appendix A.2), but a file of several lines does.
    #[error("the client secret has a line feed or another control character within")]
    Control,
    /// Neither the PEM form of PKCS#8 (RFC 7468 §10) nor a JWK.
    #[error("the private key is neither PKCS#8 in PEM (`BEGIN PRIVATE KEY`) nor a JWK")]
    Form,
    /// Not a key of the kind that the algorithm takes, or not a sound one.
    #[error("the private key is not one for this algorithm, or is malformed")]
    Key,
}

/// A JWK is flat.
const LIMITS: Limits = Limits { depth: 8, nodes: 256 };

/// Seconds that an assertion is good for: the way to the endpoint, and clocks that differ.
const ASSERTION_SECONDS: i64 = 60;

/// The type of assertion (RFC 7523 §2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How a request says who asks.
pub(super) struct Proof {
    /// The value of `authorization`, if that is the way.
    pub(super) authorization: Option<String>,
    /// Parameters of the form.
    pub(super) parameters: Vec<(&'static str, String)>,
}

impl Credential {
    /// The secret in `text`, a file: everything but one line feed at its end.
    ///
    /// # Errors
    /// [`CredentialError::Empty`], [`CredentialError::Control`].
    pub fn secret(text: &str) -> Result<Self, CredentialError> {
        let secret = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        if secret.is_empty() {
            return Err(CredentialError::Empty);
        }
        if secret.contains(char::is_control) {
            return Err(CredentialError::Control);
        }
        Ok(Self { kind: Kind::Secret(secret.to_owned()), digest: fingerprint(&["secret", secret]) })
    }

    /// The private key in `text`, PKCS#8 in PEM or a JWK, to sign with `algorithm` under the name `kid`.
    ///
    /// # Errors
    /// [`CredentialError::Form`], [`CredentialError::Key`].
    pub fn key(text: &str, algorithm: Algorithm, kid: Option<String>) -> Result<Self, CredentialError> {
        let digest = fingerprint(&["key", text, algorithm.as_str(), kid.as_deref().unwrap_or_default()]);
        let pair =
            if text.trim_start().starts_with('{') { from_jwk(text, algorithm) } else { from_pem(text, algorithm) };
        Ok(Self { kind: Kind::Key { pair: pair?, algorithm, kid }, digest })
    }

    /// The proof that `client` asks, at `now`, the issuer called `audience`; `None` if nothing can be signed.
    pub(super) fn proof(&self, client: &str, audience: &str, now: UnixTime) -> Option<Proof> {
        match &self.kind {
            Kind::Secret(secret) => Some(Proof { authorization: Some(basic(client, secret)), parameters: Vec::new() }),
            Kind::Key { pair, algorithm, kid } => {
                let assertion = assertion(pair, *algorithm, kid.as_deref(), (client, audience), now)?;
                let parameters = vec![
                    ("client_id", client.to_owned()),
                    ("client_assertion_type", ASSERTION_TYPE.to_owned()),
                    ("client_assertion", assertion),
                ];
                Some(Proof { authorization: None, parameters })
            }
        }
    }
}

/// Its digest, so that two can be told apart.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({})", URL_SAFE_NO_PAD.encode(self.digest))
    }
}

/// `client_secret_basic`: both are form-encoded before they are joined (RFC 6749 §2.3.1), or a colon in the one would
/// end it.
fn basic(client: &str, secret: &str) -> String {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(client), encoded(secret))))
}

/// `private_key_jwt` (RFC 7523 §3): an assertion of the client about itself, used once.
fn assertion(
    pair: &Pair,
    algorithm: Algorithm,
    kid: Option<&str>,
    (client, audience): (&str, &str),
    now: UnixTime,
) -> Option<String> {
    let mut id = [0; 16];
    rand::fill(&mut id).ok()?;
    let mut header = serde_json::json!({ "alg": algorithm.as_str(), "typ": "JWT" });
    if let (Some(members), Some(kid)) = (header.as_object_mut(), kid) {
        members.insert("kid".to_owned(), kid.into());
    }
    let claims = serde_json::json!({
        "iss": client,
        "sub": client,
        "aud": audience,
        "jti": URL_SAFE_NO_PAD.encode(id),
        "iat": now.seconds(),
        "exp": now.seconds() + ASSERTION_SECONDS,
    });
    let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let signature = pair.sign(signed.as_bytes())?;
    Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

impl Pair {
    fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Elliptic(pair) => pair.sign(&SystemRandom::new(), text).ok().map(|made| made.as_ref().to_vec()),
            Self::Edwards(pair) => Some(pair.sign(text).as_ref().to_vec()),
            Self::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &SystemRandom::new(), text, &mut signature).ok().map(|()| signature)
            }
        }
    }
}

/// What an algorithm signs with (RFC 7518 §3.1, RFC 8037 §3.1).
enum Signing {
    Elliptic(&'static EcdsaSigningAlgorithm, &'static str),
    Edwards,
    Rsa(&'static dyn RsaEncoding),
}

fn signing(algorithm: Algorithm) -> Signing {
    match algorithm {
        Algorithm::ES256 => Signing::Elliptic(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
        Algorithm::ES384 => Signing::Elliptic(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
        Algorithm::EdDSA => Signing::Edwards,
        Algorithm::RS256 => Signing::Rsa(&RSA_PKCS1_SHA256),
        Algorithm::RS384 => Signing::Rsa(&RSA_PKCS1_SHA384),
        Algorithm::RS512 => Signing::Rsa(&RSA_PKCS1_SHA512),
        Algorithm::PS256 => Signing::Rsa(&RSA_PSS_SHA256),
        Algorithm::PS384 => Signing::Rsa(&RSA_PSS_SHA384),
        Algorithm::PS512 => Signing::Rsa(&RSA_PSS_SHA512),
    }
}

fn from_pem(text: &str, algorithm: Algorithm) -> Result<Pair, CredentialError> {
    let inside = text.trim().strip_prefix("-----BEGIN PRIVATE KEY-----");
    let inside = inside.and_then(|text| text.strip_suffix("-----END PRIVATE KEY-----")).ok_or(CredentialError::Form)?;
    let encoded: String = inside.split_ascii_whitespace().collect();
    let der = STANDARD.decode(encoded).map_err(|_| CredentialError::Form)?;
    let pair = match signing(algorithm) {
        Signing::Elliptic(curve, _) => EcdsaKeyPair::from_pkcs8(curve, &der).map(Pair::Elliptic),
        Signing::Edwards => Ed25519KeyPair::from_pkcs8(&der).map(Pair::Edwards),
        Signing::Rsa(encoding) => RsaKeyPair::from_pkcs8(&der).map(|pair| Pair::Rsa(pair, encoding)),
    };
    pair.map_err(|_| CredentialError::Key)
}

/// RFC 7518 §6.2.2, §6.3.2, RFC 8037 §2.
fn from_jwk(text: &str, algorithm: Algorithm) -> Result<Pair, CredentialError> {
    let document = Document::parse(text.as_bytes(), LIMITS).map_err(|_| CredentialError::Form)?;
    let root = document.root();
    let member = |name| {
        let encoded = root.get(name).and_then(Value::as_str).ok_or(CredentialError::Key)?;
        URL_SAFE_NO_PAD.decode(encoded.as_bytes()).map_err(|_| CredentialError::Key)
    };
    let is = |name, expected: &str| root.get(name).and_then(Value::as_str).is_some_and(|text| text == expected);
    let pair = match signing(algorithm) {
        Signing::Elliptic(signing, curve) if is("kty", "EC") && is("crv", curve) => {
            let point = [vec![4], member("x")?, member("y")?].concat();
            EcdsaKeyPair::from_private_key_and_public_key(signing, &member("d")?, &point).map(Pair::Elliptic)
        }
        Signing::Edwards if is("kty", "OKP") && is("crv", "Ed25519") => {
            Ed25519KeyPair::from_seed_and_public_key(&member("d")?, &member("x")?).map(Pair::Edwards)
        }
        Signing::Rsa(encoding) if is("kty", "RSA") => {
            let components = KeyPairComponents {
                public_key: PublicKeyComponents { n: member("n")?, e: member("e")? },
                d: member("d")?,
                p: member("p")?,
                q: member("q")?,
                dP: member("dp")?,
                dQ: member("dq")?,
                qInv: member("qi")?,
            };
            RsaKeyPair::from_components(&components).map(|pair| Pair::Rsa(pair, encoding))
        }
        Signing::Elliptic(..) | Signing::Edwards | Signing::Rsa(_) => return Err(CredentialError::Key),
    };
    pair.map_err(|_| CredentialError::Key)
}

/// SHA-256 over the parts, each with its length.
fn fingerprint(parts: &[&str]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(context.finish().as_ref());
    fingerprint
}
