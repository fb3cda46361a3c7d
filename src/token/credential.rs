use std::fmt;

use thiserror::Error;

use crate::context::Headers;

/// An access token as it was sent, in the form that RFC 6750 §2.1 and RFC 9449 §7.1 give it. Its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    scheme: Scheme,
    token: String,
}

/// The authentication scheme that a token was sent by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Whoever has the token may use it (RFC 6750), unless the token itself says otherwise.
    Bearer,
    /// A proof of a key goes with it (RFC 9449 §7.1).
    Dpop,
}

/// Why a request has no usable credential.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CredentialError {
    /// There is none, or none of a scheme that is understood here; an empty `Bearer` is none.
    #[error("the request has no access token")]
    Missing,
    /// It cannot be told which credential is meant (RFC 6750 §3.1: `invalid_request`).
    #[error("the request's credential is ambiguous: {0}")]
    Ambiguous(Ambiguity),
    /// There is a scheme, but what follows is not a `b64token`.
    #[error("the access token has characters that no token has")]
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

impl Credential {
    /// The credential of a request with these `headers` and this `path` (with its query).
    ///
    /// # Errors
    /// See [`CredentialError`]. A token in the query is an error even beside one in the header.
    pub fn from_request(headers: &Headers, path: &[u8]) -> Result<Credential, CredentialError> {
        if query_has_token(path) {
            return Err(CredentialError::Ambiguous(Ambiguity::Query));
        }
        let value = headers
            .single("authorization")
            .map_err(|_| CredentialError::Ambiguous(Ambiguity::Repeated))?
            .ok_or(CredentialError::Missing)?;
        let mut elements = value.split(|byte| *byte == b',');
        let first = elements.next().and_then(known_scheme);
        if elements.clone().next().is_some() && (first.is_some() || elements.any(|e| known_scheme(e).is_some())) {
            return Err(CredentialError::Ambiguous(Ambiguity::List));
        }
        let (scheme, token) = first.ok_or(CredentialError::Missing)?;
        if token.iter().all(|byte| *byte == b' ') {
            return Err(CredentialError::Missing);
        }
        let token = b64token(token).ok_or(CredentialError::Malformed)?;
        Ok(Credential { scheme, token })
    }

    /// The token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// How it was sent.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }
}

impl Scheme {
    const ALL: [Self; 2] = [Self::Bearer, Self::Dpop];

    /// Its name in `Authorization` and `WWW-Authenticate`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Dpop => "DPoP",
        }
    }

    /// The scheme by which `headers` send a token, whatever the token is worth: what a challenge answers to.
    pub fn of(headers: &Headers) -> Option<Self> {
        let value = headers.single("authorization").ok().flatten()?;
        known_scheme(value).map(|(scheme, _)| scheme)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({} bytes)", self.scheme.as_str(), self.token.len())
    }
}

/// Names in a query are percent-decoded by whoever reads them, so they are here.
fn query_has_token(path: &[u8]) -> bool {
    let mut parts = path.splitn(2, |byte| *byte == b'?');
    parts.next();
    let query = parts.next().unwrap_or_default();
    url::form_urlencoded::parse(query).any(|(name, _)| name.eq_ignore_ascii_case("access_token"))
}

/// The scheme, in any case (RFC 9110 §11.1), and what follows it.
fn known_scheme(element: &[u8]) -> Option<(Scheme, &[u8])> {
    let element = element.trim_ascii_start();
    Scheme::ALL.into_iter().find_map(|scheme| {
        let (name, rest) = element.split_at_checked(scheme.as_str().len())?;
        let ends = rest.first().is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
        (name.eq_ignore_ascii_case(scheme.as_str().as_bytes()) && ends).then_some((scheme, rest))
    })
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
        Credential::from_request(&Headers::new(pairs), path.as_bytes()).map(|credential| credential.token)
    }

    #[test]
    fn one_credential_is_taken() {
        for (value, scheme) in [
            ("Bearer a.b-c_d~e+f/g==", Scheme::Bearer),
            ("bearer   a.b-c_d~e+f/g==", Scheme::Bearer),
            ("BEARER a.b-c_d~e+f/g==", Scheme::Bearer),
            ("DPoP a.b-c_d~e+f/g==", Scheme::Dpop),
            ("dpop  a.b-c_d~e+f/g==", Scheme::Dpop),
        ] {
            let pairs = vec![(Bytes::from_static(b"Authorization"), Bytes::from_static(value.as_bytes()))];
            let headers = Headers::new(pairs);
            let credential = Credential::from_request(&headers, b"/mcp?x=access_token").unwrap();
            assert_eq!((credential.token(), credential.scheme()), ("a.b-c_d~e+f/g==", scheme));
            assert_eq!(Scheme::of(&headers), Some(scheme));
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
            "DPoP",
            "DPoPx abc",
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
            "DPoP a b",
            "DPoP\tabc",
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
        for value in
            ["Bearer a,Bearer b", "Bearer a, Basic b", "Basic a, bearer b", "Bearer a,", "Bearer ,", "DPoP a, Bearer a"]
        {
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
        assert_eq!(format!("{:?}", Credential { scheme: Scheme::Dpop, token: "secret".to_owned() }), "DPoP(6 bytes)");
    }

    proptest! {
        #[test]
        fn what_is_taken_is_what_was_sent(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let header = [b"Bearer ".as_slice(), &value].concat();
            let pairs = vec![(Bytes::from_static(b"authorization"), Bytes::from(header.clone()))];
            if let Ok(credential) = Credential::from_request(&Headers::new(pairs), b"/") {
                prop_assert!(header.ends_with(credential.token().as_bytes()));
                prop_assert!(credential.token().bytes().all(|byte| byte.is_ascii_graphic() && byte != b','));
            }
        }
    }
}
