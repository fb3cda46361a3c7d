//! "Did you mean": the nearest of the names that would have been right.

/// The name among `known` that `written` was probably meant to be, if one is near enough: one edit for names of up to
/// five characters, one more for every further three. Case does not count as an edit.
pub fn closest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = written.chars().count().saturating_sub(MANY_CHARACTERS).div_ceil(3).max(1);
    let lower = written.to_lowercase();
    known
        .into_iter()
        .map(|name| (distance(&lower, &name.to_lowercase()), name))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

/// Names up to this length have too many neighbours for more than one edit.
const MANY_CHARACTERS: usize = 5;

/// The Levenshtein distance in characters, where swapping two neighbours is one edit.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=left.len()).collect();
    let mut last = None;
    for (row, other) in right.chars().enumerate() {
        let mut current = vec![row + 1];
        for (column, &this) in left.iter().enumerate() {
            let at = |cells: &[usize], index: usize| cells.get(index).copied().unwrap_or(usize::MAX - 1);
            let mut cell = (at(&previous, column) + usize::from(this != other))
                .min(at(&previous, column + 1) + 1)
                .min(at(&current, column) + 1);
            let neighbour = column.checked_sub(1);
            if let Some(earlier) = neighbour
                && last == Some(this)
                && left.get(earlier) == Some(&other)
            {
                cell = cell.min(at(&before, earlier) + 1);
            }
            current.push(cell);
        }
        before = std::mem::replace(&mut previous, current);
        last = Some(other);
    }
    previous.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_closest(written: &str, known: &[&str], expected: Option<&str>) {
        assert_eq!(closest(written, known.iter().copied()), expected);
    }

    #[test]
    fn a_slip_of_the_finger_is_recognised() {
        assert_closest("isuers", &["name", "issuers"], Some("issuers"));
        assert_closest("grcp", &["admin", "grpc"], Some("grpc"));
        assert_closest("Issuers", &["issuers"], Some("issuers"));
        assert_closest("scopes_suported", &["scopes", "scopes_supported"], Some("scopes_supported"));
    }

    #[test]
    fn a_different_word_is_not_a_slip() {
        assert_closest("tls", &["grpc", "admin"], None);
        assert_closest("", &["grpc"], None);
        assert_closest("path", &["match"], None);
    }

    #[test]
    fn distances_count_single_edits() {
        for (left, right, edits) in
            [("", "", 0), ("ab", "ba", 1), ("abc", "", 3), ("kitten", "sitting", 3), ("é", "e", 1)]
        {
            assert_eq!(distance(left, right), edits, "{left} {right}");
            assert_eq!(distance(right, left), edits, "{right} {left}");
        }
    }
}
