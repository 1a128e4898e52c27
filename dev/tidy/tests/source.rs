//! The rules for source files. Each rule's finder is shown to find something, then held against every file.

use std::sync::LazyLock;
use std::{thread, vec};

use tidy::source::{Found, Source};
use tidy::tree;

const FUNCTION_LINES: usize = 70;
const FILE_LINES: usize = 500;

/// A rule for Rust files.
struct Rule {
    /// What to do about what was found.
    text: &'static str,
    /// What breaks it.
    find: fn(&Source) -> Vec<Found>,
    /// Where it holds.
    holds: Holds,
}

/// Where a rule holds.
enum Holds {
    /// In every file.
    Everywhere,
    /// In the product itself, without its tests and outside of the folders named.
    InTheProductExcept(&'static [&'static str]),
}

static RULES: [Rule; 6] = [LONG, PRINTS, OPEN, POLLS, RETRIES, FOREIGN];

/// What breaks each rule, each file parsed once: that takes long.
static BROKEN: LazyLock<[Vec<String>; RULES.len()]> = LazyLock::new(|| {
    let files = tree::files_with(&["rs"]);
    assert!(!files.is_empty(), "there is nothing to look at");
    let portion = files.len().div_ceil(thread::available_parallelism().map_or(1, usize::from));
    let mut all: [Vec<String>; RULES.len()] = Default::default();
    thread::scope(|scope| {
        let portions: Vec<_> = files.chunks(portion).map(|files| scope.spawn(|| broken_in(files))).collect();
        for portion in portions {
            let broken = portion.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            all.iter_mut().zip(broken).for_each(|(all, broken)| all.extend(broken));
        }
    });
    all
});

fn broken_in(files: &[String]) -> [Vec<String>; RULES.len()] {
    let mut all: [Vec<String>; RULES.len()] = Default::default();
    for path in files {
        let text = tree::text(path).unwrap_or_else(|| panic!("{path} is not UTF-8"));
        let whole = Source::parse(&text).unwrap_or_else(|error| panic!("{path} is not Rust: {error}"));
        let mut look = |source: &Source, holds: fn(&Holds, &str) -> bool| {
            for (rule, broken) in RULES.iter().zip(&mut all).filter(|(rule, _)| holds(&rule.holds, path)) {
                broken.extend((rule.find)(source).iter().map(|found| format!("{path}:{}: {}", found.line, found.what)));
            }
        };
        look(&whole, |holds, _| matches!(holds, Holds::Everywhere));
        look(&whole.without_tests(), |holds, path| match holds {
            Holds::Everywhere => false,
            Holds::InTheProductExcept(folders) => is_product(path, folders),
        });
    }
    all
}

fn is_product(path: &str, except: &[&str]) -> bool {
    let is_test = ["/tests/", "/benches/", "/examples/"].iter().any(|folder| path.contains(folder));
    !is_test && !except.iter().any(|prefix| path.starts_with(prefix))
}

/// Fails with every place that breaks the rule.
fn hold(rule: &Rule) {
    let number = RULES.iter().position(|other| other.text == rule.text).expect("it is one of the rules");
    let places = &BROKEN[number];
    assert!(places.is_empty(), "{}\n{}", rule.text, places.join("\n"));
}

/// What the rule finds in the product's part of a sample.
fn found(rule: &Rule, sample: &str) -> vec::IntoIter<String> {
    let source = Source::parse(sample).expect("a sample is Rust").without_tests();
    (rule.find)(&source).into_iter().map(|found| found.what).collect::<Vec<_>>().into_iter()
}

const LONG: Rule = Rule {
    text: "these functions are too long",
    find: |source| {
        let long = source.functions().into_iter().filter(|function| function.lines > FUNCTION_LINES);
        long.map(|it| Found { line: it.line, what: format!("{} has {} lines", it.name, it.lines) }).collect()
    },
    holds: Holds::Everywhere,
};

#[test]
fn no_function_is_longer_than_70_lines() {
    let sample = format!("impl A {{\n  fn short() {{}}\n  fn long() {{\n{}  }}\n}}", "    b();\n".repeat(69));
    assert!(found(&LONG, &sample).eq(["long has 71 lines"]));
    hold(&LONG);
}

#[test]
fn no_file_is_longer_than_500_lines() {
    let generated = ["LICENSE", ".lock", ".snap", ".stderr", ".json", "/go.mod", "/go.sum"];
    let mut long = Vec::new();
    for path in tree::files() {
        if generated.iter().any(|end| path.ends_with(end)) {
            continue;
        }
        let lines = tree::text(&path).map_or(0, |text| text.lines().count());
        if lines > FILE_LINES {
            long.push(format!("{path} has {lines} lines"));
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

const PRINTS: Rule = Rule {
    text: "only infra, the apps and dev print",
    find: |source| source.macros(&["print", "println", "eprint", "eprintln", "dbg"]),
    holds: Holds::InTheProductExcept(&["infra/", "apps/", "dev/"]),
};

#[test]
fn a_library_never_prints() {
    let sample = "fn a() { b!(println!(\"\")); /* print!() */ } #[cfg(test)] mod tests { fn c() { dbg!(1); } }";
    assert!(found(&PRINTS, sample).eq(["println"]));
    hold(&PRINTS);
}

const OPEN: Rule = Rule {
    text: "finish it, or take it out",
    find: |source| [source.macros(&["todo", "unimplemented"]), source.attributes("ignore")].concat(),
    holds: Holds::Everywhere,
};

#[test]
fn nothing_is_left_open_in_the_code() {
    assert!(found(&OPEN, "#[test] #[ignore] fn a() { todo!() }").eq(["todo", "ignore"]));
    hold(&OPEN);
}

const POLLS: Rule = Rule {
    text: "a loop that sleeps polls: that is for providers/src/wait.rs",
    // `sleep_until` is left alone: in a loop over events it is a deadline.
    find: |source| source.in_loops(|name| name == "sleep"),
    // The sandbox is what others wait for: probes, heartbeats and followed logs are its work.
    holds: Holds::InTheProductExcept(&["providers/src/wait.rs", "providers/src/retry.rs", "sandbox/", "apps/", "dev/"]),
};

#[test]
fn only_wait_rs_polls() {
    let sample = "async fn a() { sleep(b).await; loop { c(d, async { tokio::time::sleep(e).await; }); } }";
    assert!(found(&POLLS, sample).eq(["sleep"]));
    hold(&POLLS);
}

const RETRIES: Rule = Rule {
    text: "a loop that counts attempts retries: that is for providers/src/retry.rs",
    find: |source| {
        source.in_loops(|name| ["attempt", "retries", "retry", "backoff"].iter().any(|word| name.starts_with(word)))
    },
    // A kubelet's restarts and back-off are what it is for, and an attempt in admission is the request.
    holds: Holds::InTheProductExcept(&["providers/src/retry.rs", "sandbox/", "dev/"]),
};

#[test]
fn only_retry_rs_retries() {
    assert!(found(&RETRIES, "fn a() { while let Err(_) = b() { attempts += 1; } }").eq(["attempts"]));
    hold(&RETRIES);
}

const FOREIGN: Rule = Rule {
    text: "only the lowest layer maps the errors of a client library",
    find: |source| {
        let mut paths = source.paths();
        paths.retain(|path| {
            let mut segments = path.what.split("::");
            matches!(segments.next(), Some("kube" | "bollard" | "reqwest" | "hyper"))
                && segments.any(|segment| matches!(segment, "Error" | "error" | "errors" | "ErrorResponse"))
        });
        paths
    },
    // `datasets` lies beside `providers` in the lowest layer and maps its own client's errors.
    holds: Holds::InTheProductExcept(&["providers/", "datasets/", "apps/", "dev/"]),
};

#[test]
fn only_providers_names_the_errors_of_a_client_library() {
    let sample =
        "use kube::{Client, core::ErrorResponse as E}; fn a() -> Result<(), bollard::errors::Error> { b::Error }";
    assert!(found(&FOREIGN, sample).eq(["kube::core::ErrorResponse", "bollard::errors::Error"]));
    hold(&FOREIGN);
}
