//! CPU time of a whole decision, with a signed token and with an opaque one, both of which were seen before.

use std::path::Path;

use serde_json::json;
use toolgate::clock::Clock;
use toolgate::envoy::wire::RawCheck;

use crate::desk::{Desk, allows, message, settled};
use crate::endpoint::{IntrospectionServer, Reply};
use crate::scene;
use crate::steps::{SAMPLES, median, sample_once};

/// Prints both in microseconds, and the ratio of the opaque one to the signed one. Samples are taken in turn.
pub(crate) fn measure(folder: &Path) {
    let now = Clock::System.now().seconds();
    let claims = json!({
        "active": true, "sub": "ada", "aud": "https://mcp.example.com/desk", "client_id": "desk-agent",
        "scope": "desk:read desk:write", "groups": ["support", "emea", "on-call"], "iat": now, "exp": now + 6 * 3600,
    });
    let endpoint = IntrospectionServer::start(move |_| Reply::Json(claims.to_string()));
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("secret"), "of this run alone").unwrap();
    // Longer than the measurement takes: a question in it would be one about the network.
    let asked = format!(
        "insecure_http: true, introspection: {{endpoint: \"{}/introspect\", client_id: gate, \
         client_secret_file: secret, timeout: 5s, cache: 5m}}",
        endpoint.base
    );
    let desk = Desk::with(folder, &asked);
    let signed = message(&desk.fastest().token(&desk.fastest().header(), &scene::claims("ada", "1")), scene::TOOL);
    let opaque = message("an-opaque-token-of-some-length-5f1c2a90-9f0e-4be0", scene::TOOL);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for first in [&signed, &opaque] {
        let answer = runtime.block_on(desk.gate.answer(RawCheck::new(first.clone()), None, None));
        assert!(allows(&answer));
    }
    let again = |message: &bytes::Bytes| {
        sample_once(|| RawCheck::new(message.clone()), |message| settled(desk.gate.answer(message, None, None)))
    };
    let samples: Vec<(f64, f64)> = (0..SAMPLES).map(|_| (again(&signed), again(&opaque))).collect();
    desk.forget_records();
    println!(
        "{{\"signed\": {:.2}, \"opaque\": {:.2}, \"ratio\": {:.3}}}",
        median(samples.iter().map(|(signed, _)| *signed)),
        median(samples.iter().map(|(_, opaque)| *opaque)),
        median(samples.iter().map(|(signed, opaque)| opaque / signed)),
    );
}
