//! What the rules know before any request: for each action its ancestors, for each catalogued tool its entity.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cedar_policy::{Entities, Entity, EntityUid, RestrictedExpression, Schema};

use crate::policy::arguments::RecordType;
use crate::policy::catalog::{Catalog, Hints};
use crate::policy::names::{EntityKind, any_tool, owned};

/// One action, with the entities that every request for it needs.
#[derive(Debug, Clone)]
pub struct ActionModel {
    uid: EntityUid,
    text: Arc<str>,
    groups: Vec<EntityUid>,
    entities: Entities,
}

/// The tools of one server.
#[derive(Debug)]
pub struct ServerModel {
    name: String,
    uid: EntityUid,
    text: Arc<str>,
    tools: Tools,
    methods: HashMap<String, ActionModel>,
}

/// What is known of a server's tools.
#[derive(Debug)]
enum Tools {
    /// A catalogue: a tool that is not in it does not exist.
    Catalogued(HashMap<String, ToolModel>),
    /// None: any name is a tool, and policies see no arguments.
    Open(ActionModel),
}

/// One catalogued tool.
#[derive(Debug)]
pub struct ToolModel {
    /// Its action; the action's entities hold the tool itself too.
    pub action: ActionModel,
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

/// What `tools/call` leads to.
#[derive(Debug)]
pub enum FoundTool<'a> {
    /// The catalogue has it.
    Catalogued(&'a ToolModel),
    /// There is no catalogue.
    Open(&'a ActionModel),
}

impl ActionModel {
    /// The action `id` of `schema`.
    ///
    /// # Errors
    /// [`MissingAction`] if there is none.
    pub fn new(id: &str, actions: &Entities) -> Result<Self, MissingAction> {
        let missing = || MissingAction(id.to_owned());
        let uid = EntityKind::Action.uid(id);
        let groups: Vec<EntityUid> = actions.ancestors(&uid).ok_or_else(missing)?.cloned().collect();
        let family = std::iter::once(&uid).chain(&groups).filter_map(|uid| actions.get(uid)).cloned();
        let entities = Entities::from_entities(family.collect::<Vec<_>>(), None).map_err(|_| missing())?;
        Ok(Self { text: uid.to_string().into(), uid, groups, entities })
    }

    /// The action's entity id.
    pub fn uid(&self) -> &EntityUid {
        &self.uid
    }

    /// The same as text, for records.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Every group the action is in.
    pub fn groups(&self) -> &[EntityUid] {
        &self.groups
    }

    /// The entities of the action and its groups, and of a catalogued tool.
    pub fn entities(&self) -> &Entities {
        &self.entities
    }

    fn with(mut self, entity: Entity) -> Result<Self, MissingAction> {
        let missing = MissingAction(self.uid.to_string());
        self.entities = self.entities.add_entities([entity], None).map_err(|_| missing)?;
        Ok(self)
    }
}

impl ServerModel {
    /// The model of the server `name`.
    ///
    /// # Errors
    /// [`MissingAction`] if `schema` was not generated from the same configuration.
    pub fn new(
        name: &str,
        catalog: Option<&Catalog>,
        methods: &[String],
        actions: &Entities,
    ) -> Result<Self, MissingAction> {
        let tools = match catalog {
            None => Tools::Open(ActionModel::new(&any_tool(name), actions)?),
            Some(catalog) => {
                let tools = catalog.tools.iter().map(|tool| {
                    let entity = tool_entity(name, &tool.name, tool.hints);
                    let uid = entity.uid();
                    let action = ActionModel::new(&owned(name, &tool.name), actions)?.with(entity)?;
                    let text = uid.to_string().into();
                    Ok((tool.name.clone(), ToolModel { action, uid, text, arguments: tool.arguments.clone() }))
                });
                Tools::Catalogued(tools.collect::<Result<_, MissingAction>>()?)
            }
        };
        let methods = methods.iter().map(|method| Ok((method.clone(), ActionModel::new(method, actions)?)));
        let uid = EntityKind::Server.uid(name);
        Ok(Self {
            name: name.to_owned(),
            text: uid.to_string().into(),
            uid,
            tools,
            methods: methods.collect::<Result<_, MissingAction>>()?,
        })
    }

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
            Tools::Open(action) => Some(FoundTool::Open(action)),
        }
    }

    /// The action of a further method, if the configuration admits it.
    pub fn method(&self, method: &str) -> Option<&ActionModel> {
        self.methods.get(method)
    }

    /// How many tools are catalogued.
    pub fn catalogued_tools(&self) -> usize {
        match &self.tools {
            Tools::Catalogued(tools) => tools.len(),
            Tools::Open(_) => 0,
        }
    }
}

/// All actions of `schema`, as entities with their ancestors.
///
/// # Errors
/// [`MissingAction`] if the schema's actions form no hierarchy; a parsed schema's do.
pub fn actions(schema: &Schema) -> Result<Entities, MissingAction> {
    schema.action_entities().map_err(|error| MissingAction(error.to_string()))
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
    plain(EntityKind::Tool.uid(owned(server, name)), attributes, server_parent(server))
}

/// `Prompt::"<server>:<name>"`.
pub fn prompt_entity(server: &str, name: &str) -> Entity {
    let attributes = HashMap::from([("name".to_owned(), RestrictedExpression::new_string(name.to_owned()))]);
    plain(EntityKind::Prompt.uid(owned(server, name)), attributes, server_parent(server))
}

/// `Task::"<server>:<id>"`.
pub fn task_entity(server: &str, id: &str) -> Entity {
    plain(EntityKind::Task.uid(owned(server, id)), HashMap::new(), server_parent(server))
}

/// The set that holds the server alone.
pub fn server_parent(server: &str) -> HashSet<EntityUid> {
    HashSet::from([EntityKind::Server.uid(server)])
}

/// An entity of attributes that always evaluate: strings and booleans.
pub fn plain(uid: EntityUid, attributes: HashMap<String, RestrictedExpression>, parents: HashSet<EntityUid>) -> Entity {
    let bare = Entity::new_no_attrs(uid.clone(), parents.clone());
    // Only an extension function can fail to evaluate, and there is none; without its attributes the entity would
    // make every policy that reads them err, and so deny.
    Entity::new(uid, attributes, parents).unwrap_or(bare)
}
