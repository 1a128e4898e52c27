use std::collections::BTreeMap;

use crate::{Address, Event, Plan, Record};

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

/// When a step began, ended and announced its milestones, in seconds since the run's begin.
#[derive(Default)]
struct Span {
    began: f64,
    ended: Option<f64>,
    milestones: BTreeMap<String, f64>,
}

/// Reads the chain off a run's events: from the step that ended last, back through the need that was satisfied last.
pub fn timing(plan: &Plan, records: &[Record]) -> Timing {
    let Some(first) = records.first() else { return Timing::default() };
    let seconds = |record: &Record| record.at.duration_since(first.at).as_secs_f64();
    let mut spans: BTreeMap<&Address, Span> = BTreeMap::new();
    for record in records {
        match &record.event {
            Event::StepBegan { address, .. } => {
                spans.entry(address).or_insert_with(|| Span { began: seconds(record), ..Span::default() }).ended = None;
            }
            Event::StepMilestone { address, milestone } => {
                spans.entry(address).or_default().milestones.insert(milestone.clone(), seconds(record));
            }
            Event::StepEnded { address, .. } => spans.entry(address).or_default().ended = Some(seconds(record)),
            _ => {}
        }
    }
    // The clock may have been set meanwhile: the run's own count does not follow it.
    let counted = records.iter().rev().find_map(|record| match record.event {
        Event::RunEnded { seconds, .. } => Some(seconds),
        _ => None,
    });
    let total_seconds = counted.unwrap_or_else(|| records.last().map_or(0.0, seconds)).max(0.0);
    let last = spans
        .iter()
        .filter_map(|(address, span)| Some((*address, span.ended?)))
        .max_by(|left, right| left.1.total_cmp(&right.1));
    let mut chain = Vec::new();
    let mut next = last;
    while let Some((address, until)) = next {
        let Some(step) = plan.step(address) else { break };
        chain.push(Link {
            address: address.clone(),
            title: step.node.title.clone(),
            seconds: (until - spans[address].began).max(0.0),
        });
        next = step
            .node
            .needs
            .iter()
            .filter_map(|need| {
                let span = spans.get(&need.address)?;
                let satisfied =
                    need.milestone.as_ref().and_then(|name| span.milestones.get(name)).copied().or(span.ended)?;
                Some((&need.address, satisfied))
            })
            .max_by(|left, right| left.1.total_cmp(&right.1));
    }
    chain.reverse();
    Timing { chain, total_seconds }
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
}
