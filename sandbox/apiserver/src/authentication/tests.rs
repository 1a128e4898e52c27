use super::*;
use crate::{Options, WriteOptions};

async fn api() -> (tempfile::TempDir, Api) {
    let folder = tempfile::tempdir().unwrap();
    let api = Api::open(folder.path(), &Options::default()).unwrap();
    let namespace = json!({"metadata": {"name": "shop"}});
    create(&api, kinds::NAMESPACES, "", namespace).await;
    create(&api, kinds::SERVICE_ACCOUNTS, "shop", json!({"metadata": {"name": "seller"}})).await;
    (folder, api)
}

async fn create(api: &Api, resource: &'static kinds::Resource, namespace: &str, object: Value) -> Value {
    let by = User::system("test");
    (*api.create(&by, resource, namespace, object, &WriteOptions::default()).await.unwrap()).clone()
}

async fn delete(api: &Api, resource: &'static kinds::Resource, name: &str) {
    let options = crate::DeleteOptions { grace_period_seconds: Some(0), ..Default::default() };
    api.delete(&User::system("test"), resource, ("shop", name), &options).await.unwrap();
}

fn for_an_hour() -> TokenRequest {
    TokenRequest { expires_seconds: 3600, ..TokenRequest::default() }
}

#[tokio::test]
async fn a_token_makes_its_bearer_the_service_account() {
    let (_folder, api) = api().await;
    let token = service_account_token(&api, "shop", "seller", &for_an_hour()).unwrap();
    let user = authenticate(&api, &token.token).unwrap();
    assert_eq!(user.name, "system:serviceaccount:shop:seller");
    assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"]);
    assert_eq!(authenticate(&api, "nonsense").unwrap_err().code, 401);
}

#[tokio::test]
async fn a_token_ends_with_its_account_even_when_another_of_that_name_comes() {
    let (_folder, api) = api().await;
    let token = service_account_token(&api, "shop", "seller", &for_an_hour()).unwrap().token;
    delete(&api, kinds::SERVICE_ACCOUNTS, "seller").await;
    assert!(authenticate(&api, &token).is_err());
    create(&api, kinds::SERVICE_ACCOUNTS, "shop", json!({"metadata": {"name": "seller"}})).await;
    assert!(authenticate(&api, &token).is_err());
}

#[tokio::test]
async fn a_token_ends_with_its_pod() {
    let (_folder, api) = api().await;
    let pod = json!({"metadata": {"name": "till"}, "spec": {
        "serviceAccountName": "seller", "containers": [{"name": "a", "image": "b"}]}});
    let pod = create(&api, kinds::PODS, "shop", pod).await;
    let uid = metadata::text(&pod, "uid").to_owned();
    let bound = |uid: &str| TokenRequest { pod: Some(("till".to_owned(), uid.to_owned())), ..for_an_hour() };
    let refused = service_account_token(&api, "shop", "seller", &bound("other")).unwrap_err();
    assert_eq!(refused.code, 409);
    let token = service_account_token(&api, "shop", "seller", &bound(&uid)).unwrap().token;
    let user = authenticate(&api, &token).unwrap();
    assert_eq!(user.extra["authentication.kubernetes.io/pod-name"], ["till"]);
    delete(&api, kinds::PODS, "till").await;
    assert!(authenticate(&api, &token).is_err());
}

#[tokio::test]
async fn a_token_for_somebody_else_is_not_for_the_api_server() {
    let (_folder, api) = api().await;
    let request = TokenRequest { audiences: vec!["vault".to_owned()], ..for_an_hour() };
    let token = service_account_token(&api, "shop", "seller", &request).unwrap().token;
    assert!(authenticate(&api, &token).is_err());
    let review = async |spec: Value| review_token(&api, &json!({"spec": spec})).await["status"].clone();
    let answered = review(json!({"token": token, "audiences": ["vault", "other"]})).await;
    assert_eq!((&answered["authenticated"], &answered["audiences"]), (&json!(true), &json!(["vault"])));
    assert_eq!(review(json!({"token": token})).await["error"], "[invalid bearer token, token lookup failed]");
}

#[tokio::test]
async fn lifetimes_that_are_too_short_are_refused_in_the_real_words() {
    let (_folder, api) = api().await;
    let body = |seconds: i64| json!({"spec": {"expirationSeconds": seconds}});
    let refused = create_token(&api, "shop", "seller", &body(60)).unwrap_err();
    let expected = "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 60: may not \
                    specify a duration less than 10 minutes";
    assert_eq!((refused.code, refused.message.as_str()), (422, expected));
    let answered = create_token(&api, "shop", "seller", &body(600)).unwrap();
    let token = answered["status"]["token"].as_str().unwrap();
    assert_eq!(authenticate(&api, token).unwrap().name, "system:serviceaccount:shop:seller");
    assert_eq!(create_token(&api, "shop", "nobody", &json!({})).unwrap_err().code, 404);
}
