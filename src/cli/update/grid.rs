//! An update's instances as a grid: one character an instance, or, where there are too many for the
//! terminal, one for several in a row, which shows the worst of them.

use airglow_model::{task, update::Direction};
use airglow_web::api::{UpdateInstance, UpdateStage};
use anstyle::{AnsiColor, Style};

use super::screen;

/// Worst first: of several in one cell the first that occurs is shown.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Look {
    Failed,
    /// Its turn has come, and no host has a place for it.
    Stuck,
    Working,
    /// Some are done and others wait.
    Partly,
    Waiting,
    Done,
}

impl Look {
    pub(super) const ALL: [Self; 6] =
        [Self::Done, Self::Working, Self::Stuck, Self::Failed, Self::Partly, Self::Waiting];

    pub(super) fn of(it: &UpdateInstance) -> Self {
        match it.stage {
            UpdateStage::Failed => Self::Failed,
            UpdateStage::Working => match (it.status, &it.why) {
                (Some(task::Status::Pending), Some(_)) => Self::Stuck,
                (_, _) => Self::Working,
            },
            UpdateStage::Waiting => Self::Waiting,
            UpdateStage::Done => Self::Done,
        }
    }

    fn with(self, other: Self) -> Self {
        match (self.min(other), self.max(other)) {
            (Self::Waiting, Self::Done) => Self::Partly,
            (worst, _) => worst,
        }
    }

    /// They differ without colours too.
    fn glyph(self) -> char {
        match self {
            Self::Failed => '✗',
            Self::Stuck => '?',
            Self::Working => '▒',
            Self::Partly => '▄',
            Self::Waiting => '·',
            Self::Done => '█',
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Failed => AnsiColor::Red.on_default().bold(),
            Self::Stuck => AnsiColor::Magenta.on_default().bold(),
            Self::Working => AnsiColor::Yellow.on_default(),
            Self::Partly | Self::Done => AnsiColor::Green.on_default(),
            Self::Waiting => Style::new().dimmed(),
        }
    }

    fn name(self, direction: Direction) -> &'static str {
        match (self, direction) {
            (Self::Failed, _) => "failed",
            (Self::Stuck, _) => "without a place",
            (Self::Working, Direction::Forward) => "updating",
            (Self::Working, Direction::Back) => "rolling back",
            (Self::Partly, _) => "done in part",
            (Self::Waiting, _) => "waiting",
            (Self::Done, Direction::Forward) => "updated",
            (Self::Done, Direction::Back) => "rolled back",
        }
    }

    fn painted(self, count: usize) -> String {
        screen::paint(&self.glyph().to_string().repeat(count), self.style())
    }
}

/// How many instances a cell shows, and the rows of cells with the number of each row's first.
#[derive(Debug, PartialEq)]
pub(super) struct Grid {
    pub(super) per_cell: usize,
    rows: Vec<(u32, Vec<Look>)>,
}

/// Cells come in groups of so many, so that they can be counted.
const GROUP: usize = 10;

impl Grid {
    /// `width` is in characters.
    pub(super) fn new(instances: &[UpdateInstance], width: usize, rows_max: usize) -> Self {
        let last = instances.last().map_or(0, |it| it.instance);
        let room = width.saturating_sub(label(last).len() + 1);
        let columns = match (room + 1) / (GROUP + 1) {
            0 => room.max(1),
            groups => groups * GROUP,
        };
        let cells = columns * rows_max.max(1);
        let per_cell = scales().find(|it| instances.len() <= it.saturating_mul(cells));
        let per_cell = per_cell.unwrap_or(usize::MAX);
        let row = |of_row: &[UpdateInstance]| {
            let cell = |of_cell: &[UpdateInstance]| {
                of_cell.iter().map(Look::of).reduce(Look::with).unwrap_or(Look::Done)
            };
            (of_row[0].instance, of_row.chunks(per_cell).map(cell).collect())
        };
        let rows = instances.chunks(per_cell.saturating_mul(columns)).map(row).collect();
        Self { per_cell, rows }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let width = self.rows.last().map_or(0, |(first, _)| label(*first).len());
        let line = |(first, cells): &(u32, Vec<Look>)| {
            let label = screen::faint(&format!("{:>width$}", label(*first)));
            let groups: Vec<_> = cells.chunks(GROUP).map(painted).collect();
            format!("{label} {}", groups.join(" "))
        };
        self.rows.iter().map(line).collect()
    }

    /// What its characters mean, and how many instances are like that.
    pub(super) fn legend(&self, instances: &[UpdateInstance], direction: Direction) -> String {
        let entry = |look: Look| {
            let count = instances.iter().filter(|it| Look::of(it) == look).count();
            let name = look.name(direction);
            let is_shown = self.rows.iter().any(|(_, cells)| cells.contains(&look));
            match (count, is_shown) {
                (0, true) => Some(format!("{} {name}", look.painted(1))),
                (0, false) => None,
                (_, _) => Some(format!("{} {count} {name}", look.painted(1))),
            }
        };
        let mut entries: Vec<_> = Look::ALL.into_iter().filter_map(entry).collect();
        if self.per_cell > 1 {
            entries.push(screen::faint(&format!("{} instances each", self.per_cell)));
        }
        entries.join("  ")
    }
}

fn label(instance: u32) -> String {
    format!("{instance:>3}")
}

/// 1, 2, 5, 10, 20, 50, …
fn scales() -> impl Iterator<Item = usize> {
    (0..9).flat_map(|power| [1, 2, 5].map(|it| it * 10_usize.pow(power)))
}

/// What looks alike is painted at once.
fn painted(cells: &[Look]) -> String {
    cells.chunk_by(|a, b| a == b).map(|alike| alike[0].painted(alike.len())).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::picture::tests::instances, *};

    fn shown(stages: &str, width: usize, rows_max: usize) -> String {
        let instances = instances(stages);
        let grid = Grid::new(&instances, width, rows_max);
        let lines = grid.lines();
        assert!(lines.len() <= rows_max, "{lines:?}");
        assert!(lines.iter().all(|it| console::measure_text_width(it) <= width), "{lines:?}");
        let legend = grid.legend(&instances, Direction::Forward);
        let lines = lines.into_iter().chain([legend]);
        lines.map(|it| anstream::adapter::strip_str(&it).to_string() + "\n").collect()
    }

    #[test]
    fn every_instance_has_a_character_as_long_as_there_is_room() {
        assert_eq!(
            shown("ddw?fi", 80, 5),
            "  0 ██▒?✗·\n█ 2 updated  ▒ 1 updating  ? 1 without a place  ✗ 1 failed  · 1 waiting\n"
        );
        let many = ["d".repeat(12), "w".repeat(3), "i".repeat(30)].concat();
        assert_eq!(
            shown(&many, 26, 9),
            "  0 ██████████ ██▒▒▒·····\n 20 ·········· ··········\n 40 ·····\n\
             █ 12 updated  ▒ 3 updating  · 30 waiting\n"
        );
    }

    #[test]
    fn of_several_the_worst_is_shown() {
        let many = ["d".repeat(15), "f".into(), "d".repeat(4), "i".repeat(20)].concat();
        assert_eq!(
            shown(&many, 14, 2),
            "  0 ███████✗██\n 20 ··········\n\
             █ 19 updated  ✗ 1 failed  · 20 waiting  2 instances each\n"
        );
        let half = ["d".repeat(5), "i".repeat(5)].concat();
        assert_eq!(
            shown(&half, 9, 1),
            "  0 ██▄··\n█ 5 updated  ▄ done in part  · 5 waiting  2 instances each\n"
        );
    }

    #[test]
    fn ten_thousand_fit_on_a_small_screen() {
        let many = ["d".repeat(4000), "w".repeat(100), "i".repeat(5900)].concat();
        let text = shown(&many, 80, 9);
        assert_eq!(text.lines().count(), 9 + 1, "{text}");
        assert!(text.ends_with("· 5900 waiting  20 instances each\n"), "{text}");
        assert_eq!(shown("", 80, 9), "\n");
        for (width, rows) in [(1, 1), (0, 0), (5, 3)] {
            let grid = Grid::new(&instances(&many), width, rows);
            assert!(grid.lines().len() <= rows.max(1), "{width} {rows}");
        }
    }
}
