//! Events that the application has built itself.

use crate::protocol::Event;

/// Puts a given event over what its scope says.
///
/// The tags of the event are in the scope already.
pub(super) fn put_over(shown: &mut Event, given: Event) {
    let Event {
        timestamp,
        platform,
        logger,
        transaction,
        transaction_info,
        server_name,
        release,
        environment,
        logentry,
        request,
        user,
        ..
    } = given;
    shown.timestamp = timestamp;
    shown.platform = platform;
    replace(&mut shown.logger, logger);
    if transaction.is_some() {
        (shown.transaction, shown.transaction_info) = (transaction, transaction_info);
    }
    replace(&mut shown.server_name, server_name);
    replace(&mut shown.release, release);
    replace(&mut shown.environment, environment);
    if let Some(mut text) = logentry {
        // Readers of the protocol need it.
        text.message = text.message.or_else(|| text.formatted.clone());
        shown.logentry = Some(text);
    }
    replace(&mut shown.request, request);
    replace(&mut shown.user, user);
    if !given.exception.is_empty() {
        let ours = std::mem::replace(&mut shown.exception, given.exception);
        // The last one is the outermost. Without frames of its own, the place of the call stands there.
        if let (Some(outermost), Some(ours)) = (shown.exception.values.last_mut(), ours.values.into_iter().last()) {
            outermost.stacktrace = outermost.stacktrace.take().or(ours.stacktrace);
            outermost.mechanism = outermost.mechanism.take().or(ours.mechanism);
        }
    }
    shown.breadcrumbs.values.extend(given.breadcrumbs.values);
    replace(&mut shown.contexts.trace, given.contexts.trace);
    shown.contexts.other.extend(given.contexts.other);
    shown.debug_meta.images.extend(given.debug_meta.images);
    shown.extra.extend(given.extra);
    if !given.fingerprint.is_empty() {
        shown.fingerprint = given.fingerprint;
    }
}

fn replace<T>(shown: &mut Option<T>, given: Option<T>) {
    if given.is_some() {
        *shown = given;
    }
}
