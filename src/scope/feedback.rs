//! Feedback from users.

use super::handle::Scope;
use super::inner_request::Served;
use crate::exporter::Item;
use crate::protocol::{EventId, Feedback, FeedbackEvent};

impl Scope {
    /// Sends a user's feedback, which may refer to an error that was captured before.
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
    pub fn capture_feedback(&self, feedback: Feedback) -> EventId {
        let Some(shared) = &self.shared else { return EventId::nil() };
        shared.client.count_truncated(feedback.is_cut().into());
        let (trace_id, root, ..) = shared.ids_of(Served::Whole);
        let event = FeedbackEvent::new(feedback, trace_id, root);
        let event_id = event.event_id;
        shared.client.submit(Item::Feedback(Box::new(event)));
        event_id
    }
}
