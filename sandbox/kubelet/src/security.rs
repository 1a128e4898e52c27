//! Who a container's program is, and what it may do.

use crate::read::list;
use runtime::{Identity, Privileges};
use serde_json::Value;

/// What a container's and its pod's security contexts come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Security {
    /// The numeric user.
    pub user: u32,
    /// The numeric group.
    pub group: u32,
    /// Supplementary groups, the group itself among them.
    pub groups: Vec<u32>,
    /// Capabilities and the like.
    pub privileges: Privileges,
    /// Nothing outside mounts can be written to.
    pub read_only_root: bool,
}

/// Why a container may not run as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// `CreateContainerConfigError`.
    Config(String),
    /// `CreateContainerError`.
    Create(String),
}

/// Works out who the program is. `image_user` is the image's own word, `find` looks it up in the image.
pub fn security(
    pod: &Value,
    container: &Value,
    image_user: &str,
    find: impl Fn(&str) -> Result<Identity, String>,
) -> Result<Security, Refused> {
    let of_pod = &pod["spec"]["securityContext"];
    let own = &container["securityContext"];
    let number = |field: &str| {
        let value = own[field].as_u64().or_else(|| of_pod[field].as_u64());
        value.and_then(|value| u32::try_from(value).ok())
    };
    let flag = |field: &str| own[field].as_bool().or_else(|| of_pod[field].as_bool());
    if own["privileged"] == true {
        let why = "privileged containers are not supported by the sandbox: its pods have no rights on the machine. Take \
                   securityContext.privileged away or use a cluster of its own machines";
        return Err(Refused::Create(why.to_owned()));
    }
    let wanted = number("runAsUser");
    if flag("runAsNonRoot") == Some(true) {
        verify_non_root(pod, container, wanted, image_user).map_err(Refused::Config)?;
    }
    // A user that the definition gives is looked up for its groups only, and need not be known.
    let asked = wanted.map_or_else(|| image_user.to_owned(), |user| user.to_string());
    let identity = find(&asked).map_err(Refused::Create)?;
    let group = number("runAsGroup").unwrap_or(identity.group);
    let of_image = of_pod["supplementalGroupsPolicy"] != "Strict";
    let mut groups = if of_image { identity.groups } else { Vec::new() };
    let more = list(&of_pod["supplementalGroups"]).iter().chain(of_pod.get("fsGroup"));
    // As container runtimes do it: who has a group for its own is in it, also where membership is what counts.
    groups.push(group);
    groups.extend(more.filter_map(Value::as_u64).filter_map(|group| u32::try_from(group).ok()));
    groups.sort_unstable();
    groups.dedup();
    let capabilities = |field: &str| {
        let all = list(&own["capabilities"][field]).iter().filter_map(Value::as_str);
        all.map(|name| name.strip_prefix("CAP_").unwrap_or(name).to_owned()).collect()
    };
    Ok(Security {
        user: identity.user,
        group,
        groups,
        privileges: Privileges {
            add: capabilities("add"),
            drop: capabilities("drop"),
            no_new_privileges: own["allowPrivilegeEscalation"] == false,
            privileged: false,
        },
        read_only_root: own["readOnlyRootFilesystem"] == true,
    })
}

fn verify_non_root(pod: &Value, container: &Value, wanted: Option<u32>, image_user: &str) -> Result<(), String> {
    let place = format!("(pod: \"{}\", container: {})", crate::read::title(pod), crate::read::text(container, "name"));
    let user = image_user.split(':').next().unwrap_or_default();
    match (wanted, user.parse::<u32>()) {
        (Some(0), _) => Err(format!("container's runAsUser breaks non-root policy {place}")),
        (None, number) if user.is_empty() || number == Ok(0) => {
            Err(format!("container has runAsNonRoot and image will run as root {place}"))
        }
        (Some(_), _) | (None, Ok(_)) => Ok(()),
        (None, Err(_)) => Err(format!(
            "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root {place}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(of_pod: &Value, own: &Value) -> Value {
        json!({
            "metadata": { "name": "p", "namespace": "n", "uid": "u" },
            "spec": { "securityContext": of_pod, "containers": [{ "name": "c", "securityContext": own }] },
        })
    }

    fn find(user: &str) -> Result<Identity, String> {
        let (user, group) = match user {
            "" => (0, 0),
            "app" => (7, 70),
            number => (number.parse().map_err(|_| "unknown".to_owned())?, 0),
        };
        Ok(Identity { user, group, groups: vec![99], home: "/".into() })
    }

    fn work_out(of_pod: &Value, own: &Value, image_user: &str) -> Result<Security, Refused> {
        let pod = pod(of_pod, own);
        security(&pod, &pod["spec"]["containers"][0], image_user, find)
    }

    #[test]
    fn the_containers_own_word_counts_before_the_pods_and_the_images() {
        let both =
            work_out(&json!({ "runAsUser": 5, "runAsGroup": 6 }), &json!({ "runAsUser": 8 }), "app").expect("fine");
        assert_eq!((both.user, both.group), (8, 6));
        let image = work_out(&json!({ "fsGroup": 3, "supplementalGroups": [2] }), &json!({}), "app").expect("fine");
        assert_eq!((image.user, image.group, image.groups), (7, 70, vec![2, 3, 70, 99]));
    }

    #[test]
    fn root_is_refused_where_it_may_not_be() {
        let place = "(pod: \"p_n(u)\", container: c)";
        for (of_pod, own, user, message) in [
            (json!({ "runAsNonRoot": true }), json!({}), "", "container has runAsNonRoot and image will run as root"),
            (
                json!({ "runAsNonRoot": true }),
                json!({}),
                "0:0",
                "container has runAsNonRoot and image will run as root",
            ),
            (
                json!({}),
                json!({ "runAsNonRoot": true, "runAsUser": 0 }),
                "5",
                "container's runAsUser breaks non-root policy",
            ),
            (
                json!({ "runAsNonRoot": true }),
                json!({}),
                "app",
                "container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root",
            ),
        ] {
            assert_eq!(work_out(&of_pod, &own, user), Err(Refused::Config(format!("{message} {place}"))));
        }
        assert!(work_out(&json!({ "runAsNonRoot": true }), &json!({ "runAsNonRoot": false }), "").is_ok());
        assert!(work_out(&json!({ "runAsNonRoot": true }), &json!({}), "1000").is_ok());
    }

    #[test]
    fn privileged_containers_are_refused_by_name() {
        let refused = work_out(&json!({}), &json!({ "privileged": true }), "").expect_err("refused");
        assert!(matches!(refused, Refused::Create(why) if why.contains("privileged")));
    }
}
