//! Texts of any kind, as files to be read. Nothing of them may cause a panic, take for ever, or fill
//! the memory.
//!
//! Python is taken as far as the code that would be run: what that may do is limited where it runs.

use std::{path::Path, thread};

use rustpython_vm::compiler;

use super::{
    Format, Options, Outcome,
    errors::{ConfigError, Origin},
    python::{STACK_BYTES, dialect},
    read_data,
};

/// As much as a program begins with.
const USUAL_STACK: usize = 8 << 20;

/// The first byte says which language it is.
pub(crate) fn configuration(input: &[u8]) {
    let Some((language, text)) = input.split_first() else { return };
    let text = String::from_utf8_lossy(text).into_owned();
    let (read, stack): (fn(&str), _) = match language % 3 {
        0 => (|text| data(text, Format::Json), USUAL_STACK),
        1 => (|text| data(text, Format::Yaml), USUAL_STACK),
        _ => (python, STACK_BYTES),
    };
    let thread = thread::Builder::new().stack_size(stack);
    let reading = thread.spawn(move || read(&text)).expect("there is room for a thread");
    assert!(reading.join().is_ok(), "it panicked");
}

fn data(text: &str, format: Format) {
    let options = Options { user: Some("me".into()), ..Options::default() };
    let outcome = read_data(Path::new("it"), text, format, &options);
    let Outcome { jobs, tasks, mistakes, sources, .. } = outcome;
    assert!(!mistakes.is_empty() || !jobs.is_empty() || !tasks.is_empty() || is_empty(text));
    if !mistakes.is_empty() {
        let error = ConfigError::located(mistakes, &sources);
        assert!(!error.to_string().is_empty(), "a refusal says why");
        // As a terminal shows it, with the lines.
        assert!(!format!("{:?}", miette::Report::new(error)).is_empty());
    }
}

/// `{"jobs": []}` says nothing, and rightly.
fn is_empty(text: &str) -> bool {
    text.contains("jobs")
}

fn python(text: &str) {
    dialect::misread(text, |line| Origin { file: "it".into(), line });
    for line in text.lines() {
        dialect::advice(line);
    }
    let options = compiler::CompileOpts::default();
    // Whether it is Python is not the question.
    compiler::compile(text, compiler::Mode::Exec, "it", options).ok();
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    #[test]
    fn no_configuration_does_any_harm() {
        let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
        let target = super::configuration;
        airglow_fuzz::drive::drive(target, &corpus.join("configuration"), 100);
    }
}
