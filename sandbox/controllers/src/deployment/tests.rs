//! Rollouts as a game: the deployment moves, pods start and fail as they like.

use super::rollout::{DESIRED, MOST, Rollout, Sizes};
use super::status;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A replica set and whether each of its pods is available.
#[derive(Debug, Clone)]
struct Set {
    image: String,
    pods: Vec<bool>,
    wanted: i64,
    age: usize,
}

#[derive(Debug)]
struct World {
    replicas: i64,
    surge: Value,
    unavailable: Value,
    image: String,
    sets: BTreeMap<String, Set>,
}

impl World {
    fn deployment(&self) -> Value {
        json!({"metadata": {"name": "web", "uid": "web", "generation": 1}, "spec": {"replicas": self.replicas,
            "progressDeadlineSeconds": 600,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": self.surge, "maxUnavailable": self.unavailable}},
            "template": {"spec": {"image": self.image}}}})
    }

    fn objects(&self) -> Vec<Arc<Value>> {
        let object = |(name, set): (&String, &Set)| {
            let created = Timestamp::from_second(set.age.try_into().unwrap()).unwrap().to_string();
            let available = set.pods.iter().filter(|available| **available).count();
            Arc::new(json!({"metadata": {"name": name, "uid": name, "creationTimestamp": created,
                    "annotations": {DESIRED: self.replicas.to_string(), MOST: "0"}},
                "spec": {"replicas": set.wanted, "template": {"spec": {"image": set.image}}},
                "status": {"replicas": set.pods.len(), "availableReplicas": available}}))
        };
        self.sets.iter().map(object).collect()
    }

    fn available(&self) -> i64 {
        self.sets.values().flat_map(|set| &set.pods).filter(|available| **available).count().try_into().unwrap()
    }

    /// Makes the pods as many as wanted; those that do not work go first.
    fn settle(&mut self) {
        for set in self.sets.values_mut() {
            let wanted = usize::try_from(set.wanted).unwrap();
            set.pods.sort_unstable_by(|one, other| other.cmp(one));
            set.pods.resize(wanted, false);
        }
    }

    fn apply(&mut self, sizes: &Sizes) {
        for (name, size) in sizes {
            self.sets.get_mut(name).unwrap().wanted = *size;
        }
        self.settle();
    }

    /// One move of the controller; tells whether there was one.
    fn step(&mut self) -> bool {
        let (deployment, sets) = (self.deployment(), self.objects());
        let rollout = Rollout::of(&deployment, &sets);
        if rollout.new.is_none() {
            let (name, age) = (self.image.clone(), self.sets.len());
            let set = Set { image: self.image.clone(), pods: Vec::new(), wanted: rollout.new_size(), age };
            self.sets.insert(name, set);
            self.settle();
            return true;
        }
        let sizes = rollout.next_rolling();
        self.apply(&sizes);
        !sizes.is_empty()
    }

    fn is_done(&self) -> bool {
        self.sets.values().all(|set| {
            let wanted = if set.image == self.image { self.replicas } else { 0 };
            set.wanted == wanted
                && set.pods.iter().filter(|available| **available).count() == usize::try_from(wanted).unwrap()
        })
    }

    fn start_all(&mut self) {
        self.sets.values_mut().flat_map(|set| &mut set.pods).for_each(|available| *available = true);
    }
}

fn amount() -> impl Strategy<Value = Value> {
    prop_oneof![(0_i64..4).prop_map(Value::from), (0_u8..=100).prop_map(|percent| json!(format!("{percent}%")))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_rollout_keeps_its_bounds_and_always_comes_to_its_end(
        replicas in 1_i64..12,
        surge in amount(),
        unavailable in amount(),
        moves in prop::collection::vec((0_u8..4, any::<prop::sample::Index>()), 0..80),
    ) {
        let mut world = World { replicas, surge, unavailable, image: "0".to_owned(), sets: BTreeMap::new() };
        while world.step() {}
        world.start_all();
        world.image = "1".to_owned();
        let (deployment, none) = (world.deployment(), Vec::new());
        let bounds = Rollout::of(&deployment, &none);
        let (most, least) = (replicas + bounds.max_surge(), replicas - bounds.max_unavailable());
        for (kind, which) in moves {
            let before = world.available();
            match kind {
                0 | 1 => {
                    world.step();
                    prop_assert!(world.available() >= before.min(least), "{world:?}");
                }
                kind => {
                    let pods: usize = world.sets.values().map(|set| set.pods.len()).sum();
                    if pods > 0 {
                        let which = which.index(pods);
                        let mut pods = world.sets.values_mut().flat_map(|set| &mut set.pods);
                        *pods.nth(which).unwrap() = kind == 2;
                    }
                }
            }
            let wanted: i64 = world.sets.values().map(|set| set.wanted).sum();
            prop_assert!(wanted <= most, "{world:?}");
        }
        for _ in 0..200 {
            world.start_all();
            world.step();
        }
        prop_assert!(world.is_done(), "{world:?}");
    }

    #[test]
    fn scaling_shares_the_pods_out_and_adds_up(before in 2_i64..20, after in 0_i64..30, new in 1_i64..10) {
        let new = new.min(before - 1);
        let set = |image: &str, wanted: i64, age: usize| Set { image: image.to_owned(), pods: vec![true; usize::try_from(wanted).unwrap()], wanted, age };
        let sets = BTreeMap::from([("0".to_owned(), set("0", before - new, 0)), ("1".to_owned(), set("1", new, 1))]);
        let world = World { replicas: after, surge: json!(1), unavailable: json!(1), image: "1".to_owned(), sets };
        let mut objects = world.objects();
        for object in &mut objects {
            Arc::make_mut(object)["metadata"]["annotations"] = json!({DESIRED: before.to_string(), MOST: (before + 1).to_string()});
        }
        let deployment = world.deployment();
        let sizes = Rollout::of(&deployment, &objects).rescale();
        let total: i64 = sizes.values().sum();
        prop_assert_eq!(total, if after == 0 { 0 } else { after + 1 });
        prop_assert!(sizes.values().all(|size| *size >= 0));
    }
}

fn set_object(name: &str, image: &str, replicas: i64, available: i64) -> Arc<Value> {
    Arc::new(
        json!({"metadata": {"name": name, "uid": name}, "spec": {"replicas": replicas, "template": {"spec": {"image": image}}},
        "status": {"replicas": replicas, "availableReplicas": available}}),
    )
}

fn deployment_object(status: Value) -> Value {
    json!({"metadata": {"name": "web", "generation": 1}, "spec": {"replicas": 2, "progressDeadlineSeconds": 600,
        "template": {"spec": {"image": "a"}}}, "status": status})
}

fn progress_of(deployment: &Value, sets: &[Arc<Value>], second: i64) -> Value {
    let status = status::with_progress(&Rollout::of(deployment, sets), Timestamp::from_second(second).unwrap());
    let conditions = status["conditions"].as_array().unwrap().clone();
    conditions.into_iter().find(|each| each["type"] == "Progressing").unwrap_or_default()
}

#[test]
fn progress_is_told_until_the_last_pod_is_available() {
    let deployment = deployment_object(json!({}));
    let progress = progress_of(&deployment, &[set_object("web-1", "a", 2, 1)], 0);
    assert_eq!(
        (&progress["reason"], &progress["message"]),
        (&json!("ReplicaSetUpdated"), &json!("ReplicaSet \"web-1\" is progressing."))
    );
    let progress = progress_of(&deployment, &[set_object("web-1", "a", 2, 2)], 0);
    assert_eq!(progress["message"], "ReplicaSet \"web-1\" has successfully progressed.");
}

#[test]
fn a_rollout_without_progress_times_out() {
    let known = json!([{"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated",
        "lastUpdateTime": "1970-01-01T00:00:00Z", "lastTransitionTime": "1970-01-01T00:00:00Z"}]);
    let deployment = deployment_object(json!({"replicas": 2, "updatedReplicas": 2, "conditions": known}));
    let sets = [set_object("web-1", "a", 2, 0)];
    assert_eq!(progress_of(&deployment, &sets, 600)["reason"], "ReplicaSetUpdated");
    let late = progress_of(&deployment, &sets, 601);
    assert_eq!((&late["status"], &late["reason"]), (&json!("False"), &json!("ProgressDeadlineExceeded")));
    assert_eq!(status::deadline_in(&deployment, Timestamp::from_second(100).unwrap()).unwrap().as_secs(), 501);
}
