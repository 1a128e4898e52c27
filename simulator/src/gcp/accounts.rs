//! Tokens: who asks, and whether the token is still good.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::projects::Identity;
use super::refusal::Refusal;
use crate::clock::Moment;
use crate::hash;

/// A token that was given out.
#[derive(Debug, Clone)]
struct Token {
    email: String,
    /// Until when it is good; for ever without.
    until: Option<Moment>,
}

/// The tokens.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    tokens: BTreeMap<String, Token>,
    anonymous: bool,
    lifetime: Duration,
    given: u64,
}

/// Who asks, when nobody says so.
const NOBODY: &str = "anonymous@example.com";
const SEE: &str = "Expected OAuth 2 access token, login cookie or other valid authentication credential. See \
                   https://developers.google.com/identity/sign-in/web/devconsole-project.";

impl Accounts {
    pub fn new(identities: Vec<Identity>, anonymous: bool, lifetime: Duration) -> Self {
        let tokens = identities.into_iter().map(|it| (it.token, Token { email: it.email, until: None }));
        Self { tokens: tokens.collect(), anonymous, lifetime, given: 0 }
    }

    /// How long a new token is good.
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Gives out a token for an address.
    pub fn give(&mut self, email: &str, now: Moment) -> String {
        self.given += 1;
        let count = self.given.to_string();
        let (a, b) = (hash::number(7, &[email, &count]), hash::number(8, &[email, &count]));
        let token = format!("ya29.c.{a:016x}{b:016x}");
        let until = Some(now + self.lifetime);
        self.tokens.insert(token.clone(), Token { email: email.to_owned(), until });
        token
    }

    /// Who a header `Authorization` stands for.
    pub fn principal(&self, header: Option<&str>, now: Moment) -> Result<String, Refusal> {
        let Some(header) = header.filter(|header| !header.trim().is_empty()) else {
            return self.unknown("CREDENTIALS_MISSING", "Request is missing required authentication credential.");
        };
        let token = match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim().to_owned(),
            Some((scheme, pair)) if scheme.eq_ignore_ascii_case("basic") => basic(pair).unwrap_or_default(),
            _ => String::new(),
        };
        self.holder(&token, now)
    }

    /// Who a token stands for.
    pub fn holder(&self, token: &str, now: Moment) -> Result<String, Refusal> {
        const INVALID: &str = "Request had invalid authentication credentials.";
        if let Some(known) = self.tokens.get(token) {
            if known.until.is_none_or(|until| now < until) {
                return Ok(known.email.clone());
            }
            return Err(refusal("ACCESS_TOKEN_EXPIRED", INVALID));
        }
        if let Some(claims) = claims(token) {
            // Who signs for itself goes by the real time.
            let good = claims["exp"].as_i64().is_some_and(|until| until > jiff::Timestamp::now().as_second());
            let who = ["sub", "iss", "email"].iter().find_map(|name| claims[*name].as_str());
            return match who {
                Some(who) if good => Ok(who.to_owned()),
                _ => Err(refusal("ACCESS_TOKEN_EXPIRED", INVALID)),
            };
        }
        self.unknown("ACCESS_TOKEN_TYPE_UNSUPPORTED", INVALID)
    }

    fn unknown(&self, reason: &str, what: &str) -> Result<String, Refusal> {
        if self.anonymous { Ok(NOBODY.to_owned()) } else { Err(refusal(reason, what)) }
    }
}

fn refusal(reason: &str, what: &str) -> Refusal {
    let metadata = json!({"service": "googleapis.com"});
    Refusal::unauthenticated(format!("{what} {SEE}")).info(reason, "googleapis.com", &metadata)
}

/// What a signed token says of itself. The signature is not looked at: nobody's key is known here.
pub(crate) fn claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

/// The token in user and password: the password, where the user says that it is one.
fn basic(pair: &str) -> Option<String> {
    let text = String::from_utf8(STANDARD.decode(pair.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    matches!(user, "oauth2accesstoken" | "_token").then(|| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts::new(Vec::new(), false, Duration::from_hours(1))
    }

    #[test]
    fn a_token_is_good_for_its_time_and_then_no_longer() {
        let mut accounts = accounts();
        let token = format!("Bearer {}", accounts.give("me@example.com", Moment::ZERO));
        assert_eq!(accounts.principal(Some(&token), Duration::from_secs(3599)).unwrap(), "me@example.com");
        let refusal = accounts.principal(Some(&token), Duration::from_hours(1)).unwrap_err();
        assert_eq!((refusal.code, refusal.details[0]["reason"].as_str()), (401, Some("ACCESS_TOKEN_EXPIRED")));
    }

    #[test]
    fn a_token_may_be_the_password_of_a_registry() {
        let mut accounts = accounts();
        let token = accounts.give("me@example.com", Moment::ZERO);
        let header = format!("Basic {}", STANDARD.encode(format!("oauth2accesstoken:{token}")));
        assert!(accounts.principal(Some(&header), Moment::ZERO).is_ok());
    }

    #[test]
    fn who_shows_nothing_or_something_unknown_is_refused() {
        assert_eq!(accounts().principal(None, Moment::ZERO).unwrap_err().code, 401);
        assert_eq!(accounts().principal(Some("Bearer x"), Moment::ZERO).unwrap_err().code, 401);
    }
}
