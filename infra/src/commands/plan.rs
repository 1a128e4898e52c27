//! `infra plan`: what apply would do.

use engine::Journal;
use serde_json::json;

use crate::arguments;
use crate::prepare::{Prepared, prepare};
use crate::report::{Exit, Problem};
use crate::settings::Settings;
use crate::view;

/// Runs the command. Takes no lock and writes nothing but caches: the plan is of the moment.
pub async fn run(command: arguments::Plan, settings: &Settings) -> Result<Exit, Problem> {
    let request = crate::prepare::Request::new(&command.which, &command.target, settings)?;
    let inventory = Journal::read(&request.deployment.journal())?;
    let prepared = prepare(request, &inventory, settings, None).await?;
    if settings.json {
        println!(
            "{}",
            json!({ "deployment": prepared.name, "steps": prepared.plan.steps, "warnings": prepared.warnings })
        );
    } else {
        print(&prepared);
    }
    Ok(Exit::Done)
}

/// Prints a plan on standard output.
pub fn print(prepared: &Prepared) {
    if prepared.plan.is_empty() {
        anstream::println!("{}: nothing to do", prepared.name);
        return;
    }
    anstream::print!("{}", view::plan::render(&prepared.heading(), &prepared.plan));
}
