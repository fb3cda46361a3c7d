//! Whose token: claims as a token has them, with times as people write them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::Known;
use crate::config::reader::{Fault, Field, string, suggest};
use crate::config::values::{millis, quoted};
use crate::context::UnixTime;

/// The claims that are dates (RFC 7519 §4.1, RFC 9470 §6.2).
const DATES: [&str; 4] = ["auth_time", "exp", "iat", "nbf"];

/// The client of a token for which none is named: every token has one.
const CLIENT: &str = "test";

/// Claims, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims(Vec<(String, Claim)>);

#[derive(Debug, Clone)]
enum Claim {
    /// Not there, whatever was said before.
    Absent,
    /// JSON.
    Value(String),
    /// Milliseconds from the moment of the case.
    FromNow(i64),
}

impl Claims {
    /// Adds `others`, which count before those of the same name.
    pub(super) fn add(&mut self, others: Self) {
        for (name, claim) in others.0 {
            self.0.retain(|(known, _)| *known != name);
            self.0.push((name, claim));
        }
    }

    /// The claims of a token at the moment `now`, as a JSON object.
    pub(super) fn at(&self, now: UnixTime) -> String {
        let named = self.0.iter().any(|(name, _)| name == "client_id" || name == "azp");
        let client = (!named).then(|| format!("\"client_id\":{}", string(CLIENT)));
        let members = self.0.iter().filter_map(|(name, claim)| match claim {
            Claim::Absent => None,
            Claim::Value(json) => Some(format!("{}:{json}", string(name))),
            Claim::FromNow(millis) => {
                let moment = UnixTime::from_millis(now.millis().saturating_add(*millis));
                Some(format!("{}:{}", string(name), moment.seconds()))
            }
        });
        format!("{{{}}}", client.into_iter().chain(members).collect::<Vec<_>>().join(","))
    }
}

/// Everybody in `people`.
pub(super) fn people(field: &Field<'_>, known: &Known<'_>) -> Option<Vec<(String, Claims)>> {
    field.entries(|name, field| Some((name.value.to_owned(), claims(field, known)?)))
}

/// A mapping of claims.
pub(super) fn claims(field: &Field<'_>, known: &Known<'_>) -> Option<Claims> {
    let claims = field.entries(|name, field| Some((name.value.to_owned(), claim(name.value, field, known)?)))?;
    Some(Claims(claims))
}

fn claim(name: &str, field: &Field<'_>, known: &Known<'_>) -> Option<Claim> {
    if field.is_null() {
        return Some(Claim::Absent);
    }
    if field.is_text() && DATES.contains(&name) {
        return field.read(|text| date(text, known.zone));
    }
    if field.is_text() && name == "iss" {
        return field.read(|text| issuer(text, known)).map(|url| Claim::Value(string(&url)));
    }
    field.json().map(Claim::Value)
}

/// A moment, or a time from now with its sign: `-5m`.
fn date(text: &str, zone: &TimeZone) -> Result<Claim, Fault> {
    let from_now = match (text.strip_prefix('-'), text.strip_prefix('+')) {
        (Some(rest), _) => millis(rest).and_then(|time| i64::try_from(time.0).ok()).map(|time| -time),
        (None, Some(rest)) => millis(rest).and_then(|time| i64::try_from(time.0).ok()),
        (None, None) => {
            let seconds = moment(text, zone)?.seconds();
            return Ok(Claim::Value(seconds.to_string()));
        }
    };
    from_now.map(Claim::FromNow).ok_or_else(|| {
        Fault::new(format!("cannot be {}", quoted(text)), "write a time before or after now such as `-5m` or `+1h`")
    })
}

/// The URL of an issuer that is named by its short name; whatever looks like a URL is taken as it is.
fn issuer(text: &str, known: &Known<'_>) -> Result<String, Fault> {
    let found = known.issuers.iter().find(|(name, _)| *name == text);
    match found {
        Some((_, url)) => Ok((*url).to_owned()),
        None if text.contains("://") => Ok(text.to_owned()),
        None => {
            let names: Vec<&str> = known.issuers.iter().map(|(name, _)| *name).collect();
            Err(Fault::new(format!("names no issuer: {}", quoted(text)), suggest(text, &names, "the issuers are")))
        }
    }
}

/// A moment (RFC 3339), or civil time in `zone`.
pub(super) fn moment(text: &str, zone: &TimeZone) -> Result<UnixTime, Fault> {
    let civil = || text.parse::<DateTime>().and_then(|time| time.to_zoned(zone.clone()));
    let moment = text.parse::<Timestamp>().or_else(|_| civil().map(|time| time.timestamp()));
    moment.map(|moment| UnixTime::from_millis(moment.as_millisecond())).map_err(|_| {
        let help = "write `2026-03-02T09:30:00Z`, or `2026-03-02T09:30` in the configured time zone";
        Fault::new(format!("cannot be {}: it is no time", quoted(text)), help)
    })
}
