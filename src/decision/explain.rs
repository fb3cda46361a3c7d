//! Why a request is decided as it is. For people, and off the way of requests.

use crate::context::{RequestContext, UnixTime};
use crate::decision::server::Server;
use crate::decision::{Asked, Caller, Rules};
use crate::policy::explain::Explanation;

/// How the policies stand to the questions of a request with a body: none, if there is no message in it.
pub fn explain(
    rules: &Rules,
    server: &Server,
    context: &RequestContext,
    caller: &Caller,
    now: UnixTime,
) -> Vec<Explanation> {
    let asked = Asked { rules, server, context, caller, now };
    let explained = asked.read(|message| asked.question(message, |question| rules.engine.explain(question)));
    explained.unwrap_or_default()
}
