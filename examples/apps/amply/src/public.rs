//! The public website.

use axum::response::Html;

/// `GET /`
pub async fn home() -> Html<&'static str> {
    Html("<!doctype html><html><head><title>Amply</title></head><body><h1>Give, and see what it does</h1></body></html>")
}
