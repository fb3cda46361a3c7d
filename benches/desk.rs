//! A gate in this process whose issuer's private keys are at hand, to make tokens as they are needed: what the parts
//! about tokens measure.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use prost::Message;
use toolgate::audit::{Audit, AuditSettings};
use toolgate::clock::Clock;
use toolgate::context::UnixTime;
use toolgate::envoy::check::Gate;
use toolgate::envoy::proofs::Proofs;
use toolgate::envoy::tokens::Tokens;
use toolgate::envoy::wire::{CheckResponse, RawAnswer, RawCheck};
use toolgate::metrics::Metrics;
use toolgate::reload::Live;
use toolgate::reload::generation::Generation;
use toolgate::reload::load::load;

use crate::scene;
use crate::tokens::{TestKey, key_set};

/// The message limit; larger than any message here.
pub(crate) const MESSAGE_LIMIT: usize = 1024 * 1024;

const CONFIG: &str = r#"
listen: {grpc: "127.0.0.1:0"}
client_address: peer
policies: policies
issuers:
- {name: corp, issuer: "https://id.example.com", jwks: {file: keys.json}, groups: /groups, ISSUER}
servers:
- {name: desk, resource: "https://mcp.example.com/desk", issuers: [corp], tools: desk.json}
audit: {file: {path: audit.jsonl}}
"#;

const POLICY: &str = "@id(\"all\")\npermit (principal, action, resource);\n";

/// The gate and the keys.
pub(crate) struct Desk {
    pub(crate) gate: Gate,
    pub(crate) keys: [TestKey; 3],
    audit: PathBuf,
}

impl Desk {
    /// Writes a configuration into `folder` and loads it.
    pub(crate) fn new(folder: &Path) -> Self {
        Self::with(folder, "insecure_http: false")
    }

    /// The same with something more said of the issuer.
    pub(crate) fn with(folder: &Path, issuer: &str) -> Self {
        let keys = ["RS256", "ES256", "EdDSA"].map(|alg| TestKey::new(alg, alg));
        let config = folder.join("toolgate.yaml");
        std::fs::create_dir_all(folder.join("policies")).unwrap();
        std::fs::write(&config, CONFIG.replace("ISSUER", issuer)).unwrap();
        std::fs::write(folder.join("policies/all.cedar"), POLICY).unwrap();
        std::fs::write(folder.join("keys.json"), key_set(&keys.each_ref())).unwrap();
        std::fs::write(folder.join("desk.json"), catalogue()).unwrap();
        let audit = folder.join("audit.jsonl");
        Self { gate: gate(&config, &audit), keys, audit }
    }

    /// The key for Ed25519, which signs fastest.
    pub(crate) fn fastest(&self) -> &TestKey {
        self.keys.last().unwrap()
    }

    /// Asks the gate; whether it allowed.
    pub(crate) fn ask(&self, message: Bytes) -> bool {
        allows(&settled(self.gate.answer(RawCheck::new(message), None, None)))
    }

    /// Empties the audit file, so that the disk does not fill up.
    pub(crate) fn forget_records(&self) {
        std::fs::OpenOptions::new().write(true).open(&self.audit).unwrap().set_len(0).unwrap();
    }
}

/// Whether the answer lets the request pass.
pub(crate) fn allows(answer: &RawAnswer) -> bool {
    CheckResponse::decode(answer.as_bytes()).unwrap().status.unwrap_or_default().code == 0
}

/// What comes of something that waits for nobody, and only lets others go first to be recorded with them.
pub(crate) fn settled<T>(answering: impl Future<Output = T>) -> T {
    let mut answering = pin!(answering);
    match answering.as_mut().now_or_never() {
        Some(answered) => answered,
        None => answering.now_or_never().unwrap(),
    }
}

/// The name of one of [`TOOLS`] tools.
pub(crate) fn tool(number: usize) -> String {
    format!("tool_{number}")
}

/// Tools in the catalogue, besides the one of the scene.
pub(crate) const TOOLS: usize = 32;

fn catalogue() -> String {
    let schema = r#"{"type":"object","properties":{"queue":{"type":"string"},"priority":{"type":"integer"}}}"#;
    let names = (0..TOOLS).map(tool).chain([scene::TOOL.to_owned()]);
    let tools: Vec<String> = names.map(|name| format!(r#"{{"name":"{name}","inputSchema":{schema}}}"#)).collect();
    format!(r#"{{"tools":[{}]}}"#, tools.join(","))
}

/// The message with this token, asking for `tool`.
pub(crate) fn message(token: &str, tool: &str) -> Bytes {
    scene::request(token, tool).encode_to_vec().into()
}

/// The gate that `config` describes, with its records in the file `audit`.
pub(crate) fn gate(config: &Path, audit: &Path) -> Gate {
    gate_with(config, &AuditSettings::file(audit.to_owned()))
}

/// The same with records as `settings` have it.
pub(crate) fn gate_with(config: &Path, settings: &AuditSettings) -> Gate {
    let (clock, metrics) = (Clock::System, Arc::new(Metrics::new("bench")));
    let now: UnixTime = clock.now();
    let audit = Arc::new(Audit::open(settings, now).unwrap());
    let first = Generation::start(load(config).unwrap(), None, &metrics, now).unwrap();
    let live = Arc::new(Live::new(first, config.to_owned(), metrics.clone(), audit.clone(), clock.clone()));
    Gate {
        live,
        tokens: Tokens::default(),
        proofs: Proofs::default(),
        audit,
        metrics,
        clock,
        message_limit: MESSAGE_LIMIT,
    }
}
