//! Spans for cache lookups that record hits and misses.
//!
//! The key becomes the span's description and its `cache.key` attribute, so it must not contain a
//! secret.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::protocol::SpanStatus;
use crate::record::{FieldWriter, Key};
use crate::scope::OwnSpan;

/// The result of a cache lookup: an `Option`, or a `Result` of one.
///
/// Sealed. Convert other results inside the future.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say whether the value was in the cache",
    note = "`Option<T>` and `Result<Option<T>, E>` do"
)]
pub trait Looked: sealed::Sealed {
    /// Whether the value was found, or `None` if the lookup failed.
    fn hit(&self) -> Option<bool>;
}

#[expect(unnameable_types, reason = "that is what seals the trait above")]
mod sealed {
    pub trait Sealed {}
    impl<T> Sealed for Option<T> {}
    impl<T, E> Sealed for Result<Option<T>, E> {}
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

/// Records a cache lookup as a span (`cache.get`), with the attribute `cache.hit`.
///
/// The result of `work` is an `Option`, or a `Result` of an `Option`. A failed lookup has no `cache.hit`.
/// Outside a recorded request the lookup runs without a span.
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
    CacheGet { key: key.into(), state: LookupState::Waiting, work }
}

#[derive(Debug)]
enum LookupState {
    Waiting,
    /// `None` if nothing is recorded.
    Running(Option<OwnSpan>),
}

pin_project! {
    /// The future of a cache lookup, made by [`get`].
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is polled"]
    pub struct CacheGet<F> {
        key: Cow<'static, str>,
        state: LookupState,
        #[pin]
        work: F,
    }
}

impl<F: Future<Output: Looked>> Future for CacheGet<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let LookupState::Waiting = this.state {
            let mut span = OwnSpan::start("cache.get", "manual", this.key);
            if let Some(span) = &mut span {
                span.set(|writer| writer.text(Key::Name("cache.key"), this.key));
            }
            *this.state = LookupState::Running(span);
        }
        let LookupState::Running(Some(span)) = this.state else { return this.work.poll(cx) };
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
