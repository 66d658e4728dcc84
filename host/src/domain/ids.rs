//! Identifiers. The ids of siblings are neighbours in order, so that the primary key of runs is also the index of a
//! run's children.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

/// The highest place of a child within one generation, plus one: 20 bits of a child's id.
pub const MAX_CHILDREN: u32 = 1 << 20;

/// A run's identifier: UUIDv7 for a run that a caller submitted, UUIDv8 for a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct RunId(pub Uuid);

impl RunId {
    /// The id of child number `seq` that the run `parent` submitted in `generation`: the same each time it is asked.
    ///
    /// Layout: 48 bits of the parent's time, 54 bits of a hash of parent and generation, 20 bits of `seq`, and the six
    /// bits of version and variant that RFC 9562 asks for.
    pub fn child(parent: RunId, generation: u32, seq: u32) -> RunId {
        RunId::family(parent, generation).child(seq)
    }

    /// The ids of all children that `parent` could have submitted in `generation`.
    pub fn children(parent: RunId, generation: u32) -> RangeInclusive<RunId> {
        let family = RunId::family(parent, generation);
        family.child(0)..=family.child(MAX_CHILDREN - 1)
    }

    /// No run that was submitted at the top at `time` or later has an id before this one.
    pub fn first_at(time: Timestamp) -> RunId {
        RunId(Uuid::from_u128((time.as_millisecond().max(0) as u128) << 80))
    }

    /// The ids of all runs below `run`, and of others that were submitted at its time: a child's id begins with its
    /// parent's time.
    pub fn below(run: RunId) -> RangeInclusive<RunId> {
        let first = (run.0.as_u128() >> 80) << 80;
        RunId(Uuid::from_u128(first))..=RunId(Uuid::from_u128(first | ((1 << 80) - 1)))
    }

    /// The ids of all children of the generation that has the child `run`.
    pub fn siblings(run: RunId) -> RangeInclusive<RunId> {
        let family = Family(run.0.as_u128() & !u128::from(MAX_CHILDREN - 1));
        family.child(0)..=family.child(MAX_CHILDREN - 1)
    }

    /// What the ids of all children of one generation have in common.
    pub fn family(parent: RunId, generation: u32) -> Family {
        let hash = Sha256::new().chain_update(parent.0.as_bytes()).chain_update(generation.to_be_bytes()).finalize();
        let mut hash_bits = u64::from_be_bytes(hash[..8].try_into().expect("a sha-256 has 32 bytes")) >> 10;
        let time = (parent.0.as_u128() >> 80) << 80;
        let low = u128::from(hash_bits & ((1 << 42) - 1)) << 20;
        hash_bits >>= 42;
        let high = u128::from(hash_bits) << 64;
        Family(time | (0x8 << 76) | high | (0b10 << 62) | low)
    }

    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

/// The common part of the ids of one generation's children.
#[derive(Clone, Copy, Debug)]
pub struct Family(u128);

impl Family {
    pub fn child(self, seq: u32) -> RunId {
        debug_assert!(seq < MAX_CHILDREN, "limits.children is capped below the bits of a child's id");
        RunId(Uuid::from_u128(self.0 | u128::from(seq)))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RunId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<RunId, uuid::Error> {
        text.parse().map(RunId)
    }
}

/// The sha-256 of a module's bytes, in lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
#[serde(transparent)]
pub struct Digest(pub std::sync::Arc<str>);

impl Digest {
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(hex(&Sha256::digest(bytes)).into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent() -> RunId {
        "0198f2a0-1234-7abc-8def-0123456789ab".parse().expect("a UUID")
    }

    #[test]
    fn a_child_has_the_same_id_each_time_and_another_in_another_place() {
        assert_eq!(RunId::child(parent(), 1, 7), RunId::child(parent(), 1, 7));
        assert_ne!(RunId::child(parent(), 1, 7), RunId::child(parent(), 1, 8));
        assert_ne!(RunId::child(parent(), 1, 7), RunId::child(parent(), 2, 7));
    }

    #[test]
    fn a_child_id_is_a_uuid_of_version_8_in_the_order_of_its_place() {
        let ids: Vec<RunId> = [0, 1, 2, 1000, MAX_CHILDREN - 1].map(|seq| RunId::child(parent(), 3, seq)).to_vec();
        assert!(ids.is_sorted());
        for id in ids {
            assert_eq!(id.0.get_version_num(), 8);
            assert_eq!(id.0.get_variant(), uuid::Variant::RFC4122);
            assert!(RunId::below(parent()).contains(&id) && RunId::below(parent()).contains(&RunId::child(id, 1, 5)));
            assert!(RunId::children(parent(), 3).contains(&id));
            assert!(!RunId::children(parent(), 4).contains(&id));
        }
    }

    #[test]
    fn a_digest_is_the_sha_256_in_hexadecimal() {
        assert_eq!(Digest::of(b"abc").as_str(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
