//! Texts that are not three parts of base64url, or too long, in ways that some reader forgives.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};

use super::world::{claims, good, headed, header, keys, signers, text, token};
use super::{
    Attack, Expected, absent, bearer, control, credential, no_object, not_a_bearer_token, parameter, shape, too_long,
    too_many,
};
use crate::support::tokens::encode;
use toolgate::token::{MAX_HEADER, MAX_TOKEN};

fn parts(token: &str) -> [String; 3] {
    token.split('.').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap()
}

/// The payload beside the token, or in it as it is (RFC 7515 App. F, RFC 7797; CVE-2026-48990).
pub(super) fn detached_or_unencoded_payload() -> Vec<Attack> {
    let mut attacks = vec![control(good())];
    for key in signers() {
        let alg = [("alg", text(key.alg)), ("kid", text(&key.kid))];
        let changes: Vec<(&str, &str)> = alg.iter().map(|(name, value)| (*name, &**value)).collect();
        let [head, payload, signature] = parts(&key.token(&header(&changes), &claims(&[])));
        attacks.push(bearer(format!("detached, {}", key.alg), format!("{head}..{signature}"), shape()));
        attacks.push(bearer(format!("both detached, {}", key.alg), format!("{head}.."), shape()));
        attacks.push(bearer(format!("payload alone, {}", key.alg), format!(".{payload}."), shape()));
        for crit in ["", r#"["b64"]"#, r#"["b64","exp"]"#] {
            let unencoded = header(&[&changes[..], &[("b64", "false"), ("crit", crit)]].concat());
            let refused = if crit.is_empty() { parameter("b64") } else { parameter("crit") };
            let sign = |payload: &str| encode(key.sign(format!("{}.{payload}", encode(&unencoded)).as_bytes()));
            let of = |what: &str| format!("{what}, {} {crit}", key.alg);
            let plain = claims(&[]).replace(',', "%2C");
            let bare = format!("{}..{}", encode(&unencoded), sign(&claims(&[])));
            attacks.push(bearer(of("unencoded and detached"), bare, shape()));
            let within = format!("{}.{plain}.{}", encode(&unencoded), sign(&plain));
            attacks.push(bearer(of("unencoded"), within, not_a_bearer_token()));
            let dotted = format!("{}.a.b.{}", encode(&unencoded), sign("a.b"));
            attacks.push(bearer(of("a dot in the payload"), dotted, shape()));
            attacks.push(bearer(of("encoded all the same"), key.token(&unencoded, &claims(&[])), refused));
        }
    }
    attacks
}

/// The other serialisations of RFC 7515 §7.2, bare and encoded once more.
pub(super) fn json_serialisation() -> Vec<Attack> {
    let mut attacks = vec![control(good())];
    for key in signers() {
        let [head, payload, signature] = parts(&key.token(&key.header(), &claims(&[])));
        let one = format!(r#"{{"protected":"{head}","signature":"{signature}"}}"#);
        let open = format!(r#"{{"protected":"{head}","header":{{"alg":"none"}},"signature":"{signature}"}}"#);
        for (what, whole) in [
            ("flattened", format!(r#"{{"payload":"{payload}","protected":"{head}","signature":"{signature}"}}"#)),
            ("general", format!(r#"{{"payload":"{payload}","signatures":[{one}]}}"#)),
            ("two signatures", format!(r#"{{"payload":"{payload}","signatures":[{one},{one}]}}"#)),
            ("no signatures", format!(r#"{{"payload":"{payload}","signatures":[]}}"#)),
            ("unprotected alg", format!(r#"{{"payload":"{payload}","signatures":[{open}]}}"#)),
            ("unprotected only", format!(r#"{{"payload":"{payload}","header":{{"alg":"none"}},"signature":""}}"#)),
            ("a list", format!(r#"["{head}","{payload}","{signature}"]"#)),
            ("a string", format!(r#""{head}.{payload}.{signature}""#)),
        ] {
            // With a comma it reads as several credentials.
            let bare = if whole.contains(',') { Expected::Ambiguous } else { not_a_bearer_token() };
            attacks.push(bearer(format!("{what}, {}", key.alg), &whole, bare));
            attacks.push(bearer(
                format!("{what} without commas, {}", key.alg),
                whole.replace(',', " "),
                not_a_bearer_token(),
            ));
            attacks.push(bearer(format!("{what} encoded, {}", key.alg), encode(&whole), shape()));
            let thrice = format!("{}.{payload}.{signature}", encode(&whole));
            let inside = match what {
                "a list" | "a string" => no_object("header"),
                _ => super::algorithm(),
            };
            attacks.push(bearer(format!("{what} for a header, {}", key.alg), thrice, inside));
        }
    }
    attacks
}

/// What may stand in a credential but not in base64url, and what may stand in neither, at every kind of place.
pub(super) fn encoding_alphabet() -> Vec<Attack> {
    let whole = good();
    let [head, payload, _] = parts(&whole);
    let (first, second) = (head.len(), head.len() + 1 + payload.len());
    let places = [
        0,
        1,
        first / 2,
        first,
        first + 1,
        first + 5,
        second - 1,
        second,
        second + 1,
        second + 40,
        whole.len() - 1,
        whole.len(),
    ];
    let mut attacks = vec![control(&whole), bearer("more spaces before it", format!("   {whole}"), Expected::Allow)];
    for at in places {
        let (before, after) = whole.split_at(at);
        let mut put = |what: &str, expected| {
            attacks.push(bearer(format!("{what:?} at {at}"), format!("{before}{what}{after}"), expected))
        };
        for what in ["+", "/", "~", "++", "+/", "~~~~"] {
            put(what, shape());
        }
        for what in ["=", "==", "===="] {
            put(what, if at == whole.len() { shape() } else { not_a_bearer_token() });
        }
        put(",", Expected::Ambiguous);
        if at > 0 {
            put(" ", not_a_bearer_token());
        }
        for what in
            "\t\n\r\0\u{b}\u{c}\u{7f}\u{1b}\"'%&*:;<>?@[]\\^`{}|!#$()\u{e9}\u{2028}\u{feff}\u{ff0e}\u{ff21}\u{200b}"
                .chars()
        {
            put(&what.to_string(), not_a_bearer_token());
        }
        for what in ["\r\n", "%2E", "&#46;", "\\u002e", "=?utf-8?b?"] {
            put(what, not_a_bearer_token());
        }
    }
    attacks
}

/// Each part in another encoding than the one that it must have (RFC 7515 §2).
pub(super) fn encoding_of_parts() -> Vec<Attack> {
    let mut attacks = vec![control(good())];
    for key in signers() {
        let texts = [key.header().into_bytes(), claims(&[("pad", r#""??>>~~ÿÿ""#)]).into_bytes()];
        let signed = format!("{}.{}", encode(&texts[0]), encode(&texts[1]));
        let raw = [texts[0].clone(), texts[1].clone(), key.sign(signed.as_bytes())];
        let good: Vec<String> = raw.iter().map(encode).collect();
        attacks.push(bearer(format!("all in base64url, {}", key.alg), good.join("."), Expected::Allow));
        for (at, bytes) in raw.iter().enumerate() {
            let forms = [
                ("base64", STANDARD_NO_PAD.encode(bytes), shape()),
                ("padded base64", STANDARD.encode(bytes), not_a_bearer_token()),
                ("padded base64url", URL_SAFE.encode(bytes), not_a_bearer_token()),
                ("upper case", good[at].to_ascii_uppercase(), shape()),
                (
                    "lines of 76",
                    good[at].as_bytes().chunks(40).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\r\n"),
                    not_a_bearer_token(),
                ),
                ("percent", good[at].replace(['_', '-'], "%2D").replacen('e', "%65", 1), not_a_bearer_token()),
                ("nothing", String::new(), shape()),
                ("one character more", format!("{}A", good[at]), shape()),
                ("four characters less", good[at][4..].to_owned(), shape()),
            ];
            for (what, form, expected) in forms {
                // Only where the form differs, and where what it differs in is one thing.
                let differs = form != good[at];
                let padded = form.ends_with('=');
                let is_clear = match what {
                    "base64" => form.contains(['+', '/']),
                    "padded base64" | "padded base64url" => padded,
                    "percent" => form.contains('%'),
                    "one character more" => form.len() % 4 == 1,
                    "upper case" | "four characters less" => false,
                    _ => true,
                };
                if differs && is_clear {
                    let expected = if padded && at == 2 { shape() } else { expected };
                    let mut parts = good.clone();
                    parts[at] = form;
                    attacks.push(bearer(format!("{what} at {at}, {}", key.alg), parts.join("."), expected));
                }
            }
        }
    }
    attacks
}

/// The last character of a part has bits to spare, so that several texts decode to the same bytes: one of them counts.
pub(super) fn encoding_spare_bits() -> Vec<Attack> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut attacks = Vec::new();
    for key in signers() {
        for pad in ["", "x", "xx"] {
            let padded = header(&[("alg", &text(key.alg)), ("kid", &text(&key.kid)), ("pad", &text(pad))]);
            let whole = key.token(&padded, &claims(&[("pad", &text(pad))]));
            attacks.push(bearer(format!("{} {pad}", key.alg), &whole, Expected::Allow));
            let parts = parts(&whole);
            for at in 0..3 {
                let spare = match parts[at].len() % 4 {
                    2 => 16,
                    3 => 4,
                    _ => 1,
                };
                let last = parts[at].bytes().last().unwrap();
                let value = ALPHABET.iter().position(|letter| *letter == last).unwrap();
                for bits in 1..spare {
                    let mut changed = parts.clone();
                    changed[at].pop();
                    changed[at].push(char::from(ALPHABET[value + bits]));
                    attacks.push(bearer(
                        format!("{} {pad} part {at} bits {bits}", key.alg),
                        changed.join("."),
                        shape(),
                    ));
                }
            }
        }
    }
    attacks
}

/// Two parts, four, five, and a million (CVE-2025-27144 split at each dot).
pub(super) fn parts_too_few_or_too_many() -> Vec<Attack> {
    let whole = good();
    let [head, payload, signature] = parts(&whole);
    let mut attacks = vec![control(&whole)];
    let part = [&*head, &*payload, &*signature, "", "A", "AAAA"];
    for (i, first) in part.iter().enumerate() {
        attacks.push(match i {
            3 => credential("nothing", "Bearer ", Expected::Missing),
            _ => bearer(format!("part {i} alone"), first, shape()),
        });
        for (j, second) in part.iter().enumerate() {
            attacks.push(bearer(format!("parts {i} {j}"), format!("{first}.{second}"), shape()));
        }
    }
    for more in part {
        attacks.push(bearer(format!("four, {} at the end", more.len()), format!("{whole}.{more}"), shape()));
        attacks.push(bearer(format!("four, {} before", more.len()), format!("{more}.{whole}"), shape()));
        attacks.push(bearer(
            format!("four, {} within", more.len()),
            format!("{head}.{more}.{payload}.{signature}"),
            shape(),
        ));
        attacks.push(bearer(format!("five, {}", more.len()), format!("{more}.{whole}.{more}"), shape()));
    }
    for dots in [1, 2, 3, 4, 5, 10, 100, 1_000, 10_000, MAX_TOKEN] {
        attacks.push(bearer(format!("{dots} dots"), ".".repeat(dots), shape()));
        if dots + whole.len() <= MAX_TOKEN {
            attacks.push(bearer(format!("{dots} dots after"), format!("{whole}{}", ".".repeat(dots)), shape()));
            attacks.push(bearer(
                format!("{dots} dots within"),
                format!("{head}.{}{payload}.{signature}", ".".repeat(dots)),
                shape(),
            ));
        }
    }
    for dots in [MAX_TOKEN + 1, 100_000, 1_000_000] {
        attacks.push(bearer(format!("{dots} dots"), ".".repeat(dots), too_long("token")));
    }
    attacks.push(bearer("more than a message holds", ".".repeat(4 << 20), Expected::TooLarge));
    attacks
}

/// On each side of each limit on a text.
pub(super) fn sizes_of_texts() -> Vec<Attack> {
    let mut attacks = vec![control(good())];
    let sized = |pad: usize| token(&claims(&[("pad", &text(&"x".repeat(pad)))]));
    let fits = (11_000..).take_while(|pad| sized_length(*pad) <= MAX_TOKEN).last().unwrap();
    for more in [0, 1, 2, 3] {
        attacks.push(bearer(format!("the longest token less {more}"), sized(fits - more), Expected::Allow));
    }
    for more in [1, 2, 3, 4, 100, 10_000, 1_000_000] {
        attacks.push(bearer(format!("the longest token and {more}"), sized(fits + more), too_long("token")));
    }
    for letter in ["A", "a", "-", "."] {
        attacks.push(bearer(format!("{letter} all through"), letter.repeat(MAX_TOKEN), shape()));
        attacks.push(bearer(format!("{letter} all through and one"), letter.repeat(MAX_TOKEN + 1), too_long("token")));
    }
    let wide = |pad: usize| header(&[("pad", &text(&"x".repeat(pad)))]);
    let room = MAX_HEADER / 4 * 3 - wide(0).len();
    for more in [0, 1, 2] {
        attacks.push(bearer(format!("the longest header less {more}"), headed(&wide(room - more)), Expected::Allow));
    }
    for more in [1, 2, 3, 100, 4096] {
        attacks.push(bearer(format!("the longest header and {more}"), headed(&wide(room + more)), too_long("header")));
    }
    let long = "s".repeat(4096);
    attacks.push(bearer("a long subject", token(&claims(&[("sub", &text(&long))])), Expected::Allow));
    attacks.push(bearer("a long issuer", token(&claims(&[("iss", &text(&long))])), super::unknown_issuer()));
    attacks.push(bearer("a long audience", token(&claims(&[("aud", &text(&long))])), super::OTHER_AUDIENCE));
    attacks.push(bearer("a long type", headed(&header(&[("typ", &text(&"t".repeat(2000)))])), super::kind()));
    attacks.push(bearer("a long algorithm", headed(&header(&[("alg", &text(&"a".repeat(2000)))])), super::algorithm()));
    attacks.push(bearer("claims of one byte", keys().es256.token(&header(&[]), "7"), no_object("claims")));
    attacks.push(bearer("claims of two", keys().es256.token(&header(&[]), "{}"), absent("iss")));
    attacks
}

/// How long the token of [`sizes_of_texts`] is, without signing it.
fn sized_length(pad: usize) -> usize {
    let claims = claims(&[("pad", &text(&"x".repeat(pad)))]);
    (keys().es256.header().len() * 4).div_ceil(3) + 1 + (claims.len() * 4).div_ceil(3) + 1 + 86
}

/// On each side of each limit on a list.
pub(super) fn sizes_of_lists() -> Vec<Attack> {
    let mut attacks = vec![control(good())];
    let audience = text(super::AUDIENCE);
    let list = |first: &str, rest: &str, length: usize| {
        let rest = std::iter::repeat_n(rest, length - 1);
        format!("[{}]", std::iter::once(first).chain(rest).collect::<Vec<_>>().join(","))
    };
    let limits = [
        ("aud", 64, &*audience, r#""a""#),
        ("scope", 256, r#""a""#, r#""a""#),
        ("groups", 1024, r#""g""#, r#""g""#),
        ("amr", 32, r#""pwd""#, r#""otp""#),
    ];
    for (name, limit, first, rest) in limits {
        for length in [1, 2, limit - 1, limit] {
            let fits = token(&claims(&[(name, &list(first, rest, length))]));
            attacks.push(bearer(format!("{length} of {name}"), fits, Expected::Allow));
        }
        for length in [limit + 1, limit + 2, 2 * limit] {
            let over = token(&claims(&[(name, &list(first, rest, length))]));
            attacks.push(bearer(format!("{length} of {name}"), over, too_many(name)));
        }
    }
    let scopes = |length: usize| token(&claims(&[("scope", &text(&vec!["a"; length].join(" ")))]));
    for length in [255, 256] {
        attacks.push(bearer(format!("{length} scopes in a text"), scopes(length), Expected::Allow));
    }
    for length in [257, 258, 1000, 5000] {
        attacks.push(bearer(format!("{length} scopes in a text"), scopes(length), too_many("scope")));
    }
    attacks
}
