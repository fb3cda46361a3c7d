use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::http::FetchError;

/// Resolves names and leaves out the addresses that must not be called. It is asked at each connection, so that a name
/// cannot be pointed elsewhere after it has been looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolver {
    pub(super) loopback: bool,
}

/// A name has only addresses that must not be called.
#[derive(Debug)]
pub(super) struct AddressRefused;

/// Whether `url` may be called: `https` to any host, or `http` to this machine where `loopback` says so; no credentials,
/// and no literal address that is [`refused`].
pub(super) fn check(url: &Url, loopback: bool) -> Result<(), FetchError> {
    let literal = match url.host() {
        Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
        Some(Host::Domain(_)) => None,
        None => return Err(FetchError::Url),
    };
    let local = literal.map_or(url.host_str() == Some("localhost"), |ip| ip.to_canonical().is_loopback());
    let scheme = url.scheme() == "https" || (url.scheme() == "http" && loopback && local);
    if !scheme || !url.username().is_empty() || url.password().is_some() {
        return Err(FetchError::Url);
    }
    if literal.is_some_and(|ip| refused(ip, loopback)) { Err(FetchError::Address) } else { Ok(()) }
}

/// Addresses that are never an issuer's: this host, link-local ones (where clouds serve their machines' credentials),
/// multicast, broadcast; and loopback ones unless they are allowed. Private ranges are not refused: issuers within a
/// company are common, and the address comes from the operator's own configuration.
fn refused(ip: IpAddr, loopback: bool) -> bool {
    match embedded(ip) {
        IpAddr::V4(ip) => {
            let this_host = ip.octets().starts_with(&[0]);
            this_host || ip.is_link_local() || ip.is_multicast() || ip.is_broadcast() || (ip.is_loopback() && !loopback)
        }
        IpAddr::V6(ip) => {
            ip.is_unspecified() || ip.is_unicast_link_local() || ip.is_multicast() || (ip.is_loopback() && !loopback)
        }
    }
}

/// The IPv4 address within an IPv6 one: mapped (RFC 4291 §2.5.5.2) or translated (RFC 6052 §2.1).
fn embedded(ip: IpAddr) -> IpAddr {
    const TRANSLATED: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];
    let ip = ip.to_canonical();
    if let IpAddr::V6(v6) = ip
        && v6.segments().starts_with(&TRANSLATED)
    {
        let [.., a, b, c, d] = v6.octets();
        return IpAddr::V4(Ipv4Addr::new(a, b, c, d));
    }
    ip
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let loopback = self.loopback;
        Box::pin(async move {
            // The port is set by the caller.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| !refused(address.ip(), loopback)).collect();
            if allowed.is_empty() {
                return Err(AddressRefused.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

impl fmt::Display for AddressRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name has no address that may be called")
    }
}

impl Error for AddressRefused {}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn verdict(url: &str, strict: Result<(), FetchError>, with_loopback: Result<(), FetchError>) {
        let url = Url::parse(url).unwrap();
        assert_eq!((check(&url, false), check(&url, true)), (strict, with_loopback), "{url}");
    }

    #[test]
    fn https_is_called_wherever_an_issuer_may_be() {
        for url in
            ["https://id.example.com/keys", "https://id.example.com:8443/", "https://10.0.0.1/", "https://[fd00::1]/"]
        {
            verdict(url, Ok(()), Ok(()));
        }
    }

    #[test]
    fn loopback_is_called_only_where_allowed() {
        for url in ["https://127.0.0.1/", "https://127.1.2.3/", "https://[::1]/", "https://[::ffff:127.0.0.1]/"] {
            verdict(url, Err(FetchError::Address), Ok(()));
        }
        for url in ["http://127.0.0.1:8080/", "http://[::1]/", "http://localhost/", "http://0x7f.1/"] {
            verdict(url, Err(FetchError::Url), Ok(()));
        }
    }

    #[test]
    fn other_schemes_and_credentials_are_refused() {
        for url in [
            "http://id.example.com/",
            "http://10.0.0.1/",
            "http://localhost.example.com/",
            "file:///etc/passwd",
            "ftp://id.example.com/",
            "https://user@id.example.com/",
            "https://:secret@id.example.com/",
            "data:,x",
        ] {
            verdict(url, Err(FetchError::Url), Err(FetchError::Url));
        }
    }

    #[test]
    fn addresses_that_are_no_issuer_s_are_refused() {
        for host in [
            "169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "[::]",
            "[fe80::1]",
            "[ff02::1]",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::169.254.169.254]",
            "2852039166",
        ] {
            verdict(&format!("https://{host}/"), Err(FetchError::Address), Err(FetchError::Address));
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_its_addresses() {
        let resolve = |loopback| Resolver { loopback }.resolve("localhost".parse().unwrap());
        assert!(resolve(false).await.is_err_and(|error| error.is::<AddressRefused>()));
        assert!(resolve(true).await.unwrap().all(|address| address.ip().is_loopback()));
    }
}
