//! The client for events outside any request.

use std::sync::{PoisonError, RwLock, TryLockError};

use super::{Client, WeakClient};
use crate::{diagnostics, fork};

/// The client for events outside any request.
///
/// Weak, so that dropping the last handle still delivers.
static DEFAULT: RwLock<WeakClient> = RwLock::new(WeakClient::new());

/// The client for events outside any request. It is off if there is none.
pub(crate) fn default_client() -> Client {
    let read = match DEFAULT.try_read() {
        Ok(read) => read,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        // Another thread of the parent was changing it at the fork.
        Err(TryLockError::WouldBlock) if fork::is_child() => return Client::off(),
        Err(TryLockError::WouldBlock) => DEFAULT.read().unwrap_or_else(PoisonError::into_inner),
    };
    read.upgrade()
}

/// Makes `client` the one for events outside any request.
pub(crate) fn set_default_client(client: &Client) {
    if !fork::is_child() {
        *DEFAULT.write().unwrap_or_else(PoisonError::into_inner) = client.downgrade();
        return;
    }
    // Other threads of this process leave it free soon. Those of the parent never do.
    for _ in 0..1000 {
        if let Ok(mut default) = DEFAULT.try_write() {
            *default = client.downgrade();
            return;
        }
        std::thread::yield_now();
    }
    diagnostics::warn("in this forked process, only events inside requests and jobs are recorded");
}
