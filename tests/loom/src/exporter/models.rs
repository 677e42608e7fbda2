//! The queue between requests and the worker, and the calls that wait for the worker.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use loom::future::block_on;
use loom::thread;

use super::calls::Calls;
use super::flushes::{Flush, Flushes};
use super::item::{Class, Item};
use super::queue::{Queue, Sleep};

/// Takes everything until `wanted` items have come, and sleeps in between.
fn work(queue: &Queue, sleep: Sleep, wanted: usize) {
    let mut taken = 0;
    loop {
        while queue.pop().is_some() {
            taken += 1;
        }
        if taken == wanted {
            return;
        }
        if queue.fall_asleep(sleep) {
            // Deadlock, if what came since wakes nothing.
            block_on(queue.woken());
        }
    }
}

/// An item that comes while the worker falls asleep wakes it, or is seen.
pub fn no_item_is_overslept() {
    for (sleep, class) in
        [
            (Sleep::Deep, Class::Transactions),
            (Sleep::Deep, Class::Logs),
            (Sleep::Deep, Class::Metrics),
            (Sleep::Light, Class::Errors),
            (Sleep::Light, Class::CheckIns),
        ]
    {
        loom::model(move || {
            let queue = Arc::new(Queue::new(4, 1000));
            let pushers: Vec<_> = (0..2)
                .map(|_| {
                    let queue = Arc::clone(&queue);
                    thread::spawn(move || assert!(queue.push(Item(class, 1)).refused.is_none()))
                })
                .collect();
            work(&queue, sleep, 2);
            pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
        });
    }
}

/// A flush that is called while the worker falls asleep wakes it.
pub fn no_flush_is_overslept() {
    for sleep in [Sleep::Light, Sleep::Deep] {
        loom::model(move || {
            let queue = Arc::new(Queue::new(4, 1000));
            let of_caller = Arc::clone(&queue);
            let caller = thread::spawn(move || of_caller.wake());
            if queue.fall_asleep(sleep) {
                block_on(queue.woken());
            }
            caller.join().unwrap();
        });
    }
}

/// However pushes and pops overlap, no more bytes wait than the limit allows, and none stay when all has left.
pub fn bytes_are_bounded_and_given_back() {
    loom::model(|| {
        let queue = Arc::new(Queue::new(8, 100));
        let pushers: Vec<_> = [60, 50]
            .into_iter()
            .map(|size| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || {
                    let overflow = queue.push(Item(Class::Errors, size));
                    overflow.evicted.len() + overflow.refused.iter().len()
                })
            })
            .collect();
        let popped = usize::from(queue.pop().is_some());
        let dropped: usize = pushers.into_iter().map(|pusher| pusher.join().unwrap()).sum();
        let left: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, item)| item.size()).collect();

        assert_eq!(popped + dropped + left.len(), 2, "each item has one fate");
        assert!(left.iter().sum::<usize>() <= 100, "{left:?}");
        assert!(queue.push(Item(Class::Errors, 100)).refused.is_none(), "all bytes are free again");
    });
}

/// Once the queue is closed, nothing gets in: what a shutdown counts is all there is.
pub fn nothing_comes_after_the_close() {
    loom::model(|| {
        let queue = Arc::new(Queue::new(4, 1000));
        let of_request = Arc::clone(&queue);
        let request = thread::spawn(move || of_request.push(Item(Class::Errors, 1)).refused.is_none());
        queue.close();
        let number = queue.next_number();
        let taken = std::iter::from_fn(|| queue.pop()).count() as u64;

        assert_eq!((taken, request.join().unwrap()), (number, number == 1));
        assert!(queue.is_empty());
    });
}

/// Calls `flush`. Returns what the caller saw of the end, and where its answer comes in.
fn call(calls: &Calls) -> (Option<u64>, mpsc::Receiver<u64>) {
    let (done, answer) = mpsc::sync_channel(1);
    let deadline = Instant::now() + Duration::from_secs(3600);
    let flush = Flush { deadline, close: false, up_to: 0, lines_up_to: 0, took_sessions: false, took_report: false, done };
    (calls.add(flush, || {}), answer)
}

/// A call that comes while the worker ends has an answer or sees the end, and learns of the loss.
pub fn each_call_is_answered() {
    loom::model(|| {
        let calls = Arc::new(Calls::default());
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let calls = Arc::clone(&calls);
                thread::spawn(move || call(&calls))
            })
            .collect();
        let mut flushes = Flushes::default();
        flushes.add(calls.take());
        flushes.answer(0, true, Instant::now(), |_| true);
        calls.end(3, true, || {});

        for caller in callers {
            let (end, answer) = caller.join().unwrap();
            let answer = answer.try_recv().ok();
            assert!(matches!((end, answer), (None | Some(3), Some(0 | 3)) | (Some(3), None)), "{end:?}, {answer:?}");
        }
    });
}

/// An event that is held while the worker ends is taken by the worker, or by the request.
pub fn what_comes_beside_the_end_is_taken() {
    loom::model(|| {
        let calls = Arc::new(Calls::default());
        let held = Arc::new(loom::sync::Mutex::new(0));
        let (of_request, put) = (Arc::clone(&calls), Arc::clone(&held));
        let request = thread::spawn(move || {
            *put.lock().unwrap() += 1;
            if of_request.has_ended() {
                *put.lock().unwrap() = 0;
            }
        });
        calls.end(0, false, || *held.lock().unwrap() = 0);
        request.join().unwrap();

        assert_eq!(*held.lock().unwrap(), 0);
    });
}
