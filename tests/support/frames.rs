//! gRPC calls in frames made by hand (RFC 9113): ten thousand in a second cost next to nothing, a call is given up as Envoy
//! gives it up (`RST_STREAM`), and a connection that is lost is seen to be, where a library would make another.

use std::io::ErrorKind;
use std::time::Instant;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::io::Interest;
use tokio::net::TcpStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes before the payload of each frame.
const FRAME_HEADER: usize = 9;

/// Bytes before the message in `DATA`: whether it is compressed, and its length.
const MESSAGE_HEADER: usize = 5;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

/// On `DATA` and `HEADERS`; on `SETTINGS` and `PING` the same bit is an acknowledgement.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const CANCEL: u32 = 8;

/// What the other side may send without being told to go on.
const WINDOW: u32 = 1 << 30;

/// What this side may send before the other says more (RFC 9113 §6.9.2).
const FIRST_CREDIT: i64 = 65_535;

/// What came.
#[derive(Debug)]
pub(crate) enum Event {
    /// The message of an answer, by the number of its call.
    Answer(u32, Bytes),
    /// The call is over.
    Over(u32),
}

/// One connection.
pub(crate) struct Wire {
    stream: TcpStream,
    read: BytesMut,
    unsent: BytesMut,
    /// The headers of every call.
    head: Bytes,
    next: u32,
    credit: i64,
    unacknowledged: u32,
}

impl Wire {
    pub(crate) async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut head = BytesMut::new();
        for (name, value) in [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/envoy.service.auth.v3.Authorization/Check"),
            (":authority", address),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ] {
            // RFC 7541 §6.2.2: a literal that nobody needs to remember, with a name of its own.
            head.put_u8(0);
            for text in [name, value] {
                head.put_u8(u8::try_from(text.len()).unwrap());
                head.put_slice(text.as_bytes());
            }
        }
        let mut wire = Self {
            stream,
            read: BytesMut::new(),
            unsent: BytesMut::from(PREFACE),
            head: head.freeze(),
            next: 1,
            credit: FIRST_CREDIT,
            unacknowledged: 0,
        };
        wire.frame(SETTINGS, 0, 0, &[]);
        wire.frame(WINDOW_UPDATE, 0, 0, &WINDOW.to_be_bytes());
        wire
    }

    /// Sends a call with this message, from the next [`Wire::events`] on; its number. `None` while the other side takes no more.
    pub(crate) fn ask(&mut self, message: &[u8]) -> Option<u32> {
        let length = MESSAGE_HEADER + message.len();
        self.credit -= i64::try_from(length).unwrap();
        if self.credit < 0 {
            self.credit += i64::try_from(length).unwrap();
            return None;
        }
        let call = self.next;
        self.next += 2;
        let head = self.head.clone();
        self.frame(HEADERS, END_HEADERS, call, &head);
        self.header(DATA, END_STREAM, call, length);
        self.unsent.put_u8(0);
        self.unsent.put_u32(u32::try_from(message.len()).unwrap());
        self.unsent.put_slice(message);
        Some(call)
    }

    /// Gives a call up.
    pub(crate) fn cancel(&mut self, call: u32) {
        self.frame(RST_STREAM, 0, call, &CANCEL.to_be_bytes());
    }

    /// Moves bytes both ways until something came, or `until`.
    ///
    /// # Errors
    /// How the connection was lost.
    pub(crate) async fn events(&mut self, until: Instant) -> Result<Vec<Event>, String> {
        loop {
            let events = self.parse()?;
            if !events.is_empty() {
                return Ok(events);
            }
            let both = Interest::READABLE | Interest::WRITABLE;
            let interest = if self.unsent.is_empty() { Interest::READABLE } else { both };
            let Ok(ready) = tokio::time::timeout_at(until.into(), self.stream.ready(interest)).await else {
                return Ok(Vec::new());
            };
            let ready = ready.map_err(|error| error.to_string())?;
            if ready.is_writable() && !self.unsent.is_empty() {
                match self.stream.try_write(&self.unsent) {
                    Ok(written) => self.unsent.advance(written),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.to_string()),
                }
            }
            if ready.is_readable() {
                self.read.reserve(64 * 1024);
                match self.stream.try_read_buf(&mut self.read) {
                    Ok(0) => return Err("closed".to_owned()),
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.to_string()),
                }
            }
        }
    }

    /// What whole frames there are say; what the protocol alone is concerned with is done on the way.
    fn parse(&mut self) -> Result<Vec<Event>, String> {
        let mut events = Vec::new();
        while let Some(&[high, middle, low, kind, flags, a, b, c, d]) = self.read.first_chunk::<FRAME_HEADER>() {
            let length = usize::try_from(u32::from_be_bytes([0, high, middle, low])).unwrap();
            let call = u32::from_be_bytes([a, b, c, d]);
            if self.read.len() < FRAME_HEADER + length {
                break;
            }
            self.read.advance(FRAME_HEADER);
            let mut payload = self.read.split_to(length).freeze();
            match kind {
                DATA => {
                    self.received(length);
                    // An answer is small: it comes in one frame.
                    if length > 0 {
                        payload.advance(1);
                        assert_eq!(payload.get_u32(), u32::try_from(length - MESSAGE_HEADER).unwrap());
                        events.push(Event::Answer(call, payload));
                    }
                }
                SETTINGS if flags & END_STREAM == 0 => self.frame(SETTINGS, END_STREAM, 0, &[]),
                PING if flags & END_STREAM == 0 => self.frame(PING, END_STREAM, 0, &payload),
                WINDOW_UPDATE if call == 0 => self.credit += i64::from(payload.get_u32()),
                RST_STREAM => events.push(Event::Over(call)),
                GOAWAY => return Err(format!("sent away: {payload:?}")),
                _ => {}
            }
            if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
                events.push(Event::Over(call));
            }
        }
        Ok(events)
    }

    fn received(&mut self, length: usize) {
        self.unacknowledged += u32::try_from(length).unwrap();
        if self.unacknowledged > WINDOW / 2 {
            let read = std::mem::take(&mut self.unacknowledged);
            self.frame(WINDOW_UPDATE, 0, 0, &read.to_be_bytes());
        }
    }

    fn frame(&mut self, kind: u8, flags: u8, call: u32, payload: &[u8]) {
        self.header(kind, flags, call, payload.len());
        self.unsent.put_slice(payload);
    }

    fn header(&mut self, kind: u8, flags: u8, call: u32, length: usize) {
        self.unsent.put_uint(u64::try_from(length).unwrap(), 3);
        self.unsent.put_u8(kind);
        self.unsent.put_u8(flags);
        self.unsent.put_u32(call);
    }
}
