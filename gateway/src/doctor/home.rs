//! The files of this node: its key, its ledger, and whether a node runs here.

use super::{Finding, Patient};
use crate::{identity_file, services};
use std::os::unix::net::UnixStream;

pub(super) fn check(patient: &Patient) -> Vec<Finding> {
    vec![identity(patient), ledger(patient), running(patient)]
}

fn identity(patient: &Patient) -> Finding {
    const CHECK: &str = "identity";
    match identity_file::load(&patient.paths.identity) {
        Ok(Some(identity)) => Finding::ok(CHECK, identity.node.node_id().to_string()),
        Ok(None) => Finding::failed(CHECK, "this node has no key yet", "lobstah keygen"),
        Err(error) => {
            let path = patient.paths.identity.display();
            Finding::failed(
                CHECK,
                error.to_string(),
                format!("chmod 600 {path}, or restore it from a backup"),
            )
        }
    }
}

fn ledger(patient: &Patient) -> Finding {
    const CHECK: &str = "ledger";
    let path = &patient.paths.ledger;
    if !path.exists() {
        return Finding::off(CHECK, "no ledger yet; it is made when a node starts");
    }
    let Some(identity) = &patient.identity else {
        return Finding::off(CHECK, "not looked at without an identity");
    };
    match ledger::Ledger::open(path, identity.node.node_id()) {
        Ok(ledger) => {
            ledger.close();
            Finding::ok(
                CHECK,
                format!("{} opens; `lobstah receipts audit` replays all of it", path.display()),
            )
        }
        Err(error) => {
            Finding::failed(CHECK, format!("{}: {error}", path.display()), "lobstah receipts audit")
        }
    }
}

fn running(patient: &Patient) -> Finding {
    const CHECK: &str = "node";
    match UnixStream::connect(services::socket_path(&patient.paths)) {
        Ok(_) => Finding::ok(CHECK, "one runs in this home"),
        Err(_) => Finding::off(CHECK, "none runs in this home; start it with: lobstah up"),
    }
}
