//! Resolves addresses to names and lines, on the exporter's thread.
//!
//! The debug information is read here and not by the `backtrace` crate, which holds a lock of the
//! process while it reads, for up to half a second. Walking a stack needs that lock too: a request
//! that fails meanwhile would wait for it.
//!
//! The debug information stays in memory until the process had no failure and no profile for a minute.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use addr2line::Loader;
use findshlibs::{Segment as _, SharedLibrary as _, SharedLibraryId, TargetSharedLibrary};

use super::{images, in_app};
use crate::fork::Lock;
use crate::protocol::Frame;
use crate::unwind;

/// Debug information stays open for at most this many binaries of the process.
const BINARIES_LIMIT: usize = 8;

/// The frames of at most this many addresses of each binary are kept.
const ADDRESSES_LIMIT: usize = 1000;
/// Debug information is freed after this time without a failure. For a large program it takes 100 MiB and more.
const KEPT: Duration = Duration::from_secs(60);

/// Shared by all exporters of the process.
pub(crate) static SYMBOLS: Symbols = Symbols::new();

/// The debug information that was read.
pub(crate) struct Symbols {
    read: Lock<Vec<Binary>>,
    /// When the debug information is freed, if there is any.
    ///
    /// It has its own lock, because the other one is held while debug information is read.
    kept_until: Lock<Option<Instant>>,
}

/// A loaded binary whose debug information was read.
struct Binary {
    path: PathBuf,
    /// None if the file is gone, or has a format that is not known.
    loader: Option<Loader>,
    /// The frames of addresses in the file, because the same failures come again and again.
    found: HashMap<u64, Vec<Frame>>,
}

/// Where a loaded binary lies in memory.
struct Image {
    path: PathBuf,
    /// The file with its debug information in the system's folder for such files, if there is one.
    debug_path: Option<PathBuf>,
    /// The difference between an address in memory and the one in the file.
    bias: usize,
    ranges: Vec<(usize, usize)>,
}

impl Symbols {
    const fn new() -> Self {
        Self { read: Lock::of_first(Vec::new()), kept_until: Lock::of_first(None) }
    }

    /// Returns the frames of the addresses, innermost first. An address with inlined calls has several.
    ///
    /// An address without a name becomes a frame with only that address.
    pub(crate) fn resolve(&self, addresses: &[usize], now: Instant) -> Vec<Frame> {
        self.resolve_each(addresses, now).concat()
    }

    /// Returns the frames of each address, innermost first.
    pub(crate) fn resolve_each(&self, addresses: &[usize], now: Instant) -> Vec<Vec<Frame>> {
        if addresses.is_empty() {
            return Vec::new();
        }
        let images = images();
        let mut read = self.read.lock();
        *self.kept_until.lock() = Some(now + KEPT);
        let frames_of = |address: &usize| {
            let mut frames = Vec::new();
            let image = images.iter().find(|image| image.ranges.iter().any(|(start, end)| (start..end).contains(&address)));
            if let Some(image) = image {
                let probe = address.wrapping_sub(image.bias) as u64;
                frames.extend_from_slice(binary(&mut read, image).map_or(&[], |binary| binary.at(probe)));
            }
            #[cfg(windows)]
            if frames.is_empty() {
                by_system(*address, &mut frames);
            }
            if frames.is_empty() {
                frames.push(Frame::default());
            }
            for frame in &mut frames {
                frame.instruction_addr = Some(format!("{address:#x}"));
            }
            frames
        };
        addresses.iter().map(frames_of).collect()
    }

    /// When [`give_back`](Self::give_back) has something to do.
    pub(crate) fn give_back_at(&self) -> Option<Instant> {
        *self.kept_until.lock()
    }

    /// Frees the debug information if no failure has needed it for a minute.
    pub(crate) fn give_back(&self, now: Instant) {
        if self.give_back_at().is_some_and(|at| at <= now) {
            self.read.lock().clear();
            *self.kept_until.lock() = None;
        }
    }
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

/// Returns a binary, and reads its debug information the first time.
fn binary<'r>(read: &'r mut Vec<Binary>, image: &Image) -> Option<&'r mut Binary> {
    let known = read.iter().position(|binary| binary.path == image.path);
    let at = known.unwrap_or_else(|| {
        if read.len() >= BINARIES_LIMIT {
            read.pop();
        }
        read.push(Binary { path: image.path.clone(), loader: unwind::catch(|| open(image)).flatten(), found: HashMap::new() });
        read.len() - 1
    });
    read.get_mut(at)
}

impl Binary {
    /// Returns the frames at an address of the file, innermost first.
    fn at(&mut self, probe: u64) -> &[Frame] {
        if self.found.len() >= ADDRESSES_LIMIT {
            self.found.clear();
        }
        self.found.entry(probe).or_insert_with(|| {
            let mut frames = Vec::new();
            // Damaged debug information may make the reader panic.
            let _ = unwind::catch(|| self.loader.as_ref().and_then(|loader| at(loader, probe, &mut frames)));
            frames
        })
    }
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
    // The symbol table has the full name of the outermost function. Line tables alone do not.
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
/// Meanwhile it holds the lock of the process.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> usize {
        let mut here = 0;
        backtrace::trace(|frame| {
            here = frame.ip() as usize - 1;
            false
        });
        here
    }

    #[test]
    fn what_was_read_is_kept_for_a_minute_after_the_last_failure() {
        let (symbols, here, start) = (Symbols::new(), [here()], Instant::now());
        let second = Duration::from_secs(1);
        let has_read = |symbols: &Symbols| !symbols.read.lock().is_empty();
        let before = symbols.give_back_at();

        symbols.resolve(&here, start);
        symbols.resolve(&here, start + 30 * second);
        symbols.give_back(start + 89 * second);
        let kept = has_read(&symbols);
        let at = symbols.give_back_at().map(|at| at - start);
        symbols.give_back(start + 90 * second);

        assert_eq!((before, kept, at), (None, true, Some(90 * second)));
        assert_eq!((has_read(&symbols), symbols.give_back_at()), (false, None), "an idle service is not woken again");
        assert!(symbols.resolve(&here, start).iter().any(|frame| frame.function.is_some()), "it is read again");
    }

    #[test]
    fn an_address_is_looked_up_once_and_not_all_addresses_are_kept() {
        let (symbols, here) = (Symbols::new(), here());
        let first = symbols.resolve(&[here], Instant::now());
        for frame in symbols.read.lock().iter_mut().flat_map(|binary| binary.found.values_mut()).flatten() {
            frame.function = Some("of the first lookup".to_owned());
        }

        let again = symbols.resolve(&[here], Instant::now());
        let many: Vec<_> = (1..=3 * ADDRESSES_LIMIT).map(|below| here - below).collect();
        symbols.resolve(&many, Instant::now());

        assert_eq!(again.len(), first.len());
        assert!(again.iter().all(|frame| frame.function.as_deref() == Some("of the first lookup")));
        assert!(symbols.read.lock().iter().all(|binary| binary.found.len() <= ADDRESSES_LIMIT));
    }
}
