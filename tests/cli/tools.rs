//! `toolgate tools`: what needs no MCP server. With real ones it is the end-to-end suite that pulls.

use serde_json::json;

use super::support::{Files, json};

const MIXED: &str = r##"{"tools": [
  {"name": "a", "inputSchema": {"properties": {"x": {"type": "string"}, "y": {}, "rows": {"type": "array", "items": {"type": "object",
    "properties": {"in": {"type": "integer"}, "o/": {"type": "object"}}}}}}},
  {"name": "b\u001b[2J"},
  {"name": "c", "inputSchema": {"$ref": "#/none"}}]}"##;

#[test]
fn the_report_counts_arguments_and_says_why_not() {
    let files = Files::new();
    files.write("mixed.json", MIXED);
    let ran = files.run(&["tools", "report", "weather.json", "mixed.json"]);
    let expected = "\
weather.json: 2 tools
  get_forecast: 2 of 2
  delete_station: 1 of 1
mixed.json: 3 tools
  a: 3 of 5
    /rows/*/o~1: it is an object without declared properties
    /y: its schema has no type
  b\\u{1b}[2J: 0 of 0
  c: 0 of 1
    all arguments: its schema refers to a definition that is not there
2 catalogues, 5 tools, 3 of them whole; policies can read 6 of 9 arguments
  1: it is an object without declared properties
  1: its schema has no type
  1: its schema refers to a definition that is not there
";
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, expected, ""));
    let ran = files.run(&["tools", "report", "mixed.json", "--format", "json"]);
    let report = json(&ran.stdout);
    let first = json!({"name": "a", "exposed": 3, "declared": 5, "hidden": [
        {"argument": "/rows/*/o~1", "why": "it is an object without declared properties"},
        {"argument": "/y", "why": "its schema has no type"},
    ]});
    assert_eq!((&report["catalogs"][0]["file"], &report["catalogs"][0]["tools"][0]), (&json!("mixed.json"), &first));
    assert_eq!(
        (&report["totals"]["tools"], &report["totals"]["exposed"], &report["totals"]["declared"]),
        (&json!(3), &json!(3), &json!(6))
    );
}

#[test]
fn a_report_of_no_catalogue() {
    let files = Files::new();
    for (file, part) in [
        ("keys.json", "has no `tools` array"),
        ("nowhere.json", "cannot read `nowhere.json`"),
        ("policies", "cannot read `policies`"),
    ] {
        let ran = files.run(&["tools", "report", "weather.json", file]);
        assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{file}");
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
}

#[test]
fn a_pull_that_cannot_be() {
    let files = Files::new();
    files.write("empty", "\n");
    files.write("long", &"x".repeat(16 * 1024 + 1));
    files.write("token", "secret-of-ours\r\n");
    let url = "http://127.0.0.1:1/mcp";
    for (arguments, code, part) in [
        (&["nonsense"][..], 3, "<URL>"),
        (&[url, "--token-file", "nowhere"], 3, "cannot read the token in `nowhere`"),
        (&[url, "--token-file", "empty"], 3, "it is empty"),
        (&[url, "--token-file", "long"], 3, "longer than 16384 bytes"),
        (&[url, "--token", "x"], 3, "--token"),
        (&["http://mcp.example.com/", "--token-file", "token"], 1, "over https only"),
        (&["https://ada:x@mcp.example.com/"], 1, "without credentials"),
        (&[url, "-o", "weather.json"], 1, "http://127.0.0.1:1/mcp: the server cannot be reached"),
    ] {
        let ran = files.run(&[&["tools", "pull"], arguments].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(part) && !ran.stderr.contains("secret-of-ours"), "{arguments:?}: {}", ran.stderr);
    }
    let kept = std::fs::read_to_string(files.path("weather.json")).unwrap();
    assert_eq!(kept, super::support::CATALOG);
}
