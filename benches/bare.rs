//! The yardstick: the least that any external authorization server in Rust does for each request.

use std::net::SocketAddr;
use std::path::Path;

use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::authorization_server::{Authorization, AuthorizationServer};
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use envoy_types::pb::google::rpc;
use prost::Message;
use tokio::runtime::Builder;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

struct Constant;

#[tonic::async_trait]
impl Authorization for Constant {
    async fn check(&self, _: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let status = Some(rpc::Status::default());
        Ok(Response::new(CheckResponse { status, ..CheckResponse::default() }))
    }
}

/// Serves on one worker thread, as `toolgate serve --workers 1`, until it is killed.
pub(crate) fn serve(address: SocketAddr) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = Server::builder().add_service(AuthorizationServer::new(Constant));
    runtime.block_on(server.serve(address)).unwrap();
}

/// Asks once and prints `allow` or `deny` with the code: a load generator sees only that an answer came.
pub(crate) fn probe(address: &str, folder: &Path) {
    let request = CheckRequest::decode(crate::scene::message(folder).as_slice()).unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(async {
        let mut client = AuthorizationClient::connect(format!("http://{address}")).await.unwrap();
        client.check(request).await.unwrap().into_inner()
    });
    let status = answer.status.unwrap_or_default();
    println!("{} {} {}", if status.code == 0 { "allow" } else { "deny" }, status.code, status.message);
}
