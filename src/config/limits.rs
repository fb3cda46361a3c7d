//! `limits`: how much of a request toolgate is willing to read.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::reader::{Fault, Field, Section};
use super::values::{KIB, MIB, Millis, millis, quoted, size};
use crate::envoy::wire::MESSAGE_CEILING;
use crate::token::MAX_TOKEN;

/// The largest request that is understood; anything larger is denied with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsConfig {
    /// The body of an MCP request, in bytes.
    pub body: usize,
    /// The whole gRPC message in which Envoy describes a request, in bytes; more than `body`.
    pub message: usize,
    /// How deep the JSON of a body nests.
    pub depth: usize,
    /// How many JSON values a body holds.
    pub nodes: usize,
    /// An access token, in bytes.
    pub token: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self { body: MIB, message: 4 * MIB, depth: 64, nodes: 100_000, token: 16 * KIB }
    }
}

/// Below, not every `initialize` fits; above, one request holds more memory than a decision is worth.
const BODY: RangeInclusive<usize> = KIB..=8 * MIB;
/// Below, a request's headers alone (Envoy takes 60 KiB) would not fit; above, nothing is read from the network.
const MESSAGE: RangeInclusive<usize> = 64 * KIB..=MESSAGE_CEILING;
/// A tool call with an argument nests four deep; above, tools written in other languages fail first.
const DEPTH: RangeInclusive<usize> = 8..=512;
/// The smallest useful tool call has about a dozen values; above, the work for one request takes seconds.
const NODES: RangeInclusive<usize> = 64..=10_000_000;
/// Below, signed tokens of real providers do not fit; above, the verifier does not look at them.
const TOKEN: RangeInclusive<usize> = KIB..=MAX_TOKEN;

pub(super) fn limits(section: &mut Section<'_, '_>) -> Option<LimitsConfig> {
    let default = LimitsConfig::default();
    let limits = LimitsConfig {
        body: section.optional("body", |field| bytes(field, BODY)).unwrap_or(default.body),
        message: section.optional("message", |field| bytes(field, MESSAGE)).unwrap_or(default.message),
        depth: section.optional("depth", |field| count(field, DEPTH)).unwrap_or(default.depth),
        nodes: section.optional("nodes", |field| count(field, NODES)).unwrap_or(default.nodes),
        token: section.optional("token", |field| bytes(field, TOKEN)).unwrap_or(default.token),
    };
    if limits.message <= limits.body {
        // A message over its limit is refused by gRPC, before there is anything to record.
        let what = "leave no room in `message` for a body and its headers";
        section.report(Fault::new(what, format!("set `limits.message` above `limits.body` ({} bytes)", limits.body)));
    }
    Some(limits)
}

/// A size in `range`.
pub(super) fn bytes(field: &Field<'_>, range: RangeInclusive<usize>) -> Option<usize> {
    amount(field, range, size, "a size", "write bytes, or a whole number of `KiB` or `MiB`, such as `64KiB`")
}

/// A whole number in `range`.
pub(super) fn count(field: &Field<'_>, range: RangeInclusive<usize>) -> Option<usize> {
    amount(field, range, |text| text.parse().ok(), "a whole number", "write digits only")
}

/// A time in `range`.
pub(super) fn time(field: &Field<'_>, range: RangeInclusive<Millis>) -> Option<Duration> {
    let help = "write a whole number of `ms`, `s` or `m`, such as `150ms`";
    amount(field, range, millis, "a time", help).map(|Millis(millis)| Duration::from_millis(millis))
}

fn amount<T: Copy + PartialOrd + Display>(
    field: &Field<'_>,
    range: RangeInclusive<T>,
    read: impl FnOnce(&str) -> Option<T>,
    kind: &str,
    help: &str,
) -> Option<T> {
    let text = field.amount()?;
    let Some(value) = read(text) else {
        field.report(Fault::new(format!("cannot be {}: it is not {kind}", quoted(text)), help));
        return None;
    };
    if range.contains(&value) {
        return Some(value);
    }
    let what = if value < *range.start() { "too small" } else { "too large" };
    let help = format!("choose a value from {} to {}", range.start(), range.end());
    field.report(Fault::new(format!("cannot be {}: it is {what}", quoted(text)), help));
    None
}
