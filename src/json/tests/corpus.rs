//! JSONTestSuite (nst/JSONTestSuite, MIT): files named `y_` must parse, `n_` must not, `i_` are the implementation's choice.

use std::fs;
use std::path::Path;

use super::LIMITS;
use crate::json::{Document, JsonError};

/// What the suite calls correct JSON and this parser refuses, because parsers differ on it.
fn expected_refusal(name: &str) -> Option<JsonError> {
    match name {
        "y_object_duplicated_key.json" | "y_object_duplicated_key_and_value.json" => {
            Some(JsonError::DuplicateKey { at: 9 })
        }
        "y_object_escaped_null_in_key.json" => Some(JsonError::ControlInKey { at: 1 }),
        _ => None,
    }
}

/// The choices made: numbers of any size are kept as text; everything that is not UTF-8 or half a surrogate pair is refused.
fn expected_choice(name: &str) -> Result<(), JsonError> {
    match name {
        "i_structure_500_nested_arrays.json" => Err(JsonError::TooDeep { at: LIMITS.depth }),
        "i_structure_UTF-8_BOM_empty_object.json" => Err(JsonError::Bom),
        _ if name.starts_with("i_number_") => Ok(()),
        "i_object_key_lone_2nd_surrogate.json"
        | "i_string_1st_surrogate_but_2nd_missing.json"
        | "i_string_1st_valid_surrogate_2nd_invalid.json"
        | "i_string_incomplete_surrogate_and_escape_valid.json"
        | "i_string_incomplete_surrogate_pair.json"
        | "i_string_incomplete_surrogates_escape_valid.json"
        | "i_string_invalid_lonely_surrogate.json"
        | "i_string_invalid_surrogate.json"
        | "i_string_inverted_surrogates_U+1D11E.json"
        | "i_string_lone_second_surrogate.json" => Err(JsonError::LoneSurrogate { at: 2 }),
        _ => Err(JsonError::NotUtf8 { at: 2 }),
    }
}

#[test]
fn json_test_suite() {
    let Some(corpora) = std::env::var_os("TOOLGATE_CORPORA") else {
        eprintln!("SKIPPED: json_test_suite needs TOOLGATE_CORPORA, the folder that holds JSONTestSuite/");
        return;
    };
    let mut counts = [0; 3];
    for entry in fs::read_dir(Path::new(&corpora).join("JSONTestSuite/test_parsing")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let bytes = fs::read(&path).unwrap();
        let found = Document::parse(&bytes, LIMITS).map(drop);
        match name.split_once('_').unwrap().0 {
            "y" => assert_eq!(found.err(), expected_refusal(name), "{name}"),
            "n" => assert!(found.is_err(), "{name}"),
            // Where exactly a broken byte or surrogate stands is the file's business, not the rule's.
            "i" => assert_eq!(found.map_err(kind), expected_choice(name).map_err(kind), "{name}"),
            other => panic!("unknown kind of file: {other}"),
        }
        counts[["y", "n", "i"].iter().position(|kind| name.starts_with(kind)).unwrap()] += 1;
    }
    assert_eq!(counts, [95, 188, 35], "files of each kind");
}

fn kind(error: JsonError) -> std::mem::Discriminant<JsonError> {
    std::mem::discriminant(&error)
}
