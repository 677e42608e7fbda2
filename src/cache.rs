//! Caches: spans that say whether the value was there.
//!
//! What is done with the key goes with it: it is the span's description, so it should hold no secret.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::protocol::SpanStatus;
use crate::record::{FieldWriter, Key};
use crate::scope::OwnSpan;

/// What a look into a cache gave.
pub trait Looked {
    /// Whether the value was there; none if the cache could not be asked.
    fn hit(&self) -> Option<bool>;
}

impl<T> Looked for Option<T> {
    fn hit(&self) -> Option<bool> {
        Some(self.is_some())
    }
}

impl<T, E> Looked for Result<Option<T>, E> {
    fn hit(&self) -> Option<bool> {
        self.as_ref().ok().map(Option::is_some)
    }
}

/// A look into a cache as a span (`cache.get`) that says whether the value was there (`cache.hit`).
///
/// # Examples
///
/// ```
/// # async fn lookup(_: &str) -> Option<String> { None }
/// # async fn from_database() -> String { String::new() }
/// # async fn profile() -> String {
/// match tower_sentry::cache::get("user_profile_43", lookup("user_profile_43")).await {
///     Some(profile) => profile,
///     None => tower_sentry::span("db.query", "SELECT profile", from_database()).await,
/// }
/// # }
/// ```
pub fn get<F>(key: impl Into<Cow<'static, str>>, work: F) -> CacheGet<F>
where
    F: Future<Output: Looked>,
{
    CacheGet { key: key.into(), state: State::Waiting, work }
}

#[derive(Debug)]
enum State {
    Waiting,
    /// None when nothing is recorded.
    Running(Option<OwnSpan>),
}

pin_project! {
    /// A look into a cache. Made by [`get`].
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is polled"]
    pub struct CacheGet<F> {
        key: Cow<'static, str>,
        state: State,
        #[pin]
        work: F,
    }
}

impl<F: Future<Output: Looked>> Future for CacheGet<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let State::Waiting = this.state {
            let mut span = OwnSpan::start("cache.get", "manual", this.key);
            if let Some(span) = &mut span {
                span.set(|writer| writer.text(Key::Name("cache.key"), this.key));
            }
            *this.state = State::Running(span);
        }
        let State::Running(Some(span)) = this.state else { return this.work.poll(cx) };
        let found = ready!(span.enter(|| this.work.poll(cx)));
        let hit = found.hit();
        span.set(|writer: &mut FieldWriter<'_>| {
            if let Some(hit) = hit {
                writer.bool(Key::Name("cache.hit"), hit);
            }
        });
        span.end(if hit.is_some() { SpanStatus::Ok } else { SpanStatus::InternalError });
        Poll::Ready(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hit_is_a_value_that_was_there() {
        let rows: [(&dyn Looked, Option<bool>); 5] = [
            (&Some(7), Some(true)),
            (&None::<u32>, Some(false)),
            (&Ok::<_, &str>(Some(7)), Some(true)),
            (&Ok::<Option<u32>, &str>(None), Some(false)),
            (&Err::<Option<u32>, _>("the cache is down"), None),
        ];

        for (number, (looked, expected)) in rows.into_iter().enumerate() {
            assert_eq!(looked.hit(), expected, "row {number}");
        }
    }
}
