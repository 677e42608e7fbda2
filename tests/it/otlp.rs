//! The OpenTelemetry collector beside Sentry: what it gets, and what its troubles cost.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use axum::Router;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as OtlpStatus;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message as _;
use tower_sentry::otlp::Otlp;
use tower_sentry::protocol::{DiscardReason, SpanId, SpanLink, TraceLifecycle};
use tower_sentry::{Client, Config, ConfigBuilder, Level, Scope, SentryLayer, User};

use crate::canaries::{Canaries, Kind};
use crate::support::{self, Answer, Received, Relay, Server, closed_port, in_child, patience, said_in_child, until};

/// The requests to a collector, read with OpenTelemetry's own types.
pub fn resources(collector: &Relay) -> Vec<ResourceSpans> {
    let read = |received: &Received| ExportTraceServiceRequest::decode(received.envelope.as_slice()).unwrap().resource_spans;
    collector.received().iter().flat_map(read).collect()
}

/// All spans that a collector has got.
pub fn spans(collector: &Relay) -> Vec<Span> {
    resources(collector).into_iter().flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
}

/// Attributes by name; texts without quotes.
pub fn attributes(pairs: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |pair: &KeyValue| match pair.value.clone().unwrap().value.unwrap() {
        Value::StringValue(text) => text,
        Value::BoolValue(value) => value.to_string(),
        Value::IntValue(value) => value.to_string(),
        Value::DoubleValue(value) => value.to_string(),
        other => format!("{other:?}"),
    };
    let found: BTreeMap<_, _> = pairs.iter().map(|pair| (pair.key.clone(), text(pair))).collect();
    assert_eq!(found.len(), pairs.len(), "names are unique: {pairs:?}");
    found
}

fn span<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name} in {spans:#?}"))
}

fn config(relay: &Relay, collector: &Relay) -> ConfigBuilder {
    support::config(relay).otlp(Otlp::new(collector.url()))
}

async fn work(client: &Client, times: usize) {
    for _ in 0..times {
        client.transaction("work").run(async {}).await;
    }
}

/// The law of the accounts, for the copies.
fn check_accounts(client: &Client) {
    let counts = client.stats().otlp;
    assert_eq!(counts.captured, counts.sent + counts.dropped_total(), "{counts:?}");
}

#[tokio::test]
async fn requests_and_their_resource_are_as_otlp_says() {
    let (relay, collector) = (Relay::start(), Relay::start());
    let otlp =
        Otlp::new(format!("{}/tenant/", collector.url())).header("x-api-key", "8f14e45f").resource_attribute("service.namespace", "north");
    let config = support::config(&relay).otlp(otlp).release("shop@1.4.0").environment("staging").server_name("host-1").build().unwrap();
    let client = Client::from(&config);

    work(&client, 30).await;
    support::settle(&client).await;

    let received = collector.received();
    let header = |name: &str| received[0].headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(received[0].path, "/tenant/v1/traces");
    assert_eq!(header("content-type").as_deref(), Some("application/x-protobuf"));
    assert_eq!(header("content-encoding").as_deref(), Some("gzip"));
    assert_eq!(header("x-api-key").as_deref(), Some("8f14e45f"));
    assert_eq!((header("x-sentry-auth"), relay.received()[0].headers.get("x-api-key")), (None, None), "each key goes to its own server");
    assert!(received.len() < 30, "transactions share requests");
    for resource in resources(&collector) {
        let expected = [
            ("deployment.environment.name", "staging"),
            ("host.name", "host-1"),
            ("service.name", "shop"),
            ("service.namespace", "north"),
            ("service.version", "1.4.0"),
            ("telemetry.sdk.language", "rust"),
            ("telemetry.sdk.name", "tower-sentry"),
            ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
        ];
        let expected = expected.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!(attributes(&resource.resource.unwrap().attributes), expected);
        let scope = resource.scope_spans[0].scope.clone().unwrap();
        assert_eq!((scope.name.as_str(), scope.version.as_str()), ("tower-sentry", env!("CARGO_PKG_VERSION")));
    }
    assert_eq!((spans(&collector).len(), client.stats().otlp.sent), (30, 30));
    check_accounts(&client);
}

#[tokio::test]
async fn spans_have_the_names_kinds_and_states_of_the_conventions() {
    let (relay, collector) = (Relay::start(), Relay::start());
    let client = Client::from(config(&relay, &collector).build().unwrap());
    let handler = |axum::extract::Path(code): axum::extract::Path<u16>| async move {
        tower_sentry::span("db.query", "SELECT name FROM users", async {
            Scope::current().span().set_attribute("db.system", "postgresql");
        })
        .await;
        tower_sentry::span("http.client", "GET http://stock.internal/items/7", async {
            let span = Scope::current().span();
            span.set_attribute("http.request.method", "GET").set_attribute("http.response.status_code", 404_u16);
        })
        .await;
        tower_sentry::span("queue.publish", "mails", async {}).await;
        StatusCode::from_u16(code).unwrap()
    };
    let server = Server::start(Router::new().route("/codes/{code}", get(handler)).layer(SentryLayer::new(&client))).await;

    for code in [200, 404, 503] {
        let request = Request::get(format!("/codes/{code}")).header("user-agent", "curl/8");
        support::request(&server, request).await;
    }
    let header = "771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-1".to_owned();
    let link = SpanLink::from_headers(&HashMap::from([("sentry-trace".to_owned(), header)]));
    let link = link.unwrap().attribute("sentry.link.type", "previous_trace");
    let job = async {
        let scope = Scope::current();
        scope.set_tag("plan", "gold").set_user(User::id(42));
        scope.span().set_measurement("queue.depth", 3.0, "none");
        scope.span().add_link(link).set_attribute("messaging.destination.name", "mails");
    };
    client.transaction("email.send").op("queue.process").run(job).await;
    support::settle(&client).await;

    let spans = spans(&collector);
    let state = |span: &Span| span.status.clone().unwrap().code();
    for (code, expected) in [("200", OtlpStatus::Unset), ("404", OtlpStatus::Unset), ("503", OtlpStatus::Error)] {
        let by_code = |span: &&Span| span.kind() == SpanKind::Server && attributes(&span.attributes)["http.response.status_code"] == code;
        let root = spans.iter().find(by_code).unwrap();
        assert_eq!((root.name.as_str(), state(root)), ("GET /codes/{code}", expected), "{code}");
        let facts = attributes(&root.attributes);
        assert_eq!(facts.get("error.type").map(String::as_str), (code == "503").then_some("503"));
        for (name, value) in
            [("http.request.method", "GET"), ("http.route", "/codes/{code}"), ("url.scheme", "http"), ("sentry.op", "http.server")]
        {
            assert_eq!(facts[name], value, "{name}");
        }
        assert!(
            facts["url.path"].ends_with(code) && facts.contains_key("server.address") && facts.contains_key("user_agent.original"),
            "{facts:?}"
        );
    }
    let query = span(&spans, "SELECT");
    let facts = attributes(&query.attributes);
    assert_eq!((query.kind(), state(query)), (SpanKind::Client, OtlpStatus::Unset));
    assert_eq!((facts["db.query.text"].as_str(), facts["db.system.name"].as_str()), ("SELECT name FROM users", "postgresql"));
    assert!(!facts.contains_key("db.system"), "{facts:?}");
    let call = span(&spans, "GET");
    let facts = attributes(&call.attributes);
    assert_eq!((call.kind(), state(call), facts["error.type"].as_str()), (SpanKind::Client, OtlpStatus::Error, "404"));
    assert_eq!(facts["sentry.description"], "GET http://stock.internal/items/7");
    assert_eq!(span(&spans, "publish mails").kind(), SpanKind::Producer);
    let job = span(&spans, "process mails");
    let facts = attributes(&job.attributes);
    assert_eq!((job.kind(), facts["plan"].as_str(), facts["user.id"].as_str()), (SpanKind::Consumer, "gold", "42"));
    assert_eq!((facts["queue.depth"].as_str(), facts["sentry.segment.name"].as_str()), ("3", "email.send"));
    let [link] = &job.links[..] else { panic!("one link") };
    assert_eq!(link.trace_id, 0x771a_43a4_1926_42f0_b136_d515_9a50_1700_u128.to_be_bytes());
    assert_eq!(link.span_id, 0xb0e6_f15b_45c3_6b12_u64.to_be_bytes());
    assert_eq!(attributes(&link.attributes)["sentry.link.type"], "previous_trace");
}

#[tokio::test]
async fn no_secret_reaches_the_collector() {
    let (relay, collector) = (Relay::start(), Relay::start());
    let canaries = Canaries::default();
    let otlp = Otlp::new(collector.url())
        .resource_attribute("api_key", canaries.secret("resource"))
        .resource_attribute("service.namespace", canaries.harmless("resource"));
    let client = Client::from(support::config(&relay).otlp(otlp).build().unwrap());
    let of_handler = canaries.clone();
    let handler = || async move {
        let canaries = of_handler;
        let scope = Scope::current();
        scope.set_tag("password", canaries.secret("tag")).set_tag("note", canaries.harmless("tag"));
        scope.set_user(User::id(1).field("api_key", canaries.secret("user")).email(format!("{}@shop.example", canaries.withheld("email"))));
        scope.span().set_measurement("total", 4_111_111_111_111_111.0, "none");
        scope.span().set_attribute("access_token", canaries.secret("root attribute"));
        let link = SpanLink::new(scope.trace_id().unwrap_or_default(), SpanId::new());
        scope.span().add_link(link.attribute("secret", canaries.secret("link")));
        tower_sentry::span("db.query", format!("SELECT * FROM t WHERE password = '{}'", canaries.secret("query")), async {}).await;
        let url = format!("GET http://stock/items?token={}", canaries.secret("url"));
        tower_sentry::span("http.client", url, async {}).await;
        tower_sentry::span("task", format!("Authorization: Bearer {}", canaries.secret("description")), async {
            let span = Scope::current().span();
            span.set_attribute("card", "4111 1111 1111 1111").set_attribute("note", canaries.harmless("attribute"));
            span.set_attribute("client_secret", canaries.secret("attribute"));
        })
        .await;
    };
    let server = Server::start(Router::new().route("/pay", get(handler)).layer(SentryLayer::new(&client))).await;

    support::get(&server, &format!("/pay?api_key={}", canaries.secret("query string"))).await;
    support::settle(&client).await;

    let sent: Vec<_> = collector.received().into_iter().map(|received| received.envelope).collect();
    assert_eq!(spans(&collector).len(), 4);
    assert_eq!(canaries.found(Kind::Secret, &sent), BTreeSet::new());
    assert_eq!(canaries.found(Kind::Harmless, &sent), canaries.planted(Kind::Harmless), "the search finds what is there");
    let text = String::from_utf8_lossy(&sent.concat()).into_owned();
    assert!(!text.contains("4111") && text.contains("[Filtered]"));
}

#[tokio::test]
async fn a_collector_that_is_away_costs_the_server_nothing_and_gets_its_spans_later() {
    let relay = Relay::start();
    let port = closed_port();
    let address = format!("http://{}", port.local_addr().unwrap());
    let client = Client::from(support::config(&relay).otlp(Otlp::new(address)).build().unwrap());

    work(&client, 20).await;
    // It waits for the collector too, in vain.
    let flushed = client.flush(Duration::from_millis(1)).await;
    until("the server has all", || client.stats().transactions.sent == 20).await;
    assert!(flushed.is_err());
    assert_eq!(client.stats().otlp.waiting(), 20);
    let collector = Relay::start_at(port);
    support::settle(&client).await;

    assert_eq!((spans(&collector).len(), client.stats().otlp.sent), (20, 20));
    check_accounts(&client);
}

#[tokio::test]
async fn a_slow_collector_holds_up_neither_the_server_nor_what_comes_later() {
    let (relay, collector) = (Relay::start(), Relay::start());
    collector.answer_all(Answer::Held);
    let client = Client::from(config(&relay, &collector).request_timeout(Duration::from_secs(3600)).build().unwrap());

    work(&client, 10).await;
    let _ = client.flush(Duration::from_millis(1)).await;
    collector.wait_for(1);
    work(&client, 10).await;
    work_with_an_error(&client).await;
    until("the server has all", || client.stats().transactions.sent == 21 && client.stats().errors.sent == 1).await;
    let waiting = client.stats().otlp.waiting();
    collector.release();
    support::settle(&client).await;

    assert_eq!((waiting, spans(&collector).len()), (21, 21));
    check_accounts(&client);
}

async fn work_with_an_error(client: &Client) {
    let job = async {
        tower_sentry::capture_message(Level::Error, "noted");
    };
    client.transaction("work").run(job).await;
}

#[tokio::test]
async fn a_shutdown_gives_up_at_its_deadline_and_counts_what_is_lost() {
    let (relay, collector) = (Relay::start(), Relay::start());
    collector.answer_all(Answer::Never);
    let client = Client::from(config(&relay, &collector).request_timeout(Duration::from_secs(3600)).build().unwrap());

    work(&client, 7).await;
    until("the server has all of them", || client.stats().transactions.sent == 7).await;
    let error = client.shutdown(Duration::from_millis(300)).await.unwrap_err();

    let stats = client.stats();
    assert_eq!((error.left(), stats.transactions.sent, relay.transactions().len()), (7, 7, 7));
    assert_eq!(stats.otlp.dropped, [(DiscardReason::NetworkError, 7)]);
    check_accounts(&client);
}

#[tokio::test]
async fn what_may_be_sent_again_is_and_the_rest_is_dropped() {
    for (code, arrives) in [(429, true), (502, true), (503, true), (504, true), (400, false), (401, false), (404, false), (500, false)] {
        let (relay, collector) = (Relay::start(), Relay::start());
        collector.answer_next(Answer::status(code));
        let client = Client::from(config(&relay, &collector).build().unwrap());

        work(&client, 3).await;
        support::settle(&client).await;

        let (requests, otlp) = (collector.received().len(), client.stats().otlp);
        let expected = if arrives { (2, 3, vec![]) } else { (1, 0, vec![(DiscardReason::SendError, 3)]) };
        assert_eq!((requests, otlp.sent, otlp.dropped), expected, "{code}");
        assert_eq!(client.stats().transactions.sent, 3);
        check_accounts(&client);
    }
}

#[tokio::test]
async fn the_collector_is_not_asked_again_before_retry_after() {
    let (relay, collector) = (Relay::start(), Relay::start());
    collector.answer_next(Answer::Status(429, vec![("retry-after", "3600".to_owned())]));
    let client = Client::from(config(&relay, &collector).build().unwrap());

    work(&client, 3).await;
    let _ = client.flush(Duration::from_millis(1)).await;
    collector.wait_for(1);
    // A shutdown shortens pauses of our own only.
    client.shutdown(Duration::from_secs(1)).await.unwrap_err();

    assert_eq!((collector.received().len(), client.stats().transactions.sent), (1, 3));
    assert_eq!(client.stats().otlp.dropped, [(DiscardReason::NetworkError, 3)]);
}

#[test]
fn spans_that_the_collector_rejects_are_counted_and_its_message_is_shown() {
    let shown = said_in_child("otlp::spans_that_the_collector_rejects_are_counted_and_its_message_is_shown", &[]);
    if let Some(shown) = shown {
        assert!(shown.contains("the OpenTelemetry collector rejected 2 spans, which are dropped and counted: too old"), "{shown}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (relay, collector) = (Relay::start(), Relay::start());
        let partial_success = Some(ExportTracePartialSuccess { rejected_spans: 2, error_message: "too old".to_owned() });
        collector.answer_all(Answer::Body(ExportTraceServiceResponse { partial_success }.encode_to_vec()));
        let client = Client::from(config(&relay, &collector).build().unwrap());

        // As many as the server takes at a time, so that their copies make one request.
        work(&client, 4).await;
        support::settle(&client).await;

        let otlp = client.stats().otlp;
        assert_eq!((collector.received().len(), otlp.sent, otlp.dropped), (1, 2, vec![(DiscardReason::SendError, 2)]));
    });
}

#[tokio::test]
async fn a_backlog_is_bounded_and_the_newest_stay() {
    let (relay, collector) = (Relay::start(), Relay::start());
    collector.answer_all(Answer::Held);
    let client = Client::from(config(&relay, &collector).request_timeout(Duration::from_secs(3600)).queue_bytes(64 << 20).build().unwrap());

    for number in 0..60 {
        let large = async {
            for _ in 0..900 {
                tower_sentry::span_sync("task", "a step of the work that takes a while", || {});
            }
        };
        client.transaction(format!("work {number}")).run(large).await;
    }
    until("the server has all", || client.stats().transactions.sent == 60).await;
    let full = client.stats().otlp;
    collector.release();
    support::settle(&client).await;

    assert!(full.waiting() <= 32_768 && full.waiting() > 10_000, "{full:?}");
    assert_eq!(full.dropped, [(DiscardReason::QueueOverflow, 60 * 901 - full.waiting())]);
    let names: BTreeSet<_> = spans(&collector).into_iter().map(|span| span.name).collect();
    assert!(names.contains("work 59"), "{names:?}");
    assert!(!names.contains("work 20"), "{names:?}");
    check_accounts(&client);
}

#[tokio::test]
async fn a_limit_of_the_servers_is_not_one_of_the_collectors() {
    let (relay, collector) = (Relay::start(), Relay::start());
    relay.answer_next(Answer::Status(200, vec![("x-sentry-rate-limits", "600:transaction:organization".to_owned())]));
    let client = Client::from(config(&relay, &collector).build().unwrap());

    work(&client, 1).await;
    relay.wait_for(1);
    until("the limit is known", || client.stats().transactions.sent == 1).await;
    work(&client, 4).await;
    support::settle(&client).await;

    assert_eq!(client.stats().transactions.dropped, [(DiscardReason::RatelimitBackoff, 4)]);
    assert_eq!(spans(&collector).len(), 5);
}

/// Sends to a collector and to no server.
fn alone(collector: &Relay) -> ConfigBuilder {
    let config = Config::builder().otlp(Otlp::new(collector.url())).traces_sample_rate(1.0).panic_hook(false);
    config.first_byte_timeout(Duration::from_secs(3600))
}

#[tokio::test]
async fn the_collector_alone_gets_spans_and_nothing_else_counts_as_sent() {
    let collector = Relay::start();
    let client = Client::from(alone(&collector).build().unwrap());

    work_with_an_error(&client).await;
    support::settle(&client).await;

    let stats = client.stats();
    assert_eq!((spans(&collector).len(), stats.transactions.sent, stats.otlp.sent), (1, 1, 1));
    assert_eq!(stats.errors.dropped, [(DiscardReason::NetworkError, 1)]);
}

#[test]
fn variables_alone_send_nothing_and_a_fault_in_them_is_an_error() {
    let name = "otlp::variables_alone_send_nothing_and_a_fault_in_them_is_an_error";
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=8f14e45fceea167a"),
        ("OTEL_SERVICE_NAME", "till"),
    ];
    if in_child(name, &variables) {
        return;
    }

    let without = Config::builder().from_env().build().unwrap();
    let with = Config::builder().from_env().otlp(Otlp::from_env()).build().unwrap();

    let row = |config: &Config| {
        config.to_string().lines().find(|line| line.starts_with("otlp ")).unwrap().split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!((without.is_enabled(), row(&without).as_str()), (false, "none"));
    assert_eq!((with.is_enabled(), row(&with).as_str()), (true, "http://127.0.0.1:1/v1/traces"));
    let faults = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://h"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "8f14e45fceea167a"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "content-length=7"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_RESOURCE_ATTRIBUTES", "shop"),
    ];
    for (variable, value) in faults {
        let error = Config::builder().otlp(Otlp::from_vars([(variable, value)])).build().unwrap_err();
        assert!(error.is_setting() && error.to_string().starts_with(&format!("{variable}: expected")), "{error}");
        assert!(!error.to_string().contains("8f14e45fceea167a"));
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "the parent reads it")]
fn values_of_headers_are_never_shown() {
    const SECRET: &str = "8f14e45fceea167a";
    let shown = said_in_child("otlp::values_of_headers_are_never_shown", &[("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=8f14e45fceea167a")]);
    if let Some(shown) = shown {
        assert!(shown.contains("and spans to the OpenTelemetry collector http://127.0.0.1"), "the start line:\n{shown}");
        assert!(shown.contains("the OpenTelemetry collector answered 401"), "the warning:\n{shown}");
        assert!(!shown.contains(SECRET), "{shown}");
        return;
    }
    // The start line does not wait where there is a subscriber.
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::DEBUG).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (relay, collector) = (Relay::start(), Relay::start());
        collector.answer_all(Answer::status(401));
        let vars = std::env::vars().chain([("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), collector.url())]);
        let otlp = Otlp::from_vars(vars).header("authorization", format!("Bearer {SECRET}"));
        let config = support::config(&relay).otlp(otlp.clone()).debug(true).build().unwrap();
        let client = Client::from(&config);

        work(&client, 1).await;
        support::settle(&client).await;

        eprintln!("{otlp:?} {config} {config:?} {client:?}");
        let sent = &collector.received()[0].headers;
        assert_eq!((sent["x-api-key"].to_str().unwrap(), sent["authorization"].to_str().unwrap()), (SECRET, &*format!("Bearer {SECRET}")));
        assert!(relay.received().iter().all(|received| received.headers.values().all(|value| !value.to_str().unwrap().contains(SECRET))));
    });
}

#[tokio::test]
async fn a_flush_waits_for_the_collector_and_not_for_later_spans() {
    let (relay, collector) = (Relay::start(), Relay::start());
    let client = Client::from(config(&relay, &collector).build().unwrap());

    work(&client, 3).await;
    client.flush(patience()).await.unwrap();

    assert_eq!((spans(&collector).len(), client.stats().otlp.sent), (3, 3), "it did not wait for the five seconds of a batch");
}

#[test]
fn a_collector_needs_whole_transactions() {
    let streamed = Config::builder().dsn("http://key@127.0.0.1:9/1").trace_lifecycle(TraceLifecycle::Stream);
    let error = streamed.otlp(Otlp::new("http://127.0.0.1:4318")).build().unwrap_err();

    assert_eq!(error.to_string(), "otlp: expected the trace_lifecycle `static`, found `stream`: a collector gets whole transactions");
}
