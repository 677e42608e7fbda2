//! Serving, and the end of it.

use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Serves until `stop` is ready and the last response has left. Responses that take longer than `grace` are given up.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    stop: impl Future<Output = ()> + Send + 'static,
    grace: Duration,
) -> std::io::Result<()> {
    let (stopping, stopped) = oneshot::channel();
    let stop = async move {
        stop.await;
        // The receiver is dropped only after serving has ended.
        let _ = stopping.send(());
    };
    let serving = axum::serve(listener, app).with_graceful_shutdown(stop).into_future();
    let too_late = async {
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        served = serving => served,
        () = too_late => Ok(()),
    }
}

/// Waits for Ctrl-C or SIGTERM.
pub async fn stop_signal() {
    tokio::select! {
        // An error means that this signal cannot be received.
        Ok(()) = tokio::signal::ctrl_c() => {}
        Some(()) = terminated() => {}
        else => std::future::pending().await,
    }
}

#[cfg(unix)]
async fn terminated() -> Option<()> {
    use tokio::signal::unix::{SignalKind, signal};

    signal(SignalKind::terminate()).ok()?.recv().await
}

#[cfg(not(unix))]
async fn terminated() -> Option<()> {
    None
}
