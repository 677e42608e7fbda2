//! Processes that fork without `exec`, as prefork servers and daemons do.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fork::{Fork, fork, waitpid_nohang};
use futures_util::FutureExt as _;
use tower_sentry::protocol::DiscardReason;
use tower_sentry::{Client, Config, Level};

use crate::support::{self, Relay, in_child, patience, said_in_child};

/// Runs `work` in a forked child. Returns once it has ended, and fails if it fails or hangs.
#[expect(clippy::exit, reason = "the child must not run the rest of the test")]
fn in_fork(work: impl FnOnce()) {
    match fork().unwrap() {
        Fork::Child => {
            let failed = std::panic::catch_unwind(AssertUnwindSafe(work)).is_err();
            std::process::exit(i32::from(failed));
        }
        Fork::Parent(child) => {
            let latest = Instant::now() + patience();
            let status = loop {
                if let Some(status) = waitpid_nohang(child).unwrap() {
                    break status;
                }
                if Instant::now() > latest {
                    let _ = std::process::Command::new("kill").args(["-9", &child.to_string()]).status();
                    panic!("the child hangs");
                }
                std::thread::sleep(Duration::from_millis(1));
            };
            assert_eq!(status, 0, "the child has failed");
        }
    }
}

/// Captures errors inside and outside of work, with their stacks.
fn report(client: &Client) {
    let work = async {
        tower_sentry::capture_error(&std::io::Error::other("inside"));
    };
    client.transaction("work").run_infallible(work).now_or_never().unwrap();
    tower_sentry::capture_message(Level::Error, "outside");
}

#[test]
fn no_forked_child_hangs_whatever_other_threads_do() {
    if in_child("forks::no_forked_child_hangs_whatever_other_threads_do", &[]) {
        return;
    }
    let config = Config::builder().transport(|_: &[u8]| {}).panic_hook(false).traces_sample_rate(1.0);
    let sentry = config.release("shop@1.4.0").init().unwrap();
    let ends = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (client, ends) = (sentry.clone(), Arc::clone(&ends));
            std::thread::spawn(move || {
                while !ends.load(Ordering::Relaxed) {
                    report(&client);
                }
            })
        })
        .collect();

    for _ in 0..10 {
        in_fork(|| {
            for _ in 0..5 {
                report(&sentry);
            }
            assert!(sentry.flush(Duration::from_secs(3600)).now_or_never().unwrap().is_err());
            sentry.stats();
            sentry.health();
            assert!(sentry.shutdown(Duration::from_secs(3600)).now_or_never().unwrap().is_err());
        });
    }

    ends.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().unwrap();
    }
    // The parent is unharmed.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let delivered = runtime.block_on(sentry.shutdown(patience()));
    let errors = sentry.stats().errors;
    assert!(delivered.is_ok());
    assert_eq!(errors.captured, errors.sent + errors.dropped_total());
    assert!(errors.dropped.iter().all(|(reason, _)| *reason == DiscardReason::QueueOverflow), "{errors:?}");
}

#[test]
fn a_forked_child_says_once_what_it_is_and_counts_what_it_drops() {
    if let Some(said) = said_in_child("forks::a_forked_child_says_once_what_it_is_and_counts_what_it_drops", &[]) {
        let says = "tower_sentry: warning: this process was forked from the one that started monitoring; nothing is recorded here";
        assert_eq!(said.matches(says).count(), 1, "{said}");
        return;
    }
    let relay = Relay::start();
    let sentry = support::config(&relay).init().unwrap();

    in_fork(|| {
        for _ in 0..40 {
            report(&sentry);
        }
        let stats = sentry.stats();
        assert_eq!(stats.errors.dropped, [(DiscardReason::InternalSdkError, 80)]);
        assert_eq!(stats.transactions.dropped, [(DiscardReason::InternalSdkError, 40)]);
        assert_eq!(sentry.flush(Duration::from_secs(3600)).now_or_never().unwrap().unwrap_err().left(), 1);
    });
    report(&sentry);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(support::settle(&sentry));

    assert_eq!((sentry.stats().errors.captured, relay.events().len()), (2, 2), "those of the parent");
}

#[test]
fn a_forked_child_that_starts_a_client_sends_with_ids_and_frames_of_its_own() {
    if in_child("forks::a_forked_child_that_starts_a_client_sends_with_ids_and_frames_of_its_own", &[]) {
        return;
    }
    static HAS_FRAMES: AtomicBool = AtomicBool::new(false);
    let note = |event: tower_sentry::protocol::Event| {
        let stack = event.exception.values.iter().find_map(|value| value.stacktrace.as_ref());
        // One is the place alone.
        HAS_FRAMES.fetch_or(stack.is_some_and(|stack| stack.frames.len() > 1), Ordering::Relaxed);
        Some(event)
    };
    let relay = Relay::start();
    let config = support::config(&relay).before_send(note).build().unwrap();
    let parents = Client::from(&config);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // What another thread initialises at the fork is never ready in the child.
    tower_sentry::capture_error(&std::io::Error::other("before the fork"));
    runtime.block_on(parents.flush(patience())).unwrap();

    in_fork(|| {
        let own = Client::from(&config);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            HAS_FRAMES.store(false, Ordering::Relaxed);
            let is_walked = || {
                tower_sentry::capture_error(&std::io::Error::other("of the child"));
                HAS_FRAMES.load(Ordering::Relaxed)
            };
            support::until("a stack is walked, once that is known to be safe", is_walked).await;
            support::settle(&own).await;
        });
    });
    tower_sentry::capture_error(&std::io::Error::other("of the parent"));
    runtime.block_on(support::settle(&parents));

    let events = relay.events();
    let ids: std::collections::HashSet<_> = events.iter().map(|event| event["event_id"].to_string()).collect();
    assert!(events.len() > 2, "also those of the child");
    assert_eq!(ids.len(), events.len());
}

#[cfg(profiles)]
#[test]
fn a_forked_child_of_a_process_with_profiles_takes_none_and_works() {
    const WARNING: &str = "this process was forked from one that takes profiles; it takes none";
    if let Some(said) = said_in_child("forks::a_forked_child_of_a_process_with_profiles_takes_none_and_works", &[]) {
        assert_eq!(said.matches(WARNING).count(), 1, "{said}");
        return;
    }
    let relay = Relay::start();
    let config = support::config(&relay).profiles_sample_rate(1.0).build().unwrap();
    let parents = Client::from(&config);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // The signals run when the process forks.
    while parents.stats().profiles.sent == 0 {
        let busy =
            async { (0..20_000_000_u64).fold(1_u64, |number, step| std::hint::black_box(number.wrapping_mul(31).wrapping_add(step))) };
        runtime.block_on(parents.transaction("warm-up").run_infallible(async { _ = std::hint::black_box(busy.await) }));
        runtime.block_on(parents.flush(patience())).unwrap();
    }
    let before = relay.payloads("profile").len();

    in_fork(|| {
        let own = Client::from(&config);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            own.transaction("of the child").run_infallible(async {}).await;
            support::settle(&own).await;
        });
        assert_eq!((own.stats().transactions.sent, own.stats().profiles.captured), (1, 0));
    });

    drop(parents);
    assert_eq!(relay.payloads("profile").len(), before);
}

#[test]
fn a_client_that_is_off_says_nothing_in_a_forked_child() {
    if let Some(said) = said_in_child("forks::a_client_that_is_off_says_nothing_in_a_forked_child", &[]) {
        assert!(!said.contains("tower_sentry"), "{said}");
        return;
    }
    let client = Client::from(Config::builder().build().unwrap());

    in_fork(|| {
        report(&client);
        client.flush(Duration::from_secs(3600)).now_or_never().unwrap().unwrap();
    });
}
