//! Small graphs, with everything that can go wrong in every place.

use std::path::Path;

use engine::{Graph, Policy};

use crate::choices::{Choices, Every};
use crate::cloud::Shared;
use crate::faults::{Canary, Cuts, Menu};
use crate::graphs::{Cast, Wanted};
use crate::process::{Stage, Verdict};

/// What happens to a node from one graph to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Keep,
    Create,
    Update,
    Replace,
    Delete,
}

/// How the nodes stand to each other: the second to the first, where there are two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Apart,
    Uses,
    Within,
    Fed,
    FedForGood,
    /// The third lives within the second, which the first feeds for good.
    Nest,
}

pub const STEPS: [Step; 5] = [Step::Keep, Step::Create, Step::Update, Step::Replace, Step::Delete];
pub const SHAPES: [Shape; 5] = [Shape::Apart, Shape::Uses, Shape::Within, Shape::Fed, Shape::FedForGood];

impl Shape {
    /// For the name of a test.
    pub fn words(self) -> &'static str {
        match self {
            Self::Apart => "apart",
            Self::Uses => "of_which_one_uses_the_other",
            Self::Within => "of_which_one_lives_within_the_other",
            Self::Fed => "of_which_one_is_fed_by_the_other",
            Self::FedForGood => "of_which_one_is_fed_by_the_other_for_good",
            Self::Nest => "in_a_nest",
        }
    }
}

impl Step {
    /// The value and the fixed field before and after.
    fn states(self) -> [Option<(usize, usize)>; 2] {
        match self {
            Self::Keep => [Some((0, 0)), Some((0, 0))],
            Self::Create => [None, Some((0, 0))],
            Self::Update => [Some((0, 0)), Some((1, 0))],
            Self::Replace => [Some((0, 0)), Some((0, 1))],
            Self::Delete => [Some((0, 0)), None],
        }
    }
}

/// What happens in a story, and what may go wrong in it.
pub struct Plot {
    pub shape: Shape,
    pub steps: Vec<Step>,
    /// What may go wrong while the second graph is applied.
    pub first: Menu,
    /// What may go wrong in the run that recovers.
    pub second: Menu,
    /// Whether somebody else has made all of it before, and it is adopted.
    pub adopts: bool,
}

impl Plot {
    /// The graphs before and after; none where they make no sense.
    fn graphs(&self) -> Option<[Graph; 2]> {
        let cast = match self.shape {
            Shape::Nest => Cast::nest(),
            shape => Cast::pair(shape == Shape::Within, shape == Shape::Uses),
        };
        let graph = |time: usize| {
            let mut wanted: Vec<Wanted> = Vec::new();
            for (number, step) in self.steps.iter().enumerate() {
                let Some((value, fixed)) = step.states()[time] else { continue };
                let has_first = number == 1 && wanted.iter().any(|it| it.number == 0);
                if number == 2 {
                    wanted.push(Wanted { number, within: Some(1), value, fixed, needs: vec![(1, false)], fed: None });
                    continue;
                }
                if number == 1 && self.shape == Shape::Within && !has_first {
                    return None;
                }
                let related = has_first && self.shape != Shape::Apart;
                let fed = match self.shape {
                    Shape::Fed => Some((0, false)),
                    Shape::FedForGood | Shape::Nest => Some((0, true)),
                    _ => None,
                };
                let needs = if related { vec![(0, false)] } else { Vec::new() };
                let within = (has_first && self.shape == Shape::Within).then_some(0);
                wanted.push(Wanted { number, within, value, fixed, needs, fed: fed.filter(|_| related) });
            }
            Some(cast.graph(&wanted))
        };
        // What is in use is not replaced.
        let in_use = self.shape == Shape::Uses && self.steps.first() == Some(&Step::Replace);
        Some([graph(0)?, graph(1)?]).filter(|_| !in_use)
    }

    /// Tells the plot with every sequence of choices.
    pub fn tell_all(&self, folder: &Path) -> Verdict {
        let Some(graphs) = self.graphs() else { return Ok(()) };
        let mut every = Every::default();
        loop {
            let mut stage = Stage::new(folder, Choices::Every(every), Canary::None);
            stage.adopts = self.adopts;
            let verdict = self.tell(&stage, &graphs);
            every = match choices_of(&stage.cloud) {
                Choices::Every(every) => every,
                Choices::Seeded(_) => unreachable!("it was given every choice"),
            };
            verdict.map_err(|wrong| format!("{:?} {:?}, choices {every:?}: {wrong}", self.shape, self.steps))?;
            if !every.advance() {
                return Ok(());
            }
        }
    }

    fn tell(&self, stage: &Stage, [before, after]: &[Graph; 2]) -> Verdict {
        if before.nodes().next().is_some() {
            stage.run(before, Policy::StopAtFailure, Menu::CALM)?;
        }
        for node in after.nodes().filter(|_| self.adopts) {
            stage.cloud.lock().put_foreign(&node.address.to_string());
        }
        stage.run(after, Policy::StopAtFailure, self.first)?;
        if stage.cloud.lock().repeated {
            return Ok(());
        }
        let empty = Graph::default();
        if self.second.budget > 0 {
            let destroys = stage.cloud.lock().choices.one_in(2);
            let (wanted, policy) = if destroys { (&empty, Policy::GoOn) } else { (after, Policy::StopAtFailure) };
            stage.run(wanted, policy, self.second)?;
        }
        if stage.cloud.lock().choices.one_in(2) {
            stage.converges(after)?;
        }
        stage.is_removed()
    }
}

fn choices_of(cloud: &Shared) -> Choices {
    std::mem::replace(&mut cloud.lock().choices, Choices::Every(Every::default()))
}

const KILLS: Menu = Menu { budget: 1, kills: true, cuts: Cuts::EveryLine, ..Menu::CALM };
const FAULTS: Menu = Menu { refusals: true, ..KILLS };

/// One node, killed with its journal cut at every byte.
pub fn every_byte(step: Step) -> Plot {
    let first = Menu { cuts: Cuts::EveryByte, ..KILLS };
    Plot { shape: Shape::Apart, steps: vec![step], first, second: Menu::CALM, adopts: false }
}

/// One node; something goes wrong twice, the second time while the run recovers from the first.
pub fn twice(step: Step) -> Plot {
    Plot { shape: Shape::Apart, steps: vec![step], first: FAULTS, second: FAULTS, adopts: false }
}

/// One node; something goes wrong once, or the person stops the run.
pub fn stopped(step: Step) -> Plot {
    Plot {
        shape: Shape::Apart,
        steps: vec![step],
        first: Menu { stops: true, ..FAULTS },
        second: Menu::CALM,
        adopts: false,
    }
}

/// One node that somebody else has made; something goes wrong twice while it is adopted, or the journal is cut at every byte.
pub fn adopted() -> [Plot; 2] {
    [twice(Step::Create), every_byte(Step::Create)].map(|plot| Plot { adopts: true, ..plot })
}

/// Three nodes, of which the first changes; something goes wrong once.
pub fn nest(step: Step) -> Plot {
    Plot {
        shape: Shape::Nest,
        steps: vec![step, Step::Keep, Step::Keep],
        first: FAULTS,
        second: Menu::CALM,
        adopts: false,
    }
}

/// Two nodes; something goes wrong once.
pub fn pair(shape: Shape, steps: [Step; 2]) -> Plot {
    Plot { shape, steps: steps.to_vec(), first: FAULTS, second: Menu::CALM, adopts: false }
}
