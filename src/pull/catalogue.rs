//! Pages of tools, put together into one file: the tools as they came, in their order, written so that two files differ
//! in lines where two catalogues differ in tools.

use std::fmt::Write as _;

use crate::json::{Kind, Value};
use crate::pull::PullError;

/// The pages so far.
#[derive(Debug)]
pub(super) struct Pages {
    text: String,
    limit: usize,
    empty: bool,
}

impl Pages {
    /// No page, of a file that may have `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { text: "{\n  \"tools\": [".to_owned(), limit, empty: true }
    }

    /// Adds the tools of one page.
    pub(super) fn add(&mut self, tools: Value<'_>) -> Result<(), PullError> {
        for tool in tools.items() {
            self.text.push_str(if self.empty { "\n" } else { ",\n" });
            self.empty = false;
            indent(&mut self.text, 2);
            write(&mut self.text, tool, 2);
            if self.text.len() > self.limit {
                return Err(PullError::TooLong(self.limit));
            }
        }
        Ok(())
    }

    /// The file.
    pub(super) fn into_text(mut self) -> String {
        self.text.push_str(if self.empty { "]\n}\n" } else { "\n  ]\n}\n" });
        self.text
    }
}

/// Writes `value`, whose depth the reader has bounded, over several lines. Numbers stay as they were written.
fn write(text: &mut String, value: Value<'_>, depth: usize) {
    let (open, close) = match value.kind() {
        Kind::Null | Kind::Bool | Kind::Number => return text.push_str(value.raw()),
        Kind::String => return quote(text, &value.as_str().unwrap_or_default()),
        Kind::Array => ('[', ']'),
        Kind::Object => ('{', '}'),
    };
    text.push(open);
    if value.is_empty() {
        return text.push(close);
    }
    let mut first = true;
    let mut line = |text: &mut String| {
        text.push_str(if first { "\n" } else { ",\n" });
        first = false;
        indent(text, depth + 1);
    };
    for item in value.items() {
        line(text);
        write(text, item, depth + 1);
    }
    for (name, member) in value.members() {
        line(text);
        quote(text, &name);
        text.push_str(": ");
        write(text, member, depth + 1);
    }
    text.push('\n');
    indent(text, depth);
    text.push(close);
}

fn indent(text: &mut String, depth: usize) {
    text.extend(std::iter::repeat_n("  ", depth));
}

/// A JSON string; letters that a terminal or an editor would act on are escaped.
fn quote(text: &mut String, content: &str) {
    text.push('"');
    for letter in content.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            letter if is_unseen(letter) => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
            letter => text.push(letter),
        }
    }
    text.push('"');
}

/// Control characters, and those that order or end lines.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::Document;
    use crate::policy::catalog::LIMITS;

    /// The file of pages, each an array.
    #[track_caller]
    fn file(pages: &[&str]) -> String {
        let mut all = Pages::new(usize::MAX);
        for page in pages {
            all.add(Document::parse(page.as_bytes(), LIMITS).unwrap().root()).unwrap();
        }
        all.into_text()
    }

    #[test]
    fn pages_are_one_list() {
        assert_eq!(file(&[]), "{\n  \"tools\": []\n}\n");
        assert_eq!(file(&["[]", "[]"]), "{\n  \"tools\": []\n}\n");
        let expected = "{\n  \"tools\": [\n    {\n      \"name\": \"b\",\n      \"n\": [\n        1.0,\n        -0\n      ]\n    },\n    {\n      \"name\": \"a\\u001b\",\n      \"x\": {}\n    }\n  ]\n}\n";
        assert_eq!(file(&[r#"[{"name":"b","n":[1.0,-0]}]"#, "[]", r#"[ {"name":"\u0061\u001b","x":{}} ]"#]), expected);
    }

    #[test]
    fn a_file_that_grows_too_long() {
        let tools = Document::parse(b"[{}]", LIMITS).unwrap();
        let length = file(&["[{}]"]).len() - "\n  ]\n}\n".len();
        assert_eq!(Pages::new(length).add(tools.root()), Ok(()));
        assert_eq!(Pages::new(length - 1).add(tools.root()), Err(PullError::TooLong(length - 1)));
    }

    proptest! {
        #[test]
        fn a_string_stays_what_it_is(content in any::<String>()) {
            let mut text = String::new();
            quote(&mut text, &content);
            let document = Document::parse(text.as_bytes(), LIMITS).unwrap();
            prop_assert_eq!(&*document.root().as_str().unwrap(), &content);
            prop_assert!(!text.chars().any(is_unseen));
        }
    }
}
