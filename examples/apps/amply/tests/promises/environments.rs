//! Production sends a tenth, staging all, and development nothing.

use tower_sentry::Preset;

use crate::support::Scene;

const REQUESTS: usize = 200;

async fn after_requests(environment: Preset) -> Scene {
    let scene = Scene::with(environment, amply::stand_in::start().await.unwrap()).await;
    for _ in 0..REQUESTS {
        scene.get("/api/v1/organisations/7").await;
    }
    scene.flush().await;
    scene
}

#[tokio::test]
async fn production_sends_a_tenth_of_its_transactions() {
    let scene = after_requests(Preset::Production).await;

    let transactions = scene.backend.transactions();
    // Of two hundred, twenty are expected. Sixty is nine standard deviations away.
    assert!((1..60).contains(&transactions.len()), "{}", transactions.len());
    assert_eq!(scene.backend.unsampled() as usize + transactions.len(), REQUESTS, "each is sent or counted");
    assert!(transactions.iter().all(|transaction| transaction["environment"] == "production"));
    let (header, ..) = scene.backend.items().into_iter().find(|(_, kind, _)| kind == "transaction").unwrap();
    assert_eq!(header["trace"]["sample_rate"], "0.1");
}

#[tokio::test]
async fn staging_sends_all_of_them() {
    let scene = after_requests(Preset::Staging).await;

    let transactions = scene.backend.transactions();
    assert_eq!(transactions.len(), REQUESTS);
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
