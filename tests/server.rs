//! The gRPC server, over real sockets: what arrives at the service, what stands beside it, how it stops.

use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use toolgate::envoy::wire::{
    Authorization, CheckRequest, CheckResponse, Incoming, MESSAGE_CEILING, RawAnswer, RawCheck, RpcStatus,
};
use toolgate::server::{Address, BindError, Bound, DRAIN_LIMIT, ServeError, Stopped, serve};

/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// The message limit of the service under test, in bytes.
const LIMIT: usize = 100;

const SERVICE: &str = "envoy.service.auth.v3.Authorization";

/// Answers what came, and on which listener; holds requests that say so until they are released.
#[derive(Clone)]
struct Echo {
    listener: &'static str,
    entered: Arc<Notify>,
    release: Arc<Notify>,
    hold: bool,
}

impl Echo {
    fn new(listener: &'static str) -> Self {
        Self { listener, entered: Arc::default(), release: Arc::default(), hold: false }
    }

    fn holding() -> Self {
        Self { hold: true, ..Self::new("held") }
    }
}

#[tonic::async_trait]
impl Authorization for Echo {
    async fn check(&self, request: Request<RawCheck>) -> Result<Response<RawAnswer>, Status> {
        let message = match request.into_inner().read(LIMIT) {
            Incoming::Request(request) => format!("{} request {}", self.listener, request.attributes.is_some()),
            Incoming::Undecodable => format!("{} undecodable", self.listener),
            Incoming::TooLarge => format!("{} too large", self.listener),
        };
        if self.hold {
            self.entered.notify_one();
            self.release.notified().await;
        }
        let status = Some(RpcStatus { code: Code::PermissionDenied as i32, message });
        Ok(Response::new(RawAnswer::new(&CheckResponse { status, ..CheckResponse::default() })))
    }
}

/// A server in the background.
struct Running {
    addresses: Vec<Address>,
    stop: oneshot::Sender<()>,
    stopping: Arc<AtomicBool>,
    ended: JoinHandle<Result<Stopped, ServeError>>,
}

async fn start(services: Vec<(Address, Echo)>, drain: Duration) -> Running {
    let mut listeners = Vec::new();
    for (address, service) in services {
        listeners.push((Bound::bind(&address).await.unwrap(), service));
    }
    let addresses = listeners.iter().map(|(bound, _)| bound.address().clone()).collect();
    let (stop, stopped) = oneshot::channel();
    let stopping = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stopping);
    let shutdown = async move { stopped.await.unwrap() };
    let ended = tokio::spawn(serve(listeners, shutdown, move || told.store(true, Ordering::SeqCst), drain));
    Running { addresses, stop, stopping, ended }
}

async fn start_one(service: Echo) -> (Running, Channel) {
    let running = start(vec![(free_port(), service)], DRAIN_LIMIT).await;
    let channel = connect(&running.addresses[0]).await;
    (running, channel)
}

impl Running {
    async fn stop(self) -> Stopped {
        self.stop.send(()).unwrap();
        within(self.ended).await.unwrap().unwrap()
    }
}

fn free_port() -> Address {
    Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
}

async fn connect(address: &Address) -> Channel {
    let uri = match address {
        Address::Tcp(ip) => format!("http://{ip}"),
        Address::Unix(path) => format!("unix:{}", path.display()),
    };
    within(Endpoint::from_shared(uri).unwrap().connect()).await.unwrap()
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// Bytes as they are, both ways.
#[derive(Clone, Copy)]
pub(crate) struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
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
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// Calls `Check` with `message` and returns the message of the answer's status.
async fn check(channel: &Channel, message: impl Into<Bytes>) -> Result<String, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    within(client.ready()).await.unwrap();
    let path = PathAndQuery::from_static("/envoy.service.auth.v3.Authorization/Check");
    let answer = within(client.unary(Request::new(message.into()), path, Raw)).await?.into_inner();
    Ok(CheckResponse::decode(answer).unwrap().status.unwrap().message)
}

#[tokio::test]
async fn whatever_comes_reaches_the_service() {
    let (running, channel) = start_one(Echo::new("tcp")).await;
    let with_attributes = CheckRequest { attributes: Some(Default::default()) }.encode_to_vec();
    let cases: [(Vec<u8>, &str); 5] = [
        (vec![], "tcp request false"),
        (with_attributes, "tcp request true"),
        (b"garbage".to_vec(), "tcp undecodable"),
        (vec![0xff; LIMIT], "tcp undecodable"),
        (vec![0xff; LIMIT + 1], "tcp too large"),
    ];
    for (message, expected) in cases {
        assert_eq!(check(&channel, message).await.unwrap(), expected);
    }
    assert_eq!(running.stop().await, Stopped::Drained);
}

#[tokio::test]
async fn only_above_the_ceiling_a_call_fails() {
    let (running, channel) = start_one(Echo::new("tcp")).await;
    assert_eq!(check(&channel, vec![0; MESSAGE_CEILING]).await.unwrap(), "tcp too large");
    let refused = check(&channel, vec![0; MESSAGE_CEILING + 1]).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange);
    assert_eq!(running.stop().await, Stopped::Drained);
}

#[tokio::test]
async fn each_listener_has_its_own_service() {
    let folder = tempfile::tempdir().unwrap();
    let socket = Address::Unix(folder.path().join("gate.sock"));
    let running = start(vec![(free_port(), Echo::new("one")), (socket, Echo::new("two"))], DRAIN_LIMIT).await;
    for (address, expected) in running.addresses.iter().zip(["one request false", "two request false"]) {
        assert_eq!(check(&connect(address).await, vec![]).await.unwrap(), expected);
    }
    assert_eq!(running.stop().await, Stopped::Drained);
}

async fn health(channel: &Channel, service: &str) -> Result<ServingStatus, Code> {
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = within(HealthClient::new(channel.clone()).check(request)).await;
    answer.map(|answer| answer.into_inner().status()).map_err(|status| status.code())
}

#[tokio::test]
async fn health_is_told_for_the_process_and_the_service() {
    let (running, channel) = start_one(Echo::new("tcp")).await;
    assert_eq!(health(&channel, "").await, Ok(ServingStatus::Serving));
    assert_eq!(health(&channel, SERVICE).await, Ok(ServingStatus::Serving));
    assert_eq!(health(&channel, "other").await, Err(Code::NotFound));
    assert_eq!(running.stop().await, Stopped::Drained);
}

#[tokio::test]
async fn reflection_lists_and_describes_the_service() {
    let (running, channel) = start_one(Echo::new("tcp")).await;
    let ask = |message| ServerReflectionRequest { host: String::new(), message_request: Some(message) };
    let questions = tokio_stream::iter([
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol(SERVICE.to_owned())),
    ]);
    let mut client = ServerReflectionClient::new(channel);
    let mut answers = within(client.server_reflection_info(questions)).await.unwrap().into_inner();
    let first = within(answers.next()).await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(listed)) = first else { panic!("{first:?}") };
    assert!(listed.service.iter().any(|service| service.name == SERVICE), "{listed:?}");
    let second = within(answers.next()).await.unwrap().unwrap().message_response;
    let Some(MessageResponse::FileDescriptorResponse(files)) = second else { panic!("{second:?}") };
    let file = prost_types::FileDescriptorProto::decode(files.file_descriptor_proto[0].as_slice()).unwrap();
    assert_eq!(file.service[0].method[0].name(), "Check");
    drop(answers);
    assert_eq!(running.stop().await, Stopped::Drained);
}

/// Waits until nobody accepts connections at `address`.
async fn refused(address: &Address) {
    let Address::Tcp(ip) = address else { panic!("a TCP address") };
    within(async {
        while TcpStream::connect(ip).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_stop_answers_what_is_in_flight_and_takes_nothing_new() {
    let service = Echo::holding();
    let (running, channel) = start_one(service.clone()).await;
    let call = tokio::spawn(async move { check(&channel, vec![]).await });
    within(service.entered.notified()).await;
    assert!(!running.stopping.load(Ordering::SeqCst));

    running.stop.send(()).unwrap();
    refused(&running.addresses[0]).await;
    assert!(running.stopping.load(Ordering::SeqCst), "readiness goes first");
    assert!(!call.is_finished() && !running.ended.is_finished());

    service.release.notify_one();
    assert_eq!(within(call).await.unwrap().unwrap(), "held request false");
    assert_eq!(within(running.ended).await.unwrap().unwrap(), Stopped::Drained);
}

#[tokio::test]
async fn a_stop_tells_who_watches_the_health() {
    let (running, channel) = start_one(Echo::new("tcp")).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut watches = Vec::new();
    for service in ["", SERVICE] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let mut watch = within(HealthClient::new(channel.clone()).watch(request)).await.unwrap().into_inner();
        let first = within(watch.next()).await.unwrap().unwrap().status();
        assert_eq!(first, ServingStatus::Serving);
        let seen = Arc::clone(&seen);
        watches.push(tokio::spawn(async move {
            let next = within(watch.next()).await.unwrap().unwrap().status();
            seen.lock().unwrap().push(next);
        }));
    }
    assert_eq!(running.stop().await, Stopped::Drained);
    for watch in watches {
        within(watch).await.unwrap();
    }
    assert_eq!(*seen.lock().unwrap(), [ServingStatus::NotServing, ServingStatus::NotServing]);
}

#[tokio::test]
async fn a_call_that_never_ends_holds_the_stop_no_longer_than_the_limit() {
    let service = Echo::holding();
    let running = start(vec![(free_port(), service.clone())], Duration::from_millis(1)).await;
    let channel = connect(&running.addresses[0]).await;
    let call = tokio::spawn(async move { check(&channel, vec![]).await });
    within(service.entered.notified()).await;
    assert_eq!(running.stop().await, Stopped::Cut);
    call.abort();
}

#[tokio::test]
async fn a_taken_port_is_an_error() {
    let first = Bound::bind(&free_port()).await.unwrap();
    let error = Bound::bind(first.address()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on `{}`: address in use", first.address()));
}

fn inode(path: &Path) -> u64 {
    std::fs::symlink_metadata(path).unwrap().ino()
}

#[tokio::test]
async fn a_unix_socket_is_for_owner_and_group_and_goes_with_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.sock");
    let running = start(vec![(Address::Unix(path.clone()), Echo::new("unix"))], DRAIN_LIMIT).await;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    assert_eq!(running.stop().await, Stopped::Drained);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "left behind, as by a crash");

    let bound = Bound::bind(&Address::Unix(path.clone())).await.unwrap();
    within(UnixStream::connect(&path)).await.unwrap();
    let before = inode(&path);
    let error = Bound::bind(&Address::Unix(path.clone())).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on `unix:{}`: address in use", path.display()));
    assert_eq!(inode(&path), before);
    drop(bound);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_successors_socket_is_left_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.sock");
    let first = Bound::bind(&Address::Unix(path.clone())).await.unwrap();
    std::fs::rename(&path, folder.path().join("aside")).unwrap();
    let _second = Bound::bind(&Address::Unix(path.clone())).await.unwrap();
    drop(first);
    within(UnixStream::connect(&path)).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.sock");
    std::fs::write(&path, "precious").unwrap();
    let address = Address::Unix(path.clone());
    assert_eq!(Bound::bind(&address).await.unwrap_err(), BindError::NotASocket { address });
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}
