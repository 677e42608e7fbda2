//! Thousands of mixed requests and jobs on four workers, over sockets. An oracle knows what each must lead to: every failure is one
//! event with its own user, route and breadcrumbs, or is counted with a reason; nothing else arrives.
//!
//! `TOWER_SENTRY_SOAK=100000` sets how many, `TOWER_SENTRY_SOAK_SEED` which.

mod oracle;
mod plan;
mod play;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{self, PanicHookInfo};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::task::JoinSet;
use tower_sentry::protocol::DiscardReason;
use tower_sentry::{Client, Stats};

use self::oracle::Account;
use self::plan::{End, Entry, Script, StreamEnd};
use self::play::Soak;
use crate::support::{self, Received, Relay, Server};

/// So many that nothing overflows: a batch is sent before the next one begins.
const BATCH: u32 = 200;
/// Connections, and jobs beside each other.
const CLIENTS: u32 = 32;

#[test]
fn every_failure_of_mixed_requests_is_one_event_or_counted() {
    let name = "soak::every_failure_of_mixed_requests_is_one_event_or_counted";
    if let Some(said) = support::said_in_child(name, &[]) {
        let figures: String = said.lines().filter(|line| line.contains("soak: ")).map(|line| format!("{line}\n")).collect();
        return say(&figures);
    }
    let number_of = |name: &str, default: u32| std::env::var(name).map_or(default, |given| given.parse().unwrap());
    let (count, seed) = (number_of("TOWER_SENTRY_SOAK", 500), number_of("TOWER_SENTRY_SOAK_SEED", 14));
    let theirs = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !is_planned(info) {
            theirs(info);
        }
    }));
    support::subscribe();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(soak(count, seed.into()));
}

/// The panics of the scripts, which are not shown.
fn is_planned(info: &PanicHookInfo<'_>) -> bool {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.is_none_or(|text| text.starts_with("failure ") || text == play::LITERAL)
}

fn say(text: &str) {
    std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes()).unwrap();
}

async fn soak(count: u32, seed: u64) {
    let begun = Instant::now();
    let relay = Relay::start();
    // A busy machine is no reason to send anything twice.
    let config = support::config(&relay).panic_hook(true).request_timeout(3 * support::patience());
    let client = Client::from(config.build().unwrap());
    let soak = Soak::new(client.clone(), seed);
    let server = Arc::new(Server::start_hyper(soak.app()).await);
    let mut judge = Judge::default();
    for first in (0..count).step_by(BATCH as usize) {
        let numbers = first..(first + BATCH).min(count);
        let mut account = Account { kinds: std::mem::take(&mut judge.kinds), ..Account::default() };
        numbers.clone().for_each(|number| account.add(&plan::script(seed, number)));
        judge.expect(&account);
        let next = Arc::new(AtomicU32::new(first));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(take_numbers(Arc::clone(&soak), Arc::clone(&server), Arc::clone(&next), numbers.end));
        }
        clients.join_all().await;
        support::until("every request and job of the batch ends", || client.stats().transactions.captured >= judge.transactions).await;
        soak.batches.send_modify(|batches| *batches += 1);
        let afterwards = std::mem::take(&mut *soak.afterwards.lock().unwrap());
        for task in afterwards {
            task.await.unwrap();
        }
        client.flush(support::patience()).await.unwrap();
        judge.judge(&soak, account, &relay.take_envelopes());
    }
    support::settle(&client).await;
    judge.judge(&soak, Account::default(), &relay.take_envelopes());
    judge.close(&client.stats());
    let seconds = begun.elapsed().as_secs();
    say(&format!("soak: {count} requests and jobs in {seconds} s, peak of memory {} MiB\nsoak: {judge}\n", peak()));
}

/// The largest memory of this process so far, where the system says it.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// A client: takes numbers until all of the batch are taken.
async fn take_numbers(soak: Arc<Soak>, server: Arc<Server>, next: Arc<AtomicU32>, end: u32) {
    let mut connection = None;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= end {
            return;
        }
        let script = Arc::new(plan::script(soak.seed, number));
        if script.entry == Entry::Request {
            connection = ask(&soak, &server, &script, connection.take()).await;
        } else {
            play::play(&soak, &script).await;
        }
    }
}

/// Sends a request, and reads as much of the response as its script wants. Returns the connection, if it is still of use.
async fn ask(soak: &Soak, server: &Server, script: &Script, open: Option<SendRequest<Body>>) -> Option<SendRequest<Body>> {
    let mut sender = if let Some(sender) = open {
        sender
    } else {
        let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    };
    sender.ready().await.unwrap();
    let signal = soak.signal(script);
    let response = sender.send_request(play::request(script).body(Body::empty()).unwrap());
    if matches!(script.end, End::Dropped(_))
        && let Some(signal) = signal
    {
        // hyper closes the connection of a request that is given up.
        let given_up = futures_util::future::select(Box::pin(response), signal).await;
        assert!(matches!(given_up, futures_util::future::Either::Right(_)), "{script:#?}");
        return None;
    }
    let response = response.await;
    assert_eq!(response.as_ref().ok().map(|response| response.status().as_u16()), oracle::code(script), "{script:#?}");
    let mut body = response.ok()?.into_body();
    if let Some(signal) = signal {
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "frame");
        signal.await.unwrap();
        return None;
    }
    let is_broken = matches!(script.end, End::Stream(_, _, end) if end != StreamEnd::Whole);
    assert_eq!(body.collect().await.is_err(), is_broken, "{script:#?}");
    (!is_broken).then_some(sender)
}

/// Compares what arrives with what must.
#[derive(Default)]
struct Judge {
    /// How many transactions must have been captured so far.
    transactions: u64,
    failures: u64,
    events: u64,
    merged: u64,
    withdrawn: u64,
    /// Events of the kind that is limited which did not come.
    limited: u64,
    /// Events of scripts that the machine made too slow.
    late: u64,
    kinds: BTreeMap<String, u64>,
}

impl Judge {
    fn expect(&mut self, account: &Account) {
        self.transactions += account.transactions.len() as u64;
        self.failures += account.events.len() as u64 + account.withdrawn;
        self.merged += account.merged;
        self.withdrawn += account.withdrawn;
    }

    /// Judges a batch of which everything has arrived.
    fn judge(&mut self, soak: &Soak, account: Account, envelopes: &[Received]) {
        let Account { events: expected, transactions: mut wholes, kinds, .. } = account;
        self.kinds.extend(kinds);
        let (mut events, mut transactions, mut faults) = (Vec::new(), BTreeMap::new(), Vec::new());
        for (item, payload) in envelopes.iter().flat_map(|envelope| support::items(&envelope.envelope).1) {
            let of = |name: &str| payload["tags"][name].as_str().and_then(|text| text.parse::<u32>().ok());
            let place = of("soak").zip(of("scope"));
            match (item["type"].as_str().unwrap(), place) {
                ("event", Some(place)) => events.push((place, payload)),
                ("transaction", Some(place)) => {
                    let whole = wholes.iter().position(|whole| (whole.number, whole.scope) == place);
                    match whole.map(|whole| wholes.swap_remove(whole)) {
                        Some(whole) => faults.extend(whole.faults(&payload).into_iter().map(|fault| (place.0, fault))),
                        None => faults.push((place.0, format!("a foreign transaction: {payload}"))),
                    }
                    transactions.insert(place, payload);
                }
                ("client_report" | "sessions" | "session", _) => {}
                (other, _) => faults.push((0, format!("a foreign {other}: {payload}"))),
            }
        }
        faults.extend(wholes.iter().map(|whole| (whole.number, format!("no transaction for {whole:?}"))));
        let ids = std::mem::take(&mut *soak.ids.lock().unwrap());
        let slow = soak.slow.lock().unwrap().clone();
        self.events += events.len() as u64;
        let faults_of = |place: (u32, u32), event: &Value, expected: &oracle::Expected| {
            let ids = expected.label.and_then(|label| ids.get(&label));
            expected.faults(event, transactions.get(&place).unwrap_or(&Value::Null), ids)
        };
        // An event with its possible expectations, and how many faults it has against each.
        let candidates: Vec<Vec<(usize, usize)>> = events
            .iter()
            .map(|(place, event)| {
                let text = texts(event);
                let of_script =
                    expected.iter().enumerate().filter(|(_, expected)| expected.number == place.0 && text.contains(&expected.text));
                let mut candidates: Vec<_> = of_script.map(|(at, expected)| (at, faults_of(*place, event, expected).len())).collect();
                candidates.sort_by_key(|(_, faults)| *faults);
                candidates
            })
            .collect();
        let mut taken = BTreeMap::new();
        // Panics with one text may each fit several expectations: as many as possible fit without a fault.
        for event in 0..events.len() {
            assign(event, &candidates, &mut taken, &mut BTreeSet::new());
        }
        let of_event: BTreeMap<usize, usize> = taken.iter().map(|(at, event)| (*event, *at)).collect();
        for (number, (place, event)) in events.iter().enumerate() {
            let left = candidates[number].iter().find(|(at, _)| !taken.contains_key(at)).map(|(at, _)| *at);
            match of_event.get(&number).copied().or(left) {
                Some(at) => {
                    taken.insert(at, number);
                    let wrong = faults_of(*place, event, &expected[at]);
                    if slow.contains(&place.0) {
                        self.late += 1;
                    } else {
                        faults.extend(wrong.into_iter().map(|fault| (place.0, format!("{fault}, in {:?}", expected[at]))));
                    }
                }
                None if slow.contains(&place.0) => self.late += 1,
                None => faults.push((place.0, format!("a foreign event: {event}"))),
            }
        }
        let missing = expected.into_iter().enumerate().filter(|(at, _)| !taken.contains_key(at)).map(|(_, missing)| missing);
        for missing in missing {
            if missing.is_limited {
                self.limited += 1;
            } else {
                faults.push((missing.number, format!("no event for {missing:?}")));
            }
        }
        let shown = faults.iter().take(12).map(|(number, fault)| format!("{fault}\n  {:?}", plan::script(soak.seed, *number)));
        assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), shown.collect::<Vec<_>>().join("\n"));
    }

    /// The accounts of the client agree.
    fn close(&self, stats: &Stats) {
        let Stats { errors, transactions, merged_reports, .. } = stats;
        let dropped =
            |reason: DiscardReason| errors.dropped.iter().filter(|(known, _)| *known == reason).map(|(_, count)| count).sum::<u64>();
        assert_eq!((transactions.captured, transactions.sent), (self.transactions, self.transactions));
        assert_eq!(errors.sent, self.events);
        assert_eq!(dropped(DiscardReason::SampleRate), self.limited);
        if self.late == 0 {
            assert_eq!(dropped(DiscardReason::EventProcessor), self.withdrawn);
            assert_eq!(errors.dropped_total(), self.limited + self.withdrawn, "{errors:?}");
            assert_eq!(*merged_reports, self.merged);
        }
    }
}

/// Gives an event an expectation that it meets. If another event has it, that one may take another (Kuhn's algorithm).
fn assign(event: usize, candidates: &[Vec<(usize, usize)>], taken: &mut BTreeMap<usize, usize>, tried: &mut BTreeSet<usize>) -> bool {
    for (at, _) in candidates[event].iter().filter(|(_, faults)| *faults == 0) {
        if !tried.insert(*at) {
            continue;
        }
        let owner = taken.get(at).copied();
        if owner.is_none_or(|owner| assign(owner, candidates, taken, tried)) {
            taken.insert(*at, event);
            return true;
        }
    }
    false
}

/// All texts of an event that may say which failure it is.
fn texts(event: &Value) -> String {
    let values = event["exception"]["values"].as_array();
    let values = values.into_iter().flatten().map(|exception| exception["value"].as_str().unwrap_or_default());
    let all: Vec<_> = values.chain(event["logentry"]["message"].as_str()).collect();
    all.join("\n")
}

impl std::fmt::Display for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { transactions, failures, events, merged, withdrawn, limited, late, kinds } = self;
        write!(f, "{transactions} transactions, {failures} failures, {events} events, {merged} merged reports, ")?;
        write!(f, "{withdrawn} withdrawn, {limited} beyond the limit of failed responses, {late} of slow scripts; {kinds:?}")
    }
}
