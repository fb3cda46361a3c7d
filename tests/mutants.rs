//! The table of `scripts/mutants.py` fits the sources: every guard that it switches off is there exactly once, and every
//! test that must notice exists. The script itself takes long, and is run by `make mutants`.

use std::collections::HashSet;
use std::path::Path;

use crate::attacks::class_names;

/// The guards of the token path number about this many: fewer, and somebody has emptied the table.
const FEWEST: usize = 120;

struct Mutant<'t> {
    name: &'t str,
    file: &'t str,
    from: &'t str,
    to: &'t str,
    by: &'t str,
}

fn table() -> String {
    read("scripts/mutants.toml").expect("the table")
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()
}

/// The entries of the table, which uses little of TOML: plain strings, and literal ones of one line or of several.
fn mutants(table: &str) -> Vec<Mutant<'_>> {
    let entry = |text| Mutant {
        name: value(text, "name"),
        file: value(text, "file"),
        from: value(text, "from"),
        to: value(text, "to"),
        by: value(text, "by"),
    };
    table.split("\n[[mutant]]\n").skip(1).map(entry).collect()
}

fn value<'t>(entry: &'t str, key: &str) -> &'t str {
    let start = format!("\n{key} = ");
    let rest =
        if key == "name" { entry.strip_prefix("name = ") } else { entry.split_once(&start).map(|(_, rest)| rest) };
    let rest = rest.unwrap_or_else(|| panic!("no `{key}` in {entry}"));
    for (open, close) in [("'''\n", "'''\n"), ("'", "'"), ("\"", "\"")] {
        if let Some(rest) = rest.strip_prefix(open) {
            return rest.split_once(close).expect("an end").0;
        }
    }
    panic!("`{key}` is no string in {entry}")
}

#[test]
fn each_guard_is_in_its_file_once() {
    let table = table();
    let mutants = mutants(&table);
    assert!(mutants.len() >= FEWEST, "{}", mutants.len());
    let mut names = HashSet::new();
    for Mutant { name, file, from, to, .. } in mutants {
        assert!(names.insert(name), "two are called {name}");
        let source = read(file).unwrap_or_else(|| panic!("{name}: no {file}"));
        assert_eq!(source.matches(from).count(), 1, "{name}: how often its text is in {file}");
        assert_ne!(from, to, "{name}");
    }
}

#[test]
fn each_test_that_must_notice_exists() {
    let table = table();
    for Mutant { name, by, .. } in mutants(&table) {
        let there = match by.split_once(' ') {
            Some(("lib", module)) => read(&format!("src/{}.rs", module.replace("::", "/"))).is_some(),
            _ => {
                let (file, test) = by.rsplit_once("::").expect("a module and a test");
                let source = read(&format!("tests/{}.rs", file.replace("::", "/"))).unwrap_or_default();
                source.contains(&format!("fn {test}("))
                    || (file == "attacks" && class_names().any(|class| class == test))
            }
        };
        assert!(there, "{name}: no test {by}");
    }
}
