//! A trail of very many records, to read.

use std::path::Path;

use toolgate::audit::{Audit, AuditSettings, Disclosure, Latency, Record, Verdict};
use toolgate::clock::Clock;
use toolgate::policy::values::Values;

use crate::desk::{TOOLS, settled, tool};

/// Different callers.
const PRINCIPALS: usize = 10_000;

/// One of so many is a denial.
const DENIALS: usize = 10;

/// Writes `count` decisions to `file`.
pub(crate) fn write(file: &Path, count: usize) {
    let clock = Clock::System;
    let audit = Audit::open(&AuditSettings::file(file.to_owned()), clock.now()).unwrap();
    for number in 0..count {
        let id = audit.next_id();
        let tool = tool(number % TOOLS);
        let denied = number % DENIALS == 0;
        let record = Record {
            time: clock.now(),
            decision_id: &id,
            generation: 1,
            digest: "4f1c2d0e9b7a6f58",
            decision: if denied { Verdict::Deny } else { Verdict::Allow },
            reason: if denied { "policy_denied" } else { "allow" },
            detail: None,
            server: Some("desk"),
            principal: Some(&format!("User::\"corp:p{}\"", number % PRINCIPALS)),
            issuer: Some("corp"),
            client: Some("desk-agent"),
            token: Some("9f86d081884c7d659a2feaa0c55ad015"),
            method: b"POST",
            actions: &[&format!("Action::\"desk:{tool}\"")],
            resources: &[&format!("Tool::\"desk:{tool}\"")],
            policies: &["all"],
            errors: &[],
            shadow: None,
            values: &Values::default(),
            disclosure: &Disclosure::default(),
            status: denied.then_some(403),
            source: None,
            request_id: b"1639ff41-5d47-4573-9cff-4c41d147abf7",
            trace_id: Some(b"4bf92f3577b34da6a3ce929d0e0e4736"),
            latency: Latency::default(),
        };
        settled(audit.record(&record, ())).unwrap().into_inner();
    }
    audit.close(clock.now());
}
