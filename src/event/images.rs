//! The loaded binaries that frames lie in.
//!
//! A server that has their debug files can resolve names that were stripped here.

use findshlibs::{SharedLibrary as _, SharedLibraryId, TargetSharedLibrary};

use crate::protocol::{DebugImage, Exception};

/// Returns the image of each frame of a chain, without duplicates.
pub(crate) fn of(exceptions: &[Exception]) -> Vec<DebugImage> {
    let traces = exceptions.iter().filter_map(|exception| exception.stacktrace.as_ref());
    let addresses: Vec<u64> =
        traces.flat_map(|trace| &trace.frames).filter_map(|frame| address(frame.instruction_addr.as_deref()?)).collect();
    let mut images = Vec::new();
    if addresses.is_empty() {
        return images;
    }
    TargetSharedLibrary::each(|library| {
        let start = library.actual_load_addr().0 as u64;
        let size = library.len() as u64;
        if addresses.iter().any(|address| (start..start + size).contains(address)) {
            images.extend(image(library, start, size));
        }
    });
    images
}

fn address(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// Returns `None` if the binary has no id: a server could not find its debug file.
fn image(library: &TargetSharedLibrary<'_>, start: u64, size: u64) -> Option<DebugImage> {
    let (kind, debug_id, code_id) = match library.id()? {
        SharedLibraryId::GnuBuildId(id) => ("elf", guid(little_endian(first_bytes(&id))), hex(&id)),
        SharedLibraryId::Uuid(id) => ("macho", guid(id), hex(&id)),
        SharedLibraryId::PeSignature(timestamp, size) => {
            let Some(SharedLibraryId::PdbSignature(id, age)) = library.debug_id() else { return None };
            ("pe", format!("{}-{age:x}", guid(little_endian(id))), format!("{timestamp:08X}{size:x}"))
        }
        SharedLibraryId::PdbSignature(..) => return None,
    };
    Some(DebugImage {
        kind: kind.to_owned(),
        code_file: library.name().to_string_lossy().into_owned(),
        debug_id,
        code_id: Some(code_id),
        image_addr: format!("{start:#x}"),
        image_size: size,
        image_vmaddr: Some(format!("{:#x}", library.stated_load_addr().0)),
        arch: Some(std::env::consts::ARCH.to_owned()),
    })
}

/// Returns the first 16 bytes of a build id; a shorter one is filled up with zeros.
fn first_bytes(build_id: &[u8]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(build_id).for_each(|(slot, byte)| *slot = *byte);
    bytes
}

/// Reverses the bytes of the first three fields of a GUID, which are little-endian.
fn little_endian(mut bytes: [u8; 16]) -> [u8; 16] {
    for field in [0..4, 4..6, 6..8] {
        bytes.get_mut(field).unwrap_or_default().reverse();
    }
    bytes
}

fn guid(bytes: [u8; 16]) -> String {
    let digits = hex(&bytes);
    [0..8, 8..12, 12..16, 16..20, 20..32].map(|field| digits.get(field).unwrap_or_default()).join("-")
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_id_becomes_the_id_of_the_protocols_example() {
        let id = [0x3a, 0xe4, 0xb8, 0xdf, 0x42, 0xf2, 0x73, 0x3d, 0xa4, 0x53, 0xae, 0xb6, 0xa7, 0x77, 0xef, 0x75, 0xde, 0xad, 0xbe, 0xef];

        assert_eq!(guid(little_endian(first_bytes(&id))), "dfb8e43a-f242-3d73-a453-aeb6a777ef75");
        assert_eq!(hex(&id), "3ae4b8df42f2733da453aeb6a777ef75deadbeef");
    }
}
