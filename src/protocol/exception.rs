//! Errors, panics and their stack traces.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A list, as the protocol wraps it.
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
    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// One error of a chain.
///
/// In [`Event::exception`](super::Event::exception), the innermost cause comes first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Exception {
    /// The name of the error's type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The path of the module that defines the type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// How the error was caught.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<Mechanism>,
    /// The stack trace of the place where it was created or caught.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stacktrace: Option<Stacktrace>,
}

/// How an error was caught.
///
/// `type` is required: without it, the server ignores `handled`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Mechanism {
    /// `generic` for explicit captures, `tracing` for logs, `panic`, `chained` for causes, or the integration,
    /// such as `auto.http.tower`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether the application handled the error and continued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled: Option<bool>,
    /// The index of this error in its chain.
    ///
    /// The outermost error is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception_id: Option<u32>,
    /// The index of the error that this one caused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<u32>,
    /// How the parent refers to this error: `source()`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Further facts about how the error was caught.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
}

/// A stack trace, with the outermost caller first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Stacktrace {
    /// The frames.
    pub frames: Vec<Frame>,
    /// From which addresses a server subtracts one instruction, because they are return addresses: `auto`
    /// (the default), `all`, `all_but_first` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instruction_addr_adjustment: Option<String>,
}

/// One frame of a stack trace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Frame {
    /// The demangled name of the function, without its hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// The path of the module.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The path of the file in its workspace. For files outside, it begins with the folder of the crate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// The absolute path of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abs_path: Option<String>,
    /// The line number, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lineno: Option<u32>,
    /// The column number, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub colno: Option<u32>,
    /// The source line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_line: Option<String>,
    /// The source lines before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pre_context: Vec<String>,
    /// The source lines after it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post_context: Vec<String>,
    /// Whether this is the application's own code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_app: Option<bool>,
    /// An address in the instruction, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instruction_addr: Option<String>,
    /// Further fields.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
