//! What a user sees: real sockets, a relay on loopback, bytes parsed by foreign code.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::cmp_owned,
    clippy::format_collect,
    clippy::format_push_string,
    clippy::items_after_statements,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::type_complexity,
    clippy::unnecessary_operation,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "test code"
)]

mod accounts;
mod architecture;
mod body;
mod canaries;
mod client;
mod config;
mod db;
mod delivery;
mod error_details;
mod errors;
mod events;
mod export;
mod grpc;
mod hot_path;
mod html;
mod http;
mod ids;
mod jobs;
mod kit;
mod logs;
mod middleware;
mod names;
mod panics;
mod payloads;
mod privacy;
mod privacy_scenes;
mod promises;
mod propagation;
mod protocol;
mod queries;
mod release;
mod runtime;
mod sampling;
mod scope;
mod settings;
mod shutdown;
mod spans;
mod support;
mod tail;
mod trees;
mod wire;
