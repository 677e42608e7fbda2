//! Serving, and the end of it.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

/// Serves until `stop` is ready and the last response has left.
///
/// Handlers that take longer than `grace` are cancelled, and their callers get a 503. Connections that are still open a second
/// later are given up, such as that of a caller who sends half a request or does not read.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    stop: impl Future<Output = ()> + Send + 'static,
    grace: Duration,
) -> std::io::Result<()> {
    let (stopping, stopped) = oneshot::channel();
    let (give_up, given_up) = watch::channel(());
    let app = app.layer(from_fn_with_state(given_up, until_given_up));
    let stop = async move {
        stop.await;
        // The receiver is dropped only after serving has ended.
        let _ = stopping.send(());
    };
    // The tunnel limits the requests of each address.
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, app).with_graceful_shutdown(stop).into_future();
    let too_late = async move {
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(grace).await;
        // The end of `serving` alone would stop no handler: each connection is a task of its own.
        drop(give_up);
        tokio::time::sleep(LAST_ANSWERS).await;
    };
    tokio::select! {
        served = serving => served,
        () = too_late => Ok(()),
    }
}

/// How long the answers of cancelled handlers may take to leave.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// A middleware: cancels the handler once the sender of `given_up` is gone. What it recorded until then is recorded as cancelled.
async fn until_given_up(State(mut given_up): State<watch::Receiver<()>>, request: Request, next: Next) -> Response {
    tokio::select! {
        response = next.run(request) => response,
        // Nothing is ever sent, so this is the end of the sender.
        _ = given_up.changed() => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Waits for Ctrl-C or SIGTERM. They count from this call on, also before the future is polled.
///
/// So call it before anything says that the service is there.
#[cfg(unix)]
pub fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
pub fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
