//! Bodies with an end: of bytes, and of time.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};
use wasmtime_wasi_http::{Error, WasiBody};

use super::send::clear;

/// The body of an answer; it is never held whole, but a guest that reads without end is held up.
const MAX_ANSWER_BYTES: u64 = 16 << 20;

type Polled = Poll<Option<Result<Frame<Bytes>, Error>>>;

/// A request's body that ends with an error where it is over its limit.
pub(super) struct Bounded {
    body: WasiBody,
    limit: u64,
    left: u64,
}

impl Bounded {
    pub(super) fn new(body: WasiBody, limit: u64) -> Bounded {
        Bounded { body, limit, left: limit }
    }
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && !spend(&mut self.left, frame)
        {
            return Poll::Ready(Some(Err(Error::HttpRequestBodySize(Some(self.limit)))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body. It holds the request's place among those under way until it is read or dropped.
pub(super) struct Answer {
    body: Incoming,
    left: u64,
    between_bytes: Duration,
    /// Since the guest waits for the next piece.
    waiting: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl Answer {
    pub(super) fn new(body: Incoming, between_bytes: Duration, place: OwnedSemaphorePermit) -> Answer {
        Answer { body, left: MAX_ANSWER_BYTES, between_bytes, waiting: None, _place: place }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            let between_bytes = self.between_bytes;
            let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(between_bytes)));
            ready!(waiting.as_mut().poll(cx));
            return Poll::Ready(Some(Err(Error::ConnectionReadTimeout)));
        };
        self.waiting = None;
        let frame = frame.map(|frame| frame.map_err(clear));
        if let Some(Ok(frame)) = &frame
            && !spend(&mut self.left, frame)
        {
            return Poll::Ready(Some(Err(Error::HttpResponseBodySize(Some(MAX_ANSWER_BYTES)))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether so much was left.
fn spend(left: &mut u64, frame: &Frame<Bytes>) -> bool {
    let length = frame.data_ref().map_or(0, |data| data.len() as u64);
    let enough = length <= *left;
    *left = left.saturating_sub(length);
    enough
}
