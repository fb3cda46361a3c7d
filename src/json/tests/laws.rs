//! Laws over arbitrary JSON: this parser reads what serde_json reads, and refuses exactly what is ambiguous.

use proptest::prelude::*;

use super::LIMITS;
use crate::json::{Document, JsonError, Kind, Value, fold};

/// JSON as it is meant, with each string's way of being written.
#[derive(Debug, Clone)]
enum Tree {
    Word(&'static str),
    Number(String),
    String(Text),
    Array(Vec<Tree>),
    Object(Vec<(Text, Tree)>),
}

#[derive(Debug, Clone)]
struct Text {
    meaning: String,
    is_escaped: bool,
}

impl Text {
    fn write(&self, out: &mut String) {
        if self.is_escaped {
            let units = self.meaning.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
            *out += &format!("\"{}\"", units.collect::<String>());
        } else {
            *out += &serde_json::to_string(&self.meaning).unwrap();
        }
    }
}

impl Tree {
    fn write(&self, space: &str, out: &mut String) {
        *out += space;
        match self {
            Self::Word(word) => *out += word,
            Self::Number(literal) => *out += literal,
            Self::String(text) => text.write(out),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    *out += if index == 0 { "" } else { "," };
                    item.write(space, out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    *out += if index == 0 { space } else { "," };
                    key.write(out);
                    *out += space;
                    out.push(':');
                    value.write(space, out);
                }
                out.push('}');
            }
        }
        *out += space;
    }

    /// Whether a reader could take two keys for one, or a key for another.
    fn is_ambiguous(&self) -> bool {
        match self {
            Self::Word(_) | Self::Number(_) | Self::String(_) => false,
            Self::Array(items) => items.iter().any(Self::is_ambiguous),
            Self::Object(members) => {
                let folded =
                    members.iter().map(|(key, _)| fold(&key.meaning)).collect::<std::collections::BTreeSet<_>>();
                folded.len() < members.len()
                    || members.iter().any(|(key, value)| {
                        key.meaning.contains(|c: char| c.is_ascii_control()) || value.is_ambiguous()
                    })
            }
        }
    }

    /// Node by node the same as `value`.
    fn equals(&self, value: Value<'_>) -> bool {
        match self {
            Self::Word(word) => value.raw() == *word,
            Self::Number(literal) => value.as_number() == Some(literal),
            Self::String(text) => value.as_str().is_some_and(|found| found == text.meaning),
            Self::Array(items) => {
                value.kind() == Kind::Array
                    && value.len() == items.len()
                    && items.iter().zip(value.items()).all(|(tree, item)| tree.equals(item))
            }
            Self::Object(members) => {
                let same = |((key, tree), (found, member)): (&(Text, Self), (_, Value<'_>))| {
                    key.meaning == found
                        && tree.equals(member)
                        && value.get(&key.meaning).is_some_and(|again| tree.equals(again))
                };
                value.kind() == Kind::Object
                    && value.len() == members.len()
                    && members.iter().zip(value.members()).all(same)
            }
        }
    }
}

fn text() -> impl Strategy<Value = Text> {
    (prop_oneof!["[aAkKsS\u{17f}\u{212a}ßẞ]{1,2}", "\\PC{0,6}", ".{0,80}"], any::<bool>())
        .prop_map(|(meaning, is_escaped)| Text { meaning, is_escaped })
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "false"]).prop_map(Tree::Word),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,2})?".prop_map(Tree::Number),
        text().prop_map(Tree::String),
    ];
    leaf.prop_recursive(4, 60, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::Array),
            prop::collection::vec((text(), inner.clone()), 0..4).prop_map(Tree::Object),
            prop::collection::vec(
                ("[a-zA-Z]{1,4}".prop_map(|meaning| Text { meaning, is_escaped: false }), inner),
                0..24
            )
            .prop_map(Tree::Object),
        ]
    })
}

#[expect(clippy::disallowed_methods, reason = "the independent parser that this one is held against")]
fn by_serde(bytes: &[u8]) -> Result<serde_json::Value, serde_json::Error> {
    serde_json::from_slice(bytes)
}

/// Whether `value` and what serde_json made of the same text are equal; its floats only to their precision.
fn agree(value: Value<'_>, other: &serde_json::Value) -> bool {
    match other {
        serde_json::Value::Null => value.is_null(),
        serde_json::Value::Bool(other) => value.as_bool() == Some(*other),
        serde_json::Value::Number(other) => match (other.as_i64(), other.as_f64(), value.as_number()) {
            (Some(integer), ..) => value.as_i64() == Some(integer),
            (None, Some(float), Some(literal)) => {
                let found: f64 = literal.parse().unwrap();
                (found - float).abs() <= found.abs() * 1e-15
            }
            (None, ..) => false,
        },
        serde_json::Value::String(other) => value.as_str().is_some_and(|found| found == *other),
        serde_json::Value::Array(other) => {
            value.kind() == Kind::Array
                && value.len() == other.len()
                && value.items().zip(other).all(|(a, b)| agree(a, b))
        }
        serde_json::Value::Object(other) => {
            value.kind() == Kind::Object
                && value.len() == other.len()
                && value.members().all(|(key, value)| other.get(key.as_ref()).is_some_and(|other| agree(value, other)))
        }
    }
}

/// Holds the parser against serde_json on one text; serde_json resolves what this one refuses.
#[track_caller]
fn compare(bytes: &[u8]) {
    let shown = String::from_utf8_lossy(bytes);
    match (Document::parse(bytes, LIMITS), by_serde(bytes)) {
        (Ok(document), Ok(other)) => assert!(agree(document.root(), &other), "{shown}"),
        (Ok(_), Err(error)) => assert!(error.to_string().starts_with("number out of range"), "{error}: {shown}"),
        (Err(JsonError::DuplicateKey { .. } | JsonError::FoldedKey { .. } | JsonError::ControlInKey { .. }), _)
        | (Err(_), Err(_)) => {}
        (Err(error), Ok(_)) => panic!("{error}: {shown}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_was_written_is_read_unless_it_is_ambiguous(tree in tree(), space in "[ \t\r\n]{0,2}") {
        let mut text = String::new();
        tree.write(&space, &mut text);
        match Document::parse(text.as_bytes(), LIMITS) {
            Ok(document) => {
                prop_assert!(!tree.is_ambiguous(), "accepted: {}", text);
                prop_assert!(tree.equals(document.root()), "misread: {}", text);
            }
            Err(JsonError::DuplicateKey { .. } | JsonError::FoldedKey { .. } | JsonError::ControlInKey { .. }) => {
                prop_assert!(tree.is_ambiguous(), "refused: {}", text);
            }
            Err(error) => prop_assert!(false, "{error}: {text}"),
        }
        compare(text.as_bytes());
    }

    #[test]
    fn damaged_json_is_judged_as_serde_json_does(
        tree in tree(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..3, prop::sample::select(b" \t\n\0\x1f\x7f\"\\{}[]:,.-+eE0123456789truefalsnux/\xc3\xa9\xef\xbb\xbf\xed\xa0\x80\xff".to_vec())), 1..4),
    ) {
        let mut text = String::new();
        tree.write("", &mut text);
        let mut bytes = text.into_bytes();
        for (index, kind, byte) in damage {
            let at = index.index(bytes.len() + 1);
            match kind {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                _ => drop(bytes.drain(at..bytes.len().min(at + 1))),
            }
        }
        compare(&bytes);
    }

    #[test]
    fn any_bytes_are_judged_as_serde_json_does(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        compare(&bytes);
    }
}
