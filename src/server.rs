//! Floor 3: the gRPC server around the authorization service, with health and reflection beside it.
//!
//! Signals, readiness and the rules are the caller's: this module is told what to serve and when to stop.

use std::io;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::{Router, TcpIncoming};
use tonic_health::ServingStatus;

use crate::envoy::wire::{Authorization, AuthorizationServer, DESCRIPTORS, MESSAGE_CEILING};

mod bound;
mod gathered;

use bound::Socket;
pub use bound::{Address, BindError, Bound};
use gathered::Gathered;

/// How long calls in flight may take after the order to stop. Envoy waits for an answer 200 ms by default, so whoever
/// is still unanswered by then has given up; what remains is connections whose other end is gone.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// Calls at a time on one connection; Envoy opens another above it. It bounds the memory that one connection can claim.
const CONCURRENT_STREAMS: u32 = 1024;

/// Resets of calls not yet looked at before a connection is taken for an attack and ended. Envoy resets each call at
/// its timeout, so one stall resets as many as were waiting; h2's default of 20 would then cost the whole connection.
const PENDING_RESETS: usize = 1024;

/// How often a silent connection is asked whether its other end is alive.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// How long it may take to say so.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// The rest after a failed `accept`: without file descriptors it fails at once, again and again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// The name by which health checks ask for the whole process.
const WHOLE_PROCESS: &str = "";

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Every call was answered and every connection closed.
    Drained,
    /// The limit passed first; what was left is cut when the process ends.
    Cut,
}

/// Why serving failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServeError {
    /// The descriptors that reflection serves do not fit together.
    #[error("reflection cannot be served: {0}")]
    Reflection(String),
    /// A listener ended by itself; which one, and what it said.
    #[error("a listener ended: {0}")]
    Listener(String),
}

/// Serves each listener with the service beside it (so that a service can know which listener it answers) until
/// `shutdown` resolves. Then, in this order: `stopping` is called, health says NOT_SERVING, no connection is accepted
/// any more, each open one is told to go away, and calls in flight are answered, for `drain` at most.
///
/// # Errors
/// [`ServeError`] if serving cannot begin, or a listener ends before `shutdown`.
pub async fn serve<S: Authorization>(
    listeners: Vec<(Bound, S)>,
    shutdown: impl Future<Output = ()>,
    stopping: impl FnOnce(),
    drain: Duration,
) -> Result<Stopped, ServeError> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<AuthorizationServer<S>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .build_v1()
        .map_err(|error| ServeError::Reflection(error.to_string()))?;

    let (stop, stopped) = watch::channel(false);
    let mut running = JoinSet::new();
    for (bound, service) in listeners {
        let check = AuthorizationServer::new(service).max_decoding_message_size(MESSAGE_CEILING);
        let routes = Routes::new(check).add_service(health_service.clone()).add_service(reflection.clone());
        running.spawn(listen(bound, router(routes), stopped.clone()));
    }

    tokio::select! {
        biased;
        () = shutdown => {}
        Some(ended) = running.join_next() => {
            return Err(ServeError::Listener(ended.unwrap_or_else(|error| error.to_string())));
        }
    }

    stopping();
    health.set_not_serving::<AuthorizationServer<S>>().await;
    health.set_service_status(WHOLE_PROCESS, ServingStatus::NotServing).await;
    stop.send_replace(true);
    let all = async { while running.join_next().await.is_some() {} };
    Ok(tokio::time::timeout(drain, all).await.map_or(Stopped::Cut, |()| Stopped::Drained))
}

/// The settings of every connection.
fn router(routes: Routes) -> Router {
    Server::builder()
        .max_concurrent_streams(CONCURRENT_STREAMS)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS))
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .add_routes(routes)
}

/// Serves one listener until the order to stop and the end of its connections. Returns which listener ended, and why.
async fn listen(bound: Bound, router: Router, mut stopped: watch::Receiver<bool>) -> String {
    let address = bound.address().to_string();
    let order = async move {
        // An error says that the sender is gone, and with it whoever wanted to be served.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let ended = match bound.socket {
        Socket::Tcp(listener) => {
            // Without delay: an answer is one small write that must not wait for the next.
            let connections = TcpIncoming::from(listener).with_nodelay(Some(true));
            router.serve_with_incoming_shutdown(paced(connections), order).await
        }
        Socket::Unix(listener, _removed_at_the_end) => {
            router.serve_with_incoming_shutdown(paced(UnixListenerStream::new(listener)), order).await
        }
    };
    match ended {
        Ok(()) => address,
        Err(error) => format!("{address}: {error}"),
    }
}

/// The same connections, written to as [`Gathered`] has it, with a rest after each failure to accept one.
fn paced<C>(connections: impl Stream<Item = io::Result<C>>) -> impl Stream<Item = io::Result<Gathered<C>>> {
    connections.then(|connection| async {
        if let Err(error) = &connection {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
        connection.map(Gathered)
    })
}
