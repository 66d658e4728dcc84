//! `/api/backup`.

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::stream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::ApiState;
use super::openapi::Conflict;
use super::runs::blocking;
use crate::error::Result;

/// Pieces of the archive, in bytes, and how many of them wait for a slow client.
const PIECE_BYTES: usize = 256 << 10;
const PIECES: usize = 4;
/// A client that takes nothing for this long has no backup: it would keep all others from theirs.
const STALL_TIMEOUT: Duration = Duration::from_secs(300);

/// A tar archive.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[allow(dead_code, reason = "it only describes the body")]
pub(super) struct Archive(Bytes);

/// Copy all modules, runs and logs, as a tar archive
///
/// It has all that was acknowledged before, as it was at one moment; runs go on meanwhile. Unpacked into an empty folder
/// it is a data directory. A reply that ends early is no backup.
#[utoipa::path(
    get, path = "/api/backup", tag = "server",
    responses((status = 200, description = "The archive", body = Archive, content_type = "application/x-tar"), Conflict),
)]
pub(super) async fn backup(State(state): State<ApiState>) -> Result<impl IntoResponse> {
    let backup = blocking(move || state.app.backup()).await?;
    let (pieces, archive) = mpsc::channel(PIECES);
    let client = Client { pieces, runtime: Handle::current() };
    tokio::task::spawn_blocking(move || {
        let written = backup.write_to(BufWriter::with_capacity(PIECE_BYTES, &client));
        if let Err(error) = written {
            tracing::warn!("a backup ended early: {error:#}");
            // What was sent is not the whole, and the client is to know.
            let _ = client.send(Err(io::Error::other("the backup ended early")));
        }
    });
    let body = stream::unfold(archive, |mut archive| async { archive.recv().await.map(|piece| (piece, archive)) });
    let headers =
        [(CONTENT_TYPE, "application/x-tar"), (CONTENT_DISPOSITION, "attachment; filename=\"tarefa-backup.tar\"")];
    Ok((headers, Body::from_stream(body)))
}

/// Where the archive goes, as a file to write to.
struct Client {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    runtime: Handle,
}

impl Client {
    fn send(&self, piece: io::Result<Bytes>) -> io::Result<()> {
        let sent = self.runtime.block_on(self.pieces.send_timeout(piece, STALL_TIMEOUT));
        sent.map_err(|error| io::Error::new(io::ErrorKind::BrokenPipe, format!("the client takes no more: {error}")))
    }
}

impl Write for &Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(Ok(Bytes::copy_from_slice(bytes)))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
