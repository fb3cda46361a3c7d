//! Reading the files that a generation is made of.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;

use crate::audit::hex;
use crate::config::Spanned;
use crate::policy::bundle::PolicyFile;
use crate::problem::{Problem, Severity, Source, closest};
use crate::reload::view::View;

/// A folder whose change may change the rules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// Whether the folders in it count too.
    pub deep: bool,
}

/// The files beside the policies: each at the top of the folder.
const LINKS: &str = "links.yaml";
const GROUPS: &str = "entities.yaml";

/// What the policy folder holds.
#[derive(Debug, Default)]
pub(super) struct PolicyFolder {
    /// Every `*.cedar`, in the order of their names.
    pub(super) files: Vec<PolicyFile>,
    /// `links.yaml`.
    pub(super) links: Option<Source>,
    /// `entities.yaml`.
    pub(super) groups: Option<Source>,
}

/// Reads files, and remembers them for the digest, and what was wrong with them.
#[derive(Debug)]
pub(super) struct FileReader {
    /// What names in the digest are relative to.
    base: PathBuf,
    view: View,
    /// Every file that was asked for; without a text if it could not be had, which is not the same as no file.
    files: Vec<(PathBuf, Option<Arc<str>>)>,
    folders: BTreeSet<Folder>,
    /// Everything that was wrong so far.
    pub(super) problems: Vec<Problem>,
}

impl FileReader {
    /// A reader of files that are known by their names in `base`, the folder of the configuration.
    pub(super) fn new(base: &Path) -> Self {
        Self {
            base: base.to_path_buf(),
            view: View::default(),
            files: Vec::new(),
            folders: BTreeSet::new(),
            problems: Vec::new(),
        }
    }

    /// Whether anything that was read is no longer as it was.
    pub(super) fn has_changed(&self) -> bool {
        self.view.has_changed()
    }

    /// The text of the file at `path`; a problem at `named`, the place that names it, if it cannot be had.
    pub(super) fn text(&mut self, path: &Path, named: Option<(&Source, &Spanned<PathBuf>)>) -> Option<Source> {
        let (folder, name) = split(path);
        let text = self.read(path, folder, name, named);
        self.remember(path, text)
    }

    /// The text of a file that nobody is to see: for the digest its own digest stands in for it.
    pub(super) fn secret(&mut self, path: &Path, named: (&Source, &Spanned<PathBuf>)) -> Option<String> {
        let (folder, name) = split(path);
        let text = self.read(path, folder, name, Some(named));
        let digest = text.as_ref().map(|text| hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref()));
        self.remember(path, digest);
        text
    }

    /// Notes what the file at `path` holds.
    fn remember(&mut self, path: &Path, text: Option<String>) -> Option<Source> {
        let text: Option<Arc<str>> = text.map(Into::into);
        self.files.push((path.to_path_buf(), text.clone()));
        Some(Source::new(path.display().to_string(), text?))
    }

    fn read(
        &mut self,
        path: &Path,
        folder: &Path,
        name: &Path,
        named: Option<(&Source, &Spanned<PathBuf>)>,
    ) -> Option<String> {
        self.folders.insert(Folder { path: folder.to_path_buf(), deep: false });
        let read = self.view.read(folder, name);
        let missing = |message| {
            let message = format!("cannot read `{}`: {message}", path.display());
            self.missing(path, named, message, "check the path; paths in the configuration are relative to it");
        };
        read.map_err(missing).ok()
    }

    /// Every `*.cedar` below the folder, in the order of their names, and the two files that may stand beside them.
    pub(super) fn policies(&mut self, config: &Source, folder: &Spanned<PathBuf>) -> PolicyFolder {
        self.folders.insert(Folder { path: folder.value.clone(), deep: true });
        let shown = folder.value.display();
        let names = match self.view.list(&folder.value, &["cedar", "yaml", "yml"]) {
            Ok(names) => names,
            Err(error) => {
                let message = format!("cannot read the policy folder `{shown}`: {error}");
                self.missing(&folder.value, Some((config, folder)), message, "create it, or correct `policies`");
                return PolicyFolder::default();
            }
        };
        let (names, beside): (Vec<PathBuf>, Vec<PathBuf>) =
            names.into_iter().partition(|name| name.extension().is_some_and(|extension| extension == "cedar"));
        if names.is_empty() {
            let message = format!("the policy folder `{shown}` holds no *.cedar file");
            self.missing(
                &folder.value,
                Some((config, folder)),
                message,
                "add a policy: without one, everything is denied",
            );
        }
        let files = names.iter().filter_map(|name| {
            let source = self.below(name, config, folder)?;
            Some(PolicyFile { name: name.display().to_string(), source })
        });
        let files = files.collect();
        let [links, groups] = [LINKS, GROUPS].map(|name| {
            let name = Path::new(name);
            beside.iter().any(|found| found == name).then(|| self.below(name, config, folder)).flatten()
        });
        for name in beside {
            self.misplaced(&name, &folder.value);
        }
        PolicyFolder { files, links, groups }
    }

    /// The text of the file `name` in the policy folder.
    fn below(&mut self, name: &Path, config: &Source, folder: &Spanned<PathBuf>) -> Option<Source> {
        let path = folder.value.join(name);
        let text = self.read(&path, &folder.value, name, Some((config, folder)));
        self.remember(&path, text)
    }

    /// Says so if `name` in the policy folder is no file that is read but was probably meant to be one: what it holds
    /// would not hold.
    fn misplaced(&mut self, name: &Path, folder: &Path) {
        let last = name.file_name().unwrap_or_default().to_string_lossy();
        let Some(meant) = closest(&last, [LINKS, GROUPS]).filter(|meant| name != Path::new(meant)) else { return };
        // Part of the digest: with it these are other files than those that hold.
        self.remember(&folder.join(name), None);
        let path = folder.join(name).display().to_string();
        let (message, source) = (format!("`{path}` is not read"), Source::new(path, ""));
        let help = format!("call it `{}`, or something else", folder.join(meant).display());
        self.error(&source, message, Some(&help));
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

    /// The folders of everything that was looked for.
    pub(super) fn folders(&self) -> Vec<Folder> {
        self.folders.iter().cloned().collect()
    }

    /// SHA-256 over names and contents, each with its length, in the order of the names; in hex. Names are those in the
    /// folder of the configuration: the same files at another place have the same digest.
    pub(super) fn digest(&self) -> String {
        let named = |path: &PathBuf| path.strip_prefix(&self.base).unwrap_or(path).to_path_buf();
        let mut files: Vec<_> = self.files.iter().map(|(path, text)| (named(path), text)).collect();
        files.sort();
        let mut context = digest::Context::new(&digest::SHA256);
        for (path, text) in files {
            let name = path.as_os_str().as_encoded_bytes();
            context.update(&name.len().to_be_bytes());
            context.update(name);
            // A length that no text has: a file that cannot be read is another content than none, and than an empty one.
            context.update(&text.as_ref().map_or(usize::MAX, |text| text.len()).to_be_bytes());
            context.update(text.as_ref().map_or(&[], |text| text.as_bytes()));
        }
        hex(context.finish().as_ref())
    }

    fn missing(&mut self, path: &Path, named: Option<(&Source, &Spanned<PathBuf>)>, message: String, help: &str) {
        let source = named.map_or_else(|| Source::new(path.display().to_string(), ""), |(source, _)| source.clone());
        let span = named.map(|(_, path)| path.span.clone());
        self.problems.push(Problem { severity: Severity::Error, source, span, message, help: Some(help.to_owned()) });
    }
}

/// The folder of a file, and its name there.
fn split(path: &Path) -> (&Path, &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    (folder.unwrap_or(Path::new(".")), path.file_name().map_or(path, Path::new))
}
