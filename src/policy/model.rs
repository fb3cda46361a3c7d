//! What the rules know before any request: every action that a message to a server can lead to, with the entities and
//! the policies that concern it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cedar_policy::{Entities, Entity, EntityUid, RestrictedExpression};

use crate::mcp::SessionMethod;
use crate::policy::arguments::RecordType;
use crate::policy::bundle::{Bundle, Mode};
use crate::policy::catalog::{Catalog, CataloguedTool, Hints};
use crate::policy::names::{EntityKind, any_tool, owned};
use crate::policy::paths::{Need, Reads};
use crate::policy::plan::{OpenPlan, Plan, Plans};
use crate::policy::values::Readings;

/// One action on one kind of target: the entities that every question about it needs, and the policies.
#[derive(Debug)]
pub struct Route {
    uid: EntityUid,
    text: Arc<str>,
    entities: Arc<Entities>,
    asks_client: bool,
    has_shadows: bool,
    enforced: Policies,
    shadows: Policies,
    /// What a record tells of what both read, if the target is known.
    readings: Readings,
}

/// The policies of a route.
#[derive(Debug)]
enum Policies {
    /// The target is known.
    Closed { plans: Vec<Arc<Plan>>, reads: Reads },
    /// It is known at the request.
    Open(OpenPlan),
}

/// One server, as policies see it.
#[derive(Debug)]
pub struct ServerModel {
    name: String,
    uid: EntityUid,
    text: Arc<str>,
    tools: Tools,
    routes: HashMap<String, Route>,
}

/// What is known of a server's tools.
#[derive(Debug)]
enum Tools {
    /// A catalogue: a tool that is not in it does not exist.
    Catalogued(HashMap<String, ToolModel>),
    /// None: any name is a tool, and policies see no arguments.
    Open(Box<Route>),
}

/// One catalogued tool.
#[derive(Debug)]
pub struct ToolModel {
    /// Its action; the route's entities hold the tool itself too.
    pub route: Route,
    /// The tool's entity id.
    pub uid: EntityUid,
    /// The same as text, for records.
    pub text: Arc<str>,
    /// The types of its arguments.
    pub arguments: RecordType,
}

/// A configured name that the generated schema does not have: a defect of the generator, found at load.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema has no action `{0}`")]
pub struct MissingAction(pub String);

/// Policies that are missing from the plans of a server: a defect of whoever made these, found at load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} policies are in no plan")]
pub struct LostPolicies(pub usize);

/// What `tools/call` leads to.
#[derive(Debug)]
pub enum FoundTool<'a> {
    /// The catalogue has it.
    Catalogued(&'a ToolModel),
    /// There is no catalogue.
    Open(&'a Route),
}

/// The methods whose target the message names; all others are about the server.
const OPEN_METHODS: [&str; 8] = [
    "prompts/get",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "tasks/get",
    "tasks/result",
    "tasks/cancel",
    "tasks/update",
];

/// What models are made from.
#[derive(Debug)]
pub struct Maker<'a> {
    bundle: &'a Bundle,
    actions: Entities,
    plans: Plans,
}

impl<'a> Maker<'a> {
    /// A maker of models of the policies `bundle`, over the `actions` of the schema that validated them.
    pub fn new(bundle: &'a Bundle, actions: Entities) -> Self {
        Self { bundle, actions, plans: Plans::default() }
    }

    /// The model of the server `name`.
    ///
    /// # Errors
    /// [`MissingAction`] if the schema was not generated from the same configuration.
    pub fn server(
        &mut self,
        name: &str,
        catalog: Option<&Catalog>,
        methods: &[String],
    ) -> Result<ServerModel, MissingAction> {
        let uid = EntityKind::Server.uid(name);
        let tools = match catalog {
            None => Tools::Open(Box::new(self.open(&any_tool(name))?)),
            Some(catalog) => {
                let tools = catalog.tools.iter().map(|tool| Ok((tool.name.clone(), self.tool(name, &uid, tool)?)));
                Tools::Catalogued(tools.collect::<Result<_, MissingAction>>()?)
            }
        };
        let mut routes = HashMap::new();
        let on_server = SessionMethod::ALL.iter().map(|method| method.as_str()).chain(["subscriptions/listen"]);
        for method in on_server.chain(methods.iter().map(String::as_str)) {
            routes.insert(method.to_owned(), self.closed(method, (None, None), (&uid, &[]))?);
        }
        for method in OPEN_METHODS {
            routes.insert(method.to_owned(), self.open(method)?);
        }
        Ok(ServerModel { name: name.to_owned(), text: uid.to_string().into(), uid, tools, routes })
    }

    /// Whether every policy is in all the plans that it belongs to.
    ///
    /// # Errors
    /// [`LostPolicies`] if one is not: it would never decide anything.
    pub fn check(&self) -> Result<(), LostPolicies> {
        match self.plans.lost() {
            0 => Ok(()),
            lost => Err(LostPolicies(lost)),
        }
    }

    fn tool(&mut self, server: &str, parent: &EntityUid, tool: &CataloguedTool) -> Result<ToolModel, MissingAction> {
        let entity = tool_entity(server, &tool.name, tool.hints);
        let uid = entity.uid();
        let target = (&uid, std::slice::from_ref(parent));
        let route = self.closed(&owned(server, &tool.name), (Some(entity), Some(&tool.arguments)), target)?;
        Ok(ToolModel { route, text: uid.to_string().into(), arguments: tool.arguments.clone(), uid })
    }

    fn closed(
        &mut self,
        action: &str,
        (resource, arguments): (Option<Entity>, Option<&RecordType>),
        target: (&EntityUid, &[EntityUid]),
    ) -> Result<Route, MissingAction> {
        let (uid, groups) = self.action(action)?;
        let mut policies = |mode| {
            let plans = self.plans.closed((self.bundle, mode), (&uid, &groups), target);
            let mut reads = Reads::default();
            plans.iter().for_each(|plan| reads.add(plan.reads()));
            Policies::Closed { plans, reads }
        };
        let both = [policies(Mode::Enforced), policies(Mode::Shadow)];
        let mut reads = both[0].reads().clone();
        reads.add(both[1].reads());
        let readings = Readings::of(&reads, arguments);
        Ok(Route { readings, ..self.route(uid, &groups, resource, both)? })
    }

    fn open(&mut self, action: &str) -> Result<Route, MissingAction> {
        let (uid, groups) = self.action(action)?;
        let mut policies = |mode| Policies::Open(self.plans.open((self.bundle, mode), &uid, &groups));
        let both = [policies(Mode::Enforced), policies(Mode::Shadow)];
        self.route(uid, &groups, None, both)
    }

    /// The route of the action `uid`. All its policies share the entities, which are facts.
    fn route(
        &self,
        uid: EntityUid,
        groups: &[EntityUid],
        resource: Option<Entity>,
        [enforced, shadows]: [Policies; 2],
    ) -> Result<Route, MissingAction> {
        let mut reads = enforced.reads().clone();
        reads.add(shadows.reads());
        let entities = self.entities((&uid, groups), resource, &reads)?;
        let asks_client = reads.context.need("token").member("client") != Need::Nothing;
        let (text, has_shadows) = (uid.to_string().into(), !shadows.is_empty());
        let readings = Readings::default();
        Ok(Route { text, uid, entities, asks_client, has_shadows, enforced, shadows, readings })
    }

    /// The action `id`, and its ancestors.
    fn action(&self, id: &str) -> Result<(EntityUid, Vec<EntityUid>), MissingAction> {
        let uid = EntityKind::Action.uid(id);
        let groups = self.actions.ancestors(&uid).ok_or_else(|| MissingAction(id.to_owned()))?.cloned().collect();
        Ok((uid, groups))
    }

    /// The entities of an action, its ancestors and `resource`, and of the groups that conditions name: a principal has
    /// all its groups in its own entity, but a condition can ask whether one group is in another.
    fn entities(
        &self,
        (action, groups): (&EntityUid, &[EntityUid]),
        resource: Option<Entity>,
        reads: &Reads,
    ) -> Result<Arc<Entities>, MissingAction> {
        let family = std::iter::once(action).chain(groups).filter_map(|uid| self.actions.get(uid)).cloned();
        let named = reads.groups.iter().filter_map(|group| self.bundle.groups().entity(group));
        let entities = Entities::from_entities(family.chain(resource).chain(named), None);
        Ok(Arc::new(entities.map_err(|_| MissingAction(action.to_string()))?))
    }
}

impl Route {
    /// The action's entity id.
    pub fn action(&self) -> &EntityUid {
        &self.uid
    }

    /// The same as text, for records.
    pub fn action_text(&self) -> &Arc<str> {
        &self.text
    }

    /// The entities of the action and its groups, and of a catalogued tool.
    pub fn entities(&self) -> &Arc<Entities> {
        &self.entities
    }

    /// Whether any policy may ask the token's client anything.
    pub fn asks_client(&self) -> bool {
        self.asks_client
    }

    /// Whether a shadow policy can concern this route.
    pub fn has_shadows(&self) -> bool {
        self.has_shadows
    }

    /// What the policies of `mode` read that can concern this route.
    pub fn reads(&self, mode: Mode) -> &Reads {
        self.policies(mode).reads()
    }

    /// The plans of `mode` for the resource `resource`, which is in `ancestors`.
    pub fn plans(&self, mode: Mode, resource: &EntityUid, ancestors: &[EntityUid]) -> Vec<&Plan> {
        match self.policies(mode) {
            Policies::Closed { plans, .. } => plans.iter().map(|plan| &**plan).collect(),
            Policies::Open(plan) => plan.plans(resource, ancestors),
        }
    }

    /// Hands `read` all that the policies of either mode read for the resource `resource`, which is in `ancestors`.
    pub fn each_reading(&self, resource: &EntityUid, ancestors: &[EntityUid], mut read: impl FnMut(&Readings)) {
        if !self.readings.is_empty() {
            read(&self.readings);
        }
        for policies in [&self.enforced, &self.shadows] {
            match policies {
                Policies::Closed { .. } => {}
                Policies::Open(plan) => plan.readings(resource, ancestors).for_each(&mut read),
            }
        }
    }

    fn policies(&self, mode: Mode) -> &Policies {
        match mode {
            Mode::Enforced => &self.enforced,
            Mode::Shadow => &self.shadows,
        }
    }
}

impl Policies {
    fn is_empty(&self) -> bool {
        match self {
            Self::Closed { plans, .. } => plans.iter().all(|plan| plan.is_empty()),
            Self::Open(plan) => plan.is_empty(),
        }
    }

    fn reads(&self) -> &Reads {
        match self {
            Self::Closed { reads, .. } => reads,
            Self::Open(plan) => plan.reads(),
        }
    }
}

impl ServerModel {
    /// The server's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server's own entity id, and the same as text.
    pub fn uid(&self) -> (&EntityUid, &Arc<str>) {
        (&self.uid, &self.text)
    }

    /// The tool `name`, unless a catalogue does not know it.
    pub fn tool(&self, name: &str) -> Option<FoundTool<'_>> {
        match &self.tools {
            Tools::Catalogued(tools) => tools.get(name).map(FoundTool::Catalogued),
            Tools::Open(route) => Some(FoundTool::Open(route)),
        }
    }

    /// The route of a method other than `tools/call`, if the specification or the configuration knows it.
    pub fn route(&self, method: &str) -> Option<&Route> {
        self.routes.get(method)
    }

    /// How many tools are catalogued.
    pub fn catalogued_tools(&self) -> usize {
        match &self.tools {
            Tools::Catalogued(tools) => tools.len(),
            Tools::Open(_) => 0,
        }
    }
}

/// `Tool::"<server>:<name>"`, in its server, with `hints`.
pub fn tool_entity(server: &str, name: &str, hints: Hints) -> Entity {
    let flag = |key: &str, value| (key.to_owned(), RestrictedExpression::new_bool(value));
    let attributes = HashMap::from([
        ("name".to_owned(), RestrictedExpression::new_string(name.to_owned())),
        flag("readOnly", hints.read_only),
        flag("destructive", hints.destructive),
        flag("idempotent", hints.idempotent),
        flag("openWorld", hints.open_world),
    ]);
    plain(EntityKind::Tool.uid(owned(server, name)), attributes, HashSet::from([EntityKind::Server.uid(server)]))
}

/// An entity of attributes that always evaluate: strings and booleans.
pub fn plain(uid: EntityUid, attributes: HashMap<String, RestrictedExpression>, parents: HashSet<EntityUid>) -> Entity {
    // Only an extension function can fail to evaluate, and there is none; without its attributes the entity would
    // make every policy that reads them err, and so deny.
    Entity::new(uid.clone(), attributes, parents.clone()).unwrap_or_else(|_| Entity::new_no_attrs(uid, parents))
}
