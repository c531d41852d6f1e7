//! The `{{references}}` in what people write.
//!
//! Three read them: the configuration language, which replaces what it knows; [`crate::spec`],
//! which finds the ports that a task wants; and the executor, which knows the rest. All three must
//! see the same references, so the grammar is here and nowhere else.
//!
//! `{{profile.heap}}` and `{{thermos.ports[http]}}` are references. `{{&name}}` is the text
//! `{{name}}`: it stays escaped until the last reader, [`render`], takes the `&` away. Other text
//! in double braces is refused, except for `{{}}`, which is just text.

use std::fmt;

/// A name, and steps into what it names: `thermos.ports[http]`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Reference(Vec<Step>);

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Step {
    /// `.name`, or the name at the beginning.
    Name(String),
    /// `[key]`
    Key(String),
}

/// A stretch of a template.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Piece<'a> {
    Text(&'a str),
    Reference(Reference),
    /// The whole of `{{&reference}}`, braces included.
    Escaped(&'a str),
}

/// Between double braces is something that names nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidReference(pub String);

impl fmt::Display for InvalidReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invalid reference {{{{{}}}}}: expected a name, like {{{{name}}}} or ", self.0)?;
        f.write_str("{{profile.name}} or {{thermos.ports[http]}}, without blanks")
    }
}

impl Reference {
    /// # Errors
    /// The text is no reference.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        let invalid = || InvalidReference(text.to_owned());
        let mut rest = text;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = match rest.strip_prefix('[') {
                Some(inside) => {
                    let (key, after) = inside.split_once(']').ok_or_else(invalid)?;
                    (Some(key).filter(|it| is_key(it)).map(|it| Step::Key(it.to_owned())), after)
                }
                None if rest.starts_with('.') || steps.is_empty() => {
                    let name = rest.strip_prefix('.').unwrap_or(rest);
                    let end = name.find(['.', '[']).unwrap_or(name.len());
                    let (name, after) = name.split_at(end);
                    (Some(name).filter(|it| is_name(it)).map(|it| Step::Name(it.to_owned())), after)
                }
                None => return Err(invalid()),
            };
            steps.push(step.ok_or_else(invalid)?);
            rest = after;
        }
        if matches!(steps.first(), Some(Step::Name(_))) { Ok(Self(steps)) } else { Err(invalid()) }
    }

    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Where this leads from whatever `prefix` names, if it begins there.
    pub fn after(&self, prefix: &Self) -> Option<&[Step]> {
        self.0.strip_prefix(prefix.0.as_slice())
    }

    /// The port that is meant, if it is one of the task's: `{{thermos.ports[http]}}`.
    pub fn port(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Step::Name(thermos), Step::Name(ports), Step::Key(port)]
                if thermos == "thermos" && ports == "ports" =>
            {
                Some(port)
            }
            _ => None,
        }
    }

    /// Nobody knows it before the task is on a host: ports, the task's id, the instance, the host.
    pub fn is_known_at_launch(&self) -> bool {
        let plain = ["thermos.task_id", "mesos.instance", "mesos.hostname"];
        self.port().is_some() || plain.contains(&self.to_string().as_str())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Name(name) if position == 0 => f.write_str(name)?,
                Step::Name(name) => write!(f, ".{name}")?,
                Step::Key(key) => write!(f, "[{key}]")?,
            }
        }
        Ok(())
    }
}

/// Splits a template. Of nested references, `{{thermos.ports[{{name}}]}}`, only the innermost is
/// one yet; when it has been replaced, parse again.
///
/// # Errors
/// Something between double braces is no reference.
pub fn parse(template: &str) -> Result<Vec<Piece<'_>>, InvalidReference> {
    let mut pieces = Vec::new();
    let mut done = 0;
    let mut from = 0;
    while let Some(end) = template[from..].find("}}").map(|it| from + it) {
        let Some(start) = template[from..end].rfind("{{").map(|it| from + it) else {
            from = end + 1;
            continue;
        };
        let (inside, after) = (&template[start + 2..end], end + 2);
        from = after;
        let piece = match inside.strip_prefix('&') {
            _ if inside.is_empty() => continue,
            Some(escaped) => {
                Reference::parse(escaped).map(|_| Piece::Escaped(&template[start..after]))?
            }
            None => Piece::Reference(Reference::parse(inside)?),
        };
        if done < start {
            pieces.push(Piece::Text(&template[done..start]));
        }
        pieces.push(piece);
        done = after;
    }
    if done < template.len() {
        pieces.push(Piece::Text(&template[done..]));
    }
    Ok(pieces)
}

/// The references in a template, in order, or none if it is malformed.
pub fn references(template: &str) -> Vec<Reference> {
    let reference = |piece| match piece {
        Piece::Reference(reference) => Some(reference),
        Piece::Text(_) | Piece::Escaped(_) => None,
    };
    parse(template).into_iter().flatten().filter_map(reference).collect()
}

/// The last reading: what `known` knows is replaced, what it does not stays, and what was escaped
/// becomes plain text.
///
/// # Errors
/// Something between double braces is no reference.
pub fn render(
    template: &str,
    mut known: impl FnMut(&Reference) -> Option<String>,
) -> Result<String, InvalidReference> {
    let mut text = String::with_capacity(template.len());
    for piece in parse(template)? {
        match piece {
            Piece::Text(plain) => text.push_str(plain),
            Piece::Escaped(escaped) => text.push_str(&escaped.replacen('&', "", 1)),
            Piece::Reference(reference) => match known(&reference) {
                Some(value) => text.push_str(&value),
                None => text.push_str(&format!("{{{{{reference}}}}}")),
            },
        }
    }
    Ok(text)
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    let first = chars.next().is_some_and(|c| c.is_alphabetic() || c == '_');
    first && chars.all(|c| c.is_alphanumeric() || c == '_')
}

fn is_key(text: &str) -> bool {
    let legal = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    !text.is_empty() && text.chars().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(template: &str) -> String {
        match parse(template) {
            Err(InvalidReference(text)) => format!("invalid {text}"),
            Ok(pieces) => pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => format!("'{text}'"),
                    Piece::Reference(reference) => format!("<{reference}>"),
                    Piece::Escaped(text) => format!("escaped {text}"),
                })
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    #[test]
    fn what_is_a_reference_and_what_is_not() {
        let table = [
            ("echo {{name}}!", "'echo ' <name> '!'"),
            ("{{profile.heap}}{{a[b-c/d.e][0].f}}", "<profile.heap> <a[b-c/d.e][0].f>"),
            ("{{.Names}}", "<Names>"),
            ("{{{foo}}}", "'{' <foo> '}'"),
            ("{{thermos.ports[{{name}}]}}", "'{{thermos.ports[' <name> ']}}'"),
            ("{{&foo}} {{foo}}", "escaped {{&foo}} ' ' <foo>"),
            ("a {{}} b }} c {{foo", "'a {{}} b }} c {{foo'"),
            ("awk '{print $1}' && x={1:{2:3}}", "'awk '{print $1}' && x={1:{2:3}}'"),
            ("{{ foo }}", "invalid  foo "),
            ("{{foo-bar}}", "invalid foo-bar"),
            ("{{1a}}", "invalid 1a"),
            ("{{a.}}", "invalid a."),
            ("{{a[]}}", "invalid a[]"),
            ("{{a[b}}", "invalid a[b"),
            ("{{[b]}}", "invalid [b]"),
        ];
        for (template, expected) in table {
            assert_eq!(shown(template), expected, "{template}");
        }
    }

    #[test]
    fn the_last_reader_replaces_what_it_knows_and_unescapes() {
        let known = |reference: &Reference| reference.port().map(|port| format!("<{port}>"));
        let text = render("-p {{thermos.ports[http]}} {{mesos.instance}} {{&name}}", known);
        assert_eq!(text.as_deref(), Ok("-p <http> {{mesos.instance}} {{name}}"));
    }

    #[test]
    fn some_things_are_known_only_on_the_host() {
        let at_launch = |text| Reference::parse(text).is_ok_and(|it| it.is_known_at_launch());
        for text in ["thermos.ports[http]", "thermos.task_id", "mesos.instance", "mesos.hostname"] {
            assert!(at_launch(text), "{text}");
        }
        for text in ["thermos.ports", "thermos.user", "mesos.role", "name"] {
            assert!(!at_launch(text), "{text}");
        }
    }
}
