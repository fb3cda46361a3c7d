//! Floor 1: from the `Authorization` header to a [`Principal`].
//!
//! ```text
//! Headers ─► Credential ─► UnverifiedToken ─► verify(rules, keys, now) ─► Principal ─► check(audience, now), on every use
//! ```
//!
//! JWT access tokens are read here (RFC 9068), as compact JWS with an asymmetric signature, and what an issuer answers about
//! an opaque one (RFC 7662); which of the two a token is, [`Form`] says. Absent on purpose: encrypted tokens, symmetric
//! algorithms, keys that a token brings along (`jwk`, `jku`, `x5u`, `x5c`) and extensions (`crit`). Whether the sender of a
//! token may use it is [`check_sender`]: a token bound to a key or a certificate (`cnf`) is no use without them.
//!
//! Architecture invariants: a [`Principal`] is made in `token/verify.rs` alone; no JSON of a token or a key set is read
//! by anything but [`crate::json`]; the signature library sees nothing that has not passed our own checks.

mod algorithm;
mod certificate;
mod claims;
mod confirmation;
mod credential;
mod decimal;
mod dpop;
mod error;
mod form;
mod jwk;
mod jws;
mod keys;
mod revocation;
mod rules;
mod sender;
mod verify;

#[cfg(test)]
#[path = "../tests/support/tokens.rs"]
pub(crate) mod support;

#[cfg(test)]
mod tests;

pub use algorithm::Algorithm;
pub use confirmation::CertificateThumbprint;
pub use confirmation::Confirmation;
pub use credential::Ambiguity;
pub use credential::Credential;
pub use credential::CredentialError;
pub use credential::Scheme;
pub use decimal::decimal;
pub use dpop::DpopRules;
pub use dpop::MAX_PROOF_ID;
pub use dpop::MIN_SECRET;
pub use dpop::NONCE_SECONDS;
pub use dpop::Nonces;
pub use dpop::PROOF_SECONDS;
pub use dpop::ProofError;
pub use dpop::ProofId;
pub use dpop::WeakSecret;
pub use error::AnswerError;
pub use error::TokenError;
pub use form::Form;
pub use jwk::KeyId;
pub use jwk::Unusable;
pub use jws::MAX_HEADER;
pub use jws::MAX_KEY_NAME;
pub use jws::MAX_TOKEN;
pub use keys::Key;
pub use keys::KeySet;
pub use keys::KeySetError;
pub use keys::MAX_KEY_SET;
pub use keys::MAX_KEYS;
pub use keys::Skipped;
pub use revocation::Revocations;
pub use revocation::Revoked;
pub use rules::ClaimRule;
pub use rules::ClaimType;
pub use rules::ClaimValue;
pub use rules::IssuerRules;
pub use sender::MtlsRules;
pub use sender::SenderError;
pub use sender::SenderRules;
pub use sender::Sent;
pub use sender::check_sender;
pub use verify::LEEWAY_SECONDS;
pub use verify::Principal;
pub use verify::UnverifiedToken;
pub use verify::Voucher;
pub use verify::introspected;
pub use verify::suppose;
pub use verify::verify;
