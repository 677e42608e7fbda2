//! Production sends a tenth, staging all, and development nothing.

use axum::http::Method;
use tower_sentry::Preset;

use crate::support::{Scene, continued};

/// A request for each of these numbers, which stand in the place of chance.
async fn after_requests(environment: Preset, numbers: &[&str]) -> Scene {
    let scene = Scene::with(environment, amply::stand_in::start().await.unwrap()).await;
    for number in numbers {
        let headers = continued(number);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        scene.send(Method::GET, "/api/v1/organisations/7", &headers, "").await;
    }
    scene.flush().await;
    scene
}

#[tokio::test]
async fn production_sends_a_tenth_of_its_transactions() {
    let scene = after_requests(Preset::Production, &["0.099999", "0.100001", "0.999999"]).await;

    let sent: Vec<_> = scene.backend.items().into_iter().filter(|(_, kind, _)| kind == "transaction").collect();
    assert_eq!((sent.len(), scene.backend.unsampled()), (1, 2), "each is sent or counted");
    let (header, _, transaction) = &sent[0];
    assert_eq!(header["trace"]["sample_rand"], "0.099999");
    assert_eq!(transaction["environment"], "production");
}

#[tokio::test]
async fn staging_sends_all_of_them() {
    let scene = after_requests(Preset::Staging, &["0.000000", "0.999999"]).await;

    let transactions = scene.backend.transactions();
    assert_eq!(transactions.len(), 2);
    assert!(transactions.iter().all(|transaction| transaction["environment"] == "staging"));
}

/// A DSN is set, as it is on the machine of a developer who looked at production.
#[tokio::test]
async fn development_sends_nothing() {
    let scene = Scene::with(Preset::Development, amply::stand_in::start().await.unwrap()).await;

    scene.get("/widgets/8").await;
    let (_, page) = scene.get("/dashboard/7").await;
    scene.flush().await;

    for receiver in scene.receivers() {
        assert_eq!(receiver.bytes(), "");
    }
    assert!(!page.contains("<script"), "{page}");
    assert!(scene.amply.clients().widgets.is_enabled(), "it is on the console");
}
