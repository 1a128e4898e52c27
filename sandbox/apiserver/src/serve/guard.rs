//! Who calls, and whether they may.

use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, USER_AGENT};
use hyper::http::request::Parts;
use hyper::{Method, Request};

use super::route::Target;
use super::{Server, answer, body};
use crate::streams::query::Query;
use crate::{Attributes, Status, User, WriteOptions, authentication, rbac};

/// One request about objects, by somebody who may make it.
pub(super) struct Call<'a> {
    pub server: &'a Server,
    pub user: Arc<User>,
    pub verb: &'static str,
    pub target: Target,
    pub query: Query,
    /// The body, until it is read.
    pub body: Option<Incoming>,
    parts: Parts,
}

impl<'a> Call<'a> {
    /// Finds the verb and checks that the caller may use it.
    pub fn new(
        server: &'a Server,
        user: Arc<User>,
        target: Target,
        request: Request<Incoming>,
    ) -> Result<Self, Status> {
        let query = Query::parse(request.uri().query().unwrap_or_default());
        let verb = verb(request.method(), &target, &query)?;
        let (parts, body) = request.into_parts();
        let call = Self { server, user, verb, target, query, body: Some(body), parts };
        call.allow()?;
        call.exists()?;
        Ok(call)
    }

    fn allow(&self) -> Result<(), Status> {
        let target = &self.target;
        let asked = Attributes {
            verb: self.verb,
            group: target.resource.group,
            resource: target.resource.plural,
            subresource: &target.subresource,
            namespace: namespace_of(target),
            name: &target.name,
            path: "",
        };
        let decision = rbac::allowed(&self.server.api, &self.user, &asked);
        if decision.allowed {
            return Ok(());
        }
        let plural = match target.subresource.as_str() {
            "" => target.resource.plural.to_owned(),
            subresource => format!("{}/{subresource}", target.resource.plural),
        };
        let place = match target.namespace() {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace \"{namespace}\""),
        };
        let (user, verb, group) = (&self.user.name, self.verb, target.resource.group);
        let mut why = format!("User \"{user}\" cannot {verb} resource \"{plural}\" in API group \"{group}\" {place}");
        if !decision.reason.is_empty() {
            why = format!("{why}: {}", decision.reason);
        }
        Err(Status::forbidden(target.resource, &target.name, &why))
    }

    /// Whether the resource has the verb at all.
    fn exists(&self) -> Result<(), Status> {
        let there = match self.target.resource.subresource(&self.target.subresource) {
            Some(subresource) => subresource.verbs.contains(&self.verb),
            None => self.target.resource.can(self.verb),
        };
        if there { Ok(()) } else { Err(Status::method_not_allowed()) }
    }

    /// A header's text, empty when there is none.
    pub fn header(&self, name: &HeaderName) -> &str {
        header(&self.parts.headers, name)
    }

    /// What forms of answer the client takes.
    pub fn accept(&self) -> &str {
        self.header(&ACCEPT)
    }

    /// The body's form, without parameters.
    pub fn content_type(&self) -> &str {
        self.header(&CONTENT_TYPE).split(';').next().unwrap_or_default().trim()
    }

    /// The request, for those who take it over. The body can be taken only once.
    pub fn whole_request(&mut self) -> Option<Request<Incoming>> {
        Some(Request::from_parts(self.parts.clone(), self.body.take()?))
    }

    /// The whole body; empty when it was read before.
    pub async fn bytes(&mut self) -> Result<Bytes, Status> {
        match self.body.take() {
            Some(body) => body::bytes(body).await,
            None => Ok(Bytes::new()),
        }
    }

    /// How to write.
    pub fn write_options(&self) -> Result<WriteOptions, Status> {
        let manager = self.query.first("fieldManager").map(str::to_owned);
        if manager.as_ref().is_some_and(|manager| manager.len() > 128) {
            let why = "Too long: may not be more than 128 bytes".to_owned();
            return Err(answer::invalid_options(self.options(), "FieldValueTooLong", "fieldManager", why));
        }
        let agent = || {
            let name = self.header(&USER_AGENT).split('/').next().unwrap_or_default();
            let name: String = name.chars().filter(|letter| !letter.is_control()).take(128).collect();
            if name.is_empty() { "unknown".to_owned() } else { name }
        };
        let field_manager = Some(manager.unwrap_or_else(agent));
        Ok(WriteOptions { field_manager, dry_run: dry_run(self.options(), self.query.all("dryRun"))? })
    }

    /// The kind of this request's options.
    pub fn options(&self) -> &'static str {
        match self.verb {
            "update" => "UpdateOptions",
            "patch" => "PatchOptions",
            "delete" | "deletecollection" => "DeleteOptions",
            _ => "CreateOptions",
        }
    }
}

/// Whether a request is only a try.
pub(super) fn dry_run<'a>(options: &str, mut values: impl Iterator<Item = &'a str>) -> Result<bool, Status> {
    match values.next() {
        None | Some("") => Ok(false),
        Some("All") => Ok(true),
        Some(other) => {
            let why = format!("Unsupported value: [\"{other}\"]: supported values: \"All\"");
            Err(answer::invalid_options(options, "FieldValueNotSupported", "dryRun", why))
        }
    }
}

/// For the namespace objects themselves, roles are looked up in the namespace.
fn namespace_of(target: &Target) -> &str {
    if target.resource == kinds::NAMESPACES { &target.name } else { target.namespace() }
}

fn verb(method: &Method, target: &Target, query: &Query) -> Result<&'static str, Status> {
    let one = !target.name.is_empty();
    match (method, one) {
        (&Method::GET | &Method::HEAD, true) => Ok("get"),
        (&Method::GET | &Method::HEAD, false) if query.flag("watch") => Ok("watch"),
        (&Method::GET | &Method::HEAD, false) => Ok("list"),
        (&Method::POST, true) if target.subresource.is_empty() => Err(Status::method_not_allowed()),
        (&Method::POST, _) if target.resource.namespaced && target.namespace.is_none() => {
            Err(Status::method_not_allowed())
        }
        (&Method::POST, _) => Ok("create"),
        (&Method::PUT, true) => Ok("update"),
        (&Method::PATCH, true) => Ok("patch"),
        (&Method::DELETE, true) => Ok("delete"),
        (&Method::DELETE, false) => Ok("deletecollection"),
        _ => Err(Status::method_not_allowed()),
    }
}

/// The caller: by certificate, else by token, else nobody in particular.
pub(super) async fn user(
    server: &Server,
    certified: Option<Arc<User>>,
    headers: &HeaderMap,
) -> Result<Arc<User>, Status> {
    if let Some(user) = certified {
        return Ok(user);
    }
    let token = header(headers, &AUTHORIZATION).split_once(' ').filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
    match token {
        Some((_, token)) => authentication::authenticate_or_review(&server.api, token.trim()).await.map(Arc::new),
        None => Ok(Arc::new(User {
            name: "system:anonymous".to_owned(),
            groups: vec!["system:unauthenticated".to_owned()],
            ..User::default()
        })),
    }
}

/// Whether the caller may see a path that is not about objects.
pub(super) fn allow_path(server: &Server, user: &User, method: &Method, path: &str) -> Result<(), Status> {
    let verb = method.as_str().to_ascii_lowercase();
    let asked = Attributes { verb: &verb, path, ..Attributes::default() };
    if rbac::allowed(&server.api, user, &asked).allowed {
        return Ok(());
    }
    let message = format!("forbidden: User \"{}\" cannot {verb} path \"{path}\"", user.name);
    Err(Status::new(403, "Forbidden", message))
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
