//! What must arrive for a script: each failure once, with the data of its moment.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tower_sentry::Level;

use super::plan::{CAUGHT, End, Entry, Payload, Script, Step, StreamEnd, Way};
use super::play::{Failure, JOB, LITERAL, Label, TASK};

/// At most so many breadcrumbs are kept.
const CRUMBS: usize = 100;

/// An event that must arrive once.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The event has this in one of its texts.
    pub text: String,
    pub label: Option<Label>,
    pub number: u32,
    scope: u32,
    host: Option<u32>,
    user: Option<u32>,
    level: &'static str,
    route: String,
    crumbs: Vec<String>,
    /// Those of work at the same time.
    maybe: BTreeSet<String>,
    /// Some of the breadcrumbs were made at the same time.
    is_unordered: bool,
    /// At most ten a second of its kind are sent, the rest is counted.
    pub is_limited: bool,
}

/// A transaction that must arrive once.
#[derive(Clone, Debug)]
pub struct Whole {
    pub number: u32,
    pub scope: u32,
    name: String,
    status: &'static str,
    user: Option<u32>,
}

/// All that must happen because of some scripts.
#[derive(Debug, Default)]
pub struct Account {
    pub events: Vec<Expected>,
    pub transactions: Vec<Whole>,
    /// Reports that become part of another one's event.
    pub merged: u64,
    /// Ids that no event gets, and logs of an attempt that is not the last.
    pub withdrawn: u64,
    /// How often each kind of thing was done.
    pub kinds: BTreeMap<String, u64>,
}

/// What is set on a scope.
#[derive(Clone, Copy, Default)]
struct World {
    user: Option<u32>,
    level: Option<Level>,
    host: Option<u32>,
}

/// A script on its way.
struct Walk<'a> {
    account: &'a mut Account,
    number: u32,
    scope: u32,
    route: String,
    world: World,
    crumbs: Vec<String>,
    maybe: BTreeSet<String>,
    is_unordered: bool,
    has_error: bool,
    afterwards: Option<(u32, Way)>,
}

/// What a kind is called.
fn kind(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    text.split(['(', ' ', '{']).next().unwrap().to_owned()
}

fn name(script: &Script) -> String {
    match script.entry {
        Entry::Request => format!("{} {}", if script.is_post { "POST" } else { "GET" }, script.route),
        Entry::Task => TASK.to_owned(),
        Entry::Job => JOB.to_owned(),
    }
}

impl Account {
    /// Adds what a whole request or job must lead to.
    pub fn add(&mut self, script: &Script) {
        let mut walk = Walk {
            account: self,
            number: script.number,
            scope: script.scope,
            route: name(script),
            world: World::default(),
            crumbs: Vec::new(),
            maybe: BTreeSet::new(),
            is_unordered: false,
            has_error: false,
            afterwards: None,
        };
        walk.script(script);
        let user = walk.world.user;
        if let Some((failure, way)) = walk.afterwards.take() {
            walk.count("afterwards");
            walk.report(failure, way);
        }
        let whole = Whole { number: script.number, scope: script.scope, name: name(script), status: status(script), user };
        self.transactions.push(whole);
    }
}

/// The code of a script's response, if it has one.
pub fn code(script: &Script) -> Option<u16> {
    match script.end {
        End::Dropped(_) if script.is_late() => Some(504),
        End::Plain(code) => Some(code),
        End::Returned { .. } | End::PanicReturned(_) => Some(500),
        End::Panics(..) | End::PanicResumed(..) if script.route == CAUGHT => Some(500),
        End::Panics(..) | End::PanicResumed(..) | End::Dropped(_) => None,
        _ => Some(200),
    }
}

/// The status of a script's transaction.
fn status(script: &Script) -> &'static str {
    match script.end {
        End::Dropped(_) if script.is_late() => "deadline_exceeded",
        End::Plain(503) => "unavailable",
        End::Fine | End::Unfailed(_) | End::PanicLogged(_) | End::Stream(_, _, StreamEnd::Whole) => "ok",
        End::Dropped(_) | End::Stream(_, _, StreamEnd::Dropped) => "cancelled",
        _ => "internal_error",
    }
}

impl Walk<'_> {
    fn script(&mut self, script: &Script) {
        self.count(&format!("{:?}", script.entry));
        self.steps(&script.steps);
        let end = if script.is_late() { "Late".to_owned() } else { kind(&script.end) };
        self.count(&format!("end {end}"));
        self.end(script);
    }

    fn count(&mut self, what: &str) {
        *self.account.kinds.entry(what.to_owned()).or_default() += 1;
    }

    /// An event with the data of now.
    fn event(&mut self, text: String, failure: Option<u32>, level: &'static str) {
        let World { user, level: set, host } = self.world;
        let level = match set {
            Some(Level::Info) => "info",
            Some(_) => "warning",
            None => level,
        };
        let crumbs = self.crumbs[self.crumbs.len().saturating_sub(CRUMBS)..].to_vec();
        let (number, scope, route, maybe) = (self.number, self.scope, self.route.clone(), self.maybe.clone());
        let label = failure.map(|failure| (number, failure, host));
        let is_limited = failure.is_none() && text != LITERAL;
        self.has_error = true;
        let is_unordered = self.is_unordered;
        self.account.events.push(Expected {
            text,
            label,
            number,
            scope,
            host,
            user,
            level,
            route,
            crumbs,
            maybe,
            is_unordered,
            is_limited,
        });
    }

    /// The event of a log, whose own line is not one of its breadcrumbs.
    fn log(&mut self, text: String, failure: u32, line: String) {
        self.crumbs.push(line);
        self.event(text, Some(failure), "error");
        let event = self.account.events.last_mut().unwrap();
        event.crumbs.pop();
    }

    fn report(&mut self, failure: u32, way: Way) {
        self.count(&format!("report {way:?}"));
        let text = Failure(self.number, failure).to_string();
        let of = format!("{}.{failure}", self.number);
        match way {
            Way::Capture | Way::Announced | Way::Message => self.event(text, Some(failure), "error"),
            Way::Notice => {
                let had_error = self.has_error;
                self.event(text, Some(failure), "warning");
                self.has_error = had_error;
            }
            Way::Log => self.log(text.clone(), failure, format!("the work failed: {text}")),
            Way::LogField => self.log(text, failure, format!("lost {of}")),
            Way::LogThenCapture | Way::Context => {
                let before = if way == Way::Context { "without its context" } else { "before the capture" };
                self.log(text.clone(), failure, format!("{before}: {text}"));
                self.account.merged += 1;
            }
            Way::CaptureThenLog => {
                self.event(text.clone(), Some(failure), "error");
                self.crumbs.push(format!("after the capture: {text}"));
                self.account.merged += 1;
            }
            Way::Instrumented => {
                self.log(text.clone(), failure, text.clone());
                self.crumbs.push(text);
                self.account.merged += 1;
            }
        }
    }

    fn panic(&mut self, failure: u32, payload: Payload) {
        self.count(&format!("panic {payload:?}"));
        if payload == Payload::Literal {
            self.event(LITERAL.to_owned(), None, "fatal");
        } else {
            self.event(Failure(self.number, failure).to_string(), Some(failure), "fatal");
        }
    }

    /// A failed response that nothing explains.
    fn bare(&mut self, what: &str) {
        if !self.has_error {
            self.count("bare");
            self.event(format!("{} {what}", self.route), None, "error");
        }
    }

    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            self.count(&format!("step {}", kind(step)));
            self.step(step);
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Crumb(crumb) => self.crumbs.push(format!("crumb {}.{crumb}", self.number)),
            Step::User(user) => self.world.user = *user,
            Step::Level(level) => self.world.level = *level,
            Step::Report(failure, way) => self.report(*failure, *way),
            Step::Hosts(failure) => {
                for host in 0..3 {
                    self.world.host = Some(host);
                    self.report(*failure, Way::Capture);
                    self.world.host = None;
                }
            }
            Step::Yield => {}
            Step::Nested(steps) => {
                let world = self.world;
                self.steps(steps);
                self.world = world;
            }
            Step::Span(steps) | Step::Spawned(steps) | Step::Carried(steps) | Step::Blocking(steps) => self.steps(steps),
            Step::Join(one, other) => self.join(one, other),
            Step::Part(part) if part.scope == self.scope => {
                let route = std::mem::replace(&mut self.route, name(part));
                let had_error = std::mem::take(&mut self.has_error);
                self.script(part);
                self.has_error |= had_error;
                self.route = route;
            }
            Step::Part(script) | Step::Inner(script) => self.account.add(script),
            Step::Crash(failure, payload) => self.panic(*failure, *payload),
            Step::Afterwards(failure, way) => self.afterwards = Some((*failure, *way)),
        }
    }

    /// Two lists of steps at the same time: each may see the other's breadcrumbs.
    fn join(&mut self, one: &[Step], other: &[Step]) {
        let (crumbs, events) = (self.crumbs.len(), self.account.events.len());
        self.steps(one);
        let of_one = self.crumbs.split_off(crumbs);
        let between = self.account.events.len();
        self.steps(other);
        let of_other = self.crumbs[crumbs..].to_vec();
        let (number, scope) = (self.number, self.scope);
        for (place, event) in self.account.events[events..].iter_mut().enumerate().filter(|(_, event)| event.scope == scope) {
            assert_eq!(event.number, number);
            event.maybe.extend(if events + place < between { of_other.clone() } else { of_one.clone() });
        }
        self.crumbs.extend(of_one);
        self.is_unordered = true;
    }

    fn end(&mut self, script: &Script) {
        match script.end {
            End::Plain(code) => self.bare(&format!("answered {code}")),
            End::Returned { is_known: true, .. } => self.account.merged += 1,
            End::Returned { failure, .. } => self.report(failure, Way::Capture),
            End::Unfailed(_) | End::Withdrawn(_, Some(_)) => self.account.withdrawn += 1,
            End::Fine | End::Withdrawn(_, None) => {}
            // No hook runs, and the layer inside swallows it: what is left is the line that it logs.
            End::Panics(failure, Payload::Resumed) if script.route == CAUGHT && script.entry == Entry::Request => {
                let text = Failure(self.number, failure).to_string();
                self.log(text.clone(), failure, format!("Service panicked: {text}"));
            }
            End::Panics(failure, payload) | End::PanicResumed(failure, payload) => {
                self.panic(failure, payload);
                if script.route == CAUGHT && script.entry == Entry::Request {
                    self.crumbs.push(caught(payload, &Failure(self.number, failure)));
                }
            }
            End::PanicReturned(failure) | End::PanicLogged(failure) => {
                self.panic(failure, Payload::Text);
                self.account.merged += 1;
                if matches!(script.end, End::PanicLogged(_)) {
                    self.crumbs.push(format!("{FAILED_TASK}panicked with message \"{}\"", Failure(self.number, failure)));
                }
            }
            End::Dropped(cleanup) => {
                if let Some((failure, way)) = cleanup {
                    self.report(failure, way);
                }
                if script.is_late() {
                    self.bare("answered 504");
                }
            }
            End::Stream(failure, way, end) => self.stream(failure, way, end),
        }
        if let End::Withdrawn(failure, Some(_)) = script.end {
            self.account.events.retain(|event| event.label != Some((script.number, failure, None)));
        }
    }

    fn stream(&mut self, failure: u32, way: Way, end: StreamEnd) {
        self.count(&format!("stream {}", kind(&end)));
        match end {
            StreamEnd::Panics(payload) => self.panic(failure, payload),
            StreamEnd::Breaks => self.bare("failed in the body of its response"),
            StreamEnd::Whole | StreamEnd::BreaksAfterReport | StreamEnd::Dropped => self.report(failure, way),
        }
    }
}

/// What `CatchPanicLayer` logs.
fn caught(payload: Payload, failure: &Failure) -> String {
    match payload {
        Payload::Text | Payload::Resumed => format!("Service panicked: {failure}"),
        Payload::Literal => format!("Service panicked: {LITERAL}"),
        _ => "Service panicked but `CatchPanic` was unable to downcast the panic info".to_owned(),
    }
}

impl Expected {
    /// What is wrong with an event, if it is this one.
    pub fn faults(&self, event: &Value, transaction: &Value, ids: Option<&BTreeSet<String>>) -> Vec<String> {
        let mut faults = Vec::new();
        let mut check = |what: &str, found: Value, expected: Value| {
            if found != expected {
                faults.push(format!("{what}: {found} instead of {expected}"));
            }
        };
        let user = self.user.map_or(Value::Null, |user| format!("{}.{user}", self.number).into());
        check("user", event["user"]["id"].clone(), user);
        check("host", event["tags"]["host"].clone(), self.host.map_or(Value::Null, |host| host.to_string().into()));
        check("level", event["level"].clone(), self.level.into());
        check("route", event["transaction"].clone(), self.route.clone().into());
        check("scope", event["tags"]["scope"].clone(), self.scope.to_string().into());
        let (trace, of_whole) = (&event["contexts"]["trace"], &transaction["contexts"]["trace"]);
        check("trace", trace["trace_id"].clone(), of_whole["trace_id"].clone());
        if let Some(url) = event["request"]["url"].as_str() {
            check("url", url.rsplit('/').next().into(), self.number.to_string().into());
        }
        if let Some(ids) = ids {
            check("ids", event["event_id"].clone(), ids.iter().cloned().collect::<Vec<_>>().join(" and ").into());
        }
        let crumbs = crumbs_of(event);
        let certain = |crumbs: &[String]| crumbs.iter().filter(|crumb| !self.maybe.contains(*crumb)).cloned().collect::<Vec<_>>();
        let (mut found, mut expected) = (certain(&crumbs), certain(&self.crumbs));
        if self.is_unordered || !self.maybe.is_empty() {
            found.sort();
            expected.sort();
        }
        check("breadcrumbs", found.into(), expected.into());
        let spans = transaction["spans"].as_array().unwrap();
        if !spans.iter().chain([of_whole]).any(|span| span["span_id"] == trace["span_id"]) {
            faults.push(format!("span: {} is not one of the transaction's", trace["span_id"]));
        }
        faults
    }
}

/// How the log of a panicked task begins; then comes the number of the task.
const FAILED_TASK: &str = "the task failed: task ";

/// The breadcrumbs of an event, each by its text.
fn crumbs_of(event: &Value) -> Vec<String> {
    let values = event["breadcrumbs"]["values"].as_array();
    let text = |crumb: &Value| {
        let text = crumb["message"].as_str().or_else(|| crumb["data"]["error"].as_str()).unwrap_or_default();
        match text.strip_prefix(FAILED_TASK).and_then(|rest| rest.split_once(' ')) {
            Some((_, rest)) => format!("{FAILED_TASK}{rest}"),
            None => text.to_owned(),
        }
    };
    values.into_iter().flatten().map(text).collect()
}

impl Whole {
    pub fn faults(&self, transaction: &Value) -> Vec<String> {
        let user = self.user.map_or(Value::Null, |user| format!("{}.{user}", self.number).into());
        let rows = [
            ("name", &transaction["transaction"], Value::from(self.name.clone())),
            ("status", &transaction["contexts"]["trace"]["status"], self.status.into()),
            ("user", &transaction["user"]["id"], user),
        ];
        let wrong = rows.into_iter().filter(|(_, found, expected)| *found != expected);
        wrong.map(|(what, found, expected)| format!("{what}: {found} instead of {expected}")).collect()
    }
}
