//! Tests of a program that is also what they test, so that it has a `main` of its own.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// A test's name is its function's.
#[macro_export]
macro_rules! trials {
    ($($test:ident),* $(,)?) => {
        pub(crate) fn tests() -> Vec<libtest_mimic::Trial> {
            vec![$($crate::trials::trial(stringify!($test), $test)),*]
        }
    };
}

pub(crate) fn trial(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}

pub(crate) fn run(tests: impl IntoIterator<Item = Vec<Trial>>) -> ExitCode {
    let tests = tests.into_iter().flatten().collect();
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}
