use std::fmt;

use url::Url;

use super::address;
use super::http::{Answer, Bounds, FetchError, Http};
use super::refresh::{Fetch, Fetched};
use crate::json::{Document, Limits};
use crate::token::KeySet;

/// Where an issuer publishes its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// At this address.
    Url(Url),
    /// At the `jwks_uri` of its metadata (RFC 8414, OpenID Connect Discovery), asked for anew each time.
    Discovery,
}

/// Metadata is an object of texts and lists of texts.
const METADATA_LIMITS: Limits = Limits { depth: 16, nodes: 10_000 };

/// A remote key source.
#[derive(Debug)]
pub(super) struct Remote {
    http: Http,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Keys(Url),
    Metadata { issuer: String, candidates: Vec<Url> },
}

impl Remote {
    pub(super) fn new(source: KeySource, issuer: &str, loopback: bool, bounds: Bounds) -> Result<Self, FetchError> {
        let place = match source {
            KeySource::Url(url) => {
                address::check(&url, loopback)?;
                Place::Keys(url)
            }
            KeySource::Discovery => {
                let url = Url::parse(issuer).map_err(|_| FetchError::Url)?;
                address::check(&url, loopback)?;
                Place::Metadata { issuer: issuer.to_owned(), candidates: candidates(&url)? }
            }
        };
        Ok(Self { http: Http::new(loopback, bounds)?, place })
    }

    /// The `jwks_uri` that the first good document of the issuer names. Without one, the error is that of a document that
    /// was there, since a place without one is no surprise; else the last.
    async fn discover(&self, issuer: &str, candidates: &[Url]) -> Result<Url, FetchError> {
        let mut failure = FetchError::Metadata;
        for (index, url) in candidates.iter().enumerate() {
            match self.metadata(issuer, url).await {
                Ok(url) => return Ok(url),
                Err(FetchError::Status(_)) if index > 0 && !matches!(failure, FetchError::Status(_)) => {}
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn metadata(&self, issuer: &str, url: &Url) -> Result<Url, FetchError> {
        let Answer { body, .. } = self.http.get(url).await?;
        let document = Document::parse(&body, METADATA_LIMITS).map_err(|_| FetchError::Metadata)?;
        let text = |name| document.root().get(name).and_then(|value| value.as_str()).ok_or(FetchError::Metadata);
        if text("issuer")? != issuer {
            return Err(FetchError::Issuer);
        }
        Url::parse(&text("jwks_uri")?).map_err(|_| FetchError::Metadata)
    }

    async fn keys(&self, url: &Url) -> Result<Fetched, FetchError> {
        let Answer { body, max_age } = self.http.get(url).await?;
        Ok(Fetched { keys: KeySet::parse(&body).map_err(FetchError::Keys)?, max_age })
    }
}

impl Fetch for Remote {
    async fn fetch(&self) -> Result<Fetched, FetchError> {
        match &self.place {
            Place::Keys(url) => self.keys(url).await,
            Place::Metadata { issuer, candidates } => self.keys(&self.discover(issuer, candidates).await?).await,
        }
    }
}

/// The address, or the issuer's identifier where that is what is asked.
impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Keys(url) => url.fmt(f),
            Place::Metadata { issuer, .. } => f.write_str(issuer),
        }
    }
}

/// Where the metadata may be, in the order that MCP gives to clients: the well-known path of RFC 8414 put between host and
/// path (§3.1), that of OpenID Connect put there too, and that appended to the path (OpenID Connect Discovery §4.1). For an
/// issuer without a path the last two are one. An issuer has neither query nor fragment (RFC 8414 §2).
fn candidates(issuer: &Url) -> Result<Vec<Url>, FetchError> {
    if issuer.query().is_some() || issuer.fragment().is_some() {
        return Err(FetchError::Url);
    }
    let path = issuer.path().trim_end_matches('/');
    let mut candidates: Vec<Url> = [
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("/.well-known/openid-configuration{path}"),
        format!("{path}/.well-known/openid-configuration"),
    ]
    .iter()
    .map(|path| {
        let mut url = issuer.clone();
        url.set_path(path);
        url
    })
    .collect();
    candidates.dedup();
    Ok(candidates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_sought_where_the_specifications_say() {
        for (issuer, expected) in [
            (
                "https://id.example.com",
                vec![
                    "https://id.example.com/.well-known/oauth-authorization-server",
                    "https://id.example.com/.well-known/openid-configuration",
                ],
            ),
            (
                "https://id.example.com/realms/one/",
                vec![
                    "https://id.example.com/.well-known/oauth-authorization-server/realms/one",
                    "https://id.example.com/.well-known/openid-configuration/realms/one",
                    "https://id.example.com/realms/one/.well-known/openid-configuration",
                ],
            ),
        ] {
            let urls = candidates(&Url::parse(issuer).unwrap()).unwrap();
            assert_eq!(urls.iter().map(Url::as_str).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn an_issuer_with_query_or_fragment_has_no_metadata() {
        for issuer in ["https://id.example.com/?a=b", "https://id.example.com/#a", "https://id.example.com?"] {
            let made = Remote::new(KeySource::Discovery, issuer, false, Bounds::DEFAULT);
            assert_eq!(made.map(|_| ()).unwrap_err(), FetchError::Url, "{issuer}");
        }
    }
}
