//! The real kubectl.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::served::{Served, served};

/// Runs kubectl and gives whether it was content, and all it said.
async fn kubectl(served: &Served, arguments: &[&str], input: &str) -> (bool, String) {
    let config = served.folder.path().join("kubeconfig");
    std::fs::write(&config, served.api.credentials().kubeconfig(&served.url)).expect("a file");
    let mut command = Command::new("kubectl");
    command.arg("--kubeconfig").arg(config).args(arguments);
    command.env("HOME", served.folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let input = input.to_owned();
    let run = move || {
        let mut child = command.spawn().expect("kubectl is on the path");
        child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("it reads");
        child.wait_with_output().expect("it ends")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\ndata:\n  a: \"1\"\n";

const LIST: &str = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: two}}\n";
const NONSENSE: &str = "apiVersion: example.com/v1\nkind: Nonsense\nmetadata: {name: x}\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_applies_compares_patches_and_deletes() {
    let served = served().await;
    let changed = MAP.replace("\"1\"", "\"2\"");
    let typo = MAP.replace("\ndata:", "\ndota:");
    // Arguments, input, whether it succeeds, and what it says.
    let table: Vec<(&[&str], &str, bool, &str)> = vec![
        (&["apply", "-f", "-"], MAP, true, "configmap/one created"),
        (&["apply", "-f", "-"], MAP, true, "configmap/one unchanged"),
        (&["diff", "-f", "-"], &changed, false, "+  a: \"2\""),
        (&["apply", "-f", "-"], &changed, true, "configmap/one configured"),
        (
            &["apply", "--server-side", "--field-manager=other", "-f", "-"],
            MAP,
            false,
            "conflict with \"kubectl-client-side",
        ),
        (&["apply", "--server-side", "--force-conflicts", "-f", "-"], MAP, true, "configmap/one serverside-applied"),
        (&["apply", "-f", "-"], &typo, false, "strict decoding error: unknown field \"dota\""),
        (&["label", "configmap", "one", "color=red"], "", true, "configmap/one labeled"),
        (&["annotate", "configmap", "one", "note=x"], "", true, "configmap/one annotated"),
        (&["patch", "configmap", "one", "-p", "{\"data\":{\"b\":\"2\"}}"], "", true, "configmap/one patched"),
        (&["get", "configmap", "one", "-o", "jsonpath={.data}"], "", true, "{\"a\":\"1\",\"b\":\"2\"}"),
        (&["get", "configmaps", "-l", "color=red", "-o", "name"], "", true, "configmap/one"),
        (&["get", "configmap", "nobody"], "", false, "Error from server (NotFound): configmaps \"nobody\" not found"),
        (&["apply", "-f", "-"], LIST, true, "configmap/two created"),
        (&["apply", "-f", "-"], NONSENSE, false, "no matches for kind \"Nonsense\" in version \"example.com/v1\""),
        (&["create", "namespace", "second"], "", true, "namespace/second created"),
        (&["create", "deployment", "web", "--image=none", "-n", "second"], "", true, "deployment.apps/web created"),
        (&["scale", "deployment", "web", "--replicas=3", "-n", "second"], "", true, "deployment.apps/web scaled"),
        (&["get", "deployment", "web", "-n", "second", "-o", "jsonpath={.spec.replicas}"], "", true, "3"),
        (&["auth", "can-i", "delete", "pods"], "", true, "yes"),
        (&["delete", "configmap", "one"], "", true, "configmap \"one\" deleted"),
        (&["wait", "--for=delete", "configmap/one", "--timeout=5s"], "", true, ""),
    ];
    for (arguments, input, succeeds, says) in table {
        let (content, said) = kubectl(&served, arguments, input).await;
        assert_eq!(content, succeeds, "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?} does not say {says:?} but {said:?}");
    }
}
