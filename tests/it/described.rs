//! How requests are described: fallbacks, calls of gRPC, URLs behind proxies and in nested routers, what is known of a failure.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{any, get};
use futures_util::stream;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::{BoxError, Layer as _, ServiceBuilder, ServiceExt as _};
use tower_sentry::incoming::{RouteNameLayer, RouteOptions};
use tower_sentry::test::{Captured, client, client_with};
use tower_sentry::{Config, SentryLayer};
use tracing::{Level, debug, info, info_span};

use crate::support::{self, payloads_in};

fn request(path: &str) -> Request<Body> {
    Request::get(path).header("host", "shop.example").body(Body::empty()).unwrap()
}

fn call(path: &str) -> Request<Body> {
    Request::post(path).header(CONTENT_TYPE, "application/grpc+proto").body(Body::empty()).unwrap()
}

async fn visit(app: &Router, request: Request<Body>) {
    let response = app.clone().oneshot(request).await.unwrap();
    let _ = response.into_body().collect().await;
}

fn transactions(captured: &Captured) -> Vec<Value> {
    payloads_in(&captured.envelopes(), "transaction")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

/// Name and source of each transaction.
fn names(captured: &Captured) -> Vec<String> {
    let name =
        |transaction: &Value| format!("{} ({})", text(&transaction["transaction"]), text(&transaction["transaction_info"]["source"]));
    transactions(captured).iter().map(name).collect()
}

fn messages(captured: &Captured) -> Vec<String> {
    payloads_in(&captured.envelopes(), "event").iter().map(|event| text(&event["logentry"]["message"])).collect()
}

/// Answers with a status of gRPC in the head.
fn grpc(code: u16, message: &'static str) -> Response {
    let head = Response::builder().header(CONTENT_TYPE, "application/grpc").header("grpc-status", code.to_string());
    head.header("grpc-message", message).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn what_a_fallback_answers_has_a_name() {
    let (client, captured) = client();
    let page = |status: u16| any(move || std::future::ready(StatusCode::from_u16(status).unwrap()));
    let served = |status: u16| Router::new().route("/known", page(200)).fallback_service(page(status));
    let layer = SentryLayer::new(&client);

    visit(&served(200).layer(layer.clone()), request("/app.css")).await;
    visit(&served(304).layer(layer.clone()), request("/app.css")).await;
    visit(&served(200).layer(layer.clone()), request("/known")).await;
    visit(&served(404).layer(layer.clone()), request("/app.css")).await;
    visit(&Router::new().layer(layer.clone()), request("/app.css")).await;
    visit(&served(200).layer(layer.clone().route("/{*file}", RouteOptions::new())), request("/app.css")).await;
    visit(&served(200).layer(layer.clone().name(|_| Some("a file".to_owned()))), request("/app.css")).await;
    let around = layer.layer(served(200).route_layer(RouteNameLayer));
    drop(around.oneshot(request("/app.css")).await.unwrap());

    assert_eq!(
        names(&captured),
        [
            "GET <fallback> (route)",
            "GET <fallback> (route)",
            "GET /known (route)",
            "GET <unmatched> (route)",
            "GET <unmatched> (route)",
            "GET /{*file} (route)",
            "a file (custom)",
            // Outside of the router nothing says whether a route matched.
            "GET <unmatched> (route)",
        ]
    );
}

#[tokio::test]
async fn a_call_of_grpc_is_named_by_its_method() {
    let (client, captured) = client();
    let app = Router::new()
        .route("/shop.Orders/{*method}", any(async || grpc(0, "")))
        .route("/own/{route}", any(async || grpc(0, "")))
        .fallback(async || grpc(12, ""))
        .layer(SentryLayer::new(&client));

    for path in ["/shop.Orders/Place", "/shop.Carts/Open", "/own/route", "/wp-login.php", "/a/b/c"] {
        visit(&app, call(path)).await;
    }
    visit(&app, request("/shop.Orders/Place")).await;
    let named = SentryLayer::new(&client).name(|request| Some(format!("rpc {}", request.uri().path())));
    visit(&Router::new().fallback(async || grpc(0, "")).layer(named), call("/shop.Carts/Open")).await;

    assert_eq!(
        names(&captured),
        [
            "/shop.Orders/Place (route)",
            "/shop.Carts/Open (route)",
            "POST /own/{route} (route)",
            "POST <unmatched> (route)",
            "POST <unmatched> (route)",
            "GET /shop.Orders/{*method} (route)",
            "rpc /shop.Carts/Open (custom)",
        ]
    );
    assert_eq!(transactions(&captured)[0]["contexts"]["trace"]["data"]["http.route"], "/shop.Orders/Place");
    assert_eq!(messages(&captured), [""; 0], "an unknown method is no failure");
}

#[tokio::test]
async fn methods_of_grpc_are_at_most_a_thousand() {
    let (client, captured) = client_with(Config::builder().traces_sample_rate(1.0).queue_items(10_000));
    let checkout = get(async || {
        tower_sentry::Scope::current().transaction().set_name("checkout");
    });
    let app = Router::new().route("/checkout", checkout).fallback(async || grpc(12, "")).layer(SentryLayer::new(&client));

    for number in 0..1_100 {
        visit(&app, call(&format!("/scanner.{number}/Try"))).await;
    }
    visit(&app, Request::get("/checkout").body(Body::empty()).unwrap()).await;

    let mut names = names(&captured);
    names.sort();
    names.dedup();
    assert_eq!((names.len(), names[1000].as_str()), (1002, "<overflow> (route)"));
    assert!(names[1001].starts_with("checkout"), "a caller cannot use up the names of the application: {}", names[1001]);
}

#[tokio::test]
async fn a_failed_call_of_grpc_says_why() {
    let (client, captured) = client();
    let app = Router::new()
        .route("/shop.Orders/{*method}", any(async || grpc(13, "the disk%20is full%3A 7")))
        .route("/shop.Carts/{*method}", any(async || grpc(2, " ")))
        .layer(SentryLayer::new(&client));

    visit(&app, call("/shop.Orders/Place")).await;
    visit(&app, call("/shop.Carts/Open")).await;

    let expected =
        ["/shop.Orders/Place answered with status 13 of gRPC: the disk is full: 7", "/shop.Carts/Open answered with status 2 of gRPC"];
    assert_eq!(messages(&captured), expected);
}

#[tokio::test]
async fn the_url_is_the_one_that_the_client_asked_for() {
    let (client, captured) = client();
    let inner = Router::new().route("/users/{id}", get(async || "Jane")).layer(SentryLayer::new(&client));
    let app = Router::new().nest("/api", inner);

    visit(&app, request("/api/users/7?page=2")).await;

    let transaction = &transactions(&captured)[0];
    assert_eq!(
        (&transaction["transaction"], &transaction["request"]["url"]),
        (&"GET /api/users/{id}".into(), &"http://shop.example/api/users/7".into())
    );
    assert_eq!(transaction["request"]["query_string"], "page=2");
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_scheme_is_the_one_that_it_saw() {
    for (hops, expected) in [(0, "http"), (1, "https")] {
        let (client, captured) = client_with(Config::builder().traces_sample_rate(1.0).trusted_hops(hops));
        let app = Router::new().route("/", get(async || "ok")).layer(SentryLayer::new(&client));

        let with =
            |name: &str, value: &str| Request::get("/").header("host", "shop.example").header(name, value).body(Body::empty()).unwrap();
        visit(&app, with("x-forwarded-proto", "https")).await;
        visit(&app, with("forwarded", "for=203.0.113.7;proto=https")).await;

        let urls: Vec<_> = transactions(&captured).iter().map(|transaction| text(&transaction["request"]["url"])).collect();
        assert_eq!(urls, [format!("{expected}://shop.example/"), format!("{expected}://shop.example/")]);
    }
}

#[tokio::test]
async fn a_body_that_ends_before_its_content_length_has_failed() {
    let (client, captured) = client();
    let partly = |length: &'static str| {
        move || async move {
            let body = Body::from_stream(stream::iter([Ok::<_, Infallible>("five!")]));
            ([(CONTENT_LENGTH, length)], body)
        }
    };
    let app = Router::new().route("/short", get(partly("10"))).route("/whole", get(partly("5"))).layer(SentryLayer::new(&client));

    visit(&app, request("/short")).await;
    visit(&app, request("/whole")).await;
    let head = Request::head("/short").body(Body::empty()).unwrap();
    visit(&app, head).await;

    let statuses: Vec<_> = transactions(&captured).iter().map(|transaction| text(&transaction["contexts"]["trace"]["status"])).collect();
    assert_eq!(statuses, ["internal_error", "ok", "ok"]);
    assert_eq!(messages(&captured), ["GET /short ended its body before its content-length"]);
}

#[tokio::test]
async fn a_stream_that_an_outer_layer_replaces_is_not_cancelled() {
    let (client, captured) = client();
    let page = || async { Body::from_stream(stream::iter([Ok::<_, Infallible>("a page")])) };
    let app = Router::new().route("/", get(page)).layer(SentryLayer::new(&client));
    let app = app.layer(map_response(async |response: Response| response.map(|_| Body::from("another page"))));

    visit(&app, request("/")).await;

    let trace = &transactions(&captured)[0]["contexts"]["trace"];
    assert_eq!((&trace["status"], &trace["data"]["tower_sentry.body_unread"]), (&"ok".into(), &true.into()));
}

#[tokio::test]
async fn the_error_of_a_service_is_in_the_message() {
    let (client, captured) = client();
    let hangs = tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Response, BoxError>>());
    let service = ServiceBuilder::new().layer(SentryLayer::new(&client)).timeout(Duration::ZERO).service(hangs);

    assert!(service.oneshot(request("/")).await.is_err());

    assert_eq!(messages(&captured), ["GET <unmatched> failed without a response: request timed out"]);
}

#[tokio::test]
async fn spans_with_general_names_carry_their_module() {
    support::subscribe();
    #[tracing::instrument]
    fn call() {}
    #[tracing::instrument]
    fn load() {}
    let (client, captured) = client();

    client
        .transaction("work")
        .run(async {
            call();
            load();
            info_span!(target: "shop::cart", "get").in_scope(|| ());
            info_span!("poll", otel.name = "poll the mailbox").in_scope(|| ());
        })
        .await;

    assert_eq!(
        captured.tree(),
        "work [task] ok\n  it::described::call [function] ok\n  load [function] ok\n  shop::cart::get [function] ok\n  poll the mailbox [function] ok\n"
    );
}

#[tokio::test]
async fn a_query_of_sqlx_has_the_database_of_the_span_around_it() {
    support::subscribe();
    let query = |sql: &'static str| debug!(target: "sqlx::query", summary = sql, db.statement = "", elapsed_secs = 0.001_f64);
    let (client, captured) = client();

    client
        .transaction("work")
        .run(async {
            query("SELECT 1");
            info_span!("store", db.system.name = "postgresql").in_scope(|| {
                query("SELECT 2");
                info_span!("load").in_scope(|| query("SELECT 3"));
                let own = info_span!("cache", db.system = "redis");
                own.in_scope(|| query("SELECT 4"));
            });
        })
        .await;

    let systems: Vec<_> = captured.transactions()[0]
        .spans
        .iter()
        .filter(|span| span.description.as_deref().is_some_and(|text| text.starts_with("SELECT")))
        .map(|span| span.data.get("db.system.name").map(text).unwrap_or_default())
        .collect();
    assert_eq!(systems, ["", "postgresql", "postgresql", "redis"]);
}

#[tokio::test]
async fn the_text_of_a_rejection_of_axum_is_in_the_message() {
    support::subscribe();
    let (client, captured) = client();
    // As axum's own macro logs it with its feature `tracing`.
    let reject = |status: u16, body: &'static str| {
        tracing::event!(target: "axum::rejection", Level::TRACE, status, body, rejection_type = "MissingExtension", "rejecting request");
        StatusCode::from_u16(status).unwrap()
    };
    let app = Router::new()
        .route("/extension", get(move || async move { reject(500, "Missing request extension: `Pool`") }))
        .route(
            "/other",
            get(move || async move {
                reject(400, "Missing request extension: `Pool`");
                StatusCode::INTERNAL_SERVER_ERROR
            }),
        )
        .layer(SentryLayer::new(&client));

    visit(&app, request("/extension")).await;
    visit(&app, request("/other")).await;

    info!("done");
    assert_eq!(messages(&captured), ["GET /extension answered 500: Missing request extension: `Pool`", "GET /other answered 500"]);
}
