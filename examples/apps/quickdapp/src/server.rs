//! The routes of the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tower_sentry::html::Browser;
use tower_sentry::{Client, Error, SentryLayer, SpanLayer, browser};

use crate::monitoring::Page;
use crate::store::Store;
use crate::{page, session, tokens};

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct App {
    /// The database.
    pub store: Store,
    /// How the browser's SDK is set up. None without a DSN.
    pub browser: Option<Arc<Browser>>,
    /// The origin of the site, which wallets sign.
    pub origin: Arc<str>,
}

/// The site as its users see it.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// How the page reports to Sentry. None: it does not.
    pub page: Option<Page>,
    /// The browser's SDK as one script.
    pub bundle: Option<Vec<u8>>,
    /// How users reach it, such as `https://dapp.example`: for example a proxy that ends TLS. With https, no cookie is sent
    /// without it.
    pub origin: String,
}

/// Makes the router.
///
/// # Errors
///
/// Returns an error if this build cannot send to the server of the DSN.
pub fn router(monitoring: impl Into<Client>, store: Store, site: Site) -> Result<Router, Error> {
    let Site { page, bundle, origin } = site;
    let sentry = monitoring.into();
    // The browser's SDK sends to `/t`, and the page sends what users say to `/feedback`.
    let mut tunnel = browser::routes(&sentry);
    let mut app = App { store, browser: None, origin: origin.into() };
    if let Some(Page { dsn, browser }) = page {
        tunnel = tunnel.allow_dsn(dsn);
        app.browser = Some(Arc::new(if bundle.is_some() { browser.script("/sentry.js") } else { browser }));
    }
    let bundle = axum::body::Bytes::from(bundle.unwrap_or_default());
    // With its own time: the handlers are beside it in the trace, and not inside it. So the page continues the request.
    let signed_in = SpanLayer::new("auth", from_fn_with_state(app.clone(), session::recognise)).op("auth").own_time();
    Ok(Router::new()
        .route("/", get(page::show))
        .route("/api/challenge", post(session::challenge))
        .route("/api/sign-in", post(session::sign_in))
        .route("/api/sign-out", post(session::sign_out))
        .route("/api/session", get(session::who))
        .route("/api/tokens", post(tokens::order))
        .route("/api/tokens/{id}", get(tokens::show))
        .layer(signed_in)
        .with_state(app)
        .route("/app.js", get(page::script))
        .route("/sentry.js", get(move || page::javascript(bundle)))
        .merge(tunnel.build()?)
        // The last one, because layers that are added later are around it.
        .layer(SentryLayer::new(sentry).ignore(["/app.js", "/sentry.js"])))
}

/// Serves until `stop` is ready and the last response has left.
///
/// Handlers that take longer than `grace` are cancelled, and their callers get a 503. Connections that are still open a second
/// later are given up, such as that of a caller who sends half a request or does not read.
///
/// # Errors
///
/// Returns an error of the listener.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    stop: impl Future<Output = ()> + Send + 'static,
    grace: Duration,
) -> std::io::Result<()> {
    let (stopping, stopped) = oneshot::channel();
    let (give_up, given_up) = watch::channel(());
    // The tunnel limits the requests of each address.
    let app = app.layer(from_fn_with_state(given_up, until_given_up)).into_make_service_with_connect_info::<SocketAddr>();
    let stop = async move {
        stop.await;
        // The receiver is dropped only after serving has ended.
        let _ = stopping.send(());
    };
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
