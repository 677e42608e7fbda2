//! Requests that axum's extractors rejected, as axum logs them with its feature `tracing`.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata};

use crate::event;

/// Whether events of this callsite say why axum rejected a request, at level TRACE.
pub(super) fn is_rejection(metadata: &Metadata<'_>) -> bool {
    metadata.target() == "axum::rejection"
}

/// The status and the text of the answer.
pub(super) fn read(event: &Event<'_>) -> Option<(u16, String)> {
    #[derive(Default)]
    struct Rejection {
        status: Option<u16>,
        body: Option<String>,
    }
    impl Visit for Rejection {
        fn record_u64(&mut self, field: &Field, value: u64) {
            if field.name() == "status" {
                self.status = u16::try_from(value).ok();
            }
        }

        fn record_str(&mut self, field: &Field, value: &str) {
            self.record_debug(field, &format_args!("{value}"));
        }

        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            if field.name() == "body" {
                self.body = Some(event::shown(value));
            }
        }
    }
    let mut rejection = Rejection::default();
    event.record(&mut rejection);
    rejection.status.zip(rejection.body)
}
