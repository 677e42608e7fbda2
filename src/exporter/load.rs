//! What an item counts for.

use crate::protocol::Category;
use crate::spool::Label;

/// The categories of envelopes, by their numbers in labels. New ones go to the end.
const LABELLED: [Category; 10] = [
    Category::Error,
    Category::Transaction,
    Category::Monitor,
    Category::Feedback,
    Category::LogItem,
    Category::Session,
    Category::Internal,
    Category::TraceMetric,
    Category::Span,
    Category::ProfileChunk,
];

/// What an item, or an envelope of several items, counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) category: Category,
    pub(super) quantity: u64,
    /// For a transaction: its children and its root. Streamed spans are a quantity.
    pub(super) spans: u64,
    /// For a transaction: whether it has a profile.
    #[cfg(profiles)]
    pub(super) has_profile: bool,
    /// For an event or feedback: its attachments. For logs and metrics: all of them.
    pub(super) bytes: u64,
}

impl Load {
    /// One item that counts in no other category.
    pub(super) const fn one(category: Category) -> Self {
        Self {
            category,
            quantity: 1,
            spans: 0,
            #[cfg(profiles)]
            has_profile: false,
            bytes: 0,
        }
    }

    /// The load as a label in the spool.
    pub(super) fn label(self) -> Label {
        let Self { category, quantity, spans, bytes, .. } = self;
        #[cfg(profiles)]
        let profile = u8::from(self.has_profile);
        #[cfg(not(profiles))]
        let profile = 0;
        let mut label = Label::default();
        let [quantity, spans] = [quantity, spans].map(|number| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
        let number = [LABELLED.iter().position(|other| *other == category).and_then(|place| u8::try_from(place).ok()).unwrap_or_default()];
        let parts = number.into_iter().chain([profile, 0, 0]).chain(quantity).chain(spans).chain(bytes.to_le_bytes());
        label.iter_mut().zip(parts).for_each(|(place, part)| *place = part);
        label
    }

    /// The load that a label describes.
    pub(super) fn of(label: &Label) -> Self {
        let [number, profile, _, _, quantity @ .., b0, b1, b2, b3, b4, b5, b6, b7] = *label;
        #[cfg(not(profiles))]
        let _ = profile;
        let [q0, q1, q2, q3, s0, s1, s2, s3] = quantity;
        let category = LABELLED.get(usize::from(number)).copied().unwrap_or(Category::Internal);
        let of = |bytes| u64::from(u32::from_le_bytes(bytes));
        Self {
            category,
            quantity: of([q0, q1, q2, q3]),
            spans: of([s0, s1, s2, s3]),
            #[cfg(profiles)]
            has_profile: profile > 0,
            bytes: u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]),
        }
    }

    /// Returns the quantity for each category.
    ///
    /// A transaction also counts its spans and its profile, an event or feedback its attachments' bytes, and a log or a metric its
    /// bytes.
    pub(super) fn shares(self) -> impl Iterator<Item = (Category, u64)> {
        let of_bytes = match self.category {
            Category::LogItem => Category::LogByte,
            Category::TraceMetric => Category::TraceMetricByte,
            _ => Category::Attachment,
        };
        [
            (self.category, self.quantity),
            (Category::Span, self.spans),
            (of_bytes, self.bytes),
            #[cfg(profiles)]
            (Category::Profile, u64::from(self.has_profile)),
        ]
        .into_iter()
        .filter(|(_, quantity)| *quantity > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_says_what_an_envelope_counts_for() {
        for category in LABELLED {
            let load = Load {
                #[cfg(profiles)]
                has_profile: category == Category::Transaction,
                quantity: 7,
                spans: 300_000,
                bytes: 5_000_000_000,
                ..Load::one(category)
            };

            assert_eq!(Load::of(&load.label()), load);
        }
    }
}
