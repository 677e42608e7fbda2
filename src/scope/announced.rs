//! Event ids that are handed out before their event is captured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::client::{Client, WeakClient, default_client};
use crate::event::KnownFailure;
use crate::protocol::{Category, DiscardReason, EventId};

/// The id of an event that is captured later, or never.
///
/// If it was handed out and no event has it, it is counted as dropped.
#[derive(Debug)]
pub(crate) struct AnnouncedId {
    event_id: EventId,
    client: WeakClient,
    is_handed_out: AtomicBool,
    is_used: AtomicBool,
}

impl AnnouncedId {
    pub(super) fn new(event_id: EventId, client: &Client, is_used: bool) -> Arc<Self> {
        let (is_handed_out, is_used) = (AtomicBool::new(false), AtomicBool::new(is_used));
        Arc::new(Self { event_id, client: client.clone().downgrade(), is_handed_out, is_used })
    }

    /// An id for an error outside any request.
    pub(crate) fn outside() -> Arc<Self> {
        Self::new(EventId::new(), &default_client(), false)
    }

    /// The nil id, which means that monitoring is off.
    pub(crate) fn nil() -> Arc<Self> {
        Self::new(EventId::nil(), &Client::off(), true)
    }

    pub(crate) fn event_id(&self) -> EventId {
        self.event_id
    }

    pub(crate) fn hand_out(&self) -> EventId {
        self.is_handed_out.store(true, Ordering::Relaxed);
        self.event_id
    }

    /// Takes the id for an event, and whether it was handed out. `None` if an event has it already.
    pub(crate) fn take(&self) -> Option<(EventId, bool)> {
        let is_free = !self.is_used.swap(true, Ordering::Relaxed);
        is_free.then(|| (self.event_id, self.is_handed_out.load(Ordering::Relaxed)))
    }
}

impl Drop for AnnouncedId {
    fn drop(&mut self) {
        if *self.is_handed_out.get_mut() && !*self.is_used.get_mut() {
            self.client.upgrade().discard(DiscardReason::EventProcessor, Category::Error, 1);
        }
    }
}

/// A failure that has an id, but was not captured yet.
pub(super) struct Announced {
    pub(super) failure: KnownFailure,
    pub(super) id: Arc<AnnouncedId>,
}
