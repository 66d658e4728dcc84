//! Holds the memory limit of one sandbox.

use wasmtime::ResourceLimiter;

use super::failure::Stop;
use crate::domain::FailureKind;

/// Elements of all tables of one sandbox together, 8 bytes each: no more than one table of the pool has, so that the
/// same guest ends the same way in the pool and on demand.
const MAX_TABLE_ELEMENTS: usize = super::engine::TABLE_ELEMENTS;

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
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // The guest's own maximum is no limit of ours: it is told no, and nothing is counted.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        // With 64-bit addresses a guest can ask for nearly 2^64 bytes.
        let total = self.used_bytes.saturating_add(desired.saturating_sub(current) as u64);
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

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // In the pool the maximum is ours where the guest has none.
        if maximum.is_some_and(|maximum| desired > maximum && maximum < MAX_TABLE_ELEMENTS) {
            return Ok(false);
        }
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
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
