use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::confirmation::CertificateThumbprint;

/// The longest certificate that is read, in bytes as the proxy hands it over. Client certificates stay under 8 KiB.
pub(super) const MAX_CERTIFICATE: usize = 64 * 1024;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The SHA-256 digest of the certificate that Envoy hands over: PEM (RFC 7468), percent-encoded. Of a chain it is the first
/// that counts, which is the client's own.
pub(super) fn thumbprint(encoded: &[u8]) -> Option<CertificateThumbprint> {
    if encoded.len() > MAX_CERTIFICATE {
        return None;
    }
    let pem: Vec<u8> = percent_decoded(encoded)?;
    let (_, rest) = std::str::from_utf8(&pem).ok()?.split_once(BEGIN)?;
    let (body, _) = rest.split_once(END)?;
    let base64: String = body.chars().filter(|character| !character.is_ascii_whitespace()).collect();
    let der = STANDARD.decode(base64).ok().filter(|der| !der.is_empty())?;
    digest::digest(&digest::SHA256, &der).as_ref().try_into().ok()
}

/// RFC 3986 §2.1; `None` if a percent sign is not followed by two hex digits.
fn percent_decoded(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded.iter();
    while let Some(byte) = rest.next() {
        decoded.push(if *byte == b'%' {
            let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            let (high, low) = (rest.next().and_then(digit)?, rest.next().and_then(digit)?);
            high * 16 + low
        } else {
            *byte
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_is_of_the_first_certificate() {
        let expected: CertificateThumbprint =
            digest::digest(&digest::SHA256, b"any bytes will do, of which base64 is a line of over 64 characters")
                .as_ref()
                .try_into()
                .unwrap();
        let body = STANDARD.encode("any bytes will do, of which base64 is a line of over 64 characters");
        let (first, second) = body.split_at(64);
        let own = format!("{BEGIN}\n{first}\n{second}\n{END}\n");
        let other = format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode("of its issuer"));
        let encoded = |pem: &str| {
            pem.replace('%', "%25").replace('\n', "%0A").replace(' ', "%20").replace('+', "%2B").replace('/', "%2F")
        };
        for text in [encoded(&own), own.clone(), encoded(&(own.clone() + &other)), own.replace('\n', "%0d%0A")] {
            assert_eq!(thumbprint(text.as_bytes()), Some(expected), "{text}");
        }
        assert_ne!(thumbprint(encoded(&(other + &own)).as_bytes()), Some(expected));
    }

    #[test]
    fn what_is_no_certificate_has_no_thumbprint() {
        let long = |padding: usize| {
            let pem = format!("{BEGIN}\nYQ==\n{END}");
            thumbprint((pem.clone() + &" ".repeat(MAX_CERTIFICATE - pem.len() + padding)).as_bytes()).is_some()
        };
        assert!(long(0) && !long(1));
        for text in [
            "",
            "YQ==",
            "-----BEGIN CERTIFICATE-----",
            "-----BEGIN CERTIFICATE----------END CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----%0AYQ%0A-----END CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----%0AYQ==%0",
            "-----BEGIN%2",
            "-----BEGIN CERTIFICATE-----%zzYQ==-----END CERTIFICATE-----",
            "-----END CERTIFICATE-----YQ==-----BEGIN CERTIFICATE-----",
            "-----BEGIN PUBLIC KEY-----YQ==-----END PUBLIC KEY-----",
        ] {
            assert_eq!(thumbprint(text.as_bytes()), None, "{text}");
        }
        assert_eq!(thumbprint(b"-----BEGIN CERTIFICATE-----%ffYQ==-----END CERTIFICATE-----"), None);
    }
}
