//! What goes wrong, and how often.

use std::path::Path;

use crate::choices::Choices;
use crate::cloud::LAG;

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process is killed before the call; of the last append any part may be missing.
    KillBefore,
    /// The process is killed after the effect, before the answer.
    KillAfter,
    /// The process is killed after the call, and its effect comes later.
    KillLate,
    /// The answer is lost after the effect.
    LostReply,
    /// The answer is lost, and the effect comes later.
    Late,
    /// The network delivers the call twice, the second time later.
    Twice,
    /// Refused before the effect, once.
    Refuse,
    /// Refused before the effect, until somebody puts it right.
    RefuseForGood,
    /// Too many requests, once.
    Throttle,
    /// The person asks the run to stop.
    Drain,
    /// The person asks twice.
    Abandon,
}

const READ: [Fault; 4] = [Fault::KillBefore, Fault::Refuse, Fault::Drain, Fault::Abandon];
const WRITE: [Fault; 11] = [
    Fault::KillBefore,
    Fault::KillAfter,
    Fault::KillLate,
    Fault::LostReply,
    Fault::Late,
    Fault::Twice,
    Fault::Refuse,
    Fault::RefuseForGood,
    Fault::Throttle,
    Fault::Drain,
    Fault::Abandon,
];

/// A bug that is built in on purpose, to show that it is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Canary {
    /// None.
    #[default]
    None,
    /// A create does not adopt what an interrupted one made.
    CreateNeverAdopts,
    /// A delete believes the first answer that says "not found".
    DeleteBelievesTheFirstAnswer,
    /// What was written to the journal before the last append may be lost in a crash: intents are not on disk before their calls.
    JournalIsLate,
}

/// Where the journal may be cut off by a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cuts {
    /// Anywhere.
    EveryByte,
    /// Before each line and before its last byte, and at the end.
    EveryLine,
}

/// No line of these journals is as long.
const LONGEST_LINE: usize = 640;

/// How long something takes that takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Always one tick.
    Steady,
    /// Up to as long as a reader may be late.
    Any,
}

/// What may go wrong in a process.
#[derive(Clone, Copy, Debug)]
pub struct Menu {
    /// How many things may go wrong.
    pub budget: usize,
    /// Whether the process may be killed.
    pub kills: bool,
    /// Whether calls may be refused, or their answers be lost.
    pub refusals: bool,
    /// Whether the person may stop the run.
    pub stops: bool,
    /// Once in how many calls something goes wrong, where not every sequence is tried.
    pub rarity: usize,
    /// Where a kill may cut the journal.
    pub cuts: Cuts,
    /// How long the world takes for what takes time.
    pub pace: Pace,
}

impl Menu {
    /// Nothing goes wrong.
    pub const CALM: Self = Self {
        budget: 0,
        kills: false,
        refusals: false,
        stops: false,
        rarity: 1,
        cuts: Cuts::EveryByte,
        pace: Pace::Steady,
    };

    /// Which of so many faults strikes now, if any.
    pub fn strikes(&self, choices: &mut Choices, count: usize) -> Option<usize> {
        match choices {
            Choices::Every(_) => choices.below(count + 1).checked_sub(1),
            Choices::Seeded(_) => choices.one_in(self.rarity).then(|| choices.below(count)),
        }
    }

    /// What goes wrong with a call.
    pub fn fault(&mut self, is_read: bool, choices: &mut Choices) -> Option<Fault> {
        if self.budget == 0 {
            return None;
        }
        let may = |fault: &&Fault| match fault {
            Fault::KillBefore | Fault::KillAfter | Fault::KillLate => self.kills,
            Fault::Drain | Fault::Abandon => self.stops,
            _ => self.refusals,
        };
        let all = if is_read { &READ[..] } else { &WRITE[..] };
        let possible: Vec<Fault> = all.iter().filter(may).copied().collect();
        let fault = possible[self.strikes(choices, possible.len())?];
        self.budget -= 1;
        Some(fault)
    }

    /// How many ticks something takes.
    pub fn slowness(&self, choices: &mut Choices) -> u64 {
        match self.pace {
            Pace::Steady => 1,
            Pace::Any => choices.of(&[0, 1, 2, LAG]),
        }
    }

    /// How many ticks a call is on its way that comes late.
    pub fn lateness(&self, choices: &mut Choices) -> u64 {
        match self.pace {
            Pace::Steady => LAG,
            Pace::Any => choices.of(&[1, 2, LAG]),
        }
    }

    /// A length that the journal may have after a kill, between what is on disk for certain and its end.
    ///
    /// The question is which line and where in it, not which byte: how long a line is depends on the time of day. There is no
    /// answer where that is behind the line.
    pub fn cut(&self, from: u64, to: u64, journal: &Path, choices: &mut Choices) -> Option<u64> {
        let bytes = std::fs::read(journal).unwrap_or_default();
        let ends = (1..).zip(&bytes).filter(|(_, byte)| **byte == b'\n').map(|(end, _)| end);
        let ends: Vec<u64> = std::iter::once(from).chain(ends.filter(|end| (from + 1..=to).contains(end))).collect();
        let line = choices.below(ends.len());
        let Some(length) = ends.get(line + 1).map(|end| end - ends[line]) else { return Some(ends[line]) };
        let offset = match (self.cuts, &choices) {
            (Cuts::EveryByte, Choices::Every(_)) => choices.below(LONGEST_LINE) as u64,
            (Cuts::EveryByte, Choices::Seeded(_)) => choices.below(16) as u64 * length / 16,
            (Cuts::EveryLine, _) => choices.below(2) as u64 * (length - 1),
        };
        assert!(length < LONGEST_LINE as u64, "a line is longer than all that are cut");
        (offset < length).then(|| ends[line] + offset)
    }
}
