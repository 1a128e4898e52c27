//! Answers to questions about who somebody is.

use serde_json::{Value, json};

use super::{ISSUER, authenticate_for, authenticate_or_review};
use crate::{Api, User, metadata};

/// Answers a `TokenReview`.
pub(crate) async fn review_token(api: &Api, body: &Value) -> Value {
    let token = body["spec"]["token"].as_str().unwrap_or_default();
    let wanted = body["spec"]["audiences"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut wanted: Vec<&str> = wanted.collect();
    let asks_for_audiences = !wanted.is_empty();
    if !asks_for_audiences {
        wanted.push(ISSUER);
    }
    let mut found = wanted.iter().find_map(|audience| Some((authenticate_for(api, token, audience)?, *audience)));
    if found.is_none() && wanted.contains(&ISSUER) {
        found = authenticate_or_review(api, token).await.ok().map(|user| (user, ISSUER));
    }
    let status = match found {
        Some((user, audience)) => json!({"authenticated": true, "user": user_value(&user), "audiences": [audience]}),
        None => json!({"user": {}, "error": "[invalid bearer token, token lookup failed]"}),
    };
    json!({
        "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {"creationTimestamp": null},
        "spec": body["spec"], "status": status,
    })
}

/// Answers a `SelfSubjectReview`.
pub(crate) fn review_self(by: &User) -> Value {
    json!({
        "kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": metadata::now()}, "status": {"userInfo": user_value(by)},
    })
}

fn user_value(user: &User) -> Value {
    let mut value = json!({"username": user.name});
    if !user.uid.is_empty() {
        value["uid"] = json!(user.uid);
    }
    value["groups"] = json!(user.groups);
    if !user.extra.is_empty() {
        value["extra"] = json!(user.extra);
    }
    value
}
