//! Secrets: what issuers are asked with about opaque tokens, what nonces are made with, and what the audit
//! trail is signed with. Also that no two issuers are
//! asked about the same token.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use crate::audit::{OtlpAccess, OtlpHeaders, OtlpRoots, Signer, SubjectKey};
use crate::config::{Config, CredentialConfig, Spanned};
use crate::issuer::{Credential, CredentialError};
use crate::problem::{Problem, Severity, Source};
use crate::reload::files::FileReader;
use crate::token::Nonces;

/// The credential of each issuer that has one, by its name. `source` is the configuration, where problems are shown: the
/// file with the credential is not for showing.
pub(super) fn credentials(reader: &mut FileReader, source: &Source, config: &Config) -> HashMap<String, Credential> {
    let mut credentials = HashMap::new();
    for issuer in &config.issuers {
        let Some(configured) = issuer.introspection.as_ref().map(|introspection| &introspection.credential) else {
            continue;
        };
        let file = configured.file();
        let Some(text) = reader.secret(&file.value, (source, file)) else { continue };
        match credential(configured, &text) {
            Ok(credential) => drop(credentials.insert(issuer.rules.name.clone(), credential)),
            Err(error) => reader.problems.push(unusable(source, file, &error, help(error))),
        }
    }
    credentials
}

fn credential(configured: &CredentialConfig, text: &str) -> Result<Credential, CredentialError> {
    match configured {
        CredentialConfig::Secret(_) => Credential::secret(text),
        CredentialConfig::Key { algorithm, kid, .. } => Credential::key(text, *algorithm, kid.clone()),
    }
}

fn help(error: CredentialError) -> &'static str {
    match error {
        CredentialError::Empty | CredentialError::Control => "write the secret alone into it, on one line",
        CredentialError::Form => "convert it: `openssl pkcs8 -topk8 -nocrypt -in key.pem`",
        CredentialError::Key => "make a key for the algorithm, or name the algorithm of the key",
    }
}

/// The nonces of each server that wants them in DPoP proofs, by its name.
pub(super) fn nonces(reader: &mut FileReader, source: &Source, config: &Config) -> HashMap<String, Nonces> {
    let mut nonces = HashMap::new();
    for server in &config.servers {
        let Some(file) = server.dpop.as_ref().and_then(|dpop| dpop.nonce_secret_file.as_ref()) else { continue };
        let Some(text) = reader.secret(&file.value, (source, file)) else { continue };
        match Nonces::parse(text.as_bytes()) {
            Ok(made) => drop(nonces.insert(server.name.clone(), made)),
            Err(error) => {
                let help = "write a long random secret into it, say 32 bytes in base64";
                reader.problems.push(unusable(source, file, &error, help));
            }
        }
    }
    nonces
}

/// The key that checkpoints of the audit trail are signed with.
pub(super) fn audit_key(reader: &mut FileReader, source: &Source, config: &Config) -> Option<Arc<Signer>> {
    let file = &config.audit.checkpoints.as_ref()?.key_file;
    let text = reader.secret(&file.value, (source, file))?;
    let signer = Signer::parse(&text).map_err(|error| {
        let help = "make one: `openssl genpkey -algorithm ed25519`";
        reader.problems.push(unusable(source, file, &error, help));
    });
    signer.ok().map(Arc::new)
}

/// The key of the hashes that stand for principals in the audit trail.
pub(super) fn subject_key(reader: &mut FileReader, source: &Source, config: &Config) -> Option<SubjectKey> {
    let file = config.audit.subject_key_file.as_ref()?;
    let text = reader.secret(&file.value, (source, file))?;
    let key = SubjectKey::parse(text.as_bytes()).map_err(|error| {
        let help = "write a long random secret into it, say 32 bytes in base64";
        reader.problems.push(unusable(source, file, &error, help));
    });
    key.ok()
}

/// What the collector of the audit trail is called with.
pub(super) fn otlp_access(reader: &mut FileReader, source: &Source, config: &Config) -> OtlpAccess {
    let Some(otlp) = &config.audit.otlp else { return OtlpAccess::default() };
    let headers = otlp.headers_file.as_ref().and_then(|file| {
        let text = reader.secret(&file.value, (source, file))?;
        let headers = OtlpHeaders::parse(&text).map_err(|error| {
            let help = "write a header on each line, such as `authorization: Bearer …`";
            reader.problems.push(unusable(source, file, &error, help));
        });
        headers.ok()
    });
    let roots = otlp.ca_file.as_ref().and_then(|file| {
        let text = reader.secret(&file.value, (source, file))?;
        let roots = OtlpRoots::parse(&text).map_err(|error| {
            let help = "write certificates in PEM into it (`BEGIN CERTIFICATE`)";
            reader.problems.push(unusable(source, file, &error, help));
        });
        roots.ok()
    });
    OtlpAccess { headers: headers.unwrap_or_default(), roots }
}

/// What is wrong with a secret's file, told where the configuration names it.
fn unusable(source: &Source, file: &Spanned<PathBuf>, error: &dyn Display, help: &str) -> Problem {
    Problem {
        severity: Severity::Error,
        source: source.clone(),
        span: Some(file.span.clone()),
        message: format!("`{}` cannot be used: {error}", file.value.display()),
        help: Some(help.to_owned()),
    }
}

/// A server has at most one issuer that is asked about opaque tokens: nothing in such a token says whose it is, so with two
/// the one would be shown the other's.
pub(super) fn check_servers(reader: &mut FileReader, source: &Source, config: &Config) {
    for server in &config.servers {
        let asked: Vec<&str> = config
            .issuers
            .iter()
            .filter(|issuer| issuer.introspection.is_some() && server.issuers.contains(&issuer.rules.name))
            .map(|issuer| issuer.rules.name.as_str())
            .collect();
        if let [first, second, ..] = asked.as_slice() {
            let message = format!(
                "the server `{}` has two issuers with `introspection`, `{first}` and `{second}`: one would be shown the \
                 other's tokens",
                server.name
            );
            let help = "leave one of them, or make two servers of it";
            reader.error(source, message, Some(help));
        }
    }
}
