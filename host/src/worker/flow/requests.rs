//! From what a guest asks for to a child that can be carried out.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::children::{Children, End, Kept, Work};
use super::time::{nondeterministic, recorded};
use super::{FlowRun, Live, finish};
use crate::app::{MAX_INPUT_BYTES, Plan, Version, check_run_name};
use crate::domain::fingerprint::checksum_with;
use crate::domain::run::{Parent, Upstream, preview, printable, render_name};
use crate::domain::{Failure, FailureKind, Kind, LimitsPatch, Outcome, Retries, Run, SettingsPatch, State, Trigger};
use crate::wasm::{Argument, Stop, Submit};

/// What is shown of a name that a guest made up, in characters.
const SHOWN: usize = 100;

/// `wit/schemas/options.json`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    name: Option<String>,
    retries: Option<Retries>,
    limits: Option<LimitsPatch>,
    tags: Option<Vec<String>>,
}

/// What was asked for, understood.
struct Request {
    plan: Arc<Plan>,
    name: Option<Arc<str>>,
    settings: Option<Arc<SettingsPatch>>,
    /// Empty where the outputs of others are still to come.
    input: Arc<str>,
}

impl FlowRun {
    /// Gives a submit its place. What is wrong with it is the failure of the child.
    pub(super) fn admit(&self, children: &mut Children, submit: Submit) -> u32 {
        self.worker.app.metrics.submitted(Trigger::Flow);
        let seq = children.next_place();
        let mut upstream = upstream(&submit);
        children.observe(&submit.arguments, &mut upstream);
        let sum = request_sum(&submit);
        match self.request(children, &submit) {
            Ok(request) => {
                let mut run = self.child_run(seq, &request, &upstream);
                run.request_sum = Some(sum);
                let hold = run.kind == Kind::Task;
                let live = Arc::new(Live::new(run, false));
                if hold {
                    self.worker.add_young(&live);
                } else {
                    // A child flow's own children refer to its row.
                    live.put_on_record(self.worker.store());
                }
                let after: Vec<u32> = upstream.data.iter().chain(&upstream.order).copied().collect();
                let arguments = (!after.is_empty()).then(|| Arc::new(submit.arguments));
                let work = Work { live, plan: request.plan, token: self.token.child_token(), arguments };
                if let Some(work) = children.add(sum, work, &after, hold) {
                    self.spawn(children, seq, work);
                }
            }
            Err(failure) => self.refuse(children, seq, (&submit, sum), upstream, failure),
        }
        seq
    }

    /// Finds the place of a submit that was made before, and goes on with that child where it is unfinished.
    ///
    /// # Errors
    ///
    /// Where the record has something else in that place.
    pub(super) fn bind(&self, children: &mut Children, submit: Submit) -> Result<u32, Stop> {
        let seq = children.next_place();
        if children.next_request() != Some(request_sum(&submit)) {
            return Err(Stop(self.differs(seq, &submit)));
        }
        let mut upstream = upstream(&submit);
        children.observe(&submit.arguments, &mut upstream);
        if let Some(live) = children.claim_next() {
            self.go_on(children, seq, &live, submit, &upstream);
        }
        Ok(seq)
    }

    fn go_on(&self, children: &mut Children, seq: u32, live: &Arc<Live>, submit: Submit, upstream: &Upstream) {
        match self.worker.app.plan_below(&live.run(), &self.inherited) {
            Ok(plan) => {
                let after: Vec<u32> = upstream.data.iter().chain(&upstream.order).copied().collect();
                let arguments = (!after.is_empty()).then(|| Arc::new(submit.arguments));
                let work =
                    Work { live: live.clone(), plan: Arc::new(plan), token: self.token.child_token(), arguments };
                if let Some(work) = children.add_again(seq, work, &after) {
                    self.spawn(children, seq, work);
                }
            }
            Err(error) => {
                let outcome = Outcome::failed(Failure::new(FailureKind::MissingEntry, error.message));
                let now = self.worker.app.clock.now();
                let end = |run: &mut Run| finish(run, State::Failed, &outcome, now);
                self.end_in(children, seq, live, &outcome.result, end, None);
            }
        }
    }

    fn differs(&self, seq: u32, submit: &Submit) -> Failure {
        let recorded = match self.worker.store().run(self.family.child(seq)) {
            Ok(Some(run)) => format!("`{}` with {}", run.entry, preview(&run.input)),
            _ => "another one".to_owned(),
        };
        let arguments = submit.arguments.iter().map(|(name, argument)| match argument {
            Argument::Value(json) => format!("{name:?}:{}", preview(json)),
            Argument::Output(seq) => format!("{name:?}:<the output of child {}>", seq + 1),
        });
        let arguments: Vec<String> = arguments.collect();
        let came = format!("`{}` with {{{}}}", printable(&submit.entry, SHOWN), printable(&arguments.join(","), SHOWN));
        nondeterministic(&format!("submit {}", seq + 1), &recorded, &came)
    }

    /// Where the guest has returned: the first call on record that it did not make again.
    pub(super) fn unclaimed(&self) -> Option<Failure> {
        let child = self.children().first_unclaimed();
        if let Some(seq) = child {
            let run = self.worker.store().run(self.family.child(seq)).ok().flatten();
            let entry = run.map_or_else(|| "a run".to_owned(), |run| format!("`{}`", run.entry));
            return Some(nondeterministic(&format!("submit {}", seq + 1), &entry, "the end of the flow"));
        }
        let time = self.time();
        let entry = time.first_unclaimed()?;
        Some(nondeterministic(&format!("wait {}", entry.no), &recorded(entry), "the end of the flow"))
    }

    fn request(&self, children: &mut Children, submit: &Submit) -> Result<Request, Failure> {
        let Submit { entry, arguments, options, .. } = submit;
        let plain = options.is_empty() || options == "{}";
        let known = children.plans.get(entry.as_str()).filter(|_| plain).cloned();
        let (plan, name, settings) = match known {
            Some(plan) => (plan, None, None),
            None => {
                let (version, index) = self.worker.app.find_entry(&self.version, entry)?;
                let (name, patch) = if plain { Default::default() } else { self.options(options)? };
                let plan = Arc::new(Plan::new(version, index, &patch, &self.inherited));
                if plain {
                    children.plans.insert(entry.as_str().into(), plan.clone());
                }
                (plan, name, (!plain).then(|| Arc::new(patch)))
            }
        };
        if let Some(failure) = self.too_deep(plan.entry().kind) {
            return Err(failure);
        }
        let complete = arguments.iter().all(|(_, argument)| matches!(argument, Argument::Value(_)));
        let input = if complete { input(&plan, arguments, |_| unreachable!("all are values"))? } else { "{}".into() };
        let name = name.map(Into::into).or_else(|| if complete { name_of(&plan, &input) } else { None });
        Ok(Request { plan, name, settings, input })
    }

    fn options(&self, options: &str) -> Result<(Option<String>, SettingsPatch), Failure> {
        let invalid =
            |why: String| Failure::new(FailureKind::InvalidInput, format!("invalid options of a submit: {why}"));
        let options: Options = serde_json::from_str(options).map_err(|error| invalid(error.to_string()))?;
        let Options { name, retries, limits, tags } = options;
        let name = name.map(check_run_name).transpose().map_err(invalid)?;
        let patch = SettingsPatch { retries, limits, tags, ..SettingsPatch::default() };
        self.worker.app.check_settings(&patch).map_err(|error| invalid(error.message))?;
        Ok((name, patch))
    }

    fn child_run(&self, seq: u32, request: &Request, upstream: &Upstream) -> Run {
        let plan = &request.plan;
        let mut run = self.blank(seq, plan.entry().kind, &plan.version, plan.entry_name.clone());
        run.name = request.name.clone();
        run.input = request.input.clone();
        run.settings = request.settings.clone();
        run.upstream = (*upstream != Upstream::default()).then(|| Arc::new(upstream.clone()));
        run
    }

    /// A child of this flow that has nothing of its own yet.
    fn blank(&self, seq: u32, kind: Kind, version: &Version, entry: Arc<str>) -> Run {
        let now = self.worker.app.clock.now();
        let (module, digest) = (version.name.clone(), version.module.digest.clone());
        let durable = version.is_durable(&entry);
        let mut run = Run::new(self.family.child(seq), kind, module, digest, version.id, entry, now);
        run.parent = Some(Parent { id: self.run.id, generation: self.run.generation, seq });
        run.root_id = self.run.root_id;
        run.trigger = Trigger::Flow;
        run.durable = durable;
        run.worker = Some(self.worker.id);
        run
    }

    /// Puts a child on record that can never run.
    fn refuse(
        &self,
        children: &mut Children,
        seq: u32,
        (submit, sum): (&Submit, i64),
        upstream: Upstream,
        failure: Failure,
    ) {
        let mut run = self.blank(seq, Kind::Task, &self.version, printable(&submit.entry, SHOWN).into());
        run.upstream = (upstream != Upstream::default()).then(|| Arc::new(upstream));
        run.request_sum = Some(sum);
        let live = Live::new(run, false);
        let now = self.worker.app.clock.now();
        let outcome = Outcome::failed(failure);
        let no = children.next_no();
        let end = |run: &mut Run| {
            finish(run, State::Failed, &outcome, now);
            run.event_no = Some(no);
        };
        let ticket = live.record(&self.worker.app, end, []).expect("a run that was just made is not final");
        let kept = children.keep(&outcome.result);
        children.add_finished(sum, State::Failed, End { kept, ticket, at: now, is_told: true, is_reused: false });
    }

    /// Fills in the outputs that a child takes from others, now that all are over.
    pub(super) async fn complete_input(
        &self,
        live: &Live,
        plan: &Plan,
        arguments: &[(String, Argument)],
    ) -> Result<(), Failure> {
        let upstream = live.run().upstream.unwrap_or_default();
        for &seq in upstream.data.iter().chain(&upstream.order) {
            let End { kept, ticket, .. } =
                self.children().end(seq).expect("a child starts after all that it waits for");
            if let Kept::Here(Err(failure)) = &kept {
                let id = self.family.child(seq);
                let message =
                    format!("upstream failed: run `{id}` ended with {}: {}", failure.kind.name(), failure.message);
                return Err(Failure::new(FailureKind::UpstreamFailed, message));
            }
            self.worker.store().on_record(ticket).await;
        }
        let output = |seq: u32| {
            let end = self.children().end(seq).expect("it was there above");
            self.result(seq, end.kept)
        };
        let input = input(plan, arguments, output)?;
        live.change(|run| {
            run.name = run.name.take().or_else(|| name_of(plan, &input));
            run.input = input;
        });
        Ok(())
    }
}

/// A checksum of what was asked for.
fn request_sum(submit: &Submit) -> i64 {
    let mut sum = checksum_with(submit.arguments.len() as i64, submit.entry.as_bytes());
    for (name, argument) in &submit.arguments {
        sum = checksum_with(sum, name.as_bytes());
        sum = match argument {
            Argument::Value(json) => checksum_with(sum, json.as_bytes()),
            Argument::Output(seq) => checksum_with(!sum, &seq.to_le_bytes()),
        };
    }
    for seq in &submit.waits_for {
        sum = checksum_with(sum, &seq.to_le_bytes());
    }
    checksum_with(sum, submit.options.as_bytes())
}

fn upstream(submit: &Submit) -> Upstream {
    let mut data: Vec<u32> = submit
        .arguments
        .iter()
        .filter_map(|(_, argument)| match argument {
            Argument::Output(seq) => Some(*seq),
            Argument::Value(_) => None,
        })
        .collect();
    data.sort_unstable();
    data.dedup();
    let mut order: Vec<u32> = submit.waits_for.iter().copied().filter(|seq| !data.contains(seq)).collect();
    order.sort_unstable();
    order.dedup();
    Upstream { data, order, ..Upstream::default() }
}

/// The input that the arguments make, checked against the entry's schema and with its defaults.
fn input(
    plan: &Plan,
    arguments: &[(String, Argument)],
    output: impl Fn(u32) -> Result<Arc<str>, Failure>,
) -> Result<Arc<str>, Failure> {
    let invalid = |why: String| Failure::new(FailureKind::InvalidInput, format!("`{}`: {why}", plan.entry_name));
    if arguments.is_empty() && plan.schema().takes_nothing() {
        return Ok("{}".into());
    }
    let mut object = Map::with_capacity(arguments.len());
    for (name, argument) in arguments {
        let value: Value = match argument {
            Argument::Value(json) => serde_json::from_str(json),
            Argument::Output(seq) => serde_json::from_str(&output(*seq)?),
        }
        .map_err(|error| invalid(format!("argument `{}` is not JSON: {error}", printable(name, SHOWN))))?;
        object.insert(name.clone(), value);
    }
    let object = plan.schema().complete(object).map_err(invalid)?;
    let input = Value::Object(object).to_string();
    if input.len() > MAX_INPUT_BYTES {
        return Err(invalid(format!("the arguments have {} bytes and the limit is {MAX_INPUT_BYTES}", input.len())));
    }
    Ok(input.into())
}

fn name_of(plan: &Plan, input: &str) -> Option<Arc<str>> {
    let template = plan.entry().run_name.as_ref()?;
    let input: Map<String, Value> = serde_json::from_str(input).ok()?;
    Some(render_name(template, &input).into())
}
