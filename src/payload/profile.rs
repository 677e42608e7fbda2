//! Serialises the profile of a transaction, and chunks of that of the session.

use serde::ser::{SerializeSeq as _, SerializeStruct as _};
use serde::{Serialize, Serializer};

use super::Facts;
use super::machine::{OsVersion, Runtime};
use super::time::readable;
use super::trusted::{Constant, Id};
use crate::event::ProfileCalls;
use crate::profiling::Samples;
use crate::protocol::{EventId, SdkInfo, Timestamp, TraceId};

pub(crate) struct ProfilePayload<'a> {
    pub(crate) id: EventId,
    pub(crate) samples: &'a Samples,
    pub(crate) calls: &'a ProfileCalls,
    pub(crate) transaction: EventId,
    /// The name of the transaction.
    pub(crate) name: &'a str,
    pub(crate) trace_id: TraceId,
    pub(crate) facts: &'a Facts,
}

impl ProfilePayload<'_> {
    /// It shows a server that the names are those of Rust. Events are `native`: for them, servers do not accept `rust`.
    pub(crate) const PLATFORM: &'static str = "rust";
}

impl Serialize for ProfilePayload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { samples, facts, .. } = self;
        let mut out = serializer.serialize_struct("Profile", 11)?;
        out.serialize_field("version", &Constant("1"))?;
        out.serialize_field("event_id", &Id(self.id))?;
        out.serialize_field("platform", &Constant(Self::PLATFORM))?;
        if let Some(release) = &facts.release {
            out.serialize_field("release", release)?;
        }
        out.serialize_field("environment", &facts.environment)?;
        out.serialize_field("timestamp", &readable(samples.began_at))?;
        out.serialize_field("device", &Device)?;
        out.serialize_field("os", &OsVersion)?;
        // A runtime without a version makes the profile invalid.
        if Runtime::VERSION.is_some() {
            out.serialize_field("runtime", &Runtime)?;
        }
        out.serialize_field("transaction", &OfTransaction(self))?;
        out.serialize_field("profile", &Content { samples, calls: self.calls, times: Times::Elapsed })?;
        out.end()
    }
}

pub(crate) struct ChunkPayload<'a> {
    pub(crate) profiler_id: EventId,
    pub(crate) chunk_id: EventId,
    pub(crate) samples: &'a Samples,
    pub(crate) calls: &'a ProfileCalls,
    pub(crate) facts: &'a Facts,
}

impl Serialize for ChunkPayload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { samples, calls, facts, .. } = *self;
        let mut out = serializer.serialize_struct("ProfileChunk", 8)?;
        out.serialize_field("version", &Constant("2"))?;
        out.serialize_field("profiler_id", &Id(self.profiler_id))?;
        out.serialize_field("chunk_id", &Id(self.chunk_id))?;
        out.serialize_field("platform", &Constant(ProfilePayload::PLATFORM))?;
        if let Some(release) = &facts.release {
            out.serialize_field("release", release)?;
        }
        out.serialize_field("environment", &facts.environment)?;
        out.serialize_field("client_sdk", &ClientSdk)?;
        out.serialize_field("profile", &Content { samples, calls, times: Times::Wall })?;
        out.end()
    }
}

struct ClientSdk;

impl Serialize for ClientSdk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(Constant("name"), Constant(SdkInfo::NAME)), (Constant("version"), Constant(SdkInfo::VERSION))])
    }
}

struct Device;

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(Constant("architecture"), Constant(std::env::consts::ARCH))])
    }
}

/// The number of a thread in this profile: its place among the threads, from 1. The system's own number is an address.
fn thread_number(samples: &Samples, id: u64) -> usize {
    samples.threads.iter().position(|thread| thread.id == id).map_or(0, |place| place + 1)
}

struct OfTransaction<'a>(&'a ProfilePayload<'a>);

impl Serialize for OfTransaction<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("OfTransaction", 4)?;
        out.serialize_field("id", &Id(self.0.transaction))?;
        out.serialize_field("name", self.0.name)?;
        out.serialize_field("trace_id", &Id(self.0.trace_id))?;
        // The first of the threads that polled the transaction.
        out.serialize_field("active_thread_id", &Constant("1"))?;
        out.end()
    }
}

struct Content<'a> {
    samples: &'a Samples,
    calls: &'a ProfileCalls,
    times: Times,
}

/// How the times of samples are written.
#[derive(Clone, Copy)]
enum Times {
    /// In nanoseconds since the start.
    Elapsed,
    /// On the wall clock.
    Wall,
}

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { samples, calls, times } = *self;
        let mut out = serializer.serialize_struct("Content", 4)?;
        out.serialize_field("samples", &Rows(samples, calls, times))?;
        out.serialize_field("stacks", &calls.stacks)?;
        out.serialize_field("frames", &calls.frames)?;
        out.serialize_field("thread_metadata", &Threads(samples))?;
        out.end()
    }
}

struct Rows<'a>(&'a Samples, &'a ProfileCalls, Times);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(samples, calls, times) = self;
        let mut rows = serializer.serialize_seq(Some(samples.taken.len()))?;
        for (sample, stack) in samples.taken.iter().zip(&calls.of_samples) {
            let at = match times {
                Times::Elapsed => At::Elapsed(sample.at.saturating_sub(samples.began_at)),
                Times::Wall => At::Wall(Timestamp::from_nanos(sample.at)),
            };
            let thread = thread_number(samples, sample.thread);
            rows.serialize_element(&Row { at, stack: *stack, thread })?;
        }
        rows.end()
    }
}

enum At {
    Elapsed(u64),
    Wall(Timestamp),
}

struct Row {
    at: At,
    stack: usize,
    thread: usize,
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Row", 3)?;
        match &self.at {
            // A text, as SDKs write it; servers take a number, too.
            At::Elapsed(nanos) => out.serialize_field("elapsed_since_start_ns", &Id(&*nanos.to_string()))?,
            At::Wall(time) => out.serialize_field("timestamp", time)?,
        }
        out.serialize_field("stack_id", &self.stack)?;
        // A text: servers refuse a number.
        out.serialize_field("thread_id", &Id(&*self.thread.to_string()))?;
        out.end()
    }
}

struct Threads<'a>(&'a Samples);

#[derive(Serialize)]
struct ThreadName<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

impl Serialize for Threads<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let named = |(place, name): (usize, _)| ((place + 1).to_string(), ThreadName { name });
        let threads: Vec<_> = self.0.threads.iter().map(|thread| thread.name.as_deref()).enumerate().map(named).collect();
        serializer.collect_map(threads.iter().map(|(number, name)| (Id(&**number), name)))
    }
}
