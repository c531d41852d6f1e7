//! Finds the line in YAML that a JSON pointer leads to.

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};

/// A text that has been found to be YAML.
pub(super) struct Lines<'a>(Vec<MarkedYaml<'a>>);

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self(MarkedYaml::load_from_str(text).unwrap_or_default())
    }

    /// From 1: the line of the value at `pointer`, or of what is nearest around it; 0 if it cannot
    /// be known.
    pub(super) fn line_of(&self, pointer: &str) -> usize {
        let Some(mut value) = self.0.first() else { return 0 };
        let steps = pointer.split('/').skip(1).map(|it| it.replace("~1", "/").replace("~0", "~"));
        for step in steps {
            match child(value, &step) {
                Some(inner) => value = inner,
                None => break,
            }
        }
        value.span.start.line()
    }
}

fn child<'a, 'input>(value: &'a MarkedYaml<'input>, step: &str) -> Option<&'a MarkedYaml<'input>> {
    match &value.data {
        YamlData::Mapping(entries) => {
            let is_it = |key: &MarkedYaml<'_>| matches!(&key.data, YamlData::Value(Scalar::String(it)) if it == step);
            entries.iter().find(|(key, _)| is_it(key)).map(|(_, value)| value)
        }
        YamlData::Sequence(items) => items.get(step.parse::<usize>().ok()?),
        YamlData::Tagged(_, inner) => child(inner, step),
        YamlData::Representation(..)
        | YamlData::Value(_)
        | YamlData::Alias(_)
        | YamlData::BadValue => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_lead_to_lines() {
        let text = "\
# a comment
jobs:
- name: x
  task: {name: t, processes: [
    {name: p}]}
- &second
  name: \"y\"
  metadata:
  - key: k
";
        for (pointer, line) in [
            ("/jobs/0/name", 3),
            ("/jobs/0/task/processes/0/name", 5),
            ("/jobs/1/name", 7),
            ("/jobs/1/metadata/0/key", 9),
            ("/jobs/1/metadata/0/missing/deeper", 9),
        ] {
            assert_eq!(Lines::of(text).line_of(pointer), line, "{pointer}");
        }
        assert_eq!(Lines::of("[").line_of("/a"), 0);
    }
}
