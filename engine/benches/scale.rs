//! One run of the engine on a large graph, as a process: `scale COMMAND SHAPE COUNT FOLDER`.
//!
//! The commands are `apply`, `plan` (what an apply that changes nothing decides) and `destroy`; each reads the journal in
//! `FOLDER` first, as `infra` does. The behaviour does nothing, so that what is measured is the engine and the disk. Prints
//! one JSON object: seconds, syncs and the peak memory. `dev/bench/scale` runs this beside Terraform.

use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use engine::{
    Address, Context, Failure, Gone, Graph, Journal, Node, Plan, Policy, Registry, Resource, Sinks, StopHandle,
    execute, output, plan,
};
use serde_json::{Value, json};

/// What the graph looks like.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// Each takes the output of the one before it.
    Chain,
    /// All take the output of the first, and the last needs all.
    Fan,
    /// 20 layers; each takes the outputs of two of the layer before, and takes a while.
    Layers,
}

const LAYERS: usize = 20;

/// Does nothing, or waits as long as the inputs say.
struct Nothing {
    parallelism: usize,
}

#[async_trait]
impl Resource for Nothing {
    fn parallelism(&self) -> usize {
        self.parallelism
    }

    async fn create(&self, _context: &Context, inputs: &Value) -> Result<Value, Failure> {
        if let Some(milliseconds) = inputs["milliseconds"].as_u64() {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        }
        Ok(json!({ "value": inputs["value"] }))
    }

    async fn delete(&self, context: &Context, _inputs: &Value) -> Result<Vec<Gone>, Failure> {
        Ok(vec![Gone::new("nothing", context.address().name())])
    }
}

impl Shape {
    /// What the node of this number takes outputs of, and what it needs besides.
    fn needs(self, number: usize, count: usize) -> (Vec<usize>, Vec<usize>) {
        match self {
            _ if number == 0 => (Vec::new(), Vec::new()),
            Self::Chain => (vec![number - 1], Vec::new()),
            Self::Fan if number == count - 1 => (Vec::new(), (1..count - 1).collect()),
            Self::Fan => (vec![0], Vec::new()),
            Self::Layers => {
                let width = count.div_ceil(LAYERS);
                let Some(above) = (number / width).checked_sub(1) else { return (Vec::new(), Vec::new()) };
                let at = |offset: usize| above * width + (number + offset) % width;
                (vec![at(0), at(7)], Vec::new())
            }
        }
    }

    /// How long a node takes: between 50 and 549 ms, without a pattern.
    fn milliseconds(self, number: usize) -> Option<u64> {
        (self == Self::Layers).then(|| 50 + (number as u64).wrapping_mul(2_654_435_761) % 500)
    }

    fn graph(self, count: usize) -> Graph {
        let address = |number: usize| Address::new("nothing", format!("n{number}"));
        let mut graph = Graph::default();
        for number in 0..count {
            let (takes, needs) = self.needs(number, count);
            let mut node = Node::new(address(number), format!("nothing n{number}"), "nothing");
            let values: Vec<Value> = takes.iter().map(|taken| output(&address(*taken), "value")).collect();
            node.inputs = json!({ "value": "0", "takes": values });
            if let Some(milliseconds) = self.milliseconds(number) {
                node.inputs["milliseconds"] = milliseconds.into();
            }
            node.needs = takes.iter().chain(&needs).map(|need| address(*need).into()).collect();
            graph.add(node).expect("the numbers are different");
        }
        graph
    }

    /// The seconds that the slowest way through the graph takes.
    fn longest_seconds(self, count: usize) -> f64 {
        let mut until = vec![0; count];
        for number in 0..count {
            let (takes, needs) = self.needs(number, count);
            let begin = takes.iter().chain(&needs).map(|need| until[*need]).max().unwrap_or_default();
            until[number] = begin + self.milliseconds(number).unwrap_or_default();
        }
        Duration::from_millis(until.into_iter().max().unwrap_or_default()).as_secs_f64()
    }
}

/// The most memory that this process ever had, in MiB.
fn peak_memory_mebibytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u32>().ok());
    kibibytes.map_or(f64::NAN, |kibibytes| f64::from(kibibytes) / 1024.0)
}

async fn run(command: &str, shape: Shape, count: usize, folder: &Path) -> Value {
    let mut registry = Registry::default();
    let parallelism = if shape == Shape::Layers { usize::MAX } else { 32 };
    registry.register("nothing", Nothing { parallelism });
    let began = Instant::now();
    let (graph, policy) = match command {
        "destroy" => (Graph::default(), Policy::GoOn),
        _ => (shape.graph(count), Policy::StopAtFailure),
    };
    let mut journal = Journal::open(&folder.join("journal.jsonl")).expect("the journal opens");
    let opened = Instant::now();
    let observed = registry.observe(journal.inventory()).await;
    let plan: Plan = plan(&graph, journal.inventory(), &observed, &registry).expect("there is a plan");
    let planned = Instant::now();
    drop(graph);
    if command == "plan" {
        assert!(plan.is_empty(), "there is nothing to change");
    } else {
        let (sinks, stop) = (Sinks::default(), StopHandle::default());
        let outcome = execute("bench", &plan, &mut journal, &registry, &sinks, &stop, policy).await;
        let outcome = outcome.expect("the journal can be written");
        assert!(outcome.is_success() && outcome.changed == count, "{} of {count} are done", outcome.changed);
        assert_eq!(journal.inventory().is_empty(), command == "destroy");
    }
    json!({
        "seconds": began.elapsed().as_secs_f64(),
        "open_seconds": (opened - began).as_secs_f64(),
        "plan_seconds": (planned - opened).as_secs_f64(),
        "execute_seconds": planned.elapsed().as_secs_f64(),
        "longest_seconds": shape.longest_seconds(count),
        "peak_memory_mebibytes": peak_memory_mebibytes(),
    })
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [command, shape, count, folder] = &arguments[..] else {
        eprintln!("usage: scale apply|plan|destroy chain|fan|layers COUNT FOLDER");
        std::process::exit(2);
    };
    let shape = match shape.as_str() {
        "chain" => Shape::Chain,
        "fan" => Shape::Fan,
        "layers" => Shape::Layers,
        other => panic!("{other} is no shape"),
    };
    let count = count.parse().expect("the count is a number");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let figures = runtime.expect("threads can be started").block_on(run(command, shape, count, Path::new(folder)));
    println!("{figures}");
}
