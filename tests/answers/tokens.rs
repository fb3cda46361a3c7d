//! What a token must be. The caller hears only that it is not valid here; the record says why.

use serde_json::json;
use toolgate::decision::denial::Reason;

use super::expect::{Answer, Row, row};
use super::table::{allow, token_invalid, unavailable};
use crate::support::envoy::{Ask, legacy};
use crate::support::gate::NOW;
use crate::support::people::{ANN, PAT, Token, Who, ann, keys, pat};

const WEATHER: &str = "https://mcp.example.com/weather";
const ISSUER: &str = "the token's issuer is not one of this server's";
const ALGORITHM: &str = "the token's algorithm is not accepted";
const SHAPE: &str = "the token is not a compact JWS";
const AUDIENCE: &str = "the token is meant for another resource";

fn ping(token: &Token) -> Ask {
    ping_with(&token.text())
}

fn ping_with(token: &str) -> Ask {
    legacy("weather", "ping", json!({})).add("authorization", format!("Bearer {token}"))
}

fn pong() -> Answer {
    allow(&["session"]).on("ping", "Server::\"weather\"")
}

fn good(name: &str, token: &Token) -> Row {
    row(name, ping(token), pong())
}

fn bad(name: &str, token: &Token, detail: &str) -> Row {
    row(name, ping(token), token_invalid(detail))
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = times();
    rows.extend(audiences());
    rows.extend(issuers());
    rows.extend(headers());
    rows.extend(signatures());
    rows.extend(claims());
    rows.extend(revocations());
    rows
}

/// Clocks may be half a minute apart.
fn times() -> Vec<Row> {
    vec![
        good("expired 29 seconds ago", &ann().claim("exp", NOW - 29)),
        bad("expired 30 seconds ago", &ann().claim("exp", NOW - 30), "the token has expired"),
        good("valid in 30 seconds", &ann().claim("nbf", NOW + 30)),
        bad("valid in 31 seconds", &ann().claim("nbf", NOW + 31), "the token is not valid yet"),
        good("issued in 30 seconds", &ann().claim("iat", NOW + 30)),
        bad("issued in 31 seconds", &ann().claim("iat", NOW + 31), "the token was issued in the future"),
        bad("without an end", &ann().without("exp"), "the token has no claim `exp`"),
        bad("an end that is a string", &ann().claim("exp", "2100-01-01"), "the token's claim `exp` is malformed"),
        bad("an end in milliseconds", &ann().claim("exp", (NOW + 60) * 1000), "the token's claim `exp` is malformed"),
    ]
}

/// The token is good, and its caller is known: it is for somebody else.
fn audiences() -> Vec<Row> {
    let elsewhere = |name: &str, audience: &str| {
        row(format!("an audience {name}"), ping(&ann().claim("aud", audience)), token_invalid(AUDIENCE).who(ANN))
    };
    let text = ann().claim("aud", WEATHER).text();
    let at_the_bank = legacy("bank", "ping", json!({})).add("authorization", format!("Bearer {text}"));
    vec![
        row("an audience alone", ping_with(&text), pong()),
        row("the same token at another server, verified before", at_the_bank, token_invalid(AUDIENCE).who(ANN)),
        good("an audience among others", &ann().claim("aud", json!(["https://a.example", WEATHER]))),
        elsewhere("that is another server's", "https://mcp.example.com/bank"),
        elsewhere("with a slash more", "https://mcp.example.com/weather/"),
        elsewhere("in upper case", "https://MCP.example.com/weather"),
        elsewhere("with the default port", "https://mcp.example.com:443/weather"),
        elsewhere("that holds the right one", "https://mcp.example.com/weather https://a.example"),
        elsewhere("that is the host only", "https://mcp.example.com"),
        bad("without an audience", &ann().without("aud"), "the token has no claim `aud`"),
        bad("no audience in the list", &ann().claim("aud", json!([])), "the token's claim `aud` is malformed"),
    ]
}

fn issuers() -> Vec<Row> {
    let far = ann().claim("iss", "https://far.example.org");
    let at_the_bank = legacy("bank", "ping", json!({})).by(&far);
    let theirs = pat().text();
    let theirs_at = |server| legacy(server, "ping", json!({})).add("authorization", format!("Bearer {theirs}"));
    let pong_at_the_bank = allow(&["session"]).on("ping", "Server::\"bank\"").who(PAT);
    vec![
        bad("an issuer that nobody knows", &ann().claim("iss", "https://evil.example"), ISSUER),
        bad("an issuer with a slash more", &ann().claim("iss", "https://id.example.com/"), ISSUER),
        bad("an issuer of another server", &pat(), ISSUER),
        row("where it is the issuer of one", theirs_at("bank"), pong_at_the_bank),
        row("the same token elsewhere, verified before", theirs_at("weather"), token_invalid(ISSUER).who(PAT)),
        bad("without an issuer", &ann().without("iss"), "the token has no claim `iss`"),
        bad(
            "in the name of one issuer, by the key of another",
            &pat().claim("iss", ANN.issuer_url),
            "the token's key is not known",
        ),
        row("an issuer whose keys cannot be had", at_the_bank, unavailable(Reason::KeysUnavailable)),
        bad("the same where it is not trusted", &far, ISSUER),
    ]
}

fn headers() -> Vec<Row> {
    let kind = "the token's type is not accepted";
    let no_typ = keys().corp.token(r#"{"alg":"ES256","kid":"corp-1"}"#, &claims_text());
    let no_kid = keys().corp.token(r#"{"alg":"ES256","typ":"at+jwt"}"#, &claims_text());
    vec![
        good("the type in upper case", &ann().header("typ", "AT+JWT")),
        good("the type in full", &ann().header("typ", "application/at+jwt")),
        bad("the type of any token", &ann().header("typ", "JWT"), kind),
        bad("the type of a grant", &ann().header("typ", "oauth-id-jag+jwt"), kind),
        row("no type", ping_with(&no_typ), token_invalid(kind)),
        row("no name of a key, where there is one", ping_with(&no_kid), pong()),
        bad("the name of no key", &ann().header("kid", "corp-2"), "the token's key is not known"),
        bad("no algorithm", &ann().header("alg", "none"), ALGORITHM),
        bad("an algorithm with a secret", &ann().header("alg", "HS256"), ALGORITHM),
        bad("an algorithm that is not the issuer's", &ann().header("alg", "RS256"), ALGORITHM),
        bad("the algorithm in lower case", &ann().header("alg", "es256"), ALGORITHM),
        bad("an extension", &ann().header("crit", json!(["exp"])), "the token's header parameter `crit` is refused"),
        good("a key that it brings along is not looked at", &ann().header("jku", "https://evil.example/jwks")),
    ]
}

fn signatures() -> Vec<Row> {
    let token = ann().text();
    let (_, signature) = token.rsplit_once('.').unwrap();
    let wrong = "the token's signature is wrong";
    let moved = format!("{}.{signature}", ann().claim("sub", "root").text().rsplit_once('.').unwrap().0);
    let shapes = [token.replace('.', ""), format!("{token}.x"), format!("{token}="), "abc".to_owned()];
    let mut rows = vec![
        bad("the signature of another key of that name", &ann().signed_by(&keys().stranger), wrong),
        row("the signature of other claims", ping_with(&moved), token_invalid(wrong)),
        row("zeros for a signature", ping_with(&ann().text_with_signature(&[0; 64])), token_invalid(wrong)),
        row("half a signature", ping_with(&ann().text_with_signature(&[1; 32])), token_invalid(wrong)),
        row(
            "no algorithm and no signature",
            ping_with(&ann().header("alg", "none").text_with_signature(&[])),
            token_invalid(SHAPE),
        ),
    ];
    let shape = |(number, token): (usize, String)| {
        row(format!("no token by its shape, {number}"), ping_with(&token), token_invalid(SHAPE))
    };
    rows.extend(shapes.into_iter().enumerate().map(shape));
    rows
}

fn claims() -> Vec<Row> {
    let client = Who { principal: r#"Client::"corp:desk-app""#, subject: None, ..ANN };
    let doubled = claims_text().replacen('{', r#"{"sub":"root","#, 1);
    let long = "the token's `token` is too long";
    vec![
        row("without a subject, the client itself", ping(&ann().without("sub")), pong().who(client)),
        good("a client under its other name", &ann().without("client_id").claim("azp", "desk-app")),
        bad("without a client", &ann().without("client_id"), "the token has no claim `client_id`"),
        bad("without a time of issue", &ann().without("iat"), "the token has no claim `iat`"),
        bad("a subject that is a number", &ann().claim("sub", 7), "the token's claim `sub` is malformed"),
        bad("a subject with a line feed", &ann().claim("sub", "ann\nbob"), "the token's claim `sub` is malformed"),
        bad("scopes that are none", &ann().claim("scope", "a  b"), "the token's claim `scope` is malformed"),
        bad(
            "bound to its sender in an unknown way",
            &ann().claim("cnf", json!({"kid": "x"})),
            "the token is bound to its sender in a way that cannot be verified",
        ),
        row(
            "a claim twice",
            ping_with(&keys().corp.token(&keys().corp.header(), &doubled)),
            token_invalid("the token's claims have a member twice"),
        ),
        bad("longer than any token here", &ann().claim("pad", "x".repeat(4096)), long),
    ]
}

/// What `world/revoked.yaml` lists.
fn revocations() -> Vec<Row> {
    let gone = |name: &str, token: &Token, who: Who| {
        let detail = "the token, its subject, its client or an actor in it is revoked";
        row(format!("revoked: {name}"), ping(token), token_invalid(detail).who(who))
    };
    let mallory = Who { principal: r#"User::"corp:mallory""#, subject: Some("mallory"), ..ANN };
    let lost = Who { client: "lost-laptop", ..ANN };
    let by = |actor: serde_json::Value| ann().claim("act", actor);
    let partner_s = Who { principal: r#"User::"partner:mallory""#, subject: Some("mallory"), ..PAT };
    let namesake = pat().claim("sub", "mallory").claim("jti", "stolen");
    let at_the_bank = legacy("bank", "ping", json!({})).by(&namesake);
    vec![
        gone("the token", &ann().claim("jti", "stolen"), ANN),
        gone("the token, verified before", &ann().claim("jti", "stolen"), ANN),
        gone("the subject", &ann().claim("sub", "mallory"), mallory),
        gone("the client", &ann().claim("client_id", "lost-laptop"), lost),
        gone("a client that acts", &by(json!({"client_id": "lost-laptop"})), ANN),
        gone("a subject that acts for one that acts", &by(json!({"sub": "a", "act": {"sub": "mallory"}})), ANN),
        gone("a subject that acts through a client", &by(json!({"client_id": "helper", "sub": "mallory"})), ANN),
        good("an actor that is not", &by(json!({"client_id": "helper"}))),
        good("a token id that only begins so", &ann().claim("jti", "stolen-not")),
        row("names of another issuer", at_the_bank, allow(&["session"]).on("ping", "Server::\"bank\"").who(partner_s)),
    ]
}

/// The claims of a good token as text.
fn claims_text() -> String {
    let audience = format!(r#""aud":"{WEATHER}","iss":"{}""#, ANN.issuer_url);
    let times = format!(r#""iat":{},"exp":{}"#, NOW, NOW + 60);
    format!(r#"{{{audience},{times},"sub":"ann","client_id":"desk-app","scope":"weather:read bank:read"}}"#)
}
