//! Bearer tokens that a webhook reviews.

use std::sync::{Arc, Mutex};

use apiserver::{Notice, Options};
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Json, Router};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::served::{Served, plain_client, served_with};

const PODS: &str = "/api/v1/namespaces/default/pods";

/// The reviews that were asked for.
type Asked = Arc<Mutex<Vec<Value>>>;

async fn review(State(asked): State<Asked>, Json(review): Json<Value>) -> Result<Json<Value>, StatusCode> {
    asked.lock().expect("whole").push(review.clone());
    let groups = match review["spec"]["token"].as_str() {
        Some("admin") => json!(["system:masters"]),
        Some("viewer") => json!([]),
        Some("breaks") => return Err(StatusCode::SERVICE_UNAVAILABLE),
        _ => return Ok(Json(json!({"kind": "TokenReview", "status": {"authenticated": false, "error": "expired"}}))),
    };
    let user = json!({"username": "somebody@example.com", "groups": groups});
    let status = json!({"authenticated": true, "user": user});
    Ok(Json(json!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "status": status})))
}

/// A server whose tokens are reviewed, and what the reviewer and the log got to hear.
struct Reviewed {
    served: Served,
    client: Client,
    asked: Asked,
    said: Arc<Mutex<Vec<String>>>,
    reviewer: JoinHandle<()>,
}

impl Reviewed {
    async fn start() -> Self {
        let (asked, said) = (Asked::default(), Arc::<Mutex<Vec<String>>>::default());
        let app = Router::new().route("/review", axum::routing::post(review)).with_state(asked.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/review", listener.local_addr().expect("an address"));
        let reviewer = tokio::spawn(async move { axum::serve(listener, app).await.expect("serves") });
        let heard = said.clone();
        let notice = Notice::new(move |line| heard.lock().expect("whole").push(line.to_owned()));
        let served = served_with(&Options { token_review: Some(url), notice, ..Options::default() }).await;
        let client = plain_client(&served.api).build().expect("a client");
        Self { served, client, asked, said, reviewer }
    }

    async fn get(&self, path: &str, token: &str) -> (u16, Value) {
        let request = self.client.get(format!("{}{path}", self.served.url)).bearer_auth(token);
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    fn asked(&self) -> Vec<Value> {
        std::mem::take(&mut *self.asked.lock().expect("whole"))
    }

    fn said(&self) -> Vec<String> {
        std::mem::take(&mut *self.said.lock().expect("whole"))
    }
}

#[tokio::test]
async fn a_reviewed_token_has_the_rights_of_its_groups_and_is_asked_for_once_in_a_while() {
    let reviewed = Reviewed::start().await;
    assert_eq!(reviewed.get(PODS, "admin").await.0, 200);
    assert_eq!(reviewed.get(PODS, "admin").await.0, 200);
    let asked = reviewed.asked();
    let [asked] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((&asked["kind"], &asked["spec"]["token"]), (&json!("TokenReview"), &json!("admin")));
    let (code, refused) = reviewed.get(PODS, "viewer").await;
    let message = refused["message"].as_str().expect("a message");
    assert!(
        code == 403 && message.contains("User \"somebody@example.com\" cannot list resource \"pods\""),
        "{message}"
    );
    assert_eq!((reviewed.get(PODS, "expired").await.0, reviewed.said().len()), (401, 0));
}

#[tokio::test]
async fn a_reviewer_that_fails_lets_nobody_in_and_that_is_said_without_the_token() {
    let reviewed = Reviewed::start().await;
    assert_eq!(reviewed.get(PODS, "breaks").await.0, 401);
    reviewed.reviewer.abort();
    assert_eq!(reviewed.get(PODS, "breaks").await.0, 401);
    let said = reviewed.said();
    assert!(said.len() == 2 && said[0].contains("it answers 503 Service Unavailable"), "{said:?}");
    assert!(said.iter().all(|line| !line.contains("breaks")), "{said:?}");
}

#[tokio::test]
async fn tokens_of_service_accounts_are_not_shown_to_the_reviewer() {
    let reviewed = Reviewed::start().await;
    let request = apiserver::TokenRequest { expires_seconds: 3600, ..Default::default() };
    let token =
        apiserver::service_account_token(&reviewed.served.api, "default", "default", &request).expect("a token");
    let (code, refused) = reviewed.get(PODS, &token.token).await;
    assert_eq!(code, 403, "{refused}");
    let gone = apiserver::DeleteOptions::default();
    let place = ("default", "default");
    reviewed.served.api.delete(&crate::served::tester(), kinds::SERVICE_ACCOUNTS, place, &gone).await.expect("deleted");
    assert_eq!(reviewed.get(PODS, &token.token).await.0, 401);
    assert_eq!(reviewed.asked(), [] as [Value; 0]);
}

#[tokio::test]
async fn reviewed_tokens_can_be_reviewed_by_the_api_too() {
    let reviewed = Reviewed::start().await;
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "admin"}});
    let (code, told) = reviewed.served.ask("POST", "/apis/authentication.k8s.io/v1/tokenreviews", "", &review).await;
    assert_eq!((code, &told["status"]["user"]["username"]), (201, &json!("somebody@example.com")), "{told}");
}
