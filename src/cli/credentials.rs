//! What this user shows to schedulers instead of a password: a token from the environment, or one
//! that `airglow login` has left in a file that nobody else can read.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use airglow_web::api::Secret;
use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};

use super::exit::{Code, Failure};

/// A token that goes before all in the file.
pub(crate) const VARIABLE: &str = "AIRGLOW_API_TOKEN";

const FILE: &str = "airglow/credentials.toml";
const HEAD: &str = "# Written by `airglow login`. Whoever has these can do what you can.\n\n";

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    login: Vec<Login>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Login {
    /// Where the scheduler answers.
    uri: String,
    user: String,
    token: Secret,
}

/// What to show to the scheduler there, if there is anything.
pub(crate) fn token_for(uri: &str) -> Result<Option<Secret>, Failure> {
    if let Some(token) = std::env::var(VARIABLE).ok().filter(|it| !it.trim().is_empty()) {
        return Ok(Some(Secret(token.trim().to_owned())));
    }
    let Some(path) = path() else { return Ok(None) };
    Ok(read(&path)?.login.into_iter().find(|it| it.uri == uri).map(|it| it.token))
}

pub(crate) fn keep(uri: &str, user: &str, token: Secret) -> Result<PathBuf, Failure> {
    let path = path().ok_or_else(|| {
        Failure::new(Code::Fatal, "There is no folder for configuration to keep the token in")
            .hint("Set HOME or XDG_CONFIG_HOME")
    })?;
    let mut file = read(&path)?;
    file.login.retain(|it| it.uri != uri);
    file.login.push(Login { uri: uri.to_owned(), user: user.to_owned(), token });
    write(&path, &file).map_err(|error| failed(&path, &error))?;
    Ok(path)
}

/// Whether there was one.
pub(crate) fn forget(uri: &str) -> Result<bool, Failure> {
    let Some(path) = path() else { return Ok(false) };
    let mut file = read(&path)?;
    let before = file.login.len();
    file.login.retain(|it| it.uri != uri);
    let found = file.login.len() < before;
    if found {
        write(&path, &file).map_err(|error| failed(&path, &error))?;
    }
    Ok(found)
}

fn path() -> Option<PathBuf> {
    etcetera::choose_base_strategy().ok().map(|it| it.config_dir().join(FILE))
}

fn read(path: &Path) -> Result<File, Failure> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(File::default()),
        Err(error) => return Err(failed(path, &error)),
    };
    let shown = path.display();
    if metadata.permissions().mode() & 0o077 != 0 {
        let message = format!("Others can read {shown}, which has your tokens: it is not used");
        let hint = format!("chmod 600 {shown}; and since somebody may have them, `airglow logout`");
        return Err(Failure::new(Code::Configuration, message).hint(hint));
    }
    let text = fs::read_to_string(path).map_err(|error| failed(path, &error))?;
    // What is wrong is not quoted: it may be a token.
    toml::from_str(&text).map_err(|_| {
        let message = format!("{shown} is not what `airglow login` wrote");
        Failure::new(Code::Configuration, message).hint("Remove it, and log in again")
    })
}

/// Whole or not at all, and for this user only from the first byte on.
fn write(path: &Path, file: &File) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let text = toml::to_string(file).map_err(io::Error::other)?;
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    out.write_all(HEAD.as_bytes())?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    fs::rename(&beside, path)
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Code::Configuration, format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_for_this_user_only_and_not_read_when_others_can() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/credentials.toml");
        assert!(read(&path).unwrap().login.is_empty());
        let login =
            Login { uri: "http://a:1".into(), user: "ada".into(), token: Secret("s3".into()) };
        write(&path, &File { login: vec![login] }).unwrap();
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        let file = read(&path).unwrap();
        assert_eq!(file.login[0].token.0, "s3");
        assert!(!format!("{file:?}").contains("s3"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let Failure::Told { message, next, .. } = read(&path).unwrap_err() else { panic!() };
        assert!(message.contains("Others can read") && next.unwrap().contains("chmod 600"));
        fs::write(&path, "token = s3").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let Failure::Told { message, .. } = read(&path).unwrap_err() else { panic!() };
        assert!(!message.contains("s3"), "{message}");
    }
}
