//! Keys made on the spot, and tokens signed with them over any bytes. Included by `#[path]` from the unit tests and from
//! the integration tests, so it knows nothing of the crate.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
    RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A private key, its `kid` and its algorithm.
pub(crate) struct TestKey {
    pub(crate) kid: String,
    pub(crate) alg: &'static str,
    secret: Secret,
}

enum Secret {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl TestKey {
    /// A key of 2048 bits if it is an RSA key.
    pub(crate) fn new(alg: &'static str, kid: &str) -> Self {
        Self::with_size(alg, kid, KeySize::Rsa2048)
    }

    pub(crate) fn with_size(alg: &'static str, kid: &str, size: KeySize) -> Self {
        let secret = match alg {
            "ES256" => Secret::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            "ES384" => Secret::Ec(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()),
            "EdDSA" => Secret::Ed(Ed25519KeyPair::generate().unwrap()),
            _ => Secret::Rsa(RsaKeyPair::generate(size).unwrap()),
        };
        Self { kid: kid.to_owned(), alg, secret }
    }

    /// The members of the public key, without braces: the key material first, then `kid`, `alg` and `use`.
    pub(crate) fn members(&self) -> String {
        format!(r#"{},"kid":"{}","alg":"{}","use":"sig""#, self.material(), self.kid, self.alg)
    }

    /// The required members of the public key, without braces.
    pub(crate) fn material(&self) -> String {
        match &self.secret {
            Secret::Ec(pair) => {
                let point = pair.public_key().as_ref().split_at(1).1;
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                format!(r#""kty":"EC","crv":"{curve}","x":"{}","y":"{}""#, encode(x), encode(y))
            }
            Secret::Ed(pair) => format!(r#""kty":"OKP","crv":"Ed25519","x":"{}""#, encode(pair.public_key().as_ref())),
            Secret::Rsa(pair) => {
                let n = pair.public_key().modulus().big_endian_without_leading_zero().to_vec();
                let e = pair.public_key().exponent().big_endian_without_leading_zero().to_vec();
                format!(r#""kty":"RSA","n":"{}","e":"{}""#, encode(n), encode(e))
            }
        }
    }

    /// The signature over `signed` with the key's own algorithm, not encoded.
    pub(crate) fn sign(&self, signed: &[u8]) -> Vec<u8> {
        self.sign_as(self.alg, signed)
    }

    /// The same with another algorithm that an RSA key can do; other keys have but one.
    pub(crate) fn sign_as(&self, alg: &str, signed: &[u8]) -> Vec<u8> {
        match &self.secret {
            Secret::Ec(pair) => pair.sign(&SystemRandom::new(), signed).unwrap().as_ref().to_vec(),
            Secret::Ed(pair) => pair.sign(signed).as_ref().to_vec(),
            Secret::Rsa(pair) => {
                let encoding: &'static dyn RsaEncoding = match alg {
                    "RS256" => &RSA_PKCS1_SHA256,
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    other => panic!("no RSA algorithm: {other}"),
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &SystemRandom::new(), signed, &mut signature).unwrap();
                signature
            }
        }
    }

    /// A compact JWS over these bytes, whatever they are.
    pub(crate) fn token(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = encode(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// The header of an access token signed with this key.
    pub(crate) fn header(&self) -> String {
        format!(r#"{{"alg":"{}","typ":"at+jwt","kid":"{}"}}"#, self.alg, self.kid)
    }
}

/// A JWK set of these public keys.
pub(crate) fn key_set(keys: &[&TestKey]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| format!("{{{}}}", key.members())).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

/// Base64url without padding.
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
