//! The archive in a bucket: a server that speaks S3, in this process, and the binary that is to use it.

use crate::harness::process::free_port;
use crate::harness::{Api, Deployment, LONG, Visitor, eventually};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use tokio::net::TcpListener;

const KEY: &str = "AKTESTTESTTESTTEST";
const SECRET: &str = "a-secret-of-the-test";

/// Serves the folders of `root` as buckets, the objects as files, as long as the test runs.
async fn serve(root: &Path) -> SocketAddr {
    let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root).unwrap());
    service.set_auth(SimpleAuth::from_single(KEY, SECRET));
    let service = service.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

fn archiving(bucket: &str, address: SocketAddr) -> Deployment {
    let mut deployment = Deployment::new();
    deployment
        .set("AWS_S3_BUCKET", bucket)
        .set("AWS_ENDPOINT_URL", &format!("http://{address}"))
        .set("AWS_ACCESS_KEY_ID", KEY)
        .set("AWS_SECRET_ACCESS_KEY", SECRET)
        .set("ARCHIVE_PREFIX", "production");
    deployment
}

/// Takes a click and judges it.
async fn works(deployment: &Deployment) {
    let admin = Api::new(deployment).admin().await;
    let gonggu = admin.open_gonggu().await;
    Visitor::new().go(&admin, gonggu).await.redirected();
    admin.settled(gonggu, 1).await;
}

#[tokio::test]
async fn the_bucket_is_tried_out_at_the_start_and_wrong_settings_are_named() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("archive")).unwrap();
    let address = serve(root.path()).await;
    let mut deployment = archiving("archive", address);
    deployment.start().await;
    works(&deployment).await;
    assert!(root.path().join("archive/production/check/created-once").is_file());
    assert!(!deployment.data_dir().join("archive").exists(), "nothing is kept beside the bucket");
    deployment.stop().await;

    for (name, value) in [
        ("AWS_S3_BUCKET", "another"),
        ("AWS_ACCESS_KEY_ID", "AKNOBODY"),
        ("AWS_SECRET_ACCESS_KEY", "no-secret"),
    ] {
        let mut deployment = archiving("archive", address);
        let reason = deployment.set(name, value).refusal().await;
        assert!(reason.contains(&format!("{name}: ")), "{name}={value} is not named:\n{reason}");
        assert!(!reason.contains(SECRET) && !reason.contains("no-secret"), "a secret was printed:\n{reason}");
    }
}

#[tokio::test]
async fn clicks_are_taken_and_judged_while_the_bucket_does_not_answer() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut deployment = archiving("archive", nobody);
    deployment.spawn(None);
    let url = format!("{}/health/ready", deployment.base_url());
    eventually("all but the archive works", LONG, async || {
        let answer = reqwest::get(&url).await.map_err(|error| error.to_string())?;
        let body: Value = answer.json().await.map_err(|error| error.to_string())?;
        let parts = body["parts"].as_object().ok_or("no parts")?;
        let mut others = parts.iter().filter(|(name, _)| *name != "archive");
        if others.all(|(_, part)| part["ready"] == true) { Ok(()) } else { Err(body.to_string()) }
    })
    .await;
    works(&deployment).await;
    assert!(deployment.log_text().contains("AWS_ENDPOINT_URL"), "the log says what is missing");
    deployment.stop().await;
}
