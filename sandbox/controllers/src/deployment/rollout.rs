//! How many pods each replica set of a deployment gets next.

use super::template::{by_age, find_new};
use crate::meta::{annotation, count, is_deleting, name, number, text, uid};
use crate::pods::count_of;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The annotation with the replicas that the deployment wanted when the set was scaled last.
pub const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
/// The annotation with the most pods that the deployment could have had then.
pub const MOST: &str = "deployment.kubernetes.io/max-replicas";
/// The annotation with the number of the template.
pub const REVISION: &str = "deployment.kubernetes.io/revision";

/// A deployment and its replica sets.
#[derive(Debug, Clone)]
pub struct Rollout<'a> {
    /// The deployment.
    pub deployment: &'a Value,
    /// The set with its template.
    pub new: Option<Arc<Value>>,
    /// All others, oldest first.
    pub old: Vec<Arc<Value>>,
}

/// The size that a set is to get, by the set's name.
pub type Sizes = BTreeMap<String, i64>;

impl<'a> Rollout<'a> {
    /// Of a deployment and the sets that it controls.
    pub fn of(deployment: &'a Value, sets: &[Arc<Value>]) -> Self {
        let new = find_new(deployment, sets);
        let is_new = |set: &Value| new.as_ref().is_some_and(|new| uid(new) == uid(set));
        let mut old: Vec<Arc<Value>> = sets.iter().filter(|set| !is_new(set)).cloned().collect();
        old.sort_by(|one, other| by_age(one, other));
        Self { deployment, new, old }
    }

    /// All sets, the new one last.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &Arc<Value>> {
        self.old.iter().chain(&self.new)
    }

    /// How many pods are wanted.
    pub fn replicas(&self) -> i64 {
        count(self.deployment, "/spec/replicas")
    }

    /// Whether pods are replaced bit by bit.
    pub fn is_rolling(&self) -> bool {
        text(self.deployment, "/spec/strategy/type") != "Recreate"
    }

    fn fence_posts(&self) -> (i64, i64) {
        if !self.is_rolling() {
            return (0, 0);
        }
        let of = |field: &str, up: bool| {
            let value = self.deployment.pointer(&format!("/spec/strategy/rollingUpdate/{field}"));
            share(value.unwrap_or(&Value::Null), self.replicas(), up)
        };
        match (of("maxSurge", true), of("maxUnavailable", false)) {
            (0, 0) => (0, 1),
            posts => posts,
        }
    }

    /// How many pods more than wanted there may be.
    pub fn max_surge(&self) -> i64 {
        self.fence_posts().0
    }

    /// How many pods fewer than wanted may be available.
    pub fn max_unavailable(&self) -> i64 {
        if self.replicas() == 0 { 0 } else { self.fence_posts().1.min(self.replicas()) }
    }

    /// The pods that all sets want together.
    fn total(&self) -> i64 {
        self.all().map(|set| size(set)).sum()
    }

    fn available(&self) -> i64 {
        self.all().map(|set| count(set, "/status/availableReplicas")).sum()
    }

    /// Whether the deployment's size has changed since its sets were scaled.
    pub fn is_rescaled(&self) -> bool {
        self.all().filter(|set| size(set) > 0).any(|set| {
            let desired = annotation(set, DESIRED).and_then(|desired| desired.parse::<i64>().ok());
            desired.is_some_and(|desired| desired != self.replicas())
        })
    }

    /// The size that a new set begins with, or grows to.
    pub fn new_size(&self) -> i64 {
        let present = self.new.as_ref().map_or(0, |new| size(new));
        if !self.is_rolling() {
            return self.replicas();
        }
        let room = self.replicas() + self.max_surge() - self.total();
        if room <= 0 { present } else { present + room.min(self.replicas() - present) }
    }

    /// The next step of replacing pods bit by bit. Only sets that change are in it.
    pub fn next_rolling(&self) -> Sizes {
        let Some(new) = &self.new else { return Sizes::new() };
        let target = if size(new) > self.replicas() { self.replicas() } else { self.new_size() };
        if target != size(new) {
            return Sizes::from([(name(new).to_owned(), target)]);
        }
        self.shrink_old(new)
    }

    /// Old pods go: first those that do not work anyway, then as many as leave enough available ones.
    fn shrink_old(&self, new: &Value) -> Sizes {
        let least_available = self.replicas() - self.max_unavailable();
        let new_unavailable = size(new) - count(new, "/status/availableReplicas");
        let mut broken_left = self.total() - least_available - new_unavailable;
        let mut sizes = Sizes::new();
        if broken_left <= 0 {
            return sizes;
        }
        for set in self.old.iter().filter(|set| size(set) > 0) {
            let broken = (size(set) - count(set, "/status/availableReplicas")).clamp(0, broken_left.max(0));
            if broken > 0 {
                broken_left -= broken;
                sizes.insert(name(set).to_owned(), size(set) - broken);
            }
        }
        let mut spare = self.available() - least_available;
        for set in &self.old {
            let present = sizes.get(name(set)).copied().unwrap_or_else(|| size(set));
            let gone = present.min(spare.max(0));
            if gone > 0 {
                spare -= gone;
                sizes.insert(name(set).to_owned(), present - gone);
            }
        }
        sizes
    }

    /// The next step of stopping all old pods before the new ones start. `old_pods_left` says that some still run.
    pub fn next_recreate(&self, old_pods_left: bool) -> Sizes {
        let running: Sizes = self.old.iter().filter(|set| size(set) > 0).map(|set| (name(set).to_owned(), 0)).collect();
        if !running.is_empty() || old_pods_left {
            return running;
        }
        let new = self.new.iter().filter(|new| size(new) != self.replicas());
        new.map(|new| (name(new).to_owned(), self.replicas())).collect()
    }

    /// The sizes after the deployment itself was scaled, or while it is paused.
    pub fn rescale(&self) -> Sizes {
        let active: Vec<&Arc<Value>> = self.all().filter(|set| size(set) > 0).collect();
        let one = |set: &Value, wanted: i64| Sizes::from([(name(set).to_owned(), wanted)]);
        match active[..] {
            [] => {
                let newest = self.new.as_ref().or_else(|| self.old.last());
                newest.map(|set| one(set, self.replicas())).unwrap_or_default()
            }
            [set] => one(set, self.replicas()),
            _ if self.is_saturated() => {
                let old = self.old.iter().filter(|set| size(set) > 0);
                old.map(|set| (name(set).to_owned(), 0)).collect()
            }
            _ if self.is_rolling() => self.proportional(active),
            _ => Sizes::new(),
        }
    }

    fn is_saturated(&self) -> bool {
        let wanted = self.replicas();
        self.new.as_ref().is_some_and(|new| {
            size(new) == wanted
                && annotation(new, DESIRED) == Some(&wanted.to_string())
                && count(new, "/status/availableReplicas") == wanted
        })
    }

    /// Each set grows or shrinks by its share; what rounding leaves goes to the largest.
    fn proportional(&self, mut active: Vec<&Arc<Value>>) -> Sizes {
        let allowed = if self.replicas() > 0 { self.replicas() + self.max_surge() } else { 0 };
        let to_add = allowed - active.iter().map(|set| size(set)).sum::<i64>();
        active.sort_by(|one, other| {
            let age = if to_add > 0 { by_age(other, one) } else { by_age(one, other) };
            size(other).cmp(&size(one)).then(age)
        });
        let mut added = 0;
        let mut sizes = Sizes::new();
        for set in &active {
            let left = to_add - added;
            let share = if to_add > 0 { self.fraction(set).min(left) } else { self.fraction(set).max(left) };
            let share = if to_add == 0 || left == 0 { 0 } else { share };
            added += share;
            sizes.insert(name(set).to_owned(), size(set) + share);
        }
        if let Some(largest) = active.first().and_then(|set| sizes.get_mut(name(set))) {
            *largest = (*largest + to_add - added).max(0);
        }
        sizes
    }

    fn fraction(&self, set: &Value) -> i64 {
        if self.replicas() == 0 {
            return -size(set);
        }
        let most = self.replicas() + self.max_surge();
        let before = annotation(set, MOST).and_then(|most| most.parse::<i64>().ok()).filter(|most| *most > 0);
        let before = before.unwrap_or_else(|| count(self.deployment, "/status/replicas"));
        if before == 0 {
            return 0;
        }
        let scaled = size(set) * most;
        // Rounds half away from zero; all of these are positive.
        (2 * scaled + before) / (2 * before) - size(set)
    }

    /// The old sets that the history has no room for.
    pub fn beyond_history(&self) -> Vec<Arc<Value>> {
        let Some(limit) =
            number(self.deployment, "/spec/revisionHistoryLimit").filter(|limit| *limit < i64::from(i32::MAX))
        else {
            return Vec::new();
        };
        let mut sets: Vec<&Arc<Value>> = self.old.iter().filter(|set| !is_deleting(set)).collect();
        let surplus = usize::try_from(count_of(sets.len()) - limit).unwrap_or_default();
        sets.sort_by(|one, other| revision(one).cmp(&revision(other)).then_with(|| by_age(one, other)));
        let empty = |set: &&&Arc<Value>| {
            size(set) == 0
                && count(set, "/status/replicas") == 0
                && count(set, "/metadata/generation") <= count(set, "/status/observedGeneration")
        };
        sets[..surplus].iter().filter(empty).map(|set| (*set).clone()).collect()
    }
}

/// The pods that a set wants.
pub fn size(set: &Value) -> i64 {
    count(set, "/spec/replicas")
}

/// The number of a set's template.
pub fn revision(set: &Value) -> i64 {
    annotation(set, REVISION).and_then(|revision| revision.parse().ok()).unwrap_or_default()
}

/// A number, or a percentage of a total.
fn share(value: &Value, total: i64, up: bool) -> i64 {
    let percent = value.as_str().and_then(|text| text.strip_suffix('%')).and_then(|text| text.parse::<i64>().ok());
    match percent {
        Some(percent) if up => (total * percent + 99) / 100,
        Some(percent) => total * percent / 100,
        None => value.as_i64().unwrap_or_default(),
    }
}
