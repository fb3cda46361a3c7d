//! Policies over the part of the context that they read, against the same policies over all of it.
//!
//! The policies are not validated: what they read must be found in any of them, and errors are part of their result.

use std::collections::BTreeSet;

use cedar_policy::{
    Authorizer, Context, Entities, EntityUid, Policy, PolicyId, PolicySet, Request, Response, RestrictedExpression,
};

use super::random::Random;
use super::slicing::errors;
use crate::json::{Document, Limits, Value};
use crate::policy::arguments::RecordType;
use crate::policy::catalog::Catalog;
use crate::policy::overlay::{Overlay, Parts};
use crate::policy::paths::{Need, Reads};

const LIMITS: Limits = Limits { depth: 64, nodes: 10_000 };

/// The type of both records of the context.
const TYPE: &str = r#"{"properties": {
    "a": {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "string"},
        "z": {"type": "object", "properties": {"x": {"type": "integer"}, "on": {"type": "boolean"}}}}},
    "b": {"type": "object", "properties": {"x": {"type": "integer"}, "z": {"type": "object", "properties": {"x": {"type": "integer"}}}}},
    "on": {"type": "boolean"}, "x": {"type": "integer"}, "y": {"type": "string"},
    "list": {"type": "array", "items": {"type": "integer"}},
    "rows": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "integer"}}}}}}"#;

/// The records of the context.
const ROOTS: [&str; 2] = ["arguments", "extra"];

/// The names of members; one is nowhere.
const NAMES: [&str; 9] = ["a", "b", "z", "x", "y", "on", "list", "rows", "none"];

/// An expression that stands for a part of the context, or for something of its kind.
fn part(random: &mut Random, depth: usize) -> String {
    match random.below(if depth == 0 { 3 } else { 9 }) {
        0 => format!("context.{}", random.pick(&ROOTS)),
        1 => format!("context.{}.{}", random.pick(&ROOTS), random.pick(&NAMES)),
        2 => format!("context.{}.{}.{}", random.pick(&ROOTS), random.pick(&["a", "b"]), random.pick(&NAMES)),
        3 | 4 => format!("{}.{}", part(random, depth - 1), random.pick(&NAMES)),
        5 | 6 => {
            let condition = truth(random, depth - 1);
            format!("(if {condition} then {} else {})", part(random, depth - 1), part(random, depth - 1))
        }
        7 => {
            let (condition, other) =
                (truth(random, depth - 1), random.pick(&["{x: 1}", "{a: {x: 1}}", "principal", "1"]));
            format!("(if {condition} then {} else {other})", part(random, depth - 1))
        }
        _ => format!(
            "{{k: {}, x: {}}}.{}",
            part(random, depth - 1),
            part(random, depth - 1),
            random.pick(&["k", "x", "k.x"])
        ),
    }
}

/// A condition, well-typed or not.
fn truth(random: &mut Random, depth: usize) -> String {
    if depth == 0 {
        let (root, name) = (random.pick(&ROOTS), random.pick(&NAMES));
        return match random.below(4) {
            0 => format!("context.{root} has {name}"),
            1 => format!("context has {root}.{name}.x"),
            2 => format!("context.{root}.on"),
            _ => "true".to_owned(),
        };
    }
    let path = format!("{}.{}", random.pick(&["a", "b", "z"]), random.pick(&NAMES));
    let (one, name) = (part(random, depth - 1), random.pick(&NAMES));
    match random.below(18) {
        0 => format!("{one} has {name}"),
        1 => format!("{one} has {path}"),
        2 => format!("{one} has {name} && {one}.{name} has x"),
        3 => format!("{one} has x && {one}.x + 1 > 0"),
        4 => format!("{one}.x * 2 < 5"),
        5 => format!("{one} == {}", part(random, depth - 1)),
        6 => format!("{one} == {}", random.pick(&["{x: 1}", "{}", "1", "\"u\"", "context", "[1]", "{z: {x: 1}}"])),
        7 => format!("[{one}, {}].contains({})", part(random, depth - 1), part(random, depth - 1)),
        8 => format!("{one}.list.contains(1)"),
        9 => format!("{one} has list && {one}.list.containsAll([1, 2])"),
        10 => format!("{one}.rows.contains({{x: 1}})"),
        11 => format!("{one}.on"),
        12 => format!("{one}.y like \"u*\""),
        13 => format!("context has {}.{path}", random.pick(&ROOTS)),
        14 => format!("({}) && ({})", truth(random, depth - 1), truth(random, depth - 1)),
        15 => format!("({}) || ({})", truth(random, depth - 1), truth(random, depth - 1)),
        16 => format!("!({})", truth(random, depth - 1)),
        _ => format!("{one} is P || principal in {}", part(random, depth - 1)),
    }
}

/// A JSON object of [`TYPE`].
fn object(random: &mut Random) -> String {
    let number = |random: &mut Random| random.pick(&["0", "1", "2", "9223372036854775807"]).to_owned();
    let inner = |random: &mut Random, names: &[&str]| {
        let members = random.some(names, 60).into_iter().map(|name| match name {
            "x" => format!(r#""x":{}"#, number(random)),
            "y" => r#""y":"up""#.to_owned(),
            _ => format!(r#""{name}":{}"#, random.chance(50)),
        });
        members.collect::<Vec<_>>()
    };
    let mut members = inner(random, &["x", "y", "on"]);
    for (name, names) in [("a", &["x", "y"][..]), ("b", &["x"][..])] {
        if random.chance(70) {
            let mut nested = inner(random, names);
            if random.chance(60) {
                let names = if name == "a" { &["x", "on"][..] } else { &["x"][..] };
                nested.push(format!(r#""z":{{{}}}"#, inner(random, names).join(",")));
            }
            members.push(format!(r#""{name}":{{{}}}"#, nested.join(",")));
        }
    }
    if random.chance(60) {
        members.push(format!(r#""list":[{}]"#, random.some(&["1", "2", "3"], 60).join(",")));
    }
    if random.chance(60) {
        members.push(format!(r#""rows":[{}]"#, random.some(&[r#"{"x":1}"#, "{}"], 60).join(",")));
    }
    format!("{{{}}}", members.join(","))
}

/// The context of `objects`, as far as `need` says.
fn context<'n>(record: &RecordType, objects: [Value<'_>; 2], need: impl Fn(&str) -> Need<'n>) -> Context {
    let needed = ROOTS.into_iter().zip(objects).filter(|(root, _)| need(root) != Need::Nothing);
    let members = needed.map(|(root, object)| {
        let members = record.value(Some(object), need(root), "").unwrap();
        (root.to_owned(), RestrictedExpression::new_record(members).unwrap())
    });
    Context::from_pairs(members).unwrap()
}

fn ask(set: &PolicySet, context: Context) -> Response {
    let uid = |text: &str| text.parse::<EntityUid>().unwrap();
    let request = Request::new(uid("P::\"p\""), uid("Action::\"a\""), uid("R::\"r\""), context, None).unwrap();
    Authorizer::new().is_authorized(&request, set, &Entities::empty())
}

/// 500 sets of three policies, over 55 contexts each.
#[track_caller]
fn check(seed: u64) {
    let mut random = Random::new(seed);
    let document = Document::parse(TYPE.as_bytes(), LIMITS).unwrap();
    let record = RecordType::from_schema(document.root(), document.root());
    let (mut reasons, mut erring, mut smaller) = (0, 0, 0);
    for _ in 0..500 {
        let policies: Vec<Policy> = (0..3)
            .map(|at| {
                let effect = if random.chance(70) { "permit" } else { "forbid" };
                let text = format!("{effect} (principal, action, resource) when {{ {} }};", truth(&mut random, 3));
                Policy::parse(Some(PolicyId::new(format!("p{at}"))), text).unwrap()
            })
            .collect();
        let mut reads = Reads::default();
        policies.iter().for_each(|policy| reads.add(&Reads::of(policy)));
        let set = PolicySet::from_policies(policies).unwrap();
        for _ in 0..55 {
            let texts = [object(&mut random), object(&mut random)];
            let documents = texts.each_ref().map(|text| Document::parse(text.as_bytes(), LIMITS).unwrap());
            let objects = || documents.each_ref().map(|document| document.root());
            let full = context(&record, objects(), |_| Need::Whole);
            let projected = context(&record, objects(), |root| reads.context.need(root));
            smaller += usize::from(full != projected);
            let (full, projected) = (ask(&set, full), ask(&set, projected));
            let about = || format!("{set}\n{texts:?}\n{reads:?}");
            assert_eq!(full.decision(), projected.decision(), "{}", about());
            let ids = |response: &Response| response.diagnostics().reason().cloned().collect::<BTreeSet<_>>();
            assert_eq!(ids(&full), ids(&projected), "{}", about());
            assert_eq!(errors(&full), errors(&projected), "{}", about());
            reasons += usize::from(!ids(&full).is_empty());
            erring += usize::from(!errors(&full).is_empty());
        }
    }
    for (what, count) in [("reason", reasons), ("error", erring), ("smaller context", smaller)] {
        assert!(count > 3_000, "seed {seed}: {what} in {count} of 27,500");
    }
}

/// Of a path and a URL only the parts are made that are read, and each as in the whole.
#[test]
fn parts_are_made_as_they_are_read() {
    let mut catalog = Catalog::parse(
        br#"{"tools": [{"name": "t", "inputSchema": {"properties": {
        "p": {"type": "string"}, "u": {"type": "string"}, "us": {"type": "array", "items": {"type": "string"}}}}}]}"#,
    )
    .unwrap();
    let overlays = [("t", "p", Overlay::Path), ("t", "u", Overlay::Url), ("t", "us", Overlay::Url)];
    assert_eq!(catalog.overlay(&overlays), []);
    let record = &catalog.tools[0].arguments;
    let text = r#"{"p":"/a/b/c","u":"https://a.example:81/x","us":["https://a.example/","http://b.example/"]}"#;
    let document = Document::parse(text.as_bytes(), LIMITS).unwrap();
    let conditions = |name: &str, member: &str| {
        let whole = format!("context.arguments.{name}");
        let part = format!("{whole}.{member}");
        [
            format!("{whole} has {member}"),
            format!("{part} == {part} && [{part}].contains({part})"),
            format!("(if {part} == 1 then {whole} else context.extra.{name}).{member} == {part}"),
            format!("{whole} == {{{member}: {part}}}"),
        ]
    };
    let mut smaller = 0;
    for (name, members) in [("p", Parts::Path.members()), ("u", Parts::Url.members()), ("us", Parts::Urls.members())] {
        for condition in members.iter().flat_map(|member| conditions(name, member)) {
            let policy =
                Policy::parse(None, format!("permit (principal, action, resource) when {{ {condition} }};")).unwrap();
            let reads = Reads::of(&policy);
            let set = PolicySet::from_policies([policy]).unwrap();
            let objects = || [document.root(), document.root()];
            let full = context(record, objects(), |_| Need::Whole);
            let projected = context(record, objects(), |root| reads.context.need(root));
            smaller += usize::from(full != projected);
            let (full, projected) = (ask(&set, full), ask(&set, projected));
            assert_eq!(full.decision(), projected.decision(), "{condition}");
            assert_eq!(errors(&full), errors(&projected), "{condition}");
        }
    }
    assert!(smaller > 20, "{smaller}");
}

#[test]
fn a_projected_context_gives_the_same_result_1() {
    check(1);
}

#[test]
fn a_projected_context_gives_the_same_result_2() {
    check(2);
}

#[test]
fn a_projected_context_gives_the_same_result_3() {
    check(3);
}

#[test]
fn a_projected_context_gives_the_same_result_4() {
    check(4);
}
