//! Who may use the service, and how often.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The owner of an API key.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) id: i64,
    pub(crate) username: String,
    pub(crate) is_staff: bool,
}

/// The accounts by their API keys.
///
/// The keys are made at each start. A service that keeps them stores only their digests.
#[derive(Default)]
pub(crate) struct Accounts(Mutex<HashMap<String, Account>>);

impl Accounts {
    pub(crate) fn add(&self, id: i64, username: &str, is_staff: bool, key: &str) {
        let account = Account { id, username: username.to_owned(), is_staff };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), account);
    }

    pub(crate) fn of_key(&self, key: &str) -> Option<Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }
}

/// Counts the requests of each account. Those without an account share one count, so no client can make it grow.
pub(crate) struct Throttle {
    limit: u32,
    counts: Mutex<(Instant, HashMap<Option<i64>, u32>)>,
}

impl Throttle {
    pub(crate) fn new(a_minute: u32) -> Self {
        Self { limit: a_minute, counts: Mutex::new((Instant::now(), HashMap::new())) }
    }

    /// Whether this account may make one more request in this minute.
    pub(crate) fn admits(&self, account: Option<i64>) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, of_accounts) = &mut *counts;
        if since.elapsed() >= Duration::from_secs(60) {
            *since = Instant::now();
            of_accounts.clear();
        }
        let count = of_accounts.entry(account).or_default();
        *count += 1;
        *count <= self.limit
    }
}
