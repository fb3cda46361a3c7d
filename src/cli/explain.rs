//! `toolgate explain`: one decision and why.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::explanation::{json, text};
use super::supposed::{caller, client_headers, decision, request, set_header, supposed};
use super::{ConfigFile, Exit, Format, loaded};
use crate::clock::Clock;
use crate::context::{Body, RequestContext, UnixTime};
use crate::decision::explain::explain;
use crate::decision::server::Server;
use crate::decision::{Caller, Decision};
use crate::policy::explain::Explanation;
use crate::reload::load::Loaded;
use crate::token::{Principal, UnverifiedToken, verify};

pub(super) const EXAMPLE: &str = r#"Example:
  echo '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast","arguments":{"days":9}}}' > call.json
  echo '{"iss":"https://id.example.com","sub":"ada","client_id":"cli","scope":"weather:read"}' > ada.json
  toolgate explain -c toolgate.yaml --server weather --claims ada.json --message call.json

Claims that a token must have and the file lacks (iss, aud, exp, iat) are taken as valid now.

Exit codes: 0 allow, 2 deny, 3 invalid configuration or input."#;

#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    #[command(flatten)]
    file: ConfigFile,
    /// The server that the message is for
    #[arg(long)]
    server: String,
    #[command(flatten)]
    who: Who,
    /// The JSON-RPC message
    #[arg(long, value_name = "FILE")]
    message: PathBuf,
    /// A request header, `name: value`; may be repeated. Those that MCP requires are sent anyway
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Who {
    /// A JSON file of token claims, taken as if they were verified
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
    /// A token, verified with the issuer's key file
    #[arg(long)]
    token: Option<String>,
}

impl Explain {
    pub(super) fn run(self) -> Exit {
        let loaded = match loaded(&self.file.config) {
            Ok(loaded) => loaded,
            Err(exit) => return exit,
        };
        match self.decide(&loaded) {
            Ok((decision, why)) => self.print(&decision, &why),
            Err(message) => {
                eprintln!("toolgate explain: {message}");
                Exit::Invalid
            }
        }
    }

    fn decide(&self, loaded: &Loaded) -> Result<(Decision, Vec<Explanation>), String> {
        let names = || loaded.rules.servers.iter().map(|server| server.name.as_str()).collect::<Vec<_>>().join(", ");
        let server = loaded.rules.servers.iter().find(|server| server.name == self.server);
        let server = server.ok_or_else(|| format!("there is no server `{}`; there are: {}", self.server, names()))?;
        let now = Clock::System.now();
        let caller = self.caller(loaded, server, now)?;
        let message = read(&self.message)?;
        let mut headers = client_headers(&message);
        for header in &self.headers {
            let (name, value) = header.split_once(':').ok_or_else(|| format!("`{header}` is not `name: value`"))?;
            set_header(&mut headers, name.trim(), value.trim());
        }
        let context = RequestContext {
            method: Bytes::from_static(b"POST"),
            body: Body::Complete(Bytes::from(message)),
            ..request(server, headers)
        };
        let decision = decision(loaded, server, &context, &caller, now);
        // What ended before the policies were asked has nothing to do with them.
        let is_asked = !decision.targets.is_empty();
        let why = is_asked.then(|| explain(&loaded.rules, server, &context, &caller, now));
        Ok((decision, why.unwrap_or_default()))
    }

    fn caller(&self, loaded: &Loaded, server: &Server, now: UnixTime) -> Result<Caller, String> {
        let principal = match (&self.who.claims, &self.who.token) {
            (Some(path), _) => supposed(&read(path)?, loaded, server, now)?,
            (None, Some(token)) => verified(token, loaded, server, now)?,
            (None, None) => return Err("give --claims or --token".to_owned()),
        };
        caller(principal, loaded)
    }

    fn print(&self, decision: &Decision, why: &[Explanation]) -> Exit {
        let exit = if decision.verdict.is_ok() { Exit::Success } else { Exit::Deny };
        match self.format {
            Format::Json => println!("{:#}", json(decision, why)),
            Format::Text => print!("{}", text(decision, why)),
        }
        exit
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}

fn verified(token: &str, loaded: &Loaded, server: &Server, now: UnixTime) -> Result<Principal, String> {
    let parsed = UnverifiedToken::parse(token).map_err(|error| error.to_string())?;
    let mut own = loaded.config.issuers.iter().filter(|issuer| server.issuers.contains(&issuer.rules.name));
    let issuer = own.find(|issuer| issuer.rules.issuer == parsed.issuer());
    let rules = &issuer.ok_or("the token's issuer is not one of this server's")?.rules;
    let keys = loaded.keys.get(&rules.name).ok_or("the issuer's keys are not a file; use --claims")?;
    verify(&parsed, rules, keys, now).map_err(|error| error.to_string())
}
