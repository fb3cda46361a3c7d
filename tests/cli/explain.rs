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
    let decided = "  decided   forecast\n            unless `context.arguments has days` is false\n              \
                   context.arguments.days is absent\n";
    for (claims, message, code, expected) in [
        (ada("weather:read"), short.clone(), 0, format!("allow\n{asked}{decided}")),
        (ada("weather:admin"), short.clone(), 0, format!("allow\n{asked}{decided}")),
        (
            ada("weather:read"),
            long,
            2,
            format!(
                "deny: policy_denied\n{asked}  decided   no policy permits it\n  close     forecast (permit)\n            \
                 unless `(context.arguments has days) && (!(context.arguments.days <= 7))` is true\n              \
                 context.arguments.days = 9\n"
            ),
        ),
        (
            ada("other"),
            short,
            2,
            format!(
                "deny: scope_insufficient\n{asked}  decided   no policy permits it\n  close     forecast (permit)\n            \
                 scope `principal in Scope::\"weather:read\"` is false\n              \
                 principal = User::\"corp:ada\"\n              \
                 groups and scopes = [Scope::\"other\"]\n  cured by  scopes weather:read\n"
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
            format!(
                "deny: argument_unrepresentable\n{asked}  in error  forecast\n            argument /days: \
                 it is missing, or has no value of its declared type\n  because   argument /days\n"
            ),
        ),
    ] {
        let ran = files.explain(&claims, &message, &[]);
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (code, expected.as_str(), ""), "{message}");
    }
}

/// The policies of the table of what they turned on, all on one tool.
const POLICIES: &str = r#"
@id("short") permit (principal is User, action == Action::"weather:get_forecast", resource)
when { context.arguments has days && context.arguments.days <= 7 && principal in Group::"corp:readers" };
@id("operators") permit (principal in Group::"corp:operators", action in Action::"weather:*", resource)
when { resource.readOnly };
@id("a-robot") permit (principal is Client, action in Action::"weather:*", resource == Tool::"weather:delete_station");
@id("no-lists") forbid (principal, action == Action::"weather:get_forecast", resource)
when { context.arguments.city == "Atlantis" || context.arguments.city like "*;*" };
@id("fresh") @acr("urn:example:mfa") @max_age("300")
forbid (principal in Group::"corp:guests", action == Action::"weather:get_forecast", resource)
unless { context.token has acr && context.token.acr == "urn:example:mfa" };
@id("shorter") @mode("shadow") forbid (principal, action == Action::"weather:get_forecast", resource)
when { context.arguments has days && context.arguments.days > 2 };
@id("sums") forbid (principal, action == Action::"weather:get_forecast", resource)
when { context.arguments has days && (context.arguments.days * 2 > 9223372036854775807 || false) };
"#;

/// The permit of the table, where it applies.
const SHORT: &str = "short applies when `context.arguments has days` true context.arguments.days present \
    when `context.arguments.days <= 7` true context.arguments.days=3 \
    when `principal in Group::\"corp:readers\"` true principal=User::\"corp:ada\" groups and scopes=[GROUPS]\n";

#[test]
fn what_it_turned_on_is_shown_with_the_values_that_were_read() {
    let files = Files::new();
    files.write("policies/forecast.cedar", POLICIES);
    let city = |city: &str, days: i64| call("get_forecast", &json!({"city": city, "days": days}));
    let who = |groups: &[&str]| json!({"sub": "ada", "client_id": "agent", "groups": groups});
    let logged_in =
        json!({"sub": "ada", "client_id": "agent", "groups": ["readers", "guests"], "acr": "urn:example:mfa"});
    let no_lists = "\
        no-lists close when `(context.arguments.city == \"Atlantis\") || (context.arguments.city like \"*;*\")` false \
        context.arguments.city=\"Oslo\"\n";
    let sums = "sums close when `(!((context.arguments.days * 2) <= 9223372036854775807)) || false` false context.arguments.days=3\n";
    let shorter = |days: i64| {
        let present = "when `context.arguments has days` true context.arguments.days present";
        let long = "unless `context.arguments.days <= 2` false";
        format!("shorter (shadow) applies {present} {long} context.arguments.days={days}\n")
    };
    let applies = |groups: &str| SHORT.replace("GROUPS", groups);
    for (name, claims, message, expected) in [
        (
            "an allow",
            who(&["readers"]),
            city("Oslo", 3),
            applies("Group::\"corp:readers\"")
                + &shorter(3)
                + no_lists
                + sums
                + "fresh close scope `principal in Group::\"corp:guests\"` false principal=User::\"corp:ada\" \
                   groups and scopes=[Group::\"corp:readers\"]\n",
        ),
        (
            "the first conjunct that is false, and who else may",
            who(&["readers"]),
            city("Oslo", 8),
            shorter(8)
                + "short close when `context.arguments.days <= 7` false context.arguments.days=8\n\
             operators close scope `principal in Group::\"corp:operators\"` false principal=User::\"corp:ada\" \
             groups and scopes=[Group::\"corp:readers\"]\n",
        ),
        (
            "the alternative that is true",
            who(&["operators"]),
            city("a;b", 8),
            "operators applies when `resource.readOnly` true resource.readOnly=true\n\
             no-lists applies when `context.arguments.city like \"*;*\"` true context.arguments.city=\"a;b\"\n"
                .to_owned()
                + &shorter(8),
        ),
        (
            "a login",
            who(&["readers", "guests"]),
            city("Oslo", 3),
            applies("Group::\"corp:guests\", Group::\"corp:readers\"")
                + "fresh applies unless `context.token has acr` false context.token.acr absent\n"
                + &shorter(3),
        ),
        (
            "logged in",
            logged_in,
            city("Oslo", 3),
            applies("Group::\"corp:guests\", Group::\"corp:readers\"")
                + &shorter(3)
                + no_lists
                + "fresh close unless `(context.token has acr) && (context.token.acr == \"urn:example:mfa\")` true \
                   context.token.acr=\"urn:example:mfa\"\n"
                + sums,
        ),
    ] {
        let ran = files.explain(&claims, &message, &["--format", "json"]);
        let found = flat(&parsed(&ran.stdout));
        assert_eq!(found, expected, "{name}: {}", ran.stderr);
    }
}

#[test]
fn a_shadow_policy_and_a_login_are_in_the_text() {
    let files = Files::new();
    files.write("policies/forecast.cedar", POLICIES);
    let message = call("get_forecast", &json!({"city": "Oslo", "days": 3}));
    for (groups, code, parts) in [
        (
            json!(["readers"]),
            0,
            &["\n  shadow    deny by shorter\n  shadow    shorter (forbid) applies\n            when `"][..],
        ),
        (
            json!(["readers", "guests"]),
            2,
            &[
                "\n  decided   fresh\n            unless `context.token has acr` is false\n              context.token.acr is absent\n",
                "\n  cured by  a login: acr urn:example:mfa, at most 300 seconds ago\n",
            ],
        ),
    ] {
        let ran = files.explain(&json!({"sub": "ada", "client_id": "agent", "groups": groups}), &message, &[]);
        assert_eq!(ran.code, code, "{ran:?}");
        for part in parts {
            assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
        }
    }
}

/// Of very many that came close, the first are shown, and how many more there are is said; nothing that a caller wrote gets to
/// the terminal as it is, or at any length.
#[test]
fn what_is_shown_is_bounded() {
    let files = Files::new();
    let permits = (0..13).map(|at| {
        format!(
            "@id(\"p{at}\") permit (principal, action == Action::\"weather:get_forecast\", resource)\n\
                 when {{ context.arguments.city == \"{at}\" }};\n"
        )
    });
    files.write("policies/forecast.cedar", &permits.collect::<String>());
    let city = format!("\u{1b}[31m{}", "a".repeat(1000));
    let ran = files.explain(&ada("weather:read"), &call("get_forecast", &json!({ "city": city })), &[]);
    assert_eq!((ran.code, ran.stdout.matches("  close     p").count()), (2, 10), "{ran:?}");
    assert!(ran.stdout.ends_with("\n  close     and 3 more\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("context.arguments.city = \"\\u{1b}[31maaa"), "{}", ran.stdout);
    assert!(!ran.stdout.contains('\u{1b}') && ran.stdout.lines().all(|line| line.len() < 300), "{}", ran.stdout);
}

/// What JSON says of each policy, on a line.
fn flat(explained: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let values = |part: &Value| {
        let each = part["values"].as_array().unwrap().iter().map(|read| match read["value"].as_str() {
            Some(value) => format!(" {}={value}", text(&read["path"])),
            None => format!(" {} {}", text(&read["path"]), text(&read["state"])),
        });
        each.collect::<String>()
    };
    let parts = |policy: &Value| {
        let each = policy["parts"].as_array().unwrap().iter().map(|part| {
            let came = part["is"].as_bool().map_or_else(|| text(&part["error"]), |is| is.to_string());
            format!(" {} `{}` {came}{}", text(&part["place"]), text(&part["text"]), values(part))
        });
        each.collect::<String>()
    };
    let policies = explained["why"][0]["policies"].as_array().unwrap().iter();
    let mode = |policy: &Value| if policy["mode"] == "shadow" { " (shadow)" } else { "" };
    policies
        .map(|each| format!("{}{} {}{}\n", text(&each["policy"]), mode(each), text(&each["standing"]), parts(each)))
        .collect()
}

#[test]
fn json_says_the_same() {
    let files = Files::new();
    let short = call("get_forecast", &json!({"city": "Oslo"}));
    let (action, resource) = ("Action::\"weather:get_forecast\"", "Tool::\"weather:get_forecast\"");
    let targets = json!([{"action": action, "resource": resource}]);
    let why = |standing: &str, part: Value| {
        let policy =
            json!({"policy": "forecast", "effect": "permit", "mode": "enforce", "standing": standing, "parts": [part]});
        json!([{"action": action, "resource": resource, "policies": [policy], "left_out": 0}])
    };
    let days = json!({"path": "context.arguments.days", "state": "absent", "value": null});
    let ada = json!({"path": "principal", "state": "present", "value": "User::\"corp:ada\""});
    let scopes = json!({"path": "groups and scopes", "state": "present", "value": "[Scope::\"other\"]"});
    let part = |place: &str, text: &str, values: Value| json!({"place": place, "text": text, "is": false, "error": null, "values": values});
    for (scope, code, expected) in [
        (
            "weather:read",
            0,
            json!({"decision": "allow", "reason": "allow", "detail": null, "targets": targets,
                   "policies": ["forecast"], "errors": [], "advice": null, "scopes": null, "login": null, "shadow": null,
                   "why": why("applies", part("unless", "context.arguments has days", json!([days])))}),
        ),
        (
            "other",
            2,
            json!({"decision": "deny", "reason": "scope_insufficient", "detail": "scopes weather:read",
                   "targets": targets, "policies": [], "errors": [], "advice": null, "scopes": ["weather:read"],
                   "login": null, "shadow": null,
                   "why": why("close", part("scope", "principal in Scope::\"weather:read\"", json!([ada, scopes])))}),
        ),
    ] {
        let ran = files.explain(&self::ada(scope), &short, &["--format", "json"]);
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
    let piece = "(context.arguments.days + 9223372036854775807) <= 0";
    let expected = format!(
        "  in error  adds-up\n            unless `{piece}`: integer overflow while attempting to add the values"
    );
    assert!(ran.stdout.contains(&expected), "{}", ran.stdout);
    assert!(ran.stdout.contains("\n              context.arguments.days = 1\n"), "{}", ran.stdout);
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
