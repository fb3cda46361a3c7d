//! Which policies a question can concern at all.
//!
//! Cedar evaluates every policy of a set on every request. A plan holds, for one kind of target, the policies whose
//! action and resource constraints can match it, and finds among them those whose principal constraint can match the
//! caller. Conditions stay whole: a plan only leaves out policies whose scope is certain to be false.
//!
//! INVARIANT (slicing is sound): for every request, the decision, the determining policies and the policies in error are
//! those of the whole set. `policy/tests/slicing.rs` and `policy/tests/corpus.rs` hold it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{Effect, EntityUid, PolicySet, PrincipalConstraint, ResourceConstraint};

use crate::policy::bundle::{Bundle, Mode};
use crate::policy::links::add;
use crate::policy::paths::Reads;
use crate::policy::values::Readings;

/// Up to so many policies one look-up and one evaluation of all of them is cheaper than finding those of the caller.
pub(in crate::policy) const FLAT: usize = 4;

/// The number of a policy in its bundle.
pub type PolicyIndex = usize;

/// Policies for one kind of target, by the principals that they speak of.
#[derive(Debug, Default)]
pub struct Plan {
    /// Those that speak of any principal, or of a type of principal; all of them in a flat plan.
    any: PolicySet,
    /// Those that speak of one entity: the principal itself, or a group or scope that it is in.
    by_entity: HashMap<EntityUid, PolicySet>,
    reads: Reads,
    scopes: BTreeSet<ScopesOf>,
    len: usize,
}

/// The scopes that one policy names, or several with the same ones.
pub type ScopesOf = (Effect, Vec<String>);

/// All plans of a bundle, made once each: targets with the same policies share one.
#[derive(Debug, Default)]
pub struct Plans {
    made: HashMap<Vec<PolicyIndex>, Arc<Plan>>,
    shared: HashMap<Kin, Arc<Shared>>,
    lost: usize,
}

/// What actions on known targets have in common: the mode, the groups of the action and the parents of the resource.
type Kin = (Mode, Vec<EntityUid>, Vec<EntityUid>);

/// The policies on any action or on groups of actions, for targets of one kin.
#[derive(Debug, Default)]
struct Shared {
    /// Those that concern all of them: on any resource, on a type of resource or on a parent; in order.
    all: Vec<PolicyIndex>,
    /// The plan of these, if they are many.
    plan: Option<Arc<Plan>>,
    /// Those on one resource.
    named: HashMap<EntityUid, Vec<PolicyIndex>>,
}

/// The plans of targets that are known only at the request: a prompt, a resource, a task, a tool without catalogue.
#[derive(Debug, Default)]
pub struct OpenPlan {
    /// Policies on any resource, on a type of resource, or on the server.
    wide: Read,
    /// Policies on one entity: the resource itself, or one that it is in.
    by_entity: HashMap<EntityUid, Read>,
    reads: Reads,
}

/// A plan, and what a record tells of what it reads. Such targets have no arguments.
#[derive(Debug, Default)]
struct Read {
    plan: Arc<Plan>,
    readings: Readings,
}

impl Plan {
    fn new(bundle: &Bundle, policies: &[PolicyIndex]) -> Self {
        let mut plan = Self::default();
        for policy in policies.iter().filter_map(|index| bundle.policy(*index)) {
            plan.reads.add(&policy.reads);
            if !policy.scopes.is_empty() {
                plan.scopes.insert((policy.effect(), policy.scopes.clone()));
            }
            let set = match entity_of(&policy.policy.principal_constraint()) {
                Some(uid) if policies.len() > FLAT => plan.by_entity.entry(uid).or_default(),
                Some(_) | None => &mut plan.any,
            };
            plan.len += usize::from(add(set, &policy.policy, bundle.templates()));
        }
        plan
    }

    /// The sets of policies that can concern a principal that is `principal`, in `ancestors`.
    pub fn slices<'a>(
        &'a self,
        principal: &'a EntityUid,
        ancestors: impl Iterator<Item = &'a EntityUid> + 'a,
    ) -> impl Iterator<Item = &'a PolicySet> + 'a {
        let of_entities = (!self.by_entity.is_empty())
            .then(|| std::iter::once(principal).chain(ancestors).filter_map(|uid| self.by_entity.get(uid)));
        (!self.any.is_empty()).then_some(&self.any).into_iter().chain(of_entities.into_iter().flatten())
    }

    /// What its policies read.
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// The scopes that its permits name, a list for each permit, equal ones once.
    pub fn scopes_of_permits(&self) -> impl Iterator<Item = &[String]> {
        self.scopes.iter().filter(|(effect, _)| *effect == Effect::Permit).map(|(_, scopes)| scopes.as_slice())
    }

    /// The scopes that its policies name, permits and forbids, some more than once.
    pub fn scopes(&self) -> impl Iterator<Item = &String> {
        self.scopes.iter().flat_map(|(_, scopes)| scopes)
    }

    /// How many policies it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// The one entity that a constraint on the principal names: only it and what is in it can match.
fn entity_of(constraint: &PrincipalConstraint) -> Option<EntityUid> {
    match constraint {
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
        PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => {
            Some(uid.clone())
        }
    }
}

/// The same of a constraint on the resource.
fn resource_entity_of(constraint: &ResourceConstraint) -> Option<EntityUid> {
    match constraint {
        ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
        ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
            Some(uid.clone())
        }
    }
}

impl Plans {
    /// The plan of exactly `policies`, in order.
    fn plan(&mut self, bundle: &Bundle, policies: Vec<PolicyIndex>) -> Arc<Plan> {
        let wanted = policies.len();
        let plan =
            self.made.entry(policies).or_insert_with_key(|policies| Arc::new(Plan::new(bundle, policies))).clone();
        self.lost += wanted.abs_diff(plan.len());
        plan
    }

    /// How many policies are missing from the plans that they belong to: none, for a bundle's ids are unique, and its
    /// templates are at hand. One that a set refused would be missing from every answer.
    pub fn lost(&self) -> usize {
        self.lost
    }

    /// The plans of a target that is known now: the action `action` in `groups`, on the resource `resource` in `parents`.
    /// Policies on this action alone and policies on more have a plan each, so that tools of one server share the latter.
    pub fn closed(
        &mut self,
        (bundle, mode): (&Bundle, Mode),
        action: (&EntityUid, &[EntityUid]),
        resource: (&EntityUid, &[EntityUid]),
    ) -> Vec<Arc<Plan>> {
        let concerns = |index: &PolicyIndex| {
            bundle.policy(*index).is_some_and(|policy| {
                let named = resource_entity_of(&policy.policy.resource_constraint());
                named.is_none_or(|uid| uid == *resource.0 || resource.1.contains(&uid))
            })
        };
        let own: Vec<PolicyIndex> = bundle.on_action(mode, action.0).filter(concerns).collect();
        let kin = self.shared((bundle, mode), action.1, resource.1);
        let mut more: BTreeSet<PolicyIndex> = bundle.on_lists(mode, action.0).filter(concerns).collect();
        more.extend(kin.named.get(resource.0).into_iter().flatten());
        let is_common = more.is_empty();
        more.extend(kin.all.iter().take(if is_common { FLAT + 1 } else { usize::MAX }));
        if own.len() + more.len() <= FLAT {
            more.extend(own);
            return vec![self.plan(bundle, more.into_iter().collect())];
        }
        let plan_of_own = (!own.is_empty()).then(|| self.plan(bundle, own));
        let plan_of_more = match &kin.plan {
            Some(plan) if is_common => Some(plan.clone()),
            Some(_) | None => (!more.is_empty()).then(|| self.plan(bundle, more.into_iter().collect())),
        };
        plan_of_own.into_iter().chain(plan_of_more).collect()
    }

    /// The policies that actions in `groups` share, on resources in `parents`: found once, for servers have thousands of tools.
    fn shared(&mut self, (bundle, mode): (&Bundle, Mode), groups: &[EntityUid], parents: &[EntityUid]) -> Arc<Shared> {
        let mut kin: Kin = (mode, groups.to_vec(), parents.to_vec());
        kin.1.sort_unstable();
        if let Some(shared) = self.shared.get(&kin) {
            return shared.clone();
        }
        let mut shared = Shared::default();
        for index in bundle.on_groups(mode, groups) {
            let Some(policy) = bundle.policy(index) else { continue };
            match resource_entity_of(&policy.policy.resource_constraint()).filter(|uid| !parents.contains(uid)) {
                None => shared.all.push(index),
                Some(uid) => shared.named.entry(uid).or_default().push(index),
            }
        }
        if shared.all.len() > FLAT {
            shared.plan = Some(self.plan(bundle, shared.all.clone()));
        }
        let shared = Arc::new(shared);
        self.shared.insert(kin, shared.clone());
        shared
    }

    /// The plans of an action on a resource that is known only at the request.
    pub fn open(&mut self, (bundle, mode): (&Bundle, Mode), action: &EntityUid, groups: &[EntityUid]) -> OpenPlan {
        let mut wide = Vec::new();
        let mut named: HashMap<EntityUid, Vec<PolicyIndex>> = HashMap::new();
        let mut reads = Reads::default();
        for index in bundle.on(mode, action, groups) {
            let Some(policy) = bundle.policy(index) else { continue };
            reads.add(&policy.reads);
            match resource_entity_of(&policy.policy.resource_constraint()) {
                None => wide.push(index),
                Some(uid) => named.entry(uid).or_default().push(index),
            }
        }
        let mut read = |list| {
            let plan = self.plan(bundle, list);
            Read { readings: Readings::of(plan.reads(), None), plan }
        };
        let by_entity = named.into_iter().map(|(uid, list)| (uid, read(list))).collect();
        OpenPlan { wide: read(wide), by_entity, reads }
    }
}

impl OpenPlan {
    /// The plans that can concern a resource that is `resource`, in `ancestors`.
    pub fn plans(&self, resource: &EntityUid, ancestors: &[EntityUid]) -> Vec<&Plan> {
        self.concerning(resource, ancestors).map(|read| &*read.plan).collect()
    }

    /// What is read for such a resource.
    pub fn readings<'a, 'k>(
        &'a self,
        resource: &'k EntityUid,
        ancestors: &'k [EntityUid],
    ) -> impl Iterator<Item = &'a Readings> + use<'a, 'k> {
        self.concerning(resource, ancestors).map(|read| &read.readings)
    }

    fn concerning<'a, 'k>(
        &'a self,
        resource: &'k EntityUid,
        ancestors: &'k [EntityUid],
    ) -> impl Iterator<Item = &'a Read> + use<'a, 'k> {
        let named = std::iter::once(resource).chain(ancestors);
        let named = (!self.by_entity.is_empty()).then(|| named.filter_map(|uid| self.by_entity.get(uid)));
        std::iter::once(&self.wide).chain(named.into_iter().flatten())
    }

    /// What its policies read.
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Whether it holds no policy, whatever the resource.
    pub fn is_empty(&self) -> bool {
        self.wide.plan.is_empty() && self.by_entity.is_empty()
    }
}
