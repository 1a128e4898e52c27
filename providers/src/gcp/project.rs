//! The project itself: its billing, who may do what in it, and its service accounts.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::call::Repeat;
use super::error::Error;
use super::{Gcp, Service};
use crate::retry::{Policy, Verdict, retry};

/// Some half a minute: for changes of who may do what, which others may make at the same time.
const POLICY: Policy = Policy { attempts: 8, first_delay: Duration::from_secs(1), max_delay: Duration::from_secs(8) };

/// A project as Google tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectInfo {
    /// Its ID.
    pub id: String,
    /// Its number.
    pub number: String,
    /// Whether it can be used; else it is being deleted.
    pub active: bool,
}

/// Whether a project may cost money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillingInfo {
    /// Whether a billing account that works is linked.
    pub enabled: bool,
    /// The account, as `billingAccounts/ID`; empty where there is none.
    pub account: String,
}

/// A service account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its address.
    pub email: String,
    /// Its description, which says whose it is.
    pub description: String,
}

impl Gcp {
    /// The project, where the account may see it.
    pub async fn project_info(&self) -> Result<ProjectInfo, Error> {
        let found = self.read(Service::ResourceManager, &format!("/v1/projects/{}", self.project), &[]).await?;
        let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        Ok(ProjectInfo {
            id: text("projectId"),
            number: text("projectNumber"),
            active: text("lifecycleState") == "ACTIVE",
        })
    }

    /// Whether the project has a billing account.
    pub async fn billing(&self) -> Result<BillingInfo, Error> {
        let found = self.read(Service::Billing, &format!("/v1/projects/{}/billingInfo", self.project), &[]).await?;
        let account = found["billingAccountName"].as_str().unwrap_or_default().to_owned();
        Ok(BillingInfo { enabled: found["billingEnabled"] == true, account })
    }

    /// Those of the permissions that the account lacks.
    pub async fn missing_permissions(&self, permissions: &[&str]) -> Result<Vec<String>, Error> {
        let path = format!("/v1/projects/{}:testIamPermissions", self.project);
        // A call takes a hundred of them.
        let mut granted = BTreeSet::new();
        for some in permissions.chunks(100) {
            let body = json!({ "permissions": some });
            let answer = self.post(Service::ResourceManager, &path, &body, Repeat::Safe).await?;
            let names = answer["permissions"].as_array().into_iter().flatten();
            granted.extend(names.filter_map(|name| name.as_str().map(str::to_owned)));
        }
        Ok(permissions.iter().filter(|name| !granted.contains(**name)).map(|name| (*name).to_owned()).collect())
    }

    fn account_path(&self, email: &str) -> String {
        format!("/v1/projects/{}/serviceAccounts/{email}", self.project)
    }

    /// The service account, where it is there.
    pub async fn service_account(&self, email: &str) -> Result<Option<ServiceAccount>, Error> {
        let found = self.find(Service::Iam, &self.account_path(email)).await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(found.map(|found| ServiceAccount { email: text(&found["email"]), description: text(&found["description"]) }))
    }

    /// Every service account of the project.
    pub async fn service_accounts(&self) -> Result<Vec<ServiceAccount>, Error> {
        let path = format!("/v1/projects/{}/serviceAccounts", self.project);
        let pages = self.pages(Service::Iam, &path, &[("pageSize", "100")]).await?;
        let accounts = pages.iter().filter_map(|page| page["accounts"].as_array()).flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let account =
            |found: &Value| ServiceAccount { email: text(&found["email"]), description: text(&found["description"]) };
        Ok(accounts.map(account).collect())
    }

    /// Makes a service account.
    pub async fn create_service_account(&self, id: &str, title: &str, description: &str) -> Result<(), Error> {
        let path = format!("/v1/projects/{}/serviceAccounts", self.project);
        let account = json!({ "displayName": title, "description": description });
        let body = json!({ "accountId": id, "serviceAccount": account });
        self.post(Service::Iam, &path, &body, Repeat::Unsafe).await.map(|_| ())
    }

    /// Deletes a service account; that it is not there is success.
    pub async fn delete_service_account(&self, email: &str) -> Result<(), Error> {
        self.remove(Service::Iam, &self.account_path(email), &[]).await.map(|_| ())
    }

    /// The roles that a member (`serviceAccount:...`) has in the project, without those that have a condition.
    pub async fn roles_of(&self, member: &str) -> Result<Vec<String>, Error> {
        let policy = self.policy().await?;
        let bindings = policy["bindings"].as_array().into_iter().flatten();
        let has = bindings.filter(|binding| binding["condition"].is_null() && is_member(binding, member));
        Ok(has.filter_map(|binding| binding["role"].as_str().map(str::to_owned)).collect())
    }

    /// Gives a member these roles in the project, besides those that it has.
    pub async fn grant(&self, member: &str, roles: &[String]) -> Result<(), Error> {
        self.change_policy(|policy| {
            let mut changed = false;
            for role in roles {
                changed |= add(policy, role, member);
            }
            changed
        })
        .await
    }

    /// Takes all roles in the project from a member.
    pub async fn revoke(&self, member: &str) -> Result<(), Error> {
        let deleted = format!("deleted:{member}?");
        self.change_policy(|policy| {
            let mut changed = false;
            for binding in policy["bindings"].as_array_mut().into_iter().flatten() {
                let Some(members) = binding["members"].as_array_mut() else { continue };
                let before = members.len();
                members
                    .retain(|other| other.as_str().is_none_or(|other| other != member && !other.starts_with(&deleted)));
                changed |= members.len() != before;
            }
            if let Some(bindings) = policy["bindings"].as_array_mut() {
                bindings.retain(|binding| binding["members"].as_array().is_none_or(|members| !members.is_empty()));
            }
            changed
        })
        .await
    }

    async fn policy(&self) -> Result<Value, Error> {
        let path = format!("/v1/projects/{}:getIamPolicy", self.project);
        // An older version would lose the conditions of others.
        let body = json!({ "options": { "requestedPolicyVersion": 3 } });
        self.post(Service::ResourceManager, &path, &body, Repeat::Safe).await
    }

    /// Changes the policy that is there, and only that one: its `etag` tells it from what others make of it meanwhile.
    async fn change_policy(&self, change: impl Fn(&mut Value) -> bool) -> Result<(), Error> {
        let path = format!("/v1/projects/{}:setIamPolicy", self.project);
        let policy =
            Policy { first_delay: self.pause(POLICY.first_delay), max_delay: self.pause(POLICY.max_delay), ..POLICY };
        // Somebody else changed it, or a new service account is not known everywhere yet.
        let verdict = |error: &Error| match error {
            Error::AlreadyExists(_) | Error::Incompatible { .. } | Error::Invalid { .. } => Verdict::Again,
            _ => Verdict::Final,
        };
        retry(&policy, verdict, || async {
            let mut policy = self.policy().await?;
            if !change(&mut policy) {
                return Ok(());
            }
            let body = json!({ "policy": policy });
            self.post(Service::ResourceManager, &path, &body, Repeat::Safe).await.map(|_| ())
        })
        .await
    }
}

fn is_member(binding: &Value, member: &str) -> bool {
    binding["members"].as_array().into_iter().flatten().any(|other| other == member)
}

/// Adds a member to the binding of a role that has no condition; says whether it was not there.
fn add(policy: &mut Value, role: &str, member: &str) -> bool {
    if !policy["bindings"].is_array() {
        policy["bindings"] = json!([]);
    }
    let Some(bindings) = policy["bindings"].as_array_mut() else { return false };
    let binding = bindings.iter_mut().find(|binding| binding["role"] == role && binding["condition"].is_null());
    match binding {
        Some(binding) if is_member(binding, member) => return false,
        Some(binding) => match binding["members"].as_array_mut() {
            Some(members) => members.push(member.into()),
            None => binding["members"] = json!([member]),
        },
        None => bindings.push(json!({ "role": role, "members": [member] })),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_added_once_and_conditions_of_others_stay() {
        let condition = json!({ "role": "r", "members": ["user:a"], "condition": { "title": "t" } });
        let mut policy = json!({ "etag": "e", "bindings": [condition] });
        assert!(add(&mut policy, "r", "user:b"));
        assert!(!add(&mut policy, "r", "user:b"));
        assert_eq!(policy["bindings"][0], condition);
        assert_eq!(policy["bindings"][1], json!({ "role": "r", "members": ["user:b"] }));
    }
}
