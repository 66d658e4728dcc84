//! When an attempt is tried again, and what becomes of a run after an attempt.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Failure, State, StateCounts};

/// The longest delay, ten years: what is longer is a mistake.
pub const MAX_DELAY_MS: u64 = 315_360_000_000;
/// The most retries that can be asked for.
pub const MAX_RETRIES: u32 = 1000;

/// How often, and after which delays, a failed attempt is tried again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retries {
    /// Attempts after the first.
    #[schema(maximum = 1000)]
    pub max: u32,
    pub delay_ms: Delay,
    pub backoff: Backoff,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_delay_ms: Option<u64>,
    /// Each delay is drawn from delay × [1 - jitter, 1 + jitter].
    #[schema(minimum = 0, maximum = 1)]
    pub jitter: f64,
}

/// One delay, or one for each retry, the last of which repeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Delay {
    One(u64),
    Each(Vec<u64>),
}

impl Default for Delay {
    fn default() -> Delay {
        Delay::One(0)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Backoff {
    #[default]
    Fixed,
    /// Doubles a single delay with each retry.
    Exponential,
}

impl Retries {
    /// Says what is out of range, with the value.
    pub fn check(&self) -> Result<(), String> {
        if self.max > MAX_RETRIES {
            return Err(format!("`retries.max` is {}; the most is {MAX_RETRIES}", self.max));
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(format!("`retries.jitter` is {}; it goes from 0 to 1", self.jitter));
        }
        let delays = match &self.delay_ms {
            Delay::One(delay) => std::slice::from_ref(delay),
            Delay::Each(delays) if delays.is_empty() => return Err("`retries.delay_ms` is an empty list".to_owned()),
            Delay::Each(delays) => delays,
        };
        match delays.iter().chain(&self.max_delay_ms).find(|&&delay| delay > MAX_DELAY_MS) {
            Some(delay) => Err(format!("a retry delay is {delay} ms; the most is {MAX_DELAY_MS} (ten years)")),
            None => Ok(()),
        }
    }

    /// The delay in milliseconds before retry number `retry`, counted from 1; `draw` is a random number from [0, 1).
    pub fn delay_ms(&self, retry: u32, draw: f64) -> u64 {
        debug_assert!(retry >= 1, "retries are counted from 1");
        let base = match &self.delay_ms {
            Delay::Each(delays) => delays.get(retry as usize - 1).or(delays.last()).copied().unwrap_or(0),
            Delay::One(delay) => match self.backoff {
                Backoff::Fixed => *delay,
                Backoff::Exponential => delay.saturating_mul(1 << (retry - 1).min(40)),
            },
        };
        let cap = self.max_delay_ms.unwrap_or(MAX_DELAY_MS);
        let jittered = base.min(cap) as f64 * (1.0 + self.jitter * (2.0 * draw - 1.0));
        (jittered.round() as u64).min(cap)
    }
}

/// What becomes of a run after an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Transition {
    /// The run is over.
    Final(State),
    /// The next attempt starts at this time.
    Retry { at: Timestamp, delay_ms: u64 },
}

/// Whether a durable flow failed by itself although all that it submitted completed: called again it sees the same, but
/// for variables that have changed since.
pub fn would_come_out_the_same(durable: bool, failure: Option<&Failure>, children: Option<&StateCounts>) -> bool {
    durable
        && failure.is_some_and(|failure| failure.kind.is_of_the_guest())
        && children.is_some_and(|states| states.keys().all(|state| *state == State::Completed))
}

/// The state machine of attempts. `attempt` is the number of the attempt that ended, `draw` a random number from [0, 1).
pub fn after_attempt(
    attempt: u32,
    retries: &Retries,
    failure: Option<&Failure>,
    now: Timestamp,
    draw: f64,
) -> Transition {
    let Some(failure) = failure else {
        return Transition::Final(State::Completed);
    };
    if failure.kind == super::FailureKind::Cancelled {
        return Transition::Final(State::Cancelled);
    }
    if failure.may_be_retried() && attempt <= retries.max {
        let delay_ms = retries.delay_ms(attempt, draw);
        let at = now.saturating_add(SignedDuration::from_millis(delay_ms as i64)).unwrap_or(Timestamp::MAX);
        return Transition::Retry { at, delay_ms };
    }
    Transition::Final(if failure.kind.is_ours() { State::Crashed } else { State::Failed })
}

/// Milliseconds as people write them: `2 s`, `1.5 s`, `250 ms`, `2 min`.
pub fn human_ms(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{} s", ms as f64 / 1000.0),
        _ if ms.is_multiple_of(60_000) => format!("{} min", ms / 60_000),
        _ => format!("{} min {} s", ms / 60_000, (ms % 60_000) as f64 / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::FailureKind;
    use super::*;
    use proptest::prelude::*;

    fn delays(retries: &Retries, n: u32) -> Vec<u64> {
        (1..=n).map(|retry| retries.delay_ms(retry, 0.5)).collect()
    }

    #[test]
    fn delays_are_fixed_listed_or_exponential_with_a_cap() {
        let fixed = Retries { max: 3, delay_ms: Delay::One(2000), ..Retries::default() };
        assert_eq!(delays(&fixed, 3), [2000, 2000, 2000]);
        let listed = Retries { delay_ms: Delay::Each(vec![1, 5]), ..fixed.clone() };
        assert_eq!(delays(&listed, 4), [1, 5, 5, 5]);
        let exponential = Retries { backoff: Backoff::Exponential, max_delay_ms: Some(9000), ..fixed };
        assert_eq!(delays(&exponential, 5), [2000, 4000, 8000, 9000, 9000]);
    }

    #[test]
    fn what_becomes_of_a_run_after_an_attempt() {
        use FailureKind::*;
        let two = Retries { max: 2, delay_ms: Delay::One(1000), ..Retries::default() };
        let retry = Transition::Retry { at: Timestamp::from_second(1).expect("in range"), delay_ms: 1000 };
        let table = [
            (1, None, Transition::Final(State::Completed)),
            (1, Some(TaskError), retry.clone()),
            (2, Some(Trapped), retry),
            (3, Some(TaskError), Transition::Final(State::Failed)),
            (1, Some(OutOfFuel), Transition::Final(State::Failed)),
            (1, Some(OutOfMemory), Transition::Final(State::Failed)),
            (1, Some(CorruptRecord), Transition::Final(State::Crashed)),
            (1, Some(Cancelled), Transition::Final(State::Cancelled)),
        ];
        for (attempt, kind, expected) in table {
            let failure = kind.map(|kind| Failure::new(kind, "x"));
            let got = after_attempt(attempt, &two, failure.as_ref(), Timestamp::UNIX_EPOCH, 0.5);
            assert_eq!(got, expected, "attempt {attempt} ended with {kind:?}");
        }
    }

    proptest! {
        #[test]
        fn a_delay_stays_within_its_jitter_and_its_cap(
            base in 0..=MAX_DELAY_MS, retry in 1..=MAX_RETRIES, jitter in 0.0..=1.0f64, draw in 0.0..1.0f64,
            cap in proptest::option::of(0..=MAX_DELAY_MS),
        ) {
            let retries = Retries {
                max: MAX_RETRIES, delay_ms: Delay::One(base), backoff: Backoff::Exponential, max_delay_ms: cap, jitter,
            };
            prop_assert!(retries.delay_ms(retry, draw) <= cap.unwrap_or(MAX_DELAY_MS));
            let fixed = Retries { backoff: Backoff::Fixed, max_delay_ms: None, ..retries };
            let delay = fixed.delay_ms(retry, draw) as f64;
            prop_assert!(delay >= (base as f64 * (1.0 - jitter)).floor());
        }
    }

    #[test]
    fn durations_read_well() {
        assert_eq!([250, 2000, 1500, 120_000, 90_000].map(human_ms), ["250 ms", "2 s", "1.5 s", "2 min", "1 min 30 s"]);
    }
}
