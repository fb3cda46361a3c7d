//! Floor 2: the configuration file, from text to typed values, with every problem at once.
//!
//! [`parse`] is pure: it reads no other file. Whatever can only be checked against another file keeps its place
//! ([`Spanned`]), so that the loader can point at it. The contract, key by key, is in the documentation.

mod audit;
mod cases;
mod introspection;
mod issuer;
mod limits;
mod listen;
mod policies;
mod reader;
mod revocations;
mod sender;
mod server;
mod values;
mod yaml;

use std::path::{Path, PathBuf};

use jiff::tz::{TimeZone, TimeZoneDatabase};

pub use audit::{AuditConfig, AuditFile, CheckpointConfig, OtlpConfig, ValuePath, ValuesConfig};
pub use cases::{Case, CaseRequest, Expected, Known, Wanted, cases};
pub use introspection::{CredentialConfig, IntrospectionConfig};
pub use issuer::{IssuerConfig, KeySource};
pub use limits::LimitsConfig;
pub use listen::{Address, GrpcListener, Listen};
pub use policies::{groups, links};
use reader::{Fault, Field, Reader, Section, suggest};
pub use revocations::revocations;
pub use sender::DpopConfig;
pub use server::{Matching, OverlayConfig, Resource, ServerConfig};
use values::quoted;

use crate::decision::ClientAddress;
pub use crate::problem::Spanned;
use crate::problem::{Problem, Source, closest};
pub use values::is_loopback;

/// A whole configuration. Made only by [`parse`].
#[derive(Debug)]
pub struct Config {
    /// Where toolgate listens.
    pub listen: Listen,
    /// The zone of `context.request.local`. Default: UTC.
    pub time_zone: TimeZone,
    /// Where the caller's address is taken from; without it, policies cannot read an address.
    pub client_address: Option<ClientAddress>,
    /// The folder of the policies.
    pub policies: Spanned<PathBuf>,
    /// The issuers; at least one.
    pub issuers: Vec<IssuerConfig>,
    /// The servers; at least one.
    pub servers: Vec<ServerConfig>,
    /// The file of what must no longer be let in although it has not expired.
    pub revocations: Option<Spanned<PathBuf>>,
    /// How much of a request is read.
    pub limits: LimitsConfig,
    /// Where decisions are recorded.
    pub audit: AuditConfig,
}

/// Reads a configuration: as much of it as can be made out, and every problem. It is fit for use only without any; with
/// some, it still tells which other files to look at, so that their problems come out together with these.
pub fn parse(source: &Source) -> (Option<Config>, Vec<Problem>) {
    let reader = Reader::new(source);
    let config = match yaml::load(&source.text) {
        Ok(root) => {
            let names = Names { issuers: root.names_in("issuers"), servers: root.names_in("servers") };
            Field::root(&reader, &root).section(|section| config(section, &names))
        }
        Err(error) => {
            reader.report(Some(error.span), error.message, error.help.to_owned());
            None
        }
    };
    (config, reader.into_problems())
}

impl Config {
    /// The same configuration with every relative path taken from `folder`, the one that holds the file.
    #[must_use]
    pub fn resolved_from(mut self, folder: &Path) -> Self {
        let sockets = self.listen.grpc.iter_mut().filter_map(|listener| match &mut listener.address {
            Address::Unix(path) => Some(path),
            Address::Tcp(_) => None,
        });
        let issuers = self.issuers.iter_mut().flat_map(|issuer| {
            let keys = match &mut issuer.keys {
                Some(KeySource::File(path)) => Some(&mut path.value),
                Some(KeySource::Url(_) | KeySource::Discover) | None => None,
            };
            let credential = issuer.introspection.as_mut().map(|it| &mut it.credential.file_mut().value);
            keys.into_iter().chain(credential)
        });
        let servers = self.servers.iter_mut().flat_map(|server| {
            let secret = server.dpop.as_mut().and_then(|dpop| dpop.nonce_secret_file.as_mut());
            server.tools.iter_mut().chain(secret)
        });
        let audit = &mut self.audit;
        let checkpoints = audit.checkpoints.iter_mut().flat_map(|it| it.copy.iter_mut().chain([&mut it.key_file]));
        let spanned = servers
            .chain(audit.file.iter_mut().map(|file| &mut file.path))
            .chain(checkpoints)
            .chain(audit.otlp.iter_mut().flat_map(|otlp| otlp.headers_file.iter_mut().chain(&mut otlp.ca_file)))
            .chain(&mut audit.subject_key_file)
            .chain(&mut self.revocations)
            .chain([&mut self.policies])
            .map(|path| &mut path.value);
        for path in sockets.chain(issuers).chain(spanned) {
            *path = folder.join(&path);
        }
        self
    }
}

/// The names in the file, known before the sections that mention them are read: a server may mention an issuer that has
/// a problem of its own, and is not to blame for it.
struct Names {
    issuers: Vec<String>,
    servers: Vec<String>,
}

impl Names {
    fn issuer(&self, text: &str) -> Result<String, Fault> {
        known(text, &self.issuers, "issuer")
    }

    fn server(&self, text: &str) -> Result<String, Fault> {
        known(text, &self.servers, "server")
    }
}

fn known(text: &str, names: &[String], kind: &str) -> Result<String, Fault> {
    if names.iter().any(|name| name == text) {
        return Ok(text.to_owned());
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Err(Fault::new(format!("names no {kind}: {}", quoted(text)), suggest(text, &names, &format!("the {kind}s are"))))
}

fn config(section: &mut Section<'_, '_>, names: &Names) -> Option<Config> {
    let mut distinct_issuers = issuer::Distinct::default();
    let mut distinct_servers = server::Distinct::default();
    let listen = section.required("listen", |field| field.section(|section| listen::listen(section, names)));
    let time_zone = section.optional("time_zone", |field| field.read(time_zone)).unwrap_or(TimeZone::UTC);
    let client_address = section.optional("client_address", client_address);
    let policies = section.required("policies", path);
    let issuers =
        section.required("issuers", |field| field.filled()?.items(|item| issuer::issuer(item, &mut distinct_issuers)));
    let servers = section
        .required("servers", |field| field.filled()?.items(|item| server::server(item, names, &mut distinct_servers)));
    let revocations = section.optional("revocations", path);
    let limits = section.optional("limits", |field| field.section(limits::limits)).unwrap_or_default();
    let audit = section.required("audit", |field| field.section(audit::audit));
    Some(Config {
        listen: listen?,
        time_zone,
        client_address,
        policies: policies?,
        issuers: issuers?,
        servers: servers?,
        revocations,
        limits,
        audit: audit?,
    })
}

/// The zone of an IANA name, from the data that is compiled in: the same on every machine.
fn time_zone(text: &str) -> Result<TimeZone, Fault> {
    let zones = TimeZoneDatabase::bundled();
    zones.get(text).map_err(|_| {
        let names: Vec<String> = zones.available().map(|name| name.to_string()).collect();
        let help = match closest(text, names.iter().map(String::as_str)) {
            Some(name) => format!("did you mean `{name}`?"),
            None => "write an IANA name such as `UTC` or `Europe/Berlin`".to_owned(),
        };
        Fault::new(format!("cannot be {}: there is no such time zone", quoted(text)), help)
    })
}

/// More proxies in a row than anybody runs: a larger number is a mistake.
const MAX_XFF_HOPS: usize = 16;

fn client_address(field: &Field<'_>) -> Option<ClientAddress> {
    if field.is_mapping() {
        return field.section(|section| {
            let hops = section.required("xff_hops", |field| limits::count(field, 1..=MAX_XFF_HOPS));
            Some(ClientAddress::XffHops(hops?))
        });
    }
    const WORDS: [(&str, ClientAddress); 2] =
        [("peer", ClientAddress::Peer), ("external_address", ClientAddress::ExternalAddress)];
    field.choice(&WORDS)
}

/// A path to another file or folder.
fn path(field: &Field<'_>) -> Option<Spanned<PathBuf>> {
    Some(field.spanned(PathBuf::from(field.text()?)))
}

#[cfg(test)]
mod tests;
