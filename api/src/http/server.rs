//! The accept loop.
//!
//! `/go` is answered before the router is asked: no route matching, no layers, no span. Everything
//! else goes through the router, on the main runtime, so that no handler holds up the redirects of its thread
//! (see `workers`); a connection that brings nothing but redirects does not even meet the HTTP library (see
//! `direct`). Both HTTP/1.1 and HTTP/2 (prior knowledge) are spoken.
//!
//! What a connection may cost is bounded: how many there are, how many one address holds, how long one is quiet, and
//! how long a client may take nothing of its answer. The last is seen by the pieces in which a body is handed over,
//! so pieces and the kernel's buffer are small enough for some 3 KB a second to count as progress within a minute.
//!
//! Shutdown, in this order: no new connections, live streams end, kept-alive connections are told to
//! close (idle ones at once, busy ones after their answer), and at the deadline the rest is dropped.

use crate::app::App;
use crate::http::address::Peer;
use crate::http::connection::{BodyGuard, Connection, Connections, Patience, Quota, RequestGuard, Told};
use crate::http::direct::{Direct, Ended};
use crate::http::error::ApiError;
use crate::http::request_id::REQUEST_ID;
use crate::http::settings::Served;
use crate::http::workers::Workers;
use crate::tracking::edge;
use crate::tracking::facts::HeaderFacts;
use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use gonggumoa_core::click::ClickMethod;
use gonggumoa_core::visitor::normalise;
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

/// The other path of a click.
const CLICK_PATH: &str = "/api/v1/tracking/click";
/// What every process answers.
const HEALTH_PATHS: &str = "/health/";
/// How often quiet connections are looked for; more often where one's patience is shorter.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Bytes of a body handed over at once.
const PIECE_BYTES: usize = 32 * 1024;
/// What the kernel holds of an answer that the client has not taken (it doubles this for its own bookkeeping, and
/// asks for more when a third is free). Left to itself it takes up to 4 MB, which a slow client needs a quarter of an
/// hour for and 16,384 clients that read nothing no machine has. Enough for 2 MB a second over 200 ms.
const SEND_BUFFER_BYTES: usize = 256 * 1024;
/// Counts what was over an address's limit.
const REFUSED: &str = "http_connections_refused_total";
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
    let sweeper = tokio::spawn(sweep(Arc::clone(&connections), app.clone(), shutdown.clone()));
    // Each connection inherits it.
    if let Err(error) = rustix::net::sockopt::set_socket_send_buffer_size(&listener, SEND_BUFFER_BYTES) {
        tracing::warn!(error = %error, "the send buffer cannot be bounded; slow readers are noticed later");
    }
    metrics::describe_counter!(REFUSED, "Connections closed at once: their address held enough");
    let refused = metrics::counter!(REFUSED);
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &door) => accepted,
        };
        let Some((stream, peer, permit)) = accepted else { continue };
        let Some((connection, open)) = connections.open(quota(&app, peer)) else {
            refused.increment(1);
            continue;
        };
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

/// What an address may hold; no limit for a trusted proxy, behind whose address stand many.
fn quota(app: &App, peer: IpAddr) -> Option<Quota> {
    let max = app.settings.connections_per_address_max;
    (!app.proxies.trusts(peer.to_canonical())).then(|| Quota { address: normalise(peer), max })
}

/// How often to look, and how often in vain.
fn patience(app: &App) -> (Duration, Patience) {
    let settings = &app.settings;
    let times = [settings.header_read_timeout, settings.idle_timeout, settings.write_stall_timeout];
    let every = times.into_iter().fold(SWEEP_EVERY, Duration::min).max(Duration::from_millis(50));
    let sweeps =
        |time: Duration| u32::try_from(time.as_millis().div_ceil(every.as_millis())).unwrap_or(u32::MAX);
    let [silent_sweeps, idle_sweeps, stalled_sweeps] = times.map(sweeps);
    (every, Patience { silent_sweeps, idle_sweeps, stalled_sweeps })
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

async fn sweep(connections: Arc<Connections>, app: App, shutdown: CancellationToken) {
    let (every, patience) = patience(&app);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(every) => connections.sweep(patience),
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
    if !is_served(context.app.settings.served, request.uri().path()) {
        return Ok(ApiError::RouteNotFound.into_response());
    }
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

fn is_served(served: Served, path: &str) -> bool {
    if served == Served::ALL {
        return true;
    }
    if edge::go_path(path).is_some() || path == CLICK_PATH {
        served.clicks
    } else {
        served.api || path.starts_with(HEALTH_PATHS)
    }
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
    let progress = context.connection.body();
    Ok(response.map(|body| Body::new(Guarded { body, rest: Bytes::new(), progress, _guard: guard })))
}

/// A body that keeps its connection busy until it is sent or dropped, handed over in small pieces.
struct Guarded {
    body: Body,
    /// What is left of a piece that was too large.
    rest: Bytes,
    progress: BodyGuard,
    _guard: RequestGuard,
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.progress.asked();
        if self.rest.is_empty() {
            match std::task::ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        let length = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(length);
        self.progress.given();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
mod tests;
