//! Records as people look at them: read line by line, and told or counted.

use std::collections::HashMap;

use crate::audit::line::LINE_LIMIT;
use crate::json::{Document, Limits, Value};

/// A record nests three deep, and a value takes a byte at least.
const LIMITS: Limits = Limits { depth: 8, nodes: LINE_LIMIT };

/// Names of one kind that are counted one by one. More of them no person reads, and they would fill the memory.
const MAX_NAMES: usize = 100_000;

/// The name of all that came when there was no room for another.
const OTHERS: &str = "(others)";

/// Letters of one value, and of all of a decision, that are shown on its line.
const MAX_VALUE: usize = 60;
const MAX_VALUES: usize = 200;

/// Which decisions are shown; what is absent does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// `allow` or `deny`.
    pub decision: Option<String>,
    /// A part of the principal.
    pub principal: Option<String>,
    /// A part of an action or resource.
    pub tool: Option<String>,
    /// The id of a policy that decided or failed.
    pub policy: Option<String>,
    /// The reason.
    pub reason: Option<String>,
}

impl Filter {
    /// Whether it wants everything.
    pub fn is_empty(&self) -> bool {
        [&self.decision, &self.principal, &self.tool, &self.policy, &self.reason].iter().all(|part| part.is_none())
    }

    fn wants(&self, record: &Value<'_>) -> bool {
        let is = |wanted: &Option<String>, name| {
            wanted.as_ref().is_none_or(|wanted| text(record, name).as_deref() == Some(wanted.as_str()))
        };
        let part = |wanted: &Option<String>, names: &[&str]| {
            wanted.as_ref().is_none_or(|wanted| {
                names.iter().any(|name| holds(record, name, |text| text.contains(wanted.as_str())))
            })
        };
        let policy = self.policy.as_ref().is_none_or(|wanted| {
            ["policies", "errors"].iter().any(|name| holds(record, name, |id| id == wanted.as_str()))
        });
        is(&self.decision, "decision")
            && is(&self.reason, "reason")
            && part(&self.principal, &["principal"])
            && part(&self.tool, &["actions", "resources"])
            && policy
    }
}

/// The line for people of a record that `filter` wants; without a filter, of any kind. `None` for what is no record.
pub fn readable(line: &[u8], filter: &Filter) -> Option<String> {
    let document = Document::parse(line, LIMITS).ok()?;
    let record = document.root();
    let kind = text(&record, "kind")?;
    if (kind != "decision" && !filter.is_empty()) || !filter.wants(&record) {
        return None;
    }
    let time = text(&record, "time").unwrap_or_default();
    let told = match kind.as_str() {
        "decision" => decision(&record),
        other => others(other, &record),
    };
    Some(format!("{time}  {told}"))
}

fn decision(record: &Value<'_>) -> String {
    let field = |name| text(record, name).filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned());
    let mut parts = vec![
        format!("{:5}", field("decision")),
        field("reason"),
        field("server"),
        field("principal"),
        list(record, "actions"),
    ];
    let policies = list(record, "policies");
    if policies != "-" {
        parts.push(format!("by {policies}"));
    }
    let errors = list(record, "errors");
    if errors != "-" {
        parts.push(format!("errors {errors}"));
    }
    parts.extend(text(record, "detail").map(|detail| format!("({detail})")));
    parts.extend(values(record));
    parts.join("  ")
}

/// The values that were read, without the name that most of their paths begin with, as far as they fit on a line.
fn values(record: &Value<'_>) -> Option<String> {
    let mut shown = String::new();
    for (path, value) in record.get("values")?.members() {
        let path =
            ["context.arguments.", "context."].into_iter().find_map(|start| path.strip_prefix(start)).unwrap_or(&path);
        // As it was written: printable ASCII, whatever it means.
        let value = value.raw();
        let told = if value.len() > MAX_VALUE { format!("{}...", value.get(..MAX_VALUE)?) } else { value.to_owned() };
        let told = format!("{}={told}", plain(path));
        if !shown.is_empty() && shown.len() + told.len() > MAX_VALUES {
            shown.push_str(" ...");
            break;
        }
        if !shown.is_empty() {
            shown.push(' ');
        }
        shown.push_str(&told);
    }
    (!shown.is_empty()).then_some(shown)
}

/// What a record of another kind says beside its place in the chain.
fn others(kind: &str, record: &Value<'_>) -> String {
    let place = ["boot", "seq", "prev", "kind", "time", "digest", "signature"];
    let members = record.members().filter(|(name, _)| !place.contains(&name.as_ref()));
    let told = members.map(|(name, value)| {
        // As it was written: printable ASCII, whatever it means.
        format!("{}={}", plain(&name), value.raw().trim_matches('"'))
    });
    std::iter::once(kind.to_owned()).chain(told).collect::<Vec<_>>().join("  ")
}

/// What happened how often. Records are added one by one.
#[derive(Debug, Default)]
pub struct Stats {
    /// Records of decisions.
    pub decisions: Count,
    /// By the principal; empty where nobody was known.
    pub principals: HashMap<String, Count>,
    /// By what was to be done.
    pub actions: HashMap<String, Count>,
    /// By the reason.
    pub reasons: HashMap<String, Count>,
    /// By the policies that decided.
    pub policies: HashMap<String, Count>,
    /// How often each policy failed.
    pub errors: HashMap<String, Count>,
    /// Denials that are on record as sums only.
    pub summed: u64,
    /// Records that a sink did not take.
    pub lost: u64,
    /// Lines that are no record.
    pub unreadable: u64,
    /// The first and the last time.
    pub range: Option<(String, String)>,
}

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Allowed.
    pub allowed: u64,
    /// Denied.
    pub denied: u64,
}

impl Count {
    /// Both.
    pub const fn total(self) -> u64 {
        self.allowed + self.denied
    }

    fn add(&mut self, allowed: bool, count: u64) {
        *if allowed { &mut self.allowed } else { &mut self.denied } += count;
    }
}

impl Stats {
    /// Counts one line.
    pub fn add(&mut self, line: &[u8]) {
        let Ok(document) = Document::parse(line, LIMITS) else {
            self.unreadable += 1;
            return;
        };
        let record = document.root();
        let (Some(kind), Some(time)) = (text(&record, "kind"), text(&record, "time")) else {
            self.unreadable += 1;
            return;
        };
        match self.range.as_mut() {
            Some((_, last)) => *last = time,
            None => self.range = Some((time.clone(), time)),
        }
        match kind.as_str() {
            "decision" => self.decision(&record),
            "flood" => self.flood(&record),
            "lost" => self.lost += number(record.get("count")),
            _ => {}
        }
    }

    fn decision(&mut self, record: &Value<'_>) {
        let allowed = text(record, "decision").as_deref() == Some("allow");
        self.decisions.add(allowed, 1);
        add(&mut self.principals, &text(record, "principal").unwrap_or_default(), allowed, 1);
        add(&mut self.reasons, &text(record, "reason").unwrap_or_default(), allowed, 1);
        for (counts, name) in
            [(&mut self.actions, "actions"), (&mut self.policies, "policies"), (&mut self.errors, "errors")]
        {
            for item in record.get(name).into_iter().flat_map(Value::items) {
                add(counts, &item.as_str().map(|text| plain(&text)).unwrap_or_default(), allowed, 1);
            }
        }
    }

    fn flood(&mut self, record: &Value<'_>) {
        for (name, count) in record.get("denials").into_iter().flat_map(Value::members) {
            let count = number(Some(count));
            let reason = name.rsplit('/').next().unwrap_or_default();
            self.summed += count;
            self.decisions.add(false, count);
            add(&mut self.principals, "", false, count);
            add(&mut self.reasons, &plain(reason), false, count);
        }
    }
}

fn add(counts: &mut HashMap<String, Count>, name: &str, allowed: bool, count: u64) {
    if let Some(counted) = counts.get_mut(name) {
        counted.add(allowed, count);
        return;
    }
    let name = if counts.len() < MAX_NAMES { name } else { OTHERS };
    counts.entry(name.to_owned()).or_default().add(allowed, count);
}

fn number(value: Option<Value<'_>>) -> u64 {
    value.and_then(Value::as_i64).and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
}

fn text(record: &Value<'_>, name: &str) -> Option<String> {
    record.get(name)?.as_str().map(|text| plain(&text))
}

/// Whether a string, or one in a list, is as wanted.
fn holds(record: &Value<'_>, name: &str, wanted: impl Fn(&str) -> bool) -> bool {
    let Some(value) = record.get(name) else { return false };
    value.as_str().is_some_and(|text| wanted(&text))
        || value.items().any(|item| item.as_str().is_some_and(|text| wanted(&text)))
}

fn list(record: &Value<'_>, name: &str) -> String {
    let items: Vec<String> = record
        .get(name)
        .into_iter()
        .flat_map(Value::items)
        .filter_map(Value::as_str)
        .map(|item| plain(&item))
        .collect();
    if items.is_empty() { "-".to_owned() } else { items.join(",") }
}

/// Nothing that steers a terminal: what is no printable ASCII was an escape in the record, and stays one.
fn plain(text: &str) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    text.chars().map(|c| if matches!(c, ' '..='~') { c.to_string() } else { c.escape_default().to_string() }).collect()
}
