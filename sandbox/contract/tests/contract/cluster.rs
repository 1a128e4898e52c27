//! A cluster as a client sees it: requests and answers as they are on the wire.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use contract::normal::Names;
use futures::io::{AsyncBufReadExt, Lines};
use futures::{AsyncBufRead, StreamExt, TryStreamExt};
use http::Request;
use http_body_util::BodyDataStream;
use kube::Client;
use kube::client::Body;
use kube::config::{AuthInfo, Config, KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

/// A running cluster, the sandbox or a real one.
pub struct Cluster {
    config: Config,
    /// Calls as the cluster's administrator.
    pub client: Client,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// Where kubectl may keep what it found out about the server.
    pub cache: tempfile::TempDir,
    /// The one node that the pods of the statements run on.
    pub node: Value,
    /// Nothing that a statement waits for takes longer, on a machine that is not overloaded.
    pub patience: Duration,
    count: AtomicU32,
    run: String,
}

/// An answer of the API server.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// The body: an object, a list or a status. Text where it is not JSON.
    pub body: Value,
    /// The texts of the warning headers.
    pub warnings: Vec<String>,
}

impl Answer {
    /// What a client sees of a refusal: code, reason, message and causes. The code alone where it was granted.
    pub fn verdict(&self) -> Value {
        if self.code < 400 {
            return self.code.into();
        }
        let mut verdict = json!({"code": self.code, "reason": self.body["reason"], "message": self.body["message"]});
        if let Some(causes) = self.body["details"]["causes"].as_array() {
            verdict["causes"] = causes.clone().into();
        }
        verdict
    }

    /// The object of a granted request.
    #[track_caller]
    pub fn object(self) -> Value {
        assert!(self.code < 400, "refused: {}", self.verdict());
        self.body
    }

    /// The items of a list.
    #[track_caller]
    pub fn items(self) -> Vec<Value> {
        let mut object = self.object();
        let Value::Array(items) = object["items"].take() else { panic!("no list: {object}") };
        items
    }

    /// The names of a list's items, sorted.
    #[track_caller]
    pub fn names(self) -> Vec<String> {
        let mut names: Vec<String> = self.items().iter().map(|item| text(&item["metadata"]["name"])).collect();
        names.sort();
        names
    }
}

/// A string of a value; empty where there is none.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Calls as one user.
#[derive(Clone)]
pub struct Caller(pub Client);

impl Caller {
    /// Makes a request. The body's type is that of a patch, or JSON.
    pub async fn call(&self, method: &str, path: &str, kind_of_body: &str, body: Option<&Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("Accept", "application/json");
        if body.is_some() {
            request = request.header("Content-Type", kind_of_body);
        }
        let body = body.map(|body| serde_json::to_vec(body).unwrap()).unwrap_or_default();
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// Sends a request of any form.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let asked = format!("{} {}", request.method(), request.uri());
        let answer = self.0.send(request).await.unwrap_or_else(|error| panic!("{asked}: {error:?}"));
        let warnings = answer.headers().get_all("warning").iter().filter_map(|value| value.to_str().ok());
        let warnings = warnings.map(|text| text.trim_start_matches("299 - ").replace('\\', "")).collect();
        let code = answer.status().as_u16();
        let bytes = answer.into_body().collect_bytes().await.unwrap_or_else(|error| panic!("{asked}: {error:?}"));
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into());
        Answer { code, body, warnings }
    }

    /// The lines of an answer that goes on, such as a watch or a followed log.
    pub async fn lines(&self, path: &str) -> Result<Lines<impl AsyncBufRead + use<>>, Answer> {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let answer = self.0.send(request).await.unwrap_or_else(|error| panic!("{path}: {error:?}"));
        let code = answer.status().as_u16();
        if code >= 400 {
            let bytes = answer.into_body().collect_bytes().await.unwrap();
            let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into());
            return Err(Answer { code, body, warnings: Vec::new() });
        }
        let stream = BodyDataStream::new(answer.into_body()).map_err(std::io::Error::other);
        Ok(stream.into_async_read().lines())
    }

    /// The events of a watch until the first that satisfies, or until the server ends the watch.
    pub async fn watch(&self, path: &str, mut enough: impl FnMut(&Value) -> bool) -> Vec<Value> {
        let mut lines = match self.lines(path).await {
            Ok(lines) => lines,
            Err(answer) => panic!("{path}: {}", answer.verdict()),
        };
        let mut events = Vec::new();
        while let Some(Ok(line)) = lines.next().await {
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no event: {line}"));
            let ends = enough(&event);
            events.push(event);
            if ends {
                break;
            }
        }
        events
    }
}

impl Cluster {
    /// The cluster of a kubeconfig.
    pub async fn open(kubeconfig: PathBuf, patience: Duration) -> Self {
        let file = Kubeconfig::read_from(&kubeconfig).unwrap();
        let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
        config.default_retry = false;
        config.read_timeout = None;
        let client = Client::try_from(config.clone()).unwrap();
        let node = Caller(client.clone()).call("GET", "/api/v1/nodes", "", None).await.items().remove(0);
        let run = format!("{:x}", std::process::id());
        Self {
            config,
            client,
            kubeconfig,
            patience,
            cache: tempfile::tempdir().unwrap(),
            node,
            count: AtomicU32::new(0),
            run,
        }
    }

    /// A caller with a token of a service account, or with none.
    pub fn with_token(&self, token: Option<&str>) -> Caller {
        let mut config = self.config.clone();
        let login = token.map_or_else(|| json!({}), |token| json!({"token": token}));
        config.auth_info = serde_json::from_value::<AuthInfo>(login).unwrap();
        Caller(Client::try_from(config).unwrap())
    }

    /// A name that nothing in the cluster has.
    pub fn fresh_name(&self) -> String {
        format!("contract-{}-{:03}", self.run, self.count.fetch_add(1, Ordering::SeqCst))
    }

    /// The texts that are peculiar to this cluster.
    pub fn names(&self) -> Names {
        let mut names = Names::default();
        for address in self.node["status"]["addresses"].as_array().into_iter().flatten() {
            if address["type"] == "InternalIP" {
                names.call(&text(&address["address"]), "NODE-ADDRESS");
            }
        }
        // The sandbox's node has the name by which texts speak of the sandbox itself.
        names.call("the sandbox", "the SANDBOX");
        names.call("infra.sandbox", "infra.SANDBOX");
        names.call(&text(&self.node["metadata"]["name"]), "NODE");
        names.call(&self.config.cluster_url.to_string(), "SERVER/");
        names.call(self.config.cluster_url.to_string().trim_end_matches('/'), "SERVER");
        names
    }
}
