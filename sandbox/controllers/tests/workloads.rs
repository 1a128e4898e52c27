//! Jobs and deployments, from the API to the last condition.

mod cluster;

use apiserver::Propagation;
use cluster::{Cluster, condition, deployment, job, template};
use serde_json::{Value, json};

fn finished(cluster: &Cluster, name: &str, kind: &str) -> Option<Value> {
    let job = cluster.get(kinds::JOBS, name)?;
    condition(&job, kind, "True").map(|_| (*job).clone())
}

#[tokio::test]
async fn a_job_completes_and_counts_every_pod_once() {
    let cluster = Cluster::with_node("8", "110").await;
    cluster.create(kinds::JOBS, job("count", json!({"completions": 7, "parallelism": 3}), "succeed")).await;
    let done = cluster.until("completion", |cluster| finished(cluster, "count", "Complete")).await;
    assert_eq!(done["status"]["succeeded"], 7, "{done}");
    assert_eq!(done["status"]["uncountedTerminatedPods"], json!({}));
    assert!(done["status"].get("active").is_none() && done["status"]["completionTime"].is_string());
    let condition = condition(&done, "SuccessCriteriaMet", "True").unwrap();
    assert_eq!(condition["message"], "Reached expected number of succeeded pods");
    assert_eq!(cluster.event("count", "Completed").await, "Job completed");
    let pods = cluster.list(kinds::PODS, "app=count");
    assert_eq!(pods.len(), 7);
    assert!(pods.iter().all(|pod| pod["metadata"].get("finalizers").is_none()));
}

#[tokio::test]
async fn an_indexed_job_gives_each_pod_its_index() {
    let cluster = Cluster::with_node("8", "110").await;
    let fields = json!({"completions": 4, "parallelism": 4, "completionMode": "Indexed"});
    cluster.create(kinds::JOBS, job("ix", fields, "succeed")).await;
    let done = cluster.until("completion", |cluster| finished(cluster, "ix", "Complete")).await;
    assert_eq!(done["status"]["completedIndexes"], "0-3");
    let pods = cluster.list(kinds::PODS, "batch.kubernetes.io/job-completion-index=2");
    assert_eq!(pods[0]["spec"]["hostname"], "ix-2");
    assert_eq!(pods[0]["spec"]["containers"][0]["env"][0]["name"], "JOB_COMPLETION_INDEX");
}

#[tokio::test]
async fn a_job_that_fails_too_often_says_so() {
    let cluster = Cluster::with_node("8", "110").await;
    cluster.create(kinds::JOBS, job("bad", json!({"backoffLimit": 0}), "fail")).await;
    let done = cluster.until("failure", |cluster| finished(cluster, "bad", "Failed")).await;
    assert_eq!(done["status"]["failed"], 1);
    assert_eq!(condition(&done, "FailureTarget", "True").unwrap()["reason"], "BackoffLimitExceeded");
    assert_eq!(cluster.event("bad", "BackoffLimitExceeded").await, "Job has reached the specified backoff limit");
}

#[tokio::test]
async fn a_job_past_its_deadline_ends_its_pods() {
    let cluster = Cluster::with_node("8", "110").await;
    cluster.create(kinds::JOBS, job("late", json!({"activeDeadlineSeconds": 1}), "run")).await;
    let done = cluster.until("failure", |cluster| finished(cluster, "late", "Failed")).await;
    assert_eq!(condition(&done, "Failed", "True").unwrap()["message"], "Job was active longer than specified deadline");
    cluster.until("the end of the pod", |cluster| cluster.list(kinds::PODS, "app=late").is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_suspended_job_has_no_pods_until_it_is_resumed() {
    let cluster = Cluster::with_node("8", "110").await;
    cluster.create(kinds::JOBS, job("rest", json!({"suspend": true}), "succeed")).await;
    let rests = |cluster: &Cluster| condition(&*cluster.get(kinds::JOBS, "rest")?, "Suspended", "True");
    cluster.until("suspension", rests).await;
    assert!(cluster.list(kinds::PODS, "app=rest").is_empty());
    cluster.change(kinds::JOBS, "rest", |job| job["spec"]["suspend"] = false.into()).await;
    let done = cluster.until("completion", |cluster| finished(cluster, "rest", "Complete")).await;
    assert!(condition(&done, "Suspended", "False").is_some());
}

#[tokio::test]
async fn a_finished_job_goes_when_its_time_has_come_and_takes_its_pods_with_it() {
    let cluster = Cluster::with_node("8", "110").await;
    cluster.create(kinds::JOBS, job("ttl", json!({"ttlSecondsAfterFinished": 0}), "succeed")).await;
    cluster.until("removal", |cluster| cluster.get(kinds::JOBS, "ttl").is_none().then_some(())).await;
    cluster.until("removal of pods", |cluster| cluster.list(kinds::PODS, "app=ttl").is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_deployment_becomes_available_and_rolls_over_to_a_new_template() {
    let cluster = Cluster::with_node("8", "110").await;
    cluster.create(kinds::DEPLOYMENTS, deployment("web", 3, &template("web", "run", "10m"))).await;
    let ready = |cluster: &Cluster| {
        let deployment = cluster.get(kinds::DEPLOYMENTS, "web")?;
        let progress = condition(&deployment, "Progressing", "True")?;
        let whole = deployment["status"]["updatedReplicas"] == 3
            && deployment["status"]["replicas"] == 3
            && deployment["status"]["observedGeneration"] == deployment["metadata"]["generation"];
        (whole && progress["reason"] == "NewReplicaSetAvailable").then_some(deployment)
    };
    let first = cluster.until("availability", ready).await;
    assert_eq!(condition(&first, "Available", "True").unwrap()["reason"], "MinimumReplicasAvailable");
    assert_eq!(first["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "1");
    cluster
        .change(kinds::DEPLOYMENTS, "web", |deployment| {
            deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "other".into();
        })
        .await;
    let second = |cluster: &Cluster| {
        let deployment = ready(cluster)?;
        let sets = cluster.list(kinds::REPLICA_SETS, "app=web");
        let old_gone = sets.iter().filter(|set| set["spec"]["replicas"] == 0).count() == 1;
        (old_gone && deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2").then_some(sets)
    };
    assert_eq!(cluster.until("the second template", second).await.len(), 2);
    assert!(cluster.event("web", "ScalingReplicaSet").await.starts_with("Scaled up replica set web-"));
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_told_by_the_replica_set_and_the_deployment() {
    let cluster = Cluster::with_node("8", "110").await;
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}}});
    cluster.create(kinds::RESOURCE_QUOTAS, quota).await;
    cluster.create(kinds::DEPLOYMENTS, deployment("web", 2, &template("web", "run", "10m"))).await;
    let failure = |cluster: &Cluster| condition(&*cluster.get(kinds::DEPLOYMENTS, "web")?, "ReplicaFailure", "True");
    let failure = cluster.until("the failure", failure).await;
    let message = failure["message"].as_str().unwrap();
    assert!(
        message.contains("is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"),
        "{message}"
    );
    let used =
        |cluster: &Cluster| (cluster.get(kinds::RESOURCE_QUOTAS, "q")?["status"]["used"]["pods"] == "1").then_some(());
    cluster.until("the quota's status", used).await;
}

#[tokio::test]
async fn recreating_stops_all_old_pods_before_the_first_new_one_starts() {
    let cluster = Cluster::with_node("8", "110").await;
    let mut web = deployment("web", 2, &template("web", "run", "10m"));
    web["spec"]["strategy"] = json!({"type": "Recreate"});
    cluster.create(kinds::DEPLOYMENTS, web).await;
    let available =
        |cluster: &Cluster| (cluster.get(kinds::DEPLOYMENTS, "web")?["status"]["availableReplicas"] == 2).then_some(());
    cluster.until("availability", available).await;
    cluster
        .change(kinds::DEPLOYMENTS, "web", |deployment| {
            deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "other".into();
        })
        .await;
    let image = |pod: &Value| pod["spec"]["containers"][0]["image"].clone();
    cluster
        .until("only new pods", |cluster| {
            let pods = cluster.list(kinds::PODS, "app=web");
            let new = pods.iter().filter(|pod| image(pod) == "other").count();
            assert!(new == 0 || new == pods.len(), "old and new pods at the same time");
            (new == 2).then_some(())
        })
        .await;
}

#[tokio::test]
async fn what_a_deployment_owns_goes_before_it_after_it_or_stays() {
    let cluster = Cluster::with_node("8", "110").await;
    for propagation in [Propagation::Background, Propagation::Foreground, Propagation::Orphan] {
        let name = format!("{propagation:?}").to_lowercase();
        cluster.create(kinds::DEPLOYMENTS, deployment(&name, 1, &template(&name, "run", "10m"))).await;
        let label = format!("app={name}");
        cluster.until("a pod", |cluster| (cluster.list(kinds::PODS, &label).len() == 1).then_some(())).await;
        cluster.delete(kinds::DEPLOYMENTS, &name, propagation).await;
        cluster
            .until("the deployment's end", |cluster| cluster.get(kinds::DEPLOYMENTS, &name).is_none().then_some(()))
            .await;
        if propagation == Propagation::Orphan {
            let sets = cluster.list(kinds::REPLICA_SETS, &label);
            assert_eq!(sets[0]["metadata"].get("ownerReferences"), None);
        } else {
            cluster.until("the pod's end", |cluster| cluster.list(kinds::PODS, &label).is_empty().then_some(())).await;
        }
    }
}
