//! The rules for source files. Each rule's finder is shown to find something, then held against every file.

use tidy::source::{Found, Source};
use tidy::tree;

const FUNCTION_LINES: usize = 70;
const FILE_LINES: usize = 500;

/// The Rust files of the repository: path and parsed content.
fn rust() -> Vec<(String, Source)> {
    let parse = |path: String| {
        let text = tree::text(&path).unwrap_or_else(|| panic!("{path} is not UTF-8"));
        let source = Source::parse(&text).unwrap_or_else(|error| panic!("{path} is not Rust: {error}"));
        (path, source)
    };
    tree::files_with(&["rs"]).into_iter().map(parse).collect()
}

/// The Rust files of the product itself, without their tests and outside of the folders named.
fn product(except: &[&str]) -> Vec<(String, Source)> {
    let is_test = |path: &str| ["/tests/", "/benches/", "/examples/"].iter().any(|folder| path.contains(folder));
    let excepted = |path: &str| except.iter().any(|prefix| path.starts_with(prefix));
    let files = rust().into_iter().filter(|(path, _)| !is_test(path) && !excepted(path));
    files.map(|(path, source)| (path, source.without_tests())).collect()
}

/// Fails with every place that the finder finds.
fn forbid(files: &[(String, Source)], rule: &str, find: impl Fn(&Source) -> Vec<Found>) {
    assert!(!files.is_empty(), "there is nothing to look at");
    let mut places = Vec::new();
    for (path, source) in files {
        places.extend(find(source).into_iter().map(|found| format!("{path}:{}: {}", found.line, found.what)));
    }
    assert!(places.is_empty(), "{rule}\n{}", places.join("\n"));
}

fn what(found: &[Found]) -> Vec<&str> {
    found.iter().map(|found| found.what.as_str()).collect()
}

#[test]
fn no_function_is_longer_than_70_lines() {
    let long = |source: &Source| {
        let long = source.functions().into_iter().filter(|function| function.lines > FUNCTION_LINES);
        let found = long.map(|it| Found { line: it.line, what: format!("{} has {} lines", it.name, it.lines) });
        found.collect::<Vec<_>>()
    };
    let sample = format!("impl A {{\n  fn short() {{}}\n  fn long() {{\n{}  }}\n}}", "    b();\n".repeat(69));
    assert_eq!(what(&long(&Source::parse(&sample).unwrap())), ["long has 71 lines"]);
    forbid(&rust(), "these functions are too long", long);
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

#[test]
fn a_library_never_prints() {
    let prints = |source: &Source| source.macros(&["print", "println", "eprint", "eprintln", "dbg"]);
    let sample = "fn a() { b!(println!(\"\")); /* print!() */ } #[cfg(test)] mod tests { fn c() { dbg!(1); } }";
    assert_eq!(what(&prints(&Source::parse(sample).unwrap().without_tests())), ["println"]);
    forbid(&product(&["infra/", "apps/", "dev/"]), "only infra, the apps and dev print", prints);
}

#[test]
fn nothing_is_left_open_in_the_code() {
    let open = |source: &Source| [source.macros(&["todo", "unimplemented"]), source.attributes("ignore")].concat();
    let sample = "#[test] #[ignore] fn a() { todo!() }";
    assert_eq!(what(&open(&Source::parse(sample).unwrap())), ["todo", "ignore"]);
    forbid(&rust(), "finish it, or take it out", open);
}

#[test]
fn only_wait_rs_polls() {
    // `sleep_until` is left alone: in a loop over events it is a deadline.
    let polls = |source: &Source| source.in_loops(|name| name == "sleep");
    let sample = "async fn a() { sleep(b).await; loop { c(d, async { tokio::time::sleep(e).await; }); } }";
    assert_eq!(what(&polls(&Source::parse(sample).unwrap())), ["sleep"]);
    // The sandbox is what others wait for: probes, heartbeats and followed logs are its work.
    let files = product(&["providers/src/wait.rs", "providers/src/retry.rs", "sandbox/", "apps/", "dev/"]);
    forbid(&files, "a loop that sleeps polls: that is for providers/src/wait.rs", polls);
}

#[test]
fn only_retry_rs_retries() {
    let counts = |name: &str| ["attempt", "retries", "retry", "backoff"].iter().any(|word| name.starts_with(word));
    let retries = |source: &Source| source.in_loops(counts);
    let sample = "fn a() { while let Err(_) = b() { attempts += 1; } }";
    assert_eq!(what(&retries(&Source::parse(sample).unwrap())), ["attempts"]);
    // A kubelet's restarts and back-off are what it is for, and an attempt in admission is the request.
    let files = product(&["providers/src/retry.rs", "sandbox/", "dev/"]);
    forbid(&files, "a loop that counts attempts retries: that is for providers/src/retry.rs", retries);
}

#[test]
fn only_providers_names_the_errors_of_a_client_library() {
    let foreign = |source: &Source| {
        let mut paths = source.paths();
        paths.retain(|path| {
            let mut segments = path.what.split("::");
            matches!(segments.next(), Some("kube" | "bollard" | "reqwest" | "hyper"))
                && segments.any(|segment| matches!(segment, "Error" | "error" | "errors" | "ErrorResponse"))
        });
        paths
    };
    let sample =
        "use kube::{Client, core::ErrorResponse as E}; fn a() -> Result<(), bollard::errors::Error> { b::Error }";
    let sample = foreign(&Source::parse(sample).unwrap());
    assert_eq!(what(&sample), ["kube::core::ErrorResponse", "bollard::errors::Error"]);
    // `datasets` lies beside `providers` in the lowest layer and maps its own client's errors.
    let files = product(&["providers/", "datasets/", "apps/", "dev/"]);
    forbid(&files, "only the lowest layer maps the errors of a client library", foreign);
}
