//! Writes the vectors of the book to `tests/vectors`: `vectors [write]`, `vectors check`, `vectors list`.

use std::process::ExitCode;

use conformance::book;

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_else(|| "write".to_owned());
    let done = match command.as_str() {
        "write" => book::files::write().map(|count| println!("{count} vectors written to tests/vectors")),
        "check" => book::files::check().map(|count| println!("{count} vectors are as the book has them")),
        "list" => book::files::list().map(|lines| lines.iter().for_each(|line| println!("{line}"))),
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
