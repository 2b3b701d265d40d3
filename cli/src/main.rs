//! The command line of Countersign: runs the application, and does for senders and operators what the gate does, in the open.
//!
//! Ends with 0 where all is well, with 1 where something is refused or fails, and with 2 where the call or a configuration is
//! wrong. Secrets come from the environment or from files, never from the command line, which every process can read.

mod admin;
mod click;
mod config;
mod curl;
mod failure;
mod headers;
mod http;
mod input;
mod keygen;
mod keys;
mod sample;
mod seal;
mod sign;
mod token;
mod up;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "countersign", version, about, long_about = None, max_term_width = 110)]
#[command(after_help = "Exit codes: 0 well, 1 refused or failed, 2 wrong call or configuration.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Signs, verifies and receives S2S postbacks.
#[derive(Subcommand)]
enum Command {
    Up(up::Arguments),
    Sign(sign::Arguments),
    Verify(verify::Arguments),
    Keygen(keygen::Arguments),
    Seal(seal::Arguments),
    #[command(subcommand)]
    Token(token::Command),
    #[command(subcommand)]
    Click(click::Command),
    #[command(subcommand)]
    Config(config::Command),
    #[command(flatten)]
    Admin(admin::Command),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Up(arguments) => up::run(&arguments),
        Command::Sign(arguments) => sign::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Keygen(arguments) => keygen::run(&arguments),
        Command::Seal(arguments) => seal::run(&arguments),
        Command::Token(command) => token::run(&command),
        Command::Click(command) => click::run(&command),
        Command::Config(command) => config::run(&command),
        Command::Admin(command) => admin::run(&command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            failure::exit_code(&error)
        }
    }
}
