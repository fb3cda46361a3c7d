//! From files to one validated generation. Every problem of all of them comes out together.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use cedar_policy::Entities;

use crate::audit::{OtlpAccess, Signer, SubjectKey};
use crate::config::{Config, IssuerConfig, KeySource, Matching, ServerConfig, parse, revocations};
use crate::decision::Rules;
use crate::decision::server::{Server, WELL_KNOWN};
use crate::issuer::Credential;
use crate::json::Limits;
use crate::policy::Engine;
use crate::policy::bundle::Bundle;
use crate::policy::catalog::Catalog;
use crate::policy::model::{Maker, MissingAction, ServerModel};
use crate::policy::parts::Parts;
use crate::policy::schema::{SchemaInput, ServerSchema, schema};
use crate::policy::subject::ScopeHierarchy;
use crate::problem::{Problem, Source};
use crate::reload::credentials::{audit_key, check_servers, credentials, nonces, otlp_access, subject_key};
use crate::reload::disclosure::check_paths;
use crate::reload::files::{FileReader, Folder, PolicyFolder};
use crate::reload::gather::Gathered;
use crate::reload::overlays::overlay;
use crate::reload::policies::bundle;
use crate::token::{ClaimType, DpopRules, KeySet, Nonces, Revocations, SenderRules};

/// What a configuration and the files that it names amount to.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration itself.
    pub config: Config,
    /// The validated rules.
    pub rules: Rules,
    /// The key sets that are files, by issuer.
    pub keys: HashMap<String, KeySet>,
    /// What issuers are asked with about opaque tokens, by issuer.
    pub credentials: HashMap<String, Credential>,
    /// What checkpoints of the audit trail are signed with.
    pub audit_key: Option<Arc<Signer>>,
    /// What principals are hashed with in the audit trail.
    pub subject_key: Option<SubjectKey>,
    /// What the collector of the audit trail is called with.
    pub otlp_access: OtlpAccess,
    /// The scope hierarchies, by issuer.
    pub hierarchies: HashMap<String, Arc<ScopeHierarchy>>,
    /// The schema that the policies were checked against.
    pub schema: String,
    /// The folders whose change may change the rules.
    pub folders: Vec<Folder>,
    /// What loads, but is probably not meant.
    pub warnings: Vec<Problem>,
}

/// A failure to load: what is wrong, and the digest of what was read, so that the same files are not tried again.
#[derive(Debug)]
pub struct LoadFailure {
    /// All problems.
    pub problems: Vec<Problem>,
    /// Digest of the content that was read.
    pub digest: String,
}

/// Loads the configuration at `path` as the first generation.
///
/// # Errors
/// [`LoadFailure`] with every problem in the configuration and in the files it names.
pub fn load(path: &Path) -> Result<Loaded, LoadFailure> {
    Gathered::look(path).load(1)
}

/// The text of every file of one generation.
#[derive(Debug)]
pub(super) struct Files {
    source: Source,
    config: Config,
    /// By issuer.
    keys: HashMap<String, Source>,
    /// By issuer.
    credentials: HashMap<String, Credential>,
    /// By server.
    catalogs: HashMap<String, Source>,
    policies: PolicyFolder,
    revocations: Option<Source>,
    /// By server.
    nonces: HashMap<String, Nonces>,
    audit_key: Option<Arc<Signer>>,
    subject_key: Option<SubjectKey>,
    otlp_access: OtlpAccess,
}

/// Reads everything; `None` if the configuration cannot be made out, so that the other files are not known.
pub(super) fn read(reader: &mut FileReader, path: &Path) -> Option<Files> {
    let source = reader.text(path, None)?;
    let (config, problems) = parse(&source);
    reader.problems.extend(problems);
    let config = config?.resolved_from(path.parent().unwrap_or(Path::new("")));
    let mut keys = HashMap::new();
    for issuer in &config.issuers {
        if let Some(KeySource::File(path)) = &issuer.keys
            && let Some(text) = reader.text(&path.value, Some((&source, path)))
        {
            keys.insert(issuer.rules.name.clone(), text);
        }
    }
    let credentials = credentials(reader, &source, &config);
    check_servers(reader, &source, &config);
    let mut catalogs = HashMap::new();
    for server in &config.servers {
        if let Some(path) = &server.tools
            && let Some(text) = reader.text(&path.value, Some((&source, path)))
        {
            catalogs.insert(server.name.clone(), text);
        }
    }
    let policies = reader.policies(&source, &config.policies);
    let revocations = config.revocations.as_ref().and_then(|path| reader.text(&path.value, Some((&source, path))));
    let nonces = nonces(reader, &source, &config);
    let audit_key = audit_key(reader, &source, &config);
    let subject_key = subject_key(reader, &source, &config);
    let otlp_access = otlp_access(reader, &source, &config);
    Some(Files {
        source,
        config,
        keys,
        credentials,
        catalogs,
        policies,
        revocations,
        nonces,
        audit_key,
        subject_key,
        otlp_access,
    })
}

/// Parses and validates everything; `None` if there are problems.
pub(super) fn build(reader: &mut FileReader, files: Files, generation: u64, digest: String) -> Option<Loaded> {
    let Files { source, config, keys, credentials, catalogs, policies, revocations, nonces, .. } = files;
    let (audit_key, subject_key, otlp_access) = (files.audit_key, files.subject_key, files.otlp_access);
    let revocations = read_revocations(reader, &config, revocations.as_ref());
    let hint = "it must be a JWK set of public keys (RFC 7517 §5)";
    let keys = parse_each(reader, keys, hint, KeySet::parse);
    let mut catalogs = parse_each(reader, catalogs, "it must be the result of `tools/list`", Catalog::parse);
    overlay(reader, &source, &config, &mut catalogs);
    let known = SchemaInput {
        servers: config.servers.iter().map(|server| server_schema(server, &catalogs)).collect(),
        claims: claims(reader, &source, &config.issuers),
        issuers: config.issuers.iter().map(|issuer| issuer.rules.name.as_str()).collect(),
        groupless: config.issuers.iter().filter_map(groupless).collect(),
        scopes: scopes(&config),
        has_client_address: config.client_address.is_some(),
    };
    check_paths(reader, &source, &config, &catalogs, &known.claims);
    let generated = schema(&known);
    let text = generated.text();
    let mut parts = match Parts::new(&generated.common, generated.tools) {
        Ok(parts) => parts,
        Err(error) => {
            let help = "a name in a tool catalogue cannot be expressed; correct its entry or leave it out";
            let source = Source::new("(generated schema)", text);
            reader.error(&source, format!("the tool catalogues give no valid schema: {error}"), Some(help));
            return None;
        }
    };
    let bundle = bundle(reader, &policies, &mut parts, &known).filter(|_| !reader.has_errors())?;
    let rules = match rules(&config, &catalogs, &nonces, bundle, parts.into_actions(), generation, digest) {
        Ok(rules) => Rules { revocations, ..rules },
        Err(error) => {
            reader.error(&source, error, None);
            return None;
        }
    };
    let hierarchies = config.issuers.iter().map(|issuer| {
        let implies = issuer.implies.iter().cloned().collect();
        (issuer.rules.name.clone(), Arc::new(ScopeHierarchy::new(&implies)))
    });
    let hierarchies = hierarchies.collect();
    let warnings = std::mem::take(&mut reader.problems);
    Some(Loaded {
        config,
        rules,
        keys,
        credentials,
        audit_key,
        subject_key,
        otlp_access,
        hierarchies,
        schema: text,
        folders: reader.folders(),
        warnings,
    })
}

/// Parses each text under its name; what does not parse is a problem of its file.
fn parse_each<T, E: Display>(
    reader: &mut FileReader,
    texts: HashMap<String, Source>,
    help: &str,
    parse: fn(&[u8]) -> Result<T, E>,
) -> HashMap<String, T> {
    let mut parsed = HashMap::new();
    for (name, source) in texts {
        match parse(source.text.as_bytes()) {
            Ok(value) => drop(parsed.insert(name, value)),
            Err(error) => reader.error(&source, error.to_string(), Some(help)),
        }
    }
    parsed
}

/// What is revoked. With problems the list does not count, but then neither does the rest.
fn read_revocations(reader: &mut FileReader, config: &Config, file: Option<&Source>) -> Revocations {
    let Some(file) = file else { return Revocations::default() };
    let issuers: Vec<String> = config.issuers.iter().map(|issuer| issuer.rules.name.clone()).collect();
    let (revocations, problems) = revocations(file, &issuers);
    reader.problems.extend(problems);
    revocations.unwrap_or_default()
}

fn rules(
    config: &Config,
    catalogs: &HashMap<String, Catalog>,
    nonces: &HashMap<String, Nonces>,
    bundle: Bundle,
    actions: Entities,
    generation: u64,
    digest: String,
) -> Result<Rules, String> {
    let mut maker = Maker::new(&bundle, actions);
    let servers = config.servers.iter().map(|server| {
        let model = maker.server(&server.name, catalogs.get(&server.name), &server.methods)?;
        Ok(server_of(server, &config.issuers, nonces.get(&server.name), model))
    });
    let servers = servers.collect::<Result<_, MissingAction>>().map_err(|error| error.to_string())?;
    maker.check().map_err(|error| error.to_string())?;
    Ok(Rules {
        generation,
        digest,
        servers,
        revocations: Revocations::default(),
        engine: Engine::new(bundle, generation),
        client_address: config.client_address,
        zone: config.time_zone.clone(),
        body_limit: config.limits.body,
        token_limit: config.limits.token,
        json_limits: Limits { depth: config.limits.depth, nodes: config.limits.nodes },
    })
}

fn server_of(server: &ServerConfig, issuers: &[IssuerConfig], nonces: Option<&Nonces>, model: ServerModel) -> Server {
    let resource = &server.resource;
    // RFC 9728 §3.1: a slash that follows the host is left out before the suffix is inserted.
    let path = if resource.path == "/" { "" } else { resource.path.as_str() };
    let origin = resource.url.strip_suffix(resource.path.as_str()).unwrap_or(&resource.url);
    Server {
        name: server.name.clone(),
        resource: resource.url.clone(),
        authority: resource.authority.clone(),
        resource_path: path.to_owned(),
        metadata_url: format!("{origin}{WELL_KNOWN}{path}"),
        metadata: metadata(server, issuers),
        paths: server.paths.clone(),
        match_host: server.matching == Matching::Host,
        issuers: server.issuers.clone(),
        scopes_supported: server.scopes_supported.clone(),
        challengeable: challengeable(server).cloned().collect(),
        allowed_origins: server.allowed_origins.clone(),
        denials: server.denials,
        forward_token: server.forward_token,
        accept_text_body: server.accept_text_body,
        sender: sender(server, nonces),
        challenge_held: server.challenge_held,
        end_streams_at_expiry: server.end_streams_at_expiry,
        model,
    }
}

fn sender(server: &ServerConfig, nonces: Option<&Nonces>) -> SenderRules {
    let dpop = server.dpop.as_ref().map(|dpop| DpopRules {
        required: dpop.required,
        algorithms: dpop.algorithms.clone(),
        nonces: nonces.cloned(),
    });
    SenderRules { dpop, mtls: server.mtls }
}

/// The metadata of the protected resource (RFC 9728 §2).
fn metadata(server: &ServerConfig, issuers: &[IssuerConfig]) -> String {
    let trusted = issuers.iter().filter(|issuer| server.issuers.contains(&issuer.rules.name));
    let trusted: Vec<&str> = trusted.map(|issuer| issuer.rules.issuer.as_str()).collect();
    let mut document = serde_json::Map::new();
    let mut say = |name: &str, value: serde_json::Value| drop(document.insert(name.to_owned(), value));
    say("resource", server.resource.url.as_str().into());
    say("authorization_servers", trusted.into());
    say("bearer_methods_supported", vec!["header"].into());
    say("resource_name", server.name.as_str().into());
    // RFC 9728 §3.2: a parameter without elements is left out.
    if !server.scopes_supported.is_empty() {
        say("scopes_supported", server.scopes_supported.clone().into());
    }
    if let Some(dpop) = &server.dpop {
        let algorithms: Vec<&str> = dpop.algorithms.iter().map(|algorithm| algorithm.as_str()).collect();
        say("dpop_signing_alg_values_supported", algorithms.into());
        say("dpop_bound_access_tokens_required", dpop.required.into());
    }
    if server.mtls.is_some() {
        say("tls_client_certificate_bound_access_tokens", true.into());
    }
    serde_json::Value::from(document).to_string()
}

/// The declared claims of all issuers; one name has one type, since a policy does not say whose claim it reads.
fn claims<'a>(reader: &mut FileReader, config: &Source, issuers: &'a [IssuerConfig]) -> Vec<(&'a str, ClaimType)> {
    let mut claims: Vec<(&str, ClaimType)> = Vec::new();
    for rule in issuers.iter().flat_map(|issuer| &issuer.rules.claims) {
        match claims.iter().find(|(name, _)| *name == rule.name) {
            None => claims.push((&rule.name, rule.kind)),
            Some((_, kind)) if *kind == rule.kind => {}
            Some(_) => {
                let message = format!("the claim `{}` has different types at different issuers", rule.name);
                reader.error(config, message, Some("give it one type, or two names"));
            }
        }
    }
    claims
}

/// The issuer's name, if its tokens name no groups.
fn groupless(issuer: &IssuerConfig) -> Option<&str> {
    issuer.rules.groups.is_none().then_some(issuer.rules.name.as_str())
}

/// Every scope that a challenge of the server may name.
fn challengeable(server: &ServerConfig) -> impl Iterator<Item = &String> {
    server.scopes_supported.iter().chain(&server.step_up_scopes)
}

/// Every scope that a policy can name: asked for by a server, or part of a configured hierarchy.
fn scopes(config: &Config) -> BTreeSet<&str> {
    let published = config.servers.iter().flat_map(challengeable);
    let implied = config.issuers.iter().flat_map(|issuer| &issuer.implies);
    let implied = implied.flat_map(|(scope, implied)| std::iter::once(scope).chain(implied));
    published.chain(implied).map(String::as_str).collect()
}

fn server_schema<'a>(server: &'a ServerConfig, catalogs: &'a HashMap<String, Catalog>) -> ServerSchema<'a> {
    ServerSchema { name: &server.name, catalog: catalogs.get(&server.name), methods: &server.methods }
}
