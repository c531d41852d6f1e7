//! What is wrong with a configuration, and where.
//!
//! `Display` is for one line in a log or a script: the message in its usual words and the place in
//! brackets. As a [`miette::Diagnostic`] the same error shows the lines themselves.

use std::{collections::BTreeMap, error, fmt, path::Path, sync::Arc};

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode, SourceSpan};

/// Why a configuration could not be read: everything that is wrong with it.
#[derive(Debug)]
pub(crate) struct ConfigError {
    mistakes: Vec<Located>,
}

/// A place in a file.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Origin {
    pub(super) file: Arc<str>,
    /// From 1; 0 for the file as a whole.
    pub(super) line: usize,
}

/// One thing that is wrong. `field` is the name to look for near the origin, `pointer` the way to
/// it, from the job or just from the object.
#[derive(Clone, Debug, Default)]
pub(super) struct Mistake {
    pub(super) message: String,
    pub(super) origin: Option<Origin>,
    pub(super) field: Option<String>,
    pub(super) pointer: String,
    pub(super) help: Option<String>,
}

/// The files that were read, for showing lines of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources(BTreeMap<Arc<str>, Arc<str>>);

#[derive(Debug)]
struct Located {
    mistake: Mistake,
    source: Option<NamedSource<Arc<str>>>,
    span: Option<SourceSpan>,
}

impl ConfigError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self::located(vec![Mistake::new(message)], &Sources::default())
    }

    /// In the order of the lines; the same mistake made in a template shows once.
    pub(super) fn located(mut mistakes: Vec<Mistake>, sources: &Sources) -> Self {
        mistakes.sort_by_key(|it| it.origin.clone());
        let mut located: Vec<Located> = Vec::new();
        for mistake in mistakes {
            let same = |it: &Located| {
                it.mistake.message == mistake.message
                    && it.mistake.origin == mistake.origin
                    && (mistake.origin.is_some() || it.mistake.pointer == mistake.pointer)
            };
            if !located.iter().any(same) {
                located.push(sources.locate(mistake));
            }
        }
        Self { mistakes: located }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, located) in self.mistakes.iter().enumerate() {
            let Mistake { message, origin, pointer, help, .. } = &located.mistake;
            f.write_str(if n == 0 { "" } else { "\n" })?;
            f.write_str(message)?;
            match (origin, pointer.as_str()) {
                (None, "") => {}
                (None, pointer) => write!(f, " ({pointer})")?,
                (Some(origin), "") => write!(f, " ({origin})")?,
                (Some(origin), pointer) => write!(f, " ({origin}, {pointer})")?,
            }
            if let Some(help) = help {
                write!(f, "; {help}")?;
            }
        }
        Ok(())
    }
}

impl error::Error for ConfigError {}

/// One mistake is the error itself; several are listed under it.
impl Diagnostic for ConfigError {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.only().and_then(Diagnostic::help)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.only().and_then(Diagnostic::source_code)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.only().and_then(Diagnostic::labels)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        let several = self.only().is_none();
        several.then(|| Box::new(self.mistakes.iter().map(|it| it as &dyn Diagnostic)) as Box<_>)
    }
}

impl ConfigError {
    fn only(&self) -> Option<&Located> {
        if let [only] = self.mistakes.as_slice() { Some(only) } else { None }
    }
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mistake.message)
    }
}

impl error::Error for Located {}

impl Diagnostic for Located {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.mistake.help.as_ref().map(|it| Box::new(it) as Box<_>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|it| it as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let text = Some(self.mistake.pointer.clone()).filter(|it| !it.is_empty());
        let label = LabeledSpan::new_with_span(text.or(Some("here".to_owned())), self.span?);
        Some(Box::new(std::iter::once(label)))
    }
}

impl Mistake {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    pub(super) fn at(self, origin: Option<Origin>) -> Self {
        Self { origin, ..self }
    }

    pub(super) fn help(self, help: Option<String>) -> Self {
        Self { help, ..self }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

impl Sources {
    pub(super) fn add(&mut self, path: &Path, text: &str) -> Arc<str> {
        let file: Arc<str> = path.display().to_string().into();
        self.0.insert(file.clone(), text.into());
        file
    }

    /// The file's name as it was added.
    pub(super) fn file(&self, path: &str) -> Option<Arc<str>> {
        self.0.get_key_value(path).map(|(file, _)| file.clone())
    }

    pub(super) fn get(&self, file: &str) -> Option<&Arc<str>> {
        self.0.get(file)
    }

    fn locate(&self, mistake: Mistake) -> Located {
        let origin = mistake.origin.as_ref();
        let text = origin.and_then(|it| self.0.get(&it.file));
        let source = origin.zip(text).map(|(it, text)| NamedSource::new(&it.file, text.clone()));
        let span = origin.zip(text).and_then(|(it, text)| span(text, it.line, &mistake.field));
        Located { mistake, source, span }
    }
}

/// The field's name where it is set, at that line or soon after, or else the line.
fn span(text: &str, line: usize, field: &Option<String>) -> Option<SourceSpan> {
    const NEAR: usize = 40;

    let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
    let start = starts.clone().nth(line.checked_sub(1)?)?;
    let end = starts.clone().nth(line - 1 + NEAR).unwrap_or(text.len());
    let set = field.as_ref().and_then(|it| assignment(&text[start..end], it));
    let (at, length) = set.unwrap_or_else(|| {
        let line = text[start..].lines().next().unwrap_or_default();
        (line.len() - line.trim_start().len(), line.trim().len())
    });
    Some((start + at, length).into())
}

/// Where a name is given a value: `name =` in Python, `"name":` or `name:` in data.
fn assignment(text: &str, name: &str) -> Option<(usize, usize)> {
    let in_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let is_set = |&(at, _): &(usize, &str)| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        let after = after.trim_start_matches(['"', '\'']).trim_start();
        let equals = after.strip_prefix('=').is_some_and(|it| !it.starts_with('='));
        (equals || after.starts_with(':')) && !before.ends_with(in_word)
    };
    text.match_indices(name).find(is_set).map(|(at, _)| (at, name.len()))
}
