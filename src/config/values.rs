//! The single values of a configuration: what each may look like, as functions from text.

use std::fmt;

use url::{Host, Url};

use super::reader::Fault;

/// A name of an issuer or a server: `[a-z0-9-]+`, so that the first colon of an entity id always ends it.
pub(super) fn name(text: &str) -> Result<String, Fault> {
    let fits = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fits {
        Ok(text.to_owned())
    } else {
        fault(format!("cannot be {}", quoted(text)), "use only `a` to `z`, `0` to `9` and `-`")
    }
}

/// A scope token (RFC 6749 §3.3).
pub(super) fn scope(text: &str) -> Result<String, Fault> {
    let fits = text.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
    if !fits {
        let help = "use printable ASCII without space, `\"` and `\\`, one scope for each item";
        return fault(format!("cannot be {}: it is not one scope", quoted(text)), help);
    }
    Ok(text.to_owned())
}

/// A JSON pointer (RFC 6901) to a member of the claims.
pub(super) fn pointer(text: &str) -> Result<String, Fault> {
    let escaped = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if text.starts_with('/') && escaped {
        return Ok(text.to_owned());
    }
    fault(
        format!("cannot be {}: it is not a JSON pointer", quoted(text)),
        "start with `/`, and write `~` as `~0` and a `/` inside a name as `~1`",
    )
}

/// The token of one reference step (RFC 6901 §3) that names the claim `name`.
pub(super) fn pointer_to(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// A request path that no two parties read differently.
pub(super) fn path(text: &str) -> Result<String, Fault> {
    match ambiguity(text) {
        None => Ok(text.to_owned()),
        Some(what) => fault(what, "write the path as it is requested, in the one form that nobody on the way rewrites"),
    }
}

/// What keeps a path from having one reading, if anything does. Envoy, toolgate and the server behind it must agree on
/// where a request goes, so a path that one of them could rewrite is never configured.
fn ambiguity(path: &str) -> Option<&'static str> {
    let lower = path.to_ascii_lowercase();
    let segments = || path.split('/').skip(1);
    if !path.starts_with('/') {
        return Some("does not start with `/`");
    }
    if segments().any(|segment| matches!(segment, "." | "..")) {
        return Some("has dot segments");
    }
    let signs =
        [("//", "has an empty segment"), ("?", "has a query"), ("#", "has a fragment"), (";", "has parameters (`;`)")];
    let encoded = [
        ("%2e", "encodes a dot"),
        ("%2f", "encodes a slash"),
        ("%5c", "encodes a backslash"),
        ("\\", "has a backslash"),
    ];
    if let Some((_, what)) = signs.into_iter().chain(encoded).find(|(sign, _)| lower.contains(sign)) {
        return Some(what);
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some("has a space, a control character or a character outside ASCII");
    }
    let complete = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    (!path.split('%').skip(1).all(complete)).then_some("has a `%` without two hexadecimal digits")
}

/// The public URL of a server: the audience that tokens name and the `resource` of its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// As written, never normalised: audiences compare by code point (RFC 9728 §3.3).
    pub url: String,
    /// Host in lower case, with the port where it is not the scheme's default: `mcp.example.com`, `[::1]:8080`.
    pub authority: String,
    /// The path, `/` if the URL has none.
    pub path: String,
}

/// A resource identifier (RFC 8707 §2, RFC 9728 §1.2): https, or http to a loopback address, no query, no fragment.
pub(super) fn resource(text: &str) -> Result<Resource, Fault> {
    let url = absolute(text, Plain::LoopbackOnly)?;
    if url.query().is_some() {
        return fault("has a query", "remove everything from `?` on: a query cannot be told from a caller's");
    }
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let lower = format!("{}://{}{path}", scheme.to_ascii_lowercase(), authority.to_ascii_lowercase());
    if lower != text {
        let help =
            format!("write `{lower}`: clients ask for tokens in that form, and audiences compare letter by letter");
        return fault("has upper case in its scheme or host", help);
    }
    let path = self::path(if path.is_empty() { "/" } else { path })?;
    let host = url.host_str().unwrap_or_default();
    let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    Ok(Resource { url: text.to_owned(), authority, path })
}

/// An issuer identifier (RFC 8414 §2): https, no query, no fragment. Kept as written: `iss` compares by code point.
pub(super) fn issuer(text: &str, plain: Plain) -> Result<String, Fault> {
    let url = absolute(text, plain)?;
    if url.query().is_some() {
        return fault("has a query", "an issuer identifier ends before `?` (RFC 8414 §2)");
    }
    Ok(text.to_owned())
}

/// Where plain http is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    /// Nowhere, because `insecure_http` is not set.
    Never,
    /// To a loopback address.
    LoopbackOnly,
    /// To any address.
    Anywhere,
}

/// An absolute URL without user and fragment that the URL standard reads as a person does.
pub(super) fn absolute(text: &str, plain: Plain) -> Result<Url, Fault> {
    const FORM: &str = "write a URL such as `https://mcp.example.com/weather`";
    let bad = |why: &str| Fault::new(format!("cannot be {}: {why}", quoted(text)), FORM);
    // The URL standard repairs all of these in silence.
    if text.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'\\') {
        return Err(bad("a URL is printable ASCII, without spaces and backslashes"));
    }
    let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
    let (_, rest) = text.split_once("://").ok_or_else(|| bad("`://` is missing"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    if authority.contains('@') {
        return fault("names a user", "remove everything up to the `@`");
    }
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().map(|port| format!(":{port}"));
    let written = authority.strip_prefix(host).filter(|rest| rest.is_empty() || Some(*rest) == port.as_deref());
    if written.is_none() {
        return Err(bad(&format!("its host and port read as `{host}{}`", port.unwrap_or_default())));
    }
    if text.contains('#') {
        return fault("has a fragment", "remove everything from `#` on");
    }
    match (url.scheme(), plain, is_loopback(&url)) {
        ("https", ..) | ("http", Plain::Anywhere, _) | ("http", Plain::LoopbackOnly, true) => Ok(url),
        ("http", Plain::Never, true) => {
            fault("is http", "use https, or set `insecure_http: true` on the issuer to test on this machine")
        }
        ("http", ..) => fault("is http", "use https: plain http is read only to a loopback address"),
        (scheme, Plain::Anywhere, _) => fault(format!("is {scheme}"), "use https or http"),
        (scheme, ..) => fault(format!("is {scheme}"), "use https"),
    }
}

/// Whether `url` is on this machine, by its name or its address: the one place that plain http may lead to.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A web origin exactly as browsers send it (RFC 6454 §6.2): no path, no default port, lower case.
pub(super) fn origin(text: &str) -> Result<String, Fault> {
    let exact = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => {
            // The URL standard lets a host have a `*`; whoever writes one means something that is not done here.
            !text.contains('*') && url.origin().ascii_serialization() == text
        }
        Ok(url) => is_opaque_origin(text, url.scheme()),
        Err(_) => false,
    };
    if exact {
        return Ok(text.to_owned());
    }
    let help = "write `scheme://host` or `scheme://host:port`, in lower case, without path and default port; there are no wildcards";
    fault(format!("cannot be {}: it is not an origin as browsers send it", quoted(text)), help)
}

/// The origin of a browser extension or an editor's web view: `vscode-webview://0abc`.
fn is_opaque_origin(text: &str, scheme: &str) -> bool {
    let host = text.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://")).unwrap_or_default();
    !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte))
}

/// A number of bytes: `4096`, `64KiB`, `1MiB`.
pub(super) fn size(text: &str) -> Option<usize> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit {
        "" => 1,
        "KiB" => KIB,
        "MiB" => MIB,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(factor)
}

/// A time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Millis(pub(super) u64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

/// A time: `150ms`, `30s`, `5m`, `24h`. A number without a unit would be taken for whichever the reader is used to.
pub(super) fn millis(text: &str) -> Option<Millis> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor).map(Millis)
}

/// The name of a client (RFC 6749 Appendix A.1): printable ASCII, a space included.
pub(super) fn client_id(text: &str) -> Result<String, Fault> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(text.to_owned());
    }
    fault(format!("cannot be {}", quoted(text)), "use printable ASCII: the name that the issuer gave")
}

/// Bytes in a `KiB`.
pub(super) const KIB: usize = 1024;
/// Bytes in a `MiB`.
pub(super) const MIB: usize = 1024 * KIB;

/// User input for a message: in backticks, on one line.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", text.escape_debug())
}

fn fault<T>(what: impl Into<String>, help: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::new(what, help))
}
