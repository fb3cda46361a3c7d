//! One message as questions to Cedar: an action, a resource, and the part of the context that the request decides.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use cedar_policy::{Entity, EntityUid, RestrictedExpression};
use jiff::tz::TimeZone;

use crate::context::UnixTime;
use crate::json::Value;
use crate::mcp::{Operation, Revision, SessionMethod};
use crate::policy::arguments::{ArgumentType, RecordType, Unrepresentable};
use crate::policy::catalog::Hints;
use crate::policy::model::{ActionModel, FoundTool, ServerModel, prompt_entity, task_entity, tool_entity};
use crate::policy::resource::resource_entity;
use crate::policy::subject::datetime;

/// What a request says beside its message.
#[derive(Debug, Clone)]
pub struct RequestFacts<'a> {
    /// The moment of the request.
    pub now: UnixTime,
    /// The caller's address, if the configuration says whose address it is.
    pub ip: Option<IpAddr>,
    /// The zone of `context.request.local`.
    pub zone: &'a TimeZone,
    /// The protocol revision that the message declares.
    pub revision: Option<Revision>,
}

/// One question: may the principal do this to that?
#[derive(Debug)]
pub struct Query<'a> {
    /// The action, with its entities.
    pub action: &'a ActionModel,
    /// The resource's id.
    pub resource: EntityUid,
    /// The same as text, for records.
    pub resource_text: Arc<str>,
    /// The resource's entity, unless the action's entities already hold it or it has nothing to tell.
    pub entity: Option<Entity>,
    /// The arguments and the tool they belong to.
    pub arguments: Option<(&'a RecordType, Option<Value<'a>>)>,
}

/// A message that no policy is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// A method that no revision and no configuration knows.
    Method,
    /// A tool that the catalogue does not know.
    Tool,
}

/// Finds the model of an action that the base schema has.
pub trait BaseActions {
    /// The action `id`; `None` only for an id that the base schema lacks.
    fn base(&self, id: &str) -> Option<&ActionModel>;
}

/// Every question that `operation` on `server` raises: all must be answered yes.
///
/// # Errors
/// [`Unknown`] if the message names what does not exist.
pub fn queries<'a>(
    operation: &'a Operation<'a>,
    server: &'a ServerModel,
    actions: &'a impl BaseActions,
) -> Result<Vec<Query<'a>>, Unknown> {
    let name = server.name();
    let base = |id: &str| actions.base(id).ok_or(Unknown::Method);
    let on = |action, entity| Query::on(action, entity);
    let on_server = |action| {
        let (uid, text) = server.uid();
        Query { action, resource: uid.clone(), resource_text: text.clone(), entity: None, arguments: None }
    };
    Ok(match operation {
        Operation::Session(method) => vec![on_server(base(method.as_str())?)],
        Operation::ToolCall(call) => vec![tool_call(call.name(), call.arguments(), server)?],
        Operation::Prompt { name: prompt } => vec![on(base("prompts/get")?, prompt_entity(name, prompt))],
        Operation::Resource { method, uri } => vec![on(base(method.as_str())?, resource_entity(name, uri))],
        Operation::Task { method, id } => vec![on(base(method.as_str())?, task_entity(name, id))],
        Operation::Listen { resources, tasks } => {
            let mut all = vec![on_server(base("subscriptions/listen")?)];
            let subscribe = base("resources/subscribe")?;
            all.extend(resources.iter().map(|uri: &Cow<'_, str>| on(subscribe, resource_entity(name, uri))));
            let get = base("tasks/get")?;
            all.extend(tasks.iter().map(|id: &Cow<'_, str>| on(get, task_entity(name, id))));
            all
        }
        Operation::Other { method } => vec![on_server(server.method(method).ok_or(Unknown::Method)?)],
    })
}

fn tool_call<'a>(tool: &str, arguments: Option<Value<'a>>, server: &'a ServerModel) -> Result<Query<'a>, Unknown> {
    match server.tool(tool).ok_or(Unknown::Tool)? {
        FoundTool::Catalogued(found) => Ok(Query {
            action: &found.action,
            resource: found.uid.clone(),
            resource_text: found.text.clone(),
            entity: None,
            arguments: Some((&found.arguments, arguments)),
        }),
        FoundTool::Open(action) => {
            let entity = tool_entity(server.name(), tool, Hints::default());
            Ok(Query::on(action, entity))
        }
    }
}

impl<'a> Query<'a> {
    fn on(action: &'a ActionModel, entity: Entity) -> Self {
        let resource = entity.uid();
        Self { action, resource_text: resource.to_string().into(), resource, entity: Some(entity), arguments: None }
    }

    /// The context's members, `token` aside.
    ///
    /// # Errors
    /// [`Unrepresentable`] names the argument that has no value of its declared type.
    pub fn context(&self, facts: &RequestFacts<'_>) -> Result<Vec<(String, RestrictedExpression)>, Unrepresentable> {
        let mut pairs = vec![("request".to_owned(), record(request(facts))?)];
        if let Some((declared, arguments)) = self.arguments {
            pairs.push(("arguments".to_owned(), record(declared.value(arguments, "")?)?));
            pairs.push(("count".to_owned(), record(counts(declared, arguments))?));
            let mut undeclared = Vec::new();
            if let Some(arguments) = arguments {
                declared.undeclared(arguments, "", &mut undeclared);
            }
            let paths = undeclared.into_iter().map(RestrictedExpression::new_string);
            pairs.push(("undeclared".to_owned(), RestrictedExpression::new_set(paths)));
        }
        Ok(pairs)
    }
}

/// A record of distinct keys.
fn record(pairs: Vec<(String, RestrictedExpression)>) -> Result<RestrictedExpression, Unrepresentable> {
    RestrictedExpression::new_record(pairs).map_err(|_| Unrepresentable { pointer: String::new() })
}

fn request(facts: &RequestFacts<'_>) -> Vec<(String, RestrictedExpression)> {
    let mut pairs = vec![("now".to_owned(), datetime(facts.now))];
    pairs.extend(local(facts).map(|local| ("local".to_owned(), local)));
    pairs.extend(facts.ip.map(|ip| ("ip".to_owned(), RestrictedExpression::new_ip(ip.to_canonical().to_string()))));
    pairs.extend(facts.revision.map(|revision| {
        ("protocolVersion".to_owned(), RestrictedExpression::new_string(revision.as_str().to_owned()))
    }));
    pairs
}

/// The civil time of `facts.now`; absent (so that policies that read it err, and deny) only outside of the years that
/// civil time can express.
fn local(facts: &RequestFacts<'_>) -> Option<RestrictedExpression> {
    let zoned = jiff::Timestamp::from_millisecond(facts.now.millis()).ok()?.to_zoned(facts.zone.clone());
    let weekday = i64::from(zoned.weekday().to_monday_one_offset());
    let minute = i64::from(zoned.hour()) * 60 + i64::from(zoned.minute());
    let date = zoned.date().strftime("%Y-%m-%d").to_string();
    RestrictedExpression::new_record([
        ("weekday".to_owned(), RestrictedExpression::new_long(weekday)),
        ("minute".to_owned(), RestrictedExpression::new_long(minute)),
        ("date".to_owned(), RestrictedExpression::new_datetime(date)),
    ])
    .ok()
}

/// The lengths of array arguments, by name.
fn counts(declared: &RecordType, arguments: Option<Value<'_>>) -> Vec<(String, RestrictedExpression)> {
    let arrays = declared.fields.iter().filter(|field| matches!(field.kind, ArgumentType::Set(_)));
    arrays
        .filter_map(|field| {
            let value = arguments.and_then(|object| object.get(&field.name)).filter(|value| !value.is_null())?;
            let length = i64::try_from(value.len()).unwrap_or(i64::MAX);
            Some((field.name.clone(), RestrictedExpression::new_long(length)))
        })
        .collect()
}

/// The ids of all base actions that a message can lead to.
pub fn base_actions() -> impl Iterator<Item = &'static str> {
    const TARGETED: [&str; 9] = [
        "prompts/get",
        "resources/read",
        "resources/subscribe",
        "resources/unsubscribe",
        "subscriptions/listen",
        "tasks/get",
        "tasks/result",
        "tasks/cancel",
        "tasks/update",
    ];
    TARGETED.into_iter().chain(SessionMethod::ALL.iter().map(|method| method.as_str()))
}
