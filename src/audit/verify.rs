//! Whether a trail is as it was written: every line, its place, and the signatures in between.
//!
//! It reads line by line, and holds nothing but what it found. What follows the last checkpoint is covered by the chain
//! alone: it shows what was changed by accident, or by somebody who did not rewrite all that follows.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, Read as _};

use crate::audit::chain::{Chain, Hash, Link, Personal, SIGNATURE, digits, find, hex_of};
use crate::audit::checkpoint::PublicKey;
use crate::audit::line::LINE_LIMIT;

/// Findings that are told one by one; a trail with more is not worth a longer list.
const MAX_FINDINGS: usize = 1_000;

/// Something that is not as it was written, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The number that the record there has, if it is one.
    pub seq: Option<u64>,
    /// What is wrong.
    pub what: Fault,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is no record.
    NoRecord,
    /// The file holds nothing, although it is not the last.
    Emptied,
    /// The trail starts here, but not with its own beginning nor with that of a file.
    NoBeginning,
    /// So many records are missing before it.
    Missing(u64),
    /// Its number was there before, or should come later: it was put here.
    OutOfPlace,
    /// The record before it, or what this one says of that, is not what was written.
    Changed,
    /// A new chain starts, and does not go on with the one before.
    OtherChain,
    /// Its personal part is neither there nor gone.
    Personal,
    /// It is a checkpoint without a good signature of the key.
    Signature,
    /// The second place has a checkpoint of this number, which the trail has not: it was cut off or replaced.
    NotInTrail,
    /// No checkpoint in all of it is signed with the key.
    Unsigned,
}

/// What a trail is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Lines that are records.
    pub records: u64,
    /// The numbers of the first and the last.
    pub range: Option<(u64, u64)>,
    /// Checkpoints with a good signature; without a key, none.
    pub signed: u64,
    /// Checkpoints of all kinds.
    pub checkpoints: u64,
    /// Records behind the last checkpoint.
    pub after: u64,
    /// Records whose personal part was erased.
    pub erased: u64,
    /// Bytes of unfinished lines at the ends of files: of a process that died, or that is writing.
    pub unfinished: u64,
    /// What is wrong, in the order of the trail; the first of many.
    pub findings: Vec<Finding>,
    /// How many things are wrong.
    pub faults: u64,
}

/// Reads a trail, file after file, in the order of the chain.
#[derive(Debug)]
pub struct Verifier<'k> {
    key: Option<&'k PublicKey>,
    expected: Option<Chain>,
    /// The file before, if it holds nothing.
    emptied: Option<String>,
    /// The checkpoints of the trail, by their numbers.
    checkpoints: BTreeMap<u64, Hash>,
    verified: Verified,
}

struct At<'f> {
    file: &'f str,
    line: u64,
}

impl<'k> Verifier<'k> {
    /// With the key that checkpoints must be signed with; without one, signatures are not looked at.
    pub fn new(key: Option<&'k PublicKey>) -> Self {
        Self { key, expected: None, emptied: None, checkpoints: BTreeMap::new(), verified: Verified::default() }
    }

    /// Reads the next file of the trail.
    ///
    /// # Errors
    /// What the reader says.
    pub fn file(&mut self, file: &str, mut reader: impl BufRead) -> io::Result<()> {
        let mut buffer = Vec::new();
        let mut at = At { file, line: 0 };
        let mut whole = false;
        while next_line(&mut reader, &mut buffer)? {
            at.line += 1;
            match buffer.strip_suffix(b"\n") {
                Some(line) => {
                    whole = true;
                    if let Some(file) = self.emptied.take() {
                        self.found(&At { file: &file, line: 1 }, None, Fault::Emptied);
                    }
                    self.line(&at, line);
                }
                None if buffer.len() > LINE_LIMIT => self.found(&at, None, Fault::NoRecord),
                None => self.verified.unfinished += u64::try_from(buffer.len()).unwrap_or(0),
            }
        }
        if !whole {
            self.emptied = Some(file.to_owned());
        }
        Ok(())
    }

    /// Reads the second place of checkpoints, after all files of the trail.
    ///
    /// # Errors
    /// What the reader says.
    pub fn copies(&mut self, file: &str, mut reader: impl BufRead) -> io::Result<()> {
        let mut buffer = Vec::new();
        let mut at = At { file, line: 0 };
        let first = self.verified.range.map_or(0, |(first, _)| first);
        while next_line(&mut reader, &mut buffer)? {
            at.line += 1;
            // Half a line of a process that died is no checkpoint, and neither is the empty one that follows it.
            let Some(link) = buffer.strip_suffix(b"\n").and_then(Link::parse) else { continue };
            if link.seq < first || link.kind != b"checkpoint" {
                continue;
            }
            if self.key.is_some_and(|key| !is_signed(&link, key)) {
                self.found(&at, Some(link.seq), Fault::Signature);
            } else if self.checkpoints.get(&link.seq) != Some(&link.hash()) {
                self.found(&at, Some(link.seq), Fault::NotInTrail);
            }
        }
        Ok(())
    }

    /// What was found.
    pub fn finish(mut self) -> Verified {
        if self.key.is_some() && self.verified.signed == 0 {
            self.found(&At { file: "", line: 0 }, None, Fault::Unsigned);
        }
        self.verified
    }

    fn line(&mut self, at: &At<'_>, line: &[u8]) {
        let Some(link) = Link::parse(line).filter(|_| line.len() < LINE_LIMIT) else {
            self.found(at, None, Fault::NoRecord);
            return;
        };
        if let Some(fault) = self.place(&link) {
            self.found(at, Some(link.seq), fault);
        }
        match link.personal {
            Personal::Changed => self.found(at, Some(link.seq), Fault::Personal),
            Personal::Erased => self.verified.erased += 1,
            Personal::None | Personal::Intact => {}
        }
        let hash = link.hash();
        self.verified.records += 1;
        self.verified.after += 1;
        let first = self.verified.range.map_or(link.seq, |(first, _)| first);
        self.verified.range = Some((first, link.seq));
        if link.kind == b"checkpoint" {
            self.checkpoint(at, &link, hash);
        }
        self.expected = Some(Chain { next: link.seq.saturating_add(1), head: hash });
    }

    /// What is wrong with the place of a record.
    fn place(&self, link: &Link<'_>) -> Option<Fault> {
        let starts = link.seq == 0 && link.prev == hex_of(&Chain::START.head);
        let Some(expected) = self.expected else {
            // A file starts with the record that it was opened; one that was cut at its head does not.
            let begins = starts || (link.kind == b"opened" && link.chained.ends_with(b",\"at\":0"));
            return (!begins).then_some(Fault::NoBeginning);
        };
        let follows = link.prev == hex_of(&expected.head);
        match link.seq.checked_sub(expected.next) {
            Some(0) if follows => None,
            Some(0) => Some(Fault::Changed),
            Some(missing) => Some(Fault::Missing(missing)),
            None if starts => Some(Fault::OtherChain),
            None => Some(Fault::OutOfPlace),
        }
    }

    fn checkpoint(&mut self, at: &At<'_>, link: &Link<'_>, hash: Hash) {
        self.verified.checkpoints += 1;
        match self.key.map(|key| is_signed(link, key)) {
            Some(false) => {
                self.found(at, Some(link.seq), Fault::Signature);
                return;
            }
            Some(true) => self.verified.signed += 1,
            None => {}
        }
        self.verified.after = 0;
        self.checkpoints.insert(link.seq, hash);
    }

    fn found(&mut self, at: &At<'_>, seq: Option<u64>, what: Fault) {
        self.verified.faults += 1;
        if self.verified.findings.len() < MAX_FINDINGS {
            self.verified.findings.push(Finding { file: at.file.to_owned(), line: at.line, seq, what });
        }
    }
}

/// Whether the signature at the end of a checkpoint is the key's, over all that is before it.
fn is_signed(link: &Link<'_>, key: &PublicKey) -> bool {
    let signed = || {
        let at = find(link.chained, SIGNATURE)?;
        let (message, rest) = link.chained.split_at_checked(at)?;
        let (signature, rest) = digits(rest.strip_prefix(SIGNATURE)?, 128)?;
        (rest == b"\"").then_some((message, signature))
    };
    let Some((message, signature)) = signed() else { return false };
    let named = format!(",\"key\":\"{}\"", key.id());
    message.ends_with(named.as_bytes()) && key.verifies(message, &bytes_of(signature))
}

fn bytes_of(hex: &[u8]) -> Vec<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok()).unwrap_or(0);
    hex.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| (byte << 4) | value(*digit))).collect()
}

/// Reads one line with its line feed, or the start of one that is too long.
pub(super) fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let limit = u64::try_from(LINE_LIMIT).unwrap_or(u64::MAX) + 1;
    Ok(reader.by_ref().take(limit).read_until(b'\n', line)? > 0)
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}: ", self.file, self.line)?;
        }
        if let Some(seq) = self.seq {
            write!(f, "record {seq}: ")?;
        }
        write!(f, "{}", self.what)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRecord => f.write_str("the line is no record"),
            Self::Emptied => f.write_str("the file is empty, although others follow it"),
            Self::NoBeginning => f.write_str("the file does not start here: what came before it is missing"),
            Self::Missing(1) => f.write_str("one record before it is missing"),
            Self::Missing(count) => write!(f, "{count} records before it are missing"),
            Self::OutOfPlace => f.write_str("it does not belong here: it was moved, repeated or put in"),
            Self::Changed => f.write_str("the record before it was changed, or this one's link to it"),
            Self::OtherChain => f.write_str("another chain begins here, and does not go on with the one before"),
            Self::Personal => f.write_str("its personal part was changed"),
            Self::Signature => f.write_str("the checkpoint has no good signature of the key"),
            Self::NotInTrail => f.write_str("the checkpoint is not in the trail: records were cut off or replaced"),
            Self::Unsigned => f.write_str("no checkpoint is signed with the key"),
        }
    }
}

impl Fault {
    /// The word for programs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NoRecord => "no_record",
            Self::Emptied => "emptied",
            Self::NoBeginning => "no_beginning",
            Self::Missing(_) => "missing",
            Self::OutOfPlace => "out_of_place",
            Self::Changed => "changed",
            Self::OtherChain => "other_chain",
            Self::Personal => "personal",
            Self::Signature => "signature",
            Self::NotInTrail => "not_in_trail",
            Self::Unsigned => "unsigned",
        }
    }
}
