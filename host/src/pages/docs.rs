//! The description of the API for people, made from the one for programs.

use axum::response::Html;
use minijinja::value::Serde;
use minijinja::{HtmlEscape, context};
use serde::Serialize;
use serde_json::{Map, Value};

use super::render;
use crate::error::Result;

/// A page with every call of an OpenAPI document; its examples ask the server at `host`.
pub fn docs(document: &Value, host: &str) -> Result<Html<String>> {
    let calls = calls(document, host);
    let groups: Vec<_> = list(&document["tags"]).map(|tag| Group::new(tag, &calls)).collect();
    let shapes: Vec<_> =
        members(&document["components"]["schemas"]).map(|(name, schema)| Shape::new(name, schema)).collect();
    render("docs.html", context! { info => Serde(&document["info"]), groups => Serde(groups), shapes => Serde(shapes) })
}

/// A text of ours as HTML: what stands between backticks is code.
pub(super) fn prose(text: &str) -> minijinja::Value {
    let html = text.split('`').enumerate().fold(String::new(), |html, (n, part)| match n % 2 {
        0 => format!("{html}{}", HtmlEscape(part)),
        _ => format!("{html}<code>{}</code>", HtmlEscape(part)),
    });
    minijinja::Value::from_safe_string(html)
}

/// The calls about one thing.
#[derive(Serialize)]
struct Group<'a> {
    name: &'a str,
    about: &'a str,
    calls: Vec<&'a Call>,
}

#[derive(Serialize)]
struct Call {
    id: String,
    tag: String,
    method: String,
    path: String,
    title: String,
    about: String,
    parameters: Vec<Field>,
    body: Option<Content>,
    replies: Vec<Reply>,
    curl: String,
}

/// A parameter, or a member of an object.
#[derive(Serialize)]
struct Field {
    name: String,
    /// Of a parameter: in the path, the query or a header.
    place: String,
    kind: KindOf,
    required: bool,
    about: String,
}

#[derive(Serialize)]
struct Reply {
    status: String,
    about: String,
    content: Option<Content>,
}

#[derive(Serialize)]
struct Content {
    media_type: String,
    kind: KindOf,
    about: String,
}

/// What a value is: words, and between them the name of a shape.
#[derive(Default, Serialize)]
struct KindOf {
    before: String,
    shape: Option<String>,
    after: String,
}

#[derive(Serialize)]
struct Shape {
    name: String,
    about: String,
    /// Where it is no object.
    kind: Option<KindOf>,
    /// Shapes whose members it has as well.
    has_all_of: Vec<String>,
    fields: Vec<Field>,
}

impl Group<'_> {
    fn new<'a>(tag: &'a Value, calls: &'a [Call]) -> Group<'a> {
        let name = text(&tag["name"]);
        Group { name, about: text(&tag["description"]), calls: calls.iter().filter(|call| call.tag == name).collect() }
    }
}

fn calls(document: &Value, host: &str) -> Vec<Call> {
    let calls = members(&document["paths"]).flat_map(|(path, methods)| {
        members(methods).map(move |(method, operation)| Call::new(document, host, path, method, operation))
    });
    calls.collect()
}

impl Call {
    fn new(document: &Value, host: &str, path: &str, method: &str, operation: &Value) -> Call {
        let body = &operation["requestBody"];
        Call {
            id: text(&operation["operationId"]).to_owned(),
            tag: text(&operation["tags"][0]).to_owned(),
            method: method.to_uppercase(),
            path: path.to_owned(),
            title: text(&operation["summary"]).to_owned(),
            about: text(&operation["description"]).to_owned(),
            parameters: list(&operation["parameters"]).map(parameter).collect(),
            body: Content::of(body),
            replies: members(&operation["responses"])
                .map(|(status, reply)| Reply {
                    status: status.to_owned(),
                    about: text(&reply["description"]).to_owned(),
                    content: Content::of(reply),
                })
                .collect(),
            curl: curl(document, host, path, method, operation),
        }
    }
}

impl Content {
    fn of(value: &Value) -> Option<Content> {
        let (media_type, content) = members(&value["content"]).next()?;
        let about = text(&value["description"]).to_owned();
        Some(Content { media_type: media_type.to_owned(), kind: KindOf::new(&content["schema"]), about })
    }
}

fn parameter(parameter: &Value) -> Field {
    let schema = &parameter["schema"];
    let mut about = text(&parameter["description"]).to_owned();
    if let Some(default) = schema.get("default") {
        about = format!("{about} Default: {default}.");
    }
    Field {
        name: text(&parameter["name"]).to_owned(),
        place: text(&parameter["in"]).to_owned(),
        kind: KindOf::new(schema),
        required: parameter["required"] == true,
        about,
    }
}

impl Shape {
    fn new(name: &str, schema: &Value) -> Shape {
        let parts: Vec<&Value> = list(&schema["allOf"]).collect();
        let is_object = schema["properties"].is_object() || !parts.is_empty();
        let fields = std::iter::once(schema).chain(parts.iter().copied()).flat_map(fields).collect();
        Shape {
            name: name.to_owned(),
            about: text(&schema["description"]).to_owned(),
            kind: (!is_object).then(|| KindOf::new(schema)),
            has_all_of: parts.iter().filter_map(|part| referred(part)).collect(),
            fields,
        }
    }
}

fn fields(schema: &Value) -> impl Iterator<Item = Field> {
    let required = |name: &str| list(&schema["required"]).any(|required| required == name);
    members(&schema["properties"]).map(move |(name, property)| Field {
        name: name.to_owned(),
        place: String::new(),
        kind: KindOf::new(property),
        required: required(name),
        about: text(&property["description"]).to_owned(),
    })
}

impl KindOf {
    fn new(schema: &Value) -> KindOf {
        if let Some(shape) = referred(schema) {
            return KindOf { shape: Some(shape), ..KindOf::default() };
        }
        let choices: Vec<&Value> = list(&schema["oneOf"]).chain(list(&schema["anyOf"])).collect();
        if !choices.is_empty() {
            return choices.into_iter().map(KindOf::new).reduce(KindOf::or).unwrap_or_default();
        }
        if schema["enum"].is_array() {
            let words: Vec<&str> = list(&schema["enum"]).map(text).collect();
            return KindOf::word(words.join(" | "));
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::Array(types) => types.iter().map(text).collect(),
            one => vec![text(one)],
        };
        types.into_iter().map(|name| KindOf::plain(name, schema)).reduce(KindOf::or).unwrap_or_default()
    }

    fn plain(name: &str, schema: &Value) -> KindOf {
        let (least, most) = (&schema["minimum"], &schema["maximum"]);
        let range = match (least.as_f64(), most.as_f64()) {
            (Some(_), Some(_)) => format!(", {least} to {most}"),
            (None, Some(_)) => format!(", at most {most}"),
            _ => String::new(),
        };
        match (name, text(&schema["format"])) {
            ("array", _) => {
                let items = KindOf::new(&schema["items"]);
                KindOf { before: format!("list of {}", items.before), ..items }
            }
            ("object", _) if schema["additionalProperties"].is_object() => {
                let values = KindOf::new(&schema["additionalProperties"]);
                KindOf { before: format!("object of {}", values.before), ..values }
            }
            ("", _) => KindOf::word("any JSON".to_owned()),
            ("string", format @ ("uuid" | "date-time" | "binary")) => KindOf::word(format!("{name}, {format}")),
            _ => KindOf::word(format!("{name}{range}")),
        }
    }

    fn word(word: String) -> KindOf {
        KindOf { before: word, ..KindOf::default() }
    }

    /// Either of two, of which one at most names a shape that is linked.
    fn or(self, other: KindOf) -> KindOf {
        match (&self.shape, &other.shape) {
            (Some(_), _) => KindOf { after: format!("{} or {}", self.after, other.words()), ..self },
            (None, Some(_)) => KindOf { before: format!("{} or {}", self.before, other.before), ..other },
            (None, None) => KindOf::word(format!("{} or {}", self.before, other.before)),
        }
    }

    fn words(&self) -> String {
        format!("{}{}{}", self.before, self.shape.as_deref().unwrap_or_default(), self.after)
    }
}

/// The call as it can be typed; what differs from case to case is a variable of the shell.
fn curl(document: &Value, host: &str, path: &str, method: &str, operation: &Value) -> String {
    let path = path.replace('{', "$").replace('}', "");
    let shown = |parameter: &&Value| parameter["in"] == "query" && parameter["required"] == true;
    let query: Vec<String> = list(&operation["parameters"])
        .filter(shown)
        .map(|parameter| format!("{}={}", text(&parameter["name"]), text(&parameter["example"])))
        .collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let mut command = String::from("curl");
    if method != "get" {
        command = format!("{command} -X {}", method.to_uppercase());
    }
    if operation["responses"]["200"]["content"]["text/event-stream"].is_object() {
        command.push_str(" -N");
    }
    command = format!("{command} \"http://{host}{path}{query}\"");
    let Some((media_type, content)) = members(&operation["requestBody"]["content"]).next() else { return command };
    let example = match referred(&content["schema"]) {
        Some(shape) => format!("-d '{}'", document["components"]["schemas"][shape]["example"]),
        None => "--data-binary @module.wasm".to_owned(),
    };
    format!("{command} -H 'content-type: {media_type}' {example}")
}

/// The name of the shape that a schema refers to.
fn referred(schema: &Value) -> Option<String> {
    schema["$ref"].as_str()?.rsplit('/').next().map(str::to_owned)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}
