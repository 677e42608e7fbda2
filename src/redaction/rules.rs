//! The rules: the built-in ones, and those that users add.

use std::sync::Arc;

use super::{name_words, names};

/// The settings that decide which personal and secret data is sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Privacy {
    pub(crate) redaction: Arc<Redaction>,
    pub(crate) send_default_pii: bool,
    /// The number of proxies in front of the service, from which the client's address is derived.
    pub(crate) trusted_hops: usize,
}

/// Your own redaction rules; the built-in ones always apply as well.
///
/// # Examples
///
/// ```
/// use tower_sentry::redaction::Redaction;
///
/// let rules = Redaction::default().field("iban").header("x-internal-token").placeholder("[REDACTED]");
/// ```
#[derive(Clone, Debug)]
pub struct Redaction {
    pub(super) fields: Vec<String>,
    headers: Vec<String>,
    pub(super) placeholder: String,
    pub(super) token_placeholder: String,
    pub(super) token_length: usize,
    pub(super) removes_fields: bool,
    pub(super) is_strict: bool,
    /// The only further fields of users that are sent.
    pub(super) user_fields: Option<Vec<String>>,
    #[cfg(feature = "test")]
    hides_nothing: bool,
}

impl Default for Redaction {
    fn default() -> Self {
        Self {
            fields: Vec::new(),
            headers: Vec::new(),
            placeholder: "[Filtered]".to_owned(),
            token_placeholder: "[REDACTED_TOKEN]".to_owned(),
            token_length: 64,
            removes_fields: false,
            is_strict: false,
            user_fields: None,
            #[cfg(feature = "test")]
            hides_nothing: false,
        }
    }
}

impl Redaction {
    /// Hides all values whose names contain `name`. Case and separators (`-`, `_`) do not matter.
    #[must_use]
    pub fn field(mut self, name: impl AsRef<str>) -> Self {
        self.fields.push(name_words::squash(name.as_ref()));
        self
    }

    /// Hides the values of a header. They are not even copied into memory.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<str>) -> Self {
        self.headers.push(name.as_ref().to_ascii_lowercase());
        self
    }

    /// Sets the text that replaces a value. Defaults to `[Filtered]`.
    ///
    /// A blank text is an error of [`build`](crate::ConfigBuilder::build).
    #[must_use]
    pub fn placeholder(mut self, text: impl Into<String>) -> Self {
        self.placeholder = text.into();
        self
    }

    /// Sets the text that replaces a long token inside a text. Defaults to `[REDACTED_TOKEN]`.
    ///
    /// A blank text is an error of [`build`](crate::ConfigBuilder::build).
    #[must_use]
    pub fn token_placeholder(mut self, text: impl Into<String>) -> Self {
        self.token_placeholder = text.into();
        self
    }

    /// Sets the minimum length of a token, in characters. Defaults to 64.
    ///
    /// A token is a run of ASCII letters, digits, `_`, `-` and `+`, with any `=` after it. A length below 16 is
    /// an error of [`build`](crate::ConfigBuilder::build).
    #[must_use]
    pub fn token_length(mut self, characters: usize) -> Self {
        self.token_length = characters;
        self
    }

    /// Removes fields with secret names instead of replacing their values.
    ///
    /// This applies to headers, tags, and fields of spans, contexts and breadcrumbs. In queries and
    /// other texts, the placeholder still replaces the value.
    #[must_use]
    pub fn remove_fields(mut self) -> Self {
        self.removes_fields = true;
        self
    }

    /// Hides personal data in texts as well: e-mail addresses, IP addresses, telephone numbers
    /// with their country code, and the names of users in paths (`/home/jane`).
    ///
    /// Names of persons, and telephone numbers without a country code, are not found. Identifiers of the
    /// program (modules, releases) are not searched. Defaults to off.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::redaction::Redaction;
    ///
    /// let explained = Redaction::default().strict().explain("mail to jane@example.org bounced");
    /// assert_eq!(explained[0].range(), 8..24);
    /// ```
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.is_strict = true;
        self
    }

    /// Sends only these further fields of a [`User`](crate::User). The values of other fields are hidden.
    ///
    /// The id, the e-mail address, the login name and the IP address are not further fields: they
    /// are sent if your code sets them. Defaults to every field that your code sets.
    #[must_use]
    pub fn user_fields<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.user_fields = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Whether a user's field is hidden by its name.
    pub(super) fn hides_user_field(&self, name: &str) -> bool {
        let is_known = matches!(name, "id" | "email" | "username" | "ip_address");
        !is_known && self.user_fields.as_ref().is_some_and(|names| !names.iter().any(|known| known == name))
    }

    /// Returns which rule is invalid, and why.
    pub(crate) fn fault(&self) -> Option<String> {
        if self.token_length < 16 {
            return Some(format!("expected a token_length of at least 16, found {}", self.token_length));
        }
        let texts = [("placeholder", &self.placeholder), ("token_placeholder", &self.token_placeholder)];
        texts
            .iter()
            .find(|(_, text)| text.trim().is_empty())
            .map(|(name, _)| format!("expected a {name} that can be seen, found a blank text"))
    }

    /// See [`test::unredacted`](crate::test::unredacted).
    #[cfg(feature = "test")]
    pub(crate) fn hiding_nothing() -> Self {
        Self { hides_nothing: true, ..Self::default() }
    }

    /// Whether all rules are off, which only the feature `test` can do.
    #[cfg_attr(not(feature = "test"), expect(clippy::unused_self, reason = "the flag is there with the feature only"))]
    #[inline]
    pub(super) const fn hides_nothing(&self) -> bool {
        #[cfg(feature = "test")]
        return self.hides_nothing;
        #[cfg(not(feature = "test"))]
        false
    }

    /// The text that replaces a value that was not copied. `None` if its field is removed.
    pub(crate) fn withheld(&self) -> Option<&str> {
        (!self.removes_fields).then_some(&*self.placeholder)
    }

    /// Whether a header's value must not be copied into the record.
    pub(crate) fn withholds(&self, header: &str) -> bool {
        names::is_credential_header(header) || (!self.headers.is_empty() && self.headers.iter().any(|name| name == header))
    }
}
