//! What a path means.

use kinds::Resource;

use crate::Status;

/// What a request is about.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    pub resource: &'static Resource,
    /// None for all namespaces, and for cluster-scoped resources.
    pub namespace: Option<String>,
    /// Empty for the whole collection.
    pub name: String,
    /// Empty for the object itself.
    pub subresource: String,
}

impl Target {
    /// The namespace, empty for cluster-scoped objects.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }
}

/// The objects that a path means; none when it is not about objects.
pub(super) fn target(path: &str) -> Result<Option<Target>, Status> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        _ => return Ok(None),
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, plural, rest @ ..]
            if !matches!(*plural, "status" | "finalize") || !rest.is_empty() =>
        {
            (Some((*namespace).to_owned()), [&[*plural][..], rest].concat())
        }
        rest => (None, rest.to_vec()),
    };
    let (name, subresource) = match rest.as_slice() {
        [_] => ("", ""),
        [_, name] => (*name, ""),
        [_, name, subresource] => (*name, *subresource),
        _ => return Err(Status::no_such_path()),
    };
    let Some(resource) = find(group, version, rest[0])? else { return Ok(None) };
    let scoped = resource.namespaced == namespace.is_some() || (resource.namespaced && name.is_empty());
    if !scoped || (!subresource.is_empty() && resource.subresource(subresource).is_none()) {
        return Err(Status::no_such_path());
    }
    Ok(Some(Target { resource, namespace, name: name.to_owned(), subresource: subresource.to_owned() }))
}

/// The resource; none when nobody knows its group.
fn find(group: &str, version: &str, plural: &str) -> Result<Option<&'static Resource>, Status> {
    if let Some(resource) = kinds::by_plural(group, version, plural) {
        return Ok(Some(resource));
    }
    if let Some(instead) = kinds::refused(group, plural) {
        let name = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        return Err(Status::new(404, "NotFound", format!("the sandbox does not have {name}: {instead}")));
    }
    let known = kinds::all().iter().any(|each| each.group == group);
    if known { Err(Status::no_such_path()) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_what_it_names() {
        let table = [
            ("/api/v1/pods", Some(("pods", None, "", ""))),
            ("/api/v1/namespaces", Some(("namespaces", None, "", ""))),
            ("/api/v1/namespaces/a", Some(("namespaces", None, "a", ""))),
            ("/api/v1/namespaces/a/status", Some(("namespaces", None, "a", "status"))),
            ("/api/v1/namespaces/a/finalize", Some(("namespaces", None, "a", "finalize"))),
            ("/api/v1/namespaces/a/pods", Some(("pods", Some("a"), "", ""))),
            ("/api/v1/namespaces/a/pods/b", Some(("pods", Some("a"), "b", ""))),
            ("/api/v1/namespaces/a/pods/b/log", Some(("pods", Some("a"), "b", "log"))),
            ("/apis/apps/v1/namespaces/a/deployments/b/scale", Some(("deployments", Some("a"), "b", "scale"))),
            ("/api/v1", None),
            ("/apis/apps", None),
            ("/version", None),
        ];
        for (path, expected) in table {
            let target = target(path).expect(path);
            let told =
                target.as_ref().map(|it| (it.resource.plural, it.namespace.as_deref(), &*it.name, &*it.subresource));
            assert_eq!(told, expected, "{path}");
        }
    }

    #[test]
    fn what_the_sandbox_lacks_is_refused_by_name() {
        let refused = target("/apis/apps/v1/namespaces/a/statefulsets").expect_err("there are none");
        assert_eq!(refused.code, 404);
        assert!(refused.message.contains("use a Deployment"), "{}", refused.message);
        for path in ["/api/v1/pods/a", "/api/v1/nodes/a/nothing", "/api/v1/nothing", "/api/v1/namespaces/a/nodes/b"] {
            assert_eq!(target(path).expect_err(path).code, 404);
        }
    }
}
