//! Random programs of spans: what arrives over the socket is what was meant.
//!
//! `TOWER_SENTRY_TEST_PROGRAMS` sets the number of programs, `TOWER_SENTRY_TEST_SEED` the first seed.

mod model;
mod program;
mod run;

use std::collections::HashMap;
use std::sync::Arc;

use model::{Arrived, meant};
use program::program;
use serde_json::Value;
use tower_sentry::Client;

use crate::support::{self, Relay};

/// Steps of each request.
const SIZE: usize = 14;

/// Runs the programs of these seeds, and returns those of which something else arrives than what was meant.
fn wrong(seeds: impl Iterator<Item = u64>, size: usize) -> Vec<(u64, String)> {
    let relay = Relay::start();
    let config = support::config(&relay).queue_items(1_000_000).queue_bytes(1 << 30);
    let client = Client::from(config.build().unwrap());
    let programs: Vec<_> = seeds.map(|seed| Arc::new(program(seed, size))).collect();
    for program in &programs {
        run::run(program, &client);
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(support::settle(&client));

    let mut arrived = arrived(&relay);
    let wrong = programs.iter().filter_map(|program| {
        let (meant, found) = (meant(program), arrived.remove(&program.seed).unwrap_or_default());
        (meant != found).then(|| (program.seed, differences(&meant, &found)))
    });
    wrong.collect()
}

/// What arrived of each program.
fn arrived(relay: &Relay) -> HashMap<u64, Arrived> {
    let mut all: HashMap<u64, Arrived> = HashMap::new();
    // The spans of all programs, by their ids on the wire; none is the root.
    let mut by_wire_id: HashMap<String, Option<u32>> = HashMap::new();
    let number = |text: &Value| text.as_str().and_then(|text| text.get(1..)?.parse::<u32>().ok());
    let wire_id = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let transactions = relay.transactions();
    for transaction in &transactions {
        by_wire_id.insert(wire_id(&transaction["contexts"]["trace"]["span_id"]), None);
        for span in transaction["spans"].as_array().unwrap() {
            by_wire_id.insert(wire_id(&span["span_id"]), number(&span["description"]));
        }
    }
    for transaction in &transactions {
        let (seed, request) = of_request(&transaction["transaction"]).unwrap();
        let arrived = all.entry(seed).or_default();
        for span in transaction["spans"].as_array().unwrap() {
            let parent = by_wire_id[&wire_id(&span["parent_span_id"])];
            let is_cancelled = (span["op"] == "task").then(|| span["status"] == "cancelled");
            let before = arrived.spans.insert(number(&span["description"]).unwrap(), (request, parent, is_cancelled));
            assert!(before.is_none(), "twice: {span}");
        }
    }
    for event in relay.events() {
        let text = event["logentry"]["message"].as_str().unwrap();
        let (seed, id) = text.strip_prefix('e').and_then(|text| text.split_once('.')).unwrap();
        let request = of_request(&event["user"]["id"]).map(|(_, request)| request);
        let node = by_wire_id.get(&wire_id(&event["contexts"]["trace"]["span_id"])).copied().flatten();
        all.entry(seed.parse().unwrap()).or_default().events.insert(id.parse().unwrap(), (request, node));
    }
    all
}

/// The seed and the request that a name or a user belongs to.
fn of_request(name: &Value) -> Option<(u64, usize)> {
    let (seed, request) = name.as_str()?.strip_prefix('p')?.split_once('r')?;
    Some((seed.parse().unwrap(), request.parse().unwrap()))
}

fn differences(meant: &Arrived, found: &Arrived) -> String {
    let spans = meant.spans.keys().chain(found.spans.keys()).collect::<std::collections::BTreeSet<_>>().into_iter();
    let spans = spans.filter(|id| meant.spans.get(id) != found.spans.get(id));
    let spans = spans.map(|id| format!("  span {id}: meant {:?}, found {:?}\n", meant.spans.get(id), found.spans.get(id)));
    let events = meant.events.keys().chain(found.events.keys()).collect::<std::collections::BTreeSet<_>>().into_iter();
    let events = events.filter(|id| meant.events.get(id) != found.events.get(id));
    let events = events.map(|id| format!("  event {id}: meant {:?}, found {:?}\n", meant.events.get(id), found.events.get(id)));
    spans.chain(events).collect()
}

/// The smallest program of the seeds that is wrong.
fn smallest(seeds: &[u64]) -> String {
    for size in 1..=SIZE {
        let found = wrong(seeds.iter().copied().take(50).chain(1_000_000..1_000_100), size);
        if let Some((seed, differences)) = found.into_iter().min_by_key(|(seed, _)| format!("{:?}", program(*seed, size)).len()) {
            return format!("the smallest, of seed {seed} and size {size}:\n{differences}{:?}", program(seed, size));
        }
    }
    "only at full size".to_owned()
}

#[test]
fn what_arrives_of_a_random_program_is_what_was_meant() {
    // A process of its own: subscribers come and go.
    if support::in_child("span_programs::what_arrives_of_a_random_program_is_what_was_meant", &[]) {
        return;
    }
    let variable = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = variable("TOWER_SENTRY_TEST_SEED").unwrap_or(1);
    let count = variable("TOWER_SENTRY_TEST_PROGRAMS").unwrap_or(200);

    // A client takes a thousand names of transactions.
    let chunks = (first..first + count).step_by(400).map(|seed| seed..(first + count).min(seed + 400));
    let wrong: Vec<_> = chunks.flat_map(|seeds| wrong(seeds, SIZE)).collect();

    if let Some((seed, differences)) = wrong.first() {
        let seeds: Vec<_> = wrong.iter().map(|(seed, _)| *seed).collect();
        panic!("{} of {count} programs; seed {seed}:\n{differences}\n{}", wrong.len(), smallest(&seeds));
    }
}
