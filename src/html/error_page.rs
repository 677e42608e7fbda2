//! The page that a user sees after an error.

use std::fmt;

use super::escape::Escaped;
use super::snippet::PageSnippet;
use crate::protocol::EventId;

/// A small page for a failed request: it names the error's id, and asks the user what happened.
///
/// `Display` writes a whole HTML document. The form is plain HTML: it works without a script.
///
/// # Examples
///
/// ```
/// use tower_sentry::html::ErrorPage;
///
/// let event_id = tower_sentry::capture_error(&std::io::Error::other("the cart is gone"));
/// let page = ErrorPage::new(event_id).title("The shop has a problem").feedback("/feedback");
///
/// assert!(page.to_string().contains("<h1>The shop has a problem</h1>"));
/// ```
#[derive(Clone, Debug)]
#[must_use = "it has no effect until it is sent"]
pub struct ErrorPage {
    event_id: EventId,
    title: String,
    feedback: Option<String>,
    snippet: Option<PageSnippet>,
}

impl ErrorPage {
    /// Creates the page for this event. A nil id is not shown.
    pub fn new(event_id: EventId) -> Self {
        Self { event_id, title: "Something went wrong".to_owned(), feedback: None, snippet: None }
    }

    /// Sets the title. Defaults to `Something went wrong`.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Adds a form for feedback, which takes a screenshot. The browser posts it to this path;
    /// [`browser::routes`](crate::browser::routes) serves it. Defaults to no form.
    pub fn feedback(mut self, path: impl Into<String>) -> Self {
        self.feedback = Some(path.into());
        self
    }

    /// Adds the browser SDK, which then opens its own dialog for feedback.
    pub fn snippet(mut self, snippet: PageSnippet) -> Self {
        self.snippet = Some(snippet.report_dialog(self.event_id));
        self
    }
}

impl fmt::Display for ErrorPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event_id, title, feedback, snippet } = self;
        let title = Escaped(title);
        write!(f, "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>")?;
        if let Some(snippet) = snippet {
            write!(f, "{snippet}")?;
        }
        write!(f, "</head><body><h1>{title}</h1>")?;
        if !event_id.is_nil() {
            write!(f, "<p>The error has the id <code>{event_id}</code>.</p>")?;
        }
        if let Some(path) = feedback {
            write!(f, "<form method=\"post\" action=\"{}\" enctype=\"multipart/form-data\">", Escaped(path))?;
            if !event_id.is_nil() {
                write!(f, "<input type=\"hidden\" name=\"event_id\" value=\"{event_id}\">")?;
            }
            f.write_str(
                "<p><label>What happened?<br><textarea name=\"message\" rows=\"5\" cols=\"60\" required></textarea></label></p>\
                 <p><label>Name <input name=\"name\" autocomplete=\"name\"></label></p>\
                 <p><label>E-mail <input name=\"email\" type=\"email\" autocomplete=\"email\"></label></p>\
                 <p><label>Screenshot <input name=\"screenshot\" type=\"file\" accept=\"image/*\"></label></p>\
                 <p><button>Send</button></p></form>",
            )?;
        }
        f.write_str("</body></html>")
    }
}
