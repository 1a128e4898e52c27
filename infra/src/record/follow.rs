//! Reading a record while it is written.

use std::fs::File;
use std::io::{self, Read};

use super::Line;
use super::kept::Kept;

/// Reads a record from its begin on, again and again.
pub struct Follower {
    file: File,
    /// The begin of a line whose end is not there yet.
    rest: Vec<u8>,
}

impl Follower {
    /// Opens a record.
    pub fn open(kept: &Kept) -> io::Result<Self> {
        Ok(Self { file: File::open(&kept.path)?, rest: Vec::new() })
    }

    /// Passes on every whole line that was written since the last look. One that is not understood is left out: a newer version
    /// of this program may write more than this one knows.
    pub fn lines(&mut self, mut take: impl FnMut(&Line)) -> io::Result<()> {
        self.file.read_to_end(&mut self.rest)?;
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Ok(()) };
        let rest = self.rest.split_off(end + 1);
        for line in std::mem::replace(&mut self.rest, rest).split(|byte| *byte == b'\n') {
            if let Ok(line) = serde_json::from_slice(line) {
                take(&line);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_line_is_passed_on_once_and_only_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept { number: 1, path: folder.path().join("0001.jsonl") };
        let mut file = File::create(&kept.path).unwrap();
        let mut follower = Follower::open(&kept).unwrap();
        let seen = |follower: &mut Follower| {
            let mut count = 0;
            follower.lines(|_| count += 1).unwrap();
            count
        };
        let line = "{\"record\":\"output_left_out\"}\n";
        write!(file, "{line}{}", &line[..9]).unwrap();
        assert_eq!((seen(&mut follower), seen(&mut follower)), (1, 0));
        write!(file, "{}no record\n{line}", &line[9..]).unwrap();
        assert_eq!((seen(&mut follower), seen(&mut follower)), (2, 0));
    }
}
