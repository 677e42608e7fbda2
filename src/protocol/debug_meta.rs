//! The binaries that frames lie in.

use serde::{Deserialize, Serialize};

/// The binaries that frames lie in, so that a server that has their debug files can name what was stripped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DebugMeta {
    /// Each once.
    pub images: Vec<DebugImage>,
}

impl DebugMeta {
    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }
}

/// A binary in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DebugImage {
    /// `elf`, `macho` or `pe`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its file.
    pub code_file: String,
    /// By which its debug file is found.
    pub debug_id: String,
    /// The build id in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_id: Option<String>,
    /// Where it lies in memory, in hex.
    pub image_addr: String,
    /// How many bytes of memory it takes.
    pub image_size: u64,
    /// Where it says that it wants to lie, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_vmaddr: Option<String>,
    /// The processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
}
