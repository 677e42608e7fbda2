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
#![cfg_attr(
    not(all(feature = "axum", feature = "test")),
    allow(dead_code, unused_imports, reason = "helpers of tests that need more features")
)]

// With any set of features.
mod architecture;
mod bare;
mod export;
mod fair;
mod faults;
#[cfg(unix)]
mod forks;
mod hot_path;
mod limits;
mod protocol;
mod shutdown;
mod support;
mod transport;
mod wire;

// With our own HTTP transport.
#[cfg(feature = "reqwest")]
mod delivery;
#[cfg(feature = "reqwest")]
mod doctor;
#[cfg(all(feature = "axum", feature = "otlp", feature = "test"))]
mod otlp;
#[cfg(feature = "reqwest")]
mod outages;

// With TLS, since a DSN begins with `https://`.
#[cfg(feature = "rustls")]
mod config;

// With axum's routes.
#[cfg(feature = "axum")]
mod error_details;
#[cfg(feature = "axum")]
mod ids;
#[cfg(feature = "axum")]
mod logs;
#[cfg(feature = "axum")]
mod modules;
#[cfg(feature = "axum")]
mod names;
#[cfg(feature = "axum")]
mod release;
#[cfg(feature = "axum")]
mod runtime;

// With those, and with the kit.
#[cfg(all(feature = "axum", feature = "test"))]
mod accounts;
#[cfg(all(feature = "axum", feature = "test"))]
mod alerts;
#[cfg(all(feature = "axum", feature = "test"))]
mod batchers;
#[cfg(all(feature = "axum", feature = "test"))]
mod bodies;
#[cfg(all(feature = "axum", feature = "test"))]
mod body;
#[cfg(all(feature = "axum", feature = "test"))]
mod budgets;
#[cfg(all(feature = "axum", feature = "test"))]
mod canaries;
#[cfg(all(feature = "axum", feature = "test"))]
mod client;
#[cfg(all(feature = "axum", feature = "test"))]
mod db;
#[cfg(all(feature = "debug-routes", feature = "test"))]
mod debug_routes;
#[cfg(all(feature = "axum", feature = "test"))]
mod described;
#[cfg(all(feature = "axum", feature = "test"))]
mod described_elsewhere;
#[cfg(target_os = "linux")]
mod disks;
#[cfg(all(feature = "axum", feature = "test"))]
mod error_forms;
#[cfg(all(feature = "axum", feature = "test"))]
mod errors;
#[cfg(all(feature = "axum", feature = "test"))]
mod evaluation;
#[cfg(all(feature = "axum", feature = "test"))]
mod events;
#[cfg(all(feature = "axum", feature = "test"))]
mod everything;
#[cfg(all(feature = "metrics", feature = "test"))]
mod facade;
#[cfg(all(feature = "axum", feature = "test"))]
mod filters;
#[cfg(all(feature = "axum", feature = "test"))]
mod forecast;
#[cfg(all(feature = "axum", feature = "test"))]
mod frames;
mod given_events;
#[cfg(all(feature = "axum", feature = "test"))]
mod grouping;
#[cfg(all(feature = "axum", feature = "test"))]
mod grpc;
#[cfg(all(feature = "axum", feature = "test"))]
mod guard;
#[cfg(all(feature = "axum", feature = "test"))]
mod homes;
#[cfg(all(feature = "axum", feature = "test"))]
mod hooks;
#[cfg(all(feature = "axum", feature = "test"))]
mod html;
#[cfg(all(feature = "axum", feature = "test"))]
mod http;
#[cfg(all(feature = "axum", feature = "test"))]
mod inner_requests;
#[cfg(all(feature = "axum", feature = "test"))]
mod job_errors;
#[cfg(all(feature = "axum", feature = "test"))]
mod jobs;
#[cfg(all(feature = "axum", feature = "test"))]
mod kit;
#[cfg(all(feature = "axum", feature = "test"))]
mod live;
#[cfg(all(feature = "axum", feature = "test"))]
mod log_crate;
#[cfg(all(feature = "axum", feature = "test"))]
mod metrics;
#[cfg(all(feature = "axum", feature = "test"))]
mod middleware;
#[cfg(all(feature = "axum", feature = "test"))]
mod moments;
#[cfg(all(feature = "axum", feature = "test"))]
mod oversize;
#[cfg(all(feature = "axum", feature = "test"))]
mod panic_hooks;
#[cfg(all(feature = "axum", feature = "test"))]
mod panics;
#[cfg(all(feature = "axum", feature = "test"))]
mod payloads;
#[cfg(all(feature = "axum", feature = "test"))]
mod privacy;
#[cfg(all(feature = "axum", feature = "test"))]
mod privacy_scenes;
#[cfg(all(profiles, feature = "axum", feature = "test"))]
mod profile;
#[cfg(all(feature = "axum", feature = "test"))]
mod promises;
#[cfg(all(feature = "axum", feature = "test"))]
mod propagation;
#[cfg(all(feature = "axum", feature = "test"))]
mod queries;
#[cfg(all(feature = "axum", feature = "test"))]
mod queue_time;
#[cfg(all(feature = "axum", feature = "test"))]
mod root_transactions;
#[cfg(all(feature = "axum", feature = "test"))]
mod same;
#[cfg(all(feature = "axum", feature = "test"))]
mod same_orders;
#[cfg(all(feature = "axum", feature = "test"))]
mod samplers;
#[cfg(all(feature = "axum", feature = "test"))]
mod sampling;
#[cfg(all(feature = "axum", feature = "test"))]
mod scope;
#[cfg(all(feature = "axum", feature = "test"))]
mod sensitive;
#[cfg(all(feature = "axum", feature = "test"))]
mod server_timing;
#[cfg(all(feature = "axum", feature = "test"))]
mod settings;
#[cfg(all(feature = "axum", feature = "test"))]
mod soak;
#[cfg(all(feature = "axum", feature = "test"))]
mod span_handles;
#[cfg(all(feature = "axum", feature = "test"))]
mod span_programs;
#[cfg(all(feature = "axum", feature = "test"))]
mod spans;
#[cfg(all(feature = "axum", feature = "test"))]
mod spellings;
mod spool;
#[cfg(all(feature = "axum", feature = "test"))]
mod tail;
#[cfg(all(feature = "axum", feature = "test"))]
mod thousand_canaries;
#[cfg(all(feature = "axum", feature = "test"))]
mod trees;
#[cfg(all(feature = "browser", feature = "test"))]
mod tunnel;
#[cfg(all(feature = "axum", feature = "test"))]
mod warnings;
