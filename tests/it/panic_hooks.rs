//! Whichever panic hook is installed: a panic inside a request, a job or a bound task is one event.

use std::convert::Infallible;
use std::panic::{self, AssertUnwindSafe};

use axum::body::Body;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_sentry::{Client, Scope, SentryLayer};

use crate::support::{self, Relay, in_child};

fn crash() -> &'static str {
    let crashes = std::hint::black_box(true);
    assert!(!crashes, "kaboom");
    "never"
}

/// Where code of a service panics.
const PLACES: [&str; 9] = [
    "/in-the-call",
    "/in-the-future",
    "/in-the-body",
    "/in-a-span",
    "/in-a-bound-task",
    "/in-a-thread",
    "/from-a-bound-task",
    "/from-a-task",
    "/without-a-hook",
];

async fn answer(path: String) -> Result<Response<Body>, Infallible> {
    let scope = Scope::current();
    match path.as_str() {
        "/in-the-future" => drop(crash()),
        "/in-the-body" => {
            let words = stream::iter(["a", "word"]).map(|_| Ok::<_, Infallible>(crash()));
            return Ok(Response::new(Body::from_stream(words)));
        }
        "/in-a-span" => drop(tower_sentry::span("task", "a step", async { crash() }).await),
        "/in-a-bound-task" => drop(tokio::spawn(scope.bind(async { crash() })).await),
        "/in-a-thread" => drop(tokio::task::spawn_blocking(move || scope.enter(crash)).await),
        "/from-a-bound-task" => resume(tokio::spawn(scope.bind(async { crash() }))).await,
        "/from-a-task" => resume(tokio::spawn(async { crash() })).await,
        "/without-a-hook" => panic::resume_unwind(Box::new(String::from("kaboom"))),
        other => unreachable!("{other}"),
    }
    Ok(Response::new(Body::empty()))
}

/// Goes on with the panic of a task.
async fn resume(task: tokio::task::JoinHandle<&'static str>) {
    panic::resume_unwind(task.await.unwrap_err().into_panic());
}

async fn visit(client: &Client, path: &str) {
    let service = service_fn(|request: Request<Body>| {
        let path = request.uri().path().to_owned();
        if path == "/in-the-call" {
            crash();
        }
        answer(path)
    });
    let service = SentryLayer::new(client).layer(service);
    let visit = async move {
        let response = service.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        response.into_body().collect().await.unwrap();
    };
    drop(AssertUnwindSafe(visit).catch_unwind().await);
}

/// The events that arrived since the last look, as (text, mechanism, whether the place is known).
async fn seen(client: &Client, relay: &Relay, before: &mut usize) -> Vec<(String, Value, bool)> {
    client.flush(support::patience()).await.unwrap();
    let events = relay.events();
    let new = events.iter().skip(std::mem::replace(before, events.len()));
    new.map(|event| {
        let outermost = event["exception"]["values"].as_array().and_then(|values| values.last());
        let text = outermost.map_or(&event["logentry"]["message"], |panic| &panic["value"]);
        let mechanism = outermost.map_or(&Value::Null, |panic| &panic["mechanism"]);
        (text.as_str().unwrap().to_owned(), mechanism["type"].clone(), mechanism.get("data").is_none())
    })
    .collect()
}

/// Installs another hook after ours, each in turn.
fn arrange(arrangement: &str) {
    match arrangement {
        "ours" => {}
        "chained" => {
            let ours = panic::take_hook();
            panic::set_hook(Box::new(move |info| ours(info)));
        }
        "replaced" => panic::set_hook(Box::new(|_| {})),
        "taken" => drop(panic::take_hook()),
        other => unreachable!("{other}"),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn a_panic_is_one_event_whichever_hook_is_installed() {
    if in_child("panic_hooks::a_panic_is_one_event_whichever_hook_is_installed", &[]) {
        return;
    }
    panic::set_hook(Box::new(|_| {}));
    runtime().block_on(async {
        let relay = Relay::start();
        let client = Client::from(support::config(&relay).panic_hook(true).build().unwrap());
        let mut before = 0;
        for arrangement in ["ours", "chained", "replaced", "taken"] {
            arrange(arrangement);
            for path in PLACES.into_iter().chain(PLACES) {
                visit(&client, path).await;

                let is_placed = matches!(arrangement, "ours" | "chained") && path != "/without-a-hook";
                let expected = ("kaboom".to_owned(), json!("panic"), is_placed);
                assert_eq!(seen(&client, &relay, &mut before).await, [expected], "{arrangement} {path}");
                let fingerprint = relay.events().pop().unwrap()["fingerprint"].clone();
                assert_eq!(fingerprint == json!(["panic", "GET <unmatched>"]), !is_placed, "{fingerprint}");
            }
            let job = client.transaction("a job").run_infallible(async { crash() });
            assert!(AssertUnwindSafe(job).catch_unwind().await.is_err());
            assert_eq!(seen(&client, &relay, &mut before).await.len(), 1, "{arrangement} job");
        }
        let events = relay.events();
        assert!(events.iter().all(|event| event["level"] == "fatal"));
    });
}

#[test]
fn a_panic_that_a_layer_inside_caught_is_one_event_whichever_hook_is_installed() {
    if in_child("panic_hooks::a_panic_that_a_layer_inside_caught_is_one_event_whichever_hook_is_installed", &[]) {
        return;
    }
    panic::set_hook(Box::new(|_| {}));
    support::subscribe();
    runtime().block_on(async {
        let relay = Relay::start();
        let client = Client::from(support::config(&relay).panic_hook(true).build().unwrap());
        let mut before = 0;
        let hidden = ("GET <unmatched> answered 500".to_owned(), Value::Null, true);
        let logged = ("Service panicked: kaboom".to_owned(), Value::Null, true);
        let whole = ("kaboom".to_owned(), json!("panic"), true);
        for (arrangement, by_tower_http, by_user) in
            [("ours", &whole, &whole), ("chained", &whole, &whole), ("replaced", &logged, &hidden), ("taken", &logged, &hidden)]
        {
            arrange(arrangement);
            let caught = CatchPanicLayer::new().layer(service_fn(|_: Request<Body>| async {
                crash();
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }));
            let service = SentryLayer::new(&client).layer(caught);
            let response = service.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            drop(response);
            assert_eq!(seen(&client, &relay, &mut before).await, std::slice::from_ref(by_tower_http), "{arrangement}");

            let service = SentryLayer::new(&client).layer(service_fn(|_: Request<Body>| async {
                let code = if panic::catch_unwind(crash).is_err() { 500 } else { 200 };
                Ok::<_, Infallible>(Response::builder().status(code).body(Body::empty()).unwrap())
            }));
            drop(service.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap());
            assert_eq!(seen(&client, &relay, &mut before).await, std::slice::from_ref(by_user), "{arrangement}");
        }
    });
}

/// No hook runs for `resume_unwind`. The layer inside swallows that panic, and its log is all that is left.
#[test]
fn a_panic_that_only_a_log_shows_is_an_event_beside_another_panic() {
    if in_child("panic_hooks::a_panic_that_only_a_log_shows_is_an_event_beside_another_panic", &[]) {
        return;
    }
    panic::set_hook(Box::new(|_| {}));
    support::subscribe();
    runtime().block_on(async {
        let relay = Relay::start();
        let client = Client::from(support::config(&relay).panic_hook(true).build().unwrap());
        let long = "another ".repeat(2_000);
        // How the service panics after `kaboom` of a task, and how the texts of the events begin.
        let rows: [(&str, &[&str]); 3] = [
            ("another", &["kaboom", "Service panicked: another"]),
            (&long, &["kaboom", "Service panicked: another another"]),
            // The task's panic goes on.
            ("kaboom", &["kaboom"]),
        ];
        let mut before = 0;
        for (text, expected) in rows {
            let serve = service_fn(move |_: Request<Body>| {
                let text = text.to_owned();
                async move {
                    drop(tokio::spawn(Scope::current().bind(async { crash() })).await);
                    panic::resume_unwind(Box::new(text));
                    #[expect(unreachable_code, reason = "says what the service would return")]
                    Ok::<_, Infallible>(Response::new(Body::empty()))
                }
            });
            let service = SentryLayer::new(&client).layer(CatchPanicLayer::new().layer(serve));

            drop(service.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap());

            let seen: Vec<_> = seen(&client, &relay, &mut before).await.into_iter().map(|(text, ..)| text).collect();
            let begin = |(seen, expected): (&String, &&str)| seen.starts_with(expected);
            assert!(seen.len() == expected.len() && seen.iter().zip(expected).all(begin), "{text}: {seen:?}");
        }

        // A panic with a long text that the hook has seen is one event.
        let serve = service_fn(move |_: Request<Body>| {
            let text = "kaboom ".repeat(2_000);
            async move {
                panic::panic_any(text);
                #[expect(unreachable_code, reason = "says what the service would return")]
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }
        });
        let service = SentryLayer::new(&client).layer(CatchPanicLayer::new().layer(serve));
        drop(service.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap());
        assert_eq!(seen(&client, &relay, &mut before).await.len(), 1);
    });
}

#[test]
fn without_the_hook_the_layer_reports_no_panics_either() {
    if in_child("panic_hooks::without_the_hook_the_layer_reports_no_panics_either", &[]) {
        return;
    }
    panic::set_hook(Box::new(|_| {}));
    runtime().block_on(async {
        let relay = Relay::start();
        let client = Client::from(support::config(&relay).panic_hook(false).build().unwrap());

        for path in PLACES {
            visit(&client, path).await;
        }

        assert_eq!(seen(&client, &relay, &mut 0).await, []);
    });
}
