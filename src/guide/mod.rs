#![doc = include_str!("index.md")]

// The examples of the pages run as tests in a build that has the features they use.

#[cfg_attr(any(not(doctest), feature = "axum"), doc = include_str!("quick_start.md"))]
pub mod quick_start {}

#[cfg_attr(any(not(doctest), all(feature = "axum", feature = "test")), doc = include_str!("requests.md"))]
pub mod requests {}

#[cfg_attr(any(not(doctest), feature = "test"), doc = include_str!("hosts.md"))]
pub mod hosts {}

#[cfg_attr(any(not(doctest), all(feature = "axum", feature = "test")), doc = include_str!("spans.md"))]
pub mod spans {}

#[cfg_attr(any(not(doctest), all(feature = "axum", feature = "test")), doc = include_str!("errors.md"))]
pub mod errors {}

#[cfg_attr(any(not(doctest), feature = "test"), doc = include_str!("privacy.md"))]
pub mod privacy {}

#[cfg_attr(any(not(doctest), all(feature = "axum", feature = "test")), doc = include_str!("sampling.md"))]
pub mod sampling {}

#[doc = include_str!("alerts.md")]
pub mod alerts {}

#[cfg_attr(any(not(doctest), feature = "profiling"), doc = include_str!("profiling.md"))]
pub mod profiling {}

#[doc = include_str!("delivery.md")]
pub mod delivery {}

#[cfg_attr(any(not(doctest), feature = "otlp"), doc = include_str!("otlp.md"))]
pub mod otlp {}

#[cfg_attr(any(not(doctest), feature = "axum"), doc = include_str!("production.md"))]
pub mod production {}

#[cfg_attr(any(not(doctest), feature = "test"), doc = include_str!("jobs.md"))]
pub mod jobs {}

#[cfg_attr(any(not(doctest), feature = "browser"), doc = include_str!("browser.md"))]
pub mod browser {}

#[cfg_attr(any(not(doctest), all(feature = "axum", feature = "test")), doc = include_str!("testing.md"))]
pub mod testing {}

#[cfg_attr(any(not(doctest), feature = "browser"), doc = include_str!("sentry.md"))]
pub mod sentry {}

#[doc = include_str!("cost.md")]
#[doc = "\n# The figures that CI checks\n\n```text"]
#[doc = include_str!("../../benches/budget.tsv")]
#[doc = "```"]
pub mod cost {}

#[doc = include_str!("architecture.md")]
pub mod architecture {}

#[cfg_attr(any(not(doctest), feature = "axum"), doc = include_str!("migrating.md"))]
pub mod migrating {}
