//! The parts of the configuration that hold from the start to the end of the process.

use crate::audit::{OtlpRoots, Showing, Signer, SubjectKey};
use crate::config::{AuditConfig, ValuesConfig};
use crate::reload::load::Loaded;

/// The keys that are read at the start alone, and how a configuration has them.
#[derive(Debug, Clone)]
pub(super) struct Fixed([(&'static str, String); 8]);

/// What the trail is opened with: what its records show is part of the rules.
fn opened(audit: &AuditConfig) -> AuditConfig {
    AuditConfig { source: Showing::default(), values: ValuesConfig::default(), ..audit.clone() }
}

impl Fixed {
    /// As `loaded` has them, with what is in the files that `audit` names.
    pub(super) fn of(loaded: &Loaded) -> Self {
        let Loaded { config, audit_key, subject_key, otlp_access, .. } = loaded;
        Self([
            ("listen.grpc", format!("{:?}", config.listen.grpc)),
            ("listen.admin", format!("{:?}", config.listen.admin)),
            ("limits.message", format!("{:?}", config.limits.message)),
            ("audit", format!("{:?}", opened(&config.audit))),
            ("audit.checkpoints.key_file", audit_key.as_deref().map(Signer::id).unwrap_or_default().to_owned()),
            ("audit.subject_key_file", subject_key.as_ref().map(SubjectKey::id).unwrap_or_default()),
            ("audit.otlp.headers_file", otlp_access.headers.id().to_owned()),
            ("audit.otlp.ca_file", otlp_access.roots.as_ref().map(OtlpRoots::id).unwrap_or_default().to_owned()),
        ])
    }

    /// The keys that `other` has otherwise.
    pub(super) fn differing(&self, other: &Self) -> Vec<&'static str> {
        let pairs = self.0.iter().zip(&other.0);
        pairs.filter(|(one, other)| one != other).map(|((key, _), _)| *key).collect()
    }
}
