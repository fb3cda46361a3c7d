//! The whole engine against Cedar alone, on the model that authors see: real callers and messages on one side, whole
//! entities and contexts, written a second time as Cedar's own JSON, on the other.

mod policies;
mod shadows;
mod whole;

use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy::{Authorizer, Context, Decision, Effect, PolicySet, Request, Response};
use serde_json::{Value, json};

use super::random::Random;
use super::slicing::{errors, same};
use super::world::{Servers, World, calling, facts, hierarchy_of};
use crate::mcp::{Operation, ResourceMethod, SessionMethod, TaskMethod};
use crate::policy::Question;
use crate::policy::bundle::Mode;
use crate::policy::evaluate::{Conclusion, Refusal};
use crate::policy::explain::{Explanation, Standing};
use crate::policy::query::{Query, queries};
use crate::policy::stepup::Published;
use crate::policy::subject::ScopeHierarchy;
use policies::{policy, templates};
use shadows::{enforced, shadowed};
use whole::{Caller, arguments, caller, datetime, targets};

const CATALOG: &str = r#"{"tools": [
    {"name": "read", "annotations": {"readOnlyHint": true, "destructiveHint": false}, "inputSchema": {"type": "object",
        "required": ["path"], "properties": {"path": {"type": "string"}, "limit": {"type": "integer"},
        "ratio": {"type": "number"}, "tags": {"type": "array", "items": {"type": "string"}},
        "deep": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}, "on": {"type": "boolean"}}}}}},
    {"name": "write", "inputSchema": {"type": "object", "required": ["size"], "properties": {"size": {"type": "integer"}}}},
    {"name": "plain", "inputSchema": {"type": "object"}}]}"#;

/// What was asked, and how often it ended how.
#[derive(Default)]
struct Met {
    cases: usize,
    allows: usize,
    forbids: usize,
    errors: usize,
    links: usize,
    flips: usize,
}

/// Which groups can be in which: some for two reasons, some not those of a token.
const GROUPS_IN: [[&str; 2]; 6] = [["g0", "g1"], ["g0", "g3"], ["g1", "g3"], ["g2", "g1"], ["g3", "g4"], ["g2", "g4"]];

/// Of so many cases one is explained as well: that takes longer than all the rest.
const EXPLAINED_EACH: usize = 100;

/// One world's policies and callers.
struct Case {
    world: World,
    set: PolicySet,
    enforced: PolicySet,
    callers: Vec<Caller>,
    met: Met,
}

impl Case {
    /// Asks `operation` of the server number `server`, on behalf of every caller.
    fn ask(&mut self, server: usize, operation: &Operation<'_>, arguments: &Value) {
        let server = &self.world.servers[server];
        for caller in &self.callers {
            let asked = queries(operation, server).unwrap();
            let (mut wholes, mut reals) = (Vec::new(), Vec::new());
            let published = Published { scopes: &[], repeat_held: true };
            let (facts, hierarchy) = (facts(), ScopeHierarchy::default());
            let question = Question {
                subject: &caller.subject,
                hierarchy: &hierarchy,
                server,
                operation,
                facts: &facts,
                published,
            };
            for query in &asked {
                wholes.push(ask_cedar(&self.set, caller, query, arguments));
                let whole = ask_cedar(&self.enforced, caller, query, arguments);
                let members = query.context(&caller.subject, &facts, query.route.reads(Mode::Enforced)).unwrap();
                let context = Context::from_pairs(members).unwrap();
                let answer = self.world.engine.ask(query, &caller.subject, Mode::Enforced, None, context).unwrap();
                same(&answer, &whole, &|| format!("{query:?}\n{:?}\n{}", caller.entities, self.set));
                self.met.cases += 1;
                self.met.allows += usize::from(whole.decision() == Decision::Allow);
                self.met.forbids +=
                    usize::from(whole.decision() == Decision::Deny && whole.diagnostics().reason().next().is_some());
                self.met.errors += usize::from(whole.diagnostics().errors().next().is_some());
                reals.push(whole);
            }
            let found = self.world.engine.evaluate(&question, &mut Vec::new());
            concluded(&found, &reals, &self.enforced);
            shadowed(&found, &wholes, &self.set);
            if self.met.cases.is_multiple_of(EXPLAINED_EACH) {
                explained(&self.world.engine.explain(&question), &reals, &wholes, &self.set);
            }
            self.met.flips += usize::from(found.shadow.is_some_and(|shadow| shadow.flip.is_some()));
        }
    }
}

/// Cedar's answer over everything.
#[expect(clippy::disallowed_methods, reason = "the test's own data, and a second way to make Cedar's values")]
fn ask_cedar(set: &PolicySet, caller: &Caller, query: &Query<'_>, arguments: &Value) -> Response {
    let mut context = arguments.clone();
    context["token"] = caller.token.clone();
    context["request"] = json!({"ip": {"__extn": {"fn": "ip", "arg": "10.1.2.3"}}, "now": datetime("2025-06-02T09:30:00Z"),
        "local": {"weekday": 1, "minute": 570, "date": datetime("2025-06-02")}});
    let context = Context::from_json_value(context, None).unwrap();
    let (principal, action) = (caller.subject.uid().clone(), query.route.action().clone());
    let request = Request::new(principal, action, query.resource.clone(), context, None).unwrap();
    Authorizer::new().is_authorized(&request, set, &caller.entities)
}

/// Holds the outcome of a message against Cedar's answers to its questions, of which the first denial ends it.
#[track_caller]
fn concluded(found: &Conclusion, wholes: &[Response], set: &PolicySet) {
    let erred = |whole: &Response| errors(whole).iter().any(|id| set.policy(id).unwrap().effect() == Effect::Forbid);
    let refused = wholes.iter().position(|whole| whole.decision() == Decision::Deny || erred(whole));
    let asked = &wholes[..refused.map_or(wholes.len(), |at| at + 1)];
    let names = |ids: BTreeSet<String>| ids.into_iter().map(Arc::from).collect::<Vec<Arc<str>>>();
    let reasons = |whole: &Response| whole.diagnostics().reason().map(ToString::to_string).collect::<Vec<_>>();
    let erring = asked.iter().flat_map(errors).map(|id| id.to_string()).collect();
    assert_eq!(found.erring, names(erring));
    let Some(at) = refused else {
        assert_eq!(found.determining, names(wholes.iter().flat_map(reasons).collect()));
        assert_eq!(found.verdict.as_ref().unwrap().policies(), found.determining);
        return;
    };
    let (denied, by) = (&wholes[at], reasons(&wholes[at]));
    let is_erred = erred(denied) && (denied.decision() == Decision::Allow || by.is_empty());
    assert_eq!(matches!(found.verdict, Err(Refusal::Erred)), is_erred);
    assert_eq!(matches!(found.verdict, Err(Refusal::Denied { .. })), !is_erred);
    assert_eq!(found.determining, names(if is_erred { BTreeSet::new() } else { by.into_iter().collect() }));
}

/// Holds an explanation against Cedar's answers, over the enforced policies and over all: by its parts, which are evaluated
/// alone, a policy applies or errs as it does as a whole.
#[track_caller]
fn explained(found: &[Explanation], reals: &[Response], wholes: &[Response], set: &PolicySet) {
    assert_eq!((found.len(), found.len()), (reals.len(), wholes.len()));
    for (explanation, (real, whole)) in found.iter().zip(reals.iter().zip(wholes)) {
        for (response, modes) in [(real, &[Mode::Enforced][..]), (whole, &[Mode::Enforced, Mode::Shadow][..])] {
            let ids = |standing, effects: &[Effect]| -> BTreeSet<String> {
                let own = explanation.policies.iter().filter(|each| modes.contains(&each.mode));
                let all = own.filter(|each| each.standing == standing && effects.contains(&each.effect));
                all.map(|each| each.policy.to_string()).collect()
            };
            let forbids = ids(Standing::Applies, &[Effect::Forbid]);
            let is_allow = response.decision() == Decision::Allow;
            assert!(!is_allow || forbids.is_empty(), "{set}");
            let decided = if is_allow { ids(Standing::Applies, &[Effect::Permit]) } else { forbids };
            let reasons: BTreeSet<String> = response.diagnostics().reason().map(ToString::to_string).collect();
            assert_eq!(decided, reasons, "{set}");
            let errors: BTreeSet<String> = errors(response).iter().map(ToString::to_string).collect();
            assert_eq!(ids(Standing::Erred, &[Effect::Permit, Effect::Forbid]), errors, "{set}");
        }
    }
}

/// Every kind of message to both servers.
fn messages(case: &mut Case, random: &mut Random) {
    let none = json!({});
    for _ in 0..4 {
        let (text, typed) = arguments(random);
        calling("read", &text, |call| case.ask(0, call, &typed));
    }
    let size = json!({"arguments": {"size": 7}, "count": {}, "undeclared": ["/other"]});
    calling("write", r#"{"size": 7, "other": {"deep": null}}"#, |call| case.ask(0, call, &size));
    calling("plain", "{}", |call| case.ask(0, call, &json!({"arguments": {}, "count": {}, "undeclared": []})));
    for tool in ["t0", "t1"] {
        calling(tool, r#"{"x": 1.5}"#, |call| case.ask(1, call, &none));
    }
    for server in 0..2 {
        for name in ["p0", "p1"] {
            case.ask(server, &Operation::Prompt { name: name.into() }, &none);
        }
        for uri in [
            "file:///public/a.txt",
            "file:///public/sub/b.txt",
            "file:///public",
            "file:///public/../etc",
            "https://h.example/x",
        ] {
            case.ask(server, &Operation::Resource { method: ResourceMethod::Read, uri: uri.into() }, &none);
        }
        case.ask(server, &Operation::Task { method: TaskMethod::Get, id: "1".into() }, &none);
        case.ask(server, &Operation::Task { method: TaskMethod::Cancel, id: "2".into() }, &none);
        case.ask(server, &Operation::Session(SessionMethod::Initialize), &none);
        case.ask(server, &Operation::Session(SessionMethod::ListTasks), &none);
        let resources = vec!["file:///public/a.txt".into(), "https://h.example/x".into()];
        case.ask(server, &Operation::Listen { resources, tasks: vec!["2".into()] }, &none);
    }
    case.ask(0, &Operation::Other { method: "x/custom".into() }, &none);
}

/// 40 worlds of eight callers and 37 questions each.
#[track_caller]
fn check(seed: u64) {
    let servers = Servers::new(&[("a", Some(CATALOG), &["x/custom"]), ("b", None, &[])]);
    let targets = targets(&servers.schema);
    let mut random = Random::new(seed);
    let mut met = Met::default();
    for _ in 0..40 {
        let size = if random.chance(30) { 1 + random.below(12) } else { 12 + random.below(90) };
        let policies = servers.valid((0..size).map(|at| policy(&mut random, at)).collect());
        let implies: Vec<(usize, usize)> =
            [(0, 1), (0, 2), (1, 3), (2, 3)].into_iter().filter(|_| random.chance(50)).collect();
        let groups: Vec<(String, String)> =
            GROUPS_IN.iter().filter(|_| random.chance(50)).map(|pair| pair.map(str::to_owned).into()).collect();
        let (policies, mut links) = templates(&mut random, policies);
        let policies = servers.valid_links(policies, &mut links);
        met.links += links.len();
        let world = servers.under_links(&policies, links, hierarchy_of(&groups));
        let callers = (0..8).map(|_| caller(&mut random, &implies, &groups, &targets)).collect();
        let set = world.whole();
        let mut case = Case { enforced: enforced(&set), set, world, callers, met };
        messages(&mut case, &mut random);
        met = case.met;
    }
    assert!(met.cases > 10_000, "{} cases", met.cases);
    for (what, count) in [
        ("allow", met.allows),
        ("forbid", met.forbids),
        ("error", met.errors),
        ("link", met.links),
        ("flip", met.flips),
    ] {
        assert!(count > 200, "seed {seed}: {what} in {count} of {}", met.cases);
    }
}

#[test]
fn the_engine_answers_as_cedar_alone_1() {
    check(1);
}

#[test]
fn the_engine_answers_as_cedar_alone_2() {
    check(2);
}
