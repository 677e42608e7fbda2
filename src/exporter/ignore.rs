//! User rules for errors that must not be reported.

use crate::event::{CapturedEvent, EventRecord};
use crate::protocol::Exception;

/// Rules for events that are not sent. Such events count as dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct IgnoredErrors {
    /// Names of error types, with or without their module.
    pub(crate) types: Vec<String>,
    /// Substrings of messages.
    pub(crate) messages: Vec<String>,
    pub(crate) statuses: Vec<u16>,
    /// Prefixes of `tracing` targets, matched by whole modules.
    pub(crate) targets: Vec<String>,
}

impl IgnoredErrors {
    /// Whether a rule matches the event.
    pub(super) fn contains(&self, event: &EventRecord) -> bool {
        self.contains_captured(&event.captured) || event.scope.response.status.is_some_and(|status| self.contains_status(status))
    }

    /// Whether errors of responses with this status are ignored.
    pub(crate) fn contains_status(&self, status: u16) -> bool {
        self.statuses.contains(&status)
    }

    /// Whether a rule or a hook matches a capture, without a look at the status of its response.
    pub(crate) fn contains_captured(&self, captured: &CapturedEvent) -> bool {
        if captured.notes.is_ignored {
            return true;
        }
        let is_type =
            |name: &String| captured.exceptions.iter().any(|exception| is_of_type(exception, name)) || captured.seen_through.contains(name);
        let values = || captured.exceptions.iter().filter_map(|exception| exception.value.as_deref());
        let is_told = |part: &String| captured.message.as_deref().into_iter().chain(values()).any(|text| text.contains(part.as_str()));
        let is_target = |start: &String| captured.log.as_ref().is_some_and(|log| is_below(log.target(), start));
        self.types.iter().any(is_type) || self.messages.iter().any(is_told) || self.targets.iter().any(is_target)
    }
}

fn is_of_type(exception: &Exception, name: &str) -> bool {
    let Some(kind) = &exception.kind else { return false };
    // The kind of an `io::Error` includes `io::`, which is part of its module too. So only the last
    // segment of the kind is compared.
    let plain = kind.rsplit("::").next().unwrap_or(kind);
    let in_module = |module: &String| name.strip_prefix(module.as_str()).and_then(|rest| rest.strip_prefix("::")) == Some(plain);
    kind == name || exception.module.as_ref().is_some_and(in_module)
}

/// Whether a target is `start` or a module below it.
pub(super) fn is_below(target: &str, start: &str) -> bool {
    target.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with("::") || start.ends_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_match_with_and_without_their_module() {
        let exception = |kind: &str, module: Option<&str>| Exception {
            kind: Some(kind.to_owned()),
            module: module.map(str::to_owned),
            ..Exception::default()
        };

        assert!(is_of_type(&exception("CartError", Some("shop::cart")), "CartError"));
        assert!(is_of_type(&exception("CartError", Some("shop::cart")), "shop::cart::CartError"));
        assert!(is_of_type(&exception("io::Error", Some("std::io::error")), "std::io::error::Error"));
        assert!(!is_of_type(&exception("CartError", Some("shop::cart")), "Error"));
        assert!(!is_of_type(&exception("CartError", None), "shop::cart::CartError"));
    }

    #[test]
    fn targets_match_by_whole_modules() {
        assert!(is_below("hyper::client", "hyper") && is_below("hyper", "hyper"));
        assert!(!is_below("hyper_util::client", "hyper"));
    }
}
