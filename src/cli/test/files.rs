//! The files of cases, read whole before any case is decided.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::{Case, Known, cases};
use crate::problem::{Problem, Severity, Source};

/// Folders in folders that are looked into; a link that leads back up would be followed without end.
const MAX_DEPTH: usize = 16;

/// One file of cases.
#[derive(Debug)]
pub(super) struct Suite {
    pub(super) source: Source,
    pub(super) cases: Vec<Case>,
}

/// Reads all files at `paths`, and what is wrong with any of them.
pub(super) fn suites(paths: &[PathBuf], known: &Known<'_>) -> (Vec<Suite>, Vec<Problem>) {
    let (mut suites, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        let mut files = Vec::new();
        match gather(path, 0, &mut files) {
            Err(error) => problems.push(unreadable(path, &error)),
            Ok(()) if files.is_empty() => {
                problems.push(whole(path, "holds no file of cases", "add one, with a name ending in .yaml"));
            }
            Ok(()) => {}
        }
        for file in files {
            match std::fs::read_to_string(&file) {
                Ok(text) => {
                    let source = Source::new(file.display().to_string(), text);
                    let (cases, found) = cases(&source, known);
                    problems.extend(found);
                    suites.push(Suite { source, cases });
                }
                Err(error) => problems.push(unreadable(&file, &error)),
            }
        }
    }
    (suites, problems)
}

/// Adds the files at `path`: itself, or what a folder holds, in order of their names.
fn gather(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !std::fs::metadata(path)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    if depth == MAX_DEPTH {
        return Ok(());
    }
    let mut entries = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    for entry in entries {
        let hidden = entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let is_yaml = entry.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if !hidden && (is_yaml || entry.is_dir()) {
            gather(&entry, depth + 1, files)?;
        }
    }
    Ok(())
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    let help = "name a file of cases or a folder with such; `toolgate test --help` shows one";
    whole(path, &format!("cannot be read: {error}"), help)
}

fn whole(path: &Path, what: &str, help: &str) -> Problem {
    let name = path.display().to_string();
    Problem {
        severity: Severity::Error,
        message: format!("`{name}` {what}"),
        source: Source::new(name, ""),
        span: None,
        help: Some(help.to_owned()),
    }
}
