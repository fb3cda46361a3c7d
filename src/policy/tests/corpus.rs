//! Plans against the corpus of cedar-policy/cedar-integration-tests (`TOOLGATE_CORPORA`): what random schemas, entities
//! and policies must be answered with.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, Policy, PolicyId, PolicySet, Request, Schema};
use serde_json::Value;

use super::slicing::{errors, same};
use crate::policy::Engine;
use crate::policy::bundle::{Bundle, Mode};
use crate::policy::plan::{FLAT, Plan, Plans};

/// One set with its requests.
struct Case {
    engine: Engine,
    /// The same among so many policies about somebody else that plans are keyed.
    crowded: Engine,
    set: PolicySet,
    schema: Schema,
    entities: Entities,
}

#[expect(clippy::disallowed_methods, reason = "the corpus is no caller: its entities are written as Cedar's own JSON")]
impl Case {
    fn read(folder: &Path, test: &Value) -> Self {
        let text = |member: &str| std::fs::read_to_string(folder.join(test[member].as_str().unwrap())).unwrap();
        let set: PolicySet = text("policies").parse().unwrap();
        assert_eq!(set.templates().count(), 0, "the corpus has no templates");
        let (schema, _) = Schema::from_cedarschema_str(&text("schema")).unwrap();
        let entities = Entities::from_json_value(json(&text("entities")), Some(&schema)).unwrap();
        let mut crowded = set.clone();
        for at in 0..=FLAT {
            let text = format!("permit (principal == Nobody::\"{at}\", action, resource);");
            crowded.add(Policy::parse(Some(PolicyId::new(format!("crowd{at}"))), text).unwrap()).unwrap();
        }
        Self {
            crowded: Engine::new(Bundle::unchecked(&crowded), 1),
            engine: Engine::new(Bundle::unchecked(&set), 1),
            set,
            schema,
            entities,
        }
    }

    fn above(&self, uid: &EntityUid) -> Vec<EntityUid> {
        self.entities.ancestors(uid).into_iter().flatten().cloned().collect()
    }

    /// Holds both engines, with closed and with open plans, against Cedar, and Cedar against the corpus.
    fn ask(&self, asked: &Value, name: &str) {
        let uid = |member: &str| EntityUid::from_json(asked[member].clone()).unwrap();
        let (principal, action, resource) = (uid("principal"), uid("action"), uid("resource"));
        let context = Context::from_json_value(asked["context"].clone(), Some((&self.schema, &action))).unwrap();
        let request = Request::new(principal.clone(), action.clone(), resource.clone(), context, None).unwrap();
        let whole = Authorizer::new().is_authorized(&request, &self.set, &self.entities);
        let decision = if whole.decision() == Decision::Allow { "allow" } else { "deny" };
        assert_eq!(asked["decision"], decision, "{name}");
        assert_eq!(ids(&asked["reason"]), whole.diagnostics().reason().cloned().collect(), "{name}");
        assert_eq!(ids(&asked["errors"]), errors(&whole), "{name}");
        let (groups, parents, ancestors) = (self.above(&action), self.above(&resource), self.above(&principal));
        for engine in [&self.engine, &self.crowded] {
            let mut plans = Plans::default();
            let closed = plans.closed((engine.bundle(), Mode::Enforced), (&action, &groups), (&resource, &parents));
            let open = plans.open((engine.bundle(), Mode::Enforced), &action, &groups);
            let closed: Vec<&Plan> = closed.iter().map(|plan| &**plan).collect();
            for plans in [closed, open.plans(&resource, &parents)] {
                let slices = plans.into_iter().flat_map(|plan| plan.slices(&principal, ancestors.iter()));
                let answer = engine.over(slices, &request, &self.entities).unwrap();
                same(&answer, &whole, &|| name.to_owned());
            }
        }
    }
}

fn ids(list: &Value) -> BTreeSet<PolicyId> {
    list.as_array().unwrap().iter().map(|id| PolicyId::new(id.as_str().unwrap())).collect()
}

#[expect(clippy::disallowed_methods, reason = "the corpus is no caller")]
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_cedar_corpus() {
    let Some(corpora) = std::env::var_os("TOOLGATE_CORPORA") else {
        eprintln!("SKIPPED: the_cedar_corpus needs TOOLGATE_CORPORA, the folder that holds cedar/");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let archive = Path::new(&corpora).join("cedar/corpus-tests.tar.gz");
    let unpacked = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(folder.path()).status().unwrap();
    assert!(unpacked.success());
    let (mut sets, mut requests) = (0, 0);
    for entry in std::fs::read_dir(folder.path().join("corpus-tests")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.ends_with(".json") || name.ends_with(".entities.json") {
            continue;
        }
        let test = json(&std::fs::read_to_string(&path).unwrap());
        let case = Case::read(folder.path(), &test);
        sets += 1;
        for asked in test["requests"].as_array().unwrap() {
            case.ask(asked, name);
            requests += 1;
        }
    }
    assert_eq!((sets, requests), (7_809, 62_472));
}
