//! A fake collector: HTTP/1.1 on a loopback port, the messages written down here once more, and whatever behaviour a test wants.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use envoy_types::pb::opentelemetry::proto::common::v1::any_value::Value as Kind;
use envoy_types::pb::opentelemetry::proto::common::v1::{AnyValue, KeyValue};
use prost::Message;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, PartialEq, Message)]
pub(super) struct Request {
    #[prost(message, repeated, tag = "1")]
    pub(super) resource_logs: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ResourceLogs {
    #[prost(message, optional, tag = "1")]
    pub(super) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(super) scope_logs: Vec<ScopeLogs>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub(super) attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ScopeLogs {
    #[prost(message, repeated, tag = "2")]
    pub(super) log_records: Vec<LogRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LogRecord {
    #[prost(fixed64, tag = "1")]
    pub(super) time_unix_nano: u64,
    #[prost(fixed64, tag = "11")]
    pub(super) observed_time_unix_nano: u64,
    #[prost(int32, tag = "2")]
    pub(super) severity_number: i32,
    #[prost(string, tag = "3")]
    pub(super) severity_text: String,
    #[prost(message, optional, tag = "5")]
    pub(super) body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    pub(super) attributes: Vec<KeyValue>,
    #[prost(bytes = "vec", tag = "9")]
    pub(super) trace_id: Vec<u8>,
    #[prost(string, tag = "12")]
    pub(super) event_name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<Partial>,
}

#[derive(Clone, PartialEq, Message)]
struct Partial {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    message: String,
}

/// What it does with one request.
#[derive(Debug, Clone)]
pub(super) enum Says {
    /// Takes it, and says so.
    Takes,
    /// Takes it, and answers with this status and header, and no body.
    Empty(&'static str),
    /// Takes nothing of it, and answers with this status and these headers.
    Status(u16, &'static str),
    /// Answers with this type and body; whether it takes anything.
    Body(&'static str, Vec<u8>, bool),
    /// Takes all but so many, and says so.
    RejectsLast(usize, String),
    /// Takes it, and breaks the connection instead of an answer.
    TakesAndBreaks,
    /// Breaks the connection.
    Breaks,
    /// Takes it and says so, once it is released.
    Holds,
}

impl Says {
    /// Says that so many are rejected; takes them if that is none.
    pub(super) fn rejects(rejected: i64, message: &str) -> Self {
        let partial = Partial { rejected, message: message.to_owned() };
        let body = Response { partial_success: Some(partial) }.encode_to_vec();
        Self::Body("application/x-protobuf; v=1", body, rejected == 0)
    }

    /// The same with a field at the end that nobody knows.
    pub(super) fn padded_to(self, length: usize) -> Self {
        let Self::Body(media_type, mut body, takes) = self else { panic!("no body") };
        // Field 15, of a length in three bytes.
        let rest = length - body.len() - 4;
        body.extend([0x7a, (rest & 0x7f) as u8 | 0x80, (rest >> 7 & 0x7f) as u8 | 0x80, (rest >> 14) as u8]);
        body.resize(length, 0);
        Self::Body(media_type, body, takes)
    }

    pub(super) fn html() -> Self {
        Self::Body("text/html", b"<html>".to_vec(), false)
    }

    pub(super) fn protobuf(body: Vec<u8>) -> Self {
        Self::Body("application/x-protobuf", body, false)
    }
}

/// The first line and the headers of a request.
type Head = (String, HashMap<String, String>);

pub(super) struct Fake {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    script: VecDeque<Says>,
    asked: usize,
    released: bool,
    stopped: bool,
    connections: Vec<TcpStream>,
    heads: Vec<Head>,
    requests: Vec<Request>,
    /// Every line that was taken, as often as it was.
    lines: Vec<String>,
}

impl Fake {
    /// One that takes everything, unless it is told otherwise.
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fake = Self { address: listener.local_addr().unwrap(), shared: Arc::default() };
        fake.serve(listener);
        fake
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/v1/logs", self.address)
    }

    pub(super) fn serve(&self, listener: TcpListener) {
        self.state().stopped = false;
        let shared = self.shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut state = shared.state.lock().unwrap();
                if state.stopped {
                    return;
                }
                state.connections.push(stream.try_clone().unwrap());
                drop(state);
                let shared = shared.clone();
                std::thread::spawn(move || shared.converse(stream));
            }
        });
    }

    /// Nothing listens any more, and what was connected is not.
    pub(super) fn stop(&self) -> SocketAddr {
        {
            let mut state = self.state();
            state.stopped = true;
            for stream in state.connections.drain(..) {
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
        }
        // The thread that listens is woken by this, and ends.
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).is_ok() {
            assert!(Instant::now() < deadline, "it does not stop");
        }
        self.address
    }

    /// What it does with the next requests.
    pub(super) fn will(&self, script: Vec<Says>) {
        let mut state = self.state();
        state.script.extend(script);
        state.released = false;
    }

    /// Whether all of that was done.
    pub(super) fn is_over(&self) -> bool {
        self.state().script.is_empty()
    }

    pub(super) fn release(&self) {
        self.state().released = true;
        self.shared.changed.notify_all();
    }

    pub(super) fn asked(&self) -> usize {
        self.state().asked
    }

    #[track_caller]
    pub(super) fn until_asked(&self, times: usize) {
        let few = |state: &mut State| state.asked < times;
        let (state, _) = self.shared.changed.wait_timeout_while(self.state(), PATIENCE, few).unwrap();
        assert!(state.asked >= times, "asked {} times", state.asked);
    }

    pub(super) fn heads(&self) -> Vec<Head> {
        self.state().heads.clone()
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.state().lines.clone()
    }

    /// What a store has that keeps a line once. A number is never that of two lines.
    #[track_caller]
    pub(super) fn store(&self) -> BTreeMap<u64, Value> {
        self.once().into_iter().map(|(seq, line)| (seq, line.parse().unwrap())).collect()
    }

    /// The file that is made of it.
    #[track_caller]
    pub(super) fn text(&self) -> String {
        self.once().into_values().map(|line| line + "\n").collect()
    }

    #[track_caller]
    fn once(&self) -> BTreeMap<u64, String> {
        let mut store = BTreeMap::new();
        for line in self.lines() {
            let seq = line.parse::<Value>().unwrap()["seq"].as_u64().unwrap();
            let before = store.insert(seq, line.clone());
            assert!(before.is_none_or(|before| before == line), "two lines have the number {seq}");
        }
        store
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }
}

impl Shared {
    /// Answers requests until the connection ends.
    fn converse(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some((head, body)) = request(&mut reader) {
            let mut state = self.state.lock().unwrap();
            if state.stopped {
                return;
            }
            let request = Request::decode(body.as_slice()).unwrap();
            state.heads.push(head);
            state.requests.push(request.clone());
            state.asked += 1;
            let says = state.script.pop_front().unwrap_or(Says::Takes);
            self.changed.notify_all();
            if matches!(says, Says::Holds) {
                state = self.changed.wait_while(state, |state| !state.released).unwrap();
            }
            let records =
                request.resource_logs.iter().flat_map(|logs| &logs.scope_logs).flat_map(|logs| &logs.log_records);
            let mut lines: Vec<String> = records.map(|record| plain(record.body.as_ref())).collect();
            let answer = says.answer(&mut lines);
            state.lines.extend(lines);
            drop(state);
            match answer {
                Some(answer) if stream.write_all(&answer).is_ok() => {}
                _ => {
                    let _ = stream.shutdown(std::net::Shutdown::Both);
                    return;
                }
            }
        }
    }
}

impl Says {
    /// Leaves the lines that it takes, and gives the answer, if there is one.
    fn answer(self, lines: &mut Vec<String>) -> Option<Vec<u8>> {
        let empty = |status: &str| format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").into_bytes();
        let with = |media_type: &str, body: &[u8]| {
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\n\r\n", body.len());
            [head.as_bytes(), body].concat()
        };
        match self {
            Self::Takes | Self::Holds => Some(with("application/x-protobuf", b"")),
            Self::Empty(status) if status.starts_with("204") => Some(format!("HTTP/1.1 {status}\r\n\r\n").into_bytes()),
            Self::Empty(status) => Some(empty(status)),
            Self::Status(code, headers) => {
                lines.clear();
                Some(format!("HTTP/1.1 {code} so\r\n{headers}content-length: 0\r\n\r\n").into_bytes())
            }
            Self::Body(media_type, body, takes) => {
                if !takes {
                    lines.clear();
                }
                Some(with(media_type, &body))
            }
            Self::RejectsLast(count, message) => {
                lines.truncate(lines.len() - count);
                let partial = Partial { rejected: i64::try_from(count).unwrap(), message };
                let body = Response { partial_success: Some(partial) }.encode_to_vec();
                Some(with("application/x-protobuf", &body))
            }
            Self::TakesAndBreaks => None,
            Self::Breaks => {
                lines.clear();
                None
            }
        }
    }
}

fn request(reader: &mut impl BufRead) -> Option<(Head, Vec<u8>)> {
    let mut lines = reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let first = lines.next()?;
    let headers: HashMap<String, String> = lines
        .map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        })
        .collect();
    let mut body = vec![0; headers.get("content-length")?.parse().unwrap()];
    reader.read_exact(&mut body).ok()?;
    Some(((first, headers), body))
}

/// Names and values as text.
pub(super) fn pairs(attributes: &[KeyValue]) -> Vec<(&str, String)> {
    attributes.iter().map(|pair| (pair.key.as_str(), plain(pair.value.as_ref()))).collect()
}

pub(super) fn plain(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.clone()) {
        Some(Kind::StringValue(text)) => text,
        Some(Kind::IntValue(number)) => number.to_string(),
        other => panic!("{other:?}"),
    }
}
