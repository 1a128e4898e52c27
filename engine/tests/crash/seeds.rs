//! Larger stories, each from a seed.

use std::ops::Range;
use std::path::Path;

use engine::{Graph, Policy};

use crate::canaries;
use crate::choices::{Choices, Seeded};
use crate::faults::{Canary, Cuts, Menu, Pace};
use crate::graphs::Cast;
use crate::process::{Stage, Verdict};

/// Tells the story of a seed.
pub fn story(seed: u64, canary: Canary, folder: &Path) -> Verdict {
    tell(&Stage::new(folder, Choices::Seeded(Seeded::new(seed)), canary))
}

/// Tells it again, with all that happens.
pub fn tale(seed: u64, canary: Canary, folder: &Path) -> Vec<String> {
    let stage = Stage::new(folder, Choices::Seeded(Seeded::new(seed)), canary);
    stage.cloud.lock().tale.0 = Some(Vec::new());
    let verdict = tell(&stage);
    let mut tale = stage.cloud.lock().tale.0.take().unwrap_or_default();
    tale.push(verdict.map_or_else(|wrong| format!("WRONG: {wrong}"), |()| "all is well".to_owned()));
    tale
}

/// What a person reads of a seed that fails: everything that happened, and how to see it again.
pub fn report(seed: u64, canary: Canary, folder: &Path) -> String {
    let tale = tale(seed, canary, folder).join("\n");
    let canary = canaries::ALL.iter().find(|(_, known)| *known == canary);
    let canary = canary.map_or(String::new(), |(name, _)| format!(" --canary {name}"));
    format!("{tale}\n\nto see it again: cargo test -p engine --test crash -- --seed {seed}{canary}")
}

/// Tells the stories of these seeds; the first that does not end well is reported.
pub fn end_well(seeds: Range<u64>, canary: Canary, folder: &Path) -> Verdict {
    let failed: Vec<u64> = seeds.filter(|seed| story(*seed, canary, folder).is_err()).collect();
    match failed[..] {
        [] => Ok(()),
        [seed, ..] => Err(format!("{}\n\nseeds that fail: {failed:?}", report(seed, canary, folder))),
    }
}

/// The same seed tells the same story: all that it depends on is the seed.
pub fn are_the_same_when_told_again(folder: &Path) -> Verdict {
    let told = |seed| {
        let mut tale = tale(seed, Canary::None, folder);
        // How many bytes a line has depends on the time of day.
        tale.retain(|line| !line.contains(" bytes"));
        tale
    };
    let different: Vec<u64> = (0..100).filter(|seed| told(*seed) != told(*seed)).collect();
    if different.is_empty() { Ok(()) } else { Err(format!("these seeds tell another story every time: {different:?}")) }
}

fn tell(stage: &Stage) -> Verdict {
    let cast = Cast::generate(&mut stage.cloud.lock().choices, 7);
    stage.cloud.lock().tale.say(|| format!("{cast:?}"));
    let (mut nodes, mut wanted) = (Vec::new(), Graph::default());
    for _ in 0..=choose(stage, 2) {
        nodes = cast.want(&nodes, &mut stage.cloud.lock().choices);
        stage.cloud.lock().tale.say(|| format!("wanted: {nodes:#?}"));
        wanted = cast.graph(&nodes);
        for _ in 0..=choose(stage, 3) {
            disturbed(stage, &wanted)?;
            if choose(stage, 12) == 0 {
                stage.cloud.lock().meddle();
            }
        }
        if choose(stage, 3) == 0 {
            stage.converges(&wanted)?;
            if choose(stage, 3) == 0 {
                stage.cloud.lock().meddle();
            }
        }
    }
    if choose(stage, 2) == 0 {
        stage.converges(&wanted)?;
    }
    stage.is_removed()
}

fn choose(stage: &Stage, bound: usize) -> usize {
    stage.cloud.lock().choices.below(bound)
}

/// A run in which anything may happen: an apply, or now and then a destroy.
fn disturbed(stage: &Stage, wanted: &Graph) -> Verdict {
    let rarity = [4, 12, 40][choose(stage, 3)];
    let menu = Menu {
        budget: 1 + choose(stage, 4),
        kills: true,
        refusals: true,
        stops: true,
        rarity,
        cuts: Cuts::EveryByte,
        pace: Pace::Any,
    };
    let is_apply = choose(stage, 5) > 0;
    stage.cloud.lock().tale.say(|| format!("a disturbed {}", if is_apply { "apply" } else { "destroy" }));
    let empty = Graph::default();
    let (wanted, policy) = if is_apply { (wanted, Policy::StopAtFailure) } else { (&empty, Policy::GoOn) };
    stage.run(wanted, policy, menu).map(drop)
}
