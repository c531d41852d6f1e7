//! Running a file, and files that it includes, in one namespace.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustpython_vm::{PyResult, VirtualMachine, compiler};

use super::{dialect, refused, session};
use crate::aurora::errors::Origin;

/// Runs a file in the one namespace that all files share.
pub(super) fn run_file(path: &Path, text: &str, vm: &VirtualMachine) -> PyResult<()> {
    let scope = session::with(|it| it.scope.clone()).expect("a file is being evaluated");
    let file = session::with(|it| it.sources.add(path, text));
    if let Some(mistake) = dialect::misread(text, |line| Origin { file: file.clone(), line }) {
        session::with(|it| it.mistakes.push(mistake));
        return Ok(());
    }
    let code = vm.compile(text, compiler::Mode::Exec, file.to_string());
    let code = code.map_err(|error| vm.new_syntax_error(&error, Some(text)))?;
    session::with(|it| it.running.push(path.to_owned()));
    let ran = vm.run_code_obj(code, scope);
    session::with(|it| it.running.pop());
    ran.map(drop)
}

/// `include('path')`, which is relative to the file that says so.
pub(super) fn include(path: &str, vm: &VirtualMachine) -> PyResult<()> {
    let running = session::with(|it| it.running.clone());
    let folder = running.last().and_then(|it| it.parent()).unwrap_or(Path::new(""));
    let path = folder.join(path);
    if running.iter().any(|it| same_file(it, &path)) {
        return Err(refused(vm, format!("{} includes itself", path.display())));
    }
    let text = fs::read_to_string(&path)
        .map_err(|error| refused(vm, format!("cannot include {}: {error}", path.display())))?;
    run_file(&path, &text, vm)
}

fn same_file(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| -> Option<PathBuf> { fs::canonicalize(path).ok() };
    real(a).is_some_and(|it| Some(it) == real(b))
}
