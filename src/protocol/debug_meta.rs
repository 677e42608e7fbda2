//! The binaries that contain the stack frames.

use serde::{Deserialize, Serialize};

/// The binaries that contain the stack frames.
///
/// A server that has their debug files uses them to resolve the frames of stripped binaries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DebugMeta {
    /// The binaries, without duplicates.
    pub images: Vec<DebugImage>,
}

impl DebugMeta {
    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }
}

/// A binary loaded in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DebugImage {
    /// `elf`, `macho` or `pe`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The path of its file.
    pub code_file: String,
    /// The id by which the server finds its debug file.
    pub debug_id: String,
    /// The build id in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_id: Option<String>,
    /// The address where it is loaded, in hex.
    pub image_addr: String,
    /// Its size in memory, in bytes.
    pub image_size: u64,
    /// Its preferred load address, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_vmaddr: Option<String>,
    /// The CPU architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
}
