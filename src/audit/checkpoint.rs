//! Signatures in the chain: whoever can write the file can make a whole new chain, but not sign it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::audit::chain::{hash, hex_of};

/// Bytes of the hash of a public key that name it.
const ID_BYTES: usize = 8;

/// The DER of every Ed25519 public key up to the key (RFC 8410 §4).
const PUBLIC_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// When checkpoints are written, with what they are signed, and where else they go.
#[derive(Debug, Clone)]
pub struct CheckpointSettings {
    /// The key.
    pub signer: Arc<Signer>,
    /// After so many records.
    pub records: u64,
    /// After so long, if there was a record.
    pub interval: Duration,
    /// A second file for the checkpoints of the first sink.
    pub copy: Option<PathBuf>,
}

/// The private key of checkpoints.
pub struct Signer {
    pair: Ed25519KeyPair,
    id: String,
}

/// The public key of checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    bytes: Vec<u8>,
    id: String,
}

/// Why a text is no key for checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CheckpointKeyError {
    /// Not PEM of the kind that is wanted.
    #[error("it is not a PEM file with one `{0}`")]
    Form(&'static str),
    /// PEM, but of another algorithm, or broken.
    #[error("it is not an Ed25519 key")]
    Key,
}

impl CheckpointSettings {
    /// The same for another sink: the second place is for one chain.
    pub(super) fn without_copy(self) -> Self {
        Self { copy: None, ..self }
    }
}

impl Signer {
    /// Reads a private key: PKCS #8 in PEM (RFC 5958, RFC 7468), as `openssl genpkey -algorithm ed25519` makes it.
    ///
    /// # Errors
    /// [`CheckpointKeyError`].
    pub fn parse(pem: &str) -> Result<Self, CheckpointKeyError> {
        let der = der(pem, "PRIVATE KEY")?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| CheckpointKeyError::Key)?;
        let id = id(pair.public_key().as_ref());
        Ok(Self { pair, id })
    }

    /// The name of its public key.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        // An error of the library leaves the checkpoint unsigned, and `verify` says so.
        self.pair.try_sign(message).map(|signature| signature.as_ref().to_vec()).ok()
    }
}

/// Nothing of the key.
impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Signer").field("id", &self.id).finish_non_exhaustive()
    }
}

impl PublicKey {
    /// Reads a public key in PEM, as `openssl pkey -pubout` makes it.
    ///
    /// # Errors
    /// [`CheckpointKeyError`].
    pub fn parse(pem: &str) -> Result<Self, CheckpointKeyError> {
        let der = der(pem, "PUBLIC KEY")?;
        let bytes = der.strip_prefix(&PUBLIC_PREFIX).filter(|key| key.len() == 32).ok_or(CheckpointKeyError::Key)?;
        Ok(Self { bytes: bytes.to_vec(), id: id(bytes) })
    }

    /// Its name in checkpoints.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.bytes).verify(message, signature).is_ok()
    }
}

fn id(public: &[u8]) -> String {
    let hash = hex_of(&hash(public));
    String::from_utf8_lossy(hash.get(..2 * ID_BYTES).unwrap_or_default()).into_owned()
}

fn der(pem: &str, label: &'static str) -> Result<Vec<u8>, CheckpointKeyError> {
    let form = CheckpointKeyError::Form(label);
    let (_, rest) = pem.split_once(&format!("-----BEGIN {label}-----")).ok_or(form)?;
    let (text, _) = rest.split_once(&format!("-----END {label}-----")).ok_or(form)?;
    let text: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(text).map_err(|_| form)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A key pair made on the spot, both halves in PEM.
    pub(crate) fn pair() -> (String, String) {
        let private = Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(private.as_ref()).unwrap();
        let public = [PUBLIC_PREFIX.as_slice(), pair.public_key().as_ref()].concat();
        let pem = |label: &str, der: &[u8]| {
            format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
        };
        (pem("PRIVATE KEY", private.as_ref()), pem("PUBLIC KEY", &public))
    }

    #[test]
    fn what_one_half_signs_the_other_verifies() {
        let (private, public) = pair();
        let (signer, key) = (Signer::parse(&private).unwrap(), PublicKey::parse(&public).unwrap());
        assert_eq!(signer.id(), key.id());
        let signature = signer.sign(b"a").unwrap();
        assert!(key.verifies(b"a", &signature) && !key.verifies(b"b", &signature));
        assert!(!PublicKey::parse(&pair().1).unwrap().verifies(b"a", &signature));
    }

    #[test]
    fn the_wrong_half_and_no_key_are_refused() {
        let (private, public) = pair();
        for text in [public.as_str(), "", "-----BEGIN PRIVATE KEY-----\n?\n-----END PRIVATE KEY-----"] {
            assert_eq!(Signer::parse(text).map(|_| ()), Err(CheckpointKeyError::Form("PRIVATE KEY")), "{text}");
        }
        assert_eq!(PublicKey::parse(&private), Err(CheckpointKeyError::Form("PUBLIC KEY")));
        let other = "-----BEGIN PRIVATE KEY-----\nYWJj\n-----END PRIVATE KEY-----";
        assert_eq!(Signer::parse(other).map(|_| ()), Err(CheckpointKeyError::Key));
        let other = "-----BEGIN PUBLIC KEY-----\nYWJj\n-----END PUBLIC KEY-----";
        assert_eq!(PublicKey::parse(other), Err(CheckpointKeyError::Key));
    }
}
