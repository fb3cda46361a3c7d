//! The trace that a request belongs to, for its record (W3C Trace Context §3.2.2).

use crate::context::Headers;

/// The trace id of `traceparent`: 32 lower-case hex digits that are not all zero.
pub(super) fn trace_id(headers: &Headers) -> Option<&[u8]> {
    let value = headers.single("traceparent").ok()??;
    let mut parts = value.splitn(4, |byte| *byte == b'-');
    let (version, id) = (parts.next()?, parts.next()?);
    let hex = |part: &[u8]| part.iter().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte));
    let valid = version.len() == 2 && hex(version) && id.len() == 32 && hex(id) && id.iter().any(|byte| *byte != b'0');
    valid.then_some(id)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn only_a_well_formed_trace_id_is_recorded() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (value, expected) in [
            (format!("00-{id}-00f067aa0ba902b7-01"), Some(id)),
            (format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()), None),
            (format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), None),
            (format!("00-{id}0-00f067aa0ba902b7-01"), None),
            (id.to_owned(), None),
            (String::new(), None),
        ] {
            let headers = Headers::new(vec![(Bytes::from_static(b"traceparent"), Bytes::from(value.clone()))]);
            assert_eq!(trace_id(&headers), expected.map(str::as_bytes), "{value}");
        }
    }
}
