//! Links are policies like any other: with what their template says of them, for step-up too, and counted.

use std::sync::Arc;

use super::random::Random;
use super::world::{Servers, calling, facts, hierarchy_of, subject, written};
use crate::policy::Question;
use crate::policy::evaluate::Refusal;
use crate::policy::groups::{GroupFile, GroupHierarchy, MAX_ABOVE};
use crate::policy::links::Link;
use crate::policy::stepup::Published;
use crate::policy::subject::ScopeHierarchy;
use crate::problem::Source;

const CATALOG: &str = r#"{"tools": [{"name": "read", "inputSchema": {"type": "object"}}]}"#;

const READER: &str = r#"@id("reader") permit (principal in ?principal, action, resource == ?resource);"#;

fn link(template: &str, id: &str, principal: &str) -> Link {
    let resource = (template == "reader").then(|| written("Tool::\"a:read\""));
    Link { template: written(template), id: written(id), principal: Some(written(principal)), resource }
}

/// What is answered to a call of `read` by somebody in `groups`, under `policies` with `links`.
fn ask(policies: &[&str], links: Vec<Link>, groups: &str, hierarchy: GroupHierarchy) -> Result<Vec<Arc<str>>, Refusal> {
    let servers = Servers::new(&[("a", Some(CATALOG), &[])]);
    let policies: Vec<String> = policies.iter().map(|&text| text.to_owned()).collect();
    let world = servers.under_links(&policies, links, hierarchy);
    let claims = format!(r#""client_id":"app","sub":"ada","scope":"held","groups":{groups}"#);
    let subject = subject(&claims, &ScopeHierarchy::default());
    let scopes = ["held".to_owned(), "wanted".to_owned()];
    calling("read", "{}", |operation| {
        let question = Question {
            subject: &subject,
            hierarchy: &ScopeHierarchy::default(),
            server: &world.servers[0],
            operation,
            facts: &facts(),
            published: Published { scopes: &scopes, repeat_held: false },
        };
        let conclusion = world.engine.evaluate(&question, &mut Vec::new());
        conclusion.verdict.map(|permit| permit.policies().to_vec())
    })
}

#[test]
fn a_link_decides_under_its_own_id() {
    let links = || vec![link("reader", "ops", "Group::\"corp:ops\""), link("reader", "dev", "Group::\"corp:dev\"")];
    let none = GroupHierarchy::default;
    assert_eq!(ask(&[READER], links(), r#"["dev"]"#, none()), Ok(vec!["dev".into()]));
    assert_eq!(ask(&[READER], links(), r#"["dev","ops"]"#, none()), Ok(vec!["dev".into(), "ops".into()]));
    assert_eq!(ask(&[READER], links(), "[]", none()), Err(Refusal::Denied { advice: None }));
}

#[test]
fn annotations_of_a_template_are_those_of_its_links() {
    let all = r#"@id("all") permit (principal, action, resource);"#;
    let blocked = r#"@id("blocked") @advice("Ask.") forbid (principal in ?principal, action, resource);"#;
    let login = r#"@id("login") @acr("mfa") @max_age("60") forbid (principal in ?principal, action, resource);"#;
    let on = |template: &str| vec![link(template, "one", "Group::\"corp:g\"")];
    let none = GroupHierarchy::default;
    let advice = Some("Ask.".to_owned());
    assert_eq!(ask(&[all, blocked], on("blocked"), r#"["g"]"#, none()), Err(Refusal::Denied { advice }));
    let wanted = Refusal::LoginInsufficient { acr: vec!["mfa".to_owned()], max_age: Some(60) };
    assert_eq!(ask(&[all, login], on("login"), r#"["g"]"#, none()), Err(wanted));
    assert_eq!(ask(&[all, login], on("login"), "[]", none()), Ok(vec!["all".into()]));
}

/// The scope that a link names stands nowhere in the text of a policy.
#[test]
fn step_up_asks_for_the_scope_of_a_link() {
    let wanted = Err(Refusal::ScopeInsufficient { scopes: vec!["wanted".to_owned()] });
    let links = || vec![link("reader", "one", "Scope::\"wanted\"")];
    assert_eq!(ask(&[READER], links(), "[]", GroupHierarchy::default()), wanted);
    // And somebody who also needs a group has it through another.
    let both =
        r#"@id("both") permit (principal in ?principal, action, resource) when { principal in Group::"corp:top" };"#;
    let links = || vec![link("both", "one", "Scope::\"wanted\"")];
    let top = || hierarchy_of(&[("g".to_owned(), "top".to_owned())]);
    assert_eq!(ask(&[both], links(), r#"["g"]"#, top()), wanted);
    let denied = Err(Refusal::Denied { advice: None });
    assert_eq!(ask(&[both], links(), r#"["h"]"#, top()), denied);
}

/// So many links that plans are keyed by principal.
#[test]
fn every_link_is_in_its_plans() {
    let servers = Servers::new(&[("a", Some(CATALOG), &[]), ("b", None, &[])]);
    let links = (0..200).map(|at| link("reader", &format!("l{at}"), &format!("Group::\"corp:{at}\"")));
    let world = servers.under_links(&[READER.to_owned()], links.collect(), GroupHierarchy::default());
    assert_eq!(world.engine.bundle().len(), 200);
    let links = || (0..200).map(|at| link("reader", &format!("l{at}"), &format!("Group::\"corp:{at}\""))).collect();
    let mut random = Random::new(1);
    for _ in 0..5 {
        let at = random.below(200);
        let found = ask(&[READER], links(), &format!("[\"{at}\"]"), GroupHierarchy::default());
        assert_eq!(found, Ok(vec![format!("l{at}").into()]));
    }
}

fn chain(length: usize) -> Vec<String> {
    let groups = (0..length)
        .map(|at| (written(format!("Group::\"corp:{at}\"")), vec![written(format!("Group::\"corp:{}\"", at + 1))]));
    let file = GroupFile { source: Source::new("entities.yaml", ""), groups: groups.collect() };
    GroupHierarchy::read(&file, &["corp"]).1.into_iter().map(|problem| problem.message).collect()
}

#[test]
fn a_group_is_in_a_bounded_number_of_groups() {
    assert_eq!(chain(MAX_ABOVE), Vec::<String>::new());
    assert_eq!(chain(MAX_ABOVE + 1), ["`Group::\"corp:0\"` is in more than 256 groups"]);
}
