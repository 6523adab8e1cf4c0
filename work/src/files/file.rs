//! A file as OpenAI shows it.

use super::Purpose;
use protocol::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeStruct};

/// Whether somebody looked into a file (OpenAI's word, deprecated and required there).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileStatus {
    /// Nobody did.
    Uploaded,
    /// It was checked and is good.
    Processed,
    /// It was checked, and a batch of it would fail; the details say why.
    Error,
}

/// A file. Serializes as OpenAI's `File` object, with times in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// `file-` and random digits.
    pub id: String,
    /// Its size.
    pub bytes: u64,
    /// When it was complete.
    pub created_at: Timestamp,
    /// When it is deleted; `None` if only its owner deletes it.
    pub expires_at: Option<Timestamp>,
    /// What its tool called it. Not a path.
    pub filename: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Whether it was looked into.
    pub status: FileStatus,
    /// The first thing that is wrong with it.
    pub status_details: Option<String>,
}

impl Serialize for File {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("File", 9)?;
        object.serialize_field("id", &self.id)?;
        object.serialize_field("object", "file")?;
        object.serialize_field("bytes", &self.bytes)?;
        object.serialize_field("created_at", &seconds(self.created_at))?;
        match self.expires_at {
            Some(at) => object.serialize_field("expires_at", &seconds(at))?,
            None => object.skip_field("expires_at")?,
        }
        object.serialize_field("filename", &self.filename)?;
        object.serialize_field("purpose", &self.purpose)?;
        object.serialize_field("status", &self.status)?;
        match &self.status_details {
            Some(details) => object.serialize_field("status_details", details)?,
            None => object.skip_field("status_details")?,
        }
        object.end()
    }
}

/// OpenAI's times are whole seconds.
pub(crate) const fn seconds(at: Timestamp) -> u64 {
    at.as_millis() / 1000
}
