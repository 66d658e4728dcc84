//! Tests that draw, and can be repeated: `TAREFA_TEST_SEED` takes the number that a test printed.

use rand::SeedableRng;
use rand::rngs::StdRng;

/// Says on stdout, which a test that fails shows, how to have the same draws again.
pub fn seed() -> u64 {
    let seed = match std::env::var("TAREFA_TEST_SEED") {
        Ok(text) => text.parse().expect("`TAREFA_TEST_SEED` is a whole number"),
        Err(_) => rand::random(),
    };
    println!("TAREFA_TEST_SEED={seed} has the same draws again");
    seed
}

/// Draws that depend on the seed and a number alone, so that what one test draws moves nothing of another.
pub fn draws(seed: u64, number: u64) -> StdRng {
    StdRng::seed_from_u64(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}
