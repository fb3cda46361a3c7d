//! A server's tool catalogue: the result of `tools/list`, as a file (MCP `server/tools`).

use std::collections::HashMap;

use crate::json::{Document, JsonError, Kind, Limits, Value};
use crate::policy::arguments::RecordType;

/// A catalogue of a very large server is about a megabyte with some thousand nodes a tool.
pub const LIMITS: Limits = Limits { depth: 64, nodes: 2_000_000 };

/// The tools of one server, by name.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// In the order of the file.
    pub tools: Vec<CataloguedTool>,
}

/// One tool as its server describes it.
#[derive(Debug, Clone)]
pub struct CataloguedTool {
    /// The name that `tools/call` uses.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// What the server says of its effects.
    pub hints: Hints,
    /// The types of its arguments.
    pub arguments: RecordType,
}

/// Tool annotations, with the defaults of the specification where they are absent (MCP schema, `ToolAnnotations`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hints {
    /// `readOnlyHint`, false by default.
    pub read_only: bool,
    /// `destructiveHint`, true by default; of a tool that is read only, where it has no meaning, only if the server says so.
    pub destructive: bool,
    /// `idempotentHint`, false by default.
    pub idempotent: bool,
    /// `openWorldHint`, true by default.
    pub open_world: bool,
}

impl Default for Hints {
    fn default() -> Self {
        Self { read_only: false, destructive: true, idempotent: false, open_world: true }
    }
}

/// Why a catalogue does not load.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// Not JSON in the strict sense.
    #[error("the catalogue is not acceptable JSON: {0}")]
    Json(#[from] JsonError),
    /// Neither `{"tools": […]}` nor a JSON-RPC response with it in `result`.
    #[error("the catalogue has no `tools` array; it must be the result of `tools/list`")]
    NoTools,
    /// A tool without a usable name.
    #[error("tool number {0} has no name, or one that is not a string")]
    Unnamed(usize),
    /// `*` is the group of all tools.
    #[error("a tool is called `*`, which policies use for all tools of a server")]
    Star,
    /// Two tools of one name.
    #[error("two tools are called `{0}`")]
    Doubled(String),
}

impl Catalog {
    /// Reads a catalogue.
    ///
    /// # Errors
    /// [`CatalogError`], the first one.
    pub fn parse(text: &[u8]) -> Result<Self, CatalogError> {
        let document = Document::parse(text, LIMITS)?;
        let root = document.root();
        let result = root.get("result").unwrap_or(root);
        let list = result.get("tools").filter(|tools| tools.kind() == Kind::Array).ok_or(CatalogError::NoTools)?;
        let mut seen = HashMap::new();
        let mut tools = Vec::with_capacity(list.len());
        for (index, tool) in list.items().enumerate() {
            let name = tool.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
            let name = name.ok_or(CatalogError::Unnamed(index + 1))?.into_owned();
            if name == "*" {
                return Err(CatalogError::Star);
            }
            if seen.insert(name.clone(), index).is_some() {
                return Err(CatalogError::Doubled(name));
            }
            tools.push(CataloguedTool {
                description: tool.get("description").and_then(Value::as_str).map(std::borrow::Cow::into_owned),
                hints: Hints::read(tool.get("annotations")),
                arguments: tool
                    .get("inputSchema")
                    .map(|schema| RecordType::from_schema(schema, schema))
                    .unwrap_or_default(),
                name,
            });
        }
        Ok(Self { tools })
    }
}

impl Hints {
    fn read(annotations: Option<Value<'_>>) -> Self {
        let default = Self::default();
        let hint =
            |name: &str, default| annotations.and_then(|a| a.get(name)).and_then(Value::as_bool).unwrap_or(default);
        let read_only = hint("readOnlyHint", default.read_only);
        Self {
            read_only,
            destructive: hint("destructiveHint", default.destructive && !read_only),
            idempotent: hint("idempotentHint", default.idempotent),
            open_world: hint("openWorldHint", default.open_world),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_the_servers_word_and_else_the_defaults() {
        for (annotations, read_only, destructive) in [
            ("null", false, true),
            ("{}", false, true),
            (r#"{"destructiveHint": false}"#, false, false),
            (r#"{"readOnlyHint": true}"#, true, false),
            (r#"{"readOnlyHint": false}"#, false, true),
            (r#"{"readOnlyHint": true, "destructiveHint": true}"#, true, true),
            (r#"{"readOnlyHint": true, "destructiveHint": false}"#, true, false),
            (r#"{"readOnlyHint": "true", "destructiveHint": "false"}"#, false, true),
        ] {
            let text = format!(r#"{{"tools": [{{"name": "t", "annotations": {annotations}}}]}}"#);
            let hints = Catalog::parse(text.as_bytes()).unwrap().tools[0].hints;
            let expected = Hints { read_only, destructive, ..Hints::default() };
            assert_eq!(hints, expected, "{annotations}");
        }
    }
}
