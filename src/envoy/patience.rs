//! How long the proxy waits for an answer: its `grpc-timeout`, which it sends with every call that has one.

use std::time::Duration;

use tonic::metadata::MetadataMap;

/// What is left for everything but a question to an issuer: the way back, policies, the record. An answer that comes a
/// moment too late is to the proxy no denial but a failure of ours.
const MARGIN: Duration = Duration::from_millis(25);

/// The longest value: eight digits and a unit.
const MAX_DIGITS: usize = 8;

/// How long a request may wait for somebody else, if the proxy sets a limit. A value that is not one is no limit: the
/// question has its own.
pub(super) fn patience(metadata: &MetadataMap) -> Option<Duration> {
    let value = metadata.get("grpc-timeout")?.to_str().ok()?;
    Some(timeout(value)?.saturating_sub(MARGIN))
}

/// `TimeoutValue TimeoutUnit` of gRPC over HTTP/2.
fn timeout(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse::<u64>().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_s_timeout_less_a_margin_is_left() {
        let millis = |millis| Some(Duration::from_millis(millis));
        for (value, expected) in [
            ("200m", millis(175)),
            ("25m", millis(0)),
            ("1m", millis(0)),
            ("0n", millis(0)),
            ("1S", millis(975)),
            ("2M", millis(119_975)),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600) - MARGIN)),
            ("200000u", millis(175)),
            ("30000000n", millis(5)),
            ("", None),
            ("m", None),
            ("200", None),
            ("200ms", None),
            ("-1S", None),
            ("+1S", None),
            ("1.5S", None),
            ("100000000m", None),
            ("200s", None),
        ] {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", value.parse().unwrap());
            assert_eq!(patience(&metadata), expected, "{value:?}");
        }
        assert_eq!(patience(&MetadataMap::new()), None);
    }
}
