use super::confirmation::Confirmation;
use super::decimal::decimal;
use super::error::TokenError;
use super::rules::{ClaimRule, ClaimType, ClaimValue, IssuerRules};
use crate::context::UnixTime;
use crate::json::{Kind, Value};

/// The most audiences of a token. Each is a resource that may be sent it; a handful is many.
pub(super) const MAX_AUDIENCES: usize = 64;

/// The most scopes of a token: each becomes a parent of the principal.
pub(super) const MAX_SCOPES: usize = 256;

/// The most groups of a token: each becomes a parent of the principal. Large directories stop at a few hundred.
pub(super) const MAX_GROUPS: usize = 1024;

/// The most actors of a token (RFC 8693 §4.1): longer chains of delegation tell nobody anything.
pub(super) const MAX_ACTORS: usize = 8;

/// The most authentication methods (RFC 8176 knows some twenty).
pub(super) const MAX_METHODS: usize = 32;

/// The last second of the year 9999. A later date is a mistake, usually milliseconds for seconds.
const MAX_DATE: i64 = 253_402_300_799;

/// The claims of an access token, each in the form it must have (RFC 9068 §2.2). Only facts; whether they let anyone in
/// is not said here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) issuer: String,
    pub(super) audiences: Vec<String>,
    pub(super) issued_at: UnixTime,
    pub(super) expires_at: UnixTime,
    pub(super) not_before: Option<UnixTime>,
    pub(super) auth_time: Option<UnixTime>,
    pub(super) subject: Option<String>,
    pub(super) client: String,
    pub(super) token_id: Option<String>,
    pub(super) acr: Option<String>,
    pub(super) amr: Vec<String>,
    pub(super) actors: Vec<String>,
    /// The `sub` of each actor that has one, however it is known.
    pub(super) actor_subjects: Vec<String>,
    pub(super) scopes: Vec<String>,
    pub(super) groups: Vec<String>,
    pub(super) declared: Vec<(String, ClaimValue)>,
    pub(super) confirmation: Option<Confirmation>,
}

impl Claims {
    /// Reads the claims in `root`, an object, of a token of `issuer`.
    pub(super) fn read(root: Value<'_>, issuer: String, rules: &IssuerRules) -> Result<Self, TokenError> {
        let optional_text =
            |name| root.get(name).map(|value| text(value).ok_or(TokenError::ClaimType(name))).transpose();
        let optional_date =
            |name| root.get(name).map(|value| date(value).ok_or(TokenError::ClaimType(name))).transpose();
        let (actors, actor_subjects) = actors(root)?;
        Ok(Self {
            issuer,
            audiences: match root.get("aud") {
                Some(value) => some(names(value, "aud", MAX_AUDIENCES)?).ok_or(TokenError::ClaimType("aud"))?,
                None => return Err(TokenError::ClaimMissing("aud")),
            },
            issued_at: optional_date("iat")?.ok_or(TokenError::ClaimMissing("iat"))?,
            expires_at: optional_date("exp")?.ok_or(TokenError::ClaimMissing("exp"))?,
            not_before: optional_date("nbf")?,
            auth_time: optional_date("auth_time")?,
            subject: optional_text("sub")?,
            client: match optional_text("client_id")? {
                Some(client) => client,
                None => optional_text("azp")?.ok_or(TokenError::ClaimMissing("client_id"))?,
            },
            token_id: optional_text("jti")?,
            acr: optional_text("acr")?,
            amr: match root.get("amr") {
                Some(value) if value.kind() == Kind::Array => names(value, "amr", MAX_METHODS)?,
                Some(_) => return Err(TokenError::ClaimType("amr")),
                None => Vec::new(),
            },
            actors,
            actor_subjects,
            scopes: root.pointer(&rules.scope_claim).map_or(Ok(Vec::new()), scopes)?,
            groups: match rules.groups.as_deref() {
                Some(pointer) => groups(root, pointer)?,
                None => Vec::new(),
            },
            declared: declared(root, &rules.claims),
            confirmation: Confirmation::read(root)?,
        })
    }
}

/// The `iss` of the claims in `root`, which every token must have.
pub(super) fn issuer(root: Value<'_>) -> Result<String, TokenError> {
    text(root.get("iss").ok_or(TokenError::ClaimMissing("iss"))?).ok_or(TokenError::ClaimType("iss"))
}

/// A string that names something: not empty, and without control characters, which have no place in an identifier and a
/// bad effect in a log.
fn text(value: Value<'_>) -> Option<String> {
    let text = value.as_str()?;
    (!text.is_empty() && !text.contains(char::is_control)).then(|| text.into_owned())
}

fn some(names: Vec<String>) -> Option<Vec<String>> {
    if names.is_empty() { None } else { Some(names) }
}

/// One name, or an array of names.
fn names(value: Value<'_>, claim: &'static str, max: usize) -> Result<Vec<String>, TokenError> {
    match value.kind() {
        Kind::String => Ok(vec![text(value).ok_or(TokenError::ClaimType(claim))?]),
        Kind::Array if value.len() > max => Err(TokenError::TooMany(claim)),
        Kind::Array => value.items().map(text).collect::<Option<_>>().ok_or(TokenError::ClaimType(claim)),
        Kind::Null | Kind::Bool | Kind::Number | Kind::Object => Err(TokenError::ClaimType(claim)),
    }
}

/// The groups at `pointer`. A token whose groups stand elsewhere is refused: read as one without groups, which is what
/// some directories make of too many, it would slip past every forbid on one.
fn groups(root: Value<'_>, pointer: &str) -> Result<Vec<String>, TokenError> {
    if elsewhere(root, pointer) {
        return Err(TokenError::TooMany("groups"));
    }
    root.pointer(pointer).map_or(Ok(Vec::new()), |value| names(value, "groups", MAX_GROUPS))
}

/// Whether the token says that the claim at `pointer`, or the one that holds it, is to be fetched from someone else
/// (`_claim_names`, whose members are top-level claims: OpenID Connect Core §5.6.2). Nothing is fetched here.
fn elsewhere(root: Value<'_>, pointer: &str) -> bool {
    let Some(sources) = root.get("_claim_names") else { return false };
    let top = pointer.split('/').nth(1).unwrap_or_default();
    sources.pointer(&format!("/{top}")).is_some()
}

/// A space separated list of RFC 6749 §3.3, or an array. An empty string is a token without scopes.
fn scopes(value: Value<'_>) -> Result<Vec<String>, TokenError> {
    let scopes = match value.as_str() {
        Some(list) if list.is_empty() => Vec::new(),
        Some(list) => list.split(' ').take(MAX_SCOPES + 1).map(str::to_owned).collect(),
        None => names(value, "scope", MAX_SCOPES)?,
    };
    if scopes.len() > MAX_SCOPES {
        return Err(TokenError::TooMany("scope"));
    }
    if scopes.iter().all(|scope| is_scope(scope)) { Ok(scopes) } else { Err(TokenError::ClaimType("scope")) }
}

/// `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )` (RFC 6749 §3.3).
fn is_scope(scope: &str) -> bool {
    !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

/// The chain of `act` claims (RFC 8693 §4.1), the one who acts first and those it acts for after. Each is known by its
/// client where the token says so, else by its subject; the second list has every subject, for revocations.
fn actors(root: Value<'_>) -> Result<(Vec<String>, Vec<String>), TokenError> {
    let (mut actors, mut subjects) = (Vec::new(), Vec::new());
    let mut next = root.get("act");
    while let Some(actor) = next {
        if actors.len() == MAX_ACTORS {
            return Err(TokenError::TooMany("act"));
        }
        let name = |member| actor.get(member).map(|value| text(value).ok_or(TokenError::ClaimType("act"))).transpose();
        let (client, subject) = (name("client_id")?, name("sub")?);
        actors.push(client.or_else(|| subject.clone()).ok_or(TokenError::ClaimType("act"))?);
        subjects.extend(subject);
        next = actor.get("act");
    }
    Ok((actors, subjects))
}

/// A NumericDate (RFC 7519 §2): seconds since the epoch, of which a fraction is dropped. Strings are refused, and so is
/// whatever is before 1970 or after 9999.
pub(super) fn date(value: Value<'_>) -> Option<UnixTime> {
    let seconds = value.as_i64().or_else(|| whole(value.as_number()?))?;
    (0..=MAX_DATE).contains(&seconds).then(|| UnixTime::from_seconds(seconds))
}

/// The digits before the point of a number literal that is no integer. A double would round a long fraction up, and a
/// token would live a second longer.
fn whole(literal: &str) -> Option<i64> {
    let (mantissa, exponent) = literal.split_once(['e', 'E']).unwrap_or((literal, "0"));
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let point = i64::try_from(integer.len()).ok()?.checked_add(exponent.parse().ok()?)?;
    if integer.starts_with('-') {
        return None;
    }
    if point <= 0 {
        return Some(0);
    }
    // With its point behind the last digit it would be an integer, so that this one is out of range.
    [integer, fraction].concat().get(..usize::try_from(point).ok()?)?.parse().ok()
}

/// The declared claims that the token has. `null` is what issuers send for an attribute that nobody has filled in: it
/// counts as absent.
fn declared(root: Value<'_>, rules: &[ClaimRule]) -> Vec<(String, ClaimValue)> {
    let present = |rule: &ClaimRule| root.pointer(&rule.pointer).filter(|value| !value.is_null());
    rules
        .iter()
        .filter_map(|rule| {
            let value = match present(rule) {
                Some(value) => convert(value, rule.kind).unwrap_or(ClaimValue::Unrepresentable),
                None if elsewhere(root, &rule.pointer) => ClaimValue::Unrepresentable,
                None => return None,
            };
            Some((rule.name.clone(), value))
        })
        .collect()
}

fn convert(value: Value<'_>, kind: ClaimType) -> Option<ClaimValue> {
    let array = || (value.kind() == Kind::Array).then(|| value.items());
    Some(match kind {
        ClaimType::String => ClaimValue::String(value.as_str()?.into_owned()),
        ClaimType::Long => ClaimValue::Long(value.as_i64()?),
        ClaimType::Bool => ClaimValue::Bool(value.as_bool()?),
        ClaimType::Decimal => ClaimValue::Decimal(decimal(value.as_number()?)?),
        ClaimType::SetOfString => {
            ClaimValue::Strings(array()?.map(|item| Some(item.as_str()?.into_owned())).collect::<Option<_>>()?)
        }
        ClaimType::SetOfLong => ClaimValue::Longs(array()?.map(Value::as_i64).collect::<Option<_>>()?),
    })
}
