//! What users set on a scope.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::Bodies;
use super::cut::{CUT_MARK, shorter};
use crate::protocol::{Attachment, Breadcrumb, Event, Level, User};
use crate::unwind::Hook;

/// Maximum number of bytes that users set in one request; a mark replaces a value without room.
///
/// User, tags, contexts, extra, fingerprint and manual breadcrumbs count. Servers keep 8 KiB of a
/// context.
const BYTES_LIMIT: usize = 256 * 1024;
/// Further room for those marks.
const MARKS_RESERVE: usize = 16 * 1024;
/// The longest text of a user or a breadcrumb that had no room as a whole, in bytes.
const SHORT: usize = 1024;
/// Maximum number of attachments of one event.
const ATTACHMENTS_LIMIT: usize = 10;
/// Maximum number of event processors of one scope.
const PROCESSORS_LIMIT: usize = 16;

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
    /// How many values were shortened or left out.
    pub(crate) truncated: u32,
}

/// The rarely used part of [`ScopeData`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Rare {
    pub(crate) extra: Vec<(String, Value)>,
    pub(crate) level: Option<Level>,
    pub(crate) fingerprint: Vec<String>,
    /// Sent with events only.
    pub(crate) attachments: Vec<Arc<Attachment>>,
    /// Sent with events only.
    pub(crate) bodies: Bodies,
    /// They run on the exporter's thread, for each event of the scope.
    pub(crate) processors: Vec<Hook<Event>>,
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
        self.truncated = 0;
    }

    /// Copies everything into `target`, which is empty.
    pub(super) fn copy_to(&self, target: &mut Self) {
        target.user.clone_from(&self.user);
        target.user_size = self.user_size;
        target.tags.extend(self.tags.iter().cloned());
        target.contexts.extend(self.contexts.iter().cloned());
        target.rare.clone_from(&self.rare);
        target.reserved = self.reserved;
        target.truncated = self.truncated;
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

    /// Reserves bytes of the limit; counts a value without room and returns `false`.
    fn reserve(&mut self, bytes: usize) -> bool {
        let has_room = self.reserve_up_to(BYTES_LIMIT, bytes);
        self.truncated = self.truncated.saturating_add(u32::from(!has_room));
        has_room
    }

    /// Reserves bytes for the mark of a value without room.
    fn reserve_mark(&mut self, bytes: usize) -> bool {
        self.reserve_up_to(BYTES_LIMIT + MARKS_RESERVE, bytes)
    }

    fn reserve_up_to(&mut self, limit: usize, bytes: usize) -> bool {
        let has_room = self.reserved.saturating_add(bytes) <= limit;
        if has_room {
            self.reserved += bytes;
        }
        has_room
    }

    /// Returns bytes to the limit.
    pub(crate) fn release(&mut self, bytes: usize) {
        self.reserved = self.reserved.saturating_sub(bytes);
    }

    /// Sets the user. Without room, only the four known fields are kept, cut at 1 KiB each: events
    /// of one user must not look like those of another.
    pub(crate) fn set_user(&mut self, mut user: User, mut size: usize) {
        self.clear_user();
        if !self.reserve(size) {
            let known = [&mut user.id, &mut user.email, &mut user.username, &mut user.ip_address].into_iter().flatten();
            size = known.map(|text| shorten(text).len()).sum();
            user.data.clear();
            // At most 4 KiB, and only one user has them.
            self.reserved += size;
        }
        self.user = Some(Box::new(user));
        self.user_size = size;
    }

    pub(crate) fn clear_user(&mut self) {
        self.user = None;
        let size = std::mem::take(&mut self.user_size);
        self.release(size);
    }

    pub(crate) fn set_tag(&mut self, name: Cow<'static, str>, value: String) {
        self.remove_tag(&name);
        if self.reserve(name.len() + value.len()) {
            return self.tags.push((name, value));
        }
        let mark = left_out(value.len());
        if self.reserve_mark(name.len() + mark.len()) {
            self.tags.push((name, mark));
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
            return self.contexts.push((name, facts));
        }
        let mark = serde_json::json!({ "value": left_out(size) });
        if self.reserve_mark(name.len() + json_size(&mark)) {
            self.contexts.push((name, mark));
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
            return self.rare_mut().extra.push((name, value));
        }
        let mark = Value::from(left_out(size));
        if self.reserve_mark(name.len() + json_size(&mark)) {
            self.rare_mut().extra.push((name, mark));
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

    /// Makes room for a breadcrumb of this size, and returns the bytes it takes. Without room, only its
    /// message is kept, cut at 1 KiB. Returns `None` if there is no room for that either.
    pub(crate) fn fit_breadcrumb(&mut self, breadcrumb: &mut Breadcrumb, size: usize) -> Option<usize> {
        if self.reserve(size) {
            return Some(size);
        }
        let message = breadcrumb.message.as_mut().map_or(0, |message| shorten(message).len());
        breadcrumb.data.clear();
        breadcrumb.data.insert(super::TRUNCATED.to_owned(), Value::from(left_out(size)));
        let size = message + json_size(&breadcrumb.data);
        self.reserve_mark(size).then_some(size)
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

    /// Adds an event processor; returns `false` if the limit is reached.
    pub(crate) fn add_processor(&mut self, processor: Hook<Event>) -> bool {
        let processors = &mut self.rare_mut().processors;
        let has_room = processors.len() < PROCESSORS_LIMIT;
        if has_room {
            processors.push(processor);
        }
        has_room
    }

    /// Adds the data that a hook has set on an event. It wins over earlier data. The user stays.
    pub(crate) fn add(&mut self, later: Self) {
        for (name, value) in later.tags {
            self.set_tag(name, value);
        }
        for (name, facts) in later.contexts {
            let size = json_size(&facts);
            self.set_context(name, facts, size);
        }
        let Some(rare) = later.rare else { return };
        for (name, value) in rare.extra {
            let size = json_size(&value);
            self.set_extra(name, value, size);
        }
        if rare.level.is_some() {
            self.set_level(rare.level);
        }
        if !rare.fingerprint.is_empty() {
            self.set_fingerprint(rare.fingerprint);
        }
        for file in rare.attachments {
            if !self.add_attachment(file) {
                self.count_left_out();
            }
        }
        self.truncated = self.truncated.saturating_add(later.truncated);
    }

    /// What is kept of the bodies.
    pub(crate) fn bodies_mut(&mut self) -> &mut Bodies {
        &mut self.rare_mut().bodies
    }

    /// Copies the kept bytes of the response's body, if there are any.
    pub(crate) fn copy_response_body(&mut self, from: &Self) {
        if let Some(response) = from.rare().and_then(|rare| rare.bodies.response.as_ref()) {
            self.rare_mut().bodies.response = Some(response.clone());
        }
    }

    /// Counts a value that was left out.
    pub(crate) fn count_left_out(&mut self) {
        self.truncated = self.truncated.saturating_add(1);
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
    name.len() + json_size(&value)
}

/// The approximate size of a value in bytes.
pub(crate) fn json_size(value: &impl Serialize) -> usize {
    // Beyond any limit, if it cannot be serialized.
    serde_json::to_vec(value).map_or(usize::MAX / 2, |json| json.len())
}

/// The mark of a value without room.
fn left_out(size: usize) -> String {
    format!("[left out: {size} bytes]")
}

/// Cuts a text at [`SHORT`] bytes, and marks it.
fn shorten(text: &mut String) -> &str {
    if text.len() > SHORT {
        let kept = shorter(text, SHORT).len();
        text.truncate(kept);
        text.push_str(CUT_MARK);
    }
    text
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

    #[test]
    fn nothing_is_left_of_a_request_in_the_next_one() {
        let mut set = ScopeData::default();
        set.set_tag("plan".into(), "gold".to_owned());
        set.set_tag("basket".into(), "x".repeat(BYTES_LIMIT));
        set.set_context("order".to_owned(), Value::from(7), 6);
        set.set_extra("note".to_owned(), Value::from("urgent"), 10);
        set.set_user(User::id(7), 1);
        assert_eq!(set.truncated, 1);

        set.clear();

        assert_eq!(format!("{set:?}"), format!("{:?}", ScopeData::default()));
    }

    #[test]
    fn a_mark_stands_for_what_has_no_room_and_all_of_it_is_bounded() {
        let mut set = ScopeData::default();
        let large = 300 * 1024;
        let long = || "x".repeat(large);
        set.set_tag("tag".into(), long());
        set.set_context("order".to_owned(), Value::from(long()), large);
        set.set_extra("note".to_owned(), Value::from(long()), large);
        set.set_user(User::id(7).email(long()).field("basket", long()), 2 * large);
        let mut breadcrumb = Breadcrumb::new(long());
        let size = set.fit_breadcrumb(&mut breadcrumb, large);

        let mark = "[left out: 307200 bytes]";
        assert_eq!((set.tags[0].1.as_str(), &set.contexts[0].1["value"]), (mark, &Value::from(mark)));
        assert_eq!(set.rare().map(|rare| &rare.extra[0].1), Some(&Value::from(mark)));
        let user = set.user.as_deref().cloned().unwrap_or_default();
        assert_eq!((user.id.as_deref(), user.email.map(|email| email.len()), user.data.len()), (Some("7"), Some(SHORT), 0));
        assert_eq!((breadcrumb.message.map(|text| text.len()), set.truncated), (Some(SHORT), 5));
        assert!(size.is_some_and(|size| size < 2 * SHORT));

        for number in 0..100_000 {
            set.set_tag(format!("tag-{number}").into(), long().split_off(large - 1000));
            set.set_context(format!("context-{number}"), Value::from(1), 1);
        }

        assert!(set.reserved <= BYTES_LIMIT + MARKS_RESERVE + 5 * SHORT, "{}", set.reserved);
        assert!(set.truncated > 150_000, "{}", set.truncated);
    }
}
