//! Floor 1: what one HTTP request asks of an MCP server.
//!
//! The body decides, and only the body: the headers that mirror it (`MCP-Protocol-Version`, `Mcp-Method`, `Mcp-Name`) must
//! agree with it or the request is refused, so that whoever routes by header and whoever acts on the body see one thing.
//!
//! The grammar is exact. A server behind the gate may fold the case of keys, take the last of two, act on a call without
//! an id, or open a batch; a message that could mean two things to two readers is refused here rather than read in one of
//! its ways. A method that no revision knows is no error: it becomes [`Operation::Other`], which nothing allows by default.
//!
//! Source: MCP specification, revisions 2025-03-26 to 2026-07-28, Base Protocol and Transports (Streamable HTTP);
//! SEP-2243 for the mirroring headers; JSON-RPC 2.0.

mod envelope;
mod error;
mod fields;
mod headers;
mod operation;
mod revision;
#[cfg(test)]
mod tests;

pub use envelope::RequestId;
pub use error::{Disagreement, Malformed, McpError, McpFault};
pub use operation::{Operation, ResourceMethod, SessionMethod, TaskMethod, ToolCall};
pub use revision::Revision;

use crate::context::Headers;
use crate::json::{Document, Value};

use envelope::Frame;
use headers::Era;

/// One message of a client, as far as authorization needs it; made by [`parse`], [`stream`] and [`end`] alone.
#[derive(Debug, Clone)]
pub struct Message<'d> {
    id: Option<RequestId>,
    era: Era,
    operation: Operation<'d>,
}

impl<'d> Message<'d> {
    /// The id to answer under. A notification, a response, a stream and the end of a session have none: nobody waits for
    /// an answer (the id of a response is the server's own and would mean another request to the client).
    pub fn id(&self) -> Option<&RequestId> {
        self.id.as_ref()
    }

    /// The revision that the request declares; none declared means the legacy era.
    pub fn revision(&self) -> Option<Revision> {
        self.era.revision
    }

    /// Whether the rules of 2026-07-28 hold: no sessions, every request says its revision in its body.
    pub fn is_modern(&self) -> bool {
        self.era.is_modern
    }

    /// What is asked, and of what.
    pub fn operation(&self) -> &Operation<'d> {
        &self.operation
    }
}

/// Reads the body of a POST and holds the headers against it.
///
/// # Errors
/// [`McpFault`] with the first rule that is broken: the envelope, then the revision, then the fields of the method, then
/// the headers that mirror them.
pub fn parse<'d>(document: &'d Document<'_>, headers: &Headers) -> Result<Message<'d>, McpFault> {
    let root = document.root();
    read(root, headers).map_err(|error| McpFault { error, id: envelope::request_id(root) })
}

/// A GET: the legacy era's stream of messages from the server.
///
/// # Errors
/// [`McpFault`] when the revision is unknown or a header claims to mirror a body.
pub fn stream(headers: &Headers) -> Result<Message<'static>, McpFault> {
    without_body(SessionMethod::Stream, headers)
}

/// A DELETE: the end of a legacy session.
///
/// # Errors
/// As [`stream`].
pub fn end(headers: &Headers) -> Result<Message<'static>, McpFault> {
    without_body(SessionMethod::End, headers)
}

fn read<'d>(root: Value<'d>, headers: &Headers) -> Result<Message<'d>, McpError> {
    match envelope::read(root)? {
        Frame::Call(call) => {
            let era = headers::agree_on_revision(headers, fields::claim(call.params)?.as_deref(), call.id.is_some())?;
            let operation = operation::read(&call)?;
            headers::mirror(headers, &call, era)?;
            Ok(Message { id: call.id, era, operation })
        }
        Frame::Response => {
            let era = headers::agree_on_revision(headers, None, false)?;
            if era.is_modern {
                return Err(Malformed::ModernResponse.into());
            }
            headers::mirror_nothing(headers)?;
            Ok(Message { id: None, era, operation: Operation::Session(SessionMethod::Response) })
        }
    }
}

fn without_body(method: SessionMethod, headers: &Headers) -> Result<Message<'static>, McpFault> {
    let era = headers::agree_on_revision(headers, None, false);
    era.and_then(|era| headers::mirror_nothing(headers).map(|()| era))
        .map(|era| Message { id: None, era, operation: Operation::Session(method) })
        .map_err(|error| McpFault { error, id: None })
}
