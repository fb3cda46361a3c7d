//! Other rules while serving: what replaces what, what stays, and what a token that was verified before is worth then.

use std::borrow::Borrow;
use std::cell::Cell;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::json;
use toolgate::audit::{Audit, AuditSettings};
use toolgate::clock::Clock;
use toolgate::decision::ClientAddress;
use toolgate::envoy::check::Gate;
use toolgate::envoy::proofs::Proofs;
use toolgate::envoy::tokens::Tokens;
use toolgate::envoy::wire::check_response::HttpResponse;
use toolgate::envoy::wire::{CheckRequest, CheckResponse, RawCheck};
use toolgate::metrics::Metrics;
use toolgate::reload::generation::Generation;
use toolgate::reload::load::load;
use toolgate::reload::{Live, Pace, Trigger, Watch, watch};

use crate::cli::audit::keys;
use crate::cli::support::{CONFIG, FORECAST, Files, question, wait_for};
use crate::support::endpoint::{IntrospectionServer, Reply};
use crate::support::gate::{decoded, settled};

/// A gate over a folder of files, in this process: reloads happen when the test says so.
pub(crate) struct Gated<F = Files> {
    files: F,
    pub(crate) gate: Gate,
}

impl Gated {
    fn new() -> Self {
        Self::over(Files::new(), "toolgate.yaml")
    }
}

impl<F: Borrow<Files>> Gated<F> {
    pub(crate) fn over(files: F, config: &str) -> Self {
        let found: &Files = files.borrow();
        let config: PathBuf = found.path(config);
        let clock = Clock::Set(Arc::new(AtomicI64::new(Clock::System.now().millis())));
        let metrics = Arc::new(Metrics::new("1.2.3"));
        let settings = AuditSettings::file(found.path("audit/audit.jsonl"));
        let audit = Arc::new(Audit::open(&settings, clock.now()).unwrap());
        let first = Generation::start(load(&config).unwrap(), None, &metrics, clock.now()).unwrap();
        let live = Arc::new(Live::new(first, config, metrics.clone(), audit.clone(), clock.clone()));
        let gate = Gate {
            live,
            tokens: Tokens::default(),
            proofs: Proofs::default(),
            audit,
            metrics,
            clock,
            message_limit: 1 << 20,
        };
        Self { files, gate }
    }
}

impl Gated {
    /// The reason of the answer, which may take an issuer's word.
    async fn asked(&self, question: &CheckRequest) -> String {
        let message = RawCheck::new(prost::Message::encode_to_vec(question).into());
        reason(decoded(&self.gate.answer(message, None, None).await))
    }

    /// The reason of the answer.
    fn ask(&self, question: &CheckRequest) -> String {
        let message = RawCheck::new(prost::Message::encode_to_vec(question).into());
        reason(decoded(&settled(self.gate.answer(message, None, None))))
    }

    /// A call for the forecast of three days, with a token of this folder's key.
    fn forecast(&self) -> CheckRequest {
        question(&self.files.token("ada", "weather:read"), "get_forecast", &json!({"city": "Oslo", "days": 3}))
    }

    /// Looks at the files; the generation that holds then.
    fn look(&self) -> u64 {
        self.gate.live.reload(Trigger::Files);
        self.gate.live.current().rules.generation
    }

    #[track_caller]
    fn metric(&self, line: &str) {
        let text = self.gate.metrics.encode();
        assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
    }
}

fn reason(answer: CheckResponse) -> String {
    let status = answer.status.unwrap();
    match answer.http_response {
        Some(HttpResponse::OkResponse(_)) if status.code == 0 => "allow".to_owned(),
        _ => status.message,
    }
}

#[test]
fn the_same_files_are_not_another_generation() {
    let gated = Gated::new();
    let digest = gated.gate.live.current().rules.digest.clone();
    gated.files.write("policies/forecast.cedar", FORECAST);
    gated.files.write("unrelated.txt", "nothing");
    assert_eq!(gated.look(), 1);
    gated.files.write("policies/forecast.cedar", &format!("{FORECAST}// a comment\n"));
    assert_eq!(gated.look(), 2);
    assert_ne!(gated.gate.live.current().rules.digest, digest);
    gated.files.write("policies/forecast.cedar", FORECAST);
    assert_eq!(gated.look(), 3);
    assert_eq!(gated.gate.live.current().rules.digest, digest, "a digest names the content, not the history");
}

/// Every way in which files are caught in the middle of something.
#[test]
fn what_does_not_load_changes_nothing() {
    let policies = "policies/forecast.cedar";
    let half = FORECAST.split_at(FORECAST.len() / 2).0;
    type Breakage<'a> = (&'a str, &'a dyn Fn(&Files));
    let broken: [Breakage<'_>; 9] = [
        ("a file half written", &|files| drop(files.write(policies, half))),
        ("an empty file", &|files| drop(files.write(policies, ""))),
        ("a file of comments", &|files| drop(files.write(policies, "// nothing\n"))),
        ("no policies", &|files| std::fs::remove_dir_all(files.path("policies")).unwrap()),
        ("no configuration", &|files| std::fs::remove_file(files.path("toolgate.yaml")).unwrap()),
        ("an empty configuration", &|files| drop(files.write("toolgate.yaml", ""))),
        ("no catalogue", &|files| std::fs::remove_file(files.path("weather.json")).unwrap()),
        ("a torn catalogue", &|files| drop(files.write("weather.json", "{\"tools\": ["))),
        ("no keys", &|files| std::fs::remove_file(files.path("keys.json")).unwrap()),
    ];
    for (what, break_it) in broken {
        let gated = Gated::new();
        break_it(&gated.files);
        assert_eq!(gated.look(), 1, "{what}");
        assert_eq!(gated.ask(&gated.forecast()), "allow", "{what}");
        assert!(gated.gate.live.failure().is_some(), "{what}");
        gated.look();
        gated.metric("toolgate_reload_total{outcome=\"refused\"} 1");
    }
}

#[test]
fn a_failure_is_forgotten_with_the_files_that_caused_it() {
    let gated = Gated::new();
    gated.files.write("policies/forecast.cedar", "permit (principal");
    assert_eq!(gated.look(), 1);
    assert!(gated.gate.live.failure().is_some());
    gated.files.write("policies/forecast.cedar", FORECAST);
    assert_eq!(gated.look(), 1, "what holds is what is there again");
    assert!(gated.gate.live.failure().is_none());
    gated.look();
    gated.metric("toolgate_reload_total{outcome=\"unchanged\"} 1");
    gated.gate.live.reload(Trigger::Signal);
    gated.metric("toolgate_reload_total{outcome=\"unchanged\"} 2");
}

#[test]
fn a_policy_that_goes_is_gone() {
    let gated = Gated::new();
    assert_eq!(gated.ask(&gated.forecast()), "allow");
    std::fs::remove_file(gated.files.path("policies/forecast.cedar")).unwrap();
    assert_eq!(gated.look(), 2);
    assert_eq!(gated.ask(&gated.forecast()), "policy_denied");
}

/// A call of `delete_station` by somebody in `groups`, with a token that is remembered after the first.
fn deletion(gated: &Gated, groups: &[&str]) -> CheckRequest {
    let token = gated.files.token_with("ada", "weather:read", &json!({"groups": groups}));
    question(&token, "delete_station", &json!({"station": "oslo"}))
}

/// Which groups a token names is a fact of the token; which groups these are in is one of the rules, and read on every request.
#[test]
fn groups_in_groups_hold_for_remembered_tokens() {
    let gated = Gated::new();
    std::fs::remove_file(gated.files.path("policies/stations.cedar")).unwrap();
    let operators = "@id(\"operators\")\npermit (principal in Group::\"corp:operators\", action in Action::\"weather:*\", resource);";
    gated.files.write("policies/operators.cedar", operators);
    assert_eq!(gated.look(), 2, "{:?}", gated.gate.live.failure());
    let asked = deletion(&gated, &["night"]);
    assert_eq!(gated.ask(&asked), "policy_denied");
    for (generation, hierarchy, expected) in [
        (
            3,
            "Group::\"corp:night\": [Group::\"corp:shift\"]\nGroup::\"corp:shift\": [Group::\"corp:operators\"]\n",
            "allow",
        ),
        (4, "Group::\"corp:night\": [Group::\"corp:shift\"]\n", "policy_denied"),
        (5, "Group::\"corp:night\": [Group::\"corp:operators\"]\n", "allow"),
        (5, "Group::\"corp:night\": [Group::\"corp:night\"]\n", "allow"),
        (6, "{}\n", "policy_denied"),
        (6, "", "policy_denied"),
    ] {
        gated.files.write("policies/entities.yaml", hierarchy);
        assert_eq!(gated.look(), generation, "{hierarchy}");
        assert_eq!(gated.ask(&asked), expected, "{hierarchy}");
    }
    gated.metric("toolgate_token_cache_total{result=\"miss\"} 1");
}

#[test]
fn links_come_and_go_with_their_file() {
    let gated = Gated::new();
    std::fs::remove_file(gated.files.path("policies/stations.cedar")).unwrap();
    let template = "@id(\"may-delete\")\npermit (principal in ?principal, action == Action::\"weather:delete_station\", resource);";
    gated.files.write("policies/delete.cedar", template);
    assert_eq!(gated.look(), 2, "{:?}", gated.gate.live.failure());
    let asked = deletion(&gated, &["operators"]);
    assert_eq!(gated.ask(&asked), "policy_denied");
    for (generation, links, expected) in [
        (3, "- {template: may-delete, id: operators-delete, principal: Group::\"corp:operators\"}\n", "allow"),
        (3, "- {template: may-delete, id: operators-delete, principal: Group::\"crop:operators\"}\n", "allow"),
        (4, "- {template: may-delete, id: others-delete, principal: Group::\"corp:others\"}\n", "policy_denied"),
        (5, "- {template: may-delete, id: ada-deletes, principal: User::\"corp:ada\"}\n", "allow"),
    ] {
        gated.files.write("policies/links.yaml", links);
        assert_eq!(gated.look(), generation, "{links}");
        assert_eq!(gated.ask(&asked), expected, "{links}");
    }
    assert_eq!(
        gated.gate.live.current().rules.engine.bundle().iter().filter(|policy| &*policy.id == "ada-deletes").count(),
        1
    );
    std::fs::remove_file(gated.files.path("policies/links.yaml")).unwrap();
    assert_eq!(gated.look(), 6);
    assert_eq!(gated.ask(&asked), "policy_denied");
}

/// A catalogue, its schema and the policies on it change together or not at all.
#[test]
fn a_catalogue_and_its_policies_are_one() {
    let gated = Gated::new();
    let (head, _) = FORECAST.split_once("unless").unwrap();
    gated.files.write("policies/forecast.cedar", &format!("{head}when {{ context.arguments.town == \"Oslo\" }};"));
    assert_eq!(gated.look(), 1, "the catalogue knows no town");
    assert_eq!(gated.ask(&gated.forecast()), "allow");
    let catalog = std::fs::read_to_string(gated.files.path("weather.json")).unwrap();
    gated.files.write("weather.json", &catalog.replace("\"city\"", "\"town\""));
    assert_eq!(gated.look(), 2);
    let token = gated.files.token("ada", "weather:read");
    for (arguments, expected) in [
        (json!({"town": "Oslo"}), "allow"),
        (json!({"town": "Rome"}), "policy_denied"),
        (json!({"city": "Oslo"}), "argument_unrepresentable"),
    ] {
        assert_eq!(gated.ask(&question(&token, "get_forecast", &arguments)), expected, "{arguments}");
    }
}

/// INVARIANT (nothing stale verifies): a key that is gone empties what it verified, and nothing else does.
#[test]
fn a_withdrawn_key_verifies_nothing_from_memory() {
    let gated = Gated::new();
    let asked = gated.forecast();
    assert_eq!(gated.ask(&asked), "allow");
    assert_eq!(gated.ask(&asked), "allow");
    gated.metric("toolgate_token_cache_total{result=\"miss\"} 1");
    gated.metric("toolgate_token_cache_total{result=\"hit\"} 1");

    gated.files.write("policies/forecast.cedar", &format!("{FORECAST}// a comment\n"));
    assert_eq!(gated.look(), 2);
    assert_eq!(gated.ask(&asked), "allow");
    gated.metric("toolgate_token_cache_total{result=\"hit\"} 2");

    let keys = std::fs::read_to_string(gated.files.path("keys.json")).unwrap();
    let others = std::fs::read_to_string(Files::new().path("keys.json")).unwrap();
    gated.files.write("keys.json", &others);
    assert_eq!(gated.look(), 3);
    assert_eq!(gated.ask(&asked), "token_invalid");

    gated.files.write("keys.json", &keys);
    assert_eq!(gated.look(), 4);
    assert_eq!(gated.ask(&asked), "allow");
}

/// Lines above an issuer move it within its file; it is the same issuer, with what it knows. A changed one ends the other,
/// whatever is still remembered of it.
#[test]
fn an_issuer_is_kept_for_what_it_says_and_ends_when_it_is_replaced() {
    let gated = Gated::new();
    let asked = gated.forecast();
    assert_eq!(gated.ask(&asked), "allow");
    let issuer = || Arc::downgrade(&gated.gate.live.current().issuer("corp").unwrap().issuer);
    let first = issuer();
    gated.files.write("toolgate.yaml", &format!("# a line more\n{CONFIG}"));
    assert_eq!(gated.look(), 2);
    assert!(first.ptr_eq(&issuer()));
    assert_eq!(gated.ask(&asked), "allow");
    gated.files.write("toolgate.yaml", &CONFIG.replacen("groups: /groups", "algorithms: [RS256]", 1));
    assert_eq!(gated.look(), 3);
    assert_eq!(first.strong_count(), 0);
}

/// A remembered token is worth what the issuer's and the server's settings say now.
#[test]
fn changed_settings_hold_for_remembered_tokens() {
    for (old, new, expected) in [
        ("resource: https://mcp.example.com/weather", "resource: https://mcp.example.com/other", "no_route"),
        (
            "resource: https://mcp.example.com/weather",
            "resource: https://mcp.example.com/other\n    paths: [/weather]",
            "token_invalid",
        ),
        ("issuer: https://id.example.com", "issuer: https://id.example.com/other", "token_invalid"),
        ("groups: /groups", "token_types: [application/jwt]", "token_invalid"),
        ("groups: /groups", "algorithms: [RS256]", "token_invalid"),
        ("groups: /groups", "scopes: {claim: /scp}", "scope_insufficient"),
    ] {
        let gated = Gated::new();
        let asked = gated.forecast();
        assert_eq!(gated.ask(&asked), "allow");
        let scopes = "    scopes: {implies: {\"weather:admin\": [\"weather:read\"]}}\n";
        let base = if new.starts_with("scopes") { CONFIG.replace(scopes, "") } else { CONFIG.to_owned() };
        assert!(base.contains(old));
        gated.files.write("toolgate.yaml", &base.replacen(old, new, 1));
        assert_eq!(gated.look(), 2, "{new}: {:?}", gated.gate.live.failure());
        assert_eq!(gated.ask(&asked), expected, "{new}");
    }
}

/// A revocation holds for remembered tokens, and is not lost to a file that is caught in the middle of something.
#[test]
fn a_revocation_holds_until_it_is_taken_back() {
    let gated = Gated::new();
    let asked = gated.forecast();
    gated.files.write("revoked.yaml", "{}\n");
    gated.files.write("toolgate.yaml", &format!("{CONFIG}revocations: revoked.yaml\n"));
    assert_eq!(gated.look(), 2, "{:?}", gated.gate.live.failure());
    assert_eq!(gated.ask(&asked), "allow");
    gated.files.write("revoked.yaml", "corp: {subjects: [ada]}\n");
    assert_eq!(gated.look(), 3);
    assert_eq!(gated.ask(&asked), "token_invalid");
    for broken in ["", "# nothing\n", "corp: {subjects: [a", "corp: {subject: []}\n", "crop: {subjects: []}\n"] {
        gated.files.write("revoked.yaml", broken);
        assert_eq!(gated.look(), 3, "{broken:?}");
        assert_eq!(gated.ask(&asked), "token_invalid", "{broken:?}");
    }
    std::fs::remove_file(gated.files.path("revoked.yaml")).unwrap();
    assert_eq!(gated.look(), 3);
    assert_eq!(gated.ask(&asked), "token_invalid");
    gated.files.write("revoked.yaml", "{}\n");
    assert_eq!(gated.look(), 4);
    assert_eq!(gated.ask(&asked), "allow");
}

/// The configuration whose issuer is asked about opaque tokens at `base`.
fn with_introspection(base: &str) -> String {
    let asked = format!(
        "introspection: {{endpoint: \"{base}/\", client_id: gate, client_secret_file: secret, timeout: 5s}}\n    \
         insecure_http: true"
    );
    CONFIG.replace("jwks: {file: keys.json}", &format!("jwks: {{file: keys.json}}\n    {asked}"))
}

/// What an issuer said is worth as much as the object that asked: a changed secret empties it, other changes do not.
#[tokio::test]
async fn another_secret_is_another_question() {
    let now = Clock::System.now().seconds();
    let claims = json!({
        "active": true, "aud": "https://mcp.example.com/weather", "sub": "ada", "client_id": "agent",
        "scope": "weather:read", "iat": now, "exp": now + 3600,
    });
    let server = IntrospectionServer::always(Reply::Json(claims.to_string()));
    let files = Files::new();
    files.write("secret", "s3cret-1\n");
    files.write("toolgate.yaml", &with_introspection(&server.base));
    let gated = Gated::over(files, "toolgate.yaml");
    let call = json!({"city": "Oslo", "days": 3});
    let opaque = question("2YotnFZFEjr1zCsicMWpAA", "get_forecast", &call);
    assert_eq!(gated.asked(&opaque).await, "allow");
    assert_eq!(gated.asked(&opaque).await, "allow");
    assert_eq!(gated.ask(&opaque), "allow", "nothing to wait for any more");
    assert_eq!(gated.ask(&gated.forecast()), "allow", "a JWT waits for nobody");
    assert_eq!(server.count(), 1);
    gated.metric("toolgate_introspections_total{issuer=\"corp\",outcome=\"active\"} 1");

    gated.files.write("policies/forecast.cedar", &format!("{FORECAST}// a comment\n"));
    assert_eq!(gated.look(), 2);
    assert_eq!((gated.ask(&opaque), server.count()), ("allow".to_owned(), 1));

    gated.files.write("secret", "");
    assert_eq!(gated.look(), 2, "an empty secret does not load");
    let failure = gated.gate.live.failure().unwrap().message;
    assert!(failure.contains("the file of the client secret is empty"), "{failure}");
    assert_eq!((gated.ask(&opaque), server.count()), ("allow".to_owned(), 1));

    gated.files.write("secret", "s3cret-2\n");
    assert_eq!(gated.look(), 3);
    assert_eq!((gated.asked(&opaque).await.as_str(), server.count()), ("allow", 2));
    let proofs: Vec<_> = server.asked().iter().map(|asked| asked.header("authorization").map(str::to_owned)).collect();
    assert_eq!(proofs, [Some("Basic Z2F0ZTpzM2NyZXQtMQ==".to_owned()), Some("Basic Z2F0ZTpzM2NyZXQtMg==".to_owned())]);

    server.turn(Reply::Json(json!({"active": false}).to_string()));
    gated.files.write("secret", "s3cret-1\n");
    assert_eq!(gated.look(), 4);
    assert_eq!(gated.asked(&opaque).await, "token_invalid", "what the first object was told is gone with it");
    let shown = format!("{:?}", gated.gate);
    assert!(shown.contains("Credential(") && !shown.contains("s3cret") && !shown.contains("Z2F0ZTp"));
}

/// What was made of an answer ends with it: once the issuer says otherwise, the scopes of before are gone.
#[tokio::test]
async fn an_answer_that_was_replaced_counts_no_more() {
    let now = Clock::System.now().seconds();
    let says = |scope: &str| {
        let claims = json!({
            "active": true, "aud": "https://mcp.example.com/weather", "sub": "ada", "client_id": "agent",
            "scope": scope, "iat": now, "exp": now + 3600,
        });
        Reply::Json(claims.to_string())
    };
    let server = IntrospectionServer::always(says("weather:read"));
    let files = Files::new();
    files.write("secret", "s3cret-1\n");
    files.write("toolgate.yaml", &with_introspection(&server.base));
    let gated = Gated::over(files, "toolgate.yaml");
    let opaque = question("2YotnFZFEjr1zCsicMWpAA", "get_forecast", &json!({"city": "Oslo", "days": 3}));
    assert_eq!(gated.asked(&opaque).await, "allow");
    assert_eq!(gated.ask(&opaque), "allow");
    server.turn(says("weather:nothing"));
    assert_eq!(gated.ask(&opaque), "allow", "the first answer is still remembered");
    let Clock::Set(clock) = &gated.gate.clock else { panic!("a clock that stands still") };
    clock.fetch_add(600_000, Ordering::Relaxed);
    assert_eq!(gated.asked(&opaque).await, "scope_insufficient");
    assert_eq!((gated.ask(&opaque).as_str(), server.count()), ("scope_insufficient", 2));
}

/// As Kubernetes mounts a ConfigMap: files are links through `..data`, which is swapped in one step.
#[test]
fn a_mounted_folder_is_swapped_whole() {
    let files = Files::new();
    let folder = files.path("policies");
    std::fs::remove_dir_all(&folder).unwrap();
    files.write("policies/..first/forecast.cedar", FORECAST);
    files.write("policies/..second/forecast.cedar", &FORECAST.replace("days > 7", "days > 2"));
    let point = |to: &str| {
        let next = folder.join("..data_tmp");
        std::os::unix::fs::symlink(to, &next).unwrap();
        std::fs::rename(next, folder.join("..data")).unwrap();
    };
    point("..first");
    std::os::unix::fs::symlink("..data/forecast.cedar", folder.join("forecast.cedar")).unwrap();
    let gated = Gated::over(files, "toolgate.yaml");
    assert_eq!(gated.gate.live.current().rules.engine.bundle().len(), 1, "once, not once more below `..data`");
    assert_eq!(gated.ask(&gated.forecast()), "allow");
    point("..second");
    assert_eq!(gated.look(), 2);
    assert_eq!(gated.ask(&gated.forecast()), "policy_denied");
}

/// A file that cannot be read is not the same as no file, although neither has a text.
#[test]
fn what_cannot_be_read_is_not_passed_over() {
    type Breakage<'a> = (&'a str, &'a dyn Fn(&Path));
    let broken: [Breakage<'_>; 4] = [
        ("no text", &|path| std::fs::write(path, b"permit (\xff").unwrap()),
        ("a link that leads nowhere", &|path| std::os::unix::fs::symlink("nowhere", path).unwrap()),
        ("a link to itself", &|path| std::os::unix::fs::symlink("more.cedar", path).unwrap()),
        ("a socket", &|path| drop(std::os::unix::net::UnixListener::bind(path).unwrap())),
    ];
    for (what, break_it) in broken {
        let gated = Gated::new();
        break_it(&gated.files.path("policies/more.cedar"));
        assert_eq!(gated.look(), 1, "{what}");
        let failure = gated.gate.live.failure().unwrap_or_else(|| panic!("{what} was passed over"));
        assert!(failure.message.contains("cannot read") && failure.message.contains("more.cedar"), "{failure:?}");
        assert_eq!(gated.ask(&gated.forecast()), "allow", "{what}");
        std::fs::remove_file(gated.files.path("policies/more.cedar")).unwrap();
        assert_eq!((gated.look(), gated.gate.live.failure()), (1, None), "{what}");
    }
}

/// The digest names the content, wherever it is mounted.
#[test]
fn the_same_files_elsewhere_have_the_same_digest() {
    let digest = |gated: &Gated| gated.gate.live.current().rules.digest.clone();
    let gated = Gated::new();
    let copy = Files::new();
    for name in ["keys.json", "toolgate.yaml", "weather.json", "policies/forecast.cedar", "policies/stations.cedar"] {
        copy.write(name, &std::fs::read_to_string(gated.files.path(name)).unwrap());
    }
    let elsewhere = Gated::over(copy, "toolgate.yaml");
    assert_eq!(digest(&gated), digest(&elsewhere));
    let moved = elsewhere.files.path("policies/forecast.cedar");
    std::fs::rename(&moved, moved.with_file_name("weather.cedar")).unwrap();
    assert_eq!(elsewhere.look(), 2);
    assert_ne!(digest(&gated), digest(&elsewhere), "names are part of it");
}

/// Another content counts once it is found twice: between the two, whoever empties a file first may go on writing it.
#[test]
fn files_count_once_they_are_still() {
    let gated = Gated::new();
    let live = &gated.gate.live;
    let texts: Vec<String> = (1..9).map(|days| FORECAST.replace("days > 7", &format!("days > {days}"))).collect();
    // Valid at each look, and another one at the next.
    let next = Cell::new(0);
    let write = || {
        gated.files.write("policies/forecast.cedar", &texts[next.get()]);
        next.set(next.get() + 1);
    };
    write();
    live.reload_when_still(Trigger::Files, &write);
    assert_eq!(live.current().rules.generation, 1);
    let failure = live.failure().unwrap();
    assert!(failure.message.ends_with(": the files do not stop changing"), "{failure:?}");
    gated.metric("toolgate_reload_failing 1");

    // Told once, whatever they change to.
    next.set(0);
    live.reload_when_still(Trigger::Files, &write);
    gated.metric("toolgate_reload_total{outcome=\"refused\"} 1");

    // Two more pieces, and then no more.
    next.set(0);
    live.reload_when_still(Trigger::Files, &|| {
        if next.get() < 2 {
            write();
        }
    });
    assert_eq!((live.current().rules.generation, live.failure()), (2, None));
    assert_eq!(gated.ask(&gated.forecast()), "policy_denied", "days > 2");
    gated.metric("toolgate_reload_failing 0");

    // And back to what holds, while it is waited.
    gated.files.write("policies/forecast.cedar", FORECAST);
    live.reload_when_still(Trigger::Files, &|| drop(gated.files.write("policies/forecast.cedar", &texts[1])));
    assert_eq!((live.current().rules.generation, live.failure()), (2, None));
}

/// What holds from the start to the end is told, and the rest is taken.
#[test]
fn what_needs_a_restart_is_told() {
    let gated = Gated::new();
    let live = &gated.gate.live;
    for (old, new, needed) in [
        ("grpc: \"127.0.0.1:0\"", "grpc: \"127.0.0.2:0\"", vec!["listen.grpc"]),
        (", admin: \"127.0.0.1:0\"", "", vec!["listen.admin"]),
        ("audit:\n", "limits: {message: 2MiB, body: 8KiB}\naudit:\n", vec!["limits.message"]),
        ("audit/audit.jsonl", "audit/other.jsonl", vec!["audit"]),
        ("audit:\n", "limits: {body: 8KiB}\naudit:\n", vec![]),
    ] {
        assert!(CONFIG.contains(old), "{old}");
        let changed = CONFIG.replacen(old, new, 1).replace("client_address: peer", "client_address: {xff_hops: 2}");
        gated.files.write("toolgate.yaml", &changed);
        let before = live.current().rules.generation;
        assert_eq!(gated.look(), before + 1, "{new}: {:?}", live.failure());
        assert_eq!(live.restart_needed(), needed, "{new}");
        assert!(live.current().rules.client_address.is_some_and(|from| from != ClientAddress::Peer), "{new}");
    }
    for (key, line) in [
        ("audit.checkpoints.key_file", "  checkpoints: {key_file: key.pem}"),
        ("audit.subject_key_file", "  subject_key_file: subject.key"),
        ("audit.otlp.headers_file", "  otlp: {endpoint: 'http://127.0.0.1:4318', headers_file: subject.key}"),
    ] {
        let files = Files::new();
        keys(&files);
        files.write("subject.key", "x-key: one long secret of somebody");
        files.write("toolgate.yaml", &CONFIG.replacen("audit:\n", &format!("audit:\n{line}\n"), 1));
        let gated = Gated::over(files, "toolgate.yaml");
        keys(&gated.files);
        gated.files.write("subject.key", "x-key: another long secret of somebody");
        gated.gate.live.reload(Trigger::Files);
        assert_eq!(gated.gate.live.restart_needed(), [key]);
    }
    gated.files.write("toolgate.yaml", CONFIG);
    gated.look();
    assert_eq!(live.restart_needed(), Vec::<&str>::new());
}

/// A generation that a request still has is not taken apart by that request.
#[test]
fn a_generation_ends_where_it_was_made() {
    let gated = Gated::new();
    let held = gated.gate.live.current();
    let gone = Arc::downgrade(&held);
    gated.files.write("policies/forecast.cedar", &format!("{FORECAST}// a comment\n"));
    assert_eq!(gated.look(), 2);
    drop(held);
    assert_eq!(gone.strong_count(), 1, "kept until the next look");
    gated.look();
    assert_eq!(gone.strong_count(), 0);
}

/// Long enough that nothing is found by looking now and then: what is found, an event told.
const NEVER: Duration = Duration::from_secs(3600);

/// A watch over a gate, and how to wait for what it finds.
struct Watching {
    gated: Gated,
    _watch: Watch,
}

impl Watching {
    fn new(gated: Gated, audit_file: &str, poll: Duration) -> Self {
        let pace = Pace { poll, quiet: Duration::from_millis(20), at_most: Duration::from_secs(20) };
        let audit_file = Some(gated.files.path(audit_file));
        Self { _watch: watch(gated.gate.live.clone(), audit_file, pace).unwrap(), gated }
    }

    /// Waits until the forecast of so many days is the longest that is given.
    #[track_caller]
    fn gives(&self, what: &str, days: usize) {
        let token = self.gated.files.token("ada", "weather:read");
        let asked = |days| question(&token, "get_forecast", &json!({"city": "Oslo", "days": days}));
        let (last, next) = (asked(days), asked(days + 1));
        let found = || (self.gated.ask(&last), self.gated.ask(&next));
        let expected = || found() == ("allow".to_owned(), "policy_denied".to_owned());
        assert!(wait_for(expected), "{what}: {:?} {:?}", found(), self.gated.gate.live.failure());
    }
}

/// The rules that give a forecast of so many days.
fn up_to(days: usize) -> String {
    FORECAST.replace("days > 7", &format!("days > {days}"))
}

/// Events alone tell of it, wherever the folder is by then, and whatever it was before.
#[test]
fn a_watch_follows_its_folders() {
    let watching = Watching::new(Gated::new(), "audit/audit.jsonl", NEVER);
    let files = &watching.gated.files;
    let folder = |name: &str, days| files.write(&format!("{name}/forecast.cedar"), &up_to(days));
    watching.gives("from the start", 7);

    folder("policies", 2);
    watching.gives("a changed file", 2);

    folder("elsewhere/rules", 3);
    files.write("toolgate.yaml", &CONFIG.replace("policies: policies", "policies: elsewhere/rules"));
    watching.gives("another folder", 3);
    folder("elsewhere/rules", 4);
    watching.gives("a changed file in the other folder", 4);

    let old = files.path("elsewhere/rules");
    std::fs::remove_dir_all(&old).unwrap();
    assert!(wait_for(|| watching.gated.gate.live.failure().is_some()), "the folder is gone");
    watching.gives("what held before it went", 4);
    folder("elsewhere/rules", 5);
    watching.gives("a folder deleted and made again", 5);
    folder("elsewhere/rules", 6);
    watching.gives("a changed file in it", 6);

    folder("elsewhere/first", 2);
    folder("elsewhere/second", 3);
    for (release, days) in [("first", 2), ("second", 3)] {
        let link = files.path("elsewhere/link");
        std::os::unix::fs::symlink(release, &link).unwrap();
        if old.is_symlink() {
            std::fs::rename(link, &old).unwrap();
        } else {
            std::fs::remove_dir_all(&old).unwrap();
            std::fs::rename(link, &old).unwrap();
        }
        watching.gives("a link pointed elsewhere", days);
    }
    folder("elsewhere/second", 4);
    watching.gives("a changed file behind the link", 4);

    std::fs::rename(files.path("elsewhere"), files.path("gone")).unwrap();
    assert!(wait_for(|| watching.gated.gate.live.failure().is_some()), "the folder above is gone");
    folder("new/rules", 5);
    std::fs::rename(files.path("new"), files.path("elsewhere")).unwrap();
    watching.gives("the folder above, replaced", 5);
    folder("elsewhere/rules", 6);
    watching.gives("a changed file below it", 6);
}

/// A file that is emptied and written in two pieces, each valid by itself, with a pause much longer than the quiet that is
/// waited for.
#[test]
fn a_file_that_is_still_being_written_is_waited_for() {
    let watching = Watching::new(Gated::new(), "audit/audit.jsonl", NEVER);
    let live = &watching.gated.gate.live;
    let path = watching.gated.files.path("policies/forecast.cedar");
    // So that there is a watch, which is not made anew for a file that is only written to.
    std::fs::write(&path, up_to(4)).unwrap();
    watching.gives("a file written in one go", 4);
    let before = live.current().rules.generation;
    let mut file = std::fs::File::create(path).unwrap();
    file.write_all(up_to(3).as_bytes()).unwrap();
    // Nothing is to happen, and nothing says so; too short a pause would only show less.
    std::thread::sleep(Duration::from_millis(400));
    let forbid = "forbid (principal, action == Action::\"weather:get_forecast\", resource)\n\
                  when { context.arguments has days && context.arguments.days > 2 };\n";
    file.write_all(forbid.as_bytes()).unwrap();
    drop(file);
    watching.gives("the whole file", 2);
    assert_eq!(live.current().rules.generation, before + 1, "the first piece never held");
}

/// Where no event comes, because the audit file is in the folder too, looking now and then finds it.
#[test]
fn a_poll_finds_what_no_event_tells() {
    let watching = Watching::new(Gated::new(), "policies/audit.jsonl", Duration::from_millis(50));
    watching.gives("from the start", 7);
    watching.gated.files.write("policies/forecast.cedar", &up_to(2));
    watching.gives("a changed file", 2);
}

/// Beside unchanged files there is one that was probably meant to be read.
#[test]
fn a_misnamed_file_is_not_passed_over() {
    let gated = Gated::new();
    gated.files.write("policies/link.yaml", "{}\n");
    assert_eq!(gated.look(), 1);
    let failure = gated.gate.live.failure().expect("it is told");
    assert!(failure.message.contains("link.yaml` is not read"), "{failure:?}");
}
