use super::algorithm::Algorithm;
use super::claims::{Claims, issuer};
use super::confirmation::Confirmation;
use super::error::{AnswerError, TokenError};
use super::jwk::KeyId;
use super::jws::{Jws, unreadable};
use super::keys::{Key, KeySet};
use super::rules::{ClaimValue, IssuerRules};
use crate::context::UnixTime;
use crate::json::{Document, Kind, Limits, Value};

/// How far the issuer's clock and ours may be apart, in seconds (RFC 9068 §4 allows "a few minutes").
pub const LEEWAY_SECONDS: i64 = 30;

/// Claims are wide rather than deep: a chain of eight actors nests nine deep, the most groups and scopes make 1,300 nodes.
const LIMITS: Limits = Limits { depth: 32, nodes: 4096 };

/// The types of RFC 9068 §2.1, which only access tokens have, as [`media_type`] leaves them.
const ACCESS_TOKEN: &str = "at+jwt";

/// Claims of OpenID Connect ID tokens (Core §2, §3.1.3.6) that access tokens do not have.
const ID_TOKEN_CLAIMS: [&str; 2] = ["nonce", "at_hash"];

/// The `token_type` of a token that only the holder of a key may present (RFC 9449 §5).
const DPOP: &str = "DPoP";

/// What providers that also answer about other tokens (refresh tokens, say) call an access token in `token_use`, a member
/// of their own.
const ACCESS_TOKEN_USES: [&str; 2] = ["access_token", "access"];

/// A token of which only the form is known: enough to find the issuer whose rules and keys to verify it with.
#[derive(Debug)]
pub struct UnverifiedToken<'a> {
    jws: Jws<'a>,
    issuer: String,
}

/// Who makes a request, as a verified token says. Facts about the token only, so that it may be kept for the token's other
/// requests; whether it holds here and now is [`Principal::check`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    issuer_name: String,
    claims: Claims,
    voucher: Voucher,
}

/// What a [`Principal`] is believed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voucher {
    /// The signature of this key of the issuer. Good for as long as the issuer has the key.
    Key(KeyId),
    /// The issuer's own answer about an opaque token. Good for as long as that answer is remembered.
    Introspection,
    /// Nothing: somebody asks what would be.
    Supposed,
}

impl<'a> UnverifiedToken<'a> {
    /// Reads a compact JWS whose payload is a JSON object with an `iss`.
    ///
    /// # Errors
    /// Whatever is wrong with the token's form or its header, before any key or rule is known.
    pub fn parse(token: &'a str) -> Result<Self, TokenError> {
        let jws = Jws::parse(token)?;
        let issuer = issuer(object(&jws.payload)?.root())?;
        Ok(Self { jws, issuer })
    }

    /// The claim `iss`, which is not to be believed, only to be looked up.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}

/// Verifies a token by its issuer's rules and keys (RFC 9068 §4, RFC 8725 §3). What is cheap to refuse is refused before
/// the signature is computed.
///
/// # Errors
/// The first rule that the token breaks. [`TokenError::UnknownKey`] may be cured by a newer key set.
pub fn verify(
    token: &UnverifiedToken<'_>,
    rules: &IssuerRules,
    keys: &KeySet,
    now: UnixTime,
) -> Result<Principal, TokenError> {
    if token.issuer != rules.issuer {
        return Err(TokenError::UnknownIssuer);
    }
    let key = authenticate(&token.jws, rules, keys)?;
    let document = object(&token.jws.payload)?;
    if !is_access_token(&token.jws) && ID_TOKEN_CLAIMS.into_iter().any(|name| document.root().get(name).is_some()) {
        return Err(TokenError::Type);
    }
    Principal::mint(&document, token.issuer.clone(), rules, Voucher::Key(*key.id()), now)
}

/// The principal that `claims` would make if a token of this issuer had them, for explaining decisions. There is no
/// signature: whoever calls this decides nothing.
///
/// # Errors
/// As [`verify`], save for what concerns the header and the signature.
pub fn suppose(claims: &[u8], rules: &IssuerRules, now: UnixTime) -> Result<Principal, TokenError> {
    let document = object(claims)?;
    let issuer = issuer(document.root())?;
    if issuer != rules.issuer {
        return Err(TokenError::UnknownIssuer);
    }
    Principal::mint(&document, issuer, rules, Voucher::Supposed, now)
}

/// The principal of an opaque token by `answer`, the body of what its issuer's introspection endpoint answered (RFC 7662
/// §2.2). `active` counts before all else: without it nothing is said, and a token that is not active has no claims. An
/// active one is held to what a JWT is held to; `iss` alone may be absent, since it was this issuer that was asked.
///
/// # Errors
/// [`AnswerError`] if the answer says nothing of the token; inside, the first rule that the token breaks.
pub fn introspected(
    answer: &[u8],
    rules: &IssuerRules,
    now: UnixTime,
) -> Result<Result<Principal, TokenError>, AnswerError> {
    let document = Document::parse(answer, LIMITS).map_err(AnswerError::Json)?;
    let root = document.root();
    if root.kind() != Kind::Object {
        return Err(AnswerError::NotAnObject);
    }
    Ok(match root.get("active").and_then(Value::as_bool) {
        None => return Err(AnswerError::Active),
        Some(false) => Err(TokenError::Inactive),
        Some(true) => active(&document, rules, now),
    })
}

fn active(document: &Document<'_>, rules: &IssuerRules, now: UnixTime) -> Result<Principal, TokenError> {
    let root = document.root();
    if root.get("iss").is_some() && issuer(root)? != rules.issuer {
        return Err(TokenError::UnknownIssuer);
    }
    let one_of = |name, accepted: &[&str]| match root.get(name) {
        None => true,
        Some(value) => value.as_str().is_some_and(|text| accepted.iter().any(|word| word.eq_ignore_ascii_case(&text))),
    };
    if !one_of("token_type", &["Bearer", DPOP]) || !one_of("token_use", &ACCESS_TOKEN_USES) {
        return Err(TokenError::Type);
    }
    // Without its key such a token would count as one that anybody may present.
    if root.get("token_type").is_some() && one_of("token_type", &[DPOP]) && root.pointer("/cnf/jkt").is_none() {
        return Err(TokenError::Type);
    }
    Principal::mint(document, rules.issuer.clone(), rules, Voucher::Introspection, now)
}

/// The key that signed. Its order: algorithm and type by the rules, the key by name, the signature last.
pub(super) fn authenticate<'k>(jws: &Jws<'_>, rules: &IssuerRules, keys: &'k KeySet) -> Result<&'k Key, TokenError> {
    let header = &jws.header;
    let algorithm = header.algorithm.as_deref().and_then(Algorithm::parse).ok_or(TokenError::Algorithm)?;
    if !rules.algorithms.contains(&algorithm) {
        return Err(TokenError::Algorithm);
    }
    let kind = header.kind.as_deref().map_or(String::new(), media_type);
    if !rules.token_types.iter().any(|accepted| media_type(accepted) == kind) {
        return Err(TokenError::Type);
    }
    let name = header.key_name.as_deref();
    let Some(key) = keys.find(name, algorithm) else {
        // A newer key set cures the one, not the other.
        return Err(if name.is_some_and(|name| keys.names(name)) {
            TokenError::Algorithm
        } else {
            TokenError::UnknownKey
        });
    };
    if key.verifies(algorithm, jws.signed, &jws.signature) { Ok(key) } else { Err(TokenError::Signature) }
}

/// `typ` as a media type without `application/`, which it may leave out if no other slash follows (RFC 7515 §4.1.9).
pub(super) fn media_type(kind: &str) -> String {
    let kind = kind.to_ascii_lowercase();
    match kind.strip_prefix("application/") {
        Some(rest) if !rest.is_empty() && !rest.contains('/') => rest.to_owned(),
        Some(_) | None => kind,
    }
}

fn is_access_token(jws: &Jws<'_>) -> bool {
    jws.header.kind.as_deref().is_some_and(|kind| media_type(kind) == ACCESS_TOKEN)
}

pub(super) fn object(claims: &[u8]) -> Result<Document<'_>, TokenError> {
    let document = Document::parse(claims, LIMITS).map_err(|error| unreadable("claims", error))?;
    if document.root().kind() == Kind::Object { Ok(document) } else { Err(TokenError::NotAnObject("claims")) }
}

impl Principal {
    fn mint(
        document: &Document<'_>,
        issuer: String,
        rules: &IssuerRules,
        voucher: Voucher,
        now: UnixTime,
    ) -> Result<Self, TokenError> {
        let claims = Claims::read(document.root(), issuer, rules)?;
        if claims.issued_at.millis() > now.millis() + LEEWAY_MILLIS {
            return Err(TokenError::IssuedInFuture);
        }
        let principal = Self { issuer_name: rules.name.clone(), claims, voucher };
        principal.check_time(now)?;
        Ok(principal)
    }

    /// Whether the token may be used now at the resource `audience`: to be asked for every request, however the principal
    /// was come by. `audience` must be one of `aud` to the letter (RFC 9068 §4, RFC 8707).
    ///
    /// # Errors
    /// [`TokenError::Audience`], [`TokenError::Expired`] from `exp` and [`LEEWAY_SECONDS`] on,
    /// [`TokenError::NotYetValid`] until `nbf` less that.
    pub fn check(&self, audience: &str, now: UnixTime) -> Result<(), TokenError> {
        if !self.claims.audiences.iter().any(|named| named == audience) {
            return Err(TokenError::Audience);
        }
        self.check_time(now)
    }

    fn check_time(&self, now: UnixTime) -> Result<(), TokenError> {
        if now.millis() >= self.claims.expires_at.millis() + LEEWAY_MILLIS {
            return Err(TokenError::Expired);
        }
        match self.claims.not_before {
            Some(start) if now.millis() + LEEWAY_MILLIS < start.millis() => Err(TokenError::NotYetValid),
            Some(_) | None => Ok(()),
        }
    }

    /// The short name of the issuer, from the rules.
    pub fn issuer_name(&self) -> &str {
        &self.issuer_name
    }

    /// `iss`.
    pub fn issuer(&self) -> &str {
        &self.claims.issuer
    }

    /// `sub`, which tokens of a client that acts for itself may lack.
    pub fn subject(&self) -> Option<&str> {
        self.claims.subject.as_deref()
    }

    /// `client_id`, or `azp` where that is absent.
    pub fn client(&self) -> &str {
        &self.claims.client
    }

    /// Whether the client acts for itself: there is no `sub`, or it is the client's id (RFC 9068 §2.2, §5).
    pub fn is_client(&self) -> bool {
        self.subject().is_none_or(|subject| subject == self.client())
    }

    /// The names of the groups, as the issuer gives them.
    pub fn groups(&self) -> &[String] {
        &self.claims.groups
    }

    /// The scopes, as the token has them.
    pub fn scopes(&self) -> &[String] {
        &self.claims.scopes
    }

    /// The declared claims that the token has, by their names in policies.
    pub fn claims(&self) -> &[(String, ClaimValue)] {
        &self.claims.declared
    }

    /// `aud`, at least one.
    pub fn audiences(&self) -> &[String] {
        &self.claims.audiences
    }

    /// `iat`.
    pub fn issued_at(&self) -> UnixTime {
        self.claims.issued_at
    }

    /// `exp`.
    pub fn expires_at(&self) -> UnixTime {
        self.claims.expires_at
    }

    /// `nbf`.
    pub fn not_before(&self) -> Option<UnixTime> {
        self.claims.not_before
    }

    /// `auth_time`: when the user last logged in (RFC 9470 §6.2).
    pub fn auth_time(&self) -> Option<UnixTime> {
        self.claims.auth_time
    }

    /// `acr`: how the user logged in, by the issuer's own names.
    pub fn acr(&self) -> Option<&str> {
        self.claims.acr.as_deref()
    }

    /// `amr`: the methods of the login (RFC 8176).
    pub fn amr(&self) -> &[String] {
        &self.claims.amr
    }

    /// The chain of `act` (RFC 8693 §4.1), the one who acts now first.
    pub fn actors(&self) -> &[String] {
        &self.claims.actors
    }

    /// The `sub` of each actor that has one, also where it is known by its client.
    pub fn actor_subjects(&self) -> &[String] {
        &self.claims.actor_subjects
    }

    /// `jti`.
    pub fn token_id(&self) -> Option<&str> {
        self.claims.token_id.as_deref()
    }

    /// `cnf`: what whoever sends the token must prove to have.
    pub fn confirmation(&self) -> Option<&Confirmation> {
        self.claims.confirmation.as_ref()
    }

    /// What it is believed for.
    pub fn voucher(&self) -> Voucher {
        self.voucher
    }
}

const LEEWAY_MILLIS: i64 = LEEWAY_SECONDS * 1000;
