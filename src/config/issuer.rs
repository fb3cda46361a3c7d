//! `issuers`: whose tokens are accepted, and what of a token policies see.

use std::path::PathBuf;

use url::Url;

use super::introspection::{IntrospectionConfig, introspection};
use super::reader::{Fault, Field, Section, Seen};
use super::values::{self, Plain};
use super::{Spanned, path};
use crate::token::{Algorithm, ClaimRule, ClaimType, IssuerRules};

/// One issuer of access tokens.
#[derive(Debug)]
pub struct IssuerConfig {
    /// How its tokens are verified and read.
    pub rules: IssuerRules,
    /// Where its keys come from; absent if it is only asked about opaque tokens.
    pub keys: Option<KeySource>,
    /// How it is asked about opaque tokens, if it is.
    pub introspection: Option<IntrospectionConfig>,
    /// Scopes, each with those that it implies; no scope implies itself, not even through others.
    pub implies: Vec<(String, Vec<String>)>,
    /// Whether it may be called over http at a loopback address.
    pub insecure_http: bool,
}

/// Where an issuer's key set is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// In a file.
    File(Spanned<PathBuf>),
    /// At a URL, https unless the issuer says `insecure_http`.
    Url(Url),
    /// Where the issuer's metadata says (RFC 8414, OpenID Connect Discovery).
    Discover,
}

/// What must differ between issuers.
#[derive(Debug, Default)]
pub(super) struct Distinct {
    names: Seen,
    urls: Seen,
}

pub(super) fn issuer(field: &Field<'_>, distinct: &mut Distinct) -> Option<IssuerConfig> {
    field.section(|section| {
        let insecure_http = section.optional("insecure_http", Field::flag).unwrap_or(false);
        let plain = if insecure_http { Plain::LoopbackOnly } else { Plain::Never };
        let name = section.required("name", |field| {
            let name = field.read(values::name)?;
            field.distinct(&mut distinct.names, name.clone());
            Some(name)
        });
        let issuer = section.required("issuer", |field| {
            let issuer = field.read(|text| values::issuer(text, plain))?;
            field.distinct(&mut distinct.urls, issuer.clone());
            Some(issuer)
        });
        let opaque = !section.present(&["introspection"]).is_empty();
        let introspection =
            section.optional("introspection", |field| field.section(|section| introspection(section, plain)));
        let jwks = |field: &Field<'_>| field.section(|section| key_source(section, plain));
        let keys = if opaque { section.optional("jwks", jwks) } else { section.required("jwks", jwks) };
        let algorithms = section.optional("algorithms", algorithms);
        let token_types = section.optional("token_types", |field| field.filled()?.items(token_type));
        let groups = section.optional("groups", |field| field.read(values::pointer));
        let scopes = section.optional("scopes", |field| field.section(scopes)).unwrap_or_default();
        let claims = section.optional("claims", |field| field.entries(claim)).unwrap_or_default();
        let rules = IssuerRules {
            name: name?,
            issuer: issuer?,
            algorithms: algorithms.unwrap_or_else(|| DEFAULT_ALGORITHMS.to_vec()),
            token_types: token_types.unwrap_or_else(|| DEFAULT_TOKEN_TYPES.map(str::to_owned).to_vec()),
            groups,
            scope_claim: scopes.claim.unwrap_or_else(|| DEFAULT_SCOPE_CLAIM.to_owned()),
            claims,
        };
        Some(IssuerConfig { rules, keys, introspection, implies: scopes.implies, insecure_http })
    })
}

/// What current providers sign with: RS256 is mandatory in RFC 9068 §2.1, the others are the usual elliptic choices.
const DEFAULT_ALGORITHMS: [Algorithm; 3] = [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA];

/// RFC 9068 §2.1: both forms of the media type.
const DEFAULT_TOKEN_TYPES: [&str; 2] = ["at+jwt", "application/at+jwt"];

/// RFC 8693 §4.2, RFC 9068 §2.2.3.
const DEFAULT_SCOPE_CLAIM: &str = "/scope";

/// The only algorithms: symmetric ones would make a verifier able to sign, and `none` is no signature.
pub(super) const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("EdDSA", Algorithm::EdDSA),
];

pub(super) fn algorithms(field: &Field<'_>) -> Option<Vec<Algorithm>> {
    let mut seen = Seen::default();
    field.filled()?.items(|item| {
        let algorithm = item.choice(&ALGORITHMS)?;
        item.distinct(&mut seen, format!("{algorithm:?}"));
        Some(algorithm)
    })
}

/// A media type, or nothing, which stands for a token that has no `typ`.
fn token_type(item: &Field<'_>) -> Option<String> {
    if item.is_blank() {
        return Some(String::new());
    }
    item.read(|text| {
        if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(text.to_owned());
        }
        Err(Fault::new(format!("cannot be {}", values::quoted(text)), "write a media type such as `at+jwt`"))
    })
}

fn key_source(section: &mut Section<'_, '_>, plain: Plain) -> Option<KeySource> {
    let present = section.present(&["file", "url", "discover"]);
    if present.len() != 1 {
        let what = if present.is_empty() { "names no source of keys" } else { "names more than one source of keys" };
        section.report(Fault::new(what, "write exactly one of `{discover: true}`, `{url: …}` and `{file: …}`"));
    }
    let file = section.optional("file", path).map(KeySource::File);
    let url = section.optional("url", |field| field.read(|text| values::absolute(text, plain))).map(KeySource::Url);
    let discover = section.optional("discover", |field| {
        if !field.flag()? {
            field.report(Fault::new("can only be `true`", "write `{url: …}` or `{file: …}` to do without discovery"));
        }
        Some(KeySource::Discover)
    });
    file.or(url).or(discover)
}

#[derive(Default)]
struct Scopes {
    claim: Option<String>,
    implies: Vec<(String, Vec<String>)>,
}

fn scopes(section: &mut Section<'_, '_>) -> Option<Scopes> {
    let claim = section.optional("claim", |field| field.read(values::pointer));
    let implies = section.optional("implies", |field| {
        let implies = field.entries(|scope, implied| {
            values::scope(scope.value).map_err(|fault| implied.report(fault)).ok()?;
            Some((scope.value.to_owned(), implied.items(|item| item.read(values::scope))?))
        })?;
        if let Some(scope) = circle(&implies) {
            let what = format!("lets {} imply itself", values::quoted(scope));
            field.report(Fault::new(
                what,
                "remove one of the scopes in the circle: each must give less than the one above it",
            ));
        }
        Some(implies)
    });
    Some(Scopes { claim, implies: implies.unwrap_or_default() })
}

/// A scope that implies itself, directly or through others.
fn circle(implies: &[(String, Vec<String>)]) -> Option<&str> {
    implies.iter().map(|(scope, _)| scope.as_str()).find(|start| {
        let mut reached = vec![*start];
        let mut next = 0;
        while let Some(&scope) = reached.get(next) {
            for implied in implies.iter().filter(|(key, _)| key == scope).flat_map(|(_, scopes)| scopes) {
                if implied == start {
                    return true;
                }
                if !reached.contains(&implied.as_str()) {
                    reached.push(implied);
                }
            }
            next += 1;
        }
        false
    })
}

/// Attributes that every principal has anyway, from the token itself.
const BUILT_IN: [&str; 4] = ["issuer", "subject", "id", "host"];

const CLAIM_TYPES: [(&str, ClaimType); 6] = [
    ("String", ClaimType::String),
    ("Long", ClaimType::Long),
    ("Bool", ClaimType::Bool),
    ("Decimal", ClaimType::Decimal),
    ("Set<String>", ClaimType::SetOfString),
    ("Set<Long>", ClaimType::SetOfLong),
];

fn claim(name: &Spanned<&str>, field: &Field<'_>) -> Option<ClaimRule> {
    if name.value.is_empty() || BUILT_IN.contains(&name.value) {
        let help = format!("choose another name; `{}` are given by toolgate", BUILT_IN.join("`, `"));
        field.report(Fault::new("is not a free name for an attribute", help));
    }
    field.section(|section| {
        let kind = section.required("type", |field| field.choice(&CLAIM_TYPES));
        let pointer = section.optional("path", |field| field.read(values::pointer));
        let pointer = pointer.unwrap_or_else(|| values::pointer_to(name.value));
        Some(ClaimRule { name: name.value.to_owned(), pointer, kind: kind? })
    })
}
