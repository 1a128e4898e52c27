//! A sandbox in the foreground, for trying: `cargo run -p sandbox --example try -- FOLDER [start|stop|status]`.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = sandbox::entry() {
        return code;
    }
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().expect("give a folder"));
    let told = match arguments.next().as_deref() {
        None | Some("start") => {
            let begin = std::time::Instant::now();
            let mut options = sandbox::Options::new(folder);
            options.ready = Some(Box::new(move |ready| {
                println!("ready after {:?}: export KUBECONFIG={}", begin.elapsed(), ready.kubeconfig.display());
            }));
            sandbox::run(options).map_err(|error| report(&error))
        }
        Some("stop") => {
            sandbox::stop(&folder).map(|was| println!("was running: {was}")).map_err(|error| report(&error))
        }
        Some("status") => sandbox::status(&folder).map(|state| println!("{state:?}")).map_err(|error| report(&error)),
        Some(other) => Err(format!("{other} is none of start, stop, status")),
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn report(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}
