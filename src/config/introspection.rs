//! `issuers[].introspection`: how an issuer is asked about opaque tokens.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::issuer::ALGORITHMS;
use super::limits::{count, time};
use super::reader::{Fault, Section};
use super::values::{self, Millis, Plain};
use super::{Spanned, path};
use crate::token::Algorithm;

/// Where an issuer answers about opaque tokens (RFC 7662), and who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntrospectionConfig {
    /// The address, https unless the issuer says `insecure_http`.
    pub endpoint: Url,
    /// Who asks.
    pub client_id: String,
    /// What proves it.
    pub credential: CredentialConfig,
    /// How long one question may take. Default: 150 ms, which is less than Envoy waits for toolgate by default.
    pub timeout: Duration,
    /// How many questions may be under way. Default: 64.
    pub concurrency: usize,
    /// How long an answer counts. Default: 30 s.
    pub cache: Duration,
}

/// What proves to the endpoint who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialConfig {
    /// The secret in this file (`client_secret_basic`).
    Secret(Spanned<PathBuf>),
    /// A private key (`private_key_jwt`).
    Key {
        /// Its file.
        file: Spanned<PathBuf>,
        /// What it signs with.
        algorithm: Algorithm,
        /// The name by which the issuer knows it.
        kid: Option<String>,
    },
}

impl CredentialConfig {
    /// The file that holds it.
    pub fn file(&self) -> &Spanned<PathBuf> {
        match self {
            Self::Secret(file) | Self::Key { file, .. } => file,
        }
    }

    pub(super) fn file_mut(&mut self) -> &mut Spanned<PathBuf> {
        match self {
            Self::Secret(file) | Self::Key { file, .. } => file,
        }
    }
}

/// Below, no network answers; above, the proxy has long given up, and the calls that wait only add up.
const TIMEOUT: RangeInclusive<Millis> = Millis(10)..=Millis(5_000);
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(150);

/// Above, an issuer is flooded rather than asked.
const CONCURRENCY: RangeInclusive<usize> = 1..=1_024;
const DEFAULT_CONCURRENCY: usize = 64;

/// Zero asks for every request. Above, a revoked token goes on for longer than anybody expects of one.
const CACHE: RangeInclusive<Millis> = Millis(0)..=Millis(300_000);
const DEFAULT_CACHE: Duration = Duration::from_secs(30);

pub(super) fn introspection(section: &mut Section<'_, '_>, plain: Plain) -> Option<IntrospectionConfig> {
    let endpoint = section.required("endpoint", |field| field.read(|text| values::absolute(text, plain)));
    let client_id = section.required("client_id", |field| field.read(values::client_id));
    let credential = credential(section);
    let timeout = section.optional("timeout", |field| time(field, TIMEOUT));
    let concurrency = section.optional("concurrency", |field| count(field, CONCURRENCY));
    let cache = section.optional("cache", |field| time(field, CACHE));
    Some(IntrospectionConfig {
        endpoint: endpoint?,
        client_id: client_id?,
        credential: credential?,
        timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
        concurrency: concurrency.unwrap_or(DEFAULT_CONCURRENCY),
        cache: cache.unwrap_or(DEFAULT_CACHE),
    })
}

fn credential(section: &mut Section<'_, '_>) -> Option<CredentialConfig> {
    let present = section.present(&["client_secret_file", "private_key"]);
    if present.len() != 1 {
        let what = if present.is_empty() { "names no credential" } else { "names two credentials" };
        section.report(Fault::new(
            what,
            "write exactly one of `client_secret_file: …` and `private_key: {file: …, algorithm: …}`",
        ));
    }
    let secret = section.optional("client_secret_file", path).map(CredentialConfig::Secret);
    let key = section.optional("private_key", |field| {
        field.section(|section| {
            let file = section.required("file", path);
            let algorithm = section.required("algorithm", |field| field.choice(&ALGORITHMS));
            let kid = section.optional("kid", |field| Some(field.text()?.to_owned()));
            Some(CredentialConfig::Key { file: file?, algorithm: algorithm?, kid })
        })
    });
    secret.or(key)
}
