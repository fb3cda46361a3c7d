//! Overlays: what they lie over, and what policies see of a value.

use std::sync::LazyLock;

use super::numbers::Outcome::{self, Allow, Argument, Deny};
use super::numbers::outcome_in;
use super::world::Servers;
use crate::policy::catalog::Catalog;
use crate::policy::overlay::{ANY_TOOL, Overlay, OverlayError};

const CATALOG: &str = r#"{"tools": [{"name": "tool", "inputSchema": {"type": "object", "required": ["must"], "properties": {
    "page": {"type": "number"}, "pages": {"type": "array", "items": {"type": "number"}}, "whole": {"type": "integer"},
    "path": {"type": ["string", "null"]}, "paths": {"type": "array", "items": {"type": "string"}}, "must": {"type": "string"},
    "url": {"type": "string", "format": "uri"}, "urls": {"type": "array", "items": {"type": "string"}}}}}]}"#;

const OVERLAYS: [(&str, &str, Overlay); 8] = [
    ("tool", "page", Overlay::Long),
    ("tool", "pages", Overlay::Long),
    ("tool", "whole", Overlay::Long),
    ("tool", "path", Overlay::Path),
    (ANY_TOOL, "must", Overlay::Path),
    ("tool", "paths", Overlay::Path),
    (ANY_TOOL, "url", Overlay::Url),
    ("tool", "urls", Overlay::Url),
];

static SERVERS: LazyLock<Servers> = LazyLock::new(|| Servers::overlaid(&[("s", Some(CATALOG), &[])], &OVERLAYS));

/// A call with `arguments` (members of an object) beside a plain `must`.
#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "the table reads better with values")]
fn check(arguments: &str, condition: &str, expected: Outcome) {
    let comma = if arguments.is_empty() { "" } else { "," };
    let found = outcome_in(&SERVERS, &format!(r#"{{"must":"/m"{comma}{arguments}}}"#), "", condition);
    assert_eq!(found, expected, "{arguments} when {condition}");
}

#[track_caller]
fn refused(arguments: &str, condition: &str, at: &str) {
    check(arguments, condition, Argument(at.to_owned()));
}

#[test]
fn a_number_that_is_a_whole_one() {
    for literal in ["7", "7.0", "7e0", "70e-1", "0.7e1", "7.00E+0"] {
        check(&format!(r#""page":{literal}"#), "context.arguments has page && context.arguments.page == 7", Allow);
        let list = format!(r#""pages":[{literal},7]"#);
        check(
            &list,
            "context.arguments has pages && context.arguments.pages == [7] && context.count has pages && context.count.pages == 2",
            Allow,
        );
        check(&format!(r#""whole":{literal}"#), "context.arguments has whole && context.arguments.whole == 7", Allow);
    }
    for (literal, value) in [("-0", 0), ("9223372036854775807", i64::MAX), ("-9223372036854775808.0", i64::MIN)] {
        let reads = format!("context.arguments has page && context.arguments.page == {value}");
        check(&format!(r#""page":{literal}"#), &reads, Allow);
    }
    for literal in [
        "7.5",
        "1e-1",
        "9223372036854775808",
        "-9223372036854775809",
        "1e19",
        "1e999",
        "1e-999",
        "\"7\"",
        "[7]",
        "{}",
        "true",
    ] {
        refused(&format!(r#""page":{literal}"#), "context.arguments has page && context.arguments.page > 0", "/page");
        refused(
            &format!(r#""pages":[7,{literal}]"#),
            "context.arguments has pages && context.arguments.pages.contains(7)",
            "/pages",
        );
        check(&format!(r#""page":{literal}"#), "!(context.arguments has whole)", Allow);
    }
    check(r#""page":null"#, "context.arguments has page && context.arguments.page > 0", Deny);
}

#[test]
fn a_path_lies_within_its_folders() {
    let within = "context.arguments has path && context.arguments.path.within.contains(\"/data\")";
    check(r#""path":"/data/a/b.txt""#, within, Allow);
    check(r#""path":"/data/a""#, within, Allow);
    for elsewhere in ["/data", "/database/a", "data/a", "/Data/a", "/etc/data/x"] {
        check(&format!(r#""path":"{elsewhere}""#), within, Deny);
    }
    check(r#""path":null"#, within, Deny);
    check("", within, Deny);
    for ambiguous in [
        "/data/../etc",
        "/data//a",
        "/data/a/",
        "\\\\data\\\\a",
        "/data/%2e%2e/x",
        "/data/\\u0000",
        "",
        "~/a",
        "/data/\\u202e",
    ] {
        refused(&format!(r#""path":"{ambiguous}""#), within, "/path");
        // Whichever part is read.
        refused(
            &format!(r#""path":"{ambiguous}""#),
            "context.arguments has path && context.arguments.path.text != \"\"",
            "/path",
        );
        check(&format!(r#""path":"{ambiguous}""#), "context.arguments has path", Allow);
        check(&format!(r#""path":"{ambiguous}""#), "context.arguments has url || true", Allow);
    }
    for other in ["7", "[\"/data/a\"]", "{\"text\":\"/data/a\",\"within\":[\"/data\"]}", "true"] {
        refused(&format!(r#""path":{other}"#), within, "/path");
    }
    check("", "context.arguments.must.text == \"/m\" && context.arguments.must.within == [\"/\"]", Allow);
    check(r#""PATH":"/data/a""#, within, Argument("/path".to_owned()));
}

#[test]
fn several_paths_lie_within_the_folders_of_all() {
    let within =
        |folder: &str| format!("context.arguments has paths && context.arguments.paths.within.contains(\"{folder}\")");
    let both = r#""paths":["/data/a/x","/data/a/b/y","/data/a/x"]"#;
    for folder in ["/", "/data", "/data/a"] {
        check(both, &within(folder), Allow);
    }
    check(both, &within("/data/a/b"), Deny);
    check(
        both,
        "context.arguments has paths && context.arguments.paths.text == [\"/data/a/b/y\", \"/data/a/x\"]",
        Allow,
    );
    check(both, "context.count has paths && context.count.paths == 3", Allow);
    for paths in [r#"["/data/x","/etc/x"]"#, r#"["/data/x","data/x"]"#, r#"["/data/x","/data"]"#, "[]"] {
        check(&format!(r#""paths":{paths}"#), &within("/data"), Deny);
    }
    for paths in [
        r#"["/data/x","/data/../x"]"#,
        r#"["/data/x",7]"#,
        r#"["/data/x",null]"#,
        r#"[["/data/x"]]"#,
        r#""/data/x""#,
        r#"{"0":"/data/x"}"#,
    ] {
        refused(&format!(r#""paths":{paths}"#), &within("/data"), "/paths");
    }
}

#[test]
fn a_url_and_its_parts() {
    let url =
        |condition: &str| format!("context.arguments has url && {}", condition.replace('$', "context.arguments.url"));
    let full = r#""url":"https://a.example.com:8443/x/y?q#f""#;
    for condition in [
        "$.text == \"https://a.example.com:8443/x/y?q#f\"",
        "$.scheme == \"https\" && $.host == \"a.example.com\" && $.path == \"/x/y\"",
        "$ has port && $.port == 8443",
        "$.domains == [\"a.example.com\", \"example.com\", \"com\"]",
        "$.domains.contains(\"example.com\")",
    ] {
        check(full, &url(condition), Allow);
    }
    check(
        r#""url":"https://example.com""#,
        &url("!($ has port) && $.path == \"/\" && $.domains.contains(\"example.com\")"),
        Allow,
    );
    for elsewhere in ["https://badexample.com/", "https://example.com.evil.test/", "https://evil.test/example.com"] {
        check(&format!(r#""url":"{elsewhere}""#), &url("$.domains.contains(\"example.com\")"), Deny);
    }
    for ambiguous in [
        "https://example.com@evil.test/",
        "https://EXAMPLE.com/",
        "file:///etc/passwd",
        "example.com",
        "",
        "https://0x7f.1/",
        "https:\\\\\\\\example.com/",
    ] {
        for condition in ["$.scheme == \"https\"", "$ has port", "$.text like \"*\"", "$ == $"] {
            refused(&format!(r#""url":"{ambiguous}""#), &url(condition), "/url");
        }
        check(&format!(r#""url":"{ambiguous}""#), "context.arguments has url", Allow);
    }
}

#[test]
fn several_urls_are_in_the_domains_of_all() {
    let urls =
        |condition: &str| format!("context.arguments has urls && {}", condition.replace('$', "context.arguments.urls"));
    let two = r#""urls":["https://a.example.com/1","http://b.example.com:81/2"]"#;
    for condition in [
        "$.domains == [\"com\", \"example.com\"]",
        "$.host == [\"a.example.com\", \"b.example.com\"] && $.scheme == [\"http\", \"https\"]",
        "![\"https\"].containsAll($.scheme)",
        "$.text.contains(\"https://a.example.com/1\")",
    ] {
        check(two, &urls(condition), Allow);
    }
    for list in [r#"["https://a.example.com/","https://evil.test/"]"#, "[]"] {
        check(&format!(r#""urls":{list}"#), &urls("$.domains.contains(\"example.com\")"), Deny);
    }
    refused(
        r#""urls":["https://a.example.com/","https://x@a.example.com/"]"#,
        &urls("$.domains.contains(\"com\")"),
        "/urls",
    );
}

/// The errors of `overlays` over a catalogue of two tools.
#[track_caller]
fn errors(overlays: &[(&str, &str, Overlay)], expected: &[(usize, OverlayError)]) {
    const TWO: &str = r#"{"tools": [
        {"name": "read", "inputSchema": {"properties": {"path": {"type": "string"}, "n": {"type": "number"}, "u": {}, "o": {"properties": {"path": {"type": "string"}}, "type": "object"}}}},
        {"name": "list", "inputSchema": {"properties": {"path": {"type": "string"}, "n": {"type": "string"}, "deep": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}}}}}]}"#;
    let mut catalog = Catalog::parse(TWO.as_bytes()).unwrap();
    assert_eq!(catalog.overlay(overlays), expected, "{overlays:?}");
}

#[test]
fn an_overlay_lies_over_what_there_is_and_what_fits() {
    let unfit = |tool: &str, argument: &str, why: &str| OverlayError::Unfit {
        tool: tool.to_owned(),
        argument: argument.to_owned(),
        why: why.to_owned(),
    };
    errors(&[("read", "path", Overlay::Path), ("*", "path", Overlay::Url), ("read", "n", Overlay::Long)], &[]);
    errors(&[("*", "path", Overlay::Path)], &[]);
    errors(&[("write", "path", Overlay::Path)], &[(0, OverlayError::NoTool("write".to_owned()))]);
    errors(&[("list", "o", Overlay::Path)], &[(0, OverlayError::NoArgument("o".to_owned()))]);
    errors(
        &[("read", "path", Overlay::Path), ("*", "pth", Overlay::Path)],
        &[(1, OverlayError::NoArgument("pth".to_owned()))],
    );
    let (text, number) = ("is not a string or an array of strings, as", "is not a number or an array of numbers, as");
    errors(&[("read", "n", Overlay::Path)], &[(0, unfit("read", "n", &format!("{text} `path` requires")))]);
    errors(&[("read", "n", Overlay::Url)], &[(0, unfit("read", "n", &format!("{text} `url` requires")))]);
    errors(&[("read", "o", Overlay::Path)], &[(0, unfit("read", "o", &format!("{text} `path` requires")))]);
    errors(&[("list", "deep", Overlay::Path)], &[(0, unfit("list", "deep", &format!("{text} `path` requires")))]);
    errors(&[("*", "n", Overlay::Long)], &[(0, unfit("list", "n", &format!("{number} `long` requires")))]);
    errors(
        &[("read", "u", Overlay::Path)],
        &[(0, unfit("read", "u", "is not exposed to policies: its schema has no type"))],
    );
    // Of a tool that is named the overlay for all says nothing.
    errors(&[("*", "n", Overlay::Long), ("list", "n", Overlay::Path)], &[]);
}
