//! Who and what a request is for: never another request's.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tower::ServiceExt as _;
use tower_sentry::protocol::{Attachment, Feedback};
use tower_sentry::{Breadcrumb, CaptureError, Client, Config, Level, Scope, SentryLayer, User};
use tracing::{Instrument as _, info_span};

use crate::support::{self, Relay, Server, patience};

const USERS: usize = 64;

/// What is captured says where; the tag and the breadcrumbs must be those of the same user.
fn says(place: &str) {
    tower_sentry::capture_message(Level::Warning, place);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn isolation_64() {
    support::subscribe();
    let relay = Relay::start();
    let client = support::client(&relay);
    let barrier = Arc::new(Barrier::new(USERS));

    #[tracing::instrument(skip_all)]
    async fn authenticate(user: &str) {
        // The official SDK loses what is set before the first await of an instrumented function.
        Scope::current().set_user(User::id(user)).set_tag("account", user);
        tokio::task::yield_now().await;
        tracing::info!(user, "authenticated");
    }
    async fn auth(request: Request, next: Next) -> Response {
        let user = request.uri().path().rsplit('/').next().unwrap().to_owned();
        authenticate(&user).await;
        says("middleware");
        next.run(request).await
    }
    let handler = move |Path(user): Path<String>| {
        let barrier = Arc::clone(&barrier);
        async move {
            Scope::current().add_breadcrumb(Breadcrumb::new(user.clone()).category("by-hand"));
            says("before");
            barrier.wait().await;
            says("after");
            let spawned = tokio::spawn(async { says("spawned") }.instrument(info_span!("job")));
            let bound = tokio::spawn(Scope::current().bind(async { says("bound") }));
            let scope = Scope::current();
            let blocking = tokio::task::spawn_blocking(move || scope.enter(|| says("blocking")));
            spawned.await.unwrap();
            bound.await.unwrap();
            blocking.await.unwrap();
            let frames = futures_util::stream::unfold(0, |at| async move {
                tokio::task::yield_now().await;
                says("body");
                (at < 1).then(|| (Ok::<_, std::io::Error>("frame"), at + 1))
            });
            Body::from_stream(frames)
        }
    };
    let app = Router::new().route("/users/{id}", get(handler)).layer(from_fn(auth)).layer(SentryLayer::new(&client));
    let server = Server::start(app).await;

    let asked: Vec<_> = (0..USERS).map(|user| format!("/users/u{user}")).collect();
    futures_util::future::join_all(asked.iter().map(|path| support::get(&server, path))).await;
    support::settle(&client).await;

    let places = ["middleware", "before", "after", "spawned", "bound", "blocking", "body", "body"];
    let events = relay.events();
    assert_eq!(events.len(), USERS * places.len());
    let mut by_trace: HashMap<String, Vec<&Value>> = HashMap::new();
    for event in &events {
        by_trace.entry(event["contexts"]["trace"]["trace_id"].as_str().unwrap().to_owned()).or_default().push(event);
    }
    assert_eq!(by_trace.len(), USERS);
    for transaction in relay.transactions() {
        let user = transaction["user"]["id"].as_str().unwrap();
        assert_eq!(transaction["tags"]["account"], user);
        let mut seen = Vec::new();
        for event in &by_trace[transaction["contexts"]["trace"]["trace_id"].as_str().unwrap()] {
            assert_eq!((&event["user"]["id"], &event["tags"]["account"]), (&user.into(), &user.into()), "{}", event["logentry"]["message"]);
            assert_eq!(event["request"]["url"], format!("http://shop.example/users/{user}"));
            for crumb in event["breadcrumbs"]["values"].as_array().unwrap() {
                let whose = if crumb["category"] == "by-hand" { &crumb["message"] } else { &crumb["data"]["user"] };
                assert_eq!(whose, user, "{crumb}");
            }
            seen.push(event["logentry"]["message"].as_str().unwrap());
        }
        seen.sort_unstable();
        let mut expected = places;
        expected.sort_unstable();
        assert_eq!(seen, expected);
    }
}

/// The events of one request to a handler, by their messages.
async fn events_of<F>(handler: impl Fn() -> F + Clone + Send + Sync + 'static) -> (HashMap<String, Value>, Value)
where
    F: Future<Output = ()> + Send,
{
    let relay = Relay::start();
    let client = support::client(&relay);
    let app = Router::new().route("/{id}", get(handler)).layer(SentryLayer::new(&client));
    support::get(&Server::start(app).await, "/7").await;
    support::settle(&client).await;
    let named = |event: Value| (event["logentry"]["message"].as_str().unwrap().to_owned(), event);
    (relay.events().into_iter().map(named).collect(), relay.transactions().remove(0))
}

#[tokio::test]
async fn what_is_set_in_a_nested_scope_stays_there() {
    let (events, transaction) = events_of(|| async {
        Scope::current().set_user(User::id(42)).set_tag("plan", "gold");
        let handle = Scope::current().with(|scope| {
            scope.set_tag("plan", "none").clear_user().set_level(Level::Fatal);
            Scope::current().set_tag("warehouse", "eu-1");
            says("inside");
            scope.with(|_| {
                Scope::current().set_tag("plan", "deep");
                says("deep");
            });
            says("inside again");
            scope.clone()
        });
        says("outside");
        tokio::spawn(handle.bind(async { says("carried away") })).await.unwrap();
        let unwound =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Scope::current().with(|_| std::panic::resume_unwind(Box::new(())))));
        assert!(unwound.is_err());
        says("after an unwinding");
    })
    .await;

    let shown = |name: &str| {
        let event = &events[name];
        (event["tags"].to_string(), event["user"]["id"].as_str().map(str::to_owned), event["level"].as_str().unwrap().to_owned())
    };
    let inside = (r#"{"plan":"none","warehouse":"eu-1"}"#.to_owned(), None, "fatal".to_owned());
    let outside = (r#"{"plan":"gold"}"#.to_owned(), Some("42".to_owned()), "warning".to_owned());
    assert_eq!(shown("inside"), inside);
    assert_eq!(shown("deep"), (r#"{"plan":"deep","warehouse":"eu-1"}"#.to_owned(), None, "fatal".to_owned()));
    assert_eq!(shown("inside again"), inside);
    assert_eq!(shown("carried away"), inside);
    assert_eq!(shown("outside"), outside);
    assert_eq!(shown("after an unwinding"), outside);
    assert_eq!(transaction["tags"], json!({"plan": "gold"}));
}

#[tokio::test]
async fn clear_forgets_what_was_set_and_nothing_else() {
    let (events, transaction) = events_of(|| async {
        let scope = Scope::current();
        scope.set_user(User::id(42)).set_tag("plan", "gold").set_context("order", json!({"id": 7})).set_extra("attempt", 2);
        scope.set_fingerprint(["one", "two"]).add_breadcrumb(Breadcrumb::new("a step"));
        scope.set_tag("gone", "soon").remove_tag("gone").set_context("gone", 1).remove_context("gone");
        scope.transaction().set_name("checkout");
        says("whole");
        scope.clear();
        says("bare");
    })
    .await;

    let whole = &events["whole"];
    assert_eq!(
        (&whole["tags"], &whole["extra"], &whole["fingerprint"]),
        (&json!({"plan": "gold"}), &json!({"attempt": 2}), &json!(["one", "two"]))
    );
    assert_eq!((&whole["contexts"]["order"], whole["contexts"].get("gone")), (&json!({"id": 7}), None));
    let bare = &events["bare"];
    for gone in ["user", "tags", "extra", "breadcrumbs"] {
        assert_eq!(bare.get(gone), None, "{gone}");
    }
    assert_eq!(bare["fingerprint"][0], "message", "the default again");
    assert_eq!((bare["contexts"].get("order"), &bare["request"]["method"]), (None, &"GET".into()));
    for named in [whole, bare, &transaction] {
        assert_eq!((&named["transaction"], &named["transaction_info"]["source"]), (&"checkout".into(), &"custom".into()));
    }
    assert_eq!(transaction["contexts"]["trace"]["data"]["http.route"], "/{id}", "the route is known all the same");
}

#[tokio::test]
async fn clear_in_a_nested_scope_keeps_the_breadcrumbs_of_the_request() {
    let (events, _) = events_of(|| async {
        Scope::current().set_tag("plan", "gold").add_breadcrumb(Breadcrumb::new("a step"));
        Scope::current().with(|scope| {
            scope.clear();
            says("inside");
        });
        says("outside");
    })
    .await;

    let steps = |name: &str| events[name]["breadcrumbs"]["values"].as_array().map_or(0, Vec::len);
    assert_eq!((steps("inside"), events["inside"].get("tags")), (1, None));
    assert_eq!((steps("outside"), &events["outside"]["tags"]), (1, &json!({"plan": "gold"})));
}

#[tokio::test]
async fn a_level_and_files_are_there_until_they_are_cleared() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let handler = || async {
        let scope = Scope::current();
        let set = || scope.set_level(Level::Fatal).add_attachment(Attachment::new("notes.txt", "a line".to_owned()));
        set();
        says("set");
        scope.set_level(None);
        says("the level is cleared");
        scope.clear_attachments();
        says("the files are cleared");
        set();
        scope.clear();
        says("all is cleared");
        set().set_level(Level::Info);
        says("set again");
    };
    let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&client));
    support::get(&Server::start(app).await, "/").await;
    support::settle(&client).await;

    let shown: HashMap<_, _> = relay
        .received()
        .iter()
        .map(|received| received.items().1)
        .filter(|items| items[0].0["type"] == "event")
        .map(|items| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&items[0].1["logentry"]["message"]), (text(&items[0].1["level"]), items.len() - 1))
        })
        .collect();
    let rows = [
        ("set", "fatal", 1),
        ("the level is cleared", "warning", 1),
        ("the files are cleared", "warning", 0),
        ("all is cleared", "warning", 0),
        ("set again", "info", 1),
    ];
    assert_eq!(shown, rows.map(|(name, level, files)| (name.to_owned(), (level.to_owned(), files))).into());
}

#[tokio::test]
async fn a_context_that_is_not_an_object_is_put_under_value() {
    let (events, _) = events_of(|| async {
        let scope = Scope::current();
        scope.set_context("number", 3).set_context("list", [1, 2]).set_context("text", "three").set_context("object", json!({"id": 7}));
        says("here");
    })
    .await;

    let contexts = &events["here"]["contexts"];
    for (name, expected) in [
        ("number", json!({"value": 3})),
        ("list", json!({"value": [1, 2]})),
        ("text", json!({"value": "three"})),
        ("object", json!({"id": 7})),
    ] {
        assert_eq!(contexts[name], expected, "{name}");
    }
}

#[tokio::test]
async fn all_that_is_set_in_a_request_shares_256_kib() {
    /// Where a value of this kind is in an event, and how to set it.
    type Kind = (&'static str, fn(&Scope, String));
    let kinds: [Kind; 5] = [
        ("/tags/kind", |scope, value| {
            scope.set_tag("kind", value);
        }),
        ("/contexts/kind", |scope, value| {
            scope.set_context("kind", json!({"value": value}));
        }),
        ("/extra/kind", |scope, value| {
            scope.set_extra("kind", value);
        }),
        ("/user/id", |scope, value| {
            scope.set_user(User::id(value));
        }),
        ("/breadcrumbs/values", |scope, value| {
            scope.add_breadcrumb(Breadcrumb::new(value));
        }),
    ];

    for first in 0..kinds.len() {
        let in_order = move || kinds.into_iter().cycle().skip(first).take(kinds.len());
        let (events, _) = events_of(move || async move {
            let scope = Scope::current();
            // Four of five fit.
            in_order().for_each(|(_, set)| set(&scope, "x".repeat(60 * 1024)));
            says("full");
            // There is room for something small.
            in_order().skip(4).for_each(|(_, set)| set(&scope, "x".repeat(1024)));
            says("small");
            scope.clear();
            in_order().skip(1).for_each(|(_, set)| set(&scope, "x".repeat(60 * 1024)));
            says("other four");
        })
        .await;

        let is_marked = |value: &Value| ["left out", "…"].iter().any(|mark| value.to_string().contains(mark));
        // Of breadcrumbs, any.
        let is_whole = |value: &Value| value.as_array().map_or_else(|| !is_marked(value), |all| all.iter().any(|one| !is_marked(one)));
        let there = |name: &str| in_order().map(|(place, _)| events[name].pointer(place).is_some_and(is_whole)).collect::<Vec<_>>();
        // A mark, or the begin of the value.
        assert!(in_order().all(|(place, _)| events["full"].pointer(place).is_some()), "{}", kinds[first].0);
        assert_eq!(there("full"), [true, true, true, true, false], "{}", kinds[first].0);
        assert_eq!(there("small"), [true; 5], "{}", kinds[first].0);
        assert_eq!(there("other four"), [false, true, true, true, true], "{}", kinds[first].0);
    }
}

#[tokio::test]
async fn a_nested_scope_reaches_other_threads_through_its_handle_and_no_other_work() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let worker = client.clone();
    let handler = move || {
        let worker = worker.clone();
        async move {
            let handle = Scope::current().with(|scope| {
                scope.set_user(User::id(42)).set_tag("part", "import");
                // A job that begins inside has its own scope.
                worker.transaction("cleaning").run(async { says("another's") }).now_or_never().unwrap();
                says("inside");
                scope.clone()
            });
            let elsewhere = std::thread::spawn(move || handle.capture_error(&std::io::Error::other("through the handle")));
            elsewhere.join().unwrap();
        }
    };
    let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&client));
    support::get(&Server::start(app).await, "/").await;
    support::settle(&client).await;

    let events = relay.events();
    assert_eq!(events.len(), 3);
    for event in events {
        let is_inside = event["logentry"]["message"] != "another's";
        let expected = is_inside.then(|| (json!({"part": "import"}), json!("42")));
        let set = event.get("tags").map(|tags| (tags.clone(), event["user"]["id"].clone()));
        assert_eq!((set, event.get("user").is_some()), (expected, is_inside), "{event}");
    }
}

#[tokio::test]
async fn errors_in_a_loop_do_not_all_wait_for_the_head_of_the_response() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let seen = relay.clone();
    let handler = move || {
        let seen = seen.clone();
        async move {
            for number in 0..50 {
                tower_sentry::capture_error(&std::io::Error::other(format!("the disk {number} is full")));
            }
            support::until("those beyond eight are sent", || seen.events().len() >= 42).await;
            seen.events().len().to_string()
        }
    };
    let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&client));

    let (_, sent_before) = support::get(&Server::start(app).await, "/").await;
    support::settle(&client).await;

    assert_eq!((sent_before.as_str(), relay.events().len()), ("42", 50), "eight wait, none is lost");
}

#[test]
fn a_panic_in_a_request_is_sent_before_the_process_can_end() {
    if support::in_child("scope::a_panic_in_a_request_is_sent_before_the_process_can_end", &[]) {
        return;
    }
    static CLIENT: std::sync::OnceLock<Client> = std::sync::OnceLock::new();
    let relay = Relay::start();
    let (counts, counted) = std::sync::mpsc::channel();
    let seen = relay.clone();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // A hook like this delivers what was captured, and could then end the process: no response will have a head.
    std::panic::set_hook(Box::new(move |_| {
        let flushed = std::thread::spawn(move || runtime().block_on(CLIENT.get().unwrap().flush(patience())));
        counts.send((flushed.join().unwrap().is_ok(), seen.events().len())).unwrap();
    }));
    let guard = Config::builder().dsn(relay.dsn()).init().unwrap();
    CLIENT.set(Client::clone(&guard)).unwrap();
    let handler = || async { assert!(std::hint::black_box(false), "a crash") };
    let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&guard));

    let request = Request::get("/").body(Body::empty()).unwrap();
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime().block_on(app.oneshot(request))));

    assert!(unwound.is_err());
    assert_eq!(counted.try_iter().collect::<Vec<_>>(), [(true, 1)]);
    assert_eq!(relay.events()[0]["request"]["method"], "GET", "the event knows its request");
}

#[tokio::test]
async fn the_event_header_has_the_id_of_the_first_error() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let handler = || async {
        let first = tower_sentry::capture_error(&std::io::Error::other("the disk is full"));
        tower_sentry::capture_error(&std::io::Error::other("the order could not be stored"));
        (StatusCode::INTERNAL_SERVER_ERROR, first.to_string())
    };
    let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&client).event_header("x-error-id"));

    let response = app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    let header = response.headers()["x-error-id"].to_str().unwrap().to_owned();
    let first = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
    support::settle(&client).await;

    assert_eq!((header.as_bytes(), relay.events().len()), (&*first, 2));
}

#[tokio::test]
async fn an_announced_id_belongs_to_one_event() {
    let (client, captured) = tower_sentry::test::client();
    let error = || std::io::Error::other("the disk is full");
    let work = async {
        let told = CaptureError::new(error()).event_id();
        (told, tower_sentry::capture_error(&error()), tower_sentry::capture_error(&error()))
    };
    let (ids, known) = std::sync::mpsc::channel();

    // A job sends errors at once: the same error twice is two events.
    client.transaction("import").run(async { ids.send(work.await).unwrap() }).await;

    let (told, first, second) = known.recv().unwrap();
    assert_eq!(told, first);
    let sent: BTreeSet<_> = captured.events().iter().map(|event| event.event_id.to_string()).collect();
    assert_eq!(sent, [first.to_string(), second.to_string()].into());
    assert_ne!(first, second);
    support::settle(&client).await;
}

#[tokio::test]
async fn an_id_announced_in_one_request_is_not_used_in_the_next() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let error = || std::io::Error::other("the disk is full");
    let told = move || async move {
        let told = CaptureError::new(error());
        let id = told.event_id().to_string();
        // The response is not a failure: no event has this id.
        (StatusCode::NOT_FOUND, told, id).into_response()
    };
    let captured = move || async move { tower_sentry::capture_error(&error()).to_string() };
    let app = Router::new().route("/told", get(told)).route("/captured", get(captured)).layer(SentryLayer::new(&client));

    // On one thread the second request uses the memory of the first again.
    let mut ids = Vec::new();
    for path in ["/told", "/captured"] {
        let response = app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        ids.push(axum::body::to_bytes(response.into_body(), 100).await.unwrap());
    }
    support::settle(&client).await;

    let sent: Vec<_> = relay.events().iter().map(|event| event["event_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(sent, [std::str::from_utf8(&ids[1]).unwrap()]);
    assert_ne!(ids[0], ids[1]);
}

/// The headers that jobs inject.
async fn injected_by_jobs(rate: f64, count: usize, continues: &HashMap<String, String>) -> Vec<HashMap<String, String>> {
    let settings = Config::builder().dsn("https://0123456789abcdef0123456789abcdef@sentry.example/42");
    let (client, _) = tower_sentry::test::client_with(settings.traces_sample_rate(rate));
    let mut injected = vec![HashMap::new(); count];
    for outgoing in &mut injected {
        let work = async { Scope::current().inject(outgoing) };
        client.transaction("job").continue_trace(continues).run(work).await;
    }
    injected
}

#[tokio::test]
async fn a_trace_that_came_in_without_baggage_goes_on_without() {
    let id = "771a43a4192642f0b136d5159a501700";
    let came_in = HashMap::from([("sentry-trace".to_owned(), format!("{id}-b0e6f15b45c36b12-1"))]);

    let (own, continued) = (injected_by_jobs(1.0, 1, &HashMap::new()).await, injected_by_jobs(1.0, 1, &came_in).await);

    assert!(own[0]["baggage"].contains("sentry-public_key="), "a trace that begins here has some: {own:?}");
    assert!(continued[0]["sentry-trace"].starts_with(id), "{continued:?}");
    assert_eq!(continued[0].get("baggage"), None, "only the service that began the trace may add some");
}

#[tokio::test]
async fn the_number_that_goes_on_is_the_one_that_decided() {
    let injected = injected_by_jobs(0.1, 400, &HashMap::new()).await;

    let mut sampled = 0;
    for outgoing in injected {
        let member = |name: &str| outgoing["baggage"].split(',').find_map(|member| member.strip_prefix(name)).unwrap().to_owned();
        let number = member("sentry-sample_rand=");
        let is_sampled = member("sentry-sampled=") == "true";
        sampled += usize::from(is_sampled);
        assert_eq!(number.parse::<f64>().unwrap() < 0.1, is_sampled, "{number}");
        assert_eq!((number.len(), outgoing["sentry-trace"].ends_with("-1")), (8, is_sampled), "{number}");
    }
    // One number of ten begins with a zero, and these are sampled: that there is none of 400 happens once in 10^18 runs.
    assert!(sampled > 0);
}

#[tokio::test]
async fn files_ride_on_events_and_are_redacted() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).max_attachment_size(1000).build().unwrap());
    let handler = || async {
        Scope::current().with(|scope| {
            scope.add_attachment(
                Attachment::new("order.json", br#"{"item":7,"api_key":"canary-1"}"#.to_vec()).content_type("application/json"),
            );
            scope.add_attachment(Attachment::new("notes.txt", "password=canary-2 and a line\nmore".to_owned()));
            scope.add_attachment(Attachment::new("picture.bin", vec![0xff, 0x00, b'\n', 0xfe]));
            scope.add_attachment(Attachment::new("huge.bin", vec![0; 1001]));
            says("with files");
        });
        says("without");
    };
    let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&client));
    support::get(&Server::start(app).await, "/").await;
    support::settle(&client).await;

    let mut with_files = 0;
    for received in relay.received() {
        let (header, items) = received.items();
        let files: Vec<_> = items.iter().filter(|(item, _)| item["type"] == "attachment").collect();
        if items[0].1["logentry"]["message"] != "with files" {
            assert!(files.is_empty());
            continue;
        }
        with_files += 1;
        assert_eq!(header["event_id"], items[0].1["event_id"]);
        let shown: Vec<_> = files.iter().map(|(item, payload)| (item["filename"].as_str().unwrap(), payload.as_str().unwrap())).collect();
        assert_eq!(shown[0], ("order.json", r#"{"api_key":"[Filtered]","item":7}"#));
        assert_eq!(shown[1], ("notes.txt", "password=[Filtered] and a line\nmore"));
        assert_eq!((shown[2].0, shown.len()), ("picture.bin", 3));
        assert_eq!(files[0].0["content_type"], "application/json");
    }
    assert_eq!(with_files, 1);
    let stats = client.stats();
    assert_eq!((stats.attachment_bytes.sent, stats.attachment_bytes.dropped_total()), (31 + 33 + 4, 1001));
    assert!(relay.reported().contains(&("buffer_overflow".to_owned(), "attachment".to_owned(), 1001)));
}

#[tokio::test]
async fn what_a_user_says_is_linked_to_the_event() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let handler = || async {
        let told = tower_sentry::capture_error(&std::io::Error::other("the cart is gone"));
        let long = "ä".repeat(5000);
        Scope::current().capture_feedback(Feedback::new(long).event_id(told).name("Jane").email("jane@example.com"));
    };
    let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&client));
    support::get(&Server::start(app).await, "/").await;
    support::settle(&client).await;

    let (event, said) = (&relay.events()[0], &relay.payloads("feedback")[0]);
    let feedback = &said["contexts"]["feedback"];
    assert_eq!((&feedback["associated_event_id"], &feedback["contact_email"]), (&event["event_id"], &"jane@example.com".into()));
    assert_eq!(feedback["message"].as_str().unwrap().chars().count(), 4096, "servers drop a longer one");
    assert_eq!(said["contexts"]["trace"]["trace_id"], event["contexts"]["trace"]["trace_id"]);
    assert_eq!((client.stats().feedback.sent, &said["type"]), (1, &"feedback".into()));
}

#[tokio::test]
async fn the_current_client_is_that_of_the_request_and_else_that_of_init() {
    if support::in_child("scope::the_current_client_is_that_of_the_request_and_else_that_of_init", &[]) {
        return;
    }
    let (inside, captured) = tower_sentry::test::client();
    let message = |text: &'static str| async move { _ = tower_sentry::capture_message(Level::Error, text) };
    assert!(!Client::current().is_enabled(), "nothing was started by `init`");

    let work = async { Client::current() };
    let current = inside.transaction("outer").run_infallible(work).await;
    current.transaction("later").run_infallible(message("first")).await;
    assert_eq!(captured.events().len(), 1);

    let relay = Relay::start();
    let guard = support::config(&relay).init().unwrap();
    // As in a library that gets no client.
    let layer = SentryLayer::new(Client::current());
    let app = Router::new().route("/", get(move || message("second"))).layer(layer);
    app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    guard.shutdown(patience()).await.unwrap();

    let events: Vec<_> = relay.events().into_iter().map(|event| event["logentry"]["message"].clone()).collect();
    assert_eq!((events, captured.events().len()), (vec![serde_json::json!("second")], 1));
}

#[tokio::test]
async fn a_file_of_feedback_is_redacted_and_counted_like_one_of_an_event() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).queue_bytes(50_000).build().unwrap());
    let say = async |feedback: Feedback| {
        client.transaction("page").run_infallible(async { Scope::current().capture_feedback(feedback) }).await;
        client.flush(patience()).await.unwrap();
    };
    let log = b"token=sk_live_4eC39HqLyjWDarjtT1zdp7dc";

    say(Feedback::new("look").attachment(Attachment::new("log.txt", *log))).await;
    say((0..12).fold(Feedback::new("many"), |said, _| said.attachment(Attachment::new("a", *b"12345")))).await;
    say(Feedback::new("large").attachment(Attachment::new("a", vec![0x80; 60_000]))).await;
    support::settle(&client).await;

    let files = relay.payloads("attachment");
    assert_eq!(files.len(), 11);
    assert!(files.iter().any(|file| file == "token=[Filtered]"), "{files:?}");
    assert_eq!(relay.payloads("feedback").len(), 3, "what has no room for its file is sent without it");
    let bytes = client.stats().attachment_bytes;
    assert_eq!((bytes.sent, bytes.dropped_total()), (log.len() as u64 + 50, 10 + 60_000));
}
