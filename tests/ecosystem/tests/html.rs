//! The trace in pages of template engines.
#![allow(clippy::unwrap_used, reason = "test code")]

use askama::Template as _;
use tower_sentry::Scope;

#[derive(askama::Template)]
#[template(source = "<html><head>{{ tags|safe }}</head></html>", ext = "html")]
struct Page {
    tags: tower_sentry::html::TraceMetaTags,
}

#[tokio::test]
async fn askama_and_maud_take_the_tags_as_they_are() {
    let (client, captured) = tower_sentry::test::client();
    let pages = async {
        let tags = Scope::current().trace_meta_tags();
        let askama = Page { tags: tags.clone() }.render().unwrap();
        let maud = maud::html! { html { head { (maud::PreEscaped(tags.to_string())) } } }.into_string();
        [askama, maud]
    };

    let pages = client.transaction("page").run_infallible(pages).await;

    let transaction = &captured.transactions()[0];
    let trace = transaction.contexts.trace.as_ref().unwrap();
    let expected = format!("<html><head><meta name=\"sentry-trace\" content=\"{}-{}-1\">", trace.trace_id, trace.span_id);
    for page in pages {
        assert!(page.starts_with(&expected), "{page}");
    }
}

#[derive(askama::Template)]
#[template(source = "<html><head>{{ snippet|safe }}</head></html>", ext = "html")]
struct WholePage {
    snippet: tower_sentry::html::PageSnippet,
}

#[test]
fn askama_and_maud_take_the_snippet_as_it_is() {
    let browser =
        tower_sentry::html::Browser::new("https://0123456789abcdef0123456789abcdef@sentry.example/43").script("/a?b&c").tunnel("/t");
    let snippet = Scope::current().page_snippet(&browser).user_id("<7>");

    let askama = WholePage { snippet: snippet.clone() }.render().unwrap();
    let maud = maud::html! { html { head { (maud::PreEscaped(snippet.to_string())) } } }.into_string();

    assert_eq!(askama, format!("<html><head>{snippet}</head></html>"));
    assert_eq!(maud, askama);
    assert!(askama.contains("src=\"/a?b&amp;c\"") && askama.contains(r#""user":{"id":"\u003c7\u003e"}"#), "{askama}");
}
