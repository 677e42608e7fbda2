//! The index of spans: two spans that want the same place. With two places, the ids 1 and 3 do.

use std::sync::Arc;

use loom::thread;

use super::index::Index;
use crate::scope::LiveScope;

/// Opens and closes a span, which is found all the time and only then.
fn open_and_close(index: &Index, id: u64) {
    let scope = Arc::new(LiveScope(id));
    let address = Arc::as_ptr(&scope).addr();
    assert!(index.insert(id, &scope));
    assert_eq!(index.get(id).map(|scope| scope.0), Some(id));
    assert_eq!((index.address(id), index.may_hold(id)), (address, true));
    assert_eq!(index.remove(id).map(|scope| scope.0), Some(id));
    assert_eq!((index.get(id).is_some(), Arc::strong_count(&scope)), (false, 1));
}

/// Spans of several threads do not see each other, in one place or beside it.
pub fn spans_that_meet_stay_apart() {
    loom::model(|| {
        let index = Arc::new(Index::new());
        let of_other = Arc::clone(&index);
        let other = thread::spawn(move || open_and_close(&of_other, 3));
        open_and_close(&index, 1);
        other.join().unwrap();

        assert!(!index.may_hold(1) && !index.may_hold(3), "nothing is left");
    });
}

/// A span that is open is found on another thread, whatever else comes and goes.
pub fn an_open_span_is_found_everywhere() {
    loom::model(|| {
        let index = Arc::new(Index::new());
        let (of_other, of_third) = (Arc::clone(&index), Arc::clone(&index));
        let other = thread::spawn(move || open_and_close(&of_other, 3));
        let scope = Arc::new(LiveScope(1));
        assert!(index.insert(1, &scope));
        let address = Arc::as_ptr(&scope).addr();
        let third = thread::spawn(move || {
            assert_eq!((of_third.get(1).map(|scope| scope.0), of_third.address(1)), (Some(1), address));
        });
        third.join().unwrap();
        assert_eq!(index.remove(1).map(|scope| scope.0), Some(1));
        other.join().unwrap();
    });
}
