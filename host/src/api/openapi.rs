//! The API as OpenAPI describes it, made from the handlers and shapes themselves.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::Json;
use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::response::Html;
use serde_json::{Value, json};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder, ResponsesBuilder};
use utoipa::{IntoResponses, Modify, OpenApi};

use super::shapes::ErrorShape;
use super::{
    backup, deletion, events, graph, health, metrics, modules, replay, retry, runs, signals, stats, tag_limits,
};
use crate::error::{ErrorKind, Result};

#[derive(OpenApi)]
#[openapi(
    info(title = "Tarefa"),
    tags(
        (name = "runs", description = "Requests to execute an entry, and what became of them"),
        (name = "modules", description = "Registered components and what they offer"),
        (name = "server", description = "The server itself"),
    ),
    paths(
        runs::submit,
        runs::list,
        runs::show,
        runs::children,
        graph::show,
        runs::logs,
        events::events,
        runs::cancel,
        retry::retry,
        replay::replay,
        signals::send_signal,
        signals::pause,
        signals::resume,
        deletion::delete_run,
        stats::stats,
        modules::register,
        modules::list,
        modules::show,
        deletion::delete_module,
        tag_limits::list,
        tag_limits::show,
        tag_limits::set,
        tag_limits::remove,
        backup::backup,
        health::health,
        metrics::metrics,
        openapi,
        docs,
    ),
    components(schemas(ErrorShape)),
    modifiers(&Always)
)]
struct Document;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document = serde_json::to_value(Document::openapi()).expect("the document is JSON");
    // A page would repeat the shape of its items; it is to name it.
    for (name, page) in document["components"]["schemas"].as_object_mut().into_iter().flatten() {
        if let Some(item) = name.strip_prefix("Page_") {
            page["properties"]["items"]["items"] = json!({"$ref": format!("#/components/schemas/{item}")});
        }
    }
    name_unsigned(&mut document);
    document
});

/// Half of what an unsigned number may be is no `int32`.
fn name_unsigned(value: &mut Value) {
    if value["minimum"] == 0
        && let Some(format @ ("int32" | "int64")) = value["format"].as_str()
    {
        value["format"] = format!("u{format}").into();
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(name_unsigned),
        Value::Object(members) => members.values_mut().for_each(name_unsigned),
        _ => {}
    }
}

/// This description
#[utoipa::path(get, path = "/api/openapi.json", tag = "server", responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(super) async fn openapi() -> Json<&'static Value> {
    Json(&DOCUMENT)
}

/// This description as a page
#[utoipa::path(get, path = "/api/docs", tag = "server", responses((status = 200, description = "A page", body = String, content_type = "text/html")))]
pub(super) async fn docs(headers: HeaderMap) -> Result<Html<String>> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1:4200");
    crate::pages::docs(&DOCUMENT, host)
}

/// What may answer any call.
struct Always;

impl Modify for Always {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let operations = openapi
            .paths
            .paths
            .values_mut()
            .flat_map(|path| [&mut path.get, &mut path.post, &mut path.put, &mut path.delete]);
        for operation in operations.flatten() {
            for refused in
                [refused(ErrorKind::Forbidden), refused(ErrorKind::Unavailable), refused(ErrorKind::Internal)]
            {
                operation.responses.responses.extend(refused);
            }
        }
    }
}

/// Declares the refusals that handlers name among their replies.
macro_rules! refusals {
    ($($kind:ident),*) => {$(
        pub(super) struct $kind;

        impl IntoResponses for $kind {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                refused(ErrorKind::$kind)
            }
        }
    )*};
}

refusals!(Invalid, NotFound, Conflict, TooLarge, UnsupportedMediaType);

fn refused(kind: ErrorKind) -> BTreeMap<String, RefOr<Response>> {
    let description = match kind {
        ErrorKind::Invalid => "Something in the request is not what this call takes",
        ErrorKind::Forbidden => "The request comes from a page of another site, or asks for what may not be granted",
        ErrorKind::NotFound => "There is no such thing",
        ErrorKind::MethodNotAllowed => "This path does not take that method",
        ErrorKind::Conflict => "The state of things does not allow it",
        ErrorKind::TooLarge => "The body is larger than this call takes",
        ErrorKind::UnsupportedMediaType => "The body has another content type than this call takes",
        ErrorKind::Unavailable => "The server has no room for it now; ask again later",
        ErrorKind::Internal => "A mistake in Tarefa itself; the server's log has more",
    };
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorShape"))).build();
    let response = ResponseBuilder::new().description(description).content("application/json", body).build();
    ResponsesBuilder::new().response(kind.status().to_string(), response).build().responses
}
