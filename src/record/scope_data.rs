//! What users set on a scope.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use crate::protocol::{Attachment, Level, User};

/// Maximum number of bytes that users set in one request; more is left out.
///
/// User, tags, contexts, extra, fingerprint and manual breadcrumbs count. Servers keep 8 KiB of a
/// context.
const BYTES_LIMIT: usize = 256 * 1024;
/// Maximum number of attachments of one event.
const ATTACHMENTS_LIMIT: usize = 10;

/// What users set on a scope.
///
/// A nested scope has its own copy, which replaces all of it for events captured there.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScopeData {
    pub(crate) user: Option<Box<User>>,
    /// The bytes that the user takes of the limit.
    user_size: usize,
    pub(crate) tags: Vec<(Cow<'static, str>, String)>,
    pub(crate) contexts: Vec<(String, Value)>,
    /// Rarely used values, kept apart so that a record stays small.
    rare: Option<Box<Rare>>,
    /// The approximate number of bytes set so far, the user's breadcrumbs included.
    reserved: usize,
}

/// The rarely used part of [`ScopeData`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Rare {
    pub(crate) extra: Vec<(String, Value)>,
    pub(crate) level: Option<Level>,
    pub(crate) fingerprint: Vec<String>,
    /// Sent with events only.
    pub(crate) attachments: Vec<Arc<Attachment>>,
}

impl ScopeData {
    /// Clears everything; vectors keep their memory.
    pub(crate) fn clear(&mut self) {
        self.user = None;
        self.user_size = 0;
        self.tags.clear();
        self.contexts.clear();
        self.rare = None;
        self.reserved = 0;
    }

    /// Copies everything into `target`, which is empty.
    pub(super) fn copy_to(&self, target: &mut Self) {
        target.user.clone_from(&self.user);
        target.user_size = self.user_size;
        target.tags.extend(self.tags.iter().cloned());
        target.contexts.extend(self.contexts.iter().cloned());
        target.rare.clone_from(&self.rare);
        target.reserved = self.reserved;
    }

    /// Returns the rarely used values, if any were set.
    pub(crate) fn rare(&self) -> Option<&Rare> {
        self.rare.as_deref()
    }

    /// Returns the approximate size in bytes, attachments included.
    pub(crate) fn size(&self) -> usize {
        let files = self.rare.as_ref().map_or(0, |rare| rare.attachments.iter().map(|file| file.bytes.len()).sum());
        self.reserved + files
    }

    /// Reserves bytes of the limit; returns `false` if too few are left.
    pub(crate) fn reserve(&mut self, bytes: usize) -> bool {
        let has_room = self.reserved + bytes <= BYTES_LIMIT;
        if has_room {
            self.reserved += bytes;
        }
        has_room
    }

    /// Returns bytes to the limit.
    pub(crate) fn release(&mut self, bytes: usize) {
        self.reserved = self.reserved.saturating_sub(bytes);
    }

    pub(crate) fn set_user(&mut self, user: User, size: usize) {
        self.clear_user();
        if self.reserve(size) {
            self.user = Some(Box::new(user));
            self.user_size = size;
        }
    }

    pub(crate) fn clear_user(&mut self) {
        self.user = None;
        let size = std::mem::take(&mut self.user_size);
        self.release(size);
    }

    pub(crate) fn set_tag(&mut self, name: Cow<'static, str>, value: String) {
        self.remove_tag(&name);
        if self.reserve(name.len() + value.len()) {
            self.tags.push((name, value));
        }
    }

    pub(crate) fn remove_tag(&mut self, name: &str) {
        if let Some(place) = self.tags.iter().position(|(other, _)| other == name) {
            let (name, value) = self.tags.remove(place);
            self.release(name.len() + value.len());
        }
    }

    pub(crate) fn set_context(&mut self, name: String, facts: Value, size: usize) {
        self.remove_context(&name);
        if self.reserve(name.len() + size) {
            self.contexts.push((name, facts));
        }
    }

    pub(crate) fn remove_context(&mut self, name: &str) {
        let freed = remove(&mut self.contexts, name);
        self.release(freed);
    }

    pub(crate) fn set_extra(&mut self, name: String, value: Value, size: usize) {
        let freed = self.rare.as_mut().map_or(0, |rare| remove(&mut rare.extra, &name));
        self.release(freed);
        if self.reserve(name.len() + size) {
            self.rare_mut().extra.push((name, value));
        }
    }

    pub(crate) fn set_level(&mut self, level: Option<Level>) {
        self.rare_mut().level = level;
    }

    pub(crate) fn set_fingerprint(&mut self, fingerprint: Vec<String>) {
        let size = |parts: &[String]| parts.iter().map(String::len).sum();
        let freed = self.rare.as_ref().map_or(0, |rare| size(&rare.fingerprint));
        self.release(freed);
        let taken = size(&fingerprint);
        let has_room = self.reserve(taken);
        self.rare_mut().fingerprint = if has_room { fingerprint } else { Vec::new() };
    }

    /// Adds a file; returns `false` if the limit is reached.
    pub(crate) fn add_attachment(&mut self, attachment: Arc<Attachment>) -> bool {
        let attachments = &mut self.rare_mut().attachments;
        let has_room = attachments.len() < ATTACHMENTS_LIMIT;
        if has_room {
            attachments.push(attachment);
        }
        has_room
    }

    pub(crate) fn has_attachments(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| !rare.attachments.is_empty())
    }

    pub(crate) fn clear_attachments(&mut self) {
        self.rare_mut().attachments.clear();
    }

    fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}

/// Removes a pair and returns how many bytes of the limit it took.
fn remove(pairs: &mut Vec<(String, Value)>, name: &str) -> usize {
    let Some(place) = pairs.iter().position(|(other, _)| other == name) else { return 0 };
    let (name, value) = pairs.remove(place);
    name.len() + serde_json::to_vec(&value).map_or(0, |json| json.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_and_removed_values_release_their_bytes() {
        let mut set = ScopeData::default();
        let long = || "x".repeat(1000);
        for _ in 0..1000 {
            set.set_tag("progress".into(), long());
            set.set_context("order".to_owned(), Value::from(long()), 1002);
            set.set_extra("note".to_owned(), Value::from(long()), 1002);
            set.set_user(User::id(long()), 1000);
            set.set_fingerprint(vec![long()]);
        }

        assert!(set.reserved < 6000, "{}", set.reserved);
        set.remove_tag("progress");
        set.remove_context("order");
        set.clear_user();
        assert_eq!(set.reserved, 4 + 1002 + 1000, "the note and the fingerprint are left");
    }
}
