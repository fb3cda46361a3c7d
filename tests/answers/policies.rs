//! What policies say: who, from where, and how the caller hears of it.

use serde_json::{Value, json};

use super::expect::{Row, row};
use super::table::{allow, claim_unrepresentable, login_insufficient, policy_denied, policy_error, scope_insufficient};
use crate::support::envoy::{Ask, bare, call, legacy, modern, modern_call, notify};
use crate::support::gate::NOW;
use crate::support::people::{ANN, BATCH, BOB, PAT, Token, Who, ann, batch, bob, pat};

const MFA: &str = r#"acr_values="urn:example:mfa""#;

fn with_scope(scope: &'static str) -> (Token, Who) {
    (ann().claim("scope", scope), Who { scopes: Some(scope), ..ANN })
}

fn at_the_bank(tool: &str, arguments: Value) -> Ask {
    call("bank", tool, arguments)
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = principals();
    rows.extend(scopes());
    rows.extend(logins());
    rows.extend(errors());
    rows.extend(claims());
    rows.extend(addresses());
    rows.extend(denials());
    rows
}

fn would(decision: &str, policy: &str) -> Value {
    json!({"decision": decision, "policies": [policy], "errors": []})
}

fn principals() -> Vec<Row> {
    let balance = || at_the_bank("balance", json!({}));
    let rates = || at_the_bank("rates", json!({}));
    let namesake = Who { principal: r#"User::"corp:batch""#, client: "desk-app", ..BATCH };
    let analysts_of_theirs = pat().claim("roles", json!(["analysts"]));
    let rates_denied = || policy_denied(&[]).tool("bank:rates").by_status();
    vec![
        row(
            "a client that acts for itself",
            balance().by(&batch()),
            allow(&["batch-job"]).tool("bank:balance").who(BATCH),
        ),
        row(
            "is not the user of its name",
            balance().by(&batch().claim("client_id", "desk-app")),
            scope_insufficient("bank:read")
                .tool("bank:balance")
                .who(namesake)
                .shadow(would("allow", "shadow-batch-user")),
        ),
        row(
            "a group of a partner's",
            rates().by(&pat()),
            allow(&["partner-rates"]).tool("bank:rates").who(PAT).shadow(would("deny", "shadow-no-rates")),
        ),
        row("another group of theirs", rates().by(&analysts_of_theirs), rates_denied().who(PAT)),
        row("a group of that name of ours", rates().by(&ann().claim("groups", json!(["traders"]))), rates_denied()),
        row(
            "a group, and a tool that only reads",
            call("weather", "get_forecast", json!({"city": "Oslo"})).by(&bob()),
            allow(&["analysts-read"]).tool("weather:get_forecast").who(BOB),
        ),
        row(
            "two policies permit",
            call("weather", "get_forecast", json!({"city": "Oslo"})).by(&ann().claim("groups", json!(["analysts"]))),
            allow(&["analysts-read", "forecast"]).tool("weather:get_forecast"),
        ),
    ]
}

fn scopes() -> Vec<Row> {
    let station = || call("weather", "set_station", json!({"id": "x"}));
    let (admin, root) = with_scope("weather:admin");
    let (unpublished, other) = with_scope("secret:scope");
    let lacks = |scopes: &str| scope_insufficient(scopes).tool("weather:set_station");
    let transfer = at_the_bank("transfer", json!({"amount": 1, "to": "bob"}));
    vec![
        row("the scope that is missing, with the held one", station().by(&ann()), lacks("weather:read weather:write")),
        row("the scope that is missing, of somebody with none", station().by(&bob()), lacks("weather:write").who(BOB)),
        row("a held scope that is not published", station().by(&unpublished), lacks("weather:write").who(other)),
        row(
            "a challenge is a status in either era",
            modern_call("weather", "set_station", json!({"id": "x"})).by(&ann()),
            lacks("weather:read weather:write"),
        ),
        row(
            "a scope that implies another",
            station().by(&admin),
            allow(&["station"]).tool("weather:set_station").who(root),
        ),
        row(
            "a scope for a step-up alone, without the held one where the server says so",
            transfer.by(&ann().claim("acr", "urn:example:mfa")),
            scope_insufficient("bank:transfer").tool("bank:transfer"),
        ),
        row(
            "no scope would help",
            call("weather", "get_forecast", json!({"city": "Oslo", "days": 9})).by(&batch()),
            policy_denied(&[]).tool("weather:get_forecast").who(BATCH),
        ),
    ]
}

fn logins() -> Vec<Row> {
    let (token, who) = with_scope("bank:transfer");
    let transfer = || at_the_bank("transfer", json!({"amount": 1, "to": "bob"}));
    let close = |token: &Token| at_the_bank("close", json!({})).by(token);
    let strong = &["strong-login-to-transfer"];
    let fresh = || {
        login_insufficient(r#"acr_values="urn:example:mfa", max_age="300""#, &["strong-fresh-login-to-close"])
            .tool("bank:close")
    };
    vec![
        row(
            "a login that is not strong enough",
            transfer().by(&token),
            login_insufficient(MFA, strong).tool("bank:transfer").who(who),
        ),
        row(
            "one of another kind",
            transfer().by(&token.clone().claim("acr", "urn:example:pw")),
            login_insufficient(MFA, strong).tool("bank:transfer").who(who),
        ),
        row(
            "one that is",
            transfer().by(&token.clone().claim("acr", "urn:example:mfa")),
            allow(&["transfer"]).tool("bank:transfer").who(who),
        ),
        row(
            "a value that only a shadow policy reads, and that it could not read",
            at_the_bank("transfer", json!({"amount": 1, "to": 7})).by(&token.claim("acr", "urn:example:mfa")),
            allow(&["transfer"]).tool("bank:transfer").who(who).shadow(json!({
                "decision": "deny", "reason": "argument_unrepresentable", "policies": [], "errors": [],
            })),
        ),
        row(
            "the login comes before the scope",
            transfer().by(&ann()),
            login_insufficient(MFA, strong).tool("bank:transfer"),
        ),
        row("nobody knows when the login was", close(&ann()), fresh()),
        row(
            "a login five minutes ago",
            close(&ann().claim("auth_time", NOW - 300)),
            allow(&["close"]).tool("bank:close"),
        ),
        row("a login longer ago", close(&ann().claim("auth_time", NOW - 301)), fresh()),
    ]
}

/// The arithmetic of some policies overflows.
fn errors() -> Vec<Row> {
    let quote = |arguments: Value| at_the_bank("quote", arguments).by(&ann());
    let huge = i64::MAX;
    vec![
        row("a quote", quote(json!({"amount": 5})), allow(&["quote"]).tool("bank:quote")),
        row(
            "a forbid that applies",
            quote(json!({"amount": 2000})),
            policy_denied(&["no-large-quotes"]).tool("bank:quote").by_status(),
        ),
        row(
            "a forbid that errs denies",
            quote(json!({"amount": huge})),
            policy_error(&["no-large-quotes"]).tool("bank:quote").by_status(),
        ),
        row(
            "a permit that errs permits nothing",
            quote(json!({"amount": 5, "years": huge})),
            allow(&["quote"]).errors(&["quote-with-years"]).tool("bank:quote"),
        ),
        row(
            "both err",
            quote(json!({"amount": huge, "years": huge})),
            policy_error(&["no-large-quotes", "quote-with-years"]).tool("bank:quote").by_status(),
        ),
        row(
            "a permit errs and a forbid applies",
            quote(json!({"amount": 2000, "years": huge})),
            policy_denied(&["no-large-quotes"]).errors(&["quote-with-years"]).tool("bank:quote").by_status(),
        ),
    ]
}

fn claims() -> Vec<Row> {
    let report = |token: &Token| at_the_bank("report", json!({})).by(token);
    let cleared = |value: Value| ann().claim("ext", json!({"clearance": value}));
    let denied = || policy_denied(&[]).tool("bank:report").by_status();
    let unrepresentable = |claim: &str| claim_unrepresentable(claim).tool("bank:report").by_status();
    vec![
        row("a claim", report(&ann().claim("department", "audit")), allow(&["auditors"]).tool("bank:report")),
        row("another value of it", report(&ann().claim("department", "Audit")), denied()),
        row("no such claim", report(&ann()), denied()),
        row("a claim that is null", report(&cleared(Value::Null)), denied()),
        row("a claim inside of another", report(&cleared(json!(3))), allow(&["cleared"]).tool("bank:report")),
        row(
            "two claims",
            report(&cleared(json!(3)).claim("department", "audit")),
            allow(&["auditors", "cleared"]).tool("bank:report"),
        ),
        row("a claim of another type", report(&cleared(json!("high"))), unrepresentable("clearance")),
        row("a claim that is no integer", report(&cleared(json!(3.5))), unrepresentable("clearance")),
        row(
            "a list where there is one value",
            report(&ann().claim("department", json!(["audit"]))),
            unrepresentable("department"),
        ),
    ]
}

/// The last address of the list is the one that our own proxy wrote.
fn addresses() -> Vec<Row> {
    let (token, who) = with_scope("weather:admin");
    let reset = |from: &str| call("weather", "reset", json!({})).by(&token).header("x-forwarded-for", from.to_owned());
    let inside = || allow(&["reset"]).tool("weather:reset").who(who).source(Some("10.1.2.3"));
    let outside = || {
        let advice = "Connect through the corporate network to use this tool.";
        policy_denied(&["no-destructive-from-outside"]).advice(advice).tool("weather:reset").who(who)
    };
    vec![
        row("from inside", reset("10.1.2.3"), inside()),
        row("from inside, as IPv6 writes it", reset("::ffff:10.1.2.3"), inside()),
        row("from outside", reset("192.0.2.2"), outside()),
        row("from outside, behind a forged address", reset("10.1.2.3, 192.0.2.2"), outside()),
        row("from inside, behind another address", reset("192.0.2.2,10.1.2.3"), inside()),
        row("from nowhere", reset("").without("x-forwarded-for"), outside().source(None)),
        row("from what is no address", reset("10.1.2.3:443"), outside().source(None)),
        row("advice in the newer era", modern_call("weather", "reset", json!({})).by(&token), outside().by_status()),
    ]
}

/// One denial in all its forms: by message or by status, as the server and the era have it.
fn denials() -> Vec<Row> {
    let level = |ask: fn(&'static str, &str, Value) -> Ask| ask("weather", "logging/setLevel", json!({})).by(&ann());
    let denied = || policy_denied(&["no-log-level"]).on("logging/setLevel", "Server::\"weather\"");
    let quiet = |action: &str| policy_denied(&["quiet"]).on(action, "Server::\"weather\"").by_status().no_id();
    let in_bank = |ask: Ask| {
        row(
            format!("by status at the bank, {}", ask.version()),
            ask.by(&ann()),
            policy_denied(&[]).tool("bank:report").by_status(),
        )
    };
    let in_notes = |ask: Ask| {
        row(
            format!("by message at the notes, {}", ask.version()),
            ask.by(&ann()),
            policy_denied(&[]).on("notes:*", "Tool::\"notes:erase\""),
        )
    };
    vec![
        row("by message in the older era", level(legacy), denied()),
        row("by status in the newer era", level(modern), denied().by_status()),
        in_bank(call("bank", "report", json!({}))),
        in_bank(modern_call("bank", "report", json!({}))),
        in_notes(call("notes", "erase", json!({}))),
        in_notes(modern_call("notes", "erase", json!({}))),
        row("a notification", notify("weather", "notifications/progress").by(&ann()), quiet("notifications/progress")),
        row("a stream", bare("GET", "weather").by(&ann()), quiet("session/stream")),
        row("the end of a session", bare("DELETE", "weather").by(&ann()), quiet("session/end")),
    ]
}
