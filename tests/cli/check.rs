//! `toolgate check`, and what every other command says of the same configuration.

use serde_json::Value;

use super::support::{FORECAST, Files, json};

/// Five mistakes in the configuration, two in policies, one in a catalogue, one in a key file.
fn broken() -> Files {
    let files = Files::new();
    files.configure(&[
        ("policies: policies", "policies: policies\ntime_zoen: UTC"),
        ("groups: /groups", "groups: [a, b]"),
        ("jwks: {file: keys.json}", "jwks: {file: keys.json}\n    algorithms: [HS256]"),
        (
            "audit:",
            "  - {name: storms, resource: https://mcp.example.com/weather, issuers: [corp], tools: storms.json}\n\
             \x20 - {name: tides, resource: https://mcp.example.com/tides, issuers: [corp], tools: tides.json}\n\
             audit:",
        ),
    ]);
    files.write("keys.json", "{\"keys\": [{\"kty\": \"oct\", \"k\": \"c2VjcmV0\"}]}");
    files.write("tides.json", "{\"tools\": [{\"name\": \"a\"}, {\"name\": \"a\"}]}");
    files.write("policies/forecast.cedar", "\n\npermit (principal, action, resource) when { context.argumnets };\n");
    files.write("policies/stations.cedar", "forbid (principal, action, resource\n");
    files
}

/// Where each mistake of [`broken`] is, and a part of what is said of it.
const PROBLEMS: [(&str, Option<u64>, &str); 9] = [
    ("keys.json", None, "key"),
    ("policies/forecast.cedar", Some(3), "argumnets"),
    ("policies/stations.cedar", Some(1), "unexpected"),
    ("tides.json", None, "two tools are called `a`"),
    ("toolgate.yaml", Some(5), "`time_zoen`"),
    ("toolgate.yaml", Some(10), "`issuers[0].algorithms[0]` cannot be `HS256`"),
    ("toolgate.yaml", Some(11), "`issuers[0].groups`"),
    ("toolgate.yaml", Some(19), "`servers[1].resource` is the same as `servers[0].resource`"),
    ("toolgate.yaml", Some(19), "cannot read `storms.json`"),
];

fn key(problem: &Value) -> (String, Option<u64>, String) {
    let text = |name: &str| problem[name].as_str().unwrap().to_owned();
    (text("file"), problem["line"].as_u64(), text("message"))
}

#[test]
fn every_problem_of_every_file_comes_out_at_once() {
    let files = broken();
    let ran = files.run(&["check", "-c", "toolgate.yaml", "--format", "json"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    let report = json(&ran.stdout);
    assert_eq!(report["ok"], false);
    let found: Vec<_> = report["problems"].as_array().unwrap().iter().map(key).collect();
    for (file, line, part) in PROBLEMS {
        let matching = found.iter().filter(|(f, l, message)| f == file && *l == line && message.contains(part)).count();
        assert_eq!(matching, 1, "{file}:{line:?}: {part}\nin {found:#?}");
    }
    assert_eq!(found.len(), PROBLEMS.len(), "{found:#?}");
    let mut sorted = found.clone();
    sorted.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    assert_eq!(found, sorted, "by file and line");
    for problem in report["problems"].as_array().unwrap() {
        assert_eq!(problem["severity"], "error");
        assert_eq!(problem["line"].is_null(), problem["column"].is_null());
        assert!(problem.as_object().unwrap().contains_key("help"));
    }
}

#[test]
fn people_get_file_line_and_caret() {
    let files = broken();
    let ran = files.run(&["check", "-c", "toolgate.yaml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (3, ""));
    for part in [
        "toolgate.yaml:5:1",
        "time_zoen: UTC",
        "^^^^^^^^^",
        "did you mean `time_zone`?",
        "policies/stations.cedar:1",
        "cannot read `storms.json`: No such file or directory",
        "9 errors, 0 warnings",
    ] {
        assert!(ran.stderr.contains(part), "no `{part}` in\n{}", ran.stderr);
    }
}

#[test]
fn whoever_needs_the_configuration_says_the_same() {
    let files = broken();
    let message = files.write("message.json", "{}");
    let message = message.to_str().unwrap();
    for arguments in [
        &["serve", "-c", "toolgate.yaml"][..],
        &["schema", "-c", "toolgate.yaml"],
        &["explain", "-c", "toolgate.yaml", "--server", "weather", "--claims", message, "--message", message],
    ] {
        let ran = files.run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{arguments:?}");
        assert!(ran.stderr.contains("9 errors, 0 warnings"), "{arguments:?}: {}", ran.stderr);
    }
    assert!(!files.path("audit/audit.jsonl").exists(), "nothing was started");
}

/// Each alone, so that none of them hides behind another.
#[test]
fn what_cannot_be_read_is_said() {
    for (old, new, file, line, part) in [
        (
            "policies: policies",
            "policies: nowhere",
            "toolgate.yaml",
            Some(4),
            "cannot read the policy folder `nowhere`",
        ),
        ("policies: policies", "policies: audit", "toolgate.yaml", Some(4), "holds no *.cedar file"),
        ("policies: policies", "policies: weather.json", "toolgate.yaml", Some(4), "Not a directory"),
        ("{file: keys.json}", "{file: policies}", "toolgate.yaml", Some(8), "cannot read `policies`: it is not a file"),
        ("{file: keys.json}", "{file: /dev/zero}", "toolgate.yaml", Some(8), "it is not a file"),
        (
            "jwks: {file: keys.json}",
            "introspection: {endpoint: https://id.example.com/i, client_id: gate, client_secret_file: nowhere}",
            "toolgate.yaml",
            Some(8),
            "cannot read `nowhere`",
        ),
        (
            "jwks: {file: keys.json}",
            "introspection: {endpoint: https://id.example.com/i, client_id: gate, client_secret_file: policies/stations.cedar}",
            "toolgate.yaml",
            Some(8),
            "`policies/stations.cedar` cannot be used: the client secret has a line feed",
        ),
        (
            "jwks: {file: keys.json}",
            "introspection: {endpoint: https://id.example.com/i, client_id: gate, private_key: {file: keys.json, algorithm: ES256}}",
            "toolgate.yaml",
            Some(8),
            "`keys.json` cannot be used: the private key is not one for this algorithm",
        ),
        ("tools: weather.json", "tools: keys.json", "keys.json", None, "no `tools` array"),
        ("issuers: [corp]", "issuers: [crop]", "toolgate.yaml", Some(14), "names no issuer: `crop`"),
        ("resource: https", "resource: http", "toolgate.yaml", Some(13), "is http"),
        ("  file: {path: audit/audit.jsonl}", "  {}", "toolgate.yaml", Some(18), "names no place to record decisions"),
    ] {
        let files = Files::new();
        files.configure(&[(old, new)]);
        let ran = files.run(&["check", "-c", "toolgate.yaml", "--format", "json"]);
        assert_eq!(ran.code, 3, "{new}: {ran:?}");
        let report = json(&ran.stdout);
        let found: Vec<_> = report["problems"].as_array().unwrap().iter().map(key).collect();
        assert!(
            found.iter().any(|(f, l, message)| f == file && *l == line && message.contains(part)),
            "{new}: {part}\nin {found:#?}"
        );
    }
}

/// A policy relies on an overlay, so one that changes nothing is an error where it stands.
#[test]
fn overlays_fit_the_catalogue() {
    for (overlay, column, message, help) in [
        ("{get_forcast: {city: path}}", 17, "the catalogue has no tool `get_forcast`", "did you mean `get_forecast`?"),
        ("{get_forecast: {citty: path}}", 32, "no such tool has an argument `citty`", "did you mean `city`?"),
        ("{'*': {statoin: path}}", 23, "no such tool has an argument `statoin`", "did you mean `station`?"),
        (
            "{get_forecast: {days: path}}",
            32,
            "the argument `days` of `get_forecast` is not a string or an array of strings, as `path` requires",
            "`toolgate schema` prints",
        ),
        ("{'*': {city: long}}", 23, "the argument `city` of `get_forecast` is not a number", "instead of `*`"),
    ] {
        let files = Files::new();
        let new = format!("tools: weather.json\n    arguments: {overlay}");
        files.configure(&[("tools: weather.json", &new)]);
        let ran = files.run(&["check", "--format", "json"]);
        let report = json(&ran.stdout);
        let [problem] = &report["problems"].as_array().unwrap()[..] else { panic!("{report:#}") };
        assert_eq!((ran.code, &problem["line"], &problem["column"]), (3, &16.into(), &column.into()), "{report:#}");
        assert!(problem["message"].as_str().unwrap().contains(message), "{report:#}");
        assert!(problem["help"].as_str().unwrap().contains(help), "{report:#}");
    }
}

#[test]
fn policies_read_what_an_overlay_gives() {
    let files = Files::new();
    files.configure(&[("    tools: weather.json", "    arguments: {'*': {city: path}}")]);
    let ran = files.run(&["check"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("the server `weather` has no `tools`"), "{}", ran.stderr);
    let overlaid = "tools: weather.json\n    arguments: {get_forecast: {city: path, days: long}}";
    files.configure(&[("tools: weather.json", overlaid)]);
    let within = FORECAST.replace("days > 7", "days > 7 || !context.arguments.city.within.contains(\"/\")");
    files.write("policies/forecast.cedar", &within);
    let ran = files.run(&["check"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    files.write("policies/forecast.cedar", &within.replace("within", "wihtin"));
    let ran = files.run(&["check"]);
    assert!(ran.code == 3 && ran.stderr.contains("did you mean `within`?"), "{}", ran.stderr);
    files.write("policies/forecast.cedar", &within.replace("(\"/\")", "(\"/srv/\")"));
    let ran = files.run(&["check"]);
    for part in
        ["`within` of `city` never has `/srv/`", "policies/forecast.cedar:4:", "^^^^^^^", "did you mean `/srv`?"]
    {
        assert!(ran.code == 3 && ran.stderr.contains(part), "no `{part}` in\n{}", ran.stderr);
    }
}

/// One provider would see the other's tokens.
#[test]
fn a_server_asks_one_issuer_about_opaque_tokens() {
    let files = Files::new();
    files.write("secret", "s3cret\n");
    let asked = "introspection: {endpoint: https://id.example.com/i, client_id: gate, client_secret_file: secret}";
    let other = format!("  - {{name: partner, issuer: https://partner.example.net, {asked}}}\nservers:");
    files.configure(&[("jwks: {file: keys.json}", asked), ("servers:", &other)]);
    let ran = files.run(&["check"]);
    assert_eq!(ran.code, 0, "each may have its own server: {}", ran.stderr);
    files.configure(&[("jwks: {file: keys.json}", asked), ("servers:", &other), ("[corp]", "[corp, partner]")]);
    let ran = files.run(&["check"]);
    let said = "the server `weather` has two issuers with `introspection`, `corp` and `partner`";
    assert!(ran.code == 3 && ran.stderr.contains(said), "{}", ran.stderr);
}

#[test]
fn a_configuration_that_is_not_there_or_no_yaml() {
    let files = Files::new();
    files.write("torn.yaml", "listen: {grpc: \n");
    for (config, part) in [
        ("nowhere.yaml", "cannot read `nowhere.yaml`: No such file or directory"),
        ("policies", "cannot read `policies`: it is not a file"),
        ("torn.yaml", "torn.yaml:"),
    ] {
        let ran = files.run(&["check", "-c", config]);
        assert_eq!(ran.code, 3, "{ran:?}");
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
}

#[test]
fn what_holds_is_counted() {
    let files = Files::new();
    let text = files.run(&["check", "-c", "toolgate.yaml"]);
    let expected = "ok: 2 policies, 1 server, 2 catalogued tools; 0 errors, 0 warnings\n";
    assert_eq!((text.code, text.stdout.as_str(), text.stderr.as_str()), (0, expected, ""));
    let by_default = files.run(&["check"]);
    assert_eq!((by_default.code, by_default.stdout.as_str()), (0, expected), "toolgate.yaml of this folder");
    let report = files.run(&["check", "--format", "json"]);
    assert_eq!((report.code, json(&report.stdout)), (0, serde_json::json!({"ok": true, "problems": []})));
}

#[test]
fn a_warning_is_shown_and_passes() {
    let files = Files::new();
    files.write("policies/never.cedar", "permit (principal, action, resource) when { false };\n");
    let ran = files.run(&["check"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("warning") && ran.stderr.contains("policies/never.cedar"), "{}", ran.stderr);
    assert!(ran.stdout.contains("0 errors, 1 warning\n"), "{}", ran.stdout);
}

/// One policy for each mistake, what is marked, a part of what is said, and what was meant.
const TYPOS: [(&str, &str, &str, &str); 14] = [
    (
        "permit (principal, action == Action::\"weather:get_forcast\", resource);",
        "Action::\"weather:get_forcast\"",
        "the catalogue of `weather` has no tool `get_forcast`",
        "did you mean `get_forecast`?",
    ),
    (
        "permit (principal, action == Action::\"resource/read\", resource);",
        "Action::\"resource/read\"",
        "unrecognized action `Action::\"resource/read\"`",
        "did you mean `Action::\"resources/read\"`?",
    ),
    (
        "permit (principal, action in Action::\"wether:*\", resource);",
        "Action::\"wether:*\"",
        "the id `wether:*` does not begin with the name of a server and a colon",
        "did you mean `weather`?",
    ),
    (
        "permit (principal, action in Action::\"tools/call\", resource == Tool::\"weather:delete_staton\");",
        "Tool::\"weather:delete_staton\"",
        "the catalogue of `weather` has no tool `delete_staton`",
        "did you mean `delete_station`?",
    ),
    (
        "permit (principal, action in Action::\"tools/call\", resource in Server::\"wether\");",
        "Server::\"wether\"",
        "there is no server `wether`",
        "did you mean `weather`?",
    ),
    (
        "permit (principal in Scope::\"weather:raed\", action, resource);",
        "Scope::\"weather:raed\"",
        "no server asks for the scope `weather:raed`",
        "did you mean `weather:read`?",
    ),
    (
        "permit (principal in Group::\"crop:weather:raed\", action, resource);",
        "Group::\"crop:weather:raed\"",
        "does not begin with the name of an issuer and a colon",
        "did you mean `corp`?",
    ),
    (
        "forbid (principal, action == Action::\"weather:get_forecast\", resource) when { context.arguments has dyas };",
        "dyas",
        "in the catalogue of `weather`, the tool `get_forecast` has no argument `dyas`",
        "did you mean `days`?",
    ),
    (
        "permit (principal, action == Action::\"weather:get_forecast\", resource) when { context.arguments.ctiy == \"ctiy\" };",
        "context.arguments.ctiy",
        "attribute `arguments.ctiy` in context for Action::\"weather:get_forecast\" not found",
        "did you mean `city`?",
    ),
    (
        "forbid (principal, action, resource) when { principal has departmnt };",
        "departmnt",
        "no principal and no resource has an attribute `departmnt`",
        "did you mean `department`?",
    ),
    (
        "@max_age(\"5m\")\nforbid (principal, action, resource);",
        "@max_age(\"5m\")",
        "`@max_age` is `5m`, not a number of seconds",
        "write seconds",
    ),
    (
        "@mode(\"shadw\")\npermit (principal, action, resource);",
        "@mode(\"shadw\")",
        "`@mode` is `shadw`",
        "did you mean `shadow`?",
    ),
    (
        "@advise(\"Ask an operator.\")\nforbid (principal, action, resource);",
        "@advise(\"Ask an operator.\")",
        "the annotation `@advise` means nothing",
        "did you mean `@advice`?",
    ),
    (
        "forbid (principal, action == Action::\"weather:drop_all\", resource);",
        "Action::\"weather:drop_all\"",
        "the catalogue of `weather` has no tool `drop_all`",
        "",
    ),
];

/// All at once, each once, each in its place, though the same words stand in comments and strings before it.
#[test]
fn a_typo_in_any_place_of_a_policy_is_an_error_in_its_place() {
    let files = Files::new();
    files.configure(&[("groups: /groups", "groups: /groups\n    claims: {department: {type: String}}")]);
    let mut text = String::new();
    for (number, (policy, marked, ..)) in TYPOS.iter().enumerate() {
        text += &format!("// {marked}\n@id(\"p{number}\")\n{policy}\n");
    }
    files.write("policies/typos.cedar", &text);
    let ran = files.run(&["check", "--format", "json"]);
    let report = json(&ran.stdout);
    let problems = report["problems"].as_array().unwrap();
    for (number, (policy, marked, message, help)) in TYPOS.iter().enumerate() {
        let of =
            |problem: &&Value| problem["message"].as_str().unwrap().starts_with(&format!("for policy `p{number}`,"));
        let found: Vec<&Value> = problems.iter().filter(of).collect();
        let [problem] = found.as_slice() else { panic!("{policy}: {found:#?}\nin {problems:#?}") };
        let own = text.find(policy).unwrap();
        let start = own + policy.find(marked).unwrap();
        let before = text.get(..start).unwrap();
        let line = before.matches('\n').count() + 1;
        let column = start - before.rfind('\n').unwrap();
        let place = (problem["line"].as_u64().unwrap(), problem["column"].as_u64().unwrap());
        assert_eq!(place, (line.try_into().unwrap(), column.try_into().unwrap()), "{policy}: {problem:#}");
        assert_eq!(problem["severity"], "error", "{policy}");
        assert!(problem["message"].as_str().unwrap().contains(message), "{problem:#}");
        assert!(problem["help"].as_str().unwrap_or_default().contains(help), "{problem:#}");
    }
    assert_eq!((ran.code, problems.len()), (3, TYPOS.len()), "{problems:#?}");
}

/// Which groups there are is for tokens to say, so any may be meant; but not where tokens name none.
#[test]
fn a_group_that_nobody_can_be_in_is_warned_of() {
    let files = Files::new();
    let policy = r#"@id("ops") permit (principal in Group::"other:ops", action in Action::"session", resource);"#;
    files.write("policies/ops.cedar", policy);
    let other =
        "\n  - {name: other, issuer: 'https://other.example.com', jwks: {file: keys.json}, groups: /groups}\nservers:";
    let nobody = "for policy `ops`, nobody is in the group `other:ops`: tokens of `other` name no groups";
    for (groups, entities, warning) in [
        (", groups: /groups", "{}", None),
        ("", "{}", Some("set `groups` of the issuer `other`")),
        ("", "Group::\"corp:a\": [Group::\"other:oops\", Group::\"corp:ops\"]", Some("did you mean `other:oops`?")),
        ("", "Group::\"corp:a\": [Group::\"other:ops\"]", None),
        ("", "Group::\"other:ops\": [Group::\"corp:a\"]", Some("set `groups` of the issuer `other`")),
    ] {
        files.configure(&[("\nservers:", &other.replace(", groups: /groups", groups))]);
        files.write("policies/entities.yaml", entities);
        let ran = files.run(&["check", "--format", "json"]);
        let report = json(&ran.stdout);
        let problems = report["problems"].as_array().unwrap().iter();
        let told: Vec<[&str; 3]> =
            problems.map(|it| ["severity", "message", "help"].map(|key| it[key].as_str().unwrap())).collect();
        let expected: Vec<[&str; 3]> = warning.map(|help| ["warning", nobody, help]).into_iter().collect();
        assert_eq!((ran.code, told), (0, expected), "{groups} {entities}");
    }
}

/// What policies read of a tool must still be there, as it was, when its server publishes another catalogue.
#[test]
fn a_catalogue_that_drops_or_retypes_what_a_policy_reads_is_an_error() {
    for (old, new, parts) in [
        (
            "get_forecast",
            "forecast",
            &["policy `forecast`", "the catalogue of `weather` has no tool `get_forecast`"][..],
        ),
        ("delete_station", "delete", &["policy `nothing-deleted`", "the catalogue of `weather` has no tool"]),
        ("\"days\"", "\"span\"", &["policy `forecast`", "the catalogue of `weather`", "`get_forecast`", "`days`"]),
        (
            "\"days\": {\"type\": \"integer\"}",
            "\"days\": {\"type\": \"string\"}",
            &["policy `forecast`", "the catalogue of `weather` says so of `get_forecast`"],
        ),
        (
            "\"days\": {\"type\": \"integer\"}",
            "\"days\": {\"type\": [\"integer\", \"string\"]}",
            &["policy `forecast`", "`days` is not exposed to policies"],
        ),
    ] {
        let files = Files::new();
        files.write("weather.json", &super::support::CATALOG.replace(old, new));
        let ran = files.run(&["check"]);
        assert_eq!(ran.code, 3, "{new}: {ran:?}");
        for part in parts {
            assert!(ran.stderr.contains(part), "{new}: no `{part}` in\n{}", ran.stderr);
        }
        assert!(ran.stderr.contains("1 error, 0 warnings"), "{new}: {}", ran.stderr);
    }
}

/// Every configuration that ships must hold.
#[test]
fn the_examples_hold() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for example in ["envoy/toolgate.yaml", "istio/config/toolgate.yaml", "envoy-gateway/config/toolgate.yaml"] {
        let path = root.join("examples").join(example);
        let ran = super::run(super::toolgate(&["check", "-c", path.to_str().unwrap()]));
        assert_eq!(ran.code, 0, "{example}: {}", ran.stderr);
        assert_eq!(ran.stderr, "", "{example}: warnings");
    }
}
