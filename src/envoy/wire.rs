//! The gRPC messages and service of ext_authz, generated from `proto/`, and the codec under them.
//!
//! INVARIANT (no call fails for its content): to Envoy a gRPC error is not a denial but a failure, which its
//! configuration may let pass. So the codec hands on whatever bytes come, and it is [`RawCheck::read`] that tells a
//! request from what is none; the service answers both. Only a message above [`MESSAGE_CEILING`] ends as a gRPC error.

use std::fmt;

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

mod generated {
    #![expect(
        unreachable_pub,
        unused_qualifications,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        clippy::default_constructed_unit_structs,
        reason = "generated"
    )]
    include!(concat!(env!("OUT_DIR"), "/messages.rs"));
    include!(concat!(env!("OUT_DIR"), "/envoy.service.auth.v3.Authorization.rs"));
}

pub use generated::authorization_server::{Authorization, AuthorizationServer};
pub use generated::envoy::config::core::v3::{
    Address, HeaderMap, HeaderValue, HeaderValueOption, SocketAddress, header_map,
};
pub use generated::envoy::service::auth::v3::{
    AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse, attribute_context,
    check_response,
};
pub use generated::envoy::r#type::v3::HttpStatus;
pub use generated::google::rpc::Status as RpcStatus;

/// The largest message that is read from the network at all, in bytes. It bounds memory per call and nothing else: the
/// limit that operators set must lie below it, and what lies between the two is denied with a record.
pub const MESSAGE_CEILING: usize = 16 * 1024 * 1024;

/// The descriptors of `proto/`, an encoded `google.protobuf.FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// No buffer before the message is there: the first frame sizes it, and nearly every request is one frame.
const DECODE_BUFFER: usize = 0;

/// Bytes set aside for an answer; an allow with its metadata fits.
const ENCODE_BUFFER: usize = 1024;

/// Bytes of answers gathered before they are sent. A call has one answer, so this is never reached; the value is tonic's.
const YIELD_THRESHOLD: usize = 32 * 1024;

/// One message as it came, unread. Its `Debug` gives the length alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RawCheck(Bytes);

impl fmt::Debug for RawCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawCheck({} bytes)", self.0.len())
    }
}

impl RawCheck {
    /// The message in `bytes`.
    pub fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Reads the message, unless it is longer than `limit` bytes. Nothing is copied: the fields share the message's
    /// memory. An empty message is a request without attributes.
    pub fn read(self, limit: usize) -> Incoming {
        if self.0.len() > limit {
            return Incoming::TooLarge;
        }
        CheckRequest::decode(self.0).map_or(Incoming::Undecodable, Incoming::Request)
    }
}

/// One answer as it goes out. It is encoded where it is built, so that an answer that waits for its record is a few hundred
/// bytes and not the many pieces of a message. Its `Debug` gives the length alone.
#[derive(Clone, PartialEq, Eq)]
pub struct RawAnswer(Vec<u8>);

impl fmt::Debug for RawAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawAnswer({} bytes)", self.0.len())
    }
}

impl RawAnswer {
    /// `answer` as bytes.
    pub fn new(answer: &CheckResponse) -> Self {
        Self(answer.encode_to_vec())
    }

    /// What Envoy reads.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What came where a [`CheckRequest`] was expected.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there is one per call, and it is taken apart at once")]
pub enum Incoming {
    /// A request.
    Request(CheckRequest),
    /// Not protobuf, or not of this shape.
    Undecodable,
    /// Longer than the limit; unread.
    TooLarge,
}

/// Takes requests as they come and hands on answers as they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckCodec;

impl Codec for CheckCodec {
    type Encode = RawAnswer;
    type Decode = RawCheck;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self::Encoder {
        *self
    }

    fn decoder(&mut self) -> Self::Decoder {
        *self
    }
}

impl Decoder for CheckCodec {
    type Item = RawCheck;
    type Error = Status;

    /// Never `None`, which would ask for more bytes: the buffer holds exactly one message.
    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<RawCheck>, Status> {
        Ok(Some(RawCheck(message.copy_to_bytes(message.remaining()))))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(DECODE_BUFFER, YIELD_THRESHOLD)
    }
}

impl Encoder for CheckCodec {
    type Item = RawAnswer;
    type Error = Status;

    fn encode(&mut self, answer: RawAnswer, message: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.put_slice(answer.as_bytes());
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(ENCODE_BUFFER, YIELD_THRESHOLD)
    }
}
