//! Adapters for servers whose middlewares are not tower layers. Copy the one that you need.
//!
//! All work in the same way. They copy the head of the framework's request into an `http::Request`, and call
//! [`SentryLayer`](tower_sentry::SentryLayer) around a service that calls the framework's own next handler. So the layer
//! sees the request, the polls of the handler, the head of the response and each chunk of the body.

pub mod actix;
pub mod poem;
pub mod salvo;
