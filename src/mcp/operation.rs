//! What a call asks, and of what: every target named, because every target is decided on.

use std::borrow::Cow;

use crate::json::Value;

use super::envelope::Call;
use super::error::Malformed;
use super::fields::{self, NAME_LIMIT, NOTIFICATIONS, URI_LIMIT};

/// Most resources and tasks that one `subscriptions/listen` may name: each costs a decision.
const TARGETS_LIMIT: usize = 64;

/// What is asked.
#[derive(Debug, Clone)]
pub enum Operation<'d> {
    /// A method whose target is the server as a whole.
    Session(SessionMethod),
    /// `tools/call`.
    ToolCall(ToolCall<'d>),
    /// `prompts/get`, or `completion/complete` for a prompt, which can tell what the prompt would.
    Prompt {
        /// The prompt.
        name: Cow<'d, str>,
    },
    /// A method on one resource; `completion/complete` for a resource counts as reading it.
    Resource {
        /// Which.
        method: ResourceMethod,
        /// The address or template, as it was sent.
        uri: Cow<'d, str>,
    },
    /// A method on one task.
    Task {
        /// Which.
        method: TaskMethod,
        /// The task.
        id: Cow<'d, str>,
    },
    /// `subscriptions/listen`: a stream of changes; those of lists need no target.
    Listen {
        /// The resources to hear of.
        resources: Vec<Cow<'d, str>>,
        /// The tasks to hear of.
        tasks: Vec<Cow<'d, str>>,
    },
    /// A method that no revision knows. Its `params` are not read.
    Other {
        /// The method.
        method: Cow<'d, str>,
    },
}

/// A call of one tool.
#[derive(Debug, Clone)]
pub struct ToolCall<'d> {
    name: Cow<'d, str>,
    arguments: Option<Value<'d>>,
}

impl<'d> ToolCall<'d> {
    /// The tool: not empty, without control characters.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The arguments, an object, if there are any.
    pub fn arguments(&self) -> Option<Value<'d>> {
        self.arguments
    }
}

/// Declares methods that differ by name only, and the way from and to that name.
macro_rules! methods {
    ($(#[$meta:meta])* $type:ident { $($variant:ident = $name:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $type {
            $(#[doc = concat!("`", $name, "`.")] $variant,)*
        }

        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The method's name, which is also the name of its action.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

methods! {
    /// The methods whose target is the server. The three under `session/` are no JSON-RPC methods: they stand for a GET, a
    /// DELETE, and a response.
    SessionMethod {
        Initialize = "initialize",
        Ping = "ping",
        Discover = "server/discover",
        ListTools = "tools/list",
        ListPrompts = "prompts/list",
        ListResources = "resources/list",
        ListResourceTemplates = "resources/templates/list",
        ListTasks = "tasks/list",
        SetLogLevel = "logging/setLevel",
        Initialized = "notifications/initialized",
        Cancelled = "notifications/cancelled",
        Progress = "notifications/progress",
        RootsListChanged = "notifications/roots/list_changed",
        TaskStatus = "notifications/tasks/status",
        Stream = "session/stream",
        End = "session/end",
        Response = "session/response",
    }
}

methods! {
    /// The methods on one resource.
    ResourceMethod {
        Read = "resources/read",
        Subscribe = "resources/subscribe",
        Unsubscribe = "resources/unsubscribe",
    }
}

methods! {
    /// The methods on one task.
    TaskMethod {
        Get = "tasks/get",
        Result = "tasks/result",
        Cancel = "tasks/cancel",
        Update = "tasks/update",
    }
}

/// Reads the method of `call` and the fields that name its target.
pub(super) fn read<'d>(call: &Call<'d>) -> Result<Operation<'d>, Malformed> {
    let operation = by_method(call)?;
    let is_notification = call.method.starts_with("notifications/");
    match (&operation, &call.id) {
        (_, Some(_)) if is_notification => Err(Malformed::IdForbidden),
        // Of an unknown method nobody can say whether it is a request.
        (Operation::Other { .. }, None) => Ok(operation),
        (_, None) if !is_notification => Err(Malformed::IdMissing),
        (_, Some(_) | None) => Ok(operation),
    }
}

fn by_method<'d>(call: &Call<'d>) -> Result<Operation<'d>, Malformed> {
    let method = call.method.as_ref();
    if let Some(method) = SessionMethod::parse(method) {
        let is_reserved = matches!(method, SessionMethod::Stream | SessionMethod::End | SessionMethod::Response);
        return if is_reserved { Err(Malformed::ReservedMethod) } else { Ok(Operation::Session(method)) };
    }
    if let Some(method) = ResourceMethod::parse(method) {
        return Ok(Operation::Resource { method, uri: text(call, "uri", URI_LIMIT)? });
    }
    if let Some(method) = TaskMethod::parse(method) {
        return Ok(Operation::Task { method, id: text(call, "taskId", NAME_LIMIT)? });
    }
    match method {
        "tools/call" => {
            let name = text(call, "name", NAME_LIMIT)?;
            let arguments = call.params.map_or(Ok(None), |params| fields::object(params, "arguments"))?;
            Ok(Operation::ToolCall(ToolCall { name, arguments }))
        }
        "prompts/get" => Ok(Operation::Prompt { name: text(call, "name", NAME_LIMIT)? }),
        "completion/complete" => completion(object(call, "ref")?),
        "subscriptions/listen" => listen(object(call, "notifications")?),
        _ => Ok(Operation::Other { method: call.method.clone() }),
    }
}

fn completion(reference: Value<'_>) -> Result<Operation<'_>, Malformed> {
    let kind = reference.get("type").and_then(Value::as_str);
    // A reference with both a name and a URI could be completed as either.
    match (kind.as_deref(), reference.get("name"), reference.get("uri")) {
        (Some("ref/prompt"), Some(_), None) => {
            Ok(Operation::Prompt { name: fields::text(reference, "name", NAME_LIMIT)? })
        }
        (Some("ref/resource"), None, Some(_)) => {
            Ok(Operation::Resource { method: ResourceMethod::Read, uri: fields::text(reference, "uri", URI_LIMIT)? })
        }
        (..) => Err(Malformed::Field("ref")),
    }
}

fn listen(notifications: Value<'_>) -> Result<Operation<'_>, Malformed> {
    for (key, value) in notifications.members() {
        let is_flag = key.ends_with("ListChanged");
        // What is not known here could be one more target.
        if !NOTIFICATIONS.contains(&key.as_ref()) || (is_flag && value.as_bool().is_none()) {
            return Err(Malformed::Field("notifications"));
        }
    }
    let targets = ["resourceSubscriptions", "taskIds"].map(|field| notifications.get(field).map_or(0, Value::len));
    if targets.iter().sum::<usize>() > TARGETS_LIMIT {
        return Err(Malformed::TooManyTargets);
    }
    let resources = fields::texts(notifications, "resourceSubscriptions", URI_LIMIT)?;
    let tasks = fields::texts(notifications, "taskIds", NAME_LIMIT)?;
    Ok(Operation::Listen { resources, tasks })
}

/// The string in `params.<field>`, which must be there.
fn text<'d>(call: &Call<'d>, field: &'static str, limit: usize) -> Result<Cow<'d, str>, Malformed> {
    call.params.map_or(Err(Malformed::Field(field)), |params| fields::text(params, field, limit))
}

/// The object in `params.<field>`, which must be there.
fn object<'d>(call: &Call<'d>, field: &'static str) -> Result<Value<'d>, Malformed> {
    let found = call.params.map_or(Ok(None), |params| fields::object(params, field))?;
    found.ok_or(Malformed::Field(field))
}
