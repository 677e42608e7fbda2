//! Feedback from users.

use super::handle::Scope;
use super::inner_request::Served;
use crate::diagnostics::Quiet;
use crate::exporter::Item;
use crate::protocol::{Category, DiscardReason, EventId, Feedback, FeedbackEvent};
use crate::redaction::shown;

impl Scope {
    /// Sends a user's feedback, which may refer to an error that was captured before, with its attachments.
    ///
    /// It is redacted, but not passed to `before_send`.
    ///
    /// Returns the id of the feedback, which is nil while monitoring is off.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::{Scope, protocol::Feedback};
    ///
    /// # fn shown() -> tower_sentry::EventId { tower_sentry::EventId::nil() }
    /// let said = Feedback::new("the cart was empty after I paid").event_id(shown()).email("jane@example.com");
    /// Scope::current().capture_feedback(said);
    /// ```
    pub fn capture_feedback(&self, mut feedback: Feedback) -> EventId {
        static TROUBLE: Quiet = Quiet::new();
        let Some(shared) = &self.shared else { return EventId::nil() };
        for file in feedback.take_excess() {
            shared.client.discard(DiscardReason::BufferOverflow, Category::Attachment, (file.bytes.len() as u64).max(1));
            let name = shown(&file.filename);
            TROUBLE.warn(&format!("the attachment '{name}' of feedback is left out: at most ten files, with 4 MiB together"));
        }
        shared.client.count_truncated(feedback.is_cut().into());
        let (trace_id, root, ..) = shared.ids_of(Served::Whole);
        let event = FeedbackEvent::new(feedback, trace_id, root);
        let event_id = event.event_id;
        shared.client.submit(Item::Feedback(Box::new(event)));
        event_id
    }
}
