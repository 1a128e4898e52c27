//! `infra doctor`: what this machine lacks for which provider, and how to get it.

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::arguments::{self, Provider};
use crate::doctor::{Check, Part, Verdict, examine};
use crate::report::{Exit, Problem};
use crate::settings::Settings;
use crate::view::style;

/// Runs the command. It ends with [`Exit::Missing`] where the provider that would be used cannot be.
pub async fn run(command: arguments::Doctor, settings: &Settings) -> Result<Exit, Problem> {
    let usual = settings.provider.or(settings.usual_provider).unwrap_or(Provider::Sandbox);
    let checks = examine(settings, command.kind.as_deref()).await;
    if settings.json {
        let providers: Map<String, Value> = Provider::value_variants()
            .iter()
            .map(|provider| (provider.name().to_owned(), lacks(&checks, *provider).is_empty().into()))
            .collect();
        println!("{}", json!({ "checks": checks, "providers": providers, "usual": usual.name() }));
    } else {
        print(&checks, usual);
    }
    Ok(if lacks(&checks, usual).is_empty() { Exit::Done } else { Exit::Missing })
}

/// What a provider cannot do without, and this machine has not.
fn lacks(checks: &[Check], provider: Provider) -> Vec<&'static str> {
    let own = match provider {
        Provider::Sandbox => Part::Sandbox,
        Provider::Kind => Part::Kind,
        Provider::Gke => Part::Gke,
    };
    let needed = checks.iter().filter(|check| check.part == Part::Machine || check.part == own);
    needed.filter(|check| check.verdict == Verdict::Missing).map(|check| check.name).collect()
}

fn print(checks: &[Check], usual: Provider) {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let parts = [
        (Part::Machine, "this machine"),
        (Part::Sandbox, "provider sandbox"),
        (Part::Kind, "provider kind"),
        (Part::Gke, "provider gke"),
        (Part::Images, "building images"),
    ];
    for (part, title) in parts {
        anstream::println!("{}", style::bold(title));
        for check in checks.iter().filter(|check| check.part == part) {
            let verdict = match check.verdict {
                Verdict::Ok => style::good("ok     "),
                Verdict::Warning => style::change("warning"),
                Verdict::Missing => style::bad("missing"),
            };
            anstream::println!("  {verdict}  {:width$}  {}", check.name, check.detail);
            if let Some(hint) = &check.hint {
                anstream::println!("           {:width$}  {} {hint}", "", style::hint("hint:"));
            }
        }
    }
    println!();
    for provider in Provider::value_variants() {
        let lacks = lacks(checks, *provider);
        let usual = if *provider == usual { " (the usual one)" } else { "" };
        if lacks.is_empty() {
            anstream::println!("{} {}{usual} can be used", style::good("✓"), provider.name());
        } else {
            anstream::println!("{} {}{usual} cannot be used: {}", style::bad("✗"), provider.name(), lacks.join(", "));
        }
    }
}
