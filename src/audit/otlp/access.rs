//! What a collector is called with, beside records: headers that may be secret, and whose certificates it may have.

use std::fmt;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder};
use thiserror::Error;

use crate::audit::chain::hash;
use crate::audit::line::hex;

/// Headers that a request has by itself.
const OWN: [&str; 6] =
    ["connection", "content-encoding", "content-length", "content-type", "host", "transfer-encoding"];

/// How a collector is called.
#[derive(Debug, Clone, Default)]
pub struct OtlpAccess {
    /// What each request has beside its own.
    pub headers: OtlpHeaders,
    /// Who may vouch for its certificate; without it, whom the system trusts.
    pub roots: Option<OtlpRoots>,
}

/// Headers, as they were read from a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtlpHeaders {
    headers: HeaderMap,
    id: String,
}

/// Certificates that vouch for others.
#[derive(Clone)]
pub struct OtlpRoots {
    certificates: Vec<Certificate>,
    id: String,
}

/// Why a file holds no headers. Nothing of a value is in here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OtlpHeadersError {
    /// There is none.
    #[error("it holds no header")]
    Empty,
    /// A line that is no header.
    #[error("its line {0} is not `name: value`")]
    Form(usize),
    /// A header that a request has by itself.
    #[error("its line {0} is a header that every request has already")]
    Own(usize),
}

/// Why a file holds no certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OtlpRootsError {
    /// There is none.
    #[error("it holds no `BEGIN CERTIFICATE` in PEM")]
    Empty,
    /// One of them is broken.
    #[error("it holds something that is no certificate")]
    Broken,
}

impl OtlpAccess {
    pub(super) fn apply(&self, client: ClientBuilder) -> ClientBuilder {
        match &self.roots {
            Some(roots) => client.tls_certs_only(roots.certificates.iter().cloned()),
            None => client,
        }
    }

    pub(super) fn headers(&self) -> HeaderMap {
        self.headers.headers.clone()
    }
}

impl OtlpHeaders {
    /// Reads headers: one in each line, `name: value`; empty lines are none.
    ///
    /// # Errors
    /// [`OtlpHeadersError`].
    pub fn parse(text: &str) -> Result<Self, OtlpHeadersError> {
        let mut headers = HeaderMap::new();
        for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
            let form = OtlpHeadersError::Form(number);
            let (name, value) = line.split_once(':').ok_or(form.clone())?;
            let name: HeaderName = name.trim().parse().map_err(|_| form.clone())?;
            let mut value = HeaderValue::from_str(value.trim()).map_err(|_| form)?;
            if OWN.contains(&name.as_str()) {
                return Err(OtlpHeadersError::Own(number));
            }
            value.set_sensitive(true);
            headers.append(name, value);
        }
        if headers.is_empty() {
            return Err(OtlpHeadersError::Empty);
        }
        Ok(Self { headers, id: id(text) })
    }

    /// What tells these from others, in this process; empty if there are none.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl OtlpRoots {
    /// Reads certificates in PEM (RFC 7468 §5).
    ///
    /// # Errors
    /// [`OtlpRootsError`].
    pub fn parse(pem: &str) -> Result<Self, OtlpRootsError> {
        let roots = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|_| OtlpRootsError::Broken)?;
        if roots.is_empty() {
            return Err(OtlpRootsError::Empty);
        }
        // Only a client that is to trust them looks into them.
        let client = Client::builder().tls_certs_only(roots.iter().cloned()).build();
        client.map(|_| Self { certificates: roots, id: id(pem) }).map_err(|_| OtlpRootsError::Broken)
    }

    /// What tells these from others.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Debug for OtlpRoots {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "OtlpRoots({})", self.certificates.len())
    }
}

fn id(text: &str) -> String {
    hex(&hash(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_lines_of_name_and_value() {
        let headers = OtlpHeaders::parse("\nAuthorization: Bearer abc:d\r\n\nx-tenant:  blue \n").unwrap();
        let found: Vec<_> =
            headers.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(found, [("authorization", "Bearer abc:d"), ("x-tenant", "blue")]);
        assert!(!format!("{headers:?}").contains("abc"), "{headers:?}");
        for (text, expected) in [
            ("", OtlpHeadersError::Empty),
            ("\n \n", OtlpHeadersError::Empty),
            ("a: b\nBearer", OtlpHeadersError::Form(2)),
            ("a b: c", OtlpHeadersError::Form(1)),
            (": c", OtlpHeadersError::Form(1)),
            ("a: b\u{1}", OtlpHeadersError::Form(1)),
            ("\nContent-Type: text/plain", OtlpHeadersError::Own(2)),
        ] {
            assert_eq!(OtlpHeaders::parse(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let pem = |text: &str| format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
        for (text, expected) in [
            ("", OtlpRootsError::Empty),
            ("certificate", OtlpRootsError::Empty),
            (&pem("YWJj"), OtlpRootsError::Broken),
            (&pem("!"), OtlpRootsError::Broken),
        ] {
            assert_eq!(OtlpRoots::parse(text).map(|_| ()), Err(expected), "{text}");
        }
    }
}
