//! Runs files of `src/` in all orders in which their threads may run, with at most three switches of a thread that could go
//! on. `run.sh` starts it, with the names of models if not all are wanted.
#![expect(dead_code, reason = "the files have more than the models use")]

mod fork;

/// Stands for `src/scope`: a scope that knows its span.
mod scope {
    #[derive(Debug)]
    pub struct LiveScope(pub u64);
}

mod exporter {
    #[path = "../../../../src/exporter/calls.rs"]
    mod calls;
    #[path = "../../../../src/exporter/flushes.rs"]
    mod flushes;
    pub mod item;
    pub mod models;
    #[path = "../../../../src/exporter/queue.rs"]
    mod queue;
    #[path = "../../../../src/exporter/shares.rs"]
    mod shares;
}

mod subscriber {
    #[path = "../../../../src/subscriber/index.rs"]
    mod index;
    pub mod models;
}

fn main() {
    let models: [(&str, fn()); 8] = [
        ("no item is overslept", exporter::models::no_item_is_overslept),
        ("no flush is overslept", exporter::models::no_flush_is_overslept),
        ("bytes are bounded and given back", exporter::models::bytes_are_bounded_and_given_back),
        ("nothing comes after the close", exporter::models::nothing_comes_after_the_close),
        ("each call is answered", exporter::models::each_call_is_answered),
        ("what comes beside the end is taken", exporter::models::what_comes_beside_the_end_is_taken),
        ("spans that meet stay apart", subscriber::models::spans_that_meet_stay_apart),
        ("an open span is found everywhere", subscriber::models::an_open_span_is_found_everywhere),
    ];
    let wanted: Vec<_> = std::env::args().skip(1).collect();
    for (name, model) in models.into_iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name)) {
        let begun = std::time::Instant::now();
        model();
        println!("{name}: ok, {:.1} s", begun.elapsed().as_secs_f64());
    }
}
