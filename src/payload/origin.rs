//! The place in the code that a span or a log comes from.

use serde::{Serialize, Serializer};
use tracing::Metadata;

use super::trusted::ProgramText;
use crate::record::target;

/// The target of an event with these encoded fields.
pub(super) struct Target<'a>(pub(super) &'static Metadata<'static>, pub(super) &'a [u8]);

impl Serialize for Target<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(metadata, fields) = self;
        match target(metadata, fields) {
            // Nearly always the callsite's own, which is not searched for secrets.
            own if std::ptr::eq(own, metadata.target()) => ProgramText(metadata.target()).serialize(serializer),
            given => given.serialize(serializer),
        }
    }
}
