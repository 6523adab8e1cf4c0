//! The command line: what may be typed, and the exit code (0 done, 1 failed, 2 wrong use).

use crate::commands::{
    ReaderLeft, balance, batch, config, credit, demo, doctor, keygen, ledger, peers, receipts, relay, route,
    share, tracker, up,
};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Trade inference between machines that run Ollama.
#[derive(Parser, Debug)]
#[command(name = "lobstah", version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Show a whole grid in one process: two workers, a gateway, one streamed completion, the receipts
    Demo(demo::Args),
    /// Run what lobstah.toml says: the gateway, and the worker where it is enabled
    Up(up::UpArgs),
    /// Make this node's identity, or show it
    Keygen(keygen::Args),
    /// Serve others from this machine's Ollama
    #[command(subcommand)]
    Worker(WorkerCommand),
    /// The gateway alone
    #[command(subcommand)]
    Router(RouterCommand),
    /// A list of workers over HTTP, for where WebSockets are blocked
    #[command(subcommand)]
    Tracker(tracker::Command),
    /// A small Nostr relay for a closed group
    #[command(subcommand)]
    Relay(relay::Command),
    /// Whether the node that runs here works for others: on, off or status
    Share(share::Args),
    /// The list of friends
    #[command(subcommand)]
    Peers(peers::Command),
    /// Where a request goes
    #[command(subcommand)]
    Route(route::Command),
    /// Many requests at once, from a file: OpenAI's batches
    #[command(subcommand)]
    Batch(batch::Command),
    /// What this node earned and spent
    Balance(balance::Args),
    /// What this node lends others, and what is settled with them
    #[command(subcommand)]
    Credit(credit::Command),
    /// The file that the books are in
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// The receipts in the ledger
    #[command(subcommand)]
    Receipts(receipts::Command),
    /// Check everything that a node needs, and say how to mend what fails
    Doctor(doctor::Args),
    /// Check and show the configuration
    #[command(subcommand)]
    Config(config::Command),
}

#[derive(Subcommand, Debug)]
enum WorkerCommand {
    /// Start it, and nothing else
    Start(up::WorkerArgs),
}

#[derive(Subcommand, Debug)]
enum RouterCommand {
    /// Start it, and nothing else
    Start(up::RouterArgs),
}

/// Reads the command line, runs the command, says what went wrong.
pub fn run() -> ExitCode {
    let command = Cli::parse().command;
    // Before any TLS is set up: reqwest and pingora share one rustls, which must know its provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runs = matches!(
        command,
        Command::Up(_) | Command::Worker(_) | Command::Router(_) | Command::Tracker(_) | Command::Relay(_)
    );
    crate::telemetry::start(std::env::var("LOBSTAH_LOG").ok().as_deref(), !runs);
    let outcome = match command {
        Command::Demo(args) => demo::run(args),
        Command::Up(args) => up::up(args),
        Command::Share(args) => share::run(args),
        Command::Keygen(args) => keygen::run(args),
        Command::Worker(WorkerCommand::Start(args)) => up::worker(args),
        Command::Router(RouterCommand::Start(args)) => up::router(args),
        Command::Tracker(command) => tracker::run(command),
        Command::Relay(command) => relay::run(command),
        Command::Peers(command) => peers::run(command),
        Command::Route(command) => route::run(command),
        Command::Batch(command) => batch::run(command),
        Command::Balance(args) => balance::run(args),
        Command::Credit(command) => credit::run(command),
        Command::Ledger(command) => ledger::run(command),
        Command::Receipts(command) => receipts::run(command),
        Command::Doctor(args) => doctor::run(args),
        Command::Config(command) => config::run(command),
    };
    outcome.unwrap_or_else(|error| {
        if error.is::<ReaderLeft>() {
            return ExitCode::SUCCESS;
        }
        eprintln!("lobstah: {error:#}");
        ExitCode::FAILURE
    })
}
