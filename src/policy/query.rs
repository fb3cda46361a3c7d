//! One message as questions to Cedar: an action, a resource, and the part of the context that the request decides.

use std::net::IpAddr;
use std::sync::Arc;

use cedar_policy::{Entity, EntityUid, RestrictedExpression};
use jiff::tz::TimeZone;

use crate::context::UnixTime;
use crate::json::Value;
use crate::mcp::{Operation, Revision};
use crate::policy::arguments::{RecordType, Unrepresentable};
use crate::policy::model::{FoundTool, Route, ServerModel};
use crate::policy::paths::{Need, Reads};
use crate::policy::resource::Target;
use crate::policy::subject::{Subject, datetime};
use crate::policy::values::{Scene, Values};

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
    /// The action, with its entities and policies.
    pub route: &'a Route,
    /// The resource's id.
    pub resource: EntityUid,
    /// The same as text, for records.
    pub resource_text: Arc<str>,
    /// What the resource is in, where the route's policies do not already take it into account.
    pub ancestors: Vec<EntityUid>,
    /// The resource's entity, unless the route's entities already hold it or it has nothing to tell.
    pub entity: Option<Entity>,
    /// The arguments and their types.
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

/// Every question that `operation` on `server` raises: all must be answered yes.
///
/// # Errors
/// [`Unknown`] if the message names what does not exist.
pub fn queries<'a>(operation: &'a Operation<'a>, server: &'a ServerModel) -> Result<Vec<Query<'a>>, Unknown> {
    let name = server.name();
    let route = |method: &str| server.route(method).ok_or(Unknown::Method);
    let on_server = |method: &str| {
        let (uid, text) = server.uid();
        Ok(Query {
            route: route(method)?,
            resource: uid.clone(),
            resource_text: text.clone(),
            ancestors: Vec::new(),
            entity: None,
            arguments: None,
        })
    };
    Ok(match operation {
        Operation::Session(method) => vec![on_server(method.as_str())?],
        Operation::ToolCall(call) => vec![tool_call(call.name(), call.arguments(), server)?],
        Operation::Prompt { name: prompt } => vec![Query::on(route("prompts/get")?, Target::prompt(name, prompt))],
        Operation::Resource { method, uri } => vec![Query::on(route(method.as_str())?, Target::resource(name, uri))],
        Operation::Task { method, id } => vec![Query::on(route(method.as_str())?, Target::task(name, id))],
        Operation::Listen { resources, tasks } => {
            let (subscribe, get) = (route("resources/subscribe")?, route("tasks/get")?);
            let mut all = vec![on_server("subscriptions/listen")?];
            all.extend(resources.iter().map(|uri| Query::on(subscribe, Target::resource(name, uri))));
            all.extend(tasks.iter().map(|id| Query::on(get, Target::task(name, id))));
            all
        }
        Operation::Other { method } => vec![on_server(method)?],
    })
}

fn tool_call<'a>(tool: &str, arguments: Option<Value<'a>>, server: &'a ServerModel) -> Result<Query<'a>, Unknown> {
    match server.tool(tool).ok_or(Unknown::Tool)? {
        FoundTool::Open(route) => Ok(Query::on(route, Target::tool(server.name(), tool))),
        FoundTool::Catalogued(found) => Ok(Query {
            route: &found.route,
            resource: found.uid.clone(),
            resource_text: found.text.clone(),
            ancestors: Vec::new(),
            entity: None,
            arguments: Some((&found.arguments, arguments)),
        }),
    }
}

type Members = Vec<(String, RestrictedExpression)>;

impl<'a> Query<'a> {
    fn on(route: &'a Route, target: Target) -> Self {
        let resource = target.entity.uid();
        Self {
            route,
            resource_text: resource.to_string().into(),
            resource,
            ancestors: target.ancestors,
            entity: Some(target.entity),
            arguments: None,
        }
    }

    /// The entity of the token's client, if any of the route's policies may ask it anything.
    pub fn client_of(&self, subject: &Subject) -> Option<Entity> {
        subject.client().filter(|_| self.route.asks_client()).cloned()
    }

    /// Adds what the route's policies read to `values`, those in shadow included.
    pub(in crate::policy) fn read(&self, subject: &Subject, facts: &RequestFacts<'_>, values: &mut Values) {
        let scene = Scene { subject, facts, arguments: self.arguments };
        self.route.each_reading(&self.resource, &self.ancestors, |readings| values.read(readings, scene));
    }

    /// The members of the context that `reads` names.
    ///
    /// # Errors
    /// [`Unrepresentable`] names the argument that has no value of its declared type.
    pub fn context(
        &self,
        subject: &Subject,
        facts: &RequestFacts<'_>,
        reads: &Reads,
    ) -> Result<Members, Unrepresentable> {
        let reads = &reads.context;
        let mut context = Members::new();
        let mut member = |name: &str, make: &dyn Fn(Need<'_>) -> Result<Members, Unrepresentable>| {
            let need = reads.need(name);
            if need == Need::Nothing {
                return Ok(());
            }
            context.push((name.to_owned(), record(make(need)?)?));
            Ok(())
        };
        member("token", &|need| Ok(subject.token(need)))?;
        member("request", &|need| Ok(request(facts, need)))?;
        if let Some((declared, arguments)) = self.arguments {
            member("arguments", &|need| declared.value(arguments, need, ""))?;
            member("count", &|need| declared.counts(arguments, need))?;
            if reads.need("undeclared") != Need::Nothing {
                let mut paths = Vec::new();
                if let Some(arguments) = arguments {
                    declared.undeclared(arguments, "", &mut paths);
                }
                let paths = paths.into_iter().map(RestrictedExpression::new_string);
                context.push(("undeclared".to_owned(), RestrictedExpression::new_set(paths)));
            }
        }
        Ok(context)
    }
}

/// A record of distinct keys.
fn record(members: Members) -> Result<RestrictedExpression, Unrepresentable> {
    RestrictedExpression::new_record(members).map_err(|_| Unrepresentable { pointer: String::new() })
}

fn request(facts: &RequestFacts<'_>, need: Need<'_>) -> Members {
    let needed = |name: &str| need.member(name) != Need::Nothing;
    let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
    let mut members = Members::new();
    if needed("now") {
        // A token's times are whole seconds: with a part of one, an age of at most five minutes would end a second early.
        members.push(("now".to_owned(), datetime(UnixTime::from_seconds(facts.now.seconds()))));
    }
    if needed("local") {
        members.extend(local(facts).map(|local| ("local".to_owned(), local)));
    }
    if needed("ip") {
        members.extend(facts.ip.map(|ip| ("ip".to_owned(), RestrictedExpression::new_ip(ip.to_string()))));
    }
    if needed("protocolVersion") {
        members.extend(facts.revision.map(|revision| ("protocolVersion".to_owned(), text(revision.as_str()))));
    }
    members
}

/// The civil time of `facts.now`; absent (so that policies that read it err, and deny) only outside of the years that
/// civil time can express.
fn local(facts: &RequestFacts<'_>) -> Option<RestrictedExpression> {
    let Local { weekday, minute, date } = facts.local()?;
    RestrictedExpression::new_record([
        ("weekday".to_owned(), RestrictedExpression::new_long(weekday)),
        ("minute".to_owned(), RestrictedExpression::new_long(minute)),
        ("date".to_owned(), RestrictedExpression::new_datetime(date)),
    ])
    .ok()
}

/// Civil time.
pub(in crate::policy) struct Local {
    /// Monday is 1.
    pub(in crate::policy) weekday: i64,
    /// Since midnight.
    pub(in crate::policy) minute: i64,
    /// `2026-11-25`.
    pub(in crate::policy) date: String,
}

impl RequestFacts<'_> {
    /// The civil time of `now`, if that can express it.
    pub(in crate::policy) fn local(&self) -> Option<Local> {
        let zoned = jiff::Timestamp::from_millisecond(self.now.millis()).ok()?.to_zoned(self.zone.clone());
        Some(Local {
            weekday: i64::from(zoned.weekday().to_monday_one_offset()),
            minute: i64::from(zoned.hour()) * 60 + i64::from(zoned.minute()),
            date: zoned.date().strftime("%Y-%m-%d").to_string(),
        })
    }
}
