//! Stands for the OpenTelemetry collector in a build without the feature `otlp`.

use std::sync::Arc;
use std::time::Instant;

use super::gzip::Gzip;
use super::outbound::Outbound;
use super::settings::ExporterSettings;
use super::shared::Shared;
use crate::protocol::DiscardReason;

/// Never exists.
pub(super) enum Collector {}

impl Collector {
    pub(super) fn of(_: &ExporterSettings, _: &Arc<Shared>) -> Option<Self> {
        None
    }

    pub(super) fn add(&mut self, _: &Outbound, _: Instant) {
        match *self {}
    }

    pub(super) fn settle(&mut self, _: Instant) {
        match *self {}
    }

    pub(super) fn go_on(&mut self, _: &mut Gzip, _: Instant, _: bool) {
        match *self {}
    }

    pub(super) fn next_look(&self, _: Instant) -> Option<Instant> {
        match *self {}
    }

    pub(super) fn is_idle(&self) -> bool {
        match *self {}
    }

    pub(super) fn oldest(&self) -> Option<u64> {
        match *self {}
    }

    pub(super) fn spans(&self) -> u64 {
        match *self {}
    }

    pub(super) fn hurry(&mut self) {
        match *self {}
    }

    pub(super) fn give_up(&mut self, _: DiscardReason) -> u64 {
        match *self {}
    }
}
