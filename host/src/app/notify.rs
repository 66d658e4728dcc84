//! What those may say on notifications who do not keep the server.

use super::App;
use crate::domain::NotifyRule;
use crate::domain::notify::{check_rules, keep_secrets};
use crate::error::{Error, ErrorKind, Result};

impl App {
    /// The rules of a deployment, as they are to be kept in the place of those that it `had`.
    ///
    /// # Errors
    ///
    /// `invalid` where they are wrong or name a command, `forbidden` for what only this machine and its neighbours reach,
    /// unless the operator allows it. What a name stands for is seen when it is connected to.
    pub fn allowed_rules(&self, mut rules: Vec<NotifyRule>, had: &[NotifyRule]) -> Result<Vec<NotifyRule>> {
        if rules.iter().any(|rule| rule.command.is_some()) {
            let message =
                "`notify.command` may stand in the server's config file alone, since it runs where the server does";
            return Err(Error::invalid(message));
        }
        keep_secrets(&mut rules, had).map_err(Error::invalid)?;
        check_rules(&rules).map_err(Error::invalid)?;
        for rule in &rules {
            let Some(host) = rule.private_host() else { continue };
            if !self.config.allowed_http.contains(&host) {
                let message = format!("`{host}` may not be notified: start the server with `--allow-http {host}`");
                return Err(Error::new(ErrorKind::Forbidden, message));
            }
        }
        Ok(rules)
    }
}
