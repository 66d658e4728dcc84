//! Plain functions: whatever a component exports beside our contract. Each is a task.

use serde_json::{Map, Value, json};
use wasmtime::Store;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};
use wasmtime::component::{Component, ComponentExportIndex, Instance, Val};

use super::schema::{Budget, schema};
use super::value::{Writer, read};
use super::{COMMAND, CONTRACT};
use crate::domain::{Description, Entry, Failure, FailureKind, Kind};
use crate::wasm::host::HostState;
use crate::wasm::inspect::MAX_ENTRIES;
use crate::wasm::sandbox::Job;

/// How much of an error value is put into a failure's message, in characters.
const SHOWN: usize = 300;

pub(in crate::wasm) struct Functions(Vec<Function>);

/// One exported function.
struct Function {
    entry: Entry,
    index: ComponentExportIndex,
    parameters: Vec<(String, Type)>,
    result: Option<Type>,
}

/// An exported function before it has a name among the others.
struct Found {
    name: String,
    /// The interface that it belongs to; none where the component exports it by itself.
    interface: Option<String>,
    index: ComponentExportIndex,
    ty: ComponentFunc,
}

impl Functions {
    /// # Errors
    ///
    /// Names the function, and what of it cannot be JSON.
    pub(super) fn of(component: &Component) -> Result<Functions, String> {
        let found = find(component);
        if found.is_empty() {
            return Err(format!(
                "the component exports nothing that could be run: neither `{CONTRACT}` nor `{COMMAND}` nor a function"
            ));
        }
        // Before their names are compared with each other: a component may export a million.
        if found.len() > MAX_ENTRIES {
            return Err(format!(
                "the component exports {} functions; a module has 1 to {MAX_ENTRIES} entries",
                found.len()
            ));
        }
        let mut budget = Budget::default();
        let alone = |name: &str| found.iter().filter(|other| other.name == name).count() == 1;
        let named = found.iter().map(|function| match &function.interface {
            Some(interface) if !alone(&function.name) => format!("{interface}-{}", function.name),
            _ => function.name.clone(),
        });
        let functions = found.iter().zip(named).map(|(found, name)| function(found, &name, &mut budget));
        functions.collect::<Result<_, _>>().map(Functions)
    }

    pub(super) fn description(&self) -> Description {
        Description { entries: self.0.iter().map(|function| function.entry.clone()).collect() }
    }

    pub(super) async fn call(
        &self,
        instance: &Instance,
        store: &mut Store<HostState>,
        job: &Job,
    ) -> wasmtime::Result<Result<String, Failure>> {
        let Some(function) = self.0.iter().find(|function| function.entry.name == *job.run.entry) else {
            let message = format!("the component exports no function `{}`", job.run.entry);
            return Ok(Err(Failure::new(FailureKind::MissingEntry, message)));
        };
        let arguments = match function.arguments(&job.run.input) {
            Ok(arguments) => arguments,
            Err(why) => {
                let message = format!("`{}`: {why}", function.entry.name);
                return Ok(Err(Failure::new(FailureKind::InvalidInput, message)));
            }
        };
        let export = instance.get_func(&mut *store, function.index).expect("it was found in this component");
        let mut results = vec![Val::Bool(false); usize::from(function.result.is_some())];
        export.call_async(store, &arguments, &mut results).await?;
        Ok(function.outcome(results.pop(), job))
    }
}

impl Function {
    fn arguments(&self, input: &str) -> Result<Vec<Val>, String> {
        let mut input: Map<String, Value> = serde_json::from_str(input).map_err(|error| error.to_string())?;
        let argument = |(name, ty): &(String, Type)| {
            let value = input.remove(name).unwrap_or(Value::Null);
            read(value, ty).map_err(|why| format!("parameter `{name}`: {why}"))
        };
        self.parameters.iter().map(argument).collect()
    }

    /// A `result` is the outcome itself; any other value is what the function returned.
    fn outcome(&self, returned: Option<Val>, job: &Job) -> Result<String, Failure> {
        let limits = &job.settings.limits;
        let json = |value: Option<&Val>, ty: Option<&Type>| match (value, ty) {
            (Some(value), Some(ty)) => Writer::write(value, ty, limits),
            _ => Ok("null".to_owned()),
        };
        match (&returned, &self.result) {
            (Some(Val::Result(Ok(value))), Some(Type::Result(ty))) => json(value.as_deref(), ty.ok().as_ref()),
            (Some(Val::Result(Err(value))), Some(Type::Result(ty))) => {
                Err(failed(&json(value.as_deref(), ty.err().as_ref())?))
            }
            (value, ty) => json(value.as_ref(), ty.as_ref()),
        }
    }
}

/// The failure of a function that returned an error: its text, or its JSON.
fn failed(json: &str) -> Failure {
    let (message, details) = match serde_json::from_str(json) {
        Ok(Value::String(text)) => (text, None),
        Ok(Value::Null) => ("the function returned an error".to_owned(), None),
        other => (format!("the function returned the error {json}"), other.ok()),
    };
    let mut message: String = message;
    if let Some((end, _)) = message.char_indices().nth(SHOWN) {
        message.truncate(end);
        message.push('…');
    }
    Failure { details, ..Failure::new(FailureKind::TaskError, message) }
}

/// All functions that the component exports, by itself and in interfaces.
fn find(component: &Component) -> Vec<Found> {
    let engine = component.engine();
    let mut found = Vec::new();
    for (name, export) in component.component_type().exports(engine) {
        match export.ty {
            ComponentItem::ComponentFunc(ty) => {
                let index = component.get_export_index(None, name);
                found.extend(index.map(|index| Found { name: name.to_owned(), interface: None, index, ty }));
            }
            ComponentItem::ComponentInstance(instance) => {
                let Some(within) = component.get_export_index(None, name) else { continue };
                for (function, export) in instance.exports(engine) {
                    let ComponentItem::ComponentFunc(ty) = export.ty else { continue };
                    let index = component.get_export_index(Some(&within), function);
                    let interface = Some(interface_name(name));
                    found.extend(index.map(|index| Found { name: function.to_owned(), interface, index, ty }));
                }
            }
            _ => {}
        }
    }
    found
}

/// `add` of `docs:adder/add@0.1.0`.
fn interface_name(export: &str) -> String {
    let name = export.rsplit('/').next().unwrap_or(export);
    name.split('@').next().unwrap_or(name).to_owned()
}

fn function(found: &Found, name: &str, budget: &mut Budget) -> Result<Function, String> {
    let of_function = |what: &str, why: String| format!("the function `{}` cannot be a task: {what} {why}", found.name);
    let parameters: Vec<(String, Type)> = found.ty.params().map(|(name, ty)| (name.to_owned(), ty)).collect();
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, ty) in &parameters {
        let schema = schema(ty, budget).map_err(|why| of_function(&format!("its parameter `{name}`"), why))?;
        properties.insert(name.clone(), schema);
        if !matches!(ty, Type::Option(_)) {
            required.push(name.clone());
        }
    }
    let result = found.ty.results().next();
    let output = match &result {
        // A `result` is the outcome: its error is a failure, no output.
        Some(Type::Result(result)) => result.ok(),
        other => other.clone(),
    };
    let output = match &output {
        Some(ty) => schema(ty, budget).map_err(|why| of_function("its result", why))?,
        None => json!({"type": "null"}),
    };
    if let Some(Type::Result(result)) = &result
        && let Some(ty) = result.err()
    {
        schema(&ty, budget).map_err(|why| of_function("its error", why))?;
    }
    let input = json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    });
    let entry = Entry { input: Some(input), output: Some(output), ..Entry::new(&name.to_lowercase(), Kind::Task) };
    Ok(Function { entry, index: found.index, parameters, result })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_named_without_package_and_version() {
        assert_eq!(["docs:adder/add@0.1.0", "a:b/c", "plain"].map(interface_name), ["add", "c", "plain"]);
    }

    #[test]
    fn an_error_is_its_text_or_its_json() {
        assert_eq!(failed("\"no rows\"").message, "no rows");
        assert_eq!(failed("null").message, "the function returned an error");
        let failure = failed("{\"code\":7}");
        assert_eq!(failure.message, "the function returned the error {\"code\":7}");
        assert_eq!(failure.details, Some(json!({"code": 7})));
        assert_eq!(failed(&json!("x".repeat(1000)).to_string()).message.chars().count(), SHOWN + 1);
    }
}
