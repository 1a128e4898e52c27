use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{Attempt, CheckError, Passed, answered};
use crate::spec::Expectation;

/// No single request takes longer than this.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// Where a question goes.
pub(super) struct Asked {
    pub client: Client,
    pub url: String,
    /// The service and path, for messages.
    pub service: String,
    pub limit: Duration,
}

/// A client for local addresses: no proxy stands in between.
pub(super) fn client() -> Client {
    // Without a provider the client cannot be made, even where no TLS is spoken. Another one that is set already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().timeout(REQUEST_LIMIT).build().unwrap_or_default()
}

/// Sends a request until it is answered at all; returns the status and the body.
pub(super) async fn send(
    asked: &Asked,
    request: impl Fn() -> RequestBuilder,
    wanted: Option<u16>,
) -> Result<(StatusCode, String), CheckError> {
    answered(asked, || async {
        let answer = match request().send().await {
            Ok(answer) => answer,
            Err(error) => return Ok(Attempt::NotYet(innermost(&error))),
        };
        let status = answer.status();
        let body = match answer.text().await {
            Ok(body) => body,
            Err(error) => return Ok(Attempt::NotYet(innermost(&error))),
        };
        // What stands before a service says so while nothing stands behind it.
        let is_busy = matches!(status.as_u16(), 502..=504) && wanted != Some(status.as_u16());
        Ok(if is_busy {
            Attempt::NotYet(format!("{status}: {}", start(&body)))
        } else {
            Attempt::Answered((status, body))
        })
    })
    .await
}

pub(super) async fn ask(
    asked: &Asked,
    method: &str,
    body: Option<&Value>,
    expect: &Expectation,
) -> Result<Passed, CheckError> {
    let wrong = |difference: String| CheckError::Wrong { service: asked.service.clone(), difference };
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| wrong(format!("{method:?} is no HTTP method")))?;
    let request = || {
        let request = asked.client.request(method.clone(), &asked.url);
        match body {
            Some(Value::String(text)) => request.body(text.clone()),
            Some(other) => request.json(other),
            None => request,
        }
    };
    let (status, answer) = send(asked, request, expect.status).await?;
    differences(status, &answer, expect).map_err(wrong)?;
    Ok(Passed { detail: status.to_string(), figures: json!({"status": status.as_u16(), "bytes": answer.len()}) })
}

/// What is wrong with an answer, in one line.
fn differences(status: StatusCode, body: &str, expect: &Expectation) -> Result<(), String> {
    let fits = expect.status.map_or(status.is_success(), |wanted| wanted == status.as_u16());
    if !fits {
        let wanted = expect.status.map_or("a success".to_owned(), |wanted| wanted.to_string());
        return Err(format!("wanted {wanted}, got {status}: {}", start(body)));
    }
    if let Some(text) = expect.contains.as_ref().filter(|text| !body.contains(*text)) {
        return Err(format!("{text:?} is not in the answer: {}", start(body)));
    }
    if expect.json.is_empty() {
        return Ok(());
    }
    let value: Value =
        serde_json::from_str(body).map_err(|error| format!("the answer is not JSON ({error}): {}", start(body)))?;
    for (pointer, wanted) in &expect.json {
        match value.pointer(pointer) {
            Some(found) if found == wanted => {}
            Some(found) => return Err(format!("wanted {wanted} at {pointer}, got {found}")),
            None => return Err(format!("wanted {wanted} at {pointer}, and there is nothing: {}", start(body))),
        }
    }
    Ok(())
}

/// The beginning of a body, in one line.
pub(super) fn start(body: &str) -> String {
    crate::scene::brief(&body.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The last cause says it in the fewest words: `connection refused`.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = cause.to_string();
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_compared_with_what_is_wanted() {
        let expect = |value: Value| serde_json::from_value::<Expectation>(value).expect("an expectation");
        let cases = [
            (200, "fine", json!({}), None),
            (404, "nothing is here", json!({}), Some("wanted a success, got 404 Not Found: nothing is here")),
            (404, "", json!({"status": 404}), None),
            (200, "hello", json!({"contains": "world"}), Some("\"world\" is not in the answer: hello")),
            (200, r#"{"a": {"b": 1}}"#, json!({"json": {"/a/b": 1}}), None),
            (200, r#"{"a": {"b": 2}}"#, json!({"json": {"/a/b": 1}}), Some("wanted 1 at /a/b, got 2")),
        ];
        for (status, body, wanted, difference) in cases {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(differences(status, body, &expect(wanted)).err().as_deref(), difference);
        }
    }
}
