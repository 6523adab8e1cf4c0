//! A talk as the body of a streamed answer.

use super::{
    answer::Piece,
    talk::{Talk, Turn},
};
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::header;
use std::{collections::VecDeque, io};

/// How a talk is written down.
pub(super) trait Writer: Send + 'static {
    const CONTENT_TYPE: &'static str;

    fn piece(&mut self, talk: &Talk, piece: Piece) -> Bytes;

    /// What follows the last piece; each part is sent by itself.
    fn end(&mut self, talk: &Talk) -> Vec<Bytes>;

    fn error(&mut self, message: &str) -> Bytes;
}

pub(super) fn streamed<W: Writer>(talk: Talk, writer: W) -> Response {
    let body = Body::from_stream(parts(talk, writer));
    ([(header::CONTENT_TYPE, W::CONTENT_TYPE)], body).into_response()
}

/// A whole answer that breaks off: the head promises more than follows.
pub(super) fn broken_off() -> Response {
    let start = stream::iter([Ok(Bytes::from_static(b"{\"id\":"))]);
    let parts = start.chain(stream::once(async { Err(cut().await) }));
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CONTENT_LENGTH, "1000")];
    (headers, Body::from_stream(parts)).into_response()
}

/// An error in the body makes hyper close the connection without the chunk that ends it. It would drop
/// what it has not written yet as well: a moment's pause makes it write.
async fn cut() -> io::Error {
    tokio::task::yield_now().await;
    io::ErrorKind::ConnectionAborted.into()
}

struct State<W> {
    talk: Talk,
    writer: W,
    /// Parts that are made and not sent.
    waiting: VecDeque<io::Result<Bytes>>,
    over: bool,
}

fn parts<W: Writer>(talk: Talk, writer: W) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let state = State { talk, writer, waiting: VecDeque::new(), over: false };
    stream::unfold(state, |mut state| async {
        if state.waiting.is_empty() && !state.over {
            state.advance().await;
        }
        let part = state.waiting.pop_front()?;
        Some((part, state))
    })
}

impl<W: Writer> State<W> {
    async fn advance(&mut self) {
        let turn = self.talk.next().await;
        self.over = !matches!(turn, Turn::Say(_));
        match turn {
            Turn::Say(piece) => self.waiting.push_back(Ok(self.writer.piece(&self.talk, piece))),
            Turn::End => self.waiting.extend(self.writer.end(&self.talk).into_iter().map(Ok)),
            Turn::Fail => self.waiting.push_back(Ok(self.writer.error(super::openai::ON_DEMAND))),
            Turn::Cut => self.waiting.push_back(Err(cut().await)),
        }
    }
}
