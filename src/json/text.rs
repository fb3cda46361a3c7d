//! The inside of strings: where their plain bytes end, and what their escapes mean.

use std::borrow::Cow;

/// Why a text does not continue a backslash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadEscape {
    Syntax,
    LoneSurrogate,
}

/// How many bytes pass before the string ends, an escape begins, or a control character breaks it.
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let stops = stops(u64::from_le_bytes(*word));
        if stops != 0 {
            return index * 8 + stops.trailing_zeros() as usize / 8;
        }
    }
    let is_stop = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    words.len() * 8 + tail.iter().position(is_stop).unwrap_or(tail.len())
}

/// The high bit of each byte of `word` that stops a run, eight looked at together. The lowest such bit is exact; above it a
/// borrow may have set others.
fn stops(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    (below_space | zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')))) & (ONES << 7)
}

/// The character that the escape at the beginning of `text` stands for, its backslash already read, and the escape's
/// length in bytes (RFC 8259 §7).
pub(super) fn escape(text: &str) -> Result<(char, usize), BadEscape> {
    let character = match text.as_bytes().first() {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode_escape(text),
        Some(_) | None => return Err(BadEscape::Syntax),
    };
    Ok((character, 1))
}

/// `uXXXX`, or a surrogate pair `uXXXX\uXXXX`.
fn unicode_escape(text: &str) -> Result<(char, usize), BadEscape> {
    let high = hex(text.get(1..5))?;
    if let Some(character) = char::from_u32(high) {
        return Ok((character, 5));
    }
    if high >= 0xDC00 || text.get(5..7) != Some("\\u") {
        return Err(BadEscape::LoneSurrogate);
    }
    let low = hex(text.get(7..11))?;
    if !(0xDC00..=0xDFFF).contains(&low) {
        return Err(BadEscape::LoneSurrogate);
    }
    let code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    char::from_u32(code).map(|character| (character, 11)).ok_or(BadEscape::LoneSurrogate)
}

fn hex(digits: Option<&str>) -> Result<u32, BadEscape> {
    // `from_str_radix` would take a sign.
    let digits =
        digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit())).ok_or(BadEscape::Syntax)?;
    u32::from_str_radix(digits, 16).map_err(|_| BadEscape::Syntax)
}

/// The content of a string whose escapes the parser has checked.
pub(super) fn unescape(quoted: &str) -> String {
    let mut out = String::with_capacity(quoted.len());
    let mut rest = quoted;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        out.push_str(plain);
        let Ok((character, length)) = escape(escaped) else { break };
        out.push(character);
        rest = escaped.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// One reference token of a JSON pointer: `~1` is `/`, `~0` is `~`, any other `~` is an error (RFC 6901 §3).
pub(super) fn pointer_token(token: &str) -> Option<Cow<'_, str>> {
    if !token.contains('~') {
        return Some(Cow::Borrowed(token));
    }
    let mut parts = token.split('~');
    let mut out = parts.next()?.to_owned();
    for part in parts {
        let (character, rest) = match part.strip_prefix('0') {
            Some(rest) => ('~', rest),
            None => ('/', part.strip_prefix('1')?),
        };
        out.push(character);
        out.push_str(rest);
    }
    Some(Cow::Owned(out))
}
