//! `countersign up`: the application on an embedded host, with its inbox in SQLite.

mod flow;
mod log;
mod manifest;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use countersign_core::keys::current;
use countersign_core::policy::{Environment, Policy, sandbox};
use countersign_host::http::HttpRequest;
use countersign_host::spin::{Serving, SpinApp, SpinOptions, State, variables_from_environment};
use countersign_ledger::click::Redirector;
use countersign_ledger::rules::Rules;

use crate::failure::unusable;
use crate::keys::Secrets;
use crate::sample::{self, Player};
use crate::{config, curl, input, sign};

use manifest::Application;

/// Run the application: redirector, gate, inbox and ledger, on an embedded host
#[derive(Args, Debug)]
#[command(after_help = "\
The configuration is checked first; a bad one stops the start. Secrets that it names are read from --secrets, or from
environment variables of the same name (or SPIN_VARIABLE_<NAME>, as Spin has it).")]
pub(crate) struct Arguments {
    /// The configuration [default: the one that the application mounts]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    secrets: Secrets,
    /// Where to listen [default: 127.0.0.1:3000; with --once any free port]
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "against")]
    listen: Option<SocketAddr>,
    /// Where the inbox is kept
    #[arg(long, value_name = "FOLDER", default_value = ".countersign")]
    state: PathBuf,
    /// The application
    #[arg(long, value_name = "FILE", default_value = "spin.toml")]
    app: PathBuf,
    /// Play the reference flow on a fresh state, print request and answer of each step, and end
    #[arg(long)]
    once: bool,
    /// With --once: play it against an application that runs already
    #[arg(long, value_name = "URL", requires = "once")]
    against: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// The configuration is wrong, the application does not start, or an answer of the flow is not the right one.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let application = Application::read(&arguments.app)?;
    let configuration = match &arguments.config {
        Some(file) => file.clone(),
        None => application.configuration()?,
    };
    let document = input::text(&configuration)?;
    let policy = config::compile(&document, &configuration, &mut |name| secret(&arguments.secrets, name))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(url) = &arguments.against {
        return runtime.block_on(flow::play(url, &policy));
    }
    let start = Start { arguments, application, configuration, document, policy };
    if arguments.once { runtime.block_on(start.once()) } else { runtime.block_on(start.serve()) }
}

/// A secret that the configuration names.
fn secret(secrets: &Secrets, name: &str) -> Option<Vec<u8>> {
    secrets.find(name).or_else(|| {
        let environment = std::env::vars_os();
        let text = environment
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        variables_from_environment(text).remove(name).map(String::into_bytes)
    })
}

/// Everything that a start needs, checked.
struct Start<'a> {
    arguments: &'a Arguments,
    application: Application,
    configuration: PathBuf,
    document: String,
    policy: Policy,
}

impl Start<'_> {
    /// Serves until the terminal interrupts it.
    async fn serve(&self) -> Result<()> {
        let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 3000));
        let address = self.arguments.listen.unwrap_or(default);
        let (serving, log) = self.start(&self.arguments.state, address).await?;
        self.announce(serving.address())?;
        interrupted().await?;
        println!("\nEnding: requests under way are answered first; Ctrl-C again ends at once.");
        let ended = tokio::select! {
            () = serving.stop() => Ok(()),
            again = interrupted() => again,
        };
        log.end();
        ended
    }

    /// Plays the reference flow on a state of its own, which is gone afterwards.
    async fn once(&self) -> Result<()> {
        let state = self.arguments.state.join("once");
        clear(&state)?;
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (serving, log) = self.start(&state, self.arguments.listen.unwrap_or(free)).await?;
        let played = flow::play(&base_url(serving.address()), &self.policy).await;
        serving.stop().await;
        log.end();
        clear(&state)?;
        played
    }

    async fn start(&self, state: &Path, address: SocketAddr) -> Result<(Serving, log::Log)> {
        let mut options = SpinOptions::new(State::directory(state)?);
        let mut asked = Policy::secret_names(&self.document).unwrap_or_default();
        asked.extend(Rules::secret_names(&self.document).unwrap_or_default());
        let mut names = Vec::new();
        for name in asked {
            // The document compiles, so a secret that is missing (such as the old seal key) is not needed.
            let Some(value) = secret(&self.arguments.secrets, &name) else { continue };
            let value = String::from_utf8(value).map_err(|_| {
                unusable(format!("the secret {name} is not UTF-8: write `base64:` and its base64"))
            })?;
            options.variables.insert(name.clone(), value);
            names.push(name);
        }
        let (logs, log) = log::Log::to_the_terminal(!self.arguments.once);
        options.logs = logs;
        let manifest = state.join("spin.toml");
        let mut of_redirector = Redirector::secret_names(&self.document).unwrap_or_default();
        of_redirector.retain(|name| names.contains(name));
        let text = self.application.for_folder(state, &self.configuration, &names, &of_redirector)?;
        fs::write(&manifest, text).with_context(|| format!("writing {}", manifest.display()))?;
        let app = SpinApp::load(&manifest, options)?;
        answers(&app).await?;
        log.begin();
        let remedy = "choose another address with --listen, or end what listens there";
        let serving = app.serve(address).await.map_err(|error| anyhow!("{error:#}: {remedy}"))?;
        Ok((serving, log))
    }

    fn announce(&self, address: SocketAddr) -> Result<()> {
        let base = base_url(address);
        let environment = match self.policy.environment {
            Environment::Production => "production",
            Environment::Sandbox => "sandbox",
        };
        let partners: Vec<&str> = self.policy.partners().map(|partner| &*partner.name).collect();
        let redirector =
            Redirector::compile(&self.document, &mut |name| secret(&self.arguments.secrets, name));
        let campaigns = redirector.map(|redirector| redirector.campaigns).unwrap_or_default();
        let campaigns: Vec<&str> = campaigns.keys().map(String::as_str).collect();
        println!("Countersign is up ({environment}).");
        println!("  clicks          {base}/c/{{campaign}}");
        println!("  postbacks       {base}/postback/{{partner}}");
        println!("  from a filter   {base}/collect");
        println!("  administration  {base}/internal/… (docs/ledger.md)");
        println!("  health          {base}/.well-known/spin/health");
        println!(
            "  inbox           {}",
            State::directory(&self.arguments.state)?.database("default").display()
        );
        println!("  configuration   {}", self.configuration.display());
        println!("  partners        {}", shortened(&partners));
        println!("  campaigns       {}", shortened(&campaigns));
        match self.example(&base)? {
            Some(command) => {
                println!("\nA postback to paste, signed with the sandbox's published key:\n\n{command}")
            }
            None => println!(
                "\nSign a postback: countersign sign --key-file KEY --curl {base}/postback/PARTNER payload.json"
            ),
        }
        println!("\nCtrl-C ends it. Requests:");
        Ok(())
    }

    /// A `curl` that the gate accepts; production publishes no key to sign one with.
    fn example(&self, base: &str) -> Result<Option<String>> {
        let Some(partner) = self.policy.partner(sandbox::PARTNER) else { return Ok(None) };
        let (Some(click_key), Some(key)) =
            (current(&self.policy.click_id.keys, input::now()), partner.signature.keys.first())
        else {
            return Ok(None);
        };
        let body = Player::new(click_key, input::now())?.first_deposit()?.to_string();
        let headers = [
            ("content-type".to_owned(), "application/json".to_owned()),
            ("x-signature".to_owned(), sample::signature(key, &body)?),
        ];
        Ok(Some(curl::command(&sign::sandbox_url(base), &headers, &body)))
    }
}

/// Asks gate and redirector one question before the application is announced: without configuration or inbox they answer 503.
async fn answers(app: &SpinApp) -> Result<()> {
    for (path, status) in [("/postback", 405), ("/c/", 404)] {
        let question = HttpRequest {
            method: b"GET".into(),
            path: path.into(),
            authority: b"localhost".into(),
            headers: Vec::new(),
            body: Vec::new(),
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            certificate: None,
        };
        let reply = app.handle(question).await?;
        if reply.status != status {
            bail!(
                "the application does not start: it answers {} to GET {path}; its log above has the cause",
                reply.status
            );
        }
    }
    Ok(())
}

/// The address as a sender on this machine writes it.
fn base_url(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    format!("http://{address}")
}

fn shortened(names: &[&str]) -> String {
    const NAMES_MAX: usize = 8;
    let shown: Vec<&str> = names.iter().copied().take(NAMES_MAX).collect();
    let more = names.len().saturating_sub(shown.len());
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

/// Waits for Ctrl-C, or for a service manager's request to end.
async fn interrupted() -> Result<()> {
    let mut ended = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt.context("waiting for Ctrl-C"),
        _ = ended.recv() => Ok(()),
    }
}

/// Removes the state of an earlier run of the flow.
fn clear(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", folder.display()))
        }
        _ => Ok(()),
    }
}
