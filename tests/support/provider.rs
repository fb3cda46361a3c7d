//! The key server of an issuer: raw HTTP/1.1 on a loopback port, and how it behaves can be changed at any time.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the server does when it is asked.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// A response of this status with this body, and the end of the connection.
    Says(&'static str, String),
    /// The end of the connection and nothing else.
    Down,
    /// A head, then a byte of the body now and then for as long as anyone listens.
    Drip,
    /// A head that promises so many bytes, and bytes for as long as anyone listens.
    Flood(u64),
}

/// The server. Its thread ends with the process.
pub(crate) struct Provider {
    /// Where the keys are.
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

struct State {
    answer: Answer,
    /// How often it was asked.
    asked: usize,
    /// How often since the answer was last changed.
    asked_for_this: usize,
}

impl Provider {
    pub(crate) fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { answer, asked: 0, asked_for_this: 0 }));
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = shared.clone();
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { url, state }
    }

    /// From now on it behaves like this.
    pub(crate) fn turn(&self, answer: Answer) {
        let mut state = self.state.lock().unwrap();
        (state.answer, state.asked_for_this) = (answer, 0);
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }

    /// How often it was asked since it last changed.
    pub(crate) fn asked_for_this(&self) -> usize {
        self.state.lock().unwrap().asked_for_this
    }
}

/// A response with this key set.
pub(crate) fn keys(set: String) -> Answer {
    Answer::Says("200 OK\r\ncontent-type: application/jwk-set+json", set)
}

/// Errors of writing only say that the client is gone.
fn serve(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines().map_while(Result::ok);
    if lines.find(String::is_empty).is_none() {
        return Ok(());
    }
    let answer = {
        let mut state = state.lock().unwrap();
        state.asked += 1;
        state.asked_for_this += 1;
        state.answer.clone()
    };
    match answer {
        Answer::Says(status, body) => {
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        }
        Answer::Down => Ok(()),
        Answer::Drip => {
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n")?;
            loop {
                stream.write_all(b" ")?;
                thread::sleep(Duration::from_millis(20));
            }
        }
        Answer::Flood(length) => {
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n")?;
            loop {
                stream.write_all(&[b' '; 4096])?;
            }
        }
    }
}
