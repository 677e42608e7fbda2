//! Amply: a service for donations, in four parts that report to four Sentry projects.
//!
//! | part | path | project |
//! |---|---|---|
//! | the API: donations, webhooks, checkpoints of the ledger | `/api/v1/` | `amply-backend` |
//! | the dashboard of an organisation | `/dashboard/{organisation}` | `amply-dashboard` |
//! | the public website | `/` | `amply-public` |
//! | the widgets on the sites of organisations | `/widgets/{organisation}` | `amply-widgets` |
//!
//! `monitoring` has everything that is set up once. The other modules show what is set while a request runs.

pub mod checkpoint;
pub mod dashboard;
pub mod donations;
pub mod escape;
pub mod jobs;
pub mod ledger;
pub mod monitoring;
pub mod organisations;
pub mod outgoing;
pub mod payments;
pub mod public;
pub mod serve;
pub mod stand_in;
pub mod tour;
pub mod webhooks;
pub mod widgets;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tower_sentry::incoming::{BodyLayer, RouteOptions, named};
use tower_sentry::{Client, FlushError, SentryLayer, browser};

use dashboard::Dashboard;
use jobs::{Job, Pace};
use ledger::Ledger;
use monitoring::{Clients, Settings};
use outgoing::Http;

/// The error of a start.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

/// What the handlers of the API share.
#[derive(Clone)]
pub struct Api {
    ledger: Ledger,
    http: Http,
    /// The payment providers.
    payments: String,
    /// The storage for checkpoints.
    storage: String,
    queue: mpsc::Sender<Job>,
    /// One checkpoint at a time: two would sign the same entries.
    checkpoint: Arc<Mutex<()>>,
    sentry: Client,
}

/// A running service.
pub struct Amply {
    address: SocketAddr,
    clients: Clients,
    stop_server: oneshot::Sender<()>,
    server: JoinHandle<()>,
    stop_worker: watch::Sender<()>,
    worker: JoinHandle<()>,
}

impl Amply {
    /// Starts all four parts.
    pub async fn start(settings: &Settings) -> Result<Self, StartError> {
        let clients = settings.clients()?;
        let listener = TcpListener::bind(&settings.address).await.map_err(|error| format!("{}: {error}", settings.address))?;
        let address = listener.local_addr()?;
        let (queue, jobs) = mpsc::channel(settings.most_jobs);
        let api = Api {
            ledger: Ledger::open().await?,
            http: Http::new(settings.call_timeout),
            payments: settings.payments.clone(),
            storage: settings.storage.clone(),
            queue,
            checkpoint: Arc::default(),
            sentry: clients.backend.clone(),
        };
        let dashboard = Dashboard {
            // A name that is among the targets of propagation, so the API continues the trace of the dashboard.
            api: format!("http://localhost:{}", address.port()),
            http: Http::new(settings.call_timeout),
            browser: settings.browser()?,
            trusts_proxy: settings.trusts_proxy,
        };
        let app = backend(&clients.backend, api.clone())
            .merge(dashboard_routes(&clients.dashboard, dashboard, settings.browser_sdk.clone())?)
            .merge(Router::new().route("/", get(public::home)).layer(SentryLayer::new(&clients.public)))
            .merge(widgets(&clients.widgets));
        let (stop_server, stopped) = oneshot::channel();
        // An error means that the sender is gone, which also means "stop".
        let serving = serve::serve(listener, app, async { _ = stopped.await }, settings.grace);
        let server = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(error = &error as &dyn std::error::Error, "the server ended");
            }
        });
        let (stop_worker, stopped) = watch::channel(());
        let pace = Pace { most_running: settings.most_jobs, retry_after: settings.retry_after, grace: settings.grace };
        let worker = tokio::spawn(jobs::work(api, jobs, pace, stopped));
        Ok(Self { address, clients, stop_server, server, stop_worker, worker })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The clients of the four parts.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Ends the service in order: answers what is open, does the jobs, and delivers what was recorded.
    ///
    /// A webhook that waits for its next attempt gets it at once, and it is the last one: nothing would
    /// remember it after the process. If the server of one project cannot be reached, the others still get what is
    /// theirs.
    pub async fn shutdown(self) -> Result<(), FlushError> {
        // First the requests, because they bring jobs. A task that panicked has said so.
        drop(self.stop_server);
        let _ = self.server.await;
        drop(self.stop_worker);
        let _ = self.worker.await;
        let [backend, dashboard, public, widgets] = self.clients.all().map(|client| client.shutdown(Duration::from_secs(5)));
        let (backend, dashboard, public, widgets) = tokio::join!(backend, dashboard, public, widgets);
        backend.and(dashboard).and(public).and(widgets)
    }
}

/// Requests are named by their handlers, such as `amply::donations::create`. Events of failed requests have
/// the beginning of their body, with the placeholder in the place of each secret.
fn backend(sentry: &Client, api: Api) -> Router {
    Router::new()
        .route("/api/v1/donations", post(named(donations::create)))
        .route("/api/v1/organisations/{id}", get(named(organisations::show)))
        .route("/api/v1/webhooks/{provider}", post(named(webhooks::receive)))
        .route("/api/v1/checkpoints", post(named(checkpoint::create)))
        .with_state(api)
        .layer(BodyLayer::new().max_request_body_size(4096))
        .layer(SentryLayer::new(sentry).name_by_handler())
}

/// The page, with the routes for what the browser reports.
fn dashboard_routes(sentry: &Client, dashboard: Dashboard, sdk: Vec<u8>) -> Result<Router, tower_sentry::Error> {
    let mut reports = browser::routes(sentry);
    if let Some(dsn) = dashboard.browser.as_ref().map(|browser| &browser.dsn) {
        reports = reports.allow_dsn(dsn);
    }
    let sdk = Bytes::from(sdk);
    let pages = Router::new()
        .route("/dashboard/{organisation}", get(dashboard::show))
        .with_state(dashboard)
        .route("/static/sentry.js", get(async move || ([(CONTENT_TYPE, "text/javascript")], sdk.clone())));
    Ok(pages.merge(reports.build()?).layer(SentryLayer::new(sentry).ignore(["/static/sentry.js"])))
}

/// Widgets are on many sites: one request in a hundred is recorded. Errors are not sampled.
fn widgets(sentry: &Client) -> Router {
    const ROUTE: &str = "/widgets/{organisation}";
    Router::new().route(ROUTE, get(widgets::show)).layer(SentryLayer::new(sentry).route(ROUTE, RouteOptions::new().sample_rate(0.01)))
}
