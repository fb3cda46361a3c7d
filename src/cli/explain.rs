//! `toolgate explain`: one decision and why.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::{ConfigFile, Exit, Format, loaded};
use crate::clock::Clock;
use crate::context::{Body, Headers, RequestContext, UnixTime};
use crate::decision::denial::{Denial, Reason};
use crate::decision::server::Server;
use crate::decision::{Around, Caller, Decision, Step, Use, decide};
use crate::json::Document;
use crate::policy::catalog;
use crate::policy::evaluate::Refusal;
use crate::policy::subject::Subject;
use crate::reload::load::Loaded;
use crate::token::{Principal, ProofId, UnverifiedToken, suppose, verify};

pub(super) const EXAMPLE: &str = r#"Example:
  echo '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast","arguments":{"days":9}}}' > call.json
  echo '{"iss":"https://id.example.com","sub":"ada","client_id":"cli","scope":"weather:read"}' > ada.json
  toolgate explain -c toolgate.yaml --server weather --claims ada.json --message call.json

Claims that a token must have and the file lacks (iss, aud, exp, iat) are taken as valid now.

Exit codes: 0 allow, 2 deny, 3 invalid configuration or input."#;

#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    #[command(flatten)]
    file: ConfigFile,
    /// The server that the message is for
    #[arg(long)]
    server: String,
    #[command(flatten)]
    who: Who,
    /// The JSON-RPC message
    #[arg(long, value_name = "FILE")]
    message: PathBuf,
    /// A request header, `name: value`; may be repeated. Those that MCP requires are sent anyway
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Who {
    /// A JSON file of token claims, taken as if they were verified
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
    /// A token, verified with the issuer's key file
    #[arg(long)]
    token: Option<String>,
}

impl Explain {
    pub(super) fn run(self) -> Exit {
        let loaded = match loaded(&self.file.config) {
            Ok(loaded) => loaded,
            Err(exit) => return exit,
        };
        match self.decide(&loaded) {
            Ok(decision) => self.print(&decision),
            Err(message) => {
                eprintln!("toolgate explain: {message}");
                Exit::Invalid
            }
        }
    }

    fn decide(&self, loaded: &Loaded) -> Result<Decision, String> {
        let names = || loaded.rules.servers.iter().map(|server| server.name.as_str()).collect::<Vec<_>>().join(", ");
        let server = loaded.rules.servers.iter().find(|server| server.name == self.server);
        let server = server.ok_or_else(|| format!("there is no server `{}`; there are: {}", self.server, names()))?;
        let now = Clock::System.now();
        let caller = self.caller(loaded, server, now)?;
        let message = read(&self.message)?;
        let mut headers = client_headers(&message);
        for header in &self.headers {
            let (name, value) = header.split_once(':').ok_or_else(|| format!("`{header}` is not `name: value`"))?;
            headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name.trim().as_bytes()));
            headers.push((
                Bytes::copy_from_slice(name.trim().as_bytes()),
                Bytes::copy_from_slice(value.trim().as_bytes()),
            ));
        }
        let context = RequestContext {
            server: Some(Bytes::copy_from_slice(server.name.as_bytes())),
            method: Bytes::from_static(b"POST"),
            body: Body::Complete(Bytes::from(message)),
            headers: Headers::new(headers),
            ..RequestContext::unread()
        };
        Ok(decide(&loaded.rules, server, &context, None, &caller, now, &mut Nothing))
    }

    fn caller(&self, loaded: &Loaded, server: &Server, now: UnixTime) -> Result<Caller, String> {
        let principal = match (&self.who.claims, &self.who.token) {
            (Some(path), _) => supposed(&read(path)?, loaded, server, now)?,
            (None, Some(token)) => verified(token, loaded, server, now)?,
            (None, None) => return Err("give --claims or --token".to_owned()),
        };
        let hierarchy = loaded.hierarchies.get(principal.issuer_name()).cloned().unwrap_or_default();
        let principal = Arc::new(principal);
        let subject = Subject::new(principal.clone(), &hierarchy).map_err(|error| error.to_string())?;
        Ok(Caller { principal, subject, hierarchy: Arc::clone(&hierarchy) })
    }

    fn print(&self, decision: &Decision) -> Exit {
        let exit = if decision.verdict.is_ok() { Exit::Success } else { Exit::Deny };
        match self.format {
            Format::Json => println!("{:#}", json(decision)),
            Format::Text => print!("{}", text(decision)),
        }
        exit
    }
}

/// Nobody times an explanation, and nobody sends a proof with one.
struct Nothing;

impl Around for Nothing {
    fn lap(&mut self, _: Step) {}

    fn first_use(&mut self, _: ProofId) -> Use {
        Use::Untold
    }
}

/// The headers that a client sends with `message`: from 2026-07-28 on they repeat the body (SEP-2243).
fn client_headers(message: &[u8]) -> Vec<(Bytes, Bytes)> {
    let mut headers = vec![(Bytes::from_static(b"content-type"), Bytes::from_static(b"application/json"))];
    let Ok(document) = Document::parse(message, catalog::LIMITS) else { return headers };
    let root = document.root();
    let text = |pointer: &str| root.pointer(pointer).and_then(|value| value.as_str());
    if let Some(version) = text("/params/_meta/io.modelcontextprotocol~1protocolVersion") {
        let name = ["/params/name", "/params/uri", "/params/taskId"].into_iter().find_map(text);
        let own = [("mcp-protocol-version", Some(version)), ("mcp-method", text("/method")), ("mcp-name", name)];
        for (name, value) in own.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            headers.push((Bytes::from_static(name.as_bytes()), Bytes::copy_from_slice(value.as_bytes())));
        }
    }
    headers
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}

/// The caller of unverified claims: of the issuer that they name, or of the server's only one.
fn supposed(claims: &[u8], loaded: &Loaded, server: &Server, now: UnixTime) -> Result<Principal, String> {
    let own = || loaded.config.issuers.iter().filter(|issuer| server.issuers.contains(&issuer.rules.name));
    let mut last = "the server has no issuer".to_owned();
    for issuer in own() {
        let claims = completed(claims, &issuer.rules.issuer, &server.resource, now)?;
        match suppose(claims.as_bytes(), &issuer.rules, now) {
            Ok(principal) => return Ok(principal),
            Err(error) => last = error.to_string(),
        }
    }
    Err(format!("the claims are no caller of this server: {last}"))
}

/// The claims with those added that every token has and that say nothing about its caller.
fn completed(claims: &[u8], issuer: &str, resource: &str, now: UnixTime) -> Result<String, String> {
    let document = Document::parse(claims, catalog::LIMITS)
        .map_err(|error| format!("the claims are not acceptable JSON: {error}"))?;
    let root = document.root();
    let inside = root.raw().strip_prefix('{').ok_or("the claims are not a JSON object")?;
    let defaults = [
        ("iss", serde_json::json!(issuer)),
        ("aud", serde_json::json!(resource)),
        ("iat", serde_json::json!(now.seconds())),
        ("exp", serde_json::json!(now.seconds() + SUPPOSED_LIFETIME_SECONDS)),
    ];
    let missing = defaults.iter().filter(|(name, _)| root.get(name).is_none());
    let mut members: Vec<String> = missing.map(|(name, value)| format!("\"{name}\":{value}")).collect();
    if root.is_empty() {
        return Ok(format!("{{{}}}", members.join(",")));
    }
    members.push(inside.trim_start().to_owned());
    Ok(format!("{{{}", members.join(",")))
}

/// How long a supposed token lives: longer than the decision takes.
const SUPPOSED_LIFETIME_SECONDS: i64 = 3600;

fn verified(token: &str, loaded: &Loaded, server: &Server, now: UnixTime) -> Result<Principal, String> {
    let parsed = UnverifiedToken::parse(token).map_err(|error| error.to_string())?;
    let mut own = loaded.config.issuers.iter().filter(|issuer| server.issuers.contains(&issuer.rules.name));
    let issuer = own.find(|issuer| issuer.rules.issuer == parsed.issuer());
    let rules = &issuer.ok_or("the token's issuer is not one of this server's")?.rules;
    let keys = loaded.keys.get(&rules.name).ok_or("the issuer's keys are not a file; use --claims")?;
    verify(&parsed, rules, keys, now).map_err(|error| error.to_string())
}

fn json(decision: &Decision) -> serde_json::Value {
    let ids = |ids: &[Arc<str>]| ids.iter().map(|id| id.to_string()).collect::<Vec<_>>();
    let targets: Vec<_> = decision
        .targets
        .iter()
        .map(|target| serde_json::json!({ "action": &*target.action, "resource": &*target.resource }))
        .collect();
    serde_json::json!({
        "decision": if decision.verdict.is_ok() { "allow" } else { "deny" },
        "reason": decision.reason().as_str(),
        "detail": decision.verdict.as_ref().err().and_then(Denial::detail),
        "targets": targets,
        "policies": ids(&decision.determining),
        "errors": ids(&decision.erring),
        "advice": advice(decision),
        "scopes": scopes(decision),
    })
}

fn scopes(decision: &Decision) -> Option<&[String]> {
    if let Err(Denial::Policy(Refusal::ScopeInsufficient { scopes })) = &decision.verdict { Some(scopes) } else { None }
}

fn advice(decision: &Decision) -> Option<&str> {
    if let Err(Denial::Policy(Refusal::Denied { advice })) = &decision.verdict { advice.as_deref() } else { None }
}

fn text(decision: &Decision) -> String {
    let mut lines = vec![match &decision.verdict {
        Ok(_) => "allow".to_owned(),
        Err(denial) => format!("deny: {}", denial.reason().as_str()),
    }];
    for target in &decision.targets {
        lines.push(format!("  asked     {} on {}", target.action, target.resource));
    }
    lines.extend(decision.determining.iter().map(|id| format!("  decided   {id}")));
    lines.extend(decision.erring.iter().map(|id| format!("  in error  {id}")));
    // The policies spoke, and none of them said yes.
    let by_default = matches!(decision.reason(), Reason::PolicyDenied | Reason::ScopeInsufficient);
    if by_default && decision.determining.is_empty() {
        lines.push("  decided   no policy permits it".to_owned());
    }
    lines.extend(advice(decision).map(|advice| format!("  advice    {advice}")));
    match (scopes(decision), &decision.verdict) {
        (Some(scopes), _) => lines.push(format!("  cured by  scopes {}", scopes.join(" "))),
        (None, Err(denial)) => lines.extend(denial.detail().map(|detail| format!("  because   {detail}"))),
        (None, Ok(_)) => {}
    }
    lines.join("\n") + "\n"
}
