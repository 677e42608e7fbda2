//! The state of a thread: which scope is current, why, and which spans are entered.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use tokio::task;

use super::state::LiveScope;
use crate::record::Parent;

/// A span of `tracing` that was entered where its own scope was not current, and so lends it.
///
/// The other fields hold the state before the loan, which is restored after it.
struct Loan {
    span: u64,
    /// The span may be entered again inside (`in_current_span`): only the last exit ends the loan.
    ///
    /// 0 after an exit inside a poll that began during the loan: then the end of that poll ends it.
    entered: u32,
    scope: Option<Arc<LiveScope>>,
    how: How,
    own: Option<Own>,
    borrower: Option<task::Id>,
}

/// An active span of this crate, not of `tracing`.
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
    /// The address of the current scope; 0 is none.
    address: Cell<usize>,
    /// The number of loans.
    loans: Cell<usize>,
    /// The number of loans when the current poll began. They are not its own.
    floor: Cell<usize>,
    /// The task that entered the span which lends the current scope.
    ///
    /// If it holds a span guard over an await, the span stays entered while other tasks run on the
    /// thread. The loan is not theirs.
    borrower: Cell<Option<task::Id>>,
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
    /// By a span of `tracing`, in a task without a scope or in the work of another request.
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
            address: Cell::new(0),
            loans: Cell::new(0),
            floor: Cell::new(0),
            borrower: Cell::new(None),
            depth: Cell::new(0),
            spans: [const { Cell::new(0) }; DEPTH],
        }
    };
    /// The loans of this thread, innermost last.
    static LOANS: RefCell<Vec<Loan>> = const { RefCell::new(Vec::new()) };
}

/// Records that a `tracing` span was entered.
///
/// `home` is the address of its scope, or 0 if it has none. Returns `false` if that scope is not current:
/// the caller then lends it.
#[inline]
pub(crate) fn span_entered(span: u64, home: usize) -> bool {
    THREAD.with(|thread| {
        let how = thread.how.get();
        let has_home = home == 0 || home == thread.address.get();
        if matches!(how, How::Unrecorded(_)) && has_home && thread.loans.get() == 0 {
            return true;
        }
        let depth = thread.depth.get();
        if let Some(place) = thread.spans.get(depth) {
            place.set(span);
        }
        thread.depth.set(depth + 1);
        let is_set = match how {
            How::Not => false,
            How::Unrecorded(_) | How::Polled(_) => true,
            How::Lent => thread.is_borrower(),
        };
        if !is_set {
            return home == 0;
        }
        if has_home && thread.loans.get() > 0 {
            entered_on_loan(span);
        }
        has_home
    })
}

/// Records that a span was exited; its last exit ends a loan.
#[inline]
pub(crate) fn span_exited(span: u64) {
    THREAD.with(|thread| {
        if matches!(thread.how.get(), How::Unrecorded(_)) && thread.loans.get() == 0 {
            return;
        }
        let innermost = thread.depth.get().wrapping_sub(1);
        // Spans are nearly always exited in reverse order.
        match thread.spans.get(innermost) {
            Some(place) if place.get() == span => thread.depth.set(innermost),
            _ => thread.left_out_of_order(span),
        }
        if thread.loans.get() > 0 {
            thread.left_on_loan(span);
        }
    });
}

impl Thread {
    /// Swaps the current scope. While the thread shuts down, no scope is current any more.
    #[expect(clippy::inline_always, reason = "twice a poll")]
    #[inline(always)]
    pub(super) fn swap(&self, other: &mut Option<Arc<LiveScope>>, how: How) {
        let swapped = CURRENT.try_with(|current| {
            let mut current = current.borrow_mut();
            std::mem::swap(&mut *current, other);
            self.address.set(current.as_ref().map_or(0, |scope| Arc::as_ptr(scope).addr()));
        });
        self.how.set(if swapped.is_ok() { how } else { How::Not });
    }

    /// Notes that a poll begins. Earlier loans do not belong to it. Returns the number that
    /// [`poll_ended`](Self::poll_ended) takes.
    #[inline]
    pub(super) fn poll_began(&self) -> usize {
        self.floor.replace(self.loans.get())
    }

    /// Whether spans that lend a scope stay entered after the poll that entered them.
    #[inline]
    pub(super) fn has_loans_of_poll(&self) -> bool {
        self.loans.get() > self.floor.get()
    }

    /// Notes that a poll has ended, after the previous scope was restored.
    #[inline]
    pub(super) fn poll_ended(&self, floor: usize) {
        self.floor.set(floor);
        if self.has_loans_of_poll() {
            self.end_loans_left();
        }
    }

    #[inline]
    pub(super) fn innermost(&self) -> Innermost {
        match self.depth.get() {
            0 => Innermost::NONE,
            depth => self.spans.get(depth - 1).map_or_else(|| Innermost::deep(depth), |span| Innermost(span.get())),
        }
    }

    /// The spans of `tracing` that are entered, innermost first. `None` stands for a span that only the
    /// Registry knows.
    pub(super) fn entered(&self) -> impl Iterator<Item = Option<u64>> {
        let depth = self.depth.get();
        let deep = (depth > DEPTH).then_some(None);
        deep.into_iter().chain(self.spans.iter().take(depth).rev().map(|span| Some(span.get())))
    }

    /// Whether the current task is the one that has borrowed the scope.
    #[cold]
    pub(super) fn is_borrower(&self) -> bool {
        self.borrower.get() == task::try_id()
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
        let over = with_loans(|loans| {
            let place = loans.iter().rposition(|loan| loan.span == span && loan.entered > 0)?;
            let loan = loans.get_mut(place)?;
            loan.entered -= 1;
            (loan.entered == 0 && place >= self.floor.get()).then_some(place)
        });
        if let Some(Some(place)) = over {
            self.end_loan(place);
        }
    }

    /// Ends a loan, whose scope stays current if it is not the innermost one.
    fn end_loan(&self, place: usize) {
        let ended = with_loans(|loans| {
            let mut ended = (place < loans.len()).then(|| loans.remove(place))?;
            self.loans.set(loans.len());
            let inner = loans.get_mut(place);
            let is_innermost = inner.is_none();
            if let Some(inner) = inner {
                // When the inner loan ends, it now restores the state from before the ended loan.
                std::mem::swap(&mut inner.scope, &mut ended.scope);
                (inner.how, inner.own, inner.borrower) = (ended.how, ended.own, ended.borrower);
            }
            Some((ended, is_innermost))
        });
        // The lent scope is dropped after all borrows: this may be its last handle.
        if let Some(Some((mut ended, true))) = ended {
            self.swap(&mut ended.scope, ended.how);
            self.own.set(ended.own);
            self.borrower.set(ended.borrower);
        }
    }

    /// Ends the loans of the poll that ends.
    #[cold]
    pub(super) fn end_loans(&self) {
        while self.has_loans_of_poll() {
            self.end_loan(self.loans.get() - 1);
        }
    }

    /// Ends the loans whose spans were exited inside the poll that ended.
    #[cold]
    fn end_loans_left(&self) {
        let floor = self.floor.get();
        let next = || with_loans(|loans| loans.iter().rposition(|loan| loan.entered == 0).filter(|place| *place >= floor)).flatten();
        while let Some(place) = next() {
            self.end_loan(place);
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

/// Makes `scope` current until `span` is exited, because one of its spans was entered where it is not.
pub(crate) fn lend(scope: Arc<LiveScope>, span: u64) {
    THREAD.with(|thread| {
        // Fails while the thread shuts down.
        if with_loans(|_| ()).is_none() {
            return;
        }
        let (how, mut scope) = (thread.how.get(), Some(scope));
        thread.swap(&mut scope, How::Lent);
        let own = thread.own.take();
        let borrower = thread.borrower.replace(task::try_id());
        with_loans(|loans| {
            loans.push(Loan { span, entered: 1, scope, how, own, borrower });
            thread.loans.set(loans.len());
        });
    });
}

/// Counts a span that is entered again during its loan.
#[cold]
fn entered_on_loan(span: u64) {
    with_loans(|loans| {
        if let Some(loan) = loans.iter_mut().rev().find(|loan| loan.span == span) {
            loan.entered += 1;
        }
    });
}

fn with_loans<R>(change: impl FnOnce(&mut Vec<Loan>) -> R) -> Option<R> {
    LOANS.try_with(|loans| loans.try_borrow_mut().ok().map(|mut loans| change(&mut loans))).ok().flatten()
}
