//! What one attempt may use, and what it may reach.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::HttpGrant;
use super::ids::MAX_CHILDREN;

/// About ten seconds of straight computation.
pub const DEFAULT_FUEL: u64 = 10_000_000_000;
/// Summed over all memories of the component; also what an instance in the pool may have.
pub const DEFAULT_MEMORY_BYTES: u64 = 256 << 20;
/// Ten minutes, for tasks; a flow waits as long as it must.
pub const DEFAULT_TIMEOUT_MS: u64 = 10 * 60 * 1000;
/// A result is held in memory, journalled and shown: larger data belongs in files.
pub const DEFAULT_OUTPUT_BYTES: u64 = 1 << 20;
/// Enough for ten thousand lines.
pub const DEFAULT_LOG_BYTES: u64 = 1 << 20;
/// Child runs of one generation of a flow.
pub const DEFAULT_CHILDREN: u32 = 100_000;

/// What one attempt may use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Limits {
    /// Units of fuel, about one a WebAssembly instruction.
    pub fuel: u64,
    pub memory_bytes: u64,
    /// Wall time of an attempt; for a flow, of the run with all its waits.
    pub timeout_ms: Option<u64>,
    pub output_bytes: u64,
    pub log_bytes: u64,
    pub children: u32,
}

impl Limits {
    pub fn default_for(kind: super::Kind) -> Limits {
        Limits {
            fuel: DEFAULT_FUEL,
            memory_bytes: DEFAULT_MEMORY_BYTES,
            timeout_ms: (kind == super::Kind::Task).then_some(DEFAULT_TIMEOUT_MS),
            output_bytes: DEFAULT_OUTPUT_BYTES,
            log_bytes: DEFAULT_LOG_BYTES,
            children: DEFAULT_CHILDREN,
        }
    }

    /// These limits with what `patch` names put in their place.
    pub fn patched(&self, patch: &LimitsPatch) -> Limits {
        Limits {
            fuel: patch.fuel.unwrap_or(self.fuel),
            memory_bytes: patch.memory_bytes.unwrap_or(self.memory_bytes),
            timeout_ms: patch.timeout_ms.or(self.timeout_ms),
            output_bytes: patch.output_bytes.unwrap_or(self.output_bytes),
            log_bytes: patch.log_bytes.unwrap_or(self.log_bytes),
            children: patch.children.unwrap_or(self.children),
        }
    }
}

/// Limits that an entry or a submit names; the rest stays as it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsPatch {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub children: Option<u32>,
}

/// The most that an entry, a submit or the server's operator may ask for.
#[derive(Clone, Debug)]
pub struct LimitCaps {
    pub fuel: u64,
    pub memory_bytes: u64,
    pub timeout_ms: u64,
    pub output_bytes: u64,
    pub log_bytes: u64,
    pub children: u32,
}

impl Default for LimitCaps {
    fn default() -> LimitCaps {
        LimitCaps {
            // Half the range, since the engine counts fuel in a signed integer.
            fuel: i64::MAX as u64,
            // What a 32-bit memory can address.
            memory_bytes: 4 << 30,
            // Ten years.
            timeout_ms: 315_360_000_000,
            output_bytes: 64 << 20,
            log_bytes: 64 << 20,
            children: 1_000_000,
        }
    }
}

impl LimitsPatch {
    /// Says which limit is 0 or over its cap, with both values.
    pub fn check(&self, caps: &LimitCaps) -> Result<(), String> {
        debug_assert!(caps.children < MAX_CHILDREN, "a child's place must fit its id");
        let all = [
            ("fuel", self.fuel, caps.fuel),
            ("memory_bytes", self.memory_bytes, caps.memory_bytes),
            ("timeout_ms", self.timeout_ms, caps.timeout_ms),
            ("output_bytes", self.output_bytes, caps.output_bytes),
            ("log_bytes", self.log_bytes.map(|bytes| bytes.max(1)), caps.log_bytes),
            ("children", self.children.map(|count| u64::from(count).max(1)), u64::from(caps.children)),
        ];
        for (name, value, cap) in all {
            match value {
                Some(0) => return Err(format!("`limits.{name}` is 0; the least is 1")),
                Some(value) if value > cap => {
                    return Err(format!("`limits.{name}` is {value}, over the server's maximum of {cap}"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// How the computation of an attempt is measured and interrupted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metering {
    /// By fuel: deterministic, limited by `limits.fuel`.
    #[default]
    Fuel,
    /// By time alone: `limits.fuel` does not hold and no fuel is reported. Which of the two is faster depends on the code.
    Time,
}

/// What the tasks of a run may reach of the host; nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    #[serde(default)]
    pub dirs: Vec<DirGrant>,
    #[serde(default)]
    pub http: Vec<HttpGrant>,
}

/// A directory of the host that tasks may open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DirGrant {
    /// An absolute path on the host.
    pub host: String,
    /// Where the guest sees it, such as `/data`.
    pub guest: String,
    #[serde(default)]
    pub mode: DirMode,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DirMode {
    #[default]
    Ro,
    Rw,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_over_its_cap_is_refused_with_both_values() {
        let patch = LimitsPatch { children: Some(2_000_000), ..LimitsPatch::default() };
        assert_eq!(
            patch.check(&LimitCaps::default()).unwrap_err(),
            "`limits.children` is 2000000, over the server's maximum of 1000000"
        );
    }

    #[test]
    fn a_patch_changes_only_what_it_names() {
        let base = Limits::default_for(super::super::Kind::Flow);
        let patched = base.patched(&LimitsPatch { fuel: Some(5), ..LimitsPatch::default() });
        assert_eq!(patched, Limits { fuel: 5, ..base });
    }
}
