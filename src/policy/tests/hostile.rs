//! Catalogues that wish us ill, or were written by a machine: an error that says so, or a schema with exactly the tools
//! that they name.

use std::collections::BTreeSet;
use std::time::Instant;

use cedar_policy::{Entities, Schema};
use serde_json::{Value, json};

use crate::policy::arguments::{ArgumentType, Hidden, MAX_MEMBERS, MAX_TYPE_DEPTH, RecordType, Unexposed};
use crate::policy::bundle::Bundle;
use crate::policy::catalog::{Catalog, CatalogError};
use crate::policy::model::Maker;
use crate::policy::names::{EntityKind, owned};
use crate::policy::parts::Parts;
use crate::policy::schema::{SchemaInput, ServerSchema, schema};

/// Names that end a string, a comment or a declaration somewhere, that are words of a language, or look like others.
const NAMES: [&str; 46] = [
    "\r\nentity Evil;\r\n",
    "\nentity Evil;",
    "\"; entity Evil; //",
    "\\\"; entity Evil; //",
    "\\",
    "\\u{41}",
    "*/ entity Evil; /*",
    "// x",
    "\u{0}",
    "\u{7f}\u{1b}[2J",
    "\u{2028}entity Evil;",
    "\u{85}entity Evil;",
    "\u{202e}txt",
    "\u{feff}",
    "e\u{301}",
    "\u{e9}",
    "\u{1f600}",
    " ",
    "a b",
    "a-b",
    "a.b",
    "a/b~c",
    "a:b",
    "::",
    "'",
    "`",
    "if",
    "in",
    "is",
    "has",
    "like",
    "true",
    "null",
    "type",
    "entity",
    "namespace",
    "principal",
    "context",
    "Set",
    "ipaddr",
    "permit",
    "Action",
    "__cedar",
    "__cedar::Long",
    "__proto__",
    "constructor",
];

fn load(text: &str) -> Result<(Catalog, Schema, Entities), CatalogError> {
    let catalog = Catalog::parse(text.as_bytes())?;
    let servers = vec![ServerSchema { name: "s", catalog: Some(&catalog), methods: &[] }];
    let generated = schema(&SchemaInput { servers, ..SchemaInput::default() });
    let (schema, _) = Schema::from_cedarschema_str(&generated.text()).unwrap();
    let actions = Parts::new(&generated.common, generated.tools).unwrap().into_actions();
    assert_eq!(actions, schema.action_entities().unwrap());
    Ok((catalog, schema, actions))
}

/// The catalogue of `tools` loads, and the schema declares them and what every schema declares, and nothing else.
#[track_caller]
fn works(tools: &Value) -> Catalog {
    let (catalog, schema, actions) = load(&json!({ "tools": tools }).to_string()).unwrap();
    let (_, plain, _) = load(r#"{"tools":[]}"#).unwrap();
    let own = catalog.tools.iter().map(|tool| EntityKind::Action.uid(owned("s", &tool.name)));
    let expected: BTreeSet<String> = plain.actions().cloned().chain(own).map(|uid| uid.to_string()).collect();
    assert_eq!(schema.actions().map(ToString::to_string).collect::<BTreeSet<_>>(), expected);
    let types = |schema: &Schema| schema.entity_types().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(types(&schema), types(&plain));
    assert_eq!(catalog.tools.len(), tools.as_array().unwrap().len());
    let bundle = Bundle::default();
    let model = Maker::new(&bundle, actions).server("s", Some(&catalog), &[]).unwrap();
    assert!(catalog.tools.iter().all(|tool| model.tool(&tool.name).is_some()));
    catalog
}

/// The arguments of a tool with the input schema `schema`.
#[track_caller]
fn arguments(schema: &Value) -> RecordType {
    works(&json!([{"name": "t", "inputSchema": schema}])).tools.remove(0).arguments
}

#[track_caller]
fn fails(text: &str, expected: &str) {
    assert_eq!(load(text).map(drop).unwrap_err().to_string(), expected, "{text}");
}

#[test]
fn any_name_and_any_description_stays_a_string() {
    let named = |name: &str| {
        // The strict reader has no keys with control characters.
        let key = if name.contains(|letter: char| letter.is_ascii_control()) { "key" } else { name };
        json!({"name": name, "description": name, "inputSchema": {"type": "object", "required": [key], "properties": {
            key: {"type": "array", "description": name, "items": {"type": "object", "properties": {key: {"type": "string"}}}}}}})
    };
    for name in NAMES {
        works(&json!([named(name)]));
        let schema = json!({"properties": {name: {"type": "object", "description": name}, "x": {"type": "string"}}});
        if name.contains(|letter: char| letter.is_ascii_control()) {
            let text = json!({"tools": [{"name": "t", "inputSchema": schema}]}).to_string();
            assert!(matches!(load(&text), Err(CatalogError::Json(_))), "{name:?}");
        } else {
            let hidden = arguments(&schema);
            assert_eq!((hidden.fields.len(), hidden.hidden.len()), (1, 1), "{name:?}");
        }
    }
    works(&Value::Array(NAMES.iter().map(|name| named(name)).collect()));
    let long = "x".repeat(100_000);
    works(&json!([named(&long)]));
}

#[test]
fn a_property_without_a_name() {
    let record = arguments(&json!({"properties": {"": {"type": "string"}}}));
    assert_eq!(record.fields.len(), 1);
}

#[test]
fn what_is_no_catalogue() {
    for (text, expected) in [
        ("[]", "the catalogue has no `tools` array; it must be the result of `tools/list`"),
        (r#"{"tools":{}}"#, "the catalogue has no `tools` array; it must be the result of `tools/list`"),
        (r#"{"tools":[{}]}"#, "tool number 1 has no name, or one that is not a string"),
        (r#"{"tools":[{"name":"a"},{"name":""}]}"#, "tool number 2 has no name, or one that is not a string"),
        (r#"{"tools":[{"name":7}]}"#, "tool number 1 has no name, or one that is not a string"),
        (r#"{"tools":[{"name":"*"}]}"#, "a tool is called `*`, which policies use for all tools of a server"),
        (r#"{"tools":[{"name":"a"},{"name":"a"}]}"#, "two tools are called `a`"),
    ] {
        fails(text, expected);
    }
    for text in [
        r#"{"tools":[{"name":"a","inputSchema":{"properties":{"x":{"type":"string"},"x":{"type":"integer"}}}}]}"#,
        r#"{"tools":[{"name":"a","inputSchema":{"properties":{"x":{"type":"string"},"X":{"type":"integer"}}}}]}"#,
        r#"{"tools":[{"name":"a","name":"b"}]}"#,
        r#"{"tools":[]"#,
    ] {
        assert!(matches!(load(text), Err(CatalogError::Json(_))), "{text}");
    }
}

/// The reasons why members of `schema` are hidden, at all depths.
#[track_caller]
fn hidden(schema: &Value) -> BTreeSet<String> {
    fn collect(record: &RecordType, found: &mut BTreeSet<String>) {
        found.extend(record.hidden.iter().map(|hidden| hidden.why.to_string()));
        for field in &record.fields {
            let mut kind = &field.kind;
            while let ArgumentType::Set(items) = kind {
                kind = items;
            }
            if let ArgumentType::Record(inner) = kind {
                collect(inner, found);
            }
        }
    }
    let mut found = BTreeSet::new();
    collect(&arguments(schema), &mut found);
    found
}

#[test]
fn references() {
    let node = json!({"type": "object", "properties": {"value": {"type": "string"}, "next": {"$ref": "#/$defs/N"}, "all": {"type": "array", "items": {"$ref": "#/$defs/N"}}}});
    let two = json!({"A": {"type": "object", "properties": {"b": {"$ref": "#/$defs/B"}}}, "B": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}}});
    for (schema, why) in [
        (json!({"properties": {"self": {"$ref": "#"}}}), Unexposed::Recursive),
        (json!({"properties": {"self": {"$ref": "#/properties/self"}}}), Unexposed::Recursive),
        (json!({"$defs": {"N": node}, "properties": {"node": {"$ref": "#/$defs/N"}}}), Unexposed::Recursive),
        (
            json!({"$defs": two, "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"$ref": "#/$defs/B"}}}),
            Unexposed::Recursive,
        ),
        (
            json!({"$defs": {"L": {"$ref": "#/$defs/L"}}, "properties": {"a": {"$ref": "#/$defs/L"}}}),
            Unexposed::Recursive,
        ),
        (json!({"properties": {"a": {"$ref": "#/$defs/none"}}}), Unexposed::Dangling),
        (json!({"properties": {"a": {"$ref": "https://example.com/schema"}}}), Unexposed::Dangling),
        (json!({"properties": {"a": {"$ref": 7}}}), Unexposed::Dangling),
        (json!({"properties": {"a": {"$ref": "#name"}}}), Unexposed::Dangling),
    ] {
        assert_eq!(hidden(&schema), BTreeSet::from([why.to_string()]), "{schema}");
    }
    // One definition may well be used twice.
    let twice = json!({"$defs": {"P": {"type": "object", "properties": {"x": {"type": "integer"}}}},
        "properties": {"from": {"$ref": "#/$defs/P"}, "to": {"$ref": "#/$defs/P"}}});
    assert_eq!(hidden(&twice), BTreeSet::new());
}

#[test]
fn a_reference_in_the_place_of_the_whole() {
    let one = json!({"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}, "next": {"$ref": "#/$defs/A"}}});
    let found = arguments(&json!({"$ref": "#/$defs/B", "$defs": {"A": one, "B": {"$ref": "#/$defs/A"}}}));
    assert_eq!((found.fields.len(), found.fields[0].required, found.opaque), (1, true, None));
    assert_eq!(found.hidden, [Hidden { name: "next".to_owned(), why: Unexposed::Recursive }]);
    for (schema, why) in [
        (json!({"$ref": "#"}), Unexposed::Recursive),
        (
            json!({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}}),
            Unexposed::Recursive,
        ),
        (json!({"$ref": "#/$defs/A"}), Unexposed::Dangling),
        (json!({"$ref": "https://example.com/schema"}), Unexposed::Dangling),
        (json!({"anyOf": [{"type": "object", "properties": {"x": {"type": "integer"}}}]}), Unexposed::Union),
        (json!({"allOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": one}}), Unexposed::Union),
    ] {
        assert_eq!(arguments(&schema), RecordType { opaque: Some(why), ..RecordType::default() }, "{schema}");
    }
    for schema in [json!({}), json!({"type": "object"}), json!(true), json!({"properties": {}, "$ref": "#/none"})] {
        assert_eq!(arguments(&schema), RecordType::default(), "{schema}");
    }
}

#[test]
fn a_type_that_is_too_deep_or_too_wide_is_not_exposed() {
    let nested = |levels: usize| {
        (0..levels).fold(json!({"type": "string"}), |inner, _| json!({"type": "object", "properties": {"x": inner}}))
    };
    assert_eq!(hidden(&nested(MAX_TYPE_DEPTH + 1)), BTreeSet::new());
    assert_eq!(hidden(&nested(MAX_TYPE_DEPTH + 2)), BTreeSet::from([Unexposed::TooDeep.to_string()]));

    let wide = |members: usize| json!({"properties": (0..members).map(|at| (format!("x{at}"), json!({"type": "string"}))).collect::<serde_json::Map<_, _>>()});
    assert_eq!(arguments(&wide(MAX_MEMBERS)).hidden.len(), 0);
    let wider = arguments(&wide(MAX_MEMBERS + 1));
    assert_eq!((wider.fields.len(), wider.hidden.len()), (MAX_MEMBERS, 1));

    // Ten members of ten members of ten …, in a kilobyte.
    let mut definitions = serde_json::Map::new();
    for level in 0..7 {
        let members: serde_json::Map<String, Value> =
            (0..10).map(|at| (format!("x{at}"), json!({"$ref": format!("#/$defs/d{}", level + 1)}))).collect();
        definitions.insert(format!("d{level}"), json!({"type": "object", "properties": members}));
    }
    definitions.insert("d7".to_owned(), json!({"type": "string"}));
    let bomb = json!({"$defs": definitions, "properties": {"x": {"$ref": "#/$defs/d0"}}});
    assert!(hidden(&bomb).contains(&Unexposed::TooMany.to_string()));
}

#[test]
fn a_catalogue_of_five_megabytes_and_one_of_ten_thousand_tools() {
    let text = "\"\r\n */ entity Evil; // ".repeat(250_000);
    works(&json!([{"name": "t", "description": text, "inputSchema": {"type": "object"}}]));
    let tools: Vec<Value> = (0..10_000)
        .map(|at| {
            json!({"name": format!("tool_{at}"), "description": "Does it.", "inputSchema": {"type": "object", "required": ["id"],
                "properties": {"id": {"type": "integer"}, "path": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}}}})
        })
        .collect();
    let start = Instant::now();
    assert_eq!(works(&Value::Array(tools)).tools.len(), 10_000);
    println!("10,000 tools: parsed, generated, parsed as schema and modelled in {:?}", start.elapsed());
}
