//! Encodes the field values of `tracing` spans and events for the record.

use std::borrow::Cow;
use std::cell::RefCell;
use std::error::Error;
use std::fmt;

use tracing::Event;
use tracing::field::{Field, Visit};

use crate::client::default_client;
use crate::record::{FieldWriter, Key, LOG_TARGET, is_of_log_crate};
use crate::scope::current;

/// Runs `encode` with a thread-local buffer, then `use_it` with the encoded bytes.
///
/// `encode` runs the user's `Debug` and `Display`, which may log and so call this function again.
/// None of our locks is held then.
pub(super) fn encoded(encode: impl FnOnce(&mut Fields<'_>), use_it: impl FnOnce(&[u8])) {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let mut run = Some(|buffer: &mut Vec<u8>| {
        buffer.clear();
        let mut fields = Fields(FieldWriter::new(buffer));
        encode(&mut fields);
        let truncated = fields.0.truncated();
        if truncated > 0 {
            count_truncated(truncated);
        }
        use_it(buffer);
        // A single long text must not keep its memory forever.
        if buffer.capacity() > 64 * 1024 {
            *buffer = Vec::new();
        }
    });
    let _ = BUFFER.try_with(|buffer| {
        if let Ok(mut buffer) = buffer.try_borrow_mut()
            && let Some(run) = run.take()
        {
            run(&mut buffer);
        }
    });
    // In a nested call, or while the thread is being torn down, use a separate buffer.
    if let Some(run) = run {
        run(&mut Vec::new());
    }
}

#[cold]
fn count_truncated(texts: u64) {
    let client = current::with(|entered| entered.scope.client.clone());
    client.unwrap_or_else(default_client).count_truncated(texts);
}

/// The event's fields in the encoding of the record.
pub(super) fn fields_of(event: &Event<'_>) -> Vec<u8> {
    let mut fields = Vec::new();
    encoded(|writer| event.record(writer), |encoded| fields.extend_from_slice(encoded));
    fields
}

/// Whether an event is a warning of this crate that came back through the `log` crate.
#[inline]
pub(super) fn is_own_warning(event: &Event<'_>) -> bool {
    struct Own(bool);
    impl Visit for Own {
        fn record_str(&mut self, field: &Field, value: &str) {
            self.0 |= field.name() == LOG_TARGET && value == "tower_sentry";
        }

        fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
    }
    is_of_log_crate(event.metadata()) && {
        let mut own = Own(false);
        event.record(&mut own);
        own.0
    }
}

/// The target of the event: for a record of the `log` crate the one that it was logged with.
pub(super) fn target_of(event: &Event<'_>) -> Cow<'static, str> {
    struct Given(Option<String>);
    impl Visit for Given {
        fn record_str(&mut self, field: &Field, value: &str) {
            if field.name() == LOG_TARGET {
                self.0 = Some(value.to_owned());
            }
        }

        fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
    }
    let own = event.metadata().target();
    if !is_of_log_crate(event.metadata()) {
        return Cow::Borrowed(own);
    }
    let mut given = Given(None);
    event.record(&mut given);
    given.0.map_or(Cow::Borrowed(own), Cow::Owned)
}

/// Writes each field under its index in the callsite's field list.
pub(super) struct Fields<'a>(FieldWriter<'a>);

impl Visit for Fields<'_> {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.bool(key(field), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.i64(key(field), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.u64(key(field), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.f64(key(field), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.text(key(field), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.0.display(key(field), format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.display(key(field), format_args!("{value:?}"));
    }
}

/// A callsite has at most 32 fields.
fn key(field: &Field) -> Key<'static> {
    Key::Index(u8::try_from(field.index()).unwrap_or(u8::MAX - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_leaves_no_memory_behind_and_a_short_one_room_for_the_next() {
        let text = "x".repeat(8 * 1024);
        let encode = |fields: u8| {
            let write = |writer: &mut Fields<'_>| (0..fields).for_each(|index| writer.0.text(Key::Index(index), &text));
            encoded(write, |bytes| assert_eq!(bytes.len(), usize::from(fields) * (4 + text.len())));
        };

        encode(1);
        let short = allocation_counter::measure(|| encode(1));
        let long = allocation_counter::measure(|| encode(32));

        assert_eq!(short.count_total, 0, "the buffer of the thread serves again");
        assert!(long.bytes_max > 200 * 1024 && long.bytes_current <= 0, "{long:?}");
    }
}
