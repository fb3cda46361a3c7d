//! An introspection endpoint on a loopback port: HTTP/1.1 with kept connections, answers by the test's word. Included by
//! `#[path]` from the unit tests and from the integration tests, so it knows nothing of the crate.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// One request as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// Method, path and version.
    pub(crate) line: String,
    /// With their names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The decoded form.
    pub(crate) form: Vec<(String, String)>,
}

/// What is done with one request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Status 200 and this, as JSON.
    Json(String),
    /// These bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// The head of a long answer, then a byte of it now and then for as long as anyone listens.
    Drip,
    /// The head of an endless answer, then bytes without end.
    Flood,
    /// Nothing at all.
    Silence,
    /// The other, once the door is open.
    Behind(Door, Box<Reply>),
}

/// Holds answers back until it is opened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Door(Arc<(Mutex<bool>, Condvar)>);

/// Answers, and remembers what it was asked.
pub(crate) struct IntrospectionServer {
    /// `http://127.0.0.1:PORT`.
    pub(crate) base: String,
    answer: Answer,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
}

type Answer = Arc<Mutex<Box<dyn FnMut(&Asked) -> Reply + Send>>>;

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Reads one request; none at the end of the connection.
    fn read(stream: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut line = || {
            let mut line = String::new();
            stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
            Some(line.trim_end().to_owned())
        };
        let mut asked = Self { line: line()?, ..Self::default() };
        while let Some(header) = line().filter(|line| !line.is_empty()) {
            let (name, value) = header.split_once(':').unwrap();
            asked.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut body = vec![0; asked.header("content-length").map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut body).ok()?;
        asked.form = url::form_urlencoded::parse(&body).into_owned().collect();
        Some(asked)
    }
}

impl Door {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let patience = Duration::from_secs(30);
        let open = self.0.0.lock().unwrap();
        drop(self.0.1.wait_timeout_while(open, patience, |open| !*open).unwrap());
    }
}

impl Reply {
    /// A whole answer of this head, without `HTTP/1.1 ` and the length, and this body.
    pub(crate) fn http(head: &str, body: &str) -> Self {
        let length = body.len();
        Self::Bytes(
            format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes(),
        )
    }

    /// Whether the connection goes on; an error of writing only says that the client is gone.
    fn send(self, stream: &mut TcpStream) -> std::io::Result<bool> {
        let head =
            |length| format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
        match self {
            Self::Json(body) => stream.write_all((head(body.len()) + &body).as_bytes()).map(|()| true),
            Self::Bytes(bytes) => stream.write_all(&bytes).map(|()| false),
            Self::Drip => {
                stream.write_all(head(9_999).as_bytes())?;
                loop {
                    stream.write_all(b" ")?;
                    thread::sleep(Duration::from_millis(20));
                }
            }
            Self::Flood => {
                stream.write_all(head(1_000_000_000).as_bytes())?;
                loop {
                    stream.write_all(&[b' '; 4096])?;
                }
            }
            Self::Silence => {
                thread::sleep(Duration::from_secs(30));
                Ok(false)
            }
            Self::Behind(door, reply) => {
                door.wait();
                reply.send(stream)
            }
        }
    }
}

impl IntrospectionServer {
    pub(crate) fn start(answer: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let answer: Answer = Arc::new(Mutex::new(Box::new(answer)));
        let server = Self { base, answer, asked: Arc::default(), connections: Arc::default() };
        let (answer, asked, connections) = (server.answer.clone(), server.asked.clone(), server.connections.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, answer, asked) = (stream.unwrap(), answer.clone(), asked.clone());
                connections.fetch_add(1, Ordering::Relaxed);
                thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    while let Some(request) = Asked::read(&mut reader) {
                        asked.lock().unwrap().push(request.clone());
                        let reply = (answer.lock().unwrap())(&request);
                        if !reply.send(&mut stream).unwrap_or(false) {
                            break;
                        }
                    }
                });
            }
        });
        server
    }

    pub(crate) fn always(reply: Reply) -> Self {
        Self::start(move |_| reply.clone())
    }

    /// From now on this is the answer.
    pub(crate) fn turn(&self, reply: Reply) {
        *self.answer.lock().unwrap() = Box::new(move |_| reply.clone());
    }

    /// All that it was asked, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How often it was asked.
    pub(crate) fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// How many connections it was asked by.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}
