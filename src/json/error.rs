//! Why a text is not one acceptable JSON document.

use thiserror::Error;

/// The first rule that a text breaks; `at` is a byte offset into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JsonError {
    /// No value at all.
    #[error("there is no JSON value")]
    Empty,
    /// Not UTF-8 (RFC 8259 §8.1).
    #[error("invalid UTF-8 at byte {at}")]
    NotUtf8 {
        /// The first byte that is not.
        at: usize,
    },
    /// A byte order mark, which parsers may ignore or refuse (RFC 8259 §8.1).
    #[error("the text begins with a byte order mark")]
    Bom,
    /// A byte that the grammar does not allow, or the end where it wants more.
    #[error("invalid JSON at byte {at}")]
    Syntax {
        /// The byte, or the length of the text.
        at: usize,
    },
    /// Anything but JSON whitespace after the value.
    #[error("more data after the JSON value at byte {at}")]
    Trailing {
        /// Where it begins.
        at: usize,
    },
    /// One object with one key twice, after escapes are resolved (RFC 7493 §2.3).
    #[error("duplicate key at byte {at}")]
    DuplicateKey {
        /// The later of the two.
        at: usize,
    },
    /// A key that differs from a sibling by case only: some parsers take them for the same.
    #[error("the key at byte {at} differs from another one by case only")]
    FoldedKey {
        /// The later of the two.
        at: usize,
    },
    /// A control character (U+0000 to U+001F, U+007F) in a key, written as it is or as an escape.
    #[error("control character in the key at byte {at}")]
    ControlInKey {
        /// Where the key begins.
        at: usize,
    },
    /// Half a surrogate pair, which is no character (RFC 7493 §2.1).
    #[error("lone surrogate at byte {at}")]
    LoneSurrogate {
        /// Where its escape begins.
        at: usize,
    },
    /// Nested deeper than [`Limits::depth`](super::Limits::depth).
    #[error("nested too deep at byte {at}")]
    TooDeep {
        /// The bracket that is one too many.
        at: usize,
    },
    /// More values and keys than [`Limits::nodes`](super::Limits::nodes).
    #[error("too many values at byte {at}")]
    TooManyNodes {
        /// The value or key that is one too many.
        at: usize,
    },
    /// 4 GiB or more: offsets on the tape have 32 bits.
    #[error("the text is 4 GiB or longer")]
    TooLong,
}
