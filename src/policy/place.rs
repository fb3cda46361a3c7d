//! Where a policy's text says something. Cedar's syntax tree has no places, and a plain search would find names in
//! comments, in strings and in the middle of words.

use std::ops::Range;

/// A word, a string literal with its quotes, or one other character; with its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Token<'a> {
    text: &'a str,
    start: usize,
}

/// The place of the attribute `name` in the policy `text`: behind a dot, `has` or an opening bracket.
pub(in crate::policy) fn attribute(text: &str, name: &str) -> Option<Range<usize>> {
    let quoted = super::names::quoted(name);
    let tokens = tokens(text);
    let pairs = tokens.iter().zip(tokens.iter().skip(1));
    let mut behind = pairs.filter(|(before, token)| match before.text {
        "." | "has" => token.text == name || token.text == quoted,
        "[" => token.text == quoted,
        _ => false,
    });
    behind.next().map(|(_, token)| token.range())
}

/// The place of an entity literal, `Scope::"a"`, in the policy `text`.
pub(in crate::policy) fn literal(text: &str, literal: &str) -> Option<Range<usize>> {
    let wanted = tokens(literal);
    let texts = |tokens: &[Token<'_>]| tokens.iter().map(|token| token.text.to_owned()).collect::<Vec<_>>();
    let tokens = tokens(text);
    let found = tokens.windows(wanted.len().max(1)).find(|window| texts(window) == texts(&wanted))?;
    Some(found.first()?.start..found.last()?.range().end)
}

/// The place of the annotation `@name`, its value included.
pub(in crate::policy) fn annotation(text: &str, name: &str) -> Option<Range<usize>> {
    let tokens = tokens(text);
    let at = tokens.windows(2).position(|pair| pair.iter().map(|token| token.text).eq(["@", name]))?;
    let start = tokens.get(at)?.start;
    let end = match tokens.get(at + 2..at + 5) {
        Some([open, _, close]) if open.text == "(" && close.text == ")" => close.range().end,
        Some(_) | None => tokens.get(at + 1)?.range().end,
    };
    Some(start..end)
}

impl Token<'_> {
    fn range(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..)
        && let Some(first) = rest.chars().next()
    {
        let is_word = |char: char| char.is_alphanumeric() || char == '_';
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if first == '"' {
            string_length(rest)
        } else if is_word(first) {
            rest.find(|char| !is_word(char)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        if !rest.starts_with("//") && !first.is_whitespace() {
            tokens.extend(rest.get(..length).map(|text| Token { text, start: at }));
        }
        at += length;
    }
    tokens
}

/// The length of the string literal at the start of `text`, or of what there is of it.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, char)| {
        let ends = *char == '"' && !is_escaped;
        is_escaped = *char == '\\' && !is_escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"@id("ip")
@max_age("x") // ip, context.ip
permit (principal in Scope::"a\"ip", action, resource) // é
when { "context.ip" == "" && context.request has ip && context["per page"] && principal has "ü b" };"#;

    #[track_caller]
    fn check(found: Option<Range<usize>>, before: &str, expected: &str) {
        let found = found.unwrap();
        assert_eq!(POLICY.get(found.clone()), Some(expected));
        assert!(POLICY.get(..found.start).unwrap().ends_with(before), "{found:?}");
    }

    #[test]
    fn places() {
        check(attribute(POLICY, "ip"), "request has ", "ip");
        check(attribute(POLICY, "per page"), "context[", "\"per page\"");
        check(attribute(POLICY, "ü b"), "principal has ", "\"ü b\"");
        check(literal(POLICY, r#"Scope::"a\"ip""#), "principal in ", r#"Scope::"a\"ip""#);
        check(annotation(POLICY, "max_age"), "\n", "@max_age(\"x\")");
        assert_eq!(attribute(POLICY, "max_age"), None);
        assert_eq!(literal(POLICY, "Scope::\"a\""), None);
        assert_eq!(annotation(POLICY, "acr"), None);
    }
}
