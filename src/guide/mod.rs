//! Long explanations.

#[doc = include_str!("architecture.md")]
pub mod architecture {}

#[doc = include_str!("cost.md")]
pub mod cost {}

#[doc = include_str!("requests.md")]
pub mod requests {}
