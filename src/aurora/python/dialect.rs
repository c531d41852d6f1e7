//! Python 2 in files for Python 3.
//!
//! Much of it simply works: the prelude has `xrange` and `unicode`, lists where Python 3 has
//! iterators, and dictionaries know their old methods. What Python 3 cannot read, or reads as
//! something else, gets an error that says what to write instead.

use rustpython_vm::VirtualMachine;

use crate::aurora::errors::{Mistake, Origin};

pub(super) fn old_names_of_dictionaries(vm: &VirtualMachine) {
    let names = [
        ("iteritems", "items"),
        ("iterkeys", "keys"),
        ("itervalues", "values"),
        ("has_key", "__contains__"),
    ];
    let dictionary = vm.ctx.types.dict_type;
    for (old, new) in names {
        let method = dictionary.get_attr(vm.ctx.intern_str(new));
        dictionary.set_attr(vm.ctx.intern_str(old), method.expect("dictionaries have it"));
    }
}

/// What Python 3 reads as something else, and would only trip over later.
pub(in crate::aurora) fn misread(text: &str, origin: impl Fn(usize) -> Origin) -> Option<Mistake> {
    let code = without_strings(text);
    let (line, clause) = code.lines().enumerate().find_map(|(n, line)| {
        let clause = line.trim().strip_prefix("except ")?.split(':').next()?;
        let (kind, name) = clause.split_once(',')?;
        let name = name.trim();
        let plain = !kind.contains('(') && !name.is_empty() && !name.contains(',');
        plain.then(|| (n + 1, format!("except {} as {name}:", kind.trim())))
    })?;
    let message = "invalid syntax: this is how Python 2 names an exception";
    let help = Some(format!("write {clause}"));
    Some(Mistake::new(message).at(Some(origin(line))).help(help))
}

/// What to write instead of a line that Python 3 cannot read.
pub(in crate::aurora) fn advice(line: &str) -> Option<String> {
    let line = line.trim();
    let word = |word| line.strip_prefix(word).filter(|it: &&str| it.starts_with([' ', '"', '\'']));
    if line == "print" {
        return Some("this is Python 3: write print()".to_owned());
    }
    if let Some(what) = word("print") {
        return Some(format!("this is Python 3: write print({})", what.trim()));
    }
    if let Some(what) = word("exec") {
        return Some(format!("this is Python 3: write exec({})", what.trim()));
    }
    if let Some((kind, text)) = word("raise").and_then(|it| it.split_once(',')) {
        return Some(format!("this is Python 3: write raise {}({})", kind.trim(), text.trim()));
    }
    if line.contains("<>") {
        return Some("this is Python 3: write != for <>".to_owned());
    }
    let words = line.split(|c: char| !c.is_alphanumeric());
    let octal = words
        .into_iter()
        .find(|it| it.len() > 1 && it.starts_with('0') && it.chars().all(|c| c.is_ascii_digit()))?;
    Some(format!("this is Python 3: write 0o{} for the octal number {octal}", &octal[1..]))
}

/// The code with strings and comments blanked out, line by line as it was: configurations are full
/// of programs in strings.
fn without_strings(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '\'' | '"' => string_length(rest, c),
            _ => {
                code.push(c);
                rest = &rest[c.len_utf8()..];
                continue;
            }
        };
        code.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[length..];
    }
    code
}

/// From its opening quotes to its closing ones.
fn string_length(text: &str, quote: char) -> usize {
    let triple: String = [quote; 3].iter().collect();
    let quotes = if text.starts_with(&triple) { triple } else { quote.to_string() };
    let mut at = quotes.len();
    while let Some(c) = text[at..].chars().next() {
        if text[at..].starts_with(&quotes) {
            return at + quotes.len();
        }
        if quotes.len() == 1 && c == '\n' {
            return at;
        }
        let escaped = if c == '\\' { text[at + 1..].chars().next() } else { None };
        at += c.len_utf8() + escaped.map_or(0, char::len_utf8);
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_python_3_cannot_read_come_with_advice() {
        let table = [
            ("print \"hello\"", Some("print(\"hello\")")),
            ("  print 'a', b", Some("print('a', b)")),
            ("print", Some("print()")),
            ("raise ValueError, 'x'", Some("raise ValueError('x')")),
            ("exec 'x'", Some("exec('x')")),
            ("if a <> b:", Some("!=")),
            ("mode = 0755", Some("0o755")),
            ("foo(", None),
            ("printer = 1 +", None),
        ];
        for (line, expected) in table {
            let advice = advice(line);
            match expected {
                Some(expected) => assert!(advice.is_some_and(|it| it.contains(expected)), "{line}"),
                None => assert_eq!(advice, None, "{line}"),
            }
        }
    }

    #[test]
    fn exceptions_named_the_old_way_are_found_outside_strings() {
        let at = |line| Origin { file: "a.aurora".into(), line };
        let line = |text| misread(text, at).and_then(|it| it.origin).map(|it| it.line);
        assert_eq!(line("try:\n  pass\nexcept ValueError, e:\n  pass\n"), Some(3));
        for fine in [
            "try:\n  pass\nexcept (A, B):\n  pass\n",
            "try:\n  pass\nexcept (A, B) as e:\n  pass\n",
            "cmd = '''\nexcept A, e:\n'''\n",
            "cmd = 'it\\'s' # except\n",
        ] {
            assert_eq!(line(fine), None, "{fine}");
        }
    }
}
