//! `toolgate serve`: from the configuration to a running service, and in order back down.

use std::io;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use super::{ConfigFile, Exit, color, refused};
use crate::admin;
use crate::admin::{AdminState, IssuerStatus, Loaded as LoadedCounts, Readiness, StatusReport};
use crate::audit::{Audit, AuditSettings, CheckpointSettings, FileSettings, OtlpSettings};
use crate::clock::Clock;
use crate::config::Listen;
use crate::envoy::check::{Check, Gate};
use crate::envoy::proofs::Proofs;
use crate::envoy::tokens::Tokens;
use crate::issuer::Issuer;
use crate::metrics::Metrics;
use crate::problem::render;
use crate::reload::generation::Generation;
use crate::reload::load::Loaded;
use crate::reload::{Gathered, Live, Pace, Watch, watch};
use crate::server;
use crate::server::{Bound, DRAIN_LIMIT};
use crate::telemetry;
use crate::telemetry::LogFormat;

/// Between two looks at the audit trail: a file that was moved is found, and an idle chain signed, well within a second.
const TICK: Duration = Duration::from_millis(250);

pub(super) const EXAMPLE: &str = "Example:
  toolgate serve -c toolgate.yaml

Exit codes: 0 after a clean stop, 1 it could not listen, record or go on, 3 invalid configuration (nothing is started).";

#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    #[command(flatten)]
    file: ConfigFile,
    /// The form of the log on standard error; RUST_LOG filters it
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Threads that answer requests; by default as many as the process has cores
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
}

/// What cannot be started or kept running, in one sentence.
#[derive(Debug, thiserror::Error)]
enum ServeFailure {
    #[error("{0}")]
    Text(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[expect(clippy::needless_pass_by_value, reason = "called through `map_err`")]
fn text(error: impl ToString) -> ServeFailure {
    ServeFailure::Text(error.to_string())
}

impl Serve {
    pub(super) fn run(self) -> Exit {
        if let Err(error) = telemetry::init(self.log_format) {
            eprintln!("{error}");
            return Exit::Failure;
        }
        let config = &self.file.config;
        let pause = || std::thread::sleep(Pace::default().quiet);
        let settled = Gathered::look(config).settle(config, &pause);
        let loaded = match settled.and_then(|settled| settled.load(1)) {
            Ok(loaded) => loaded,
            Err(failure) => return refused(&failure),
        };
        if !loaded.warnings.is_empty() {
            eprintln!("{}", render(&loaded.warnings, color()));
        }
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        if let Some(workers) = self.workers {
            runtime.worker_threads(workers.get());
        }
        let served = runtime.enable_all().build().map_err(ServeFailure::from);
        match served.and_then(|runtime| runtime.block_on(self.serve(loaded))) {
            Ok(()) => Exit::Success,
            Err(error) => {
                eprintln!("toolgate: {error}");
                Exit::Failure
            }
        }
    }

    async fn serve(&self, loaded: Loaded) -> Result<(), ServeFailure> {
        let clock = Clock::System;
        let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")));
        let listeners = bind(&loaded.config.listen).await?;
        let admin = match loaded.config.listen.admin {
            Some(address) => Some(
                TcpListener::bind(address)
                    .await
                    .map_err(|error| text(format!("cannot listen on `{address}`: {error}")))?,
            ),
            None => None,
        };
        let audit = Arc::new(open_audit(&loaded, &metrics, &clock)?);
        let audit_file = loaded.config.audit.file.as_ref().map(|file| file.path.value.clone());
        let message_limit = loaded.config.limits.message;
        let stdout_is_audit = loaded.config.audit.stdout.is_some();
        let first = Generation::start(loaded, None, &metrics, clock.now()).map_err(text)?;
        let live = Arc::new(Live::new(first, self.file.config.clone(), metrics.clone(), audit.clone(), clock.clone()));

        let ready = ready_line(&listeners, admin.as_ref(), &live);
        let readiness = Readiness::default();
        let state = admin_state(&live, &audit, &metrics, &readiness);
        let gate = Arc::new(Gate {
            live: live.clone(),
            tokens: Tokens::default(),
            proofs: Proofs::default(),
            audit: audit.clone(),
            metrics,
            clock: clock.clone(),
            message_limit,
        });
        let services =
            listeners.into_iter().map(|(bound, server)| (bound, Check::new(gate.clone(), server.as_deref()))).collect();

        let watch = watch(live, audit_file, Pace::default())?;
        let background = [
            tokio::spawn(on_hangup(watch, audit.clone(), clock.clone())?),
            tokio::spawn(tick(audit.clone(), clock.clone())),
        ];
        let stopped = Arc::new(Notify::new());
        let admin = admin.map(|listener| {
            let stopped = stopped.clone();
            tokio::spawn(admin::serve(listener, state, async move { stopped.notified().await }))
        });
        // Before anybody is told that there is something to stop.
        let stop = stop_signal()?;
        // Serving goes on when nobody reads the line; `println!` would panic.
        let _ = if stdout_is_audit { writeln!(io::stderr(), "{ready}") } else { writeln!(io::stdout(), "{ready}") };
        let ended = server::serve(services, stop, || readiness.drain(), DRAIN_LIMIT).await;
        stopped.notify_one();
        for task in background {
            task.abort();
        }
        if let Some(admin) = admin {
            // Its last answers are of no use to a decision; whatever they end with, the process ends.
            let _ = tokio::time::timeout(DRAIN_LIMIT, admin).await;
        }
        audit.close(clock.now());
        ended.map(|_| ()).map_err(text)
    }
}

async fn bind(listen: &Listen) -> Result<Vec<(Bound, Option<String>)>, ServeFailure> {
    let mut listeners = Vec::with_capacity(listen.grpc.len());
    for listener in &listen.grpc {
        listeners.push((Bound::bind(&listener.address).await.map_err(text)?, listener.server.clone()));
    }
    Ok(listeners)
}

fn open_audit(loaded: &Loaded, metrics: &Metrics, clock: &Clock) -> Result<Audit, ServeFailure> {
    let config = &loaded.config.audit;
    let file = config.file.as_ref().map(|file| FileSettings {
        path: file.path.value.clone(),
        mode: file.mode,
        rotation: file.rotation,
    });
    let otlp = config.otlp.as_ref().map(|otlp| OtlpSettings {
        endpoint: otlp.endpoint.clone(),
        mode: otlp.mode,
        access: loaded.otlp_access.clone(),
    });
    let checkpoints = config.checkpoints.as_ref().zip(loaded.audit_key.clone());
    let checkpoints = checkpoints.map(|(config, signer)| CheckpointSettings {
        signer,
        records: config.records,
        interval: config.interval,
        copy: config.copy.as_ref().map(|copy| copy.value.clone()),
    });
    let settings = AuditSettings {
        file,
        stdout: config.stdout,
        otlp,
        checkpoints,
        subject_key: loaded.subject_key.clone(),
        unauthenticated_rate: Some(config.unauthenticated_rate),
        failures: metrics.audit_failures(),
    };
    Audit::open(&settings, clock.now()).map_err(text)
}

/// Lets the trail do what time asks for, for as long as the process runs.
async fn tick(audit: Arc<Audit>, clock: Clock) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (audit, now) = (audit.clone(), clock.now());
        if let Err(error) = tokio::task::spawn_blocking(move || audit.tick(now)).await {
            tracing::error!(%error, "the audit trail's housekeeping ended in a panic");
        }
    }
}

fn ready_line(listeners: &[(Bound, Option<String>)], admin: Option<&TcpListener>, live: &Live) -> String {
    let grpc: Vec<String> = listeners.iter().map(|(bound, _)| bound.address().to_string()).collect();
    let admin =
        admin.and_then(|listener| listener.local_addr().ok()).map_or("none".to_owned(), |address| address.to_string());
    let current = live.current();
    let digest = current.rules.digest.get(..12).unwrap_or_default();
    format!(
        "toolgate ready: grpc {}, admin {admin}, generation {}, digest {digest}",
        grpc.join(" "),
        current.rules.generation
    )
}

/// Resolves at SIGTERM or SIGINT.
fn stop_signal() -> Result<impl Future<Output = ()>, ServeFailure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
    })
}

/// At each SIGHUP: the audit file is opened by its name again, and the rules are read again.
fn on_hangup(watch: Watch, audit: Arc<Audit>, clock: Clock) -> Result<impl Future<Output = ()>, ServeFailure> {
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            if let Err(error) = audit.reopen(clock.now()) {
                tracing::error!(%error, "the audit file cannot be opened again; records go where they went before");
            }
            watch.look_now();
        }
    })
}

fn issuer_status(issuer: &Issuer) -> IssuerStatus {
    let status = issuer.status();
    let detail = status.error.map(|error| error.to_string());
    IssuerStatus { name: status.name, ready: status.ready, detail, introspection: status.introspection }
}

fn admin_state(live: &Arc<Live>, audit: &Arc<Audit>, metrics: &Arc<Metrics>, readiness: &Readiness) -> Arc<AdminState> {
    let (live, audit, counted) = (live.clone(), audit.clone(), metrics.clone());
    let status = move || {
        let current = live.current();
        let rules = &current.rules;
        let issuers: Vec<_> = current.issuers.iter().map(|trusted| issuer_status(&trusted.issuer)).collect();
        for issuer in &issuers {
            counted.issuer_ready(&issuer.name, issuer.ready);
        }
        StatusReport {
            version: env!("CARGO_PKG_VERSION"),
            generation: rules.generation,
            digest: rules.digest.clone(),
            since: current.since,
            loaded: LoadedCounts {
                policies: rules.engine.bundle().len(),
                servers: rules.servers.len(),
                tools: rules.servers.iter().map(|server| server.model.catalogued_tools()).sum(),
            },
            issuers,
            last_reload_failure: live.failure(),
            restart_needed: live.restart_needed(),
            records: audit.takes_records(),
            audit: audit.sinks(),
        }
    };
    Arc::new(AdminState { metrics: metrics.clone(), readiness: readiness.clone(), status: Arc::new(status) })
}
