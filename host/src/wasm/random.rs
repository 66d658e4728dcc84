//! Random numbers that a run draws again when it is called again: streams that follow from a secret and the run.

use std::convert::Infallible;
use std::sync::Arc;

use chacha20::ChaCha20Rng;
use rand::{SeedableRng, TryRng};
use sha2::{Digest, Sha256};
use twox_hash::XxHash3_64;

use crate::domain::RunId;

/// What all streams of a data directory follow from; nobody outside may guess a run's numbers.
#[derive(Clone)]
pub struct Secret(Arc<[u8; 32]>);

/// What the streams of one attempt follow from.
#[derive(Clone)]
pub struct Seed {
    secret: Secret,
    run: RunId,
    attempt: u32,
}

/// One of an attempt's streams.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Secure = 1,
    Insecure = 2,
}

impl Secret {
    pub fn new(secret: [u8; 32]) -> Secret {
        Secret(Arc::new(secret))
    }

    /// The seed of an attempt of a task. All executions of a flow have the same: that of attempt 0.
    pub fn of(&self, run: RunId, attempt: u32) -> Seed {
        Seed { secret: self.clone(), run, attempt }
    }
}

impl Seed {
    pub(super) fn stream(&self, purpose: Purpose) -> Stream {
        Stream { seed: self.clone(), purpose, rng: None }
    }

    /// What hash maps are seeded with: cheap, since each sandbox has one and few ask for it.
    pub(super) fn of_hashes(&self) -> u128 {
        let secret = &self.secret.0;
        let half = |key: &[u8]| {
            let key = u64::from_le_bytes(key.try_into().expect("eight bytes were taken"));
            XxHash3_64::oneshot_with_seed(key ^ u64::from(self.attempt), self.run.as_bytes())
        };
        u128::from(half(&secret[..8])) << 64 | u128::from(half(&secret[8..16]))
    }
}

/// A stream of random bytes, begun when it is first asked: most guests never do.
pub(super) struct Stream {
    seed: Seed,
    purpose: Purpose,
    rng: Option<Box<ChaCha20Rng>>,
}

impl Stream {
    fn rng(&mut self) -> &mut ChaCha20Rng {
        let Stream { seed, purpose, rng } = self;
        rng.get_or_insert_with(|| {
            let key = Sha256::new()
                .chain_update(*seed.secret.0)
                .chain_update(seed.run.as_bytes())
                .chain_update(seed.attempt.to_be_bytes())
                .chain_update([*purpose as u8])
                .finalize();
            Box::new(ChaCha20Rng::from_seed(key.into()))
        })
    }
}

impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.rng().try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.rng().try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.rng().try_fill_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;
    use uuid::Uuid;

    #[test]
    fn a_stream_is_the_same_each_time_and_another_for_another_attempt_purpose_and_secret() {
        let draw = |secret: u8, attempt: u32, purpose: Purpose| {
            Secret::new([secret; 32]).of(RunId(Uuid::from_u128(7)), attempt).stream(purpose).next_u64()
        };
        let all = [
            draw(1, 0, Purpose::Secure),
            draw(1, 1, Purpose::Secure),
            draw(1, 0, Purpose::Insecure),
            draw(2, 0, Purpose::Secure),
        ];
        assert_eq!(all[0], draw(1, 0, Purpose::Secure));
        assert!((1..4).all(|n| !all[..n].contains(&all[n])), "{all:?}");
    }
}
