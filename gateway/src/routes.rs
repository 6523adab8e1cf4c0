//! Method and path to handler, for the gateway and for the worker (SPEC section 6).

use crate::{
    admit,
    asynchronous::{batches, files, jobs},
    collecting,
    downstream::{Downstream, Gone},
    exchange::Role,
    failure::Failure,
    inference, lending,
    node::Node,
    reports, sharing, worker,
};
use bytes::Bytes;
use http::Method;

/// A route that exists for a role, whatever the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route<'p> {
    /// One of the three that an engine answers.
    Inference(&'static str),
    /// The receipt of an order, to who ordered.
    Receipt(&'p str),
    Acks,
    /// Routes that look at the method themselves.
    Whole(Whole, &'p str),
    /// Whether others are served.
    Share,
    Report(Report<'p>),
}

/// A part of the API that is served as a whole; beside it stands what follows its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whole {
    /// Jobs that others give this worker.
    Lending,
    Jobs,
    Files,
    Batches,
}

/// Something to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report<'p> {
    Welcome,
    Models,
    Model(&'p str),
    Pubkey,
    Peers,
    Balance,
    Ledger,
    Capacity,
    Route,
    Healthz,
    Readyz,
    Metrics,
    /// How a batch gets on.
    Progress(&'p str),
}

impl<'p> Route<'p> {
    fn find(role: Role, path: &'p str) -> Option<Self> {
        let gateway = role == Role::Gateway;
        if role == Role::Owner {
            if path == "/share" {
                return Some(Route::Share);
            }
            let report = match path {
                "/route" => Report::Route,
                "/peers" => Report::Peers,
                "/balance" => Report::Balance,
                _ => match path.strip_prefix("/batches/").and_then(|rest| rest.strip_suffix("/progress")) {
                    Some(id) => Report::Progress(id),
                    None => return Self::whole(role, path),
                },
            };
            return Some(Route::Report(report));
        }
        if role == Role::Worker
            && let Some(order) = path.strip_prefix("/v1/receipts/")
        {
            return Some(if order == "ack" { Route::Acks } else { Route::Receipt(order) });
        }
        if let Some(whole) = Self::whole(role, path) {
            return Some(whole);
        }
        let report = match path {
            "/v1/chat/completions" => return Some(Route::Inference("/v1/chat/completions")),
            "/v1/completions" => return Some(Route::Inference("/v1/completions")),
            "/v1/embeddings" => return Some(Route::Inference("/v1/embeddings")),
            "/" => Report::Welcome,
            "/v1/models" => Report::Models,
            "/pubkey" => Report::Pubkey,
            "/healthz" => Report::Healthz,
            "/readyz" if gateway => Report::Readyz,
            "/metrics" => Report::Metrics,
            "/peers" if gateway => Report::Peers,
            "/balance" if gateway => Report::Balance,
            "/ledger" if gateway => Report::Ledger,
            "/capacity" if !gateway => Report::Capacity,
            _ => Report::Model(path.strip_prefix("/v1/models/").filter(|id| !id.is_empty() && gateway)?),
        };
        Some(Route::Report(report))
    }

    fn whole(role: Role, path: &'p str) -> Option<Self> {
        let below = |root| path.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let parts: &[(&str, Whole)] = match role {
            Role::Worker => &[("/v1/jobs", Whole::Lending)],
            Role::Gateway => {
                &[("/v1/jobs", Whole::Jobs), ("/v1/files", Whole::Files), ("/v1/batches", Whole::Batches)]
            }
            // What `lobstah batch` needs, so that it needs no key.
            Role::Owner => &[("/v1/files", Whole::Files), ("/v1/batches", Whole::Batches)],
        };
        parts.iter().find_map(|(root, whole)| Some(Route::Whole(*whole, below(root)?)))
    }

    fn allow(self) -> &'static str {
        match self {
            Route::Inference(_) | Route::Acks | Route::Whole(..) => "POST",
            Route::Receipt(_) => "GET",
            Route::Share => "GET, POST",
            Route::Report(_) => "GET, HEAD",
        }
    }
}

/// Serves one request.
pub async fn dispatch(node: &Node, role: Role, down: &mut Downstream) -> Result<(), Gone> {
    let request = down.session.req_header();
    let method = request.method.clone();
    let path = request.uri.path().to_owned();
    let query = request.uri.query().unwrap_or_default().to_owned();
    if role == Role::Gateway
        && let Err(failure) = admit::admit(down, &node.config().gateway, &path)
    {
        return down.fail_early(&failure).await;
    }
    if method == Method::OPTIONS && down.cross_origin.is_some() {
        return preflight(down).await;
    }
    let Some(route) = Route::find(role, &path) else {
        return down.fail_early(&Failure::NotFound { what: format!("the route {path}") }).await;
    };
    match (route, method.clone()) {
        // Boxed, each by itself: an idle stream then holds what it needs and not the largest of all.
        (Route::Inference(path), Method::POST) => match role {
            Role::Gateway => Box::pin(inference::serve(node, down, path)).await,
            Role::Worker | Role::Owner => Box::pin(worker::serve(node, down, path)).await,
        },
        (Route::Share, Method::GET | Method::POST) => Box::pin(sharing::serve(node, down, &method)).await,
        (Route::Acks, Method::POST) => Box::pin(collecting::acks(node, down)).await,
        (Route::Receipt(order), Method::GET) => Box::pin(collecting::receipt(node, down, &path, order)).await,
        (Route::Whole(whole, rest), _) => match whole {
            Whole::Lending => Box::pin(lending::serve(node, down, rest)).await,
            Whole::Jobs => Box::pin(jobs::serve(node, down, rest)).await,
            Whole::Files => Box::pin(files::serve(node, down, rest)).await,
            Whole::Batches => Box::pin(batches::serve(node, down, rest)).await,
        },
        (Route::Report(report), Method::GET | Method::HEAD) => {
            Box::pin(reports::answer(node, role, down, report, &query)).await
        }
        _ => down.fail_early(&Failure::MethodNotAllowed { allow: route.allow() }).await,
    }
}

/// A browser asks before it sends what a plain form could not; the origin was admitted already.
async fn preflight(down: &mut Downstream) -> Result<(), Gone> {
    let headers = [
        ("access-control-allow-methods", "GET, POST, DELETE, OPTIONS".to_owned()),
        (
            "access-control-allow-headers",
            down.header("access-control-request-headers").unwrap_or("*").to_owned(),
        ),
        ("access-control-max-age", "600".to_owned()),
    ];
    down.answer(204, "text/plain", &headers, Bytes::new()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_ids_hold_slashes_and_colons() {
        let found = Route::find(Role::Gateway, "/v1/models/hf.co/team/model:Q4_K_M");
        assert_eq!(found, Some(Route::Report(Report::Model("hf.co/team/model:Q4_K_M"))));
        assert_eq!(Route::find(Role::Gateway, "/v1/models/"), None);
    }

    #[test]
    fn each_role_has_its_own_reports() {
        assert!(Route::find(Role::Gateway, "/balance").is_some());
        assert!(Route::find(Role::Owner, "/balance").is_some());
        assert!(Route::find(Role::Worker, "/balance").is_none());
        assert!(Route::find(Role::Worker, "/capacity").is_some());
        assert!(Route::find(Role::Gateway, "/capacity").is_none());
    }
}
