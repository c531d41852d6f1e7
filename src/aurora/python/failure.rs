//! Python's exceptions as mistakes with a place and, where possible, advice.

use rustpython_vm::{AsObject, TryFromObject, VirtualMachine, builtins::PyBaseExceptionRef};

use super::{dialect, session};
use crate::aurora::errors::{Mistake, Origin};

pub(super) fn explain(exception: &PyBaseExceptionRef, vm: &VirtualMachine) -> Mistake {
    if exception.fast_isinstance(vm.ctx.exceptions.syntax_error) {
        return syntax(exception, vm);
    }
    let text = exception.as_object().str(vm).map(|it| it.to_string()).unwrap_or_default();
    let exceptions = &vm.ctx.exceptions;
    let plain = [exceptions.value_error, exceptions.name_error, exceptions.keyboard_interrupt]
        .iter()
        .any(|it| exception.fast_isinstance(it));
    let kind = exception.class().name().to_string();
    let message = match text.as_str() {
        "" => kind,
        text if plain => text.to_owned(),
        text => format!("{kind}: {text}"),
    };
    let help = if exception.fast_isinstance(exceptions.name_error) {
        similar_name(&text, vm)
    } else {
        None
    };
    Mistake::new(message).at(place(exception)).help(help)
}

/// The innermost line of the user's own on the way to where it happened.
fn place(exception: &PyBaseExceptionRef) -> Option<Origin> {
    let mut found = None;
    let mut next = exception.__traceback__();
    while let Some(entry) = next {
        let path = entry.frame.code.source_path().as_str();
        if let Some(file) = session::with(|it| it.sources.file(path)) {
            found = Some(Origin { file, line: entry.lineno.get() });
        }
        next = entry.next.lock().clone();
    }
    found
}

fn syntax(exception: &PyBaseExceptionRef, vm: &VirtualMachine) -> Mistake {
    let attribute = |name: &'static str| exception.as_object().get_attr(name, vm).ok();
    let text = |name| attribute(name)?.str(vm).ok().map(|it| it.to_string());
    let line = attribute("lineno").and_then(|it| usize::try_from_object(vm, it).ok());
    let line = line.unwrap_or_default();
    let file = text("filename").and_then(|it| session::with(|session| session.sources.file(&it)));
    let source = file.as_ref().and_then(|it| session::with(|s| s.sources.get(it).cloned()));
    let source_line = source.as_ref().and_then(|it| it.lines().nth(line.checked_sub(1)?));
    let message = text("msg").unwrap_or_else(|| "invalid syntax".to_owned());
    let known = message.starts_with("invalid syntax");
    Mistake::new(if known { message } else { format!("invalid syntax: {message}") })
        .at(file.map(|file| Origin { file, line }))
        .help(source_line.and_then(dialect::advice))
}

/// A name in the file's reach that is spelt much like the one that is not defined.
fn similar_name(message: &str, vm: &VirtualMachine) -> Option<String> {
    let name = message.split('\'').nth(1)?;
    let scope = session::with(|it| it.scope.clone())?;
    let names: Vec<_> = scope.globals.into_iter().map(|(key, _)| key).collect();
    let names: Vec<_> = names.iter().filter_map(|it| Some(it.str(vm).ok()?.to_string())).collect();
    let similar = airglow_model::schema::closest(name, names.iter().map(String::as_str))?;
    Some(format!("did you mean {similar}?"))
}
