//! A request while it is served: its scope is current in each poll, and it ends exactly once.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::task::Poll;

use http::HeaderMap;

use super::exchange::Exchange;
use super::rules::Rules;
use crate::event;
use crate::scope::{LiveScope, current};

/// The work around each poll.
#[derive(Debug, Default)]
pub(super) enum ActiveRequest {
    /// Monitoring is off, the transaction has ended, or the request is inside another one and its
    /// route is ignored.
    #[default]
    Off,
    /// Monitoring is off, but errors of failed responses are written to the local log.
    Logged(Arc<Rules>),
    /// The route is not recorded: its events go to a scope that discards everything.
    Ignored(Ignored),
    /// The request has its own transaction, or is a span of the request around it.
    Recorded(PooledExchange),
}

pub(super) struct Ignored(pub(super) Arc<LiveScope>);

impl ActiveRequest {
    /// A request that `begin` begins.
    pub(super) fn recorded(begin: impl FnOnce(&mut Exchange)) -> Self {
        let mut exchange = PooledExchange::take();
        exchange.with(begin);
        Self::Recorded(exchange)
    }

    /// A request while monitoring is off.
    pub(super) fn off(rules: &Arc<Rules>) -> Self {
        if rules.logs_errors { Self::Logged(Arc::clone(rules)) } else { Self::Off }
    }

    /// See [`Exchange::waited`].
    #[cold]
    pub(super) fn waited(&mut self, nanos: u64) {
        self.change(|exchange| exchange.waited(nanos));
    }

    /// Runs a part of the request with its scope current.
    pub(super) fn enter<R>(&mut self, work: impl FnOnce() -> R) -> R {
        match self {
            Self::Off | Self::Logged(_) => work(),
            Self::Ignored(Ignored(scope)) => current::enter(scope, None, work),
            Self::Recorded(exchange) => exchange.enter(work),
        }
    }

    /// Drops the work with its scope current. If the request is over, it does nothing: the work is dropped
    /// with the fields of its owner.
    #[inline]
    pub(super) fn leave(&mut self, end: impl FnOnce()) {
        match self {
            Self::Recorded(exchange) if !exchange.is_over() => exchange.with(|exchange| exchange.leave(end)),
            Self::Off | Self::Logged(_) | Self::Recorded(_) => {}
            Self::Ignored(Ignored(scope)) => current::enter(scope, None, end),
        }
    }

    /// Runs a poll until the response head.
    pub(super) fn poll<T>(&mut self, work: impl FnOnce() -> Poll<T>) -> Poll<T> {
        match self {
            Self::Recorded(exchange) => exchange.poll(work),
            other => other.enter(work),
        }
    }

    /// The state for polling the body.
    pub(super) fn into_body(self) -> Self {
        match self {
            Self::Off | Self::Logged(_) => Self::Off,
            // Events in the body of an ignored request are dropped too, so the scope stays.
            Self::Ignored(ignored) => Self::Ignored(ignored),
            Self::Recorded(exchange) if exchange.is_over() => Self::Off,
            Self::Recorded(exchange) => Self::Recorded(exchange),
        }
    }

    /// The inner service failed without a response.
    pub(super) fn error(&mut self, error: &dyn fmt::Display) {
        match self {
            Self::Off | Self::Logged(_) => {}
            Self::Ignored(_) => *self = Self::Off,
            Self::Recorded(exchange) => exchange.with(|exchange| exchange.fail(&without_response(error))),
        }
    }

    /// A frame of the body was delivered.
    pub(super) fn frame(&mut self, bytes: u64, trailers: Option<&HeaderMap>, is_end: bool) {
        self.change(|exchange| exchange.frame(bytes, trailers, is_end));
    }

    /// The body has ended.
    pub(super) fn complete(&mut self) {
        self.change(Exchange::end_of_body);
    }

    /// The body failed.
    pub(super) fn body_error(&mut self) {
        self.change(|exchange| exchange.fail("failed in the body of its response"));
    }

    fn change(&mut self, change: impl FnOnce(&mut Exchange)) {
        if let Self::Recorded(exchange) = self {
            exchange.with(change);
        }
    }
}

/// Says that a service failed, with the text of its error.
#[cold]
fn without_response(error: &dyn fmt::Display) -> String {
    let text = event::limited(format_args!(": {error}")).filter(|text| text.len() > 2).unwrap_or_default();
    ["failed without a response", &text].concat()
}

/// An exchange in a box that the thread's next request uses again; dropping it ends the exchange.
///
/// Futures are moved several times, and a large one costs more. This saves 500 instructions per
/// request, even if nothing is recorded.
pub(super) struct PooledExchange {
    /// None only in `Drop`.
    exchange: Option<Box<Exchange>>,
}

thread_local! {
    #[expect(clippy::vec_box, reason = "what is used again is the box")]
    static SPARE: RefCell<Vec<Box<Exchange>>> = const { RefCell::new(Vec::new()) };
}

impl PooledExchange {
    fn take() -> Self {
        Self { exchange: Some(SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten().unwrap_or_default()) }
    }

    fn is_over(&self) -> bool {
        self.exchange.as_ref().is_none_or(|exchange| exchange.is_over())
    }

    fn poll<T>(&mut self, work: impl FnOnce() -> Poll<T>) -> Poll<T> {
        match &mut self.exchange {
            Some(exchange) => exchange.poll(work),
            None => work(),
        }
    }

    fn enter<R>(&mut self, work: impl FnOnce() -> R) -> R {
        match &mut self.exchange {
            Some(exchange) => exchange.enter(work),
            None => work(),
        }
    }

    pub(super) fn with(&mut self, change: impl FnOnce(&mut Exchange)) {
        if let Some(exchange) = &mut self.exchange {
            change(exchange);
        }
    }
}

impl Drop for PooledExchange {
    fn drop(&mut self) {
        /// At most this many idle exchanges are kept per thread; further ones are freed.
        const IDLE_LIMIT: usize = 16;
        let Some(mut exchange) = self.exchange.take() else { return };
        exchange.abandoned();
        *exchange = Exchange::default();
        // Fails while the thread shuts down; the exchange is then freed.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < IDLE_LIMIT {
                spare.push(exchange);
            }
        });
    }
}

impl fmt::Debug for PooledExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PooledExchange").field(&self.exchange).finish()
    }
}

impl fmt::Debug for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ignored")
    }
}
