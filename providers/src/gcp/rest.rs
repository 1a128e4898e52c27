//! Calls to APIs that are made here: of each there are only a few, too few for a crate of its own.

use std::fmt::Write as _;

use http::Method;
use serde_json::Value;

use super::answer::Answer;
use super::call::{Repeat, innermost, retry_after};
use super::error::Error;
use super::{Gcp, Service};

/// How many pages of a list are read at most: more is no answer to a question about one deployment.
const MOST_PAGES: usize = 200;

/// One request.
pub(super) struct Request<'a> {
    pub service: Service,
    pub method: Method,
    /// The path with its leading slash, as Google's.
    pub path: &'a str,
    pub query: &'a [(&'a str, &'a str)],
    pub body: Option<&'a Value>,
    pub repeat: Repeat,
}

impl Gcp {
    /// Asks for something that is there, or not.
    pub(super) async fn find(&self, service: Service, path: &str) -> Result<Option<Value>, Error> {
        match self.read(service, path, &[]).await {
            Ok(value) => Ok(Some(value)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn read(&self, service: Service, path: &str, query: &[(&str, &str)]) -> Result<Value, Error> {
        self.send(&Request { service, method: Method::GET, path, query, body: None, repeat: Repeat::Safe }).await
    }

    /// Every page of a list.
    pub(super) async fn pages(
        &self,
        service: Service,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<Value>, Error> {
        let mut pages = Vec::new();
        let mut token = String::new();
        while pages.len() < MOST_PAGES {
            let mut query = query.to_vec();
            if !token.is_empty() {
                query.push(("pageToken", &token));
            }
            let page = self.read(service, path, &query).await?;
            let next = page["nextPageToken"].as_str().unwrap_or_default().to_owned();
            pages.push(page);
            if next.is_empty() {
                break;
            }
            token = next;
        }
        Ok(pages)
    }

    pub(super) async fn post(
        &self,
        service: Service,
        path: &str,
        body: &Value,
        repeat: Repeat,
    ) -> Result<Value, Error> {
        self.send(&Request { service, method: Method::POST, path, query: &[], body: Some(body), repeat }).await
    }

    /// Deletes something; that it is not there is success, with no answer.
    pub(super) async fn remove(
        &self,
        service: Service,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Option<Value>, Error> {
        let request = Request { service, method: Method::DELETE, path, query, body: None, repeat: Repeat::Safe };
        match self.send(&request).await {
            Ok(value) => Ok(Some(value)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Value, Error> {
        self.attempts(request.service, request.repeat, || self.send_once(request)).await
    }

    async fn send_once(&self, request: &Request<'_>) -> Result<Value, Error> {
        let base = self.base(request.service);
        let token = self.token().await?;
        let mut call = self.shared.http.request(request.method.clone(), url(&base, request.path, request.query));
        call = call.bearer_auth(token.secret());
        if let Some((header, project)) = self.shared.tokens.quota_project() {
            call = call.header(header, project);
        }
        if let Some(body) = request.body {
            call = call.json(body);
        } else if request.method == Method::POST {
            // Google wants to be told that nothing follows.
            call = call.header(http::header::CONTENT_LENGTH, 0);
        }
        let broken = |error: reqwest::Error| {
            let error = error.without_url();
            if error.is_connect() {
                Error::Unreachable { endpoint: base.clone(), source: Box::new(error) }
            } else if error.is_builder() {
                Error::Protocol(Box::new(error))
            } else {
                Error::Unavailable { message: innermost(&error), pause: None }
            }
        };
        let answer = call.send().await.map_err(broken)?;
        let (status, pause) = (answer.status(), retry_after(answer.headers()));
        let body = answer.text().await.map_err(broken)?;
        if !status.is_success() {
            return Err(Answer::of_body(status.as_u16(), &body, pause).into_error());
        }
        if body.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&body).map_err(|error| Error::Protocol(Box::new(error)))
    }
}

/// An address with its query.
fn url(base: &str, path: &str, query: &[(&str, &str)]) -> String {
    let mut url = format!("{base}{path}");
    for (index, (name, value)) in query.iter().enumerate() {
        url.push(if index == 0 { '?' } else { '&' });
        url.push_str(name);
        url.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                url.push(char::from(byte));
            } else {
                let _ = write!(url, "%{byte:02X}");
            }
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_written_so_that_nothing_in_it_ends_it() {
        let filter = [("filter", "labels.a=\"b c\""), ("pageToken", "x&y")];
        assert_eq!(url("http://h", "/p", &filter), "http://h/p?filter=labels.a%3D%22b%20c%22&pageToken=x%26y");
    }
}
