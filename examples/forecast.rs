//! Says what a setting would send in a month, from a recording of what the service sends.
//!
//! Record for some minutes, with a rate of 1.0: append each envelope and a line break to a file.
//!
//! ```no_run
//! # use std::{fs::File, io::Write as _};
//! # use tower_sentry::Config;
//! let file = File::create("traces.ndjson")?;
//! let config = Config::builder().traces_sample_rate(1.0).transport(move |envelope: &[u8]| {
//!     let _ = (&file).write_all(&[envelope, b"\n"].concat());
//! });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Then ask, as often as you like:
//!
//! ```text
//! cargo run --example forecast -- traces.ndjson --rate 0.1 --route "/checkout/{id}=1.0" --route /healthz=0 \
//!     --plan small=26,100000,0.0003 --plan large=80,1000000,0.0002 --plan own=40,1000000000,0
//! ```
//!
//! - `--rate` is `traces_sample_rate`, and `--route` the rate of a template, with or without a method, or of a job.
//! - `--keep-failed` and `--keep-slow` are the budgets in a second, 10 by default. A request is slow if it takes ten times the
//!   median of its route, and at least a second.
//! - `--plan NAME=BASE,INCLUDED,EACH` is a plan: its price in a month, the transactions in it, and the price of each further one.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its reader")]

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::ExitCode;

use serde_json::Value;

/// A transaction of the recording.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    name: String,
    ended: f64,
    seconds: f64,
    has_failed: bool,
    spans: u32,
    bytes: u32,
    /// How many it stands for.
    weight: f64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Recording {
    transactions: Vec<Recorded>,
    errors: u32,
}

/// A setting to ask about.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) rate: f64,
    /// Names with their own rate, most specific first.
    pub(crate) routes: Vec<(String, f64)>,
    pub(crate) keep_failed: f64,
    pub(crate) keep_slow: f64,
}

/// A plan of a provider's.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    name: String,
    base: f64,
    included: f64,
    each: f64,
}

/// What a setting sends of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Share {
    pub(crate) recorded: f64,
    pub(crate) sampled: f64,
    pub(crate) failed: f64,
    pub(crate) slow: f64,
    pub(crate) spans: f64,
    pub(crate) bytes: f64,
}

impl Share {
    pub(crate) fn sent(&self) -> f64 {
        self.sampled + self.failed + self.slow
    }

    fn add(&mut self, other: Self) {
        self.recorded += other.recorded;
        self.sampled += other.sampled;
        self.failed += other.failed;
        self.slow += other.slow;
        self.spans += other.spans;
        self.bytes += other.bytes;
    }
}

/// Reads the envelopes of a recording. Lines that are no transaction are skipped.
///
/// # Errors
///
/// Returns a text if there is no transaction, or if the file cannot be read.
pub(crate) fn read(lines: impl BufRead) -> Result<Recording, String> {
    let mut recording = Recording::default();
    for line in lines.lines() {
        let line = line.map_err(|error| format!("the recording cannot be read: {error}"))?;
        let Ok(item) = serde_json::from_str::<Value>(&line) else { continue };
        if item.get("exception").is_some() || item.get("logentry").is_some() {
            recording.errors += 1;
        } else if item.get("type").is_some_and(|kind| kind == "transaction") {
            recording.transactions.extend(transaction(&item, line.len()));
        }
    }
    recording.transactions.sort_by(|one, other| one.ended.total_cmp(&other.ended));
    if recording.transactions.is_empty() { Err("the recording has no transaction".to_owned()) } else { Ok(recording) }
}

fn transaction(item: &Value, bytes: usize) -> Option<Recorded> {
    const FAILED: [&str; 7] =
        ["internal_error", "unavailable", "deadline_exceeded", "unimplemented", "data_loss", "unknown", "unknown_error"];
    let (started, ended) = (item.get("start_timestamp")?.as_f64()?, item.get("timestamp")?.as_f64()?);
    let trace = |path: &str| item.pointer(&["/contexts/trace/", path].concat());
    let rate = trace("data/sentry.sample_rate").and_then(Value::as_f64).filter(|rate| *rate > 0.0).unwrap_or(1.0);
    Some(Recorded {
        name: item.get("transaction")?.as_str()?.to_owned(),
        ended,
        seconds: ended - started,
        has_failed: FAILED.contains(&trace("status").and_then(Value::as_str).unwrap_or_default()),
        spans: item.get("spans").and_then(Value::as_array).map_or(0, |spans| u32::try_from(spans.len()).unwrap_or(u32::MAX)),
        bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        weight: 1.0 / rate,
    })
}

impl Recording {
    /// From the first to the last transaction, in seconds; at least one.
    fn seconds(&self) -> f64 {
        let [first, .., last] = &*self.transactions else { return 1.0 };
        (last.ended - first.ended).max(1.0)
    }

    /// What this setting sends of each name.
    pub(crate) fn forecast(&self, setting: &Setting) -> BTreeMap<String, Share> {
        let medians = self.medians();
        let (mut failed, mut slow) = (Bucket::new(setting.keep_failed), Bucket::new(setting.keep_slow));
        let mut shares = BTreeMap::<_, Share>::new();
        for recorded in &self.transactions {
            let rate = setting.rate_of(&recorded.name);
            let median = medians.get(recorded.name.as_str()).copied().unwrap_or_default();
            let is_slow = recorded.seconds >= 1.0 && recorded.seconds >= 10.0 * median;
            // A rate of zero is final.
            let left = if rate > 0.0 { recorded.weight * (1.0 - rate) } else { 0.0 };
            let mut share = Share { recorded: recorded.weight, sampled: recorded.weight * rate, ..Share::default() };
            if recorded.has_failed {
                share.failed = failed.spend(left, recorded.ended);
            } else if is_slow {
                share.slow = slow.spend(left, recorded.ended);
            }
            share.spans = share.sent() * f64::from(recorded.spans);
            share.bytes = share.sent() * f64::from(recorded.bytes);
            shares.entry(recorded.name.clone()).or_default().add(share);
        }
        shares
    }

    fn medians(&self) -> HashMap<&str, f64> {
        let mut times = HashMap::<&str, Vec<f64>>::new();
        for recorded in &self.transactions {
            times.entry(&recorded.name).or_default().push(recorded.seconds);
        }
        let median = |mut times: Vec<f64>| {
            times.sort_by(f64::total_cmp);
            times.get(times.len() / 2).copied().unwrap_or_default()
        };
        times.into_iter().map(|(name, times)| (name, median(times))).collect()
    }
}

impl Setting {
    /// The rate of `GET /users/{id}`: that of the same name, else of the template, else of all.
    fn rate_of(&self, name: &str) -> f64 {
        let template = name.split_once(' ').map_or(name, |(_, template)| template);
        let row = |wanted: &str| self.routes.iter().find(|(row, _)| row == wanted).map(|(_, rate)| *rate);
        row(name).or_else(|| row(template)).unwrap_or(self.rate)
    }
}

/// A budget in a second; ten seconds' worth may be spent at once.
struct Bucket {
    per_second: f64,
    left: f64,
    at: f64,
}

impl Bucket {
    fn new(per_second: f64) -> Self {
        Self { per_second, left: per_second * 10.0, at: f64::NEG_INFINITY }
    }

    /// Spends as much of this as there is.
    fn spend(&mut self, wanted: f64, at: f64) -> f64 {
        if self.at.is_finite() {
            self.left = (self.left + (at - self.at).max(0.0) * self.per_second).min(self.per_second * 10.0);
        }
        self.at = at;
        let spent = wanted.min(self.left);
        self.left -= spent;
        spent
    }
}

impl Plan {
    /// Reads `NAME=BASE,INCLUDED,EACH`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, numbers) = text.split_once('=')?;
        let numbers: Vec<f64> = numbers.split(',').map(|number| number.trim().parse().ok()).collect::<Option<_>>()?;
        let &[base, included, each] = &*numbers else { return None };
        Some(Self { name: name.to_owned(), base, included, each })
    }

    pub(crate) fn price(&self, transactions: f64) -> f64 {
        self.base + (transactions - self.included).max(0.0) * self.each
    }
}

struct Question {
    file: String,
    setting: Setting,
    plans: Vec<Plan>,
}

fn question(mut arguments: impl Iterator<Item = String>) -> Result<Question, String> {
    let mut setting = Setting { rate: 0.1, routes: Vec::new(), keep_failed: 10.0, keep_slow: 10.0 };
    let (mut file, mut plans) = (None, Vec::new());
    while let Some(argument) = arguments.next() {
        if !argument.starts_with("--") {
            file = Some(argument);
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("expected a value after {argument}"))?;
        let bad = || format!("{argument} cannot be read: {value}");
        let number = |text: &str| text.parse::<f64>().ok().filter(|number| *number >= 0.0).ok_or_else(bad);
        let rate = |text: &str| number(text).and_then(|rate| if rate <= 1.0 { Ok(rate) } else { Err(bad()) });
        match argument.as_str() {
            "--rate" => setting.rate = rate(&value)?,
            "--route" => {
                let (name, text) = value.rsplit_once('=').ok_or_else(bad)?;
                setting.routes.push((name.to_owned(), rate(text)?));
            }
            "--keep-failed" => setting.keep_failed = number(&value)?,
            "--keep-slow" => setting.keep_slow = number(&value)?,
            "--plan" => plans.push(Plan::parse(&value).ok_or_else(bad)?),
            _ => return Err(format!("unknown: {argument}")),
        }
    }
    let file = file.ok_or("expected the file of a recording, such as traces.ndjson")?;
    Ok(Question { file, setting, plans })
}

fn answer(question: &Question) -> Result<(), String> {
    const MONTH: f64 = 30.0 * 24.0 * 3600.0;
    let file = File::open(&question.file).map_err(|error| format!("{}: {error}", question.file))?;
    let recording = read(BufReader::new(file))?;
    let months = MONTH / recording.seconds();
    println!(
        "{} transactions and {} events in {:.0} s; a month of this:\n",
        recording.transactions.len(),
        recording.errors,
        recording.seconds()
    );
    println!("{:<40} {:>14} {:>12} {:>12} {:>12} {:>14} {:>10}", "", "requests", "sampled", "failed", "slow", "spans", "GiB");
    let mut total = Share::default();
    let row = |name: &str, share: &Share| {
        println!(
            "{name:<40} {:>14.0} {:>12.0} {:>12.0} {:>12.0} {:>14.0} {:>10.2}",
            share.recorded * months,
            share.sampled * months,
            share.failed * months,
            share.slow * months,
            share.spans * months,
            share.bytes * months / f64::from(1 << 30)
        );
    };
    for (name, share) in recording.forecast(&question.setting) {
        row(&name, &share);
        total.add(share);
    }
    row("all", &total);
    println!("\n{:.0} transactions and {:.0} events a month", total.sent() * months, f64::from(recording.errors) * months);
    for plan in &question.plans {
        println!("{:<40} {:>14.2}", plan.name, plan.price(total.sent() * months));
    }
    Ok(())
}

fn main() -> ExitCode {
    match question(std::env::args().skip(1)).and_then(|question| answer(&question)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}
