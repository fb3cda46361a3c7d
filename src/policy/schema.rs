//! The Cedar schema that policies are checked against: the base schema that ships with toolgate, and what configuration
//! and catalogues add to it.
//!
//! The output is text, for people and editors. Every name in it is quoted by Cedar's own escapes and descriptions travel
//! in `@doc("…")`, never in comments: a carriage return in a tool's description would end a comment and declare whatever
//! follows. Validation reads that text but for the servers' tools, whose declarations it takes as JSON (`declarations`).

mod declarations;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use crate::mcp::SessionMethod;
use crate::policy::arguments::{ArgumentType, RecordType};
use crate::policy::catalog::Catalog;
use crate::policy::names::{any_tool, owned, quoted};
use crate::token::ClaimType;

/// The part that is the same everywhere.
pub const BASE: &str = include_str!("../../policies/base.cedarschema");

/// What the generated part depends on.
#[derive(Debug, Default)]
pub struct SchemaInput<'a> {
    /// Name, catalogue and further methods of each server.
    pub servers: Vec<ServerSchema<'a>>,
    /// Declared claims of all issuers, by name.
    pub claims: Vec<(&'a str, ClaimType)>,
    /// The names of the issuers.
    pub issuers: Vec<&'a str>,
    /// Those of them whose tokens name no groups.
    pub groupless: BTreeSet<&'a str>,
    /// Every scope that a server publishes or a configured hierarchy names.
    pub scopes: BTreeSet<&'a str>,
    /// Whether `context.request.ip` exists (the configuration says whose address it is).
    pub has_client_address: bool,
}

/// One server's part.
#[derive(Debug)]
pub struct ServerSchema<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its catalogue, if it has one.
    pub catalog: Option<&'a Catalog>,
    /// Methods that no revision knows and that it admits.
    pub methods: &'a [String],
}

/// A generated schema.
#[derive(Debug, Clone)]
pub struct Generated {
    /// All but the actions of servers' tools, in Cedar's schema syntax.
    pub common: String,
    /// The actions of servers' tools, in the same.
    tools_text: String,
    /// The same actions by name, in Cedar's JSON form of a schema.
    pub tools: Vec<(String, Value)>,
}

impl Generated {
    /// The whole schema, in Cedar's schema syntax.
    pub fn text(&self) -> String {
        [self.common.as_str(), &self.tools_text].concat()
    }
}

/// The whole schema.
pub fn schema(input: &SchemaInput<'_>) -> Generated {
    let mut text = String::from(BASE);
    text.push_str("\n// Generated from the configuration and the tool catalogues.\n\n");
    principals(&mut text, input);
    request(&mut text, input);
    servers(&mut text, input);
    for method in SessionMethod::ALL {
        session(&mut text, method.as_str());
    }
    let mut extra: Vec<&str> = input.servers.iter().flat_map(|server| server.methods).map(String::as_str).collect();
    extra.sort_unstable();
    extra.dedup();
    for method in extra {
        action(&mut text, method, "mcp", "Server", "");
    }
    let mut generated = Generated { common: text, tools_text: String::new(), tools: Vec::new() };
    for server in &input.servers {
        tools(&mut generated, server);
    }
    generated
}

// `write!` to a String cannot fail; the result is dropped in this one place.
macro_rules! put {
    ($text:expr, $($arguments:tt)*) => {
        let _ = write!($text, $($arguments)*);
    };
}

fn principals(text: &mut String, input: &SchemaInput<'_>) {
    let mut claims = String::new();
    for (name, kind) in &input.claims {
        put!(claims, ",\n  {}?: {}", quoted(name), claim_type(*kind));
    }
    put!(text, "entity User in [Group, Scope] = {{\n  \"issuer\": String,\n  \"subject\": String{claims}\n}};\n\n");
    put!(
        text,
        "entity Client in [Group, Scope] = {{\n  \"issuer\": String,\n  \"id\": String,\n  \"host\"?: String{claims}\n}};\n\n"
    );
}

fn request(text: &mut String, input: &SchemaInput<'_>) {
    let ip = if input.has_client_address { "  \"ip\"?: ipaddr,\n" } else { "" };
    put!(
        text,
        "type Request = {{\n{ip}  \"now\": datetime,\n  \"local\": LocalTime,\n  \"protocolVersion\"?: String\n}};\n\n"
    );
}

fn servers(text: &mut String, input: &SchemaInput<'_>) {
    let names: Vec<String> = input.servers.iter().map(|server| quoted(server.name)).collect();
    put!(text, "entity Server enum [{}];\n\n", names.join(", "));
}

fn session(text: &mut String, method: &str) {
    // Of the lists, `tasks/list` alone shows other people's work: it is not what every session needs.
    let group = if method == SessionMethod::ListTasks.as_str() { "mcp" } else { "session" };
    action(text, method, group, "Server", "");
}

fn tools(generated: &mut Generated, server: &ServerSchema<'_>) {
    let text = &mut generated.tools_text;
    let mut declare = |name: String, declaration| generated.tools.push((name, declaration));
    let (all, calls) = (any_tool(server.name), "tools/call");
    let Some(catalog) = server.catalog else {
        action(text, &all, calls, "Tool", "");
        declare(all, declarations::of_tool(calls, None));
        return;
    };
    put!(text, "action {} in [Action::{}];\n\n", quoted(&all), quoted(calls));
    declare(all.clone(), declarations::of_group(calls));
    for tool in &catalog.tools {
        if let Some(description) = &tool.description {
            put!(text, "@doc({})\n", quoted(description));
        }
        let hidden = tool.arguments.hidden.iter().map(|hidden| format!("{}: {}", hidden.name, hidden.why));
        let opaque = tool.arguments.opaque.map(|why| format!("no argument: {why}"));
        let list: Vec<String> = opaque.into_iter().chain(hidden).collect();
        if !list.is_empty() {
            put!(text, "@not_exposed({})\n", quoted(&list.join("; ")));
        }
        let mut context = String::new();
        put!(context, ",\n    \"arguments\": {}", record_type(&tool.arguments, 2));
        put!(context, ",\n    \"count\": {}", count_type(&tool.arguments));
        context.push_str(",\n    \"undeclared\": Set<String>");
        let name = owned(server.name, &tool.name);
        action(text, &name, &all, "Tool", &context);
        declare(name, declarations::of_tool(&all, Some(&tool.arguments)));
    }
}

fn action(text: &mut String, name: &str, group: &str, resource: &str, context: &str) {
    put!(
        text,
        "action {} in [Action::{}] appliesTo {{\n  principal: [User, Client],\n  resource: [{resource}],\n  context: {{\n    \"token\": Token,\n    \"request\": Request{context}\n  }}\n}};\n\n",
        quoted(name),
        quoted(group),
    );
}

fn record_type(record: &RecordType, depth: usize) -> String {
    if record.fields.is_empty() {
        return "{}".to_owned();
    }
    let indent = "  ".repeat(depth + 1);
    let fields: Vec<String> = record
        .fields
        .iter()
        .map(|field| {
            let mark = if field.required { "" } else { "?" };
            format!("{indent}{}{mark}: {}", quoted(&field.name), argument_type(&field.kind, depth + 1))
        })
        .collect();
    format!("{{\n{}\n{}}}", fields.join(",\n"), "  ".repeat(depth))
}

fn argument_type(kind: &ArgumentType, depth: usize) -> String {
    match kind {
        ArgumentType::String => "String".to_owned(),
        ArgumentType::Bool => "Bool".to_owned(),
        ArgumentType::Long => "Long".to_owned(),
        ArgumentType::Decimal => "decimal".to_owned(),
        ArgumentType::Set(kind) => format!("Set<{}>", argument_type(kind, depth)),
        ArgumentType::Record(record) => record_type(record, depth),
        ArgumentType::Parts(parts) => parts.type_name().to_owned(),
    }
}

fn count_type(record: &RecordType) -> String {
    let fields: Vec<String> = record
        .fields
        .iter()
        .filter(|field| field.kind.is_array())
        .map(|field| format!("{}{}: Long", quoted(&field.name), if field.required { "" } else { "?" }))
        .collect();
    format!("{{ {} }}", fields.join(", "))
}

const fn claim_type(kind: ClaimType) -> &'static str {
    match kind {
        ClaimType::String => "String",
        ClaimType::Long => "Long",
        ClaimType::Bool => "Bool",
        ClaimType::Decimal => "decimal",
        ClaimType::SetOfString => "Set<String>",
        ClaimType::SetOfLong => "Set<Long>",
    }
}
