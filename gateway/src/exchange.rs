//! One request and its answer, as the log and the metrics have it: said once, at its end.

use crate::{failure::Failure, node::Node};
use http::HeaderValue;
use protocol::{ModelName, Usage};
use std::time::Instant;

/// How an exchange ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As it should.
    Complete { usage: Option<Usage> },
    /// As long as it was ordered: the engine would have gone on.
    Enough { usage: Option<Usage> },
    /// With an error of ours, before any answer.
    Failed { code: &'static str },
    /// With an upstream's own error about the request.
    Refused { status: u16 },
    /// The upstream broke off in the middle; the tool was told.
    Lost { reason: String },
    /// The requester left, and the upstream's work ended with it.
    Left,
}

impl Ended {
    /// With this error.
    pub fn failed(failure: &Failure) -> Self {
        Ended::Failed { code: failure.code() }
    }

    /// The label in metrics and logs.
    pub fn label(&self) -> &'static str {
        match self {
            Ended::Complete { .. } => "complete",
            Ended::Enough { .. } => "enough",
            Ended::Failed { code } => code,
            Ended::Refused { .. } => "refused",
            Ended::Lost { .. } => "upstream_lost",
            Ended::Left => "requester_left",
        }
    }
}

/// Which side of the node serves the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Gateway,
    Worker,
    /// On the socket in the node's home: the owner's own commands, and nobody else.
    Owner,
}

impl Role {
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Gateway => "gateway",
            Role::Worker => "worker",
            Role::Owner => "owner",
        }
    }
}

/// An exchange that is under way. Prompts and answers are never in it.
pub struct Exchange<'a> {
    node: &'a Node,
    role: Role,
    model: ModelName,
    streamed: bool,
    request_id: HeaderValue,
    started: Instant,
    /// Who serves it, once that is known, and how many were tried.
    pub served_by: Option<(String, usize)>,
    /// When the first byte of the answer was here.
    pub first_byte: Option<Instant>,
}

impl<'a> Exchange<'a> {
    pub fn begin(
        node: &'a Node,
        role: Role,
        model: &ModelName,
        streamed: bool,
        request_id: &HeaderValue,
    ) -> Self {
        Self {
            node,
            role,
            model: model.clone(),
            streamed,
            request_id: request_id.clone(),
            started: Instant::now(),
            served_by: None,
            first_byte: None,
        }
    }

    /// The answer begins: by whom, after how many tries.
    pub fn answered(&mut self, served_by: &str, attempts: usize) {
        self.served_by = Some((served_by.to_owned(), attempts));
        self.first_byte = Some(Instant::now());
    }

    /// Says how it ended.
    pub fn finish(self, ended: &Ended) {
        let first_byte = self.first_byte.map(|at| at.duration_since(self.started));
        self.node.metrics.exchange(self.role, ended, first_byte);
        let (worker, attempts) =
            self.served_by.map_or((String::new(), 0), |(worker, attempts)| (worker, attempts));
        let usage = match ended {
            Ended::Complete { usage } => usage.unwrap_or_default(),
            _ => Usage::default(),
        };
        let reason = match ended {
            Ended::Lost { reason } => reason.as_str(),
            _ => "",
        };
        tracing::debug!(
            role = self.role.as_str(),
            request_id = self.request_id.to_str().unwrap_or_default(),
            model = %self.model,
            streamed = self.streamed,
            worker,
            attempts,
            prompt_tokens = usage.input_tokens,
            completion_tokens = usage.output_tokens,
            ttft_ms = first_byte.map(|after| after.as_millis() as u64),
            total_ms = self.started.elapsed().as_millis() as u64,
            outcome = ended.label(),
            reason,
            "exchange"
        );
    }
}
