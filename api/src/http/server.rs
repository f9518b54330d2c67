//! The accept loop.
//!
//! `/go` is answered before the router is asked: no route matching, no layers, no span. Everything
//! else goes through the router, on the main runtime, so that no handler holds up the redirects of its thread
//! (see `workers`); a connection that brings nothing but redirects does not even meet the HTTP library (see
//! `direct`). Both HTTP/1.1 and HTTP/2 (prior knowledge) are spoken.
//!
//! Shutdown, in this order: no new connections, live streams end, kept-alive connections are told to
//! close (idle ones at once, busy ones after their answer), and at the deadline the rest is dropped.

use crate::app::App;
use crate::http::address::Peer;
use crate::http::connection::{Connection, Connections, Patience, RequestGuard, Told};
use crate::http::direct::{Direct, Ended};
use crate::http::error::ApiError;
use crate::http::request_id::REQUEST_ID;
use crate::http::workers::Workers;
use crate::tracking::edge;
use crate::tracking::facts::HeaderFacts;
use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use gonggumoa_core::click::ClickMethod;
use http::{Method, Request, Response};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::io::{self, Cursor};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tower::ServiceExt;

/// How often quiet connections are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// After a failed accept (out of descriptors) others get time to close theirs.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown`, then finishes within `deadline`. An error: its threads cannot be started.
pub async fn serve(
    listener: TcpListener,
    app: App,
    router: Router,
    shutdown: CancellationToken,
    deadline: Duration,
) -> io::Result<()> {
    let mut workers = Workers::start()?;
    let connections = Arc::new(Connections::default());
    let tasks = TaskTracker::new();
    let door = Arc::new(Semaphore::new(app.settings.connections_max));
    let builder = Arc::new(builder(&app));
    let sweeper = tokio::spawn(sweep(Arc::clone(&connections), patience(&app), shutdown.clone()));
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &door) => accepted,
        };
        let Some((stream, peer, permit)) = accepted else { continue };
        let (connection, open) = connections.open();
        let aside = Handle::current();
        let context = Arc::new(Serving { app: app.clone(), router: router.clone(), aside, peer, connection });
        let builder = Arc::clone(&builder);
        let serving = tasks.track_future(async move {
            // Its events go to the thread that serves it from here on.
            match TcpStream::from_std(stream) {
                Ok(stream) => serve_connection(stream, &builder, context).await,
                Err(error) => tracing::warn!(error = %error, "a connection was not taken over"),
            }
            drop(open);
            drop(permit);
        });
        workers.give(move || drop(tokio::spawn(serving)));
    }
    drop(listener);
    connections.finish_all();
    tasks.close();
    if tokio::time::timeout(deadline, tasks.wait()).await.is_err() {
        tracing::warn!(connections.open = connections.len(), "connections did not finish in time");
        connections.drop_all();
        tasks.wait().await;
    }
    sweeper.abort();
    workers.end().await;
    Ok(())
}

fn patience(app: &App) -> Patience {
    let sweeps = |time: Duration| time.as_secs().div_ceil(SWEEP_EVERY.as_secs()) as u32;
    Patience {
        silent_sweeps: sweeps(app.settings.header_read_timeout),
        idle_sweeps: sweeps(app.settings.idle_timeout),
    }
}

fn builder(app: &App) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().max_buf_size(app.settings.headers_max_bytes.max(64 * 1024)).half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(30))
        .max_concurrent_streams(256)
        .max_header_list_size(u32::try_from(app.settings.headers_max_bytes).unwrap_or(u32::MAX));
    builder
}

type Accepted = (std::net::TcpStream, IpAddr, tokio::sync::OwnedSemaphorePermit);

/// The next connection, once there is a place for it.
async fn accept(listener: &TcpListener, door: &Arc<Semaphore>) -> Option<Accepted> {
    let permit = Arc::clone(door).acquire_owned().await.ok()?;
    let accepted = listener.accept().await.and_then(|(stream, address)| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(error = %error, "TCP_NODELAY was refused");
        }
        Ok((stream.into_std()?, address.ip()))
    });
    match accepted {
        Ok((stream, address)) => Some((stream, address, permit)),
        Err(error) => {
            tracing::warn!(error = %error, "a connection was not accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn sweep(connections: Arc<Connections>, patience: Patience, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(SWEEP_EVERY) => connections.sweep(patience),
        }
    }
}

/// What the requests of one connection share.
struct Serving {
    app: App,
    router: Router,
    /// Where everything but `/go` runs.
    aside: Handle,
    peer: IpAddr,
    connection: Arc<Connection>,
}

async fn serve_connection(
    mut stream: TcpStream,
    builder: &auto::Builder<TokioExecutor>,
    context: Arc<Serving>,
) {
    let connection = Arc::clone(&context.connection);
    let direct =
        Direct { app: &context.app, aside: &context.aside, peer: context.peer, connection: &connection };
    let mut redirecting = Box::pin(direct.serve(&mut stream));
    let ended = std::future::poll_fn(|task: &mut Context<'_>| match connection.told(task.waker()) {
        Told::Nothing | Told::Finish => redirecting.as_mut().poll(task),
        Told::Drop => Poll::Ready(Ok(Ended::Closed)),
    })
    .await;
    drop(redirecting);
    match ended {
        Ok(Ended::Closed) => {}
        Ok(Ended::Other(unread)) => {
            let (reading, writing) = stream.into_split();
            let stream = tokio::io::join(Cursor::new(unread).chain(reading), writing);
            serve_anything(TokioIo::new(stream), &connection, builder, Arc::clone(&context)).await;
        }
        Err(error) => tracing::trace!(error = %error, "connection ended"),
    }
}

async fn serve_anything(
    stream: impl hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    connection: &Connection,
    builder: &auto::Builder<TokioExecutor>,
    context: Arc<Serving>,
) {
    let service = service_fn(move |request| answer(Arc::clone(&context), request));
    let mut serving = pin!(builder.serve_connection(stream, service));
    let mut finishing = false;
    std::future::poll_fn(|task: &mut Context<'_>| {
        match connection.told(task.waker()) {
            Told::Nothing => {}
            Told::Finish if finishing => {}
            Told::Finish => {
                finishing = true;
                serving.as_mut().graceful_shutdown();
            }
            Told::Drop => return Poll::Ready(()),
        }
        serving.as_mut().poll(task).map(|result| {
            if let Err(error) = result {
                tracing::trace!(error = %error, "connection ended");
            }
        })
    })
    .await;
}

async fn answer(context: Arc<Serving>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let guard = context.connection.request();
    let method = match *request.method() {
        Method::GET => Some(ClickMethod::Get),
        Method::HEAD => Some(ClickMethod::Head),
        _ => None,
    };
    if let (Some(method), Some(id)) = (method, edge::go_path(request.uri().path())) {
        let app = &context.app;
        let facts = HeaderFacts::read(request.headers());
        let address = app.proxies.client_by(context.peer, request.headers());
        let mut response = edge::go(app, &context.aside, id, method, &facts, address).await;
        response.headers_mut().insert(REQUEST_ID, app.request_ids.next());
        return Ok(response);
    }
    Box::pin(route(&context, request, guard)).await
}

async fn route(
    context: &Serving,
    request: Request<Incoming>,
    guard: RequestGuard,
) -> Result<Response<Body>, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(Peer(context.peer));
    let routed = context.aside.spawn(context.router.clone().oneshot(request));
    // A client that goes away takes its request along.
    let response = match AbortOnDropHandle::new(routed).await {
        Ok(Ok(response)) => response,
        Err(error) => ApiError::internal(error).into_response(),
    };
    Ok(response.map(|body| Body::new(Guarded { body, _guard: guard })))
}

/// A body that keeps its connection busy until it is sent or dropped.
struct Guarded {
    body: Body,
    _guard: RequestGuard,
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
