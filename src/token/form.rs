/// What a token looks like from outside, which says whose word it takes to believe it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A JWT: it is verified here by its signature, or not at all.
    Jwt,
    /// Anything else: only its issuer can say what it is.
    Opaque,
}

impl Form {
    /// The form of `token`: a JWT has three parts, the first of which is the base64url of a JSON object (RFC 7515 §7.1).
    ///
    /// It looks no further than to the opening brace, and forgives padding and the other alphabet of base64: whatever
    /// anybody could take for a JWT is one, so that no signed token is ever shown to somebody who did not issue it.
    pub fn of(token: &str) -> Self {
        let parts = token.split_once('.').and_then(|(header, rest)| Some((header, rest.split_once('.')?.1)));
        match parts {
            Some((header, last)) if !last.contains('.') && opens_an_object(header) => Self::Jwt,
            Some(_) | None => Self::Opaque,
        }
    }
}

/// Whether the decoded text starts with `{`, after the white space that JSON allows (RFC 8259 §2).
fn opens_an_object(encoded: &str) -> bool {
    let (mut bits, mut length) = (0_u32, 0);
    for sextet in encoded.bytes().map_while(sextet) {
        bits = (bits << 6) | sextet;
        length += 6;
        if length >= 8 {
            length -= 8;
            let [.., byte] = (bits >> length).to_be_bytes();
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return byte == b'{';
            }
        }
    }
    false
}

/// The six bits that a character stands for (RFC 4648 §4, §5).
fn sextet(byte: u8) -> Option<u32> {
    let (first, value) = match byte {
        b'A'..=b'Z' => (b'A', 0),
        b'a'..=b'z' => (b'a', 26),
        b'0'..=b'9' => (b'0', 52),
        b'-' | b'+' => (byte, 62),
        b'_' | b'/' => (byte, 63),
        _ => return None,
    };
    Some(u32::from(byte - first) + value)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use super::*;

    #[test]
    fn three_parts_with_an_object_in_front_are_a_jwt() {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#);
        let text = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let jwts = [
            format!("{header}.e30.AAAA"),
            format!("{header}.e30."),
            format!("{header}.."),
            format!("{header}.~.~"),
            format!("{}.e30.AAAA", text(" \r\n\t{}")),
            format!("{}.e30.AAAA", text("{")),
            format!("{}.e30.AAAA", text(r#"{"alg":"none","alg":"ES256"}"#)),
            format!("{}.e30.AAAA", STANDARD.encode(r#"{"alg":"??>>"}"#)),
            "ey.e30.AAAA".to_owned(),
            "ew==.e30.AAAA".to_owned(),
        ];
        for token in jwts {
            assert_eq!(Form::of(&token), Form::Jwt, "{token}");
        }
    }

    #[test]
    fn everything_else_is_opaque() {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#);
        let text = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let opaque = [
            String::new(),
            "2YotnFZFEjr1zCsicMWpAA".to_owned(),
            "a/b+c==".to_owned(),
            ".".to_owned(),
            "..".to_owned(),
            "a.b.c".to_owned(),
            header.clone(),
            format!("{header}.e30"),
            format!("{header}.e30.AAAA.AAAA"),
            format!("{header}.a.b.c.d"),
            format!(".{header}.AAAA"),
            format!("~{header}.e30.AAAA"),
            format!("{}.e30.AAAA", text("[]")),
            format!("{}.e30.AAAA", text("\"{\"")),
            format!("{}.e30.AAAA", text("   ")),
            format!("{}.e30.AAAA", text("\u{b}{}")),
            "e.e30.AAAA".to_owned(),
        ];
        for token in opaque {
            assert_eq!(Form::of(&token), Form::Opaque, "{token}");
        }
    }
}
