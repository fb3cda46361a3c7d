//! Claims that say less than they must, something else, or almost the right thing.

use super::world::{AUDIENCE, BANK, CANARY, ISSUER, PARTNER, Seeded, claims, good, good_claims, text, token};
use super::{
    Attack, Expected, OTHER_AUDIENCE, REVOKED, absent, bearer, control, invalid, malformed, ping, too_many,
    unknown_issuer,
};

fn with(name: &str, value: &str) -> String {
    token(&claims(&[(name, value)]))
}

/// What RFC 9068 §2.2 requires, one by one and two by two; the first that is missed is told.
pub(super) fn claims_missing() -> Vec<Attack> {
    let mut attacks = vec![control(good())];
    let order = ["iss", "aud", "iat", "exp", "client_id"];
    for (at, name) in order.iter().enumerate() {
        attacks.push(bearer(format!("no {name}"), with(name, ""), absent(name)));
        for other in &order[at + 1..] {
            let neither = token(&claims(&[(name, ""), (other, "")]));
            attacks.push(bearer(format!("no {name} and no {other}"), neither, absent(name)));
        }
        for other in [
            name.to_uppercase(),
            format!("{name} "),
            format!(" {name}"),
            format!("{name}s"),
            format!("/{name}"),
            format!("x.{name}"),
        ] {
            let value = good_claims().into_iter().find(|(own, _)| own == name).unwrap().1;
            let renamed = token(&claims(&[(name, ""), (&other, &value)]));
            attacks.push(bearer(format!("{name} is called {other:?}"), renamed, absent(name)));
            let within = token(&claims(&[(name, ""), ("claims", &format!("{{{}:{value}}}", text(name)))]));
            attacks.push(bearer(format!("{name} stands within, not {other:?}"), within, absent(name)));
        }
    }
    for name in ["sub", "jti", "scope"] {
        attacks.push(bearer(format!("no {name}, which may be"), with(name, ""), Expected::Allow));
    }
    let azp = token(&claims(&[("client_id", ""), ("azp", r#""desk-app""#)]));
    attacks.push(bearer("azp for client_id", azp, Expected::Allow));
    attacks
}

/// Every claim that is read as every type that it does not have.
pub(super) fn claims_of_another_type() -> Vec<Attack> {
    let mut attacks = vec![control(good())];
    let all = [
        "null",
        "true",
        "false",
        "0",
        "7",
        "-1",
        "1.5",
        r#""""#,
        "{}",
        "[]",
        "[7]",
        "[null]",
        "[[]]",
        "[{}]",
        r#"[""]"#,
        r#"["a",7]"#,
        r#"{"a":"b"}"#,
        r#"["a"]"#,
    ];
    let names: [(&str, &[&str]); 10] = [
        // The claim, and what of the list it may be.
        ("iss", &[]),
        ("sub", &[]),
        ("client_id", &[]),
        ("jti", &[]),
        ("acr", &[]),
        ("aud", &[r#"["a"]"#]),
        ("amr", &["[]", r#"["a"]"#]),
        ("groups", &["[]", r#"["a"]"#]),
        ("scope", &[r#""""#, "[]", r#"["a"]"#]),
        ("act", &[]),
    ];
    for (name, fits) in names {
        for value in all {
            let expected = match name {
                "aud" if fits.contains(&value) => OTHER_AUDIENCE,
                _ if fits.contains(&value) => Expected::Allow,
                _ => malformed(name),
            };
            attacks.push(bearer(format!("{name} {value}"), with(name, value), expected));
        }
    }
    for value in all {
        let azp = token(&claims(&[("client_id", ""), ("azp", value)]));
        attacks.push(bearer(format!("azp {value}"), azp, malformed("azp")));
    }
    for (name, value) in [("aud", r#""""#), ("amr", r#""pwd""#), ("scope", r#"{"scope":"a"}"#), ("groups", r#""""#)] {
        attacks.push(bearer(format!("{name} {value}"), with(name, value), malformed(name)));
    }
    attacks
}

/// A name with a control character is none, wherever it stands (CVE-2024-45808, CVE-2025-58160: logs and terminals).
pub(super) fn claims_with_control_characters() -> Vec<Attack> {
    let mut attacks = vec![control(good())];
    let control_characters = (0..0x20_u32).chain(0x7f..0xa0).map(|code| char::from_u32(code).unwrap());
    for character in control_characters {
        let value = text(&format!("a{character}b"));
        let forms = [
            ("iss", value.clone(), "iss"),
            ("sub", value.clone(), "sub"),
            ("client_id", value.clone(), "client_id"),
            ("jti", value.clone(), "jti"),
            ("acr", value.clone(), "acr"),
            ("aud", value.clone(), "aud"),
            ("aud", format!("[{},{value}]", text(AUDIENCE)), "aud"),
            ("amr", format!("[{value}]"), "amr"),
            ("groups", format!("[{value}]"), "groups"),
            ("act", format!(r#"{{"sub":{value}}}"#), "act"),
            ("scope", value.clone(), "scope"),
        ];
        for (name, value, claim) in forms {
            attacks.push(bearer(format!("{name} {value}"), with(name, &value), malformed(claim)));
        }
    }
    for (name, value) in [("sub", "a\u{a0}b\u{2028}\u{202e}c"), ("jti", "\u{feff}"), ("acr", "\u{1f4a9}")] {
        attacks.push(bearer(
            format!("{name} {value:?}, no control character"),
            with(name, &text(value)),
            Expected::Allow,
        ));
    }
    attacks
}

/// `name` with one place changed, in each of several ways.
fn almost(name: &str) -> Vec<String> {
    let mut others = vec![
        format!("{name}/"),
        format!("{name}//"),
        format!("{name}/."),
        format!("{name}/.."),
        format!("{name}?"),
        format!("{name}#"),
        format!("{name} "),
        format!(" {name}"),
        format!("{name},"),
        format!("{name}.evil.example"),
        format!("{name}@evil.example"),
        format!("{name}%00"),
        format!("{name}%20"),
        format!("{name} {name}"),
        format!("{name},{name}"),
        format!("[{name}]"),
        format!("<{name}>"),
        format!("\"{name}\""),
        format!("{name}*"),
        format!("https://evil.example/{name}"),
        format!("https://evil.example/?{name}"),
        name.replace("https://", "http://"),
        name.replace("https://", "HTTPS://"),
        name.replace("https://", "https:///"),
        name.replace("https://", "https:/"),
        name.replace("https://", "//"),
        name.replace("https://", ""),
        name.replace("https://", "https://x@"),
        name.replace(".com", ".com:443"),
        name.replace(".com", ".com."),
        name.replace(".com", ".com.evil.example"),
        name.to_uppercase(),
        "*".to_owned(),
        "https://*".to_owned(),
        "https://".to_owned(),
        name.replace("example", "*"),
        name.replace('a', "\u{430}"),
        name.replace('e', "\u{435}"),
        name.replace('e', "e\u{301}"),
        name.replace('.', "\u{3002}"),
        name.replace('/', "\u{2044}"),
        name.replace('e', "%65"),
        name.replace('m', "\u{ff4d}"),
    ];
    for (at, letter) in name.char_indices() {
        let (before, after) = (&name[..at], &name[at + letter.len_utf8()..]);
        others.push(format!("{before}{after}"));
        others.push(format!("{before}{letter}{letter}{after}"));
        others.push(format!(
            "{before}{}{after}",
            if letter.is_ascii_lowercase() { letter.to_ascii_uppercase() } else { '_' }
        ));
    }
    others.extend((1..name.len()).map(|length| name[..length].to_owned()));
    others.retain(|other| other != name);
    others
}

/// The audience is compared letter by letter (RFC 9068 §4, RFC 8707 §2).
pub(super) fn audience_almost_right() -> Vec<Attack> {
    let list =
        |audiences: &[&str]| format!("[{}]", audiences.iter().map(|one| text(one)).collect::<Vec<_>>().join(","));
    let mut attacks = vec![
        control(with("aud", &text(AUDIENCE))),
        bearer("alone in a list", with("aud", &list(&[AUDIENCE])), Expected::Allow),
        bearer("last of a list", with("aud", &list(&[BANK, "a", AUDIENCE])), Expected::Allow),
        bearer("escaped", with("aud", &text(AUDIENCE).replace('w', "\\u0077").replace('/', "\\/")), Expected::Allow),
    ];
    for (number, other) in almost(AUDIENCE).iter().enumerate() {
        let value = match number % 3 {
            0 => text(other),
            1 => list(&[other]),
            _ => list(&[BANK, other, "https://mcp.example.com"]),
        };
        attacks.push(bearer(format!("{other:?}"), with("aud", &value), OTHER_AUDIENCE));
    }
    for other in [BANK, "desk-app", ISSUER, "account", "api://default", "weather"] {
        attacks.push(bearer(format!("{other:?}"), with("aud", &text(other)), OTHER_AUDIENCE));
        // What other claims say of it is not asked (RFC 9068 §2.2: `aud`).
        for claim in ["resource", "azp", "audience", "target", "appid", "dest"] {
            let elsewhere = token(&claims(&[("aud", &text(other)), (claim, &text(AUDIENCE))]));
            attacks.push(bearer(format!("{other:?} and {claim}"), elsewhere, OTHER_AUDIENCE));
        }
    }
    attacks
}

/// The issuer is compared letter by letter (RFC 9207, RFC 8725 §3.8).
pub(super) fn issuer_almost_right() -> Vec<Attack> {
    let mut attacks = vec![
        control(good()),
        bearer("escaped", with("iss", &text(ISSUER).replace('i', "\\u0069").replace('/', "\\/")), Expected::Allow),
    ];
    for other in almost(ISSUER) {
        attacks.push(bearer(format!("{other:?}"), with("iss", &text(&other)), unknown_issuer()));
    }
    // A name of an issuer, of another one, of nobody.
    for other in [
        PARTNER,
        "corp",
        "partner",
        "wide",
        "self",
        "https://self-issued.me",
        "https://self-issued.me/v2",
        "null",
        "0",
        "joe",
    ] {
        attacks.push(bearer(format!("{other:?}"), with("iss", &text(other)), unknown_issuer()));
    }
    let mut seeded = Seeded(9207);
    for _ in 0..50 {
        let host = seeded.name(12);
        attacks.push(bearer(
            format!("nobody, {host}"),
            with("iss", &text(&format!("https://{host}"))),
            unknown_issuer(),
        ));
    }
    // A list that has the right one, and the right one under another name.
    for value in [
        format!("[{}]", text(ISSUER)),
        format!("[{},{}]", text(ISSUER), text(PARTNER)),
        format!(r#"{{"iss":{}}}"#, text(ISSUER)),
    ] {
        attacks.push(bearer(&*value, with("iss", &value), malformed("iss")));
    }
    attacks
}

/// A token with the audience of two servers is good at the one that trusts its issuer, and not at the other, remembered
/// or not.
pub(super) fn issuer_of_another_server() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for number in 0..8 {
        let both = format!("[{},{}]", text(AUDIENCE), text(BANK));
        let token = token(&claims(&[("aud", &both), ("x", &number.to_string())]));
        let at_the_bank = |name: &str, expected| {
            let mut attack = bearer(format!("{name} {number}"), &token, expected);
            attack.ask = ping("bank").add("authorization", attack.carried.clone());
            attack
        };
        attacks.push(at_the_bank("first there", unknown_issuer()));
        attacks.push(bearer(format!("here {number}"), &token, Expected::Allow));
        let remembered = Expected::Known("the token's issuer is not one of this server's");
        attacks.push(at_the_bank("then there", remembered));
        attacks.push(bearer(format!("here again {number}"), &token, Expected::Allow));
    }
    attacks
}

/// `scope-token` of RFC 6749 §3.3, by one space each, or an array of them.
pub(super) fn scope_forms() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for value in [r#""""#, "[]", r#""a""#, r#""a b:c d/e""#, r#"["a","b"]"#, r##""!#[]~""##, r#""a a""#] {
        attacks.push(bearer(format!("scope {value}"), with("scope", value), Expected::Allow));
    }
    for code in (1..0x21_u32).chain([0x22, 0x5c, 0x7f, 0xa0, 0xe9, 0x2028, 0xfeff, 0xff41]) {
        let character = char::from_u32(code).unwrap();
        let within = format!("a{character}b");
        if character != ' ' {
            attacks.push(bearer(format!("{within:?}"), with("scope", &text(&within)), malformed("scope")));
        }
        for value in [
            format!("{character}a"),
            format!("a{character}"),
            character.to_string(),
            format!("a {character}"),
            format!("a{character}{character}b"),
        ] {
            attacks.push(bearer(format!("{value:?}"), with("scope", &text(&value)), malformed("scope")));
        }
        attacks.push(bearer(
            format!("{within:?} in a list"),
            with("scope", &format!("[{}]", text(&within))),
            malformed("scope"),
        ));
    }
    for value in [
        r#"["a",""]"#,
        r#"["a",null]"#,
        r#"["a",7]"#,
        r#"[["a"]]"#,
        r#"[{"scope":"a"}]"#,
        r#"{"0":"a"}"#,
        "null",
        "7",
        "true",
    ] {
        attacks.push(bearer(format!("scope {value}"), with("scope", value), malformed("scope")));
    }
    attacks
}

/// Delegation (RFC 8693 §4.1): a chain of names, of which none may be missing.
pub(super) fn act_chain() -> Vec<Attack> {
    let mut attacks = Vec::new();
    let chain = |length: usize, last: &str| {
        (0..length).rev().fold(last.to_owned(), |inner, at| {
            let inner = if inner.is_empty() { String::new() } else { format!(r#","act":{inner}"#) };
            format!(r#"{{"sub":"a{at}"{inner}}}"#)
        })
    };
    for length in 1..=8 {
        attacks.push(bearer(format!("{length} actors"), with("act", &chain(length, "")), Expected::Allow));
    }
    for length in [9, 10, 15, 20] {
        attacks.push(bearer(format!("{length} actors"), with("act", &chain(length, "")), too_many("act")));
    }
    attacks.push(bearer("40 actors", with("act", &chain(40, "")), Expected::Unreadable("claims")));
    let nobody = [
        "null",
        "7",
        "true",
        r#""a""#,
        "[]",
        "{}",
        r#"[{"sub":"a"}]"#,
        r#"{"sub":7}"#,
        r#"{"sub":null}"#,
        r#"{"sub":""}"#,
        r#"{"sub":["a"]}"#,
        r#"{"Sub":"a"}"#,
        r#"{"iss":"a"}"#,
        r#"{"client_id":7,"sub":"a"}"#,
        r#"{"client_id":"","sub":"a"}"#,
        r#"{"client_id":null,"sub":"a"}"#,
        r#"{"sub":"a\n"}"#,
        r#"{"sub":"\u009b"}"#,
    ];
    for value in nobody {
        for before in 0..4 {
            attacks.push(bearer(
                format!("{value} after {before}"),
                with("act", &chain(before, value)),
                malformed("act"),
            ));
        }
    }
    attacks
}

/// A token bound to a key (RFC 7800) is no bearer token, whoever sends it.
pub(super) fn bound_to_a_sender() -> Vec<Attack> {
    let mut attacks = vec![control(good())];
    let unknown = || invalid("the token is bound to its sender in a way that cannot be verified");
    let malformed = || invalid("the token's claim `cnf` is malformed");
    let key = r#""jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I""#;
    let certificate = r#""x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg0""#;
    let mut values = vec![(format!("{{{key}}}"), unconfigured()), (format!("{{{certificate}}}"), unconfigured())];
    values.push((format!("{{{key},{certificate}}}"), unconfigured()));
    for other in [r#""jwk":{"kty":"EC"}"#, r#""jwe":"a""#, r#""kid":"a""#, r#""jku":"https://evil.example""#] {
        values.push((format!("{{{other}}}"), unknown()));
        values.push((format!("{{{key},{other}}}"), unknown()));
    }
    values.push(("{}".to_owned(), unknown()));
    for value in [
        r#"{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}"#,
        r#"{"jkt":""}"#,
        r#"{"jkt":null}"#,
        r#"{"jkt":7}"#,
        "null",
        "false",
        "0",
        r#""""#,
        r#""x""#,
        "[]",
    ] {
        values.push((value.to_owned(), malformed()));
    }
    for (value, expected) in values {
        attacks.push(bearer(format!("cnf {value}"), with("cnf", &value), expected.clone()));
        let typed = token(&claims(&[("cnf", &value), ("token_type", r#""Bearer""#)]));
        attacks.push(bearer(format!("cnf {value}, and says it is Bearer"), typed, expected));
    }
    attacks
}

/// The token itself is sound: what is known of it when it is refused is on record.
fn unconfigured() -> Expected {
    Expected::Known("the token is bound in a way that the server is not configured for")
}

/// A forbid on a group does not see groups that are to be fetched elsewhere.
pub(super) fn groups_that_stand_elsewhere() -> Vec<Attack> {
    let mut attacks = vec![
        control(with("groups", r#"["staff"]"#)),
        bearer("one by its name", with("groups", r#""staff""#), Expected::Allow),
    ];
    for value in [r#""src1""#, r#"["src1"]"#, "null", "7", "{}", "false"] {
        let sources = format!(r#"{{"groups":{value}}}"#);
        attacks.push(bearer(format!("elsewhere {value}"), with("_claim_names", &sources), too_many("groups")));
        let both = token(&claims(&[("_claim_names", &sources), ("groups", r#"["staff"]"#)]));
        attacks.push(bearer(format!("here and elsewhere {value}"), both, too_many("groups")));
    }
    attacks.push(bearer("another claim elsewhere", with("_claim_names", r#"{"address":"src1"}"#), Expected::Allow));
    attacks
}

/// What the revocation file has, whatever else the token says.
pub(super) fn revoked() -> Vec<Attack> {
    let mut attacks = vec![control(good())];
    let all = [
        ("jti", r#""stolen-7c1f""#),
        ("jti", r#""\u0073tolen-7c1f""#),
        ("sub", r#""mallory-7c1f""#),
        ("client_id", r#""lost-7c1f""#),
        ("act", r#"{"sub":"mallory-7c1f"}"#),
        ("act", r#"{"client_id":"lost-7c1f"}"#),
        ("act", r#"{"sub":"lost-7c1f"}"#),
        ("act", r#"{"client_id":"mallory-7c1f"}"#),
        ("act", r#"{"sub":"a","act":{"sub":"mallory-7c1f"}}"#),
        ("act", r#"{"sub":"a","act":{"client_id":"b","act":{"client_id":"lost-7c1f"}}}"#),
    ];
    for (name, value) in all {
        let more = [("x", "1"), ("scope", r#""admin""#), ("groups", r#"["admins"]"#), ("acr", r#""mfa""#)];
        for extra in more {
            let gone = token(&claims(&[(name, value), extra]));
            attacks.push(bearer(format!("{name} {value} {extra:?}"), &gone, REVOKED));
            attacks.push(bearer(format!("{name} {value} {extra:?}, verified before"), &gone, REVOKED));
        }
    }
    let client = token(&claims(&[("client_id", ""), ("azp", r#""lost-7c1f""#)]));
    attacks.push(bearer("the client as azp", client, REVOKED));
    for (name, value) in [
        ("jti", r#""stolen-7c1f ""#),
        ("jti", r#""Stolen-7c1f""#),
        ("sub", r#""stolen-7c1f""#),
        ("jti", r#""mallory-7c1f""#),
        ("act", r#"{"sub":"stolen-7c1f"}"#),
    ] {
        attacks.push(bearer(format!("another, {name} {value}"), with(name, value), Expected::Allow));
    }
    // The times and the audience are told first.
    let late = token(&claims(&[("jti", r#""stolen-7c1f""#), ("exp", "1")]));
    attacks.push(bearer("expired as well", late, invalid("the token has expired")));
    let mut elsewhere = bearer("at a server of another issuer", good(), unknown_issuer());
    elsewhere.ask = ping("bank").add("authorization", elsewhere.carried.clone());
    attacks.push(elsewhere);
    assert!(!CANARY.starts_with("stolen"));
    attacks
}
