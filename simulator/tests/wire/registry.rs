use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::manifest::{IMAGE_CONFIG_MEDIA_TYPE, IMAGE_LAYER_GZIP_MEDIA_TYPE};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use serde_json::{Value, json};

use crate::support::{Cloud, cloud};

const REPOSITORIES: &str = "/v1/projects/demo/locations/us-central1/repositories";

async fn repository(cloud: &Cloud) {
    let body = json!({"format": "DOCKER", "labels": {"infra-deployment": "test"}});
    let operation = cloud.post(&format!("{REPOSITORIES}?repositoryId=rep"), body).await;
    let done = cloud.done(&operation).await;
    assert_eq!(done["response"]["registryUri"], "us-central1-docker.pkg.dev/demo/rep");
}

async fn push(cloud: &Cloud, tag: &str, content: &str) -> Result<Reference, String> {
    let client = Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() });
    let reference: Reference = format!("{}/demo/rep/apps/trainer:{tag}", cloud.running.address()).parse().unwrap();
    let layer = ImageLayer::new(content.as_bytes().to_vec(), IMAGE_LAYER_GZIP_MEDIA_TYPE.to_owned(), None);
    let config = Config::new(b"{}".to_vec(), IMAGE_CONFIG_MEDIA_TYPE.to_owned(), None);
    let login = RegistryAuth::Basic("oauth2accesstoken".into(), "known".into());
    let pushed = client.push(&reference, &[layer], config, &login, None).await;
    pushed.map_err(|error| error.to_string())?;
    let pulled =
        client.pull(&reference, &login, vec![IMAGE_LAYER_GZIP_MEDIA_TYPE]).await.map_err(|error| error.to_string())?;
    assert_eq!(pulled.layers[0].data, content.as_bytes());
    Ok(reference)
}

#[tokio::test]
async fn a_real_client_pushes_and_pulls_with_a_token_as_password() {
    let cloud = cloud().await;
    assert!(push(&cloud, "v1", "one").await.unwrap_err().contains("not found"), "there is no repository");
    repository(&cloud).await;
    push(&cloud, "v1", "one").await.unwrap();
    push(&cloud, "v2", "two").await.unwrap();
    let images = cloud.get(&format!("{REPOSITORIES}/rep/dockerImages")).await;
    assert_eq!(images["dockerImages"].as_array().unwrap().len(), 2);
    assert_eq!(images["dockerImages"][0]["tags"].as_array().unwrap().len(), 1);
    let tags = cloud.get("/v2/demo/rep/apps/trainer/tags/list").await;
    assert_eq!(tags, json!({"name": "demo/rep/apps/trainer", "tags": ["v1", "v2"]}));
    assert_ne!(cloud.get(&format!("{REPOSITORIES}/rep")).await["sizeBytes"], "0");
}

#[tokio::test]
async fn who_shows_no_token_is_told_where_to_get_one() {
    let cloud = cloud().await;
    let answer = reqwest::get(format!("{}/v2/", cloud.running.url())).await.unwrap();
    assert_eq!(answer.status(), 401);
    let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.starts_with(&format!("Bearer realm=\"{}/v2/token\"", cloud.running.url())), "{challenge}");
}

#[tokio::test]
async fn packages_go_with_their_images_and_repositories_with_all() {
    let cloud = cloud().await;
    repository(&cloud).await;
    push(&cloud, "v1", "one").await.unwrap();
    let packages = format!("{REPOSITORIES}/rep/packages");
    let name = cloud.get(&packages).await["packages"][0]["name"].as_str().unwrap().to_owned();
    assert!(name.ends_with("/packages/apps%2Ftrainer"), "{name}");
    cloud.done(&cloud.delete(&format!("{packages}/apps%2Ftrainer")).await).await;
    assert_eq!(cloud.get(&packages).await, json!({}));
    push(&cloud, "v1", "one").await.unwrap();
    cloud.done(&cloud.delete(&format!("{REPOSITORIES}/rep")).await).await;
    assert_eq!(cloud.left(), []);
    assert_eq!(cloud.ask("GET", "/v2/demo/rep/apps/trainer/tags/list", Value::Null).await.0, 404);
}

#[tokio::test]
async fn blobs_may_come_in_pieces_and_must_be_what_they_say() {
    let cloud = cloud().await;
    repository(&cloud).await;
    let client = reqwest::Client::new();
    let url = |path: &str| format!("{}{path}", cloud.running.url());
    let begin = client.post(url("/v2/demo/rep/app/blobs/uploads/")).bearer_auth("known").send().await.unwrap();
    assert_eq!(begin.status(), 202);
    let place = begin.headers()["location"].to_str().unwrap().to_owned();
    for (range, piece) in [("0-2", "abc"), ("3-5", "def")] {
        let sent = client
            .patch(url(&place))
            .bearer_auth("known")
            .header("content-range", range)
            .body(piece)
            .send()
            .await
            .unwrap();
        assert_eq!(sent.status(), 202);
    }
    let wrong = client.put(url(&format!("{place}?digest=sha256:00"))).bearer_auth("known").send().await.unwrap();
    assert_eq!(wrong.status(), 400);
    let digest = "sha256:bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721";
    let whole = client
        .post(url(&format!("/v2/demo/rep/app/blobs/uploads/?digest={digest}")))
        .bearer_auth("known")
        .body("abcdef")
        .send();
    assert_eq!(whole.await.unwrap().status(), 201);
    let read = client.get(url(&format!("/v2/demo/rep/app/blobs/{digest}"))).bearer_auth("known").send().await.unwrap();
    assert_eq!(read.text().await.unwrap(), "abcdef");
    let manifest = json!({"schemaVersion": 2, "layers": [{"digest": "sha256:11", "size": 1}], "config": {"digest": digest, "size": 6}});
    let put = client
        .put(url("/v2/demo/rep/app/manifests/v1"))
        .bearer_auth("known")
        .body(manifest.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(put.status(), 400, "a manifest needs its blobs");
}
