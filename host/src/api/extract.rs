//! Bodies, queries and ids, with errors in our words.

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::shapes::Page;
use crate::domain::RunId;
use crate::error::{Error, ErrorKind};

/// A body of JSON.
pub(super) struct JsonBody<T>(pub T);

/// A body of any JSON, a list too.
pub(super) struct AnyJson(pub serde_json::Value);

/// A component in its binary form.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(super) struct WasmBody(pub Bytes);

/// The query, without unknown names.
pub(super) struct Query<T>(pub T);

/// The id in the path.
pub(crate) struct Id(pub RunId);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let body = body(request, state, "application/json").await?;
        // A struct would be read from a list of its members as well, which nobody means.
        if body.trim_ascii_start().first() == Some(&b'[') {
            return Err(wrong("it is a list, and should be an object"));
        }
        let mut json = serde_json::Deserializer::from_slice(&body);
        let read = serde_path_to_error::deserialize(&mut json).map_err(at_a_path)?;
        json.end().map_err(wrong)?;
        Ok(JsonBody(read))
    }
}

/// Says where in the body it is wrong, too.
fn at_a_path(error: serde_path_to_error::Error<serde_json::Error>) -> Error {
    match error.path().to_string() {
        path if path == "." || !error.inner().is_data() => wrong(error.into_inner()),
        path => wrong(format!("`{}`: {}", path.escape_debug(), error.into_inner())),
    }
}

impl<S: Send + Sync> FromRequest<S> for AnyJson {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let body = body(request, state, "application/json").await?;
        serde_json::from_slice(&body).map(AnyJson).map_err(wrong)
    }
}

fn wrong(why: impl std::fmt::Display) -> Error {
    Error::invalid(format!("the body is not what this call takes: {why}"))
}

impl<S: Send + Sync> FromRequest<S> for WasmBody {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        body(request, state, "application/wasm").await.map(WasmBody)
    }
}

async fn body<S: Send + Sync>(request: Request, state: &S, takes: &str) -> Result<Bytes, Error> {
    let given = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(takes) {
        let message = format!("the content type is `{}`; this call takes `{takes}`", given.escape_debug());
        return Err(Error::new(ErrorKind::UnsupportedMediaType, message));
    }
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status().as_u16() {
        413 => Error::too_large("the body is larger than this call takes (64 MiB for modules, 8 MiB else)"),
        _ => Error::invalid(format!("the body did not arrive whole: {}", rejection.body_text())),
    })
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(query)| Query(query))
            .map_err(|rejection| Error::invalid(format!("invalid query: {}", rejection.body_text())))
    }
}

/// How many items a page has: as many as were asked for, or `usual`.
pub(super) fn page_limit(given: Option<usize>, usual: usize, most: usize) -> Result<usize, Error> {
    match given.unwrap_or(usual) {
        limit if (1..=most).contains(&limit) => Ok(limit),
        limit => Err(Error::invalid(format!("`limit` is {limit}; it goes from 1 to {most}"))),
    }
}

/// A page of what was found with a `limit` one larger, so that there is more where that one is there, too.
pub(super) fn page<S, T>(
    mut found: Vec<S>,
    limit: usize,
    cursor: impl Fn(&S) -> String,
    shape: impl FnMut(S) -> Result<T, Error>,
) -> Result<Page<T>, Error> {
    let more = found.len() > limit;
    found.truncate(limit);
    let next_cursor = found.last().filter(|_| more).map(cursor);
    Ok(Page { items: found.into_iter().map(shape).collect::<Result<_, _>>()?, next_cursor })
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Error::invalid(rejection.body_text()))?;
        text.parse().map(Id).map_err(|_| Error::invalid(format!("`{}` is not a run id", text.escape_debug())))
    }
}
