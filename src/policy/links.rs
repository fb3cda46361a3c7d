//! Templates, and the links that make policies of them: `policies/links.yaml`, with a place for everything that is wrong
//! in it. A linked policy is a policy like any other, under an id of its own; what its slots hold is in it alone, and all
//! the rest in its template.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Effect, EntityUid, Policy, PolicyId, PolicySet, SlotId, Template};

use crate::policy::names::{EntityKind, entity};
use crate::problem::{Problem, Severity, Source, Spanned, closest};

/// The file of links, as it was written.
#[derive(Debug, Clone)]
pub struct LinkFile {
    /// The file.
    pub source: Source,
    /// Its links, as far as they could be made out.
    pub links: Vec<Link>,
    /// Whether they all could.
    pub complete: bool,
}

/// One link, as it was written.
#[derive(Debug, Clone)]
pub struct Link {
    /// The id of a template.
    pub template: Spanned<String>,
    /// The id of the policy that becomes of it.
    pub id: Spanned<String>,
    /// What `?principal` stands for: `Group::"corp:ops"`.
    pub principal: Option<Spanned<String>>,
    /// What `?resource` stands for: `Tool::"weather:get_forecast"`.
    pub resource: Option<Spanned<String>>,
}

/// A slot of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Principal,
    Resource,
}

impl Slot {
    const ALL: [Self; 2] = [Self::Principal, Self::Resource];

    const fn key(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Resource => "resource",
        }
    }

    fn id(self) -> SlotId {
        match self {
            Self::Principal => SlotId::principal(),
            Self::Resource => SlotId::resource(),
        }
    }

    /// What a request's principal or resource can be or be in.
    const fn kinds(self) -> &'static [EntityKind] {
        match self {
            Self::Principal => &[EntityKind::User, EntityKind::Client, EntityKind::Group, EntityKind::Scope],
            Self::Resource => {
                &[EntityKind::Server, EntityKind::Tool, EntityKind::Prompt, EntityKind::Resource, EntityKind::Task]
            }
        }
    }

    fn is_in(self, template: &Template) -> bool {
        template.slots().any(|slot| *slot == self.id())
    }
}

impl Link {
    fn value(&self, slot: Slot) -> Option<&Spanned<String>> {
        match slot {
            Slot::Principal => self.principal.as_ref(),
            Slot::Resource => self.resource.as_ref(),
        }
    }

    /// The value that is written as `text`, or stands for it.
    pub(in crate::policy) fn place_of(&self, uid: &str) -> &Spanned<String> {
        let values = [&self.principal, &self.resource];
        let stands = |value: &&Spanned<String>| value.value.parse().is_ok_and(|own: EntityUid| own.to_string() == uid);
        values.into_iter().flatten().find(stands).unwrap_or(&self.template)
    }
}

/// Links the templates of `set` as `file` says, into `set`: each policy with its link. `is_policy` knows the ids of the policies
/// that are no links.
pub(in crate::policy) fn link<'f>(
    set: &mut PolicySet,
    is_policy: &dyn Fn(&PolicyId) -> bool,
    file: &'f LinkFile,
    problems: &mut Vec<Problem>,
) -> Vec<(Policy, &'f Link)> {
    let mut firsts: HashMap<&str, &Link> = HashMap::new();
    let mut linked = Vec::new();
    for link in &file.links {
        let before = problems.len();
        let mut error = |at: &Spanned<String>, message, help| problems.push(problem(&file.source, at, message, help));
        let id = PolicyId::new(&link.id.value);
        if let Some(first) = firsts.insert(&link.id.value, link) {
            let line = 1 + file.source.text.get(..first.id.span.start).unwrap_or_default().matches('\n').count();
            let message = format!("two links have the id `{id}`");
            error(&link.id, message, format!("give each its own: the first is on line {line}"));
        } else if is_policy(&id) || set.template(&id).is_some() {
            let message = format!("a link and a policy or template have the id `{id}`");
            error(&link.id, message, "ids name policies in the audit record: give each its own".to_owned());
        }
        let name = PolicyId::new(&link.template.value);
        let Some(template) = set.template(&name) else {
            let (message, help) = unknown_template(set, is_policy, &name);
            error(&link.template, message, help);
            continue;
        };
        let values = values(template, link, &mut error);
        if problems.len() > before {
            continue;
        }
        match set.link(name, id.clone(), values) {
            Ok(()) => linked.extend(set.policy(&id).map(|policy| (policy.clone(), link))),
            Err(error) => problems.push(problem(&file.source, &link.id, error.to_string(), String::new())),
        }
    }
    linked
}

fn unknown_template(set: &PolicySet, is_policy: &dyn Fn(&PolicyId) -> bool, name: &PolicyId) -> (String, String) {
    if set.policy(name).is_some() || is_policy(name) {
        let help = "write `?principal` or `?resource` into its scope, or name another".to_owned();
        return (format!("the policy `{name}` has no slots, so it is no template"), help);
    }
    let mut known: Vec<&str> = set.templates().map(|template| template.id().as_ref()).collect();
    known.sort_unstable();
    let help = match closest(name.as_ref(), known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "no policy file has a template".to_owned(),
        None => format!("the templates are `{}`", known.join("`, `")),
    };
    (format!("there is no template `{name}`"), help)
}

/// What `link` puts into the slots of `template`.
fn values(
    template: &Template,
    link: &Link,
    error: &mut impl FnMut(&Spanned<String>, String, String),
) -> HashMap<SlotId, EntityUid> {
    let mut values = HashMap::new();
    for slot in Slot::ALL {
        let (key, name) = (slot.key(), template.id());
        match (link.value(slot), slot.is_in(template)) {
            (None, false) => {}
            (None, true) => {
                let message =
                    format!("the link `{}` says nothing for `?{key}` of the template `{name}`", link.id.value);
                error(&link.template, message, format!("add `{key}: …`"));
            }
            (Some(value), false) => {
                let message = format!("the template `{name}` has no slot `?{key}`");
                error(value, message, format!("remove `{key}`, or write `?{key}` into the template"));
            }
            (Some(value), true) => match entity(&value.value, slot.kinds()) {
                Ok(uid) => drop(values.insert(slot.id(), uid)),
                Err(wrong) => error(value, format!("`{key}` {}", wrong.what), wrong.help),
            },
        }
    }
    values
}

/// Templates that `file` does not name. One that permits is only of no use yet; a forbid that can never apply is an error,
/// as elsewhere, for somebody relies on it: a lost file of links must not open a door.
pub(in crate::policy) fn unlinked(
    templates: &[(&Source, &Template)],
    file: Option<&LinkFile>,
    problems: &mut Vec<Problem>,
) {
    if file.is_some_and(|file| !file.complete) {
        return;
    }
    let named: HashSet<&str> =
        file.into_iter().flat_map(|file| &file.links).map(|link| link.template.value.as_str()).collect();
    let is_named = |template: &Template| named.contains(AsRef::<str>::as_ref(template.id()));
    for (source, template) in templates.iter().filter(|(_, template)| !is_named(template)) {
        let (severity, what) = match template.effect() {
            Effect::Permit => (Severity::Warning, "permits"),
            Effect::Forbid => (Severity::Error, "forbids"),
        };
        let text = template.to_cedar();
        let line = text.lines().next().unwrap_or_default().len();
        problems.push(Problem {
            severity,
            source: (*source).clone(),
            span: source.text.find(&text).map(|start| start..start + line),
            message: format!("no link of the template `{}`: it {what} nothing", template.id()),
            help: Some("link it in `links.yaml` in the policy folder, or delete it".to_owned()),
        });
    }
}

fn problem(source: &Source, at: &Spanned<String>, message: String, help: String) -> Problem {
    let help = Some(help).filter(|help| !help.is_empty());
    Problem { severity: Severity::Error, source: source.clone(), span: Some(at.span.clone()), message, help }
}

/// `template` with some entity in each slot, under its own id: a policy that stands for all of its links in what they
/// share. `None` only if Cedar refuses to link it.
pub(in crate::policy) fn specimen(template: &Template) -> Option<Policy> {
    let mut set = PolicySet::new();
    set.add_template(template.clone()).ok()?;
    let filled = Slot::ALL.into_iter().filter(|slot| slot.is_in(template));
    let values = filled.filter_map(|slot| Some((slot.id(), slot.kinds().first()?.uid("")))).collect();
    let id = PolicyId::new(format!("{} specimen", template.id()));
    set.link(template.id().clone(), id.clone(), values).ok()?;
    Some(set.policy(&id)?.new_id(template.id().clone()))
}

/// Adds `policy` to `set`, with its template if it is linked, which Cedar's own `add` refuses; whether it is in now.
pub(in crate::policy) fn add(set: &mut PolicySet, policy: &Policy, templates: &HashMap<PolicyId, Template>) -> bool {
    let (Some(name), Some(values)) = (policy.template_id(), policy.template_links()) else {
        return set.add(policy.clone()).is_ok();
    };
    if set.template(name).is_none() {
        let Some(template) = templates.get(name) else { return false };
        if set.add_template(template.clone()).is_err() {
            return false;
        }
    }
    set.link(name.clone(), policy.id().clone(), values).is_ok()
}
