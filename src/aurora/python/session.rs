//! What belongs to the evaluation that this thread is for.
//!
//! Native functions are called by the interpreter and have nothing of their own to hold on to, so
//! this is where they find the rest.

use std::{cell::RefCell, path::PathBuf, rc::Rc};

use rustpython_vm::{VirtualMachine, scope};

use crate::aurora::{
    errors::{self, Origin, Sources},
    value::{self, Language},
};

#[derive(Default)]
pub(super) struct Session {
    pub(super) language: Language,
    pub(super) environment: Vec<(String, String)>,
    /// Where every file runs, included ones too.
    pub(super) scope: Option<scope::Scope>,
    /// The file that runs, and those that include it before.
    pub(super) running: Vec<PathBuf>,
    pub(super) sources: Sources,
    /// Tasks that are to be run by themselves.
    pub(super) exported: Vec<Rc<value::Struct>>,
    /// Wrong fields do not stop a file: all of them are told at once.
    pub(super) mistakes: Vec<errors::Mistake>,
}

thread_local! {
    static SESSION: RefCell<Session> = RefCell::default();
}

pub(super) fn begin(environment: Vec<(String, String)>) {
    with(|it| *it = Session { environment, ..Session::default() });
}

pub(super) fn end() -> Session {
    with(std::mem::take)
}

pub(super) fn with<R>(of: impl FnOnce(&mut Session) -> R) -> R {
    SESSION.with_borrow_mut(of)
}

/// Where the file is that is being run, as far as the user wrote it.
pub(super) fn here(vm: &VirtualMachine) -> Option<Origin> {
    let mut frame = vm.current_frame();
    while let Some(current) = frame {
        let path = current.code.source_path().as_str();
        if let Some(file) = with(|it| it.sources.file(path)) {
            return Some(Origin { file, line: current.f_lineno() });
        }
        frame = current.f_back(vm);
    }
    None
}

pub(super) fn complain(mistakes: Vec<value::Mistake>, origin: Option<&Origin>) {
    let located = mistakes.into_iter().map(|it| errors::Mistake {
        message: it.detail,
        origin: origin.cloned(),
        pointer: format!("{}[{}]", it.object, it.field),
        field: Some(it.field),
        ..errors::Mistake::default()
    });
    with(|session| session.mistakes.extend(located));
}
