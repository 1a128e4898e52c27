//! Placing pods.

use super::*;
use proptest::prelude::*;

fn node(name: &str, cpu: &str, pods: &str) -> Value {
    json!({"metadata": {"name": name, "uid": name, "labels": {"zone": name}},
        "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": pods}}})
}

fn pod(name: &str, cpu: &str) -> Value {
    json!({"metadata": {"namespace": "a", "name": name, "uid": name},
        "spec": {"containers": [{"resources": {"requests": {"cpu": cpu}}}]}})
}

fn change(resource: &'static kinds::Resource, old: Option<Value>, new: Option<Value>) -> Change {
    let object = new.as_ref().or(old.as_ref()).unwrap();
    Change { id: Id::of(resource, object), old: old.map(Arc::new), new: new.map(Arc::new) }
}

fn state(nodes: &[Value]) -> State {
    let mut state = State::default();
    for node in nodes {
        state.observe(&change(kinds::NODES, None, Some(node.clone())));
    }
    state
}

fn waits(state: &mut State, pod: &Value) -> String {
    match state.place(pod, &PodRules::default()) {
        Verdict::Waits(words) => words,
        Verdict::Node(node) => panic!("placed on {node}"),
    }
}

const HOPELESS: &str =
    "no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";

#[test]
fn what_no_node_can_ever_have_is_told_as_hopeless() {
    let words = waits(&mut state(&[node("n", "4", "10")]), &pod("p", "5"));
    assert_eq!(words, format!("0/1 nodes are available: 1 Insufficient cpu. {HOPELESS}"));
}

#[test]
fn the_words_are_those_of_the_real_scheduler() {
    let with = |pointer: &str, value: Value| {
        let mut node = node("n", "4", "10");
        node["spec"][pointer] = value;
        node
    };
    let mut choosy = pod("p", "1");
    choosy["spec"]["nodeSelector"] = json!({"zone": "elsewhere"});
    let cases = [
        (with("unschedulable", json!(true)), pod("p", "1"), "node(s) were unschedulable"),
        (
            with("taints", json!([{"key": "k", "effect": "NoSchedule"}])),
            pod("p", "1"),
            "node(s) had untolerated taint(s)",
        ),
        (node("n", "4", "10"), choosy, "node(s) didn't match Pod's node affinity/selector"),
    ];
    for (node, pod, words) in cases {
        assert_eq!(waits(&mut state(&[node]), &pod), format!("0/1 nodes are available: 1 {words}. {HOPELESS}"));
    }
    assert_eq!(waits(&mut state(&[]), &pod("p", "1")), "no nodes available to schedule pods");
}

#[test]
fn a_toleration_lets_a_pod_onto_a_tainted_node() {
    let mut tainted = node("n", "4", "10");
    tainted["spec"] = json!({"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]});
    for toleration in
        [json!({"key": "k", "operator": "Exists"}), json!({"operator": "Exists"}), json!({"key": "k", "value": "v"})]
    {
        let mut pod = pod("p", "1");
        pod["spec"]["tolerations"] = json!([toleration]);
        assert_eq!(state(&[tainted.clone()]).place(&pod, &PodRules::default()), Verdict::Node("n".to_owned()));
    }
}

#[test]
fn a_preferred_node_wins_over_an_emptier_one() {
    let mut fond = pod("p", "1");
    fond["spec"]["affinity"] = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 5,
        "preference": {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["small"]}]}}]}});
    let nodes = [node("large", "8", "10"), node("small", "2", "10")];
    assert_eq!(state(&nodes).place(&fond, &PodRules::default()), Verdict::Node("small".to_owned()));
    assert_eq!(state(&nodes).place(&pod("q", "1"), &PodRules::default()), Verdict::Node("large".to_owned()));
}

#[test]
fn a_port_of_the_node_is_given_once() {
    let with_port = |name: &str, port: i64| {
        let mut pod = pod(name, "1");
        pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": port, "hostPort": port}]);
        pod
    };
    let mut state = state(&[node("n", "8", "10")]);
    assert_eq!(state.place(&with_port("a", 80), &PodRules::default()), Verdict::Node("n".to_owned()));
    assert!(
        waits(&mut state, &with_port("b", 80)).contains("1 node(s) didn't have free ports for the requested pod ports")
    );
    assert_eq!(state.place(&with_port("c", 81), &PodRules::default()), Verdict::Node("n".to_owned()));
}

proptest! {
    #[test]
    fn no_node_is_ever_given_away_twice(
        sizes in prop::collection::vec((1_i64..8, 1_i64..6), 1..4),
        moves in prop::collection::vec((0_u8..4, 0_usize..12, 1_i64..4), 0..120),
    ) {
        let nodes: Vec<Value> = sizes.iter().enumerate()
            .map(|(index, (cpu, pods))| node(&format!("n{index}"), &cpu.to_string(), &pods.to_string())).collect();
        let mut state = state(&nodes);
        let mut placed: HashMap<String, (Value, bool)> = HashMap::new();
        for (kind, which, cpu) in moves {
            let name = format!("p{which}");
            match (kind, placed.get(&name).cloned()) {
                (0 | 1, None) => {
                    let mut pod = pod(&name, &cpu.to_string());
                    if let Verdict::Node(node) = state.place(&pod, &PodRules::default()) {
                        pod["spec"]["nodeName"] = node.into();
                        placed.insert(name, (pod, false));
                    }
                }
                (2, Some((pod, false))) => {
                    state.observe(&change(kinds::PODS, None, Some(pod.clone())));
                    placed.insert(name, (pod, true));
                }
                (3, Some((pod, true))) => {
                    let freed = state.observe(&change(kinds::PODS, Some(pod), None));
                    prop_assert!(freed);
                    placed.remove(&name);
                }
                (3, Some((_, false))) => {
                    state.take_back(&name);
                    placed.remove(&name);
                }
                _ => {}
            }
            for (index, (cpu, pods)) in sizes.iter().enumerate() {
                let on_node = placed.values().filter(|(pod, _)| text(pod, "/spec/nodeName") == format!("n{index}"));
                let asked: Vec<i64> = on_node
                    .map(|(pod, _)| text(pod, "/spec/containers/0/resources/requests/cpu").parse().unwrap()).collect();
                prop_assert!(asked.iter().sum::<i64>() <= *cpu && i64::try_from(asked.len()).unwrap() <= *pods);
            }
        }
    }
}
