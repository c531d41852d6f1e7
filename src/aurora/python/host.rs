//! All that a file can learn about the machine it is read on. Nothing here changes anything.

#[rustpython_vm::pymodule(name = "_airglow_host")]
pub(super) mod airglow_host {
    use std::{fs, os::unix::fs::MetadataExt};

    use rustpython_vm::{
        PyResult, VirtualMachine,
        builtins::{PyBaseExceptionRef, PyDictRef},
        function::OptionalArg,
    };

    use super::super::{include::include as run_included, session};

    #[pyfunction]
    fn include(path: String, vm: &VirtualMachine) -> PyResult<()> {
        run_included(&path, vm)
    }

    #[pyfunction]
    fn environment(vm: &VirtualMachine) -> PyResult<PyDictRef> {
        let environment = vm.ctx.new_dict();
        for (name, value) in session::with(|it| it.environment.clone()) {
            environment.set_item(&*name, vm.ctx.new_str(value).into(), vm)?;
        }
        Ok(environment)
    }

    #[pyfunction]
    fn working_directory(vm: &VirtualMachine) -> PyResult<String> {
        let directory = std::env::current_dir();
        directory.map(|it| it.display().to_string()).map_err(|error| os_error(&error, ".", vm))
    }

    #[pyfunction]
    fn read_file(path: String, vm: &VirtualMachine) -> PyResult {
        let is_file = fs::metadata(&path).map(|it| it.is_file());
        match is_file.and_then(|it| if it { fs::read(&path).map(Some) } else { Ok(None) }) {
            Ok(Some(bytes)) => Ok(vm.ctx.new_bytes(bytes).into()),
            Ok(None) => Err(vm.new_os_error(format!("not a file: '{path}'"))),
            Err(error) => Err(os_error(&error, &path, vm)),
        }
    }

    /// Mode, size and time of last change.
    #[pyfunction]
    fn stat(
        path: String,
        follow: OptionalArg<bool>,
        vm: &VirtualMachine,
    ) -> PyResult<(u32, u64, i64)> {
        let follow = follow.unwrap_or(true);
        let found = if follow { fs::metadata(&path) } else { fs::symlink_metadata(&path) };
        let found = found.map_err(|error| os_error(&error, &path, vm))?;
        Ok((found.mode(), found.len(), found.mtime()))
    }

    #[pyfunction]
    fn read_link(path: String, vm: &VirtualMachine) -> PyResult<String> {
        let target = fs::read_link(&path).map_err(|error| os_error(&error, &path, vm))?;
        Ok(target.display().to_string())
    }

    #[pyfunction]
    fn list_directory(path: String, vm: &VirtualMachine) -> PyResult {
        let entries = fs::read_dir(&path).and_then(|entries| {
            entries.map(|it| Ok(it?.file_name().to_string_lossy().into_owned())).collect()
        });
        let mut names: Vec<String> = entries.map_err(|error| os_error(&error, &path, vm))?;
        names.sort();
        let names = names.into_iter().map(|it| vm.ctx.new_str(it).into());
        Ok(vm.ctx.new_list(names.collect()).into())
    }

    #[pyfunction]
    fn user() -> (String, u32, u32) {
        let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
        let name = nix::unistd::User::from_uid(uid).ok().flatten().map(|it| it.name);
        (name.unwrap_or_else(|| uid.to_string()), uid.as_raw(), gid.as_raw())
    }

    #[pyfunction]
    fn host() -> String {
        nix::unistd::gethostname().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn os_error(error: &std::io::Error, path: &str, vm: &VirtualMachine) -> PyBaseExceptionRef {
        let exceptions = &vm.ctx.exceptions;
        let kind = if error.kind() == std::io::ErrorKind::NotFound {
            exceptions.file_not_found_error
        } else if error.kind() == std::io::ErrorKind::PermissionDenied {
            exceptions.permission_error
        } else {
            exceptions.os_error
        };
        let message = format!("{error}: '{path}'");
        vm.new_os_subtype_error(kind.to_owned(), error.raw_os_error(), message).upcast()
    }
}
