//! A test kit: records what your service would send, without a network or waiting. Needs the feature
//! `test`.
//!
//! [`client`] gives each test its own client. [`subscribe`] records `#[instrument]` functions as
//! spans in all tests, so tests may run in parallel. [`HandClock`] makes durations exact.
//! [`LeakCheck`] proves that no secret leaves.
//!
//! # Examples
//!
//! ```
//! # #[cfg(feature = "axum")]
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use axum::{Router, body::Body, extract::Request, routing::get};
//! use tower::ServiceExt as _;
//! use tower_sentry::SentryLayer;
//!
//! #[tracing::instrument(fields(sentry.op = "db.query"))]
//! async fn load_user() {}
//!
//! let (sentry, captured) = tower_sentry::test::client();
//! tower_sentry::test::subscribe();
//! let app: Router = Router::new()
//!     .route("/users/{id}", get(|| async { load_user().await }))
//!     .layer(SentryLayer::new(&sentry));
//!
//! app.oneshot(Request::get("/users/7").body(Body::empty()).unwrap()).await.unwrap();
//!
//! assert_eq!(captured.tree(), "GET /users/{id} [http.server] ok\n  load_user [db.query] ok\n");
//! # });
//! ```

mod captured;
mod leak_check;
mod leaks;

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt as _;

pub use captured::Captured;
pub use leak_check::LeakCheck;
pub use leaks::{Encoding, Leak, Leaks};

use crate::client::{Client, Config, ConfigBuilder};
use crate::record::clock;
use crate::redaction::Redaction;
use crate::subscriber::TracingLayer;

/// Creates a client that sends nothing, and access to the data it captured.
///
/// Every transaction is sampled, and the number of events of one issue
/// [is not limited](ConfigBuilder::max_events_per_issue). The data is redacted as if it were sent.
///
/// # Panics
///
/// If the exporter's thread cannot be started.
pub fn client() -> (Client, Captured) {
    client_with(Config::builder().traces_sample_rate(1.0).max_events_per_issue(u32::MAX))
}

/// Like [`client`], with your own settings.
///
/// A DSN in the settings has no effect: nothing is sent to its server.
///
/// # Panics
///
/// If a setting is invalid, or the exporter's thread cannot be started.
#[expect(clippy::panic, reason = "a test ends here")]
pub fn client_with(settings: ConfigBuilder) -> (Client, Captured) {
    let envelopes = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&envelopes);
    let transport = move |envelope: &[u8]| {
        if let Ok(mut envelopes) = kept.lock() {
            envelopes.push(envelope.to_vec());
        }
    };
    let config = settings.transport(transport).panic_hook(false).build().unwrap_or_else(|error| panic!("{error}"));
    let client = config.client();
    let captured = Captured::new(client.clone(), envelopes);
    (client, captured)
}

/// Returns a [`Redaction`] that hides nothing.
///
/// Use it as the control in a test that searches for secrets. Headers that consist of a credential
/// are not recorded at all, so their values do not appear even then.
///
/// # Examples
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use tower_sentry::{Config, Scope, redaction::Redaction, test};
///
/// for (rules, leaks) in [(Redaction::default(), false), (test::unredacted(), true)] {
///     let (sentry, captured) = test::client_with(Config::builder().traces_sample_rate(1.0).redaction(rules));
///     sentry.transaction("sign-in").run(async { _ = Scope::current().set_tag("password", "hunter2") }).await;
///     assert_eq!(captured.envelopes().iter().any(|bytes| String::from_utf8_lossy(bytes).contains("hunter2")), leaks);
/// }
/// # });
/// ```
pub fn unredacted() -> Redaction {
    Redaction::hiding_nothing()
}

/// Installs a subscriber that records `tracing` spans and events in the current request, for all
/// tests of the process.
///
/// If the process already has a global subscriber, it stays. Add a [`TracingLayer`] to it.
pub fn subscribe() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::registry().with(TracingLayer::new(Client::off()));
        // A subscriber that was installed earlier stays.
        let _ = tracing::subscriber::set_global_default(subscriber);
    });
}

/// Stops the clock of this thread, so that durations in tests are exact.
///
/// It affects all durations measured on this thread, and the days and months of a
/// [`Budget`](crate::sampling::Budget), but not the time that is sent. When it is dropped, the real
/// clock continues.
///
/// # Examples
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use std::time::Duration;
/// use tower_sentry::test::HandClock;
///
/// let (sentry, captured) = tower_sentry::test::client();
/// let clock = HandClock::start();
/// sentry.transaction("checkpoint").run(async { clock.advance(Duration::from_millis(30)) }).await;
///
/// assert_eq!(captured.timed_tree(), "checkpoint [task] ok 30 ms\n");
/// # });
/// ```
pub struct HandClock {
    /// Not `Send`: the clock belongs to its thread.
    thread: PhantomData<*const ()>,
}

impl HandClock {
    /// Stops the clock of this thread.
    #[must_use = "the real clock is back when it is dropped"]
    pub fn start() -> Self {
        clock::take_in_hand(true);
        Self { thread: PhantomData }
    }

    /// Advances the clock by `time`.
    pub fn advance(&self, time: Duration) {
        clock::advance(time);
    }
}

impl Drop for HandClock {
    fn drop(&mut self) {
        clock::take_in_hand(false);
    }
}

impl fmt::Debug for HandClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandClock").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::protocol::Level;

    /// Runs a transaction during which a stopped clock advances by `time`.
    async fn timed(time: Duration) -> String {
        let (client, captured) = client();
        let clock = HandClock::start();
        client.transaction("work").run(async { clock.advance(time) }).await;
        captured.timed_tree()
    }

    #[tokio::test]
    async fn a_timed_tree_shows_the_microseconds_that_went_by() {
        for (micros, shown) in [(0, "0 ms"), (30_000, "30 ms"), (1_234, "1.234 ms"), (900, "0.900 ms"), (2_050, "2.050 ms")] {
            assert_eq!(timed(Duration::from_micros(micros)).await, format!("work [task] ok {shown}\n"));
        }
    }

    #[tokio::test]
    async fn each_kind_of_item_is_found_among_its_own() {
        let (client, captured) = client();

        let work = async {
            crate::scope::capture_message(Level::Error, "noted");
        };
        client.transaction("first").run(work).await;
        client.transaction("second").run(async {}).await;

        let names: Vec<_> = captured.transactions().into_iter().map(|transaction| transaction.name).collect();
        let messages: Vec<_> = captured.events().into_iter().map(|event| event.logentry.and_then(|entry| entry.message)).collect();
        assert_eq!(names, ["first", "second"]);
        assert_eq!(messages, [Some("noted".to_owned())]);
    }

    #[tokio::test]
    async fn time_goes_on_by_itself_once_the_hand_clock_is_gone() {
        let (client, captured) = client();
        drop(HandClock::start());

        let work = async {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(2) {
                tokio::task::yield_now().await;
            }
        };
        client.transaction("work").run(work).await;

        let transaction = &captured.transactions()[0];
        assert!(transaction.timestamp.as_nanos() - transaction.start_timestamp.as_nanos() >= 1_000_000);
    }
}
