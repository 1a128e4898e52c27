//! The program in the pods of the contract suite: does what its arguments say, step by step, so that one small static file
//! can play every part that a test needs.
//!
//! Steps are parted by `+`: `tool print hello + sleep 5 + exit 3`. A step that fails says why on standard error and ends
//! the program with 1.

mod network;
mod system;

use std::io::{IsTerminal, Read, Write};
use std::process::exit;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use signal_hook::consts::{SIGINT, SIGTERM};

/// What to say, and the exit code, when SIGTERM comes.
static FAREWELL: Mutex<(String, i32)> = Mutex::new((String::new(), 0));
/// SIGTERM is heard and not obeyed.
static STUBBORN: AtomicBool = AtomicBool::new(false);

fn main() {
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT]).expect("signals can be taken");
    thread::spawn(move || {
        for _ in signals.forever() {
            if STUBBORN.load(Ordering::SeqCst) {
                say("not obeying");
                continue;
            }
            let (text, code) = FAREWELL.lock().expect("nobody panics with it").clone();
            if !text.is_empty() {
                say(&text);
            }
            exit(code);
        }
    });
    let arguments: Vec<String> = env::args().skip(1).collect();
    for step in arguments.split(|argument| argument == "+") {
        let words: Vec<&str> = step.iter().map(String::as_str).collect();
        let done = system::step(&words).or_else(|| network::step(&words)).unwrap_or_else(|| basic(&words));
        if let Err(error) = done {
            eprintln!("{}: {error}", words.join(" "));
            exit(1);
        }
    }
}

/// Prints a line at once, whoever reads.
pub fn say(text: &str) {
    let mut out = io::stdout().lock();
    // Whoever does not read any more is no reason to stop.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// A number from an argument.
pub fn number<T: std::str::FromStr>(text: &str) -> io::Result<T> {
    text.parse().map_err(|_| io::Error::other(format!("{text:?} is not a number")))
}

/// Steps that print, wait and end.
fn basic(words: &[&str]) -> io::Result<()> {
    match *words {
        [] => {}
        ["print", text] => say(text),
        ["complain", text] => eprintln!("{text}"),
        ["lines", count] => (1..=number(count)?).for_each(|line: u32| say(&format!("line {line}"))),
        ["lines", count, milliseconds] => {
            for line in 1..=number(count)? {
                let line: u32 = line;
                say(&format!("line {line}"));
                thread::sleep(Duration::from_millis(number(milliseconds)?));
            }
        }
        ["exit", code] => exit(number(code)?),
        ["sleep"] => thread::sleep(Duration::from_hours(24)),
        ["sleep", seconds] => thread::sleep(Duration::from_secs_f64(number(seconds)?)),
        ["farewell", text, code] => *FAREWELL.lock().expect("nobody panics with it") = (text.to_owned(), number(code)?),
        ["stubborn"] => STUBBORN.store(true, Ordering::SeqCst),
        ["fail-until", file, times] => {
            let before = fs::read_to_string(file).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
            let now = before + 1;
            fs::write(file, now.to_string())?;
            say(&format!("run {now}"));
            let times: u32 = number(times)?;
            if now < times {
                exit(1);
            }
        }
        ["wait-for", file] => {
            while !fs::exists(file)? {
                thread::sleep(Duration::from_millis(20));
            }
        }
        ["allocate", mebibytes] => allocate(number(mebibytes)?),
        ["spin", seconds] => spin(Duration::from_secs_f64(number(seconds)?)),
        ["copy-input"] => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text)?;
            print!("{text}");
            io::stdout().flush()?;
        }
        ["terminal"] => say(&format!("terminal: {}", io::stdin().is_terminal())),
        _ => return Err(io::Error::other("no such step")),
    }
    Ok(())
}

/// Takes memory and touches every page of it.
fn allocate(mebibytes: usize) {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for _ in 0..mebibytes {
        let mut piece = vec![0_u8; 1 << 20];
        piece.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
        all.push(std::hint::black_box(piece));
    }
    say(&format!("allocated {} MiB", all.len()));
}

/// Counts as fast as it can, and says how many seconds of the processor that took.
fn spin(time: Duration) {
    let begin = Instant::now();
    let mut count = 0_u64;
    while begin.elapsed() < time {
        count = std::hint::black_box(count + 1);
    }
    say(&format!("processor seconds: {:.1}", system::processor_seconds()));
}
