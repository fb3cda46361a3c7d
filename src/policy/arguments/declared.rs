//! Types out of JSON Schema. What Cedar cannot express is not exposed, and says why.

use super::{ArgumentType, Field, Hidden, MAX_MEMBERS, MAX_TYPE_DEPTH, RecordType, Unexposed};
use crate::json::{Kind, Value};

/// The way through one tool's schema.
struct Trail<'d> {
    /// What references start from.
    root: Value<'d>,
    /// The references that are being followed.
    open: Vec<String>,
    /// How many more members there may be.
    left: usize,
}

impl<'d> Trail<'d> {
    /// What `reference` leads to, which is open from now on.
    fn follow(&mut self, reference: Value<'_>) -> Result<Value<'d>, Unexposed> {
        let text = reference.as_str().ok_or(Unexposed::Dangling)?;
        let target = text.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        let target = target.ok_or(Unexposed::Dangling)?;
        if self.open.iter().any(|open| *open == text) {
            return Err(Unexposed::Recursive);
        }
        self.open.push(text.into_owned());
        Ok(target)
    }

    /// The object that `schema` declares: itself, or what it refers to. Beside properties of its own a reference says
    /// nothing here, so that what it declares is undeclared.
    fn object(&mut self, mut schema: Value<'d>) -> Result<Value<'d>, Unexposed> {
        while schema.get("properties").is_none() {
            if let Some(reference) = schema.get("$ref") {
                schema = self.follow(reference)?;
            } else if ["anyOf", "oneOf", "allOf"].iter().any(|choice| schema.get(choice).is_some()) {
                return Err(Unexposed::Union);
            } else {
                break;
            }
        }
        Ok(schema)
    }
}

impl RecordType {
    /// The type of the object schema `schema`, whose references are resolved against `root`.
    pub fn from_schema<'d>(schema: Value<'d>, root: Value<'d>) -> Self {
        let mut trail = Trail { root, open: vec!["#".to_owned()], left: MAX_MEMBERS };
        match trail.object(schema) {
            Ok(schema) => Self::read(schema, &mut trail, 0),
            Err(why) => Self { opaque: Some(why), ..Self::default() },
        }
    }

    fn read(schema: Value<'_>, trail: &mut Trail<'_>, depth: usize) -> Self {
        let mut record = Self::default();
        for (name, member) in schema.get("properties").into_iter().flat_map(Value::members) {
            match ArgumentType::from_schema(member, trail, depth) {
                Ok((kind, nullable)) => {
                    let required = !nullable
                        && member.get("default").is_none()
                        && schema
                            .get("required")
                            .is_some_and(|list| list.items().any(|item| item.as_str().as_deref() == Some(&*name)));
                    record.fields.push(Field { name: name.into_owned(), kind, required });
                }
                Err(why) => record.hidden.push(Hidden { name: name.into_owned(), why }),
            }
        }
        record
    }
}

impl ArgumentType {
    /// The type that `schema` declares, and whether it also allows null.
    fn from_schema(schema: Value<'_>, trail: &mut Trail<'_>, depth: usize) -> Result<(Self, bool), Unexposed> {
        if depth > MAX_TYPE_DEPTH {
            return Err(Unexposed::TooDeep);
        }
        trail.left = trail.left.checked_sub(1).ok_or(Unexposed::TooMany)?;
        if let Some(reference) = schema.get("$ref") {
            return Self::from_reference(reference, trail, depth);
        }
        if let Some(choices) = schema.get("anyOf").or_else(|| schema.get("oneOf")) {
            let mut kinds = choices.items().filter(|choice| !is_null_schema(*choice));
            let (Some(only), None) = (kinds.next(), kinds.next()) else { return Err(Unexposed::Union) };
            let (kind, nullable) = Self::from_schema(only, trail, depth + 1)?;
            return Ok((kind, nullable || choices.items().any(is_null_schema)));
        }
        if schema.get("allOf").is_some() {
            return Err(Unexposed::Union);
        }
        let (name, nullable) = type_name(schema)?;
        let kind = match name.as_str() {
            "string" => Self::String,
            "boolean" => Self::Bool,
            "integer" => Self::Long,
            "number" => Self::Decimal,
            "array" => Self::set(schema, trail, depth)?,
            "object" if schema.get("properties").is_some_and(|members| !members.is_empty()) => {
                Self::Record(RecordType::read(schema, trail, depth + 1))
            }
            "object" => return Err(Unexposed::OpenObject),
            _ => return Err(Unexposed::Untyped),
        };
        Ok((kind, nullable))
    }

    fn set(schema: Value<'_>, trail: &mut Trail<'_>, depth: usize) -> Result<Self, Unexposed> {
        let items = schema.get("items").filter(|items| items.kind() == Kind::Object).ok_or(Unexposed::OpenArray)?;
        match Self::from_schema(items, trail, depth + 1)? {
            (kind, false) => Ok(Self::Set(Box::new(kind))),
            (_, true) => Err(Unexposed::OpenArray),
        }
    }

    fn from_reference(reference: Value<'_>, trail: &mut Trail<'_>, depth: usize) -> Result<(Self, bool), Unexposed> {
        let target = trail.follow(reference)?;
        let resolved = Self::from_schema(target, trail, depth + 1);
        trail.open.pop();
        resolved
    }
}

/// The one type that `schema` names, and whether null may stand in its place.
fn type_name(schema: Value<'_>) -> Result<(String, bool), Unexposed> {
    match schema.get("type") {
        Some(name) if name.kind() == Kind::String => {
            name.as_str().map(|text| (text.into_owned(), false)).ok_or(Unexposed::Untyped)
        }
        Some(names) => {
            let names: Vec<_> = names.items().filter_map(Value::as_str).collect();
            let mut others = names.iter().filter(|name| *name != "null");
            match (others.next(), others.next()) {
                (Some(only), None) => Ok((only.clone().into_owned(), names.len() > 1)),
                (Some(_), Some(_)) => Err(Unexposed::Union),
                (None, _) => Err(Unexposed::Untyped),
            }
        }
        None => {
            let strings = |list: Value<'_>| !list.is_empty() && list.items().all(|item| item.kind() == Kind::String);
            let is_string = schema.get("enum").is_some_and(strings)
                || schema.get("const").is_some_and(|c| c.kind() == Kind::String);
            if is_string { Ok(("string".to_owned(), false)) } else { Err(Unexposed::Untyped) }
        }
    }
}

fn is_null_schema(schema: Value<'_>) -> bool {
    schema.get("type").and_then(Value::as_str).as_deref() == Some("null")
}
