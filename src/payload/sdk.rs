//! The SDK's name and version as constants, with the contents of [`SdkInfo::current`].
//!
//! Each payload contains them twice. Constants save 2 % of a transaction with five spans.

use serde::Serialize;

use super::trusted::Constant;
use crate::protocol::SdkInfo;

#[inline]
pub(super) fn sdk() -> ConstantSdk {
    ConstantSdk {
        name: Constant(SdkInfo::NAME),
        version: Constant(SdkInfo::VERSION),
        packages: [ConstantPackage { name: Constant(SdkInfo::PACKAGE), version: Constant(SdkInfo::VERSION) }],
        settings: ConstantSettings { infer_ip: Constant(SdkInfo::INFER_IP) },
    }
}

#[derive(Serialize)]
pub(super) struct ConstantSdk {
    name: Constant,
    version: Constant,
    packages: [ConstantPackage; 1],
    settings: ConstantSettings,
}

#[derive(Serialize)]
struct ConstantPackage {
    name: Constant,
    version: Constant,
}

#[derive(Serialize)]
struct ConstantSettings {
    infer_ip: Constant,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_equals_the_protocols_value() {
        let (ours, protocols) = (serde_json::to_value(sdk()).ok(), serde_json::to_value(SdkInfo::current()).ok());

        assert!(ours.is_some());
        assert_eq!(ours, protocols);
    }
}
