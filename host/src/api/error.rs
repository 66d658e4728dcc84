//! From our errors to HTTP.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::shapes::{ErrorBody, ErrorShape};
use crate::error::{Error, ErrorKind};

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if self.kind == ErrorKind::Internal {
            tracing::error!("{:#}", self.source.unwrap_or_else(|| anyhow::anyhow!("{}", self.message)));
        }
        let status = StatusCode::from_u16(self.kind.status()).expect("every kind has a status");
        (status, Json(ErrorShape { error: ErrorBody { kind: self.kind, message: self.message } })).into_response()
    }
}
