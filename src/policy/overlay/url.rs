//! URLs: their parts, for URLs in which every reader finds the same host.
//!
//! Programs disagree on where a host ends, and on which host a name or a number is. So a URL has parts only if it is
//! already as the URL Standard writes it out, and holds nothing on which older readers are known to differ.

use std::borrow::Cow;

use ::url::{Host, Url};

use super::{Members, set, text};
use crate::policy::paths::Need;
use cedar_policy::RestrictedExpression;

/// Bytes of one URL: what servers commonly take, and far more than browsers show.
pub const MAX_URL: usize = 8192;

/// Letters of a host name, and of one of its labels (RFC 1035 §2.3.4).
const MAX_HOST: usize = 253;
const MAX_LABEL: usize = 63;

/// The schemes whose URLs have one reading for all. What others mean by a host is theirs.
const SCHEMES: [&str; 5] = ["http", "https", "ws", "wss", "ftp"];

/// The URL `url` as `{text, scheme, host, domains, port?, path}`.
pub(super) fn one(url: &str, need: Need<'_>) -> Option<Members> {
    let (parsed, host) = canonical(url)?;
    let mut members = Members::new();
    members.put(need, "text", || text(url));
    members.put(need, "scheme", || text(parsed.scheme()));
    members.put(need, "host", || text(&host));
    members.put(need, "domains", || set(domains(&parsed, &host)));
    if let Some(port) = parsed.port() {
        members.put(need, "port", || RestrictedExpression::new_long(port.into()));
    }
    members.put(need, "path", || text(parsed.path()));
    Some(members)
}

/// The same of several URLs: all texts, schemes and hosts, and the domains that all hosts are in. Ports and paths are left
/// out, for a set could not say whose they are.
pub(super) fn many(urls: &[Cow<'_, str>], need: Need<'_>) -> Option<Members> {
    let parsed = urls.iter().map(|url| canonical(url)).collect::<Option<Vec<_>>>()?;
    let mut members = Members::new();
    members.put(need, "text", || set(urls.iter().map(|url| &**url)));
    members.put(need, "scheme", || set(parsed.iter().map(|(url, _)| url.scheme())));
    members.put(need, "host", || set(parsed.iter().map(|(_, host)| host.as_str())));
    members.put(need, "domains", || set(shared(&parsed)));
    Some(members)
}

/// The domains that the hosts of all `urls` are in, from the outermost; no URL is in none.
fn shared(urls: &[(Url, String)]) -> Vec<&str> {
    let mut shared: Option<Vec<&str>> = None;
    for (url, host) in urls {
        // The domains of a host are a chain, so what two of them share is a common beginning.
        let domains = domains(url, host).into_iter().rev();
        shared = Some(match shared {
            None => domains.collect(),
            Some(others) => others.into_iter().zip(domains).take_while(|(a, b)| a == b).map(|(a, _)| a).collect(),
        });
    }
    shared.unwrap_or_default()
}

/// A URL that has parts.
pub(in crate::policy) struct UrlParts(Url, String);

impl UrlParts {
    /// Those of `text`, if it has any.
    pub(in crate::policy) fn of(text: &str) -> Option<Self> {
        canonical(text).map(|(url, host)| Self(url, host))
    }

    pub(in crate::policy) fn scheme(&self) -> &str {
        self.0.scheme()
    }

    pub(in crate::policy) fn host(&self) -> &str {
        &self.1
    }

    pub(in crate::policy) fn port(&self) -> Option<u16> {
        self.0.port()
    }

    pub(in crate::policy) fn path(&self) -> &str {
        self.0.path()
    }
}

/// Whether `text` is a URL that has parts.
pub(super) fn is_url(text: &str) -> bool {
    canonical(text).is_some()
}

/// Whether `text` is the scheme of such a URL.
pub(super) fn is_scheme(text: &str) -> bool {
    SCHEMES.contains(&text)
}

/// Whether `text` is the host of such a URL, or a domain that one is in.
pub(super) fn is_host(text: &str) -> bool {
    canonical(&format!("https://{text}/")).is_some_and(|(_, host)| host == text)
}

/// Whether `text` is the path of such a URL.
pub(super) fn is_path(text: &str) -> bool {
    canonical(&format!("https://a{text}")).is_some_and(|(url, host)| host == "a" && url.path() == text)
}

/// `text` parsed, and its host, if it can be read in one way only.
fn canonical(text: &str) -> Option<(Url, String)> {
    if text.len() > MAX_URL || text.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'\\') {
        return None;
    }
    let url = Url::parse(text).ok()?;
    // The one liberty: `https://example.com` for `https://example.com/`.
    let same = url.as_str() == text || url.as_str().strip_suffix('/') == Some(text) && url.path() == "/";
    let known = SCHEMES.contains(&url.scheme()) && url.username().is_empty() && url.password().is_none();
    let host =
        url.host_str().filter(|_| same && known && has_plain_host(&url) && has_plain_path(url.path()))?.to_owned();
    // Nothing but a port stands between the host and the path; `user@` with nothing in it would have gone by now.
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let authority = format!("{}://{host}{port}", url.scheme());
    let rest = text.strip_prefix(&authority)?;
    (rest.is_empty() || rest.starts_with('/')).then_some((url, host))
}

/// Whether the host is an address, or a name of letters that name servers know.
fn has_plain_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let plain = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || b"-_".contains(&letter);
            name.len() <= MAX_HOST
                && name
                    .split('.')
                    .all(|label| !label.is_empty() && label.len() <= MAX_LABEL && label.bytes().all(plain))
        }
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        None => false,
    }
}

/// Whether nothing in the path is left for a server to resolve: dot segments, empty segments, parameters of a segment,
/// encoded dots, separators, percent signs or control characters. A slash may end it.
fn has_plain_path(path: &str) -> bool {
    let marks = ["//", ";", "%2e", "%2f", "%5c", "%25", "%0", "%1", "%7f"];
    let lower = path.to_ascii_lowercase();
    let escapes =
        || path.split('%').skip(1).all(|rest| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2);
    !marks.iter().any(|mark| lower.contains(mark))
        && escapes()
        && !path.split('/').any(|name| name == "." || name == "..")
}

/// `host` and every domain that it is in, from the innermost: of `a.b.example` these are itself, `b.example` and `example`. An
/// address is in itself alone.
fn domains<'h>(url: &Url, host: &'h str) -> Vec<&'h str> {
    let mut domains = vec![host];
    if matches!(url.host(), Some(Host::Domain(_))) {
        domains.extend(host.match_indices('.').filter_map(|(at, _)| host.get(at + 1..)));
    }
    domains
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, &[&str], &str)>) {
        let found = canonical(text);
        let found = found.as_ref().map(|(url, host)| (host.as_str(), domains(url, host), url.path()));
        assert_eq!(found, expected.map(|(host, domains, path)| (host, domains.to_vec(), path)), "{text:?}");
    }

    #[test]
    fn the_parts_of_a_url() {
        let example = ["example.com", "com"];
        check("https://example.com/", Some(("example.com", &example, "/")));
        check("https://example.com", Some(("example.com", &example, "/")));
        check("https://example.com:8443", Some(("example.com", &example, "/")));
        check("https://example.com/a/b/?q=https%3A%2F%2Fx/../y#frag@evil", Some(("example.com", &example, "/a/b/")));
        check(
            "http://a.b.example.com/%20x",
            Some(("a.b.example.com", &["a.b.example.com", "b.example.com", "example.com", "com"], "/%20x")),
        );
        check("ws://localhost:3000/@user", Some(("localhost", &["localhost"], "/@user")));
        check("https://127.0.0.1/", Some(("127.0.0.1", &["127.0.0.1"], "/")));
        check("https://[2001:db8::1]:8443/", Some(("[2001:db8::1]", &["[2001:db8::1]"], "/")));
        check(
            "https://xn--bcher-kva.example/",
            Some(("xn--bcher-kva.example", &["xn--bcher-kva.example", "example"], "/")),
        );
        check(
            "https://_dmarc.x--y.example/",
            Some(("_dmarc.x--y.example", &["_dmarc.x--y.example", "x--y.example", "example"], "/")),
        );
    }

    const AMBIGUOUS: &[&str] = &[
        "",
        "example.com",
        "/a",
        "//example.com/",
        "https:example.com",
        "https:/example.com/",
        "https:///example.com/",
        "HTTPS://example.com/",
        "https://Example.com/",
        "https://example.com:443/",
        "https://example.com:/",
        "https://example.com:0443/",
        "https://user@example.com/",
        "https://user:pass@example.com/",
        "https://@example.com/",
        "https://:@example.com/",
        "https://good.example@evil.example/",
        "https://evil.example#@good.example/",
        "https://evil.example?@good.example/",
        "https://evil.example\\@good.example/",
        "https://evil.example/\\@good.example",
        "https://good.example/?\\",
        "https://good.example#\\",
        "https://example.com./",
        "https://.example.com/",
        "https://a..b/",
        "https://example.com,evil.example/",
        "https://a;b/",
        "https://a&b/",
        "https://a$b/",
        "https://ex%61mple.com/",
        "https://b\u{fc}cher.example/",
        "https://\u{ff45}xample.com/",
        "https://example\u{3002}com/",
        "https://exam\u{ad}ple.com/",
        "https://xn--a/",
        "https://xn--example-.com/",
        "https://0x7f.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://017700000001/",
        "https://127.1/",
        "https://127.0.0.1./",
        "https://127.0.0.01/",
        "https://1.2.3.4.5/",
        "https://256.1.1.1/",
        "https://[::0001]/",
        "https://[::FFFF:127.0.0.1]/",
        "https://[::127.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        " https://example.com/",
        "https://example.com/ ",
        "https://example.com/a b",
        "https://exam\tple.com/",
        "https://example.com/\n",
        "https://example.com/\0",
        "https://example.com/\u{e9}",
        "https://example.com/a/../b",
        "https://example.com/./a",
        "https://example.com/..",
        "https://example.com/%2e%2e/a",
        "https://example.com/a%2eb",
        "https://example.com/a%2Fb",
        "https://example.com/a%5Cb",
        "https://example.com/%252e",
        "https://example.com/%0d%0aHost:x",
        "https://example.com/%00",
        "https://example.com/%zz",
        "https://example.com/%",
        "https://example.com//evil.example/",
        "https://example.com//",
        "https://example.com/a;b",
        "https://example.com/..;/a",
        "file:///etc/passwd",
        "file://host/a",
        "data:text/html,x",
        "javascript:alert(1)",
        "about:blank",
        "git://example.com/a",
        "ssh://example.com/",
        "s3://bucket/key",
        "blob:https://example.com/a",
        "view-source:https://example.com/",
    ];

    #[test]
    fn what_another_reader_might_take_for_another_host_has_none() {
        for text in AMBIGUOUS {
            check(text, None);
        }
    }

    #[test]
    fn bounds() {
        let long = |bytes: usize| format!("https://a/{}", "x".repeat(bytes - 10));
        assert!(canonical(&long(MAX_URL)).is_some());
        assert!(canonical(&long(MAX_URL + 1)).is_none());
        let label = |letters: usize| format!("https://{}/", "x".repeat(letters));
        assert!(canonical(&label(MAX_LABEL)).is_some());
        assert!(canonical(&label(MAX_LABEL + 1)).is_none());
        let host = |letters: usize| format!("https://{}x/", "x.".repeat(letters / 2));
        assert!(canonical(&host(MAX_HOST)).is_some());
        assert!(canonical(&host(MAX_HOST + 2)).is_none());
    }

    /// Hosts that readers find in `text`, each by a rule of its own: RFC 3986 appendix B; the same with backslashes for
    /// slashes; the authority up to the next slash alone; the host before the first `@`, or behind the last of all.
    fn hosts(text: &str) -> Vec<String> {
        let after = |text: &str| text.split_once("//").map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        let host = |authority: &str| {
            let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            let name = match authority.rsplit_once(':') {
                Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
                _ => authority,
            };
            name.to_ascii_lowercase()
        };
        let cut = |text: &str, ends: &[char]| after(text).split(ends).next().unwrap_or_default().to_owned();
        let (slashes, decoded) = (text.replace('\\', "/"), text.replace("%2f", "/").replace("%40", "@"));
        let seen: String = text.trim().chars().filter(|letter| !letter.is_control()).collect();
        vec![
            host(&cut(text, &['/', '?', '#'])),
            host(&cut(&slashes, &['/', '?', '#'])),
            host(&cut(text, &['/'])),
            host(cut(text, &['/', '?', '#']).split('@').next().unwrap_or_default()),
            host(&cut(&decoded, &['/', '?', '#'])),
            host(&cut(&seen, &['/', '?', '#', '\\', ';', ',', '&'])),
        ]
    }

    const HOSTILE: &[&str] = &[
        "://",
        "/",
        "//",
        "\\",
        "@",
        ":",
        "#",
        "?",
        ".",
        "..",
        ";",
        ",",
        "&",
        "%2f",
        "%40",
        "%2e",
        "%00",
        "[",
        "]",
        " ",
        "\t",
        "\n",
        "\0",
        "80",
        "443",
        "good.example",
        "evil.test",
        "user",
        "https",
        "0x7f.1",
        "127.0.0.1",
        "[::1]",
        "xn--",
        "\u{3002}",
        "\u{ad}",
        "\u{ff20}",
        "\u{fc}",
        "A",
        "a",
    ];

    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![8 => proptest::sample::select(HOSTILE).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)]
    }

    fn url() -> impl Strategy<Value = String> {
        let host = proptest::sample::select(
            &["good.example", "a.good.example", "evil.test", "127.0.0.1", "[::1]", "localhost"][..],
        );
        let rest = proptest::sample::select(&["", "/", "/a", ":8080/", "/a?b=c@d", "/#x"][..]);
        let clean = (proptest::sample::select(&["http", "https", "ws"][..]), host, rest)
            .prop_map(|(s, h, r)| format!("{s}://{h}{r}"));
        let spoilt = (clean.clone(), proptest::collection::vec((piece(), any::<proptest::sample::Index>()), 1..3))
            .prop_map(|(mut url, pieces)| {
                for (piece, at) in pieces {
                    let places: Vec<usize> = url.char_indices().map(|(at, _)| at).chain([url.len()]).collect();
                    url.insert_str(*at.get(&places), &piece);
                }
                url
            });
        let heap = proptest::collection::vec(piece(), 0..8).prop_map(|pieces| format!("https://{}", pieces.concat()));
        prop_oneof![clean, spoilt, heap]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn every_reader_finds_a_host_in_each_of_the_domains(text in url()) {
            if let Some((url, host)) = canonical(&text) {
                for domain in domains(&url, &host) {
                    for found in hosts(&text) {
                        prop_assert!(found == domain || found.ends_with(&format!(".{domain}")), "{text:?} {domain} {found}");
                    }
                }
            }
        }

        #[test]
        fn several_urls_share_the_domains_that_each_has(urls in proptest::collection::vec(url(), 0..4)) {
            if let Some(parsed) = urls.iter().map(|url| canonical(url)).collect::<Option<Vec<_>>>() {
                let all: Vec<Vec<&str>> = parsed.iter().map(|(url, host)| domains(url, host)).collect();
                let mut expected: Vec<&str> = all.first().cloned().unwrap_or_default();
                expected.retain(|domain| all.iter().all(|domains| domains.contains(domain)));
                expected.reverse();
                prop_assert_eq!(shared(&parsed), expected);
            }
        }
    }
}
