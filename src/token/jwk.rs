use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ParsedPublicKey, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;

use super::algorithm::{Algorithm, Verification};
use super::jws::MAX_KEY_NAME;
use super::keys::{Key, Verifier};
use crate::json::Value;

/// The identity of a public key: its RFC 7638 thumbprint with SHA-256, the same whatever the key is called.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; 32]);

/// Why a key of a set cannot verify tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unusable {
    /// `kty` and `crv` name no kind of key that is supported.
    #[error("its kind is not supported")]
    Kind,
    /// `alg` is not an algorithm that this kind of key can have here.
    #[error("its `alg` is not supported or does not fit the key")]
    Algorithm,
    /// `use` or `key_ops` keep it from verifying signatures (RFC 7517 §4.2, §4.3).
    #[error("it is not for verifying signatures")]
    Use,
    /// `kid` is not a string of 1 to 256 bytes.
    #[error("its `kid` is malformed")]
    Name,
    /// A member is absent, or is not canonical base64url of the right length, or the point is not on its curve.
    #[error("its key material is malformed")]
    Material,
    /// The RSA modulus is shorter than 2048 or longer than 8192 bits.
    #[error("its modulus is not of 2048 to 8192 bits")]
    Size,
    /// The RSA public exponent is even, 1, or over 32 bits.
    #[error("its public exponent is refused")]
    Exponent,
    /// The RSA modulus has the mark of a generator whose keys can be factored (ROCA, CVE-2017-15361).
    #[error("its modulus was made by a generator that is known to be weak")]
    Roca,
}

/// RFC 7518 §3.3 asks for at least this.
const MIN_MODULUS_BITS: usize = 2048;

/// The signature library takes no more.
const MAX_MODULUS_BITS: usize = 8192;

/// Exponents in use are 3 and 65537; the signature library takes none over 33 bits.
const MAX_EXPONENT_BYTES: usize = 4;

/// Reads one public key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
///
/// One key has one algorithm: `alg` where given, else the curve's. An RSA key without `alg` has all six RSA algorithms,
/// of which the issuer's own list then chooses.
pub(super) fn read(jwk: Value<'_>) -> Result<Key, Unusable> {
    let name = match jwk.get("kid") {
        None => None,
        Some(value) => Some(text(value, Unusable::Name)?),
    };
    if name.as_ref().is_some_and(|name| name.is_empty() || name.len() > MAX_KEY_NAME) {
        return Err(Unusable::Name);
    }
    check_use(jwk)?;
    let kind = text(jwk.get("kty").ok_or(Unusable::Kind)?, Unusable::Kind)?;
    let curve = jwk.get("crv").map(|value| text(value, Unusable::Kind)).transpose()?;
    let Public { possible, id, material } = match (kind.as_str(), curve.as_deref()) {
        ("RSA", None) => rsa(jwk)?,
        ("EC", Some("P-256")) => elliptic(jwk, "P-256", 32, &[Algorithm::ES256])?,
        ("EC", Some("P-384")) => elliptic(jwk, "P-384", 48, &[Algorithm::ES384])?,
        ("OKP", Some("Ed25519")) => edwards(jwk)?,
        _ => return Err(Unusable::Kind),
    };
    let algorithms = match jwk.get("alg") {
        None => possible.to_vec(),
        Some(value) => {
            let named = Algorithm::parse(&text(value, Unusable::Algorithm)?).ok_or(Unusable::Algorithm)?;
            if !possible.contains(&named) {
                return Err(Unusable::Algorithm);
            }
            vec![named]
        }
    };
    let verifiers: Result<_, _> = algorithms.into_iter().map(|algorithm| verifier(&material, algorithm)).collect();
    Ok(Key::new(name, id, verifiers?))
}

impl KeyId {
    /// `canonical` is the JSON of the required members in the order of their names (RFC 7638 §3).
    fn of(canonical: &str) -> Self {
        let mut id = [0; 32];
        // SHA-256 makes 32 bytes, so that nothing is left out.
        id.iter_mut()
            .zip(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref())
            .for_each(|(to, from)| *to = *from);
        Self(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

fn text(value: Value<'_>, error: Unusable) -> Result<String, Unusable> {
    Ok(value.as_str().ok_or(error)?.into_owned())
}

fn check_use(jwk: Value<'_>) -> Result<(), Unusable> {
    let for_signatures = jwk.get("use").is_none_or(|value| value.as_str().as_deref() == Some("sig"));
    let may_verify =
        jwk.get("key_ops").is_none_or(|value| value.items().any(|op| op.as_str().as_deref() == Some("verify")));
    if for_signatures && may_verify { Ok(()) } else { Err(Unusable::Use) }
}

/// A public key whose members are sound, and the algorithms that its kind can have.
struct Public {
    possible: &'static [Algorithm],
    id: KeyId,
    material: Material,
}

/// A public key as the signature library takes it.
enum Material {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    /// The uncompressed point (SEC 1 §2.3.3), or the bytes of RFC 8032 §5.1.2.
    Point(Vec<u8>),
}

/// The key made ready for `algorithm`, once and for all its tokens. A point off its curve is found here.
fn verifier(material: &Material, algorithm: Algorithm) -> Result<Verifier, Unusable> {
    let key = match (material, algorithm.verification()) {
        (Material::Rsa(components), Verification::Rsa(parameters)) => components.to_parsed_public_key(parameters),
        (Material::Point(point), Verification::Point(curve)) => ParsedPublicKey::new(curve, point),
        (Material::Rsa(_), Verification::Point(_)) | (Material::Point(_), Verification::Rsa(_)) => {
            return Err(Unusable::Algorithm);
        }
    };
    Ok(Verifier { algorithm, key: key.map_err(|_| Unusable::Material)? })
}

fn rsa(jwk: Value<'_>) -> Result<Public, Unusable> {
    let modulus = unsigned(jwk, "n")?;
    let exponent = unsigned(jwk, "e")?;
    if !(MIN_MODULUS_BITS..=MAX_MODULUS_BITS).contains(&bits(&modulus)) {
        return Err(Unusable::Size);
    }
    if is_even(&exponent) || exponent == [1] || exponent.len() > MAX_EXPONENT_BYTES {
        return Err(Unusable::Exponent);
    }
    if is_even(&modulus) {
        return Err(Unusable::Material);
    }
    if has_roca_mark(&modulus) {
        return Err(Unusable::Roca);
    }
    let (n, e) = (URL_SAFE_NO_PAD.encode(&modulus), URL_SAFE_NO_PAD.encode(&exponent));
    let id = KeyId::of(&format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#));
    let material = Material::Rsa(RsaPublicKeyComponents { n: modulus, e: exponent });
    Ok(Public { possible: &Algorithm::RSA, id, material })
}

fn elliptic(jwk: Value<'_>, curve: &str, size: usize, possible: &'static [Algorithm]) -> Result<Public, Unusable> {
    let (x, y) = (exactly(jwk, "x", size)?, exactly(jwk, "y", size)?);
    let point = [[4].as_slice(), &x, &y].concat();
    let (x, y) = (URL_SAFE_NO_PAD.encode(&x), URL_SAFE_NO_PAD.encode(&y));
    let id = KeyId::of(&format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#));
    Ok(Public { possible, id, material: Material::Point(point) })
}

fn edwards(jwk: Value<'_>) -> Result<Public, Unusable> {
    let x = exactly(jwk, "x", 32)?;
    let id = KeyId::of(&format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(&x)));
    Ok(Public { possible: &[Algorithm::EdDSA], id, material: Material::Point(x) })
}

fn bytes(jwk: Value<'_>, member: &str) -> Result<Vec<u8>, Unusable> {
    let encoded = jwk.get(member).and_then(Value::as_str).ok_or(Unusable::Material)?;
    URL_SAFE_NO_PAD.decode(encoded.as_bytes()).map_err(|_| Unusable::Material)
}

fn exactly(jwk: Value<'_>, member: &str, size: usize) -> Result<Vec<u8>, Unusable> {
    let bytes = bytes(jwk, member)?;
    if bytes.len() == size { Ok(bytes) } else { Err(Unusable::Material) }
}

/// A positive big-endian number. Some issuers put a zero byte in front (RFC 7518 §6.3.1.1 names the mistake): it is taken
/// away, for it changes neither the number nor, then, the thumbprint.
fn unsigned(jwk: Value<'_>, member: &str) -> Result<Vec<u8>, Unusable> {
    let number: Vec<u8> = bytes(jwk, member)?.into_iter().skip_while(|byte| *byte == 0).collect();
    if number.is_empty() { Err(Unusable::Material) } else { Ok(number) }
}

fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

fn is_even(number: &[u8]) -> bool {
    number.last().is_none_or(|last| last % 2 == 0)
}

/// Primes of the flawed generator are k·M + (65537^a mod M), M being the product of the first primes, so that a modulus is
/// a power of 65537 modulo each of them. A sound modulus passes all of these 17 with a chance of about 2^-28.
const ROCA_PRIMES: [u64; 17] = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];

fn has_roca_mark(modulus: &[u8]) -> bool {
    ROCA_PRIMES.iter().all(|prime| {
        let residue = modulus.iter().fold(0, |rest, byte| (rest * 256 + u64::from(*byte)) % prime);
        let mut power = 1;
        (0..*prime).any(|_| {
            power = power * 65537 % prime;
            power == residue
        })
    })
}
