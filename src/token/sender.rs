use thiserror::Error;

use super::certificate::thumbprint;
use super::credential::{Credential, Scheme};
use super::dpop;
use super::dpop::{DpopRules, ProofError, ProofId, Proven};
use super::verify::Principal;
use crate::context::{Headers, UnixTime};

/// How a server takes tokens that are bound to their sender. Of a kind that it has no rules for it takes none.
#[derive(Debug, Clone, Default)]
pub struct SenderRules {
    /// Tokens bound to a key (RFC 9449).
    pub dpop: Option<DpopRules>,
    /// Tokens bound to a client certificate (RFC 8705).
    pub mtls: Option<MtlsRules>,
}

/// How a server takes tokens that are bound to a client certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MtlsRules {
    /// Whether a token that is not bound to a certificate is refused.
    pub required: bool,
}

/// What came with a token.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// The token, and how it was sent.
    pub credential: &'a Credential,
    /// The request's headers.
    pub headers: &'a Headers,
    /// The request's method.
    pub method: &'a [u8],
    /// The request's public URL.
    pub url: &'a str,
    /// The certificate of the proxy's peer as Envoy hands it over: PEM, percent-encoded; empty if there is none.
    pub certificate: &'a [u8],
}

/// Why the sender of a token may not use it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SenderError {
    /// The token is bound to a key and was sent as a bearer token (RFC 9449 §7.2).
    #[error("the token is bound to a key, but was sent as a bearer token")]
    Downgraded,
    /// The token was sent by the scheme `DPoP`, but is not bound to a key.
    #[error("the token was sent with a proof, but is not bound to a key")]
    NotBound,
    /// The token is bound in a way that the server has no rules for.
    #[error("the token is bound in a way that the server is not configured for")]
    Unconfigured,
    /// The token is not bound, and the server takes only such that are.
    #[error("the server takes only tokens that are bound to their sender")]
    Required,
    /// The token is bound to a certificate, and the request came without one.
    #[error("the token is bound to a certificate, and the proxy hands over none")]
    NoCertificate,
    /// The token is bound to another certificate than the request came with.
    #[error("the token is bound to another certificate")]
    OtherCertificate,
    /// The proof of the key does not count.
    #[error(transparent)]
    Proof(ProofError),
}

/// Whether whoever sent the token may: to be asked for every request. Returns the proof that must not have come before,
/// if the token needs one.
///
/// # Errors
/// See [`SenderError`].
pub fn check_sender(
    principal: &Principal,
    rules: &SenderRules,
    sent: &Sent<'_>,
    now: UnixTime,
) -> Result<Option<ProofId>, SenderError> {
    check_certificate(principal, rules, sent.certificate)?;
    let key = principal.confirmation().and_then(|confirmation| confirmation.key);
    match (key, sent.credential.scheme(), &rules.dpop) {
        (Some(_), _, None) => Err(SenderError::Unconfigured),
        (Some(_), Scheme::Bearer, Some(_)) => Err(SenderError::Downgraded),
        (None, Scheme::Dpop, _) => Err(SenderError::NotBound),
        (None, Scheme::Bearer, Some(dpop)) if dpop.required => Err(SenderError::Required),
        (None, Scheme::Bearer, _) => Ok(None),
        (Some(key), Scheme::Dpop, Some(dpop)) => {
            let proof = sent.headers.single("dpop").map_err(|_| SenderError::Proof(ProofError::Repeated))?;
            let proof = proof.and_then(|value| std::str::from_utf8(value).ok());
            let proof = proof.ok_or(SenderError::Proof(ProofError::Missing))?;
            let proven = Proven { method: sent.method, url: sent.url, token: sent.credential.token(), key };
            dpop::verify(proof, &proven, dpop, now).map(Some).map_err(SenderError::Proof)
        }
    }
}

fn check_certificate(principal: &Principal, rules: &SenderRules, certificate: &[u8]) -> Result<(), SenderError> {
    let bound_to = principal.confirmation().and_then(|confirmation| confirmation.certificate);
    match (bound_to, rules.mtls) {
        (None, Some(MtlsRules { required: true })) => Err(SenderError::Required),
        (None, _) => Ok(()),
        (Some(_), None) => Err(SenderError::Unconfigured),
        (Some(_), Some(_)) if certificate.is_empty() => Err(SenderError::NoCertificate),
        (Some(expected), Some(_)) if thumbprint(certificate) == Some(expected) => Ok(()),
        (Some(_), Some(_)) => Err(SenderError::OtherCertificate),
    }
}
