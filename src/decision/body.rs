//! The bytes of a message, if they are exactly what the upstream will read, and nothing about them hides that.

use bytes::Bytes;

use crate::context::{Body, Headers};
use crate::decision::denial::{Denial, Malformed, Malfunction, Unsupported};

/// The body of a POST.
///
/// # Errors
/// A [`Denial`] if there is none, only a part or another form of one, too much of it, or headers that say that it is not
/// UTF-8 JSON as it stands.
pub fn message_bytes<'a>(
    body: &'a Body,
    headers: &Headers,
    limit: usize,
    accept_text: bool,
) -> Result<&'a Bytes, Denial> {
    let bytes = match body {
        Body::Complete(bytes) => bytes,
        Body::Text(bytes) if accept_text => bytes,
        Body::Text(_) => return Err(Denial::BodyUnsupported(Unsupported::TextBody)),
        Body::Absent => return Err(Denial::MessageMalformed(Malformed::NoBody)),
        Body::Truncated => return Err(Denial::BodyTooLarge),
        Body::LengthMismatch => return Err(Denial::MessageMalformed(Malformed::Length)),
        Body::HeadersFiltered => return Err(Denial::Internal(Malfunction::HeadersFiltered)),
    };
    if bytes.len() > limit {
        return Err(Denial::BodyTooLarge);
    }
    if !headers.single("content-type").is_ok_and(|value| value.is_some_and(|value| is_json(value))) {
        return Err(Denial::BodyUnsupported(Unsupported::ContentType));
    }
    match headers.single("content-encoding") {
        Ok(None) => Ok(bytes),
        Ok(Some(encoding)) if encoding.trim_ascii().eq_ignore_ascii_case(b"identity") => Ok(bytes),
        Ok(Some(_)) | Err(_) => Err(Denial::BodyUnsupported(Unsupported::ContentEncoding)),
    }
}

/// `application/json`, alone or with `charset=utf-8`. Any other parameter, a second charset or a second type is refused:
/// servers disagree on which of them counts.
fn is_json(value: &[u8]) -> bool {
    let mut parts = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let media_type = parts.next().is_some_and(|first| first.eq_ignore_ascii_case(b"application/json"));
    let charset = |part: &[u8]| {
        [&b"charset=utf-8"[..], &b"charset=\"utf-8\""[..]].iter().any(|known| part.eq_ignore_ascii_case(known))
    };
    media_type && parts.next().is_none_or(charset) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_utf8_json_is_json() {
        for (value, expected) in [
            ("application/json", true),
            ("Application/JSON", true),
            ("application/json; charset=utf-8", true),
            ("application/json;charset=\"UTF-8\"", true),
            (" application/json ", true),
            ("application/json; charset=utf-16", false),
            ("application/json; charset=utf-8; charset=utf-16", false),
            ("application/json; boundary=x", false),
            ("application/json,text/plain", false),
            ("application/json-rpc", false),
            ("application/vnd.api+json", false),
            ("text/plain", false),
            ("", false),
        ] {
            assert_eq!(is_json(value.as_bytes()), expected, "{value}");
        }
    }
}
