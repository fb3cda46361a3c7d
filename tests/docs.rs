//! What the pages show is true: their policies load, their configuration is read, their tables are complete.

use std::path::{Path, PathBuf};

use toolgate::config::{parse, revocations};
use toolgate::decision::denial::Reason;
use toolgate::problem::{Problem, Source, render};
use toolgate::reload::load::load;

use crate::cli::support::{json, run, toolgate};

pub(crate) fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub(crate) fn page(path: &str) -> String {
    std::fs::read_to_string(root(path)).unwrap()
}

/// The blocks of `text` that are fenced as `language`.
pub(crate) fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let fence = format!("```{language}\n");
    text.split(fence.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The problems of `policies` in the place of the fixture's own.
fn problems_of(policies: &str) -> Vec<Problem> {
    problems_beside(policies, &[])
}

/// The same with those of `others` beside them that say in their first line what they are called: `# policies/links.yaml`.
fn problems_beside(policies: &str, others: &[&str]) -> Vec<Problem> {
    let folder = tempfile::tempdir().unwrap();
    let examples = root("examples/envoy");
    let config = page("tests/fixtures/docs/toolgate.yaml")
        .replace("../../../examples/envoy/policies", "policies")
        .replace("../../../examples/envoy", examples.to_str().unwrap())
        .replace("files.json", root("tests/fixtures/docs/files.json").to_str().unwrap());
    std::fs::write(folder.path().join("toolgate.yaml"), config).unwrap();
    std::fs::create_dir(folder.path().join("policies")).unwrap();
    std::fs::write(folder.path().join("policies/shown.cedar"), policies).unwrap();
    for other in others {
        if let Some(name) = other.lines().next().and_then(|line| line.strip_prefix("# ")) {
            std::fs::write(folder.path().join(name), other).unwrap();
        }
    }
    match load(&folder.path().join("toolgate.yaml")) {
        Ok(loaded) => loaded.warnings,
        Err(failure) => failure.problems,
    }
}

#[test]
fn the_policies_shown_load() {
    for (path, at_least) in [("README.md", 1), ("docs/policies.md", 5), ("docs/oauth.md", 1)] {
        let text = page(path);
        let shown = blocks(&text, "cedar");
        assert!(shown.len() >= at_least, "{path}: {}", shown.len());
        let problems = problems_beside(&shown.join("\n"), &blocks(&text, "yaml"));
        assert!(problems.is_empty(), "{path}\n{}", render(&problems, false));
    }
    let wrong = problems_of("permit (principal, action, resource is Toool);");
    assert!(!wrong.is_empty(), "a policy that is wrong is seen to be");
}

/// The sample is read, and the page has every key that the reader knows: an unknown one makes it list them.
#[test]
fn the_configuration_shown_is_read_and_whole() {
    let text = page("docs/configuration.md");
    let [sample, revoked] = blocks(&text, "yaml")[..] else { panic!("one sample, and one of a revocation file") };
    let (read, problems) = revocations(&Source::new("revoked.yaml", revoked), &["corp".to_owned()]);
    assert!(read.is_some() && problems.is_empty(), "{}", render(&problems, false));
    let problems = |text: &str| parse(&Source::new("docs/configuration.md", text)).1;
    assert!(problems(sample).is_empty(), "{}", render(&problems(sample), false));
    let mut known = 0;
    for (place, unknown) in [
        ("listen:\n", "zzzzzzzz: 1\nlisten:\n"),
        ("listen:\n", "listen:\n  zzzzzzzz: 1\n"),
        ("grpc: 127.0.0.1:9191", "grpc: {zzzzzzzz: 1}"),
        ("client_address: peer", "client_address: {zzzzzzzz: 1}"),
        ("- name: corp\n", "- name: corp\n  zzzzzzzz: 1\n"),
        ("jwks: {", "jwks: {zzzzzzzz: 1, "),
        ("scopes: {", "scopes: {zzzzzzzz: 1, "),
        ("department: {", "department: {zzzzzzzz: 1, "),
        ("dpop: {", "dpop: {zzzzzzzz: 1, "),
        ("mtls: {", "mtls: {zzzzzzzz: 1, "),
        ("- name: weather\n", "- name: weather\n  zzzzzzzz: 1\n"),
        ("introspection: {", "introspection: {zzzzzzzz: 1, "),
        ("limits: {", "limits: {zzzzzzzz: 1, "),
        ("audit:\n", "audit:\n  zzzzzzzz: 1\n"),
        ("file: {", "file: {zzzzzzzz: 1, "),
        ("rotate: {", "rotate: {zzzzzzzz: 1, "),
        ("checkpoints: {", "checkpoints: {zzzzzzzz: 1, "),
    ] {
        assert!(sample.contains(place), "{place}");
        let problems = problems(&sample.replacen(place, unknown, 1));
        let help =
            problems.iter().find(|problem| problem.message.contains("zzzzzzzz")).unwrap().help.as_deref().unwrap();
        let keys: Vec<&str> = help.split('`').skip(1).step_by(2).collect();
        for key in &keys {
            let told =
                [format!("`{key}`"), format!("`{key}:"), format!("{{{key}"), format!(".{key}`"), format!(" {key}:")];
            assert!(told.iter().any(|form| text.contains(form)), "`{key}` is not on the page");
        }
        known += keys.len();
    }
    assert!(known > 40, "{known}");
}

#[test]
fn every_reason_has_its_row() {
    let text = page("docs/answers.md");
    let rows: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |")).map(|(name, _)| name).collect();
    for reason in Reason::ALL {
        assert_eq!(rows.iter().filter(|row| **row == reason.as_str()).count(), 1, "{}", reason.as_str());
    }
}

/// A policy that would believe what a client says of itself does not load; the control is what a token says.
#[test]
fn what_a_client_says_of_itself_is_not_there() {
    let reading =
        |path: &str| problems_of(&format!("@id(\"a\") permit (principal, action, resource) when {{ {path} }};"));
    assert!(reading("context.token.issuer == \"corp\"").is_empty());
    for place in ["context", "context.token", "context.request", "principal"] {
        let problems = reading(&format!("{place}.clientInfo == \"a\""));
        assert!(problems.iter().any(|problem| problem.message.contains("clientInfo")), "{place}: {problems:?}");
    }
}

/// Its rows are numbered, each has one of three verdicts, their counts are at its top, and the tests that it names exist
/// and are run.
#[test]
fn the_conformance_page_counts_right_and_names_tests_that_exist() {
    let text = page("docs/conformance.md");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    for (family, all) in [("RS", 38), ("P", 22)] {
        let own: Vec<&Vec<&str>> = rows.iter().filter(|row| row[0].starts_with(&format!("{family}-"))).collect();
        assert_eq!(own.len(), all, "{family}");
        let mut counts = [("met", 0), ("partly", 0), ("impossible", 0)];
        for row in &own {
            let [_, _, _, verdict, _, tests] = row[..] else { panic!("{row:?}") };
            let count = counts.iter_mut().find(|(name, _)| *name == verdict);
            count.unwrap_or_else(|| panic!("{}: {verdict}", row[0])).1 += 1;
            let named = check_tests(row[0], tests);
            assert!(named > 0 || verdict == "impossible", "{}: no test", row[0]);
        }
        for number in 1..=all {
            let id = format!("{family}-{number}");
            assert_eq!(own.iter().filter(|row| row[0] == id).count(), 1, "{id}");
        }
        let told = rows.iter().find(|row| row[0] == format!("`{family}-`")).unwrap();
        let counted: Vec<String> = counts.iter().map(|(_, count)| count.to_string()).collect();
        assert_eq!(told[2..], counted, "{family}");
    }
}

/// Follows a cell that names files and in each of them functions; how many functions there were.
fn check_tests(row: &str, cell: &str) -> usize {
    let mut source = None;
    let mut found = 0;
    for name in cell.split('`').skip(1).step_by(2) {
        if name.contains('/') {
            let text = page(name);
            let skipped = text.lines().any(|line| line.starts_with("pytestmark = pytest.mark.skip("));
            assert!(!skipped, "{row}: {name} is not run");
            source = Some(text);
            continue;
        }
        let text = source.as_ref().unwrap_or_else(|| panic!("{row}: `{name}` of no file"));
        let exists = [format!("fn {name}("), format!("def {name}(")].iter().any(|form| text.contains(form));
        assert!(exists, "{row}: `{name}`");
        found += 1;
    }
    found
}

/// Relative links lead to files that are there.
#[test]
fn links_lead_somewhere() {
    let mut pages = vec!["README.md".to_owned(), "ARCHITECTURE.md".to_owned(), "SECURITY.md".to_owned()];
    pages.extend(std::fs::read_dir(root("docs")).unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.ends_with(".md").then(|| format!("docs/{name}"))
    }));
    let mut followed = 0;
    for path in pages {
        let text = page(&path);
        for target in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let file = target.split('#').next().unwrap();
            if file.is_empty() || file.starts_with("http") {
                continue;
            }
            let linked = root(&path).parent().unwrap().join(file);
            assert!(linked.exists(), "{path} links to {target}");
            followed += 1;
        }
    }
    assert!(followed > 10, "{followed}");
}

/// The cases that docs/testing.md and `toolgate test --help` show, decided by the example's policies, come out as the page says.
#[test]
fn the_cases_shown_come_out_as_they_say() {
    let help = run(toolgate(&["test", "--help"])).stdout;
    let shown = help.split_once("beside the configuration:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let lines: Vec<&str> = shown.lines().map(|line| line.strip_prefix("  ").expect(line)).collect();
    let text = page("docs/testing.md");
    let (shown, told) = (blocks(&text, "yaml"), blocks(&text, "text"));
    let ([shown], [told]) = (&shown[..], &told[..]) else { panic!("{} samples", shown.len()) };
    for (cases, count) in [(lines.join("\n"), 3), ((*shown).to_owned(), 4)] {
        let report = reported(&cases, "", &["--format", "json"]);
        let report: serde_json::Value = json(&report);
        assert_eq!((&report["ok"], &report["passed"]), (&true.into(), &count.into()), "{cases}\n{report:#}");
    }
    // The failure shown is that of the same cases where the policy has no end.
    let found = reported(shown, "unless { context.arguments has days && context.arguments.days > 7 }", &[]);
    assert_eq!(found, *told);
}

/// What `toolgate test` says of `cases` beside the example's configuration, whose policies are without the text `gone`.
fn reported(cases: &str, gone: &str, more: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| std::fs::write(folder.path().join(path), text).unwrap();
    for name in ["policies", "catalogs", "tests"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    for path in ["toolgate.yaml", "catalogs/weather.json", "catalogs/bank.json", "policies/session.cedar"] {
        write(path, &page(&format!("examples/envoy/{path}")));
    }
    let policies = page("examples/envoy/policies/weather.cedar");
    assert!(policies.contains(gone));
    write("policies/weather.cedar", &policies.replace(gone, ""));
    write("tests/weather.yaml", cases);
    let mut command = toolgate(&[&["test", "-c", "toolgate.yaml"], more].concat());
    command.current_dir(folder.path());
    run(command).stdout
}
