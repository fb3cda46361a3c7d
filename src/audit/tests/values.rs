//! Values as records show them: whatever a caller sends, in each of the three ways.

use super::*;

/// The member `values` of a record of `entries`, shown as `disclosure` says, and the whole line.
fn recorded(entries: Vec<(&str, Read)>, disclosure: &Disclosure, key: bool) -> (Value, Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let subject_key = key.then(|| SubjectKey::parse(b"0123456789abcdef").unwrap());
    let audit = Audit::open(&AuditSettings { subject_key, ..settings(&path) }, NOW).unwrap();
    let values: Values = entries.into_iter().map(|(path, value)| (Arc::from(path), value)).collect();
    let id = audit.next_id();
    put(&audit, &Record { values: &values, disclosure, ..typical(&id) }).unwrap();
    let text = fs::read(&path).unwrap();
    let line = one_ascii_line(text.split_inclusive(|byte| *byte == b'\n').next_back().unwrap());
    fits_the_schema(&line, "decision");
    (line["values"].clone(), line)
}

fn all(showing: Showing) -> Disclosure {
    Disclosure { values: showing, paths: Vec::new(), source: showing }
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "the table reads better with values")]
fn check(value: Read, shown: Value, masked: Value) {
    for (showing, key, expected) in [
        (Showing::Shown, true, shown),
        (Showing::Masked, true, masked.clone()),
        (Showing::Hashed, false, masked.clone()),
    ] {
        let (values, _) = recorded(vec![("p", value.clone())], &all(showing), key);
        assert_eq!(values, serde_json::json!({"p": expected}), "{showing:?} {value:?}");
    }
    let (hashed, _) = recorded(vec![("p", value.clone()), ("q", value.clone())], &all(Showing::Hashed), true);
    if masked.get("type").is_none() {
        assert_eq!(hashed, serde_json::json!({"p": masked, "q": masked}), "there is nothing to hash");
        return;
    }
    let hash = |name: &str| hashed[name]["hmac"].as_str().unwrap().to_owned();
    assert!(hash("p").len() == 32 && hash("p") != hash("q"), "{hashed}");
    let (again, _) = recorded(vec![("p", value)], &all(Showing::Hashed), true);
    assert_eq!(again["p"]["hmac"], hash("p").as_str(), "the same in another process of the key");
}

#[test]
fn each_kind_of_value_in_each_way() {
    let json = |text: &str| text.parse::<Value>().unwrap();
    let text = |text: &str| Read::Text(text.to_owned());
    for (value, shown, masked) in [
        (Read::Absent, "null", "null"),
        (Read::Presence(true), r#"{"present":true}"#, r#"{"present":true}"#),
        (Read::Presence(false), r#"{"present":false}"#, r#"{"present":false}"#),
        (Read::Unfit, r#"{"unfit":true}"#, r#"{"unfit":true}"#),
        (Read::Bool(false), "false", r#"{"type":"boolean"}"#),
        (Read::Long(i64::MIN), "-9223372036854775808", r#"{"type":"integer"}"#),
        (Read::Moment(NOW), r#""2023-11-14T22:13:20.000Z""#, r#"{"type":"string"}"#),
        (text("Oslo"), r#""Oslo""#, r#"{"type":"string"}"#),
        // What looks like a mark is a text.
        (text(r#"{"type":"string"}"#), r#""{\"type\":\"string\"}""#, r#"{"type":"string"}"#),
        (Read::List(Vec::new()), "[]", r#"{"type":"array"}"#),
        (Read::List(vec![Read::Long(1), Read::Bool(true), text("a")]), r#"[1,true,"a"]"#, r#"{"type":"array"}"#),
    ] {
        check(value, json(shown), json(masked));
    }
}

#[test]
fn hostile_values_are_one_line_that_reads_back() {
    let million = "x".repeat(1_000_000);
    for value in [
        "\r\n\",\"decision\":\"allow",
        "\u{0}\u{1b}[2J\u{9b}",
        "\u{202e}\u{2028}\u{2029}",
        "\\ud800",
        "\u{fffd}",
        &million,
    ] {
        for showing in [Showing::Shown, Showing::Masked, Showing::Hashed] {
            let list = Read::List(vec![Read::Text(value.to_owned()); 100_000 / value.len().max(10)]);
            let (values, line) =
                recorded(vec![("p", Read::Text(value.to_owned())), ("list", list)], &all(showing), true);
            assert_eq!(line["decision"], "deny");
            if showing == Showing::Shown {
                comes_back(&values["p"], value);
            } else {
                assert!(values["p"].is_object() && values["list"].is_object(), "{values}");
            }
        }
    }
}

/// Values stop where there is no more room, be it between two of them or within a list, and the rest is counted.
#[test]
fn what_does_not_fit_is_counted() {
    let paths: Vec<String> = (0..64).map(|at| format!("context.arguments.a{at}")).collect();
    let text = Read::Text("y".repeat(100));
    let entries = paths.iter().map(|path| (path.as_str(), text.clone())).collect();
    let (values, _) = recorded(entries, &Disclosure::default(), false);
    let shown = values.as_object().unwrap().len() - 1;
    assert!(shown > 5 && values["…"] == 64 - shown, "{values}");

    let list = Read::List(vec![text.clone(); 100]);
    let (values, _) = recorded(vec![("list", list), ("after", text)], &Disclosure::default(), false);
    let items = values["list"].as_array().unwrap();
    let (mark, whole) = items.split_last().unwrap();
    assert!(mark.as_str().unwrap().starts_with(&format!("…+{}#", 100 - whole.len())), "{values}");
    assert_eq!(values["…"], 1);
}

#[test]
fn a_path_and_an_address_have_their_own_way() {
    let paths = vec![("p.secret".to_owned(), Showing::Masked), ("p.who".to_owned(), Showing::Hashed)];
    let disclosure = Disclosure { values: Showing::Shown, paths, source: Showing::Hashed };
    let text = Read::Text("somebody".to_owned());
    let entries = vec![("p.a", text.clone()), ("p.secret", text.clone()), ("p.who", text)];
    let (values, line) = recorded(entries, &disclosure, true);
    assert_eq!(values["p.a"], "somebody");
    assert_eq!(values["p.secret"], serde_json::json!({"type": "string"}));
    assert_eq!(values["p.who"]["hmac"].as_str().map(str::len), Some(32));
    let source = line["source"].as_str().unwrap();
    assert!(source.starts_with("hmac:") && source.len() == 37, "{source}");
}
