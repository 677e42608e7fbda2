//! When two reports are one failure: pairs that must become one event, and pairs that must not.

use std::error::Error;
use std::fmt;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use tower::ServiceExt as _;
use tower_sentry::{Level, Scope, SentryLayer, capture_error, capture_message};
use tracing::{error, instrument};

use crate::support::{self, in_child};

/// Defines an error that shows its text.
macro_rules! errors {
    ($($name:ident)*) => {$(
        #[derive(Clone, Debug)]
        pub struct $name(pub &'static str);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0)
            }
        }
        impl Error for $name {}
    )*};
}

errors!(DbError CacheError);

/// An error with a cause.
#[derive(Debug)]
struct Outer<E>(&'static str, E);

impl<E> fmt::Display for Outer<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl<E: Error + 'static> Error for Outer<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.1)
    }
}

#[derive(Debug)]
enum ShopError {
    Closed,
    Empty,
}

impl fmt::Display for ShopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing to sell")
    }
}

impl Error for ShopError {}

const TIMEOUT: DbError = DbError("timeout");
const REFUSED: DbError = DbError("the database refused the connection");

fn shown(error: &(impl Error + 'static)) -> &(dyn Error + 'static) {
    error
}

/// An error with two contexts.
fn deep() -> anyhow::Error {
    anyhow::Error::new(TIMEOUT).context("loading the cart").context("placing the order")
}

fn in_scope<R>(work: impl FnOnce() -> R) {
    Scope::current().with(|_| work());
}

#[instrument(err)]
fn load() -> Result<(), DbError> {
    Err(TIMEOUT)
}

#[instrument(err)]
fn load_and_pass_on() -> Result<(), DbError> {
    load()
}

#[instrument(err)]
fn cart() -> anyhow::Result<()> {
    load().context("loading the cart")
}

#[instrument(err)]
fn order() -> anyhow::Result<()> {
    cart().context("placing the order")
}

#[instrument(err(Debug))]
fn cart_in_debug() -> anyhow::Result<()> {
    Err(TIMEOUT).context("loading the cart")
}

#[instrument(err(Debug))]
fn order_in_debug() -> anyhow::Result<()> {
    cart_in_debug().context("placing the order")
}

#[instrument(err)]
fn descend(depth: u32) -> Result<(), DbError> {
    if depth == 0 { Err(TIMEOUT) } else { descend(depth - 1) }
}

#[instrument(err)]
fn other() -> Result<(), DbError> {
    Err(TIMEOUT)
}

#[instrument(err(Debug))]
fn in_debug() -> Result<(), DbError> {
    Err(TIMEOUT)
}

/// Reports, the events that they become, what is reported, and how.
type Row = (u64, usize, &'static str, fn());

const SAME: &[Row] = &[
    (2, 1, "captured at two places", || {
        capture_error(&TIMEOUT);
        capture_error(&TIMEOUT);
    }),
    (2, 1, "logged with the error, then captured", || {
        error!(error = shown(&TIMEOUT), "no cart");
        capture_error(&TIMEOUT);
    }),
    (2, 1, "captured, then logged with the error", || {
        capture_error(&TIMEOUT);
        error!(error = shown(&TIMEOUT), "no cart");
    }),
    (2, 1, "logged twice with the error", || {
        error!(error = shown(&TIMEOUT), "no cart");
        error!(cause = shown(&TIMEOUT), "no order");
    }),
    (2, 1, "its text in the field error", || {
        error!(error = %TIMEOUT, "no cart");
        capture_error(&TIMEOUT);
    }),
    (2, 1, "captured, then its text in the field error", || {
        capture_error(&TIMEOUT);
        error!(error = %TIMEOUT, "no cart");
    }),
    (2, 1, "its text as a string in the field error", || {
        error!(error = TIMEOUT.to_string(), "no cart");
        capture_error(&TIMEOUT);
    }),
    (2, 1, "its text in the field error.message", || {
        error!(error.message = "timeout", "no cart");
        capture_error(&TIMEOUT);
    }),
    (2, 1, "its text in a field of another name", || {
        error!(result = %TIMEOUT, "task.failed");
        capture_error(&TIMEOUT);
    }),
    (2, 1, "its text is the message", || {
        error!("{TIMEOUT}");
        capture_error(&TIMEOUT);
    }),
    (2, 1, "a short text is the message", || {
        error!("io");
        capture_error(&DbError("io"));
    }),
    (2, 1, "a short text in the field err", || {
        error!(err = %DbError("io"), "no cart");
        capture_error(&DbError("io"));
    }),
    (2, 1, "the message ends with a context and its text", || {
        error!("loading the cart: {REFUSED}");
        capture_error(&REFUSED);
    }),
    (2, 1, "captured, then the message ends with a context and its text", || {
        capture_error(&REFUSED);
        error!("loading the cart: user 7: {REFUSED}");
    }),
    (2, 1, "a context and the alternate form of a chain", || {
        let error = deep();
        error!("no answer: {error:#}");
        capture_error(&*error);
    }),
    (2, 1, "the alternate form of a chain", || {
        let error = deep();
        error!("{error:#}");
        capture_error(&*error);
    }),
    (2, 1, "captured, then the alternate form of a chain", || {
        let error = deep();
        capture_error(&*error);
        error!(error = format!("{error:#}"), "no answer");
    }),
    (2, 1, "the Debug form of anyhow with two causes", || {
        let error = deep();
        error!("{error:?}");
        capture_error(&*error);
    }),
    (2, 1, "captured, then the Debug form of anyhow", || {
        let error = deep();
        capture_error(&*error);
        error!(error = ?error, "no answer");
    }),
    (2, 1, "the Debug form of anyhow with one cause", || {
        let error = anyhow::Error::new(TIMEOUT).context("loading the cart");
        error!(?error);
        capture_error(&*error);
    }),
    (2, 1, "the Debug form of anyhow with texts of several lines", || {
        let error = anyhow::Error::new(DbError("line one\nline two")).context("first\nsecond").context("placing the order");
        error!(?error);
        capture_error(&*error);
    }),
    (2, 1, "the Debug form of eyre with its location", || {
        let report = eyre::Report::new(TIMEOUT).wrap_err("loading the cart").wrap_err("placing the order");
        error!("{report:?}");
        let error: &(dyn Error + 'static) = report.as_ref();
        capture_error(error);
    }),
    (2, 1, "the Debug form of an inner error", || {
        error!(inner = ?anyhow::Error::new(TIMEOUT).context("loading the cart"), "no cart");
        capture_error(&*deep());
    }),
    (2, 1, "the Debug form of a type", || {
        error!(error = ?TIMEOUT, "no cart");
        capture_error(&TIMEOUT);
    }),
    (2, 1, "captured, then the Debug form of its type", || {
        capture_error(&TIMEOUT);
        error!(error = ?TIMEOUT, "no cart");
    }),
    (2, 1, "captured, then the pretty Debug form of its type", || {
        capture_error(&TIMEOUT);
        error!("{TIMEOUT:#?}");
    }),
    (2, 1, "the Debug form of the cause of a captured error", || {
        capture_error(&Outer("no cart", TIMEOUT));
        error!(cause = ?TIMEOUT);
    }),
    (2, 1, "a text in a box", || {
        let error: Box<dyn Error> = "no such row".into();
        error!(error = %error, "no cart");
        capture_error(&*error);
    }),
    (2, 1, "a text in a box in quotes", || {
        let error: Box<dyn Error> = "no such row".into();
        error!(?error, "no cart");
        capture_error(&*error);
    }),
    (2, 1, "a variant of an enum", || {
        error!(error = shown(&ShopError::Empty), "no cart");
        capture_error(&ShopError::Empty);
    }),
    (2, 1, "an error of the system", || {
        let error = || std::io::Error::from_raw_os_error(2);
        error!(error = %error(), "no file");
        capture_error(&error());
    }),
    (2, 1, "a text that is longer than is kept", || {
        let error = || std::io::Error::other("ä".repeat(10_000));
        error!(error = %error(), "no file");
        capture_error(&error());
    }),
    (2, 1, "its text, then a context is added", || {
        error!(error = %TIMEOUT, "no cart");
        capture_error(&*anyhow::Error::new(TIMEOUT).context("loading the cart"));
    }),
    (2, 1, "logged with the error, then a context is added", || {
        error!(error = shown(&TIMEOUT), "no cart");
        error!(error = shown(&Outer("no order", TIMEOUT)), "no order");
    }),
    (2, 1, "captured, then a context is added", || {
        capture_error(&TIMEOUT);
        capture_error(&Outer("no order", TIMEOUT));
    }),
    (3, 1, "captured, then two contexts are added", || {
        capture_error(&TIMEOUT);
        capture_error(&*anyhow::Error::new(TIMEOUT).context("loading the cart"));
        capture_error(&*deep());
    }),
    (2, 1, "captured, then its cause is logged", || {
        capture_error(&Outer("no order", TIMEOUT));
        error!(cause = %TIMEOUT, "the reason");
    }),
    (3, 1, "two instrumented levels, then captured", || {
        capture_error(&load_and_pass_on().unwrap_err());
    }),
    (4, 1, "three instrumented levels with contexts, then captured", || {
        capture_error(&*order().unwrap_err());
    }),
    (3, 1, "two instrumented levels with Debug, then captured", || {
        capture_error(&*order_in_debug().unwrap_err());
    }),
    (2, 1, "one instrumented level with Debug, then captured", || {
        capture_error(&in_debug().unwrap_err());
    }),
    (2, 1, "two instrumented levels alone", || {
        load_and_pass_on().unwrap_err();
    }),
    (2, 1, "two instrumented levels alone, with Debug and a context", || {
        order_in_debug().unwrap_err();
    }),
    (6, 1, "an instrumented function that calls itself", || {
        descend(5).unwrap_err();
    }),
    (2, 1, "captured in a nested scope, then outside", || {
        in_scope(|| capture_error(&TIMEOUT));
        capture_error(&TIMEOUT);
    }),
    (2, 1, "logged outside, then captured in a nested scope", || {
        error!(error = %TIMEOUT, "no cart");
        in_scope(|| capture_error(&TIMEOUT));
    }),
    (2, 1, "in a nested scope and in one inside", || {
        in_scope(|| {
            error!(error = %TIMEOUT, "no cart");
            in_scope(|| capture_error(&TIMEOUT));
        });
    }),
    (5, 1, "logged in four ways and captured", || {
        error!(error = %TIMEOUT, "no cart");
        error!(error = ?TIMEOUT, "no cart");
        error!("timeout");
        error!(error = shown(&TIMEOUT));
        capture_error(&TIMEOUT);
    }),
];

const APART: &[Row] = &[
    (2, 2, "a text that ends with the error's", || {
        error!("avatar of user 9 not found");
        capture_error(&DbError("not found"));
    }),
    (2, 2, "a path that contains the error's text", || {
        error!(path = %"/settings/timeouts.toml", "no file");
        capture_error(&TIMEOUT);
    }),
    (2, 2, "a word that contains the error's text", || {
        capture_error(&DbError("auth"));
        error!("unauthorized call");
    }),
    (2, 2, "a message that begins with the error's text", || {
        error!("not found: page 3");
        capture_error(&DbError("not found"));
    }),
    (2, 2, "a message that ends with a context and a short text", || {
        error!("page 3: not found");
        capture_error(&DbError("not found"));
    }),
    (2, 2, "a context and another text", || {
        error!("loading the cart: the database is gone for good");
        capture_error(&REFUSED);
    }),
    (2, 2, "two types with one text, captured", || {
        capture_error(&TIMEOUT);
        capture_error(&CacheError("timeout"));
    }),
    (2, 2, "two types with one text, logged", || {
        error!(error = shown(&TIMEOUT), "no cart");
        error!(error = shown(&CacheError("timeout")), "no cart");
    }),
    (2, 2, "two variants with one text", || {
        capture_error(&ShopError::Empty);
        capture_error(&ShopError::Closed);
    }),
    (2, 2, "two types of causes with one text", || {
        capture_error(&Outer("no order", TIMEOUT));
        capture_error(&Outer("no order", CacheError("timeout")));
    }),
    (2, 2, "two texts of one type", || {
        capture_error(&DbError("shard 1 is gone"));
        capture_error(&DbError("shard 2 is gone"));
    }),
    (2, 2, "texts that differ in a letter's case", || {
        error!(error = %"Timeout", "no cart");
        capture_error(&TIMEOUT);
    }),
    (2, 2, "texts that differ in a space", || {
        error!(error = %"timeout ", "no cart");
        capture_error(&TIMEOUT);
    }),
    (3, 3, "one error in three nested scopes", || {
        for host in ["a", "b", "c"] {
            Scope::current().with(|scope| {
                scope.set_tag("host", host);
                capture_error(&TIMEOUT);
            });
        }
    }),
    (2, 2, "logged in one nested scope, captured in another", || {
        in_scope(|| error!(error = %TIMEOUT, "no cart"));
        in_scope(|| capture_error(&TIMEOUT));
    }),
    (3, 2, "outside, then in two nested scopes", || {
        error!(error = %TIMEOUT, "no cart");
        in_scope(|| capture_error(&TIMEOUT));
        in_scope(|| capture_error(&TIMEOUT));
    }),
    (3, 3, "captured in a loop", || {
        for _ in 0..3 {
            capture_error(&TIMEOUT);
        }
    }),
    (3, 3, "logged with the error in a loop", || (0..3).for_each(|_| error!(error = shown(&TIMEOUT), "no cart"))),
    (3, 3, "logged in a loop", || (0..3).for_each(|_| error!(error = %TIMEOUT, "no cart"))),
    (6, 3, "logged and captured in a loop", || {
        for _ in 0..3 {
            error!(error = %TIMEOUT, "no cart");
            capture_error(&TIMEOUT);
        }
    }),
    (6, 3, "captured and logged in a loop", || {
        for _ in 0..3 {
            capture_error(&TIMEOUT);
            error!(error = %TIMEOUT, "no cart");
        }
    }),
    (4, 3, "logged in a loop, the last one is captured", || {
        (0..3).for_each(|_| error!(error = %TIMEOUT, "no answer"));
        capture_error(&TIMEOUT);
    }),
    (2, 2, "two contexts of one error", || {
        capture_error(&Outer("no cart", TIMEOUT));
        capture_error(&Outer("no order", TIMEOUT));
    }),
    (3, 2, "an error, then two contexts", || {
        capture_error(&TIMEOUT);
        capture_error(&Outer("no cart", TIMEOUT));
        capture_error(&Outer("no order", TIMEOUT));
    }),
    (2, 2, "a chain and its reverse", || {
        capture_error(&Outer("timeout", DbError("no cart")));
        capture_error(&Outer("no cart", TIMEOUT));
    }),
    (2, 2, "a string in a field that is not for errors", || {
        error!(kind = "timeout", "no cart");
        capture_error(&TIMEOUT);
    }),
    (2, 2, "a short value in a field that is not for errors", || {
        error!(step = %"io", "no cart");
        capture_error(&DbError("io"));
    }),
    (2, 2, "a number", || {
        error!(status = 4040, "no cart");
        capture_error(&DbError("4040"));
    }),
    (2, 2, "an empty text", || {
        error!(error = %DbError(""), "no cart");
        capture_error(&DbError(""));
    }),
    (2, 2, "the name of its type", || {
        error!("DbError");
        capture_error(&TIMEOUT);
    }),
    (2, 2, "the Debug form of another value", || {
        error!(error = ?DbError("refused"), "no cart");
        capture_error(&TIMEOUT);
    }),
    (2, 2, "the alternate form of another chain", || {
        error!("placing the order: loading the user: timeout");
        capture_error(&*deep());
    }),
    (2, 2, "the Debug form of another chain with the same cause", || {
        error!("{:?}", anyhow::Error::new(TIMEOUT).context("loading the user"));
        capture_error(&*deep());
    }),
    (2, 2, "two logs of one text with their own messages", || {
        error!(error = %TIMEOUT, "no cart");
        error!(error = %TIMEOUT, "no order");
    }),
    (2, 2, "two instrumented functions side by side", || {
        load().unwrap_err();
        other().unwrap_err();
    }),
    (2, 2, "an instrumented function that is called twice", || {
        load().unwrap_err();
        load().unwrap_err();
    }),
    (4, 2, "an instrumented function inside another is called twice", || {
        load_and_pass_on().unwrap_err();
        load_and_pass_on().unwrap_err();
    }),
    (2, 2, "a message that was captured, not logged", || {
        capture_message(Level::Error, "timeout");
        capture_error(&TIMEOUT);
    }),
    (2, 2, "one message, captured twice", || {
        capture_message(Level::Error, "timeout");
        capture_message(Level::Error, "timeout");
    }),
    (2, 2, "a log without an error", || {
        error!("the cache is gone");
        capture_error(&TIMEOUT);
    }),
];

/// The number of events of a request that reports this, and how many reports became part of another one.
async fn reported(work: fn()) -> (usize, u64) {
    support::subscribe();
    let (client, captured) = tower_sentry::test::client();
    let app = Router::new().route("/", get(move || async move { work() })).layer(SentryLayer::new(&client));
    drop(app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap());
    support::settle(&client).await;
    assert_eq!(client.stats().errors.dropped_total(), 0);
    (captured.events().len(), client.stats().merged_reports)
}

#[test]
fn two_reports_are_one_event_only_on_proof() {
    // Where errors take stack traces, their `Debug` output is not read when they are captured.
    if in_child("same::two_reports_are_one_event_only_on_proof", &[("RUST_BACKTRACE", "0"), ("RUST_LIB_BACKTRACE", "0")]) {
        return;
    }
    assert!(SAME.len() >= 45 && APART.len() >= 35);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();

    let wrong: Vec<_> = SAME
        .iter()
        .chain(APART)
        .filter_map(|(reports, events, what, work)| {
            let seen = runtime.block_on(reported(*work));
            (seen != (*events, reports - *events as u64)).then(|| format!("{what}: {seen:?}"))
        })
        .collect();

    assert!(wrong.is_empty(), "{wrong:#?}");
}
