//! Numbers as text: which literals are integers, without ever going through a float.

/// Decimal digits of the largest 64-bit integers.
const I64_DIGITS: usize = 19;

/// The value of the JSON number `literal`, if it is exactly an integer that fits.
///
/// `12.30e1` is 123: with the zeros at the end of its digits moved into the exponent, a number is an integer exactly when
/// its exponent is not negative. Work is linear in the length of the literal, whatever its exponent says.
pub(super) fn integer(literal: &str) -> Option<i64> {
    if let Ok(value) = literal.parse() {
        return Some(value);
    }
    let (negative, magnitude) = match literal.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, literal),
    };
    let (mantissa, exponent) = magnitude.split_once(['e', 'E']).unwrap_or((magnitude, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());

    let trailing = digits().rev().take_while(|digit| *digit == b'0').count();
    let leading = digits().take_while(|digit| *digit == b'0').count();
    let total = whole.len() + fraction.len();
    if trailing == total {
        return Some(0);
    }
    let significant = total - trailing - leading;
    let shift = i128::from(exponent_value(exponent)) - fraction.len() as i128 + trailing as i128;
    let shift = usize::try_from(shift).ok().filter(|shift| significant.saturating_add(*shift) <= I64_DIGITS)?;

    // Summed up below zero, where one more value fits than above.
    let digits = digits().skip(leading).take(significant).chain(std::iter::repeat_n(b'0', shift));
    let below = digits
        .map(|digit| i64::from(digit - b'0'))
        .try_fold(0_i64, |sum, digit| sum.checked_mul(10)?.checked_sub(digit))?;
    if negative { Some(below) } else { below.checked_neg() }
}

/// The exponent, or the end of the range beyond which no integer fits anyway.
fn exponent_value(exponent: &str) -> i64 {
    exponent.parse().unwrap_or(if exponent.starts_with('-') { i64::MIN } else { i64::MAX })
}

/// An array index as a JSON pointer writes it: no sign, no leading zero (RFC 6901 §4).
pub(super) fn array_index(token: &str) -> Option<usize> {
    let canonical = token == "0" || (!token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit()));
    token.parse().ok().filter(|_| canonical)
}
