//! What an introspection endpoint answers, hostile answers among it.

use super::*;
use crate::json::JsonError;

/// The claims of [`claims_with`] as an answer about an active token.
fn active_with(name: &str, value: &str) -> String {
    claims_with(name, value).replacen('{', r#"{"active":true,"#, 1)
}

fn asked(answer: &str) -> Result<Result<(), TokenError>, AnswerError> {
    introspected(answer.as_bytes(), &rules(), at(NOW)).map(|said| said.map(|_| ()))
}

#[test]
fn an_active_token_makes_the_principal_that_a_jwt_makes() {
    let said = introspected(active_with("groups", r#"["g1"]"#).as_bytes(), &rules(), at(NOW)).unwrap().unwrap();
    let verified = read(&token(&claims_with("groups", r#"["g1"]"#))).unwrap();
    assert_eq!(said.voucher(), Voucher::Introspection);
    assert_eq!((said.issuer_name(), said.issuer()), (verified.issuer_name(), verified.issuer()));
    assert_eq!((said.subject(), said.client()), (verified.subject(), verified.client()));
    assert_eq!((said.scopes(), said.groups()), (verified.scopes(), verified.groups()));
    assert_eq!((said.issued_at(), said.expires_at()), (verified.issued_at(), verified.expires_at()));
    assert_eq!(said.check(AUDIENCE, at(NOW)), Ok(()));
    assert_eq!(said.check("https://mcp.example.com/other", at(NOW)), Err(TokenError::Audience));
}

#[test]
fn an_absent_issuer_is_the_one_that_was_asked() {
    let said = introspected(active_with("iss", "").as_bytes(), &rules(), at(NOW)).unwrap().unwrap();
    assert_eq!(said.issuer(), "https://id.example.com");
}

#[test]
fn an_answer_without_a_clear_yes_or_no_says_nothing() {
    let syntax = |at| AnswerError::Json(JsonError::Syntax { at });
    for (answer, expected) in [
        (r#"{"active":"true"}"#, AnswerError::Active),
        (r#"{"active":1}"#, AnswerError::Active),
        (r#"{"active":null}"#, AnswerError::Active),
        (r#"{"active":[true]}"#, AnswerError::Active),
        (r#"{"Active":true}"#, AnswerError::Active),
        (r#"{"result":{"active":true}}"#, AnswerError::Active),
        ("{}", AnswerError::Active),
        ("[]", AnswerError::NotAnObject),
        ("true", AnswerError::NotAnObject),
        ("", AnswerError::Json(JsonError::Empty)),
        ("<html>login</html>", syntax(0)),
        ("eyJhbGciOiJFUzI1NiJ9.e30.AAAA", syntax(0)),
    ] {
        assert_eq!(asked(answer), Err(expected), "{answer}");
    }
    let twice = [r#"{"active":false,"active":true}"#, r#"{"active":true,"\u0061ctive":true}"#];
    for answer in twice.map(str::to_owned).into_iter().chain([active_with("x", "{\"a\":1,\"a\":2}")]) {
        assert!(matches!(asked(&answer), Err(AnswerError::Json(JsonError::DuplicateKey { .. }))), "{answer}");
    }
    let trailing = format!("{} {{}}", active_with("", ""));
    assert!(matches!(asked(&trailing), Err(AnswerError::Json(_))));
}

#[test]
fn of_a_token_that_is_not_active_nothing_else_counts() {
    for answer in [r#"{"active":false}"#, r#"{"active":false,"exp":"never","iss":7,"token_type":"mac"}"#] {
        assert_eq!(asked(answer), Ok(Err(TokenError::Inactive)), "{answer}");
    }
}

#[test]
fn an_active_token_is_held_to_the_rules_of_a_jwt() {
    for (name, value, expected) in [
        ("x", "1", Ok(())),
        ("iss", r#""https://id.example.com/""#, Err(TokenError::UnknownIssuer)),
        ("iss", r#""https://evil.example""#, Err(TokenError::UnknownIssuer)),
        ("iss", "7", Err(TokenError::ClaimType("iss"))),
        ("iss", "null", Err(TokenError::ClaimType("iss"))),
        ("aud", "", Err(TokenError::ClaimMissing("aud"))),
        ("aud", "[]", Err(TokenError::ClaimType("aud"))),
        ("exp", "", Err(TokenError::ClaimMissing("exp"))),
        ("exp", r#""1800000300""#, Err(TokenError::ClaimType("exp"))),
        ("exp", "1799999971", Ok(())),
        ("exp", "1799999970", Err(TokenError::Expired)),
        ("iat", "", Err(TokenError::ClaimMissing("iat"))),
        ("iat", "1800000031", Err(TokenError::IssuedInFuture)),
        ("nbf", "1800000031", Err(TokenError::NotYetValid)),
        ("client_id", "", Err(TokenError::ClaimMissing("client_id"))),
        ("token_type", r#""Bearer""#, Ok(())),
        ("token_type", r#""bearer""#, Ok(())),
        ("token_type", r#""mac""#, Err(TokenError::Type)),
        ("token_type", r#""""#, Err(TokenError::Type)),
        ("token_type", "null", Err(TokenError::Type)),
        ("token_type", r#""DPoP""#, Err(TokenError::Type)),
        ("token_type", r#""dpop","cnf":{"x5t#S256":"a"}"#, Err(TokenError::Type)),
        ("token_use", r#""access_token""#, Ok(())),
        ("token_use", r#""refresh_token""#, Err(TokenError::Type)),
        ("token_use", r#""id""#, Err(TokenError::Type)),
    ] {
        assert_eq!(asked(&active_with(name, value)), Ok(expected), "{name}: {value}");
    }
}
