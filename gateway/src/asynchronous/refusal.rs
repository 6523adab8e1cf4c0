//! What the work store refuses, as the answers that tools get. The table of statuses stays
//! [`crate::failure`]'s.

use super::multipart::BadForm;
use crate::failure::Failure;
use work::{
    BadIdempotencyKey, StoreError,
    batches::{BadRequest, CreateError, NotNow, StopError},
    files::{ContentError, ListError, UploadError},
    jobs::{CancelJobError, SubmitJobError},
};

/// Nothing was kept or read. The SDKs try again by themselves.
pub fn store(error: StoreError) -> Failure {
    tracing::error!(error = &error as &dyn std::error::Error, "the work store failed");
    Failure::Internal { message: error.to_string() }
}

/// There is no such thing, or not any more.
pub fn unknown(what: &str, id: &str) -> Failure {
    Failure::NotFound { what: format!("the {what} `{id}`") }
}

pub fn idempotency(error: BadIdempotencyKey) -> Failure {
    Failure::invalid_value("Idempotency-Key", error.to_string())
}

pub fn form(error: BadForm) -> Failure {
    Failure::BadRequest { code: "invalid_value", param: None, message: error.to_string() }
}

pub fn upload(error: UploadError) -> Failure {
    let message = error.to_string();
    match error {
        UploadError::BadName => Failure::invalid_value("file", message),
        UploadError::BadPurpose(_) => Failure::invalid_value("purpose", message),
        UploadError::BadExpiry => Failure::invalid_value("expires_after", message),
        UploadError::TooLarge { bytes_max } => Failure::FileTooLarge { max: bytes_max },
        UploadError::NoRoom { .. } => Failure::NoRoom { message },
        UploadError::TooMany => Failure::Full { message },
        UploadError::Store(error) => store(error),
    }
}

pub fn content(error: ContentError, id: &str) -> Failure {
    match error {
        ContentError::NotFound => unknown("file", id),
        ContentError::OutOfRange { bytes } => Failure::RangeNotSatisfiable { bytes },
        ContentError::Store(error) => store(error),
    }
}

pub fn list(error: ListError) -> Failure {
    match &error {
        ListError::UnknownAfter => Failure::invalid_value("after", error.to_string()),
        ListError::BadLimit { .. } => Failure::invalid_value("limit", error.to_string()),
        ListError::Store(cause) => store(cause.clone()),
    }
}

pub fn batch_request(error: BadRequest) -> Failure {
    let param = Some(error.param).filter(|param| !param.is_empty());
    Failure::BadRequest { code: "invalid_value", param, message: error.message }
}

pub fn create(error: CreateError) -> Failure {
    let message = error.to_string();
    match error {
        CreateError::NoSuchFile(id) => unknown("file", &id),
        CreateError::WrongPurpose(_) => Failure::invalid_value("input_file_id", message),
        CreateError::KeyUsed => Failure::invalid_value("Idempotency-Key", message),
        CreateError::TooMany => Failure::Full { message },
        CreateError::Store(error) => store(error),
    }
}

pub fn stop(error: StopError, id: &str) -> Failure {
    match error {
        StopError::NotFound => unknown("batch", id),
        StopError::NotNow(NotNow { .. }) => Failure::NotCancellable {
            message: format!("the batch `{id}` is over, there is nothing to cancel"),
        },
        StopError::Store(error) => store(error),
    }
}

pub fn submit(error: SubmitJobError) -> Failure {
    let message = error.to_string();
    match error {
        SubmitJobError::BadBody(problem) => {
            // The store reads bodies as parts of lines, and names their fields so.
            let param = problem.param.as_deref().map(|param| param.trim_start_matches("body."));
            let param = param.filter(|param| *param != "body").map(str::to_owned);
            Failure::BadRequest { code: "invalid_value", param, message }
        }
        SubmitJobError::KeyUsed => Failure::invalid_value("Idempotency-Key", message),
        SubmitJobError::TooMany => Failure::Full { message },
        SubmitJobError::Store(error) => store(error),
    }
}

pub fn cancel_job(error: CancelJobError, id: &str) -> Failure {
    match error {
        CancelJobError::NotFound => unknown("job", id),
        CancelJobError::NotCancellable => Failure::NotCancellable { message: error.to_string() },
        CancelJobError::Store(error) => store(error),
    }
}
