//! Small files that nobody else may read.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use super::IdentityError;

pub(super) fn read(path: &Path) -> Result<Option<String>, IdentityError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(IdentityError::File { step: "read", path: path.to_owned(), source }),
    }
}

/// Whole or not at all, whenever the power goes.
pub(super) fn write(folder: &Path, name: &str, text: &str) -> Result<(), IdentityError> {
    let path = folder.join(name);
    let draft = folder.join(format!("{name}.new"));
    let write = || {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // One that is left over might be readable by others.
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|source| IdentityError::File { step: "write", path: path.clone(), source })
}
