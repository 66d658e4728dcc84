//! Which server a verb talks to: the one that is named, else the one that holds the data directory, else one inside
//! this process.

use std::time::Duration;

use super::Context;
use super::format::harmless;
use crate::api::shapes::RunSummary;
use crate::app::AllowedDir;
use crate::client::Client;
use crate::datadir;
use crate::domain::Grants;
use crate::error::{Error, ErrorKind, Result};
use crate::server::{Server, ServerConfig};

/// How long an embedded server waits at its end for what is still running.
const EMBEDDED_GRACE: Duration = Duration::from_secs(2);

/// How often, and how long apart, the address of a process that is starting is looked for.
const STARTING_TRIES: u32 = 50;
const STARTING_INTERVAL: Duration = Duration::from_millis(100);

/// What an embedded server may grant.
#[derive(Clone, Default)]
pub(super) struct Grantable {
    pub(super) dirs: Vec<AllowedDir>,
    /// Each as `HOST:PORT`.
    pub(super) http: Vec<String>,
}

impl Grantable {
    /// What an embedded server must be able to grant for a run to have `grants`.
    pub(super) fn of(grants: &Grants) -> Grantable {
        let dirs = grants.dirs.iter().map(|dir| AllowedDir { path: dir.host.clone().into(), mode: dir.mode });
        let http = grants.http.iter().map(|grant| grant.host.clone());
        Grantable { dirs: dirs.collect(), http: http.collect() }
    }
}

/// A server to talk to, until [`Session::close`].
pub(super) struct Session {
    pub(super) client: Client,
    embedded: Option<Server>,
}

impl Session {
    /// Opens, and says on stderr which server it is.
    pub(super) async fn open(context: &Context) -> Result<Session> {
        let session = Session::open_quietly(context, Grantable::default()).await?;
        session.say_which(context);
        Ok(session)
    }

    /// Says on stderr which server it is.
    pub(super) fn say_which(&self, context: &Context) {
        context.out.note(&match (&self.embedded, &context.server) {
            (Some(server), _) if server.serves() => {
                format!("no server holds `{}`: serving {} meanwhile", context.data_dir.display(), self.client.url())
            }
            (Some(_), _) => format!("no server holds `{}`: running embedded", context.data_dir.display()),
            (None, Some(named)) => format!("using the server at {}, as {} says", self.client.url(), named.by),
            (None, None) => format!("using the server at {}", self.client.url()),
        });
    }

    /// Says nothing. An embedded server may grant what is in `grantable`: its user may open and reach it anyway.
    pub(super) async fn open_quietly(context: &Context, grantable: Grantable) -> Result<Session> {
        Session::open_with(context, config(context, grantable)).await
    }

    /// As `open_quietly`, but an embedded server does what `tarefa serve` does.
    pub(super) async fn open_to_serve(context: &Context, grantable: Grantable) -> Result<Session> {
        Session::open_with(context, ServerConfig { serves: true, claims: true, ..config(context, grantable) }).await
    }

    async fn open_with(context: &Context, config: ServerConfig) -> Result<Session> {
        if let Some(named) = &context.server {
            let client = Client::new(&named.url)
                .map_err(|error| Error::new(error.kind, format!("{error} (it stands in {})", named.by)))?;
            return Ok(Session { client, embedded: None });
        }
        for _ in 0..STARTING_TRIES {
            if let Some(holder) = datadir::find_server(&context.data_dir)? {
                return Ok(Session { client: Client::new(&holder.url)?, embedded: None });
            }
            match Server::start(config.clone()).await {
                Ok(server) => return Ok(Session { client: Client::new(&server.url())?, embedded: Some(server) }),
                // Another process was quicker, and may not answer yet.
                Err(error) if error.kind == ErrorKind::Conflict => tokio::time::sleep(STARTING_INTERVAL).await,
                Err(error) => return Err(error),
            }
        }
        Err(Error::unavailable(format!(
            "the data directory `{}` is held by a process that does not answer; try again",
            context.data_dir.display()
        )))
    }

    /// Whether the server ends with this process.
    pub(super) fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// A session in which a run with `grants` can be submitted: an embedded server is told at its start what it may
    /// grant, and the run may have become known only after that.
    pub(super) async fn granting(self, grants: &Grants, context: &Context) -> Result<Session> {
        if !self.is_embedded() || grants.dirs.is_empty() && grants.http.is_empty() {
            return Ok(self);
        }
        self.close(Ok(())).await?;
        Session::open_quietly(context, Grantable::of(grants)).await
    }

    /// Refuses to wait for a run that nobody carries out: an embedded server takes up nothing that others left.
    pub(super) fn expect_end(&self, run: &RunSummary) -> Result<()> {
        if !self.is_embedded() || run.state.is_final() {
            return Ok(());
        }
        Err(Error::unavailable(format!(
            "the run `{}` is {}, and there is no server to carry it out: start one with `tarefa serve`",
            harmless(&run.name, 0),
            run.state.as_str()
        )))
    }

    /// Leaves an embedded server as it is: the process ends.
    pub(super) fn leave(self) {
        std::mem::forget(self.embedded);
    }

    /// Ends an embedded server after what is still running, and gives back `result`.
    pub(super) async fn close<T>(self, result: Result<T>) -> Result<T> {
        if let Some(server) = self.embedded {
            server.shutdown(EMBEDDED_GRACE).await;
        }
        result
    }
}

/// A server within this process, which runs what this process submits.
fn config(context: &Context, grantable: Grantable) -> ServerConfig {
    ServerConfig {
        serves: false,
        claims: false,
        allowed_dirs: grantable.dirs,
        allowed_http: grantable.http,
        ..ServerConfig::new(context.data_dir.clone())
    }
}

/// Refuses a second `serve` of one data directory.
pub(super) fn refuse_second(context: &Context) -> Result<()> {
    let Some(holder) = datadir::find_server(&context.data_dir)? else { return Ok(()) };
    let does = if holder.serves {
        format!("serves {}", holder.url)
    } else {
        "runs another verb of `tarefa`; try again when it has ended".to_owned()
    };
    Err(Error::conflict(format!(
        "the data directory `{}` is held by process {}, which {does}",
        context.data_dir.display(),
        holder.pid
    )))
}
