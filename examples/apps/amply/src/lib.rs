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
pub mod ledger;
pub mod monitoring;
pub mod organisations;
pub mod outgoing;
pub mod payments;
pub mod public;
pub mod stand_in;
pub mod tour;
pub mod webhooks;
pub mod widgets;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tower_sentry::incoming::{BodyLayer, RouteOptions, named};
use tower_sentry::{Client, FlushError, SentryLayer, browser};

use dashboard::Dashboard;
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
    queue: mpsc::UnboundedSender<webhooks::Webhook>,
    sentry: Client,
}

/// A running service.
pub struct Amply {
    address: SocketAddr,
    clients: Clients,
    tasks: [JoinHandle<()>; 2],
}

impl Amply {
    /// Starts all four parts on a free port of this machine.
    pub async fn start(settings: &Settings) -> Result<Self, StartError> {
        let clients = settings.clients()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (queue, webhooks) = mpsc::unbounded_channel();
        let api = Api {
            ledger: Ledger::open().await?,
            http: Http::new(),
            payments: settings.payments.clone(),
            storage: settings.storage.clone(),
            queue,
            sentry: clients.backend.clone(),
        };
        let dashboard = Dashboard {
            // A name that is among the targets of propagation, so the API continues the trace of the dashboard.
            api: format!("http://localhost:{}", address.port()),
            http: Http::new(),
            browser: settings.browser()?,
        };
        let app = backend(&clients.backend, api.clone())
            .merge(dashboard_routes(&clients.dashboard, dashboard, settings.browser_sdk.clone())?)
            .merge(Router::new().route("/", get(public::home)).layer(SentryLayer::new(&clients.public)))
            .merge(widgets(&clients.widgets));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await {
                tracing::error!(error = &error as &dyn std::error::Error, "the server ended");
            }
        });
        let worker = tokio::spawn(webhooks::work(clients.backend.clone(), api, webhooks, settings.retry_after));
        Ok(Self { address, clients, tasks: [server, worker] })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The clients of the four parts.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Ends the service, and delivers what waits.
    ///
    /// If the server of one project cannot be reached, the others still get what is theirs.
    pub async fn shutdown(self) -> Result<(), FlushError> {
        for task in self.tasks {
            task.abort();
        }
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
