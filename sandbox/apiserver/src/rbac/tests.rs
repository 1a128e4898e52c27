use serde_json::{Value, json};

use super::*;
use crate::{Options, Status, WriteOptions};

/// A sandbox with the default roles and the namespaces `a` and `b`.
async fn api() -> (tempfile::TempDir, Api) {
    let folder = tempfile::tempdir().unwrap();
    let api = Api::open(folder.path(), &Options::default()).unwrap();
    for name in ["a", "b"] {
        create(&api, kinds::NAMESPACES, "", json!({"metadata": {"name": name}})).await.unwrap();
    }
    for (resource, object) in default_roles() {
        create(&api, resource, "", object).await.unwrap();
    }
    (folder, api)
}

async fn create_by(
    api: &Api,
    by: &User,
    resource: &'static kinds::Resource,
    namespace: &str,
    object: Value,
) -> Result<(), Status> {
    api.create(by, resource, namespace, object, &WriteOptions::default()).await.map(drop)
}

async fn create(api: &Api, resource: &'static kinds::Resource, namespace: &str, object: Value) -> Result<(), Status> {
    create_by(api, &User::system("test"), resource, namespace, object).await
}

fn account(name: &str) -> User {
    User {
        name: format!("system:serviceaccount:a:{name}"),
        groups: ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"]
            .map(str::to_owned)
            .into(),
        ..User::default()
    }
}

fn binding(name: &str, role: (&str, &str), subject: &Value) -> Value {
    let reference = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": role.0, "name": role.1});
    json!({"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]})
}

fn to_account(name: &str) -> Value {
    json!({"kind": "ServiceAccount", "name": name, "namespace": "a"})
}

fn list<'a>(resource: &'a str, namespace: &'a str) -> Attributes<'a> {
    Attributes { verb: "list", resource, namespace, ..Attributes::default() }
}

#[tokio::test]
async fn a_service_account_may_do_what_a_role_of_its_namespace_gives() {
    let (_folder, api) = api().await;
    let nothing = Decision { allowed: false, reason: String::new() };
    assert_eq!(allowed(&api, &account("b"), &list("pods", "a")), nothing);
    let role = json!({"metadata": {"name": "reader"}, "rules": [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]});
    create(&api, kinds::ROLES, "a", role).await.unwrap();
    create(&api, kinds::ROLE_BINDINGS, "a", binding("r", ("Role", "reader"), &to_account("b"))).await.unwrap();
    let decision = allowed(&api, &account("b"), &list("pods", "a"));
    let expected = "RBAC: allowed by RoleBinding \"r/a\" of Role \"reader\" to ServiceAccount \"b/a\"";
    assert_eq!((decision.allowed, decision.reason.as_str()), (true, expected));
    for (user, wanted) in [("b", list("pods", "b")), ("c", list("pods", "a")), ("b", list("secrets", "a"))] {
        assert!(!allowed(&api, &account(user), &wanted).allowed, "{user} {wanted:?}");
    }
}

#[tokio::test]
async fn everybody_may_discover_and_ask_what_he_may_do() {
    let (_folder, api) = api().await;
    for path in ["/api", "/apis/apps/v1", "/version", "/healthz", "/openapi/v3"] {
        let wanted = Attributes { verb: "get", path, ..Attributes::default() };
        assert!(allowed(&api, &account("b"), &wanted).allowed, "{path}");
    }
    let ask =
        |group| Attributes { verb: "create", group, resource: "selfsubjectaccessreviews", ..Attributes::default() };
    assert!(allowed(&api, &account("b"), &ask("authorization.k8s.io")).allowed);
    assert!(!allowed(&api, &account("b"), &ask("")).allowed);
}

#[tokio::test]
async fn aggregated_roles_have_the_rules_of_those_they_gather() {
    let (_folder, api) = api().await;
    let bound = binding("v", ("ClusterRole", "view"), &to_account("b"));
    create(&api, kinds::ROLE_BINDINGS, "a", bound).await.unwrap();
    let bound = binding("a", ("ClusterRole", "admin"), &to_account("boss"));
    create(&api, kinds::ROLE_BINDINGS, "a", bound).await.unwrap();
    let may = |user: &str, wanted: Attributes<'_>| allowed(&api, &account(user), &wanted).allowed;
    let create_role = Attributes {
        verb: "create",
        group: "rbac.authorization.k8s.io",
        resource: "roles",
        namespace: "a",
        ..Attributes::default()
    };
    assert!(may("b", list("pods", "a")) && !may("b", list("secrets", "a")) && !may("b", create_role));
    assert!(may("boss", list("pods", "a")) && may("boss", list("secrets", "a")) && may("boss", create_role));
    let extra = json!({"metadata": {"name": "extra", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [{"apiGroups": ["example.com"], "resources": ["things"], "verbs": ["list"]}]});
    create(&api, kinds::CLUSTER_ROLES, "", extra).await.unwrap();
    assert!(may("b", Attributes { group: "example.com", ..list("things", "a") }));
}

#[tokio::test]
async fn a_binding_to_a_role_that_is_not_there_is_told() {
    let (_folder, api) = api().await;
    let bound = binding("r", ("ClusterRole", "gone"), &json!({"kind": "Group", "name": "system:serviceaccounts:a"}));
    create(&api, kinds::ROLE_BINDINGS, "a", bound).await.unwrap();
    let decision = allowed(&api, &account("b"), &list("pods", "a"));
    assert_eq!(decision.reason, "RBAC: clusterrole.rbac.authorization.k8s.io \"gone\" not found");
}

#[tokio::test]
async fn nobody_hands_on_what_he_does_not_have() {
    let (_folder, api) = api().await;
    let bound = binding("a", ("ClusterRole", "admin"), &to_account("boss"));
    create(&api, kinds::ROLE_BINDINGS, "a", bound).await.unwrap();
    let boss = account("boss");
    let role = |name: &str, resource: &str| json!({"metadata": {"name": name}, "rules": [{"apiGroups": [""], "resources": [resource], "verbs": ["get", "list"]}]});
    create_by(&api, &boss, kinds::ROLES, "a", role("fine", "secrets")).await.unwrap();
    let refused = create_by(&api, &boss, kinds::ROLES, "a", role("too-much", "nodes")).await.unwrap_err();
    assert_eq!(
        refused.message,
        "roles.rbac.authorization.k8s.io \"too-much\" is forbidden: user \"system:serviceaccount:a:boss\" \
         (groups=[\"system:serviceaccounts\" \"system:serviceaccounts:a\" \"system:authenticated\"]) is attempting to grant \
         RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"nodes\"], Verbs:[\"get\" \"list\"]}"
    );
    let own = binding("own", ("ClusterRole", "view"), &to_account("b"));
    create_by(&api, &boss, kinds::ROLE_BINDINGS, "a", own).await.unwrap();
    let all = binding("all", ("ClusterRole", "cluster-admin"), &to_account("b"));
    assert_eq!(create_by(&api, &boss, kinds::ROLE_BINDINGS, "a", all).await.unwrap_err().code, 403);
    let gone = binding("gone", ("ClusterRole", "gone"), &to_account("b"));
    let refused = create_by(&api, &boss, kinds::ROLE_BINDINGS, "a", gone).await.unwrap_err();
    assert_eq!(refused.message, "rolebindings.rbac.authorization.k8s.io \"gone\" not found");
}
