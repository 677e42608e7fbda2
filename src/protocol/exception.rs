//! Errors, panics and their stack traces.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The protocol's wrapper around lists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Values<T> {
    /// The entries.
    pub values: Vec<T>,
}

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self { values: Vec::new() }
    }
}

impl<T> Values<T> {
    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// One error of a chain. In [`Event::exception`](super::Event::exception) the innermost cause stands first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Exception {
    /// The name of the type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The path of the module that defines the type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// How it was caught.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<Mechanism>,
    /// Where it was made or caught.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stacktrace: Option<Stacktrace>,
}

/// How an error was caught. `type` must be there, or the server loses `handled`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Mechanism {
    /// `generic` by hand, `auto.http.tower`, `panic`, `chained`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether the application went on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled: Option<bool>,
    /// The number of this error in its chain; the outermost is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception_id: Option<u32>,
    /// The number of the error this one caused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<u32>,
    /// How the parent refers to it: `source()`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Frames, the oldest caller first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Stacktrace {
    /// The frames.
    pub frames: Vec<Frame>,
}

/// One call on the stack.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Frame {
    /// The function, demangled, without its hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// The path of its module.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The file, relative where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// The file, absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abs_path: Option<String>,
    /// The line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lineno: Option<u32>,
    /// The column, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub colno: Option<u32>,
    /// The line of code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_line: Option<String>,
    /// Those before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pre_context: Vec<String>,
    /// Those behind it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post_context: Vec<String>,
    /// Whether it is the application's own code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_app: Option<bool>,
    /// The address in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instruction_addr: Option<String>,
    /// Anything else that a receiver may keep.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
