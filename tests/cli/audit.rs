//! `toolgate audit`, over a trail that a real `serve` wrote.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::json;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

use super::support::{Files, Serving, ask, json as read, nonsense, question, records, wait_for};

/// A key pair made on the spot, as two files.
pub(crate) fn keys(files: &Files) {
    let private = Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(private.as_ref()).unwrap();
    // RFC 8410 §4: what stands before every public key of this kind.
    let head = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let public = [head.as_slice(), pair.public_key().as_ref()].concat();
    for (name, label, der) in
        [("key.pem", "PRIVATE KEY", private.as_ref()), ("key.pub.pem", "PUBLIC KEY", public.as_slice())]
    {
        let text = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der));
        files.write(name, &text);
    }
}

const SIGNED: &str = "  file: {path: audit/audit.jsonl}
  checkpoints: {key_file: key.pem, records: 3, copy: audit/copy.jsonl}";

#[tokio::test]
async fn a_trail_verifies_over_restarts_and_files_and_not_when_it_was_changed() {
    let files = Files::new();
    keys(&files);
    files.configure(&[("  file: {path: audit/audit.jsonl}", SIGNED)]);
    let asked = question(&files.token("ada", "weather:read"), "get_forecast", &json!({"city": "Oslo"}));
    let (path, moved) = (files.path("audit/audit.jsonl"), files.path("audit/audit.jsonl.1"));
    for round in 0..2 {
        let mut serving = Serving::start(&files, "toolgate.yaml");
        let channel = serving.connect().await;
        for _ in 0..5 {
            assert_eq!(ask(&channel, &asked).await, "allow");
        }
        if round == 1 {
            std::fs::rename(&path, &moved).unwrap();
            serving.signal(Signal::HUP);
            assert!(wait_for(|| path.exists()), "not opened again");
            assert_eq!(ask(&channel, &asked).await, "allow");
        }
        serving.signal(Signal::TERM);
        assert_eq!(serving.ended(), 0);
    }
    let decided = |path| records(path).iter().filter(|record| record["kind"] == "decision").count();
    assert_eq!((decided(&moved), decided(&path)), (10, 1));
    let whole = ["audit", "verify", "audit/audit.jsonl.1", "audit/audit.jsonl"];
    let keyed =
        [&whole[..], &["--key", "key.pub.pem", "--checkpoints", "audit/copy.jsonl", "--format", "json"]].concat();
    let ran = files.run(&keyed);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let report = read(&ran.stdout);
    assert_eq!(
        (&report["ok"], &report["first"], &report["after_last_checkpoint"]),
        (&json!(true), &json!(0), &json!(0))
    );
    let plain = files.run(&whole);
    assert!(plain.code == 0 && plain.stdout.contains("ok: the chain holds; without a key"), "{plain:?}");

    // Without the end of it, only the second place tells.
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.lines().next().unwrap().to_owned() + "\n").unwrap();
    assert_eq!(files.run(&whole).code, 0);
    let ran = files.run(&keyed);
    assert_eq!((ran.code, &read(&ran.stdout)["findings"][0]["fault"]), (1, &json!("not_in_trail")), "{ran:?}");

    std::fs::write(&path, text.replacen("\"decision\":\"allow\"", "\"decision\":\"deny\"", 1)).unwrap();
    let ran = files.run(&whole);
    assert_eq!(ran.code, 1);
    // The record of the reload may stand before the decision or behind it.
    let behind = text.lines().position(|line| line.contains("\"decision\":\"allow\"")).unwrap() + 2;
    let told = format!("audit/audit.jsonl:{behind}: record ");
    assert!(ran.stdout.contains(&told) && ran.stdout.ends_with("not ok: 1 fault\n"), "{ran:?}");
    std::fs::write(&path, text).unwrap();
    assert_eq!(files.run(&["audit", "verify", "audit/audit.jsonl", "audit/audit.jsonl.1"]).code, 1, "another order");

    for arguments in [
        &["audit", "verify", "nowhere.jsonl"][..],
        &["audit", "verify", "audit/audit.jsonl", "--key", "key.pem"],
        &["audit", "verify"],
    ] {
        assert_eq!(files.run(arguments).code, 3, "{arguments:?}");
    }
}

/// With a key, nobody is named; two of one caller are still seen to be of one, in the next process too.
#[tokio::test]
async fn principals_are_hashed_where_there_is_a_key() {
    let files = Files::new();
    files.configure(&[(
        "  file: {path: audit/audit.jsonl}",
        "  file: {path: audit/audit.jsonl}\n  subject_key_file: subjects.key",
    )]);
    files.write("subjects.key", "tooshort");
    assert!(
        files.run(&["check"]).stderr.contains("`subjects.key` cannot be used: the secret is shorter than 16 bytes")
    );
    files.write("subjects.key", "only-for-this-one-test");
    for _ in 0..2 {
        let serving = Serving::start(&files, "toolgate.yaml");
        let channel = serving.connect().await;
        for caller in ["adalovelace", "bob"] {
            let asked = question(&files.token(caller, "weather:read"), "get_forecast", &json!({"city": "Oslo"}));
            assert_eq!(ask(&channel, &asked).await, "allow");
        }
    }
    let records = records(&files.path("audit/audit.jsonl"));
    let principals: Vec<_> = records.iter().map(|record| record["principal"].as_str().unwrap()).collect();
    assert!(principals.iter().all(|principal| principal.starts_with("User::\"hmac:")), "{principals:?}");
    assert_eq!(principals[..2], principals[2..]);
    assert_ne!(principals[0], principals[1]);
    assert!(!std::fs::read_to_string(files.path("audit/audit.jsonl")).unwrap().contains("adalovelace"));
}

#[test]
fn a_key_that_is_none_is_a_problem_of_the_configuration() {
    let files = Files::new();
    files.configure(&[("  file: {path: audit/audit.jsonl}", SIGNED)]);
    files.write("key.pem", "nothing");
    let ran = files.run(&["check"]);
    assert_eq!(ran.code, 3);
    assert!(
        ran.stderr.contains("`key.pem` cannot be used: it is not a PEM file with one `PRIVATE KEY`"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("openssl genpkey -algorithm ed25519"), "{}", ran.stderr);
}

#[test]
fn what_a_collector_cannot_be_called_with_is_a_problem_of_the_configuration() {
    let files = Files::new();
    let otlp = "  otlp: {endpoint: 'https://127.0.0.1:4318', headers_file: headers, ca_file: ca.pem}";
    files.configure(&[("  file: {path: audit/audit.jsonl}", otlp)]);
    files.write("headers", "Bearer made-up");
    files.write("ca.pem", "nothing");
    let ran = files.run(&["check"]);
    assert_eq!(ran.code, 3);
    for expected in [
        "`headers` cannot be used: its line 1 is not `name: value`",
        "write a header on each line, such as `authorization: Bearer …`",
        "`ca.pem` cannot be used: it holds no `BEGIN CERTIFICATE` in PEM",
    ] {
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    }
    assert!(!ran.stderr.contains("made-up"), "{}", ran.stderr);
}

/// What records show of values and addresses is one of the rules: it changes without a restart.
#[tokio::test]
async fn values_are_shown_as_the_configuration_says() {
    let files = Files::new();
    let audit = "  file: {path: audit/audit.jsonl}";
    let keyed = format!("{audit}\n  subject_key_file: subjects.key");
    let with = |more: &str| files.configure(&[(audit, &format!("{keyed}\n  {more}"))]);
    files.write("subjects.key", "only-for-this-one-test");
    let city = "permit (principal, action == Action::\"weather:get_forecast\", resource) when { context.arguments.city == \"Oslo\" };";
    files.write("policies/city.cedar", &format!("@id(\"city\") {city}"));
    with("values: {paths: {context.arguments.cty: masked}}");
    let ran = files.run(&["check"]);
    assert!(ran.code == 3 && ran.stderr.contains("names `context.arguments.cty`, which is no value"), "{ran:?}");
    assert!(ran.stderr.contains("did you mean `city`?"), "{ran:?}");
    with("values: {default: masked, paths: {context.arguments.city: hashed}}");
    let serving = Serving::start(&files, "toolgate.yaml");
    let channel = serving.connect().await;
    let asked = question(&files.token("ada", "weather:read"), "get_forecast", &json!({"city": "Oslo", "days": 3}));
    let digest = || serving.status()["digest"].clone();
    let mut seen = Vec::new();
    for change in [None, Some("values: shown"), Some("values: {paths: {context.arguments: masked}}\n  source: masked")]
    {
        if let Some(change) = change {
            let before = digest();
            with(change);
            assert!(wait_for(|| digest() != before), "not loaded: {change}");
        }
        assert_eq!(ask(&channel, &asked).await, "allow");
        let all = records(&files.path("audit/audit.jsonl"));
        seen.push(all.iter().rfind(|record| record["kind"] == "decision").unwrap()["values"].clone());
    }
    assert_eq!(serving.status().get("restart_needed"), None);
    let masked = |kind: &str| json!({"type": kind});
    let hash = &seen[0]["context.arguments.city"]["hmac"];
    assert_eq!(hash.as_str().map(str::len), Some(32));
    assert_eq!(seen[0]["context.arguments.days"], masked("integer"));
    assert_eq!(seen[1], json!({"context.arguments.city": "Oslo", "context.arguments.days": 3}));
    let both = json!({"context.arguments.city": masked("string"), "context.arguments.days": masked("integer")});
    assert_eq!(seen[2], both);
    let shown = files.run(&["audit", "tail", "audit/audit.jsonl", "--decision", "allow"]).stdout;
    assert!(shown.contains("  by city,forecast  city=\"Oslo\" days=3\n"), "{shown}");
}

/// Three decisions, and what each command says of them.
#[tokio::test]
async fn people_read_the_last_records_and_count_them() {
    let files = Files::new();
    let serving = Serving::start(&files, "toolgate.yaml");
    let channel = serving.connect().await;
    let token = files.token("ada", "weather:read");
    let bob = files.token("bob", "weather:read");
    let call = |token: &str, tool, arguments| question(token, tool, &arguments);
    assert_eq!(ask(&channel, &call(&token, "get_forecast", json!({"city": "Oslo"}))).await, "allow");
    assert_eq!(ask(&channel, &call(&bob, "get_forecast", json!({"city": "Oslo"}))).await, "allow");
    assert_eq!(ask(&channel, &call(&nonsense(), "get_forecast", json!({"city": "Oslo"}))).await, "token_invalid");
    let shown = |arguments: &[&str]| {
        let ran = files.run(&[&["audit", "tail", "audit/audit.jsonl"], arguments].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
        ran.stdout
    };
    let all = shown(&[]);
    let lines: Vec<&str> = all.lines().collect();
    assert!(lines.len() == 4 && lines[0].ends_with("  opened  cause=start  at=0"), "{all}");
    let expected =
        "  allow  allow  weather  User::\"corp:ada\"  Action::\"weather:get_forecast\"  by forecast  days=null";
    assert!(lines[1].ends_with(expected), "{all}");
    assert!(lines[3].contains("  deny   token_invalid  weather  -  -  ("), "{all}");
    assert_eq!(shown(&["-n", "1"]), lines[3].to_owned() + "\n");
    assert_eq!(shown(&["-n", "0"]), "");
    for (arguments, expected) in [
        (&["--decision", "deny"][..], &[3][..]),
        (&["--principal", "corp:bob"], &[2]),
        (&["--tool", "get_forecast"], &[1, 2]),
        (&["--policy", "forecast"], &[1, 2]),
        (&["--policy", "forecas"], &[]),
        (&["--reason", "token_invalid"], &[3]),
        (&["--decision", "allow", "--principal", "ada"], &[1]),
    ] {
        let expected: String = expected.iter().map(|line: &usize| lines[*line].to_owned() + "\n").collect();
        assert_eq!(shown(arguments), expected, "{arguments:?}");
    }
    assert_eq!(read(shown(&["--principal", "bob", "--format", "json"]).trim())["principal"], "User::\"corp:bob\"");

    let counted = files.run(&["audit", "stats", "audit/audit.jsonl", "-c", "toolgate.yaml", "--format", "json"]);
    let report = read(&counted.stdout);
    assert_eq!((counted.code, &report["decisions"]), (0, &json!({"allowed": 2, "denied": 1})));
    assert_eq!(report["policies_without_decisions"], json!(["nothing-deleted"]));
    assert_eq!(report["policies"], json!([{"name": "forecast", "count": {"allowed": 2, "denied": 0}}]));
    assert_eq!(report["reasons"][0]["name"], "allow");
    let text = files.run(&["audit", "stats", "audit/audit.jsonl", "-c", "toolgate.yaml", "--top", "1"]).stdout;
    for part in
        ["3 decisions: 2 allowed, 1 denied", "and 2 more", "policies that never decided anything:\n  nothing-deleted"]
    {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    for arguments in [
        &["audit", "tail", "nowhere"][..],
        &["audit", "stats", "nowhere"],
        &["audit", "stats", "audit/audit.jsonl", "-c", "nowhere"],
        &["audit", "tail", "audit/audit.jsonl", "--decision", "perhaps"],
    ] {
        assert_eq!(files.run(arguments).code, 3, "{arguments:?}");
    }
}

/// What is written while it looks, and what is written into the next file.
#[tokio::test]
async fn the_trail_is_followed_into_the_next_file() {
    let files = Files::new();
    let serving = Serving::start(&files, "toolgate.yaml");
    let channel = serving.connect().await;
    let token = files.token("ada", "weather:read");
    let bob = files.token("bob", "weather:read");
    let call = |token: &str| question(token, "get_forecast", &json!({"city": "Oslo"}));
    assert_eq!(ask(&channel, &call(&token)).await, "allow");
    let mut following = files.command(&["audit", "tail", "audit/audit.jsonl", "-f", "-n", "0", "--decision", "allow"]);
    let mut following = following.stdout(Stdio::piped()).spawn().unwrap();
    let (send, lines) = std::sync::mpsc::channel();
    let stdout = BufReader::new(following.stdout.take().unwrap());
    std::thread::spawn(move || stdout.lines().map_while(Result::ok).all(|line| send.send(line).is_ok()));
    let asked = call(&token);
    // It reads once it shows something of what is written now.
    let mut seen = None;
    for _ in 0..3_000 {
        assert_eq!(ask(&channel, &asked).await, "allow");
        seen = lines.try_recv().ok();
        if seen.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(seen.expect("it shows nothing").contains("corp:ada"));
    std::fs::rename(files.path("audit/audit.jsonl"), files.path("audit/audit.jsonl.1")).unwrap();
    assert!(wait_for(|| files.path("audit/audit.jsonl").exists()));
    assert_eq!(ask(&channel, &call(&bob)).await, "allow");
    assert!(wait_for(|| lines.try_iter().any(|line| line.contains("corp:bob"))), "not followed");
    following.kill().unwrap();
    following.wait().unwrap();
}
