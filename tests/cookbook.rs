//! The recipes of docs/cookbook.md: each loads by itself without a warning, and its cases come out as they say, an allow and a
//! denial among them, with each of its policies at work in one.

use crate::cli::support::{json, run, toolgate};
use crate::docs::{blocks, page, root};

/// A folder with the cookbook's world and one recipe in it.
fn world(policies: &str, cases: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let catalogs = root("examples/cookbook/catalogs");
    let config = page("examples/cookbook/toolgate.yaml").replace("catalogs/", &format!("{}/", catalogs.display()));
    for (name, text) in [("toolgate.yaml", config.as_str()), ("policies/a.cedar", policies), ("tests/a.yaml", cases)] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn report(folder: &tempfile::TempDir) -> serde_json::Value {
    let config = folder.path().join("toolgate.yaml");
    let ran = run(toolgate(&["test", "-c", config.to_str().unwrap(), "--format", "json"]));
    json(&ran.stdout)
}

/// How a block begins that is one more file of the policy folder.
const FURTHER: &str = "# policies/";

/// Every recipe: its title, its policies, its cases, and the text in which further files of its policy folder may stand.
fn recipes(text: &str) -> Vec<(&str, &str, &str, &str)> {
    let sections = text.split("\n## ").skip(1).map(|section| {
        let title = section.lines().next().unwrap();
        let cases: Vec<&str> =
            blocks(section, "yaml").into_iter().filter(|block| !block.starts_with(FURTHER)).collect();
        let ([policies], [cases]) = (&blocks(section, "cedar")[..], &cases[..]) else {
            panic!("{title}: not one policy block and one of cases")
        };
        (title, *policies, *cases, section)
    });
    sections.collect()
}

#[test]
fn every_recipe_does_what_its_cases_say() {
    let text = page("docs/cookbook.md");
    let recipes = recipes(&text);
    assert!(recipes.len() >= 25, "{}", recipes.len());
    for (at, (title, policies, cases, section)) in recipes.iter().enumerate() {
        assert!(title.starts_with(&format!("{}. ", at + 1)), "{title}");
        let folder = world(policies, cases);
        for block in blocks(section, "yaml") {
            if let Some((name, text)) = block.strip_prefix(FURTHER).and_then(|block| block.split_once('\n')) {
                std::fs::write(folder.path().join("policies").join(name), text).unwrap();
            }
        }
        let report = report(&folder);
        assert_eq!(
            (&report["ok"], &report["never_decided"]),
            (&true.into(), &serde_json::json!([])),
            "{title}\n{report:#}"
        );
        for decision in ["allow", "deny"] {
            let cases = report["cases"].as_array().unwrap();
            assert!(cases.iter().any(|case| case["seen"]["decision"] == decision), "{title}: no {decision}");
        }
        let config = folder.path().join("toolgate.yaml");
        let checked = run(toolgate(&["check", "-c", config.to_str().unwrap()]));
        assert!(checked.code == 0 && checked.stdout.contains("0 warnings"), "{title}: {checked:?}");
    }
}

/// The list of recipes in docs/policies.md is that of the cookbook.
#[test]
fn the_contents_list_every_recipe() {
    let (text, contents) = (page("docs/cookbook.md"), page("docs/policies.md"));
    for (title, _, _, _) in recipes(&text) {
        let (number, name) = title.split_once(". ").unwrap();
        assert!(contents.contains(&format!("\n{number}. [{name}](cookbook.md#{number}-")), "{title}");
    }
}

/// A recipe that is wrong is seen to be.
#[test]
fn a_wrong_recipe_fails() {
    let text = page("docs/cookbook.md");
    let (_, policies, cases, _) = recipes(&text)[0];
    let wrong = report(&world(&policies.replace("corp:analysts", "corp:analyst"), cases));
    assert_eq!(wrong["ok"], false, "{wrong:#}");
}

/// Each claim of docs/cannot.md: a policy in a block marked `refused` does not load, for the reason that stands above it.
#[test]
fn what_the_page_says_cannot_be_written_is_refused() {
    let text = page("docs/cannot.md");
    let refused = blocks(&text, "cedar refused");
    assert!(refused.len() >= 8, "{}", refused.len());
    for policy in refused {
        let report = report(&world(policy, "cases: []"));
        let problems = report["problems"].as_array().unwrap();
        let of_policy = |problem: &&serde_json::Value| problem["file"].as_str().unwrap().ends_with("a.cedar");
        assert!(problems.iter().any(|problem| of_policy(&problem)), "{policy}\n{report:#}");
    }
    // Without the one thing that is refused it would load.
    for policy in blocks(&text, "cedar") {
        let report = report(&world(policy, "cases: []"));
        let problems = report["problems"].as_array().unwrap();
        assert!(!problems.iter().any(|problem| problem["file"].as_str().unwrap().ends_with("a.cedar")), "{report:#}");
    }
}
