use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaParameters, VerificationAlgorithm,
};

/// A signature algorithm of RFC 7518 §3.1 or RFC 8037 §3.1. Asymmetric only: with a symmetric one whoever can verify a
/// token can also make one, and `none` is not a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// Ed25519; Ed448, which shares the name, is not supported.
    EdDSA,
}

/// What the signature library calls an algorithm: keys of the two kinds are given to it in different forms.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verification {
    /// For a modulus and an exponent.
    Rsa(&'static RsaParameters),
    /// For a point on a curve.
    Point(&'static dyn VerificationAlgorithm),
}

impl Algorithm {
    /// Every algorithm, in the order in which they are documented.
    pub const ALL: [Self; 9] = [
        Self::ES256,
        Self::ES384,
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::EdDSA,
    ];

    /// The algorithms that an RSA key can serve.
    pub(super) const RSA: [Self; 6] = [Self::RS256, Self::RS384, Self::RS512, Self::PS256, Self::PS384, Self::PS512];

    /// The value of `alg`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::EdDSA => "EdDSA",
        }
    }

    /// The algorithm called `name`, which is compared exactly (RFC 7515 §4.1.1).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// How the signature library verifies it. RSA keys have 2048 to 8192 bits; ECDSA signatures are the two numbers one
    /// behind the other (RFC 7518 §3.4), not DER.
    pub(super) fn verification(self) -> Verification {
        match self {
            Self::ES256 => Verification::Point(&ECDSA_P256_SHA256_FIXED),
            Self::ES384 => Verification::Point(&ECDSA_P384_SHA384_FIXED),
            Self::RS256 => Verification::Rsa(&RSA_PKCS1_2048_8192_SHA256),
            Self::RS384 => Verification::Rsa(&RSA_PKCS1_2048_8192_SHA384),
            Self::RS512 => Verification::Rsa(&RSA_PKCS1_2048_8192_SHA512),
            Self::PS256 => Verification::Rsa(&RSA_PSS_2048_8192_SHA256),
            Self::PS384 => Verification::Rsa(&RSA_PSS_2048_8192_SHA384),
            Self::PS512 => Verification::Rsa(&RSA_PSS_2048_8192_SHA512),
            Self::EdDSA => Verification::Point(&ED25519),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_parsed_back() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::parse(algorithm.as_str()), Some(algorithm));
        }
    }

    #[test]
    fn no_other_name_is_an_algorithm() {
        for name in
            ["", "none", "None", "nOnE", "HS256", "HS384", "HS512", "es256", "ES256 ", "ES256K", "ES512", "RSA1_5"]
        {
            assert_eq!(Algorithm::parse(name), None, "{name:?}");
        }
    }
}
