//! Hostile tokens and credentials, made on the spot by class: each is refused with exactly the answer that
//! `docs/answers.md` gives for it, one record says why, and nothing of it is repeated anywhere.
//!
//! Every class also has the token that it attacks, or one at the edge, which must pass: a class in which nothing passes
//! would show nothing. What varies is enumerated or comes from a fixed seed, so that a failure repeats; only keys and ECDSA
//! signatures differ from run to run. Sources: RFC 8725, RFC 7515, RFC 7519, RFC 9068, and the advisories that are named.
#![expect(clippy::string_slice, reason = "tokens and names are ASCII of our own making")]
#![expect(clippy::too_many_lines, reason = "tables of attacks")]

mod claims;
mod credentials;
mod direct;
mod form;
mod header;
mod names;
mod numbers;
mod signature;
mod strict;
mod weak;
mod world;

use std::collections::HashSet;
use std::io::Write;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use prost_types::value::Kind;
use serde_json::{Value, json};
use toolgate::clock::Clock;
use toolgate::envoy::wire::CheckResponse;
use toolgate::envoy::wire::check_response::HttpResponse;
use toolgate::token::LEEWAY_SECONDS;
use tracing::level_filters::LevelFilter;

use self::world::{AUDIENCE, CANARY, SUBJECT};
use crate::support::envoy::{Ask, call, legacy};
use crate::support::gate::{House, NOW};

/// Fewer than this and a class has gone missing: what is asked for of this suite.
const FEWEST: usize = 10_000;

/// The challenge to a token that does not count.
const INVALID: &str = r#"Bearer error="invalid_token", resource_metadata="<metadata>""#;

/// What a token, a credential or a whole request is met with.
#[derive(Clone)]
enum Expected {
    /// It passes: the control of its class.
    Allow,
    /// 401 with a plain challenge.
    Missing,
    /// 400.
    Ambiguous,
    /// 401; the record says this, and nothing of whose token it is.
    Invalid(String),
    /// The same, of which the end is a place in the text.
    Unreadable(&'static str),
    /// The same of a token that verifies: the record says whose it is.
    Known(&'static str),
    /// It verifies, and a policy reads a claim of the wrong type.
    Claim(&'static str),
    /// 413: nobody looks for a token in it.
    TooLarge,
}

/// One request with what it carries, and how it is met.
struct Attack {
    name: String,
    ask: Ask,
    /// What must not be repeated.
    carried: Vec<u8>,
    expected: Expected,
}

/// A request with this as its bearer token.
fn bearer(name: impl Into<String>, token: impl AsRef<str>, expected: Expected) -> Attack {
    credential(name, format!("Bearer {}", token.as_ref()), expected)
}

/// A request with this as its `Authorization`.
fn credential(name: impl Into<String>, value: impl Into<Vec<u8>>, expected: Expected) -> Attack {
    let value = value.into();
    let ask = ping("weather").add("authorization", value.clone());
    Attack { name: name.into(), ask, carried: value, expected }
}

/// The token that a class attacks.
fn control(token: impl AsRef<str>) -> Attack {
    bearer("control", token, Expected::Allow)
}

fn ping(server: &'static str) -> Ask {
    legacy(server, "ping", json!({}))
}

/// A call that reads the declared claims.
fn reset() -> Ask {
    call("weather", "reset", json!({}))
}

fn invalid(detail: &str) -> Expected {
    Expected::Invalid(detail.to_owned())
}

fn shape() -> Expected {
    invalid("the token is not a compact JWS")
}

fn not_a_bearer_token() -> Expected {
    invalid("the credential is not an access token")
}

fn too_long(what: &str) -> Expected {
    Expected::Invalid(format!("the token's `{what}` is too long"))
}

fn parameter(name: &str) -> Expected {
    Expected::Invalid(format!("the token's header parameter `{name}` is refused"))
}

fn algorithm() -> Expected {
    invalid("the token's algorithm is not accepted")
}

fn kind() -> Expected {
    invalid("the token's type is not accepted")
}

fn unknown_key() -> Expected {
    invalid("the token's key is not known")
}

fn wrong_signature() -> Expected {
    invalid("the token's signature is wrong")
}

fn unknown_issuer() -> Expected {
    invalid("the token's issuer is not one of this server's")
}

fn twice(part: &str) -> Expected {
    Expected::Invalid(format!("the token's {part} have a member twice"))
}

fn no_object(part: &str) -> Expected {
    Expected::Invalid(format!("the token's {part} are not an object"))
}

fn absent(claim: &str) -> Expected {
    Expected::Invalid(format!("the token has no claim `{claim}`"))
}

fn malformed(claim: &str) -> Expected {
    Expected::Invalid(format!("the token's claim `{claim}` is malformed"))
}

fn too_many(claim: &str) -> Expected {
    Expected::Invalid(format!("the token's claim `{claim}` has too many elements"))
}

const OTHER_AUDIENCE: Expected = Expected::Known("the token is meant for another resource");
const REVOKED: Expected = Expected::Known("the token, its subject, its client or an actor in it is revoked");

/// Each class as a test of its own, and all of them by name.
macro_rules! classes {
    ($($name:ident: $attacks:expr,)*) => {
        $(#[test]
        fn $name() {
            run(&mut world::house(&[]), $attacks());
        })*

        const CLASSES: &[(&str, fn() -> Vec<Attack>)] = &[$((stringify!($name), $attacks),)*];
    };
}

classes! {
    algorithm_none: header::algorithm_none,
    algorithm_of_another_key: header::algorithm_of_another_key,
    algorithm_not_of_the_issuer: header::algorithm_not_of_the_issuer,
    hmac_keyed_by_public_key: header::hmac_keyed_by_public_key,
    key_brought_along_in_the_header: header::key_brought_along_in_the_header,
    crit_unknown: header::crit_unknown,
    duplicate_header_parameters: header::duplicate_header_parameters,
    encrypted_token: header::encrypted_token,
    nested_token: header::nested_token,
    kid_as_path_or_sql: names::kid_as_path_or_sql,
    kid_almost_right: names::kid_almost_right,
    kid_absent: names::kid_absent,
    kid_of_other_issuer: names::kid_of_other_issuer,
    other_token_types: names::other_token_types,
    id_token_as_access_token: names::id_token_as_access_token,
    psychic_signature: signature::psychic_signature,
    der_instead_of_fixed: signature::der_instead_of_fixed,
    signature_of_another_length: signature::signature_of_another_length,
    signature_with_a_bit_changed: signature::signature_with_a_bit_changed,
    signature_of_another_token: signature::signature_of_another_token,
    rsa_padding_of_another_algorithm: signature::rsa_padding_of_another_algorithm,
    rsa_signature_out_of_range: signature::rsa_signature_out_of_range,
    detached_or_unencoded_payload: form::detached_or_unencoded_payload,
    json_serialisation: form::json_serialisation,
    encoding_alphabet: form::encoding_alphabet,
    encoding_of_parts: form::encoding_of_parts,
    encoding_spare_bits: form::encoding_spare_bits,
    parts_too_few_or_too_many: form::parts_too_few_or_too_many,
    sizes_of_texts: form::sizes_of_texts,
    sizes_of_lists: form::sizes_of_lists,
    json_that_is_not_strict: strict::json_that_is_not_strict,
    json_that_is_no_object: strict::json_that_is_no_object,
    depth_and_node_bombs: strict::depth_and_node_bombs,
    duplicate_claims: strict::duplicate_claims,
    claims_missing: claims::claims_missing,
    claims_of_another_type: claims::claims_of_another_type,
    claims_with_control_characters: claims::claims_with_control_characters,
    audience_almost_right: claims::audience_almost_right,
    issuer_almost_right: claims::issuer_almost_right,
    issuer_of_another_server: claims::issuer_of_another_server,
    scope_forms: claims::scope_forms,
    act_chain: claims::act_chain,
    bound_to_a_sender: claims::bound_to_a_sender,
    groups_that_stand_elsewhere: claims::groups_that_stand_elsewhere,
    revoked: claims::revoked,
    times_at_the_edge: numbers::times_at_the_edge,
    times_of_another_form: numbers::times_of_another_form,
    dirty_claim_numbers: numbers::dirty_claim_numbers,
    header_credentials: credentials::header_credentials,
    query_credentials: credentials::query_credentials,
}

/// Keys that no verifier should take, in the issuer's own set beside good ones.
#[test]
fn weak_keys_of_the_issuer() {
    run(&mut world::house(&weak::published()), weak::forged_with_weak_keys());
}

/// A token that was good is remembered as what it says, not as good.
#[test]
fn remembered_past_its_time() {
    let mut house = world::house(&[]);
    let Clock::Set(clock) = house.gate.clock.clone() else { panic!("a clock that is set") };
    let soon = world::token(&world::claims(&[("exp", &(NOW + 60).to_string())]));
    let edge = (NOW + 60 + LEEWAY_SECONDS) * 1000;
    for (millis, expected) in [
        (NOW * 1000, Expected::Allow),
        (edge - 1, Expected::Allow),
        (edge, Expected::Known("the token has expired")),
        (edge + 3_600_000, Expected::Known("the token has expired")),
        (NOW * 1000 - 3_600_000, Expected::Allow),
    ] {
        clock.store(millis, Ordering::Relaxed);
        let attack = bearer(format!("at {millis}"), &soon, expected);
        let response = house.answer(attack.ask.encode());
        assert_eq!(judge(&attack, &response, house.records(), ""), Ok(()), "{}", attack.name);
    }
}

/// The names of the classes that are made by the macro above.
pub(crate) fn class_names() -> impl Iterator<Item = &'static str> {
    CLASSES.iter().map(|(name, _)| *name)
}

#[test]
fn there_are_enough_of_them() {
    let classes = CLASSES.iter().map(|(name, attacks)| (*name, attacks()));
    let classes = classes.chain([("weak_keys_of_the_issuer", weak::forged_with_weak_keys())]);
    let mut refused = 0;
    for (name, attacks) in classes {
        let here = attacks.iter().filter(|attack| !matches!(attack.expected, Expected::Allow)).count();
        println!("{here:5} {name}");
        refused += here;
    }
    println!("{refused:5} in all");
    assert!(refused >= FEWEST, "{refused} attacks");
}

/// Lets all of a class loose on one gate, half of them as Envoy joins headers and half as it keeps them apart.
fn run(house: &mut House, attacks: Vec<Attack>) {
    let allowed = attacks.iter().filter(|attack| matches!(attack.expected, Expected::Allow)).count();
    assert!(allowed > 0 && allowed < attacks.len(), "{allowed} of {} pass: a class without a control", attacks.len());
    let log = Log::default();
    let mut wrong = Vec::new();
    let lines = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(move || lines.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        for (index, attack) in attacks.iter().enumerate() {
            let ask = attack.ask.clone();
            let ask = if index % 2 == 0 { ask } else { ask.raw_headers() };
            let response = house.answer(ask.encode());
            if let Err(what) = judge(attack, &response, house.records(), &log.take()) {
                wrong.push(format!("{}: {what}", attack.name));
            }
        }
    });
    assert!(
        wrong.is_empty(),
        "{} of {} are wrong\n{}",
        wrong.len(),
        attacks.len(),
        wrong[..wrong.len().min(30)].join("\n")
    );
}

/// Holds an answer, its record and what was logged against what the attack is to be met with.
fn judge(attack: &Attack, response: &CheckResponse, records: Vec<Value>, log: &str) -> Result<(), String> {
    let [record] = &records[..] else { return Err(format!("{} records", records.len())) };
    let reason = record["reason"].as_str().ok_or("no reason")?;
    let said = (reason, record["detail"].as_str().unwrap_or_default());
    let expected = said_of(&attack.expected);
    let same = match &attack.expected {
        Expected::Unreadable(_) => said.0 == expected.0 && said.1.starts_with(&expected.1),
        _ => said == (expected.0, expected.1.as_str()),
    };
    ensure(same, || format!("{said:?} instead of {expected:?}"))?;
    let metadata = response.dynamic_metadata.as_ref().ok_or("no metadata")?;
    let told = metadata.fields.get("reason").and_then(|value| value.kind.clone());
    ensure(told == Some(Kind::StringValue(reason.to_owned())), || format!("another reason in the metadata: {told:?}"))?;
    let is_known = record.get("principal").is_some() && record.get("token").is_some();
    let verifies = matches!(attack.expected, Expected::Allow | Expected::Known(_) | Expected::Claim(_));
    ensure(is_known == verifies, || format!("whose it is, on record: {is_known}"))?;
    answered(&attack.expected, response, record)?;
    repeated(attack, &format!("{record}{response:?}{log}"), verifies)
}

/// The reason and the detail of the record.
fn said_of(expected: &Expected) -> (&'static str, String) {
    match expected {
        Expected::Allow => ("allow", String::new()),
        Expected::Missing => ("token_missing", String::new()),
        Expected::Ambiguous => ("token_ambiguous", String::new()),
        Expected::TooLarge => ("body_too_large", String::new()),
        Expected::Invalid(detail) => ("token_invalid", detail.clone()),
        Expected::Known(detail) => ("token_invalid", (*detail).to_owned()),
        Expected::Unreadable(part) => ("token_invalid", format!("the token's {part} cannot be read: ")),
        Expected::Claim(claim) => ("claim_unrepresentable", format!("claim {claim}")),
    }
}

/// Status, headers and body, all of them, as `docs/answers.md` has them.
fn answered(expected: &Expected, response: &CheckResponse, record: &Value) -> Result<(), String> {
    let oauth = |error: &str, text: &str| format!(r#"{{"error":"{error}","error_description":"{text}"}}"#);
    let (status, challenge, body) = match expected {
        Expected::Allow => return passed(response, record),
        Expected::Missing => {
            let body = oauth("invalid_token", "an access token is required");
            (401, Some(r#"Bearer resource_metadata="<metadata>""#), Some(body))
        }
        Expected::Ambiguous => {
            let body = oauth("invalid_request", "the token must come once, in the Authorization header");
            (400, Some(r#"Bearer error="invalid_request", resource_metadata="<metadata>""#), Some(body))
        }
        Expected::Invalid(_) | Expected::Unreadable(_) | Expected::Known(_) => {
            (401, Some(INVALID), Some(oauth("invalid_token", "the access token is not valid here")))
        }
        Expected::Claim(_) => (200, None, None),
        Expected::TooLarge => (413, None, Some(String::new())),
    };
    let code = response.status.as_ref().ok_or("no status: an allow to Envoy")?.code;
    let Some(HttpResponse::DeniedResponse(denied)) = &response.http_response else {
        return Err("no denial".to_owned());
    };
    let http = denied.status.as_ref().ok_or("no HTTP status")?.code;
    ensure(code == 7 && http == status && record["status"] == status, || format!("status {http}, code {code}"))?;
    ensure(record["decision"] == "deny", || "not recorded as a denial".to_owned())?;
    let mut headers: Vec<(&str, &str)> =
        denied.headers.iter().filter_map(|option| option.header.as_ref()).map(|h| (&*h.key, &*h.value)).collect();
    headers.sort_unstable();
    let server = record["server"].as_str().unwrap_or_default();
    let metadata = format!("https://mcp.example.com/.well-known/oauth-protected-resource/{server}");
    let challenge = challenge.map(|challenge| challenge.replace("<metadata>", &metadata));
    let mut own = vec![("cache-control", "no-store")];
    if !matches!(expected, Expected::TooLarge) {
        own.push(("content-type", "application/json"));
    }
    own.extend(challenge.as_deref().map(|challenge| ("www-authenticate", challenge)));
    ensure(headers == own, || format!("headers {headers:?}"))?;
    ensure(body.is_none_or(|body| body == denied.body), || format!("body {}", denied.body))
}

fn passed(response: &CheckResponse, record: &Value) -> Result<(), String> {
    let code = response.status.as_ref().ok_or("no status")?.code;
    let Some(HttpResponse::OkResponse(ok)) = &response.http_response else { return Err("no allow".to_owned()) };
    ensure(code == 0 && record["decision"] == "allow", || format!("code {code}"))?;
    ensure(ok.headers_to_remove.iter().any(|name| name == "authorization"), || "the token goes upstream".to_owned())
}

/// Length of a piece that is nowhere by chance.
const PIECE: usize = 16;

/// Nothing of what was carried is in `said`: no piece of it, unless it holds addresses that are not its own, and none of
/// the marks in its claims, unless it verifies.
fn repeated(attack: &Attack, said: &str, verifies: bool) -> Result<(), String> {
    let is_encoded = !attack.carried.contains(&b'{');
    if is_encoded && attack.carried.len() <= PIECE * 1024 {
        let pieces: HashSet<&[u8]> = attack.carried.windows(PIECE).collect();
        let found = said.as_bytes().windows(PIECE).find(|piece| pieces.contains(piece));
        ensure(found.is_none(), || format!("repeats {:?}", found.map(String::from_utf8_lossy)))?;
    }
    let found = [CANARY, SUBJECT].into_iter().find(|claim| !verifies && said.contains(claim));
    ensure(found.is_none(), || format!("repeats {found:?}"))
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// What is logged meanwhile, in this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The judge is strict: an allow, another detail, a piece of the token in a log and a missing record are all found.
#[test]
fn a_wrong_answer_is_found() {
    let mut house = world::house(&[]);
    let mut judged = |attack: Attack, log: &str| {
        let response = house.answer(attack.ask.encode());
        judge(&attack, &response, house.records(), log)
    };
    let good = world::good();
    let bad = world::token(&world::claims(&[("exp", "1")]));
    assert_eq!(judged(control(&good), ""), Ok(()));
    assert!(judged(bearer("allowed", &good, wrong_signature()), "").is_err());
    assert_eq!(judged(bearer("expired", &bad, invalid("the token has expired")), ""), Ok(()));
    assert!(judged(bearer("another detail", &bad, wrong_signature()), "").is_err());
    assert!(judged(bearer("logged", &bad, invalid("the token has expired")), &bad[20..40]).is_err());
    assert!(judged(bearer("logged", &bad, invalid("the token has expired")), CANARY).is_err());
    let none = bearer("not recorded", &bad, invalid("the token has expired"));
    let response = house.answer(none.ask.encode());
    assert!(judge(&none, &response, Vec::new(), "").is_err());
    assert_eq!(AUDIENCE, "https://mcp.example.com/weather");
}
