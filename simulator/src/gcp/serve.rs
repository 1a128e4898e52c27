//! The way of a request: which method, whether its fields are in order, which fault it meets, what its interface answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::{HeaderMap, header};
use serde_json::Value;

use super::call::Call;
use super::fields::{self, Route};
use super::refusal::Refusal;
use super::world::World;
use super::{Gcp, book::Maker, oauth, registry, resources, sim};
use crate::faults::FaultKind;
use crate::ledger;
use crate::server::{Answer, Reply};

/// How long `wait` of Compute Engine waits at most.
const LONGEST_WAIT: Duration = Duration::from_mins(2);

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub verb: String,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Request {
    /// A header's text; empty without it.
    pub fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The header `Authorization`, or the token in the query.
    pub fn authorization(&self) -> Option<String> {
        let header = self.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let token = self.query.split('&').find_map(|pair| pair.strip_prefix("access_token="));
        header.or_else(|| token.map(|token| format!("Bearer {}", fields::decode(token))))
    }
}

/// What a call came to, before it is told.
struct Outcome {
    result: Result<Value, Refusal>,
    lost: bool,
    /// The operation to wait for, and for how long at most.
    wait: Option<Duration>,
}

impl Gcp {
    /// Answers a request.
    pub async fn answer(self: &Arc<Self>, request: Request) -> Reply {
        let path = request.path.clone();
        if path == "/v2" || path.starts_with("/v2/") {
            return registry::answer(self, &request);
        }
        if let Some(rest) = path.strip_prefix("/sim/") {
            return Reply::Answer(sim::answer(self, rest, &request));
        }
        if let Some(answer) = oauth::answer(self, &request) {
            return Reply::Answer(answer);
        }
        if path.starts_with("/batch/") {
            return Box::pin(self.batch(&request)).await;
        }
        self.call(&request).await
    }

    /// Several requests in one, each part an HTTP request.
    async fn batch(self: &Arc<Self>, request: &Request) -> Reply {
        let Some(parts) = crate::server::batch::parts(request) else {
            return Reply::Answer(Answer::refusal(&Refusal::invalid("Failed to parse batch request."), "compute"));
        };
        let mut answers = Vec::new();
        for (id, part) in parts {
            match self.call(&part).await {
                Reply::Answer(answer) => answers.push((id, answer)),
                Reply::Lost => return Reply::Lost,
            }
        }
        Reply::Answer(crate::server::batch::join(answers))
    }

    async fn call(self: &Arc<Self>, request: &Request) -> Reply {
        let Some(route) = route(request) else {
            self.note(&format!("{} {}", request.verb, request.path), "", 404, None);
            let refusal = Refusal::not_found(format!("The simulator serves no {} {}", request.verb, request.path));
            return Reply::Answer(Answer::refusal(&refusal, ""));
        };
        let method = route.method;
        let checked = fields::query(method, &request.query)
            .and_then(|query| Ok(Call { route, query, body: fields::body(method, &request.body)? }));
        let mut call = match checked {
            Ok(call) => call,
            Err(refusal) => {
                self.note(&method.id, &request.path, refusal.code, None);
                return Reply::Answer(Answer::refusal(&refusal, method.api));
            }
        };
        // A project may be named by its number, too.
        let project = call.route.parameters.get("project").cloned().unwrap_or_default();
        if let Some(id) = self.world().projects.get(&project).map(|state| state.project.id.clone()) {
            call.route.parameters.insert("project".into(), id);
        }
        let outcome = self.decide(&call, request);
        self.work();
        if outcome.lost {
            return Reply::Lost;
        }
        let mut result = outcome.result;
        if let Some(wait) = outcome.wait {
            tokio::time::sleep(self.clock.real(wait)).await;
            result = super::compute::operation(&self.world(), &call);
        }
        Reply::Answer(self.tell(&call, result))
    }

    fn decide(&self, call: &Call, request: &Request) -> Outcome {
        let method = call.route.method;
        let mut world = self.world();
        let target = call.target();
        let now = world.now;
        let fault = world.faults.meet(&method.id, &target, !method.looks());
        let fast = world.rates.count(method, call.project(), now);
        let before = match fault {
            _ if fast => Some(too_many(call)),
            Some(FaultKind::TooManyRequests) => Some(too_many(call)),
            Some(FaultKind::Unavailable) => Some(Refusal::unavailable()),
            Some(FaultKind::Internal) => Some(Refusal::internal("Internal error encountered.")),
            Some(FaultKind::ExpiredToken) => world.accounts.holder("", world.now).err(),
            Some(FaultKind::Denied) => Some(denied(call)),
            _ => None,
        };
        let nothing_done = before.is_some() || fault == Some(FaultKind::LostRequest);
        let result = match before {
            Some(refusal) => Err(refusal),
            None if nothing_done => Err(Refusal::unavailable()),
            None => handle(&mut world, call, request, fault),
        };
        let status = result.as_ref().map_or_else(|refusal| refusal.code, |_| 200);
        let lost = matches!(fault, Some(FaultKind::LostReply | FaultKind::LostRequest));
        let told = fault.map(|fault| format!("{fault:?}"));
        if told.is_some() {
            self.has_met_fault.send_replace(true);
        }
        let at = world.clock.timestamp(world.now);
        world.book.call(ledger::Call {
            at,
            method: method.id.clone(),
            target,
            status: if lost { 0 } else { status },
            fault: told,
        });
        let wait = (method.action() == "wait" && result.is_ok()).then(|| {
            let due = world.operations.get(call.path("operation")).map(|operation| operation.due).unwrap_or_default();
            due.saturating_sub(world.now).min(LONGEST_WAIT)
        });
        Outcome { result, lost, wait }
    }

    fn tell(&self, call: &Call, result: Result<Value, Refusal>) -> Answer {
        let method = call.route.method;
        match result {
            Ok(value) => {
                let numbers = call.query("$alt").contains("enum-encoding=int");
                let mut problems = Vec::new();
                let told = fields::tell(method, value, numbers, &mut problems);
                if !problems.is_empty() {
                    self.world().problems.extend(problems);
                }
                Answer::json(200, &told)
            }
            Err(refusal) => Answer::refusal(&refusal, method.api),
        }
    }

    /// Writes a call down that no interface saw.
    pub fn note(&self, method: &str, target: &str, status: u16, fault: Option<String>) {
        let mut world = self.world();
        let at = world.clock.timestamp(world.now);
        world.book.call(ledger::Call { at, method: method.into(), target: target.into(), status, fault });
    }
}

/// How many parts the name of an operation of Filestore has. One of Kubernetes Engine ends with a UUID and has more.
const FILESTORE_PARTS: usize = 5;

/// The method that a request is for. Where several interfaces share a path, the name of the operation decides.
fn route(request: &Request) -> Option<Route> {
    let mut routes = fields::routes(&request.verb, &request.path);
    if routes.len() > 1 {
        let name = request.path.rsplit('/').next().unwrap_or_default();
        let service = match (name.starts_with("operation-"), name.split('-').count()) {
            (true, FILESTORE_PARTS) => "file",
            (true, _) => "container",
            _ => "artifactregistry",
        };
        routes.retain(|route| route.method.service() == service);
    }
    routes.into_iter().next()
}

fn too_many(call: &Call) -> Refusal {
    let method = call.route.method;
    let metric = super::rates::metric(method);
    let service = format!("{}.googleapis.com", method.service());
    let message = format!(
        "Quota exceeded for quota metric '{metric}' and limit '{metric} per minute' of service '{service}' for consumer \
         'project_number:{}'.",
        call.project()
    );
    let refusal = if method.service() == "compute" { Refusal::too_fast(message) } else { Refusal::too_many(message) };
    refusal.info("RATE_LIMIT_EXCEEDED", "googleapis.com", &serde_json::json!({"service": service}))
}

fn denied(call: &Call) -> Refusal {
    let permission = call.permission();
    if call.route.method.service() == "compute" {
        let resource = call.route.method.collection().trim_end_matches('s');
        let message = format!("Required '{permission}' permission for '{resource}: {}'", call.target());
        return Refusal::forbidden(message);
    }
    let service = format!("{}.googleapis.com", call.route.method.service());
    if call.route.method.service() == "container" {
        let message = format!("Required \"{permission}\" permission(s) for \"projects/{}\".", call.project());
        return Refusal::forbidden(message);
    }
    Refusal::permission(&permission, &format!("projects/{}", call.project()), &service)
}

/// Gives a call to its interface, if who asks may.
fn handle(world: &mut World, call: &Call, request: &Request, fault: Option<FaultKind>) -> Result<Value, Refusal> {
    let method = call.route.method;
    world.user = world.accounts.principal(request.authorization().as_deref(), world.now)?;
    let project = call.project();
    if !project.is_empty() && project != "-" {
        let state = world.projects.get(project).ok_or_else(|| resources::unknown_project(call))?;
        // A project's own entry can be read before anything is enabled.
        let told = method.service() != "cloudresourcemanager" || !method.looks();
        if told {
            state.check_enabled(method.service(), world.now)?;
        }
        if !state.permits(&call.permission()) && !method.id.ends_with("testIamPermissions") {
            return Err(denied(call));
        }
    }
    world.maker = Maker { by: request.header(header::USER_AGENT).to_owned(), purpose: method.id.clone() };
    if let Some(client) = request.headers.get("x-goog-api-client").and_then(|value| value.to_str().ok()) {
        let agent = format!("{} {client}", world.maker.by);
        agent.trim().clone_into(&mut world.maker.by);
    }
    world.fault = fault;
    let result = match method.service() {
        "container" => super::container::handle(world, call),
        "compute" => super::compute::handle(world, call),
        "artifactregistry" => super::artifacts::handle(world, call),
        "file" => super::filestore::handle(world, call),
        "serviceusage" => super::services::handle(world, call),
        "iam" => super::iam::handle(world, call),
        "cloudbilling" => super::billing::handle(world, call),
        _ => resources::handle(world, call),
    };
    world.fault = None;
    result
}
