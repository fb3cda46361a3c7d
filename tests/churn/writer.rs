//! Changes files as people, editors, deployments and Kubernetes do.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::oracle::{CITIES, DAYS, Oracle, Set};
use crate::cli::support::Files;

/// How a set of files becomes another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// The link `..data` of a mounted volume is pointed at another folder.
    Kubernetes,
    /// A file written beside takes the place of the old one.
    Rename,
    /// A file is emptied, and written in two pieces of which the first is valid by itself.
    InPlace,
    /// The old file becomes a backup, a new one is written, the backup goes.
    Editor,
    /// The folder goes, and comes again file by file.
    Recreate,
    /// A file becomes unreadable, is replaced, and its mode changes twice.
    Mode,
    /// Another folder takes the place of the old one.
    Folder,
}

pub(super) const STYLES: [Style; 7] =
    [Style::Kubernetes, Style::Rename, Style::InPlace, Style::Editor, Style::Recreate, Style::Mode, Style::Folder];

pub(super) struct Writer<'a> {
    files: &'a Files,
    oracle: &'a Arc<Oracle>,
    /// What is told apart from slower changes: a state that lasts for so long may be taken.
    quiet: Duration,
    set: Set,
    mounted: bool,
}

/// How to undo what was spoiled.
pub(super) enum Mend {
    Write(&'static str, String),
    Rename(PathBuf, PathBuf),
    Data(PathBuf, PathBuf),
}

impl<'a> Writer<'a> {
    /// With the first set in place.
    pub(super) fn new(files: &'a Files, oracle: &'a Arc<Oracle>, quiet: Duration) -> Self {
        let set = Set { number: 0, rules: Some((3, Some(0))), day: 2 };
        std::fs::remove_dir_all(files.path("policies")).unwrap();
        files.write("policies/rules.cedar", &set.rules().unwrap());
        files.write("policies/day.cedar", &set.day().unwrap());
        oracle.expect(set, true);
        Self { files, oracle, quiet, set, mounted: false }
    }

    /// Another set in this style; its digest.
    pub(super) fn change(&mut self, style: Style) -> String {
        let number = self.set.number + 1;
        let rules = Some((number % DAYS + 1, Some(number % CITIES.len())));
        let day = (number / 3) % DAYS + 1;
        let both = Set { number, rules, day };
        let one = Set { number, rules, ..self.set };
        if style == Style::Kubernetes || self.mounted {
            let digest = self.oracle.expect(both, true);
            if style == Style::Kubernetes && self.mounted {
                point(&self.folder(), &fill_data(&self.folder(), &both, number));
                std::fs::remove_dir_all(self.folder().join(data(self.set.number))).unwrap();
            } else {
                self.mounted = style == Style::Kubernetes;
                self.replace_folder(&both);
            }
            self.set = both;
            return digest;
        }
        let set = if matches!(style, Style::Recreate | Style::Folder) { both } else { one };
        let digest = self.oracle.expect(set, true);
        let halves = match style {
            Style::InPlace => vec![Set { rules: rules.map(|(limit, _)| (limit, None)), ..set }],
            Style::Editor => vec![Set { rules: None, ..set }],
            Style::Recreate => {
                vec![Set { rules: None, ..set }, Set { rules: None, ..self.set }, Set { day: 0, ..self.set }, self.set]
            }
            Style::Kubernetes | Style::Rename | Style::Mode | Style::Folder => Vec::new(),
        };
        let halves: Vec<String> = halves.into_iter().map(|half| self.oracle.expect(half, half == self.set)).collect();
        let began = Instant::now();
        self.write(style, &set);
        if began.elapsed() > self.quiet {
            halves.iter().for_each(|half| self.oracle.excuse(half));
        }
        self.set = set;
        digest
    }

    fn write(&self, style: Style, set: &Set) {
        let (folder, file) = (self.folder(), self.folder().join("rules.cedar"));
        let rules = set.rules().unwrap();
        let beside = folder.join(".rules.cedar.tmp");
        match style {
            Style::Rename => {
                std::fs::write(&beside, rules).unwrap();
                std::fs::rename(beside, file).unwrap();
            }
            Style::InPlace => {
                let (first, second) = rules.split_at(rules.find("@id(\"closed\")").unwrap());
                let mut file = std::fs::File::create(file).unwrap();
                file.write_all(first.as_bytes()).unwrap();
                file.flush().unwrap();
                file.write_all(second.as_bytes()).unwrap();
            }
            Style::Editor => {
                let (probe, backup) = (folder.join("4913"), folder.join("rules.cedar~"));
                std::fs::write(&probe, "").unwrap();
                std::fs::remove_file(probe).unwrap();
                std::fs::rename(&file, &backup).unwrap();
                std::fs::write(file, rules).unwrap();
                std::fs::remove_file(backup).unwrap();
            }
            Style::Recreate => {
                std::fs::remove_dir_all(&folder).unwrap();
                std::fs::create_dir(&folder).unwrap();
                std::fs::write(folder.join("day.cedar"), set.day().unwrap()).unwrap();
                std::fs::write(file, rules).unwrap();
            }
            Style::Mode => {
                std::fs::set_permissions(&file, Permissions::from_mode(0o000)).unwrap();
                std::fs::write(&beside, rules).unwrap();
                std::fs::rename(beside, &file).unwrap();
                for mode in [0o600, 0o644] {
                    std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
                }
            }
            Style::Kubernetes | Style::Folder => self.replace_folder(set),
        }
    }

    /// Puts another folder with `set` in the place of the one that is there.
    fn replace_folder(&self, set: &Set) {
        let (folder, old, new) = (self.folder(), self.files.path("old"), self.files.path("new"));
        std::fs::create_dir(&new).unwrap();
        if self.mounted {
            point(&new, &fill_data(&new, set, set.number));
            for name in ["rules.cedar", "day.cedar"] {
                symlink(format!("..data/{name}"), new.join(name)).unwrap();
            }
        } else {
            fill(&new, set);
        }
        std::fs::rename(&folder, &old).unwrap();
        std::fs::rename(&new, &folder).unwrap();
        std::fs::remove_dir_all(old).unwrap();
    }

    /// Makes the files one of several bad sets.
    pub(super) fn spoil(&self, kind: usize) -> Mend {
        let away = self.files.path("away");
        let folder = self.folder();
        let rules = self.set.rules().unwrap();
        let text = |name: &'static str| std::fs::read_to_string(self.files.path(name)).unwrap();
        let spoil = |name: &'static str, bad: &str| {
            let mend = Mend::Write(name, text(name));
            std::fs::write(self.files.path(name), bad).unwrap();
            mend
        };
        let policies = |bad: &str| {
            if !self.mounted {
                return spoil("policies/rules.cedar", bad);
            }
            let bad_data = fill_data(&folder, &self.set, self.set.number + 1_000_000);
            std::fs::write(bad_data.join("rules.cedar"), bad).unwrap();
            point(&folder, &bad_data);
            Mend::Data(folder.clone(), folder.join(data(self.set.number)))
        };
        match kind % 9 {
            0 => policies(rules.split_at(rules.len() - 20).0),
            1 => policies(""),
            2 => policies("// all of it is commented out\n"),
            3 => policies(&rules.replace("get_forecast", "get_weather")),
            4 => spoil("toolgate.yaml", text("toolgate.yaml").split_at(200).0),
            5 => spoil("weather.json", "{\"tools\": ["),
            6 => spoil("keys.json", ""),
            7 => {
                std::fs::rename(&folder, &away).unwrap();
                Mend::Rename(away, folder)
            }
            _ => {
                std::fs::rename(&folder, &away).unwrap();
                std::fs::create_dir(&folder).unwrap();
                Mend::Rename(away, folder)
            }
        }
    }

    fn folder(&self) -> PathBuf {
        self.files.path("policies")
    }
}

impl Mend {
    pub(super) fn done(self, files: &Files) {
        match self {
            Self::Write(name, text) => drop(files.write(name, &text)),
            Self::Rename(from, to) => std::fs::rename(from, to).unwrap(),
            Self::Data(folder, good) => {
                let bad = std::fs::read_link(folder.join("..data")).unwrap();
                point(&folder, &good);
                std::fs::remove_dir_all(folder.join(bad)).unwrap();
            }
        }
    }
}

fn fill(folder: &Path, set: &Set) {
    std::fs::write(folder.join("rules.cedar"), set.rules().unwrap()).unwrap();
    std::fs::write(folder.join("day.cedar"), set.day().unwrap()).unwrap();
}

/// The name of the folder with the data of a set.
fn data(number: usize) -> String {
    format!("..data_{number}")
}

fn fill_data(folder: &Path, set: &Set, number: usize) -> PathBuf {
    let to = folder.join(data(number));
    std::fs::create_dir(&to).unwrap();
    fill(&to, set);
    to
}

/// Points the link of a mounted volume at `data` in one step, as Kubernetes does.
fn point(folder: &Path, data: &Path) {
    let next = folder.join("..data_tmp");
    symlink(data.file_name().unwrap(), &next).unwrap();
    std::fs::rename(next, folder.join("..data")).unwrap();
}
