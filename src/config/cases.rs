//! A file of policy tests: who does what, and what should come of it.
//!
//! ```yaml
//! server: weather                            # for all cases; each may name another
//! now: 2026-03-02T09:30                      # in the configured time zone; default: the present moment
//! people:
//!   ada: {sub: ada, scope: "weather:read"}   # claims of a token
//! cases:
//! - name: a week ahead is as far as it goes
//!   who: ada
//!   tool: get_forecast
//!   arguments: {city: Oslo, days: 8}
//!   expect: deny
//! ```

mod caller;
mod expected;
mod request;

use std::net::IpAddr;
use std::ops::Range;

use jiff::tz::TimeZone;

pub use expected::{Expected, Wanted};
pub use request::CaseRequest;

use self::caller::{Claims, claims, moment, people};
use super::reader::{Fault, Field, Reader, Section, Seen, suggest};
use super::values::quoted;
use super::{known, yaml};
use crate::context::UnixTime;
use crate::problem::{Problem, Source};

/// What a test file may name, and what holds where it says nothing.
#[derive(Debug)]
pub struct Known<'a> {
    /// Short name and URL of each issuer.
    pub issuers: Vec<(&'a str, &'a str)>,
    /// The servers.
    pub servers: Vec<String>,
    /// The ids of the policies.
    pub policies: Vec<String>,
    /// Whether policies can read an address.
    pub has_client_address: bool,
    /// The zone of times without one.
    pub zone: &'a TimeZone,
    /// The present moment.
    pub now: UnixTime,
}

/// One case: a request that nobody sends, and what should be decided about it.
#[derive(Debug)]
pub struct Case {
    /// Its name, of which there is one in a file.
    pub name: String,
    /// Where it starts in its file.
    pub span: Range<usize>,
    /// The server that the request is for.
    pub server: String,
    /// The claims of the caller's token, a JSON object.
    pub claims: String,
    /// When.
    pub now: UnixTime,
    /// The caller's address.
    pub ip: Option<IpAddr>,
    /// Headers beside those that MCP requires.
    pub headers: Vec<(String, String)>,
    /// What is asked.
    pub request: CaseRequest,
    /// What should come of it.
    pub expected: Expected,
}

/// Reads a file of cases: those that can be made out, and every problem. They are fit for use only without any.
pub fn cases(source: &Source, known: &Known<'_>) -> (Vec<Case>, Vec<Problem>) {
    let reader = Reader::of(source, "the file");
    let read = match yaml::load(&source.text) {
        Ok(root) => Field::root(&reader, &root).section(|section| file(section, known)),
        Err(error) => {
            reader.report(Some(error.span), error.message, error.help.to_owned());
            None
        }
    };
    (read.unwrap_or_default(), reader.into_problems())
}

/// What holds for every case of a file that does not say otherwise.
struct Shared<'k> {
    known: &'k Known<'k>,
    /// Absent if the file names none; empty inside if that is none.
    server: Option<Option<String>>,
    now: UnixTime,
    ip: Option<IpAddr>,
    claims: Claims,
    people: Vec<(String, Claims)>,
}

fn file(section: &mut Section<'_, '_>, known: &Known<'_>) -> Option<Vec<Case>> {
    let shared = Shared {
        known,
        server: section.optional("server", |field| Some(server(field, known))),
        now: section.optional("now", |field| now(field, known)).unwrap_or(known.now),
        ip: section.optional("ip", |field| address(field, known)),
        claims: section.optional("claims", |field| claims(field, known)).unwrap_or_default(),
        people: section.optional("people", |field| people(field, known)).unwrap_or_default(),
    };
    let mut names = Seen::default();
    section.required("cases", |field| {
        field.filled()?.items(|item| item.section(|section| case(section, item, &shared, &mut names)))
    })
}

fn case(section: &mut Section<'_, '_>, item: &Field<'_>, shared: &Shared<'_>, names: &mut Seen) -> Option<Case> {
    let known = shared.known;
    let name = section.required("name", |field| {
        let name = field.text()?;
        field.distinct(names, name.to_owned()).then(|| name.to_owned())
    });
    let server = match (section.present(&["server"]).is_empty(), &shared.server) {
        (true, Some(server)) => server.clone(),
        (..) => section.required("server", |field| server(field, known)),
    };
    let now = section.optional("now", |field| now(field, known)).unwrap_or(shared.now);
    let ip = section.optional("ip", |field| address(field, known)).or(shared.ip);
    let mut claims = shared.claims.clone();
    claims.add(section.optional("who", |field| who(field, shared)).unwrap_or_default());
    claims.add(section.optional("claims", |field| caller::claims(field, known)).unwrap_or_default());
    let headers = section.optional("headers", headers).unwrap_or_default();
    let request = request::request(section);
    let expected = section.required("expect", |field| expected::expected(field, known));
    let (span, claims) = (item.spanned(()).span, claims.at(now));
    Some(Case { name: name?, span, server: server?, claims, now, ip, headers, request: request?, expected: expected? })
}

fn server(field: &Field<'_>, names: &Known<'_>) -> Option<String> {
    field.read(|text| known(text, &names.servers, "server"))
}

fn now(field: &Field<'_>, known: &Known<'_>) -> Option<UnixTime> {
    field.read(|text| moment(text, known.zone))
}

fn address(field: &Field<'_>, known: &Known<'_>) -> Option<IpAddr> {
    if !known.has_client_address {
        let help = "set `client_address` in the configuration, so that policies can read an address";
        field.report(Fault::new("would not be seen by policies", help));
        return None;
    }
    field.read(|text| {
        text.parse().map_err(|_| Fault::new(format!("cannot be {}", quoted(text)), "write an address such as 10.0.0.7"))
    })
}

/// The name of somebody in `people`, or claims.
fn who(field: &Field<'_>, shared: &Shared<'_>) -> Option<Claims> {
    if field.is_mapping() {
        return claims(field, shared.known);
    }
    field.read(|text| {
        let found = shared.people.iter().find(|(name, _)| name == text);
        found.map(|(_, claims)| claims.clone()).ok_or_else(|| {
            let names: Vec<&str> = shared.people.iter().map(|(name, _)| name.as_str()).collect();
            let help = match names.as_slice() {
                [] => "add `people: {NAME: {sub: …}}`, or write the claims here: `{sub: …}`".to_owned(),
                names => suggest(text, names, "the people are"),
            };
            Fault::new(format!("names nobody: {}", quoted(text)), help)
        })
    })
}

fn headers(field: &Field<'_>) -> Option<Vec<(String, String)>> {
    field.entries(|name, value| Some((name.value.to_owned(), value.text()?.to_owned())))
}
