//! The admin thread: HTTP and control socket, away from everything that must be in time.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};

use super::StartError;
use crate::admin::http::{self, Sources};
use crate::admin::socket::ControlSocket;
use crate::admin::{Order, Published, Settings};
use crate::telemetry::Metrics;

/// Opened before the thread runs, so that what is wrong is told at the start.
pub(super) struct Sockets {
    http: Option<TcpListener>,
    control: Option<ControlSocket>,
}

impl Sockets {
    pub(super) fn open(settings: &Settings) -> Result<Self, StartError> {
        let http = settings.listen.map(|address| {
            let refused = |source| StartError::AdminListen { address, source };
            TcpListener::bind(address).map_err(refused)
        });
        let control = settings.socket.as_deref().map(ControlSocket::bind);
        Ok(Self {
            http: http.transpose()?,
            control: control.transpose()?,
        })
    }

    pub(super) fn start(
        self,
        published: &Arc<Published>,
        metrics: &Arc<Metrics>,
        orders: mpsc::Sender<Order>,
        mut stop: watch::Receiver<bool>,
    ) -> io::Result<JoinHandle<()>> {
        let sources = Sources {
            published: Arc::clone(published),
            metrics: Arc::clone(metrics),
        };
        let published = Arc::clone(published);
        super::spawn_on_runtime("admin", async move {
            let http = async {
                match self.http {
                    Some(listener) => http::serve(listener, sources).await,
                    None => std::future::pending().await,
                }
            };
            let control = async {
                match self.control {
                    Some(socket) => socket.serve(published, orders).await,
                    None => std::future::pending().await,
                }
            };
            // A broken listener ends what it serves, never the node.
            let watched = async {
                let (http, control) = tokio::join!(told(http), told(control));
                (http, control)
            };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                _ = watched => {}
            }
        })
    }
}

async fn told(serving: impl Future<Output = io::Result<()>>) {
    if let Err(error) = serving.await {
        tracing::error!(%error, "admin listener ended");
    }
}
