//! What a person sees: transcripts of kubectl.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::statements;
use crate::case::{Case, is_finished};
use crate::objects::{self, claim, config_map, job, pod, pod_of, replicated, service};

statements!("kubectl":
    get_shows_every_kind,
    get_prints_objects,
    describe_tells_of_every_kind,
    apply_creates_configures_and_leaves_alone,
    apply_on_the_servers_side_tells_conflicts,
    diff_shows_what_would_change,
    delete_waits_for_the_end,
    wait_waits_for_conditions,
    logs_are_shown_and_followed,
    logs_of_containers_that_cannot_have_any_say_why,
    exec_runs_a_program_and_keeps_its_exit_code,
    a_forwarded_port_leads_into_the_pod,
    rollout_tells_and_goes_back,
    scale_label_annotate_and_patch_change_objects,
    can_i_asks_for_rights,
    kinds_are_listed,
    create_and_run_make_objects,
    set_and_expose_change_workloads,
    errors_are_told,
);

async fn get_shows_every_kind(case: &Case) {
    case.create(config_map("settings", json!({"a": "1"}))).await.object();
    case.create(json!({"kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"a": "b"}})).await.object();
    case.create(service("web", 8080, json!({}))).await.object();
    case.create(claim("data", "ReadWriteOnce", "1Gi")).await.object();
    case.create(replicated("Deployment", "web", 1, &["sleep"])).await.object();
    case.create(replicated("ReplicationController", "old", 0, &["sleep"])).await.object();
    case.create(job("short", &["print", "x"], json!({}))).await.object();
    let quota = json!({"kind": "ResourceQuota", "metadata": {"name": "quota"}, "spec": {"hard": {"pods": "9"}}});
    case.create(quota).await.object();
    let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]);
    case.create(json!({"kind": "Role", "metadata": {"name": "read"}, "rules": rules})).await.object();
    case.until("Deployment", "web", |it| it["status"]["readyReplicas"] == 1).await;
    case.until("Job", "short", |it| it["status"]["succeeded"] == 1).await;
    case.until("ResourceQuota", "quota", |it| it["status"]["used"].is_object()).await;
    let kinds = [
        "namespaces NAMESPACE",
        "pods",
        "deployments",
        "replicasets",
        "replicationcontrollers",
        "jobs",
        "services",
        "endpointslices",
        "configmaps",
        "secrets",
        "serviceaccounts",
        "persistentvolumeclaims",
        "resourcequotas",
        "limitranges",
        "roles",
        "rolebindings",
        "storageclasses",
    ];
    for kind in kinds {
        case.kubectl(&format!("get {kind}")).await;
        case.kubectl(&format!("get {kind} -o wide")).await;
    }
    case.kubectl("get all").await;
    case.kubectl("get pods,jobs --show-labels").await;
    case.kubectl("get deploy/web svc/web").await;
    case.kubectl("get pods -l app=short --no-headers").await;
    case.kubectl("get pods --field-selector status.phase=Succeeded").await;
    case.kubectl("get pods -L app --sort-by .metadata.labels.app").await;
}

async fn get_prints_objects(case: &Case) {
    case.create(config_map("settings", json!({"a": "1"}))).await.object();
    for form in [
        "yaml",
        "json",
        "name",
        "jsonpath={.data.a}",
        "custom-columns=NAME:.metadata.name,A:.data.a",
        "yaml --show-managed-fields",
    ] {
        case.kubectl(&format!("get configmap settings -o {form}")).await;
    }
    case.kubectl("get configmap -o name").await;
    case.run(pod("short", &["print", "x"])).await;
    case.kubectl("get pod short -o yaml").await;
}

async fn describe_tells_of_every_kind(case: &Case) {
    case.create(config_map("settings", json!({"a": "1"}))).await.object();
    case.create(service("web", 8080, json!({}))).await.object();
    case.create(replicated("Deployment", "web", 1, &["sleep"])).await.object();
    case.until("Deployment", "web", |it| it["status"]["readyReplicas"] == 1).await;
    case.create(job("short", &["print", "x"], json!({}))).await.object();
    case.until("Job", "short", |it| it["status"]["succeeded"] == 1).await;
    case.event("short", "Completed").await;
    case.run(pod("alone", &["print", "x"])).await;
    case.create(claim("data", "ReadWriteOnce", "1Gi")).await.object();
    for what in [
        "configmap settings",
        "service web",
        "deployment web",
        "job short",
        "pod alone",
        "pvc data",
        "serviceaccount default",
        "namespace NAMESPACE",
    ] {
        case.kubectl(&format!("describe {what}")).await;
    }
}

async fn apply_creates_configures_and_leaves_alone(case: &Case) {
    let mut map = config_map("settings", json!({"a": "1", "b": "2"}));
    case.kubectl_with("apply -f -", &map).await;
    case.kubectl_with("apply -f -", &map).await;
    map["data"] = json!({"a": "3"});
    case.kubectl_with("apply -f -", &map).await;
    case.kubectl("get configmap settings -o jsonpath={.data}").await;
    let mut deployment = replicated("Deployment", "web", 0, &["sleep"]);
    case.kubectl_with("apply -f - --dry-run=server", &deployment).await;
    case.kubectl_with("apply -f -", &deployment).await;
    deployment["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "A", "value": "1"}]);
    case.kubectl_with("apply -f -", &deployment).await;
    let list = json!({"kind": "List", "items": [config_map("one", json!({})), config_map("two", json!({}))]});
    case.kubectl_with("apply -f -", &list).await;
    deployment["spec"]["colour"] = "red".into();
    case.kubectl_with("apply -f - --validate=strict", &deployment).await;
}

async fn apply_on_the_servers_side_tells_conflicts(case: &Case) {
    let map = |value: &str| config_map("settings", json!({"a": value}));
    case.kubectl_with("apply --server-side -f -", &map("1")).await;
    case.kubectl_with("apply --server-side -f -", &map("1")).await;
    case.kubectl_with("apply --server-side --field-manager=other -f -", &map("2")).await;
    case.kubectl_with("apply --server-side --field-manager=other --force-conflicts -f -", &map("2")).await;
    case.kubectl("get configmap settings -o yaml --show-managed-fields").await;
}

async fn diff_shows_what_would_change(case: &Case) {
    case.kubectl_with("apply -f -", &config_map("settings", json!({"a": "1"}))).await;
    for (label, map) in
        [("same", config_map("settings", json!({"a": "1"}))), ("changed", config_map("settings", json!({"a": "2"})))]
    {
        let mut seen = case.kubectl_quietly("diff -f -", &crate::case::complete(map).to_string()).await;
        // The names of temporary files are nobody's business.
        let lines = seen["out"].as_array().unwrap().iter().filter(|it| {
            let line = it.as_str().unwrap();
            !["diff ", "---", "+++"].iter().any(|start| line.starts_with(start))
        });
        seen["out"] = lines.cloned().collect();
        case.see(label, seen);
    }
}

async fn delete_waits_for_the_end(case: &Case) {
    case.ready_pod(pod("runs", &["sleep"])).await;
    case.create(config_map("a", json!({}))).await.object();
    case.kubectl("delete pod runs").await;
    case.kubectl("get pod runs").await;
    case.kubectl("delete configmap a nothing").await;
    case.kubectl("delete configmap nothing --ignore-not-found").await;
    case.kubectl("delete configmaps -l a=b").await;
}

async fn wait_waits_for_conditions(case: &Case) {
    // It must not be gone before it is waited for.
    let grace = json!({"terminationGracePeriodSeconds": 5});
    case.create(pod_of("runs", &["stubborn", "+", "sleep"], grace)).await.object();
    case.kubectl("wait --for=condition=Ready pod/runs --timeout=60s").await;
    case.kubectl("wait --for=jsonpath={.status.phase}=Running pod/runs --timeout=60s").await;
    case.kubectl("wait --for=condition=Nothing pod/runs --timeout=1s").await;
    case.create(job("short", &["print", "x"], json!({}))).await.object();
    case.kubectl("wait --for=condition=Complete job/short --timeout=60s").await;
    case.kubectl("delete pod runs --wait=false").await;
    case.kubectl("wait --for=delete pod/runs --timeout=60s").await;
}

async fn logs_are_shown_and_followed(case: &Case) {
    case.run(pod("lines", &["lines", "5", "+", "complain", "an error"])).await;
    case.kubectl("logs lines").await;
    case.kubectl("logs lines --tail=2").await;
    case.kubectl("logs lines --limit-bytes=10").await;
    case.kubectl("logs lines --timestamps").await;
    case.kubectl("logs lines -f").await;
    case.create(pod("slow", &["lines", "3", "300"])).await.object();
    case.until("Pod", "slow", |it| it["status"]["phase"] != "Pending").await;
    case.kubectl("logs -f slow").await;
    case.create(job("short", &["print", "of a job"], json!({}))).await.object();
    case.until("Job", "short", |it| it["status"]["succeeded"] == 1).await;
    case.kubectl("logs job/short").await;
    case.kubectl("logs -l app=short --prefix").await;
}

async fn logs_of_containers_that_cannot_have_any_say_why(case: &Case) {
    case.create(objects::pod_of("held", &[], json!({"nodeSelector": {"nowhere": "1"}}))).await.object();
    case.kubectl("logs held").await;
    case.kubectl("logs held -c other").await;
    case.kubectl("logs nothing").await;
    case.run(pod("short", &["print", "x"])).await;
    case.kubectl("logs short --previous").await;
}

async fn exec_runs_a_program_and_keeps_its_exit_code(case: &Case) {
    case.ready_pod(pod("runs", &["sleep"])).await;
    case.kubectl("exec runs -- /tool print hello + complain oh").await;
    case.kubectl("exec runs -- /tool exit 7").await;
    case.kubectl("exec runs -- /tool terminal").await;
    case.kubectl("exec runs -- /nothing").await;
    case.kubectl("exec runs -c other -- /tool").await;
    case.kubectl("exec nothing -- /tool").await;
    case.see("input", case.kubectl_quietly("exec -i runs -- /tool copy-input", "through the pipe\n").await);
    case.run(pod("ended", &["print", "x"])).await;
    case.kubectl("exec ended -- /tool").await;
}

async fn a_forwarded_port_leads_into_the_pod(case: &Case) {
    case.ready_pod(pod("web", &["serve", "8080", "through the tunnel"])).await;
    let mut child = case.start_kubectl("port-forward pod/web :8080 --address 127.0.0.1");
    let mut out = child.stdout.take().unwrap();
    let (mut said, mut buffer) = (String::new(), [0; 512]);
    let begin = tokio::time::timeout(Duration::from_secs(30), async {
        while !said.contains('\n') {
            let count = out.read(&mut buffer).await.unwrap();
            assert!(count > 0, "port-forward ended: {said}");
            said += &String::from_utf8_lossy(&buffer[..count]);
        }
    });
    begin.await.expect("port-forward begins");
    let port: u16 =
        said.split("127.0.0.1:").nth(1).and_then(|it| it.split(' ').next()).and_then(|it| it.parse().ok()).unwrap();
    let mut answers = Vec::new();
    for _ in 0..3 {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        answers.push(answer.lines().last().unwrap_or_default().to_owned());
    }
    case.see("answers", answers);
    child.kill().await.unwrap();
}

async fn rollout_tells_and_goes_back(case: &Case) {
    case.create(replicated("Deployment", "web", 1, &["sleep"])).await.object();
    case.until("Deployment", "web", |it| it["status"]["readyReplicas"] == 1).await;
    case.kubectl("rollout status deployment/web --timeout=60s").await;
    case.kubectl("set env deployment/web A=1").await;
    case.kubectl_quietly("rollout status deployment/web --timeout=60s", "").await;
    case.kubectl("rollout history deployment/web").await;
    case.kubectl("rollout undo deployment/web").await;
    case.kubectl_quietly("rollout status deployment/web --timeout=60s", "").await;
    case.kubectl("get deployment web -o jsonpath={.spec.template.spec.containers[0].env}").await;
    case.kubectl("rollout pause deployment/web").await;
    case.kubectl("rollout resume deployment/web").await;
    case.kubectl("rollout restart deployment/web").await;
}

async fn scale_label_annotate_and_patch_change_objects(case: &Case) {
    case.create(replicated("Deployment", "web", 0, &["sleep"])).await.object();
    case.kubectl("scale deployment web --replicas=1").await;
    case.kubectl("scale deployment web --replicas=0 --current-replicas=5").await;
    case.kubectl("label deployment web tier=front").await;
    case.kubectl("label deployment web tier=back").await;
    case.kubectl("label deployment web tier=back --overwrite").await;
    case.kubectl("label deployment web tier-").await;
    case.kubectl("annotate deployment web note='a b'").await;
    case.kubectl("patch deployment web -p '{\"spec\":{\"minReadySeconds\":1}}'").await;
    case.kubectl("patch deployment web --type=json -p '[{\"op\":\"remove\",\"path\":\"/spec/nothing\"}]'").await;
    case.kubectl("patch deployment web --type=merge -p '{\"spec\":{\"replicas\":-1}}'").await;
}

async fn can_i_asks_for_rights(case: &Case) {
    case.kubectl("auth can-i create pods").await;
    case.kubectl("auth can-i '*' '*' --all-namespaces").await;
    case.kubectl("auth can-i get /healthz").await;
}

async fn kinds_are_listed(case: &Case) {
    let ours = [
        "configmaps",
        "endpointslices",
        "jobs",
        "namespaces",
        "nodes",
        "persistentvolumeclaims",
        "persistentvolumes",
        "pods",
        "replicasets",
        "deployments",
        "replicationcontrollers",
        "resourcequotas",
        "roles",
        "secrets",
        "serviceaccounts",
        "services",
        "storageclasses",
    ];
    let mut seen = case.kubectl_quietly("api-resources", "").await;
    let lines = seen["out"].as_array().unwrap().iter();
    let wanted: Value =
        lines.filter(|it| ours.contains(&it.as_str().unwrap().split(' ').next().unwrap())).cloned().collect();
    seen["out"] = wanted;
    case.see("api-resources", seen);
    case.kubectl("get nothing").await;
    case.kubectl("explain configmap.data").await;
}

async fn create_and_run_make_objects(case: &Case) {
    case.kubectl("create configmap settings --from-literal=a=1").await;
    case.kubectl("create configmap settings --from-literal=a=1").await;
    case.kubectl("create secret generic keys --from-literal=a=1").await;
    case.kubectl("create serviceaccount robot").await;
    case.kubectl("create role reader --verb=get --resource=pods").await;
    case.kubectl("create rolebinding reader --role=reader --serviceaccount=NAMESPACE:robot").await;
    case.kubectl("create quota small --hard=pods=9").await;
    case.kubectl("create job once --image=contract-tool:1 -- /tool print hello").await;
    case.kubectl("wait --for=condition=Complete job/once --timeout=60s").await;
    case.kubectl("logs job/once").await;
    case.kubectl("run lone --image=contract-tool:1 --restart=Never -- print hello").await;
    case.until("Pod", "lone", is_finished).await;
    case.kubectl("logs lone").await;
    let token = case.kubectl_quietly("create token robot", "").await;
    case.see("token", token["out"].as_array().map(|lines| json!([lines.len(), token["code"]])));
}

async fn set_and_expose_change_workloads(case: &Case) {
    case.kubectl("create deployment web --image=contract-tool:1 --replicas=1 --port=8080 -- /tool serve 8080").await;
    case.kubectl("expose deployment web --port=80 --target-port=8080").await;
    case.kubectl("set image deployment/web contract-tool=contract-tool:1").await;
    case.kubectl("set resources deployment/web --limits=memory=64Mi").await;
    let told = case.kubectl_quietly("rollout status deployment/web --timeout=60s", "").await;
    case.see("rolled out", told["out"].as_array().and_then(|lines| lines.last()).cloned());
    case.kubectl("get service web").await;
}

async fn errors_are_told(case: &Case) {
    case.kubectl("get pod nothing").await;
    case.kubectl("get pods").await;
    case.kubectl("get pods -l 'a in'").await;
    case.kubectl("get pods --field-selector a=b").await;
    case.kubectl_with("create -f -", &config_map("UPPER", json!({}))).await;
    case.kubectl_with(
        "apply -f -",
        &json!({"kind": "Nonsense", "apiVersion": "example.com/v1", "metadata": {"name": "x"}}),
    )
    .await;
    case.kubectl("get pods --namespace nowhere").await;
}
