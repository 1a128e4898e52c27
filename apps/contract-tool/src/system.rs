//! Steps that look at the process and its files.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::{env, fs, io};

use crate::{number, say};

/// Does the step, when it is one of these.
pub fn step(words: &[&str]) -> Option<io::Result<()>> {
    Some(match *words {
        ["environment"] => {
            let mut all: Vec<String> = env::vars().map(|(name, value)| format!("{name}={value}")).collect();
            all.sort();
            for line in &all {
                say(line);
            }
            Ok(())
        }
        ["variable", name] => {
            say(&env::var(name).map_or_else(|_| format!("{name} is not set"), |value| format!("{name}={value}")));
            Ok(())
        }
        ["directory"] => env::current_dir().map(|path| say(&path.display().to_string())),
        ["hostname"] => fs::read_to_string("/proc/sys/kernel/hostname").map(|text| say(text.trim())),
        ["identity"] => identity(),
        ["processes"] => processes(),
        ["mount", path] => mount(path),
        ["read", file] => fs::read_to_string(file).map(|text| say(text.trim_end_matches('\n'))),
        ["size", file] => fs::metadata(file).map(|it| say(&it.len().to_string())),
        ["write", file, text] => fs::write(file, text),
        ["fill", file, mebibytes] => {
            number(mebibytes).and_then(|count: usize| fs::write(file, vec![1_u8; count << 20]))
        }
        ["append", file, text] => fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(file)
            .and_then(|mut it| io::Write::write_all(&mut it, format!("{text}\n").as_bytes())),
        ["remove", file] => fs::remove_file(file),
        ["exists", file] => fs::exists(file).map(|it| say(&format!("{file} exists: {it}"))),
        ["try-write", file] => {
            let verdict = fs::write(file, "x").map_or_else(|error| error.to_string(), |()| "written".to_owned());
            say(&format!("{file}: {verdict}"));
            Ok(())
        }
        ["mode", file] => fs::metadata(file).map(|it| {
            say(&format!("{file} {:o} {}:{}", it.permissions().mode() & 0o7777, it.uid(), it.gid()));
        }),
        ["list", folder] => list(folder),
        _ => return None,
    })
}

/// The names in a folder, sorted, in one line.
fn list(folder: &str) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    say(&names.join(" "));
    Ok(())
}

/// Who the process is and what it may do.
fn identity() -> io::Result<()> {
    let status = fs::read_to_string("/proc/self/status")?;
    let wanted = ["Uid:", "Gid:", "Groups:", "CapEff:", "NoNewPrivs:"];
    for line in status.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name))) {
        say(&line.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    say(&format!("process {}", std::process::id()));
    Ok(())
}

/// The programs that the process can see.
fn processes() -> io::Result<()> {
    let mut seen = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Ok(process) = name.parse::<u32>() {
            let command = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
            seen.push((process, command.trim().to_owned()));
        }
    }
    seen.sort_unstable();
    for (process, command) in &seen {
        say(&format!("{process} {command}"));
    }
    Ok(())
}

/// Whether a path is a mount, its type, and whether it may be written.
fn mount(path: &str) -> io::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let line = mounts.lines().rev().find(|line| line.split(' ').nth(1) == Some(path));
    say(&line.map_or_else(
        || format!("{path} is no mount"),
        |line| {
            let words: Vec<&str> = line.split(' ').collect();
            let write = if words[3].split(',').any(|option| option == "ro") { "read-only" } else { "writable" };
            let kind = if words[2] == "tmpfs" { "memory" } else { "disk" };
            format!("{path} {kind} {write}")
        },
    ));
    Ok(())
}

/// Seconds of processor time that this process has had, user and system.
pub fn processor_seconds() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = text.rsplit(')').next().unwrap_or_default();
    let ticks: u32 = after.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u32>().ok()).sum();
    f64::from(ticks) / 100.0
}
