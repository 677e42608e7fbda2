//! What the site is made of, sessions, and how it ends.

use std::time::Duration;

use quickdapp::folder::Folder;
use quickdapp::monitoring::Page;
use quickdapp::server::Site;
use serde_json::{Value, json};
use sqlx::Row as _;
use tokio::io::AsyncReadExt as _;
use tokio::sync::oneshot;
use tower_sentry::html::Browser;

use crate::dapp::{Dapp, Wallet};
use crate::envelope;
use crate::project::{PATIENCE, Project};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_the_bundle_and_its_own_project_also_if_the_server_has_none() {
    let project = Project::start().await;
    let page = Page { browser: Browser::new(project.dsn()).tunnel("/t"), dsn: project.dsn() };
    let dapp = Dapp::in_process(Site { page: Some(page), bundle: Some(b"window.Sentry = {}".to_vec()), ..Site::default() }).await;
    let event = envelope(&json!({ "dsn": project.dsn() }), &[("event", br#"{"message":"of the page"}"#)]);

    let opened = dapp.open_page().await;
    let bundle = dapp.get("/sentry.js").await;
    let sent = dapp.send("/t", event).await;
    dapp.stop().await;

    assert!(opened.text.contains(r#"<script src="/sentry.js""#), "{}", opened.text);
    assert_eq!((bundle.status, bundle.text.as_str()), (200, "window.Sentry = {}"));
    assert_eq!((sent.status, &project.items("event")[0]["message"]), (200, &json!("of the page")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_has_a_project_of_its_own() {
    let (server, page_project) = (Project::start().await, Project::start().await);
    let dapp = Dapp::start(&[("SENTRY_DSN", &server.dsn()), ("NEXT_PUBLIC_SENTRY_DSN", &page_project.dsn())]).await;
    let error = envelope(&json!({ "dsn": page_project.dsn() }), &[("event", br#"{"message":"of the page"}"#)]);

    let page = dapp.open_page().await;
    let sent = dapp.send("/t", error).await;
    dapp.stop().await;

    assert!(page.text.contains(&format!(r#""dsn":"{}""#, page_project.dsn())), "{}", page.text);
    assert_eq!((sent.status, &page_project.items("event")[0]["message"]), (200, &json!("of the page")));
    assert_eq!(server.items("event"), [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_dsn_that_is_set_is_that_of_the_page_and_a_blank_one_means_off() {
    let (server_project, page_project) = (Project::start().await.dsn(), Project::start().await.dsn());
    let (of_server, of_page) = (Some(server_project.as_str()), Some(page_project.as_str()));
    for (server, page, expected) in [
        (of_server, None, of_server),
        (of_server, of_page, of_page),
        (of_server, Some(""), None),
        (of_server, Some(" "), None),
        (Some(" "), None, None),
        (Some(" "), of_page, of_page),
    ] {
        let set: Vec<_> =
            [("SENTRY_DSN", server), ("NEXT_PUBLIC_SENTRY_DSN", page)].into_iter().filter_map(|(name, dsn)| Some((name, dsn?))).collect();
        let dapp = Dapp::start_both(&set).await;

        let opened = dapp.open_page().await;
        dapp.stop().await;

        let found = opened.text.split_once(r#""dsn":""#).map(|(_, rest)| rest.split_once('"').unwrap().0);
        assert_eq!(found, expected, "{set:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_is_worth_one_session_of_its_own_wallet() {
    let dapp = Dapp::start(&[("SENTRY_DSN", "")]).await;
    let (wallet, other) = (Wallet::new(), Wallet::new());
    let page = dapp.open_page().await;
    let signed = dapp.signed(&page, &wallet).await;
    let mut stolen = dapp.signed(&page, &other).await;
    stolen["wallet"] = json!(wallet.address());
    let mut unknown = dapp.signed(&page, &wallet).await;
    unknown["nonce"] = json!("00");

    let mut statuses = Vec::new();
    for body in [&signed, &signed, &stolen, &unknown] {
        statuses.push(dapp.post(&page, None, "/api/sign-in", body).await.status);
    }
    dapp.stop().await;

    assert_eq!(statuses, [200, 401, 401, 401]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_wallet_signs_names_the_site_and_the_wallet() {
    let own = Dapp::start(&[("SENTRY_DSN", "")]).await;
    let proxied = Dapp::start(&[("SENTRY_DSN", ""), ("QUICKDAPP_URL", "https://DApp.example/start")]).await;
    let (wallet, other) = (Wallet::new(), Wallet::new());
    let address = wallet.address().to_lowercase();

    for (dapp, origin) in [(&own, own.origin()), (&proxied, "https://dapp.example")] {
        let page = dapp.open_page().await;
        let challenge = dapp.challenge(&page, &wallet).await;
        let text = challenge["text"].as_str().unwrap();
        let expected =
            format!("{origin} wants you to sign in with your wallet:\n{address}\n\nNonce: {}", challenge["nonce"].as_str().unwrap());
        assert_eq!(text, expected);
        // Each with a nonce of its own, because an attempt uses it up.
        let changes = [("", ""), (origin, "https://evil.example"), (&address, &other.address().to_lowercase())];
        let mut statuses = Vec::new();
        for (from, to) in changes {
            let mut challenge = dapp.challenge(&page, &wallet).await;
            challenge["text"] = json!(challenge["text"].as_str().unwrap().replacen(from, to, 1));
            statuses.push(dapp.post(&page, None, "/api/sign-in", &wallet.sign(&challenge)).await.status);
        }
        assert_eq!(statuses, [200, 401, 401]);
    }
    let page = own.open_page().await;
    let no_address = own.post(&page, None, "/api/challenge", &json!({ "wallet": "0x12\nNonce: 1" })).await;
    assert_eq!(no_address.status, 422);
    own.stop().await;
    proxied.stop().await;
}

#[test]
fn a_folder_is_new_and_removed_at_the_end() {
    let folders = [Folder::new().unwrap(), Folder::new().unwrap()];
    let paths = folders.each_ref().map(|folder| folder.path().to_owned());
    std::fs::write(paths[0].join("quickdapp.sqlite"), "rows").unwrap();

    assert!(paths[0] != paths[1] && paths.iter().all(|path| path.is_dir()));
    drop(folders);

    assert!(paths.iter().all(|path| !path.exists()), "{paths:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nonces_and_sessions_end_with_their_time() {
    let dapp = Dapp::start(&[("SENTRY_DSN", "")]).await;
    let wallet = Wallet::new();
    let page = dapp.open_page().await;
    let (unused, _forgotten) = (dapp.signed(&page, &wallet).await, dapp.signed(&page, &wallet).await);
    let session = dapp.sign_in(&page, &wallet).await;
    let mut database = dapp.database().await;
    for table in ["nonces", "sessions"] {
        sqlx::query(&format!("UPDATE {table} SET made_at = 0")).execute(&mut database).await.unwrap();
    }

    let signed_out = dapp.post(&page, Some(&session), "/api/tokens", &json!({ "symbol": "QDP" })).await;
    let too_late = dapp.post(&page, None, "/api/sign-in", &unused).await;
    for _ in 0..2 {
        dapp.sign_in(&page, &wallet).await;
    }
    dapp.signed(&page, &wallet).await;
    let mut left = Vec::new();
    for table in ["nonces", "sessions"] {
        let rows = sqlx::query(&format!("SELECT made_at FROM {table}")).fetch_all(&mut database).await.unwrap();
        left.push(rows.iter().map(|row| row.get::<i64, _>(0) > 0).collect::<Vec<_>>());
    }
    dapp.stop().await;

    assert_eq!((signed_out.status, too_late.status), (401, 401));
    assert_eq!(left, [vec![true], vec![true, true]], "only the old ones are removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_of_a_session_is_for_this_site_alone_and_secure_under_https() {
    for (url, is_secure) in [("http://localhost:3000", false), ("https://dapp.example", true)] {
        let dapp = Dapp::start(&[("SENTRY_DSN", ""), ("QUICKDAPP_URL", url)]).await;
        let page = dapp.open_page().await;
        let signed = dapp.signed(&page, &Wallet::new()).await;

        let answers = [dapp.post(&page, None, "/api/sign-in", &signed).await, dapp.post(&page, None, "/api/sign-out", &Value::Null).await];
        dapp.stop().await;

        for (answer, lifetime) in answers.iter().zip(["Max-Age=604800", "Max-Age=0"]) {
            let cookie = answer.headers["set-cookie"].to_str().unwrap();
            let mut attributes: Vec<_> = cookie.split("; ").skip(1).collect();
            attributes.sort_unstable();
            let expected = ["HttpOnly", lifetime, "Path=/", "SameSite=Strict", "Secure"];
            assert_eq!(attributes, expected[..if is_secure { 5 } else { 4 }], "{url}: {cookie}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_variable_ends_both_processes_and_is_named() {
    for (name, value) in [
        ("SENTRY_WORKER_DSN", "a key"),
        ("SENTRY_DSN", "a key"),
        ("NEXT_PUBLIC_SENTRY_DSN", "a key"),
        ("SENTRY_TRACES_SAMPLE_RATE", "2"),
        ("QUICKDAPP_URL", "dapp.example"),
    ] {
        let variables = [("SENTRY_SPOTLIGHT", "http://127.0.0.1:9"), (name, value)];
        let (succeeded, output) = Dapp::ends(&["--stop-at-eof"], &variables).await;

        assert!(!succeeded && output.contains(name), "{name}: {output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_ends_does_not_hold_up_the_end_of_the_server() {
    let (stop, stopped) = oneshot::channel::<()>();
    let stopping = async { stopped.await.unwrap() };
    let (dapp, serving) = Dapp::stoppable(Site::default(), stopping, Duration::ZERO).await;
    let mut request = dapp.hang().await;

    stop.send(()).unwrap();
    let served = tokio::time::timeout(PATIENCE, serving).await;
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, request.read_to_string(&mut answer)).await.expect("the end of the connection").unwrap();

    served.expect("the server ends").unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    dapp.stop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_counts_before_anything_waits_for_it() {
    let stop = quickdapp::stop::requested(false).unwrap();

    assert!(std::process::Command::new("kill").arg(std::process::id().to_string()).status().unwrap().success());

    tokio::time::timeout(PATIENCE, stop).await.expect("the signal");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn both_processes_end_in_order_after_sigterm_and_deliver() {
    let (server, worker) = (Project::start().await, Project::start().await);
    let dapp = Dapp::start(&[("SENTRY_DSN", &server.dsn()), ("SENTRY_WORKER_DSN", &worker.dsn())]).await;
    let page = dapp.open_page().await;
    let session = dapp.sign_in(&page, &Wallet::new()).await;
    let token = dapp.deploy(&page, &session, "QDP").await;
    dapp.end_of(&page, &session, token).await;

    dapp.terminate().await;

    assert!(server.items("transaction").iter().any(|item| crate::name(item) == "POST /api/tokens"));
    assert!(worker.items("transaction").iter().any(|item| crate::name(item) == "token.deploy"));
}
