//! Text that may stand in a header.

/// `value` without what could end the header or confuse who reads it: printable ASCII stays.
pub(super) fn printable(mut value: String) -> String {
    if !value.bytes().all(is_printable) {
        value.retain(|character| character.is_ascii() && (' '..='~').contains(&character));
    }
    value
}

/// `value` as the inside of a quoted-string auth-param (RFC 6750 §3: no quote, no backslash).
pub(super) fn quotable(value: &str) -> String {
    value.chars().filter(|character| (' '..='~').contains(character) && !matches!(character, '"' | '\\')).collect()
}

/// `value` with everything percent-encoded that is not printable ASCII, and `%` and `,` too (a list joined by the proxy
/// stays one list); `None` beyond [`MAX_VALUE`].
pub(super) fn percent_encoded(value: &str) -> Option<String> {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if is_printable(byte) && !matches!(byte, b'%' | b',') {
            text.push(char::from(byte));
        } else {
            const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or('0');
            text.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    (text.len() <= MAX_VALUE).then_some(text)
}

/// Bytes of an upstream header's value. Envoy refuses requests whose headers exceed 60 KiB in all, and a subject or a
/// list of scopes of more than a few hundred bytes is a mistake.
pub(super) const MAX_VALUE: usize = 4096;

fn is_printable(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_printable_ascii_passes() {
        for (value, expected) in [("plain", "plain"), ("a\r\nb: c", "ab: c"), ("ü\u{7f}\u{0}x", "x"), ("", "")] {
            assert_eq!(printable(value.to_owned()), expected);
        }
    }

    #[test]
    fn a_quoted_string_cannot_be_left() {
        assert_eq!(quotable("urn:\"x\\\", scope=\"admin\r\n"), "urn:x, scope=admin");
    }

    #[test]
    fn upstream_values_decode_to_what_they_were() {
        assert_eq!(percent_encoded("a b%,\n").as_deref(), Some("a b%25%2C%0A"));
        assert_eq!(percent_encoded("ü").as_deref(), Some("%C3%BC"));
    }

    #[test]
    fn an_upstream_value_has_a_limit() {
        assert!(percent_encoded(&"a".repeat(MAX_VALUE)).is_some());
        assert!(percent_encoded(&"a".repeat(MAX_VALUE + 1)).is_none());
    }
}
