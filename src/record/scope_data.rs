//! What users set in a scope.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use crate::protocol::{Attachment, Level, User};

/// What a user gives beyond this in one request (tags, contexts, breadcrumbs by hand) is left out: servers keep 8 KiB of a context.
const GIVEN_LIMIT: usize = 256 * 1024;
/// Files that one event may carry.
const ATTACHMENTS_LIMIT: usize = 10;

/// What users set in a scope. A nested scope has a copy of its own, which stands for the whole in what is captured there.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScopeData {
    pub(crate) user: Option<Box<User>>,
    pub(crate) tags: Vec<(Cow<'static, str>, String)>,
    pub(crate) contexts: Vec<(String, Value)>,
    /// What few requests have, apart so that a record stays small.
    rare: Option<Box<Rare>>,
    /// About how many bytes of it there are, breadcrumbs by hand included.
    given: usize,
}

/// See [`ScopeData`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Rare {
    pub(crate) extra: Vec<(String, Value)>,
    pub(crate) level: Option<Level>,
    pub(crate) fingerprint: Vec<String>,
    /// They go with events only.
    pub(crate) attachments: Vec<Arc<Attachment>>,
}

impl ScopeData {
    /// Forgets everything; vectors keep their memory.
    pub(crate) fn clear(&mut self) {
        self.user = None;
        self.tags.clear();
        self.contexts.clear();
        self.rare = None;
        self.given = 0;
    }

    /// Copies everything into `target`, which is empty.
    pub(super) fn copy_to(&self, target: &mut Self) {
        target.user.clone_from(&self.user);
        target.tags.extend(self.tags.iter().cloned());
        target.contexts.extend(self.contexts.iter().cloned());
        target.rare.clone_from(&self.rare);
        target.given = self.given;
    }

    /// What few requests have.
    pub(crate) fn rare(&self) -> Option<&Rare> {
        self.rare.as_deref()
    }

    /// About how many bytes it holds.
    pub(crate) fn size(&self) -> usize {
        let files = self.rare.as_ref().map_or(0, |rare| rare.attachments.iter().map(|file| file.bytes.len()).sum());
        self.given + files
    }

    /// Takes room for something a user gives; `false` if there is too much of that already.
    pub(crate) fn grant(&mut self, bytes: usize) -> bool {
        let is_granted = self.given + bytes <= GIVEN_LIMIT;
        if is_granted {
            self.given += bytes;
        }
        is_granted
    }

    pub(crate) fn set_user(&mut self, user: User, size: usize) {
        if self.grant(size) {
            self.user = Some(Box::new(user));
        }
    }

    pub(crate) fn set_tag(&mut self, name: Cow<'static, str>, value: String) {
        if self.grant(name.len() + value.len()) {
            match self.tags.iter_mut().find(|(other, _)| *other == name) {
                Some((_, slot)) => *slot = value,
                None => self.tags.push((name, value)),
            }
        }
    }

    pub(crate) fn remove_tag(&mut self, name: &str) {
        self.tags.retain(|(other, _)| other != name);
    }

    pub(crate) fn set_context(&mut self, name: String, facts: Value, size: usize) {
        if self.grant(name.len() + size) {
            put(&mut self.contexts, name, facts);
        }
    }

    pub(crate) fn remove_context(&mut self, name: &str) {
        self.contexts.retain(|(other, _)| other != name);
    }

    pub(crate) fn set_extra(&mut self, name: String, value: Value, size: usize) {
        if self.grant(name.len() + size) {
            put(&mut self.rare_mut().extra, name, value);
        }
    }

    pub(crate) fn set_level(&mut self, level: Option<Level>) {
        self.rare_mut().level = level;
    }

    pub(crate) fn set_fingerprint(&mut self, fingerprint: Vec<String>) {
        if self.grant(fingerprint.iter().map(String::len).sum()) {
            self.rare_mut().fingerprint = fingerprint;
        }
    }

    /// Adds a file; `false` if there are enough.
    pub(crate) fn add_attachment(&mut self, attachment: Arc<Attachment>) -> bool {
        let attachments = &mut self.rare_mut().attachments;
        let has_room = attachments.len() < ATTACHMENTS_LIMIT;
        if has_room {
            attachments.push(attachment);
        }
        has_room
    }

    pub(crate) fn clear_attachments(&mut self) {
        self.rare_mut().attachments.clear();
    }

    fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}

fn put(pairs: &mut Vec<(String, Value)>, name: String, value: Value) {
    match pairs.iter_mut().find(|(other, _)| *other == name) {
        Some((_, slot)) => *slot = value,
        None => pairs.push((name, value)),
    }
}
