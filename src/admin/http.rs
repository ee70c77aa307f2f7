//! HTTP for monitoring: `/metrics`, `/healthz`, `/readyz`, `/status`, `/api/v1/neighbors`. Reads only;
//! GET only.
//!
//! Source: Prometheus text format 0.0.4; RFC 9110 §15.6.4 (503).
//! One request per connection: a connection lives for 10 s at most, and 64 of them at a time; the
//! next ones wait in the backlog. So nobody can hold memory or descriptors for long.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: reads the clock when a request comes in"
)]

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

use super::Published;
use crate::telemetry::Metrics;

const CONNECTIONS_MAX: usize = 64;
const CONNECTION_LIFE_MAX: Duration = Duration::from_secs(10);
/// After accept failed, usually because the process may open no more files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
const METRICS_TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4");

/// Where answers come from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// What the routing thread publishes.
    pub published: Arc<Published>,
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
}

/// Serves until the future is dropped.
///
/// # Errors
/// The listener cannot be used; a failing connection is no error.
pub async fn serve(listener: std::net::TcpListener, sources: Sources) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = Bounded {
        listener: TcpListener::from_std(listener)?,
        permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        life: CONNECTION_LIFE_MAX,
    };
    axum::serve(listener, router(sources)).await
}

fn router(sources: Sources) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/status", get(status))
        .route("/api/v1/neighbors", get(neighbors))
        .route("/api/v1/neighbors/{address}", get(neighbor))
        .layer(axum::middleware::map_response(close_afterwards))
        .with_state(sources)
}

async fn close_afterwards(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn metrics(State(sources): State<Sources>) -> Response {
    match sources.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// 200 while the process lives and the routing thread reports.
async fn healthz(State(sources): State<Sources>) -> Response {
    match sources.published.fresh(Instant::now()) {
        Ok(_) => "ok\n".into_response(),
        Err(problem) => unavailable(&problem.to_string()),
    }
}

/// 200 while the node does what it was told, see [`super::Status::unready_reasons`].
async fn readyz(State(sources): State<Sources>) -> Response {
    match sources.published.fresh(Instant::now()) {
        Ok(snapshot) => match snapshot.status.unready_reasons() {
            none if none.is_empty() => "ready\n".into_response(),
            reasons => unavailable(&reasons.join("\n")),
        },
        Err(problem) => unavailable(&problem.to_string()),
    }
}

/// The latest status, of whatever age: `/healthz` tells whether to believe it.
async fn status(State(sources): State<Sources>) -> Response {
    match sources.published.latest() {
        Some(snapshot) => Json(&snapshot.status).into_response(),
        None => unavailable("the node is starting"),
    }
}

/// All neighbours in full.
async fn neighbors(State(sources): State<Sources>) -> Response {
    match sources.published.latest() {
        Some(snapshot) => Json(snapshot.neighbors(Instant::now())).into_response(),
        None => unavailable("the node is starting"),
    }
}

/// One neighbour in full. In a path, the `%` before an interface's name is written `%25`.
async fn neighbor(State(sources): State<Sources>, Path(address): Path<String>) -> Response {
    let Some(snapshot) = sources.published.latest() else {
        return unavailable("the node is starting");
    };
    match snapshot.neighbor(Instant::now(), &address) {
        Ok(neighbor) => Json(neighbor).into_response(),
        Err(problem) => (StatusCode::NOT_FOUND, format!("{problem}\n")).into_response(),
    }
}

fn unavailable(text: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{text}\n")).into_response()
}

/// Accepts no more connections than allowed, and ends each in time.
struct Bounded {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    life: Duration,
}

impl axum::serve::Listener for Bounded {
    type Io = Mortal;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
                // Nobody closes the semaphore.
                std::future::pending::<()>().await;
                continue;
            };
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let end = Box::pin(sleep(self.life));
                    let connection = Mortal {
                        stream,
                        end,
                        _permit: permit,
                    };
                    return (connection, peer);
                }
                Err(error) => {
                    tracing::debug!(%error, "monitoring connection not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection with an end.
struct Mortal {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl Mortal {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Mortal {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Mortal {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
