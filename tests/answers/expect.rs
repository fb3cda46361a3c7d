//! What a row expects: an answer, and what differs in it from row to row. The answers themselves are in `table.rs`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use toolgate::decision::denial::Reason;

use crate::support::envoy::{Ask, CALLER, REQUEST_ID};
use crate::support::people::{ANN, Who};

/// Stands for the decision's id.
pub(super) const ID: &str = "<id>";
/// Stands for the address of the server's metadata.
pub(super) const METADATA: &str = "<metadata>";

/// One request and the whole answer to it.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) ask: Ask,
    pub(super) answer: Answer,
}

pub(super) fn row(name: impl Into<String>, ask: Ask, answer: Answer) -> Row {
    Row { name: name.into(), ask, answer }
}

/// An answer, and what is said about it elsewhere.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) reason: Reason,
    /// The HTTP status; none lets the request pass.
    status: Option<u16>,
    headers: Vec<(String, String)>,
    /// Names of headers that do not pass.
    removed: Vec<String>,
    body: Body,
    detail: Option<String>,
    server: Option<&'static str>,
    who: Option<Who>,
    asked: Vec<(String, String)>,
    policies: Vec<&'static str>,
    errors: Vec<&'static str>,
    shadow: Option<Value>,
    values: Value,
    source: Option<&'static str>,
    /// In place of the request's own.
    request: Option<(&'static str, &'static str)>,
    trace: Option<&'static str>,
}

#[derive(Clone)]
pub(super) enum Body {
    None,
    Text(String),
    /// A JSON-RPC error: id, code, message, and members of `data` besides those that every one has.
    Rpc {
        id: Option<String>,
        code: i32,
        message: String,
        more: String,
    },
}

// ---- the forms that answers have ----

pub(super) fn answer(reason: Reason, status: u16, body: Body) -> Answer {
    Answer {
        reason,
        status: Some(status),
        headers: Vec::new(),
        removed: Vec::new(),
        body,
        detail: None,
        server: Some("the one that was asked for"),
        who: None,
        asked: Vec::new(),
        policies: Vec::new(),
        errors: Vec::new(),
        shadow: None,
        values: json!({}),
        source: Some(CALLER),
        request: None,
        trace: None,
    }
}

/// No answer at all: the request goes to its server.
pub(super) fn passes(reason: Reason) -> Answer {
    Answer { status: None, ..answer(reason, 200, Body::None) }
}

pub(super) fn no_store(reason: Reason, status: u16, body: Body) -> Answer {
    answer(reason, status, body).header("cache-control", "no-store")
}

pub(super) fn oauth(reason: Reason, status: u16, error: &str, description: &str, challenge: &str) -> Answer {
    let body = format!(r#"{{"error":"{error}","error_description":"{description}"}}"#);
    no_store(reason, status, Body::Text(body))
        .header("content-type", "application/json")
        .header("www-authenticate", challenge)
}

pub(super) fn rpc(reason: Reason, status: u16, id: Option<&str>, code: i32, message: &str) -> Answer {
    let (id, message, more) = (id.map(str::to_owned), message.to_owned(), String::new());
    no_store(reason, status, Body::Rpc { id, code, message, more }).header("content-type", "application/json")
}

pub(super) fn in_message(reason: Reason, message: &str) -> Answer {
    rpc(reason, 200, Some("1"), 403, message).who(ANN)
}

// ---- what differs from row to row ----

impl Answer {
    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Readable by a page of this origin.
    pub(super) fn readable_by(self, origin: &str) -> Self {
        self.header("vary", "Origin")
            .header("access-control-allow-origin", origin)
            .header("access-control-expose-headers", "WWW-Authenticate, Mcp-Session-Id, DPoP-Nonce")
    }

    /// These headers do not pass, besides those that never do.
    pub(super) fn removes(mut self, names: &[&str]) -> Self {
        self.removed.extend(names.iter().map(|name| (*name).to_owned()));
        self
    }

    pub(super) fn detail(mut self, detail: &str) -> Self {
        self.detail = Some(detail.to_owned());
        self
    }

    /// The request reached no server.
    pub(super) fn no_server(mut self) -> Self {
        self.server = None;
        self
    }

    /// The request reached another server than it seems to ask for.
    pub(super) fn server(mut self, server: &'static str) -> Self {
        self.server = Some(server);
        self
    }

    pub(super) fn who(mut self, who: Who) -> Self {
        self.who = Some(who);
        self
    }

    /// Nobody is known to have asked.
    pub(super) fn nobody(mut self) -> Self {
        self.who = None;
        self
    }

    pub(super) fn policies(mut self, policies: &[&'static str]) -> Self {
        self.policies = policies.to_vec();
        self
    }

    /// What shadow policies would have made of it.
    pub(super) fn shadow(mut self, shadow: Value) -> Self {
        self.shadow = Some(shadow);
        self
    }

    /// What policies read, as it is on record.
    pub(super) fn values(mut self, values: Value) -> Self {
        self.values = values;
        self
    }

    pub(super) fn errors(mut self, errors: &[&'static str]) -> Self {
        self.errors = errors.to_vec();
        self
    }

    /// The policies were asked about this action on this resource.
    pub(super) fn on(mut self, action: &str, resource: &str) -> Self {
        self.asked.push((format!("Action::\"{action}\""), resource.to_owned()));
        self
    }

    /// The policies were asked about the call of this tool, `weather:get_forecast`.
    pub(super) fn tool(self, id: &str) -> Self {
        self.on(id, &format!("Tool::\"{id}\""))
    }

    /// The answer is the HTTP status.
    pub(super) fn by_status(mut self) -> Self {
        self.status = Some(if self.reason == Reason::MethodUnknown { 404 } else { 403 });
        self
    }

    /// The answer carries this id, as JSON.
    pub(super) fn id(mut self, text: &str) -> Self {
        let Body::Rpc { id, .. } = &mut self.body else { panic!("no JSON-RPC answer") };
        *id = Some(text.to_owned());
        self
    }

    /// The answer carries no id.
    pub(super) fn no_id(mut self) -> Self {
        let Body::Rpc { id, .. } = &mut self.body else { panic!("no JSON-RPC answer") };
        *id = None;
        self
    }

    pub(super) fn advice(self, advice: &str) -> Self {
        self.more(&format!(r#""advice":"{advice}""#))
    }

    /// With further members of `data`.
    pub(super) fn more(mut self, members: &str) -> Self {
        let Body::Rpc { more, .. } = &mut self.body else { panic!("no JSON-RPC answer") };
        *more = format!(",{members}");
        self
    }

    /// The caller's address on record.
    pub(super) fn source(mut self, source: Option<&'static str>) -> Self {
        self.source = source;
        self
    }

    /// The method and the id of the request on record.
    pub(super) fn request(mut self, method: &'static str, id: &'static str) -> Self {
        self.request = Some((method, id));
        self
    }

    pub(super) fn trace(mut self, trace: &'static str) -> Self {
        self.trace = Some(trace);
        self
    }

    /// Everything that is said to and about `ask`, as text. `on_record` is false if nothing can be recorded.
    pub(super) fn whole(&self, ask: &Ask, digest: &str, on_record: bool) -> String {
        let server = self.server.map(|server| if server.contains(' ') { ask.server } else { server });
        let (code, message) = if self.status.is_some() { (7, self.reason.as_str()) } else { (0, "") };
        let mut lines = vec![format!("grpc {code} {message}"), format!("http {:?}", self.status)];
        let (mut headers, mut removed) = self.on_the_way_up(server);
        let url = server.map_or("", metadata_url);
        headers.extend(self.headers.iter().map(|(name, value)| format!("{name}: {}", value.replace(METADATA, url))));
        headers.sort();
        removed.sort();
        lines.extend(headers);
        lines.extend(removed.iter().map(|name| format!("remove {name}")));
        lines.push(format!("body {}", self.body_text()));
        lines.push(format!("metadata {}", self.metadata(digest)));
        if on_record {
            lines.push(format!("record {}", self.record(ask, server, digest)));
        }
        lines.join("\n")
    }

    /// The headers that are set and removed for an allowed request.
    fn on_the_way_up(&self, server: Option<&str>) -> (Vec<String>, Vec<String>) {
        let (None, Some(who)) = (self.status, self.who) else { return (Vec::new(), self.removed.clone()) };
        let names = [
            ("subject", who.subject),
            ("issuer", Some(who.issuer_url)),
            ("client", Some(who.client)),
            ("scopes", who.scopes),
            ("decision-id", Some(ID)),
        ];
        let (mut headers, mut removed) = (Vec::new(), self.removed.clone());
        for (name, value) in names {
            match value {
                Some(value) => headers.push(format!("x-toolgate-{name}: {value}")),
                None => removed.push(format!("x-toolgate-{name}")),
            }
        }
        removed.extend(["x-http-method-override", "x-http-method", "x-method-override"].map(str::to_owned));
        if server != Some("bank") {
            removed.extend(["authorization", "dpop"].map(str::to_owned));
        }
        (headers, removed)
    }

    fn body_text(&self) -> String {
        match &self.body {
            Body::None => String::new(),
            Body::Text(text) => text.clone(),
            Body::Rpc { id, code, message, more } => {
                let id = id.as_ref().map_or(String::new(), |id| format!(r#""id":{id},"#));
                let data = format!(r#"{{"decision_id":"{ID}","reason":"{}"{more}}}"#, self.reason.as_str());
                format!(r#"{{"jsonrpc":"2.0",{id}"error":{{"code":{code},"message":"{message}","data":{data}}}}}"#)
            }
        }
    }

    fn decision(&self) -> &'static str {
        if self.status.is_some() { "deny" } else { "allow" }
    }

    fn metadata(&self, digest: &str) -> String {
        let mut fields = json!({
            "decision_id": ID, "decision": self.decision(), "reason": self.reason.as_str(),
            "policies": self.policies, "generation": 1.0, "digest": digest,
        });
        if let Some(who) = self.who {
            fields["principal"] = who.principal.into();
        }
        if let Some((action, resource)) = self.asked.first() {
            fields["action"] = action.as_str().into();
            fields["resource"] = resource.as_str().into();
        }
        sorted_json(&fields)
    }

    fn record(&self, ask: &Ask, server: Option<&str>, digest: &str) -> String {
        let (method, id) = self.request.unwrap_or((ask.method, REQUEST_ID));
        let (actions, resources): (Vec<&String>, Vec<&String>) = self.asked.iter().map(|(a, r)| (a, r)).unzip();
        let mut record = json!({
            "kind": "decision", "time": "2026-11-22T12:00:00.000Z", "decision_id": ID, "generation": 1, "digest": digest,
            "decision": self.decision(), "reason": self.reason.as_str(), "method": method, "actions": actions,
            "resources": resources, "policies": self.policies, "errors": self.errors, "values": self.values,
            "request_id": id,
        });
        let who = self.who;
        let optional = [
            ("detail", self.detail.as_deref()),
            ("server", server),
            ("principal", who.map(|who| who.principal)),
            ("issuer", who.map(|who| who.issuer)),
            ("client", who.map(|who| who.client)),
            ("token", who.map(|_| "<fingerprint>")),
            ("source", self.source),
            ("trace_id", self.trace),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                record[name] = value.into();
            }
        }
        if let Some(status) = self.status {
            record["status"] = status.into();
        }
        if let Some(shadow) = &self.shadow {
            record["shadow"] = shadow.clone();
        }
        sorted_json(&record)
    }
}

/// The text of `value` with its members in order.
pub(super) fn sorted_json(value: &Value) -> String {
    let Value::Object(members) = value else { return value.to_string() };
    let members: BTreeMap<String, String> =
        members.iter().map(|(name, value)| (Value::from(name.as_str()).to_string(), sorted_json(value))).collect();
    let members: Vec<String> = members.into_iter().map(|(name, value)| format!("{name}:{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn metadata_url(server: &str) -> &'static str {
    match server {
        "weather" => "https://mcp.example.com/.well-known/oauth-protected-resource/weather",
        "bank" => "https://mcp.example.com/.well-known/oauth-protected-resource/bank",
        "vault" => "https://mcp.example.com/.well-known/oauth-protected-resource/vault",
        "safe" => "https://mcp.example.com/.well-known/oauth-protected-resource/safe",
        "wire" => "https://mcp.example.com/.well-known/oauth-protected-resource/wire",
        "desk" => "https://mcp.example.com/.well-known/oauth-protected-resource/desk",
        "notes" => "https://notes.example.com/.well-known/oauth-protected-resource",
        other => panic!("{other}"),
    }
}
