//! The default fingerprint of an error: its types and the function it was captured in.
//!
//! Messages contain ids and times, and line numbers move with every release, so neither is used.
//! The message is used only if the type says nothing (`anyhow!("…")`).

use crate::protocol::{Exception, Frame};

/// Returns the fingerprint of a chain (outermost first) that was captured in `transaction`.
///
/// Returns `None` if the chain has no in-app frame; the server then groups the event itself.
pub(crate) fn fingerprint(chain: &[Exception], transaction: &str) -> Option<Vec<String>> {
    let outermost = chain.first()?;
    let frames = &outermost.stacktrace.as_ref()?.frames;
    let place = frames.iter().rev().find(|frame| frame.in_app == Some(true))?;
    let mut parts: Vec<String> = chain.iter().filter_map(|exception| exception.kind.clone()).collect();
    if chain.iter().all(|exception| exception.module.is_none() && exception.kind.as_deref() == Some("Error")) {
        parts.extend(outermost.value.clone());
    }
    parts.push(if is_funnel(place) { transaction.to_owned() } else { name(place) });
    Some(parts)
}

/// Whether errors of the whole application pass through here: the place does not identify them.
fn is_funnel(place: &Frame) -> bool {
    let function = place.function.as_deref().unwrap_or_default();
    ["into_response", "from", "into"].iter().any(|name| function.ends_with(&format!("::{name}")))
}

fn name(place: &Frame) -> String {
    let function = place.function.as_deref().or(place.filename.as_deref()).unwrap_or_default();
    // The compiler numbers closures by their order in the function: `{{closure}}`, `{{closure}}#1`.
    function.split("::{{closure}}").next().unwrap_or(function).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Stacktrace;

    fn error(kind: &str, value: &str, function: &str) -> Exception {
        let frame = |function: &str, in_app| Frame { function: Some(function.to_owned()), in_app: Some(in_app), ..Frame::default() };
        let frames = vec![frame("shop::main", true), frame(function, true), frame("core::ops::function::FnOnce::call_once", false)];
        Exception {
            kind: Some(kind.to_owned()),
            value: Some(value.to_owned()),
            stacktrace: Some(Stacktrace { frames }),
            ..Exception::default()
        }
    }

    fn of(kind: &str, value: &str, function: &str, transaction: &str) -> Option<Vec<String>> {
        fingerprint(&[error(kind, value, function)], transaction)
    }

    #[test]
    fn what_and_where_count_and_the_message_does_not() {
        let order = of("OrderError", "order 7", "shop::order::{{closure}}", "GET /orders/{id}");

        assert_eq!(order, Some(vec!["OrderError".to_owned(), "shop::order".to_owned()]));
        assert_eq!(order, of("OrderError", "order 8", "shop::order::{{closure}}", "POST /orders"));
        assert_ne!(order, of("OrderError", "order 7", "shop::cart", "GET /orders/{id}"));
        assert_ne!(order, of("CartError", "order 7", "shop::order", "GET /orders/{id}"));
    }

    #[test]
    fn texts_count_where_there_is_no_type() {
        assert_ne!(of("Error", "no row", "shop::order", "GET /"), of("Error", "timeout", "shop::order", "GET /"));
        // A user's type that is named `Error` has a module, so its message is not used.
        let typed =
            |value: &str| fingerprint(&[Exception { module: Some("shop".to_owned()), ..error("Error", value, "shop::order") }], "GET /");
        assert_eq!(typed("no row"), typed("timeout"));
    }

    #[test]
    fn errors_that_come_through_one_place_go_by_their_route() {
        let funnel = "<shop::AppError as axum_core::response::into_response::IntoResponse>::into_response";

        assert_ne!(of("AppError", "a", funnel, "GET /a"), of("AppError", "a", funnel, "GET /b"));
        assert_eq!(fingerprint(&[Exception::default()], "GET /"), None);
    }
}
