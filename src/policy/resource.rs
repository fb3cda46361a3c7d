//! `Resource` entities: a URI, and the ancestors that a policy may name with `in`.

use std::collections::HashMap;

use cedar_policy::{Entity, RestrictedExpression};
use url::Url;

use crate::policy::model::{plain, server_parent};
use crate::policy::names::{EntityKind, owned};

/// A URI with more ancestors than this has none: it bounds what one request can make the entity store hold.
pub const MAX_ANCESTORS: usize = 64;

/// `Resource::"<server>:<uri>"`, in its server and in every ancestor of a canonical URI.
pub fn resource_entity(server: &str, uri: &str) -> Entity {
    let mut attributes = HashMap::from([("uri".to_owned(), RestrictedExpression::new_string(uri.to_owned()))]);
    let mut parents = server_parent(server);
    if let Some(url) = canonical(uri) {
        let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
        attributes.insert("scheme".to_owned(), text(url.scheme()));
        attributes.insert("path".to_owned(), text(url.path()));
        if let Some(host) = url.host_str().filter(|host| !host.is_empty()) {
            attributes.insert("host".to_owned(), text(host));
        }
        parents
            .extend(ancestors(uri, &url).into_iter().map(|ancestor| EntityKind::Resource.uid(owned(server, ancestor))));
    }
    plain(EntityKind::Resource.uid(owned(server, uri)), attributes, parents)
}

/// `uri` parsed, if it says what it means in one way only: the parser changes nothing in it, and nothing in it is left
/// for a server to resolve (dot segments, empty segments, encoded separators, backslashes, user information, query,
/// fragment).
fn canonical(uri: &str) -> Option<Url> {
    let url = Url::parse(uri).ok().filter(|url| url.as_str() == uri)?;
    let lower = url.path().to_ascii_lowercase();
    let ambiguous = ["//", "\\", "%2f", "%5c", "%2e", ";"].iter().any(|mark| lower.contains(mark))
        || lower.split('/').any(|segment| segment == "." || segment == "..");
    let extra =
        url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some();
    (!ambiguous && !extra && url.path().starts_with('/')).then_some(url)
}

/// Every proper ancestor of `uri`, without a trailing slash: of `file:///a/b/c` these are `file:///a/b` and `file:///a`;
/// of `https://h/a/b` also `https://h`.
fn ancestors<'a>(uri: &'a str, url: &Url) -> Vec<&'a str> {
    let start = uri.len().saturating_sub(url.path().len());
    let (Some(root), Some(path)) = (uri.get(..start), uri.get(start..)) else { return Vec::new() };
    let cuts: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
    if cuts.len() > MAX_ANCESTORS {
        return Vec::new();
    }
    // `file://` alone names nothing, so only a URI with a host has its root for an ancestor.
    let has_host = url.host_str().is_some_and(|host| !host.is_empty());
    cuts.into_iter()
        .filter(|at| *at > 0 || (has_host && path != "/"))
        .filter_map(|at| uri.get(..root.len() + at))
        .filter(|a| *a != uri)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(uri: &str, expected: Option<&[&str]>) {
        let found = canonical(uri).map(|url| ancestors(uri, &url));
        assert_eq!(found.as_deref(), expected, "{uri}");
    }

    #[test]
    fn a_canonical_uri_has_every_folder_above_it() {
        check("file:///public/a/b.txt", Some(&["file:///public", "file:///public/a"]));
        check("file:///a.txt", Some(&[]));
        check("https://h.example/a/b", Some(&["https://h.example", "https://h.example/a"]));
        check("https://h.example/", Some(&[]));
        check("docs://shelf/a", Some(&["docs://shelf"]));
    }

    #[test]
    fn what_a_server_might_resolve_differently_has_none() {
        for uri in [
            "file:///public/../etc",
            "file:///public//etc",
            "file:///public/%2e%2e/etc",
            "file:///public/%2Fetc",
            "file:///public/a;b",
            "FILE:///public/a",
            "https://user@h.example/a",
            "https://h.example/a?b",
            "https://h.example/a#b",
            "https://H.example/a",
            "not a uri",
            "urn:a:b",
        ] {
            check(uri, None);
        }
    }

    #[test]
    fn a_uri_with_too_many_folders_has_no_ancestors() {
        let at_limit = format!("file://{}", "/a".repeat(MAX_ANCESTORS));
        let over = format!("file://{}", "/a".repeat(MAX_ANCESTORS + 1));
        assert_eq!(ancestors(&at_limit, &Url::parse(&at_limit).unwrap()).len(), MAX_ANCESTORS - 1);
        assert_eq!(ancestors(&over, &Url::parse(&over).unwrap()).len(), 0);
    }
}
