//! A folder with a configuration that holds, the program run on it, and a running `serve` to ask.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use prost::Message as _;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use toolgate::clock::Clock;
use toolgate::envoy::wire::attribute_context::{Entry, HttpRequest, Request};
use toolgate::envoy::wire::check_response::HttpResponse;
use toolgate::envoy::wire::{AttributeContext, CheckRequest, CheckResponse};

use crate::server::Raw;
use crate::support::tokens::{TestKey, key_set};

/// Longest wait for anything that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) const CONFIG: &str = r#"
listen: {grpc: "127.0.0.1:0", admin: "127.0.0.1:0"}
client_address: peer
policies: policies
issuers:
  - name: corp
    issuer: https://id.example.com
    jwks: {file: keys.json}
    groups: /groups
    scopes: {implies: {"weather:admin": ["weather:read"]}}
servers:
  - name: weather
    resource: https://mcp.example.com/weather
    issuers: [corp]
    tools: weather.json
    scopes_supported: ["weather:read", "weather:admin"]
audit:
  file: {path: audit/audit.jsonl}
"#;

pub(crate) const CATALOG: &str = r#"{"tools": [
  {"name": "get_forecast", "description": "The forecast for a city.", "annotations": {"readOnlyHint": true},
   "inputSchema": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                   "required": ["city"]}},
  {"name": "delete_station", "inputSchema": {"type": "object", "properties": {"station": {"type": "string"}}}}
]}"#;

pub(crate) const FORECAST: &str = r#"
@id("forecast")
permit (principal in Scope::"weather:read", action == Action::"weather:get_forecast", resource)
unless { context.arguments has days && context.arguments.days > 7 };
"#;

pub(crate) const NOTHING_DELETED: &str = r#"
@id("nothing-deleted")
@advice("Ask an operator.")
forbid (principal, action == Action::"weather:delete_station", resource);
"#;

/// A folder of files that `toolgate` reads. Gone at the end.
pub(crate) struct Files {
    folder: TempDir,
    pub(crate) key: Arc<TestKey>,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Files {
    /// A configuration of one server, one issuer with a key made now, and two policies, all in order.
    pub(crate) fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap(), key: Arc::new(TestKey::new("ES256", "one")) };
        files.write("toolgate.yaml", CONFIG);
        files.write("keys.json", &key_set(&[&*files.key]));
        files.write("weather.json", CATALOG);
        files.write("policies/forecast.cedar", FORECAST);
        files.write("policies/stations.cedar", NOTHING_DELETED);
        std::fs::create_dir(files.path("audit")).unwrap();
        files
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a whole file in one step, as tools that respect their readers do.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        let beside = path.with_extension("part");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, &path).unwrap();
        path
    }

    /// The configuration with `old`, which is there, replaced by `new`.
    #[track_caller]
    pub(crate) fn configure(&self, changes: &[(&str, &str)]) {
        let mut text = CONFIG.to_owned();
        for (old, new) in changes {
            assert!(text.contains(old), "`{old}` is not in the configuration");
            text = text.replacen(old, new, 1);
        }
        self.write("toolgate.yaml", &text);
    }

    /// `toolgate` with these arguments, in the folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = toolgate(arguments);
        command.current_dir(self.folder.path());
        command
    }

    /// Runs `toolgate` to its end, which comes soon for everything but a `serve` that serves.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        run(self.command(arguments))
    }

    /// A token of the issuer, for the server, for the next hour.
    pub(crate) fn token(&self, subject: &str, scope: &str) -> String {
        self.token_with(subject, scope, &serde_json::json!({}))
    }

    /// The same, with further claims.
    pub(crate) fn token_with(&self, subject: &str, scope: &str, further: &Value) -> String {
        token(&self.key, subject, scope, further)
    }

    /// What makes such tokens for somebody, elsewhere and later.
    pub(crate) fn token_maker(&self) -> impl Fn() -> String + Send + 'static {
        let key = self.key.clone();
        move || token(&key, "ada", "weather:read", &serde_json::json!({}))
    }
}

fn token(key: &TestKey, subject: &str, scope: &str, further: &Value) -> String {
    let now = Clock::System.now().seconds();
    let mut claims = serde_json::json!({
        "iss": "https://id.example.com", "aud": "https://mcp.example.com/weather", "sub": subject,
        "client_id": "agent", "scope": scope, "iat": now, "exp": now + 3600, "jti": format!("{subject} {scope}"),
    });
    for (name, value) in further.as_object().unwrap() {
        claims[name] = value.clone();
    }
    key.token(&key.header(), &claims.to_string())
}

/// The program; `TOOLGATE` may name another build of it.
pub(crate) fn toolgate(arguments: &[&str]) -> Command {
    let program = std::env::var_os("TOOLGATE").unwrap_or_else(|| env!("CARGO_BIN_EXE_toolgate").into());
    let mut command = Command::new(program);
    command.args(arguments).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

#[track_caller]
pub(crate) fn run(mut command: Command) -> Ran {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdout = read_all(child.stdout.take().unwrap());
    let stderr = read_all(child.stderr.take().unwrap());
    let status = ended(&mut child);
    let text = |text: Receiver<String>| text.recv_timeout(PATIENCE).unwrap();
    Ran { code: status.code().unwrap(), stdout: text(stdout), stderr: text(stderr) }
}

/// Reads to the end, elsewhere, so that neither pipe fills up.
fn read_all(mut from: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        send.send(text)
    });
    receive
}

#[track_caller]
fn ended(child: &mut Child) -> ExitStatus {
    let mut status = None;
    let found = wait_for(|| {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    if !found {
        child.kill().unwrap();
        panic!("the program did not end");
    }
    status.unwrap()
}

/// Whether `condition` came true in time.
pub(crate) fn wait_for(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(LOOK);
    }
}

/// A `toolgate serve` that said that it is ready. Killed at the end, if it has not ended.
pub(crate) struct Serving {
    child: Child,
    /// What it said.
    pub(crate) ready: String,
    pub(crate) grpc: String,
    pub(crate) admin: SocketAddr,
}

impl Serving {
    /// Starts `toolgate serve` in the folder and waits for its line.
    #[track_caller]
    pub(crate) fn start(files: &Files, config: &str) -> Self {
        let mut child = Self::spawn(files, config);
        let (send, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).all(|line| send.send(line).is_ok()));
        let ready = lines.recv_timeout(PATIENCE).ok();
        Self::ready(files, child, ready)
    }

    /// The same where records go to standard output, and the line to the log.
    #[track_caller]
    pub(crate) fn start_piped(files: &Files, config: &str) -> (Self, ChildStdout) {
        let mut child = Self::spawn(files, config);
        let stdout = child.stdout.take().unwrap();
        let mut ready = None;
        wait_for(|| {
            let log = std::fs::read_to_string(files.path("audit/log")).unwrap();
            ready =
                log.lines().find(|line| line.starts_with("toolgate ready") && log.ends_with('\n')).map(str::to_owned);
            ready.is_some()
        });
        (Self::ready(files, child, ready), stdout)
    }

    fn spawn(files: &Files, config: &str) -> Child {
        let mut command = files.command(&["serve", "-c", config]);
        let log = std::fs::File::create(files.path("audit/log")).unwrap();
        command.stdout(Stdio::piped()).stderr(log).spawn().unwrap()
    }

    #[track_caller]
    fn ready(files: &Files, mut child: Child, ready: Option<String>) -> Self {
        let Some(ready) = ready else {
            child.kill().unwrap();
            panic!("{}", std::fs::read_to_string(files.path("audit/log")).unwrap());
        };
        let field = |name: &str| {
            let rest = ready.split_once(name).unwrap_or_else(|| panic!("no `{name}` in `{ready}`")).1;
            rest.split([',', ' ']).next().unwrap().to_owned()
        };
        let (grpc, admin) = (field("grpc "), field("admin ").parse().unwrap());
        Self { child, grpc, admin, ready }
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end; the exit code.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> i32 {
        ended(&mut self.child).code().unwrap()
    }

    /// `GET` of an admin path: status and body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: toolgate\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// `/status`.
    pub(crate) fn status(&self) -> Value {
        let (code, body) = self.get("/status");
        assert_eq!(code, 200);
        json(&body)
    }

    /// The value of one line of `/metrics`.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let (_, body) = self.get("/metrics");
        let line = body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no `{name}` in\n{body}")).parse().unwrap()
    }

    pub(crate) async fn connect(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.grpc)).unwrap();
        tokio::time::timeout(PATIENCE, endpoint.connect()).await.unwrap().unwrap()
    }

    /// Whether somebody listens where requests came in.
    pub(crate) fn listens(&self) -> bool {
        TcpStream::connect(&self.grpc).is_ok()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It has ended already, or it never will by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Envoy's question about a call of `tool` with these arguments.
pub(crate) fn question(token: &str, tool: &str, arguments: &Value) -> CheckRequest {
    let body = call(tool, arguments);
    let header = |(name, value): (&'static str, String)| Entry { key: name.into(), value: value.into() };
    let headers = [
        (":path", "/weather".to_owned()),
        ("authorization", format!("Bearer {token}")),
        ("content-type", "application/json".to_owned()),
        ("content-length", body.len().to_string()),
        ("x-envoy-auth-partial-body", "false".to_owned()),
    ];
    let http = HttpRequest {
        id: Bytes::from_static(b"1"),
        method: Bytes::from_static(b"POST"),
        path: Bytes::from_static(b"/weather"),
        host: Bytes::from_static(b"mcp.example.com"),
        headers: headers.into_iter().map(header).collect(),
        raw_body: body.into(),
        ..HttpRequest::default()
    };
    let server = Entry { key: "toolgate.server".into(), value: "weather".into() };
    let attributes = AttributeContext {
        request: Some(Request { http: Some(http) }),
        context_extensions: vec![server],
        ..AttributeContext::default()
    };
    CheckRequest { attributes: Some(attributes) }
}

/// A JSON-RPC call of `tool`.
pub(crate) fn call(tool: &str, arguments: &Value) -> String {
    let params = serde_json::json!({"name": tool, "arguments": arguments});
    serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string()
}

/// Asks as Envoy does; the answer's reason.
pub(crate) async fn ask(channel: &Channel, question: &CheckRequest) -> String {
    let message = Bytes::from(question.encode_to_vec());
    let mut client = tonic::client::Grpc::new(channel.clone());
    let asked = async {
        client.ready().await.unwrap();
        client.unary(tonic::Request::new(message), check(), Raw).await.unwrap()
    };
    reason(tokio::time::timeout(PATIENCE, asked).await.unwrap().into_inner())
}

/// The path of the one method.
pub(crate) fn check() -> PathAndQuery {
    PathAndQuery::from_static("/envoy.service.auth.v3.Authorization/Check")
}

/// The reason in an answer, which is an allow only if it is one to Envoy too.
pub(crate) fn reason(answer: Bytes) -> String {
    let answer = CheckResponse::decode(answer).unwrap();
    let status = answer.status.unwrap();
    let allowed = status.code == 0;
    assert_eq!(allowed, matches!(answer.http_response, Some(HttpResponse::OkResponse(_))));
    if allowed { "allow".to_owned() } else { status.message }
}

/// Asks until the answer is `expected`, on the one connection.
pub(crate) async fn becomes(channel: &Channel, question: &CheckRequest, expected: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = ask(channel, question).await;
        if found == expected {
            return;
        }
        assert!(Instant::now() < deadline, "still `{found}`, not `{expected}`");
        tokio::time::sleep(LOOK).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "our own output, read by another parser than our own")]
#[track_caller]
pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The records of decisions and reloads in the audit file at `path`.
pub(crate) fn records(path: &Path) -> Vec<Value> {
    let mut records: Vec<Value> = std::fs::read_to_string(path).unwrap().lines().map(json).collect();
    records.retain(|record| ["decision", "reload"].contains(&record["kind"].as_str().unwrap()));
    records
}

/// Not a token: three parts, of which none is JSON.
pub(crate) fn nonsense() -> String {
    ["a", "b", "c"].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
}
