//! The guide: how monitoring works, in detail.

#[doc = include_str!("architecture.md")]
pub mod architecture {}

#[doc = include_str!("cost.md")]
#[doc = "\n# The figures of the gate\n\n```text"]
#[doc = include_str!("../../benches/budget.tsv")]
#[doc = "```"]
pub mod cost {}

#[doc = include_str!("errors.md")]
pub mod errors {}

#[doc = include_str!("requests.md")]
pub mod requests {}

#[doc = include_str!("spans.md")]
pub mod spans {}
