//! `servers`: the MCP servers behind the gate.

use std::path::PathBuf;

use super::reader::{Fault, Field, Section, Seen};
use super::sender;
use super::sender::DpopConfig;
pub use super::values::Resource;
use super::values::{self, quoted};
use super::{Names, Spanned, path};
use crate::decision::server::Denials;
use crate::policy::overlay::Overlay;
use crate::token::MtlsRules;

/// One MCP server.
#[derive(Debug)]
pub struct ServerConfig {
    /// Its name in entity ids and in the route's context extension `toolgate.server`.
    pub name: String,
    /// Its public URL.
    pub resource: Resource,
    /// The request paths that reach it, compared exactly, without query; at least one.
    pub paths: Vec<String>,
    /// What chooses it.
    pub matching: Matching,
    /// The names of the issuers whose tokens it takes; at least one.
    pub issuers: Vec<String>,
    /// The file with its tool catalogue; without one, policies see no arguments.
    pub tools: Option<Spanned<PathBuf>>,
    /// How arguments are read other than the catalogue says.
    pub overlays: Vec<OverlayConfig>,
    /// The scopes that its metadata publishes and a client without a token is told to ask for.
    pub scopes_supported: Vec<String>,
    /// The scopes that, beside those, a challenge for more scopes may name.
    pub step_up_scopes: Vec<String>,
    /// The values of `Origin` that it accepts, compared exactly.
    pub allowed_origins: Vec<String>,
    /// The form of a policy's denial.
    pub denials: Denials,
    /// Whether the caller's token goes to it. Default: no.
    pub forward_token: bool,
    /// Whether Envoy's text form of a body is accepted. Default: no.
    pub accept_text_body: bool,
    /// How it takes tokens that are bound to a key; without it, it takes none.
    pub dpop: Option<DpopConfig>,
    /// How it takes tokens that are bound to a client certificate; without it, it takes none.
    pub mtls: Option<MtlsRules>,
    /// Whether a challenge repeats the scopes that the caller already has. Default: yes.
    pub challenge_held: bool,
    /// Whether a stream ends with the token that opened it. Default: no.
    pub end_streams_at_expiry: bool,
    /// JSON-RPC methods to admit beside those of MCP.
    pub methods: Vec<String>,
}

/// What chooses a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matching {
    /// The route's context extension or the listener, neither of which a client can set.
    Extension,
    /// Also the request's host.
    Host,
}

/// An argument that policies read in a special way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayConfig {
    /// The tool, or `*` for each that has the argument.
    pub tool: Spanned<String>,
    /// The argument.
    pub argument: Spanned<String>,
    /// The way.
    pub overlay: Overlay,
}

/// What must differ between servers.
#[derive(Debug, Default)]
pub(super) struct Distinct {
    names: Seen,
    resources: Seen,
    /// Host and path of the servers that are chosen by them.
    routes: Seen,
}

pub(super) fn server(field: &Field<'_>, names: &Names, distinct: &mut Distinct) -> Option<ServerConfig> {
    field.section(|section| {
        let name = section.required("name", |field| {
            let name = field.read(values::name)?;
            field.distinct(&mut distinct.names, name.clone());
            Some(name)
        });
        let matching = section.optional("match", |field| field.choice(&MATCHING)).unwrap_or(Matching::Extension);
        let route = route(section, matching, distinct);
        let issuers = section.required("issuers", |field| field.filled()?.texts(|text| names.issuer(text)));
        let tools = section.optional("tools", path);
        let overlays = section.optional("arguments", overlays).unwrap_or_default();
        let scopes_supported =
            section.optional("scopes_supported", |field| field.texts(published_scope)).unwrap_or_default();
        let step_up_scopes =
            section.optional("step_up_scopes", |field| field.texts(|text| further_scope(text, &scopes_supported)));
        let allowed_origins = section.optional("allowed_origins", |field| field.texts(values::origin));
        let methods = section.optional("methods", |field| field.texts(method));
        let denials = section.optional("denials", |field| field.choice(&DENIALS)).unwrap_or(Denials::Auto);
        let mut flag = |key, default| section.optional(key, Field::flag).unwrap_or(default);
        let forward_token = flag("forward_token", false);
        let accept_text_body = flag("accept_text_body", false);
        let challenge_held = flag("challenge_held", true);
        let end_streams_at_expiry = flag("end_streams_at_expiry", false);
        let dpop = section.optional("dpop", |field| field.section(sender::dpop));
        let mtls = section.optional("mtls", |field| field.section(sender::mtls));
        let (resource, paths) = route?;
        Some(ServerConfig {
            name: name?,
            resource,
            paths,
            matching,
            issuers: issuers?,
            tools,
            overlays,
            scopes_supported,
            step_up_scopes: step_up_scopes.unwrap_or_default(),
            allowed_origins: allowed_origins.unwrap_or_default(),
            denials,
            forward_token,
            accept_text_body,
            dpop,
            mtls,
            challenge_held,
            end_streams_at_expiry,
            methods: methods.unwrap_or_default(),
        })
    })
}

/// `resource` and `paths`: what a request for this server looks like.
fn route(
    section: &mut Section<'_, '_>,
    matching: Matching,
    distinct: &mut Distinct,
) -> Option<(Resource, Vec<String>)> {
    let default_path = section.present(&["paths"]).is_empty();
    // Two servers chosen by host must not share an address. The others are told apart by the route or the listener.
    let mut claim = |field: &Field<'_>, authority: &str, path: &str| {
        if matching == Matching::Host {
            field.distinct(&mut distinct.routes, format!("{authority}{path}"));
        }
    };
    let resource = section.required("resource", |field| {
        let resource = field.read(values::resource)?;
        let new = field.distinct(&mut distinct.resources, format!("{}{}", resource.authority, resource.path));
        if new && default_path {
            claim(field, &resource.authority, &resource.path);
        }
        Some(resource)
    });
    let mut seen = Seen::default();
    let paths = section.optional("paths", |field| {
        field.filled()?.items(|item| {
            let path = item.read(values::path)?;
            if let (true, Some(resource)) = (item.distinct(&mut seen, path.clone()), &resource) {
                claim(item, &resource.authority, &path);
            }
            Some(path)
        })
    });
    let resource = resource?;
    let paths = paths.unwrap_or_else(|| vec![resource.path.clone()]);
    Some((resource, paths))
}

const MATCHING: [(&str, Matching); 2] = [("extension", Matching::Extension), ("host", Matching::Host)];

const DENIALS: [(&str, Denials); 3] = [("auto", Denials::Auto), ("http", Denials::Http), ("jsonrpc", Denials::JsonRpc)];

const OVERLAYS: [(&str, Overlay); 3] = [
    (Overlay::Long.as_str(), Overlay::Long),
    (Overlay::Path.as_str(), Overlay::Path),
    (Overlay::Url.as_str(), Overlay::Url),
];

fn overlays(field: &Field<'_>) -> Option<Vec<OverlayConfig>> {
    let tools = field.entries(|tool, arguments| {
        arguments.entries(|argument, field| {
            let overlay = field.choice(&OVERLAYS)?;
            Some(OverlayConfig { tool: tool.to_owned(), argument: argument.to_owned(), overlay })
        })
    });
    Some(tools?.into_iter().flatten().collect())
}

/// A scope that clients are told to ask for; which is never `offline_access`: whether a client may outlive its user's
/// session is between it and the authorization server (MCP 2026-07-28, authorization, Refresh Tokens).
fn published_scope(text: &str) -> Result<String, Fault> {
    if text == "offline_access" {
        return Err(Fault::new(
            "cannot be `offline_access`",
            "remove it: a client that wants refresh tokens asks for it unprompted",
        ));
    }
    values::scope(text)
}

/// A scope that clients are told to ask for when they need it, which those `published` are told of from the start.
fn further_scope(text: &str, published: &[String]) -> Result<String, Fault> {
    let scope = published_scope(text)?;
    if published.contains(&scope) {
        return Err(Fault::new("is in `scopes_supported` as well", "remove it from one of the two lists"));
    }
    Ok(scope)
}

/// Names of groups of actions, which a method would fall together with.
const ACTION_GROUPS: [&str; 3] = ["mcp", "session", "tools/call"];

/// Every method of every revision, and the verbs that stand for what has no method.
const KNOWN_METHODS: [&str; 27] = [
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/initialized",
    "notifications/progress",
    "notifications/roots/list_changed",
    "notifications/tasks/status",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "server/discover",
    "session/end",
    "session/response",
    "session/stream",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tasks/update",
    "tools/list",
];

/// A further JSON-RPC method, which becomes an action of that name.
fn method(text: &str) -> Result<String, Fault> {
    const HELP: &str = "list only methods that MCP does not have; policies decide about all others without a list";
    let what = if ACTION_GROUPS.contains(&text) {
        "is the name of a group of actions"
    } else if KNOWN_METHODS.contains(&text) {
        "is a method of MCP already"
    } else if text.contains(':') {
        "has a colon, which separates a server from its tool in the names of actions"
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        "has a space, a control character or a character outside ASCII"
    } else {
        return Ok(text.to_owned());
    };
    Err(Fault::new(format!("cannot be {}: it {what}", quoted(text)), HELP))
}
