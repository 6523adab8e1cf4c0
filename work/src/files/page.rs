//! A part of a list, as OpenAI's lists are read: so many after the one with this id.

use super::{
    File, Files, Purpose,
    schema::{COLUMNS, read},
};
use crate::{limits::FILES_LISTED_MAX, store::error::StoreError};
use rusqlite::{Row, named_params};
use serde::{Serialize, Serializer, ser::SerializeStruct};

/// Which end of a list comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest (OpenAI's default).
    #[default]
    Descending,
    /// The oldest.
    Ascending,
}

/// Which files are wanted. The default is OpenAI's: the newest 10,000.
#[derive(Clone, Debug, Default)]
pub struct FilePage {
    /// Those that come after this one.
    pub after: Option<String>,
    /// At most so many; 1 to [`FILES_LISTED_MAX`], and all of those if `None`.
    pub limit: Option<u32>,
    /// From which end.
    pub order: Order,
    /// Only those for this.
    pub purpose: Option<Purpose>,
}

/// A part of a list. Serializes as OpenAI's lists do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T> {
    /// What is in it.
    pub data: Vec<T>,
    /// Whether more comes after it.
    pub has_more: bool,
    /// The id of its first.
    pub first_id: Option<String>,
    /// The id of its last, for `after`.
    pub last_id: Option<String>,
}

impl<T> List<T> {
    /// Of `limit` and one more, if there was one.
    pub(crate) fn of(mut data: Vec<T>, limit: u32, id: impl Fn(&T) -> String) -> Self {
        let limit = limit as usize;
        let has_more = data.len() > limit;
        data.truncate(limit);
        let (first_id, last_id) = (data.first().map(&id), data.last().map(&id));
        Self { data, has_more, first_id, last_id }
    }
}

impl<T: Serialize> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("List", 5)?;
        object.serialize_field("object", "list")?;
        object.serialize_field("data", &self.data)?;
        object.serialize_field("first_id", &self.first_id)?;
        object.serialize_field("last_id", &self.last_id)?;
        object.serialize_field("has_more", &self.has_more)?;
        object.end()
    }
}

/// Why there is no such part of a list: 400.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// `after` names nothing that is in the list.
    #[error("`after` names nothing in the list, give an id that it showed")]
    UnknownAfter,
    /// `limit` is out of its bounds.
    #[error("`limit` is between 1 and {max}")]
    BadLimit {
        /// The most.
        max: u32,
    },
    /// Nothing was read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The limit asked for, or the usual one.
pub(crate) fn limit_of(asked: Option<u32>, usual: u32, max: u32) -> Result<u32, ListError> {
    match asked.unwrap_or(usual) {
        limit if (1..=max).contains(&limit) => Ok(limit),
        _ => Err(ListError::BadLimit { max }),
    }
}

impl Files<'_> {
    /// A part of the list of files.
    pub async fn list(self, page: FilePage) -> Result<List<File>, ListError> {
        const AFTER: &str = "SELECT seq FROM file WHERE id = ?1 AND doomed = 0";
        let limit = limit_of(page.limit, FILES_LISTED_MAX, FILES_LISTED_MAX)?;
        let (edge, compared, direction) = match page.order {
            Order::Descending => (i64::MAX, "<", "DESC"),
            Order::Ascending => (0, ">", "ASC"),
        };
        let mine = if page.purpose.is_some() { "AND purpose = :purpose" } else { "AND :purpose IS NULL" };
        let sql = format!(
            "SELECT {COLUMNS} FROM file WHERE doomed = 0 {mine} AND seq {compared} :after \
             ORDER BY seq {direction} LIMIT :limit"
        );
        let ask = move |view: crate::store::tx::View<'_>| {
            let after = match &page.after {
                None => Some(edge),
                Some(id) => view.one(AFTER, [id], |row| row.get(0))?,
            };
            let Some(after) = after else { return Ok(None) };
            let purpose = page.purpose.map(Purpose::code);
            let wanted = named_params! { ":purpose": purpose, ":after": after, ":limit": limit + 1 };
            view.all(&sql, wanted, |row: &Row<'_>| read(row)).map(Some)
        };
        let found = self.work.read(ask).await?.ok_or(ListError::UnknownAfter)?;
        Ok(List::of(found, limit, |file| file.id.clone()))
    }
}
