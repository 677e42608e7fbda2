//! The state of a thread: which scope is current, why, and which spans are entered.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use tokio::task;

use super::state::LiveScope;
use crate::record::Parent;

/// A scope that is current because a span of `tracing` was entered.
#[derive(Clone, Copy)]
pub(super) struct Loan {
    span: u64,
    /// The span may be entered again inside (`in_current_span`): only the last exit ends the loan.
    depth: u32,
    /// The task that entered the span.
    ///
    /// If it holds a span guard over an await, the span stays entered while other tasks run on the
    /// thread. The loan is not theirs.
    task: Option<task::Id>,
}

/// An active span of ours, not of `tracing`.
#[derive(Clone, Copy)]
pub(super) struct Own {
    pub(super) span: Parent,
    /// The innermost span of `tracing` when ours was entered.
    ///
    /// While it stays the innermost, our span is inside it.
    pub(super) seen: Innermost,
}

/// The id of the innermost `tracing` span that is entered on a thread. Span ids are never 0.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Innermost(pub(super) u64);

impl Innermost {
    pub(super) const NONE: Self = Self(0);

    /// Deeper than `DEPTH`, only the Registry knows the innermost span. No span has such an id.
    const fn deep(depth: usize) -> Self {
        Self(u64::MAX - depth as u64)
    }
}

/// The part of a thread's state that callbacks read first.
///
/// It has no destructor, so a read is one load and not a call.
pub(super) struct Thread {
    pub(super) how: Cell<How>,
    pub(super) own: Cell<Option<Own>>,
    /// An address on the stack at which the outermost request or job of this thread was entered;
    /// 0 is none. Calls with higher addresses are those of the runtime.
    pub(super) base: Cell<usize>,
    /// The span that has lent its scope, if any.
    loan: Cell<Loan>,
    /// How many spans of `tracing` are entered.
    pub(super) depth: Cell<usize>,
    /// Their ids. Asking the Registry for the innermost one costs 220 instructions.
    spans: [Cell<u64>; DEPTH],
}

const DEPTH: usize = 64;

/// How a scope became current.
#[derive(Clone, Copy)]
pub(super) enum How {
    Not,
    /// By a poll that records no spans: span callbacks return early.
    Unrecorded(Place),
    Polled(Place),
    /// By a span of `tracing`, in a task without a scope.
    Lent,
}

/// Where a scope is current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Inside the future or the body of its request or job.
    Inside,
    /// In other work that carries the scope, such as a spawned task.
    Beside,
}

thread_local! {
    pub(super) static CURRENT: RefCell<Option<Arc<LiveScope>>> = const { RefCell::new(None) };
    pub(super) static THREAD: Thread = const {
        Thread {
            how: Cell::new(How::Not),
            own: Cell::new(None),
            base: Cell::new(0),
            loan: Cell::new(Loan { span: 0, depth: 0, task: None }),
            depth: Cell::new(0),
            spans: [const { Cell::new(0) }; DEPTH],
        }
    };
}

/// Records that a `tracing` span was entered. Returns `false` if no scope is current.
#[inline]
pub(crate) fn span_entered(span: u64) -> bool {
    THREAD.with(|thread| {
        let how = thread.how.get();
        if matches!(how, How::Unrecorded(_)) {
            return true;
        }
        let depth = thread.depth.get();
        if let Some(place) = thread.spans.get(depth) {
            place.set(span);
        }
        thread.depth.set(depth + 1);
        match how {
            How::Not => false,
            How::Unrecorded(_) | How::Polled(_) => true,
            How::Lent => thread.entered_on_loan(span),
        }
    })
}

/// Records that a span was exited; its last exit ends a loan.
#[inline]
pub(crate) fn span_exited(span: u64) {
    THREAD.with(|thread| {
        if matches!(thread.how.get(), How::Unrecorded(_)) {
            return;
        }
        let innermost = thread.depth.get().wrapping_sub(1);
        // Spans are nearly always exited in reverse order.
        match thread.spans.get(innermost) {
            Some(place) if place.get() == span => thread.depth.set(innermost),
            _ => thread.left_out_of_order(span),
        }
        if matches!(thread.how.get(), How::Lent) {
            thread.left_on_loan(span);
        }
    });
}

impl Thread {
    /// Swaps the current scope. While the thread shuts down, no scope is current any more.
    #[expect(clippy::inline_always, reason = "twice a poll")]
    #[inline(always)]
    pub(super) fn swap(&self, other: &mut Option<Arc<LiveScope>>, how: How) {
        let swapped = CURRENT.try_with(|current| std::mem::swap(&mut *current.borrow_mut(), other));
        self.how.set(if swapped.is_ok() { how } else { How::Not });
    }

    #[inline]
    pub(super) fn innermost(&self) -> Innermost {
        match self.depth.get() {
            0 => Innermost::NONE,
            depth => self.spans.get(depth - 1).map_or_else(|| Innermost::deep(depth), |span| Innermost(span.get())),
        }
    }

    /// Changes how often the lending span is entered, and returns the new count.
    ///
    /// Returns none if another span lent the scope.
    fn change_loan(&self, span: u64, change: impl FnOnce(u32) -> u32) -> Option<u32> {
        let loan = self.loan.get();
        (loan.span == span).then(|| {
            let depth = change(loan.depth);
            self.loan.set(Loan { depth, ..loan });
            depth
        })
    }

    /// Whether the current task is the one that has borrowed the scope.
    #[cold]
    pub(super) fn is_borrower(&self) -> bool {
        self.loan.get().task == task::try_id()
    }

    /// Records a span that is entered during a loan. Returns `false` if the loan is another task's.
    #[cold]
    fn entered_on_loan(&self, span: u64) -> bool {
        let is_borrower = self.is_borrower();
        if is_borrower {
            self.change_loan(span, |depth| depth + 1);
        }
        is_borrower
    }

    #[inline]
    pub(super) fn place(&self) -> Place {
        match self.how.get() {
            How::Unrecorded(place) | How::Polled(place) => place,
            How::Not | How::Lent => Place::Beside,
        }
    }

    /// Ends a span's loan with the last exit.
    #[cold]
    fn left_on_loan(&self, span: u64) {
        if self.change_loan(span, |depth| depth - 1) == Some(0) {
            // Dropped after the swap has released its borrow: it may be the last handle of the
            // scope.
            let mut lent = None;
            self.swap(&mut lent, How::Not);
        }
    }

    #[cold]
    fn left_out_of_order(&self, span: u64) {
        let depth = self.depth.get();
        let Some(entered) = self.spans.get(..depth) else {
            // Deeper than the array: only the count is known.
            return self.depth.set(depth - 1);
        };
        if let Some(place) = entered.iter().rposition(|entered| entered.get() == span) {
            for (here, next) in entered.iter().zip(entered.iter().skip(1)).skip(place) {
                here.set(next.get());
            }
            self.depth.set(depth - 1);
        }
    }
}

/// Makes `scope` current, because one of its spans was entered where no scope is current.
pub(crate) fn lend(scope: Arc<LiveScope>, span: u64) {
    THREAD.with(|thread| {
        thread.own.set(None);
        thread.loan.set(Loan { span, depth: 1, task: task::try_id() });
        thread.swap(&mut Some(scope), How::Lent);
    });
}
