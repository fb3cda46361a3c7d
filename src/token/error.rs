use thiserror::Error;

use crate::json::JsonError;

/// Why a token is not accepted. For operators: the caller is told only that its token is invalid. Nothing of the token's
/// text is in here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    /// The token, its header or its key id is longer than the limit for it.
    #[error("the token's `{0}` is too long")]
    TooLong(&'static str),
    /// Not three parts of canonical base64url without padding (RFC 7515 §2, §3.1).
    #[error("the token is not a compact JWS")]
    Shape,
    /// The header or the claims are not one strict JSON text.
    #[error("the token's {part} cannot be read: {error}")]
    Json {
        /// `header` or `claims`.
        part: &'static str,
        /// What is wrong with it.
        error: JsonError,
    },
    /// The header or the claims have two members of one name (RFC 7515 §4 allows to refuse them).
    #[error("the token's {0} have a member twice")]
    DuplicateMember(&'static str),
    /// The header or the claims are JSON, but not an object.
    #[error("the token's {0} are not an object")]
    NotAnObject(&'static str),
    /// A header parameter has the wrong type, or is one that must not be there.
    #[error("the token's header parameter `{0}` is refused")]
    Header(&'static str),
    /// `alg` is absent, unknown, not one of the issuer's, or not the algorithm of the key that `kid` names.
    #[error("the token's algorithm is not accepted")]
    Algorithm,
    /// `typ` is not one of the issuer's, or the claims are those of an ID token.
    #[error("the token's type is not accepted")]
    Type,
    /// `iss` is not exactly the issuer's identifier.
    #[error("the token's issuer is not known")]
    UnknownIssuer,
    /// No key fits, or the token has no `kid` and several do.
    #[error("the token's key is not known")]
    UnknownKey,
    /// The signature is not one of the key's.
    #[error("the token's signature is wrong")]
    Signature,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is still to come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iat` is still to come.
    #[error("the token was issued in the future")]
    IssuedInFuture,
    /// `aud` does not name the resource.
    #[error("the token is meant for another resource")]
    Audience,
    /// A required claim is absent.
    #[error("the token has no claim `{0}`")]
    ClaimMissing(&'static str),
    /// A claim does not have the type or the form that it must have.
    #[error("the token's claim `{0}` is malformed")]
    ClaimType(&'static str),
    /// A claim has more elements than the limit for it.
    #[error("the token's claim `{0}` has too many elements")]
    TooMany(&'static str),
    /// The issuer says that the token is not active: unknown, expired or revoked (RFC 7662 §2.2).
    #[error("the issuer says that the token is not active")]
    Inactive,
    /// The token is bound to its sender (`cnf`, RFC 7800) in a way that is not known here.
    #[error("the token is bound to its sender in a way that cannot be verified")]
    Bound,
}

/// Why an answer about an opaque token says nothing of it. The token may be good: this is the issuer's trouble or ours, and
/// not the caller's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// Not one strict JSON text.
    #[error("the answer cannot be read: {0}")]
    Json(JsonError),
    /// JSON, but not an object.
    #[error("the answer is not an object")]
    NotAnObject,
    /// `active` is absent, or is not a boolean: `"true"` and `1` are not.
    #[error("the answer's `active` is not `true` or `false`")]
    Active,
}
