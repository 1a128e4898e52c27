//! `infra man`: the manual, a page per command.

use std::fs;
use std::io;

use clap::CommandFactory;

use crate::arguments::{self, Arguments};
use crate::report::{Exit, Problem};
use crate::settings::shown;

/// Runs the command: prints the first page, or writes all of them into a folder.
pub fn run(command: &arguments::Man) -> Result<Exit, Problem> {
    let Some(folder) = &command.out else {
        clap_mangen::Man::new(Arguments::command()).render(&mut io::stdout())?;
        return Ok(Exit::Done);
    };
    let written = fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(Arguments::command(), folder));
    written.map_err(|error| {
        Problem::usage(format!("write the manual to {}: {error}", shown(folder))).exit(Exit::Failed)
    })?;
    Ok(Exit::Done)
}
