use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::audit::{Disclosure, Mode, Showing};
use crate::decision::server::Denials;
use crate::issuer::Pace;
use crate::policy::overlay::Overlay;
use crate::token::Algorithm;

mod bad;

/// Every supported key.
const SAMPLE: &str = r#"listen:
  grpc: 127.0.0.1:9191
  admin: 127.0.0.1:9192
time_zone: UTC
client_address: peer
policies: policies
issuers:
  - name: corp
    issuer: https://id.example.com
    jwks: {discover: true, max_stale: 24h}
    algorithms: [ES256, RS256]
    token_types: [at+jwt]
    groups: /groups
    scopes: {claim: /scope, implies: {"weather:admin": ["weather:read"]}}
    claims: {department: {type: String}, clearance: {type: Long, path: /ext/clearance}}
    introspection: {endpoint: 'https://auth.example.net/ask', client_id: gate, client_secret_file: pw, timeout: 1s}
    insecure_http: false
servers:
  - name: weather
    resource: https://mcp.example.com/weather
    paths: [/weather]
    match: extension
    issuers: [corp]
    tools: catalogs/weather.json
    arguments: {read_file: {path: path}, "*": {url: url}}
    scopes_supported: ["weather:read"]
    allowed_origins: []
    denials: auto
    forward_token: false
    accept_text_body: false
    dpop: {required: true, algorithms: [ES384], nonce_secret_file: nonces.secret}
    mtls: {required: true}
    challenge_held: true
    end_streams_at_expiry: false
    methods: []
revocations: revoked.yaml
limits: {body: 1MiB, message: 4MiB, depth: 64, nodes: 100000, token: 16KiB}
audit:
  file: {path: audit.jsonl}
  otlp: {endpoint: https://logs.example.com, headers_file: otlp.headers, ca_file: ca.pem}
  stdout: {}
"#;

/// The bounds of every amount of the audit trail are in range, and paths are taken from the folder.
#[test]
fn the_audit_trail_is_read() {
    for (size, age, records, interval, rate) in
        [("64KiB", "1m", "1", "250ms", "1"), ("1048576MiB", "8784h", "1000000", "1h", "100000")]
    {
        let audit = format!(
            "audit:\n  file: {{path: a.jsonl, mode: durable, rotate: {{size: {size}, age: {age}}}}}\n  \
             stdout: {{mode: best_effort}}\n  \
             checkpoints: {{key_file: key.pem, records: {records}, interval: {interval}, copy: /c.jsonl}}\n  \
             subject_key_file: s.key\n  unauthenticated_rate: {rate}\n"
        );
        let text = replaced(SMALLEST, "audit: {stdout: {}}\n", &audit);
        let config = accept(&text).resolved_from(Path::new("/etc"));
        let file = config.audit.file.unwrap();
        assert_eq!((file.path.value.as_path(), file.mode), (Path::new("/etc/a.jsonl"), Mode::Durable));
        assert!(file.rotation.size.is_some() && file.rotation.age.is_some());
        assert_eq!(config.audit.stdout, Some(Mode::BestEffort));
        let checkpoints = config.audit.checkpoints.unwrap();
        assert_eq!(checkpoints.key_file.value, Path::new("/etc/key.pem"));
        assert_eq!(checkpoints.copy.unwrap().value, Path::new("/c.jsonl"));
        assert_eq!(config.audit.subject_key_file.unwrap().value, Path::new("/etc/s.key"));
        assert_eq!(config.audit.unauthenticated_rate.to_string(), rate);
    }
}

#[test]
fn a_collector_is_read() {
    for (endpoint, rest, url, mode) in [
        ("http://collector:4318", "", "http://collector:4318/v1/logs", Mode::Strict),
        ("http://collector:4318/", ", mode: best_effort", "http://collector:4318/v1/logs", Mode::BestEffort),
        ("https://logs.example.com/otlp/", ", mode: strict", "https://logs.example.com/otlp/v1/logs", Mode::Strict),
    ] {
        let audit = format!("audit: {{otlp: {{endpoint: '{endpoint}'{rest}}}}}\n");
        let otlp = accept(&replaced(SMALLEST, "audit: {stdout: {}}\n", &audit)).audit.otlp.unwrap();
        assert_eq!((otlp.endpoint.as_str(), otlp.mode), (url, mode));
        assert_eq!((otlp.headers_file, otlp.ca_file), (None, None));
    }
    let otlp = accept(SAMPLE).resolved_from(Path::new("/etc")).audit.otlp.unwrap();
    assert_eq!(otlp.headers_file.unwrap().value, Path::new("/etc/otlp.headers"));
    assert_eq!(otlp.ca_file.unwrap().value, Path::new("/etc/ca.pem"));
}

/// What records show: in one word, or path by path. The default is everything.
#[test]
fn what_records_show_is_read() {
    let disclosure = |more: &str| {
        let audit = format!("audit:\n  stdout: {{}}\n  subject_key_file: s.key\n{more}");
        accept(&replaced(SMALLEST, "audit: {stdout: {}}\n", &audit)).audit.disclosure()
    };
    assert_eq!(disclosure(""), Disclosure::default());
    for (word, showing) in [("shown", Showing::Shown), ("masked", Showing::Masked), ("hashed", Showing::Hashed)] {
        let expected = Disclosure { values: showing, paths: Vec::new(), source: showing };
        assert_eq!(disclosure(&format!("  values: {word}\n  source: {word}\n")), expected);
    }
    let text = "  values: {default: masked, paths: {'context[\"arguments\"].a[\"b c\"]': hashed, principal: shown}}\n";
    let paths =
        vec![("context.arguments.a[\"b c\"]".to_owned(), Showing::Hashed), ("principal".to_owned(), Showing::Shown)];
    assert_eq!(disclosure(text), Disclosure { values: Showing::Masked, paths, source: Showing::Shown });
}

/// Nothing that has a default.
const SMALLEST: &str = "listen: {grpc: '127.0.0.1:9191'}
policies: policies
issuers: [{name: corp, issuer: 'https://id.example.com', jwks: {file: keys.json}}]
servers: [{name: weather, resource: 'https://mcp.example.com/weather', issuers: [corp]}]
audit: {stdout: {}}
";

#[track_caller]
fn accept(text: &str) -> Config {
    let (config, problems) = parse(&Source::new("toolgate.yaml", text));
    assert!(problems.is_empty(), "{}", crate::problem::render(&problems, false));
    config.unwrap()
}

fn problems(text: &str) -> Vec<Problem> {
    parse(&Source::new("toolgate.yaml", text)).1
}

/// The text of `problem`'s span.
fn marked(problem: &Problem) -> &str {
    problem.span.clone().map_or("", |span| problem.source.text.get(span).unwrap())
}

#[track_caller]
fn replaced(text: &str, old: &str, new: &str) -> String {
    assert_eq!(text.matches(old).count(), 1, "`{old}` must stand in the sample once");
    text.replace(old, new)
}

#[test]
fn the_sample_is_read_as_it_is_meant() {
    let config = accept(SAMPLE);
    assert_eq!(config.listen.admin, Some("127.0.0.1:9192".parse().unwrap()));
    assert_eq!(config.client_address, Some(ClientAddress::Peer));
    let issuer = &config.issuers[0];
    assert_eq!(issuer.keys, Some(KeySource::Discover));
    let asked = issuer.introspection.as_ref().unwrap();
    assert_eq!((asked.endpoint.as_str(), asked.client_id.as_str()), ("https://auth.example.net/ask", "gate"));
    assert_eq!(asked.credential.file().value, Path::new("pw"));
    assert_eq!((asked.timeout, asked.concurrency, asked.cache), (Duration::from_secs(1), 64, Duration::from_secs(30)));
    assert_eq!(issuer.pace, Pace::DEFAULT);
    assert_eq!(issuer.implies, [("weather:admin".to_owned(), vec!["weather:read".to_owned()])]);
    assert_eq!(issuer.rules.algorithms, [Algorithm::ES256, Algorithm::RS256]);
    assert_eq!(issuer.rules.token_types, ["at+jwt"]);
    assert_eq!(issuer.rules.groups.as_deref(), Some("/groups"));
    let pointers: Vec<&str> = issuer.rules.claims.iter().map(|claim| claim.pointer.as_str()).collect();
    assert_eq!(pointers, ["/department", "/ext/clearance"]);
    let server = &config.servers[0];
    assert_eq!(server.paths, ["/weather"]);
    assert_eq!(SAMPLE.get(server.tools.clone().unwrap().span), Some("catalogs/weather.json"));
    let overlays: Vec<_> =
        server.overlays.iter().map(|it| (it.tool.value.as_str(), it.argument.value.as_str(), it.overlay)).collect();
    assert_eq!(overlays, [("read_file", "path", Overlay::Path), ("*", "url", Overlay::Url)]);
    let dpop = server.dpop.as_ref().unwrap();
    assert_eq!((dpop.required, &dpop.algorithms[..]), (true, &[Algorithm::ES384][..]));
    assert_eq!(SAMPLE.get(dpop.nonce_secret_file.clone().unwrap().span), Some("nonces.secret"));
    assert!(server.mtls.is_some_and(|mtls| mtls.required));
    assert!(config.audit.stdout.is_some() && config.audit.file.is_some());
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = accept(SMALLEST);
    assert_eq!(config.listen.admin, None);
    assert_eq!(config.client_address, None);
    assert_eq!(config.time_zone, TimeZone::UTC);
    assert_eq!(
        config.limits,
        LimitsConfig { body: 1 << 20, message: 4 << 20, depth: 64, nodes: 100_000, token: 16 << 10 }
    );
    let rules = &config.issuers[0].rules;
    assert_eq!(rules.algorithms, [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA]);
    assert_eq!(rules.token_types, ["at+jwt", "application/at+jwt"]);
    assert_eq!((rules.scope_claim.as_str(), rules.groups.as_deref()), ("/scope", None));
    let server = &config.servers[0];
    assert_eq!(
        (server.paths[0].as_str(), server.matching, server.denials),
        ("/weather", Matching::Extension, Denials::Auto)
    );
    assert!(server.dpop.is_none() && server.mtls.is_none(), "bound tokens are refused unless configured");
    let flags = [server.forward_token, server.accept_text_body, server.challenge_held, server.end_streams_at_expiry];
    assert_eq!(flags, [false, false, true, false]);
}

/// `""` is how the page says that a token may have no `typ`; it was refused as an empty value.
#[test]
fn no_token_type_is_a_token_type() {
    let config = accept(&replaced(SAMPLE, "[at+jwt]", "[JWT, \"\"]"));
    assert_eq!(config.issuers[0].rules.token_types, ["JWT", ""]);
}

#[test]
fn other_forms_are_accepted() {
    for (old, new) in [
        ("grpc: 127.0.0.1:9191", "grpc: 'unix:/run/toolgate.sock'"),
        ("grpc: 127.0.0.1:9191", "grpc: ['[::]:9191', {address: 'unix:s', server: weather}]"),
        ("grpc: 127.0.0.1:9191", "grpc: ['127.0.0.1:0', '127.0.0.1:0', '127.0.0.2:9192']"),
        ("time_zone: UTC", "time_zone: Europe/Berlin"),
        ("client_address: peer", "client_address: {xff_hops: 2}"),
        ("{discover: true, max_stale: 24h}", "{url: 'https://id.example.com/keys?tenant=a'}"),
        ("type: String", "type: Set<String>"),
        ("match: extension", "match: host"),
        ("paths: [/weather]", "paths: [/weather, /weather/v2, '/a%20b']"),
        ("resource: https://mcp.example.com/weather", "resource: http://127.0.0.1:8080/weather"),
        ("resource: https://mcp.example.com/weather", "resource: http://[::1]/weather"),
        ("resource: https://mcp.example.com/weather", "resource: https://mcp.example.com:443"),
        ("insecure_http: false", "insecure_http: true"),
        (
            "allowed_origins: []",
            "allowed_origins: ['https://a.example', 'http://localhost:6274', 'vscode-webview://0a-b']",
        ),
        ("methods: []", "methods: [acme/audit]"),
        ("body: 1MiB", "body: 1024"),
        ("body: 1MiB, message: 4MiB", "body: 8MiB, message: 16MiB"),
        ("depth: 64, nodes: 100000, token: 16KiB", "depth: 8, nodes: 64, token: 1KiB"),
        ("depth: 64, nodes: 100000, token: 16KiB", "depth: 512, nodes: 10000000, token: 16KiB"),
        ("listen:", "--- # one document\nlisten:"),
        ("    jwks: {discover: true, max_stale: 24h}\n", ""),
        ("client_secret_file: pw", "private_key: {file: key.pem, algorithm: PS256, kid: one}"),
        ("client_id: gate", "client_id: 'the gate'"),
        ("https://auth.example.net/ask", "https://auth.example.net/ask?tenant=one"),
        ("timeout: 1s", "timeout: 10ms, concurrency: 1, cache: 0s"),
        ("timeout: 1s", "timeout: 5s, concurrency: 1024, cache: 5m"),
    ] {
        accept(&replaced(SAMPLE, old, new));
    }
    let plain = replaced(
        &replaced(SAMPLE, "insecure_http: false", "insecure_http: true"),
        "https://id.",
        "http://localhost:1/id.",
    );
    assert_eq!(accept(&plain).issuers[0].rules.issuer, "http://localhost:1/id.example.com");
    accept(&format!("\u{feff}{SAMPLE}"));
    accept(&SAMPLE.replace('\n', "\r\n"));
}

#[test]
fn keys_may_grow_as_old_as_it_says() {
    for (text, hours) in [("1h", 1), ("60m", 1), ("3600s", 1), ("168h", 168), ("24h", 24)] {
        let config = accept(&replaced(SAMPLE, "max_stale: 24h", &format!("max_stale: {text}")));
        let max_stale = Duration::from_secs(hours * 3600);
        assert_eq!(config.issuers[0].pace, Pace { max_stale, ..Pace::DEFAULT }, "{text}");
    }
    assert_eq!(accept(&replaced(SAMPLE, ", max_stale: 24h", "")).issuers[0].pace, Pace::DEFAULT);
}

#[test]
fn a_resource_is_kept_as_written_beside_the_form_that_compares() {
    for (url, authority, path) in [
        ("https://mcp.example.com", "mcp.example.com", "/"),
        ("https://mcp.example.com:443/a/", "mcp.example.com", "/a/"),
        ("https://mcp.example.com:8443/a%20b", "mcp.example.com:8443", "/a%20b"),
        ("http://[::1]:80/a", "[::1]", "/a"),
    ] {
        let resource = values::resource(url).unwrap();
        assert_eq!(resource, Resource { url: url.to_owned(), authority: authority.to_owned(), path: path.to_owned() });
    }
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let text = replaced(SAMPLE, "127.0.0.1:9191", "'unix:toolgate.sock'");
    let text = replaced(&text, "{discover: true, max_stale: 24h}", "{file: /keys.json}");
    let config = accept(&text).resolved_from(Path::new("/etc/toolgate"));
    let credential = &config.issuers[0].introspection.as_ref().unwrap().credential;
    assert_eq!(credential.file().value, Path::new("/etc/toolgate/pw"));
    assert_eq!(config.policies.value, Path::new("/etc/toolgate/policies"));
    assert_eq!(config.listen.grpc[0].address, Address::Unix("/etc/toolgate/toolgate.sock".into()));
    assert!(matches!(&config.issuers[0].keys, Some(KeySource::File(path)) if path.value == Path::new("/keys.json")));
    assert_eq!(config.servers[0].tools.as_ref().unwrap().value, Path::new("/etc/toolgate/catalogs/weather.json"));
    assert_eq!(config.audit.file.unwrap().path.value, Path::new("/etc/toolgate/audit.jsonl"));
}

#[test]
fn ten_mistakes_are_ten_problems() {
    let text = "# Überall ein Fehler
listen: {grpc: 127.0.0.1, admn: '127.0.0.1:9192'}
time_zone: Europe/Berln
policies: policies
issuers:
  - name: Corp
    issuer: http://id.example.com
    jwks: {}
servers:
  - name: weather
    resource: https://mcp.example.com/weather?a=b
    issuers: [Corp]
    denials: yes
limits: {depth: 7}
audit: {}
";
    let mut problems = problems(text);
    problems.sort_by_key(Problem::position);
    let found: Vec<(&str, Option<(usize, usize)>)> = problems.iter().map(|it| (marked(it), it.position())).collect();
    let expected = [
        ("127.0.0.1", (2, 16)),
        ("admn", (2, 27)),
        ("Europe/Berln", (3, 12)),
        ("Corp", (6, 11)),
        ("http://id.example.com", (7, 13)),
        ("{}", (8, 11)),
        ("https://mcp.example.com/weather?a=b", (11, 15)),
        ("yes", (13, 14)),
        ("7", (14, 17)),
        ("{}", (15, 8)),
    ];
    assert_eq!(found, expected.map(|(span, position)| (span, Some(position))));
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "[a-z:\\-\\[\\]{}&*!#|>'\"%@,? \t\r\n0-9äß€😀\u{feff}\u{85}]{0,80}") {
        check_spans(&text)?;
    }

    #[test]
    fn any_mutation_of_the_sample_is_read_without_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, "[a-z:\\-\\[\\]{}&*!#|>'\"\\\\ \t\r\n0-9ä😀]{0,6}"), 1..6)
    ) {
        let mut text = SAMPLE.to_owned();
        for (place, length, new) in edits {
            let places: Vec<usize> = text.char_indices().map(|(offset, _)| offset).chain([text.len()]).collect();
            let start = place.index(places.len());
            let end = (start + length).min(places.len() - 1);
            text.replace_range(places[start]..places[end], &new);
        }
        check_spans(&text)?;
    }
}

/// Reads `text`; every problem must lie on character boundaries inside it and have a way to be drawn.
fn check_spans(text: &str) -> Result<(), TestCaseError> {
    let problems = problems(text);
    for problem in &problems {
        let span = problem.span.clone().unwrap();
        prop_assert!(text.get(span).is_some(), "{problem:?}");
    }
    prop_assert_eq!(crate::problem::render(&problems, false).is_empty(), problems.is_empty());
    Ok(())
}
