//! No network: what [`crate::testing::set_http`] was given answers.

use super::{Request, Response, Url};
use crate::testing::STATE;
use crate::{Result, TaskError};

pub(super) fn send(request: Request) -> Result<Response> {
    let Url { scheme, authority, path_and_query } = Url::parse(&request.url)?;
    match STATE.with_borrow(|state| state.http.clone()) {
        Some(double) => double(&request),
        None => {
            let url = format!("{scheme}://{authority}{path_and_query}");
            let help = format!("nothing answers `{url}` here; give it a double with `testing::set_http`");
            Err(TaskError::of_kind("denied", help))
        }
    }
}
