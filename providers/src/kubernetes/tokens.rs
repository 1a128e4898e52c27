use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use tower::{Layer, Service, ServiceExt};

use super::error::Cause;

/// Gives out tokens that an API server takes, and renews them in time.
#[async_trait::async_trait]
pub trait BearerTokens: Send + Sync {
    /// A token that is good now. Called before each call: it is kept.
    async fn token(&self) -> Result<String, Box<dyn std::error::Error + Send + Sync>>;

    /// Says that a token was refused: the next one shall be another.
    async fn was_refused(&self, token: &str);
}

/// There is no token.
#[derive(Debug, thiserror::Error)]
#[error("get a token for the API server")]
pub(super) struct NoToken(#[source] Cause);

/// Puts a token on each call.
#[derive(Clone)]
pub(super) struct Bearer {
    tokens: Arc<dyn BearerTokens>,
    last: Arc<Mutex<String>>,
}

impl Bearer {
    pub fn new(tokens: Arc<dyn BearerTokens>) -> Self {
        Self { tokens, last: Arc::default() }
    }

    /// The token of the last call was refused.
    pub async fn was_refused(&self) {
        let token = self.last().clone();
        self.tokens.was_refused(&token).await;
    }

    fn last(&self) -> MutexGuard<'_, String> {
        self.last.lock().expect("no panic while the lock is held")
    }

    async fn header(&self) -> Result<HeaderValue, Cause> {
        let token = self.tokens.token().await.map_err(NoToken)?;
        let mut header = HeaderValue::from_str(&format!("Bearer {token}"))?;
        header.set_sensitive(true);
        *self.last() = token;
        Ok(header)
    }
}

impl<S> Layer<S> for Bearer {
    type Service = WithToken<S>;

    fn layer(&self, inner: S) -> WithToken<S> {
        WithToken { inner, bearer: self.clone() }
    }
}

/// A service whose calls carry a token.
#[derive(Clone)]
pub(super) struct WithToken<S> {
    inner: S,
    bearer: Bearer,
}

impl<S, B> Service<Request<B>> for WithToken<S>
where
    S: Service<Request<B>> + Clone + Send + 'static,
    S::Error: Into<Cause>,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = S::Response;
    type Error = Cause;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Cause>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        // What is called is asked once there is a token.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (mut inner, bearer) = (self.inner.clone(), self.bearer.clone());
        Box::pin(async move {
            request.headers_mut().insert(AUTHORIZATION, bearer.header().await?);
            inner.ready().await.map_err(Into::into)?.call(request).await.map_err(Into::into)
        })
    }
}
