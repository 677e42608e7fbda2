//! The limits of events, logs and metrics that may change while the exporter runs.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::sampling::LiveSettings;

/// Numbers that are read for each event, log or metric. A change counts for the next one.
#[derive(Debug)]
pub(crate) struct EventLimits {
    events_per_issue: AtomicU32,
    logs_per_callsite: AtomicU32,
    metrics_per_name: AtomicU32,
    /// The bits of the share of events that are sent.
    sample_rate: AtomicU64,
}

impl EventLimits {
    pub(crate) fn new(settings: &LiveSettings) -> Self {
        let limits = Self {
            events_per_issue: AtomicU32::new(0),
            logs_per_callsite: AtomicU32::new(0),
            metrics_per_name: AtomicU32::new(0),
            sample_rate: AtomicU64::new(0),
        };
        limits.set(settings);
        limits
    }

    pub(crate) fn set(&self, settings: &LiveSettings) {
        self.events_per_issue.store(settings.max_events_per_issue, Ordering::Relaxed);
        self.logs_per_callsite.store(settings.max_logs_per_callsite, Ordering::Relaxed);
        self.metrics_per_name.store(settings.max_metrics_per_name, Ordering::Relaxed);
        self.sample_rate.store(settings.error_sample_rate.to_bits(), Ordering::Relaxed);
    }

    /// Events of one issue in a minute. `u32::MAX` means no limit.
    pub(super) fn events_per_issue(&self) -> u32 {
        self.events_per_issue.load(Ordering::Relaxed)
    }

    /// Logs of one place in a minute. `u32::MAX` means no limit.
    pub(super) fn logs_per_callsite(&self) -> u32 {
        self.logs_per_callsite.load(Ordering::Relaxed)
    }

    /// Metrics of one name in a minute. `u32::MAX` means no limit.
    pub(super) fn metrics_per_name(&self) -> u32 {
        self.metrics_per_name.load(Ordering::Relaxed)
    }

    /// The share of events that are sent.
    pub(super) fn sample_rate(&self) -> f64 {
        f64::from_bits(self.sample_rate.load(Ordering::Relaxed))
    }
}
