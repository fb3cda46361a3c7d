//! JSON that readers take in different ways, too much of it, and none.

use super::world::{claims, claims_and, good, good_claims, headed, header, keys, text, token};
use super::{Attack, Expected, absent, bearer, control, no_object, twice};
use crate::support::tokens::encode;

/// A token over bytes that need not be text.
fn over(header: &[u8], claims: &[u8]) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    format!("{signed}.{}", encode(keys().es256.sign(signed.as_bytes())))
}

/// What a lenient reader forgives (RFC 8259; RFC 8725 §3.7 for the encodings).
pub(super) fn json_that_is_not_strict() -> Vec<Attack> {
    let mut attacks = vec![control(good())];
    let (head, body) = (header(&[]), claims(&[]));
    for (part, whole) in [("header", &head), ("claims", &body)] {
        let inner = &whole[1..whole.len() - 1];
        let utf16 = |order: fn(u16) -> [u8; 2]| whole.encode_utf16().flat_map(order).collect::<Vec<u8>>();
        let mut broken: Vec<Vec<u8>> = [
            format!("\u{feff}{whole}"),
            format!("{whole}x"),
            format!("{whole}{whole}"),
            format!("{whole},"),
            format!("{whole}}}"),
            format!("{{{inner},}}"),
            format!("{{,{inner}}}"),
            format!("{{{inner}"),
            format!("{inner}}}"),
            inner.to_owned(),
            whole.replace('"', "'"),
            format!("{{{inner},x:1}}"),
            format!("{{{inner},'x':1}}"),
            format!("/* */{whole}"),
            format!("{{{inner}/* */}}"),
            format!("{{{inner}// x\n}}"),
            format!("{{{inner},\"x\":NaN}}"),
            format!("{{{inner},\"x\":Infinity}}"),
            format!("{{{inner},\"x\":-Infinity}}"),
            format!("{{{inner},\"x\":undefined}}"),
            format!("{{{inner},\"x\":True}}"),
            format!("{{{inner},\"x\":0x10}}"),
            format!("{{{inner},\"x\":01}}"),
            format!("{{{inner},\"x\":+1}}"),
            format!("{{{inner},\"x\":1.}}"),
            format!("{{{inner},\"x\":.5}}"),
            format!("{{{inner},\"x\":1e}}"),
            format!("{{{inner},\"x\":--1}}"),
            format!("{{{inner},\"x\":1_000}}"),
            format!("{{{inner},\"x\":\"\\x41\"}}"),
            format!("{{{inner},\"x\":\"\\u12\"}}"),
            format!("{{{inner},\"x\":\"\\ud800\"}}"),
            format!("{{{inner},\"x\":\"\\udc00\\ud800\"}}"),
            format!("{{{inner},\"\\ud800\":1}}"),
            format!("{{{inner},\"x\":\"\n\"}}"),
            format!("{{{inner},\"x\":\"\t\"}}"),
            format!("{{{inner},\"x\":\"\0\"}}"),
            format!("{{{inner},\"x\\u0000\":1}}"),
            format!("{{{inner},\"x\\n\":1}}"),
            format!("{{{inner},\"x\":1;\"y\":2}}"),
            format!("{{{inner},\"x\"=1}}"),
            format!("{{{inner} \"x\":1}}"),
            format!("{{{inner},\"x\":[1,]}}"),
            format!("{{{inner},\"x\":[,1]}}"),
            format!("{{{inner},\"x\":[1}}]"),
            format!("({whole})"),
            format!("x({whole});"),
            format!(")]}}',\n{whole}"),
            format!("{whole}\0"),
            format!("\0{whole}"),
            format!("\u{a0}{whole}"),
            format!("\u{b}{whole}"),
            format!("\u{c}{whole}"),
            "{".to_owned(),
            "}".to_owned(),
            "[".to_owned(),
            "\"".to_owned(),
            " ".to_owned(),
            "---\na: b".to_owned(),
            "<a/>".to_owned(),
            "a=b&c=d".to_owned(),
            "nul".to_owned(),
            "tru".to_owned(),
            "-".to_owned(),
        ]
        .map(String::into_bytes)
        .to_vec();
        broken.extend([
            utf16(u16::to_be_bytes),
            utf16(u16::to_le_bytes),
            [&[0xff, 0xfe], &utf16(u16::to_le_bytes)[..]].concat(),
        ]);
        let bytes: [&[u8]; 9] = [
            b"\xff",
            b"\xc0\x80",
            b"\xc0\xa2",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xe9",
            b"\x80",
            b"\xf8\x88\x80\x80\x80",
            b"\xc3",
        ];
        for bytes in bytes {
            broken.push([format!("{{{inner},\"x\":\"").as_bytes(), bytes, b"\"}"].concat());
            broken.push([format!("{{{inner},\"").as_bytes(), bytes, b"\":1}"].concat());
            broken.push([whole.as_bytes(), bytes].concat());
        }
        for (number, text) in broken.iter().enumerate() {
            let token = if part == "header" { over(text, body.as_bytes()) } else { over(head.as_bytes(), text) };
            let shown: String = String::from_utf8_lossy(text).chars().rev().take(24).collect();
            attacks.push(bearer(format!("{part} {number} …{shown}"), token, Expected::Unreadable(part)));
        }
    }
    let spaced = format!(" \t\r\n{}\n", body.replace(',', " ,\n\t").replace(":\"", " : \""));
    attacks.push(bearer("white space", over(head.as_bytes(), spaced.as_bytes()), Expected::Allow));
    attacks
}

/// JSON, and no claims.
pub(super) fn json_that_is_no_object() -> Vec<Attack> {
    let mut attacks = vec![control(good())];
    let body = claims(&[]);
    for value in [
        "null",
        "true",
        "false",
        "0",
        "7",
        "-1",
        "1.5",
        "1e9",
        r#""""#,
        r#""text""#,
        "[]",
        "[[]]",
        "[{}]",
        "[null]",
        r#"["iss"]"#,
    ] {
        attacks.push(bearer(
            format!("claims {value}"),
            over(header(&[]).as_bytes(), value.as_bytes()),
            no_object("claims"),
        ));
        attacks.push(bearer(format!("header {value}"), over(value.as_bytes(), body.as_bytes()), no_object("header")));
    }
    attacks.push(bearer("claims in a list", token(&format!("[{body}]")), no_object("claims")));
    attacks.push(bearer("claims as a string", token(&text(&body)), no_object("claims")));
    attacks.push(bearer("header in a list", headed(&format!("[{}]", header(&[]))), no_object("header")));
    attacks.push(bearer("no claims", token("{}"), absent("iss")));
    attacks.push(bearer("no header", headed("{}"), super::algorithm()));
    attacks
}

/// What is small to send and large to read (CVE-2026-48042 and its kin).
pub(super) fn depth_and_node_bombs() -> Vec<Attack> {
    let mut attacks = vec![control(good())];
    let nests: [fn(usize) -> String; 3] = [
        |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth)),
        |depth| format!("{}0{}", r#"{"a":"#.repeat(depth), "}".repeat(depth)),
        |depth| format!("{}0{}", r#"[{"a":"#.repeat(depth / 2), "}]".repeat(depth / 2)),
    ];
    for (number, nest) in nests.iter().enumerate() {
        // The object of the claims is one level itself, and that of the header is one of its eight.
        let claim = |depth: usize| token(&claims(&[("x", &nest(depth))]));
        let parameter = |depth: usize| headed(&header(&[("x", &nest(depth))]));
        for depth in [1, 10, 30] {
            attacks.push(bearer(format!("nest {number}, claims {depth}"), claim(depth), Expected::Allow));
        }
        for depth in [32, 34, 64, 100, 500, 1_000] {
            attacks.push(bearer(
                format!("nest {number}, claims {depth}"),
                claim(depth),
                Expected::Unreadable("claims"),
            ));
        }
        for depth in [1, 4, 6] {
            attacks.push(bearer(format!("nest {number}, header {depth}"), parameter(depth), Expected::Allow));
        }
        for depth in [8, 10, 100, 300] {
            attacks.push(bearer(
                format!("nest {number}, header {depth}"),
                parameter(depth),
                Expected::Unreadable("header"),
            ));
        }
        let open = "[".repeat(5_000 * (number + 1) / 2);
        attacks.push(bearer(format!("open {number}"), token(&open), Expected::Unreadable("claims")));
        attacks.push(bearer(
            format!("open in a claim {number}"),
            token(&format!(r#"{{"x":{open}"#)),
            Expected::Unreadable("claims"),
        ));
    }
    attacks.push(bearer("lists 31 deep", token(&claims(&[("x", &nests[0](31))])), Expected::Allow));
    attacks.push(bearer("lists 7 deep in the header", headed(&header(&[("x", &nests[0](7))])), Expected::Allow));
    // The object is a node, each member two; the last is a name, a list and its items.
    let room = 4096 - 1 - 2 * good_claims().len() - 2;
    let many = |item: &str, count: usize| format!("[{}]", vec![item; count].join(","));
    for (item, each) in [("0", 1), ("[0]", 2), ("[1,2]", 3), (r#"{"":0}"#, 3), ("[[0]]", 3)] {
        let with = |count: usize| token(&claims(&[("x", &many(item, count))]));
        for count in [room / each, room / each - 1] {
            attacks.push(bearer(format!("{count} of {item}"), with(count), Expected::Allow));
        }
        for count in [room / each + 1, room / each + 2] {
            attacks.push(bearer(format!("{count} of {item}"), with(count), Expected::Unreadable("claims")));
        }
    }
    let members = |count: usize| (0..count).map(|at| format!(r#""{at:x}":0"#)).collect::<Vec<_>>().join(",");
    attacks.push(bearer("1000 members", token(&claims_and(&members(1000))), Expected::Allow));
    let lists = members(830).replace(":0", ":[0,0,0]");
    attacks.push(bearer("830 members of five", token(&claims_and(&lists)), Expected::Unreadable("claims")));
    let room = 256 - 1 - 2 * 3 - 2;
    for (count, expected) in
        [(room, Expected::Allow), (room + 1, Expected::Unreadable("header")), (1000, Expected::Unreadable("header"))]
    {
        attacks.push(bearer(format!("{count} in the header"), headed(&header(&[("x", &many("0", count))])), expected));
    }
    attacks.push(bearer("a number of many digits", token(&claims(&[("x", &"9".repeat(10_000))])), Expected::Allow));
    attacks.push(bearer(
        "an expiry of many digits",
        token(&claims(&[("exp", &"9".repeat(10_000))])),
        super::malformed("exp"),
    ));
    attacks
}

/// The first, the last: readers differ on which of two equal claims counts (RFC 7519 §4 lets a reader refuse them).
pub(super) fn duplicate_claims() -> Vec<Attack> {
    let mut attacks = vec![control(good())];
    let others = [r#""root""#, "null", "7", r#"["https://mcp.example.com/weather","root"]"#, "{}"];
    let present = good_claims();
    let more = ["nbf", "acr", "amr", "act", "cnf", "groups", "azp", "auth_time", "ext", "_claim_names", "nonce"];
    let named = present.iter().map(|(name, value)| (*name, value.clone(), true));
    for (name, value, is_present) in named.chain(more.map(|name| (name, "1".to_owned(), false))) {
        let once = if is_present { String::new() } else { format!(",{}:{value}", text(name)) };
        let good = claims(&[]);
        let inner = format!("{}{once}", &good[1..good.len() - 1]);
        let escaped = format!("\"\\u{:04x}{}\"", u32::from(name.as_bytes()[0]), &name[1..]);
        for other in others.iter().copied().chain([&*value]) {
            for (spelling, again) in [("again", text(name)), ("escaped", escaped.clone())] {
                for claims in [format!("{{{again}:{other},{inner}}}"), format!("{{{inner},{again}:{other}}}")] {
                    attacks.push(bearer(format!("{spelling} {name} {other}"), token(&claims), twice("claims")));
                }
            }
        }
        for folded in [name.to_ascii_uppercase(), name.replacen('s', "\u{17f}", 1), name.replacen('a', "A", 1)] {
            if folded != name {
                for claims in [
                    format!("{{{}:\"root\",{inner}}}", text(&folded)),
                    format!("{{{inner},{}:\"root\"}}", text(&folded)),
                ] {
                    attacks.push(bearer(format!("folded {folded}"), token(&claims), Expected::Unreadable("claims")));
                }
            }
        }
    }
    for nested in [r#""ext":{"a":1,"a":2}"#, r#""act":{"sub":"a","sub":"b"}"#, r#""x":[{"y":{"z":0,"z":0}}]"#] {
        attacks.push(bearer(format!("nested {nested}"), token(&claims_and(nested)), twice("claims")));
    }
    attacks
}
