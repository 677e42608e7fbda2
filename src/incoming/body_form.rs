//! The two types of response bodies that a layer can return.

use super::body::ResponseBody;

/// Keeps the inner body's type, wrapped in [`ResponseBody`]; nothing is boxed.
///
/// This form fits nearly everywhere.
#[derive(Debug)]
#[non_exhaustive]
pub struct Generic;

/// Makes `axum::body::Body` the body type. See `SentryLayer::boxed_body`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Boxed;

/// Chooses the type of response bodies. Sealed: only [`Generic`] and [`Boxed`] implement it.
pub trait BodyForm<B>: sealed::Sealed {
    /// The type of the response bodies.
    type Body;

    /// Wraps a body that is timed to its end.
    fn wrap(body: ResponseBody<B>) -> Self::Body;
}

impl<B: http_body::Body> BodyForm<B> for Generic {
    type Body = ResponseBody<B>;

    fn wrap(body: ResponseBody<B>) -> Self::Body {
        body
    }
}

#[expect(unnameable_types, reason = "that is what seals the trait above")]
mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Generic {}
    impl Sealed for super::Boxed {}
}
