//! A whole gate: files in a folder of its own, loaded by the crate's loader, with a clock that stands still.

use std::io::{Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use futures_util::FutureExt;
use prost::Message;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use toolgate::audit::{Audit, AuditSettings};
use toolgate::clock::Clock;
use toolgate::config::AuditConfig;
use toolgate::envoy::check::{Check, Gate};
use toolgate::envoy::proofs::Proofs;
use toolgate::envoy::tokens::Tokens;
use toolgate::envoy::wire::{CheckResponse, RawAnswer, RawCheck};
use toolgate::metrics::Metrics;
use toolgate::reload::Live;
use toolgate::reload::generation::Generation;
use toolgate::reload::load::{Loaded, load};
use toolgate::server::{Address, Bound, DRAIN_LIMIT, ServeError, Stopped, serve};

/// When everything happens, seconds since the epoch: 2026-11-22, a Sunday, at noon UTC.
pub(crate) const NOW: i64 = 1_795_348_800;

/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A gate, and the files it was made of.
pub(crate) struct House {
    pub(crate) gate: Arc<Gate>,
    /// The digest of the rules.
    pub(crate) digest: String,
    folder: TempDir,
    /// Bytes of the audit trail that were read.
    seen: u64,
}

impl House {
    /// Loads `toolgate.yaml` out of `files`, names and texts. An issuer with remote keys needs a runtime around this.
    pub(crate) fn build(files: &[(&str, &str)]) -> Self {
        Self::build_with(files, |_| {})
    }

    /// The same with something changed between loading and starting that no file can say.
    pub(crate) fn build_with(files: &[(&str, &str)], change: impl FnOnce(&mut Loaded)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let config = folder.path().join("toolgate.yaml");
        let mut loaded = load(&config).unwrap_or_else(|failure| panic!("{:#?}", failure.problems));
        change(&mut loaded);
        let clock = Clock::Set(Arc::new(AtomicI64::new(NOW * 1000)));
        let metrics = Arc::new(Metrics::new("test"));
        let audit = Arc::new(audit(&loaded.config.audit, &clock));
        let message_limit = loaded.config.limits.message;
        let first = Generation::start(loaded, None, &metrics, clock.now()).unwrap();
        let digest = first.rules.digest.clone();
        let live = Arc::new(Live::new(first, config, metrics.clone(), audit.clone(), clock.clone()));
        let gate =
            Gate { live, tokens: Tokens::default(), proofs: Proofs::default(), audit, metrics, clock, message_limit };
        Self { gate: Arc::new(gate), digest, folder, seen: 0 }
    }

    /// The answer to `message`, without a network, which comes at once: nobody is asked about a token.
    pub(crate) fn answer(&self, message: impl Into<Bytes>) -> CheckResponse {
        decoded(&settled(self.gate.answer(RawCheck::new(message.into()), None, None)))
    }

    /// The records of decisions and reloads that were written since the last call.
    pub(crate) fn records(&mut self) -> Vec<Value> {
        let mut file = std::fs::File::open(self.folder.path().join("audit.jsonl")).unwrap();
        file.seek(SeekFrom::Start(self.seen)).unwrap();
        let mut text = String::new();
        self.seen += u64::try_from(file.read_to_string(&mut text).unwrap()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "half a record: {text:?}");
        let mut records: Vec<Value> = text.lines().map(read).collect();
        records.retain(|record| record["kind"] != "opened");
        records
    }

    /// Serves the gate on a listener of its own for each of `bound_to`: for any server, or for the one that is named.
    pub(crate) async fn serve(&self, bound_to: &[Option<&str>]) -> Served {
        let mut listeners = Vec::new();
        for server in bound_to {
            let bound = Bound::bind(&Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))).await.unwrap();
            listeners.push((bound, Check::new(self.gate.clone(), *server)));
        }
        let addresses: Vec<String> = listeners.iter().map(|(bound, _)| bound.address().to_string()).collect();
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = tokio::spawn(serve(listeners, async { stopped.await.unwrap() }, || {}, DRAIN_LIMIT));
        let mut channels = Vec::new();
        for address in addresses {
            channels.push(within(Endpoint::from_shared(format!("http://{address}")).unwrap().connect()).await.unwrap());
        }
        Served { channels, stop, ended }
    }
}

fn audit(config: &AuditConfig, clock: &Clock) -> Audit {
    let file = config.file.as_ref().unwrap().path.value.clone();
    Audit::open(&AuditSettings::file(file), clock.now()).unwrap()
}

/// One JSON text of our own making.
#[expect(clippy::disallowed_methods, reason = "no caller's JSON")]
pub(crate) fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A gate on the network.
pub(crate) struct Served {
    channels: Vec<Channel>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<Stopped, ServeError>>,
}

impl Served {
    /// The answer to `message` on the listener number `listener`.
    pub(crate) async fn ask(&self, listener: usize, message: Bytes) -> CheckResponse {
        let mut client = tonic::client::Grpc::new(self.channels[listener].clone());
        within(client.ready()).await.unwrap();
        let path = PathAndQuery::from_static("/envoy.service.auth.v3.Authorization/Check");
        within(client.unary(Request::new(message), path, Raw)).await.expect("never a gRPC error").into_inner()
    }

    pub(crate) async fn stop(self) {
        drop(self.channels);
        self.stop.send(()).unwrap();
        assert_eq!(within(self.ended).await.unwrap().unwrap(), Stopped::Drained);
    }
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// Requests as they are, so that they can be what no message is; answers as messages.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = CheckResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = CheckResponse;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<CheckResponse>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        Ok(Some(CheckResponse::decode(bytes).expect("an answer that Envoy can read")))
    }
}

/// As Envoy reads it.
pub(crate) fn decoded(answer: &RawAnswer) -> CheckResponse {
    CheckResponse::decode(answer.as_bytes()).expect("an answer that Envoy can read")
}

/// An answer that waits for nobody, and only lets others go first to be recorded with them.
pub(crate) fn settled<T>(answering: impl Future<Output = T>) -> T {
    let mut answering = pin!(answering);
    match answering.as_mut().now_or_never() {
        Some(answer) => answer,
        None => answering.now_or_never().expect("nothing to wait for"),
    }
}
