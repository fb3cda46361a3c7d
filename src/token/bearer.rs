use std::fmt;

use thiserror::Error;

use crate::context::Headers;

/// One bearer credential, in the form that RFC 6750 §2.1 gives it. Its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Bearer(String);

/// Why a request has no usable credential.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CredentialError {
    /// There is none, or none of a scheme that is understood here; an empty `Bearer` is none.
    #[error("the request has no bearer token")]
    Missing,
    /// It cannot be told which credential is meant (RFC 6750 §3.1: `invalid_request`).
    #[error("the request's credential is ambiguous: {0}")]
    Ambiguous(Ambiguity),
    /// There is a `Bearer`, but what follows is not a `b64token`.
    #[error("the bearer token has characters that no token has")]
    Malformed,
}

/// How a credential is ambiguous.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Ambiguity {
    /// The header `Authorization` was sent more than once.
    #[error("`authorization` was sent more than once")]
    Repeated,
    /// One header holds several credentials: proxies join repeated headers by commas.
    #[error("`authorization` holds several credentials")]
    List,
    /// The query has an `access_token`, which OAuth 2.1 does away with: it ends up in logs.
    #[error("the query has an `access_token`")]
    Query,
}

impl Bearer {
    /// The bearer credential of a request with these `headers` and this `path` (with its query).
    ///
    /// # Errors
    /// See [`CredentialError`]. A token in the query is an error even beside one in the header.
    pub fn from_request(headers: &Headers, path: &[u8]) -> Result<Bearer, CredentialError> {
        if query_has_token(path) {
            return Err(CredentialError::Ambiguous(Ambiguity::Query));
        }
        let value = headers
            .single("authorization")
            .map_err(|_| CredentialError::Ambiguous(Ambiguity::Repeated))?
            .ok_or(CredentialError::Missing)?;
        let mut elements = value.split(|byte| *byte == b',');
        let first = elements.next().and_then(bearer_credential);
        if elements.clone().next().is_some() && (first.is_some() || elements.any(|e| bearer_credential(e).is_some())) {
            return Err(CredentialError::Ambiguous(Ambiguity::List));
        }
        let token = first.ok_or(CredentialError::Missing)?;
        if token.iter().all(|byte| *byte == b' ') {
            return Err(CredentialError::Missing);
        }
        b64token(token).ok_or(CredentialError::Malformed).map(Bearer)
    }

    /// The token.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bearer({} bytes)", self.0.len())
    }
}

/// Names in a query are percent-decoded by whoever reads them, so they are here.
fn query_has_token(path: &[u8]) -> bool {
    let mut parts = path.splitn(2, |byte| *byte == b'?');
    parts.next();
    let query = parts.next().unwrap_or_default();
    url::form_urlencoded::parse(query).any(|(name, _)| name.eq_ignore_ascii_case("access_token"))
}

/// What follows the scheme, if that is `Bearer` in any case (RFC 9110 §11.1).
fn bearer_credential(element: &[u8]) -> Option<&[u8]> {
    let element = element.trim_ascii_start();
    let (scheme, rest) = element.split_at_checked(b"bearer".len())?;
    let ends = rest.first().is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
    (scheme.eq_ignore_ascii_case(b"bearer") && ends).then_some(rest)
}

/// `1*SP b64token` with `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="` (RFC 6750 §2.1).
fn b64token(rest: &[u8]) -> Option<String> {
    let token = std::str::from_utf8(rest).ok()?;
    let token = token.strip_prefix(' ')?.trim_start_matches(' ');
    let body = token.trim_end_matches('=');
    (!body.is_empty() && is_plain(body)).then(|| token.to_owned())
}

/// Whether all of `body` may stand in a token. Every byte is looked at whatever the others are, so that the compiler can
/// look at many at a time: a token is the longest thing that is read byte by byte on each request.
fn is_plain(body: &str) -> bool {
    let fits = |byte: u8| {
        let letter = byte.is_ascii_lowercase() | byte.is_ascii_uppercase() | byte.is_ascii_digit();
        letter | matches!(byte, b'-' | b'.' | b'/') | (byte == b'_') | (byte == b'~') | (byte == b'+')
    };
    body.bytes().fold(true, |plain, byte| plain & fits(byte))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn read(values: &[&'static [u8]], path: &str) -> Result<String, CredentialError> {
        let pairs = values.iter().map(|v| (Bytes::from_static(b"authorization"), Bytes::from_static(v))).collect();
        Bearer::from_request(&Headers::new(pairs), path.as_bytes()).map(|bearer| bearer.0)
    }

    #[test]
    fn one_bearer_credential_is_taken() {
        for value in ["Bearer a.b-c_d~e+f/g==", "bearer   a.b-c_d~e+f/g==", "BEARER a.b-c_d~e+f/g=="] {
            let pairs = vec![(Bytes::from_static(b"Authorization"), Bytes::from_static(value.as_bytes()))];
            let bearer = Bearer::from_request(&Headers::new(pairs), b"/mcp?x=access_token").unwrap();
            assert_eq!(bearer.as_str(), "a.b-c_d~e+f/g==");
        }
    }

    #[test]
    fn no_credential_is_missing() {
        assert_eq!(read(&[], "/"), Err(CredentialError::Missing));
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "bearer   ",
            "Basic YTpi",
            "DPoP abc",
            "Bearerabc",
            "Bearer-x abc",
            "Digest a=b, c=d",
        ] {
            assert_eq!(read(&[value.as_bytes()], "/"), Err(CredentialError::Missing), "{value:?}");
        }
    }

    #[test]
    fn what_is_not_a_b64token_is_malformed() {
        for value in [
            "Bearer\tabc",
            "Bearer a b",
            "Bearer a ",
            "Bearer =",
            "Bearer a=b",
            "Bearer \"a\"",
            "Bearer a\u{e9}",
            "Bearer a\n",
        ] {
            assert_eq!(read(&[value.as_bytes()], "/"), Err(CredentialError::Malformed), "{value:?}");
        }
        assert_eq!(read(&[b"Bearer a\xff"], "/"), Err(CredentialError::Malformed));
    }

    #[test]
    fn two_credentials_are_ambiguous() {
        let ambiguous = |a| Err(CredentialError::Ambiguous(a));
        assert_eq!(read(&[b"Bearer a", b"Bearer a"], "/"), ambiguous(Ambiguity::Repeated));
        assert_eq!(read(&[b"Basic a", b"Bearer a"], "/"), ambiguous(Ambiguity::Repeated));
        for value in ["Bearer a,Bearer b", "Bearer a, Basic b", "Basic a, bearer b", "Bearer a,", "Bearer ,"] {
            assert_eq!(read(&[value.as_bytes()], "/"), ambiguous(Ambiguity::List), "{value:?}");
        }
    }

    #[test]
    fn a_token_in_the_query_is_ambiguous_even_beside_a_header() {
        for path in [
            "/?access_token=a",
            "/?a=b&access_token",
            "/?%61ccess_token=a",
            "/?Access_Token=a",
            "/?a?b&access%5ftoken=c",
        ] {
            assert_eq!(read(&[b"Bearer a"], path), Err(CredentialError::Ambiguous(Ambiguity::Query)), "{path}");
            assert_eq!(read(&[], path), Err(CredentialError::Ambiguous(Ambiguity::Query)), "{path}");
        }
    }

    #[test]
    fn debug_hides_the_token() {
        assert_eq!(format!("{:?}", Bearer("secret".to_owned())), "Bearer(6 bytes)");
    }

    proptest! {
        #[test]
        fn what_is_taken_is_what_was_sent(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let header = [b"Bearer ".as_slice(), &value].concat();
            let pairs = vec![(Bytes::from_static(b"authorization"), Bytes::from(header.clone()))];
            if let Ok(bearer) = Bearer::from_request(&Headers::new(pairs), b"/") {
                prop_assert!(header.ends_with(bearer.as_str().as_bytes()));
                prop_assert!(bearer.as_str().bytes().all(|byte| byte.is_ascii_graphic() && byte != b','));
            }
        }
    }
}
