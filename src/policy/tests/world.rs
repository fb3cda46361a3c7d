//! A configuration small enough to read: servers, policies, callers, without any file.

use std::sync::{Arc, LazyLock};

use cedar_policy::{PolicySet, Schema};
use jiff::tz::TimeZone;

use crate::context::{Headers, UnixTime};
use crate::json::{Document, Limits};
use crate::mcp;
use crate::policy::Engine;
use crate::policy::bundle::{Bundle, PolicyFile};
use crate::policy::catalog::Catalog;
use crate::policy::groups::{GroupFile, GroupHierarchy};
use crate::policy::links::{Link, LinkFile};
use crate::policy::model::{Maker, ServerModel};
use crate::policy::overlay::Overlay;
use crate::policy::parts::Parts;
use crate::policy::query::RequestFacts;
use crate::policy::schema::{Generated, SchemaInput, ServerSchema, schema};
use crate::policy::subject::{ScopeHierarchy, Subject};
use crate::problem::{Problem, Severity, Source, Spanned};
use crate::token::{Algorithm, ClaimRule, ClaimType, IssuerRules, Principal, suppose};

/// The moment of every request: a Monday, 09:30 in UTC.
pub(in crate::policy) const NOW: UnixTime = UnixTime::from_seconds(1_748_856_600);

/// The claims that policies may read.
const CLAIMS: [(&str, ClaimType); 4] = [
    ("department", ClaimType::String),
    ("clearance", ClaimType::Long),
    ("ratio", ClaimType::Decimal),
    ("labels", ClaimType::SetOfString),
];

/// The names, catalogues and further methods of servers, and the schema that follows.
pub(in crate::policy) struct Servers {
    servers: Vec<(&'static str, Option<Catalog>, Vec<String>)>,
    pub(in crate::policy) schema: Schema,
    generated: Generated,
}

/// Servers, and policies about them.
pub(in crate::policy) struct World {
    pub(in crate::policy) engine: Engine,
    pub(in crate::policy) servers: Vec<ServerModel>,
}

impl Servers {
    /// Servers with a catalogue each, or none, and further methods.
    pub(in crate::policy) fn new(servers: &[(&'static str, Option<&str>, &[&str])]) -> Self {
        Self::overlaid(servers, &[])
    }

    /// The same, with `overlays` over every catalogue.
    pub(in crate::policy) fn overlaid(
        servers: &[(&'static str, Option<&str>, &[&str])],
        overlays: &[(&str, &str, Overlay)],
    ) -> Self {
        let servers: Vec<_> = servers
            .iter()
            .map(|(name, catalog, methods)| {
                let catalog = catalog.map(|text| {
                    let mut catalog = Catalog::parse(text.as_bytes()).expect(text);
                    assert_eq!(catalog.overlay(overlays), []);
                    catalog
                });
                (*name, catalog, methods.iter().map(|&method| method.to_owned()).collect::<Vec<_>>())
            })
            .collect();
        let parts =
            servers.iter().map(|(name, catalog, methods)| ServerSchema { name, catalog: catalog.as_ref(), methods });
        let generated = schema(&SchemaInput {
            servers: parts.collect(),
            claims: CLAIMS.to_vec(),
            has_client_address: true,
            ..SchemaInput::default()
        });
        let text = generated.text();
        let (schema, _) = Schema::from_cedarschema_str(&text).expect(&text);
        Self { servers, schema, generated }
    }

    /// The parts of the schema.
    pub(in crate::policy) fn parts(&self) -> Parts {
        Parts::new(&self.generated.common, self.generated.tools.clone()).unwrap()
    }

    /// The policies among `policies` that are valid here, one policy each text.
    pub(in crate::policy) fn valid(&self, policies: Vec<String>) -> Vec<String> {
        self.valid_links(policies, &mut Vec::new())
    }

    /// The same, and of `links` those of templates that are valid with all of theirs.
    pub(in crate::policy) fn valid_links(&self, mut policies: Vec<String>, links: &mut Vec<Link>) -> Vec<String> {
        let files: Vec<PolicyFile> =
            policies.iter().enumerate().map(|(at, text)| file(&at.to_string(), text)).collect();
        let file = LinkFile { source: Source::new("links.yaml", ""), links: links.clone(), complete: true };
        let (_, problems) = Bundle::load(&files, Some(&file), &mut self.parts(), &|_, _| Vec::new());
        let broken: Vec<_> = problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
        let names = |problem: &Problem, link: &Link| {
            &*problem.source.name == "links.yaml" && problem.message.contains(&format!("`{}`", link.id.value))
        };
        let mut at = 0..;
        policies.retain(|text| {
            let at = at.next().unwrap().to_string();
            let own = links.iter().filter(|link| text.contains(&format!("@id(\"{}\")", link.template.value)));
            let is_broken =
                |problem: &Problem| *problem.source.name == *at || own.clone().any(|link| names(problem, link));
            !broken.iter().copied().any(is_broken)
        });
        links.retain(|link| policies.iter().any(|text| text.contains(&format!("@id(\"{}\")", link.template.value))));
        policies
    }

    /// These servers under `policies`, one or more in each text, each with an `@id`.
    #[track_caller]
    pub(in crate::policy) fn under(&self, policies: &[String]) -> World {
        self.under_links(policies, Vec::new(), GroupHierarchy::default())
    }

    /// The same, with links of the templates among `policies`, over groups in groups.
    #[track_caller]
    pub(in crate::policy) fn under_links(
        &self,
        policies: &[String],
        links: Vec<Link>,
        groups: GroupHierarchy,
    ) -> World {
        let files: Vec<PolicyFile> = policies.iter().map(|text| file("policies.cedar", text)).collect();
        let links = LinkFile { source: Source::new("links.yaml", ""), links, complete: true };
        let (bundle, problems) = Bundle::load(&files, Some(&links), &mut self.parts(), &|_, _| Vec::new());
        let bundle = bundle.unwrap_or_else(|| panic!("{problems:#?}")).in_groups(groups);
        let mut maker = Maker::new(&bundle, self.parts().into_actions());
        let servers = self
            .servers
            .iter()
            .map(|(name, catalog, methods)| maker.server(name, catalog.as_ref(), methods).unwrap())
            .collect();
        World { engine: Engine::new(bundle, 1), servers }
    }
}

impl World {
    /// All policies as one set, for Cedar alone.
    pub(in crate::policy) fn whole(&self) -> PolicySet {
        let (bundle, mut set) = (self.engine.bundle(), PolicySet::new());
        for template in bundle.templates().values() {
            set.add_template(template.clone()).unwrap();
        }
        for policy in bundle.iter().map(|policy| &policy.policy) {
            match (policy.template_id(), policy.template_links()) {
                (Some(template), Some(values)) => set.link(template.clone(), policy.id().clone(), values).unwrap(),
                _ => set.add(policy.clone()).unwrap(),
            }
        }
        set
    }
}

/// `value`, written nowhere.
pub(in crate::policy) fn written(value: impl Into<String>) -> Spanned<String> {
    Spanned { value: value.into(), span: 0..0 }
}

/// Groups of `corp`, by name: the first of each pair is in the second.
#[track_caller]
pub(in crate::policy) fn hierarchy_of(pairs: &[(String, String)]) -> GroupHierarchy {
    let group = |name: &str| written(format!("Group::\"corp:{name}\""));
    let groups = pairs.iter().map(|(below, above)| (group(below), vec![group(above)])).collect();
    let (hierarchy, problems) =
        GroupHierarchy::read(&GroupFile { source: Source::new("entities.yaml", ""), groups }, &["corp"]);
    assert!(problems.is_empty(), "{problems:#?}");
    hierarchy
}

fn file(name: &str, text: &str) -> PolicyFile {
    PolicyFile { name: name.to_owned(), source: Source::new(name, text) }
}

/// The caller whose token has `claims`, members of an object that say who it is and what else; issuer, audience and
/// times are added.
#[track_caller]
pub(in crate::policy) fn subject(claims: &str, hierarchy: &ScopeHierarchy) -> Subject {
    Subject::new(Arc::new(principal(claims)), hierarchy).unwrap()
}

#[track_caller]
fn principal(claims: &str) -> Principal {
    let rules = IssuerRules {
        name: "corp".to_owned(),
        issuer: "https://id.example".to_owned(),
        algorithms: vec![Algorithm::ES256],
        token_types: vec!["at+jwt".to_owned()],
        groups: Some("/groups".to_owned()),
        scope_claim: "/scope".to_owned(),
        claims: CLAIMS
            .map(|(name, kind)| ClaimRule { name: name.to_owned(), pointer: format!("/{name}"), kind })
            .to_vec(),
    };
    let now = NOW.seconds();
    let times = format!(r#""iat":{},"exp":{}"#, now - 60, now + 600);
    let text = format!(r#"{{"iss":"https://id.example","aud":"https://mcp.example",{times},{claims}}}"#);
    suppose(text.as_bytes(), &rules, NOW).expect(&text)
}

/// What requests say beside their message.
pub(in crate::policy) fn facts() -> RequestFacts<'static> {
    static ZONE: LazyLock<TimeZone> = LazyLock::new(|| TimeZone::UTC);
    RequestFacts { now: NOW, ip: Some([10, 1, 2, 3].into()), zone: &ZONE, revision: None }
}

/// Reads the call of `tool` with `arguments`, an object, and hands it to `then`.
pub(in crate::policy) fn calling<T>(tool: &str, arguments: &str, then: impl FnOnce(&mcp::Operation<'_>) -> T) -> T {
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
    );
    let document = Document::parse(text.as_bytes(), Limits { depth: 64, nodes: 100_000 }).expect(&text);
    let message = mcp::parse(&document, &Headers::default()).map_err(|fault| fault.error).expect(&text);
    then(message.operation())
}
