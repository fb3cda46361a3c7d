//! Paths in a file system: the folders that they lie in, for paths that every system finds in the same place.
//!
//! What the many file servers do to a path before they use it is not known here: they resolve dots, fold slashes, decode
//! percent signs, turn backslashes, put a home folder for `~`, trim spaces and quotes, drop characters that cannot be seen,
//! or replace letters by others that look like them. A path that any of this would change has no folders. So whoever is told
//! that a path lies within a folder can rely on it, as far as names go: where links lead only the server can see.

use std::borrow::Cow;

use super::{Members, set, text};
use crate::policy::paths::Need;

/// Bytes of one path, as in `PATH_MAX` of Linux. It bounds the folders that one request can make.
pub const MAX_PATH: usize = 4096;

/// The path `path` as `{text, within}`.
pub(super) fn one(path: &str, need: Need<'_>) -> Option<Members> {
    let folders = folders(path)?;
    let mut members = Members::new();
    members.put(need, "text", || text(path));
    members.put(need, "within", || set(folders));
    Some(members)
}

/// The same of several paths: all texts, and the folders that all of them lie in.
pub(super) fn many(paths: &[Cow<'_, str>], need: Need<'_>) -> Option<Members> {
    let within = shared(paths)?;
    let mut members = Members::new();
    members.put(need, "text", || set(paths.iter().map(|path| &**path)));
    members.put(need, "within", || set(within));
    Some(members)
}

/// The folders that all of `paths` lie in; no path lies nowhere. `None` if one of them has no folders.
fn shared<'p>(paths: &'p [Cow<'_, str>]) -> Option<Vec<&'p str>> {
    let mut shared: Option<Vec<&str>> = None;
    for path in paths {
        let folders = folders(path)?;
        // The folders of a path are a chain, so what two of them share is a common beginning.
        shared = Some(match shared {
            None => folders,
            Some(others) => others.into_iter().zip(folders).take_while(|(a, b)| a == b).map(|(a, _)| a).collect(),
        });
    }
    Some(shared.unwrap_or_default())
}

/// Whether `text` is a path that has folders, and so can be one.
pub(super) fn is_path(text: &str) -> bool {
    folders(text).is_some()
}

/// The folders above `path`, from the outermost: of `/a/b/c` these are `/`, `/a` and `/a/b`; of `a/b` it is `a`, wherever the
/// server starts from. `None` if the path can be read in more than one way.
fn folders(path: &str) -> Option<Vec<&str>> {
    if path.len() > MAX_PATH || path.chars().any(is_ambiguous) || has_escape(path) {
        return None;
    }
    if path == "/" {
        return Some(Vec::new());
    }
    let below = path.strip_prefix('/').unwrap_or(path);
    let first = below.split('/').next()?;
    // `C:` is a drive, `file:` a scheme, `:/` the top of a repository, `~` a home.
    if first.contains(':') || first.starts_with('~') || !below.split('/').all(is_plain) {
        return None;
    }
    if [path.chars().next(), path.chars().next_back()].into_iter().flatten().any(is_quote) {
        return None;
    }
    let cuts = path.match_indices('/').map(|(at, _)| at.max(1));
    Some(cuts.filter_map(|at| path.get(..at)).collect())
}

/// A name as every system takes it: not empty, and neither dots alone nor with an end that some cut off.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(' ') && !name.ends_with([' ', '.'])
}

fn is_quote(letter: char) -> bool {
    matches!(letter, '"' | '\'' | '`')
}

/// Whether a percent sign could stand for something else.
fn has_escape(path: &str) -> bool {
    path.as_bytes().windows(3).any(|window| match window {
        [b'%', high, low] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
        _ => false,
    })
}

/// What ends a path or a line, separates names elsewhere, cannot be seen (some file systems leave it out), or looks like a
/// separator, a dot, a tilde or a percent sign (compatibility forms and the best fits of older code pages become it).
fn is_ambiguous(letter: char) -> bool {
    letter.is_control()
        || (letter.is_whitespace() && letter != ' ')
        || matches!(
            letter,
            '\\' | '\u{ad}'
                | '\u{61c}'
                | '\u{180b}'..='\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2024}'..='\u{2026}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2044}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2100}' | '\u{2101}' | '\u{2105}' | '\u{2106}'
                | '\u{2215}' | '\u{2216}'
                | '\u{29f5}' | '\u{29f8}' | '\u{29f9}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{fe10}'..='\u{fe19}'
                | '\u{fe30}'
                | '\u{fe50}'..='\u{fe6b}'
                | '\u{feff}'
                | '\u{ff01}'..='\u{ff5e}'
                | '\u{fff9}'..='\u{ffff}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<&[&str]>) {
        assert_eq!(folders(path).as_deref(), expected, "{path:?}");
    }

    #[test]
    fn a_path_lies_in_every_folder_above_it() {
        check("/", Some(&[]));
        check("/a", Some(&["/"]));
        check("/a/b/c", Some(&["/", "/a", "/a/b"]));
        check("/a/ü/日本.txt", Some(&["/", "/a", "/a/ü"]));
        check("a", Some(&[]));
        check("a/b/c", Some(&["a", "a/b"]));
        check(".git/config", Some(&[".git"]));
        check("/a b/.hidden/x.tar.gz", Some(&["/", "/a b", "/a b/.hidden"]));
        check(
            "/a/~b/100%/12:30/-x/$y/*",
            Some(&[
                "/",
                "/a",
                "/a/~b",
                "/a/~b/100%",
                "/a/~b/100%/12:30",
                "/a/~b/100%/12:30/-x",
                "/a/~b/100%/12:30/-x/$y",
            ]),
        );
    }

    #[test]
    fn what_a_server_might_find_elsewhere_lies_nowhere() {
        for path in [
            "",
            ".",
            "..",
            "./a",
            "a/.",
            "a/..",
            "/a/../b",
            "/..",
            "/...",
            "a/.../b",
            "/a//b",
            "//a",
            "///",
            "a/",
            "/a/",
            "~",
            "~/a",
            "~root/a",
            "/~root",
            "C:/a",
            "c:a",
            "/C:/a",
            "file:/a",
            "file:///a",
            ":/a",
            ":(top)a",
            "\\a",
            "a\\b",
            "/a\\..\\b",
            "/a/%2e%2e/b",
            "/a%2Fb",
            "/a%5cb",
            "/a/%252e%252e/b",
            "/a/%00",
            "/a\0",
            "/a\n",
            "/a\r/b",
            "/a\t",
            "/\u{7f}",
            "/\u{85}",
            " /a",
            "/a ",
            "/a /b",
            "/ a",
            "/a. /b",
            "/a./b",
            "\"/a\"",
            "'/a",
            "/a'",
            "`a`",
            "/a/.\u{200c}./b",
            "/a/\u{feff}../b",
            "/a/.\u{ad}./b",
            "/a/\u{202e}b",
            "/a\u{a0}",
            "/a/\u{ff0e}\u{ff0e}/b",
            "/a/\u{2025}/b",
            "/a\u{2215}..\u{2215}b",
            "/a\u{ff0f}b",
            "/a/\u{2024}\u{2024}/b",
            "/a/\u{fe52}\u{fe52}/b",
            "a\u{2100}b",
            "\u{ff5e}/a",
            "/a/\u{fffd}",
        ] {
            check(path, None);
        }
    }

    #[test]
    fn a_path_longer_than_any_system_takes_lies_nowhere() {
        let path = |bytes: usize| format!("/{}", "x".repeat(bytes - 1));
        check(&path(MAX_PATH), Some(&["/"]));
        check(&path(MAX_PATH + 1), None);
    }

    /// Where POSIX finds `path`, seen from `base`: the names from the root.
    fn resolve(base: &str, path: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in format!("{}/{path}", if path.starts_with('/') { "" } else { base }).split('/') {
            match name {
                "" | "." => {}
                ".." => drop(names.pop()),
                name => names.push(name.to_owned()),
            }
        }
        names
    }

    fn decode(path: &str) -> String {
        let mut bytes = Vec::new();
        let mut rest = path.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
            match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
                Some(byte) if *first == b'%' => {
                    bytes.push(byte);
                    rest = &after[2..];
                }
                _ => {
                    bytes.push(*first);
                    rest = after;
                }
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What a server might make of a path before it looks for it.
    fn readings(path: &str) -> Vec<String> {
        let unseen = |letter: &char| !matches!(letter, '\u{200b}'..='\u{200f}' | '\u{feff}' | '\u{ad}');
        let fold = |letter: char| match letter {
            '\u{ff0e}' | '\u{2024}' => '.',
            '\u{ff0f}' | '\u{2215}' | '\\' => '/',
            other => other,
        };
        let home = path.strip_prefix('~').map(|rest| format!("/home/u{rest}"));
        let drive = path.split_once(':').filter(|(drive, _)| !drive.contains('/')).map(|(_, rest)| rest.to_owned());
        vec![
            path.to_owned(),
            decode(path),
            decode(&decode(path)),
            path.replace('\\', "/"),
            path.trim().trim_matches(['"', '\'']).to_owned(),
            path.chars().filter(unseen).collect(),
            path.chars().map(fold).collect(),
            path.split('/').map(|name| name.trim_end_matches(' ')).collect::<Vec<_>>().join("/"),
            path.split(['\0', '\n']).next().unwrap_or_default().to_owned(),
            home.unwrap_or_else(|| path.to_owned()),
            drive.filter(|rest| rest.starts_with(['/', '\\'])).unwrap_or_else(|| path.to_owned()),
        ]
    }

    const HOSTILE: &[&str] = &[
        "/", "/", "/", "..", ".", "a", "b", "data", "etc", "%2e", "%2E%2e", "%2f", "%252e", "\\", "..\\", "~", "C:",
        ":", "\"", "'", " ", "\0", "\n", "\u{200c}", "\u{feff}", "\u{ff0e}", "\u{2024}", "\u{ff0f}", "\u{2215}", "é",
        "...", "$HOME", "//",
    ];

    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![8 => proptest::sample::select(HOSTILE).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)]
    }

    fn path() -> impl Strategy<Value = String> {
        let name = proptest::sample::select(&["a", "b", "data", "é", ".x", "etc", "c d"][..]);
        let clean = (any::<bool>(), proptest::collection::vec(name, 1..5))
            .prop_map(|(root, names)| format!("{}{}", if root { "/" } else { "" }, names.join("/")));
        // A clean path with one hostile piece somewhere, a heap of pieces, or a clean path.
        let spoilt = (clean.clone(), piece(), any::<proptest::sample::Index>()).prop_map(|(mut path, piece, at)| {
            let places: Vec<usize> = path.char_indices().map(|(at, _)| at).chain([path.len()]).collect();
            path.insert_str(*at.get(&places), &piece);
            path
        });
        prop_oneof![clean, spoilt, proptest::collection::vec(piece(), 0..10).prop_map(|pieces| pieces.concat()),]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn whatever_a_server_makes_of_a_path_lies_below_each_of_its_folders(path in path()) {
            for folder in folders(&path).unwrap_or_default() {
                for base in ["", "/srv/files"] {
                    let above = resolve(base, folder);
                    for reading in readings(&path) {
                        let found = resolve(base, &reading);
                        prop_assert!(found.len() > above.len() && found.starts_with(&above), "{path:?} {folder} {reading:?}");
                    }
                }
            }
        }

        #[test]
        fn several_paths_share_the_folders_that_each_has(paths in proptest::collection::vec(path(), 0..4)) {
            let texts: Vec<Cow<'_, str>> = paths.iter().map(|path| path.as_str().into()).collect();
            let each: Option<Vec<Vec<&str>>> = paths.iter().map(|path| folders(path)).collect();
            let expected = each.map(|each| {
                let mut all: Vec<&str> = each.first().cloned().unwrap_or_default();
                all.retain(|folder| each.iter().all(|folders| folders.contains(folder)));
                all
            });
            prop_assert_eq!(shared(&texts), expected);
        }
    }
}
