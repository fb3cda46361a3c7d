//! The program itself, run as people and CI run it: what it prints, where, and with which exit code.

pub(crate) mod audit;
mod check;
mod explain;
mod killed;
mod links;
mod secrets;
mod serve;
pub(crate) mod support;
mod test;
mod tools;

use self::support::{Files, run, toolgate};

/// Each command's help says what it is for, and either shows an example or explains how it ends.
#[test]
fn help_teaches() {
    for (arguments, parts) in [
        (&["--help"][..], &["Cedar policies", "Exit codes: 0", "serve", "check", "explain", "schema", "test"][..]),
        (&["serve", "--help"], &["SIGTERM", "SIGHUP", "toolgate serve -c", "Exit codes: 0"]),
        (&["check", "--help"], &["every problem", "toolgate check -c", "Exit codes: 0", "--format"]),
        (&["explain", "--help"], &["Example:", "toolgate explain -c", "--claims", "--token", "Exit codes: 0"]),
        (&["audit", "--help"], &["verify", "tail", "stats"]),
        (&["audit", "tail", "--help"], &["toolgate audit tail", "--follow", "--decision", "Exit codes: 0"]),
        (&["audit", "stats", "--help"], &["toolgate audit stats", "--config", "Exit codes: 0"]),
        (
            &["audit", "verify", "--help"],
            &["order", "toolgate audit verify", "--key", "--checkpoints", "Exit codes: 0"],
        ),
        (&["test", "--help"], &["people:", "expect: allow", "toolgate test -c", "Exit codes: 0"]),
        (&["schema", "--help"], &["Cedar schema", "toolgate schema -c", "Exit codes: 0"]),
        (&["tools", "--help"], &["pull", "report"]),
        (&["tools", "pull", "--help"], &["toolgate tools pull http", "TOOLGATE_TOKEN", "--protocol", "Exit codes: 0"]),
        (&["tools", "report", "--help"], &["toolgate tools report", "--format", "Exit codes: 0"]),
    ] {
        let ran = run(toolgate(arguments));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
        for part in parts {
            assert!(ran.stdout.contains(part), "no `{part}` in {arguments:?}:\n{}", ran.stdout);
        }
    }
}

#[test]
fn the_version_is_the_packages() {
    let ran = run(toolgate(&["--version"]));
    assert_eq!((ran.code, ran.stdout), (0, format!("toolgate {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn a_command_line_that_is_none_is_invalid_input() {
    for (arguments, part) in [
        (&[][..], "Usage: toolgate"),
        (&["sreve"], "serve"),
        (&["check", "--fromat", "json"], "--format"),
        (&["explain", "--server", "weather"], "--message"),
    ] {
        let ran = run(toolgate(arguments));
        assert_eq!(ran.code, 3, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(part) && ran.stdout.is_empty(), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn the_schema_is_one_and_has_the_tools() {
    let files = Files::new();
    let text = files.run(&["schema", "-c", "toolgate.yaml"]);
    assert_eq!(text.code, 0, "{}", text.stderr);
    let (_, warnings) = cedar_policy::Schema::from_cedarschema_str(&text.stdout).unwrap();
    assert_eq!(warnings.count(), 0);
    for part in
        ["\"weather:get_forecast\"", "\"weather:delete_station\"", "\"days\"?: Long", "The forecast for a city."]
    {
        assert!(text.stdout.contains(part), "no `{part}` in\n{}", text.stdout);
    }
    let json = files.run(&["schema", "-c", "toolgate.yaml", "--format", "json"]);
    assert_eq!(json.code, 0, "{}", json.stderr);
    cedar_policy::Schema::from_json_str(&json.stdout).unwrap();
    assert!(json.stdout.contains("\"weather:get_forecast\""));

    files.configure(&[("policies: policies", "policies: polices")]);
    assert_eq!(files.run(&["schema", "-c", "toolgate.yaml"]).code, 3);
}
