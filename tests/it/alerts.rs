//! Alert rules: when they fire, what their hooks see, and that no server is needed.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::StatusCode;
use axum::routing::{get, post};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use tower_sentry::alert::{Alert, AlertRule};
use tower_sentry::incoming::RouteOptions;
use tower_sentry::protocol::{Event, Exception};
use tower_sentry::test::{HandClock, client_with};
use tower_sentry::{Client, Config, ConfigBuilder, Level, Scope, SentryLayer};

use crate::support::{self, patience, said_in_child};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// What hooks have seen: the name of the rule in the test, and the alert.
#[derive(Clone, Default)]
struct Pager(Arc<Mutex<Vec<(&'static str, Alert)>>>);

impl Pager {
    fn hook(&self, name: &'static str) -> impl Fn(Alert) + Send + Sync + 'static {
        let calls = Arc::clone(&self.0);
        move |alert| calls.lock().unwrap().push((name, alert))
    }

    /// What was seen once everything is delivered.
    async fn calls(&self, client: &Client) -> Vec<(&'static str, Alert)> {
        client.flush(patience()).await.unwrap();
        self.0.lock().unwrap().clone()
    }

    async fn names(&self, client: &Client) -> Vec<&'static str> {
        self.calls(client).await.into_iter().map(|(name, _)| name).collect()
    }
}

/// A service whose requests take as long as the test says, by the hand clock.
struct Shop<'a> {
    router: Router,
    clock: &'a HandClock,
}

impl<'a> Shop<'a> {
    fn new(client: &Client, clock: &'a HandClock) -> Self {
        let pay = || async {
            Scope::current().set_tag("domain", "payment");
            tower_sentry::capture_message(Level::Error, "the card was refused");
            StatusCode::BAD_GATEWAY
        };
        let router = Router::new()
            .route("/", get(|| async { "page" }))
            .route("/slow", get(|| async { "page" }))
            .route("/fail", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
            .route("/pay", post(pay))
            .layer(SentryLayer::new(client));
        Self { router, clock }
    }

    async fn call(&self, method: &str, path: &str, takes: Duration) {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        self.clock.advance(takes);
        // A request with a body ends with it.
        response.into_body().collect().await.unwrap();
    }
}

fn seconds(from: SystemTime, to: SystemTime) -> u64 {
    to.duration_since(from).unwrap().as_secs()
}

/// The four rules of a service as its document has them, over two simulated hours.
#[tokio::test]
async fn amply_rules() {
    let pager = Pager::default();
    let (client, captured) = client_with(
        Config::builder()
            .environment("production")
            .traces_sample_rate(0.0)
            .keep_failed(false)
            .max_events_per_issue(3)
            .on_alert(AlertRule::new_issue(), pager.hook("first occurrence"))
            .on_alert(AlertRule::errors_above(100), pager.hook("high volume"))
            .on_alert(AlertRule::each_error().environment("production").tag("domain", "payment"), pager.hook("critical"))
            .on_alert(AlertRule::each_error().environment("staging").tag("domain", "payment"), pager.hook("of another environment"))
            .on_alert(AlertRule::percentile_above(0.95, Duration::from_secs(2)), pager.hook("slow")),
    );
    let clock = HandClock::start();
    let shop = Shop::new(&client, &clock);
    let second = Duration::from_secs(1);

    // 99 failures in 99 minutes: never more than 100 an hour.
    for _ in 0..99 {
        shop.call("GET", "/fail", Duration::ZERO).await;
        clock.advance(MINUTE);
    }
    let calls = pager.calls(&client).await;
    let (name, first) = &calls[0];
    assert_eq!((calls.len(), *name), (1, "first occurrence"));
    let started = first.at;
    for _ in 0..60 {
        shop.call("GET", "/fail", Duration::ZERO).await;
        clock.advance(second);
    }
    let calls = pager.calls(&client).await;
    let (name, volume) = calls.last().unwrap();
    assert_eq!((calls.len(), *name), (2, "high volume"));
    // 41 seconds after the 99th minute, 59 of the old ones are less than an hour old: those from the 40th
    // minute on. The 42nd of the new ones is the 101st of the hour.
    assert_eq!(seconds(started, volume.at), 99 * 60 + 41);
    assert_eq!(
        volume.to_string(),
        "[production] more than 100 errors in 1h: there were 101; the last one is GET /fail answered 500, in GET /fail"
    );
    // The limit of events per issue has left most of them out, and the rule has seen them all.
    let sent = captured.events().len();
    assert!(sent < 120, "{sent}");

    shop.call("POST", "/pay", second).await;
    let calls = pager.calls(&client).await;
    assert_eq!(calls.iter().skip(2).map(|(name, _)| *name).collect::<Vec<_>>(), ["first occurrence", "critical"]);
    let (_, critical) = &calls[3];
    assert_eq!(
        (critical.level, critical.transaction.as_str(), critical.environment.as_str()),
        (Some(Level::Error), "POST /pay", "production")
    );
    assert_eq!(critical.title.as_deref(), Some("the card was refused"));
    assert_eq!(critical.event_id, captured.events().last().map(|event| event.event_id));

    // Five minutes later the window of durations holds only what follows. 95 requests of just two seconds
    // and 5 slow ones are well, and one more slow one is too much.
    clock.advance(5 * MINUTE);
    for _ in 0..95 {
        shop.call("GET", "/", 2 * second).await;
    }
    for _ in 0..5 {
        shop.call("GET", "/slow", Duration::from_millis(2200)).await;
    }
    assert_eq!(pager.calls(&client).await.len(), 4);
    shop.call("GET", "/slow", 3 * second).await;
    let calls = pager.calls(&client).await;
    let (name, slow) = calls.last().unwrap();
    assert_eq!((calls.len(), *name), (5, "slow"));
    assert_eq!(seconds(started, slow.at), 99 * 60 + 60 + 1 + 5 * 60 + 95 * 2 + 11 + 3);
    assert_eq!(slow.to_string(), "[production] P95 above 2s in 5m: 6 of 101 requests took longer, in GET /slow");
    assert_eq!((slow.title.clone(), slow.event_id), (None, None));

    // Nothing of this repeats itself.
    for _ in 0..20 {
        shop.call("POST", "/pay", 3 * second).await;
        shop.call("GET", "/fail", 3 * second).await;
    }
    assert_eq!(pager.calls(&client).await.len(), 5);
}

/// Client, pager and clock with one rule.
fn with_rule(rule: AlertRule) -> (Client, Pager, HandClock) {
    let pager = Pager::default();
    let (client, _) = client_with(Config::builder().on_alert(rule, pager.hook("it")));
    (client, pager, HandClock::start())
}

fn fail(client: &Client, text: &str) -> impl Future<Output = ()> {
    let text = text.to_owned();
    client.transaction("import").run_infallible(async move { _ = tower_sentry::capture_message(Level::Error, text) })
}

#[tokio::test]
async fn a_count_fires_again_only_after_it_was_low_and_the_pause_is_over() {
    let (client, pager, clock) = with_rule(AlertRule::errors_above(2).within(MINUTE).again_after(10 * MINUTE));
    let mut fired = Vec::new();

    for minute in 0..30_u32 {
        // High in the minutes 0 to 3, in 5, and from 20 on.
        let errors = if minute < 4 || minute == 5 || minute >= 20 { 3 } else { 1 };
        for _ in 0..errors {
            fail(&client, "again").await;
        }
        clock.advance(MINUTE);
        fired.push(pager.calls(&client).await.len());
    }

    let at = |count: usize| fired.iter().position(|fired| *fired == count);
    assert_eq!((at(1), at(2), *fired.last().unwrap()), (Some(0), Some(20), 2), "{fired:?}");
}

#[tokio::test]
async fn a_condition_that_is_still_true_after_the_pause_was_said_once() {
    let (client, pager, clock) = with_rule(AlertRule::errors_above(0).within(MINUTE).again_after(MINUTE));

    for _ in 0..100 {
        fail(&client, "again").await;
        clock.advance(Duration::from_secs(30));
    }

    assert_eq!(pager.calls(&client).await.len(), 1);
}

/// Between two errors the window may have been empty, although no error said so.
#[tokio::test]
async fn a_condition_fires_again_after_a_silence() {
    let (client, pager, clock) = with_rule(AlertRule::errors_above(0).within(MINUTE).again_after(MINUTE));
    for _ in 0..3 {
        fail(&client, "again").await;
        clock.advance(HOUR);
    }
    assert_eq!(pager.calls(&client).await.len(), 3);

    let rule = AlertRule::percentile_above(0.5, 10 * MINUTE).within(HOUR).route("nightly").again_after(MINUTE);
    for at_least in [0, 1, 2] {
        let (client, pager, clock) = with_rule(rule.clone().at_least(at_least));
        for _ in 0..3 {
            client.transaction("nightly").run_infallible(async { clock.advance(20 * MINUTE) }).await;
            clock.advance(24 * HOUR);
        }
        assert_eq!(pager.calls(&client).await.len(), if at_least < 2 { 3 } else { 0 }, "at least {at_least}");
    }
}

#[tokio::test]
async fn each_issue_has_its_own_pause_and_is_new_once() {
    let pager = Pager::default();
    let (client, _) = client_with(
        Config::builder()
            .on_alert(AlertRule::each_error().again_after(10 * MINUTE), pager.hook("each"))
            .on_alert(AlertRule::new_issue(), pager.hook("new")),
    );
    let clock = HandClock::start();
    let fail = |issue: &'static str| {
        client.transaction("import").run_infallible(async move {
            Scope::current().set_fingerprint([issue]);
            tower_sentry::capture_message(Level::Error, "failed");
        })
    };

    for _ in 0..12 {
        fail("first").await;
        clock.advance(MINUTE);
    }
    fail("second").await;

    assert_eq!(pager.names(&client).await, ["each", "new", "each", "each", "new"]);
}

#[tokio::test]
async fn rules_see_level_tags_and_route_as_the_event_has_them() {
    let pager = Pager::default();
    let rule = AlertRule::each_error().again_after(Duration::ZERO);
    let (client, _) = client_with(
        Config::builder()
            .tag("region", "eu")
            .on_alert(rule.clone().level(Level::Warning), pager.hook("warnings"))
            .on_alert(rule.clone().level(Level::Fatal), pager.hook("fatal"))
            .on_alert(rule.clone().tag("region", "eu"), pager.hook("of the client"))
            .on_alert(rule.clone().tag("region", "us"), pager.hook("of the scope"))
            .on_alert(rule.clone().tag("tenant", "a").tag("tier", "gold"), pager.hook("two tags"))
            .on_alert(rule.clone().route("billing"), pager.hook("billing")),
    );
    let run = async |name: &'static str, work: &dyn Fn()| {
        client.transaction(name).run_infallible(async { work() }).await;
        let names = pager.names(&client).await;
        pager.0.lock().unwrap().clear();
        names
    };
    let message = |level: Level| move || _ = tower_sentry::capture_message(level, "noted");

    assert_eq!(run("import", &message(Level::Info)).await, Vec::<&str>::new());
    assert_eq!(run("import", &message(Level::Warning)).await, ["warnings"]);
    assert_eq!(run("import", &message(Level::Fatal)).await, ["warnings", "fatal", "of the client"]);
    assert_eq!(run("billing", &message(Level::Error)).await, ["warnings", "of the client", "billing"]);
    let tagged = || {
        Scope::current().set_tag("region", "us").set_tag("tenant", "a").set_tag("tier", "gold").set_level(Level::Error);
        tower_sentry::capture_message(Level::Info, "noted");
    };
    assert_eq!(run("import", &tagged).await, ["warnings", "of the scope", "two tags"]);
    let nested = || {
        Scope::current().with(|scope| {
            scope.set_tag("tenant", "a").set_tag("tier", "gold");
            tower_sentry::capture_message(Level::Error, "noted")
        });
    };
    assert_eq!(run("import", &nested).await, ["warnings", "of the client", "two tags"]);
}

#[tokio::test]
async fn what_is_ignored_or_merged_is_no_error_of_a_rule() {
    #[derive(Debug)]
    struct Refused;
    impl std::fmt::Display for Refused {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("refused")
        }
    }
    impl std::error::Error for Refused {}
    support::subscribe();
    let pager = Pager::default();
    let rule = AlertRule::each_error().again_after(Duration::ZERO);
    let (client, _) = client_with(Config::builder().ignore_error_messages(["known trouble"]).on_alert(rule, pager.hook("it")));

    fail(&client, "a known trouble").await;
    let twice = async {
        tracing::error!(error = &Refused as &dyn std::error::Error, "it failed");
        tower_sentry::capture_error(&Refused);
    };
    client.transaction("import").run_infallible(twice).await;

    let calls = pager.calls(&client).await;
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert!(calls[0].1.title.as_ref().unwrap().ends_with("Refused: refused"), "{calls:?}");
}

#[tokio::test]
async fn the_apdex_counts_requests_and_no_jobs() {
    let pager = Pager::default();
    let rule = AlertRule::apdex_below(0.8, Duration::from_millis(100)).at_least(10);
    let (client, _) = client_with(
        Config::builder()
            .on_alert(rule.clone(), pager.hook("requests"))
            .on_alert(rule.clone().route("report").at_least(1), pager.hook("the job"))
            .on_alert(rule.route("GET /slow").at_least(1), pager.hook("the route")),
    );
    let clock = HandClock::start();
    let shop = Shop::new(&client, &clock);
    let millis = Duration::from_millis;

    for _ in 0..100 {
        client.transaction("import").run_infallible(async { clock.advance(HOUR) }).await;
    }
    // One slow request among fewer than ten is no slow service.
    shop.call("GET", "/", millis(401)).await;
    for _ in 0..7 {
        shop.call("GET", "/", millis(100)).await;
    }
    shop.call("GET", "/", millis(400)).await;
    assert_eq!(pager.names(&client).await, Vec::<&str>::new());
    // Seven of ten, two halves and nothing: 0.8, which is not below.
    shop.call("GET", "/", millis(400)).await;
    assert_eq!(pager.names(&client).await, Vec::<&str>::new());
    shop.call("GET", "/slow", millis(101)).await;
    client.transaction("report").run_infallible(async { clock.advance(HOUR) }).await;

    let calls = pager.calls(&client).await;
    let texts: Vec<_> = calls.iter().map(|(name, alert)| (*name, alert.found.as_str())).collect();
    let expected =
        [("requests", "it is 0.77 for 11 requests"), ("the route", "it is 0.50 for 1 request"), ("the job", "it is 0.00 for 1 request")];
    assert_eq!(texts, expected);
}

#[tokio::test]
async fn what_a_hook_sees_has_passed_the_redaction() {
    let (client, pager, _clock) = with_rule(AlertRule::new_issue());
    let secret = "sk_live_51H8xYzAbCdEfGhIjKlMnOpQr";

    let work = async {
        Scope::current().set_transaction_name(format!("job {secret}"));
        tower_sentry::capture_message(Level::Error, format!("the key {secret} was refused: {}", "x".repeat(1000)));
    };
    client.transaction("import").run_infallible(work).await;

    let calls = pager.calls(&client).await;
    let text = format!("{:?} {}", calls[0].1, calls[0].1);
    assert!(text.contains("was refused") && !text.contains("sk_live") && text.len() < 2000, "{text}");
}

#[tokio::test]
async fn of_a_sensitive_route_a_hook_sees_the_type_and_the_route() {
    let (client, pager, _clock) = with_rule(AlertRule::new_issue());
    let failing = |Path(name): Path<String>| async move {
        Scope::current().set_transaction_name(format!("file of {name}"));
        match name.as_str() {
            "message" => _ = tower_sentry::capture_message(Level::Error, "canary is ill"),
            "given" => {
                let mut error = Exception::default();
                (error.kind, error.value) = (Some("canary type".to_owned()), Some("canary is ill".to_owned()));
                let mut event = Event::new(Level::Error);
                event.exception.values.push(error);
                _ = tower_sentry::capture_event(event);
            }
            _ => _ = tower_sentry::capture_error(&std::io::Error::other("canary is ill")),
        }
    };
    let layer = SentryLayer::new(&client).route("/patients/{name}", RouteOptions::new().sensitive());
    let app = Router::new().route("/patients/{name}", get(failing)).layer(layer);
    for name in ["canary", "message", "given"] {
        drop(app.clone().oneshot(Request::get(format!("/patients/{name}")).body(Body::empty()).unwrap()).await.unwrap());
    }
    let alerts: Vec<_> = pager.calls(&client).await.into_iter().map(|(_, alert)| alert).collect();

    let titles: Vec<_> = alerts.iter().map(|alert| alert.title.as_deref().unwrap()).collect();
    let withheld = "the contents are withheld: the route is sensitive";
    assert_eq!(titles, ["io::Error", withheld, withheld]);
    assert!(alerts.iter().all(|alert| alert.transaction == "GET /patients/{name}"), "{alerts:?}");
    assert!(!format!("{alerts:?}").contains("canary"), "{alerts:?}");
}

#[tokio::test]
async fn a_hook_that_panics_stops_nothing() {
    let Some(said) = said_in_child("alerts::a_hook_that_panics_stops_nothing", &[]) else {
        let pager = Pager::default();
        let (client, captured) = client_with(
            Config::builder()
                .on_alert(AlertRule::new_issue(), |_| panic!("the chat is away"))
                .on_alert(AlertRule::new_issue(), pager.hook("it")),
        );
        fail(&client, "first").await;
        assert_eq!(pager.names(&client).await, ["it"]);
        assert_eq!(captured.events().len(), 1);
        return;
    };
    assert!(said.contains("the `on_alert` hook for 'new issue' panicked"), "{said}");
}

#[tokio::test]
async fn alerts_beyond_a_hundred_that_wait_are_counted_in_a_warning() {
    let Some(said) = said_in_child("alerts::alerts_beyond_a_hundred_that_wait_are_counted_in_a_warning", &[]) else {
        let pager = Pager::default();
        let (entered, wait) = std::sync::mpsc::channel();
        let (go_on, held) = std::sync::mpsc::channel::<()>();
        let (hook, held, first) = (pager.hook("it"), Mutex::new(held), Mutex::new(true));
        let (client, _) = client_with(Config::builder().max_events_per_issue(u32::MAX).on_alert(
            AlertRule::each_error().again_after(Duration::ZERO),
            move |alert| {
                if std::mem::take(&mut *first.lock().unwrap()) {
                    entered.send(()).unwrap();
                    held.lock().unwrap().recv().unwrap();
                }
                hook(alert);
            },
        ));

        fail(&client, "0").await;
        wait.recv().unwrap();
        for number in 1..=130 {
            fail(&client, &number.to_string()).await;
        }
        go_on.send(()).unwrap();

        assert_eq!(pager.calls(&client).await.len(), 101);
        return;
    };
    assert!(said.contains("30 alerts have reached no hook: more than 100 were waiting"), "{said}");
}

/// A rule alone switches recording on, and the last alert arrives before the process ends.
#[tokio::test]
async fn no_dsn_is_needed() {
    let pager = Pager::default();
    let config = |builder: ConfigBuilder| builder.panic_hook(false).build().unwrap();
    let client = Client::from(config(Config::builder().on_alert(AlertRule::new_issue(), pager.hook("it"))));

    assert!(client.is_enabled() && !Client::from(config(Config::builder())).is_enabled());
    fail(&client, "first").await;
    client.shutdown(patience()).await.unwrap();

    assert_eq!(pager.names(&client).await, ["it"]);
}

#[test]
fn an_invalid_rule_is_an_error() {
    let rule = AlertRule::percentile_above(95.0, Duration::from_secs(2));

    let error = Config::builder().dsn("https://key@sentry.example/1").on_alert(rule, |_| {}).build().unwrap_err();

    assert_eq!(error.to_string(), "on_alert: expected a percentile above 0.0 and below 1.0, found '95'");
}
