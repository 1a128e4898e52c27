//! Logins at registries, as Secrets of pods carry them.

use crate::objects::decode;
use crate::read::text;
use serde_json::Value;

/// A login at a registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// A user's name and password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token of the registry itself.
    Token(String),
}

impl std::fmt::Debug for Login {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Password { .. } => "Password",
            Self::Token(_) => "Token",
        })
    }
}

/// The logins in a Secret of the types `kubernetes.io/dockerconfigjson` and `kubernetes.io/dockercfg`: for which registry, or which
/// repositories of it, each is.
pub fn logins(secret: &Value) -> Vec<(String, Login)> {
    let read = |key: &str| serde_json::from_slice::<Value>(&decode(text(&secret["data"], key))).unwrap_or_default();
    let all = match text(secret, "type") {
        "kubernetes.io/dockerconfigjson" => read(".dockerconfigjson")["auths"].take(),
        "kubernetes.io/dockercfg" => read(".dockercfg"),
        _ => return Vec::new(),
    };
    let one = |(place, login): (&String, &Value)| Some((plain(place).to_owned(), login_of(login)?));
    all.as_object().into_iter().flatten().filter_map(one).collect()
}

/// A registry's name without what clients put around it.
fn plain(place: &str) -> &str {
    let place = place.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let place = place.strip_suffix("/v1").or_else(|| place.strip_suffix("/v2")).unwrap_or(place);
    if place == "index.docker.io" { "docker.io" } else { place }
}

fn login_of(login: &Value) -> Option<Login> {
    let token = text(login, "registrytoken");
    if !token.is_empty() {
        return Some(Login::Token(token.to_owned()));
    }
    let (mut user, mut password) = (text(login, "username").to_owned(), text(login, "password").to_owned());
    let both = String::from_utf8(decode(text(login, "auth"))).unwrap_or_default();
    if let Some((first, second)) = both.split_once(':') {
        (user, password) = (first.to_owned(), second.to_owned());
    }
    (!user.is_empty()).then_some(Login::Password { user, password })
}

/// The logins that are for a repository (`registry/path`), the most particular first.
pub fn fitting<'a>(logins: &'a [(String, Login)], repository: &str) -> Vec<&'a Login> {
    let fits = |place: &str| {
        let rest = repository.strip_prefix(place);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut found: Vec<_> = logins.iter().filter(|(place, _)| fits(place)).collect();
    found.sort_by_key(|(place, _)| std::cmp::Reverse(place.len()));
    found.into_iter().map(|(_, login)| login).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    fn secret(auths: &Value) -> Value {
        let data = STANDARD.encode(json!({ "auths": auths }).to_string());
        json!({ "type": "kubernetes.io/dockerconfigjson", "data": { ".dockerconfigjson": data } })
    }

    fn password(user: &str, password: &str) -> Login {
        Login::Password { user: user.to_owned(), password: password.to_owned() }
    }

    #[test]
    fn a_secret_tells_its_logins_and_the_most_particular_one_comes_first() {
        let secret = secret(&json!({
            "https://registry.example/v1/": { "auth": STANDARD.encode("a:b:c") },
            "registry.example/team": { "username": "t", "password": "s" },
            "other.example": { "registrytoken": "x" },
            "empty.example": {},
        }));
        let all = logins(&secret);
        assert_eq!(all.len(), 3);
        let found = fitting(&all, "registry.example/team/app");
        assert_eq!(found, [&password("t", "s"), &password("a", "b:c")]);
        assert_eq!(fitting(&all, "registry.example/teams/app"), [&password("a", "b:c")]);
        assert_eq!(fitting(&all, "other.example/x"), [&Login::Token("x".to_owned())]);
        assert!(!format!("{all:?}").contains("b:c"), "a password is not shown");
    }

    #[test]
    fn other_secrets_have_no_logins() {
        assert_eq!(logins(&json!({ "type": "Opaque", "data": { ".dockerconfigjson": "e30=" } })), []);
    }
}
