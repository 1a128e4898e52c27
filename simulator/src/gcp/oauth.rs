//! Tokens on the wire: the token endpoint, the exchange of foreign tokens, impersonation, and the metadata server.

use serde_json::{Value, json};

use super::Gcp;
use super::accounts::claims;
use super::fields::decode;
use super::serve::Request;
use crate::server::Answer;

/// Answers a request for tokens; nothing where it is for something else.
pub(crate) fn answer(gcp: &Gcp, request: &Request) -> Option<Answer> {
    match (request.verb.as_str(), request.path.as_str()) {
        ("POST", "/token" | "/oauth2/v4/token") => Some(token(gcp, request)),
        ("POST", "/v1/token") => Some(exchange(gcp, request)),
        ("POST", path) if path.ends_with(":generateAccessToken") => Some(impersonate(gcp, request, path)),
        ("GET", "/tokeninfo" | "/oauth2/v3/tokeninfo" | "/oauth2/v1/tokeninfo") => Some(information(gcp, request)),
        ("GET", path) => path.strip_prefix("/computeMetadata/v1").map(|path| metadata(gcp, request, path)),
        _ => None,
    }
}

/// The fields of a form or of JSON.
fn fields(request: &Request) -> Vec<(String, String)> {
    if let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(&request.body) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        return fields.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    }
    let body = String::from_utf8_lossy(&request.body).replace('+', " ");
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

fn refused(status: u16, error: &str, description: &str) -> Answer {
    Answer::json(status, &json!({"error": error, "error_description": description}))
}

/// Gives a token for a refresh token, or for what a service account signed. A refresh token that says `revoked` is revoked; one
/// that has an `@` stands for that address.
fn token(gcp: &Gcp, request: &Request) -> Answer {
    let fields = fields(request);
    let field =
        |name: &str| fields.iter().find(|field| field.0 == name).map(|field| field.1.as_str()).unwrap_or_default();
    let email = match field("grant_type") {
        "refresh_token" => {
            let token = field("refresh_token");
            if token.is_empty() || field("client_id").is_empty() {
                return refused(400, "invalid_request", "Missing required parameter: refresh_token");
            }
            if token.contains("revoked") {
                return refused(400, "invalid_grant", "Token has been expired or revoked.");
            }
            if token.contains('@') { token.to_owned() } else { "user@example.com".to_owned() }
        }
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
            let claims = claims(field("assertion")).unwrap_or_default();
            let good = claims["exp"].as_i64().is_some_and(|until| until > jiff::Timestamp::now().as_second());
            match claims["iss"].as_str().filter(|_| good) {
                Some(issuer) => issuer.to_owned(),
                None => return refused(400, "invalid_grant", "Invalid JWT Signature."),
            }
        }
        "" => return refused(400, "invalid_request", "Required parameter is missing: grant_type"),
        other => return refused(400, "unsupported_grant_type", &format!("Invalid grant_type: {other}")),
    };
    Answer::json(200, &give(gcp, &email))
}

/// A new token with its lifetime. The client's clock is the real one, so the lifetime is told in real seconds.
fn give(gcp: &Gcp, email: &str) -> Value {
    let mut world = gcp.world();
    let now = world.now;
    let token = world.accounts.give(email, now);
    let seconds = gcp.clock().real(world.accounts.lifetime()).as_secs().max(1);
    let scope = "https://www.googleapis.com/auth/cloud-platform";
    json!({"access_token": token, "expires_in": seconds, "scope": scope, "token_type": "Bearer"})
}

/// Gives a token for one of another issuer, as workload identity federation does.
fn exchange(gcp: &Gcp, request: &Request) -> Answer {
    let fields = fields(request);
    let subject = fields.iter().find(|field| field.0 == "subject_token" || field.0 == "subjectToken");
    let Some((_, subject)) = subject.filter(|subject| !subject.1.is_empty()) else {
        return refused(400, "invalid_request", "Missing subject_token.");
    };
    let who = claims(subject).and_then(|claims| claims["sub"].as_str().map(str::to_owned));
    let mut given = give(gcp, &format!("principal://{}", who.as_deref().unwrap_or("subject")));
    given["issued_token_type"] = json!("urn:ietf:params:oauth:token-type:access_token");
    Answer::json(200, &given)
}

/// Gives a token of a service account to who may act as it.
fn impersonate(gcp: &Gcp, request: &Request, path: &str) -> Answer {
    let email = path.trim_end_matches(":generateAccessToken").rsplit('/').next().map(decode).unwrap_or_default();
    let asked = {
        let world = gcp.world();
        world.accounts.principal(request.authorization().as_deref(), world.now)
    };
    if let Err(refusal) = asked {
        return Answer::refusal(&refusal, "iamcredentials");
    }
    let given = give(gcp, &email);
    let until = jiff::Timestamp::now().as_second() + given["expires_in"].as_i64().unwrap_or_default();
    let until = jiff::Timestamp::from_second(until).map(|until| until.to_string()).unwrap_or_default();
    Answer::json(200, &json!({"accessToken": given["access_token"], "expireTime": until}))
}

fn information(gcp: &Gcp, request: &Request) -> Answer {
    let world = gcp.world();
    match world.accounts.principal(request.authorization().as_deref(), world.now) {
        Ok(email) => Answer::json(
            200,
            &json!({"email": email, "email_verified": "true", "expires_in": "3599",
            "scope": "https://www.googleapis.com/auth/cloud-platform https://www.googleapis.com/auth/userinfo.email"}),
        ),
        Err(_) => refused(400, "invalid_token", "Invalid Value"),
    }
}

/// The metadata server of a machine: the first project, its default service account, a token.
fn metadata(gcp: &Gcp, request: &Request, path: &str) -> Answer {
    if request.headers.get("metadata-flavor").is_none_or(|flavour| flavour != "Google") {
        return Answer::empty(403);
    }
    let project = gcp.world().projects.all().next().map(|state| (state.project.id.clone(), state.project.number()));
    let (id, number) = project.unwrap_or_default();
    let email = format!("{number}-compute@developer.gserviceaccount.com");
    let text =
        |text: String| Answer { body: text.into(), ..Answer::empty(200) }.with("content-type", "application/text");
    let answer = match path.trim_end_matches('/') {
        "" => text("instance/\nproject/\n".into()),
        "/project/project-id" => text(id),
        "/project/numeric-project-id" => text(number.to_string()),
        "/universe/universe-domain" | "/universe/universe_domain" => text("googleapis.com".into()),
        path if path.ends_with("/email") => text(email),
        path if path.ends_with("/token") => Answer::json(200, &give(gcp, &email)),
        _ => Answer::empty(404),
    };
    answer.with("metadata-flavor", "Google")
}
