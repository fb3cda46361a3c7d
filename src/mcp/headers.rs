//! The headers that repeat what the body says (SEP-2243): cross-checked, never believed.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::context::Headers;

use super::envelope::Call;
use super::error::{Disagreement, McpError};
use super::revision::Revision;

const VERSION: &str = "MCP-Protocol-Version";
const METHOD: &str = "Mcp-Method";
const NAME: &str = "Mcp-Name";

/// How a value that cannot stand in a header is marked; in any other case these are plain characters.
const BASE64: (&[u8], &[u8]) = (b"=?base64?", b"?=");

/// Characters of an unknown revision that are kept for the answer and the audit record.
const REQUESTED_LIMIT: usize = 64;

/// Under which rules a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Era {
    pub(super) revision: Option<Revision>,
    pub(super) is_modern: bool,
}

/// The era, from the header and the `claim` of the body, which must be the same where the era wants both.
///
/// A header without a claim is how the legacy era speaks; that of a modern revision must be founded on a claim at least in
/// requests, or a legacy server behind the gate would read as its own what was checked as modern.
pub(super) fn agree_on_revision(headers: &Headers, claim: Option<&str>, is_request: bool) -> Result<Era, McpError> {
    let header = single(headers, VERSION)?;
    if header.is_some_and(|value| value.contains(&b',')) {
        return Err(mismatch(VERSION, Disagreement::Repeated));
    }
    let declared = header.map(known).transpose()?;
    match (declared, claim) {
        (Some(revision), Some(claim)) if revision.as_str() != claim => Err(mismatch(VERSION, Disagreement::Differs)),
        (Some(revision), None) if revision.is_modern() && is_request => Err(mismatch(VERSION, Disagreement::NotInBody)),
        (None, Some(claim)) => {
            known(claim.as_bytes())?;
            Err(mismatch(VERSION, Disagreement::Missing))
        }
        (revision, claim) => {
            Ok(Era { revision, is_modern: claim.is_some() || revision.is_some_and(Revision::is_modern) })
        }
    }
}

/// Holds `Mcp-Method` and `Mcp-Name` against a call. A modern request must have them; a notification or a legacy request
/// may, and then they must be right.
pub(super) fn mirror(headers: &Headers, call: &Call<'_>, era: Era) -> Result<(), McpError> {
    let is_required = era.is_modern && call.id.is_some();
    match single(headers, METHOD)? {
        Some(value) if value != call.method.as_bytes() => return Err(mismatch(METHOD, Disagreement::Differs)),
        None if is_required => return Err(mismatch(METHOD, Disagreement::Missing)),
        Some(_) | None => {}
    }
    match (single(headers, NAME)?, mirrored(&call.method)) {
        (None, Some((_, true))) if is_required => Err(mismatch(NAME, Disagreement::Missing)),
        (None, _) => Ok(()),
        (Some(_), None) => Err(mismatch(NAME, Disagreement::NotInBody)),
        (Some(value), Some((field, _))) => {
            let value = decode(value)?;
            let named = call.params.and_then(|params| params.get(field)?.as_str());
            let is_same = named.is_some_and(|name| name.as_bytes() == value.as_ref());
            if is_same { Ok(()) } else { Err(mismatch(NAME, Disagreement::Differs)) }
        }
    }
}

/// Refuses the mirroring headers where there is nothing to mirror.
pub(super) fn mirror_nothing(headers: &Headers) -> Result<(), McpError> {
    for name in [METHOD, NAME] {
        if single(headers, name)?.is_some() {
            return Err(mismatch(name, Disagreement::NotInBody));
        }
    }
    Ok(())
}

/// The field of `params` that `Mcp-Name` repeats, and whether the modern era requires it to.
fn mirrored(method: &str) -> Option<(&'static str, bool)> {
    match method {
        "tools/call" | "prompts/get" => Some(("name", true)),
        "resources/read" => Some(("uri", true)),
        "resources/subscribe" | "resources/unsubscribe" => Some(("uri", false)),
        "tasks/get" | "tasks/result" | "tasks/cancel" | "tasks/update" => Some(("taskId", true)),
        _ => None,
    }
}

/// The one value of a header without the whitespace around it (RFC 9110 §5.5).
fn single<'h>(headers: &'h Headers, name: &'static str) -> Result<Option<&'h [u8]>, McpError> {
    let value = headers.single(name).map_err(|_| mismatch(name, Disagreement::Repeated))?;
    Ok(value.map(|value| {
        let mut value = value.as_ref();
        while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
            value = rest;
        }
        value
    }))
}

/// The text that a value of `Mcp-Name` stands for.
fn decode(value: &[u8]) -> Result<Cow<'_, [u8]>, McpError> {
    let (prefix, suffix) = BASE64;
    let Some(encoded) = value.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix)) else {
        return Ok(Cow::Borrowed(value));
    };
    STANDARD.decode(encoded).map(Cow::Owned).map_err(|_| mismatch(NAME, Disagreement::Encoding))
}

fn known(requested: &[u8]) -> Result<Revision, McpError> {
    Revision::parse(requested).ok_or_else(|| {
        let requested = String::from_utf8_lossy(requested).chars().take(REQUESTED_LIMIT).collect();
        McpError::VersionUnsupported { requested }
    })
}

fn mismatch(header: &'static str, reason: Disagreement) -> McpError {
    McpError::HeaderMismatch { header, reason }
}
