//! What goes wrong on purpose: by a list, or by a seed.
//!
//! Whether a call meets a fault follows from the method, what it is about, and how many such calls there were before. The
//! real time plays no part, so that a run can be had again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::hash;

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FaultKind {
    /// The call is done, but the connection is closed before the answer.
    LostReply,
    /// The connection is closed, and nothing was done.
    LostRequest,
    /// `429`: too many requests.
    TooManyRequests,
    /// `503`: the service is not there for the moment.
    Unavailable,
    /// `500`: an internal error, and nothing was done.
    Internal,
    /// `401`: the token is taken for expired.
    ExpiredToken,
    /// `403`: the permission is missing.
    Denied,
    /// `403`: the quota is taken for too small.
    Quota,
    /// The operation ends with an error; what it should have made is there and broken.
    FailedOperation,
    /// The operation ends with an error; only a part of the nodes is there.
    HalfMade,
    /// The zone has no such machine left; the operation says so late.
    Stockout,
    /// What was made is missing in lists for 20 seconds of simulated time.
    ListLag,
    /// What was made is not found for 10 seconds of simulated time.
    NotFoundAfterCreate,
    /// Another operation is said to run on the cluster.
    Incompatible,
    /// Something is said to use the resource that is to be deleted.
    InUse,
}

/// A rule by which calls meet a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// The end of the method's identifier: `clusters.create`. Empty: any that changes something.
    #[serde(default)]
    pub method: String,
    /// A part of the name of what the call is about. Empty: any.
    #[serde(default)]
    pub target: String,
    /// How many calls that fit are left alone first.
    #[serde(default)]
    pub after: u32,
    /// How many calls meet it then.
    #[serde(default = "once")]
    pub count: u32,
}

fn once() -> u32 {
    1
}

impl Fault {
    /// The first call whose method ends with this meets the fault.
    pub fn first(kind: FaultKind, method: &str) -> Self {
        Self { kind, method: method.into(), target: String::new(), after: 0, count: 1 }
    }
}

/// Whether a cluster's deletion leaves what its controllers made: disks of claims, and load balancers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LeaveBehind {
    /// It always does.
    #[default]
    Always,
    /// It never does.
    Never,
    /// Each thing by the seed.
    BySeed,
}

/// Everything that goes wrong.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Faults {
    /// The rules. The first one that fits a call counts.
    pub rules: Vec<Fault>,
    /// Faults by this seed, too.
    pub seed: Option<u64>,
    /// Which part of the calls meets a fault of the seed, from 0 to 1. The third call of a kind about the same resource, and
    /// those after it, meet none: a client that goes on gets there.
    pub rate: f64,
    /// What clusters leave behind.
    pub leave_behind: LeaveBehind,
}

impl Faults {
    /// A tenth of the calls meets a fault, by this seed.
    pub fn by_seed(seed: u64) -> Self {
        Self { seed: Some(seed), rate: 0.1, leave_behind: LeaveBehind::BySeed, ..Self::default() }
    }
}

/// How many calls of a kind about the same resource can meet a fault of the seed.
const FAULTY_CALLS: u32 = 2;

/// The faults with the calls that were counted.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub faults: Faults,
    fitting: BTreeMap<usize, u32>,
    calls: BTreeMap<(String, String), u32>,
}

impl Counted {
    /// With these faults from now on.
    pub fn set(&mut self, faults: Faults) {
        self.faults = faults;
        self.fitting.clear();
    }

    /// The fault of a call, if it meets one. Counts the call.
    pub fn meet(&mut self, method: &str, target: &str, changes: bool) -> Option<FaultKind> {
        let calls = self.calls.entry((method.to_owned(), target.to_owned())).or_default();
        let position = *calls;
        *calls += 1;
        let mut met = None;
        for (index, rule) in self.faults.rules.iter().enumerate() {
            let fits = if rule.method.is_empty() { changes } else { method.ends_with(&rule.method) };
            if !fits || !target.contains(&rule.target) {
                continue;
            }
            let before = self.fitting.entry(index).or_default();
            let now = (rule.after..rule.after.saturating_add(rule.count)).contains(before);
            *before = before.saturating_add(1);
            if now && met.is_none() {
                met = Some(rule.kind);
            }
        }
        met.or_else(|| self.drawn(method, target, position, changes))
    }

    fn drawn(&self, method: &str, target: &str, position: u32, changes: bool) -> Option<FaultKind> {
        let seed = self.faults.seed?;
        let position_text = position.to_string();
        let words = [method, target, &position_text];
        if position >= FAULTY_CALLS || hash::fraction(seed, &words) >= self.faults.rate {
            return None;
        }
        let kinds = possible(method, changes);
        let drawn = usize::try_from(hash::number(!seed, &words)).unwrap_or(0) % kinds.len();
        Some(kinds[drawn])
    }

    /// Whether something that a cluster's controllers made stays when the cluster goes.
    pub fn leaves(&self, name: &str) -> bool {
        match self.faults.leave_behind {
            LeaveBehind::Always => true,
            LeaveBehind::Never => false,
            LeaveBehind::BySeed => {
                hash::number(self.faults.seed.unwrap_or_default(), &["leave", name]).is_multiple_of(2)
            }
        }
    }
}

/// What can happen to a call of a method, where a seed decides.
fn possible(method: &str, changes: bool) -> Vec<FaultKind> {
    use FaultKind::{
        FailedOperation, HalfMade, InUse, Incompatible, Internal, ListLag, LostReply, LostRequest, NotFoundAfterCreate,
        Stockout, TooManyRequests, Unavailable,
    };
    let mut kinds = vec![TooManyRequests, Unavailable, LostRequest];
    if changes {
        kinds.extend([LostReply, LostReply, Internal]);
    }
    if method.ends_with(".create") || method.ends_with(".insert") {
        kinds.extend([ListLag, NotFoundAfterCreate]);
    }
    if method.starts_with("container.") && changes {
        kinds.push(Incompatible);
    }
    if method.ends_with("etworks.delete") {
        kinds.extend([InUse, InUse]);
    }
    if method.ends_with("clusters.delete") || method.ends_with("nodePools.delete") {
        kinds.push(FailedOperation);
    }
    if method.ends_with("clusters.create") || method.ends_with("nodePools.create") {
        kinds.extend([FailedOperation, HalfMade, Stockout]);
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_meets_as_many_calls_as_it_says_and_where_it_says() {
        let mut counted = Counted::default();
        let rule =
            Fault { after: 1, count: 2, target: "c".into(), ..Fault::first(FaultKind::Unavailable, "clusters.get") };
        counted.set(Faults { rules: vec![rule], ..Faults::default() });
        let mut call =
            |target: &str| counted.meet("container.projects.locations.clusters.get", target, false).is_some();
        assert_eq!([call("c"), call("d"), call("c"), call("c"), call("c")], [false, false, true, true, false]);
    }

    #[test]
    fn faults_of_a_seed_are_the_same_again_and_end() {
        let draw = |seed: u64| {
            let mut counted = Counted::default();
            counted.set(Faults { rate: 0.5, ..Faults::by_seed(seed) });
            let calls = (0..10).map(|call| counted.meet("compute.disks.insert", &format!("d{}", call % 3), true));
            calls.collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(draw(1).iter().any(Option::is_some));
        assert!(draw(1)[6..].iter().all(Option::is_none));
    }
}
