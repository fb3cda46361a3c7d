//! `toolgate test`: what passes, what fails and how it is told, and what is no test at all.

use serde_json::{Value, json};

use super::support::{Files, Ran, json as parsed};

const SHARED: &str = "
server: weather
now: 2026-03-02T09:30
people:
  ada: {sub: ada, scope: 'weather:read'}
cases:
";

impl Files {
    /// Runs the cases of `text`, behind what all of them share.
    #[track_caller]
    fn test(&self, text: &str, more: &[&str]) -> Ran {
        self.write("tests/weather.yaml", &format!("{}{text}", SHARED.trim_start()));
        self.run(&[&["test", "-c", "toolgate.yaml"], more].concat())
    }

    /// What is wrong with the cases of `text`: line and message of each.
    #[track_caller]
    fn faults(&self, text: &str) -> Vec<(u64, String)> {
        let ran = self.test(text, &["--format", "json"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (3, ""), "{ran:?}");
        let report = parsed(&ran.stdout);
        assert_eq!(report["ok"], false);
        let problems = report["problems"].as_array().unwrap().iter();
        problems.map(|it| (it["line"].as_u64().unwrap(), it["message"].as_str().unwrap().to_owned())).collect()
    }
}

/// A world in which policies read all that a case can say.
fn wide() -> Files {
    let files = Files::new();
    files.configure(&[
        ("client_address: peer", "client_address: {xff_hops: 2}\ntime_zone: Europe/Berlin"),
        ("groups: /groups", "groups: /groups\n    claims: {level: {type: Long}, limit: {type: Decimal}}"),
    ]);
    files.write(
        "policies/wide.cedar",
        r#"
        @id("session") permit (principal, action in Action::"session", resource);
        @id("address") permit (principal == User::"corp:at", action, resource is Resource)
        when { context.request has ip && context.request.ip == ip("10.0.0.7") };
        @id("time") permit (principal == User::"corp:on", action, resource is Resource)
        when { context.request.local.minute == 9 * 60 + 30 && context.request.local.weekday == 1 };
        @id("login") permit (principal == User::"corp:in", action, resource is Resource)
        when { context.token has authTime && context.request.now.durationSince(context.token.authTime) == duration("5m") };
        @id("claims") permit (principal is User, action, resource is Resource)
        when {
          principal has level && principal.level == 9007199254740993 &&
          principal has limit && principal.limit == decimal("0.1")
        };
        @id("client") permit (principal == Client::"corp:test", action == Action::"prompts/get", resource);
        @id("version") permit (principal is User, action == Action::"tasks/cancel", resource == Task::"weather:7")
        when { context.request has protocolVersion && context.request.protocolVersion == "2025-06-18" };
        @id("subscribe") permit (principal, action == Action::"resources/subscribe", resource);
        "#,
    );
    files
}

#[test]
fn every_part_of_a_case_counts() {
    let files = wide();
    let ran = files.test(
        "
- {name: a, who: {sub: at}, ip: 10.0.0.7, resource: 'a:b', expect: {decision: allow, policies: [address]}}
- {name: b, who: {sub: at}, ip: 10.0.0.8, resource: 'a:b', expect: policy_denied}
- {name: c, who: {sub: at}, resource: 'a:b', expect: policy_denied}
- {name: d, who: {sub: on}, resource: 'a:b', expect: {decision: allow, policies: [time]}}
- {name: e, who: {sub: on}, now: '2026-03-02T08:30:00Z', resource: 'a:b', expect: allow}
- {name: f, who: {sub: on}, now: 2026-03-02T09:31, resource: 'a:b', expect: deny}
- {name: g, who: {sub: in, auth_time: -5m}, resource: 'a:b', expect: {decision: allow, policies: [login]}}
- {name: h, who: {sub: in, auth_time: 2026-03-02T09:25}, resource: 'a:b', expect: allow}
- {name: i, who: {sub: in, auth_time: -6m}, resource: 'a:b', expect: deny}
- {name: j, who: {sub: x, level: 9007199254740993, limit: 0.1}, resource: 'a:b', expect: {decision: allow, policies: [claims]}}
- {name: k, who: {sub: x, level: 9007199254740992, limit: 0.1}, resource: 'a:b', expect: deny}
- {name: l, who: {sub: x, level: 9007199254740993, limit: 0.1}, claims: {level: ~}, resource: 'a:b', expect: deny}
- {name: m, who: {}, prompt: p, expect: {decision: allow, policies: [client]}}
- {name: n, who: {client_id: other}, prompt: p, expect: deny}
- {name: o, who: ada, task: '7', method: tasks/cancel, headers: {mcp-protocol-version: 2025-06-18}, expect: allow}
- {name: p, who: ada, task: '7', method: tasks/cancel, expect: deny}
- {name: q, who: ada, task: '7', expect: deny}
- {name: r, who: ada, resource: 'a:b', method: resources/subscribe, expect: {decision: allow, policies: [subscribe]}}
- {name: s, who: ada, method: session/stream, expect: {decision: allow, policies: [session]}}
- {name: t, who: ada, method: session/end, expect: allow}
- {name: u, who: ada, method: session/response, expect: allow}
- {name: v, who: ada, method: notifications/initialized, expect: allow}
- {name: w, who: ada, method: logging/setLevel, params: {level: info}, expect: allow}
- {name: x, who: ada, method: no/such, expect: method_unknown}
- {name: y, who: ada, message: {jsonrpc: '2.0', id: a, method: ping}, expect: allow}
- {name: z, who: ada, message: '{\"jsonrpc\": ', expect: message_malformed}
- name: modern
  who: ada
  message:
    {jsonrpc: '2.0', id: 1, method: tools/call, params: {name: get_forecast, arguments: {city: Oslo},
    _meta: {io.modelcontextprotocol/protocolVersion: 2026-07-28, io.modelcontextprotocol/clientCapabilities: {}}}}
  expect: {decision: allow, policies: [forecast]}
- {name: by name, who: {iss: corp, sub: ada, scope: 'weather:read'}, tool: get_forecast, arguments: {city: Oslo}, expect: allow}
- {name: by url, who: {iss: 'https://id.example.com', sub: ada}, tool: get_forecast, arguments: {city: Oslo}, expect: deny}
",
        &[],
    );
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    let told =
        "ok      tests/weather.yaml: 29 cases\n\n29 passed, 0 failed\n1 policy decided no case: nothing-deleted\n";
    assert_eq!(ran.stdout, told);
}

const FAILING: &str = "
- {name: holds, who: ada, tool: get_forecast, arguments: {city: Oslo}, expect: allow}
- name: too far
  who: ada
  tool: get_forecast
  arguments: {city: Oslo, days: 8}
  expect: {decision: allow, policies: [forecast]}
- {name: told, who: {sub: bob}, tool: get_forecast, arguments: {city: Oslo}, expect: {decision: deny, scopes: [x]}}
- {name: slip, who: ada, tool: get_forcast, expect: deny}
- {name: over, who: {sub: ada, exp: -10m}, tool: get_forecast, expect: deny}
- {name: advised, who: ada, tool: delete_station, expect: {decision: deny, advice: Do not., max_age: 5}}
";

#[test]
fn a_failure_says_where_what_and_why() {
    let ran = Files::new().test(FAILING, &[]);
    let expected = r#"FAILED  tests/weather.yaml: 5 of 6 cases

tests/weather.yaml:8: too far
  expected  allow
  seen      policy_denied
  expected  policies forecast
  seen      policies none
  asked     Action::"weather:get_forecast" on Tool::"weather:get_forecast"
  decided   no policy permits it
  close     forecast (permit)
            unless `(context.arguments has days) && (!(context.arguments.days <= 7))` is true
              context.arguments.days = 8

tests/weather.yaml:13: told
  expected  scopes x
  seen      scopes weather:read
  asked     Action::"weather:get_forecast" on Tool::"weather:get_forecast"
  decided   no policy permits it
  close     forecast (permit)
            scope `principal in Scope::"weather:read"` is false
              principal = User::"corp:bob"
              groups and scopes = []
  cured by  scopes weather:read

tests/weather.yaml:14: slip
  expected  deny
  seen      tool_unknown

tests/weather.yaml:15: over
  expected  deny
  seen      the claims are no caller of this server: the token has expired

tests/weather.yaml:16: advised
  expected  advice Do not.
  seen      advice Ask an operator.
  expected  max_age 5
  seen      max_age none
  asked     Action::"weather:delete_station" on Tool::"weather:delete_station"
  decided   nothing-deleted
  advice    Ask an operator.

1 passed, 5 failed
"#;
    assert_eq!((ran.code, ran.stderr.as_str(), ran.stdout.as_str()), (1, "", expected));
}

#[test]
fn json_has_every_case_and_what_explain_says_of_it() {
    let files = Files::new();
    let ran = files.test(FAILING, &["--format", "json"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let report = parsed(&ran.stdout);
    let counts = json!({"ok": false, "passed": 1, "failed": 5, "never_decided": []});
    for (key, value) in counts.as_object().unwrap() {
        assert_eq!(&report[key], value, "{key}");
    }
    let cases = report["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 6);
    assert_eq!((&cases[0]["ok"], &cases[0]["differences"]), (&json!(true), &json!([])));
    assert_eq!(cases[0]["seen"]["policies"], json!(["forecast"]));
    let told = [&cases[3]["file"], &cases[3]["line"], &cases[3]["name"], &cases[3]["seen"]["reason"]];
    assert_eq!(told, [&json!("tests/weather.yaml"), &json!(14), &json!("slip"), &json!("tool_unknown")]);
    assert_eq!(cases[3]["differences"], json!([{"expected": "deny", "seen": "tool_unknown"}]));
    assert_eq!(cases[4]["seen"], Value::Null);
    // Why, of those that fail and were asked about.
    let why: Vec<usize> = cases.iter().map(|case| case["seen"]["why"].as_array().map_or(0, Vec::len)).collect();
    assert_eq!(why, [0, 1, 1, 0, 0, 1]);
    let decided = &cases[5]["seen"]["why"][0]["policies"][0];
    assert_eq!((&decided["policy"], &decided["standing"]), (&json!("nothing-deleted"), &json!("applies")));
    assert_eq!(
        cases[1]["seen"]["why"][0]["policies"][0]["parts"][0]["values"][0]["path"],
        json!("context.arguments.days")
    );
}

/// A token's times have no parts of a second: somebody who logged in five minutes ago by the second is not late by what the clock has
/// beyond it.
#[test]
fn an_age_is_counted_in_whole_seconds() {
    let files = wide();
    let ran = files.test(
        "
- {name: a, who: {sub: in, auth_time: '2026-03-02T08:25:00Z'}, now: '2026-03-02T08:30:00.999Z', resource: 'a:b', expect: allow}
- {name: b, who: {sub: in, auth_time: '2026-03-02T08:25:00Z'}, now: '2026-03-02T08:30:01Z', resource: 'a:b', expect: deny}
",
        &[],
    );
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
}

#[test]
fn what_is_no_case_is_told_with_its_line() {
    let files = Files::new();
    let case = "- {name: a, who: ada, tool: t, expect: allow}";
    for (old, new, line, part) in [
        ("who: ada", "who: aad", 6, "`cases[0].who` names nobody: `aad`"),
        ("who: ada", "who: {iss: crop}", 6, "`cases[0].who.iss` names no issuer: `crop`"),
        ("who: ada", "who: {iat: soon}", 6, "`cases[0].who.iat` cannot be `soon`: it is no time"),
        ("who: ada", "who: {iat: -5d}", 6, "`cases[0].who.iat` cannot be `-5d`"),
        ("who: ada", "who: {a: 007}", 6, "`cases[0].who.a` cannot be `007`: JSON does not write numbers so"),
        ("who: ada", "who: [ada]", 6, "`cases[0].who` must be text, not a list"),
        ("who: ada", "server: wether", 6, "`cases[0].server` names no server: `wether`"),
        ("who: ada", "now: monday", 6, "`cases[0].now` cannot be `monday`: it is no time"),
        ("who: ada", "ip: here", 6, "`cases[0].ip` cannot be `here`"),
        ("who: ada", "whom: ada", 6, "`cases[0].whom` is not a known key"),
        ("tool: t", "tol: t", 6, "`cases[0]` asks nothing"),
        ("tool: t", "tool: t, prompt: p", 6, "`cases[0]` asks with `tool` and `prompt`, which do not go together"),
        ("tool: t", "prompt: p, arguments: {}", 6, "`cases[0]` asks with `prompt` and `arguments`"),
        ("tool: t", "tool: t, arguments: [1]", 6, "`cases[0].arguments` must be a mapping, not a list"),
        ("tool: t", "resource: 'a:b', method: tasks/get", 6, "`cases[0].method` cannot be `tasks/get`"),
        ("expect: allow", "expect: alow", 6, "`cases[0].expect` cannot be `alow`"),
        ("expect: allow", "expect: {policies: [forecast]}", 6, "`cases[0].expect` has no `decision`"),
        ("expect: allow", "expect: {decision: deny, policies: [forcast]}", 6, "names no policy: `forcast`"),
        ("expect: allow", "expect: {decision: deny, advise: x}", 6, "`cases[0].expect.advise` is not a known key"),
        ("name: a, ", "", 6, "`cases[0]` has no `name`"),
        ("}", "}\n- {name: a, who: ada, tool: t, expect: allow}", 7, "`cases[1].name` is the same as `cases[0].name`"),
        (case, "  []", 6, "`cases` is empty"),
    ] {
        assert!(case.contains(old));
        let found = files.faults(&case.replacen(old, new, 1));
        assert!(found.iter().any(|(at, message)| *at == line && message.contains(part)), "{new}: {found:?}");
    }
    // What a policy cannot see must not seem to be tested.
    files.configure(&[("client_address: peer\n", "")]);
    let found = files.faults("- {name: a, who: ada, ip: 10.0.0.1, tool: t, expect: deny}");
    assert_eq!(found, [(6, "`cases[0].ip` would not be seen by policies".to_owned())]);
}

#[test]
fn files_are_found_and_their_absence_is_told() {
    let files = Files::new();
    let ran = files.run(&["test", "-c", "toolgate.yaml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{ran:?}");
    assert!(ran.stderr.contains("`tests` cannot be read"), "{}", ran.stderr);
    files.write("tests/readme.md", "not a case");
    files.write("tests/.hidden/a.yaml", "not a case");
    let ran = files.run(&["test", "-c", "toolgate.yaml"]);
    assert!(ran.code == 3 && ran.stderr.contains("`tests` holds no file of cases"), "{ran:?}");

    let one =
        format!("{SHARED}- {{name: a, who: ada, tool: get_forecast, arguments: {{city: Oslo}}, expect: allow}}\n");
    files.write("tests/deep/er/a.yml", &one);
    files.write("tests/b.yaml", &one);
    files.write("apart.txt", &one);
    for (paths, told) in [
        (&[][..], &["tests/b.yaml", "tests/deep/er/a.yml"][..]),
        (&["tests/deep"], &["tests/deep/er/a.yml"]),
        (&["apart.txt", "tests/b.yaml"], &["apart.txt", "tests/b.yaml"]),
    ] {
        let ran = files.run(&[&["test", "-c", "toolgate.yaml"], paths].concat());
        let lines: Vec<String> = told.iter().map(|file| format!("ok      {file}: 1 case")).collect();
        let found: Vec<&str> = ran.stdout.lines().take_while(|line| !line.is_empty()).collect();
        assert_eq!((ran.code, found), (0, lines.iter().map(String::as_str).collect()), "{paths:?}");
    }
    files.configure(&[("policies: policies", "policies: polices")]);
    assert_eq!(files.run(&["test", "-c", "toolgate.yaml"]).code, 3);
}
