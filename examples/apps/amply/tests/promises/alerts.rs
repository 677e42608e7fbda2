//! The four rules of the document.

use std::time::Duration;

use axum::routing::post;
use axum::{Json, Router};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tower_sentry::Preset;
use tower_sentry::test::HandClock;

use crate::support::{Scene, donation};

#[tokio::test]
async fn a_first_occurrence_and_a_payment_in_production_alert() {
    let mut scene = Scene::with(Preset::Production, amply::stand_in::start().await.unwrap()).await;

    scene.donate(&donation("paypal", "1")).await;
    scene.donate(&donation("paypal", "2")).await;
    scene.flush().await;

    // An alert names the route, which rules can be limited to; the event has the name of the handler.
    let title = "DonationError: the donation was not charged, in POST /api/v1/donations";
    let expected = [
        format!("Slack #amply-alerts: [production] new issue: {title}"),
        format!("PagerDuty: [production] error, tag domain=payment, environment production: {title}"),
    ];
    assert_eq!(scene.fired(), expected, "once for each issue");
}

#[tokio::test]
async fn a_payment_in_staging_alerts_no_pager() {
    let mut scene = Scene::start().await;

    scene.donate(&donation("paypal", "1")).await;
    scene.flush().await;

    let fired = scene.fired();
    assert!(fired.len() == 1 && fired[0].starts_with("Slack #amply-alerts: [staging] new issue"), "{fired:?}");
}

#[tokio::test]
async fn more_than_a_hundred_errors_in_an_hour_alert_once() {
    let mut scene = Scene::with(Preset::Production, amply::stand_in::start().await.unwrap()).await;

    for _ in 0..100 {
        scene.donate(&donation("paypal", "1")).await;
    }
    scene.flush().await;
    let is_volume = |alert: &String| alert.starts_with("Slack #amply-alerts and e-mail: ");
    assert!(!scene.fired().iter().any(is_volume), "a hundred are not more than a hundred");
    for _ in 0..5 {
        scene.donate(&donation("paypal", "1")).await;
    }
    scene.flush().await;

    let fired: Vec<_> = scene.fired().into_iter().filter(is_volume).collect();
    assert_eq!(fired.len(), 1, "{fired:?}");
    assert!(fired[0].contains("more than 100 errors in 1h: there were 101"), "{}", fired[0]);
}

/// A provider answers when the test says so, and the clock goes on meanwhile.
#[tokio::test]
async fn a_percentile_above_two_seconds_alerts() {
    let (called, mut calls) = mpsc::unbounded_channel();
    let charge = move || {
        let (answer, answered) = oneshot::channel::<()>();
        called.send(answer).unwrap();
        async move {
            answered.await.unwrap();
            Json(json!({ "id": "ch_1" }))
        }
    };
    let stand_in = Router::new().route("/{provider}/charges", post(charge));
    let mut scene = Scene::with(Preset::Production, amply::stand_in::serve(stand_in).await.unwrap()).await;
    let clock = HandClock::start();

    for (seconds, is_above) in [(1, false), (3, true)] {
        for _ in 0..20 {
            let body = donation("stripe", "1");
            let meanwhile = async {
                let answer = calls.recv().await.unwrap();
                clock.advance(Duration::from_secs(seconds));
                answer.send(()).unwrap();
            };
            tokio::join!(scene.donate(&body), meanwhile);
        }
        scene.flush().await;

        let fired = scene.fired();
        assert_eq!(fired.len(), usize::from(is_above), "{fired:?}");
        assert!(fired.iter().all(|alert| alert.starts_with("Slack #amply-alerts: [production] P95 above 2s")), "{fired:?}");
    }
}
