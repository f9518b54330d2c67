//! A server that speaks S3, in this process; what it refuses is told by the setting's name.

use crate::archive::*;
use futures::TryStreamExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use std::path::PathBuf;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const BUCKET: &str = "clicks-archive";
const KEY: &str = "AKTESTTESTTESTTEST";
const SECRET: &str = "a-secret-of-the-test";

/// Serves the folders of `root` as buckets, the objects as files, until it is dropped.
pub(super) struct S3Server {
    endpoint: String,
    serving: JoinHandle<()>,
    root: tempfile::TempDir,
}

impl S3Server {
    pub(super) async fn start() -> Self {
        Self::start_with(false).await
    }

    /// `forgetful`: what is to be created is written over, as by stores that know no conditions.
    async fn start_with(forgetful: bool) -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(BUCKET)).unwrap();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let files = root.path().to_owned();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (service, files) = (service.clone(), files.clone());
                let service = hyper::service::service_fn(move |request: hyper::Request<_>| {
                    if forgetful && request.headers().contains_key("if-none-match") {
                        let file = request.uri().path().trim_start_matches('/');
                        let _ = std::fs::remove_file(files.join(file));
                    }
                    hyper::service::Service::call(&service, request)
                });
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { endpoint, serving, root }
    }

    pub(super) fn settings(&self) -> S3Settings {
        settings(self.endpoint.clone())
    }

    /// Where the objects under the settings' prefix lie as files.
    pub(super) fn folder(&self) -> PathBuf {
        self.root.path().join(BUCKET).join("deployments/one")
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn settings(endpoint: String) -> S3Settings {
    S3Settings {
        bucket: BUCKET.to_owned(),
        endpoint: Some(endpoint),
        region: "us-east-1".to_owned(),
        access_key_id: KEY.to_owned(),
        secret_access_key: SECRET.to_owned(),
        prefix: "deployments/one".to_owned(),
    }
}

/// What the check says of settings.
async fn checked(settings: &S3Settings) -> Result<(), S3Error> {
    s3_check(&*s3(settings).unwrap()).await
}

/// The setting that the check names, after it was looked at for secrets.
async fn refused(settings: &S3Settings) -> &'static str {
    let error = checked(settings).await.unwrap_err();
    let text = error.to_string();
    assert!(!text.contains(&settings.secret_access_key) && !error.retryable(), "{text}");
    match error {
        S3Error::Setting { setting, .. } => setting,
        S3Error::Unreachable { .. } => panic!("{text}"),
    }
}

#[tokio::test]
async fn right_settings_pass_every_start() {
    let server = S3Server::start().await;
    for _ in 0..3 {
        checked(&server.settings()).await.unwrap();
    }
    let whole_bucket = S3Settings { prefix: String::new(), ..server.settings() };
    checked(&whole_bucket).await.unwrap();
    let names = s3(&whole_bucket).unwrap().list(None).map_ok(|object| object.location.to_string());
    let names: Vec<_> = names.try_collect().await.unwrap();
    assert_eq!(names, ["check/created-once", "deployments/one/check/created-once"]);
}

#[tokio::test]
async fn an_object_is_created_once_and_never_written_over() {
    let server = S3Server::start().await;
    let objects = s3(&server.settings()).unwrap();
    let name = Path::from("clicks/p0/00000000000000000001.gmz");
    objects.put_opts(&name, "first".into(), PutMode::Create.into()).await.unwrap();
    let error = objects.put_opts(&name, "second".into(), PutMode::Create.into()).await.unwrap_err();
    assert!(matches!(error, object_store::Error::AlreadyExists { .. }), "{error}");
    let found = objects.get(&name).await.unwrap().bytes().await.unwrap();
    assert_eq!(&found[..], b"first");
}

#[tokio::test]
async fn what_the_store_refuses_is_named() {
    let server = S3Server::start().await;
    let right = server.settings();
    let text = |text: &str| text.to_owned();
    let bucket = S3Settings { bucket: text("another-bucket"), ..right.clone() };
    assert_eq!(refused(&bucket).await, "AWS_S3_BUCKET");
    let key = S3Settings { access_key_id: text("AKNOBODY"), ..right.clone() };
    assert_eq!(refused(&key).await, "AWS_ACCESS_KEY_ID");
    let secret = S3Settings { secret_access_key: text("another-secret-of-the-test"), ..right.clone() };
    assert_eq!(refused(&secret).await, "AWS_SECRET_ACCESS_KEY");
    let shown = format!("{secret:?}");
    assert!(shown.contains(KEY) && !shown.contains("another-secret"), "{shown}");
}

#[tokio::test]
async fn a_store_that_would_write_over_files_is_refused() {
    let server = S3Server::start_with(true).await;
    assert_eq!(refused(&server.settings()).await, "AWS_ENDPOINT_URL");
}

/// Settings of what is no S3 store: every connection is handed to `answer`.
async fn elsewhere<F>(answer: impl Fn(TcpStream) -> F + Send + 'static) -> S3Settings
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    settings(format!("http://{address}"))
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_waited_for() {
    let silent = elsewhere(|stream| async move { drop(stream) }).await;
    let error = checked(&silent).await.unwrap_err();
    assert!(matches!(error, S3Error::Unreachable { .. }) && error.retryable(), "{error}");
}

#[tokio::test]
async fn what_is_no_object_store_is_named() {
    let page = elsewhere(|stream| async move {
        let page = hyper::service::service_fn(async |_: hyper::Request<_>| {
            Ok::<_, std::convert::Infallible>(hyper::Response::new("<html>hello</html>".to_owned()))
        });
        let server = auto::Builder::new(TokioExecutor::new());
        let _ = server.serve_connection(TokioIo::new(stream), page).await;
    });
    assert_eq!(refused(&page.await).await, "AWS_ENDPOINT_URL");
}

#[test]
fn a_prefix_is_a_path_of_names() {
    for (text, expected) in [("", ""), ("archive", "archive"), ("/a/b/", "a/b"), ("공구", "공구")] {
        assert_eq!(s3_prefix(text).as_deref(), Ok(expected));
    }
    for text in ["a//b", "a/../b", "//"] {
        assert!(s3_prefix(text).is_err(), "{text}");
    }
}
