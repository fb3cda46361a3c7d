//! `dpop` and `mtls` of a server: tokens that are bound to their sender.

use std::path::PathBuf;

use super::Spanned;
use super::issuer::algorithms;
use super::path;
use super::reader::Field;
use super::reader::Section;
use crate::token::Algorithm;
use crate::token::MtlsRules;

/// How a server takes tokens that are bound to a key (RFC 9449).
#[derive(Debug)]
pub struct DpopConfig {
    /// Whether a token that is not bound to a key is refused. Default: no.
    pub required: bool,
    /// The algorithms that proofs may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// The file with the secret of the nonces; without one, proofs need none.
    pub nonce_secret_file: Option<Spanned<PathBuf>>,
}

pub(super) fn dpop(section: &mut Section<'_, '_>) -> Option<DpopConfig> {
    let required = section.optional("required", Field::flag).unwrap_or(false);
    let algorithms = section.optional("algorithms", algorithms);
    let nonce_secret_file = section.optional("nonce_secret_file", path);
    let algorithms = algorithms.unwrap_or_else(|| DEFAULT_ALGORITHMS.to_vec());
    Some(DpopConfig { required, algorithms, nonce_secret_file })
}

pub(super) fn mtls(section: &mut Section<'_, '_>) -> Option<MtlsRules> {
    let required = section.optional("required", Field::flag).unwrap_or(false);
    Some(MtlsRules { required })
}

/// ES256 is what DPoP clients make by default; RS256 and EdDSA are what the others do.
const DEFAULT_ALGORITHMS: [Algorithm; 3] = [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA];
