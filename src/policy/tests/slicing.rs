//! Plans against Cedar alone, over arbitrary entity types: every shape that a scope can have, conditions in error,
//! hierarchies, and entities that nobody has heard of.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Entities, Entity, EntityUid, Policy, PolicyId, PolicySet,
    Request, Response, RestrictedExpression, SlotId, Template,
};

use super::random::Random;
use crate::policy::Engine;
use crate::policy::bundle::{Bundle, BundledPolicy, Mode};
use crate::policy::evaluate::Answer;
use crate::policy::plan::{FLAT, OpenPlan, Plan, Plans};

const PRINCIPALS: [&str; 9] =
    ["P::\"0\"", "P::\"1\"", "P::\"2\"", "Q::\"0\"", "Q::\"1\"", "G::\"0\"", "G::\"1\"", "G::\"2\"", "G::\"3\""];
const ACTIONS: [&str; 6] =
    ["Action::\"0\"", "Action::\"1\"", "Action::\"2\"", "Action::\"3\"", "Action::\"g0\"", "Action::\"g1\""];
const RESOURCES: [&str; 9] =
    ["R::\"0\"", "R::\"1\"", "R::\"2\"", "S::\"0\"", "S::\"1\"", "F::\"0\"", "F::\"1\"", "F::\"2\"", "F::\"3\""];

/// Conditions that hold, fail, err for what is missing or of another type, or overflow.
const CONDITIONS: [&str; 18] = [
    "true",
    "false",
    "context.x",
    "context has x && context.x",
    "context.n + 1 > 0",
    "context.s like \"a*\"",
    "principal.n == 1",
    "principal.n + resource.n < 3",
    "resource has n && resource.n * 2 > 0",
    "principal in G::\"1\"",
    "principal is P",
    "principal is P in G::\"0\"",
    "action in Action::\"g0\"",
    "resource in F::\"0\"",
    "resource is S",
    "principal == resource",
    "1 < \"a\"",
    "[principal, resource].contains(P::\"0\")",
];

/// Holds `answer` against the one that Cedar gives over the whole set: the determining policies, of the winning effect
/// only, and those in error. (That a forbid in error denies is our own rule, and applied after.)
#[track_caller]
pub(super) fn same(answer: &Answer<'_>, whole: &Response, about: &dyn Fn() -> String) {
    let ids = |policies: &[&BundledPolicy]| policies.iter().map(|p| p.policy.id().clone()).collect::<BTreeSet<_>>();
    let reasons: BTreeSet<PolicyId> = whole.diagnostics().reason().cloned().collect();
    let errors: BTreeSet<PolicyId> = errors(whole);
    let forbids = ids(answer.forbids());
    match whole.decision() {
        Decision::Allow => {
            assert_eq!(forbids, BTreeSet::new(), "{}", about());
            assert_eq!(ids(answer.permits()), reasons, "{}", about());
        }
        Decision::Deny => {
            assert_eq!(forbids, reasons, "{}", about());
            assert!(!forbids.is_empty() || answer.permits().is_empty(), "{}", about());
            assert_eq!(ids(answer.determining()), reasons, "{}", about());
        }
    }
    assert_eq!(ids(answer.erring()), errors, "{}", about());
}

/// The policies in error.
pub(super) fn errors(response: &Response) -> BTreeSet<PolicyId> {
    let id = |AuthorizationError::PolicyEvaluationError(error): &AuthorizationError| error.policy_id().clone();
    response.diagnostics().errors().map(id).collect()
}

/// Random entities and policies; the plans that were made for them.
struct Case {
    engine: Engine,
    set: PolicySet,
    entities: Entities,
    plans: Plans,
    closed: HashMap<(EntityUid, EntityUid), Vec<Arc<Plan>>>,
    open: HashMap<EntityUid, OpenPlan>,
}

/// How often each kind of case was met: a test of nothing but denials would prove little.
#[derive(Default)]
struct Met {
    allows: usize,
    forbids: usize,
    errors: usize,
    keyed: usize,
    linked: usize,
}

impl Case {
    fn new(random: &mut Random) -> Self {
        let mut entities = Vec::new();
        for side in [&PRINCIPALS[..], &ACTIONS[..], &RESOURCES[..]] {
            for (at, text) in side.iter().enumerate() {
                // Only later ones are above, so that there is no cycle; actions are in groups alone.
                let above = if side.len() == ACTIONS.len() {
                    &side[side.len().saturating_sub(2).max(at + 1)..]
                } else {
                    &side[at + 1..]
                };
                let parents: HashSet<EntityUid> = random.some(above, 20).into_iter().map(uid).collect();
                let number = ["-1", "0", "1", "9223372036854775807"][random.below(4)].parse().unwrap();
                let number = random.chance(70).then(|| ("n".to_owned(), RestrictedExpression::new_long(number)));
                entities.push(Entity::new(uid(text), number.into_iter().collect(), parents).unwrap());
            }
        }
        let size = if random.chance(30) { 1 + random.below(FLAT) } else { FLAT + random.below(70) };
        let mut set = PolicySet::new();
        (0..size).for_each(|at| add(random, &mut set, at));
        Self {
            engine: Engine::new(Bundle::unchecked(&set), 1),
            set,
            entities: Entities::from_entities(entities, None).unwrap(),
            plans: Plans::default(),
            closed: HashMap::new(),
            open: HashMap::new(),
        }
    }

    fn above(&self, uid: &EntityUid) -> Vec<EntityUid> {
        self.entities.ancestors(uid).into_iter().flatten().cloned().collect()
    }

    fn ask(&mut self, random: &mut Random, met: &mut Met) {
        let [principal, action, resource] =
            [(&PRINCIPALS[..], "P"), (&ACTIONS[..], "Action"), (&RESOURCES[..], "R")].map(|(side, kind)| {
                if random.chance(5) { uid(&format!("{kind}::\"unheard\"")) } else { uid(random.pick(side)) }
            });
        let request = Request::new(principal.clone(), action.clone(), resource.clone(), context(random), None).unwrap();
        let whole = Authorizer::new().is_authorized(&request, &self.set, &self.entities);
        let (groups, parents, ancestors) = (self.above(&action), self.above(&resource), self.above(&principal));
        let bundle = self.engine.bundle();
        let target = (action.clone(), resource.clone());
        let closed = self
            .closed
            .entry(target)
            .or_insert_with(|| self.plans.closed((bundle, Mode::Enforced), (&action, &groups), (&resource, &parents)));
        let open = self
            .open
            .entry(action.clone())
            .or_insert_with(|| self.plans.open((bundle, Mode::Enforced), &action, &groups));
        let found = open.plans(&resource, &parents);
        for (name, plans) in [("closed", closed.iter().map(|plan| &**plan).collect()), ("open", found)] {
            met.keyed += usize::from(plans.iter().any(|plan| plan.len() > FLAT));
            let slices = plans.into_iter().flat_map(|plan| plan.slices(&principal, ancestors.iter()));
            let answer = self.engine.over(slices, &request, &self.entities).unwrap();
            same(&answer, &whole, &|| format!("{name}: {request}\n{:?}\n{}", self.entities, self.set));
        }
        met.allows += usize::from(whole.decision() == Decision::Allow);
        met.forbids += usize::from(whole.decision() == Decision::Deny && whole.diagnostics().reason().next().is_some());
        met.errors += usize::from(whole.diagnostics().errors().next().is_some());
        let is_linked = |id: &PolicyId| self.set.policy(id).is_some_and(|policy| !policy.is_static());
        met.linked += usize::from(whole.diagnostics().reason().any(is_linked));
    }
}

fn uid(text: &str) -> EntityUid {
    text.parse().unwrap()
}

/// Adds the policy number `at`, or a template with some links.
fn add(random: &mut Random, set: &mut PolicySet, at: usize) {
    let (text, id) = (policy(random), PolicyId::new(format!("p{at}")));
    let slots = [("?principal", SlotId::principal(), PRINCIPALS), ("?resource", SlotId::resource(), RESOURCES)];
    let slots: Vec<_> = slots.into_iter().filter(|(name, ..)| text.contains(name)).collect();
    if slots.is_empty() {
        return set.add(Policy::parse(Some(id), text).unwrap()).unwrap();
    }
    set.add_template(Template::parse(Some(id.clone()), text).unwrap()).unwrap();
    for number in 0..random.below(4) {
        let values = slots.iter().map(|(_, slot, all)| (slot.clone(), uid(random.pick(all)))).collect();
        set.link(id.clone(), PolicyId::new(format!("p{at}.{number}")), values).unwrap();
    }
}

/// A policy of any shape.
fn policy(random: &mut Random) -> String {
    let effect = if random.chance(70) { "permit" } else { "forbid" };
    let principal = scope(random, "principal", &["P", "Q", "G"], &PRINCIPALS);
    let resource = scope(random, "resource", &["R", "S", "F"], &RESOURCES);
    let action = match random.below(5) {
        0 => "action".to_owned(),
        1 => format!("action == {}", random.pick(&ACTIONS)),
        2 => format!("action in {}", random.pick(&ACTIONS)),
        _ => format!("action in [{}]", random.some(&ACTIONS, 40).join(", ")),
    };
    let mut text = format!("{effect} ({principal}, {action}, {resource})");
    for _ in 0..random.below(3) {
        let (kind, condition) = (random.pick(&["when", "unless"]), random.pick(&CONDITIONS));
        text.push_str(&format!(" {kind} {{ {condition} }}"));
    }
    text + ";"
}

fn scope(random: &mut Random, name: &str, types: &[&str], uids: &[&str]) -> String {
    let (kind, uid) = (random.pick(types), random.pick(uids));
    let slot = format!("?{name}");
    let uid = if random.chance(15) { &slot } else { uid };
    match random.below(5) {
        0 => name.to_owned(),
        1 => format!("{name} is {kind}"),
        2 => format!("{name} == {uid}"),
        3 => format!("{name} in {uid}"),
        _ => format!("{name} is {kind} in {uid}"),
    }
}

fn context(random: &mut Random) -> Context {
    let mut pairs = Vec::new();
    let mut maybe = |name: &str, value| pairs.extend(random.chance(70).then(|| (name.to_owned(), value)));
    maybe("x", RestrictedExpression::new_bool(true));
    maybe("s", RestrictedExpression::new_string("abc".to_owned()));
    let number = if random.chance(50) { 1 } else { i64::MAX };
    pairs.extend(random.chance(70).then(|| ("n".to_owned(), RestrictedExpression::new_long(number))));
    Context::from_pairs(pairs).unwrap()
}

/// 250 worlds of 120 requests each, every one of them asked of a closed and of an open plan.
#[track_caller]
fn check(seed: u64) {
    let mut random = Random::new(seed);
    let mut met = Met::default();
    for _ in 0..250 {
        let mut case = Case::new(&mut random);
        (0..120).for_each(|_| case.ask(&mut random, &mut met));
    }
    for (what, count) in [
        ("allow", met.allows),
        ("forbid", met.forbids),
        ("error", met.errors),
        ("keyed", met.keyed),
        ("link", met.linked),
    ] {
        assert!(count > 1_000, "seed {seed}: {what} in {count} of 30,000");
    }
}

#[test]
fn plans_answer_as_the_whole_set_1() {
    check(1);
}

#[test]
fn plans_answer_as_the_whole_set_2() {
    check(2);
}

#[test]
fn plans_answer_as_the_whole_set_3() {
    check(3);
}

#[test]
fn plans_answer_as_the_whole_set_4() {
    check(4);
}
