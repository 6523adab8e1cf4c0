//! The usual ways in which these routes answer.

use crate::{
    downstream::{Downstream, Gone},
    failure::Failure,
};
use serde::Serialize;

/// An object, or why there is none. For requests whose body, if they have one, was read.
pub(super) async fn object(down: &mut Downstream, said: Result<impl Serialize, Failure>) -> Result<(), Gone> {
    match said {
        Ok(object) => down.json(200, &object).await,
        Err(failure) => down.fail(&failure).await,
    }
}

/// The same for requests whose body may be unread where they fail.
pub(super) async fn object_or_early(
    down: &mut Downstream,
    said: Result<impl Serialize, Failure>,
) -> Result<(), Gone> {
    match said {
        Ok(object) => down.json(200, &object).await,
        Err(failure) => down.fail_early(&failure).await,
    }
}

/// The route has other methods.
pub(super) async fn not_allowed(down: &mut Downstream, allow: &'static str) -> Result<(), Gone> {
    down.fail_early(&Failure::MethodNotAllowed { allow }).await
}

/// There is no such route.
pub(super) async fn no_route(down: &mut Downstream, path: &str) -> Result<(), Gone> {
    down.fail_early(&Failure::NotFound { what: format!("the route {path}") }).await
}
