//! HTML that connects the monitoring of a page with that of its request.
//!
//! [`trace_meta_tags`](crate::Scope::trace_meta_tags) are the `<meta>` tags from which Sentry's browser SDK
//! continues the trace. With the feature `browser`, a `PageSnippet` also sets up the SDK with the
//! settings of a `Browser`, and an `ErrorPage` asks the user what happened.

#[cfg(feature = "browser")]
mod browser;
#[cfg(feature = "browser")]
mod error_page;
mod escape;
mod meta;
#[cfg(feature = "browser")]
mod snippet;

#[cfg(feature = "browser")]
pub use browser::Browser;
#[cfg(feature = "browser")]
pub use error_page::ErrorPage;
pub use meta::TraceMetaTags;
#[cfg(feature = "browser")]
pub use snippet::PageSnippet;
