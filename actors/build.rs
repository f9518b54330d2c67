//! Makes Rust of the Protobuf schema of `clicks.judged`, without `protoc`.

use std::error::Error;

const SCHEMA: &str = "proto/judged_click.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={SCHEMA}");
    let files = protox::compile([SCHEMA], ["proto"])?;
    prost_build::Config::new().compile_fds(files)?;
    Ok(())
}
