use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::TokenError;
use crate::json::{Document, JsonError, Limits};

/// The longest token in bytes. Real ones with hundreds of groups stay under 8 KiB, since most servers refuse longer
/// header lines.
pub const MAX_TOKEN: usize = 16 * 1024;

/// The longest encoded header in bytes. A header needs three short members; certificate chains (`x5c`) are of no use here.
pub const MAX_HEADER: usize = 4 * 1024;

/// The longest `kid` in bytes. It is a name, and it is written to records.
pub const MAX_KEY_NAME: usize = 256;

/// A header is flat, but for an embedded key, which is ignored.
const HEADER_LIMITS: Limits = Limits { depth: 8, nodes: 256 };

/// Parameters that change what the signature covers or what the payload is (RFC 7515 §4.1.10 and §4.1.11, RFC 7797,
/// RFC 7516 §4.1): none is supported, so that each is refused rather than skipped.
const REFUSED: [&str; 5] = ["crit", "b64", "zip", "enc", "cty"];

/// A compact JWS (RFC 7515 §7.1) of which nothing is verified: its parts, and what its header says. Its `Debug` gives the
/// header alone, for the rest together is the token.
pub(super) struct Jws<'a> {
    /// What is signed: header, dot and payload as they were sent.
    pub(super) signed: &'a str,
    /// The decoded signature.
    pub(super) signature: Vec<u8>,
    /// The decoded payload.
    pub(super) payload: Vec<u8>,
    /// The decoded header.
    pub(super) header_text: Vec<u8>,
    pub(super) header: Header,
}

/// The header parameters that are read. Keys and key locations (`jwk`, `jku`, `x5u`, `x5c`) are not among them.
#[derive(Debug)]
pub(super) struct Header {
    /// `alg`, if it is a string.
    pub(super) algorithm: Option<String>,
    /// `typ`.
    pub(super) kind: Option<String>,
    /// `kid`: an opaque name, only ever compared.
    pub(super) key_name: Option<String>,
}

impl fmt::Debug for Jws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jws").field("header", &self.header).finish_non_exhaustive()
    }
}

impl<'a> Jws<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::TooLong("token"));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Shape)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Shape)?;
        if header.len() > MAX_HEADER {
            return Err(TokenError::TooLong("header"));
        }
        let (header_text, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        let header = Header::parse(&header_text)?;
        Ok(Self { signed, signature, payload, header_text, header })
    }
}

impl Header {
    fn parse(text: &[u8]) -> Result<Self, TokenError> {
        let document = Document::parse(text, HEADER_LIMITS).map_err(|error| unreadable("header", error))?;
        let root = document.root();
        if root.kind() != crate::json::Kind::Object {
            return Err(TokenError::NotAnObject("header"));
        }
        if let Some(name) = REFUSED.into_iter().find(|name| root.get(name).is_some()) {
            return Err(TokenError::Header(name));
        }
        let text = |name: &'static str| match root.get(name) {
            None => Ok(None),
            Some(value) => match value.as_str() {
                Some(text) if !text.is_empty() => Ok(Some(text.into_owned())),
                Some(_) | None => Err(TokenError::Header(name)),
            },
        };
        let key_name = text("kid")?;
        if key_name.as_ref().is_some_and(|name| name.len() > MAX_KEY_NAME) {
            return Err(TokenError::TooLong("kid"));
        }
        Ok(Self { algorithm: text("alg")?, kind: text("typ")?, key_name })
    }
}

/// The error for a part of the token that is not strict JSON.
pub(super) fn unreadable(part: &'static str, error: JsonError) -> TokenError {
    if matches!(error, JsonError::DuplicateKey { .. }) {
        TokenError::DuplicateMember(part)
    } else {
        TokenError::Json { part, error }
    }
}

/// Base64url without padding, line breaks or spare bits, so that one token has one text; a dot within is refused too.
fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    if part.is_empty() {
        return Err(TokenError::Shape);
    }
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Shape)
}
