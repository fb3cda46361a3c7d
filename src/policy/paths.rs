//! Which parts of the context a policy reads, so that only those are made into Cedar values.
//!
//! The rule: `context`, attribute access on it, and the branches of an `if` are names for a part of the context; `has` on
//! such a name asks for presence alone; any other use of it reads the whole part; an expression that this file does not
//! know reads everything. A value that is not in the context (an entity's attributes) is none of its business, except
//! for the names of attributes that are read anywhere: a claim that cannot be represented matters only if its name is
//! among them.
//!
//! INVARIANT (projection is sound): evaluating a policy over the projected context gives the same result, or the same
//! error, as over the whole one. `policy/tests/projection.rs` holds it.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::pst::{self, Clause, Expr, Literal, Var};
use cedar_policy::{EntityUid, Policy};

use crate::policy::names::EntityKind;

/// A part of the context: all of it, or some members.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Paths {
    whole: bool,
    members: BTreeMap<String, Paths>,
}

/// What policies read of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need<'a> {
    /// Nothing.
    Nothing,
    /// Whether it is there.
    Presence,
    /// Some members of it.
    Part(&'a Paths),
    /// All of it.
    Whole,
}

/// What a set of policies reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Reads {
    /// Of the context.
    pub context: Paths,
    /// Names of attributes, read of anything that is not the context.
    pub attributes: BTreeSet<String>,
    /// Attributes of the principal, as far as an expression names them by it.
    pub principal: Paths,
    /// Groups that conditions name: such a group may be asked what it is in.
    pub groups: BTreeSet<EntityUid>,
}

impl Paths {
    /// What is needed of the member `name`.
    pub fn need(&self, name: &str) -> Need<'_> {
        if self.whole {
            return Need::Whole;
        }
        match self.members.get(name) {
            None => Need::Nothing,
            Some(member) if member.whole => Need::Whole,
            Some(member) if member.members.is_empty() => Need::Presence,
            Some(member) => Need::Part(member),
        }
    }

    /// Whether all of it is read as one value.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Every member that is named, with what is needed of it.
    pub fn needs(&self) -> impl Iterator<Item = (&str, Need<'_>)> {
        self.members.keys().map(|name| (name.as_str(), self.need(name)))
    }

    /// The members that are named.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// Every path that is named, prefixes included.
    pub fn each(&self) -> Vec<Vec<&str>> {
        let mut all = Vec::new();
        for (name, member) in &self.members {
            all.push(vec![name.as_str()]);
            all.extend(member.each().into_iter().map(|rest| [vec![name.as_str()], rest].concat()));
        }
        all
    }

    /// Adds everything that `other` reads.
    pub fn add(&mut self, other: &Self) {
        self.whole |= other.whole;
        for (name, member) in &other.members {
            self.members.entry(name.clone()).or_default().add(member);
        }
    }

    fn mark(&mut self, path: &[String], whole: bool) {
        match path.split_first() {
            Some((name, rest)) => self.members.entry(name.clone()).or_default().mark(rest, whole),
            None => self.whole |= whole,
        }
    }
}

impl Need<'_> {
    /// What is needed of the member `name` of a value of which this is needed.
    pub fn member(&self, name: &str) -> Self {
        match self {
            Self::Nothing | Self::Presence => Self::Nothing,
            Self::Part(paths) => paths.need(name),
            Self::Whole => Self::Whole,
        }
    }
}

impl Reads {
    /// What `policy` reads. A policy without a syntax tree reads everything.
    pub fn of(policy: &Policy) -> Self {
        let mut reads = Self::default();
        match policy.to_pst() {
            Ok(tree) => {
                for clause in tree.body().clauses() {
                    let (Clause::When(condition) | Clause::Unless(condition)) = clause;
                    reads.walk(condition);
                }
            }
            Err(_) => reads.context.whole = true,
        }
        if reads.context.whole {
            // What was not looked into may name any of the policy's groups.
            let literals = policy.entity_literals();
            let groups = literals.into_iter().filter(|uid| uid.type_name().basename() == EntityKind::Group.as_str());
            reads.groups.extend(groups);
        }
        reads
    }

    /// Adds everything that `other` reads.
    pub fn add(&mut self, other: &Self) {
        self.context.add(&other.context);
        self.attributes.extend(other.attributes.iter().cloned());
        self.principal.add(&other.principal);
        self.groups.extend(other.groups.iter().cloned());
    }

    /// Marks what `expr` reads when its value is used.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the tree is non-exhaustive, and what is unknown reads all")]
    fn walk(&mut self, expr: &Expr) {
        if let Some(paths) = self.names(expr) {
            for path in paths {
                self.mark(&path, true);
            }
            return;
        }
        match expr {
            Expr::Literal(Literal::EntityUID(uid)) => self.group(uid),
            Expr::Literal(_) | Expr::Var(_) | Expr::Slot(_) => {}
            Expr::UnaryOp { expr, .. } | Expr::Like { expr, .. } => self.walk(expr),
            Expr::BinaryOp { left, right, .. } => {
                self.walk(left);
                self.walk(right);
            }
            Expr::GetAttr { expr, attr } => {
                self.attributes.insert(attr.to_string());
                if may_be_principal(expr) {
                    self.principal.mark(&[attr.to_string()], true);
                }
                self.walk(expr);
            }
            Expr::HasAttr { expr, attrs } => self.has(expr, attrs.iter().map(ToString::to_string).collect()),
            Expr::Is { expr, in_expr, .. } => {
                self.walk(expr);
                in_expr.iter().for_each(|parent| self.walk(parent));
            }
            Expr::IfThenElse { cond, then_expr, else_expr } => {
                self.walk(cond);
                self.walk(then_expr);
                self.walk(else_expr);
            }
            Expr::Set(items) => items.iter().for_each(|item| self.walk(item)),
            Expr::Record(members) => members.values().for_each(|member| self.walk(member)),
            // Whatever Cedar adds one day may read anything.
            _ => self.context.whole = true,
        }
    }

    fn group(&mut self, uid: &pst::EntityUID) {
        if uid.ty.to_string() == EntityKind::Group.as_str() {
            self.groups.insert(EntityKind::Group.uid(&uid.eid));
        }
    }

    /// `expr has a.b`: every prefix must be told apart from its absence, and nothing of the last is read.
    fn has(&mut self, expr: &Expr, attrs: Vec<String>) {
        match self.names(expr) {
            Some(paths) => {
                for mut path in paths {
                    path.extend(attrs.iter().cloned());
                    self.mark(&path, false);
                }
            }
            None => {
                if may_be_principal(expr) {
                    self.principal.mark(&attrs, false);
                }
                self.attributes.extend(attrs);
                self.walk(expr);
            }
        }
    }

    /// Marks a part of the context. The client of a token is an entity, and may be the principal itself, so what is asked
    /// of it may be a claim.
    fn mark(&mut self, path: &[String], whole: bool) {
        if let [token, client, claim, ..] = path
            && token == "token"
            && client == "client"
        {
            self.attributes.insert(claim.clone());
        }
        self.context.mark(path, whole);
    }

    /// The parts of the context that `expr` is a name for; conditions on the way to them are walked. `None` if it is
    /// anything else.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the list of names for the context is closed")]
    fn names(&mut self, expr: &Expr) -> Option<Vec<Vec<String>>> {
        match expr {
            Expr::Var(Var::Context) => Some(vec![Vec::new()]),
            Expr::GetAttr { expr, attr } => {
                let mut paths = self.names(expr)?;
                paths.iter_mut().for_each(|path| path.push(attr.to_string()));
                Some(paths)
            }
            Expr::IfThenElse { cond, then_expr, else_expr } => {
                // If only one branch is a name, the caller walks the whole expression, and so marks that one as used.
                let (mut paths, other) = (self.names(then_expr)?, self.names(else_expr)?);
                self.walk(cond);
                paths.extend(other);
                Some(paths)
            }
            _ => None,
        }
    }
}

/// Whether `expr` may be the principal, by its own name or through branches and records that hold it. What it is by another
/// name (an entity that is written out) is not seen: this is for telling what was read, and tells less rather than more.
#[expect(clippy::wildcard_enum_match_arm, reason = "the list of names for the principal is closed")]
fn may_be_principal(expr: &Expr) -> bool {
    match expr {
        Expr::Var(Var::Principal) => true,
        Expr::IfThenElse { then_expr, else_expr, .. } => may_be_principal(then_expr) || may_be_principal(else_expr),
        Expr::GetAttr { expr, attr } => member(expr, attr).into_iter().any(may_be_principal),
        _ => false,
    }
}

/// What the member `name` of `expr` may be, as far as that stands in records that are written out.
#[expect(clippy::wildcard_enum_match_arm, reason = "nothing else has members that are written out")]
fn member<'e>(expr: &'e Expr, name: &str) -> Vec<&'e Expr> {
    match expr {
        Expr::Record(members) => members.iter().filter(|(key, _)| key.as_str() == name).map(|(_, it)| &**it).collect(),
        Expr::IfThenElse { then_expr, else_expr, .. } => [member(then_expr, name), member(else_expr, name)].concat(),
        Expr::GetAttr { expr, attr } => member(expr, attr).into_iter().flat_map(|it| member(it, name)).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(condition: &str) -> Reads {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        Reads::of(&Policy::parse(None, text).unwrap())
    }

    fn paths(marks: &[(&str, bool)]) -> Paths {
        let mut paths = Paths::default();
        for (path, whole) in marks {
            let path: Vec<String> = path.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            paths.mark(&path, *whole);
        }
        paths
    }

    #[track_caller]
    fn check(condition: &str, marks: &[(&str, bool)]) {
        assert_eq!(reads(condition).context, paths(marks), "{condition}");
    }

    #[test]
    fn what_a_condition_reads() {
        check("true", &[]);
        check("principal == resource", &[]);
        check("context.a.b > 1", &[("a.b", true)]);
        check("context has a", &[("a", false)]);
        check("context has a.b.c", &[("a.b.c", false)]);
        check("context.a has b && context.a.b", &[("a.b", true)]);
        check("context.a == {b: 1}", &[("a", true)]);
        check("context == {}", &[("", true)]);
        check("[context.a].contains(1)", &[("a", true)]);
        check("{x: context.a}.x == 1", &[("a", true)]);
        check("(if context.c then context.a else context.b).x", &[("c", true), ("a.x", true), ("b.x", true)]);
        check("(if context.c then context.a else {x: true}).x", &[("c", true), ("a", true)]);
        check(
            "(if context has c then context.a else context.b) has y",
            &[("c", false), ("a.y", false), ("b.y", false)],
        );
        check("context.a in Group::\"g\" || context.b is User", &[("a", true), ("b", true)]);
        check("context.a like \"x*\" && context.b.contains(\"y\")", &[("a", true), ("b", true)]);
        check("context.ip.isInRange(ip(\"10.0.0.0/8\"))", &[("ip", true)]);
    }

    #[test]
    fn attributes_of_entities_are_known_by_name() {
        let found =
            reads("principal.department == \"x\" && resource has readOnly && context.token.client.host == \"h\"");
        let expected: BTreeSet<String> = ["department", "host", "readOnly"].map(str::to_owned).into();
        assert_eq!(found.attributes, expected);
        assert_eq!(found.context, paths(&[("token.client.host", true)]));
        for condition in ["context.token.client has host", "context has token.client.host"] {
            assert_eq!(reads(condition).attributes, ["host".to_owned()].into(), "{condition}");
        }
    }

    #[test]
    fn attributes_of_the_principal_are_told_apart_from_those_of_others() {
        for (condition, marks) in [
            ("principal.department == \"x\"", &[("department", true)][..]),
            ("principal has department && resource.name == \"x\"", &[("department", false)]),
            ("resource has name || action has name || context.token.client.name == \"x\"", &[]),
            ("(if context.c then principal else context.token.client).name == \"x\"", &[("name", true)]),
            ("(if context.c then context.token.client else resource).name == \"x\"", &[]),
            ("{p: principal, r: resource}.r.name == \"x\"", &[]),
            ("{p: principal, r: resource}.p.name == \"x\"", &[("name", true)]),
            ("{p: {q: principal}}.p.q.name == \"x\"", &[("name", true)]),
            ("(if context.c then {p: resource} else {p: principal}).p has name", &[("name", false)]),
            ("{name: principal}.name == resource", &[]),
        ] {
            assert_eq!(reads(condition).principal, paths(marks), "{condition}");
        }
    }

    #[test]
    fn groups_that_a_condition_names() {
        for (condition, expected) in [
            ("principal in Group::\"c:a\"", &["c:a"][..]),
            ("(if context.c then Group::\"c:a\" else Group::\"c:b\") in Scope::\"s\"", &["c:a", "c:b"]),
            ("[Group::\"c:a\"].contains(context.a)", &["c:a"]),
            ("(if Group::\"c:a\" in Group::\"c:b\" then context.a else context.b).x", &["c:a", "c:b"]),
            ("principal in Scope::\"c:a\" || context.a == \"Group\"", &[]),
        ] {
            let expected: BTreeSet<EntityUid> = expected.iter().map(|id| EntityKind::Group.uid(id)).collect();
            assert_eq!(reads(condition).groups, expected, "{condition}");
        }
    }

    #[test]
    fn a_member_of_what_is_needed() {
        let some = paths(&[("a.b", true), ("c", false)]);
        assert_eq!(some.need("a").member("b"), Need::Whole);
        assert_eq!(some.need("a").member("x"), Need::Nothing);
        assert_eq!(some.need("c"), Need::Presence);
        assert_eq!(some.need("d"), Need::Nothing);
        assert_eq!(paths(&[("", true)]).need("a").member("b"), Need::Whole);
    }
}
