//! Values of attributes.

use std::borrow::Cow;

use serde_json::{Number, Value};

/// The value of an attribute: a text, a number, a flag, or a list of these.
///
/// You rarely name this type: numbers, `bool`, `&str`, `String`, and vectors, slices and arrays of
/// these become one. A value of another type becomes a text with `to_string()`.
///
/// A list inside a list is sent as a text. Numbers that JSON does not have, such as `NaN`, are sent as texts
/// too.
///
/// # Examples
///
/// ```
/// use tower_sentry::protocol::AttributeValue;
///
/// assert_eq!(AttributeValue::from(7_usize), AttributeValue::U64(7));
/// assert_eq!(AttributeValue::from(["a", "b"]), AttributeValue::List(vec!["a".into(), "b".into()]));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AttributeValue<'a> {
    /// A flag.
    Bool(bool),
    /// A number with decimals.
    F64(f64),
    /// A whole number.
    I64(i64),
    /// Several values.
    List(Vec<Self>),
    /// A text.
    Text(Cow<'a, str>),
    /// A whole number that is not negative.
    U64(u64),
}

impl AttributeValue<'_> {
    /// Copies borrowed texts, so that the value lives as long as needed.
    pub fn into_owned(self) -> AttributeValue<'static> {
        match self {
            Self::Bool(value) => AttributeValue::Bool(value),
            Self::F64(value) => AttributeValue::F64(value),
            Self::I64(value) => AttributeValue::I64(value),
            Self::List(values) => AttributeValue::List(values.into_iter().map(AttributeValue::into_owned).collect()),
            Self::Text(text) => AttributeValue::Text(Cow::Owned(text.into_owned())),
            Self::U64(value) => AttributeValue::U64(value),
        }
    }
}

macro_rules! from_numbers {
    ($($variant:ident($of:ty): $($number:ty)*;)*) => {$($(
        impl From<$number> for AttributeValue<'_> {
            fn from(value: $number) -> Self {
                Self::$variant(<$of>::from(value))
            }
        }

        impl From<&$number> for AttributeValue<'_> {
            fn from(value: &$number) -> Self {
                Self::from(*value)
            }
        }
    )*)*};
}
from_numbers! {
    Bool(bool): bool;
    F64(f64): f32 f64;
    I64(i64): i8 i16 i32 i64;
    U64(u64): u8 u16 u32 u64;
}

macro_rules! from_sizes {
    ($($variant:ident: $size:ty, $limit:expr;)*) => {$(
        impl From<$size> for AttributeValue<'_> {
            fn from(value: $size) -> Self {
                Self::$variant(value.try_into().unwrap_or($limit))
            }
        }

        impl From<&$size> for AttributeValue<'_> {
            fn from(value: &$size) -> Self {
                Self::from(*value)
            }
        }
    )*};
}
from_sizes! {
    I64: isize, i64::MAX;
    U64: usize, u64::MAX;
}

impl<'a> From<&'a str> for AttributeValue<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&&'a str> for AttributeValue<'a> {
    fn from(text: &&'a str) -> Self {
        Self::from(*text)
    }
}

impl From<String> for AttributeValue<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a> From<&'a String> for AttributeValue<'a> {
    fn from(text: &'a String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<Box<str>> for AttributeValue<'_> {
    fn from(text: Box<str>) -> Self {
        Self::from(String::from(text))
    }
}

impl From<char> for AttributeValue<'_> {
    fn from(letter: char) -> Self {
        Self::from(String::from(letter))
    }
}

impl<'a> From<Cow<'a, str>> for AttributeValue<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl<T: Into<Self>> From<Vec<T>> for AttributeValue<'_> {
    fn from(values: Vec<T>) -> Self {
        values.into_iter().collect()
    }
}

impl<T: Into<Self>, const N: usize> From<[T; N]> for AttributeValue<'_> {
    fn from(values: [T; N]) -> Self {
        values.into_iter().collect()
    }
}

impl<T: Clone + Into<Self>> From<&Vec<T>> for AttributeValue<'_> {
    fn from(values: &Vec<T>) -> Self {
        values.iter().cloned().collect()
    }
}

impl<T: Clone + Into<Self>> From<&[T]> for AttributeValue<'_> {
    fn from(values: &[T]) -> Self {
        values.iter().cloned().collect()
    }
}

impl<T: Clone + Into<Self>, const N: usize> From<&[T; N]> for AttributeValue<'_> {
    fn from(values: &[T; N]) -> Self {
        values.iter().cloned().collect()
    }
}

impl<T: Into<Self>> FromIterator<T> for AttributeValue<'_> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

/// As JSON. A number that JSON does not have becomes a text.
impl From<AttributeValue<'_>> for Value {
    fn from(value: AttributeValue<'_>) -> Self {
        match value {
            AttributeValue::Bool(value) => Self::Bool(value),
            AttributeValue::F64(value) => Number::from_f64(value).map_or_else(|| Self::String(value.to_string()), Self::Number),
            AttributeValue::I64(value) => Self::from(value),
            AttributeValue::List(values) => values.into_iter().map(Self::from).collect(),
            AttributeValue::Text(text) => Self::String(text.into_owned()),
            AttributeValue::U64(value) => Self::from(value),
        }
    }
}
