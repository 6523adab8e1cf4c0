//! The log: lines on standard error, chosen by `LOBSTAH_LOG`. Prompts and answers are never in it.

use tracing_subscriber::EnvFilter;

/// What is logged unless `LOBSTAH_LOG` says otherwise. pingora's own errors tell of every client that
/// sends rubbish, nostr-sdk's of every relay that does; what matters of them is said in ours.
const DEFAULT: &str =
    "info,pingora_core=off,pingora=off,nostr_relay_pool=off,nostr_sdk=off,nostr_relay_builder=off";

/// The same for a command whose output is read by a person: what goes well is not worth a line.
const QUIET: &str =
    "warn,pingora_core=off,pingora=off,nostr_relay_pool=off,nostr_sdk=off,nostr_relay_builder=off";

/// Starts logging. A filter that cannot be read is reported and the default used.
pub fn start(filter: Option<&str>, quiet: bool) {
    let default = if quiet { QUIET } else { DEFAULT };
    let parsed = filter.map(EnvFilter::try_new).transpose();
    let wrong = parsed.as_ref().err().map(ToString::to_string);
    let filter = parsed.ok().flatten().unwrap_or_else(|| EnvFilter::new(default));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false)
        .try_init();
    if let (Some(error), Ok(())) = (wrong, started) {
        tracing::warn!(error, "LOBSTAH_LOG cannot be read; using {default}");
    }
}
