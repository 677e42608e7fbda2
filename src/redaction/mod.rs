//! Removes secrets from everything that leaves the process.
//!
//! Everything that is sent, printed or stored passes through one `Redactor` as the last step, after
//! the hooks. It judges **names** (of headers, query parameters and fields) and **shapes** (tokens,
//! `Bearer …`, keys, cards, `user:password@` in URLs, `password: "…"` in `Debug` output). Its
//! result has its own type, `Redacted`, and the exporter sends nothing else.

mod card;
mod clean;
mod envelope;
mod escape;
mod json;
mod key;
mod name_cache;
mod names;
mod patterns;
mod place;
mod redactor;
mod rules;
mod secret;
mod serializer;
mod url;
mod value;
mod verdict;
mod webhook;

pub(crate) use envelope::{OpenEnvelope, Redacted, SealedEnvelope};
pub(crate) use escape::is_plain;
pub(crate) use redactor::Redactor;
pub(crate) use rules::Privacy;
pub use rules::Redaction;
#[cfg(test)]
pub(crate) use serializer::redact_json;
