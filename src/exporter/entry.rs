//! Items that share an envelope: logs and metrics.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bare::{bare_log, bare_metric};
use super::hooks::Hooks;
use super::item::Item;
use crate::payload::{Facts, LogPayload, MetricPayload};
use crate::protocol::{Category, ItemType, Log, Metric};
use crate::record::{LogLine, MetricRecord};
use crate::unwind::Hook;

/// An item that shares an envelope with others of its kind.
pub(super) trait Entry: Sized {
    const CATEGORY: Category;
    const ITEM: ItemType;
    const MEDIA_TYPE: &str;
    /// What a warning calls the hook.
    const HOOK: &str;
    /// What the hook sees.
    type Shown: Serialize + DeserializeOwned;

    /// The approximate size in bytes.
    fn bytes(&self) -> usize;

    fn into_item(self: Box<Self>) -> Item;

    fn payload<'a>(&'a self, facts: &'a Facts) -> impl Serialize + 'a;

    fn hook(hooks: &Hooks) -> Option<&Hook<Self::Shown>>;

    /// Removes the contents after the hook panicked. Returns `false` if nothing is left to send.
    fn strip(&self, shown: &mut Self::Shown) -> bool;

    /// Whether a server takes what the hook has left.
    fn is_valid(_: &Self::Shown) -> bool {
        true
    }
}

impl Entry for LogLine {
    const CATEGORY: Category = Category::LogItem;
    const ITEM: ItemType = ItemType::Log;
    const MEDIA_TYPE: &str = "application/vnd.sentry.items.log+json";
    const HOOK: &str = "a before_send_log hook";
    type Shown = Log;

    fn bytes(&self) -> usize {
        self.size()
    }

    fn into_item(self: Box<Self>) -> Item {
        Item::Log(self)
    }

    fn payload<'a>(&'a self, facts: &'a Facts) -> impl Serialize + 'a {
        LogPayload { line: self, facts }
    }

    fn hook(hooks: &Hooks) -> Option<&Hook<Log>> {
        hooks.before_send_log.as_ref()
    }

    fn strip(&self, shown: &mut Log) -> bool {
        bare_log(shown);
        true
    }
}

impl Entry for MetricRecord {
    const CATEGORY: Category = Category::TraceMetric;
    const ITEM: ItemType = ItemType::TraceMetric;
    const MEDIA_TYPE: &str = "application/vnd.sentry.items.trace-metric+json";
    const HOOK: &str = "a before_send_metric hook";
    type Shown = Metric;

    fn bytes(&self) -> usize {
        self.size()
    }

    fn into_item(self: Box<Self>) -> Item {
        Item::Metric(self)
    }

    fn payload<'a>(&'a self, facts: &'a Facts) -> impl Serialize + 'a {
        MetricPayload { metric: self, facts }
    }

    fn hook(hooks: &Hooks) -> Option<&Hook<Metric>> {
        hooks.before_send_metric.as_ref()
    }

    fn strip(&self, shown: &mut Metric) -> bool {
        bare_metric(shown);
        // A name that was made while the process ran may contain data.
        matches!(self.sample.name, Cow::Borrowed(_))
    }

    fn is_valid(shown: &Metric) -> bool {
        Metric::is_valid(&shown.name, shown.value)
    }
}
