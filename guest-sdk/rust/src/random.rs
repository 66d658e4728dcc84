//! Random numbers. The host seeds every run, so that a recorded flow draws the same numbers when it is replayed.

use std::ops::RangeInclusive;

/// The values of an `f64` between 0 and 1 that are evenly spaced: 53 bits of mantissa.
const STEPS: f64 = (1_u64 << 53) as f64;

/// A number from 0 up to, but not including, 1.
pub fn random() -> f64 {
    (crate::backend::random_bits() >> 11) as f64 / STEPS
}

/// A whole number of the range, both ends included: `random_range(1..=6)`.
///
/// # Panics
/// When the range is empty.
pub fn random_range<T: Whole>(range: RangeInclusive<T>) -> T {
    let (low, high) = (range.start().widen(), range.end().widen());
    assert!(low <= high, "the range {low}..={high} is empty");
    // Scales 64 random bits to the range; the bias is below 2^-32 for ranges of up to 2^32 values.
    let width = high.abs_diff(low) + 1;
    let offset = (u128::from(crate::backend::random_bits()) * width) >> 64;
    T::narrow(low + offset as i128)
}

/// The whole numbers of up to 64 bits.
pub trait Whole: Copy {
    #[doc(hidden)]
    fn widen(self) -> i128;
    #[doc(hidden)]
    fn narrow(value: i128) -> Self;
}

macro_rules! whole {
    ($($number:ty),*) => {$(
        impl Whole for $number {
            fn widen(self) -> i128 {
                self as i128
            }
            fn narrow(value: i128) -> Self {
                value as $number
            }
        }
    )*};
}

whole!(u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);
