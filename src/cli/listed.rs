//! Hosts and other things as operators list them in files: one a line.

use std::{fs, path::Path};

use super::exit::{Code, Failure};

/// Lines with something in them; what follows a `#` is for people.
pub(crate) fn lines(file: &Path) -> Result<Vec<String>, Failure> {
    let text = fs::read_to_string(file).map_err(|error| {
        let file = file.display();
        Failure::new(Code::InvalidParameter, format!("Cannot read {file}: {error}"))
    })?;
    let lines = text.lines().map(|it| it.split('#').next().unwrap_or_default().trim());
    Ok(lines.filter(|it| !it.is_empty()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_people_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hosts");
        fs::write(&file, "a1 # rack 1\n\n# none\na2\n").unwrap();
        assert_eq!(lines(&file).unwrap(), ["a1", "a2"]);
        assert_eq!(lines(dir.path()).unwrap_err().code(), Some(Code::InvalidParameter));
    }
}
