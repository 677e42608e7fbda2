//! Serialises payloads directly from the record, without building the protocol's values.
//!
//! What these views write is what [`protocol`](crate::protocol) reads; a test checks that they
//! agree.

mod body;
mod container;
mod entries;
mod envelope_header;
mod event;
mod facts;
mod fields;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod log;
mod machine;
mod metric;
mod name;
mod origin;
#[cfg(profiles)]
mod profile;
mod queries;
mod request;
mod scope;
mod sdk;
mod span;
mod sql;
mod time;
mod timing;
mod transaction;
mod trusted;
mod value;

pub(crate) use container::ContainerPayload;
pub(crate) use envelope_header::HeaderPayload;
pub(crate) use event::{EventPayload, breadcrumb};
pub(crate) use facts::Facts;
pub(crate) use log::{LinePayload, LogPayload};
pub(crate) use machine::note_start;
pub(crate) use metric::MetricPayload;
pub(crate) use name::{RouteName, UNMATCHED, known_method, name, public_name, request_name, route_of};
#[cfg(profiles)]
pub(crate) use profile::{ChunkPayload, ProfilePayload};
pub(crate) use request::shown as request;
pub(crate) use span::is_constant_op;
pub(crate) use timing::server_timing;
pub(crate) use transaction::TransactionPayload;
