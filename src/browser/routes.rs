//! The router with the routes, and how it is set up.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use tokio::sync::Semaphore;

use super::cross_origin::Origins;
use super::entrance::Entrance;
use super::feedback::FeedbackRoute;
use super::projects::Projects;
use super::settings::BrowserLimits;
use super::tunnel::{REDACTIONS, Tunnel};
use crate::client::Client;
use crate::diagnostics::Quiet;
use crate::error::Error;
use crate::protocol::Dsn;
use crate::redaction::Redactor;

/// Makes routes for Sentry's browser SDK: a tunnel at `/t`, and an endpoint for feedback at `/feedback`.
///
/// # The tunnel
///
/// The SDK posts its envelopes here if its option `tunnel` is `/t`. The tunnel forwards an envelope to the
/// project of the DSN in it, if that is the DSN of the client or [listed](BrowserRoutes::allow_dsn). The
/// address comes from the list, never from the envelope. The tunnel uses the client's HTTP settings: proxy,
/// certificates, [`http_client`](crate::ConfigBuilder::http_client).
///
/// Events, transactions, logs, spans and metrics are redacted by the client's rules. Replays, feedback and
/// everything else keep their bytes. A replay of more than 1 MiB is sent while it arrives.
///
/// | the answer | when |
/// |---|---|
/// | the server's status, with `retry-after` and `x-sentry-rate-limits` | the envelope was sent |
/// | 400 | it is not an envelope, or an item that is redacted is not JSON |
/// | 403 | the DSN, or the origin of the page, is not listed |
/// | 408 | it did not arrive in time |
/// | 413 | it is too large: only replays may be large |
/// | 415 | it is compressed with anything but gzip |
/// | 429, 503 | there are too many requests, or too many at once |
/// | 500 | the redaction failed, so the envelope was not sent |
/// | 502 | the server did not answer |
///
/// # Feedback
///
/// `POST /feedback` takes a form (plain, or with files), or JSON. The fields are `message`, which is
/// required, `name`, `email`, `url` and `event_id`; files become attachments. The answer to JSON is the
/// feedback's id, `{"id":"…"}`; the answer to a form is a line of text.
///
/// # Not recorded
///
/// A [`SentryLayer`](crate::SentryLayer) around these routes records no transaction, no session and no
/// failed status for them. For each kind of refusal, a warning with the number of refusals is logged at most
/// once a minute.
///
/// # Examples
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_sentry::{Client, Config, SentryLayer, browser};
///
/// let sentry = Client::from(Config::builder().build()?);
///
/// let app: Router = Router::new()
///     .route("/", get(|| async { "hello" }))
///     .merge(browser::routes(&sentry).allow_dsn("http://0123456789abcdef0123456789abcdef@sentry.example/43").build()?)
///     .layer(SentryLayer::new(&sentry));
/// # Ok::<(), tower_sentry::Error>(())
/// ```
///
/// The limit for each client needs the client's address: serve the router with
/// `into_make_service_with_connect_info::<SocketAddr>()`, and set
/// [`trusted_hops`](crate::ConfigBuilder::trusted_hops) behind a proxy. Otherwise only the limit for all
/// clients together counts.
pub fn routes(client: &Client) -> BrowserRoutes {
    BrowserRoutes {
        client: client.clone(),
        dsns: Vec::new(),
        origins: Origins::default(),
        tunnel_path: "/t".to_owned(),
        feedback_path: "/feedback".to_owned(),
        redacts: true,
        forwards_address: false,
        limits: BrowserLimits::default(),
        error: None,
    }
}

/// Sets up the routes; see [`routes`].
#[derive(Debug)]
#[must_use = "`build` makes the router"]
pub struct BrowserRoutes {
    client: Client,
    dsns: Vec<Dsn>,
    origins: Origins,
    tunnel_path: String,
    feedback_path: String,
    redacts: bool,
    forwards_address: bool,
    limits: BrowserLimits,
    error: Option<Error>,
}

impl BrowserRoutes {
    /// Lets the tunnel send to this project as well.
    ///
    /// A page must use exactly this DSN. Defaults to the DSN of the client, which is always listed. An
    /// invalid DSN is an error of [`build`](Self::build).
    pub fn allow_dsn(mut self, dsn: impl AsRef<str>) -> Self {
        match dsn.as_ref().parse::<Dsn>() {
            Ok(dsn) => self.dsns.push(dsn),
            Err(invalid) => self.keep(Error::dsn(format!("allow_dsn: {invalid}"))),
        }
        self
    }

    /// Lets pages of another origin call the routes, such as `https://app.example`.
    ///
    /// Defaults to none: only pages of the service's own origin may call them.
    pub fn allow_origin(mut self, origin: impl AsRef<str>) -> Self {
        if let Err(error) = self.origins.add(origin.as_ref()) {
            self.keep(error);
        }
        self
    }

    /// Sets the path of the tunnel. Defaults to `/t`.
    ///
    /// Some blockers know common names, such as `/tunnel` and `/sentry`.
    pub fn tunnel_path(mut self, path: impl Into<String>) -> Self {
        self.tunnel_path = path.into();
        self
    }

    /// Sets the path for feedback. Defaults to `/feedback`.
    pub fn feedback_path(mut self, path: impl Into<String>) -> Self {
        self.feedback_path = path.into();
        self
    }

    /// Sets whether the tunnel redacts what browsers have recorded. Defaults to `true`.
    pub fn redact(mut self, on: bool) -> Self {
        self.redacts = on;
        self
    }

    /// Sets whether the server gets the client's address, in `X-Forwarded-For`.
    ///
    /// The server uses it as the user's address if the SDK asks for that (`sendDefaultPii`). Without it, the
    /// server would use the address of this service. Defaults to `false`.
    pub fn forward_client_address(mut self, on: bool) -> Self {
        self.forwards_address = on;
        self
    }

    /// Sets the largest envelope in bytes, uncompressed. Defaults to 1 MiB.
    ///
    /// A screenshot in the SDK's own feedback counts too.
    pub fn max_envelope_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_envelope_bytes = bytes;
        self
    }

    /// Sets the largest envelope of a replay in bytes, uncompressed. Defaults to 20 MiB.
    pub fn max_replay_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_replay_bytes = bytes;
        self
    }

    /// Sets the largest request with feedback in bytes, including its files. Defaults to 4 MiB, which is also
    /// the limit of all files together.
    pub fn max_feedback_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_feedback_bytes = bytes;
        self
    }

    /// Sets how many requests one client may send in a minute, to both routes. Defaults to 300.
    ///
    /// A sixth of them may come at once. An IPv6 network (`/64`) counts as one client.
    pub fn requests_per_client(mut self, count: u32) -> Self {
        self.limits.requests_per_address = count;
        self
    }

    /// Sets how many requests all clients together may send in a minute. Defaults to 6,000. A sixth of them
    /// may come at once.
    pub fn requests_in_all(mut self, count: u32) -> Self {
        self.limits.requests = count;
        self
    }

    /// Sets how many requests may be in progress at once, which limits the memory. Defaults to 64.
    ///
    /// One request takes at most a few times [`max_envelope_bytes`](Self::max_envelope_bytes).
    pub fn requests_at_once(mut self, count: usize) -> Self {
        self.limits.requests_at_once = count;
        self
    }

    /// Sets how long a request may take, including its body and its answer. Defaults to 60 s.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.limits.timeout = time;
        self
    }

    /// Makes the router.
    ///
    /// It needs `tokio`'s timer and I/O when it serves, as `axum::serve` does.
    ///
    /// # Errors
    ///
    /// Returns an error if a DSN, an origin or a path is invalid, or if this build cannot send to the
    /// server of a DSN.
    pub fn build<S>(mut self) -> Result<Router<S>, Error>
    where
        S: Clone + Send + Sync + 'static,
    {
        for path in [&self.tunnel_path, &self.feedback_path] {
            let is_plain = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"{}*:?#".contains(&byte));
            if !is_plain {
                self.error.get_or_insert_with(|| Error::setting("browser routes: expected a path such as /t, found another text"));
            }
        }
        if self.tunnel_path == self.feedback_path {
            self.keep(Error::setting("browser routes: expected two different paths"));
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        let Self { client, dsns, origins, tunnel_path, feedback_path, redacts, forwards_address, limits, .. } = self;
        let (http, privacy) =
            client.settings().map(|settings| (settings.delivery.http.clone(), settings.privacy.clone())).unwrap_or_default();
        let own = client.settings().and_then(|settings| settings.delivery.dsn.clone());
        let mut projects = Projects::default();
        own.iter().chain(&dsns).try_for_each(|dsn| projects.add(dsn, &http))?;
        let entrance = Arc::new(Entrance::new(&limits, origins, privacy.trusted_hops));
        let most = limits.max_feedback_bytes;
        let redactor = redacts.then(|| Redactor::new(privacy.redaction, privacy.send_default_pii));
        let redactions = Semaphore::new(REDACTIONS);
        let tunnel = Arc::new(Tunnel { projects, redactor, forwards_address, limits, redactions, trouble: Quiet::new() });
        let feedback = Arc::new(FeedbackRoute { client });
        let at_tunnel = entrance.guard("the tunnel", move |address, request, place| Arc::clone(&tunnel).pass(address, request, place));
        let at_feedback = entrance.guard("the endpoint for feedback", move |_, request, place| {
            let feedback = Arc::clone(&feedback);
            async move {
                let _place = place;
                feedback.take(request).await
            }
        });
        Ok(Router::new().route(&tunnel_path, at_tunnel).route(&feedback_path, at_feedback.layer(DefaultBodyLimit::max(most))))
    }

    /// Keeps the first error.
    fn keep(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }
}
