//! Writes our own attributes beside those of the application.

use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq as _};

use super::trusted::Constant;
use crate::protocol::SpanLink;
use crate::record::FieldValue;

/// Writes our attributes into a map. JSON must not repeat a key: the application's value wins.
pub(super) struct Entries<'a, M> {
    pub(super) map: M,
    /// The attributes of the application.
    pub(super) given: &'a [(&'a str, FieldValue<'a>)],
}

impl<M: SerializeMap> Entries<'_, M> {
    pub(super) fn is_free(&self, name: &str) -> bool {
        self.given.iter().all(|(taken, _)| *taken != name)
    }

    #[expect(clippy::inline_always, reason = "constant names are copied as such")]
    #[inline(always)]
    pub(super) fn add<V: Serialize + ?Sized>(&mut self, name: &'static str, value: &V) -> Result<(), M::Error> {
        if self.is_free(name) { self.map.serialize_entry(&Constant(name), value) } else { Ok(()) }
    }
}

/// Links as a list.
pub(super) struct Links<F>(pub(super) F);

impl<'a, F, I> Serialize for Links<F>
where
    F: Fn() -> I,
    I: Iterator<Item = &'a SpanLink>,
{
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut links = serializer.serialize_seq(None)?;
        for link in (self.0)() {
            links.serialize_element(link)?;
        }
        links.end()
    }
}
