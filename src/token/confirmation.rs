use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::TokenError;
use super::jwk::KeyId;
use crate::json::{Kind, Value};

/// A SHA-256 digest of a certificate in DER (RFC 8705 §3.1).
pub type CertificateThumbprint = [u8; 32];

/// What a token is bound to (`cnf`, RFC 7800 §3): whoever sends it must prove to have each of these. At least one is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmation {
    /// `jkt`: the key that a DPoP proof is signed with (RFC 9449 §6).
    pub key: Option<KeyId>,
    /// `x5t#S256`: the certificate that the client connects with (RFC 8705 §3.1).
    pub certificate: Option<CertificateThumbprint>,
}

impl Confirmation {
    /// The `cnf` of the claims in `root`.
    ///
    /// # Errors
    /// [`TokenError::Bound`] if there is none of the two methods in it, or any other beside them: a method that is not
    /// known here cannot be checked here. [`TokenError::ClaimType`] if it is no object, or a thumbprint is none.
    pub(super) fn read(root: Value<'_>) -> Result<Option<Self>, TokenError> {
        let Some(value) = root.get("cnf") else { return Ok(None) };
        if value.kind() != Kind::Object {
            return Err(TokenError::ClaimType("cnf"));
        }
        let thumbprint = |name| match value.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().as_deref().and_then(thumbprint).map(Some).ok_or(TokenError::ClaimType("cnf")),
        };
        let key = thumbprint("jkt")?.map(KeyId::from_thumbprint);
        let certificate = thumbprint("x5t#S256")?;
        if value.len() != usize::from(key.is_some()) + usize::from(certificate.is_some()) || value.is_empty() {
            return Err(TokenError::Bound);
        }
        Ok(Some(Self { key, certificate }))
    }
}

/// 32 bytes in canonical base64url.
fn thumbprint(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}
