//! Cron jobs: reports to the server when a run begins and how it ends.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::client::Client;
use crate::diagnostics::Quiet;
use crate::event::{Judge as _, Outcome};
use crate::exporter::Item;
use crate::protocol::{CheckIn, CheckInContexts, CheckInStatus, EventId, Monitor};
use crate::record::{Moment, clock};
use crate::scope::current;

/// The longest slug of a monitor, in characters. Servers cut a longer one.
const SLUG_LIMIT: usize = 50;

impl Client {
    /// Reports a run of a cron job to the server's monitor of this name.
    ///
    /// It reports when the run begins and how it ends. The server opens an issue for a run that is
    /// missed, takes too long or fails. The first run creates the monitor. To trace the run as
    /// well, put a [transaction](Self::transaction) around it.
    ///
    /// Servers know a monitor by a slug of at most 50 characters of `a-z 0-9 _ -`. In a slug, spaces become
    /// hyphens, capitals become small letters, and other characters are removed. A longer name is cut with
    /// a warning.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::protocol::Monitor;
    ///
    /// # async fn report() -> Result<(), std::io::Error> { Ok(()) }
    /// # async fn nightly(sentry: tower_sentry::Client) -> Result<(), std::io::Error> {
    /// let schedule = Monitor::crontab("5 2 * * *").max_runtime(30);
    /// sentry.transaction("nightly-report").op("cron").run(sentry.check_in("nightly-report", schedule).run(report())).await
    /// # }
    /// ```
    pub fn check_in(&self, monitor: impl Into<Cow<'static, str>>, schedule: Monitor) -> CheckInBuilder {
        let (slug, is_cut) = slug(&monitor.into());
        CheckInBuilder { client: self.clone(), slug, is_cut, schedule }
    }
}

/// Makes a slug of a name as servers do: at most 50 characters of `a-z 0-9 _ -`.
///
/// Spaces and hyphens in a row become one hyphen, and other characters are removed. The second value
/// says whether the slug was cut.
fn slug(name: &str) -> (String, bool) {
    let mut slug = String::new();
    for letter in name.to_lowercase().chars() {
        match letter {
            'a'..='z' | '0'..='9' | '_' => slug.push(letter),
            _ if (letter.is_whitespace() || letter == '-') && !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
    }
    let plain = slug.trim_matches(['-', '_']);
    match plain.get(..SLUG_LIMIT) {
        Some(cut) => (cut.to_owned(), plain.len() > SLUG_LIMIT),
        None if plain.is_empty() => ("unnamed".to_owned(), false),
        None => (plain.to_owned(), false),
    }
}

/// Says that a monitor is known by a part of its name.
#[cold]
fn warn_of_cut(client: &Client, slug: &str) {
    static QUIET: Quiet = Quiet::new();
    client.count_truncated(1);
    QUIET.warn(&format!(
        "the name of a monitor is longer than {SLUG_LIMIT} characters and is cut to '{slug}': monitors whose names begin alike are one"
    ));
}

/// Says that the schedule of a monitor is invalid. Sentry then creates no monitor, and drops the check-ins.
#[cold]
fn warn_of_schedule(slug: &str, fault: &str) {
    static QUIET: Quiet = Quiet::new();
    QUIET.warn(&format!("the schedule of the monitor '{slug}' is invalid: {fault}; a server creates no monitor from it"));
}

/// A run that has not begun. Made by [`Client::check_in`].
#[derive(Clone, Debug)]
#[must_use = "a run begins with its work"]
pub struct CheckInBuilder {
    client: Client,
    slug: String,
    /// Whether the slug is only a part of the name.
    is_cut: bool,
    schedule: Monitor,
}

impl CheckInBuilder {
    /// Wraps the work of the run, which begins with the first poll.
    ///
    /// An `Err`, a panic or a drop before the end is reported as a failure. The result is `()` or a
    /// `Result`; [`Outcome`] lists the errors it may have.
    pub fn run<F, Kind>(self, work: F) -> CheckedIn<F>
    where
        F: Future,
        F::Output: Outcome<Kind>,
    {
        CheckedIn { waiting: Some(self), run: None, work, has_failed: |output| output.error().is_some() }
    }

    /// Like [`run`](Self::run), for work that cannot fail and may return anything.
    ///
    /// Only a panic or a drop before the end is reported as a failure.
    pub fn run_infallible<F: Future>(self, work: F) -> CheckedIn<F> {
        CheckedIn { waiting: Some(self), run: None, work, has_failed: |_| false }
    }
}

pin_project! {
    /// A run of a cron job. Made by [`CheckInBuilder::run`].
    ///
    /// # Cancellation
    ///
    /// If the future is dropped before its end, the run is reported as failed.
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is polled"]
    pub struct CheckedIn<F>
    where
        F: Future,
    {
        waiting: Option<CheckInBuilder>,
        run: Option<Run>,
        #[pin]
        work: F,
        has_failed: fn(&F::Output) -> bool,
    }
}

impl<F: Future> Future for CheckedIn<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let Some(waiting) = this.waiting.take() {
            *this.run = Run::begin(waiting);
        }
        let output = ready!(this.work.poll(cx));
        if let Some(mut run) = this.run.take() {
            run.status = if (this.has_failed)(&output) { CheckInStatus::Error } else { CheckInStatus::Ok };
        }
        Poll::Ready(output)
    }
}

/// A run that has begun; dropping it reports how it ended.
#[derive(Debug)]
struct Run {
    client: Client,
    begun: Moment,
    check_in: CheckIn,
    status: CheckInStatus,
}

impl Run {
    fn begin(CheckInBuilder { client, slug, is_cut, schedule }: CheckInBuilder) -> Option<Self> {
        if !client.is_enabled() {
            return None;
        }
        if is_cut {
            warn_of_cut(&client, &slug);
        }
        if let Some(fault) = schedule.schedule.fault() {
            warn_of_schedule(&slug, fault);
        }
        let trace_id = current::scope().map(|scope| scope.trace_id());
        let check_in = CheckIn {
            check_in_id: EventId::new(),
            monitor_slug: slug,
            status: CheckInStatus::InProgress,
            duration: None,
            release: None,
            environment: None,
            monitor_config: Some(schedule),
            contexts: trace_id.map(CheckInContexts::of),
        };
        client.submit(Item::CheckIn(Box::new(check_in.clone())));
        Some(Self { client, begun: clock::now(), check_in, status: CheckInStatus::Error })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        #[expect(clippy::cast_precision_loss, reason = "a double holds microseconds of 285 years")]
        let seconds = (clock::now().nanos_since(self.begun) / 1_000) as f64 / 1e6;
        let check_in = CheckIn { status: self.status, duration: Some(seconds), monitor_config: None, ..self.check_in.clone() };
        self.client.submit(Item::CheckIn(Box::new(check_in)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_server_would_make_of_them() {
        for (name, expected) in [("Nightly Report (v2)", "nightly-report-v2"), (" -- a  b_c -- ", "a-b_c"), ("(?)", "unnamed")] {
            assert_eq!(slug(name), (expected.to_owned(), false), "{name}");
        }
        for (length, is_cut) in [(49, false), (50, false), (51, true), (500, true)] {
            let (cut, said) = slug(&"x".repeat(length));
            assert_eq!((cut.len(), said), (length.min(50), is_cut), "{length}");
        }
    }
}
