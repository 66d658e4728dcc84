//! No network: what [`crate::testing::set_http`] was given answers.

use super::{Request, Response, Url};
use crate::testing::STATE;
use crate::{Result, TaskError};

pub(super) fn send(request: Request) -> Result<Response> {
    Url::parse(&request.url)?;
    match STATE.with_borrow(|state| state.http.clone()) {
        Some(double) => double(&request),
        None => {
            let help = format!("nothing answers `{}` here; give it a double with `testing::set_http`", request.url);
            Err(TaskError::of_kind("denied", help))
        }
    }
}
