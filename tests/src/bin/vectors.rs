//! Writes the vectors of [`conformance::authoring`] to `tests/vectors`: `vectors [write]`, `vectors check`, `vectors list`.

use std::process::ExitCode;

use conformance::authoring::files;

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_else(|| "write".to_owned());
    let done = match command.as_str() {
        "write" => files::write().map(|count| println!("{count} vectors written to tests/vectors")),
        "check" => files::check().map(|count| println!("{count} vectors are as their authors wrote them")),
        "list" => files::list().map(|lines| lines.iter().for_each(|line| println!("{line}"))),
        _ => Err(anyhow::anyhow!("usage: vectors [write | check | list]")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
