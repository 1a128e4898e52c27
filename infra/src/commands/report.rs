//! `infra report`: how a run went.

use std::io::Write;

use crate::arguments;
use crate::record::story::read;
use crate::record::{choose, find, runs};
use crate::report::{Exit, Problem};
use crate::settings::Settings;
use crate::view::{page, story, style};

/// Runs the command. It needs nothing but the record: no cluster, no scenario, no lock.
pub async fn run(command: &arguments::Report, settings: &Settings) -> Result<Exit, Problem> {
    let name = choose(&command.which, settings).await?;
    if command.list {
        return list(&name, settings);
    }
    let told = read(&find(settings, &name, command.run)?)?;
    match &command.html {
        Some(file) if file.as_os_str() == "-" => print(&page::render(&told)),
        Some(file) => {
            std::fs::write(file, page::render(&told)).map_err(|error| {
                let causes = vec![format!("write the page to {}", file.display()), error.to_string()];
                Problem { causes, ..Problem::from(error) }
            })?;
            anstream::eprintln!("{} {}", style::good("wrote"), file.display());
        }
        None if settings.json => print(&(serde_json::to_string(&told)? + "\n")),
        None => print(&story::render(&told)),
    }
    Ok(Exit::Done)
}

/// One line for each run, the last one first.
fn list(name: &str, settings: &Settings) -> Result<Exit, Problem> {
    let kept = runs(settings, name);
    // Says that there is none, where there is none.
    find(settings, name, None)?;
    for run in kept.iter().rev() {
        let told = match read(run) {
            Ok(told) => told,
            Err(error) => {
                anstream::eprintln!("{} {error}", style::change("warning:"));
                continue;
            }
        };
        if settings.json {
            let (begin, outcome, seconds) = (&told.begin, told.outcome, told.whole_seconds());
            print(&format!("{}\n", serde_json::json!({ "begin": begin, "outcome": outcome, "seconds": seconds })));
        } else {
            print(&story::line(&told));
        }
    }
    Ok(Exit::Done)
}

/// A reader that has seen enough (`head`) is no error.
fn print(text: &str) {
    let _ = anstream::stdout().write_all(text.as_bytes());
}
