//! The files of one generation as one view: all of one moment, and no longer changing.

use std::path::Path;

use crate::problem::{Problem, Severity, Source};
use crate::reload::files::{FileReader, Folder};
use crate::reload::load::{Files, LoadFailure, Loaded, build, read};

/// Looks in a row before the files count as changing all the time. One change costs one look more, and a swap of a whole
/// folder is one change.
const LOOKS_IN_A_ROW: usize = 10;

/// Looks with a pause between before the files count as changing all the time.
const LOOKS_APART: usize = 5;

/// Stands for the digest of files that do not stop changing, so that this is told once and not at each look.
const RESTLESS: &str = "restless";

/// Files that were read and not yet parsed.
#[derive(Debug)]
pub struct Gathered {
    reader: FileReader,
    files: Option<Files>,
    digest: String,
    /// Whether they were still when they were read.
    still: bool,
}

impl Gathered {
    /// Reads the files of the configuration at `path`, again if one of them changed meanwhile.
    pub fn look(path: &Path) -> Self {
        let mut looks = 1;
        loop {
            let folder = path.parent().unwrap_or(Path::new(""));
            let mut reader = FileReader::new(folder);
            let files = read(&mut reader, path);
            let still = !reader.has_changed();
            if still || looks == LOOKS_IN_A_ROW {
                return Self { digest: reader.digest(), reader, files, still };
            }
            looks += 1;
        }
    }

    /// The same, once a look after `pause` finds what the look before it found: a file that is emptied first and then
    /// written may hold a valid half of what is meant.
    ///
    /// # Errors
    /// [`LoadFailure`] if the files do not stop changing.
    pub fn settle(mut self, path: &Path, pause: &dyn Fn()) -> Result<Self, LoadFailure> {
        for _ in 0..LOOKS_APART {
            pause();
            let next = Self::look(path);
            if next.still && next.digest == self.digest {
                return Ok(next);
            }
            self = next;
        }
        let problem = Problem {
            severity: Severity::Error,
            source: Source::new(path.display().to_string(), ""),
            span: None,
            message: "the files do not stop changing".to_owned(),
            help: Some("find what writes to them; they are read again".to_owned()),
        };
        Err(LoadFailure { problems: vec![problem], digest: RESTLESS.to_owned() })
    }

    /// SHA-256 of names and contents, in hex.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The folders of everything that was looked for.
    pub fn folders(&self) -> Vec<Folder> {
        self.reader.folders()
    }

    /// Parses and validates everything, as generation `generation`.
    ///
    /// # Errors
    /// [`LoadFailure`] with every problem in the configuration and in the files it names.
    pub fn load(mut self, generation: u64) -> Result<Loaded, LoadFailure> {
        let Self { reader, files, digest, .. } = &mut self;
        match files.take().and_then(|files| build(reader, files, generation, digest.clone())) {
            Some(loaded) => Ok(loaded),
            None => Err(LoadFailure { digest: self.digest, problems: self.reader.problems }),
        }
    }
}
