//! Bearer tokens of service accounts, and who their bearers are.

mod review;
mod web_token;
mod webhook;

use std::collections::BTreeMap;

use jiff::Timestamp;
use kinds::Cause;
use serde_json::{Value, json};

use crate::{Api, Details, Status, User, metadata};
pub(crate) use review::{review_self, review_token};
use web_token::Signer;
pub(crate) use webhook::Webhook;

/// Issuer of the tokens, and the audience of those for the API server.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// Where a token says what it belongs to.
const BOUND: &str = "kubernetes.io";
/// No token holds shorter than this.
const MIN_SECONDS: u64 = 600;

/// A token that is wanted.
#[derive(Debug, Clone, Default)]
pub struct TokenRequest {
    /// For whom; empty for the API server.
    pub audiences: Vec<String>,
    /// How long it holds.
    pub expires_seconds: u64,
    /// The pod that it ends with: name and uid.
    pub pod: Option<(String, String)>,
}

/// A token that was made.
#[derive(Debug, Clone)]
pub struct Token {
    /// The token itself.
    pub token: String,
    /// When it ends, RFC 3339.
    pub expires: String,
}

/// Makes a token for a service account that exists.
///
/// It is good until it expires, its account or its pod is gone, or one of them is another object of the same name.
pub fn service_account_token(api: &Api, namespace: &str, name: &str, request: &TokenRequest) -> Result<Token, Status> {
    let account = api.get(kinds::SERVICE_ACCOUNTS, namespace, name)?;
    check_lifetime(request.expires_seconds)?;
    let mut bound = json!({"namespace": namespace});
    if let Some((pod_name, pod_uid)) = &request.pod {
        let pod = api.get(kinds::PODS, namespace, pod_name)?;
        if pod["spec"]["serviceAccountName"] != name {
            let why = "to pod running with different serviceaccount name.";
            return Err(Status::bad_request(format!("cannot bind token for serviceaccount \"{name}\" {why}")));
        }
        check_uid(kinds::PODS, &pod, pod_uid)?;
        let node = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty());
        if let Some(node) = node.and_then(|node| api.get(kinds::NODES, "", node).ok()) {
            bound["node"] = identity(&node);
        }
        bound["pod"] = identity(&pod);
    }
    bound["serviceaccount"] = identity(&account);
    let now = Timestamp::now().as_second();
    let expires = now.saturating_add_unsigned(request.expires_seconds);
    let audiences = if request.audiences.is_empty() { &[ISSUER.to_owned()][..] } else { &request.audiences };
    let claims = json!({
        "aud": audiences, "exp": expires, "iat": now, "iss": ISSUER, "jti": metadata::uid(), BOUND: bound,
        "nbf": now, "sub": user_name(namespace, name),
    });
    let token = signer(api)?.sign(&claims).map_err(Status::internal)?;
    let expires = Timestamp::from_second(expires).unwrap_or(Timestamp::MAX).to_string();
    Ok(Token { token, expires })
}

/// Answers a `TokenRequest` for a service account.
pub(crate) fn create_token(api: &Api, namespace: &str, name: &str, body: &Value) -> Result<Value, Status> {
    let account = api.get(kinds::SERVICE_ACCOUNTS, namespace, name)?;
    let spec = &body["spec"];
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let seconds = spec["expirationSeconds"].as_i64().unwrap_or(3600);
    let reference = &spec["boundObjectRef"];
    let pod = match (reference["apiVersion"].as_str(), reference["kind"].as_str()) {
        _ if reference.is_null() => None,
        (Some("v1"), Some("Pod")) => {
            let text = |field: &str| reference[field].as_str().unwrap_or_default().to_owned();
            Some((text("name"), text("uid")))
        }
        (version, kind) => {
            let told = format!("{}, Kind={}", version.unwrap_or_default(), kind.unwrap_or_default());
            return Err(Status::bad_request(format!("cannot bind token to object of type {told}")));
        }
    };
    // What is less than nothing is too short.
    let expires_seconds = u64::try_from(seconds).unwrap_or_default();
    let request = TokenRequest { audiences: texts(&spec["audiences"]), expires_seconds, pod };
    let token = service_account_token(api, namespace, name, &request)?;
    let audiences = if request.audiences.is_empty() { vec![ISSUER.to_owned()] } else { request.audiences };
    let mut answered = json!({
        "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": name, "namespace": namespace, "uid": account["metadata"]["uid"], "creationTimestamp": metadata::now(),
        },
        "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": reference},
        "status": {"token": token.token, "expirationTimestamp": token.expires},
    });
    if let Some(spec) = answered["spec"].as_object_mut().filter(|_| reference.is_null()) {
        spec.insert("boundObjectRef".to_owned(), Value::Null);
    }
    Ok(answered)
}

/// Whom a bearer token belongs to. Any token that does not hold is refused alike.
pub fn authenticate(api: &Api, token: &str) -> Result<User, Status> {
    authenticate_for(api, token, ISSUER).ok_or_else(Status::unauthorized)
}

/// Whom a bearer token belongs to, or who the reviewer says it does, where there is one. What the sandbox signed itself is its
/// own affair.
pub(crate) async fn authenticate_or_review(api: &Api, token: &str) -> Result<User, Status> {
    match (authenticate(api, token), api.webhook()) {
        (Err(unauthorized), Some(webhook)) if !is_own(api, token) => webhook.user(token).await.ok_or(unauthorized),
        (own, _) => own,
    }
}

/// Whether the sandbox made this token, good or not.
fn is_own(api: &Api, token: &str) -> bool {
    signer(api).is_ok_and(|signer| signer.claims(token).is_some())
}

/// The bearer of a token that is meant for this audience and holds now.
fn authenticate_for(api: &Api, token: &str, audience: &str) -> Option<User> {
    let claims = signer(api).ok()?.claims(token)?;
    let now = Timestamp::now().as_second();
    let is_meant = claims["aud"].as_array()?.iter().any(|each| each == audience);
    let holds = claims["exp"].as_i64()? > now && claims["nbf"].as_i64()? <= now;
    if claims["iss"] != ISSUER || !is_meant || !holds {
        return None;
    }
    let bound = &claims[BOUND];
    let namespace = bound["namespace"].as_str()?;
    let account = &bound["serviceaccount"];
    is_there(api, kinds::SERVICE_ACCOUNTS, namespace, account).then_some(())?;
    if !bound["pod"].is_null() && !is_there(api, kinds::PODS, namespace, &bound["pod"]) {
        return None;
    }
    let mut extra = BTreeMap::new();
    let mut tell = |key: &str, value: &Value| {
        if let Some(value) = value.as_str() {
            extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]);
        }
    };
    tell("credential-id", &format!("JTI={}", claims["jti"].as_str()?).into());
    for kind in ["pod", "node"] {
        tell(&format!("{kind}-name"), &bound[kind]["name"]);
        tell(&format!("{kind}-uid"), &bound[kind]["uid"]);
    }
    Some(User {
        name: user_name(namespace, account["name"].as_str()?),
        uid: account["uid"].as_str()?.to_owned(),
        groups: vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
            "system:authenticated".to_owned(),
        ],
        extra,
    })
}

fn signer(api: &Api) -> Result<Signer, Status> {
    Signer::new(&api.credentials().token_key).map_err(Status::internal)
}

fn user_name(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

fn identity(object: &Value) -> Value {
    json!({"name": object["metadata"]["name"], "uid": object["metadata"]["uid"]})
}

/// Whether the very object that a token names is there.
fn is_there(api: &Api, resource: &'static kinds::Resource, namespace: &str, identity: &Value) -> bool {
    let found = identity["name"].as_str().and_then(|name| api.get(resource, namespace, name).ok());
    found.is_some_and(|found| found["metadata"]["uid"] == identity["uid"] && identity["uid"].is_string())
}

fn check_lifetime(seconds: u64) -> Result<(), Status> {
    let why = match seconds {
        ..MIN_SECONDS => "may not specify a duration less than 10 minutes",
        seconds if seconds > 1 << 32 => "may not specify a duration larger than 2^32 seconds",
        _ => return Ok(()),
    };
    let cause = Cause {
        reason: "FieldValueInvalid",
        field: "spec.expirationSeconds".to_owned(),
        message: format!("Invalid value: {seconds}: {why}"),
    };
    let mut status =
        Status::new(422, "Invalid", format!("TokenRequest.authentication.k8s.io \"\" is invalid: {cause}"));
    let (group, kind) = ("authentication.k8s.io".to_owned(), "TokenRequest".to_owned());
    status.details = Some(Box::new(Details { group, kind, causes: vec![cause], ..Details::default() }));
    Err(status)
}

fn check_uid(resource: &kinds::Resource, object: &Value, wanted: &str) -> Result<(), Status> {
    if wanted.is_empty() || object["metadata"]["uid"] == wanted {
        return Ok(());
    }
    let why = format!(
        "the UID in the bound object reference ({wanted}) does not match the UID in record. The object might have been \
         deleted and then recreated"
    );
    Err(Status::conflict(resource, metadata::text(object, "name"), &why))
}

#[cfg(test)]
mod tests;
