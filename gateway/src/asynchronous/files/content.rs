//! `GET /v1/files/{id}/content`: a file's bytes, or some of them, from the disk in constant memory.

use super::range::{self, Wanted};
use crate::{
    asynchronous::refusal,
    downstream::{Downstream, Gone},
    failure::Failure,
    node::Node,
};
use bytes::BytesMut;
use http::{Method, header};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use work::files::{Content, File};

/// What is read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// A tool that takes less than this ...
const DEAD_READER_BYTES: usize = CHUNK_BYTES / 2;
/// ... in this long is cut off. It can go on where it was, with `Range`.
const DEAD_READER_WITHIN: Duration = Duration::from_secs(5 * 60);

pub(super) async fn serve(node: &Node, down: &mut Downstream, id: &str) -> Result<(), Gone> {
    let content = match open(node, down, id).await {
        Ok(content) => content,
        Err(failure) => return down.fail(&failure).await,
    };
    let Content { file, range, mut reader } = content;
    let (bytes, part) = (range.end - range.start, range != (0..file.bytes));
    let mut headers = headers(&file);
    if part {
        let last = range.end.saturating_sub(1);
        headers.push(("content-range", format!("bytes {}-{last}/{}", range.start, file.bytes)));
    }
    down.cut_readers_slower_than(DEAD_READER_BYTES, DEAD_READER_WITHIN);
    down.start(if part { 206 } else { 200 }, "application/octet-stream", &headers, bytes).await?;
    if down.session.req_header().method == Method::HEAD {
        return down.finish_stream().await;
    }
    let mut left = bytes;
    while left > 0 {
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
        let read = reader.read_buf(&mut chunk).await.unwrap_or_else(|error| {
            tracing::error!(%error, id, "a file cannot be read to its end");
            0
        });
        if read == 0 {
            // The connection breaks off: a tool must not take a part for the whole.
            return Err(Gone);
        }
        left -= read as u64;
        down.send(chunk.freeze()).await?;
    }
    down.finish_stream().await
}

async fn open(node: &Node, down: &Downstream, id: &str) -> Result<Content, Failure> {
    let file = super::get(node, id).await?;
    let asked = down.header("range").and_then(Wanted::parse);
    let asked = asked.filter(|_| range::applies(down.session.get_header(header::IF_RANGE), &etag(&file)));
    let (first, last) = asked.map_or((0, None), |wanted| wanted.within(file.bytes));
    let refused = |error| refusal::content(error, id);
    node.work.files().content(id, first, last).await.map_err(refused)
}

/// What is in a file never changes, so its id says which bytes they are.
fn etag(file: &File) -> String {
    format!("\"{}\"", file.id)
}

fn headers(file: &File) -> Vec<(&'static str, String)> {
    vec![
        ("accept-ranges", "bytes".to_owned()),
        ("etag", etag(file)),
        // A browser saves it and never shows it: it may be a page with a script.
        ("content-disposition", format!("attachment; filename*=UTF-8''{}", percent_encoded(&file.filename))),
        ("x-content-type-options", "nosniff".to_owned()),
    ]
}

/// A name as RFC 8187 writes it.
fn percent_encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte);
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_of_any_kind_fit_in_a_header() {
        assert_eq!(super::percent_encoded("../a b\"é.jsonl"), "..%2Fa%20b%22%C3%A9.jsonl");
    }
}
