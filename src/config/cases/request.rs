//! What is asked: a tool, a prompt, a resource, a task, another method, or a message word for word.

use crate::config::reader::{Fault, Field, Section, string};
use crate::mcp::{ResourceMethod, SessionMethod, TaskMethod};

/// A request as it would be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseRequest {
    /// The HTTP method.
    pub method: &'static str,
    /// The body.
    pub body: Option<String>,
}

/// The keys that say what is asked, each with the one that may stand beside it.
const TARGETS: [(&str, Option<&str>); 6] = [
    ("tool", Some("arguments")),
    ("prompt", None),
    ("resource", Some("method")),
    ("task", Some("method")),
    ("message", None),
    ("method", Some("params")),
];

const KEYS: [&str; 8] = ["tool", "arguments", "prompt", "resource", "task", "message", "method", "params"];

/// Reads what the case asks.
pub(super) fn request(section: &mut Section<'_, '_>) -> Option<CaseRequest> {
    section.know(&KEYS);
    match target(section)? {
        "tool" => {
            let name = section.optional("tool", text);
            let arguments = section.optional("arguments", object);
            let arguments = arguments.map(|json| format!(",\"arguments\":{json}")).unwrap_or_default();
            Some(call("tools/call", &format!("{{\"name\":{}{arguments}}}", name?)))
        }
        "prompt" => Some(call("prompts/get", &format!("{{\"name\":{}}}", section.optional("prompt", text)?))),
        "resource" => {
            let choices: Vec<_> = ResourceMethod::ALL.iter().map(|method| (method.as_str(), *method)).collect();
            let method = section.optional("method", |field| field.choice(&choices)).unwrap_or(ResourceMethod::Read);
            Some(call(method.as_str(), &format!("{{\"uri\":{}}}", section.optional("resource", text)?)))
        }
        "task" => {
            let choices: Vec<_> = TaskMethod::ALL.iter().map(|method| (method.as_str(), *method)).collect();
            let method = section.optional("method", |field| field.choice(&choices)).unwrap_or(TaskMethod::Get);
            Some(call(method.as_str(), &format!("{{\"taskId\":{}}}", section.optional("task", text)?)))
        }
        "message" => section.optional("message", |field| {
            let verbatim = if field.is_mapping() { field.json() } else { field.text().map(str::to_owned) };
            verbatim.map(post)
        }),
        _ => {
            let params = section.optional("params", object);
            section.optional("method", |field| Some(plain(field.text()?, params.as_deref())))
        }
    }
}

/// The key of [`TARGETS`] that counts; whatever does not go with it is a problem.
fn target(section: &Section<'_, '_>) -> Option<&'static str> {
    let present = section.present(&KEYS);
    let Some((target, beside)) = TARGETS.iter().find(|(key, _)| present.contains(key)) else {
        section.report(Fault::new(
            "asks nothing",
            "add `tool: …`, `prompt: …`, `resource: …`, `task: …`, `method: …` or `message: …`",
        ));
        return None;
    };
    let stray = present.iter().find(|key| *key != target && Some(**key) != *beside);
    if let Some(stray) = stray {
        let help = format!("write one case for each, or remove `{stray}`");
        section.report(Fault::new(format!("asks with `{target}` and `{stray}`, which do not go together"), help));
        return None;
    }
    Some(target)
}

/// A method without a target; those that are none in JSON-RPC stand for what has no method.
fn plain(method: &str, params: Option<&str>) -> CaseRequest {
    if method == SessionMethod::Stream.as_str() {
        return CaseRequest { method: "GET", body: None };
    }
    if method == SessionMethod::End.as_str() {
        return CaseRequest { method: "DELETE", body: None };
    }
    if method == SessionMethod::Response.as_str() {
        return post(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_owned());
    }
    if method.starts_with("notifications/") {
        let params = params.map(|json| format!(",\"params\":{json}")).unwrap_or_default();
        return post(format!(r#"{{"jsonrpc":"2.0","method":{}{params}}}"#, string(method)));
    }
    call(method, params.unwrap_or("{}"))
}

fn call(method: &str, params: &str) -> CaseRequest {
    post(format!(r#"{{"jsonrpc":"2.0","id":1,"method":{},"params":{params}}}"#, string(method)))
}

fn post(body: String) -> CaseRequest {
    CaseRequest { method: "POST", body: Some(body) }
}

/// Text, as JSON.
fn text(field: &Field<'_>) -> Option<String> {
    field.text().map(string)
}

/// A mapping, as JSON.
fn object(field: &Field<'_>) -> Option<String> {
    if field.is_mapping() { field.json() } else { field.section(|_| None) }
}
