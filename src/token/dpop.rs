use aws_lc_rs::digest;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;
use url::Url;

use super::algorithm::Algorithm;
use super::error::TokenError;
use super::jwk::KeyId;
use super::jws::Jws;
use super::keys::public_key;
use super::verify::{media_type, object};
use crate::context::UnixTime;
use crate::json::{Kind, Value};

/// How old a proof may be, and how far ahead its clock, in seconds: five minutes, as the MCP extension for DPoP has it
/// (SEP-1932). A longer time would only mean more proofs to remember.
pub const PROOF_SECONDS: i64 = 300;

/// The longest `jti` of a proof in bytes. RFC 9449 §4.2 wants 96 random bits, or a version 4 UUID.
pub const MAX_PROOF_ID: usize = 256;

/// How long one nonce is handed out, in seconds. It is accepted for as long again.
pub const NONCE_SECONDS: i64 = 300;

/// The type of a proof (RFC 9449 §4.2).
const PROOF_TYPE: &str = "dpop+jwt";

/// How a server takes DPoP proofs.
#[derive(Debug, Clone)]
pub struct DpopRules {
    /// Whether a token that is not bound to a key is refused.
    pub required: bool,
    /// The algorithms that proofs may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// Makes the nonces that proofs must hold; without it they need none.
    pub nonces: Option<Nonces>,
}

/// Nonces that prove that a proof is new (RFC 9449 §9): a number for the time and an HMAC of it, so that nothing need be
/// remembered, and every replica that has the same secret takes those of the others.
#[derive(Debug, Clone)]
pub struct Nonces(hmac::Key);

/// One use of a proof: half of a SHA-256 digest over the key and the `jti`. To be seen once only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProofId([u8; 16]);

/// What a proof must be about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proven<'a> {
    /// The HTTP method.
    pub(super) method: &'a [u8],
    /// The public URL; a query in it does not count.
    pub(super) url: &'a str,
    /// The access token that goes with it.
    pub(super) token: &'a str,
    /// The key that the token is bound to.
    pub(super) key: KeyId,
}

/// A secret that might be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the secret is shorter than {MIN_SECRET} bytes")]
pub struct WeakSecret;

/// The shortest secret of nonces in bytes: 32 random bytes are 44 in base64, 64 in hex; a pass phrase is shorter.
pub const MIN_SECRET: usize = 32;

/// Why a DPoP proof does not count (RFC 9449 §4.3). For operators: the caller is told only that it does not.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The request has no header `DPoP`, though its token needs one.
    #[error("the request has no DPoP proof")]
    Missing,
    /// The header `DPoP` was sent more than once.
    #[error("the request has more than one DPoP proof")]
    Repeated,
    /// It is no compact JWS, or its header or claims cannot be read.
    #[error("the proof cannot be read: {0}")]
    Form(TokenError),
    /// `typ` is not `dpop+jwt`.
    #[error("the proof's type is not `dpop+jwt`")]
    Type,
    /// `alg` is not one of the server's, or not one of the key's.
    #[error("the proof's algorithm is not accepted")]
    Algorithm,
    /// `jwk` is absent, unusable, or holds a private key.
    #[error("the proof's header has no usable public key")]
    Key,
    /// A claim is absent or malformed.
    #[error("the proof's claim `{0}` is absent or malformed")]
    Claim(&'static str),
    /// `htm` is another method.
    #[error("the proof is for another HTTP method")]
    Method,
    /// `htu` is another URL.
    #[error("the proof is for another URL")]
    Url,
    /// `iat` is more than [`PROOF_SECONDS`] away.
    #[error("the proof was not made just now")]
    Time,
    /// `ath` is not the digest of the access token.
    #[error("the proof is for another access token")]
    Token,
    /// The key is not the one that the token is bound to.
    #[error("the proof's key is not the one that the token is bound to")]
    OtherKey,
    /// The signature is not one of the key's.
    #[error("the proof's signature is wrong")]
    Signature,
    /// `nonce` is absent, or not one of the last that were handed out.
    #[error("the proof has no current nonce")]
    Nonce,
    /// The same proof came before.
    #[error("the proof was used before")]
    Replayed,
}

/// Checks a proof (RFC 9449 §4.3, §7.1), all but whether it is used for the first time. The signature comes last.
pub(super) fn verify(text: &str, proven: &Proven<'_>, rules: &DpopRules, now: UnixTime) -> Result<ProofId, ProofError> {
    let proof = Jws::parse(text).map_err(ProofError::Form)?;
    if proof.header.kind.as_deref().map(media_type).as_deref() != Some(PROOF_TYPE) {
        return Err(ProofError::Type);
    }
    let named = proof.header.algorithm.as_deref().and_then(Algorithm::parse);
    let algorithm = named.filter(|named| rules.algorithms.contains(named)).ok_or(ProofError::Algorithm)?;
    let header = object(&proof.header_text).map_err(ProofError::Form)?;
    let jwk = header.root().get("jwk").filter(|jwk| jwk.kind() == Kind::Object).ok_or(ProofError::Key)?;
    let key = public_key(jwk).ok_or(ProofError::Key)?;
    if *key.id() != proven.key {
        return Err(ProofError::OtherKey);
    }
    let document = object(&proof.payload).map_err(ProofError::Form)?;
    let id = check_claims(document.root(), proven, rules, now)?;
    if !key.has(algorithm) {
        return Err(ProofError::Algorithm);
    }
    if key.verifies(algorithm, proof.signed, &proof.signature) { Ok(id) } else { Err(ProofError::Signature) }
}

fn check_claims(
    claims: Value<'_>,
    proven: &Proven<'_>,
    rules: &DpopRules,
    now: UnixTime,
) -> Result<ProofId, ProofError> {
    let text = |name| claims.get(name).and_then(Value::as_str).ok_or(ProofError::Claim(name));
    let jti = text("jti")?;
    if jti.is_empty() || jti.len() > MAX_PROOF_ID {
        return Err(ProofError::Claim("jti"));
    }
    if text("htm")?.as_bytes() != proven.method {
        return Err(ProofError::Method);
    }
    if !same_url(&text("htu")?, proven.url) {
        return Err(ProofError::Url);
    }
    let issued = claims.get("iat").and_then(super::claims::date).ok_or(ProofError::Claim("iat"))?;
    if now.millis().abs_diff(issued.millis()) > PROOF_SECONDS.unsigned_abs() * 1000 {
        return Err(ProofError::Time);
    }
    let digest = digest::digest(&digest::SHA256, proven.token.as_bytes());
    if text("ath")? != URL_SAFE_NO_PAD.encode(digest) {
        return Err(ProofError::Token);
    }
    let has_nonce = |nonces: &Nonces| text("nonce").is_ok_and(|nonce| nonces.accept(&nonce, now));
    if rules.nonces.as_ref().is_some_and(|nonces| !has_nonce(nonces)) {
        return Err(ProofError::Nonce);
    }
    Ok(ProofId::of(&proven.key, &jti))
}

/// Whether `htu` is `url`, without query and fragment, after the normalisations of case, dot segments and default ports
/// (RFC 3986 §6.2.2.1, §6.2.2.3, §6.2.3; RFC 9449 §4.3). Percent-encoding is compared as it is written.
fn same_url(htu: &str, url: &str) -> bool {
    let plain = |text: &str| {
        let mut url = Url::parse(text).ok().filter(|url| url.username().is_empty() && url.password().is_none())?;
        url.set_query(None);
        url.set_fragment(None);
        Some(url)
    };
    plain(htu).is_some_and(|htu| plain(url) == Some(htu))
}

impl ProofId {
    /// The use that has this digest.
    pub const fn new(digest: [u8; 16]) -> Self {
        Self(digest)
    }

    fn of(key: &KeyId, jti: &str) -> Self {
        let digest = digest::digest(&digest::SHA256, format!("{key} {jti}").as_bytes());
        let mut id = [0; 16];
        id.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        Self::new(id)
    }
}

impl Nonces {
    /// Nonces under the secret in `text`, which every replica of the gate must have; space around it does not count.
    ///
    /// # Errors
    /// [`WeakSecret`] if it is shorter than [`MIN_SECRET`].
    pub fn parse(text: &[u8]) -> Result<Self, WeakSecret> {
        let secret = text.trim_ascii();
        if secret.len() < MIN_SECRET { Err(WeakSecret) } else { Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret))) }
    }

    /// The nonce of the time `now`: base64url, 32 characters.
    pub fn current(&self, now: UnixTime) -> String {
        self.of(now.seconds().div_euclid(NONCE_SECONDS))
    }

    fn accept(&self, nonce: &str, now: UnixTime) -> bool {
        let window = now.seconds().div_euclid(NONCE_SECONDS);
        // A secret, but one that is handed to whoever asks: there is nothing to learn from the time of the comparison.
        [window, window - 1].into_iter().any(|window| self.of(window) == nonce)
    }

    fn of(&self, window: i64) -> String {
        let window = window.to_be_bytes();
        let tag = hmac::sign(&self.0, &window);
        URL_SAFE_NO_PAD.encode(window.iter().chain(tag.as_ref()).copied().take(NONCE_BYTES).collect::<Vec<u8>>())
    }
}

/// Eight bytes of time, sixteen of HMAC.
const NONCE_BYTES: usize = 24;
