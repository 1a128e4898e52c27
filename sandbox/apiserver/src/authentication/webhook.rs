//! Bearer tokens that somebody else knows: asked for by a webhook, as `authentication.k8s.io/v1` has it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::{Client, Url};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::ISSUER;
use crate::{Notice, User};

/// How long an answer holds that told who somebody is.
const KNOWN: Duration = Duration::from_secs(10);
/// How long an answer holds that told nothing.
const UNKNOWN: Duration = Duration::from_secs(1);
/// How many answers are remembered.
const REMEMBERED: usize = 1024;
const CONNECTING: Duration = Duration::from_secs(3);
const ANSWERING: Duration = Duration::from_secs(10);

/// Until when each answer holds, and whom it told of.
type Answers = HashMap<[u8; 32], (Instant, Option<User>)>;

/// Who knows the tokens.
pub(crate) struct Webhook {
    url: Url,
    client: Client,
    notice: Notice,
    /// By the tokens' digests: the tokens themselves are not kept.
    answers: Mutex<Answers>,
}

impl Webhook {
    /// Asks at this address; what goes wrong is told by the notice.
    pub fn new(url: &str, notice: Notice) -> Result<Self, String> {
        // TLS needs a provider in the process; one that is there is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = Url::parse(url).map_err(|error| error.to_string())?;
        let builder = Client::builder().no_proxy().connect_timeout(CONNECTING).timeout(ANSWERING);
        // Where nobody speaks TLS, no certificates are read.
        let builder = if url.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
        let client = builder.build().map_err(|error| described(&error))?;
        Ok(Self { url, client, notice, answers: Mutex::default() })
    }

    /// The bearer of a token; nobody when it is not known, or when there is no answer.
    pub async fn user(&self, token: &str) -> Option<User> {
        if token.is_empty() {
            return None;
        }
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        let now = Instant::now();
        if let Some((until, user)) = self.answers().get(&key)
            && *until > now
        {
            return user.clone();
        }
        let user = match self.ask(token).await {
            Ok(user) => user,
            Err(why) => {
                self.notice.tell(&format!("nobody can be known by a token: the review at {} failed: {why}", self.url));
                return None;
            }
        };
        let holds = if user.is_some() { KNOWN } else { UNKNOWN };
        let mut answers = self.answers();
        if answers.len() >= REMEMBERED {
            answers.retain(|_, (until, _)| *until > now);
        }
        if answers.len() < REMEMBERED {
            answers.insert(key, (now + holds, user.clone()));
        }
        user
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, token: &str) -> Result<Option<User>, String> {
        let review = json!({
            "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {"creationTimestamp": null},
            "spec": {"token": token, "audiences": [ISSUER]}, "status": {"user": {}},
        });
        let answer =
            self.client.post(self.url.clone()).json(&review).send().await.map_err(|error| described(&error))?;
        let status = answer.status();
        if !status.is_success() {
            return Err(format!("it answers {status}"));
        }
        let body = answer.bytes().await.map_err(|error| described(&error))?;
        let read: Value = serde_json::from_slice(&body).map_err(|error| format!("it answers no JSON: {error}"))?;
        if read["kind"] != "TokenReview" {
            return Err(format!("it answers no TokenReview, but kind {}", read["kind"]));
        }
        Ok(bearer(&read["status"]))
    }
}

/// Whom a review's answer tells of.
fn bearer(status: &Value) -> Option<User> {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let audiences = texts(&status["audiences"]);
    let meant = audiences.is_empty() || audiences.iter().any(|audience| audience == ISSUER);
    let user = &status["user"];
    let name = user["username"].as_str().filter(|name| !name.is_empty())?;
    if status["authenticated"] != true || !meant {
        return None;
    }
    let mut groups = texts(&user["groups"]);
    if !groups.iter().any(|group| group == "system:authenticated") {
        groups.push("system:authenticated".to_owned());
    }
    let extra = user["extra"].as_object().into_iter().flatten();
    let extra: BTreeMap<_, _> = extra.map(|(key, values)| (key.clone(), texts(values))).collect();
    let uid = user["uid"].as_str().unwrap_or_default().to_owned();
    Some(User { name: name.to_owned(), uid, groups, extra })
}

fn described(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string);
    std::iter::once(error.to_string()).chain(causes).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_review_tells_of_somebody_only_when_it_says_so() {
        let user = json!({"username": "a@b.example", "groups": ["system:masters"], "extra": {"k": ["v"]}});
        let found = bearer(&json!({"authenticated": true, "user": user})).expect("somebody");
        assert_eq!((found.name.as_str(), found.extra["k"].as_slice()), ("a@b.example", &["v".to_owned()][..]));
        assert_eq!(found.groups, ["system:masters", "system:authenticated"]);
        for nobody in [
            json!({"authenticated": false, "user": user}),
            json!({"user": user}),
            json!({"authenticated": true, "user": {}}),
            json!({"authenticated": true, "user": user, "audiences": ["another"]}),
        ] {
            assert_eq!(bearer(&nobody), None, "{nobody}");
        }
    }
}
