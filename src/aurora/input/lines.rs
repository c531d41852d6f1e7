//! Finds the line that a JSON pointer leads to.

/// From 1: the line of the value at `pointer`, or of what is nearest around it. The text is JSON
/// that has been parsed before.
pub(super) fn line_of(text: &str, pointer: &str) -> usize {
    let steps = pointer.split('/').skip(1).map(|it| it.replace("~1", "/").replace("~0", "~"));
    let mut value = text.trim_start();
    for step in steps {
        match child(value, &step) {
            Some(inner) => value = inner,
            None => break,
        }
    }
    // Every value is a tail of the text.
    text[..text.len() - value.len()].matches('\n').count() + 1
}

/// The text from the value of that key, or at that index, on.
fn child<'a>(value: &'a str, step: &str) -> Option<&'a str> {
    let mut rest = value.strip_prefix(['{', '['])?.trim_start();
    for index in 0_usize.. {
        let found = if value.starts_with('{') {
            let (key, after) = rest.split_at(length(rest)?);
            rest = after.trim_start().strip_prefix(':')?.trim_start();
            serde_json::from_str::<String>(key).ok()? == step
        } else {
            step.parse() == Ok(index)
        };
        if found {
            return Some(rest);
        }
        rest = rest[length(rest)?..].trim_start().strip_prefix(',')?.trim_start();
    }
    None
}

/// How long the value is that the text begins with.
fn length(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => skip_string(&mut chars)?,
            '{' | '[' => depth += 1,
            '}' | ']' | ',' if depth == 0 => return Some(at),
            '}' | ']' => depth -= 1,
            ':' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    Some(text.len())
}

/// Goes on behind the closing quote.
fn skip_string(chars: &mut std::str::CharIndices<'_>) -> Option<()> {
    loop {
        match chars.next()?.1 {
            '"' => return Some(()),
            '\\' => drop(chars.next()?),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_lead_to_lines() {
        let text = r#"
{
  "a": "x, y: {z} \" ]",
  "b~/c": [1, [2, 3],
    {"d": null,
     "e": true}],
  "f": 1 }"#;
        for (pointer, line) in [
            ("", 2),
            ("/a", 3),
            ("/b~0~1c", 4),
            ("/b~0~1c/1/1", 4),
            ("/b~0~1c/2", 5),
            ("/b~0~1c/2/e", 6),
            ("/b~0~1c/2/missing/x", 5),
            ("/f", 7),
            ("/g", 2),
        ] {
            assert_eq!(line_of(text, pointer), line, "{pointer}");
        }
    }
}
