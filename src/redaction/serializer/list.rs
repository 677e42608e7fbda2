//! Writes lists.

use serde::Serialize;
use serde::ser::{SerializeSeq, SerializeTuple};
use serde_json::{Error, Result};

use super::super::json::Json;
use super::super::names::Level;
use super::super::place::ValuePlace;
use super::super::verdict::SecretName;
use super::ValueWriter;

/// A list.
pub(in crate::redaction) struct ListWriter<'a, 'r> {
    pub(super) json: &'a mut Json<'r>,
    pub(super) place: ValuePlace,
    /// Whether it is written: it is not too deep.
    pub(super) is_open: bool,
    /// Whether it has two values: the first may be the name of the second.
    pub(super) is_pair: bool,
    pub(super) beside: Option<SecretName>,
    pub(super) secret: Option<SecretName>,
    pub(super) is_first: bool,
}

impl SerializeSeq for ListWriter<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        if !self.is_open {
            return Ok(());
        }
        let is_name = self.is_pair && self.is_first;
        self.json.comma(&mut self.is_first);
        let start = self.json.out.len();
        if let Some(name) = self.beside.take().filter(|_| !is_name) {
            return self.json.by_value(value, self.place, name, self.secret, |json| json.escaped(json.redactor.placeholder()));
        }
        value.serialize(ValueWriter { json: self.json, place: self.place, secret: self.secret })?;
        if is_name {
            // The second of two names is not a value.
            self.beside =
                self.json.name_written(start).and_then(|verdict| verdict.at(verdict.field.max(verdict.header).min(Level::IfOpaque)));
        } else if self.json.out.get(start..).is_some_and(|written| written.starts_with(b"\"--")) {
            // The arguments of a command: `["--token", "…"]`.
            self.beside = self.json.name_written(start).and_then(|verdict| verdict.at(verdict.field));
        }
        Ok(())
    }

    fn end(self) -> Result<()> {
        self.json.leave(self.is_open, b']');
        Ok(())
    }
}

impl SerializeTuple for ListWriter<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Result<()> {
        SerializeSeq::end(self)
    }
}
