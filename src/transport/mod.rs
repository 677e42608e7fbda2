//! How finished envelopes leave the process.
//!
//! A transport gets bytes that are redacted and serialised, and never a record.

mod connect;
pub(crate) mod console;
mod http;
mod tls;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use http::{Http, Outcome};

/// Receives finished envelopes instead of the network.
pub(crate) type Transport = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// The longest wait, one year: it keeps `Instant::now() + timeout` from overflowing.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);
