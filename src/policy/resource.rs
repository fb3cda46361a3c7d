//! Targets that only the message names: resources, prompts, tasks, and tools of a server without a catalogue.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Entity, EntityUid, RestrictedExpression};
use url::Url;

use crate::policy::catalog::Hints;
use crate::policy::model::{plain, tool_entity};
use crate::policy::names::{EntityKind, owned};

/// A URI with more ancestors than this has none: it bounds what one request can make the entity store hold.
pub const MAX_ANCESTORS: usize = 64;

/// The entity of a target, and what it is in.
#[derive(Debug)]
pub struct Target {
    /// The entity.
    pub entity: Entity,
    /// Its ancestors, all of them.
    pub ancestors: Vec<EntityUid>,
}

impl Target {
    fn new(kind: EntityKind, server: &str, id: &str, attributes: HashMap<String, RestrictedExpression>) -> Self {
        let parent = EntityKind::Server.uid(server);
        let entity = plain(kind.uid(owned(server, id)), attributes, HashSet::from([parent.clone()]));
        Self { entity, ancestors: vec![parent] }
    }

    /// `Prompt::"<server>:<name>"`.
    pub fn prompt(server: &str, name: &str) -> Self {
        let attributes = HashMap::from([("name".to_owned(), RestrictedExpression::new_string(name.to_owned()))]);
        Self::new(EntityKind::Prompt, server, name, attributes)
    }

    /// `Task::"<server>:<id>"`.
    pub fn task(server: &str, id: &str) -> Self {
        Self::new(EntityKind::Task, server, id, HashMap::new())
    }

    /// `Tool::"<server>:<name>"` of a server without a catalogue, with the specification's hints.
    pub fn tool(server: &str, name: &str) -> Self {
        Self { entity: tool_entity(server, name, Hints::default()), ancestors: vec![EntityKind::Server.uid(server)] }
    }

    /// `Resource::"<server>:<uri>"`, in its server and in every ancestor of a canonical URI.
    pub fn resource(server: &str, uri: &str) -> Self {
        let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
        let mut attributes = HashMap::from([("uri".to_owned(), text(uri))]);
        let mut within = vec![EntityKind::Server.uid(server)];
        if let Some(url) = canonical(uri) {
            attributes.insert("scheme".to_owned(), text(url.scheme()));
            attributes.insert("path".to_owned(), text(url.path()));
            if let Some(host) = url.host_str().filter(|host| !host.is_empty()) {
                attributes.insert("host".to_owned(), text(host));
            }
            let folders = ancestors(uri, &url);
            within.extend(folders.into_iter().map(|folder| EntityKind::Resource.uid(owned(server, folder))));
        }
        let uid = EntityKind::Resource.uid(owned(server, uri));
        Self { entity: plain(uid, attributes, within.iter().cloned().collect()), ancestors: within }
    }
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
