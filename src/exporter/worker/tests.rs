//! Single steps of the worker: timers, logs, sessions and reports.

use std::sync::Mutex;
use std::task::{Context, Waker};

use super::super::SessionEnd;
use super::super::flushes::Flush;
use super::super::load::Load;
use super::super::tests::{log_line, settings, shared};
use super::*;
use crate::event::symbols::SYMBOLS;
use crate::event::{CapturedEvent, EventRecord};
use crate::protocol::Level;
use crate::record::Moment;
use crate::unwind::Contained;

type Sent = Arc<Mutex<Vec<String>>>;

/// A worker that runs one step at a time, and the envelopes it sends.
fn worker(shared: &Arc<Shared>) -> (Worker<'_>, Sent) {
    let sent = Sent::default();
    let kept = Arc::clone(&sent);
    let transport = move |envelope: &[u8]| kept.lock().expect("no panic").push(String::from_utf8_lossy(envelope).into_owned());
    (Worker::new(settings(None, Some(Arc::new(transport))), shared), sent)
}

/// Runs one step, and returns how many items of this kind it sends.
fn count(worker: &mut Worker<'_>, sent: &Sent, kind: &str) -> usize {
    worker.send_what_can_go(Instant::now());
    let sent = std::mem::take(&mut *sent.lock().expect("no panic"));
    sent.iter().filter(|envelope| envelope.contains(&format!("\"type\":\"{kind}\""))).count()
}

fn ago(time: Duration) -> Instant {
    Instant::now().checked_sub(time).expect("a machine that has run for so long")
}

#[test]
fn sessions_are_sent_once_a_minute_and_then_counted_anew() {
    let shared = shared();
    let (mut worker, sent) = worker(&shared);
    shared.sessions.add(0, SessionEnd::Exited);

    let at_once = count(&mut worker, &sent, "sessions");
    worker.last_sessions = ago(SESSIONS_EVERY);
    let after_a_minute = count(&mut worker, &sent, "sessions");
    shared.sessions.add(0, SessionEnd::Exited);
    let soon_after = count(&mut worker, &sent, "sessions");

    assert_eq!((at_once, after_a_minute, soon_after), (0, 1, 0));
}

/// Twenty events of one issue, whose minute began `passed` ago. One of them waits.
fn flood(shared: &Shared, passed: Duration) {
    let began = ago(passed);
    for _ in 0..20 {
        let captured = CapturedEvent::message(Level::Error, "no stock".to_owned());
        let event = Item::Event(Box::new(EventRecord { captured, scope: Box::default() }));
        drop(shared.flood.admit(event, || Moment::at(began)));
    }
}

#[test]
fn what_waits_because_there_were_too_many_goes_when_its_minute_ends() {
    let (early, late) = (shared(), shared());
    let (mut before, sent_before) = worker(&early);
    let (mut after, sent_after) = worker(&late);
    flood(&early, Duration::from_secs(30));
    flood(&late, Duration::from_secs(60));

    let sent = (count(&mut before, &sent_before, "event"), count(&mut after, &sent_after, "event"));
    let wakes = before.next_look().expect("nothing to do now");

    assert_eq!(sent, (0, 1));
    assert!(wakes <= Instant::now() + Duration::from_secs(30), "the worker sleeps for a minute otherwise");
}

#[test]
fn a_client_report_without_an_envelope_to_ride_on_goes_alone_after_a_minute() {
    let shared = shared();
    let (mut worker, sent) = worker(&shared);
    shared.ledger.capture_and_discard(DiscardReason::SampleRate, Category::Transaction, 1);

    let at_once = count(&mut worker, &sent, "client_report");
    worker.last_report = ago(REPORT_EVERY);
    let after_a_minute = count(&mut worker, &sent, "client_report");

    assert_eq!((at_once, after_a_minute), (0, 1));
}

#[test]
fn logs_of_a_quiet_service_wake_the_worker_after_five_seconds() {
    let shared = shared();
    let (mut worker, sent) = worker(&shared);
    // Without them it would sleep until the next report is due.
    worker.logs.push(0, Box::new(log_line()), ago(Duration::from_secs(5)));

    let latest = worker.next_look();

    assert!(latest.is_some_and(|latest| latest <= Instant::now()), "they are due: {latest:?}");
    assert_eq!(count(&mut worker, &sent, "log"), 1);
}

#[test]
fn logs_that_are_due_go_before_a_backlog() {
    let shared = shared();
    let (mut worker, sent) = worker(&shared);
    for _ in 0..3 {
        let captured = CapturedEvent::message(Level::Error, "no stock".to_owned());
        shared.enqueue(Item::Event(Box::new(EventRecord { captured, scope: Box::default() })));
    }
    worker.logs.push(0, Box::new(log_line()), ago(Duration::from_secs(5)));

    worker.send_what_can_go(Instant::now());

    let sent = sent.lock().expect("no panic");
    let places: Vec<_> = sent.iter().map(|envelope| envelope.contains("\"type\":\"log\"")).collect();
    assert_eq!(places, [true, false, false, false], "while there is a backlog, room may be gone afterwards");
}

/// Otherwise the worker sleeps until the next report, with all that the spool has.
#[test]
fn a_pause_that_ends_while_the_worker_looks_is_not_overslept() {
    let shared = shared();
    let (mut worker, _sent) = worker(&shared);
    // The pace allows the first envelope two seconds later: by now, it is over.
    let looked = ago(Duration::from_secs(3));
    worker.delivery.begin_pace(looked);

    worker.send_what_can_go(looked);
    let latest = worker.next_look();

    assert!(latest.is_some_and(|latest| latest <= Instant::now()), "{latest:?}");
}

#[test]
fn while_a_local_sink_shows_them_each_transaction_wakes_the_worker() {
    for (has_sink, wakes) in [(false, false), (true, true)] {
        let shared = shared();
        let mut settings = settings(None, Some(Arc::new(|_: &[u8]| {})));
        settings.delivery.console = has_sink.then_some(crate::transport::ConsoleForm::Lines);
        let mut worker = Worker::new(settings, &shared);
        worker.looks.found(worker.looked);
        let _latest = worker.next_look();

        shared.queue.push(Item::Transaction(Box::default()));

        let woken = std::pin::pin!(shared.queue.woken());
        assert_eq!(woken.poll(&mut Context::from_waker(Waker::noop())).is_ready(), wakes, "a local sink: {has_sink}");
    }
}

#[test]
fn at_a_pace_the_newest_goes_first_and_a_flush_ends_it() {
    let shared = shared();
    let (mut worker, _) = worker(&shared);
    for _ in 0..3 {
        let captured = CapturedEvent::message(Level::Error, String::new());
        shared.queue.push(Item::Event(Box::new(EventRecord { captured, scope: Box::default() })));
    }
    let now = Instant::now();
    let next = |worker: &Worker<'_>| worker.next_item(true, now).map(|(number, _)| number);

    worker.delivery.begin_pace(now);
    let at_a_pace = next(&worker);
    let (done, _answer) = std::sync::mpsc::sync_channel(1);
    let deadline = now + Duration::from_secs(3600);
    let flush = Flush { deadline, close: false, up_to: 0, lines_up_to: 0, took_sessions: false, took_report: false, done };
    assert_eq!(shared.calls.add(flush, || {}), None);
    worker.take_commands();

    assert_eq!(at_a_pace, Some(2));
    assert_eq!((next(&worker), next(&worker), worker.delivery.is_paced()), (Some(0), Some(1), false));
}

#[test]
fn debug_information_is_given_back_a_minute_after_a_failure() {
    let shared = shared();
    let in_an_hour = Instant::now() + Duration::from_secs(3600);
    SYMBOLS.resolve(&[1], Instant::now());
    let due = shared.next_due();

    // Other tests read debug information meanwhile.
    let is_given_back = || {
        shared.look_after(in_an_hour);
        SYMBOLS.give_back_at().is_none()
    };
    let latest = Instant::now() + Duration::from_secs(10);
    while !is_given_back() && Instant::now() < latest {
        std::thread::yield_now();
    }

    assert!(due.is_some(), "an idle worker is woken for it");
    assert!(Instant::now() < latest);
}

#[test]
fn a_step_that_panics_loses_what_it_was_working_on_and_counts_it() {
    let shared = shared();
    let (mut worker, _) = worker(&shared);
    let load = Load { bytes: 7, ..Load::one(Category::Error) };
    shared.ledger.capture(load);
    worker.delivery.in_hand = Some(load);

    let goes_on = worker.goes_on();

    let stats = shared.ledger.stats();
    assert!(goes_on);
    assert_eq!((stats.errors.dropped, stats.attachment_bytes.dropped_total()), (vec![(DiscardReason::InternalSdkError, 1)], 7));
    assert_eq!(worker.delivery.in_hand, None, "counted once");
}

#[test]
fn a_batch_that_panics_is_counted_whole() {
    /// What a hook panics with. It panics again where it is dropped, which is outside of what contains the hook.
    struct Twice;
    impl Drop for Twice {
        fn drop(&mut self) {
            panic!("again");
        }
    }
    let shared = shared();
    let mut settings = settings(None, Some(Arc::new(|_: &[u8]| {})));
    settings.hooks.before_send_log = Some(Arc::new(Contained::new(|_| std::panic::panic_any(Twice))));
    let mut worker = Worker::new(settings, &shared);
    for number in 0..3 {
        let item = Item::Log(Box::new(log_line()));
        shared.ledger.capture(item.load());
        shared.ledger.take(item.load());
        worker.logs.push(number, Box::new(log_line()), ago(Duration::from_secs(5)));
    }

    worker.send_batches(Instant::now());

    let stats = shared.ledger.stats();
    assert_eq!((&stats.logs.dropped[..], stats.waiting()), (&[(DiscardReason::InternalSdkError, 3)][..], 0));
}

#[test]
fn a_worker_that_ends_by_its_faults_says_what_it_lost() {
    let shared = shared();
    let (mut worker, _) = worker(&shared);
    for _ in 0..3 {
        shared.ledger.capture(Load::one(Category::LogItem));
        assert!(shared.queue.push(Item::Log(Box::new(log_line()))).refused.is_none());
    }
    let (done, answer) = std::sync::mpsc::sync_channel(1);
    let deadline = Instant::now() + Duration::from_secs(3600);
    worker.flushes.add(vec![Flush { deadline, close: false, up_to: 0, lines_up_to: 0, took_sessions: false, took_report: false, done }]);

    worker.fail();

    assert_eq!(answer.try_recv(), Ok(3));
    assert_eq!(shared.calls.lost(), 3);
    assert_eq!(shared.ledger.stats().logs.dropped, [(DiscardReason::InternalSdkError, 3)]);
}
