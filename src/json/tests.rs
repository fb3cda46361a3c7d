//! Tables for the rules, laws against an independent parser, and the public parsing corpus.

mod corpus;
mod laws;

use super::*;

const LIMITS: Limits = Limits { depth: 64, nodes: 100_000 };

/// What parsing `bytes` yields: the root's own text, or the error.
#[track_caller]
fn check(bytes: impl AsRef<[u8]>, expected: Result<&str, JsonError>) {
    let bytes = bytes.as_ref();
    let found = Document::parse(bytes, LIMITS).map(|document| document.root().raw().to_owned());
    assert_eq!(found, expected.map(str::to_owned), "{}", String::from_utf8_lossy(bytes));
}

/// Runs `read` on the root of `text`, which must parse.
#[track_caller]
fn with<T>(text: &str, read: impl FnOnce(Value<'_>) -> T) -> T {
    read(Document::parse(text.as_bytes(), LIMITS).expect(text).root())
}

#[test]
fn values_and_the_space_around_them() {
    for text in ["null", "true", "false", "0", "-0", "-1.5e+3", "1E-2", "\"\"", "[]", "{}", "[1,[2],{\"a\":[]}]"] {
        check(text, Ok(text));
        check(format!(" \t\r\n{text}\n"), Ok(text));
    }
    check(" [ 1 , { \"a\" : 2 } ] ", Ok("[ 1 , { \"a\" : 2 } ]"));
}

#[test]
fn broken_grammar() {
    let cases = [
        ("[", 1),
        ("]", 0),
        ("[1", 2),
        ("[1,", 3),
        ("[1,]", 3),
        ("[,1]", 1),
        ("[1 2]", 3),
        ("[1}", 2),
        ("[1,,2]", 3),
        ("{", 1),
        ("{1:2}", 1),
        ("{\"a\"}", 4),
        ("{\"a\":}", 5),
        ("{\"a\":1,}", 7),
        ("{\"a\" 1}", 5),
        ("{\"a\":1]", 6),
        ("{,}", 1),
        ("tru", 0),
        ("nul", 0),
        ("True", 0),
        ("NaN", 0),
        ("'a'", 0),
        ("//", 0),
        ("-", 1),
        ("+1", 0),
        (".5", 0),
        ("1.", 2),
        ("1.e1", 2),
        ("1e", 2),
        ("1e+", 3),
        ("--1", 1),
        ("-a", 1),
        ("\"", 1),
        ("\"a", 2),
        ("\"\n\"", 1),
        ("\"\0\"", 1),
        ("\"\x1f\"", 1),
        ("\"\\", 1),
        ("\"\\x\"", 1),
        ("\"\\u12\"", 1),
        ("\"\\u+123\"", 1),
        ("\"\\u12é\"", 1),
        ("\"\\ud800\\u12\"", 1),
    ];
    for (text, at) in cases {
        check(text, Err(JsonError::Syntax { at }));
    }
}

#[test]
fn nothing_but_one_value() {
    check("", Err(JsonError::Empty));
    check(" \n", Err(JsonError::Empty));
    for (text, at) in [
        ("1 2", 2),
        ("01", 1),
        ("-01", 2),
        ("[][]", 2),
        ("{}x", 2),
        ("null\0", 4),
        ("1\u{a0}", 1),
        ("1\u{b}", 1),
        ("1.5.5", 3),
    ] {
        check(text, Err(JsonError::Trailing { at }));
    }
    check("\u{feff}{}", Err(JsonError::Bom));
    check("{}\u{feff}", Err(JsonError::Trailing { at: 2 }));
    check(b"\"\xff\"", Err(JsonError::NotUtf8 { at: 1 }));
    check(b"\"\xed\xa0\x80\"", Err(JsonError::NotUtf8 { at: 1 }));
    check(b"\"\xc0\xaf\"", Err(JsonError::NotUtf8 { at: 1 }));
}

#[test]
fn every_byte_ends_a_plain_run_or_passes_wherever_it_stands() {
    for byte in 0..=0x7f {
        let stops = byte < 0x20 || byte == b'"' || byte == b'\\';
        for (before, after) in (0..20).flat_map(|before| [0, 1, 20].map(|after| (before, after))) {
            for around in [b' ', 0x7f, b'!', 0xff] {
                let text = [vec![around; before], vec![byte], vec![around; after]].concat();
                assert_eq!(
                    text::plain_run(&text),
                    if stops { before } else { text.len() },
                    "{byte:#x} after {before} of {around:#x}"
                );
            }
        }
    }
}

#[test]
fn surrogates_come_in_pairs() {
    check(r#""\ud83d\ude00""#, Ok(r#""\ud83d\ude00""#));
    for (text, at) in [
        (r#""\ud800""#, 1),
        (r#""\udc00""#, 1),
        (r#""a\udfff\ud800""#, 2),
        (r#""\ud800\ud800""#, 1),
        (r#""\ud800\n""#, 1),
        (r#""\ud800é""#, 1),
        (r#"{"\ud800":1}"#, 2),
        (r#"["\uD83D\uDE00\uDE00"]"#, 14),
    ] {
        check(text, Err(JsonError::LoneSurrogate { at }));
    }
}

#[test]
fn duplicate_keys_at_any_depth() {
    for (text, at) in [
        (r#"{"a":1,"a":1}"#, 7),
        (r#"{"name":1,"n\u0061me":2}"#, 10),
        (r#"{"":1,"":2}"#, 6),
        (r#"[[{"x":{"é":1,"é":2}}]]"#, 15),
        (r#"{"a":{"b":1},"c":[1,2],"a":3}"#, 23),
        (r#"{"a":1,"b":1,"b":1,"a":1}"#, 13),
    ] {
        check(text, Err(JsonError::DuplicateKey { at }));
    }
    check(r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}"#, Ok(r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}"#));
}

#[test]
fn keys_that_differ_by_case_only() {
    for (text, at) in [
        (r#"{"name":1,"Name":2}"#, 10),
        ("{\"params\":1,\"param\u{17f}\":2}", 12),
        ("{\"K\":1,\"\u{212a}\":2}", 7),
        (r#"{"s":1,"\u017F":2}"#, 7),
        ("{\"ß\":1,\"ẞ\":2}", 8),
        ("{\"ss\":1,\"ß\":2}", 8),
        ("{\"Σ\":1,\"ς\":2}", 8),
        ("{\"i\":1,\"ı\":2}", 7),
    ] {
        check(text, Err(JsonError::FoldedKey { at }));
    }
    check(r#"{"a":"x","b":"X","a ":1,"á":1}"#, Ok(r#"{"a":"x","b":"X","a ":1,"á":1}"#));
}

#[test]
fn collisions_are_found_in_objects_of_every_size_and_keys_of_every_length() {
    for count in [1, 2, 15, 16, 17, 18, 40, 1000] {
        for pad in [0, 60, 61, 62, 200] {
            let key = |index: usize| format!("key{index:0pad$}");
            let members: String = (0..count).map(|index| format!("{:?}:0,", key(index))).collect();
            let parse = |last: &str| {
                let text = format!("{{{members}{last:?}:0}}");
                Document::parse(text.as_bytes(), LIMITS).map(|document| document.root().len())
            };
            let at = members.len() + 1;
            assert_eq!(parse("other"), Ok(count + 1));
            assert_eq!(parse(&key(count / 2)), Err(JsonError::DuplicateKey { at }));
            assert_eq!(parse(&key(count / 2).to_uppercase()), Err(JsonError::FoldedKey { at }));
            assert_eq!(parse(&key(0).replace('k', "\u{212a}")), Err(JsonError::FoldedKey { at }));
        }
    }
}

#[test]
fn control_characters_in_keys() {
    for text in [r#"{"a\u0000":1}"#, r#"{"\n":1}"#, r#"{"\u001F":1}"#, r#"{"\u007f":1}"#, "{\"\x7f\":1}"] {
        check(text, Err(JsonError::ControlInKey { at: 1 }));
    }
    check(r#"{"a\u0020\u0080\/":"\u0000\u007f\n"}"#, Ok(r#"{"a\u0020\u0080\/":"\u0000\u007f\n"}"#));
    check("\"\x7f\"", Ok("\"\x7f\""));
}

#[test]
fn depth_and_nodes_are_limited_on_both_sides() {
    let parse = |text: &str, depth, nodes| {
        Document::parse(text.as_bytes(), Limits { depth, nodes }).map(|document| document.root().len())
    };
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(parse(&nested(64), 64, 1000), Ok(1));
    assert_eq!(parse(&nested(65), 64, 1000), Err(JsonError::TooDeep { at: 64 }));
    assert_eq!(parse("{\"a\":{}}", 1, 1000), Err(JsonError::TooDeep { at: 5 }));
    assert_eq!(parse("1", 0, 1), Ok(0));
    assert_eq!(parse("[[],[],[]]", 2, 1000), Ok(3));
    // The array and its items; the object, its keys and its values.
    assert_eq!(parse("[1,2,3]", 64, 4), Ok(3));
    assert_eq!(parse("[1,2,3]", 64, 3), Err(JsonError::TooManyNodes { at: 5 }));
    assert_eq!(parse("{\"a\":1,\"b\":2}", 64, 5), Ok(2));
    assert_eq!(parse("{\"a\":1,\"b\":2}", 64, 4), Err(JsonError::TooManyNodes { at: 11 }));
    assert_eq!(parse("1", 64, 0), Err(JsonError::TooManyNodes { at: 0 }));
    let deep = nested(1_000_000);
    assert_eq!(parse(&deep, usize::MAX, usize::MAX), Ok(1));
}

#[test]
fn integers_are_exact() {
    let integer = |text: &str| with(text, |value| value.as_i64());
    let cases = [
        ("1", Some(1)),
        ("-0", Some(0)),
        ("0.000", Some(0)),
        ("-0e99999999999999999999", Some(0)),
        ("1.0", Some(1)),
        ("1e0", Some(1)),
        ("10e-1", Some(1)),
        ("1e2", Some(100)),
        ("1E+2", Some(100)),
        ("-12.30e1", Some(-123)),
        ("0.5e1", Some(5)),
        ("0.001e3", Some(1)),
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("-9223372036854775809", None),
        ("-9223372036854775808.0", Some(i64::MIN)),
        ("9223372036854775807.5", None),
        ("9.223372036854775807e18", Some(i64::MAX)),
        ("9.223372036854775808e18", None),
        ("1e18", Some(1_000_000_000_000_000_000)),
        ("1e19", None),
        ("1.5", None),
        ("1e-1", None),
        ("1.000000000000000000001", None),
        ("1e99999999999999999999", None),
        ("1e-99999999999999999999", None),
        ("1e9223372036854775807", None),
        ("0.1e-9223372036854775808", None),
        ("9007199254740993", Some(9_007_199_254_740_993)),
        ("true", None),
        ("\"1\"", None),
    ];
    for (text, expected) in cases {
        assert_eq!(integer(text), expected, "{text}");
    }
    let zeros = "0".repeat(100_000);
    assert_eq!(integer(&format!("1{zeros}e-100000")), Some(1));
    assert_eq!(integer(&format!("0.{zeros}1e100001")), Some(1));
    assert_eq!(integer(&format!("1{zeros}")), None);
}

#[test]
fn views_see_their_own_kind_only() {
    let seen = |text: &str| {
        with(text, |value| {
            (
                value.kind(),
                value.is_null(),
                value.as_bool(),
                value.as_number().map(str::to_owned),
                value.as_str().map(Cow::into_owned),
                value.len(),
            )
        })
    };
    assert_eq!(seen("null"), (Kind::Null, true, None, None, None, 0));
    assert_eq!(seen("false"), (Kind::Bool, false, Some(false), None, None, 0));
    assert_eq!(seen("true"), (Kind::Bool, false, Some(true), None, None, 0));
    assert_eq!(seen("1.50"), (Kind::Number, false, None, Some("1.50".to_owned()), None, 0));
    assert_eq!(seen("\"a\""), (Kind::String, false, None, None, Some("a".to_owned()), 0));
    assert_eq!(seen("[1,[2,3]]"), (Kind::Array, false, None, None, None, 2));
    assert_eq!(seen("{\"a\":[1]}"), (Kind::Object, false, None, None, None, 1));
    with("[1]", |value| {
        assert_eq!((value.members().count(), value.get("0").is_none(), value.is_empty()), (0, true, false))
    });
    with("{\"a\":1}", |value| assert_eq!((value.items().count(), value.is_empty()), (0, false)));
}

#[test]
fn strings_are_borrowed_unless_escaped() {
    let text = r#"["plain é", "\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 end", ""]"#;
    with(text, |value| {
        let strings: Vec<_> = value.items().filter_map(Value::as_str).collect();
        assert_eq!(strings, ["plain é", "\"\\/\u{8}\u{c}\n\r\té😀 end", ""]);
        assert_eq!(
            strings.iter().map(|string| matches!(string, Cow::Borrowed(_))).collect::<Vec<_>>(),
            [true, false, true]
        );
    });
}

#[test]
fn members_are_found_by_their_exact_key() {
    with(r#"{"b":{"x":1},"\u0061":2,"":3}"#, |value| {
        let keys: Vec<_> = value.members().map(|(key, value)| format!("{key}={}", value.raw())).collect();
        assert_eq!(keys, ["b={\"x\":1}", "a=2", "=3"]);
        let get = |key| value.get(key).map(Value::raw);
        assert_eq!([get("a"), get(""), get("x"), get("A"), get("\\u0061")], [Some("2"), Some("3"), None, None, None]);
    });
}

#[test]
fn pointers_follow_rfc_6901() {
    // The document of RFC 6901 §5, and what is not a pointer.
    let text = r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;
    let cases = [
        ("", Some(text)),
        ("/foo", Some(r#"["bar","baz"]"#)),
        ("/foo/0", Some("\"bar\"")),
        ("/", Some("0")),
        ("/a~1b", Some("1")),
        ("/c%d", Some("2")),
        ("/e^f", Some("3")),
        ("/g|h", Some("4")),
        ("/i\\j", Some("5")),
        ("/k\"l", Some("6")),
        ("/ ", Some("7")),
        ("/m~0n", Some("8")),
        ("foo", None),
        ("/foo/2", None),
        ("/foo/-", None),
        ("/foo/00", None),
        ("/foo/01", None),
        ("/foo/+1", None),
        ("/foo/0/x", None),
        ("/m~n", None),
        ("/m~2n", None),
        ("/m~", None),
        ("/foo/", None),
        ("/foo/99999999999999999999", None),
    ];
    with(text, |value| {
        for (pointer, expected) in cases {
            assert_eq!(value.pointer(pointer).map(Value::raw), expected, "{pointer}");
        }
    });
    with(r#"{"~1":1}"#, |value| assert_eq!(value.pointer("/~01").map(Value::raw), Some("1")));
}

#[test]
fn folding_is_stable_and_blind_to_case_for_every_character() {
    for character in '\0'..=char::MAX {
        let folded = fold(character.encode_utf8(&mut [0; 4])).into_owned();
        let lower: String = character.to_lowercase().collect();
        let upper: String = character.to_uppercase().collect();
        assert_eq!([fold(&lower), fold(&upper), fold(&folded)], [folded.as_str(); 3], "{character:?}");
    }
}

#[test]
fn debug_output_does_not_repeat_the_text() {
    let document = Document::parse(br#"{"password":"hunter2"}"#, LIMITS).unwrap();
    assert_eq!(format!("{document:?} {:?}", document.root()), "Document(22 bytes, 3 nodes) Object(22 bytes)");
}
