//! The search for scopes against trying every set of them.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Authorizer, Context, Decision, Entities, Entity, PolicySet, Request};

use super::*;
use crate::policy::query::{Query, queries};
use crate::policy::tests::random::Random;
use crate::policy::tests::world::{Servers, World, calling, subject};

const CATALOG: &str = r#"{"tools": [{"name": "tool", "inputSchema": {"type": "object"}}]}"#;

/// The scopes of a world; a set of them is the bits of a number.
const SCOPES: [&str; 7] = ["s0", "s1", "s2", "s3", "s4", "s5", "s6"];

/// What one search came to.
struct Found {
    /// The least number of scopes that a cure amounts to, implied ones included, if there is a cure.
    least: Option<usize>,
    /// The same of the cure that was found.
    found: Option<usize>,
    evaluations: usize,
}

/// Policies on one tool, and a hierarchy of scopes.
struct Case {
    world: World,
    set: PolicySet,
    hierarchy: ScopeHierarchy,
    published: Vec<String>,
    /// Whether a set of scopes is allowed, as Cedar alone says.
    allowed: HashMap<usize, bool>,
}

/// A condition on scopes: mostly of having them, now and then of not having one.
fn condition(random: &mut Random, depth: usize) -> String {
    if depth == 0 || random.chance(50) {
        let not = if random.chance(5) { "!" } else { "" };
        return format!("{not}(principal in Scope::\"{}\")", random.pick(&SCOPES));
    }
    let operator = if random.chance(60) { "&&" } else { "||" };
    format!("({} {operator} {})", condition(random, depth - 1), condition(random, depth - 1))
}

fn policies(random: &mut Random) -> Vec<String> {
    let permits = 1 + random.below(4);
    (0..permits + random.below(4))
        .map(|at| {
            let (effect, clause) = if at < permits { ("permit", "when") } else { ("forbid", "unless") };
            let principal = if effect == "permit" && random.chance(60) {
                format!("in Scope::\"{}\"", random.pick(&SCOPES))
            } else {
                random.pick(&["", "", "is User", "is Client"]).to_owned()
            };
            let mut text =
                format!("@id(\"p{at}\") {effect} (principal {principal}, action == Action::\"s:tool\", resource)");
            if effect == "forbid" || random.chance(60) {
                text.push_str(&format!(" {clause} {{ {} }}", condition(random, 2)));
            }
            text + ";"
        })
        .collect()
}

impl Case {
    fn new(random: &mut Random, servers: &Servers) -> Self {
        let implies = |random: &mut Random, at: usize| {
            let above = SCOPES[at + 1..].iter().filter(|_| random.chance(20));
            above.map(|&scope| scope.to_owned()).collect::<Vec<_>>()
        };
        let implies = SCOPES.iter().enumerate().map(|(at, &scope)| (scope.to_owned(), implies(random, at))).collect();
        let world = servers.under(&policies(random));
        Self {
            set: world.whole(),
            world,
            hierarchy: ScopeHierarchy::new(&implies),
            published: random.some(&SCOPES, 85).into_iter().map(str::to_owned).collect(),
            allowed: HashMap::new(),
        }
    }

    /// `set` and all that it implies.
    fn closed(&self, set: usize) -> usize {
        let members = SCOPES.iter().enumerate().filter(|(at, _)| set & (1 << at) != 0);
        members.flat_map(|(_, scope)| self.hierarchy.closure(scope)).fold(0, |all, scope| all | bit(scope))
    }

    /// Whether Cedar allows the call to a token with exactly the scopes of the closed set `set`.
    fn allows(&mut self, query: &Query<'_>, set: usize) -> bool {
        if let Some(known) = self.allowed.get(&set) {
            return *known;
        }
        let uid = EntityKind::User.uid("corp:u");
        let scopes = SCOPES.iter().filter(|scope| set & bit(scope) != 0);
        let parents: HashSet<EntityUid> = scopes.map(|scope| EntityKind::Scope.uid(scope)).collect();
        let principal = Entity::new_no_attrs(uid.clone(), parents);
        let entities: Entities = query.route.entities().as_ref().clone().add_entities([principal], None).unwrap();
        let (action, resource) = (query.route.action().clone(), query.resource.clone());
        let request = Request::new(uid, action, resource, Context::empty(), None).unwrap();
        let answer = Authorizer::new().is_authorized(&request, &self.set, &entities);
        assert_eq!(answer.diagnostics().errors().count(), 0);
        *self.allowed.entry(set).or_insert(answer.decision() == Decision::Allow)
    }

    /// The search on behalf of a token with the scopes `held`, if it is denied.
    fn search(&mut self, operation: &crate::mcp::Operation<'_>, held: usize) -> Option<Found> {
        // Taken out for the time of the search, so that the rest can remember what was asked.
        let servers = std::mem::take(&mut self.world.servers);
        let asked = queries(operation, &servers[0]).unwrap();
        let found = self.of_query(&asked[0], held);
        drop(asked);
        self.world.servers = servers;
        found
    }

    fn of_query(&mut self, query: &Query<'_>, held: usize) -> Option<Found> {
        let has = self.closed(held);
        if self.allows(query, has) {
            return None;
        }
        let published = self.published.iter().map(|scope| bit(scope));
        let missing: Vec<usize> = published.filter(|scope| self.closed(*scope) & !has != 0).collect();
        let sets: Vec<usize> = (1..1_usize << missing.len())
            .map(|pick| {
                missing.iter().enumerate().filter(|(at, _)| pick & (1 << at) != 0).fold(0, |all, (_, bit)| all | bit)
            })
            .map(|set| self.closed(set))
            .collect();
        let least = sets.into_iter().filter(|set| self.allows(query, has | set)).map(weight).min();

        let names: Vec<&str> = SCOPES.into_iter().filter(|scope| held & bit(scope) != 0).collect();
        let claims = format!(r#""sub":"u","client_id":"c","scope":"{}""#, names.join(" "));
        let subject = subject(&claims, &self.hierarchy);
        let asked = (query, Context::empty());
        let mut search = Search::new(&self.world.engine, asked, (&subject, &self.hierarchy), &self.published);
        search.run();
        let evaluations = search.tried.len();
        let cure = search.best.take();
        let cure = cure.map(|cure| self.closed(cure.iter().fold(0, |all, at| all | bit(&self.published[*at]))));
        if let Some(cure) = cure {
            assert!(self.allows(query, has | cure), "a cure that does not cure\n{}", self.set);
        }
        Some(Found { least, found: cure.map(weight), evaluations })
    }
}

fn bit(scope: &str) -> usize {
    1 << SCOPES.iter().position(|known| *known == scope).unwrap()
}

fn weight(set: usize) -> usize {
    usize::try_from(set.count_ones()).unwrap()
}

#[test]
fn the_least_set_of_scopes_is_found() {
    let servers = Servers::new(&[("s", Some(CATALOG), &[])]);
    let mut random = Random::new(1);
    let (mut curable, mut missed, mut too_much, mut evaluations, mut most) = (0, 0, 0, 0, 0);
    while curable < 12_000 {
        let mut case = Case::new(&mut random, &servers);
        for _ in 0..30 {
            let held = random.below(1 << SCOPES.len()) & random.below(1 << SCOPES.len());
            let Some(found) = calling("tool", "{}", |call| case.search(call, held)) else { continue };
            let Some(least) = found.least else {
                assert_eq!(found.found, None, "a cure where there is none\n{}", case.set);
                continue;
            };
            curable += 1;
            evaluations += found.evaluations;
            most = most.max(found.evaluations);
            missed += usize::from(found.found.is_none());
            too_much += usize::from(found.found.is_some_and(|found| found > least));
        }
    }
    let mean = evaluations / curable;
    println!(
        "{curable} curable denials: {missed} missed, {too_much} asked for too much; evaluations: {mean} on average, {most} at most"
    );
    assert!(most <= MAX_EVALUATIONS, "{most}");
    assert_eq!(too_much, 0, "of {curable}");
    assert!(missed * 200 <= curable, "{missed} missed of {curable}");
}

/// One of so many permits cures; each has a scope of its own, and each costs an evaluation, as does no scope at all.
#[track_caller]
fn among(permits: usize) -> Option<Vec<usize>> {
    let servers = Servers::new(&[("s", Some(CATALOG), &[])]);
    let policies: Vec<String> = (0..permits)
        .map(|at| {
            let clause = if at == 3 { "" } else { "when { resource.readOnly }" };
            format!("@id(\"p{at}\") permit (principal in Scope::\"s{at}\", action == Action::\"s:tool\", resource) {clause};")
        })
        .collect();
    let world = servers.under(&policies);
    let published: Vec<String> = (0..permits).map(|at| format!("s{at}")).collect();
    let hierarchy = ScopeHierarchy::default();
    let subject = subject(r#""sub":"u","client_id":"c""#, &hierarchy);
    calling("tool", "{}", |call| {
        let asked = queries(call, &world.servers[0]).unwrap();
        let mut search = Search::new(&world.engine, (&asked[0], Context::empty()), (&subject, &hierarchy), &published);
        search.run();
        assert!(search.tried.len() <= MAX_EVALUATIONS);
        search.best.take()
    })
}

#[test]
fn when_evaluations_run_out_there_is_no_hint() {
    assert_eq!(among(MAX_EVALUATIONS - 1), Some(vec![3]));
    assert_eq!(among(MAX_EVALUATIONS), None);
}
