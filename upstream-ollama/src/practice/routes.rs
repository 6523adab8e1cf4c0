//! Which path leads where, and what happens to every request before it gets there.

use super::{
    behaviour::Trouble,
    chat, completion, embedding,
    engine::{Engine, Recorded},
    exchange::Exchange,
    native, native_text, openai,
};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{DefaultBodyLimit, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use http::{StatusCode, header, request::Parts};
use std::sync::Arc;

/// Beyond it 413, as a sign that something let too much through.
const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The paths that ask for an answer. Only these are counted and get into trouble.
const ANSWERS: [&str; 6] =
    ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/api/chat", "/api/generate", "/api/embed"];

pub(super) fn router(engine: Arc<Engine>) -> Router {
    Router::new()
        .route("/", get("Ollama is running"))
        .route("/api/version", get(native::version))
        .route("/api/tags", get(native::tags))
        .route("/api/ps", get(native::ps))
        .route("/api/show", post(native::show))
        .route("/api/chat", post(native_text::chat))
        .route("/api/generate", post(native_text::generate))
        .route("/api/embed", post(embedding::native))
        .route("/v1/models", get(openai::models))
        .route("/v1/models/{*id}", get(openai::model))
        .route("/v1/chat/completions", post(chat::chat))
        .route("/v1/completions", post(completion::completion))
        .route("/v1/embeddings", post(embedding::embeddings))
        .fallback(|| async { (StatusCode::NOT_FOUND, "404 page not found") })
        // The bound is set where the body is read.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(engine.clone(), receive))
        .with_state(engine)
}

async fn receive(State(engine): State<Arc<Engine>>, request: Request, next: Next) -> Response {
    tokio::select! {
        response = treat(&engine, request, next) => response,
        () = engine.stop.cancelled() => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn treat(engine: &Arc<Engine>, request: Request, next: Next) -> Response {
    let (mut head, body) = request.into_parts();
    if !ANSWERS.contains(&head.uri.path()) {
        return match read(engine, &head, body).await {
            Ok(body) => next.run(Request::from_parts(head, body.into())).await,
            Err(refusal) => refusal,
        };
    }
    let exchange = Arc::new(Exchange::begin(engine.clone()));
    if exchange.behaviour.trouble == Trouble::RefuseBody {
        record(engine, &head, Bytes::new());
        engine.count(|counts| counts.received += 1);
        exchange.finish();
        let refusal = failure(&head, StatusCode::SERVICE_UNAVAILABLE);
        return ([(header::CONNECTION, "close")], refusal).into_response();
    }
    let body = match read(engine, &head, body).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    engine.count(|counts| counts.received += 1);
    if let Some(refusal) = before_the_answer(&head, &exchange).await {
        return refusal;
    }
    head.extensions.insert(exchange.clone());
    let response = next.run(Request::from_parts(head, body.into())).await;
    if response.status() != StatusCode::OK {
        exchange.finish();
    }
    response
}

/// The trouble that needs no look at the body.
async fn before_the_answer(head: &Parts, exchange: &Exchange) -> Option<Response> {
    match &exchange.behaviour.trouble {
        Trouble::Hang => {
            exchange.hang().await;
            None
        }
        Trouble::Fail { status, body } => {
            exchange.finish();
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Some(match body {
                Some(body) => {
                    (status, [(header::CONTENT_TYPE, "application/json")], body.clone()).into_response()
                }
                None => failure(head, status),
            })
        }
        _ => None,
    }
}

/// An error in the words of the API that was asked.
fn failure(head: &Parts, status: StatusCode) -> Response {
    if head.uri.path().starts_with("/api/") {
        native::refusal(status, openai::ON_DEMAND)
    } else {
        openai::refusal(status, openai::ON_DEMAND)
    }
}

async fn read(engine: &Engine, head: &Parts, body: Body) -> Result<Bytes, Response> {
    // A client that left in the middle of its body sees nothing of this answer.
    let body =
        to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE.into_response())?;
    record(engine, head, body.clone());
    Ok(body)
}

fn record(engine: &Engine, head: &Parts, body: Bytes) {
    let path = head.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    engine.record(Recorded { method: head.method.clone(), path, headers: head.headers.clone(), body });
}
