//! Texts in policies that a part never is: a folder with a slash at its end, a domain with a star before it. A comparison
//! with one is false for ever, which in a forbid is an open door.

use cedar_policy::Policy;
use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, Var};

use super::{Parts, path, url};

/// A text that a policy compares a part with, and that it never is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Never {
    /// The text, as the policy quotes it.
    pub literal: String,
    /// What is wrong with it.
    pub message: String,
    /// What was probably meant.
    pub help: Option<String>,
}

/// Every such text of `policy`; `parts` says of a path below `arguments` whether an overlay lies there.
pub fn never(policy: &Policy, parts: &dyn Fn(&[&str]) -> Option<Parts>) -> Vec<Never> {
    let mut walk = Walk { parts, found: Vec::new() };
    if let Ok(tree) = policy.to_pst() {
        for clause in tree.body().clauses() {
            let (Clause::When(condition) | Clause::Unless(condition)) = clause;
            walk.walk(condition);
        }
    }
    walk.found
}

struct Walk<'a> {
    parts: &'a dyn Fn(&[&str]) -> Option<Parts>,
    found: Vec<Never>,
}

impl Walk<'_> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the tree is non-exhaustive; what is unknown compares nothing here"
    )]
    fn walk(&mut self, expr: &Expr) {
        match expr {
            Expr::BinaryOp { op, left, right } => {
                if let BinaryOp::Eq
                | BinaryOp::NotEq
                | BinaryOp::Contains
                | BinaryOp::ContainsAll
                | BinaryOp::ContainsAny = op
                {
                    self.compare(left, right);
                    self.compare(right, left);
                }
                self.walk(left);
                self.walk(right);
            }
            Expr::UnaryOp { expr, .. } | Expr::Like { expr, .. } => self.walk(expr),
            Expr::GetAttr { expr, .. } | Expr::HasAttr { expr, .. } | Expr::Is { expr, .. } => self.walk(expr),
            Expr::IfThenElse { cond, then_expr, else_expr } => {
                self.walk(cond);
                self.walk(then_expr);
                self.walk(else_expr);
            }
            Expr::Set(items) => items.iter().for_each(|item| self.walk(item)),
            Expr::Record(members) => members.values().for_each(|member| self.walk(member)),
            _ => {}
        }
    }

    /// Notes the texts of `other` that `part`, if it is one, never is.
    fn compare(&mut self, part: &Expr, other: &Expr) {
        let Some(names) = names(part) else { return };
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let ["arguments", inner @ .., member] = &names[..] else { return };
        let Some(parts) = (self.parts)(inner) else { return };
        let texts = texts(other).into_iter().filter(|text| !can_be(parts, member, text));
        self.found.extend(texts.map(|text| Never {
            literal: format!("{text:?}"),
            message: format!("`{member}` of `{}` never has `{text}`", inner.join(".")),
            help: meant(parts, member, text).map(|meant| format!("did you mean `{meant}`?")),
        }));
    }
}

/// The names from `context` to what `expr` reads.
#[expect(clippy::wildcard_enum_match_arm, reason = "the list of names for the context is closed")]
fn names(expr: &Expr) -> Option<Vec<String>> {
    match expr {
        Expr::Var(Var::Context) => Some(Vec::new()),
        Expr::GetAttr { expr, attr } => {
            let mut names = names(expr)?;
            names.push(attr.to_string());
            Some(names)
        }
        _ => None,
    }
}

/// The text that `expr` is, or those in a set of them.
#[expect(clippy::wildcard_enum_match_arm, reason = "anything else is no literal")]
fn texts(expr: &Expr) -> Vec<&str> {
    match expr {
        Expr::Literal(Literal::String(text)) => vec![text.as_str()],
        Expr::Set(items) => items.iter().flat_map(|item| texts(item)).collect(),
        _ => Vec::new(),
    }
}

/// Whether there is a value whose `member` is or holds `text`.
fn can_be(parts: Parts, member: &str, text: &str) -> bool {
    match (parts, member) {
        (Parts::Path | Parts::Paths, "text" | "within") => path::is_path(text),
        (Parts::Url | Parts::Urls, "text") => url::is_url(text),
        (Parts::Url | Parts::Urls, "scheme") => url::is_scheme(text),
        (Parts::Url | Parts::Urls, "host" | "domains") => url::is_host(text),
        (Parts::Url, "path") => url::is_path(text),
        // The validator knows the members.
        (Parts::Path | Parts::Paths | Parts::Url | Parts::Urls, _) => true,
    }
}

/// What `text` is without its ornaments, if that can be.
fn meant(parts: Parts, member: &str, text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let bare = lower.split_once("://").map_or(lower.as_str(), |(_, rest)| rest);
    let candidates = [
        text.trim_end_matches('/').to_owned(),
        format!("/{}", text.trim_matches('/')),
        lower.clone(),
        text.trim_end_matches("://").trim_end_matches(':').to_lowercase(),
        bare.trim_end_matches("/*").trim_matches(['*', '.', '/']).to_owned(),
    ];
    candidates.into_iter().find(|candidate| candidate != text && can_be(parts, member, candidate))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of the texts in `condition`: each, and what was meant.
    #[track_caller]
    fn check(condition: &str, expected: &[(&str, Option<&str>)]) {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        let policy = Policy::parse(None, text).unwrap();
        let parts = |path: &[&str]| match path {
            ["p"] | ["o", "p"] => Some(Parts::Path),
            ["ps"] => Some(Parts::Paths),
            ["u"] => Some(Parts::Url),
            ["us"] => Some(Parts::Urls),
            _ => None,
        };
        let found = never(&policy, &parts);
        let found: Vec<(&str, Option<&str>)> = found
            .iter()
            .map(|never| {
                let help =
                    never.help.as_deref().map(|help| help.trim_matches(|letter| letter != '`').trim_matches('`'));
                (never.literal.trim_matches('"'), help)
            })
            .collect();
        assert_eq!(found, expected, "{condition}");
    }

    #[test]
    fn texts_that_a_part_can_be() {
        for condition in [
            "context.arguments.p.within.contains(\"/data\")",
            "context.arguments.p.within.containsAny([\"/\", \"a/b\"])",
            "context.arguments.p.text == \"/\" || \"x\" == context.arguments.p.text",
            "context.arguments.ps.text.containsAll([\"/a\", \"b\"])",
            "context.arguments.u.domains.contains(\"example.com\") && context.arguments.u.host == \"127.0.0.1\"",
            "context.arguments.u.scheme == \"https\" && [\"/a\", \"/a/\"].contains(context.arguments.u.path)",
            "[\"https\", \"wss\"].containsAll(context.arguments.us.scheme)",
            "context.arguments.u.host == \"[::1]\" && context.arguments.u.text == \"https://example.com\"",
            // Not parts.
            "context.arguments.x.within.contains(\"/data/\") || principal.host == \"X\" || context.within == \"/a/\"",
        ] {
            check(condition, &[]);
        }
    }

    #[test]
    fn texts_that_it_never_is() {
        check("context.arguments.p.within.contains(\"/data/\")", &[("/data/", Some("/data"))]);
        check(
            "true && !(if context.arguments.o.p.within.contains(\"/a/../b\") then true else false)",
            &[("/a/../b", None)],
        );
        check(
            "context.arguments.ps.within.containsAny([\"/a\", \"/b/\", \"~/c\"])",
            &[("/b/", Some("/b")), ("~/c", None)],
        );
        check("context.arguments.p.text == \"/data/\"", &[("/data/", Some("/data"))]);
        check("context.arguments.u.domains.contains(\"*.example.com\")", &[("*.example.com", Some("example.com"))]);
        check("context.arguments.us.domains.contains(\".example.com\")", &[(".example.com", Some("example.com"))]);
        check("\"Example.com\" == context.arguments.u.host", &[("Example.com", Some("example.com"))]);
        check("context.arguments.u.host == \"https://example.com/a\"", &[("https://example.com/a", None)]);
        check(
            "[\"HTTPS\", \"http://\"].contains(context.arguments.u.scheme)",
            &[("HTTPS", Some("https")), ("http://", Some("http"))],
        );
        check("context.arguments.u.path == \"a\"", &[("a", Some("/a"))]);
        check(
            "context.arguments.u.text != \"https://Example.com/\"",
            &[("https://Example.com/", Some("https://example.com/"))],
        );
    }
}
