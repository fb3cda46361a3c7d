//! What policies cost: to load, and for each decision, from ten of them to a hundred thousand.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use cedar_policy::PolicySet;
use rustix::time::{ClockId, clock_gettime};
use toolgate::clock::Clock;
use toolgate::context::Headers;
use toolgate::json::{Document, Limits};
use toolgate::mcp;
use toolgate::policy::Question;
use toolgate::policy::query::RequestFacts;
use toolgate::policy::stepup::Published;
use toolgate::policy::subject::{ScopeHierarchy, Subject};
use toolgate::reload::load::{Loaded, load};
use toolgate::token::suppose;

use crate::steps::{median, sample_once};

/// How many policies there are in turn.
const SIZES: [usize; 4] = [10, 1_000, 10_000, 100_000];

/// Policies of each set that apply to everything.
const GENERAL: [usize; 3] = [1, 16, 64];

/// Rounds in which the sets are asked in turn.
const ROUNDS: usize = 15;

/// Different questions that are asked in turn: as many as the smallest set has policies.
const QUESTIONS: usize = 10;

/// Policies in a file.
const IN_A_FILE: usize = 1_000;

/// Bytes of the argument that no policy reads.
const UNREAD: usize = 250_000;

const LIMITS: Limits = Limits { depth: 64, nodes: 200_000 };

const CONFIG: &str = r#"
listen: {grpc: "127.0.0.1:0"}
client_address: peer
policies: policies
issuers:
- {name: corp, issuer: "https://id.example.com", jwks: {file: keys.json}, groups: /groups}
servers:
- {name: desk, resource: "https://mcp.example.com/desk", issuers: [corp], tools: desk.json, scopes_supported: ["desk:read"]}
audit: {file: {path: audit.jsonl}}
"#;

/// What the policies of a set have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Series {
    /// Each tool has its share, each for another group.
    Spread,
    /// All are on one tool, each for another user.
    OneTool,
}

/// Writes a configuration of `policies` policies over `tools` tools, and `general` ones that apply to everything.
fn write(folder: &Path, series: Series, policies: usize, tools: usize, general: usize) {
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder.join("policies")).unwrap();
    std::fs::write(folder.join("toolgate.yaml"), CONFIG).unwrap();
    std::fs::write(folder.join("keys.json"), crate::tokens::key_set(&[&crate::tokens::TestKey::new("ES256", "one")]))
        .unwrap();
    let schema = r#"{"type":"object","properties":{"queue":{"type":"string"},"priority":{"type":"integer"},"text":{"type":"string"},"tags":{"type":"array","items":{"type":"string"}}}}"#;
    let tools_text: Vec<String> = (0..tools)
        .map(|tool| {
            format!(
                r#"{{"name":"tool_{tool}","description":"Tool number {tool} of the desk.","inputSchema":{schema}}}"#
            )
        })
        .collect();
    std::fs::write(folder.join("desk.json"), format!(r#"{{"tools":[{}]}}"#, tools_text.join(","))).unwrap();
    for first in (0..policies).step_by(IN_A_FILE) {
        let mut text = String::new();
        for number in first..policies.min(first + IN_A_FILE) {
            let (principal, tool) = match series {
                Series::Spread => (format!("in Group::\"corp:g{}\"", number / tools), number % tools),
                Series::OneTool => (format!("== User::\"corp:u{number}\""), 0),
            };
            let _ = write!(
                text,
                "@id(\"p{number}\")\npermit (principal {principal}, action == Action::\"desk:tool_{tool}\", resource)\nwhen {{ context.arguments has priority && context.arguments.priority < 5 }};\n\n"
            );
        }
        std::fs::write(folder.join(format!("policies/{first}.cedar")), text).unwrap();
    }
    let mut text = String::from("@id(\"session\")\npermit (principal, action in Action::\"session\", resource);\n");
    for number in 0..general {
        let _ = write!(
            text,
            "@id(\"general{number}\")\nforbid (principal, action, resource)\nwhen {{ context.token.issuer == \"other{number}\" }};\n"
        );
    }
    std::fs::write(folder.join("policies/general.cedar"), text).unwrap();
}

/// Writes a set for [`loaded`]: a process of its own, so that memory is that of loading alone.
pub(crate) fn prepare(folder: &Path, policies: usize, tools: usize) {
    write(folder, Series::Spread, policies, tools, 0);
}

/// Loads the set in `folder` and prints seconds of CPU and resident memory in MiB, as JSON; `parse` is what Cedar alone
/// takes to parse the same texts, measured after.
pub(crate) fn loaded(folder: &Path) {
    let began = cpu_seconds();
    let loaded = load(&folder.join("toolgate.yaml")).unwrap();
    let seconds = cpu_seconds() - began;
    let (resident, peak) = (status("VmRSS:"), status("VmHWM:"));
    let policies = loaded.rules.engine.bundle().len();
    let tools: usize = loaded.rules.servers.iter().map(|server| server.model.catalogued_tools()).sum();
    let began = cpu_seconds();
    drop(loaded);
    let dropped = cpu_seconds() - began;
    let mut parse = 0.0;
    for entry in std::fs::read_dir(folder.join("policies")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let began = cpu_seconds();
        drop(black_box(text.parse::<PolicySet>().unwrap()));
        parse += cpu_seconds() - began;
    }
    println!(
        "{{\"policies\": {policies}, \"tools\": {tools}, \"cpu_seconds\": {seconds:.3}, \"resident_mib\": {resident:.1}, \"peak_mib\": {peak:.1}, \"drop_seconds\": {dropped:.3}, \"parse_seconds\": {parse:.3}}}"
    );
}

/// One loaded set, the callers and the messages.
struct Set {
    label: String,
    loaded: Loaded,
    subjects: Vec<Subject>,
    messages: Vec<String>,
}

impl Set {
    fn new(folder: &Path, series: Series, policies: usize, general: usize) -> Self {
        write(folder, series, policies, 1_000.min(policies), general);
        let loaded = load(&folder.join("toolgate.yaml")).unwrap();
        let (callers, tools) = match series {
            Series::Spread => (1, QUESTIONS),
            Series::OneTool => (QUESTIONS, 1),
        };
        let rules = &loaded.config.issuers.first().unwrap().rules;
        let now = Clock::System.now();
        let subject = |number: usize| {
            let claims = crate::scene::claims_of(&format!("u{number}"), "one", r#""g0","other","another""#);
            let principal = suppose(claims.as_bytes(), rules, now).unwrap();
            Subject::new(Arc::new(principal), &ScopeHierarchy::default()).unwrap()
        };
        let message = |tool| call(tool, r#""queue":"network","priority":2,"tags":["lab","vpn"]"#);
        let subjects = (0..callers).map(subject).collect();
        let messages = (0..tools).map(message).collect();
        Self { label: format!("{policies}"), subjects, messages, loaded }
    }

    /// Microseconds of CPU of one decision: from the parsed message to the policies' answer.
    fn sample(&self) -> f64 {
        let documents: Vec<Document<'_>> =
            self.messages.iter().map(|text| Document::parse(text.as_bytes(), LIMITS).unwrap()).collect();
        let headers = Headers::default();
        let read: Vec<mcp::Message<'_>> = documents
            .iter()
            .map(|document| mcp::parse(document, &headers).map_err(|fault| fault.error).unwrap())
            .collect();
        let mut turns = self.subjects.iter().cycle().zip(read.iter().cycle());
        sample_once(|| turns.next().unwrap(), |(subject, message)| assert!(self.ask(subject, message)))
    }

    /// Whether the policies allow it.
    fn ask(&self, subject: &Subject, message: &mcp::Message<'_>) -> bool {
        let rules = &self.loaded.rules;
        let server = rules.servers.first().unwrap();
        let facts =
            RequestFacts { now: Clock::System.now(), ip: None, zone: &rules.zone, revision: message.revision() };
        let question = Question {
            subject,
            hierarchy: &ScopeHierarchy::default(),
            server: &server.model,
            operation: message.operation(),
            facts: &facts,
            published: Published { scopes: &[], repeat_held: true },
        };
        rules.engine.evaluate(&question, &mut Vec::new()).verdict.is_ok()
    }
}

fn call(tool: usize, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"tool_{tool}","arguments":{{{arguments}}}}}}}"#
    )
}

/// Prints the cost of a decision by the number of policies, as JSON: the sets of each series are asked in turn.
pub(crate) fn measure(folder: &Path) {
    let series = [("spread over tools", Series::Spread), ("on one tool", Series::OneTool)];
    let mut all: Vec<String> = Vec::new();
    for (name, series) in series {
        let sets: Vec<Set> = SIZES.iter().map(|&size| Set::new(&folder.join("set"), series, size, 0)).collect();
        all.push(format!("  \"{name}\": {}", in_turn(&sets)));
    }
    let general = |&count: &usize| {
        let set = Set::new(&folder.join("set"), Series::Spread, 1_000, count);
        Set { label: count.to_string(), ..set }
    };
    let sets: Vec<Set> = GENERAL.iter().map(general).collect();
    all.push(format!("  \"that apply to everything\": {}", in_turn(&sets)));
    all.push(format!("  \"unread\": {}", unread(sets.first().unwrap())));
    println!("{{\n{}\n}}", all.join(",\n"));
}

/// The medians of all sets, asked in turn, and the last as a multiple of the first: the median of the rounds' ratios.
fn in_turn(sets: &[Set]) -> String {
    let rounds: Vec<Vec<f64>> = (0..=ROUNDS).map(|_| sets.iter().map(Set::sample).collect()).collect();
    // The first round warms up.
    let rounds = rounds.get(1..).unwrap();
    let mut rows: Vec<String> = sets
        .iter()
        .enumerate()
        .map(|(at, set)| {
            format!("\"{}\": {:.2}", set.label, median(rounds.iter().map(|round| *round.get(at).unwrap())))
        })
        .collect();
    let ratio = median(rounds.iter().map(|round| round.last().unwrap() / round.first().unwrap()));
    rows.push(format!("\"ratio\": {ratio:.3}"));
    format!("{{{}}}", rows.join(", "))
}

/// A decision on a call with a large argument that no policy reads, from its bytes, against the strict reading of them.
fn unread(set: &Set) -> String {
    let text = format!(r#""priority":2,"text":"{}""#, "The lab. ".repeat(UNREAD / 9));
    let objects: Vec<String> =
        (0..UNREAD / 50).map(|number| format!(r#""the tag number {number:08}, of very many of them""#)).collect();
    let tags = format!(r#""priority":2,"tags":[{}]"#, objects.join(","));
    let subject = set.subjects.first().unwrap();
    let headers = Headers::default();
    let row = |name: &str, arguments: &str| {
        let message = call(0, arguments);
        let scan = || drop(black_box(Document::parse(message.as_bytes(), LIMITS).unwrap()));
        let decide = || {
            let document = Document::parse(message.as_bytes(), LIMITS).unwrap();
            let read = mcp::parse(&document, &headers).map_err(|fault| fault.error).unwrap();
            assert!(set.ask(subject, &read));
        };
        let pairs: Vec<(f64, f64)> =
            (0..ROUNDS).map(|_| (sample_once(|| (), |()| scan()), sample_once(|| (), |()| decide()))).collect();
        let (scans, all) = (median(pairs.iter().map(|pair| pair.0)), median(pairs.iter().map(|pair| pair.1)));
        let ratio = median(pairs.iter().map(|pair| pair.1 / pair.0));
        format!("\"{name}\": {{\"scan\": {scans:.1}, \"decision\": {all:.1}, \"ratio\": {ratio:.3}}}")
    };
    format!("{{{}, {}}}", row("one string", &text), row("many strings", &tags))
}

/// CPU time of this process, all threads.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// One field of proc(5) `status`, in MiB.
fn status(field: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}
