//! Why a request is not an acceptable MCP message.

use thiserror::Error;

use crate::json::JsonError;

use super::envelope::RequestId;

/// A refused request, and under which id to say so.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{error}")]
pub struct McpFault {
    /// What is wrong.
    pub error: McpError,
    /// The id of the request, where the message is a request and its id could be read.
    pub id: Option<RequestId>,
}

/// What is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum McpError {
    /// Not JSON, or not a JSON-RPC message of MCP.
    #[error("malformed message: {0}")]
    Malformed(#[from] Malformed),
    /// An array of messages. Only 2025-03-26 knew them; servers that still open them run every call inside.
    #[error("a batch of messages is not accepted")]
    Batch,
    /// A header and the body do not say the same.
    #[error("the header {header} {reason}")]
    HeaderMismatch {
        /// The header, as the specification writes it.
        header: &'static str,
        /// In which way.
        reason: Disagreement,
    },
    /// A revision that is not one of [`Revision::ALL`](super::Revision::ALL).
    #[error("unsupported protocol version `{requested}`")]
    VersionUnsupported {
        /// What was asked for, cut to a length that can be repeated in an answer.
        requested: String,
    },
}

/// How a header disagrees with the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Disagreement {
    /// Sent twice, or as a list.
    #[error("was sent more than once")]
    Repeated,
    /// Absent where the revision requires it.
    #[error("is missing")]
    Missing,
    /// The body says something else.
    #[error("differs from the body")]
    Differs,
    /// The body says nothing that the header could repeat.
    #[error("has no counterpart in the body")]
    NotInBody,
    /// Marked as base64, and not that.
    #[error("is not valid base64")]
    Encoding,
}

/// Why a body is not a JSON-RPC message of MCP. Field names are those of the specification, never the caller's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// Not an acceptable JSON document. Answered as a parse error, all others as an invalid request.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A scalar.
    #[error("the message is not an object")]
    NotAnObject,
    /// A member that no message has.
    #[error("the message has an unknown member")]
    UnknownMember,
    /// A key that some readers would take for a known one.
    #[error("a key differs from `{0}` by case only")]
    FoldedKey(&'static str),
    /// `jsonrpc` is not `"2.0"`.
    #[error("`jsonrpc` is not \"2.0\"")]
    Version,
    /// Neither a call (`method`) nor a response (`id` and `result` or `error`), or both.
    #[error("the message is neither a call nor a response")]
    Shape,
    /// An id that is neither a string nor an integer of 64 bits.
    #[error("`id` is neither a string nor an integer")]
    Id,
    /// A request without an id: some servers would run it as a notification.
    #[error("a request without `id`")]
    IdMissing,
    /// A notification with an id: some servers would answer it as a request.
    #[error("a notification with `id`")]
    IdForbidden,
    /// A method named as one of the gate's own actions, which no client sends.
    #[error("`method` is a reserved name")]
    ReservedMethod,
    /// A response from a client, which the modern era does not have.
    #[error("a response is not accepted in this revision")]
    ModernResponse,
    /// A field that is missing, empty, of the wrong type, or not one of the values that it can have.
    #[error("`{0}` is missing or not valid")]
    Field(&'static str),
    /// A field longer than its limit.
    #[error("`{0}` is too long")]
    TooLong(&'static str),
    /// A control character where the specification wants a name or an address.
    #[error("`{0}` contains a control character")]
    ControlCharacter(&'static str),
    /// More targets in one message than are decided at once.
    #[error("too many targets in one message")]
    TooManyTargets,
}

impl From<JsonError> for McpError {
    fn from(error: JsonError) -> Self {
        Self::Malformed(Malformed::Json(error))
    }
}
