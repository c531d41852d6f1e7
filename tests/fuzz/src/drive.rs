//! A short run of a target that is the same each time.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::Duration,
};

use tokio::time::Instant;

/// An input that takes longer counts as one that never ends; this machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// The longest input that is made up here.
const LONGEST: usize = 64 << 10;

/// Runs every file of the folder, and so many variations of each.
///
/// # Panics
/// The target does, or takes too long: then the input is told.
pub fn drive(target: impl Fn(&[u8]), corpus: &Path, variations: u32) {
    let entries = fs::read_dir(corpus).expect("there is a corpus");
    let mut files: Vec<_> = entries.map(|it| it.expect("it can be listed").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", corpus.display());
    let inputs: Vec<_> = files.iter().map(|it| fs::read(it).expect("it can be read")).collect();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for (file, input) in files.iter().zip(&inputs) {
        run(&target, input, &file.display().to_string());
        for variation in 0..variations {
            let other = &inputs[dice.below(inputs.len())];
            let varied = vary(input, other, &mut dice);
            run(&target, &varied, &format!("variation {variation} of {}", file.display()));
        }
    }
}

fn run(target: &impl Fn(&[u8]), input: &[u8], name: &str) {
    let began = Instant::now();
    let told = || format!("{name}:\n{}", input.escape_ascii());
    assert!(catch_unwind(AssertUnwindSafe(|| target(input))).is_ok(), "{}", told());
    assert!(began.elapsed() < PATIENCE, "it took {:?}: {}", began.elapsed(), told());
}

/// Some bytes of it are others, missing, there again, or from somewhere else.
fn vary(input: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = input.to_owned();
    for _ in 0..=dice.below(4) {
        let (at, length) = (dice.below(bytes.len() + 1), dice.below(16));
        let end = (at + length).min(bytes.len());
        match dice.below(5) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            0 | 1 => bytes.insert(at, u8::try_from(dice.below(256)).unwrap_or_default()),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let again = bytes[at..end].repeat(1 + dice.below(50));
                bytes.splice(at..at, again);
            }
            _ => {
                let from = dice.below(other.len() + 1);
                let to = (from + dice.below(200)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

/// The same throws each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bound = u64::try_from(bound.max(1)).expect("a length is small");
        usize::try_from(self.0 % bound).expect("it is below a length")
    }
}
