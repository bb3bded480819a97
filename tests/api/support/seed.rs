//! Where what is random in a test begins.

/// Set to a seed that a test printed, this runs it again.
const VARIABLE: &str = "HEADROOM_SEED";

/// A new seed, or the one that was asked for. Printed, which is shown where the test fails.
#[expect(
    clippy::disallowed_methods,
    reason = "what to repeat, said to the tests and not to what they test"
)]
pub(crate) fn seed() -> u64 {
    let seed = match std::env::var(VARIABLE) {
        Ok(text) => text.parse().unwrap_or_else(|error| {
            panic!("{VARIABLE}={text}: {error}; a whole number is accepted")
        }),
        Err(_) => rand::random(),
    };
    println!("{VARIABLE}={seed}");
    seed
}
