//! Queries that a database crate logs when they are finished, as sqlx does, and sea-orm through it.

use std::fmt;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata};

/// The field with the duration of the query, in seconds.
const ELAPSED: &str = "elapsed_secs";

/// Whether events of this callsite report a finished query, as sqlx's do.
///
/// The fields decide, not the target.
#[inline]
pub(super) fn is_query(metadata: &Metadata<'_>) -> bool {
    let fields = metadata.fields();
    // The cheap check comes first: few events have two fields or more.
    fields.len() >= 2
        && fields.field(ELAPSED).is_some()
        && (fields.field("db.statement").is_some() || fields.field("db.query.text").is_some())
}

/// Whether such events are recorded even below the layer's level: sqlx logs queries at DEBUG.
pub(super) fn is_of_driver(metadata: &Metadata<'_>) -> bool {
    matches!(metadata.target(), "sqlx::query" | "diesel::query")
}

/// How long the query took.
pub(super) fn elapsed(event: &Event<'_>) -> Option<Duration> {
    struct Elapsed(Option<Duration>);
    impl Visit for Elapsed {
        fn record_f64(&mut self, field: &Field, value: f64) {
            if field.name() == ELAPSED {
                self.0 = Duration::try_from_secs_f64(value).ok();
            }
        }

        fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
    }
    let mut elapsed = Elapsed(None);
    event.record(&mut elapsed);
    elapsed.0
}
