//! Settings: the environment, its precedence and its faults; off; the start line.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use tower::ServiceExt as _;
use tower_http::map_response_body::MapResponseBodyLayer;
use tower_sentry::redaction::Redaction;
use tower_sentry::{Client, Config, ConfigBuilder, Scope, SentryLayer, TracingLayer};
use tracing_subscriber::prelude::*;

use crate::support::{self, Relay, in_child};

const DSN: (&str, &str) = ("SENTRY_DSN", "https://0123456789abcdef0123456789abcdef@sentry.example/1");

/// The value of a row that `Display` prints, with its source.
fn row(config: &Config, name: &str) -> String {
    let text = config.to_string();
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap_or_else(|| panic!("no row {name} in\n{text}"));
    line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

#[test]
fn env_table() {
    let rows: &[(&[(&str, &str)], &str, &str)] = &[
        (&[], "recording", "off"),
        (&[("SENTRY_DSN", "")], "recording", "off"),
        (&[("SENTRY_DSN", "  ")], "recording", "off"),
        (&[DSN], "recording", "on"),
        (&[DSN], "dsn", "https://***@sentry.example/1 SENTRY_DSN"),
        (&[DSN], "environment", "production default"),
        (&[DSN, ("ENVIRONMENT", "staging")], "environment", "staging ENVIRONMENT"),
        (&[DSN, ("ENVIRONMENT", "staging"), ("SENTRY_ENVIRONMENT", "dev")], "environment", "dev SENTRY_ENVIRONMENT"),
        (&[DSN, ("GIT_COMMIT", "12e0413")], "release", "12e0413 GIT_COMMIT"),
        (&[DSN, ("GIT_COMMIT", "12e0413"), ("SENTRY_RELEASE", "shop@1.4.0")], "release", "shop@1.4.0 SENTRY_RELEASE"),
        (&[DSN, ("GIT_COMMIT", "unknown")], "release", "none default"),
        (&[DSN], "traces_sample_rate", "0.1 default"),
        (&[DSN, ("SENTRY_TRACES_SAMPLE_RATE", "1.0")], "traces_sample_rate", "1 SENTRY_TRACES_SAMPLE_RATE"),
        (&[DSN, ("SENTRY_TRACES_SAMPLE_RATE", "")], "traces_sample_rate", "0.1 default"),
        (
            &[DSN, ("SENTRY_ROUTES", r#"{"/a": {"ignore": true}, "GET /a": {}, "/b": {"sample_rate": 1}}"#)],
            "routes",
            "3 in a table SENTRY_ROUTES",
        ),
        (&[DSN, ("SENTRY_ROUTES", " ")], "routes", "none default"),
        (&[DSN, ("SENTRY_SEND_DEFAULT_PII", "yes")], "send_default_pii", "on SENTRY_SEND_DEFAULT_PII"),
        (&[DSN, ("SENTRY_DEBUG", "OFF")], "debug", "off SENTRY_DEBUG"),
        (&[("SENTRY_SPOTLIGHT", "1")], "spotlight", "http://localhost:8969/stream SENTRY_SPOTLIGHT"),
        (&[("SENTRY_SPOTLIGHT", "1")], "recording", "on"),
        (&[("SENTRY_SPOTLIGHT", "http://127.0.0.1:9999/x")], "spotlight", "http://127.0.0.1:9999/x SENTRY_SPOTLIGHT"),
        (&[("SENTRY_SPOTLIGHT", "0")], "spotlight", "none SENTRY_SPOTLIGHT"),
    ];
    for (variables, name, expected) in rows {
        let config = Config::builder().from_vars(variables.to_vec()).build().unwrap_or_else(|error| panic!("{variables:?}: {error}"));
        assert_eq!(row(&config, name), *expected, "{variables:?}");
    }

    let errors: &[(&[(&str, &str)], &str)] = &[
        (&[DSN, ("SENTRY_TRACES_SAMPLE_RATE", "2.0")], "SENTRY_TRACES_SAMPLE_RATE: expected a number from 0.0 to 1.0, found '2'"),
        (&[DSN, ("SENTRY_TRACES_SAMPLE_RATE", "abc")], "SENTRY_TRACES_SAMPLE_RATE: expected a number from 0.0 to 1.0, found 'abc'"),
        (&[DSN, ("SENTRY_TRACES_SAMPLE_RATE", "NaN")], "SENTRY_TRACES_SAMPLE_RATE: expected a number from 0.0 to 1.0, found 'NaN'"),
        (&[DSN, ("SENTRY_PROFILES_SAMPLE_RATE", "-1")], "SENTRY_PROFILES_SAMPLE_RATE: expected a number from 0.0 to 1.0, found '-1'"),
        (
            &[DSN, ("SENTRY_PROFILE_SESSION_SAMPLE_RATE", "x")],
            "SENTRY_PROFILE_SESSION_SAMPLE_RATE: expected a number from 0.0 to 1.0, found 'x'",
        ),
        (&[DSN, ("SENTRY_ROUTES", r#"{"search": {}}"#)], "SENTRY_ROUTES: route 'search': expected a template that begins with '/'"),
        (&[DSN, ("SENTRY_DEBUG", "perhaps")], "SENTRY_DEBUG: expected one of true, yes, on, 1 or false, no, off, 0, found 'perhaps'"),
        (&[DSN, ("SENTRY_SPOTLIGHT", "ftp://x")], "SENTRY_SPOTLIGHT: expected 1, 0 or a URL, found 'ftp://x'"),
        (&[DSN, ("SENTRY_SPOTLIGHT", "http://me:pw@x/")], "SENTRY_SPOTLIGHT: expected a URL without a user"),
        (
            &[DSN, ("SENTRY_RELEASE", "a/b")],
            "SENTRY_RELEASE: expected at most 200 characters without a slash, but it holds a slash or a control character",
        ),
        (
            &[DSN, ("SENTRY_ENVIRONMENT", "none")],
            "SENTRY_ENVIRONMENT: expected at most 64 characters without a slash, but it is a reserved word",
        ),
        (
            &[("SENTRY_DSN", "https://sentry.example/1")],
            "SENTRY_DSN: expected a public key before the host, as in https://<public key>@<host>/<project id>",
        ),
        (&[("SENTRY_DSN", "not a dsn")], "SENTRY_DSN: expected a URL such as https://<public key>@<host>/<project id>"),
    ];
    for (variables, expected) in errors {
        let error = Config::builder().from_vars(variables.to_vec()).build().unwrap_err();
        assert_eq!(error.to_string(), *expected);
    }

    // A service that did not ask for monitoring is not stopped by it.
    let off = Config::builder().from_vars([("SENTRY_TRACES_SAMPLE_RATE", "abc"), ("ENVIRONMENT", "a/b")]).build().unwrap();
    assert_eq!(off.warnings().len(), 2, "{:?}", off.warnings());

    let typo = Config::builder().from_vars([DSN, ("SENTRY_TRACE_SAMPLE_RATE", "1.0"), ("SENTRY_AUTH_TOKEN", "x")]).build().unwrap();
    assert_eq!(typo.warnings(), ["SENTRY_TRACE_SAMPLE_RATE is not read; did you mean SENTRY_TRACES_SAMPLE_RATE?"]);
    assert_eq!(row(&typo, "traces_sample_rate"), "0.1 default", "nothing is guessed");

    let ineffective = Config::builder()
        .from_vars([
            DSN,
            ("SENTRY_PROFILES_SAMPLE_RATE", "0.5"),
            ("SENTRY_PROFILE_SESSION_SAMPLE_RATE", "0"),
            ("SENTRY_SPOOL_DIR", "/tmp/x"),
        ])
        .build()
        .unwrap();
    let expected: &[&str] = if cfg!(profiles) {
        &[]
    } else {
        &["SENTRY_PROFILES_SAMPLE_RATE has no effect: tower-sentry was built without its feature `profiling`"]
    };
    assert_eq!(ineffective.warnings(), expected);
    assert_eq!(row(&ineffective, "spool_dir"), "/tmp/x SENTRY_SPOOL_DIR");

    let no_folder = Config::builder().from_vars([DSN, ("SENTRY_SPOOL_DIR", file!())]).build().unwrap_err().to_string();
    assert_eq!(no_folder, format!("SENTRY_SPOOL_DIR: expected a folder, found something else at '{}'", file!()));
}

#[test]
fn odd_values_of_variables_that_others_read_too_stop_nothing() {
    let limits = |row: &str| {
        let longest = if row == "environment" { 64 } else { 200 };
        format!("expected at most {longest} characters without a slash, but")
    };
    let long = "b".repeat(201);
    let rows: [(&str, &str, &str, &str, &str); 8] = [
        (
            "ENVIRONMENT",
            "eu/staging",
            "environment",
            "eu-staging ENVIRONMENT",
            "it holds a slash or a control character; 'eu-staging' is used",
        ),
        ("ENVIRONMENT", "a\\b\tc", "environment", "a-b-c ENVIRONMENT", "it holds a slash or a control character; 'a-b-c' is used"),
        ("ENVIRONMENT", &long[..65], "environment", &format!("{} ENVIRONMENT", &long[..64]), "it is too long; '"),
        ("ENVIRONMENT", "None", "environment", "production default", "it is a reserved word; it is not used"),
        (
            "GIT_COMMIT",
            "refs/heads/main",
            "release",
            "refs-heads-main GIT_COMMIT",
            "it holds a slash or a control character; 'refs-heads-main' is used",
        ),
        ("GIT_COMMIT", &long, "release", &format!("{} GIT_COMMIT", &long[..200]), "it is too long; '"),
        ("GIT_COMMIT", "..", "release", "none default", "it is a reserved word; it is not used"),
        ("GIT_COMMIT", "12e0413", "release", "12e0413 GIT_COMMIT", ""),
    ];
    for (variable, value, name, expected, warning) in rows {
        let config = Config::builder().from_vars([DSN, (variable, value)]).build().unwrap();

        assert_eq!(row(&config, name), expected, "{variable}={value}");
        let warnings = config.warnings().join("\n");
        assert_eq!(warnings.is_empty(), warning.is_empty(), "{warnings}");
        assert!(warning.is_empty() || warnings.contains(&format!("{variable}: {} {warning}", limits(name))), "{warnings}");
    }

    let explicit = Config::builder().from_vars([DSN, ("ENVIRONMENT", "eu/staging")]).environment("qa").build().unwrap();
    assert_eq!(row(&explicit, "environment"), "qa builder");
    assert!(explicit.warnings().is_empty(), "a value of others that is not used needs no warning");
}

#[test]
fn values_beyond_a_limit_are_errors_and_not_shortened() {
    let rows: Vec<(ConfigBuilder, &str)> = vec![
        (Config::builder().max_spans(1001), "max_spans: expected at most 1000, found 1001"),
        (Config::builder().redaction(Redaction::default().token_length(15)), "redaction: expected a token_length of at least 16, found 15"),
        (
            Config::builder().failed_status_codes(50..=599),
            "failed_status_codes: expected status codes from 100 to 999 in ascending order, found 50",
        ),
        (
            Config::builder().failed_status_codes([429, 5000]),
            "failed_status_codes: expected status codes from 100 to 999 in ascending order, found 5000",
        ),
        (Config::builder().traces_sample_rate(1.1), "traces_sample_rate: expected a number from 0.0 to 1.0, found '1.1'"),
        (Config::builder().parent_budget(-1.0), "parent_budget: expected a number of 0 or more, found '-1'"),
        (Config::builder().keep_failed_budget(f64::NAN), "keep_failed_budget: expected a number of 0 or more, found 'NaN'"),
        (Config::builder().failure_budget(f64::NEG_INFINITY), "failure_budget: expected a number of 0 or more, found '-inf'"),
    ];
    for (builder, expected) in rows {
        assert_eq!(builder.build().unwrap_err().to_string(), expected);
    }

    let at_the_limit = Config::builder().max_spans(1000).redaction(Redaction::default().token_length(16)).failed_status_codes(100..=999);
    assert!(at_the_limit.build().is_ok());
}

#[test]
fn explicit_calls_win_whatever_the_order() {
    let variables = [DSN, ("SENTRY_ENVIRONMENT", "dev"), ("SENTRY_TRACES_SAMPLE_RATE", "abc")];
    let valid = [DSN, ("SENTRY_ENVIRONMENT", "dev"), ("SENTRY_TRACES_SAMPLE_RATE", "0.2")];

    let before = Config::builder().environment("qa").traces_sample_rate(0.7).from_vars(valid).build().unwrap();
    let after = Config::builder().from_vars(valid).environment("qa").traces_sample_rate(0.7).build().unwrap();
    let faulty = Config::builder().from_vars(variables).traces_sample_rate(0.7).build();

    for config in [before, after] {
        assert_eq!(row(&config, "environment"), "qa builder");
        assert_eq!(row(&config, "traces_sample_rate"), "0.7 builder");
    }
    assert!(faulty.is_err_and(|error| error.is_setting()), "a value that cannot be used is told even where it is not needed");
}

#[test]
fn from_env_reads_the_process() {
    if in_child(
        "config::from_env_reads_the_process",
        &[DSN, ("SENTRY_WORKER_DSN", "https://k@worker.example/2"), ("GIT_COMMIT", "unknown")],
    ) {
        return;
    }

    let server = Config::from_env().unwrap();
    let worker = Config::worker_from_env().unwrap();

    assert_eq!(row(&server, "dsn"), "https://***@sentry.example/1 SENTRY_DSN");
    assert_eq!(row(&worker, "dsn"), "https://***@worker.example/2 SENTRY_WORKER_DSN");
}

#[test]
fn no_form_of_a_configuration_shows_the_key() {
    let config = Config::builder().from_vars([DSN]).build().unwrap();

    for text in [config.to_string(), format!("{config:?}"), format!("{:?}", Config::builder().from_vars([DSN]))] {
        assert!(!text.contains("0123456789abcdef"), "{text}");
    }
}

/// The work of one request, for counting: under our layer, or under one that does nothing to the request. Like ours it has a field
/// (axum clones it per request, which is free only for a layer without any), and like every layer that watches a body to its end
/// it gives the response a body of another type, which axum boxes.
fn app(layered: bool, client: &Client) -> Router {
    let router = Router::new().route(
        "/users/{id}",
        get(|| async {
            Scope::current().set_tag("plan", 7);
            "Jane"
        }),
    );
    let limit = std::hint::black_box(usize::MAX);
    let nothing = MapResponseBodyLayer::new(move |body: Body| http_body_util::Limited::new(body, limit));
    if layered { router.layer(SentryLayer::new(client)) } else { router.layer(nothing) }
}

fn allocations(app: &Router, runtime: &tokio::runtime::Runtime) -> u64 {
    let request = || Request::get("/users/7").header("authorization", "Bearer x").body(Body::empty()).unwrap();
    let serve = |request: Request<Body>| {
        runtime.block_on(async {
            let response = app.clone().oneshot(request).await.unwrap();
            axum::body::to_bytes(response.into_body(), 1024).await.unwrap()
        })
    };
    // Once to warm up.
    serve(request());
    let request = request();
    allocation_counter::measure(|| drop(serve(request))).count_total
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

fn sockets() -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

#[test]
fn disabled_is_free() {
    let name = "config::disabled_is_free";
    if std::env::var_os("SENTRY_DSN").is_none() && in_child(name, &[("SENTRY_DSN", "")]) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (threads_before, sockets_before) = (threads(), sockets());

    let client = Client::from(Config::from_env().unwrap());
    let _subscriber = tracing_subscriber::registry().with(TracingLayer::new(&client)).set_default();
    let (bare, layered) = (allocations(&app(false, &client), &runtime), allocations(&app(true, &client), &runtime));

    assert!(!client.is_enabled());
    assert_eq!(layered, bare, "allocations of a request over a no-op layer");
    assert_eq!((threads(), sockets()), (threads_before, sockets_before));
    assert!(tower_sentry::capture_message(tower_sentry::Level::Error, "nobody hears").is_nil());

    // The control: the same with a server to send to has a thread, and takes what a request needs.
    let relay = Relay::start();
    let sent = support::client(&relay);
    assert!(sent.is_enabled() && threads() >= threads_before + 2, "the relay's thread and the exporter's");
    assert!(allocations(&app(true, &sent), &runtime) > bare, "the same count sees a request that is recorded");
}

#[test]
fn the_start_line_goes_to_the_subscriber_or_to_standard_error() {
    if in_child("config::the_start_line_goes_to_the_subscriber_or_to_standard_error", &[]) {
        return;
    }
    let relay = Relay::start();
    let (lines, listening) = std::sync::mpsc::channel::<String>();
    let writer = move || Line(lines.clone());
    tracing_subscriber::fmt().with_writer(writer).with_ansi(false).init();

    let _client = support::client(&relay);

    let line = listening.recv_timeout(support::patience()).unwrap();
    assert!(line.contains("tower_sentry: Sentry initialized for environment 'production'"), "{line}");
}

struct Line(std::sync::mpsc::Sender<String>);

impl std::io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // Other lines may come after the one that is waited for.
        let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn warnings_go_to_standard_error_without_a_subscriber() {
    let name = "config::warnings_go_to_standard_error_without_a_subscriber";
    if let Some(said) = support::said_in_child(name, &[("SENTRY_TRACE_SAMPLE_RATE", "1.0")]) {
        let warning = "tower_sentry: warning: SENTRY_TRACE_SAMPLE_RATE is not read; did you mean SENTRY_TRACES_SAMPLE_RATE?";
        assert_eq!(said.matches(warning).count(), 1, "{said}");
        return;
    }
    let unheard = Client::from(Config::from_env().unwrap());

    // From now on somebody listens.
    tracing_subscriber::registry().with(TracingLayer::new(&unheard)).init();
    let heard = Client::from(Config::from_env().unwrap());

    assert!(!unheard.is_enabled() && !heard.is_enabled());
}
