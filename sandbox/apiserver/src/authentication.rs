//! Bearer tokens of service accounts.

use crate::{Api, Status, User};

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
pub fn service_account_token(
    _api: &Api,
    _namespace: &str,
    _name: &str,
    _request: &TokenRequest,
) -> Result<Token, Status> {
    Err(Status::new(501, "NotImplemented", "tokens are not made yet"))
}

/// Whom a bearer token belongs to.
pub fn authenticate(_api: &Api, _token: &str) -> Result<User, Status> {
    Err(Status::unauthorized())
}
