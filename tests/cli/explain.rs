//! `toolgate explain`: one decision and why, as text and as JSON, by claims and by token.

use serde_json::{Value, json};

use super::support::{Files, Ran, call, json as parsed, nonsense};

impl Files {
    /// Explains a call of `tool` by the caller of `claims`.
    #[track_caller]
    fn explain(&self, claims: &Value, message: &str, more: &[&str]) -> Ran {
        self.write("claims.json", &claims.to_string());
        self.write("call.json", message);
        let arguments = ["explain", "--server", "weather", "--claims", "claims.json", "--message", "call.json"];
        self.run(&[&arguments[..], more].concat())
    }
}

fn ada(scope: &str) -> Value {
    json!({"sub": "ada", "client_id": "agent", "scope": scope})
}

#[test]
fn text_says_what_was_asked_and_what_decided() {
    let files = Files::new();
    let long = call("get_forecast", &json!({"city": "Oslo", "days": 9}));
    let short = call("get_forecast", &json!({"city": "Oslo"}));
    let asked = "  asked     Action::\"weather:get_forecast\" on Tool::\"weather:get_forecast\"\n";
    for (claims, message, code, expected) in [
        (ada("weather:read"), short.clone(), 0, format!("allow\n{asked}  decided   forecast\n")),
        (ada("weather:admin"), short.clone(), 0, format!("allow\n{asked}  decided   forecast\n")),
        (
            ada("weather:read"),
            long,
            2,
            format!("deny: policy_denied\n{asked}  decided   no policy permits it\n"),
        ),
        (
            ada("other"),
            short,
            2,
            format!(
                "deny: scope_insufficient\n{asked}  decided   no policy permits it\n  \
                 cured by  scopes weather:read\n"
            ),
        ),
        (
            ada("weather:read"),
            call("delete_station", &json!({"station": "north"})),
            2,
            "deny: policy_denied\n  asked     Action::\"weather:delete_station\" on Tool::\"weather:delete_station\"\n  \
             decided   nothing-deleted\n  advice    Ask an operator.\n"
                .to_owned(),
        ),
        (ada("weather:read"), call("no_such_tool", &json!({})), 2, "deny: tool_unknown\n".to_owned()),
        (
            ada("weather:read"),
            call("get_forecast", &json!({"city": "Oslo", "days": "three"})),
            2,
            format!("deny: argument_unrepresentable\n{asked}  because   argument /days\n"),
        ),
    ] {
        let ran = files.explain(&claims, &message, &[]);
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (code, expected.as_str(), ""), "{message}");
    }
}

#[test]
fn json_says_the_same() {
    let files = Files::new();
    let short = call("get_forecast", &json!({"city": "Oslo"}));
    let targets = json!([{"action": "Action::\"weather:get_forecast\"", "resource": "Tool::\"weather:get_forecast\""}]);
    for (scope, code, expected) in [
        (
            "weather:read",
            0,
            json!({"decision": "allow", "reason": "allow", "detail": null, "targets": targets,
                   "policies": ["forecast"], "errors": [], "advice": null, "scopes": null, "shadow": null}),
        ),
        (
            "other",
            2,
            json!({"decision": "deny", "reason": "scope_insufficient", "detail": "scopes weather:read",
                   "targets": targets, "policies": [], "errors": [], "advice": null, "scopes": ["weather:read"], "shadow": null}),
        ),
    ] {
        let ran = files.explain(&ada(scope), &short, &["--format", "json"]);
        assert_eq!((ran.code, parsed(&ran.stdout)), (code, expected), "{}", ran.stderr);
    }
}

#[test]
fn a_policy_in_error_is_named() {
    let files = Files::new();
    let erring = "@id(\"adds-up\")\nforbid (principal, action == Action::\"weather:get_forecast\", resource)\n\
                  when { context.arguments has days && context.arguments.days + 9223372036854775807 > 0 };\n";
    files.write("policies/adds.cedar", erring);
    let message = call("get_forecast", &json!({"city": "Oslo", "days": 1}));
    let ran = files.explain(&ada("weather:read"), &message, &[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stdout.starts_with("deny: policy_error\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("  in error  adds-up\n"), "{}", ran.stdout);
}

#[test]
fn a_token_is_verified_with_the_key_file() {
    let files = Files::new();
    files.write("call.json", &call("get_forecast", &json!({"city": "Oslo"})));
    let explain =
        |token: &str| files.run(&["explain", "--server", "weather", "--token", token, "--message", "call.json"]);
    let good = files.token("ada", "weather:read");
    assert_eq!(explain(&good).code, 0);
    assert_eq!(explain(&files.token("ada", "other")).code, 2);
    let forged = Files::new().token("ada", "weather:read");
    for (token, part) in [(forged, "signature"), (nonsense(), "token")] {
        let ran = explain(&token);
        assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{ran:?}");
        assert!(ran.stderr.starts_with("toolgate explain: ") && ran.stderr.contains(part), "{}", ran.stderr);
        assert!(!ran.stderr.contains(&token), "the token is not repeated");
    }
}

#[test]
fn headers_count() {
    let files = Files::new();
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                      "io.modelcontextprotocol/clientCapabilities": {}});
    let params = json!({"name": "get_forecast", "arguments": {"city": "Oslo"}, "_meta": meta});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    let headers = [
        "--header",
        "mcp-protocol-version: 2026-07-28",
        "--header",
        "mcp-method: tools/call",
        "--header",
        "mcp-name: get_forecast",
    ];
    let ran = files.explain(&ada("weather:read"), &message, &headers);
    assert_eq!(ran.code, 0, "{ran:?}");
    let other =
        files.explain(&ada("weather:read"), &message, &[&headers[..4], &["--header", "mcp-name: other"]].concat());
    assert_eq!((other.code, other.stdout.lines().next()), (2, Some("deny: header_mismatch")), "{other:?}");
    let none = files.explain(&ada("weather:read"), &message, &["--header", "nonsense"]);
    assert_eq!((none.code, none.stdout.as_str()), (3, ""));
    assert!(none.stderr.contains("`nonsense` is not `name: value`"), "{}", none.stderr);
}

#[test]
fn invalid_input_is_not_a_denial() {
    let files = Files::new();
    let message = call("get_forecast", &json!({"city": "Oslo"}));
    files.write("call.json", &message);
    files.write("list.json", "[]");
    files.write("ada.json", &ada("weather:read").to_string());
    files.write("twice.json", r#"{"sub": "ada", "sub": "bob", "client_id": "agent"}"#);
    files.write("stranger.json", r#"{"iss": "https://other.example", "sub": "ada", "client_id": "agent"}"#);
    for (server, claims, message, part) in [
        ("wether", "ada.json", "call.json", "there is no server `wether`; there are: weather"),
        ("weather", "nowhere.json", "call.json", "cannot read `nowhere.json`"),
        ("weather", "ada.json", "nowhere.json", "cannot read `nowhere.json`"),
        ("weather", "list.json", "call.json", "the claims are not a JSON object"),
        ("weather", "twice.json", "call.json", "the claims are not acceptable JSON"),
        ("weather", "stranger.json", "call.json", "the claims are no caller of this server"),
    ] {
        let ran = files.run(&["explain", "--server", server, "--claims", claims, "--message", message]);
        assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{claims} {message}: {ran:?}");
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    // What a caller may send is decided about, whatever it is.
    let ran = files.explain(&ada("weather:read"), "{\"jsonrpc\": \"2.0\"", &[]);
    assert_eq!((ran.code, ran.stdout.lines().next()), (2, Some("deny: message_malformed")), "{ran:?}");
}
