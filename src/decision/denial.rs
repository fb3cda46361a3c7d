//! Everything but an allow, as a closed vocabulary. `envoy/response.rs` has the one table from here to HTTP.

use crate::mcp::{Disagreement, McpError};
use crate::policy::evaluate::Refusal;
use crate::token::{CredentialError, ProofError, SenderError, TokenError};

/// Why a request does not go upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// It asked for the metadata of the protected resource, and gets it.
    Metadata,
    /// It asked for the metadata with a method other than GET, HEAD and OPTIONS.
    MetadataMethod,
    /// A CORS preflight from an allowed origin, or of the metadata.
    Preflight,
    /// An `Origin` that the server does not allow.
    OriginRefused,
    /// No server, or no path of it.
    NoRoute,
    /// A method that MCP does not use.
    HttpMethodNotAllowed,
    /// No token.
    TokenMissing,
    /// More than one credential, or one in the query.
    TokenAmbiguous,
    /// A token that does not count.
    TokenInvalid(InvalidToken),
    /// A DPoP proof that does not count.
    ProofInvalid(ProofError),
    /// A DPoP proof without a current nonce.
    ProofNonce,
    /// The issuer's keys cannot be had.
    KeysUnavailable,
    /// The issuer's word about an opaque token cannot be had.
    IntrospectionUnavailable(Unavailable),
    /// A body over the limit, or of which the proxy kept only a part.
    BodyTooLarge,
    /// A content type or encoding that hides what the upstream will read.
    BodyUnsupported(Unsupported),
    /// Not one MCP message.
    MessageMalformed(Malformed),
    /// A header disagrees with the body, or is missing where the revision requires it.
    HeaderMismatch {
        /// The header's name.
        header: &'static str,
        /// In which way.
        reason: Disagreement,
    },
    /// A revision that toolgate does not know.
    VersionUnsupported {
        /// What was asked for.
        requested: String,
    },
    /// The policies' word, or their lack of one.
    Policy(Refusal),
    /// No record, no allow.
    AuditUnavailable,
    /// Our own malfunction, or the proxy's configuration.
    Internal(Malfunction),
}

/// Why a presented token does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// Not an access token in form.
    #[error("the credential is not an access token")]
    Credential,
    /// Its form, signature or claims.
    #[error(transparent)]
    Token(TokenError),
    /// Its sender may not use it.
    #[error(transparent)]
    Sender(SenderError),
    /// It names no issuer of this server.
    #[error("the token's issuer is not one of this server's")]
    Issuer,
    /// It is a JWT of an issuer that has no keys.
    #[error("the token is a JWT, and its issuer has no keys to verify it with")]
    NoKeys,
    /// The revocation file has it, its subject, its client or an actor in it.
    #[error("the token, its subject, its client or an actor in it is revoked")]
    Revoked,
}

/// Why nobody can say whether an opaque token is good. `/status` has the endpoint's last error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Nobody asked: the endpoint failed too often of late.
    #[error("the introspection endpoint failed too often and is left alone for a moment")]
    Circuit,
    /// Nobody asked: as many questions as are allowed are under way.
    #[error("too many introspections are under way")]
    Busy,
    /// Not in the time that the proxy or the configuration gives.
    #[error("the introspection endpoint took too long")]
    Timeout,
    /// It cannot be reached, or what it answers is no answer.
    #[error("the introspection endpoint gave no answer that can be used")]
    Endpoint,
}

/// Why a body cannot be read as the upstream will read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// The media type is not `application/json`, its charset not UTF-8, or there are two.
    #[error("the content type is not application/json in UTF-8")]
    ContentType,
    /// A `Content-Encoding` other than `identity`.
    #[error("the body is encoded")]
    ContentEncoding,
    /// The proxy sent only its text form of the body, and the server does not accept that.
    #[error("the proxy sends bodies as text: set `pack_as_bytes` there, or `accept_text_body` here")]
    TextBody,
}

/// Why a body is not one MCP message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A POST without a body.
    #[error("the request has no body, or the proxy does not pass it")]
    NoBody,
    /// A GET or DELETE with one.
    #[error("the request has a body where none belongs")]
    UnexpectedBody,
    /// The stated lengths and the bytes disagree.
    #[error("the body is not as long as stated")]
    Length,
    /// Not an MCP message.
    #[error(transparent)]
    Message(McpError),
}

/// What went wrong on our side of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malfunction {
    /// The proxy's message could not be decoded.
    #[error("the proxy's message cannot be decoded")]
    Undecodable,
    /// The proxy passes only some headers, so that toolgate cannot remove the others.
    #[error("the proxy passes only some headers: remove `allowed_headers` from its ext_authz filter")]
    HeadersFiltered,
    /// The request's handler panicked.
    #[error("the request ended in a panic")]
    Panic,
    /// So many DPoP proofs are remembered that a new one cannot be told from an old one.
    #[error("too many DPoP proofs came to tell whether this one is new")]
    ProofsFull,
    /// A value was refused by the policy engine.
    #[error("the policy engine refused a value")]
    Engine,
}

/// The names of all outcomes, in the records, the metrics and the dynamic metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is documented where its denial is; the table in docs/answers.md explains them")]
pub enum Reason {
    Allow,
    ArgumentUnrepresentable,
    AuditUnavailable,
    BodyTooLarge,
    BodyUnsupported,
    ClaimUnrepresentable,
    HeaderMismatch,
    HttpMethodNotAllowed,
    Internal,
    IntrospectionUnavailable,
    KeysUnavailable,
    LoginInsufficient,
    MessageMalformed,
    Metadata,
    MethodUnknown,
    NoRoute,
    OriginRefused,
    PolicyDenied,
    PolicyError,
    Preflight,
    ProofInvalid,
    ProofNonce,
    ScopeInsufficient,
    TokenAmbiguous,
    TokenInvalid,
    TokenMissing,
    ToolUnknown,
    VersionUnsupported,
}

impl Reason {
    /// Every reason, in the order of its discriminant.
    pub const ALL: [Self; 28] = [
        Self::Allow,
        Self::ArgumentUnrepresentable,
        Self::AuditUnavailable,
        Self::BodyTooLarge,
        Self::BodyUnsupported,
        Self::ClaimUnrepresentable,
        Self::HeaderMismatch,
        Self::HttpMethodNotAllowed,
        Self::Internal,
        Self::IntrospectionUnavailable,
        Self::KeysUnavailable,
        Self::LoginInsufficient,
        Self::MessageMalformed,
        Self::Metadata,
        Self::MethodUnknown,
        Self::NoRoute,
        Self::OriginRefused,
        Self::PolicyDenied,
        Self::PolicyError,
        Self::Preflight,
        Self::ProofInvalid,
        Self::ProofNonce,
        Self::ScopeInsufficient,
        Self::TokenAmbiguous,
        Self::TokenInvalid,
        Self::TokenMissing,
        Self::ToolUnknown,
        Self::VersionUnsupported,
    ];

    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::ArgumentUnrepresentable => "argument_unrepresentable",
            Self::AuditUnavailable => "audit_unavailable",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyUnsupported => "body_unsupported",
            Self::ClaimUnrepresentable => "claim_unrepresentable",
            Self::HeaderMismatch => "header_mismatch",
            Self::HttpMethodNotAllowed => "http_method_not_allowed",
            Self::Internal => "internal",
            Self::IntrospectionUnavailable => "introspection_unavailable",
            Self::KeysUnavailable => "keys_unavailable",
            Self::LoginInsufficient => "login_insufficient",
            Self::MessageMalformed => "message_malformed",
            Self::Metadata => "metadata",
            Self::MethodUnknown => "method_unknown",
            Self::NoRoute => "no_route",
            Self::OriginRefused => "origin_refused",
            Self::PolicyDenied => "policy_denied",
            Self::PolicyError => "policy_error",
            Self::Preflight => "preflight",
            Self::ProofInvalid => "proof_invalid",
            Self::ProofNonce => "proof_nonce",
            Self::ScopeInsufficient => "scope_insufficient",
            Self::TokenAmbiguous => "token_ambiguous",
            Self::TokenInvalid => "token_invalid",
            Self::TokenMissing => "token_missing",
            Self::ToolUnknown => "tool_unknown",
            Self::VersionUnsupported => "version_unsupported",
        }
    }
}

impl Denial {
    /// The reason this denial is counted and recorded under.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Metadata => Reason::Metadata,
            Self::MetadataMethod | Self::HttpMethodNotAllowed => Reason::HttpMethodNotAllowed,
            Self::Preflight => Reason::Preflight,
            Self::OriginRefused => Reason::OriginRefused,
            Self::NoRoute => Reason::NoRoute,
            Self::TokenMissing => Reason::TokenMissing,
            Self::TokenAmbiguous => Reason::TokenAmbiguous,
            Self::TokenInvalid(_) => Reason::TokenInvalid,
            Self::ProofInvalid(_) => Reason::ProofInvalid,
            Self::ProofNonce => Reason::ProofNonce,
            Self::KeysUnavailable => Reason::KeysUnavailable,
            Self::IntrospectionUnavailable(_) => Reason::IntrospectionUnavailable,
            Self::BodyTooLarge => Reason::BodyTooLarge,
            Self::BodyUnsupported(_) => Reason::BodyUnsupported,
            Self::MessageMalformed(_) => Reason::MessageMalformed,
            Self::HeaderMismatch { .. } => Reason::HeaderMismatch,
            Self::VersionUnsupported { .. } => Reason::VersionUnsupported,
            Self::Policy(refusal) => refusal_reason(refusal),
            Self::AuditUnavailable => Reason::AuditUnavailable,
            Self::Internal(_) => Reason::Internal,
        }
    }
}

impl Denial {
    /// What an operator wants to know beyond the reason; nothing of the token's or the message's text is in it.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::TokenInvalid(why) => Some(why.to_string()),
            Self::ProofInvalid(why) => Some(why.to_string()),
            Self::IntrospectionUnavailable(why) => Some(why.to_string()),
            Self::BodyUnsupported(why) => Some(why.to_string()),
            Self::MessageMalformed(why) => Some(why.to_string()),
            Self::HeaderMismatch { header, reason } => Some(format!("the header {header} {reason}")),
            Self::Internal(why) => Some(why.to_string()),
            Self::Policy(Refusal::ArgumentUnrepresentable(pointer)) => Some(format!("argument {pointer}")),
            Self::Policy(Refusal::ClaimUnrepresentable(claim)) => Some(format!("claim {claim}")),
            Self::Policy(Refusal::ScopeInsufficient { scopes }) => Some(format!("scopes {}", scopes.join(" "))),
            Self::Policy(_)
            | Self::Metadata
            | Self::MetadataMethod
            | Self::Preflight
            | Self::OriginRefused
            | Self::NoRoute
            | Self::HttpMethodNotAllowed
            | Self::TokenMissing
            | Self::TokenAmbiguous
            | Self::ProofNonce
            | Self::KeysUnavailable
            | Self::BodyTooLarge
            | Self::VersionUnsupported { .. }
            | Self::AuditUnavailable => None,
        }
    }
}

const fn refusal_reason(refusal: &Refusal) -> Reason {
    match refusal {
        Refusal::Denied { .. } => Reason::PolicyDenied,
        Refusal::Erred => Reason::PolicyError,
        Refusal::ScopeInsufficient { .. } => Reason::ScopeInsufficient,
        Refusal::LoginInsufficient { .. } => Reason::LoginInsufficient,
        Refusal::MethodUnknown => Reason::MethodUnknown,
        Refusal::ToolUnknown => Reason::ToolUnknown,
        Refusal::ArgumentUnrepresentable(_) => Reason::ArgumentUnrepresentable,
        Refusal::ClaimUnrepresentable(_) => Reason::ClaimUnrepresentable,
        Refusal::Internal => Reason::Internal,
    }
}

impl From<CredentialError> for Denial {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Missing => Self::TokenMissing,
            CredentialError::Ambiguous(_) => Self::TokenAmbiguous,
            CredentialError::Malformed => Self::TokenInvalid(InvalidToken::Credential),
        }
    }
}

impl From<TokenError> for Denial {
    fn from(error: TokenError) -> Self {
        Self::TokenInvalid(InvalidToken::Token(error))
    }
}

impl From<SenderError> for Denial {
    fn from(error: SenderError) -> Self {
        match error {
            SenderError::Proof(ProofError::Nonce) => Self::ProofNonce,
            SenderError::Proof(error) => Self::ProofInvalid(error),
            error @ (SenderError::Downgraded
            | SenderError::NotBound
            | SenderError::Unconfigured
            | SenderError::Required
            | SenderError::NoCertificate
            | SenderError::OtherCertificate) => Self::TokenInvalid(InvalidToken::Sender(error)),
        }
    }
}

impl From<McpError> for Denial {
    fn from(error: McpError) -> Self {
        match error {
            McpError::HeaderMismatch { header, reason } => Self::HeaderMismatch { header, reason },
            McpError::VersionUnsupported { requested } => Self::VersionUnsupported { requested },
            error @ (McpError::Malformed(_) | McpError::Batch) => Self::MessageMalformed(Malformed::Message(error)),
        }
    }
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        if refusal == Refusal::Internal { Self::Internal(Malfunction::Engine) } else { Self::Policy(refusal) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_every_reason_in_order() {
        let mut sorted = Reason::ALL.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted, Reason::ALL);
    }
}
