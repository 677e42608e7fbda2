//! A handle for what lives as long as the process.

use std::fmt;
use std::sync::Weak;

use super::{Client, LiveClient};

/// A client that does not keep the exporter alive.
#[derive(Clone, Default)]
pub(crate) struct WeakClient {
    pub(super) inner: Weak<LiveClient>,
}

impl WeakClient {
    pub(crate) const fn new() -> Self {
        Self { inner: Weak::new() }
    }

    /// Returns the client, or one that is off if the last handle was dropped.
    pub(crate) fn upgrade(&self) -> Client {
        Client { inner: self.inner.upgrade() }
    }
}

impl fmt::Debug for WeakClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.upgrade().fmt(f)
    }
}
