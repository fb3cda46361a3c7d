//! How records hang together: each carries the hash of the one before it, and its own number.
//!
//! The hash is SHA-256 over the exact bytes of a line up to its personal part, of which the digest stands right before it.
//! So the personal part of a line can be erased later, and the chain still holds.

use std::io::Write as _;

use aws_lc_rs::digest;

use crate::audit::checkpoint::Signer;
use crate::audit::line::Body;

/// SHA-256.
pub(super) type Hash = [u8; 32];

/// What stands before the digest of a personal part. No string in a record can hold it: a quote in one is escaped.
pub(super) const PERSONAL: &[u8] = b",\"personal\":\"";

/// What stands before the signature of a checkpoint.
pub(super) const SIGNATURE: &[u8] = b",\"signature\":\"";

/// Hexadecimal digits of a [`Hash`].
pub(super) const HASH_DIGITS: usize = 64;

/// Most bytes that [`Chain::extend`] adds to a record: its boot, the longest number, a hash, their names, and the end.
pub(super) const LINK_LIMIT: usize = 129;

/// Where a chain ends: what the next record says of itself and of the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain {
    /// The number of the next record.
    pub(super) next: u64,
    /// The hash of the last one; zeros before the first.
    pub(super) head: Hash,
}

/// A record as far as the chain is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link<'l> {
    /// Its number.
    pub(super) seq: u64,
    /// The hash of the one before it, in hexadecimal.
    pub(super) prev: &'l [u8],
    /// What it records.
    pub(super) kind: &'l [u8],
    /// The bytes that its own hash is over.
    pub(super) chained: &'l [u8],
    /// The state of its personal part.
    pub(super) personal: Personal,
}

/// The part of a record that says who it was, compared with its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Personal {
    /// It never had one.
    None,
    /// It is as it was written.
    Intact,
    /// It is gone.
    Erased,
    /// It is another.
    Changed,
}

impl Chain {
    /// The beginning of a chain.
    pub(super) const START: Self = Self { next: 0, head: [0; 32] };

    /// Goes on after `line`, which is without its line feed. After what is no record, the numbers start again.
    pub(super) fn after(line: &[u8]) -> Self {
        match Link::parse(line) {
            Some(link) => Self { next: link.seq.saturating_add(1), head: link.hash() },
            None => Self { next: 0, head: hash(line) },
        }
    }

    /// Appends the record of `body` to `out`, signed if there is a signer, and moves on behind it.
    pub(super) fn extend(&mut self, out: &mut Vec<u8>, boot: &str, body: &Body, signer: Option<&Signer>) {
        let start = out.len();
        // A vector takes every write.
        let _ = write!(out, "{{\"boot\":\"{boot}\",\"seq\":{},\"prev\":\"", self.next);
        push_hex(out, &self.head);
        out.push(b'"');
        let mut chained = out.len() + body.chained;
        out.extend_from_slice(&body.bytes);
        if let Some(signature) = signer.and_then(|signer| signer.sign(out.get(start..).unwrap_or_default())) {
            out.extend_from_slice(SIGNATURE);
            push_hex(out, &signature);
            out.push(b'"');
            chained = out.len();
        }
        self.head = hash(out.get(start..chained).unwrap_or_default());
        self.next += 1;
        out.extend_from_slice(b"}\n");
    }
}

impl<'l> Link<'l> {
    /// Reads a line, without its line feed; `None` if it has not the form that [`Chain::extend`] gives.
    pub(super) fn parse(line: &'l [u8]) -> Option<Self> {
        let (_, rest) = digits(line.strip_prefix(b"{\"boot\":\"")?, 16)?;
        let rest = rest.strip_prefix(b"\",\"seq\":")?;
        let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
        let (number, rest) = rest.split_at_checked(end)?;
        let (prev, rest) = digits(rest.strip_prefix(b",\"prev\":\"")?, HASH_DIGITS)?;
        let rest = rest.strip_prefix(b"\",\"kind\":\"")?;
        let kind = rest.get(..rest.iter().position(|byte| *byte == b'"')?)?;
        let whole = line.strip_suffix(b"}")?;
        let (chained, personal) = match find(whole, PERSONAL) {
            None => (whole, Personal::None),
            Some(at) => personal(whole, at)?,
        };
        let seq = std::str::from_utf8(number).ok()?.parse().ok()?;
        Some(Self { seq, prev, kind, chained, personal })
    }

    /// Its hash, which the next record carries.
    pub(super) fn hash(&self) -> Hash {
        hash(self.chained)
    }
}

fn personal(whole: &[u8], at: usize) -> Option<(&[u8], Personal)> {
    let (digest, rest) = digits(whole.get(at + PERSONAL.len()..)?, HASH_DIGITS)?;
    let erasable = rest.strip_prefix(b"\"")?;
    let chained = whole.get(..whole.len() - erasable.len())?;
    let state = match erasable {
        b"" => Personal::Erased,
        rest if digest == hex_of(&hash(rest)) => Personal::Intact,
        _ => Personal::Changed,
    };
    Some((chained, state))
}

/// The first `count` bytes, lower-case hexadecimal all, and the rest.
pub(super) fn digits(text: &[u8], count: usize) -> Option<(&[u8], &[u8])> {
    let (digits, rest) = text.split_at_checked(count)?;
    digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).then_some((digits, rest))
}

pub(super) fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

pub(super) fn hash(bytes: &[u8]) -> Hash {
    let mut hash = [0; 32];
    let digest = digest::digest(&digest::SHA256, bytes);
    hash.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

/// Appends `bytes` in lower-case hexadecimal.
pub(super) fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
    out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]));
}

pub(super) fn hex_of(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * bytes.len());
    push_hex(&mut out, bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::line::Line;

    const BOOT: &str = "0123456789abcdef";

    fn body(personal: bool) -> Body {
        let mut line = Line::default();
        line.text("kind", "decision");
        if personal {
            line.personal("salt", |line| line.text("principal", "User::\"corp:ada\""));
        }
        line.finish()
    }

    #[test]
    fn a_record_carries_the_hash_of_the_one_before() {
        let mut out = Vec::new();
        let mut chain = Chain::START;
        chain.extend(&mut out, BOOT, &body(true), None);
        let first = out.len();
        chain.extend(&mut out, BOOT, &body(false), None);
        let lines: Vec<_> = out.split(|byte| *byte == b'\n').collect();
        let (one, two) = (Link::parse(lines[0]).unwrap(), Link::parse(lines[1]).unwrap());
        assert_eq!((one.seq, one.prev, one.personal), (0, "0".repeat(64).as_bytes(), Personal::Intact));
        assert_eq!((two.seq, two.prev, two.personal), (1, hex_of(&one.hash()).as_slice(), Personal::None));
        assert_eq!((two.kind, two.chained.len() + 2), (b"decision".as_slice(), out.len() - first));
        assert_eq!(Chain::after(lines[1]), chain);
    }

    #[test]
    fn what_is_added_to_a_record_is_within_its_limit_and_reaches_it() {
        for (next, short) in [(u64::MAX - 1, 0), (0, 19)] {
            let mut out = Vec::new();
            let body = body(true);
            Chain { next, ..Chain::START }.extend(&mut out, BOOT, &body, None);
            assert_eq!(out.len() - body.bytes.len(), LINK_LIMIT - short, "{next}");
        }
    }

    #[test]
    fn the_personal_part_can_go_and_not_change() {
        let mut out = Vec::new();
        let mut chain = Chain::START;
        chain.extend(&mut out, BOOT, &body(true), None);
        let line = String::from_utf8(out).unwrap();
        let whole = Link::parse(line.trim_end().as_bytes()).unwrap();
        let (kept, _) = line.split_once(",\"salt\":").unwrap();
        let erased = format!("{kept}}}");
        let changed = line.replace("corp:ada", "corp:bob");
        let (erased, changed) =
            (Link::parse(erased.as_bytes()).unwrap(), Link::parse(changed.trim_end().as_bytes()).unwrap());
        assert_eq!((whole.hash(), erased.personal), (erased.hash(), Personal::Erased));
        assert_eq!((whole.hash(), changed.personal), (changed.hash(), Personal::Changed));
    }

    #[test]
    fn what_is_no_record_starts_the_numbers_again() {
        let expected = Chain { next: 0, head: hash(b"{\"whole\":1}") };
        assert_eq!(Chain::after(b"{\"whole\":1}"), expected);
    }
}
