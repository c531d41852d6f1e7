//! A window on something long, a log or a file. The page comes with one piece of it and links to the
//! others; the script goes on from there.

use super::format;
use crate::pieces::Piece;

/// How much a page comes with.
pub(super) const SHOWN: u64 = 64 * 1024;

#[derive(Default)]
pub(super) struct Viewer {
    /// What it is, for who cannot see it.
    pub(super) label: String,
    /// Where the API has it.
    pub(super) source: String,
    /// Until when it is followed: a value of `follow`.
    pub(super) follow: &'static str,
    /// Whether more may be written.
    pub(super) active: bool,
    /// Whether its end is what somebody wants to see first.
    pub(super) at_end: bool,
    pub(super) offset: u64,
    pub(super) end: u64,
    pub(super) size: u64,
    pub(super) text: String,
}

impl Viewer {
    /// With whole lines: what was cut at the beginning is left to the piece before.
    pub(super) fn fill(&mut self, piece: &Piece, is_cut: bool) {
        let begin = if is_cut { whole_line(&piece.data) } else { 0 };
        self.offset = piece.offset + begin as u64;
        self.end = piece.end();
        self.size = piece.size;
        self.text = String::from_utf8_lossy(&piece.data[begin..]).into_owned();
    }

    pub(super) fn earlier(&self) -> u64 {
        self.offset.saturating_sub(SHOWN)
    }

    /// `64 kB at 512 MB of 1.0 GB`. The script says the same, in the same words.
    pub(super) fn place(&self) -> String {
        match (self.size, self.end - self.offset) {
            (0, _) => "empty so far".into(),
            (size, shown) if shown == size => format!("all of {}", format::bytes(&size)),
            (size, shown) => {
                let [shown, at, size] = [shown, self.offset, size].map(|it| format::bytes(&it));
                format!("{shown} at {at} of {size}")
            }
        }
    }

    pub(super) fn has_later(&self) -> bool {
        self.end < self.size
    }
}

/// Where the first line begins that is whole, if one begins soon.
fn whole_line(data: &[u8]) -> usize {
    let soon = &data[..data.len() / 2];
    soon.iter().position(|it| *it == b'\n').map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_begins_with_a_whole_line_and_says_where_that_is() {
        let data = "half a line\nwhole\nwhole too\n".as_bytes();
        let piece = Piece { offset: 1000, size: 1028, data: data.into() };
        let mut it = Viewer::default();
        it.fill(&piece, true);
        assert_eq!((it.offset, it.text.as_str()), (1012, "whole\nwhole too\n"));
        assert_eq!(it.place(), "16 B at 1012 B of 1.0 kB");
        it.fill(&piece, false);
        assert_eq!((it.offset, it.end, it.has_later()), (1000, 1028, false));
        assert_eq!(whole_line(b"one very long line without an end"), 0);
    }
}
