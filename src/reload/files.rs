//! Reading the files that a generation is made of.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;

use crate::config::Spanned;
use crate::policy::bundle::PolicyFile;
use crate::problem::{Problem, Severity, Source};

/// Bytes of one file. The largest useful one is a catalogue or a policy file of a few megabytes.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// Folders in folders: deep enough for any layout, and an end to a link that leads back.
const MAX_FOLDER_DEPTH: usize = 16;

/// Reads files, and remembers them for the digest, and what was wrong with them.
#[derive(Debug, Default)]
pub(super) struct FileReader {
    files: Vec<(PathBuf, Arc<str>)>,
    /// Everything that was wrong so far.
    pub(super) problems: Vec<Problem>,
}

impl FileReader {
    /// The text of the file at `path`; a problem at `named`, the place that names it, if it cannot be had.
    pub(super) fn text(&mut self, path: &Path, named: Option<(&Source, &Spanned<PathBuf>)>) -> Option<Source> {
        let text: Arc<str> = self.read(path, named)?.into();
        self.files.push((path.to_path_buf(), text.clone()));
        Some(Source::new(path.display().to_string(), text))
    }

    /// The text of a file that nobody is to see: for the digest its own digest stands in for it.
    pub(super) fn secret(&mut self, path: &Path, named: (&Source, &Spanned<PathBuf>)) -> Option<String> {
        let text = self.read(path, Some(named))?;
        let digest = hex(digest::digest(&digest::SHA256, text.as_bytes()));
        self.files.push((path.to_path_buf(), digest.into()));
        Some(text)
    }

    fn read(&mut self, path: &Path, named: Option<(&Source, &Spanned<PathBuf>)>) -> Option<String> {
        let missing = |message| {
            let message = format!("cannot read `{}`: {message}", path.display());
            self.missing(path, named, message, "check the path; paths in the configuration are relative to it");
        };
        read(path).map_err(missing).ok()
    }

    /// Every `*.cedar` below the folder, in the order of their names.
    pub(super) fn policies(&mut self, config: &Source, folder: &Spanned<PathBuf>) -> Vec<PolicyFile> {
        let mut paths = Vec::new();
        let shown = folder.value.display();
        if let Err(error) = walk(&folder.value, MAX_FOLDER_DEPTH, &mut paths) {
            let message = format!("cannot read the policy folder `{shown}`: {error}");
            self.missing(&folder.value, Some((config, folder)), message, "create it, or correct `policies`");
            return Vec::new();
        }
        if paths.is_empty() {
            let message = format!("the policy folder `{shown}` holds no *.cedar file");
            self.missing(
                &folder.value,
                Some((config, folder)),
                message,
                "add a policy: without one, everything is denied",
            );
        }
        paths.sort();
        let named = |path: &Path| path.strip_prefix(&folder.value).unwrap_or(path).display().to_string();
        let files = paths.iter().filter_map(|path| {
            let source = self.text(path, Some((config, folder)))?;
            Some(PolicyFile { name: named(path), source })
        });
        files.collect()
    }

    /// Notes that something is wrong with `source` as a whole.
    pub(super) fn error(&mut self, source: &Source, message: String, help: Option<&str>) {
        let (source, help) = (source.clone(), help.map(str::to_owned));
        self.problems.push(Problem { severity: Severity::Error, source, span: None, message, help });
    }

    /// Whether anything is wrong that forbids loading.
    pub(super) fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// The folders of all files read so far.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        // The parent of a mere name is empty, which is no folder to the system.
        let folder = |path: &Path| if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_path_buf() };
        let mut folders: Vec<PathBuf> = self.files.iter().filter_map(|(path, _)| path.parent()).map(folder).collect();
        folders.sort();
        folders.dedup();
        folders
    }

    /// SHA-256 over names and contents, each with its length, in the order of the names; in hex.
    pub(super) fn digest(&self) -> String {
        let mut files: Vec<_> = self.files.iter().collect();
        files.sort();
        let mut context = digest::Context::new(&digest::SHA256);
        for (path, text) in files {
            for part in [path.as_os_str().as_encoded_bytes(), text.as_bytes()] {
                context.update(&part.len().to_be_bytes());
                context.update(part);
            }
        }
        hex(context.finish())
    }

    fn missing(&mut self, path: &Path, named: Option<(&Source, &Spanned<PathBuf>)>, message: String, help: &str) {
        let source = named.map_or_else(|| Source::new(path.display().to_string(), ""), |(source, _)| source.clone());
        let span = named.map(|(_, path)| path.span.clone());
        self.problems.push(Problem { severity: Severity::Error, source, span, message, help: Some(help.to_owned()) });
    }
}

fn hex(digest: digest::Digest) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // Kubernetes mounts the files twice, once below `..data`; editors leave `.file.swp`.
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        if std::fs::metadata(&path)?.is_dir() {
            if depth == 0 {
                return Err(std::io::Error::other("folders nest too deep"));
            }
            walk(&path, depth - 1, found)?;
        } else if path.extension().is_some_and(|extension| extension == "cedar") {
            found.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    // Reading a FIFO or a device would wait for ever.
    if !metadata.is_file() {
        return Err("it is not a file".to_owned());
    }
    if metadata.len() > MAX_FILE {
        return Err(format!("it is larger than {MAX_FILE} bytes"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}
