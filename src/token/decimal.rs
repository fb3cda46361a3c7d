/// Cedar's `decimal` holds four digits after the point, as an i64 of ten-thousandths.
const DECIMALS: i64 = 4;

/// The digits of the largest i64.
const MAX_DIGITS: i64 = 19;

/// The canonical text of a JSON number literal as a Cedar `decimal`: at least one and at most four decimals, no trailing
/// zeros, no `-0.0`. `None` if the number does not fit exactly; it is never rounded.
pub fn decimal(literal: &str) -> Option<String> {
    let (mantissa, exponent) = match literal.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (literal, 0),
    };
    let (negative, magnitude) = match mantissa.strip_prefix('-') {
        Some(magnitude) => (true, magnitude),
        None => (false, mantissa),
    };
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
    let all = [whole, fraction].concat();
    let digits = all.trim_end_matches('0');
    let dropped = i64::try_from(all.len() - digits.len()).ok()?;
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some("0.0".to_owned());
    }
    let fraction_digits = i64::try_from(fraction.len()).ok()?;
    let zeros = exponent.checked_sub(fraction_digits)?.checked_add(dropped)?.checked_add(DECIMALS)?;
    if zeros < 0 || i64::try_from(digits.len()).ok()?.checked_add(zeros)? > MAX_DIGITS {
        return None;
    }
    let sign = if negative { "-" } else { "" };
    let scaled: i64 = format!("{sign}{digits}{}", "0".repeat(usize::try_from(zeros).ok()?)).parse().ok()?;
    let scaled = i128::from(scaled).unsigned_abs();
    let decimals = format!("{:04}", scaled % 10_000);
    let decimals = decimals.trim_end_matches('0');
    Some(format!("{sign}{}.{}", scaled / 10_000, if decimals.is_empty() { "0" } else { decimals }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(literal: &str, expected: Option<&str>) {
        assert_eq!(decimal(literal).as_deref(), expected, "{literal}");
    }

    #[test]
    fn a_number_of_four_decimals_is_exact() {
        for (literal, expected) in [
            ("0", "0.0"),
            ("-0", "0.0"),
            ("-0.000e7", "0.0"),
            ("0e99999999999999999", "0.0"),
            ("1", "1.0"),
            ("1.50", "1.5"),
            ("-1.2345", "-1.2345"),
            ("0.0001", "0.0001"),
            ("1e-4", "0.0001"),
            ("123400E-6", "0.1234"),
            ("1.00000000000000000000", "1.0"),
            ("1e2", "100.0"),
            ("1E+2", "100.0"),
            ("922337203685477.5807", "922337203685477.5807"),
            ("-922337203685477.5808", "-922337203685477.5808"),
        ] {
            check(literal, Some(expected));
        }
    }

    #[test]
    fn what_does_not_fit_is_none() {
        for literal in [
            "0.00001",
            "1e-5",
            "922337203685477.5808",
            "-922337203685477.5809",
            "1e15",
            "1e400",
            "1e99999999999999999999",
            "1e9223372036854775807",
            "1.1e-9223372036854775808",
        ] {
            check(literal, None);
        }
    }

    proptest! {
        #[test]
        fn every_ten_thousandth_survives(scaled in any::<i64>()) {
            let magnitude = scaled.unsigned_abs();
            let sign = if scaled < 0 { "-" } else { "" };
            let text = decimal(&format!("{sign}{}.{:04}", magnitude / 10_000, magnitude % 10_000)).unwrap();
            let back: i128 = text.split_once('.').map(|(w, f)| format!("{w}{f:0<4}").parse().unwrap()).unwrap();
            prop_assert_eq!(back, i128::from(scaled));
        }
    }
}
