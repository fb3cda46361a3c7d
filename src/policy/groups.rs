//! Groups in groups: `policies/entities.yaml`. It belongs to the rules, not to a token: which groups somebody is in by it
//! is looked up anew for every generation.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use cedar_policy::{Entity, EntityUid};

use crate::policy::lint::owner;
use crate::policy::names::{EntityKind, entity};
use crate::problem::{Problem, Severity, Source, Spanned};

/// Groups that one group is in, directly or not, at most: every request of a member pays for each.
pub const MAX_ABOVE: usize = 256;

/// The file of groups, as it was written.
#[derive(Debug, Clone)]
pub struct GroupFile {
    /// The file.
    pub source: Source,
    /// Groups, and the groups that each is in.
    pub groups: Vec<(Spanned<String>, Vec<Spanned<String>>)>,
}

/// For each group that is in others, all that it is in, directly or not.
#[derive(Debug, Clone, Default)]
pub struct GroupHierarchy(HashMap<EntityUid, Vec<EntityUid>>);

/// The parents of each group, with the place of each.
type Parents<'f> = HashMap<EntityUid, Vec<(EntityUid, &'f Spanned<String>)>>;

impl GroupHierarchy {
    /// What `file` says, and all that is wrong with it. `issuers` are the names that groups may belong to.
    pub fn read(file: &GroupFile, issuers: &[&str]) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut group = |written: &Spanned<String>| match known(&written.value, issuers) {
            Ok(uid) => Some(uid),
            Err((message, help)) => {
                problems.push(problem(&file.source, written, message, help));
                None
            }
        };
        let mut parents = Parents::new();
        let mut order = Vec::new();
        for (written, above) in &file.groups {
            let above: Vec<_> = above.iter().filter_map(|parent| Some((group(parent)?, parent))).collect();
            let Some(uid) = group(written) else { continue };
            order.push((uid.clone(), written));
            // Two spellings of one group are one group: `"a"` and `"\u{61}"`.
            parents.entry(uid).or_default().extend(above);
        }
        let mut closure = HashMap::new();
        let mut cyclic = HashSet::new();
        for (uid, written) in order {
            match above(&uid, &parents) {
                Ok(above) => drop(closure.insert(uid, above)),
                Err(Wrong::TooMany) => {
                    let message = format!("`{uid}` is in more than {MAX_ABOVE} groups");
                    problems.push(problem(&file.source, written, message, "leave out levels in between".to_owned()));
                }
                Err(Wrong::Cycle(path, at)) => {
                    if !cyclic.contains(&uid) {
                        let names: Vec<String> = path.iter().map(|step| format!("`{step}`")).collect();
                        let message = format!("`{uid}` would be in itself: {}", names.join(" in "));
                        problems.push(problem(&file.source, at, message, "remove one of these parents".to_owned()));
                    }
                    cyclic.extend(path);
                }
            }
        }
        (Self(closure), problems)
    }

    /// Every group that something in `parents` is in beside `parents`, each once.
    pub fn above(&self, parents: &[EntityUid]) -> Vec<EntityUid> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let held: HashSet<&EntityUid> = parents.iter().collect();
        let above = parents.iter().filter_map(|group| self.0.get(group)).flatten();
        let above: HashSet<&EntityUid> = above.filter(|group| !held.contains(group)).collect();
        above.into_iter().cloned().collect()
    }

    /// Every group that another is in.
    pub fn parents(&self) -> impl Iterator<Item = &EntityUid> {
        self.0.values().flatten()
    }

    /// The entity of `group`, if it is in any other.
    pub fn entity(&self, group: &EntityUid) -> Option<Entity> {
        let above = self.0.get(group).filter(|above| !above.is_empty())?;
        Some(Entity::new_no_attrs(group.clone(), above.iter().cloned().collect()))
    }
}

fn known(text: &str, issuers: &[&str]) -> Result<EntityUid, (String, String)> {
    let uid = entity(text, &[EntityKind::Group]).map_err(|wrong| (format!("a group {}", wrong.what), wrong.help))?;
    match owner(&uid, uid.id().unescaped(), issuers.iter().copied(), "an issuer") {
        None => Ok(uid),
        Some(finding) => {
            let issuers = || format!("the issuers are `{}`", issuers.join("`, `"));
            Err((finding.message, finding.help.unwrap_or_else(issuers)))
        }
    }
}

enum Wrong<'f> {
    TooMany,
    /// The way from a group to itself, and the place of its first step.
    Cycle(Vec<EntityUid>, &'f Spanned<String>),
}

/// All that `group` is in, directly or not.
fn above<'f>(group: &EntityUid, parents: &Parents<'f>) -> Result<Vec<EntityUid>, Wrong<'f>> {
    // Whence each was reached first.
    let mut from: BTreeMap<EntityUid, EntityUid> = BTreeMap::new();
    let mut open = VecDeque::from([group.clone()]);
    while let Some(below) = open.pop_front() {
        for (parent, _) in parents.get(&below).into_iter().flatten() {
            if parent == group {
                let mut path = vec![group.clone()];
                let mut step = &below;
                while step != group {
                    path.push(step.clone());
                    step = from.get(step).unwrap_or(group);
                }
                path.push(group.clone());
                path.reverse();
                let first = path.get(1);
                let mut own = parents.get(group).into_iter().flatten();
                if let Some((_, at)) = own.find(|(parent, _)| Some(parent) == first) {
                    return Err(Wrong::Cycle(path, at));
                }
            }
            if !from.contains_key(parent) {
                from.insert(parent.clone(), below.clone());
                open.push_back(parent.clone());
            }
        }
        if from.len() > MAX_ABOVE {
            return Err(Wrong::TooMany);
        }
    }
    Ok(from.into_keys().collect())
}

fn problem(source: &Source, at: &Spanned<String>, message: String, help: String) -> Problem {
    let (source, span) = (source.clone(), Some(at.span.clone()));
    Problem { severity: Severity::Error, source, span, message, help: Some(help) }
}
