//! The parts of the configuration that hold from the start to the end of the process.

use crate::audit::{Signer, SubjectKey};
use crate::config::Config;

/// The keys that are read at the start alone, and how a configuration has them.
#[derive(Debug, Clone)]
pub(super) struct Fixed([(&'static str, String); 6]);

impl Fixed {
    /// As `config` has them, with the keys of the audit trail in the files that it names.
    pub(super) fn of(config: &Config, audit_key: Option<&Signer>, subject_key: Option<&SubjectKey>) -> Self {
        Self([
            ("listen.grpc", format!("{:?}", config.listen.grpc)),
            ("listen.admin", format!("{:?}", config.listen.admin)),
            ("limits.message", format!("{:?}", config.limits.message)),
            ("audit", format!("{:?}", config.audit)),
            ("audit.checkpoints.key_file", audit_key.map(Signer::id).unwrap_or_default().to_owned()),
            ("audit.subject_key_file", subject_key.map(SubjectKey::id).unwrap_or_default()),
        ])
    }

    /// The keys that `other` has otherwise.
    pub(super) fn differing(&self, other: &Self) -> Vec<&'static str> {
        let pairs = self.0.iter().zip(&other.0);
        pairs.filter(|(one, other)| one != other).map(|((key, _), _)| *key).collect()
    }
}
