//! Parameters of every shape.

use tarefa_sdk::prelude::*;

#[data]
struct Order {
    id: u32,
    customer: Customer,
    #[serde(default)]
    lines: Vec<Line>,
}

#[data]
struct Customer {
    name: String,
    email: Option<String>,
}

#[data]
struct Line {
    product: String,
    price: f64,
}

#[data]
#[derive(PartialEq)]
#[serde(rename_all = "snake_case")]
enum Priority {
    Low,
    High,
}

#[data]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Target {
    File { path: String },
    Table { name: String, append: bool },
}

/// Everything has a default.
#[task(run_name = "defaults({n}, {text})")]
fn defaults(
    /// How many.
    #[default(5)]
    n: u32,
    #[default("olá")] text: String,
    #[default(vec![1, 2])] list: Vec<i64>,
    #[default(Priority::Low)] priority: Priority,
    note: Option<String>,
) -> Value {
    json!({ "n": n, "text": text, "list": list, "priority": priority, "note": note })
}

#[task(run_name = "structured({priority})")]
fn structured(order: Order, priority: Priority, targets: Vec<Target>) -> Value {
    json!({ "order": order, "high": priority == Priority::High, "targets": targets })
}

/// JSON knows larger numbers than the types do.
#[task]
fn small(byte: u8, signed: i32, float: f64, flag: bool) -> Value {
    json!([byte, signed, float, flag])
}

#[flow]
fn passes(order: Order) -> Result<Value> {
    structured(order, Priority::High, vec![Target::File { path: "/out".into() }])
}

export_module!(flows: [passes], tasks: [defaults, structured, small]);
