//! Variables: values that people keep on the server for runs to read.

use serde::de::DeserializeOwned;

use crate::argument::unreadable;
use crate::{Result, backend};

/// Reads a variable; `None` where there is none of that name. It is set with `tarefa variables set` or over the API, and
/// is no place for secrets.
///
/// A task reads what it is at that moment. So does a flow, and where it is called again, after a crash for instance, it
/// reads what it read before.
///
/// ```
/// # use tarefa_sdk::{prelude::*, testing};
/// #[task]
/// fn price(net: f64) -> Result<f64> {
///     let rate: f64 = variable("vat-rate")?.unwrap_or(0.23);
///     Ok(net * (1.0 + rate))
/// }
/// # testing::set_variable("vat-rate", json!(0.5));
/// # assert_eq!(price(2.0).unwrap(), 3.0);
/// ```
///
/// # Errors
/// Where the value is no `T`.
pub fn variable<T: DeserializeOwned>(name: &str) -> Result<Option<T>> {
    let read = |json: String| {
        serde_json::from_str(&json).map_err(|error| unreadable(&format!("the value of the variable `{name}`"), &error))
    };
    backend::variable(name).map(read).transpose()
}
