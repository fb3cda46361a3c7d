//! `listen`: where toolgate can be reached.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::Names;
use super::reader::{Fault, Field, Section};
use super::values::quoted;

/// Where toolgate listens.
#[derive(Debug)]
pub struct Listen {
    /// For Envoy; at least one.
    pub grpc: Vec<GrpcListener>,
    /// For probes and metrics, over plain HTTP; nothing listens if it is absent.
    pub admin: Option<SocketAddr>,
}

/// One address for Envoy.
#[derive(Debug)]
pub struct GrpcListener {
    /// The address.
    pub address: Address,
    /// The name of the one server to which this listener is bound, whatever the request says.
    pub server: Option<String>,
}

/// A socket to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An address and port; port 0 is any free one.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

pub(super) fn listen(section: &mut Section<'_, '_>, names: &Names) -> Option<Listen> {
    let mut taken = Taken::default();
    let grpc = section.required("grpc", |field| {
        if field.is_list() {
            field.filled()?.items(|item| listener(item, names, &mut taken))
        } else {
            listener(field, names, &mut taken).map(|one| vec![one])
        }
    });
    let admin = section.optional("admin", |field| {
        let address = field.read(tcp)?;
        taken.take(field, &Address::Tcp(address));
        Some(address)
    });
    Some(Listen { grpc: grpc?, admin })
}

fn listener(field: &Field<'_>, names: &Names, taken: &mut Taken) -> Option<GrpcListener> {
    let mut address = |field: &Field<'_>| {
        let address = field.read(address)?;
        taken.take(field, &address);
        Some(address)
    };
    if !field.is_mapping() {
        return Some(GrpcListener { address: address(field)?, server: None });
    }
    field.section(|section| {
        let address = section.required("address", address);
        let server = section.optional("server", |field| field.read(|text| names.server(text)));
        section.unsupported("tls", "remove it, and listen on a Unix socket or a loopback address beside the proxy");
        Some(GrpcListener { address: address?, server })
    })
}

fn address(text: &str) -> Result<Address, Fault> {
    match text.strip_prefix("unix:") {
        Some("") => Err(Fault::new("names no path", "write `unix:/run/toolgate.sock`")),
        Some(path) => Ok(Address::Unix(path.into())),
        None => tcp(text).map(Address::Tcp),
    }
}

/// Names are not looked up: a host name can mean several addresses, and which is the resolver's to say.
fn tcp(text: &str) -> Result<SocketAddr, Fault> {
    text.parse().map_err(|_| {
        let what = format!("cannot be {}: it is not an IP address with a port", quoted(text));
        Fault::new(
            what,
            "write an address such as `127.0.0.1:9191` or `[::]:9191`; `grpc` can also be `unix:/run/toolgate.sock`",
        )
    })
}

/// The addresses so far, with the path of the field where each was given.
#[derive(Default)]
struct Taken(Vec<(Address, String)>);

impl Taken {
    fn take(&mut self, field: &Field<'_>, address: &Address) {
        match self.0.iter().find(|(other, _)| overlap(address, other)) {
            Some((other, path)) => {
                let what = format!("takes the same address as `{path}` (`{other}`)");
                field.report(Fault::new(what, "give each listener a port or a path of its own"));
            }
            None => self.0.push((address.clone(), field.path.clone())),
        }
    }
}

/// Whether the second of two sockets could not be bound: the unspecified address stands for all of its family.
fn overlap(one: &Address, other: &Address) -> bool {
    match (one, other) {
        (Address::Unix(one), Address::Unix(other)) => one == other,
        (Address::Tcp(one), Address::Tcp(other)) => {
            let every = one.is_ipv4() == other.is_ipv4() && (one.ip().is_unspecified() || other.ip().is_unspecified());
            one.port() != 0 && one.port() == other.port() && (one.ip() == other.ip() || every)
        }
        (Address::Unix(_), Address::Tcp(_)) | (Address::Tcp(_), Address::Unix(_)) => false,
    }
}
