//! Whole trees, to the millisecond: those of the documents this crate was asked for by.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use tower::{Layer, Service, ServiceExt as _};
use tower_sentry::test::HandClock;
use tower_sentry::{Scope, SentryLayer, SpanLayer};
use tracing::{Instrument as _, info_span};

use crate::support::{self, Relay, Server};

/// Lets time pass: by hand, or for real.
pub type Pass = Arc<dyn Fn(u64) + Send + Sync>;

thread_local! {
    static CLOCK: std::cell::RefCell<Option<HandClock>> = const { std::cell::RefCell::new(None) };
}

pub fn by_hand() -> Pass {
    CLOCK.with(|clock| {
        // The one before must be gone: its drop lets the real clock go on.
        clock.borrow_mut().take();
        *clock.borrow_mut() = Some(HandClock::start());
    });
    Arc::new(|millis| CLOCK.with(|clock| clock.borrow().as_ref().unwrap().advance(Duration::from_millis(millis))))
}

/// The handler of the demonstration.
fn download(pass: &Pass) -> Router {
    let pass = Arc::clone(pass);
    let download = move || {
        let pass = Arc::clone(&pass);
        async move {
            let step = |name: &'static str, op: &'static str, millis: u64| {
                let pass = Arc::clone(&pass);
                tower_sentry::span(op, name, async move { pass(millis) })
            };
            step("database.query", "db.query", 25).await;
            step("filesystem.read", "file.read", 450).await;
            step("response.prepare", "view", 5).await;
        }
        .instrument(info_span!("view.file_download", sentry.op = "view"))
    };
    Router::new().route("/api/v1/files/{name}/download", get(download))
}

/// The demonstration with layers alone: each middleware works before and after the inner service.
fn storm_cloud_of_layers(pass: &Pass) -> Router {
    let layer = |name: &'static str, before: u64, after: u64| SpanLayer::new(name, Takes(before, after, Arc::clone(pass)));
    download(pass)
        .layer(layer("authentication", 15, 0).op("auth").own_time())
        .layer(layer("middleware.session", 5, 3).own_time())
        .layer(layer("middleware.sentry_context", 2, 0).own_time())
        .layer(layer("middleware.cors", 1, 2).own_time())
        .layer(layer("middleware.security", 12, 0).own_time())
        .layer(layer("middleware.total", 2, 1).total_time())
}

/// The demonstration: a download behind four middlewares and a sign-in.
fn storm_cloud(pass: &Pass) -> Router {
    let work = |name: &'static str, op: &'static str, millis: u64| {
        let pass = Arc::clone(pass);
        move |request: Request, next: Next| {
            let pass = Arc::clone(&pass);
            async move {
                tower_sentry::span(op, name, async { pass(millis) }).await;
                next.run(request).await
            }
        }
    };
    let total = {
        let pass = Arc::clone(pass);
        move |request: Request, next: Next| {
            let pass = Arc::clone(&pass);
            async move {
                // Beside the others, not around them.
                let total = info_span!(parent: None, "middleware.total", sentry.op = "middleware");
                pass(2);
                let response: Response = next.run(request).await;
                pass(1);
                drop(total);
                response
            }
        }
    };
    download(pass)
        .layer(from_fn(work("authentication", "auth", 15)))
        .layer(from_fn(work("middleware.session", "middleware", 8)))
        .layer(from_fn(work("middleware.sentry_context", "middleware", 2)))
        .layer(from_fn(work("middleware.cors", "middleware", 3)))
        .layer(from_fn(work("middleware.security", "middleware", 12)))
        .layer(from_fn(total))
}

const PATH: &str = "/api/v1/files/document.pdf/download";

#[tokio::test]
async fn storm_cloud_golden() {
    support::subscribe();
    let (client, captured) = tower_sentry::test::client();
    let app = storm_cloud(&by_hand()).layer(SentryLayer::new(&client));

    drop(app.oneshot(Request::get(PATH).body(Body::empty()).unwrap()).await.unwrap());

    assert_eq!(captured.timed_tree(), include_str!("../golden/storm_cloud.txt"));
    let transaction = &captured.transactions()[0];
    let root = transaction.contexts.trace.as_ref().unwrap().span_id;
    let took = |start: tower_sentry::protocol::Timestamp, end: tower_sentry::protocol::Timestamp| {
        (end.as_nanos() - start.as_nanos() + 500_000) / 1_000_000
    };
    let children = transaction
        .spans
        .iter()
        .filter(|span| span.parent_span_id == Some(root) && span.description.as_deref() != Some("middleware.total"));
    let in_children: u64 = children.map(|span| took(span.start_timestamp, span.timestamp)).sum();
    assert_eq!(took(transaction.start_timestamp, transaction.timestamp) - in_children, 3, "its own time");
    support::settle(&client).await;
}

#[tokio::test]
async fn storm_cloud_over_a_socket_has_the_same_shape() {
    support::subscribe();
    let relay = Relay::start();
    let client = support::client(&relay);
    let app = storm_cloud(&(Arc::new(|_| {}) as Pass)).layer(SentryLayer::new(&client));

    support::get(&Server::start(app).await, PATH).await;
    support::settle(&client).await;

    assert_eq!(support::tree(&relay.transactions()[0]), untimed(include_str!("../golden/storm_cloud.txt")));
}

/// A tree without its times.
fn untimed(tree: &str) -> String {
    tree.lines().map(|line| format!("{}\n", line.rsplitn(3, ' ').last().unwrap())).collect()
}

#[tokio::test]
async fn layers_show_their_own_times_beside_each_other_and_their_sum() {
    support::subscribe();
    let (client, captured) = tower_sentry::test::client();
    let app = storm_cloud_of_layers(&by_hand()).layer(SentryLayer::new(&client));

    drop(app.oneshot(Request::get(PATH).body(Body::empty()).unwrap()).await.unwrap());

    assert_eq!(captured.timed_tree(), include_str!("../golden/storm_cloud.txt"));
    let transaction = &captured.transactions()[0];
    let parts: Vec<_> = ["middleware.session", "middleware.cors", "middleware.total"]
        .iter()
        .map(|name| transaction.spans.iter().find(|span| span.description.as_deref() == Some(name)).unwrap())
        .map(|span| (span.data["middleware.before_ms"].as_f64().unwrap(), span.data["middleware.after_ms"].as_f64().unwrap()))
        .collect();
    assert_eq!(parts, [(5.0, 3.0), (1.0, 2.0), (2.0, 1.0)]);
    support::settle(&client).await;
}

#[tokio::test]
async fn layers_beside_each_other_over_a_socket_have_the_same_shape() {
    support::subscribe();
    let relay = Relay::start();
    let client = support::client(&relay);
    let app = storm_cloud_of_layers(&(Arc::new(|_| {}) as Pass)).layer(SentryLayer::new(&client));

    support::get(&Server::start(app).await, PATH).await;
    support::settle(&client).await;

    assert_eq!(support::tree(&relay.transactions()[0]), untimed(include_str!("../golden/storm_cloud.txt")));
}

#[tokio::test]
async fn a_middleware_that_calls_twice_or_gives_up_has_its_own_time() {
    let (client, captured) = tower_sentry::test::client();
    let pass = by_hand();
    let (of_handler, of_retry, of_timeout) = (Arc::clone(&pass), Arc::clone(&pass), Arc::clone(&pass));
    let retry = move |request: Request, next: Next| {
        let pass = Arc::clone(&of_retry);
        async move {
            pass(2);
            drop(next.clone().run(Request::new(Body::empty())).await);
            pass(3);
            let response: Response = next.run(request).await;
            pass(4);
            response
        }
    };
    let give_up = move |request: Request, next: Next| {
        let pass = Arc::clone(&of_timeout);
        async move {
            pass(5);
            let mut inner = Box::pin(next.run(request));
            assert!(futures_util::poll!(&mut inner).is_pending());
            drop(inner);
            pass(6);
            StatusCode::GATEWAY_TIMEOUT
        }
    };
    let work = get(move || async move {
        of_handler(10);
        tower_sentry::span("view", "show", async { of_handler(10) }).await;
    });
    let never = get(move || async move {
        pass(100);
        tower_sentry::span("view", "wait", std::future::pending::<()>()).await;
    });
    let app = Router::new()
        .route("/retry", work.layer(SpanLayer::new("retry", from_fn(retry)).own_time()))
        .route("/timeout", never.layer(SpanLayer::new("timeout", from_fn(give_up)).own_time()))
        .layer(SentryLayer::new(&client).failed_status_codes(500..=500));
    for path in ["/retry", "/timeout"] {
        drop(app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap());
    }

    assert_eq!(
        captured.timed_tree(),
        "GET /retry [http.server] ok 49 ms\n  retry [middleware] ok 9 ms\n  show [view] ok 10 ms\n  show [view] ok 10 ms\n\
         GET /timeout [http.server] deadline_exceeded 111 ms\n  timeout [middleware] ok 11 ms\n  wait [view] cancelled 0 ms\n"
    );
    support::settle(&client).await;
}

#[tokio::test]
async fn checkpoint_tree() {
    let (client, captured) = tower_sentry::test::client();
    let pass = by_hand();
    let step = |op: &'static str, name: &'static str, millis: u64| {
        let pass = Arc::clone(&pass);
        tower_sentry::span(op, name, async move { pass(millis) })
    };
    let checkpoint = async {
        step("db", "fetch entries", 40).await;
        step("compute", "compute merkle root", 120).await;
        step("sign", "sign checkpoint", 7).await;
        step("upload", "upload to S3", 300).await;
    };

    client.transaction("generate_checkpoint").op("task").run(checkpoint).await;

    assert_eq!(captured.timed_tree(), include_str!("../golden/checkpoint.txt"));
    support::settle(&client).await;
}

/// A middleware that takes so long before and after the inner call.
#[derive(Clone)]
struct Takes(u64, u64, Pass);

#[derive(Clone)]
struct Taking<S>(Takes, S);

impl<S> Layer<S> for Takes {
    type Service = Taking<S>;

    fn layer(&self, inner: S) -> Taking<S> {
        Taking(self.clone(), inner)
    }
}

impl<S> Service<Request> for Taking<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        self.1.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Takes(before, after, pass) = self.0.clone();
        let mut inner = self.1.clone();
        Box::pin(async move {
            pass(before);
            tokio::task::yield_now().await;
            let response = inner.call(request).await;
            tokio::task::yield_now().await;
            pass(after);
            response
        })
    }
}

#[tokio::test]
async fn exclusive_times_add_up() {
    let (client, captured) = tower_sentry::test::client();
    let mut random = fastrand::Rng::with_seed(11);
    let mut expected = Vec::new();
    for _ in 0..200 {
        let pass = by_hand();
        let in_handler = random.u64(0..50);
        let of_handler = Arc::clone(&pass);
        let mut app = Router::new().route("/", get(move || async move { of_handler(in_handler) }));
        let mut total = in_handler;
        let mut each = Vec::new();
        for _ in 0..random.usize(1..8) {
            let (before, after) = (random.u64(0..20), random.u64(0..20));
            total += before + after;
            // The last one is the outermost, which begins first.
            each.insert(0, (before as f64, after as f64));
            app = app.layer(SpanLayer::new("middleware", Takes(before, after, Arc::clone(&pass))));
        }
        expected.push((total, in_handler, each));
        drop(app.layer(SentryLayer::new(&client)).oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap());
    }

    let transactions = captured.transactions();
    assert_eq!(transactions.len(), 200);
    for (transaction, (total, in_handler, each)) in transactions.iter().zip(expected) {
        let number = |span: &tower_sentry::protocol::Span, name: &str| span.data[name].as_f64().unwrap();
        let told: Vec<_> =
            transaction.spans.iter().map(|span| (number(span, "middleware.before_ms"), number(span, "middleware.after_ms"))).collect();
        assert_eq!(told, each);
        let exclusive: f64 = told.iter().map(|(before, after)| before + after).sum();
        let took = (transaction.timestamp.as_nanos() - transaction.start_timestamp.as_nanos()) as f64 / 1e6;
        assert!(
            (took - total as f64).abs() < 1.0 && (exclusive + in_handler as f64 - took).abs() < 1.0,
            "{exclusive} + {in_handler} of {took}, {total}"
        );
    }
    support::settle(&client).await;
}

#[tokio::test]
async fn auth_span() {
    support::subscribe();
    let (client, captured) = tower_sentry::test::client();
    #[tracing::instrument(skip_all, fields(sentry.op = "auth"))]
    async fn authenticate(token: Option<&str>) -> Result<&'static str, StatusCode> {
        let outcome = match token {
            Some("Bearer canary-good") => Ok("account-7"),
            Some("Bearer canary-broken") => Err(StatusCode::INTERNAL_SERVER_ERROR),
            _ => Err(StatusCode::UNAUTHORIZED),
        };
        Scope::current().set_tag(
            "access",
            match outcome {
                Ok(_) => "allowed",
                Err(StatusCode::UNAUTHORIZED) => "denied",
                Err(_) => "error",
            },
        );
        outcome
    }
    async fn auth(request: Request, next: Next) -> Result<Response, StatusCode> {
        let token = request.headers().get("authorization").and_then(|value| value.to_str().ok().map(str::to_owned));
        authenticate(token.as_deref()).await?;
        Ok(next.run(request).await)
    }
    let app = Router::new()
        .route("/", get(|| async { "hello" }))
        .layer(SpanLayer::new("auth", from_fn(auth)).op("auth").outcome_tag("auth"))
        .layer(SentryLayer::new(&client));

    for token in ["Bearer canary-good", "Bearer canary-broken", "Basic canary-bad"] {
        let request = Request::get("/").header("authorization", token).body(Body::empty()).unwrap();
        drop(app.clone().oneshot(request).await.unwrap());
    }

    let outcomes: Vec<_> = captured.transactions().iter().map(|transaction| transaction.tags["access"].clone()).collect();
    assert_eq!(outcomes, ["allowed", "error", "denied"]);
    let at_the_door: Vec<_> = captured.transactions().iter().map(|transaction| transaction.tags["auth"].clone()).collect();
    assert_eq!(at_the_door, ["passed", "stopped", "stopped"]);
    assert!(captured.tree().starts_with("GET / [http.server] ok\n  auth [auth] ok\n    authenticate [auth] ok\n"), "{}", captured.tree());
    assert!(!captured.envelopes().iter().any(|envelope| String::from_utf8_lossy(envelope).contains("canary")));
    support::settle(&client).await;
}

#[tokio::test]
async fn short_spans_are_left_out_where_asked_for_and_counted() {
    let config = tower_sentry::Config::builder().traces_sample_rate(1.0).min_span_duration(Duration::from_millis(5));
    let (client, captured) = tower_sentry::test::client_with(config);
    let pass = by_hand();
    let step = |name: &'static str, millis: u64| {
        let pass = Arc::clone(&pass);
        tower_sentry::span("task", name, async move { pass(millis) })
    };
    let work = async {
        step("long", 5).await;
        step("short", 4).await;
        tower_sentry::span("task", "short, with one below", step("long", 5)).await;
    };
    client.transaction("work").run(work).await;

    assert_eq!(captured.tree(), "work [task] ok\n  long [task] ok\n  short, with one below [task] ok\n    long [task] ok\n");
    let spans = client.stats().spans;
    assert_eq!((spans.captured, spans.sent, spans.dropped_total()), (5, 4, 1));
    support::settle(&client).await;
}

#[tokio::test]
async fn spans_tell_how_long_they_were_busy_where_asked_for() {
    use tracing_subscriber::layer::SubscriberExt as _;

    let (client, captured) = tower_sentry::test::client();
    let layer = tower_sentry::TracingLayer::new(&client).poll_times(true);
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let pass = by_hand();
    let both = async {
        let work = async {
            pass(3);
            tokio::task::yield_now().await;
            pass(7);
        };
        let wait = async {
            // Between the polls of the other.
            pass(20);
            tokio::task::yield_now().await;
        };
        futures_util::join!(work.instrument(info_span!("work")), wait);
    };
    client.transaction("both").run(both).await;

    let transaction = &captured.transactions()[0];
    let number = |name: &str| transaction.spans[0].data[name].as_f64().unwrap();
    assert_eq!((number("tower_sentry.busy_ms"), number("tower_sentry.idle_ms")), (10.0, 20.0));
    // Twice to be polled, and once to be dropped.
    assert_eq!((number("tower_sentry.polls"), number("tower_sentry.longest_poll_ms")), (3.0, 7.0));
    support::settle(&client).await;
}

#[tokio::test]
async fn a_span_in_the_place_of_another_has_none_of_its_facts() {
    use tracing_subscriber::layer::SubscriberExt as _;

    let (client, captured) = tower_sentry::test::client_with(tower_sentry::Config::builder().traces_sample_rate(1.0).max_spans(1));
    let layer = tower_sentry::TracingLayer::new(&client).poll_times(true);
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let work = async {
        let first = info_span!("first", first = tracing::field::Empty);
        first.record("first", 1);
        first.in_scope(|| ());
        drop(first);
        tower_sentry::span("task", "second", async {}).attribute("second", 2).await;
        let third = info_span!("third", third = tracing::field::Empty);
        third.record("third", 3);
    };
    client.transaction("work").run(work).await;

    let spans = &captured.transactions()[0].spans;
    assert_eq!((spans.len(), spans[0].description.as_deref(), spans[0].op.as_deref()), (1, Some("third"), Some("function")));
    let names: Vec<_> = spans[0].data.keys().filter(|name| !name.starts_with("code.")).collect();
    assert_eq!(names, ["third"]);
    support::settle(&client).await;
}

#[tokio::test]
async fn what_is_said_of_a_span_outlasts_an_error_in_it() {
    support::subscribe();
    let (client, captured) = tower_sentry::test::client();
    let work = async {
        info_span!("says ok", otel.status_code = "OK").in_scope(|| tracing::error!("tried again"));
        info_span!("says nothing").in_scope(|| tracing::error!("tried again"));
        let scope = tower_sentry::span("task", "is over", async { Scope::current() }).await;
        scope.enter(|| tracing::error!("too late"));
    };
    client.transaction("work").run(work).await;

    let tree = "work [task] ok\n  says ok [function] ok\n  says nothing [function] internal_error\n  is over [task] ok\n";
    assert_eq!(captured.tree(), tree);
    support::settle(&client).await;
}

#[tokio::test]
async fn spans_that_outlive_their_work_end_with_it_and_as_it_did() {
    support::subscribe();
    let (client, captured) = tower_sentry::test::client();
    let pass = by_hand();
    let open = std::cell::RefCell::new(Vec::new());
    let begin = |name: &str| {
        open.borrow_mut().push(info_span!("watch", sentry.name = name));
        pass(20);
    };

    client.transaction("done").run(async { begin("of a job that is done") }).await;
    let mut cancelled = Box::pin(client.transaction("cancelled").run(async {
        begin("of a job that is cancelled");
        std::future::pending::<()>().await;
    }));
    assert!(futures_util::poll!(&mut cancelled).is_pending());
    drop(cancelled);

    let tree = "done [task] ok 20 ms\n  of a job that is done [function] ok 20 ms\n\
                cancelled [task] cancelled 20 ms\n  of a job that is cancelled [function] cancelled 20 ms\n";
    assert_eq!(captured.timed_tree(), tree);
    drop(open);
    support::settle(&client).await;
}

#[tokio::test]
async fn a_name_that_is_set_before_the_route_is_known_stays() {
    async fn name(request: Request, next: Next) -> Response {
        if request.uri().path() == "/named" {
            Scope::current().transaction().set_name("checkout");
        }
        next.run(request).await
    }
    let (client, captured) = tower_sentry::test::client();
    let routes = Router::new().route("/{id}", get(|| async { "ok" }));
    let app = routes.route_layer(tower_sentry::incoming::RouteNameLayer).layer(from_fn(name));
    let app = SentryLayer::new(&client).boxed_body().layer(app);

    for path in ["/named", "/other"] {
        drop(app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap());
    }

    let names: Vec<_> = captured.transactions().iter().map(|transaction| transaction.name.clone()).collect();
    assert_eq!(names, ["checkout", "GET /{id}"]);
    let routes = captured.transactions().into_iter().map(|transaction| transaction.contexts.trace.unwrap().data["http.route"].clone());
    assert_eq!(routes.collect::<Vec<_>>(), ["/{id}", "/{id}"], "the route is known all the same");
    support::settle(&client).await;
}

#[tokio::test]
async fn a_transaction_whose_spans_say_too_much_has_its_name() {
    support::subscribe();
    let (client, captured) = tower_sentry::test::client();
    let long = "x ".repeat(4000);
    let work = async {
        // 1.6 MB; a request keeps one.
        for _ in 0..200 {
            info_span!("talks", long).in_scope(|| ());
        }
        // To the last bytes.
        for _ in 0..100 {
            info_span!("talks less", short = "x ".repeat(50)).in_scope(|| ());
        }
        for number in 0..20_u64 {
            info_span!("counts", number).in_scope(|| ());
        }
        Scope::current().transaction().set_name("checkout of a whole order");
    };
    client.transaction("work").run(work).await;

    let transaction = &captured.transactions()[0];
    let told = transaction.spans.iter().filter(|span| span.data.contains_key("long")).count();
    assert_eq!((transaction.name.as_str(), transaction.spans.len()), ("checkout of a whole order", 320));
    assert!((100..150).contains(&told), "{told} spans have their text");
    support::settle(&client).await;
}
