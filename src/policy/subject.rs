//! A verified principal as Cedar sees it: built once per token, then shared by all its requests.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cedar_policy::{Entities, Entity, EntityUid, RestrictedExpression};

use crate::context::UnixTime;
use crate::policy::model::plain;
use crate::policy::names::{EntityKind, owned};
use crate::policy::paths::Need;
use crate::token::{ClaimValue, Principal};

/// The closure of a configured scope hierarchy: for each scope, every scope it implies.
#[derive(Debug, Clone, Default)]
pub struct ScopeHierarchy(HashMap<String, Vec<String>>);

/// The principal entity of a token, and the part of the context that the token alone decides, which is made when a policy
/// first reads it.
#[derive(Debug)]
pub struct Subject {
    principal: Arc<Principal>,
    uid: EntityUid,
    parents: Vec<EntityUid>,
    entity: Entity,
    client: OnceLock<Entity>,
    token: OnceLock<Vec<(String, RestrictedExpression)>>,
    moments: [Moment; 3],
    unrepresentable: Vec<String>,
    stores: Mutex<Vec<Store>>,
}

/// A time that the token may name. Its Cedar value is kept apart: Cedar parses the name of the extension's constructor
/// for each, which takes longer than all the rest of a subject.
#[derive(Debug)]
struct Moment {
    name: &'static str,
    of: fn(&Principal) -> Option<UnixTime>,
    value: OnceLock<RestrictedExpression>,
}

/// A store without a subject, and the one with it that was made from it.
type Store = (Arc<Entities>, Arc<Placed>);

/// A subject among the entities of one kind of target, under the rules of one generation.
#[derive(Debug)]
pub struct Placed {
    /// The store with the subject in it.
    pub entities: Entities,
    /// The groups that the subject is in for being in those of its token, beside these.
    pub above: Vec<EntityUid>,
}

/// Stores that one subject remembers. An agent calls a few tools over and over; one more is made anew each time.
const MAX_STORES: usize = 16;

/// A token whose facts Cedar cannot hold. The verifier's own bounds make this unreachable for a verified token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fact of the token has no Cedar value")]
pub struct NoCedarValue;

impl ScopeHierarchy {
    /// The closure of `implies`: scope to the scopes directly under it. Cycles make their members imply each other.
    pub fn new(implies: &HashMap<String, Vec<String>>) -> Self {
        let closure = implies.keys().map(|scope| {
            let mut reached: Vec<String> = Vec::new();
            let mut open: Vec<&String> = vec![scope];
            while let Some(next) = open.pop() {
                for implied in implies.get(next).into_iter().flatten() {
                    if implied != scope && !reached.contains(implied) {
                        reached.push(implied.clone());
                        open.push(implied);
                    }
                }
            }
            (scope.clone(), reached)
        });
        Self(closure.collect())
    }

    /// `scope` and all that it implies.
    pub fn closure<'a>(&'a self, scope: &'a str) -> impl Iterator<Item = &'a str> {
        std::iter::once(scope).chain(self.0.get(scope).into_iter().flatten().map(String::as_str))
    }

    /// Every scope that is implied by some other.
    pub fn implied(&self) -> impl Iterator<Item = &str> {
        self.0.values().flatten().map(String::as_str)
    }
}

impl Subject {
    /// The Cedar side of `principal`.
    ///
    /// # Errors
    /// [`NoCedarValue`] if a fact of the token does not fit; a *declared claim* that does not fit is remembered for
    /// [`Subject::unrepresentable_among`] instead, since it matters only to policies that read it.
    pub fn new(principal: Arc<Principal>, hierarchy: &ScopeHierarchy) -> Result<Self, NoCedarValue> {
        let issuer = principal.issuer_name();
        let (uid, mut attributes) = identity(&principal);
        let mut unrepresentable = Vec::new();
        for (name, value) in principal.claims() {
            match claim(value) {
                Some(value) => drop(attributes.insert(name.clone(), value)),
                None => unrepresentable.push(name.clone()),
            }
        }
        let groups = principal.groups().iter().map(|group| EntityKind::Group.uid(owned(issuer, group)));
        let scopes = principal
            .scopes()
            .iter()
            .flat_map(|scope| hierarchy.closure(scope))
            .map(|scope| EntityKind::Scope.uid(scope));
        let distinct: HashSet<EntityUid> = groups.chain(scopes).collect();
        let parents = distinct.iter().cloned().collect();
        let entity = Entity::new(uid.clone(), attributes, distinct).map_err(|_| NoCedarValue)?;
        Ok(Self {
            uid,
            parents,
            entity,
            client: OnceLock::new(),
            token: OnceLock::new(),
            moments: moments(),
            unrepresentable,
            stores: Mutex::default(),
            principal,
        })
    }

    /// The principal's entity id.
    pub fn uid(&self) -> &EntityUid {
        &self.uid
    }

    /// The token's facts.
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// The entity, with every group and scope among its parents.
    pub fn entity(&self) -> &Entity {
        &self.entity
    }

    /// What the entity is in: all its groups and scopes, each once.
    pub fn parents(&self) -> &[EntityUid] {
        &self.parents
    }

    /// The entity of the token's client, unless that is the principal itself.
    pub fn client(&self) -> Option<&Entity> {
        (!self.principal.is_client()).then(|| {
            self.client.get_or_init(|| {
                let (uid, attributes) = client(&self.principal);
                plain(uid, attributes, HashSet::new())
            })
        })
    }

    /// `base` with this subject in it, as `make` makes it; made once for each base. Facts of the token and of the rules,
    /// and so good for as long as both are: an entry holds on to its base, so no other store can take its place.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn store<E>(
        &self,
        base: &Arc<Entities>,
        make: impl FnOnce(&Entities) -> Result<Placed, E>,
    ) -> Result<Arc<Placed>, E> {
        let stores = || self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let known = stores().iter().find(|(of, _)| Arc::ptr_eq(of, base)).map(|(_, made)| made.clone());
        if let Some(known) = known {
            return Ok(known);
        }
        let made = Arc::new(make(base)?);
        let mut stores = stores();
        if stores.len() == MAX_STORES {
            stores.remove(0);
        }
        stores.push((base.clone(), made.clone()));
        Ok(made)
    }

    /// How many stores it remembers, which is what makes a subject grow.
    pub fn remembered(&self) -> usize {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many groups there are in its stores that are not its own parents.
    pub fn inherited(&self) -> usize {
        let stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores.iter().map(|(_, placed)| placed.above.len()).sum()
    }

    /// The members of `context.token`, as far as they are needed.
    pub fn token(&self, need: Need<'_>) -> Vec<(String, RestrictedExpression)> {
        let is_needed = |name: &str| need.member(name) != Need::Nothing;
        let moments = self.moments.iter().filter(|moment| is_needed(moment.name)).filter_map(|moment| {
            let time = (moment.of)(&self.principal)?;
            Some((moment.name.to_owned(), moment.value.get_or_init(|| datetime(time)).clone()))
        });
        let members = self.token.get_or_init(|| token_members(&self.principal));
        members.iter().filter(|(name, _)| is_needed(name)).cloned().chain(moments).collect()
    }

    /// The scopes that the token itself carries.
    pub fn scopes(&self) -> &[String] {
        self.principal.scopes()
    }

    /// The first declared claim among `names` whose value is not of its declared type.
    pub fn unrepresentable_among(&self, names: &BTreeSet<String>) -> Option<&str> {
        self.unrepresentable.iter().map(String::as_str).find(|claim| names.contains(*claim))
    }

    /// The same principal, in `others` too: the groups above its own, or scopes of which is asked whether they would help.
    ///
    /// # Errors
    /// None that [`Subject::new`] did not already exclude.
    pub fn entity_in<'a>(&self, others: impl Iterator<Item = &'a EntityUid>) -> Result<Entity, NoCedarValue> {
        let (uid, attributes, mut parents) = self.entity.clone().into_inner();
        parents.extend(others.cloned());
        Entity::new(uid, attributes, parents).map_err(|_| NoCedarValue)
    }
}

/// `User::"<issuer>:<sub>"` or `Client::"<issuer>:<client id>"`, and the attributes that every one of them has.
fn identity(principal: &Principal) -> (EntityUid, HashMap<String, RestrictedExpression>) {
    match principal.subject().filter(|_| !principal.is_client()) {
        Some(subject) => {
            let issuer = principal.issuer_name();
            let attributes =
                HashMap::from([("issuer".to_owned(), text(issuer)), ("subject".to_owned(), text(subject))]);
            (EntityKind::User.uid(owned(issuer, subject)), attributes)
        }
        None => client(principal),
    }
}

/// The same of the token's client.
fn client(principal: &Principal) -> (EntityUid, HashMap<String, RestrictedExpression>) {
    let (issuer, id) = (principal.issuer_name(), principal.client());
    let mut attributes = HashMap::from([("issuer".to_owned(), text(issuer)), ("id".to_owned(), text(id))]);
    attributes.extend(metadata_document_host(id).map(|host| ("host".to_owned(), text(&host))));
    (EntityKind::Client.uid(owned(issuer, id)), attributes)
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

/// The host of a client id that is an https URL (a client ID metadata document, never fetched here).
fn metadata_document_host(id: &str) -> Option<String> {
    let url = url::Url::parse(id).ok().filter(|url| url.scheme() == "https" && url.as_str() == id)?;
    url.host_str().map(str::to_owned)
}

fn token_members(principal: &Principal) -> Vec<(String, RestrictedExpression)> {
    let issuer = principal.issuer_name();
    let client = |id: &str| RestrictedExpression::new_entity_uid(EntityKind::Client.uid(owned(issuer, id)));
    let mut pairs = vec![
        ("client".to_owned(), client(principal.client())),
        ("issuer".to_owned(), text(issuer)),
        ("actors".to_owned(), RestrictedExpression::new_set(principal.actors().iter().map(|id| client(id)))),
        ("amr".to_owned(), RestrictedExpression::new_set(principal.amr().iter().map(|method| text(method)))),
    ];
    pairs.extend(principal.token_id().map(|id| ("id".to_owned(), text(id))));
    pairs.extend(principal.acr().map(|acr| ("acr".to_owned(), text(acr))));
    pairs
}

fn moments() -> [Moment; 3] {
    let moment = |name, of| Moment { name, of, value: OnceLock::new() };
    [
        moment("issuedAt", |principal| Some(principal.issued_at())),
        moment("expiresAt", |principal| Some(principal.expires_at())),
        moment("authTime", Principal::auth_time),
    ]
}

/// A moment as Cedar's `datetime`.
pub fn datetime(time: UnixTime) -> RestrictedExpression {
    // Cedar parses four-digit years only; the verifier admits no date outside of them.
    let text = jiff::Timestamp::from_millisecond(time.millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    RestrictedExpression::new_datetime(text.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

/// A declared claim's value, `None` if it is not of its declared type.
fn claim(value: &ClaimValue) -> Option<RestrictedExpression> {
    match value {
        ClaimValue::String(text) => Some(RestrictedExpression::new_string(text.clone())),
        ClaimValue::Long(number) => Some(RestrictedExpression::new_long(*number)),
        ClaimValue::Bool(truth) => Some(RestrictedExpression::new_bool(*truth)),
        ClaimValue::Decimal(text) => Some(RestrictedExpression::new_decimal(text)),
        ClaimValue::Strings(list) => {
            Some(RestrictedExpression::new_set(list.iter().map(|text| RestrictedExpression::new_string(text.clone()))))
        }
        ClaimValue::Longs(list) => {
            Some(RestrictedExpression::new_set(list.iter().map(|n| RestrictedExpression::new_long(*n))))
        }
        ClaimValue::Unrepresentable => None,
    }
}
