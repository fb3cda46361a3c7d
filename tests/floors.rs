//! The crate's shape: which module may know of which, and which types are made or named in one place only. Rules that a
//! compiler does not hold and a reviewer forgets.
//!
//! All of it is textual, over code without its comments and strings. It does not see `super::` paths between top-level
//! modules, nor code that a macro makes.
#![expect(clippy::string_slice, reason = "every offset comes from a search in the same text")]

use std::path::Path;

/// Every top-level module of `src`, from the bottom up: a module may import its own floor and those below it.
const FLOORS: &[&[&str]] = &[
    &["context", "problem"],
    &["json"],
    &["mcp", "token"],
    &["policy"],
    &["decision"],
    &["admin", "audit", "clock", "config", "envoy", "issuer", "metrics", "pull", "reload"],
    &["cli", "server", "telemetry"],
    &["lib", "main"],
];

/// The first floor that may do I/O and read a clock.
const FIRST_IMPURE: usize = 5;

/// What no file below [`FIRST_IMPURE`] may name. `std::net` itself is not among it: an address is plain data.
const IMPURE: &[&str] = &[
    "tokio",
    "tonic",
    "std::fs",
    "std::io",
    "std::env",
    "std::thread",
    "SystemTime",
    "Instant",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "UnixListener",
    "UnixStream",
];

/// Types whose values prove something, each with the one file that makes them.
const MADE_ONLY_IN: &[(&str, &str)] = &[
    ("CheckResponse", "src/envoy/response.rs"),
    ("Permit", "src/policy/evaluate.rs"),
    ("Principal", "src/token/verify.rs"),
    ("Rules", "src/reload/load.rs"),
];

/// Envoy's messages as `proto/` generates them, and the modules of their parts.
const GENERATED: &[&str] = &[
    "Address",
    "AttributeContext",
    "CheckRequest",
    "CheckResponse",
    "DeniedHttpResponse",
    "HeaderMap",
    "HeaderValue",
    "HeaderValueOption",
    "HttpStatus",
    "OkHttpResponse",
    "RpcStatus",
    "SocketAddress",
    "attribute_context",
    "check_response",
    "header_map",
];

/// The only files that may name [`GENERATED`] types.
const NAME_GENERATED: &[&str] = &["src/envoy/request.rs", "src/envoy/response.rs", "src/envoy/wire.rs"];

/// What makes a principal out of claims that nobody signed, its one caller, and why there is no other.
const BELIEVES: &[(&str, &str, &str)] = &[
    ("suppose", "src/cli/supposed.rs", "verifies nothing; the commands that only ask what if call it"),
    ("introspected", "src/issuer/introspection.rs", "believes what it is given; the issuer's own answer alone is"),
];

/// Lines of a file without its inline tests. Past it, a file has more than one subject.
const MAX_LINES: usize = 400;

/// A rule over one file: its path from the project's folder, and its text. Returns what is wrong, each with its line.
type Rule = fn(&str, &str) -> Vec<String>;

#[test]
fn modules_import_their_own_floor_and_below() {
    holds(imports);
}

#[test]
fn the_deciding_floors_are_pure() {
    holds(pure);
}

#[test]
fn proofs_are_made_in_one_place() {
    holds(proofs);
}

#[test]
fn claims_are_believed_in_one_place() {
    holds(supposes);
}

#[test]
fn generated_types_stop_at_the_door() {
    holds(generated);
}

#[test]
fn no_file_is_too_long() {
    holds(length);
}

#[test]
fn exceptions_from_lints_have_a_reason() {
    holds(exceptions);
}

/// Every module that the library declares stands on a floor, and every module on a floor is there.
#[test]
fn floors_list_the_modules_there_are() {
    let mut listed: Vec<&str> = FLOORS.concat();
    listed.sort_unstable();
    let files = sources();
    let mut there: Vec<&str> = files.iter().map(|(path, _)| module(path)).collect();
    there.sort_unstable();
    there.dedup();
    assert_eq!(listed, there);
}

/// [`GENERATED`] is what `wire.rs` re-exports: a new message is held to the same rule.
#[test]
fn every_generated_message_is_listed() {
    let wire = sources().into_iter().find(|(path, _)| path == "src/envoy/wire.rs").unwrap().1;
    let mut types = Vec::new();
    for (_, rest) in after(&code(&wire), "pub use generated::") {
        let path = rest.split(';').next().unwrap();
        match path.split_once('{') {
            Some((_, list)) => types.extend(words(list).map(str::to_owned)),
            None => types.extend(words(path).last().map(str::to_owned)),
        }
    }
    types.retain(|name| !name.starts_with("Authorization"));
    types.sort_unstable();
    assert_eq!(types, GENERATED);
}

// ---- the rules ----

fn imports(path: &str, text: &str) -> Vec<String> {
    let own = module(path);
    let Some(floor) = floor(own) else { return vec![format!("{path}: `{own}` is on no floor; add it to FLOORS")] };
    let code = code(text);
    let mut wrong = Vec::new();
    for (line, rest) in after(&code, "crate::") {
        let target = words(rest).next().unwrap_or_default();
        if rest.starts_with('{') {
            wrong.push(format!("{path}:{line}: a grouped `crate::{{…}}`; write one `use` for each module"));
        } else {
            match self::floor(target) {
                None => wrong.push(format!("{path}:{line}: `{target}` is on no floor; add it to FLOORS")),
                Some(other) if other > floor => {
                    wrong.push(format!("{path}:{line}: `{own}` imports `{target}`, which is on a floor above"));
                }
                Some(_) => {}
            }
        }
    }
    wrong
}

fn pure(path: &str, text: &str) -> Vec<String> {
    if is_test(path) || floor(module(path)).is_none_or(|floor| floor >= FIRST_IMPURE) {
        return Vec::new();
    }
    let code = without_tests(&code(text));
    let found = IMPURE.iter().flat_map(|name| {
        let lines = after(&code, name).into_iter().map(|(line, _)| line).collect::<Vec<_>>();
        lines.into_iter().map(move |line| format!("{path}:{line}: `{name}` on a floor that decides"))
    });
    found.collect()
}

fn proofs(path: &str, text: &str) -> Vec<String> {
    if is_test(path) {
        return Vec::new();
    }
    let code = without_tests(&code(text));
    let mut wrong = Vec::new();
    for (name, home) in MADE_ONLY_IN.iter().filter(|(_, home)| path != *home) {
        for (line, rest) in after(&code, name) {
            let before = before(&code, rest, name);
            let declares = ["struct", "impl", "for", "let", "->"].iter().any(|word| before.ends_with(word));
            let makes = rest.starts_with(" {") && !declares;
            let defaults = rest.starts_with("::default") || rest.starts_with("::decode");
            if makes || defaults {
                wrong.push(format!("{path}:{line}: `{name}` is made in {home} only"));
            }
        }
    }
    wrong
}

fn supposes(path: &str, text: &str) -> Vec<String> {
    if is_test(path) {
        return Vec::new();
    }
    let code = without_tests(&code(text));
    let mut wrong = Vec::new();
    for (name, _, why) in BELIEVES.iter().filter(|(_, home, _)| path != *home) {
        let calls = after(&code, name).into_iter().filter(|(_, rest)| rest.starts_with('('));
        let calls = calls.filter(|(_, rest)| !before(&code, rest, name).ends_with("fn"));
        wrong.extend(calls.map(|(line, _)| format!("{path}:{line}: `{name}` {why}")));
    }
    wrong
}

fn generated(path: &str, text: &str) -> Vec<String> {
    if is_test(path) || NAME_GENERATED.contains(&path) {
        return Vec::new();
    }
    let code = without_tests(&code(text));
    let mut wrong = Vec::new();
    for (line, rest) in after(&code, "wire::") {
        let end = if rest.starts_with('{') { rest.find('}') } else { rest.find(';') };
        let named = words(&rest[..end.unwrap_or(rest.len())]).take(if rest.starts_with('{') { usize::MAX } else { 1 });
        wrong.extend(
            named
                .filter(|name| GENERATED.contains(name))
                .map(|name| format!("{path}:{line}: the generated type `{name}`")),
        );
    }
    wrong
}

fn length(path: &str, text: &str) -> Vec<String> {
    let lines = without_tests(&code(text)).lines().count();
    if is_test(path) || lines <= MAX_LINES {
        return Vec::new();
    }
    vec![format!("{path}: {lines} lines without tests, more than {MAX_LINES}")]
}

fn exceptions(path: &str, text: &str) -> Vec<String> {
    let code = code(text);
    let mut wrong = Vec::new();
    for (line, rest) in after(&code, "expect").into_iter().chain(after(&code, "allow")) {
        let before = code.get(..offset(&code, rest)).unwrap_or_default();
        let Some(opening) = ["[expect", "[allow"].iter().find(|opening| before.ends_with(**opening)) else { continue };
        let attribute = rest.split(']').next().unwrap_or_default();
        if *opening == "[allow" {
            wrong.push(format!("{path}:{line}: `allow` outlives its cause; write `expect`"));
        } else if !words(attribute).any(|word| word == "reason") {
            wrong.push(format!("{path}:{line}: an exception without a reason"));
        }
    }
    wrong
}

// ---- what the rules are made of ----

/// Applies `rule` to every file of `src`.
#[track_caller]
fn holds(rule: Rule) {
    let wrong: Vec<String> = sources().iter().flat_map(|(path, text)| rule(path, text)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Path and text of every file of `src`, at least as many as there are modules.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(files.len() >= FLOORS.concat().len(), "{files:?}");
    files
}

/// The top-level module of a path: `envoy` of `src/envoy.rs` and of `src/envoy/check.rs`.
fn module(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    inside.split(['/', '.']).next().unwrap_or_default()
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// Whether the whole file is compiled for tests only.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// The code up to its inline tests, which by the habit of this crate stand last.
fn without_tests(code: &str) -> String {
    code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}

/// Every place where the word or path `name` ends, as its line (from 1) and the rest of the text behind it.
fn after<'t>(code: &'t str, name: &str) -> Vec<(usize, &'t str)> {
    let inside_a_word = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let places = code.match_indices(name).filter(|(start, _)| {
        let (before, rest) = (&code[..*start], &code[start + name.len()..]);
        let open_ended = name.ends_with(':');
        !inside_a_word(before.chars().next_back()) && (open_ended || !inside_a_word(rest.chars().next()))
    });
    places.map(|(start, _)| (code[..start].matches('\n').count() + 1, &code[start + name.len()..])).collect()
}

/// The text before the word `name` that `rest` follows, without the white space between.
fn before<'t>(code: &'t str, rest: &str, name: &str) -> &'t str {
    code[..offset(code, rest) - name.len()].trim_end()
}

/// Where `rest`, the end of `code`, starts.
fn offset(code: &str, rest: &str) -> usize {
    code.len() - rest.len()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_alphanumeric() && character != '_').filter(|word| !word.is_empty())
}

/// The text with comments, and what is inside strings and character literals, gone; lines stay where they are.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = comment(rest).or_else(|| raw_string(rest)).or_else(|| literal(rest)).unwrap_or(0);
        if skipped > 0 {
            code.extend(rest[..skipped].chars().filter(|character| *character == '\n'));
            rest = &rest[skipped..];
        } else {
            // A whole word at a time, or the `r` at the end of one would start a raw string.
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let taken = word.max(next.len_utf8());
            code.push_str(&rest[..taken]);
            rest = &rest[taken..];
        }
    }
    code
}

/// The length of the comment that `text` starts with. Block comments nest.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") && depth > 0 {
            depth -= 1;
            at += 2;
        } else if depth > 0 {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            break;
        }
    }
    (at > 0).then_some(at)
}

/// The length of the raw string that `text` starts with.
fn raw_string(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = rest.find(|character| character != '#')?;
    let inside = rest[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
    Some(text.len() - inside.len() + length)
}

/// The length of the string or character that `text` starts with; a lifetime is neither.
fn literal(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let mut characters = text.char_indices().skip(1);
    if quote == '\'' && !text[1..].starts_with('\\') && text.chars().nth(2) != Some('\'') {
        return None;
    }
    while let Some((at, character)) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if character == quote {
            return Some(at + 1);
        }
    }
    Some(text.len())
}

// ---- each rule, seen to fail ----

/// Asserts what `rule` says of a file at `path` with `text`.
#[track_caller]
fn says(rule: Rule, path: &str, text: &str, expected: &[&str]) {
    assert_eq!(rule(path, text), expected, "{path}:\n{text}");
}

#[test]
fn an_import_from_above_is_found() {
    let above = "src/json/keys.rs:2: `json` imports `policy`, which is on a floor above";
    says(imports, "src/json/keys.rs", "\nuse crate::policy::Engine;", &[above]);
    says(imports, "src/json/keys.rs", "\nlet _ = crate::policy::f();", &[above]);
    says(imports, "src/policy.rs", "use crate::json::Value;\nuse crate::policy::names;", &[]);
    says(imports, "src/mcp.rs", "use crate::token::Bearer;", &[]);
    let grouped = "src/mcp.rs:1: a grouped `crate::{…}`; write one `use` for each module";
    says(imports, "src/mcp.rs", "use crate::{json, context};", &[grouped]);
    let unknown = "src/mcp.rs:1: `brandnew` is on no floor; add it to FLOORS";
    says(imports, "src/mcp.rs", "use crate::brandnew::Thing;", &[unknown]);
    says(imports, "src/brandnew.rs", "", &["src/brandnew.rs: `brandnew` is on no floor; add it to FLOORS"]);
    says(imports, "src/json.rs", "// crate::policy\n/* crate::policy */\nlet text = \"crate::policy\";", &[]);
    says(imports, "src/json.rs", "/// [`crate::policy`]\nlet text = r#\"crate::policy\"\"#;", &[]);
}

#[test]
fn impurity_is_found() {
    let tokio = "src/policy/names.rs:1: `tokio` on a floor that decides";
    says(pure, "src/policy/names.rs", "use tokio::sync::Mutex;", &[tokio]);
    says(pure, "src/decision.rs", "\nstd::fs::read(path)", &["src/decision.rs:2: `std::fs` on a floor that decides"]);
    says(pure, "src/token.rs", "SystemTime::now()", &["src/token.rs:1: `SystemTime` on a floor that decides"]);
    says(pure, "src/context.rs", "let at: Instant;", &["src/context.rs:1: `Instant` on a floor that decides"]);
    says(
        pure,
        "src/context.rs",
        "use std::net::TcpStream;",
        &["src/context.rs:1: `TcpStream` on a floor that decides"],
    );
    says(pure, "src/context.rs", "use std::net::IpAddr;\n// tokio\n/// A moment, no Instant", &[]);
    says(pure, "src/json/tests/corpus.rs", "use std::fs;", &[]);
    says(pure, "src/json.rs", "#[cfg(test)]\nmod tests {\n    use std::fs;\n}", &[]);
    says(pure, "src/clock.rs", "use std::time::SystemTime;", &[]);
}

#[test]
fn a_forged_proof_is_found() {
    let response = "src/envoy/check.rs:1: `CheckResponse` is made in src/envoy/response.rs only";
    for forged in ["let a = CheckResponse { status };", "CheckResponse::default()", "CheckResponse::decode(bytes)"] {
        says(proofs, "src/envoy/check.rs", forged, &[response]);
        says(proofs, "src/envoy/response.rs", forged, &[]);
    }
    let permit = "src/policy.rs:3: `Permit` is made in src/policy/evaluate.rs only";
    says(proofs, "src/policy.rs", "\n\nOk(Permit { policies })", &[permit]);
    let rules = "src/cli.rs:1: `Rules` is made in src/reload/load.rs only";
    says(proofs, "src/cli.rs", "Rules { generation: 1, ..old }", &[rules]);
    let principal = "src/token.rs:1: `Principal` is made in src/token/verify.rs only";
    says(proofs, "src/token.rs", "let p = Principal { subject };", &[principal]);
    for innocent in [
        "fn answer() -> CheckResponse {",
        "pub struct Rules {",
        "impl Rules {",
        "impl From<A> for Permit {",
        "IssuerRules { name }",
        "// CheckResponse { status }",
        "use crate::envoy::wire::CheckResponse;",
    ] {
        says(proofs, "src/cli.rs", innocent, &[]);
    }
}

#[test]
fn a_supposing_caller_is_found() {
    let found = "src/decision.rs:1: `suppose` verifies nothing; the commands that only ask what if call it";
    says(supposes, "src/decision.rs", "token::suppose(claims, rules, now)?", &[found]);
    let answer = "src/envoy/tokens.rs:1: `introspected` believes what it is given; the issuer's own answer alone is";
    says(supposes, "src/envoy/tokens.rs", "introspected(body, rules, now)?", &[answer]);
    says(supposes, "src/issuer/introspection.rs", "introspected(body, rules, now)?", &[]);
    says(supposes, "src/cli/supposed.rs", "suppose(claims, rules, now)?", &[]);
    says(supposes, "src/token/verify.rs", "pub fn suppose(claims: &[u8]) {", &[]);
    says(supposes, "src/token.rs", "pub use verify::suppose;\n// suppose(claims)", &[]);
}

#[test]
fn a_leaked_generated_type_is_found() {
    let leak = "src/envoy/tokens.rs:1: the generated type `CheckRequest`";
    says(generated, "src/envoy/tokens.rs", "use super::wire::{RawCheck, CheckRequest};", &[leak]);
    says(generated, "src/envoy/tokens.rs", "fn token(request: wire::CheckRequest) {}", &[leak]);
    let import = "src/cli/serve.rs:1: the generated type `HttpStatus`";
    says(generated, "src/cli/serve.rs", "use crate::envoy::wire::HttpStatus;", &[import]);
    says(generated, "src/envoy/response.rs", "use crate::envoy::wire::CheckResponse;", &[]);
    says(generated, "src/server.rs", "use crate::envoy::wire::{Authorization, MESSAGE_CEILING};", &[]);
    says(generated, "src/server/bound.rs", "pub use crate::config::Address;", &[]);
}

#[test]
fn a_long_file_is_found() {
    let lines = |count: usize| "let a = 1;\n".repeat(count);
    says(length, "src/cli.rs", &lines(MAX_LINES), &[]);
    says(length, "src/cli.rs", &lines(MAX_LINES + 1), &["src/cli.rs: 401 lines without tests, more than 400"]);
    let with_tests = format!("{}#[cfg(test)]\nmod tests {{\n{}}}", lines(MAX_LINES), lines(100));
    says(length, "src/cli.rs", &with_tests, &[]);
    says(length, "src/json/tests.rs", &lines(MAX_LINES + 1), &[]);
}

#[test]
fn an_exception_without_a_reason_is_found() {
    let none = "src/cli.rs:1: an exception without a reason";
    says(exceptions, "src/cli.rs", "#[expect(clippy::panic)]", &[none]);
    says(exceptions, "src/cli.rs", "#![expect(clippy::panic)]", &[none]);
    says(exceptions, "src/cli.rs", "#[expect(clippy::panic, reason = \"so\")]\nx.expect(\"y\")", &[]);
    says(exceptions, "src/cli.rs", "#[expect(\n    clippy::panic,\n    reason = \"[so]\"\n)]", &[]);
    let allow = "src/cli.rs:1: `allow` outlives its cause; write `expect`";
    says(exceptions, "src/cli.rs", "#[allow(dead_code, reason = \"so\")]", &[allow]);
}

#[test]
fn code_is_what_is_neither_comment_nor_string() {
    for (text, expected) in [
        ("a // b\nc", "a \nc"),
        ("a /* b /* c */\n d */ e", "a \n e"),
        ("f(\"a // \\\" b\") // c", "f() "),
        ("r#\"a \" b\"# + br\"\\\" + c", " +  + c"),
        ("'\"' '\\'' 'a' &'a str", "   &'a str"),
        ("for_r\"x\"y", "for_ry"),
        ("a / b * c", "a / b * c"),
        ("\"open", ""),
    ] {
        assert_eq!(code(text), expected, "{text}");
    }
}
