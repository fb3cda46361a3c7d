//! The actions of servers' tools in Cedar's JSON form of a schema. It says what the text says; but Cedar parses every name
//! of a text by itself, so that reading the text of a thousand tools takes longer than validating ten thousand policies.

use serde_json::{Map, Value, json};

use crate::policy::arguments::{ArgumentType, Field, RecordType};
use crate::policy::names::EntityKind;

/// An action in the group `group`, about a tool: one with `arguments`, or one of which nothing is known.
pub(super) fn of_tool(group: &str, arguments: Option<&RecordType>) -> Value {
    let named = |name: &str| json!({"type": "EntityOrCommon", "name": name});
    let mut context = Map::new();
    context.insert("token".to_owned(), named("Token"));
    context.insert("request".to_owned(), named("Request"));
    if let Some(arguments) = arguments {
        context.insert("arguments".to_owned(), record(arguments));
        context.insert("count".to_owned(), counts(arguments));
        context.insert("undeclared".to_owned(), json!({"type": "Set", "element": {"type": "String"}}));
    }
    let applies_to = object([
        ("principalTypes", json!([EntityKind::User.as_str(), EntityKind::Client.as_str()])),
        ("resourceTypes", json!([EntityKind::Tool.as_str()])),
        ("context", object([("type", "Record".into()), ("attributes", Value::Object(context))])),
    ]);
    object([("memberOf", json!([in_group(group)])), ("appliesTo", applies_to)])
}

/// An action in the group `group` that applies to nothing: a group itself.
pub(super) fn of_group(group: &str) -> Value {
    json!({"memberOf": [in_group(group)], "appliesTo": {"principalTypes": [], "resourceTypes": []}})
}

fn in_group(group: &str) -> Value {
    json!({"id": group, "type": EntityKind::Action.as_str()})
}

fn record(record: &RecordType) -> Value {
    attributes(record.fields.iter().map(|field| (field, argument(&field.kind))))
}

fn counts(record: &RecordType) -> Value {
    let arrays = record.fields.iter().filter(|field| field.kind.is_array());
    attributes(arrays.map(|field| (field, json!({"type": "Long"}))))
}

fn attributes<'f>(fields: impl Iterator<Item = (&'f Field, Value)>) -> Value {
    let attributes = fields.map(|(field, mut kind)| {
        if let Some(kind) = kind.as_object_mut().filter(|_| !field.required) {
            kind.insert("required".to_owned(), false.into());
        }
        (field.name.clone(), kind)
    });
    object([("type", "Record".into()), ("attributes", Value::Object(attributes.collect()))])
}

/// An object of values that are moved: `json!` copies them.
fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn argument(kind: &ArgumentType) -> Value {
    match kind {
        ArgumentType::String => json!({"type": "String"}),
        ArgumentType::Bool => json!({"type": "Boolean"}),
        ArgumentType::Long => json!({"type": "Long"}),
        ArgumentType::Decimal => json!({"type": "Extension", "name": "decimal"}),
        ArgumentType::Set(kind) => json!({"type": "Set", "element": argument(kind)}),
        ArgumentType::Record(inner) => record(inner),
        ArgumentType::Parts(parts) => json!({"type": "EntityOrCommon", "name": parts.type_name()}),
    }
}

#[cfg(test)]
mod tests {
    use cedar_policy::SchemaFragment;

    use super::*;
    use crate::policy::catalog::Catalog;
    use crate::policy::overlay::Overlay;
    use crate::policy::schema::{SchemaInput, ServerSchema, schema};

    /// `declaration` as read from a text: the names of Cedar's own types are references there, and annotations are kept.
    fn plain(declaration: &Value) -> Value {
        let own = |name: &str| match name {
            "String" | "Long" => Some(json!({"type": name})),
            "Bool" => Some(json!({"type": "Boolean"})),
            "decimal" => Some(json!({"type": "Extension", "name": name})),
            _ => None,
        };
        match declaration {
            Value::Object(members) => {
                let reference = members.get("type").filter(|kind| *kind == "EntityOrCommon");
                let own = reference.and_then(|_| own(members["name"].as_str().unwrap()));
                let kept = |name: &str| name != "annotations" && (own.is_none() || name == "required");
                let kept =
                    members.iter().filter(|(name, _)| kept(name)).map(|(name, value)| (name.clone(), plain(value)));
                let mut kept: Map<String, Value> = kept.collect();
                kept.extend(
                    own.iter()
                        .filter_map(Value::as_object)
                        .flatten()
                        .map(|(name, value)| (name.clone(), value.clone())),
                );
                Value::Object(kept)
            }
            Value::Array(items) => items.iter().map(plain).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => declaration.clone(),
        }
    }

    #[test]
    fn the_text_says_the_same() {
        let text = r#"{"tools": [{"name": "plain"}, {"name": "odd \"name\", \\ of", "description": "x\r\n\"y\""},
            {"name": "all", "description": "d", "inputSchema": {"type": "object", "required": ["path", "tags", "deep"], "properties": {
                "path": {"type": "string"}, "paths": {"type": "array", "items": {"type": "string"}}, "url": {"type": "string"},
                "urls": {"type": "array", "items": {"type": "string"}}, "tags": {"type": "array", "items": {"type": "integer"}},
                "flag": {"type": "boolean"}, "ratio": {"type": "number"}, "any": {}, "": {"type": "string"},
                "deep": {"type": "object", "required": ["a b"], "properties": {
                    "a b": {"type": "object", "properties": {"\"": {"type": "number"}}},
                    "list": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "string"}}}}}}}}}]}"#;
        let mut catalog = Catalog::parse(text.as_bytes()).unwrap();
        let overlays = [("all", "path", Overlay::Path), ("all", "paths", Overlay::Path), ("all", "url", Overlay::Url)];
        assert_eq!(catalog.overlay(&[&overlays[..], &[("all", "urls", Overlay::Url)]].concat()), []);
        let server = |name, catalog| ServerSchema { name, catalog, methods: &[] };
        let servers = vec![server("s", Some(&catalog)), server("none", None), server("empty", None)];
        let generated = schema(&SchemaInput { servers, ..SchemaInput::default() });
        let (whole, _) = SchemaFragment::from_cedarschema_str(&generated.text()).unwrap();
        let (common, _) = SchemaFragment::from_cedarschema_str(&generated.common).unwrap();
        let actions = |fragment: SchemaFragment| {
            fragment.to_json_value().unwrap()[""]["actions"].as_object().cloned().expect("actions")
        };
        let common = actions(common);
        let of_tools = actions(whole).into_iter().filter(|(name, _)| !common.contains_key(name));
        let expected: Map<String, Value> = of_tools.map(|(name, declaration)| (name, plain(&declaration))).collect();
        assert_eq!(expected.len(), 6);
        assert_eq!(Map::from_iter(generated.tools), expected);
    }
}
