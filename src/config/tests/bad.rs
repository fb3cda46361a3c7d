//! One mistake at a time: what is marked, and what is said.

use super::*;

/// For each `(old, new, marked, message)`: the sample with `new` for `old` has exactly one problem, over `marked`.
#[track_caller]
fn refuse(table: &[(&str, &str, &str, &str)]) {
    for (old, new, span, message) in table {
        refuse_all(old, new, &[(span, message)]);
    }
}

#[track_caller]
fn refuse_all(old: &str, new: &str, expected: &[(&str, &str)]) {
    let problems = problems(&replaced(SAMPLE, old, new));
    let found: Vec<(&str, &str)> = problems.iter().map(|problem| (marked(problem), problem.message.as_str())).collect();
    assert_eq!(found, expected, "{new}");
    assert!(problems.iter().all(|problem| problem.help.is_some()), "{new}");
}

#[test]
fn keys() {
    refuse(&[
        ("policies: policies\n", "", "listen:", "the configuration has no `policies`"),
        ("time_zone:", "timezone:", "timezone", "`timezone` is not a known key"),
        ("  admin:", "  admn:", "admn", "`listen.admn` is not a known key"),
        ("    resource: https://mcp.example.com/weather\n", "", "name: weather", "`servers[0]` has no `resource`"),
        ("type: String", "typ: String, type: Long", "typ", "`issuers[0].claims.department.typ` is not a known key"),
        (
            "{department: {type: String}",
            "{department: {path: /d}",
            "department",
            "`issuers[0].claims.department` has no `type`",
        ),
        ("    denials: auto", "    tools: b.json\n    denials: auto", "tools", "`servers[0].tools` is given twice"),
        ("  stdout: {}", "  stdout: {}\nlimits: {}", "limits", "`limits` is given twice"),
        (
            "\"*\": {url: url}",
            "\"a.b\": {url: url}, \"a.b\": {}",
            "\"a.b\"",
            "`servers[0].arguments[\"a.b\"]` is given twice",
        ),
        ("time_zone: UTC", "<<: {time_zone: UTC}", "<<", "`[\"<<\"]` is a merge key"),
        ("time_zone: UTC", "? [a]\n: b", "[a]", "the configuration has a key that is not text"),
    ]);
}

#[test]
fn kinds_of_values() {
    refuse(&[
        ("policies: policies", "policies:", "policies", "`policies` has no value"),
        ("policies: policies", "policies: ''", "''", "`policies` is empty"),
        ("policies: policies", "policies: [policies]", "[policies]", "`policies` must be text, not a list"),
        ("name: weather", "name: 2026", "2026", "`servers[0].name` must be text, not a number"),
        ("mtls: {required: true}", "mtls: {require: true}", "require", "`servers[0].mtls.require` is not a known key"),
        ("mtls: {required: true}", "mtls: true", "true", "`servers[0].mtls` must be a mapping, not a boolean"),
        ("algorithms: [ES384]", "algorithms: []", "[]", "`servers[0].dpop.algorithms` is empty"),
        ("algorithms: [ES384]", "algorithms: [HS256]", "HS256", "`servers[0].dpop.algorithms[0]` cannot be `HS256`"),
        (
            "forward_token: false",
            "forward_token: 'false'",
            "'false'",
            "`servers[0].forward_token` must be `true` or `false`, not text",
        ),
        (
            "forward_token: false",
            "forward_token: no",
            "no",
            "`servers[0].forward_token` must be `true` or `false`, not text",
        ),
        ("methods: []", "methods: a/b", "a/b", "`servers[0].methods` must be a list, not text"),
        ("stdout: {}", "stdout: true", "true", "`audit.stdout` must be a mapping, not a boolean"),
        ("depth: 64", "depth: [64]", "[64]", "`limits.depth` must be a whole number, not a list"),
        (
            "    algorithms: [ES256, RS256]",
            "    algorithms:\n      a: b\n      c: d",
            "a: b",
            "`issuers[0].algorithms` must be a list, not a mapping",
        ),
        ("time_zone: UTC", "time_zone: &zone UTC", "&zone UTC", "`time_zone` has an anchor"),
        ("methods: []", "methods: &none []", "&none []", "`servers[0].methods` has an anchor"),
        ("methods: []", "methods: !!seq []", "!!seq []", "`servers[0].methods` has a tag"),
        ("denials: auto", "denials: !!str auto", "!!str auto", "`servers[0].denials` has a tag"),
    ]);
    let anchored = [("&a corp", "`servers[0].name` has an anchor"), ("*a", "`servers[0].denials` has an alias")];
    let text = replaced(SAMPLE, "name: weather", "name: &a corp");
    let found: Vec<_> = problems(&replaced(&text, "denials: auto", "denials: *a"))
        .into_iter()
        .map(|problem| (marked(&problem).to_owned(), problem.message))
        .collect();
    assert_eq!(found, anchored.map(|(span, message)| (span.to_owned(), message.to_owned())));
}

#[test]
fn documents() {
    for (text, span, message) in [
        ("", "", "the file is empty"),
        ("# nothing\n", "", "the file is empty"),
        ("a", "a", "the configuration must be a mapping, not text"),
        ("a: {}\n--- \nb: {}\n", "---", "the file holds more than one YAML document"),
        ("ä: 'ü", "", "not readable as YAML: while scanning a quoted scalar, found unexpected end of stream"),
        ("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "[", "nested more than 32 levels deep"),
    ] {
        let problems = problems(text);
        let found: Vec<(&str, &str)> =
            problems.iter().map(|problem| (marked(problem), problem.message.as_str())).collect();
        assert_eq!(found, [(span, message)]);
    }
}

#[test]
fn listen() {
    let not_an_address = "`listen.grpc` cannot be `localhost:9191`: it is not an IP address with a port";
    let grpc = "grpc: 127.0.0.1:9191";
    refuse(&[
        (grpc, "grpc: localhost:9191", "localhost:9191", not_an_address),
        (grpc, "grpc: []", "[]", "`listen.grpc` is empty"),
        (grpc, "grpc: 'unix:'", "'unix:'", "`listen.grpc` names no path"),
        (
            grpc,
            "grpc: 127.0.0.1:9192",
            "127.0.0.1:9192",
            "`listen.admin` takes the same address as `listen.grpc` (`127.0.0.1:9192`)",
        ),
        (
            grpc,
            "grpc: ['unix:a', 'unix:a']",
            "'unix:a'",
            "`listen.grpc[1]` takes the same address as `listen.grpc[0]` (`unix:a`)",
        ),
        (
            grpc,
            "grpc: [0.0.0.0:9192]",
            "127.0.0.1:9192",
            "`listen.admin` takes the same address as `listen.grpc[0]` (`0.0.0.0:9192`)",
        ),
        (
            grpc,
            "grpc: [{address: 'unix:a', server: wether}]",
            "wether",
            "`listen.grpc[0].server` names no server: `wether`",
        ),
        (grpc, "grpc: [{address: 'unix:a', tls: {cert: c}}]", "tls", "`listen.grpc[0].tls` is not supported yet"),
        (grpc, "grpc: [{server: weather}]", "{server: weather}", "`listen.grpc[0]` has no `address`"),
    ]);
}

#[test]
fn top_level_values() {
    refuse(&[
        (
            "time_zone: UTC",
            "time_zone: Europe/Berln",
            "Europe/Berln",
            "`time_zone` cannot be `Europe/Berln`: there is no such time zone",
        ),
        ("client_address: peer", "client_address: pear", "pear", "`client_address` cannot be `pear`"),
        (
            "client_address: peer",
            "client_address: {xff_hops: 0}",
            "0",
            "`client_address.xff_hops` cannot be `0`: it is too small",
        ),
        (
            "client_address: peer",
            "client_address: {xff_hops: 17}",
            "17",
            "`client_address.xff_hops` cannot be `17`: it is too large",
        ),
        ("client_address: peer", "client_address: {}", "client_address", "`client_address` has no `xff_hops`"),
        (
            "  file: {path: audit.jsonl}\n  otlp: {endpoint: https://logs.example.com, headers_file: otlp.headers, \
             ca_file: ca.pem}\n  stdout: {}",
            "  {}",
            "{}",
            "`audit` names no place to record decisions",
        ),
        ("{path: audit.jsonl}", "{}", "file", "`audit.file` has no `path`"),
    ]);
}

#[test]
fn what_records_show() {
    let values = |values: &str| format!("stdout: {{}}\n  values: {values}");
    let cases = [
        ("stdout: {}", values("hidden"), "hidden", "`audit.values` cannot be `hidden`"),
        ("stdout: {}", values("{default: hidden}"), "hidden", "`audit.values.default` cannot be `hidden`"),
        ("stdout: {}", values("{path: {}}"), "path", "`audit.values.path` is not a known key"),
        ("stdout: {}", values("hashed"), "hashed", "`audit.values` cannot be `hashed`: there is no key"),
        (
            "stdout: {}",
            values("{paths: {context.arguments.days: hashed}}"),
            "hashed",
            "`audit.values.paths[\"context.arguments.days\"]` cannot be `hashed`: there is no key",
        ),
        (
            "stdout: {}",
            values("{paths: {arguments.days: masked}}"),
            "masked",
            "`audit.values.paths[\"arguments.days\"]` is no path of a value",
        ),
        (
            "stdout: {}",
            values("{paths: {context.a.b: masked, 'context[\"a\"].b': shown}}"),
            "shown",
            "`audit.values.paths[\"context[\\\"a\\\"].b\"]` is the same as `audit.values.paths[\"context.a.b\"]`",
        ),
        (
            "stdout: {}",
            "stdout: {}\n  source: hashed".to_owned(),
            "hashed",
            "`audit.source` cannot be `hashed`: there is no key",
        ),
        ("stdout: {}", "stdout: {}\n  source: no".to_owned(), "no", "`audit.source` cannot be `no`"),
    ];
    for (from, to, place, message) in cases {
        refuse(&[(from, to.as_str(), place, message)]);
    }
}

#[test]
fn audit() {
    let file = |rest: &str| format!("{{path: audit.jsonl, {rest}}}");
    let signed = |rest: &str| format!("stdout: {{}}\n  checkpoints: {{key_file: key.pem, {rest}}}");
    let cases = [
        ("{path: audit.jsonl}", file("mode: best-effort"), "best-effort", "`audit.file.mode` cannot be `best-effort`"),
        ("{path: audit.jsonl}", file("rotate: {}"), "{}", "`audit.file.rotate` says not when"),
        (
            "{path: audit.jsonl}",
            file("rotate: {size: 65535}"),
            "65535",
            "`audit.file.rotate.size` cannot be `65535`: it is too small",
        ),
        (
            "{path: audit.jsonl}",
            file("rotate: {age: 59s}"),
            "59s",
            "`audit.file.rotate.age` cannot be `59s`: it is too small",
        ),
        (
            "{path: audit.jsonl}",
            file("rotate: {age: 8785h}"),
            "8785h",
            "`audit.file.rotate.age` cannot be `8785h`: it is too large",
        ),
        (
            "stdout: {}",
            "stdout: {mode: durable}".to_owned(),
            "durable",
            "`audit.stdout.mode` cannot be `durable`: standard output is no disk",
        ),
        (
            "stdout: {}",
            "stdout: {}\n  checkpoints: {}".to_owned(),
            "checkpoints",
            "`audit.checkpoints` has no `key_file`",
        ),
        ("stdout: {}", signed("records: 0"), "0", "`audit.checkpoints.records` cannot be `0`: it is too small"),
        (
            "stdout: {}",
            signed("records: 1000001"),
            "1000001",
            "`audit.checkpoints.records` cannot be `1000001`: it is too large",
        ),
        (
            "stdout: {}",
            signed("interval: 249ms"),
            "249ms",
            "`audit.checkpoints.interval` cannot be `249ms`: it is too small",
        ),
        ("stdout: {}", signed("interval: 2h"), "2h", "`audit.checkpoints.interval` cannot be `2h`: it is too large"),
        (
            "stdout: {}",
            "stdout: {}\n  unauthenticated_rate: 0".to_owned(),
            "0",
            "`audit.unauthenticated_rate` cannot be `0`: it is too small",
        ),
        (
            "stdout: {}",
            "stdout: {}\n  unauthenticated_rate: 100001".to_owned(),
            "100001",
            "`audit.unauthenticated_rate` cannot be `100001`: it is too large",
        ),
    ];
    for (from, to, place, message) in cases {
        refuse(&[(from, to.as_str(), place, message)]);
    }
}

#[test]
fn collectors() {
    let url = "endpoint: https://logs.example.com,";
    refuse(&[
        (url, "", "otlp", "`audit.otlp` has no `endpoint`"),
        (url, "endpoint: grpc://logs:4317,", "grpc://logs:4317", "`audit.otlp.endpoint` is grpc"),
        (
            url,
            "endpoint: logs.example.com,",
            "logs.example.com",
            "`audit.otlp.endpoint` cannot be `logs.example.com`: relative URL without a base",
        ),
        (url, "endpoint: https://a/v1/logs,", "https://a/v1/logs", "`audit.otlp.endpoint` ends in `v1/logs`"),
        (url, "endpoint: https://a/b/v1/logs/,", "https://a/b/v1/logs/", "`audit.otlp.endpoint` ends in `v1/logs`"),
        (url, "endpoint: 'https://a?key=b',", "'https://a?key=b'", "`audit.otlp.endpoint` has a query"),
        (url, "endpoint: https://me:pw@a,", "https://me:pw@a", "`audit.otlp.endpoint` names a user"),
        (
            url,
            "endpoint: https://a, mode: durable,",
            "durable",
            "`audit.otlp.mode` cannot be `durable`: a collector does not say what is on its disk",
        ),
        (url, "endpoint: http://a,", "ca.pem", "`audit.otlp.ca_file` has no effect: `endpoint` is http"),
        (url, "endpoint: https://a, timeout: 1s,", "timeout", "`audit.otlp.timeout` is not a known key"),
    ]);
}

#[test]
fn limits() {
    refuse(&[
        ("body: 1MiB", "body: 1MB", "1MB", "`limits.body` cannot be `1MB`: it is not a size"),
        ("body: 1MiB", "body: 1.5", "1.5", "`limits.body` cannot be `1.5`: it is not a size"),
        ("body: 1MiB", "body: 1023", "1023", "`limits.body` cannot be `1023`: it is too small"),
        ("message: 4MiB", "message: 16777217", "16777217", "`limits.message` cannot be `16777217`: it is too large"),
        ("message: 4MiB", "message: 65535", "65535", "`limits.message` cannot be `65535`: it is too small"),
        (
            "body: 1MiB, message: 4MiB",
            "body: 8388609, message: 16MiB",
            "8388609",
            "`limits.body` cannot be `8388609`: it is too large",
        ),
        ("depth: 64", "depth: 7", "7", "`limits.depth` cannot be `7`: it is too small"),
        ("depth: 64", "depth: 513", "513", "`limits.depth` cannot be `513`: it is too large"),
        ("nodes: 100000", "nodes: 63", "63", "`limits.nodes` cannot be `63`: it is too small"),
        ("nodes: 100000", "nodes: 10000001", "10000001", "`limits.nodes` cannot be `10000001`: it is too large"),
        ("nodes: 100000", "nodes: -1", "-1", "`limits.nodes` cannot be `-1`: it is not a whole number"),
        ("token: 16KiB", "token: 1023", "1023", "`limits.token` cannot be `1023`: it is too small"),
        ("token: 16KiB", "token: 16385", "16385", "`limits.token` cannot be `16385`: it is too large"),
        (
            "token: 16KiB",
            "token: 99999999999999999999",
            "99999999999999999999",
            "`limits.token` cannot be `99999999999999999999`: it is not a size",
        ),
        (
            "message: 4MiB",
            "message: 1MiB",
            "{body: 1MiB, message: 1MiB, depth: 64, nodes: 100000, token: 16KiB}",
            "`limits` leave no room in `message` for a body and its headers",
        ),
    ]);
}

#[test]
fn issuers() {
    let url = "issuer: https://id.example.com";
    let jwks = "jwks: {discover: true, max_stale: 24h}";
    refuse(&[
        (url, "issuer: http://id.example.com", "http://id.example.com", "`issuers[0].issuer` is http"),
        (url, "issuer: http://127.0.0.1", "http://127.0.0.1", "`issuers[0].issuer` is http"),
        (url, "issuer: ftp://id.example.com", "ftp://id.example.com", "`issuers[0].issuer` is ftp"),
        (url, "issuer: https://id.example.com?a", "https://id.example.com?a", "`issuers[0].issuer` has a query"),
        (url, "issuer: https://id.example.com#a", "https://id.example.com#a", "`issuers[0].issuer` has a fragment"),
        (url, "issuer: https://me@id.example.com", "https://me@id.example.com", "`issuers[0].issuer` names a user"),
        (
            url,
            "issuer: id.example.com",
            "id.example.com",
            "`issuers[0].issuer` cannot be `id.example.com`: relative URL without a base",
        ),
        (jwks, "jwks: {}", "{}", "`issuers[0].jwks` names no source of keys"),
        (
            jwks,
            "jwks: {discover: true, file: a}",
            "{discover: true, file: a}",
            "`issuers[0].jwks` names more than one source of keys",
        ),
        (jwks, "jwks: {discover: false}", "false", "`issuers[0].jwks.discover` can only be `true`"),
        (jwks, "jwks: {file: a, max_stale: 24h}", "24h", "`issuers[0].jwks.max_stale` has no effect on keys in a file"),
        (
            "max_stale: 24h",
            "max_stale: 3599s",
            "3599s",
            "`issuers[0].jwks.max_stale` cannot be `3599s`: it is too short",
        ),
        ("max_stale: 24h", "max_stale: 0h", "0h", "`issuers[0].jwks.max_stale` cannot be `0h`: it is too short"),
        (
            "max_stale: 24h",
            "max_stale: 604801s",
            "604801s",
            "`issuers[0].jwks.max_stale` cannot be `604801s`: it is too long",
        ),
        (
            "max_stale: 24h",
            "max_stale: 1d",
            "1d",
            "`issuers[0].jwks.max_stale` cannot be `1d`: it is not a duration such as `24h`",
        ),
        (
            "max_stale: 24h",
            "max_stale: 5124095576030432h",
            "5124095576030432h",
            "`issuers[0].jwks.max_stale` cannot be `5124095576030432h`: it is not a duration such as `24h`",
        ),
        ("max_stale: 24h", "max_stale: 24", "24", "`issuers[0].jwks.max_stale` must be text, not a number"),
        (
            jwks,
            "jwks: {url: 'http://id.example.com/keys'}",
            "'http://id.example.com/keys'",
            "`issuers[0].jwks.url` is http",
        ),
    ]);
    // A server is not blamed for the mistakes of its issuer.
    refuse_all(url, "issuer: https://", &[("https://", "`issuers[0].issuer` cannot be `https://`: empty host")]);
}

#[test]
fn rules_for_tokens() {
    refuse(&[
        ("[ES256, RS256]", "[ES256, HS256]", "HS256", "`issuers[0].algorithms[1]` cannot be `HS256`"),
        ("[ES256, RS256]", "[none]", "none", "`issuers[0].algorithms[0]` cannot be `none`"),
        ("[ES256, RS256]", "[]", "[]", "`issuers[0].algorithms` is empty"),
        (
            "[ES256, RS256]",
            "[ES256, ES256]",
            "ES256",
            "`issuers[0].algorithms[1]` is the same as `issuers[0].algorithms[0]`",
        ),
        ("[at+jwt]", "[]", "[]", "`issuers[0].token_types` is empty"),
        ("[at+jwt]", "['at jwt']", "'at jwt'", "`issuers[0].token_types[0]` cannot be `at jwt`"),
        (
            "groups: /groups",
            "groups: groups",
            "groups",
            "`issuers[0].groups` cannot be `groups`: it is not a JSON pointer",
        ),
        ("groups: /groups", "groups: /a~2", "/a~2", "`issuers[0].groups` cannot be `/a~2`: it is not a JSON pointer"),
        (
            "[\"weather:read\"]}}",
            "[\"weather read\"]}}",
            "\"weather read\"",
            "`issuers[0].scopes.implies[\"weather:admin\"][0]` cannot be `weather read`: it is not one scope",
        ),
        (
            "{\"weather:admin\": [\"weather:read\"]}",
            "{a: [b], b: [c], c: [b]}",
            "{a: [b], b: [c], c: [b]}",
            "`issuers[0].scopes.implies` lets `b` imply itself",
        ),
        ("{department:", "{host:", "{type: String}", "`issuers[0].claims.host` is not a free name for an attribute"),
        ("type: String", "type: string", "string", "`issuers[0].claims.department.type` cannot be `string`"),
        (
            "    insecure_http: false",
            "  - {name: corp, issuer: 'https://b.example', jwks: {file: k}}",
            "corp",
            "`issuers[1].name` is the same as `issuers[0].name`",
        ),
        (
            "    insecure_http: false",
            "  - {name: b, issuer: 'https://id.example.com', jwks: {file: k}}",
            "'https://id.example.com'",
            "`issuers[1].issuer` is the same as `issuers[0].issuer`",
        ),
    ]);
}

#[test]
fn introspection() {
    let field = |name: &str, rest: &str| format!("`issuers[0].introspection.{name}` {rest}");
    let two = ("client_secret_file: pw", "client_secret_file: pw, private_key: {file: k, algorithm: ES256}");
    let whole = "{endpoint: 'https://auth.example.net/ask', client_id: gate, client_secret_file: pw, timeout: 1s}";
    let none = replaced(whole, "client_secret_file: pw, ", "");
    refuse(&[
        (
            "endpoint: 'https://auth.example.net/ask', ",
            "",
            "introspection",
            "`issuers[0].introspection` has no `endpoint`",
        ),
        ("client_id: gate, ", "", "introspection", "`issuers[0].introspection` has no `client_id`"),
        ("client_secret_file: pw, ", "", &none, "`issuers[0].introspection` names no credential"),
        (two.0, two.1, &replaced(whole, two.0, two.1), "`issuers[0].introspection` names two credentials"),
        ("client_secret_file: pw", "client_secret_file: ''", "''", &field("client_secret_file", "is empty")),
        (
            "client_secret_file: pw",
            "private_key: {file: k}",
            "private_key",
            &field("private_key", "has no `algorithm`"),
        ),
        (
            "client_secret_file: pw",
            "private_key: {file: k, algorithm: HS256}",
            "HS256",
            &field("private_key.algorithm", "cannot be `HS256`"),
        ),
        (
            "'https://auth.example.net/ask'",
            "http://127.0.0.1/ask",
            "http://127.0.0.1/ask",
            &field("endpoint", "is http"),
        ),
        (
            "'https://auth.example.net/ask'",
            "https://a:b@auth.example.net",
            "https://a:b@auth.example.net",
            &field("endpoint", "names a user"),
        ),
        ("client_id: gate", "client_id: é", "é", &field("client_id", "cannot be `é`")),
        ("timeout: 1s", "timeout: 9ms", "9ms", &field("timeout", "cannot be `9ms`: it is too small")),
        ("timeout: 1s", "timeout: 5001ms", "5001ms", &field("timeout", "cannot be `5001ms`: it is too large")),
        ("timeout: 1s", "timeout: 150", "150", &field("timeout", "cannot be `150`: it is not a time")),
        ("timeout: 1s", "timeout: 1.5s", "1.5s", &field("timeout", "cannot be `1.5s`: it is not a time")),
        ("timeout: 1s", "timeout: 1h", "1h", &field("timeout", "cannot be `1h`: it is too large")),
        ("timeout: 1s", "cache: 301s", "301s", &field("cache", "cannot be `301s`: it is too large")),
        ("timeout: 1s", "concurrency: 0", "0", &field("concurrency", "cannot be `0`: it is too small")),
        ("timeout: 1s", "concurrency: 1025", "1025", &field("concurrency", "cannot be `1025`: it is too large")),
        ("timeout: 1s", "time: 1s", "time", &field("time", "is not a known key")),
    ]);
}

#[test]
fn servers() {
    refuse(&[
        ("name: weather", "name: Weather", "Weather", "`servers[0].name` cannot be `Weather`"),
        ("name: weather", "name: \"we\\nather\"", "\"we\\nather\"", "`servers[0].name` cannot be `we\\nather`"),
        ("match: extension", "match: path", "path", "`servers[0].match` cannot be `path`"),
        ("issuers: [corp]", "issuers: [crop]", "crop", "`servers[0].issuers[0]` names no issuer: `crop`"),
        ("issuers: [corp]", "issuers: []", "[]", "`servers[0].issuers` is empty"),
        (
            "issuers: [corp]",
            "issuers: [corp, corp]",
            "corp",
            "`servers[0].issuers[1]` is the same as `servers[0].issuers[0]`",
        ),
        ("{path: path}, \"*\"", "{path: pth}, \"*\"", "pth", "`servers[0].arguments.read_file.path` cannot be `pth`"),
        (
            "scopes_supported: [\"weather:read\"]",
            "scopes_supported: [offline_access]",
            "offline_access",
            "`servers[0].scopes_supported[0]` cannot be `offline_access`",
        ),
        (
            "scopes_supported: [\"weather:read\"]",
            "scopes_supported: [é]",
            "é",
            "`servers[0].scopes_supported[0]` cannot be `é`: it is not one scope",
        ),
        (
            "methods: []",
            "step_up_scopes: [\"weather:write\", \"weather:read\"]",
            "\"weather:read\"",
            "`servers[0].step_up_scopes[1]` is in `scopes_supported` as well",
        ),
        (
            "methods: []",
            "step_up_scopes: [offline_access]",
            "offline_access",
            "`servers[0].step_up_scopes[0]` cannot be `offline_access`",
        ),
    ]);
}

#[test]
fn methods_and_origins() {
    refuse(&[
        ("denials: auto", "denials: json-rpc", "json-rpc", "`servers[0].denials` cannot be `json-rpc`"),
        (
            "methods: []",
            "methods: ['a:b']",
            "'a:b'",
            "`servers[0].methods[0]` cannot be `a:b`: it has a colon, which separates a server from its tool in the names of actions",
        ),
        (
            "methods: []",
            "methods: [session]",
            "session",
            "`servers[0].methods[0]` cannot be `session`: it is the name of a group of actions",
        ),
        (
            "methods: []",
            "methods: [tools/call]",
            "tools/call",
            "`servers[0].methods[0]` cannot be `tools/call`: it is the name of a group of actions",
        ),
        (
            "methods: []",
            "methods: [ping]",
            "ping",
            "`servers[0].methods[0]` cannot be `ping`: it is a method of MCP already",
        ),
        (
            "methods: []",
            "methods: ['a b']",
            "'a b'",
            "`servers[0].methods[0]` cannot be `a b`: it has a space, a control character or a character outside ASCII",
        ),
    ]);
    for origin in [
        "'*'",
        "null",
        "https://a.example/",
        "https://A.example",
        "https://a.example:443",
        "https://*.example",
        "a.example",
    ] {
        let problems = problems(&replaced(SAMPLE, "allowed_origins: []", &format!("allowed_origins: [{origin}]")));
        assert_eq!(problems.len(), 1, "{origin}");
        assert_eq!(marked(&problems[0]), if origin == "null" { "null" } else { origin });
    }
}

#[test]
fn resources() {
    let refuse = |url: &str, message: &str| {
        let message = format!("`servers[0].resource` {message}");
        refuse_all("resource: https://mcp.example.com/weather", &format!("resource: {url}"), &[(url, &message)]);
    };
    refuse("https://mcp.example.com/weather?a=b", "has a query");
    refuse("https://mcp.example.com/weather#a", "has a fragment");
    refuse("http://mcp.example.com/weather", "is http");
    refuse("https://MCP.example.com/weather", "has upper case in its scheme or host");
    refuse("HTTPS://mcp.example.com/weather", "has upper case in its scheme or host");
    refuse("https://me:pw@mcp.example.com/", "names a user");
    refuse("https://mcp.example.com/a//b", "has an empty segment");
    refuse("https://mcp.example.com/a/../b", "has dot segments");
    refuse("https://mcp.example.com/a;b", "has parameters (`;`)");
    refuse("https:/mcp.example.com", "cannot be `https:/mcp.example.com`: `://` is missing");
    refuse("https://0x7f.1/a", "cannot be `https://0x7f.1/a`: its host and port read as `127.0.0.1:443`");
    refuse(
        "https://a.example:0443/a",
        "cannot be `https://a.example:0443/a`: its host and port read as `a.example:443`",
    );
    let not_ascii = "cannot be `https://mcp.example.com/ä`: a URL is printable ASCII, without spaces and backslashes";
    refuse("https://mcp.example.com/ä", not_ascii);
}

#[test]
fn paths() {
    for (path, what) in [
        ("weather", "does not start with `/`"),
        ("//weather", "has an empty segment"),
        ("/a/./b", "has dot segments"),
        ("/a/..", "has dot segments"),
        ("/a%2Eb", "encodes a dot"),
        ("/a%2fb", "encodes a slash"),
        ("/a%5Cb", "encodes a backslash"),
        ("/a\\b", "has a backslash"),
        ("/a;b", "has parameters (`;`)"),
        ("/a?b", "has a query"),
        ("/a#b", "has a fragment"),
        ("/a b", "has a space, a control character or a character outside ASCII"),
        ("/ä", "has a space, a control character or a character outside ASCII"),
        ("/a%4", "has a `%` without two hexadecimal digits"),
        ("/a%+1", "has a `%` without two hexadecimal digits"),
    ] {
        let (span, message) = (format!("'{path}'"), format!("`servers[0].paths[0]` {what}"));
        refuse_all("paths: [/weather]", &format!("paths: [{span}]"), &[(&span, &message)]);
    }
    refuse(&[
        ("paths: [/weather]", "paths: []", "[]", "`servers[0].paths` is empty"),
        ("paths: [/weather]", "paths: [/a, /a]", "/a", "`servers[0].paths[1]` is the same as `servers[0].paths[0]`"),
    ]);
}

#[test]
fn servers_among_each_other() {
    // Each of these is the second server of a file whose first is `weather`.
    for (matching, second, expected) in [
        (
            "extension",
            "name: weather, resource: 'https://b.example'",
            Some("`servers[1].name` is the same as `servers[0].name`"),
        ),
        (
            "extension",
            "name: b, resource: 'https://mcp.example.com/weather'",
            Some("`servers[1].resource` is the same as `servers[0].resource`"),
        ),
        (
            "host",
            "name: b, match: host, resource: 'https://mcp.example.com:443/weather'",
            Some("`servers[1].resource` is the same as `servers[0].resource`"),
        ),
        (
            "host",
            "name: b, match: host, resource: 'https://mcp.example.com/b', paths: [/b, /weather]",
            Some("`servers[1].paths[1]` is the same as `servers[0].paths[0]`"),
        ),
        ("extension", "name: b, match: host, resource: 'https://mcp.example.com/b', paths: [/weather]", None),
        ("host", "name: b, match: host, resource: 'https://b.example/weather'", None),
        ("host", "name: b, match: host, resource: 'https://mcp.example.com:444/weather'", None),
    ] {
        let text = replaced(SAMPLE, "match: extension", &format!("match: {matching}"));
        let text = replaced(&text, "    methods: []", &format!("  - {{{second}, issuers: [corp]}}"));
        let messages: Vec<String> = problems(&text).into_iter().map(|problem| problem.message).collect();
        assert_eq!(messages, expected.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{second}");
    }
}

#[test]
fn remedies() {
    for (old, new, help) in [
        ("    issuers: [corp]", "    isuers: [corp]\n    issuers: [corp]", "did you mean `issuers`?"),
        ("  admin:", "  tsl:", "the keys here are `grpc`, `admin`"),
        ("issuers: [corp]", "issuers: [crop]", "did you mean `corp`?"),
        ("issuers: [corp]", "issuers: [partners]", "the issuers are `corp`"),
        ("time_zone: UTC", "time_zone: Europe/Berln", "did you mean `Europe/Berlin`?"),
        ("denials: auto", "denials: json-rpc", "did you mean `jsonrpc`?"),
        ("stdout: {}", "stdout: {}\n  values: maskd", "did you mean `masked`?"),
        (
            "stdout: {}",
            "stdout: {}\n  source: hashed",
            "add `subject_key_file`, a file with a long random secret, or write `masked`",
        ),
        (
            "stdout: {}",
            "stdout: {}\n  values: {paths: {resource.name: masked}}",
            "write it as in a policy, such as `context.arguments.days` or `principal.department`",
        ),
        ("denials: auto", "denials: yes", "it is one of `auto`, `http`, `jsonrpc`"),
        ("depth: 64", "depth: 7", "choose a value from 8 to 512"),
        ("timeout: 1s", "timeout: 9ms", "choose a value from 10ms to 5000ms"),
        ("forward_token: false", "forward_token: no", "write `true` or `false`, without quotes"),
        ("  stdout: {}", "  stdout: {}\nlimits: {}", "remove one of them: the first is on line 37"),
    ] {
        let problems = problems(&replaced(SAMPLE, old, new));
        let found: Vec<&str> = problems.iter().filter_map(|problem| problem.help.as_deref()).collect();
        assert_eq!(found, [help], "{new}");
    }
}

#[test]
fn a_mark_is_exact_behind_text_outside_ascii() {
    for filler in ["# ä€😀\n", "# ä€😀\r\n", "\u{feff}# ä\n"] {
        for value in ["jason", "\"j\\\"a 'son\"", "'ja''s \"on'"] {
            let wrong = format!("denials: {value} # 😀 \"'");
            let text = format!("{filler}{}", replaced(SAMPLE, "denials: auto", &wrong));
            let problems = problems(&text);
            let found: Vec<_> = problems.iter().map(|problem| (marked(problem), problem.position())).collect();
            assert_eq!(found, [(value, Some((29, 14)))], "{filler:?}");
        }
    }
}

#[test]
fn a_revocation_file() {
    for (text, span, message) in [
        ("", "", "the file is empty"),
        ("corp", "corp", "the configuration must be a mapping, not text"),
        ("crop: {}", "{}", "`crop` names no issuer: `crop`"),
        ("corp: [a]", "[a]", "`corp` must be a mapping, not a list"),
        ("corp: {jtis: [a]}", "jtis", "`corp.jtis` is not a known key"),
        ("corp: {tokens: a}", "a", "`corp.tokens` must be a list, not text"),
        ("corp: {tokens: [4711]}", "4711", "`corp.tokens[0]` must be text, not a number"),
        ("corp: {subjects: ['']}", "''", "`corp.subjects[0]` is empty"),
        ("corp: {}\ncorp: {}", "corp", "`corp` is given twice"),
    ] {
        let (_, problems) = revocations(&Source::new("revoked.yaml", text), &["corp".to_owned()]);
        let found: Vec<_> = problems.iter().map(|problem| (marked(problem), problem.message.as_str())).collect();
        assert_eq!(found, [(span, message)], "{text:?}");
    }
    let (read, problems) = revocations(&Source::new("revoked.yaml", "{}"), &["corp".to_owned()]);
    assert_eq!((read, problems.len()), (Some(crate::token::Revocations::default()), 0));
}
