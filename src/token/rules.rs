use super::algorithm::Algorithm;

/// What one issuer's tokens must look like, and what is read from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerRules {
    /// The issuer's short name, `[a-z0-9-]+`: the prefix of its entities' ids.
    pub name: String,
    /// The exact value of `iss`.
    pub issuer: String,
    /// The algorithms that its tokens may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// The accepted values of `typ`, compared as media types: without case, `application/` implied (RFC 7515 §4.1.9). An
    /// empty string in the list accepts tokens that have no `typ`.
    pub token_types: Vec<String>,
    /// Where the names of groups are: an RFC 6901 pointer to an array of strings, or to one string.
    pub groups: Option<String>,
    /// Where the scopes are: an RFC 6901 pointer to a space separated string (RFC 9068 §2.2.3: `/scope`) or an array of
    /// strings.
    pub scope_claim: String,
    /// Further claims that policies may read.
    pub claims: Vec<ClaimRule>,
}

/// One claim that policies may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRule {
    /// Its name in policies.
    pub name: String,
    /// Where it is among the claims: an RFC 6901 pointer.
    pub pointer: String,
    /// What it must be.
    pub kind: ClaimType,
}

/// The type that a claim is declared to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClaimType {
    /// A string.
    String,
    /// A number that is an integer within i64; `1.0` and `1e0` are 1.
    Long,
    /// `true` or `false`.
    Bool,
    /// A number with at most four decimals, see [`super::decimal()`].
    Decimal,
    /// An array of strings.
    SetOfString,
    /// An array of integers.
    SetOfLong,
}

/// The value of a declared claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimValue {
    /// A string.
    String(String),
    /// An integer.
    Long(i64),
    /// A boolean.
    Bool(bool),
    /// A number in the canonical form of [`super::decimal()`].
    Decimal(String),
    /// Strings, in the token's order.
    Strings(Vec<String>),
    /// Integers, in the token's order.
    Longs(Vec<i64>),
    /// The token has the claim, but not with the declared type: a policy that reads it cannot be answered.
    Unrepresentable,
}
