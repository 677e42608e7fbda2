//! Resolves addresses to names and lines, on the exporter's thread.
//!
//! The debug information is read here and not by the `backtrace` crate, which holds a lock of the
//! process while it reads, for up to half a second. Walking a stack needs that lock too: a request
//! that fails meanwhile would wait for it.

use std::path::{Path, PathBuf};

use addr2line::Loader;
use findshlibs::{Segment as _, SharedLibrary as _, SharedLibraryId, TargetSharedLibrary};

use super::{images, in_app};
use crate::fork::Lock;
use crate::protocol::Frame;
use crate::unwind;

/// Debug information stays open for at most this many binaries of the process.
const BINARIES_LIMIT: usize = 8;

/// The debug information that was read: each exporter of the process needs the same.
static READ: Lock<Vec<Binary>> = Lock::of_first(Vec::new());

/// A loaded binary whose debug information was read.
struct Binary {
    path: PathBuf,
    /// None if the file is gone, or has a format that is not known.
    loader: Option<Loader>,
}

/// Where a loaded binary lies in memory.
struct Image {
    path: PathBuf,
    /// A file with its debug information, where the system keeps such files.
    debug_path: Option<PathBuf>,
    /// What to subtract from an address to get the one in the file.
    bias: usize,
    ranges: Vec<(usize, usize)>,
}

/// Returns the frames of the addresses, innermost first: of an inlined call more than one.
///
/// An address without a name becomes a frame with that address alone.
pub(super) fn resolve(addresses: &[usize]) -> Vec<Frame> {
    if addresses.is_empty() {
        return Vec::new();
    }
    let images = images();
    let mut read = READ.lock();
    let mut frames = Vec::with_capacity(addresses.len());
    for address in addresses {
        let before = frames.len();
        let image = images.iter().find(|image| image.ranges.iter().any(|(start, end)| (start..end).contains(&address)));
        if let Some(image) = image {
            let loader = loader(&mut read, image);
            let probe = address.wrapping_sub(image.bias) as u64;
            // Debug information may be damaged.
            let _ = unwind::catch(|| loader.and_then(|loader| at(loader, probe, &mut frames)));
        }
        #[cfg(windows)]
        if frames.len() == before {
            by_system(*address, &mut frames);
        }
        if frames.len() == before {
            frames.push(Frame::default());
        }
        for frame in frames.iter_mut().skip(before) {
            frame.instruction_addr = Some(format!("{address:#x}"));
        }
    }
    frames
}

fn images() -> Vec<Image> {
    let mut images = Vec::new();
    TargetSharedLibrary::each(|library| {
        let ranges = library.segments().map(|segment| {
            let start = segment.actual_virtual_memory_address(library).0;
            (start, start + segment.len())
        });
        images.push(Image {
            path: PathBuf::from(library.name()),
            debug_path: library.id().and_then(|id| debug_path(&id)),
            bias: library.virtual_memory_bias().0,
            ranges: ranges.collect(),
        });
    });
    images
}

/// The path at which distributions install the debug information of a stripped binary.
fn debug_path(id: &SharedLibraryId) -> Option<PathBuf> {
    let SharedLibraryId::GnuBuildId(id) = id else { return None };
    let (first, rest) = id.split_first()?;
    Some(PathBuf::from(format!("/usr/lib/debug/.build-id/{first:02x}/{}.debug", images::hex(rest))))
}

/// Returns the debug information of a binary, and reads it the first time.
fn loader<'r>(read: &'r mut Vec<Binary>, image: &Image) -> Option<&'r Loader> {
    let known = read.iter().position(|binary| binary.path == image.path);
    let at = known.unwrap_or_else(|| {
        if read.len() >= BINARIES_LIMIT {
            read.pop();
        }
        read.push(Binary { path: image.path.clone(), loader: unwind::catch(|| open(image)).flatten() });
        read.len() - 1
    });
    read.get(at)?.loader.as_ref()
}

fn open(image: &Image) -> Option<Loader> {
    // A deployment may have replaced the program's file while the program runs.
    const RUNNING: &str = "/proc/self/exe";
    let is_program = std::env::current_exe().is_ok_and(|program| program == image.path);
    let paths = [image.debug_path.as_deref(), Some(&image.path), is_program.then_some(Path::new(RUNNING))];
    paths.into_iter().flatten().filter(|path| path.is_file()).find_map(|path| Loader::new(path).ok())
}

/// Adds the frames at an address of a file.
fn at(loader: &Loader, probe: u64, frames: &mut Vec<Frame>) -> Option<()> {
    let before = frames.len();
    let mut found = loader.find_frames(probe).ok()?;
    while let Ok(Some(frame)) = found.next() {
        let name = frame.function.as_ref().and_then(|function| Some(function.demangle().ok()?.into_owned()));
        let (file, line, column) = frame.location.map_or((None, None, None), |place| (place.file, place.line, place.column));
        frames.push(named(name, file, line, column));
    }
    // The symbol table knows the whole name of the outermost function; line tables alone do not.
    let symbol = || loader.find_symbol(probe).map(|name| addr2line::demangle_auto(name.into(), None).into_owned());
    match frames.get_mut(before..)?.last_mut() {
        None => frames.extend(symbol().map(|name| named(Some(name), None, None, None))),
        Some(outermost) if !outermost.function.as_deref().is_some_and(|name| name.contains("::")) => {
            if let Some(name) = symbol() {
                set_function(outermost, &name);
            }
        }
        Some(_) => {}
    }
    Some(())
}

/// Adds the frames at an address, as the system's library reads them from a PDB file.
///
/// It holds the lock of the process meanwhile.
#[cfg(windows)]
fn by_system(address: usize, frames: &mut Vec<Frame>) {
    backtrace::resolve(address as *mut std::ffi::c_void, |symbol| {
        let name = symbol.name().map(|name| format!("{name:#}"));
        let path = symbol.filename().map(|path| path.to_string_lossy().into_owned());
        frames.push(named(name, path.as_deref(), symbol.lineno(), symbol.colno()));
    });
}

fn named(name: Option<String>, file: Option<&str>, line: Option<u32>, column: Option<u32>) -> Frame {
    let mut frame = Frame {
        filename: file.map(|file| in_app::relative(file).to_owned()),
        abs_path: file.map(str::to_owned),
        lineno: line.filter(|line| *line > 0),
        colno: column.filter(|column| *column > 0),
        ..Frame::default()
    };
    if let Some(name) = name {
        set_function(&mut frame, &name);
    }
    frame
}

pub(super) fn set_function(frame: &mut Frame, name: &str) {
    let name = in_app::without_hash(name);
    frame.module = in_app::module(name).map(str::to_owned);
    frame.function = Some(name.to_owned());
}
