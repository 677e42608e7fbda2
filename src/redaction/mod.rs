//! Removes secrets from everything that leaves the process.
//!
//! Everything that is sent, printed or stored passes through one `Redactor` as the last step, after
//! the hooks. It judges **names** (of headers, query parameters and fields) and **shapes** (tokens,
//! `Bearer …`, keys, cards, `user:password@` in URLs, `password: "…"` in `Debug` output). Its
//! result has its own type, `Redacted`, and the exporter sends nothing else.

mod authority;
mod beside;
mod clean;
mod columns;
mod command;
mod cookies;
mod cursor;
mod encoded;
mod envelope;
mod escape;
mod explain;
mod finding;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod hashed;
mod header_value;
mod headers;
mod json;
mod key;
mod name_cache;
mod name_words;
mod names;
mod nested;
mod numbers;
mod oversize;
mod pair;
mod path;
mod place;
mod prose;
mod providers;
mod quoted;
mod redactor;
mod reported;
mod rules;
mod scan;
mod serializer;
mod shape;
mod shown;
mod statement;
mod strict;
mod table;
mod url;
mod value;
mod value_class;
mod verdict;
mod webhook;
mod window;

#[cfg(test)]
pub(crate) use envelope::redact_json;
pub(crate) use envelope::{OpenEnvelope, Redacted, SealedEnvelope};
pub(crate) use escape::is_plain;
pub use explain::Explanation;
pub(crate) use redactor::Redactor;
pub(crate) use rules::Privacy;
pub use rules::Redaction;
pub(crate) use shown::shown;
