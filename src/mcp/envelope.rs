//! The JSON-RPC envelope: exactly one call or one response.

use std::borrow::Cow;

use serde::Serialize;

use crate::json::{Kind, Value};

use super::error::{Malformed, McpError};
use super::fields::{self, NAME_LIMIT};

/// The id of a request. Serialises to the JSON value that it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum RequestId {
    /// An integer.
    Integer(i64),
    /// A string, at most a name's length.
    String(String),
}

/// One message by its shape.
pub(super) enum Frame<'d> {
    Call(Call<'d>),
    /// The answer to a request of the server's; it has no target.
    Response,
}

/// A request, or without an id a notification.
pub(super) struct Call<'d> {
    pub(super) method: Cow<'d, str>,
    pub(super) id: Option<RequestId>,
    /// An object.
    pub(super) params: Option<Value<'d>>,
}

const MEMBERS: [&str; 6] = ["jsonrpc", "method", "id", "params", "result", "error"];

pub(super) fn read(root: Value<'_>) -> Result<Frame<'_>, McpError> {
    match root.kind() {
        Kind::Object => {}
        Kind::Array => return Err(McpError::Batch),
        Kind::Null | Kind::Bool | Kind::Number | Kind::String => return Err(Malformed::NotAnObject.into()),
    }
    fields::no_lookalikes(root, &MEMBERS)?;
    if root.members().any(|(key, _)| !MEMBERS.contains(&key.as_ref())) {
        return Err(Malformed::UnknownMember.into());
    }
    if root.get("jsonrpc").and_then(Value::as_str).as_deref() != Some("2.0") {
        return Err(Malformed::Version.into());
    }
    let id = root.get("id").map(RequestId::read).transpose()?;
    match (root.get("method"), root.get("result"), root.get("error")) {
        (Some(_), None, None) => {
            let method = fields::text(root, "method", NAME_LIMIT)?;
            let params = fields::object(root, "params")?;
            Ok(Frame::Call(Call { method, id, params }))
        }
        (None, Some(_), None) => response(root, "result"),
        (None, None, Some(_)) => response(root, "error"),
        (..) => Err(Malformed::Shape.into()),
    }
}

fn response<'d>(root: Value<'d>, outcome: &'static str) -> Result<Frame<'d>, McpError> {
    fields::object(root, outcome)?;
    if root.get("params").is_some() || root.get("id").is_none() {
        return Err(Malformed::Shape.into());
    }
    Ok(Frame::Response)
}

/// The id under which to refuse a message, if it is a request. The id of anything with an outcome is the server's: to the
/// client it would name another request.
pub(super) fn request_id(root: Value<'_>) -> Option<RequestId> {
    let is_call = root.get("method").is_some() && root.get("result").is_none() && root.get("error").is_none();
    root.get("id").filter(|_| is_call).and_then(|id| RequestId::read(id).ok())
}

impl RequestId {
    /// An id as it is written: `1.0` is refused although it equals 1, because servers echo it in different ways.
    fn read(value: Value<'_>) -> Result<Self, Malformed> {
        if let Some(text) = value.as_str() {
            let fits = text.len() <= NAME_LIMIT;
            return if fits { Ok(Self::String(text.into_owned())) } else { Err(Malformed::TooLong("id")) };
        }
        value.as_number().and_then(|literal| literal.parse().ok()).map(Self::Integer).ok_or(Malformed::Id)
    }
}
