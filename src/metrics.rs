//! Figures for `/metrics`, in OpenMetrics text.
//!
//! A request touches only counters that were looked up when its rules were loaded: no lock, no allocation, and no label
//! that a caller can choose.

mod durations;

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::audit::{ReloadOutcome, Verdict};
use crate::context::UnixTime;

use self::durations::Durations;

/// What [`Metrics::encode`] returns, for the `content-type` of its HTTP answer.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The `server` label of requests that no server was found for.
pub const NO_SERVER: &str = "";

type Labels<const N: usize> = [(&'static str, String); N];

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    decisions: Family<Labels<3>, Counter>,
    steps: Steps,
    cache_hits: Counter,
    cache_misses: Counter,
    policy_errors: Family<Labels<1>, Counter>,
    shadow_flips: Family<Labels<2>, Counter>,
    reloads: Family<Labels<1>, Counter>,
    reloaded_at: Gauge<f64, AtomicU64>,
    reload_took: Gauge<f64, AtomicU64>,
    reload_failing: Gauge,
    generation: Gauge<u64, AtomicU64>,
    rules: Family<Labels<1>, Gauge>,
    issuers: Family<Labels<1>, Gauge>,
    introspections: Family<Labels<2>, Counter>,
    audit_failures: Counter,
    panics: Counter,
}

/// A step of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Reading and verifying the token.
    Token,
    /// Parsing the message.
    Parse,
    /// Evaluating the policies.
    Policy,
    /// Writing the record.
    Audit,
    /// From the request to the reply.
    Total,
}

impl Step {
    /// The value of the `step` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Parse => "parse",
            Self::Policy => "policy",
            Self::Audit => "audit",
            Self::Total => "total",
        }
    }
}

#[derive(Debug)]
struct Steps {
    token: Durations,
    parse: Durations,
    policy: Durations,
    audit: Durations,
    total: Durations,
}

/// The counters of one server's decisions, one for each reason. Made when rules are loaded and kept beside the server.
#[derive(Debug, Clone)]
pub struct Decisions {
    by_reason: Vec<(&'static str, Verdict, Counter)>,
}

impl Decisions {
    /// Counts one decision. `reason` and `verdict` are among those that [`Metrics::decisions`] was given, or else
    /// nothing is counted.
    pub fn count(&self, reason: &str, verdict: Verdict) {
        let counter = self.by_reason.iter().find(|known| known.0 == reason && known.1 == verdict);
        if let Some((_, _, counter)) = counter {
            counter.inc();
        }
    }
}

/// What came of a question about an opaque token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Introspected {
    /// The token is active, and its claims are in order.
    Active,
    /// It is not.
    Inactive,
    /// It is active, but its claims are not in order.
    Unacceptable,
    /// There was no answer that says anything.
    Failed,
    /// Nobody was asked: too many questions were under way, or the endpoint is left alone.
    Skipped,
}

impl Introspected {
    /// Every outcome.
    pub const ALL: [Self; 5] = [Self::Active, Self::Inactive, Self::Unacceptable, Self::Failed, Self::Skipped];

    /// The value of the `outcome` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Unacceptable => "unacceptable",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// The counters of one issuer's introspections, one for each outcome.
#[derive(Debug, Clone)]
pub struct Introspections([(Introspected, Counter); Introspected::ALL.len()]);

impl Introspections {
    /// Counts one.
    pub fn count(&self, outcome: Introspected) {
        if let Some((_, counter)) = self.0.iter().find(|(known, _)| *known == outcome) {
            counter.inc();
        }
    }
}

fn introspection_labels(issuer: &str, outcome: Introspected) -> Labels<2> {
    [("issuer", issuer.to_owned()), ("outcome", outcome.as_str().to_owned())]
}

impl Metrics {
    /// Registers everything; `version` goes into `toolgate_build_info`.
    pub fn new(version: &str) -> Self {
        let mut registry = Registry::with_prefix("toolgate");
        let build = Info::new([("version", version.to_owned())]);
        registry.register("build", "What is running", build);
        let durations = Family::<Labels<1>, Durations>::default();
        let cache = Family::<Labels<1>, Counter>::default();
        let metrics = Self {
            decisions: Family::default(),
            steps: Steps::new(&durations),
            cache_hits: cache.get_or_create_owned(&[("result", "hit".to_owned())]),
            cache_misses: cache.get_or_create_owned(&[("result", "miss".to_owned())]),
            policy_errors: Family::default(),
            shadow_flips: Family::default(),
            reloads: Family::default(),
            reloaded_at: Gauge::default(),
            reload_took: Gauge::default(),
            reload_failing: Gauge::default(),
            generation: Gauge::default(),
            rules: Family::default(),
            issuers: Family::default(),
            introspections: Family::default(),
            audit_failures: Counter::default(),
            panics: Counter::default(),
            registry: Registry::default(),
        };
        for outcome in [ReloadOutcome::Loaded, ReloadOutcome::Refused, ReloadOutcome::Unchanged] {
            metrics.reloads.get_or_create_owned(&[("outcome", outcome.as_str().to_owned())]);
        }
        registry.register("decisions", "Decisions, by their reason", metrics.decisions.clone());
        let help = "How long the steps of a decision took";
        registry.register_with_unit("decision_duration", help, Unit::Seconds, durations);
        registry.register("token_cache", "Look-ups of verified tokens", cache);
        let help = "Policies that failed to evaluate";
        registry.register("policy_errors", help, metrics.policy_errors.clone());
        let help = "Decisions that would have been others, by the shadow policy that would have determined them";
        registry.register("shadow_flips", help, metrics.shadow_flips.clone());
        registry.register("reload", "Attempts to load other rules", metrics.reloads.clone());
        let help = "When the rules that hold now were loaded";
        registry.register_with_unit("reload_last_success_timestamp", help, Unit::Seconds, metrics.reloaded_at.clone());
        let help = "From the first look at the files of the rules that hold until they held";
        registry.register_with_unit("reload_duration", help, Unit::Seconds, metrics.reload_took.clone());
        let help = "Whether the files as they are now were refused";
        registry.register("reload_failing", help, metrics.reload_failing.clone());
        registry.register("generation", "Number of the rules that hold now", metrics.generation.clone());
        registry.register("rules", "Digest of the rules that hold now", metrics.rules.clone());
        registry.register("issuer_ready", "Whether tokens of an issuer can be verified", metrics.issuers.clone());
        let help = "Questions about opaque tokens, by what came of them";
        registry.register("introspections", help, metrics.introspections.clone());
        registry.register("audit_failures", "Records that a sink did not take", metrics.audit_failures.clone());
        registry.register("panics", "Requests that ended in a panic and were denied", metrics.panics.clone());
        Self { registry, ..metrics }
    }

    /// The counters of the server called `server`, or [`NO_SERVER`], all present from now on, at zero if they are new.
    pub fn decisions(&self, server: &str, reasons: impl IntoIterator<Item = (&'static str, Verdict)>) -> Decisions {
        let by_reason = reasons.into_iter().map(|(reason, verdict)| {
            let labels = [("reason", reason), ("server", server), ("decision", verdict.as_str())];
            let labels = labels.map(|(name, value)| (name, value.to_owned()));
            (reason, verdict, self.decisions.get_or_create_owned(&labels))
        });
        Decisions { by_reason: by_reason.collect() }
    }

    /// Notes how long a step took.
    pub fn observe(&self, step: Step, took: Duration) {
        self.steps.durations(step).observe(took);
    }

    /// A token was known.
    pub fn token_cache_hit(&self) {
        self.cache_hits.inc();
    }

    /// A token had to be verified.
    pub fn token_cache_miss(&self) {
        self.cache_misses.inc();
    }

    /// A policy failed to evaluate; `policy` is its id, of which the loaded rules bound the number.
    pub fn policy_error(&self, policy: &str) {
        self.policy_errors.get_or_create(&[("policy", policy.to_owned())]).inc();
    }

    /// The shadow policy `policy`, of which the loaded rules bound the number, would have made `decision` of another one.
    pub fn shadow_flip(&self, policy: &str, decision: Verdict) {
        let labels = [("policy", policy.to_owned()), ("decision", decision.as_str().to_owned())];
        self.shadow_flips.get_or_create(&labels).inc();
    }

    /// The rules `digest` hold since `at`.
    pub fn loaded(&self, generation: u64, digest: &str, at: UnixTime) {
        self.generation.set(generation);
        self.rules.clear();
        self.rules.get_or_create(&[("digest", digest.to_owned())]).set(1);
        // Milliseconds of any date are exact in a double.
        self.reloaded_at.set(at.millis() as f64 / 1e3);
        self.count_reload(ReloadOutcome::Loaded);
    }

    /// Other rules were refused.
    pub fn load_refused(&self) {
        self.reload_failing.set(1);
        self.count_reload(ReloadOutcome::Refused);
    }

    /// The files are those of the rules that hold, and somebody asked, or others had been refused.
    pub fn load_unchanged(&self) {
        self.count_reload(ReloadOutcome::Unchanged);
    }

    /// What was refused is gone.
    pub fn load_mended(&self) {
        self.reload_failing.set(0);
    }

    /// How long it took to read, check and put in force the rules that hold now.
    pub fn reload_took(&self, took: Duration) {
        self.reload_took.set(took.as_secs_f64());
    }

    /// Whether tokens of the issuer called `issuer` can be verified.
    pub fn issuer_ready(&self, issuer: &str, ready: bool) {
        self.issuers.get_or_create(&[("issuer", issuer.to_owned())]).set(i64::from(ready));
    }

    /// The issuer called `issuer` is in the rules no more.
    pub fn issuer_removed(&self, issuer: &str) {
        self.issuers.remove(&[("issuer", issuer.to_owned())]);
        for outcome in Introspected::ALL {
            self.introspections.remove(&introspection_labels(issuer, outcome));
        }
    }

    /// The counters of the issuer called `issuer`, which is asked about opaque tokens, all present from now on.
    pub fn introspections(&self, issuer: &str) -> Introspections {
        let counter = |outcome| self.introspections.get_or_create_owned(&introspection_labels(issuer, outcome));
        Introspections(Introspected::ALL.map(|outcome| (outcome, counter(outcome))))
    }

    /// The counter that the audit trail is to count its failures in.
    pub fn audit_failures(&self) -> Counter {
        self.audit_failures.clone()
    }

    /// A request ended in a panic.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// Everything, as OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut encoded = String::new();
        // A string takes every write. Were it not so, the closing mark would be missing and a reader refuse the rest.
        let _ = text::encode(&mut encoded, &self.registry);
        encoded
    }

    fn count_reload(&self, outcome: ReloadOutcome) {
        self.reloads.get_or_create(&[("outcome", outcome.as_str().to_owned())]).inc();
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Steps {
    fn new(family: &Family<Labels<1>, Durations>) -> Self {
        let durations = |step: Step| family.get_or_create_owned(&[("step", step.as_str().to_owned())]);
        Self {
            token: durations(Step::Token),
            parse: durations(Step::Parse),
            policy: durations(Step::Policy),
            audit: durations(Step::Audit),
            total: durations(Step::Total),
        }
    }

    fn durations(&self, step: Step) -> &Durations {
        match step {
            Step::Token => &self.token,
            Step::Parse => &self.parse,
            Step::Policy => &self.policy,
            Step::Audit => &self.audit,
            Step::Total => &self.total,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REASONS: [(&str, Verdict); 2] = [("allow", Verdict::Allow), ("policy_denied", Verdict::Deny)];

    #[track_caller]
    fn has(metrics: &Metrics, line: &str) {
        let text = metrics.encode();
        assert!(text.lines().any(|found| found == line), "no `{line}` in:\n{text}");
    }

    #[test]
    fn decisions_are_there_from_the_start_and_counted_by_reason_and_server() {
        let metrics = Metrics::new("1.2.3");
        let weather = metrics.decisions("weather", REASONS);
        let nowhere = metrics.decisions(NO_SERVER, REASONS);
        has(&metrics, "toolgate_decisions_total{reason=\"allow\",server=\"weather\",decision=\"allow\"} 0");
        weather.count("allow", Verdict::Allow);
        weather.count("allow", Verdict::Deny);
        weather.count("no such reason", Verdict::Deny);
        nowhere.count("policy_denied", Verdict::Deny);
        // The next generation goes on counting where the last one was.
        metrics.decisions("weather", REASONS).count("allow", Verdict::Allow);
        has(&metrics, "toolgate_decisions_total{reason=\"allow\",server=\"weather\",decision=\"allow\"} 2");
        has(&metrics, "toolgate_decisions_total{reason=\"policy_denied\",server=\"weather\",decision=\"deny\"} 0");
        has(&metrics, "toolgate_decisions_total{reason=\"policy_denied\",server=\"\",decision=\"deny\"} 1");
        assert_eq!(metrics.encode().matches("toolgate_decisions_total{").count(), 4);
    }

    #[test]
    fn every_metric_has_its_published_name() {
        let metrics = Metrics::new("1.2.3");
        metrics.token_cache_hit();
        metrics.token_cache_miss();
        metrics.policy_error("a \"quoted\"\nid");
        metrics.loaded(6, "0a", UnixTime::from_millis(1_700_000_000_000));
        metrics.reload_took(Duration::from_millis(250));
        metrics.loaded(7, "0b", UnixTime::from_millis(1_700_000_000_250));
        metrics.load_refused();
        metrics.issuer_ready("corp", true);
        metrics.issuer_ready("partner", false);
        metrics.introspections("partner").count(Introspected::Failed);
        metrics.audit_failures().inc();
        metrics.panicked();
        metrics.observe(Step::Audit, Duration::from_micros(3));
        for line in [
            "toolgate_build_info{version=\"1.2.3\"} 1",
            "toolgate_token_cache_total{result=\"hit\"} 1",
            "toolgate_token_cache_total{result=\"miss\"} 1",
            "toolgate_policy_errors_total{policy=\"a \\\"quoted\\\"\\nid\"} 1",
            "toolgate_reload_total{outcome=\"loaded\"} 2",
            "toolgate_reload_duration_seconds 0.25",
            "toolgate_reload_failing 1",
            "toolgate_rules{digest=\"0b\"} 1",
            "toolgate_reload_total{outcome=\"refused\"} 1",
            "toolgate_reload_last_success_timestamp_seconds 1700000000.25",
            "toolgate_generation 7",
            "toolgate_issuer_ready{issuer=\"corp\"} 1",
            "toolgate_issuer_ready{issuer=\"partner\"} 0",
            "toolgate_introspections_total{issuer=\"partner\",outcome=\"active\"} 0",
            "toolgate_introspections_total{issuer=\"partner\",outcome=\"failed\"} 1",
            "toolgate_audit_failures_total 1",
            "toolgate_panics_total 1",
            "toolgate_decision_duration_seconds_count{step=\"audit\"} 1",
            "toolgate_decision_duration_seconds_count{step=\"total\"} 0",
            "# EOF",
        ] {
            has(&metrics, line);
        }
        assert!(!metrics.encode().contains("0a"), "one set of rules holds at a time");
        metrics.load_mended();
        has(&metrics, "toolgate_reload_failing 0");
        metrics.issuer_removed("partner");
        assert!(!metrics.encode().contains("partner"));
    }
}
