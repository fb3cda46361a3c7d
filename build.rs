//! Compiles `proto/` without `protoc`: the messages, the service around a codec of our own, and the descriptors that
//! reflection serves.

use std::error::Error;
use std::path::PathBuf;

use tonic_build::manual::{Method, Service};

const ROOT: &str = "envoy/service/auth/v3/external_auth.proto";

/// What logs are exported with; over HTTP, so there is no service of it.
const OTLP: &str = "opentelemetry/proto/collector/logs/v1/logs_service.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_file(ROOT)?;
    std::fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;

    prost_build::Config::new().bytes(["."]).include_file("messages.rs").compile_fds(compiler.file_descriptor_set())?;

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_file(OTLP)?;
    prost_build::Config::new().include_file("otlp.rs").compile_fds(compiler.file_descriptor_set())?;

    // By hand, because neither type is a protobuf message: whatever bytes come are handed to the service, and its answer is
    // encoded before it is recorded.
    let check = Method::builder()
        .name("check")
        .route_name("Check")
        .comment("Answers whether one request may pass.")
        .input_type("crate::envoy::wire::RawCheck")
        .output_type("crate::envoy::wire::RawAnswer")
        .codec_path("crate::envoy::wire::CheckCodec")
        .build();
    let authorization = Service::builder()
        .name("Authorization")
        .package("envoy.service.auth.v3")
        .comment("Decides each HTTP request before it goes upstream.")
        .method(check)
        .build();
    tonic_build::manual::Builder::new().build_client(false).compile(&[authorization]);
    Ok(())
}
