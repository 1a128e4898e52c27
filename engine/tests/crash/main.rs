//! The engine, killed and refused at every step: in a world in memory, with the real journal on a real file.
//!
//! A story is a world, some graphs that are wanted one after the other, and what goes wrong meanwhile. It ends well when one
//! undisturbed apply makes the world as wanted, a second one has nothing to do, and one undisturbed destroy leaves nothing:
//! no thing left, none made twice, no question to the person. What goes wrong is a sequence of choices: all sequences of small
//! stories are told, and of larger ones as many as there are seeds.
//!
//! - `cargo test -p engine --test crash -- --seeds N` tells the stories of the first N seeds, `--seeds M..N` those from M on.
//!   Without it the variable `INFRA_TEST_SEEDS` says which, in the same words.
//! - `cargo test -p engine --test crash -- --seed S` tells that of one, `--canary NAME` with a bug built in.

mod behaviour;
mod canaries;
mod choices;
mod cloud;
mod damage;
mod faults;
mod graphs;
mod process;
mod seeds;
mod small;

use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use crate::faults::Canary;
use crate::process::Verdict;
use crate::small::{SHAPES, STEPS, Step};

/// Which seeds are told when nobody asks for others.
const SEEDS: Range<u64> = 0..10_000;

/// The variable that asks for others.
const SEEDS_VARIABLE: &str = "INFRA_TEST_SEEDS";

/// How many of them make one test.
const PORTION: usize = 500;

/// A test with a folder of its own, in memory where that is possible: what is proven of the journal does not need a slow disk.
fn trial(name: impl Into<String>, test: impl FnOnce(&Path) -> Verdict + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        test(folder?.path()).map_err(Into::into)
    })
}

/// Which seeds are meant by `N` (the first N) or by `M..N`.
fn seeds_of(text: &str) -> Option<Range<u64>> {
    let (begin, end) = text.split_once("..").unwrap_or(("0", text));
    Some(begin.parse().ok()?..end.parse().ok()?)
}

fn portions(seeds: Range<u64>) -> impl Iterator<Item = Trial> {
    seeds.clone().step_by(PORTION).map(move |begin| {
        let range = begin..seeds.end.min(begin + PORTION as u64);
        let name = format!("the_stories_of_seeds_{}_to_{}_end_well", range.start, range.end - 1);
        trial(name, |folder| seeds::end_well(range, Canary::None, folder))
    })
}

fn every_choice() -> Vec<Trial> {
    let name = |step: Step| format!("{step:?}").to_lowercase();
    let bytes = STEPS.map(|step| {
        let name = format!("a_journal_cut_at_any_byte_of_a_run_of_{}_is_recovered_from", name(step));
        trial(name, move |folder| small::every_byte(step).tell_all(folder))
    });
    let twice = STEPS.map(|step| {
        let name = format!("what_goes_wrong_in_{}_and_again_in_its_recovery_is_recovered_from", name(step));
        trial(name, move |folder| small::twice(step).tell_all(folder))
    });
    let stopped = STEPS.map(|step| {
        let name = format!("what_goes_wrong_in_{}_or_is_stopped_is_recovered_from", name(step));
        trial(name, move |folder| small::stopped(step).tell_all(folder))
    });
    let pairs = SHAPES.map(|shape| {
        let name = format!("what_goes_wrong_with_two_nodes_{}_is_recovered_from", shape.words());
        trial(name, move |folder| {
            let all = STEPS.into_iter().flat_map(|first| STEPS.map(|second| [first, second]));
            all.into_iter().try_for_each(|steps| small::pair(shape, steps).tell_all(folder))
        })
    });
    let nest = trial("what_goes_wrong_with_a_container_that_turns_out_to_be_replaced_is_recovered_from", |folder| {
        STEPS.into_iter().try_for_each(|step| small::nest(step).tell_all(folder))
    });
    let adopted = trial("what_goes_wrong_while_something_is_adopted_is_recovered_from", |folder| {
        small::adopted().iter().try_for_each(|plot| plot.tell_all(folder))
    });
    [nest, adopted].into_iter().chain(bytes).chain(stopped).chain(twice).chain(pairs).collect()
}

fn all(seeds: Range<u64>) -> Vec<Trial> {
    let mut trials = vec![
        trial("every_sequence_of_choices_is_tried_once", |_| choices::every_sequence_is_tried_once()),
        trial("the_stories_of_the_same_seeds_are_the_same", seeds::are_the_same_when_told_again),
    ];
    trials.extend(portions(seeds));
    trials.extend(every_choice());
    trials.extend(canaries::ALL.map(|(name, canary)| {
        let test = format!("the_bug_{}_is_found_by_a_seed", name.replace('-', "_"));
        trial(test, move |folder| canaries::is_found(name, canary, folder))
    }));
    trials.extend(damage::all());
    trials
}

fn main() -> ExitCode {
    if let Some(exit) = damage::hold_a_lock_if_asked() {
        return exit;
    }
    let asked = |text: &str| seeds_of(text).expect("which seeds is said by a number N or a range M..N");
    let mut seeds = std::env::var(SEEDS_VARIABLE).map_or(SEEDS, |text| asked(&text));
    let (mut seed, mut canary) = (None, Canary::None);
    let mut given = std::env::args();
    let mut arguments: Vec<String> = Vec::new();
    while let Some(argument) = given.next() {
        let mut value = || given.next().unwrap_or_default();
        match argument.as_str() {
            "--seeds" => seeds = asked(&value()),
            "--seed" => seed = Some(value().parse().expect("--seed takes a number")),
            "--canary" => {
                let name = value();
                let known = canaries::ALL.iter().find(|(known, _)| *known == name);
                canary = known.expect("--canary takes the name of a bug").1;
            }
            _ => arguments.push(argument),
        }
    }
    let trials = match seed {
        Some(seed) => vec![trial(format!("the_story_of_seed_{seed}_ends_well"), move |folder| {
            seeds::end_well(seed..seed + 1, canary, folder)
        })],
        None => all(seeds),
    };
    libtest_mimic::run(&Arguments::from_iter(arguments), trials).exit_code()
}
