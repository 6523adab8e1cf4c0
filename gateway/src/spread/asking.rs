//! The three questions about a job at its worker: take it, how far is it, leave it.

use super::at_worker::AtWorker;
use crate::{
    clock,
    fail_point::{self, FailPoint},
    fetch::{self, Question},
    outcome::{Outcome, Reason, Refusal, refused},
    settling,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use protocol::{
    auth::{Asked, Auth},
    carriers::{AUTH_HEADER, ENDPOINT_HEADER, ORDER_HEADER, REQUESTER_HEADER},
};
use std::time::{Duration, Instant};
use tokio::time::sleep;
use work::{Endpoint, JobRecord, JobStatus, limits::ANSWER_BYTES_MAX};

/// An answer that does not begin to come within this is no answer: what is waited for at the worker, a long
/// result on a slow way, and two round trips to the other side of the world.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(45);

/// A record is the result, and a receipt around it.
const RECORD_BYTES_MAX: usize = ANSWER_BYTES_MAX + 256 * 1024;

/// A worker that answers "it runs" sooner does not wait as it is asked to, and is asked so often and no more.
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// What asking a worker gave.
pub(super) enum Heard {
    /// What it knows of the job.
    Record(JobRecord),
    /// It does not know the job.
    Unknown,
    /// It could not be asked, or made no sense.
    Trouble(String),
}

/// What giving it the job gave.
pub(super) enum Given {
    Taken,
    /// It will not have it.
    Refused(Reason),
    /// It says that the request is wrong.
    Wrong(Refusal),
    /// Nobody knows whether it has it.
    Trouble(String),
}

impl AtWorker<'_> {
    pub(super) async fn give(&self, body: Bytes) -> Given {
        let Some(order) = self.placed.header() else { return Given::Trouble("the order is too long".into()) };
        let me = HeaderValue::try_from(self.node.me.to_string());
        let mut headers = vec![(HeaderName::from_static(ORDER_HEADER), order)];
        headers.extend(me.ok().map(|me| (HeaderName::from_static(REQUESTER_HEADER), me)));
        if self.endpoint != Endpoint::ChatCompletions {
            let path = HeaderValue::from_static(self.endpoint.path());
            headers.push((HeaderName::from_static(ENDPOINT_HEADER), path));
        }
        let question = Question { method: Method::POST, path: "/v1/jobs", headers, body };
        let Some(to) = settling::destination(self.node, self.placed.order().worker) else {
            return Given::Refused(Reason::Down("it is not known any more where it is".into()));
        };
        let asked =
            fetch::ask_often(&self.node.connections, &to, &question, ANSWERED_WITHIN, RECORD_BYTES_MAX);
        let (response, body) = match asked.await {
            Ok(answered) => answered,
            Err(error) if error.nothing_was_sent => return Given::Refused(Reason::Down(error.to_string())),
            Err(error) => return Given::Trouble(error.to_string()),
        };
        fail_point::reached(FailPoint::OrderSent);
        let status = response.status.as_u16();
        if (200..300).contains(&status) {
            return Given::Taken;
        }
        match refused(status, String::new(), &response, Bytes::from(body)) {
            Outcome::Verdict(refusal) => Given::Wrong(refusal),
            Outcome::Next(reason) => Given::Refused(reason),
            // Neither is made of a status outside of 200 to 299.
            Outcome::Whole(_) | Outcome::Stream(_) => Given::Taken,
        }
    }

    /// What it knows of the job, as soon as that has ended or after `wait`.
    pub(super) async fn look(&self, wait: Duration) -> Heard {
        let asked = Instant::now();
        let wait = wait.min(self.time_left()).as_secs().max(1);
        let heard = self.ask(Method::GET, &format!("?wait={wait}"), ANSWERED_WITHIN).await;
        if let Heard::Record(record) = &heard
            && matches!(record.status, JobStatus::Queued | JobStatus::Running)
        {
            sleep(ASKED_EVERY.min(self.time_left()).saturating_sub(asked.elapsed())).await;
        }
        heard
    }

    pub(super) async fn ask(&self, method: Method, query: &str, timeout: Duration) -> Heard {
        let worker = self.placed.order().worker;
        let Some(to) = settling::destination(self.node, worker) else {
            return Heard::Trouble("it is not known where the worker is".into());
        };
        let path = format!("/v1/jobs/{}", self.placed.order().order_id);
        let asked = Asked { worker, method: method.as_str(), path: &path };
        let auth = Auth::sign(&self.node.identity.node, &asked, clock::now()).to_header();
        let Ok(auth) = HeaderValue::try_from(auth) else { return Heard::Trouble("no auth".into()) };
        let cancels = method == Method::DELETE;
        let path = format!("{path}{query}");
        let headers = vec![(HeaderName::from_static(AUTH_HEADER), auth)];
        let question = Question { method, path: &path, headers, body: Bytes::new() };
        let answered =
            fetch::ask_often(&self.node.connections, &to, &question, timeout, RECORD_BYTES_MAX).await;
        match answered.map(|(response, body)| (response.status.as_u16(), body)) {
            Ok((200, body)) => match serde_json::from_slice(&body) {
                Ok(record) => Heard::Record(record),
                Err(error) => Heard::Trouble(format!("its record of the job is none: {error}")),
            },
            Ok((404, _)) => Heard::Unknown,
            // It is over already: what came of it is asked next.
            Ok((409, _)) if cancels => Box::pin(self.ask(Method::GET, "", timeout)).await,
            Ok((status, _)) => Heard::Trouble(format!("it answered {status} when it was asked for a job")),
            Err(error) => Heard::Trouble(error.to_string()),
        }
    }
}
