//! Two texts, line by line: what is gone, what is new, and a little of what stayed around it.

/// Lines that stayed, before and after those that did not.
const AROUND: usize = 3;
/// More pairs of lines than this are not compared: what was there is gone, what is there is new.
const PAIRS_MAX: usize = 250_000;

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Line {
    Same(String),
    Gone(String),
    New(String),
    /// So many that stayed.
    Skipped(usize),
}

impl Line {
    pub(super) fn class(&self) -> &'static str {
        match self {
            Self::Same(_) => "same",
            Self::Gone(_) => "gone",
            Self::New(_) => "new",
            Self::Skipped(_) => "skipped",
        }
    }

    /// Said by a shape too, and by a word to who cannot see it.
    pub(super) fn sign(&self) -> &'static str {
        match self {
            Self::Same(_) => " ",
            Self::Gone(_) => "−",
            Self::New(_) => "+",
            Self::Skipped(_) => "⋯",
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Same(text) | Self::Gone(text) | Self::New(text) => text.clone(),
            Self::Skipped(1) => "1 line stays".into(),
            Self::Skipped(count) => format!("{count} lines stay"),
        }
    }
}

pub(super) fn between(before: &str, after: &str) -> Vec<Line> {
    let (before, after): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let pairs = before.iter().zip(&after);
    let head = pairs.take_while(|(before, after)| before == after).count();
    let rest = before.len().min(after.len()) - head;
    let pairs = before.iter().rev().zip(after.iter().rev()).take(rest);
    let tail = pairs.take_while(|(before, after)| before == after).count();
    let changed = compare(&before[head..before.len() - tail], &after[head..after.len() - tail]);
    let same = |lines: &[&str]| -> Vec<_> {
        lines.iter().map(|it| Line::Same((*it).to_owned())).collect()
    };
    folded([same(&before[..head]), changed, same(&before[before.len() - tail..])].concat())
}

/// By the longest common subsequence.
fn compare(before: &[&str], after: &[&str]) -> Vec<Line> {
    let (gone, new) =
        (|it: &&str| Line::Gone((*it).to_owned()), |it: &&str| Line::New((*it).to_owned()));
    if before.len().saturating_mul(after.len()) > PAIRS_MAX {
        return before.iter().map(gone).chain(after.iter().map(new)).collect();
    }
    let width = after.len() + 1;
    let mut common = vec![0_u32; (before.len() + 1) * width];
    for (i, line) in before.iter().enumerate().rev() {
        for (j, other) in after.iter().enumerate().rev() {
            common[i * width + j] = if line == other {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let mut lines = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < before.len() && j < after.len() {
        if before[i] == after[j] {
            lines.push(Line::Same(before[i].to_owned()));
            (i, j) = (i + 1, j + 1);
        } else if common[i * width + j + 1] <= common[(i + 1) * width + j] {
            lines.push(gone(&before[i]));
            i += 1;
        } else {
            lines.push(new(&after[j]));
            j += 1;
        }
    }
    lines.extend(before[i..].iter().map(gone).chain(after[j..].iter().map(new)));
    lines
}

/// Without those that are far from what changed.
fn folded(lines: Vec<Line>) -> Vec<Line> {
    let changed: Vec<_> =
        (0..lines.len()).filter(|it| !matches!(lines[*it], Line::Same(_))).collect();
    let is_near = |at: usize| {
        let next = changed.partition_point(|it| *it < at);
        let after = changed.get(next).is_some_and(|it| it - at <= AROUND);
        after || (next > 0 && at - changed[next - 1] <= AROUND)
    };
    let mut shown = Vec::new();
    for (at, line) in lines.into_iter().enumerate() {
        if is_near(at) {
            shown.push(line);
        } else if let Some(Line::Skipped(count)) = shown.last_mut() {
            *count += 1;
        } else {
            shown.push(Line::Skipped(1));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(before: &str, after: &str) -> Vec<String> {
        between(before, after).iter().map(|it| format!("{}{}", it.sign(), it.text())).collect()
    }

    #[test]
    fn what_is_gone_and_new_is_told_where_it_is() {
        assert_eq!(shown("a\nb\nc", "a\nB\nc"), [" a", "−b", "+B", " c"]);
        assert_eq!(shown("a\nb", "a\nx\nb\ny"), [" a", "+x", " b", "+y"]);
        assert_eq!(shown("", "one\ntwo"), ["+one", "+two"]);
        assert_eq!(shown("a\na", "a"), [" a", "−a"]);
    }

    #[test]
    fn what_stays_is_left_out_where_it_is_long() {
        let before: Vec<_> = (0..20).map(|it| it.to_string()).collect();
        let after = before.join("\n").replace("10", "ten");
        let expected = [
            "⋯7 lines stay",
            " 7",
            " 8",
            " 9",
            "−10",
            "+ten",
            " 11",
            " 12",
            " 13",
            "⋯6 lines stay",
        ];
        assert_eq!(shown(&before.join("\n"), &after), expected);
    }

    #[test]
    fn texts_that_are_too_long_to_compare_are_shown_one_after_the_other() {
        let text = |word: &str| (0..600).map(|it| format!("{word}{it}\n")).collect::<String>();
        let lines = between(&text("a"), &text("b"));
        assert_eq!((lines.len(), lines[0].sign(), lines[1199].sign()), (1200, "−", "+"));
    }
}
