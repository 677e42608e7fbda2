//! Queries that a database's crate tells of when they are over: sqlx does, and with it sea-orm.

use std::fmt;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata};

/// How long it took, in seconds.
const ELAPSED: &str = "elapsed_secs";

/// Whether events of this callsite tell of a query that is over: sqlx's do, and those of others that have the same fields.
#[inline]
pub(super) fn is_query(metadata: &Metadata<'_>) -> bool {
    let fields = metadata.fields();
    // Few events have so many fields: the rest is done here.
    fields.len() >= 2
        && fields.field(ELAPSED).is_some()
        && (fields.field("db.statement").is_some() || fields.field("db.query.text").is_some())
}

/// Whether they are recorded below the layer's level as well: sqlx tells of queries at DEBUG.
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
