//! The text of one record: printable ASCII and bounded, whatever a caller sends.
//!
//! Everything else (C1 controls, line separators, bidirectional marks) is an escape, so that no value can end a line,
//! steer a terminal or reorder what a reader sees. Every string and list is cut at a bound of its own, which makes the
//! bound on the whole line a sum and not a hope. A cut value keeps a hash of all of it, so that two stay different.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write;

use aws_lc_rs::digest;
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

use crate::audit::chain;
use crate::audit::chain::{PERSONAL, hex_of};
use crate::context::UnixTime;

/// Longest line, line feed included: container runtimes split what is longer, and half a record is none.
pub(super) const LINE_LIMIT: usize = 16 * 1024;

/// Most bytes of one string as written, without its quotes and the mark of a cut: an entity id and a URL fit.
pub(super) const STRING_LIMIT: usize = 256;

/// Where a list or map stops taking further items, in bytes as written: five of them leave room for all the rest.
pub(super) const LIST_LIMIT: usize = 1536;

/// Bytes of the hash in the mark of a cut: enough to tell values apart, and no more of the line than needed.
const MARK_BYTES: usize = 8;

/// Where a digest goes that is not known yet.
const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

static RFC_3339: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// The members of one JSON object while they are written, each behind a comma: what goes in front is added where the
/// sequence number is known.
#[derive(Debug, Default)]
pub(super) struct Line {
    bytes: Vec<u8>,
    chained: Option<usize>,
}

/// The members of a record behind those that tell its place in the chain.
#[derive(Debug, Clone, Default)]
pub(super) struct Body {
    /// Their text, each with a comma before it.
    pub(super) bytes: Vec<u8>,
    /// How much of it the chain's hash is over: the rest can be erased.
    pub(super) chained: usize,
}

impl Line {
    /// An empty line with room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), chained: None }
    }

    /// What was written.
    pub(super) fn finish(self) -> Body {
        Body { chained: self.chained.unwrap_or(self.bytes.len()), bytes: self.bytes }
    }

    /// The personal part, which is the last: `members` behind a `salt`, and before both the digest of their text. The salt
    /// keeps what is erased from being guessed by its digest.
    pub(super) fn personal(&mut self, salt: &str, members: impl FnOnce(&mut Line)) {
        let before = self.bytes.len();
        self.text("personal", ZEROS);
        let start = self.bytes.len();
        self.text("salt", salt);
        members(self);
        let digest = hex_of(&chain::hash(self.bytes.get(start..).unwrap_or_default()));
        let place = self.bytes.get_mut(before + PERSONAL.len()..).unwrap_or_default();
        place.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        self.chained = Some(start);
    }

    /// A member that is a string.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.key(name);
        self.string(value);
    }

    /// A member that is a string, left out if absent.
    pub(super) fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// A member of caller's bytes; what is not UTF-8 in it becomes U+FFFD.
    pub(super) fn caller(&mut self, name: &str, value: &[u8]) {
        self.text(name, &String::from_utf8_lossy(value));
    }

    /// A member that is a number, or another word of JSON.
    pub(super) fn word(&mut self, name: &str, value: impl Display) {
        self.key(name);
        self.display(value);
    }

    /// A member that is a moment, as RFC 3339 in UTC with milliseconds.
    pub(super) fn time(&mut self, name: &str, value: UnixTime) {
        self.key(name);
        self.bytes.push(b'"');
        let _ = RFC_3339.print_timestamp(&timestamp(value), &mut self.bytes);
        self.bytes.push(b'"');
    }

    /// A member that is a list of strings.
    pub(super) fn list(&mut self, name: &str, items: &[&str]) {
        self.items(name, items, None, |line, item| line.string(item), |item| Cow::Borrowed(item));
    }

    /// A member that is a list of as many `items` as begin before `end`, or within its own limit. Its last item then counts
    /// the rest, with a hash of what they are as `text`.
    pub(super) fn items<T>(
        &mut self,
        name: &str,
        items: &[T],
        end: Option<usize>,
        write: impl Fn(&mut Line, &T),
        text: impl Fn(&T) -> Cow<'_, str>,
    ) {
        self.key(name);
        self.bytes.push(b'[');
        let end = end.unwrap_or(self.bytes.len() + LIST_LIMIT);
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.bytes.push(b',');
            }
            if self.bytes.len() >= end {
                let rest = items.iter().skip(index).map(text);
                self.string(&format!("…+{}#{}", items.len() - index, hash(rest)));
                break;
            }
            write(self, item);
        }
        self.bytes.push(b']');
    }

    /// A member that is an object of `members`.
    pub(super) fn object(&mut self, name: &str, members: impl FnOnce(&mut Line)) {
        self.key(name);
        self.bytes.push(b'{');
        members(self);
        self.bytes.push(b'}');
    }

    /// How much has been written.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    fn key(&mut self, name: &str) {
        if self.bytes.last() != Some(&b'{') {
            self.bytes.push(b',');
        }
        self.string(name);
        self.bytes.push(b':');
    }

    /// A string that is no member.
    pub(super) fn string(&mut self, value: &str) {
        self.bytes.push(b'"');
        if value.len() <= STRING_LIMIT && is_plain(value) {
            self.bytes.extend_from_slice(value.as_bytes());
        } else {
            self.escaped(value);
        }
        self.bytes.push(b'"');
    }

    fn escaped(&mut self, value: &str) {
        let end = self.bytes.len() + STRING_LIMIT;
        for character in value.chars() {
            let before = self.bytes.len();
            self.escape(character);
            if self.bytes.len() > end {
                self.bytes.truncate(before);
                self.display(format_args!("\\u2026#{}", hash([value])));
                return;
            }
        }
    }

    fn escape(&mut self, character: char) {
        match u8::try_from(character) {
            Ok(byte @ b' '..=b'~') => {
                if is_quoted(byte) {
                    self.bytes.push(b'\\');
                }
                self.bytes.push(byte);
            }
            Ok(_) | Err(_) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    self.display(format_args!("\\u{unit:04x}"));
                }
            }
        }
    }

    /// A word that is no member.
    pub(super) fn display(&mut self, value: impl Display) {
        // A vector takes every write.
        let _ = write!(self.bytes, "{value}");
    }
}

/// The moment, or the nearest that can be printed.
pub(crate) fn timestamp(time: UnixTime) -> Timestamp {
    let nearest = if time.millis() < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(time.millis()).unwrap_or(nearest)
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    hex_of(bytes).into_iter().map(char::from).collect()
}

/// Whether it is written as it is. No byte is skipped for an earlier one, so that many are looked at in one instruction.
fn is_plain(value: &str) -> bool {
    value.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~') & !is_quoted(byte))
}

fn is_quoted(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\')
}

/// The start of SHA-256 over the parts with 0xFF, which is in no UTF-8, between them.
fn hash<T: AsRef<str>>(parts: impl IntoIterator<Item = T>) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for (index, part) in parts.into_iter().enumerate() {
        if index > 0 {
            context.update(&[0xff]);
        }
        context.update(part.as_ref().as_bytes());
    }
    let digest = context.finish();
    hex(digest.as_ref().get(..MARK_BYTES).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn written(value: &str, expected: &str) {
        let mut line = Line::default();
        line.text("k", value);
        assert_eq!(String::from_utf8(line.finish().bytes).unwrap(), format!(",\"k\":\"{expected}\""));
    }

    #[test]
    fn everything_outside_printable_ascii_is_an_escape() {
        written("a ~", "a ~");
        written("\"\\", "\\\"\\\\");
        written("\n\u{0}\u{7f}", "\\u000a\\u0000\\u007f");
        written("\u{9b}31m\u{2028}\u{202e}é", "\\u009b31m\\u2028\\u202e\\u00e9");
        written("😀", "\\ud83d\\ude00");
    }

    #[test]
    fn a_string_is_cut_past_its_limit_and_not_at_it() {
        let full = "x".repeat(STRING_LIMIT);
        written(&full, &full);
        let over = "x".repeat(STRING_LIMIT + 1);
        written(&over, &format!("{full}\\u2026#{}", hash([over.as_str()])));
    }

    #[test]
    fn a_cut_never_splits_an_escape() {
        let full = "\\u00e9".repeat(STRING_LIMIT / 6);
        let value = "é".repeat(STRING_LIMIT / 6 + 1);
        written(&value, &format!("{full}\\u2026#{}", hash([value.as_str()])));
    }

    #[test]
    fn the_mark_of_a_cut_is_the_start_of_sha_256() {
        assert_eq!(hash(["abc"]), "ba7816bf8f01cfea");
        assert_ne!(hash(["a", "bc"]), hash(["ab", "c"]));
    }

    #[test]
    fn a_list_takes_items_up_to_its_limit_and_counts_the_rest() {
        // 13 bytes each with quotes and comma: item 119 starts at 1547, the last that starts below the limit is 118.
        let items = ["0123456789"; 120];
        let mut line = Line::default();
        line.list("k", &items[..119]);
        let text = String::from_utf8(line.finish().bytes).unwrap();
        assert_eq!(text.matches("0123456789").count(), 119);
        assert!(!text.contains("\\u2026"), "{text}");

        let mut line = Line::default();
        line.list("k", &items);
        let text = String::from_utf8(line.finish().bytes).unwrap();
        assert_eq!(text.matches("0123456789").count(), 119);
        assert!(text.ends_with(&format!(",\"\\u2026+1#{}\"]", hash(["0123456789"]))), "{text}");
    }

    #[test]
    fn a_moment_is_rfc_3339_with_milliseconds_in_any_range() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_700_000_000_005, "2023-11-14T22:13:20.005Z"),
            (i64::MAX, "9999-12-30T22:00:00.999Z"),
        ] {
            let mut line = Line::default();
            line.time("t", UnixTime::from_millis(millis));
            assert_eq!(String::from_utf8(line.finish().bytes).unwrap(), format!(",\"t\":\"{expected}\""));
        }
    }
}
