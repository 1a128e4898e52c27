//! Errors as a person reads them, and the exit codes.

use std::error::Error;

use engine::{Class, Failure, Outcome, PlanError, StateError};
use scenarios::{LowerError, Report};
use serde_json::json;

use crate::view::{self, style};

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// A step failed.
    Failed = 1,
    /// Wrong usage.
    Usage = 2,
    /// The scenario is wrong.
    Scenario = 3,
    /// A wait ended without success.
    Blocked = 4,
    /// A check got a wrong answer.
    Check = 5,
    /// The machine lacks something.
    Missing = 6,
    /// It belongs to somebody else.
    Foreign = 7,
    /// Another process holds it.
    Locked = 8,
    /// A plan has something to do, and the person asked for this code.
    Changes = 10,
    /// The person stopped it.
    Interrupted = 130,
}

impl Exit {
    /// The one with this code; [`Exit::Failed`] for one that no command has.
    pub fn of_code(code: u8) -> Self {
        let all = [
            Self::Done,
            Self::Usage,
            Self::Scenario,
            Self::Blocked,
            Self::Check,
            Self::Missing,
            Self::Foreign,
            Self::Locked,
            Self::Interrupted,
        ];
        all.into_iter().find(|exit| *exit as u8 == code).unwrap_or(Self::Failed)
    }
}

/// An error on its way to the person: what happened, the chain of causes, a hint.
#[derive(Debug)]
pub struct Problem {
    /// What failed, and why, outermost first.
    pub causes: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
    /// How the command ends.
    pub exit: Exit,
    /// The problems of a scenario file, each with its place.
    pub report: Option<Report>,
}

impl Problem {
    /// A problem of wrong usage.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { causes: vec![message.into()], hint: None, exit: Exit::Usage, report: None }
    }

    /// With what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With another exit code.
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// Prints it to standard error: as text, or as one JSON object.
    pub fn print(&self, as_json: bool) {
        if as_json {
            let report = self.report.as_ref();
            let value = json!({
                "event": "error",
                "causes": self.causes,
                "hint": self.hint,
                "exit_code": self.exit as u8,
                "problems": report.map(|report| &report.problems),
                "warnings": report.map(|report| &report.warnings),
            });
            anstream::eprintln!("{value}");
            return;
        }
        if let Some(report) = &self.report {
            print_report(report);
        }
        let mut causes = self.causes.iter();
        if let Some(first) = causes.next() {
            anstream::eprintln!("{} failed to {first}", style::bad("error:"));
        }
        for cause in causes {
            anstream::eprintln!("  because {cause}");
        }
        if let Some(hint) = &self.hint {
            anstream::eprintln!("{} {hint}", style::hint("hint:"));
        }
    }
}

/// Prints a scenario's problems and warnings, each with its line.
pub fn print_report(report: &Report) {
    for problem in &report.problems {
        anstream::eprintln!("{}", problem.render(&style::bad("error")));
    }
    for warning in &report.warnings {
        anstream::eprintln!("{}", warning.render(&style::change("warning")));
    }
}

/// The problem of a scenario that cannot be used.
pub fn of_report(report: Report) -> Problem {
    let count = view::count(report.problems.len(), "problem");
    Problem {
        causes: vec![format!("use the scenario: {count}")],
        hint: None,
        exit: Exit::Scenario,
        report: Some(report),
    }
}

impl<E: Error> From<E> for Problem {
    fn from(error: E) -> Self {
        let mut causes = vec![error.to_string()];
        let mut next = error.source();
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        Self { causes, hint: None, exit: Exit::Failed, report: None }
    }
}

/// The problem of a scenario on its target, with what can be done about it.
pub fn of_lowering(error: LowerError) -> Problem {
    let hint = error.hint();
    Problem { hint, ..Problem::from(error) }
}

/// The problem of a plan; what the scenario says of moves is a problem of the scenario.
pub fn of_plan(error: PlanError) -> Problem {
    let is_move = matches!(error, PlanError::Move(_));
    let problem = Problem::from(error);
    if is_move {
        problem.exit(Exit::Scenario).hint("correct the entry under `moved:`, or take it out")
    } else {
        problem
    }
}

/// The problem of Docker, with what can be done about it.
pub fn of_docker(error: providers::docker::Error) -> Problem {
    let hint = error.hint();
    let exit = if error.is_no_engine() { Exit::Missing } else { Exit::Failed };
    Problem { hint, ..Problem::from(error).exit(exit) }
}

/// The problem of an operation outside of a run.
pub fn of_failure(failure: Failure) -> Problem {
    Problem { causes: failure.causes(), hint: failure.hint, exit: exit_of(failure.class), report: None }
}

/// The problem of a state folder; a lock has its own exit code.
pub fn of_state(error: StateError) -> Problem {
    let locked = matches!(error, StateError::Locked { .. });
    let problem = Problem::from(error);
    if locked {
        problem
            .exit(Exit::Locked)
            .hint("`--wait` waits until it is done; or stop that process and run the same command again")
    } else {
        problem
    }
}

/// The exit code of a run: that of its first failure.
pub fn of_outcome(outcome: &Outcome) -> Exit {
    match outcome.failures.first() {
        Some((_, failure)) => exit_of(failure.class),
        None if outcome.interrupted => Exit::Interrupted,
        None if outcome.is_success() => Exit::Done,
        None => Exit::Failed,
    }
}

/// The exit code of a sort of failure.
pub fn exit_of(class: Class) -> Exit {
    match class {
        Class::Failed => Exit::Failed,
        Class::Blocked => Exit::Blocked,
        Class::Check => Exit::Check,
        Class::Missing => Exit::Missing,
        Class::Foreign => Exit::Foreign,
        Class::Interrupted => Exit::Interrupted,
    }
}
