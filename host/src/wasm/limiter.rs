//! Holds the memory limit of one sandbox.

use wasmtime::ResourceLimiter;

use super::failure::Stop;
use crate::domain::FailureKind;

/// Elements of all tables of one sandbox together, 8 bytes each.
const MAX_TABLE_ELEMENTS: usize = 1_000_000;

/// Counts memory, summed over all memories, and ends the attempt that asks for more than its limit.
pub struct Limiter {
    limit_bytes: u64,
    used_bytes: u64,
    table_elements: usize,
}

impl Limiter {
    pub fn new(limit_bytes: u64) -> Limiter {
        Limiter { limit_bytes, used_bytes: 0, table_elements: 0 }
    }

    /// The most that the memories held together: they never shrink.
    pub fn peak_bytes(&self) -> u64 {
        self.used_bytes
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.used_bytes + desired.saturating_sub(current) as u64;
        if total > self.limit_bytes {
            return Err(Stop::because(
                FailureKind::OutOfMemory,
                format!(
                    "out of memory: {total} bytes were asked for and the limit is {}; raise `limits.memory_bytes` or process less at a time",
                    self.limit_bytes
                ),
            ));
        }
        self.used_bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements + desired.saturating_sub(current);
        if total > MAX_TABLE_ELEMENTS {
            return Err(Stop::because(
                FailureKind::OutOfMemory,
                format!("out of memory: {total} table elements were asked for and the limit is {MAX_TABLE_ELEMENTS}"),
            ));
        }
        self.table_elements = total;
        Ok(true)
    }
}
