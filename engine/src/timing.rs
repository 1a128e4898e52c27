use std::collections::BTreeMap;

use crate::{Address, Event, Need, Operation, Plan, Record};

/// Where the time of a run went.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Timing {
    /// The longest chain of steps of which each had to wait for the one before it, in order.
    pub chain: Vec<Link>,
    /// From the run's begin to its end.
    pub total_seconds: f64,
}

/// One step of the chain.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Link {
    /// The step.
    pub address: Address,
    /// What a person reads.
    pub title: String,
    /// How long the chain was held up by it: until its end, or until the milestone that the next step waited for.
    pub seconds: f64,
}

impl Timing {
    /// The length of the chain.
    pub fn chain_seconds(&self) -> f64 {
        self.chain.iter().map(|link| link.seconds).sum()
    }
}

/// A step, as far as its place in the chain goes.
#[derive(Clone, Copy, Debug)]
pub struct Timed<'a> {
    /// The step.
    pub address: &'a Address,
    /// What a person reads.
    pub title: &'a str,
    /// What it waits for; when it is deleted, these wait for it.
    pub needs: &'a [Need],
}

/// When a step began, ended and announced its milestones, in seconds since the run's begin.
#[derive(Default)]
struct Span {
    began: f64,
    ended: Option<f64>,
    is_deletion: bool,
    milestones: BTreeMap<String, f64>,
}

/// Reads the chain off a run's events: from the step that ended last, back through what it waited for last.
pub fn timing(plan: &Plan, records: &[Record]) -> Timing {
    let steps = plan.steps.iter().map(|step| &step.node);
    let steps = steps.map(|node| Timed { address: &node.address, title: &node.title, needs: &node.needs });
    timing_of(steps, records)
}

/// The same for steps that come from elsewhere than a plan.
pub fn timing_of<'a>(steps: impl IntoIterator<Item = Timed<'a>>, records: &[Record]) -> Timing {
    let Some(first) = records.first() else { return Timing::default() };
    let steps: BTreeMap<&Address, Timed<'_>> = steps.into_iter().map(|step| (step.address, step)).collect();
    let spans = spans(records);
    // The clock may have been set meanwhile: the run's own count does not follow it.
    let counted = records.iter().rev().find_map(|record| match record.event {
        Event::RunEnded { seconds, .. } => Some(seconds),
        _ => None,
    });
    let last = records.last().map_or(0.0, |last| last.at.duration_since(first.at).as_secs_f64());
    let total_seconds = counted.unwrap_or(last).max(0.0);
    let mut waited_for: BTreeMap<&Address, Vec<(&Address, f64)>> = BTreeMap::new();
    for (address, need) in steps.values().flat_map(|step| step.needs.iter().map(move |need| (step.address, need))) {
        let (Some(user), Some(needed)) = (spans.get(address), spans.get(&need.address)) else { continue };
        if needed.is_deletion {
            waited_for.entry(&need.address).or_default().extend(user.ended.map(|ended| (address, ended)));
        }
        if !user.is_deletion {
            let milestone = need.milestone.as_ref().and_then(|name| needed.milestones.get(name)).copied();
            waited_for
                .entry(address)
                .or_default()
                .extend(milestone.or(needed.ended).map(|ended| (&need.address, ended)));
        }
    }
    // What had not ended when the run did held it up until then.
    let ended = spans.iter().map(|(address, span)| (*address, span.ended.unwrap_or(total_seconds)));
    let mut chain: Vec<Link> = Vec::new();
    let mut next = ended.max_by(|left, right| left.1.total_cmp(&right.1));
    while let Some((address, until)) = next {
        let Some(step) = steps.get(address) else { break };
        let began = spans[address].began;
        let title = step.title.to_owned();
        chain.push(Link { address: address.clone(), title, seconds: (until - began).max(0.0) });
        let before = waited_for.remove(address).unwrap_or_default().into_iter();
        next = before.filter(|(_, ended)| *ended <= until).max_by(|left, right| left.1.total_cmp(&right.1));
    }
    chain.reverse();
    Timing { chain, total_seconds }
}

fn spans(records: &[Record]) -> BTreeMap<&Address, Span> {
    let seconds = |record: &Record| record.at.duration_since(records[0].at).as_secs_f64();
    let mut spans: BTreeMap<&Address, Span> = BTreeMap::new();
    for record in records {
        match &record.event {
            Event::StepBegan { address, operation, .. } => {
                let span = spans.entry(address).or_insert_with(|| Span { began: seconds(record), ..Span::default() });
                (span.ended, span.is_deletion) = (None, *operation == Operation::Delete);
            }
            Event::StepMilestone { address, milestone } => {
                spans.entry(address).or_default().milestones.insert(milestone.clone(), seconds(record));
            }
            Event::StepEnded { address, .. } | Event::StepFailed { address, .. } => {
                spans.entry(address).or_default().ended = Some(seconds(record));
            }
            _ => {}
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_clock_that_is_set_back_during_a_run_does_not_change_how_long_it_took() {
        let record = |at: &str, event| Record { at: at.parse::<Timestamp>().unwrap(), event };
        let name = || "test".to_owned();
        let began = Event::RunBegan { deployment: name(), command: name(), scenario: None };
        let ended = Event::RunEnded { success: true, seconds: 2.5 };
        let mut records = vec![record("2030-01-01T12:00:00Z", began), record("2030-01-01T11:00:00Z", ended)];
        let total = |records: &[Record]| timing(&Plan::default(), records).total_seconds.to_string();
        assert_eq!(total(&records), "2.5");
        records[1].event = Event::StepProgress { address: Address::new("thing", "a"), message: name() };
        assert_eq!(total(&records), "0", "a run that was abandoned took no negative time");
    }

    #[test]
    fn the_chain_of_deletions_goes_the_other_way_round() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let (network, cluster) = (Address::new("network", "a"), Address::new("cluster", "a"));
        let operation = Operation::Delete;
        let began = |second, address: &Address| Record {
            at: at(second),
            event: Event::StepBegan { address: address.clone(), title: String::new(), operation },
        };
        let ended = |second, address: &Address| Record {
            at: at(second),
            event: Event::StepEnded { address: address.clone(), operation, seconds: 0.0, unchanged: false },
        };
        let records = [began(0, &cluster), ended(3, &cluster), began(3, &network), ended(4, &network)];
        let need = [Need::from(network.clone())];
        let steps = [
            Timed { address: &network, title: "network", needs: &[] },
            Timed { address: &cluster, title: "cluster", needs: &need },
        ];
        let chain = timing_of(steps, &records).chain;
        let told: Vec<(&str, String)> = chain.iter().map(|link| (&*link.title, link.seconds.to_string())).collect();
        assert_eq!(told, [("cluster", "3".to_owned()), ("network", "1".to_owned())]);
    }
}
