//! What a record says. The published form is `docs/audit-record.schema.json`, and a test holds the two together.

use std::net::IpAddr;
use std::time::Duration;

use crate::audit::DecisionId;
use crate::audit::disclosure;
use crate::audit::disclosure::Disclosure;
use crate::audit::line::{Body, Line};
use crate::audit::subject::SubjectKey;
use crate::context::UnixTime;
use crate::policy::values::Values;

/// One decision, allow or deny. Absent values are left out of the line; values past their bound are cut and marked.
///
/// It holds neither token nor key nor argument that no policy read: what is not here cannot leak from the log.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// When it was decided.
    pub time: UnixTime,
    /// The id that the caller and the upstream server see too.
    pub decision_id: &'a DecisionId,
    /// The number of the rules that decided.
    pub generation: u64,
    /// The digest of the rules that decided.
    pub digest: &'a str,
    /// What was answered.
    pub decision: Verdict,
    /// Why, from the closed list of reasons.
    pub reason: &'a str,
    /// Fixed words for the operator, more exact than the reason.
    pub detail: Option<&'a str>,
    /// The name of the server that was asked for.
    pub server: Option<&'a str>,
    /// The principal as the text of a Cedar entity id.
    pub principal: Option<&'a str>,
    /// The name of the issuer that vouched for it.
    pub issuer: Option<&'a str>,
    /// The OAuth client.
    pub client: Option<&'a str>,
    /// The token, as [`Audit::fingerprint`](super::Audit::fingerprint) of its `jti` or of all of it.
    pub token: Option<&'a str>,
    /// The HTTP method, a caller's bytes.
    pub method: &'a [u8],
    /// What was to be done, as Cedar entity ids.
    pub actions: &'a [&'a str],
    /// To what, as Cedar entity ids.
    pub resources: &'a [&'a str],
    /// The ids of the policies that determined the decision.
    pub policies: &'a [&'a str],
    /// The ids of the policies that failed to evaluate.
    pub errors: &'a [&'a str],
    /// What shadow policies would have made of it, where that is another decision, or one of them erred.
    pub shadow: Option<Shadow<'a>>,
    /// The values that the decision read.
    pub values: &'a Values,
    /// How much is shown of them, and of the caller's address.
    pub disclosure: &'a Disclosure,
    /// The HTTP status answered; for an allow there is none, the upstream server answers.
    pub status: Option<u16>,
    /// The caller's address, where the configuration says which one that is.
    pub source: Option<IpAddr>,
    /// The request's id in the proxy's access log (`x-request-id`), or else the proxy's internal one.
    pub request_id: &'a [u8],
    /// The W3C trace id.
    pub trace_id: Option<&'a [u8]>,
    /// What the steps took.
    pub latency: Latency,
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The request went on.
    Allow,
    /// It was answered here.
    Deny,
}

impl Verdict {
    /// The word in records, metrics and metadata.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// What shadow policies would have made of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shadow<'a> {
    /// The other decision, if it would have been another.
    pub decision: Option<Verdict>,
    /// Why it would have been a denial, if not by a policy's word.
    pub reason: Option<&'a str>,
    /// The ids of the shadow policies that would have determined it.
    pub policies: &'a [&'a str],
    /// The ids of the shadow policies that failed to evaluate.
    pub errors: &'a [&'a str],
}

/// Durations of the steps of a decision; a step that was not reached has none. Written in whole microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    /// Reading and verifying the token.
    pub token: Option<Duration>,
    /// Parsing the message.
    pub parse: Option<Duration>,
    /// Evaluating the policies.
    pub policy: Option<Duration>,
    /// All until the record was made.
    pub total: Duration,
}

/// One attempt to load other rules.
#[derive(Debug, Clone, Copy)]
pub struct Reload<'a> {
    /// When it ended.
    pub time: UnixTime,
    /// How.
    pub outcome: ReloadOutcome,
    /// The number of the rules that hold now.
    pub generation: u64,
    /// Their digest.
    pub digest: &'a str,
    /// What was wrong, one sentence each.
    pub problems: &'a [&'a str],
}

/// How an attempt to load other rules ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// The new rules hold.
    Loaded,
    /// The old rules still hold.
    Refused,
    /// Somebody asked, or others had been refused, and the files are those of the rules that hold.
    Unchanged,
}

impl ReloadOutcome {
    /// The word in records and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Refused => "refused",
            Self::Unchanged => "unchanged",
        }
    }
}

impl Record<'_> {
    /// With `key`, what the disclosure says is hashed.
    pub(super) fn write(&self, line: &mut Line, salt: &str, key: Option<&SubjectKey>) {
        line.text("kind", "decision");
        line.time("time", self.time);
        line.text("decision_id", self.decision_id.as_str());
        line.word("generation", self.generation);
        line.text("digest", self.digest);
        line.text("decision", self.decision.as_str());
        line.text("reason", self.reason);
        line.optional("detail", self.detail);
        line.optional("server", self.server);
        line.optional("issuer", self.issuer);
        line.optional("client", self.client);
        line.optional("token", self.token);
        line.caller("method", self.method);
        line.list("actions", self.actions);
        line.list("resources", self.resources);
        line.list("policies", self.policies);
        line.list("errors", self.errors);
        if let Some(shadow) = self.shadow {
            line.object("shadow", |line| shadow.write(line));
        }
        if let Some(status) = self.status {
            line.word("status", status);
        }
        line.caller("request_id", self.request_id);
        if let Some(trace_id) = self.trace_id {
            line.caller("trace_id", trace_id);
        }
        line.object("latency_us", |line| self.latency.write(line));
        line.personal(salt, |line| {
            line.optional("principal", self.principal);
            if let Some(address) = self.source {
                disclosure::source(line, address, self.disclosure.source, key);
            }
            disclosure::values(line, self.values, self.disclosure, key);
        });
    }
}

impl Shadow<'_> {
    fn write(self, line: &mut Line) {
        line.optional("decision", self.decision.map(Verdict::as_str));
        line.optional("reason", self.reason);
        line.list("policies", self.policies);
        line.list("errors", self.errors);
    }
}

impl Latency {
    fn write(self, line: &mut Line) {
        for (name, step) in [("token", self.token), ("parse", self.parse), ("policy", self.policy)] {
            if let Some(step) = step {
                line.word(name, step.as_micros());
            }
        }
        line.word("total", self.total.as_micros());
    }
}

impl Reload<'_> {
    pub(super) fn write(&self, line: &mut Line) {
        line.text("kind", "reload");
        line.time("time", self.time);
        line.text("outcome", self.outcome.as_str());
        line.word("generation", self.generation);
        line.text("digest", self.digest);
        line.list("problems", self.problems);
    }
}

/// Why a file, or what comes next in it, begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The process started.
    Start,
    /// The file before it was full or old.
    Rotated,
    /// Its name stood for another file.
    Reopened,
    /// The file before it was deleted.
    Deleted,
    /// The file before it could not be flushed to the disk.
    Failed,
    /// It is the same file, but somebody else changed its length.
    Resized,
}

/// The record that is written before the first other one of a process, and of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) cause: Cause,
    /// Bytes of an unfinished line that were cut off the end.
    pub(super) torn: usize,
}

impl Opened {
    /// With the place in the file where it stands: a trail whose head was cut off does not start with one at 0.
    pub(super) fn body(self, time: UnixTime, at: u64) -> Body {
        let cause = match self.cause {
            Cause::Start => "start",
            Cause::Rotated => "rotated",
            Cause::Reopened => "reopened",
            Cause::Deleted => "deleted",
            Cause::Failed => "failed",
            Cause::Resized => "resized",
        };
        note("opened", time, |line| {
            line.text("cause", cause);
            if self.torn > 0 {
                line.word("torn", self.torn);
            }
            line.word("at", at);
        })
    }
}

/// The record of a file's orderly end.
pub(super) fn closed(time: UnixTime) -> Body {
    note("closed", time, |_| {})
}

/// The record of how many others are missing here.
pub(super) fn lost(time: UnixTime, count: u64) -> Body {
    note("lost", time, |line| line.word("count", count))
}

/// The record that is signed.
pub(super) fn checkpoint(time: UnixTime, key: &str) -> Body {
    note("checkpoint", time, |line| line.text("key", key))
}

fn note(kind: &str, time: UnixTime, members: impl FnOnce(&mut Line)) -> Body {
    let mut line = Line::default();
    line.text("kind", kind);
    line.time("time", time);
    members(&mut line);
    line.finish()
}
