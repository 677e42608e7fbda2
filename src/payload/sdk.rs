//! The SDK's name and version, as in [`SdkInfo::current`], but written from constants.
//!
//! Each payload contains them twice.

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::Word;
use crate::protocol::SdkInfo;

pub(super) struct Sdk;

impl Serialize for Sdk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("SdkInfo", 4)?;
        out.serialize_field("name", &Word(SdkInfo::NAME))?;
        out.serialize_field("version", &Word(SdkInfo::VERSION))?;
        out.serialize_field("packages", &[Package])?;
        out.serialize_field("settings", &Settings)?;
        out.end()
    }
}

struct Package;

impl Serialize for Package {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("SdkPackage", 2)?;
        out.serialize_field("name", &Word(SdkInfo::PACKAGE))?;
        out.serialize_field("version", &Word(SdkInfo::VERSION))?;
        out.end()
    }
}

struct Settings;

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("SdkSettings", 1)?;
        out.serialize_field("infer_ip", &Word(SdkInfo::INFER_IP))?;
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_the_protocols_value_says() {
        let (ours, protocols) = (serde_json::to_value(Sdk).ok(), serde_json::to_value(SdkInfo::current()).ok());

        assert!(ours.is_some());
        assert_eq!(ours, protocols);
    }
}
