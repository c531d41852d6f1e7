//! Runs configuration files that are Python.
//!
//! The interpreter is RustPython, built without access to the host: there is no file to open, no
//! program to start and no socket to connect in it. What a configuration may do, reading files and
//! the environment, is given back to it by [`host`] and `sandbox.py`.
//!
//! Each evaluation has a thread of its own, for three reasons: the interpreter's objects belong to
//! one thread, recursion needs a large stack to end in an error, and a file that never ends must
//! not take this process with it.

use std::{
    path::Path,
    rc::Rc,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use rustpython_vm::{
    AsObject, Interpreter, PyObjectRef, PyResult, VirtualMachine,
    builtins::PyBaseExceptionRef,
    scope,
    signal::{UserSignalReceiver, UserSignalSender, user_signal_channel},
};

use super::{
    Options, Outcome,
    errors::{Mistake, Origin},
    value::{Struct, Value},
};

mod convert;
pub(super) mod dialect;
mod failure;
mod host;
mod include;
mod objects;
mod session;

use session::Session;

pub(super) const STACK_BYTES: usize = 256 << 20;
const RECURSION_LIMIT: usize = 1000;
/// Between two attempts to interrupt a file that takes too long.
const NUDGE: Duration = Duration::from_millis(20);
/// After so many the thread is left behind: it is in one very long native operation.
const NUDGES_MAX: usize = 100;

pub(super) fn evaluate(
    path: &Path,
    text: &str,
    options: &Options,
    environment: Vec<(String, String)>,
) -> Outcome {
    let (interrupt, interrupted) = user_signal_channel();
    let (tell, told) = mpsc::channel();
    let (begin, begun) = mpsc::channel();
    let file = File { path: path.to_owned(), text: text.to_owned() };
    let options = options.clone();
    let limit = options.time_limit;
    let thread = thread::Builder::new().name("configuration".to_owned()).stack_size(STACK_BYTES);
    let spawned = thread.spawn(move || {
        let outcome = file.run(&options, environment, interrupted, &begin);
        // Nobody listens when it took too long.
        tell.send(outcome).ok();
    });
    if let Err(error) = spawned {
        return failed(Mistake::new(format!("no thread to evaluate a configuration in: {error}")));
    }
    // Only the file's own time counts. If the interpreter does not even start, that shows below.
    begun.recv().ok();
    let told = told.recv_timeout(limit).or_else(|error| match error {
        RecvTimeoutError::Timeout => nudge(&interrupt, &told, limit),
        RecvTimeoutError::Disconnected => Err(error),
    });
    told.unwrap_or_else(|error| {
        let message = match error {
            RecvTimeoutError::Timeout => too_long(limit),
            RecvTimeoutError::Disconnected => "the Python interpreter has crashed".to_owned(),
        };
        failed(Mistake::new(message).at(Some(whole(path))))
    })
}

/// Asks until it is heard: a file may catch the exception, and other evaluations in this process
/// may swallow the hint that there is something to hear.
fn nudge(
    interrupt: &UserSignalSender,
    told: &mpsc::Receiver<Outcome>,
    limit: Duration,
) -> Result<Outcome, RecvTimeoutError> {
    for _ in 0..NUDGES_MAX {
        let raise = move |vm: &VirtualMachine| -> PyResult<()> {
            let kind = vm.ctx.exceptions.keyboard_interrupt.to_owned();
            Err(vm.new_exception_msg(kind, too_long(limit).into()))
        };
        // It may just have ended by itself.
        interrupt.send(Box::new(raise)).ok();
        match told.recv_timeout(NUDGE) {
            Err(RecvTimeoutError::Timeout) => {}
            heard => return heard,
        }
    }
    Err(RecvTimeoutError::Timeout)
}

fn too_long(limit: Duration) -> String {
    format!("the configuration was still running after {limit:?}; is there an endless loop?")
}

fn whole(path: &Path) -> Origin {
    Origin { file: path.display().to_string().into(), line: 0 }
}

fn failed(mistake: Mistake) -> Outcome {
    Outcome { mistakes: vec![mistake], ..Outcome::default() }
}

struct File {
    path: std::path::PathBuf,
    text: String,
}

impl File {
    fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
        interrupted: UserSignalReceiver,
        begin: &mpsc::Sender<()>,
    ) -> Outcome {
        session::begin(environment);
        let jobs = interpreter(interrupted).enter(|vm| {
            vm.recursion_limit.set(RECURSION_LIMIT);
            let jobs = self.jobs(vm, begin);
            flush(vm);
            jobs.map_err(|exception| failure::explain(&exception, vm))
        });
        let Session { sources, mistakes, exported, language, .. } = session::end();
        let mut outcome = Outcome { sources, mistakes, ..Outcome::default() };
        match jobs {
            Err(mut mistake) => {
                mistake.origin.get_or_insert_with(|| whole(&self.path));
                outcome.mistakes.push(mistake);
            }
            Ok(jobs) => {
                outcome.add(&jobs, options);
                outcome.export(&exported, &language, options);
            }
        }
        outcome
    }

    /// Runs the file and takes what it has put into `jobs`.
    fn jobs(&self, vm: &VirtualMachine, begin: &mpsc::Sender<()>) -> PyResult<Vec<Rc<Struct>>> {
        let scope = vm.new_scope_with_main()?;
        prelude(vm, &scope)?;
        begin.send(()).expect("the clock is waiting for this");
        session::with(|it| it.scope = Some(scope.clone()));
        include::run_file(&self.path, &self.text, vm)?;
        let jobs = scope.globals.get_item_opt("jobs", vm)?;
        jobs.map_or_else(|| Ok(Vec::new()), |jobs| as_jobs(jobs, vm))
    }
}

fn as_jobs(jobs: PyObjectRef, vm: &VirtualMachine) -> PyResult<Vec<Rc<Struct>>> {
    let language_job = session::with(|it| it.language.job());
    let Value::List(items) = convert::from_python(&jobs, vm)? else {
        return Err(vm.new_type_error("jobs must be a list of Job objects"));
    };
    let as_job = |(n, item): (usize, &Value)| {
        let job = item.as_struct().filter(|it| it.schema.is_a(&language_job));
        let refusal = || vm.new_type_error(format!("jobs[{n}] is {item}, not a Job"));
        job.cloned().ok_or_else(refusal)
    };
    items.iter().enumerate().map(as_job).collect()
}

fn interpreter(interrupted: UserSignalReceiver) -> Interpreter {
    let mut settings = rustpython_vm::Settings::default();
    settings.install_signal_handlers = false;
    // Files that have worked for years are full of "\*" and the like.
    settings.warnoptions.push("ignore".to_owned());
    let builder = Interpreter::builder(settings);
    let native = rustpython_stdlib::stdlib_module_defs(&builder.ctx);
    let ours = objects::airglow::module_def(&builder.ctx);
    let host = host::airglow_host::module_def(&builder.ctx);
    builder
        .add_native_modules(&native)
        .add_native_module(ours)
        .add_native_module(host)
        .add_frozen_modules(rustpython_pylib::FROZEN_STDLIB)
        .init_hook(move |vm| vm.set_user_signal_channel(interrupted))
        .interpreter()
}

/// Fills the namespace that files run in.
fn prelude(vm: &VirtualMachine, scope: &scope::Scope) -> PyResult<()> {
    dialect::old_names_of_dictionaries(vm);
    let sandbox = rustpython_vm::py_compile!(
        file = "python/sandbox.py",
        mode = "exec",
        module_name = "airglow.sandbox"
    );
    let language = rustpython_vm::py_compile!(
        file = "python/language.py",
        mode = "exec",
        module_name = "airglow.language"
    );
    for code in [vm.ctx.new_code(sandbox), vm.ctx.new_code(language)] {
        vm.run_code_obj(code, vm.new_scope_with_builtins())?;
    }
    let names = vm.import("_airglow", 0)?.get_attr("names", vm)?;
    vm.call_method(scope.globals.as_object(), "update", (names,))?;
    Ok(())
}

/// The macro that compiles them does not tell cargo which files it has read.
const _: [&str; 2] = [include_str!("python/sandbox.py"), include_str!("python/language.py")];

fn flush(vm: &VirtualMachine) {
    let flushed = || -> PyResult<()> {
        let stderr = vm.import("sys", 0)?.get_attr("stderr", vm)?;
        vm.call_method(&stderr, "flush", ()).map(drop)
    };
    // What a file printed is a courtesy.
    flushed().ok();
}

/// An exception that ends up as the user's message, word for word.
fn refused(vm: &VirtualMachine, message: impl Into<String>) -> PyBaseExceptionRef {
    vm.new_value_error(message.into())
}
