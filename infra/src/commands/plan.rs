//! `infra plan`: what apply would do.

use std::path::Path;

use engine::Plan;
use serde_json::{Value, json};

use crate::arguments;
use crate::prepare::{Prepared, Request, prepare};
use crate::report::{Exit, Problem, of_state};
use crate::saved::{self, SavedPlan};
use crate::settings::Settings;
use crate::view::{self, change, style};

/// Runs the command. Takes no lock and writes nothing but caches: the plan is of the moment. Only a plan that is saved needs
/// the deployment's key, and makes its folder.
pub async fn run(command: arguments::Plan, settings: &Settings) -> Result<Exit, Problem> {
    refuse_saved(command.which.scenario.as_deref())?;
    let request = Request::new(&command.which, &command.values, &command.target, &command.wanted, settings)?;
    if command.save.is_some() {
        request.deployment.make().map_err(of_state)?;
    }
    let inventory = settings.state.inventory(&request.deployment).await?;
    let prepared = prepare(&request, &inventory, settings, None).await?;
    if let Some(file) = &command.save {
        SavedPlan::new(&prepared, &request, &inventory)?.write(file)?;
    }
    if settings.json {
        println!("{}", as_json(&prepared));
    } else {
        print(&prepared);
        if let Some(file) = &command.save {
            anstream::println!("\n{} infra apply {}", style::hint("saved:"), file.display());
        }
    }
    Ok(if command.exit_code && !prepared.plan.is_empty() { Exit::Changes } else { Exit::Done })
}

fn refuse_saved(file: Option<&Path>) -> Result<(), Problem> {
    match file.map(saved::read).transpose()?.flatten() {
        None => Ok(()),
        Some(saved) => {
            Err(Problem::usage(format!("plan {}: it is a saved plan", file.unwrap_or(Path::new("")).display()))
                .hint(format!("`infra apply` with it carries it out; plan {} anew", saved.scenario.display())))
        }
    }
}

/// The whole plan, without what stands for the values of Secrets.
pub fn as_json(prepared: &Prepared) -> Value {
    let Plan { steps, drifted, in_the_way, moved } = &prepared.plan;
    let plan = json!({
        "event": "plan",
        "deployment": prepared.name,
        "provider": prepared.provider.name(),
        "drifted": drifted,
        "in_the_way": in_the_way,
        "moved": moved,
        "steps": steps,
        "left_out": prepared.left_out,
        "warnings": prepared.warnings,
    });
    change::masked(&plan)
}

/// Prints a plan on standard output.
pub fn print(prepared: &Prepared) {
    let Prepared { name, plan, left_out, .. } = prepared;
    if plan.is_empty() {
        let outside = view::plan::outside(plan);
        if !outside.is_empty() {
            anstream::println!("{}\n{outside}", style::bold(prepared.heading()));
        }
        anstream::println!("{name}: nothing to do{}{}", part(*left_out), view::plan::variables(plan));
        return;
    }
    anstream::print!("{}", view::plan::render(&prepared.heading(), plan));
    if *left_out > 0 {
        anstream::println!("{}", style::change(format!("only a part{}", part(*left_out))));
    }
}

/// What is to be said of a plan that is only a part.
pub fn part(left_out: usize) -> String {
    if left_out == 0 { String::new() } else { format!(": {} left out by --target", view::count(left_out, "step")) }
}
