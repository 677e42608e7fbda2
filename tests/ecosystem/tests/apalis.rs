//! Jobs of apalis: the layer fits its workers, and the trace travels in a task's metadata.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::borrow::Cow;

use apalis::prelude::*;
use tower_sentry::job::{JobInfo, JobLayer};
use tower_sentry::propagation::Carrier;
use tower_sentry::{Client, Scope};

/// What a service with apalis writes once.
struct Headers<'a>(Cow<'a, MetadataStore>);

impl Carrier for Headers<'_> {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.get(name).map(Cow::Borrowed)
    }

    fn set(&mut self, name: &'static str, value: String) {
        let _ = self.0.to_mut().insert(name, value);
    }
}

fn describe(task: &Task<u32>) -> JobInfo {
    let attempt = u32::try_from(task.attempt()).unwrap_or(u32::MAX).max(1);
    let info = JobInfo::new("email.send").queue("mail").attempt(attempt, 3);
    info.continue_trace(&Headers(Cow::Borrowed(task.metadata())))
}

async fn send(number: u32, worker: WorkerContext) -> Result<(), BoxDynError> {
    Scope::current().set_tag("number", number);
    worker.stop()?;
    if number == 7 { Err("the mail server is gone".into()) } else { Ok(()) }
}

async fn run(client: &Client, task: Task<u32>) {
    let mut store = MemoryStorage::new();
    store.push_task(task).await.unwrap();
    let layer = JobLayer::new(client, describe).boxed_errors();
    let worker = WorkerBuilder::new("mailer").backend(store).layer(layer).build(send);
    worker.run().await.unwrap();
}

#[tokio::test]
async fn tasks_are_transactions_and_continue_the_trace_of_the_request() {
    let (client, captured) = tower_sentry::test::client();
    let push = async {
        let mut headers = Headers(Cow::Owned(MetadataStore::new()));
        Scope::current().inject(&mut headers);
        headers.0.into_owned()
    };
    let metadata = client.transaction("POST /orders").op("http.server").run_infallible(push).await;

    run(&client, TaskBuilder::new(8).with_metadata(metadata).build()).await;
    run(&client, TaskBuilder::new(7).build()).await;

    let transactions = captured.transactions();
    let trace = |index: usize| transactions[index].contexts.trace.clone().unwrap();
    assert_eq!(transactions.len(), 3, "{}", captured.tree());
    assert_eq!((trace(1).trace_id, trace(1).parent_span_id), (trace(0).trace_id, Some(trace(0).span_id)), "web, queue, worker: one trace");
    assert_ne!(trace(2).trace_id, trace(0).trace_id);
    assert_eq!(
        captured.tree(),
        "POST /orders [http.server] ok\nemail.send [queue.process] ok\nemail.send [queue.process] internal_error\n"
    );
    let events = captured.events();
    assert_eq!((events.len(), events[0].tags["number"].as_str()), (1, "7"));
    assert_eq!(events[0].exception.values[0].value.as_deref(), Some("the mail server is gone"));
    assert_eq!(events[0].contexts.trace.as_ref().unwrap().trace_id, trace(2).trace_id);
}
