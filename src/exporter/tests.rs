use super::*;
use crate::event::EventRecord;
use crate::payload::Facts;
use crate::protocol::{Dsn, Level, MetricType, TraceId};
use crate::record::{Limits, LogRecord, MetricRecord, Sample};
use crate::redaction::Privacy;
use crate::sampling::LiveSettings;
use crate::transport::Transport;

/// The shared state of an exporter without a thread.
pub(super) fn shared() -> Arc<Shared> {
    Arc::new(Shared::of(&settings(None, None)))
}

/// Settings of an exporter that sends to `dsn` or to `transport`.
pub(super) fn settings(dsn: Option<Dsn>, transport: Option<Arc<dyn Transport>>) -> ExporterSettings {
    ExporterSettings {
        delivery: DeliverySettings { dsn, transport, enable_logs: true, queue_bytes: 1024 * 1024, ..DeliverySettings::default() },
        facts: Facts { release: Some("shop@1.4.0".to_owned()), ..Facts::default() },
        hooks: Hooks::default(),
        limits: Limits::default(),
        privacy: Privacy::default(),
        event_limits: Arc::new(EventLimits::new(&LiveSettings { max_events_per_issue: 10, ..LiveSettings::default() })),
        beside: Vec::new(),
        start_line: None,
    }
}

/// A log without fields.
pub(super) fn log_line() -> LogLine {
    let callsite = || tracing::info_span!("a log").metadata();
    let metadata = tracing::subscriber::with_default(tracing_subscriber::registry(), callsite).expect("a span knows its callsite");
    let log = LogRecord { metadata, fields: Vec::new() };
    LogLine { at: 0, log, trace_id: TraceId::new(), span: None, user: None, suppressed: None }
}

/// A metric without attributes.
pub(super) fn metric() -> MetricRecord {
    let sample = Sample::new(MetricType::Counter, "orders".into(), 1.0);
    MetricRecord { at: 0, sample, trace_id: TraceId::new(), span: None, user: None, suppressed: None }
}

/// An exporter of another process, as a forked child has it.
fn forked() -> Exporter {
    let mut shared = shared();
    Arc::get_mut(&mut shared).expect("the only handle").queue.fork();
    Exporter { shared }
}

#[test]
fn a_forked_child_notices_what_it_is_at_its_first_capture() {
    let exporter = forked();

    exporter.submit(Item::Log(Box::new(log_line())));

    let logs = exporter.stats().logs;
    assert_eq!((logs.captured, logs.dropped), (1, vec![(DiscardReason::InternalSdkError, 1)]));
    assert!(exporter.shared.queue.is_known_orphan() && exporter.shared.queue.is_empty());
}

#[test]
fn an_error_of_a_forked_child_does_not_wait_for_later_reports() {
    let exporter = forked();
    let captured = CapturedEvent::message(Level::Error, String::new());
    let waiting = WaitingEvent::new(Box::new(EventRecord { captured, scope: Box::default() }), false);

    exporter.hold(waiting, HoldTime::Briefly);

    assert_eq!(exporter.stats().errors.dropped, [(DiscardReason::InternalSdkError, 1)]);
}
