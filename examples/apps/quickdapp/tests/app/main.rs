//! The server and the worker as real processes. Two servers on sockets stand for their two projects of Sentry.

mod dapp;
mod project;
mod queue;
mod site;

use dapp::{Dapp, Wallet};
use project::{Project, name, trace_id};
use serde_json::{Value, json};

/// A secret in a request that no project may receive.
const SECRET: &str = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";

#[tokio::test(flavor = "multi_thread")]
async fn a_page_its_requests_and_the_job_are_one_trace_in_two_projects() {
    let (server, worker) = (Project::start().await, Project::start().await);
    let dapp = Dapp::start(&[("SENTRY_DSN", &server.dsn()), ("SENTRY_WORKER_DSN", &worker.dsn())]).await;
    let wallet = Wallet::new();

    let page = dapp.open_page().await;
    let session = dapp.sign_in(&page, &wallet).await;
    let token = dapp.deploy(&page, &session, "QDP").await;
    let job = worker.wait_for(|kind, item| kind == "transaction" && name(item) == "token.deploy").await;
    let contract = dapp.end_of(&page, &session, token).await["contract"].clone();
    let shown = server.wait_for(|kind, item| kind == "transaction" && name(item) == "GET /").await;
    let ordered = server.wait_for(|kind, item| kind == "transaction" && name(item) == "POST /api/tokens").await;
    dapp.stop().await;

    for transaction in [&shown, &ordered, &job] {
        assert_eq!(trace_id(transaction), page.trace_id, "{}", name(transaction));
    }
    // The request is a child of what the page named, and the job is a child of the span that wrote it into the queue.
    assert_eq!(ordered["contexts"]["trace"]["parent_span_id"], shown["contexts"]["trace"]["span_id"]);
    let publish = span(&ordered, "queue.publish");
    assert_eq!(publish["data"]["messaging.destination.name"], "jobs");
    assert_eq!(job["contexts"]["trace"]["parent_span_id"], publish["span_id"]);
    assert_eq!(job["contexts"]["trace"]["data"]["messaging.system"], "sqlite");
    assert_eq!(job["contexts"]["trace"]["status"], "ok");
    assert!(contract.as_str().is_some_and(|address| address.starts_with("0x") && address.len() == 42), "{contract}");
    // The nesting of S1: the middleware, the function, and its query.
    let auth = span(&ordered, "auth");
    let get_user = spans(&ordered).find(|span| span["description"] == "db.getUser").expect("db.getUser");
    let query = spans(&ordered).find(|span| span["parent_span_id"] == get_user["span_id"]).expect("the query of db.getUser");
    assert_eq!((&get_user["op"], &get_user["parent_span_id"]), (&json!("db"), &auth["span_id"]));
    assert_eq!(
        (&query["op"], &query["description"]),
        (&json!("db.query"), &json!("SELECT wallet FROM sessions WHERE token_hash = ? AND made_at > ?"))
    );
    assert_eq!(span(&job, "chain")["data"]["chain.id"], 31337);
    // Each project gets only its own.
    assert!(server.items("transaction").iter().all(|item| name(item) != "token.deploy"));
    assert!(worker.items("transaction").iter().all(|item| name(item) == "token.deploy"));
    for project in [&server, &worker] {
        project.assert_no_secret(&[wallet.signatures(), vec![session.token()]].concat());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_is_there_from_the_sign_in_to_the_sign_out() {
    let project = Project::start().await;
    let dapp = Dapp::start(&[("SENTRY_DSN", &project.dsn())]).await;
    let wallet = Wallet::new();

    let before = dapp.open_page().await;
    let session = dapp.sign_in(&before, &wallet).await;
    let signed_in = dapp.open_page_as(&session).await;
    dapp.deploy(&signed_in, &session, "QDP").await;
    let job = project.wait_for(|kind, item| kind == "transaction" && name(item) == "token.deploy").await;
    dapp.sign_out(&signed_in, &session).await;
    let after = dapp.open_page_as(&session).await;
    let refused = dapp.post(&after, Some(&session), "/api/tokens", &json!({ "symbol": "QDP" })).await;
    dapp.stop().await;

    let user = json!(wallet.address().to_lowercase());
    assert!(wallet.address().contains(char::is_uppercase), "the address has a letter");
    let transactions = project.items("transaction");
    let of = |name_of: &str, page: &str| -> Value {
        let found = transactions.iter().find(|item| name(item) == name_of && trace_id(item) == page);
        found.unwrap_or_else(|| panic!("{name_of} of {page} in {:?}", transactions.iter().map(name).collect::<Vec<_>>()))["user"]["id"]
            .clone()
    };
    assert_eq!(of("GET /", &before.trace_id), Value::Null);
    assert_eq!(of("POST /api/challenge", &before.trace_id), Value::Null);
    assert_eq!(of("POST /api/sign-in", &before.trace_id), user);
    assert_eq!(of("GET /", &signed_in.trace_id), user);
    assert!(signed_in.text.contains(&format!(r#""user":{{"id":{user}}}"#)), "{}", signed_in.text);
    assert_eq!(of("POST /api/tokens", &signed_in.trace_id), user);
    assert_eq!((&job["user"]["id"], trace_id(&job)), (&user, signed_in.trace_id.as_str()));
    assert_eq!(of("POST /api/sign-out", &signed_in.trace_id), Value::Null);
    assert_eq!(of("GET /", &after.trace_id), Value::Null);
    assert!(!after.text.contains(user.as_str().unwrap()), "{}", after.text);
    assert_eq!((refused.status, of("POST /api/tokens", &after.trace_id)), (401, Value::Null));
    project.assert_no_secret(&[wallet.signatures(), vec![session.token()]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_browser_sends_arrives_through_the_tunnel() {
    let project = Project::start().await;
    let dapp = Dapp::start(&[("SENTRY_DSN", &project.dsn()), ("SENTRY_REPLAY_SESSION_SAMPLE_RATE", "0.25")]).await;
    let page = dapp.open_page().await;
    let error = json!({ "event_id": "4c79f60c11214eb38604f4ae0781bfb2", "message": format!("charged with {SECRET}"),
        "contexts": { "trace": { "trace_id": page.trace_id, "span_id": "b0e6f15b45c36b12" } } });
    let replay = [&b"\x00\x01 a recording is not text \xff"[..], &[7; 500]].concat();
    let header = json!({ "dsn": project.dsn(), "event_id": "4c79f60c11214eb38604f4ae0781bfb2" });

    let event = envelope(&header, &[("event", error.to_string().as_bytes())]);
    let replay = envelope(&header, &[("replay_event", br#"{"segment_id":0}"#), ("replay_recording", &replay)]);
    let foreign = envelope(&json!({ "dsn": "http://0123456789abcdef0123456789abcdef@127.0.0.1:9/1" }), &[("event", b"{}")]);
    let answers = [dapp.send("/t", event).await, dapp.send("/t", replay.clone()).await, dapp.send("/t", foreign).await];
    let words = json!({ "message": format!("it took {SECRET}"), "event_id": "4c79f60c11214eb38604f4ae0781bfb2" });
    let thanks = dapp.post(&page, None, "/feedback", &words).await;
    dapp.stop().await;

    assert_eq!(answers.map(|answer| answer.status), [200, 200, 403]);
    assert_eq!(thanks.status, 200);
    let feedback = &project.items("feedback")[0]["contexts"]["feedback"];
    assert_eq!(feedback["message"], "it took [REDACTED_TOKEN]");
    assert_eq!(feedback["associated_event_id"], "4c79f60c11214eb38604f4ae0781bfb2");
    let events = project.items("event");
    assert_eq!((events.len(), &events[0]["message"]), (1, &json!("charged with [REDACTED_TOKEN]")));
    assert_eq!(trace_id(&events[0]), trace_id(&project.items("transaction")[0]));
    assert!(project.raw().contains(&replay), "a replay is passed on as it is");
    assert!(page.text.contains(r#""tunnel":"/t""#) && page.text.contains(r#""replaysSessionSampleRate":0.25"#), "{}", page.text);
    project.assert_no_secret(&[SECRET.to_owned()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_variables_have_the_defaults_of_the_documents() {
    let project = Project::start().await;
    let rates = ["SENTRY_TRACES_SAMPLE_RATE", "SENTRY_REPLAY_SESSION_SAMPLE_RATE", "SENTRY_PROFILE_SESSION_SAMPLE_RATE"];
    let defaults = Dapp::start(&[("SENTRY_DSN", &project.dsn()), (rates[0], " "), (rates[1], ""), (rates[2], "0")]).await;
    let others = Dapp::start(&[("SENTRY_DSN", &project.dsn()), (rates[0], "0.0"), (rates[2], "1.0")]).await;

    let pages = [defaults.open_page().await, others.open_page().await];
    let logs = [defaults.stop().await, others.stop().await];

    let transactions = project.items("transaction");
    assert_eq!(transactions.len(), 1, "{transactions:?}");
    assert_eq!(trace_id(&transactions[0]), pages[0].trace_id);
    for (page, traces) in pages.iter().zip(["1.0", "0.0"]) {
        assert!(page.text.contains(&format!(r#""tracesSampleRate":{traces}"#)), "{}", page.text);
        assert!(page.text.contains(r#""replaysSessionSampleRate":1.0"#), "{}", page.text);
    }
    assert_eq!(logs.map(|log| log.matches(rates[2]).count()), [0, 0], "the variable has its effect, so there is no warning");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_of_a_process_is_profiled_where_its_variable_says_so() {
    let project = Project::start().await;
    let dapp = Dapp::start(&[("SENTRY_DSN", &project.dsn()), ("SENTRY_PROFILE_SESSION_SAMPLE_RATE", "1.0")]).await;

    dapp.open_page().await;
    dapp.stop().await;

    // A page uses so little of the processor that its chunk may be counted and not sent.
    let reports = project.items("client_report");
    let rows = reports.iter().flat_map(|report| report["discarded_events"].as_array().unwrap());
    let counted = rows.filter(|row| row["category"] == "profile_chunk").count();
    assert!(counted + project.items("profile_chunk").len() > 0, "{reports:?}");
    assert!(project.items("profile").is_empty(), "a share of sessions is none of transactions");
    let profile = &project.items("transaction")[0]["contexts"]["profile"];
    assert!(profile["profiler_id"].is_string() && profile.get("profile_id").is_none(), "{profile}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_argument_both_processes_run_and_without_a_dsn_they_print() {
    let dapp = Dapp::start_both(&[]).await;
    let wallet = Wallet::new();

    let page = dapp.open_page().await;
    let session = dapp.sign_in(&page, &wallet).await;
    let token = dapp.deploy(&page, &session, "QDP").await;
    dapp.end_of(&page, &session, token).await;
    let printed = dapp.stop().await;

    for line in [
        "Monitoring of the server: printed here",
        "Monitoring of the worker: printed here",
        "GET / [http.server] ok 200",
        "token.deploy [queue.process] ok",
    ] {
        assert!(printed.contains(line), "{line} is not in {printed}");
    }
    assert!(!page.text.contains("S.init(o)"), "there is no server for the browser's SDK");
    for secret in [wallet.signatures(), vec![session.token()]].concat() {
        assert!(!printed.contains(&secret), "{secret} is in {printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blank_dsn_means_off_and_the_application_works() {
    let project = Project::start().await;
    let off = Dapp::start(&[("SENTRY_DSN", ""), ("SENTRY_WORKER_DSN", " ")]).await;
    let worker_only = Dapp::start(&[("SENTRY_DSN", ""), ("SENTRY_WORKER_DSN", &project.dsn())]).await;
    let wallet = Wallet::new();

    for dapp in [&off, &worker_only] {
        let page = dapp.open_page().await;
        let session = dapp.sign_in(&page, &wallet).await;
        let token = dapp.deploy(&page, &session, "QDP").await;
        assert!(dapp.end_of(&page, &session, token).await["contract"].is_string());
        assert_eq!(page.trace_id, "", "nothing is recorded, so there is no trace");
    }
    let printed = [off.stop().await, worker_only.stop().await];

    for text in printed {
        assert!(text.contains("Monitoring of the server: off") && !text.contains("[http.server]"), "{text}");
    }
    assert_eq!(project.items("transaction").iter().map(name).collect::<Vec<_>>(), ["token.deploy"]);
}

fn spans(transaction: &Value) -> impl Iterator<Item = &Value> {
    transaction["spans"].as_array().into_iter().flatten()
}

/// The first span of this kind.
fn span<'a>(transaction: &'a Value, op: &str) -> &'a Value {
    spans(transaction).find(|span| span["op"] == op).unwrap_or_else(|| panic!("no {op} in {transaction}"))
}

fn envelope(header: &Value, items: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = format!("{header}\n").into_bytes();
    for (kind, payload) in items {
        bytes.extend(format!("{}\n", json!({ "type": kind, "length": payload.len() })).into_bytes());
        bytes.extend_from_slice(payload);
        bytes.push(b'\n');
    }
    bytes
}
