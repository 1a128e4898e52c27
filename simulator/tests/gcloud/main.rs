//! The real gcloud against the simulator: what it asks is answered so that it is content.

mod kubernetes;

use std::process::{Command, ExitCode};
use std::sync::Arc;

use kubernetes::Servers;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use simulator::{Identity, Options, Project, Running};

/// A story: a name, and what is told to gcloud, one command after the other.
type Story = fn(&Cloud) -> Result<(), Failed>;

const STORIES: [(&str, Story); 9] = [
    ("clusters_are_made_seen_resized_and_removed", clusters),
    ("node_pools_are_made_seen_and_removed", node_pools),
    ("disks_and_snapshots_are_made_labelled_and_removed", disks),
    ("networks_with_routers_and_nat_are_made_and_removed", networks),
    ("addresses_and_forwarding_rules_hold_each_other", balancers),
    ("repositories_and_what_is_in_them_are_seen", repositories),
    ("services_and_accounts_are_seen_and_changed", services),
    ("quotas_and_offers_are_seen", quotas),
    (KUBECTL, kubectl),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = program().is_none();
    if missing {
        println!("skipped: gcloud: INFRA_TEST_GCLOUD names no gcloud");
    }
    let lacking = !missing && !has_kubectl();
    if lacking {
        println!("skipped: kubectl: kubectl or gke-gcloud-auth-plugin is not installed");
    }
    let trials = STORIES.map(|(name, story)| {
        Trial::test(name, move || {
            let cloud = Cloud::start()?;
            story(&cloud)?;
            cloud.end()
        })
        .with_ignored_flag(missing || (lacking && name == KUBECTL))
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

/// The gcloud to test with.
fn program() -> Option<std::ffi::OsString> {
    std::env::var_os("INFRA_TEST_GCLOUD").filter(|program| !program.is_empty())
}

/// The story that needs more than gcloud.
const KUBECTL: &str = "kubectl_works_with_the_kubeconfig_that_gcloud_wrote";

/// Whether there is all that gcloud's kubeconfig needs.
fn has_kubectl() -> bool {
    let there = |program: &str, argument: &str| Command::new(program).arg(argument).output().is_ok();
    there("kubectl", "--help") && there("gke-gcloud-auth-plugin", "--version")
}

/// A simulator with a configuration of gcloud that leads to it.
struct Cloud {
    runtime: tokio::runtime::Runtime,
    running: Running,
    folder: tempfile::TempDir,
}

const ZONE: &str = "--zone=us-central1-a";
const REGION: &str = "--region=us-central1";
const LOCATION: &str = "--location=us-central1";

impl Cloud {
    fn start() -> Result<Self, Failed> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let servers = Servers { folder: tempfile::tempdir()? };
        let mut options = Options::new(Arc::new(servers));
        // gcloud looks after an operation of a cluster every five seconds at most.
        options.speed = 600.0;
        options.tokens = vec![Identity { token: "known".into(), email: "me@example.com".into() }];
        options.projects = vec![Project { services: Project::new("demo").services, ..Project::fresh("demo") }];
        let running = runtime.block_on(simulator::start(options))?;
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("token"), "known")?;
        Ok(Self { runtime, running, folder })
    }

    /// What gcloud answers, as JSON if it is some.
    fn run(&self, arguments: &str) -> Result<Value, Failed> {
        let output = self.command(arguments).output()?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !output.status.success() || err.contains("did not succeed") {
            return Err(format!("gcloud {arguments}: {out}{err}").into());
        }
        Ok(serde_json::from_str(&out).unwrap_or_else(|_| Value::String(out.into_owned())))
    }

    /// What gcloud says when it is refused.
    fn refused(&self, arguments: &str) -> Result<String, Failed> {
        let output = self.command(arguments).output()?;
        if output.status.success() {
            return Err(format!("gcloud {arguments} was not refused").into());
        }
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = self.program(&program().unwrap_or_default());
        command.args(arguments.split_whitespace()).arg("--format=json");
        command
    }

    /// A program that finds gcloud's configuration.
    fn program(&self, program: &std::ffi::OsStr) -> Command {
        let (folder, url) = (self.folder.path(), self.running.url());
        let mut command = Command::new(program);
        command.env("CLOUDSDK_CONFIG", folder.join("config")).env("KUBECONFIG", folder.join("kubeconfig"));
        command.env("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", folder.join("token")).env("CLOUDSDK_CORE_PROJECT", "demo");
        for name in ["CORE_DISABLE_PROMPTS", "CORE_DISABLE_USAGE_REPORTING", "COMPONENT_MANAGER_DISABLE_UPDATE_CHECK"] {
            command.env(format!("CLOUDSDK_{name}"), "1");
        }
        for name in ["CONTAINER", "SERVICEUSAGE", "ARTIFACTREGISTRY", "IAM", "CLOUDRESOURCEMANAGER", "CLOUDBILLING"] {
            command.env(format!("CLOUDSDK_API_ENDPOINT_OVERRIDES_{name}"), format!("{url}/"));
        }
        command.env("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", format!("{url}/compute/v1/"));
        command
    }

    /// Whether nothing is left, no call went astray, and no answer was one that Google could not have given.
    fn end(self) -> Result<(), Failed> {
        let ledger = self.running.ledger();
        let left: Vec<&str> = ledger.left().map(|entry| entry.name.as_str()).collect();
        let astray: Vec<&str> =
            ledger.calls.iter().filter(|call| call.method.contains(' ')).map(|call| call.method.as_str()).collect();
        if !left.is_empty() || !astray.is_empty() || !ledger.problems.is_empty() {
            return Err(format!("left: {left:?}, astray: {astray:?}, problems: {:?}", ledger.problems).into());
        }
        self.runtime.block_on(self.running.stop());
        Ok(())
    }
}

/// Whether a value is what it should be.
fn same(seen: &Value, wanted: &str) -> Result<(), Failed> {
    let text = seen.as_str().map_or_else(|| seen.to_string(), str::to_owned);
    if text == wanted { Ok(()) } else { Err(format!("{text} instead of {wanted}").into()) }
}

fn holds(text: &str, wanted: &str) -> Result<(), Failed> {
    if text.contains(wanted) { Ok(()) } else { Err(format!("{text:?} says nothing of {wanted:?}").into()) }
}

fn clusters(cloud: &Cloud) -> Result<(), Failed> {
    let forms =
        "--num-nodes=2 --disk-size=30 --disk-type=pd-standard --machine-type=e2-standard-2 --image-type=COS_CONTAINERD";
    cloud.run(&format!("container clusters create c {ZONE} {forms} --labels=infra-deployment=test"))?;
    let listed = cloud.run("container clusters list")?;
    same(&listed[0]["status"], "RUNNING")?;
    let cluster = cloud.run(&format!("container clusters describe c {ZONE}"))?;
    same(&cluster["resourceLabels"]["infra-deployment"], "test")?;
    same(&cluster["nodePools"][0]["config"]["diskType"], "pd-standard")?;
    cloud.run(&format!("container clusters resize c {ZONE} --num-nodes=3"))?;
    same(&cloud.run(&format!("container clusters describe c {ZONE}"))?["currentNodeCount"], "3")?;
    same(&cloud.run("compute instances list")?[2]["status"], "RUNNING")?;
    cloud.run(&format!("container clusters get-credentials c {ZONE}"))?;
    let kubeconfig = std::fs::read_to_string(cloud.folder.path().join("kubeconfig"))?;
    holds(&kubeconfig, "https://127.0.0.1:")?;
    holds(
        &cloud.refused(&format!("container clusters create c {ZONE} {forms}"))?,
        "Already exists: projects/demo/zones/us-central1-a/clusters/c.",
    )?;
    let huge = format!("container clusters create d {ZONE} --num-nodes=40 --machine-type=e2-standard-2");
    holds(&cloud.refused(&huge)?, "Insufficient regional quota to satisfy request: resource \"CPUS\"")?;
    cloud.run(&format!("container clusters update c {ZONE} --update-labels=a=b"))?;
    let operations = cloud.run(&format!("container operations list {ZONE}"))?;
    same(&operations[0]["operationType"], "CREATE_CLUSTER")?;
    cloud.run(&format!("container clusters delete c {ZONE}"))?;
    same(&cloud.run("container clusters list")?, "[]")
}

fn node_pools(cloud: &Cloud) -> Result<(), Failed> {
    cloud.run(&format!(
        "container clusters create c {REGION} --num-nodes=1 --disk-size=20 --spot --enable-private-nodes \
                        --enable-ip-alias --master-ipv4-cidr=172.16.0.0/28"
    ))?;
    let gpu = "--machine-type=n1-standard-1 --accelerator=type=nvidia-tesla-t4,count=1 --node-locations=us-central1-a";
    cloud.run(&format!(
        "container node-pools create gpu --cluster=c {REGION} --num-nodes=1 --disk-size=20 {gpu} \
                        --node-labels=a=b --node-taints=k=v:NoSchedule"
    ))?;
    let pools = cloud.run(&format!("container node-pools list --cluster=c {REGION}"))?;
    same(&pools[1]["config"]["accelerators"][0]["acceleratorCount"], "1")?;
    same(&pools[1]["config"]["taints"][0]["effect"], "NO_SCHEDULE")?;
    same(&cloud.run(&format!("container node-pools describe gpu --cluster=c {REGION}"))?["status"], "RUNNING")?;
    cloud.run(&format!("container node-pools delete gpu --cluster=c {REGION}"))?;
    cloud.run(&format!("container clusters delete c {REGION}"))?;
    Ok(())
}

fn disks(cloud: &Cloud) -> Result<(), Failed> {
    cloud.run(&format!("compute disks create d {ZONE} --size=20GB --type=pd-ssd --labels=infra-deployment=test"))?;
    same(&cloud.run("compute disks list --filter=labels.infra-deployment=test")?[0]["sizeGb"], "20")?;
    cloud.run(&format!("compute disks resize d {ZONE} --size=30GB"))?;
    cloud.run(&format!("compute disks add-labels d {ZONE} --labels=q=r"))?;
    let disk = cloud.run(&format!("compute disks describe d {ZONE}"))?;
    same(&disk["sizeGb"], "30")?;
    same(&disk["labels"]["q"], "r")?;
    cloud.run(&format!("compute disks snapshot d {ZONE} --snapshot-names=s"))?;
    same(&cloud.run("compute snapshots list")?[0]["diskSizeGb"], "30")?;
    cloud.run("compute snapshots delete s")?;
    cloud.run(&format!("compute disks delete d {ZONE}"))?;
    Ok(())
}

fn networks(cloud: &Cloud) -> Result<(), Failed> {
    cloud.run("compute networks create n --subnet-mode=custom")?;
    cloud.run(&format!("compute networks subnets create s --network=n --range=10.5.0.0/20 {REGION}"))?;
    cloud.run(&format!("compute routers create r --network=n {REGION}"))?;
    let nat = "--auto-allocate-nat-external-ips --nat-all-subnet-ip-ranges";
    cloud.run(&format!("compute routers nats create nat --router=r {REGION} {nat}"))?;
    same(&cloud.run(&format!("compute routers describe r {REGION}"))?["nats"][0]["name"], "nat")?;
    cloud.run("compute firewall-rules create f --network=n --allow=tcp:22")?;
    same(&cloud.run("compute networks subnets list --network=n")?[0]["ipCidrRange"], "10.5.0.0/20")?;
    holds(
        &cloud.refused("compute networks delete n")?,
        "The network resource 'projects/demo/global/networks/n' is already being used by",
    )?;
    cloud.run("compute firewall-rules delete f")?;
    cloud.run(&format!("compute routers delete r {REGION}"))?;
    cloud.run(&format!("compute networks subnets delete s {REGION}"))?;
    cloud.run("compute networks delete n")?;
    Ok(())
}

fn balancers(cloud: &Cloud) -> Result<(), Failed> {
    cloud.run(&format!("compute addresses create a {REGION}"))?;
    cloud.run("compute addresses create g --global")?;
    cloud.run(&format!("compute target-pools create t {REGION}"))?;
    cloud.run(&format!("compute forwarding-rules create f {REGION} --target-pool=t --address=a --ports=80"))?;
    same(&cloud.run("compute forwarding-rules list")?[0]["name"], "f")?;
    same(&cloud.run(&format!("compute addresses describe a {REGION}"))?["status"], "IN_USE")?;
    let refused = cloud.refused(&format!("compute addresses delete a {REGION}"))?;
    holds(&refused, "is already being used by 'projects/demo/regions/us-central1/forwardingRules/f'")?;
    for kind in [
        "backend-services",
        "health-checks",
        "network-endpoint-groups",
        "url-maps",
        "target-http-proxies",
        "ssl-certificates",
    ] {
        same(&cloud.run(&format!("compute {kind} list"))?, "[]")?;
    }
    cloud.run(&format!("compute forwarding-rules delete f {REGION}"))?;
    cloud.run(&format!("compute target-pools delete t {REGION}"))?;
    cloud.run(&format!("compute addresses delete a {REGION}"))?;
    cloud.run("compute addresses delete g --global")?;
    Ok(())
}

fn repositories(cloud: &Cloud) -> Result<(), Failed> {
    cloud.run(&format!(
        "artifacts repositories create rep {LOCATION} --repository-format=docker --labels=infra-deployment=test"
    ))?;
    same(&cloud.run("artifacts repositories list")?[0]["format"], "DOCKER")?;
    let repository = cloud.run(&format!("artifacts repositories describe rep {LOCATION}"))?;
    same(&repository["registryUri"], "us-central1-docker.pkg.dev/demo/rep")?;
    same(&cloud.run("artifacts docker images list us-central1-docker.pkg.dev/demo/rep")?, "[]")?;
    cloud.run(&format!("artifacts packages list --repository=rep {LOCATION}"))?;
    cloud.run(&format!("artifacts repositories delete rep {LOCATION}"))?;
    Ok(())
}

fn services(cloud: &Cloud) -> Result<(), Failed> {
    cloud.run("services disable file.googleapis.com")?;
    let enabled =
        |cloud: &Cloud| cloud.run("services list --enabled").map(|all| all.to_string().contains("file.googleapis.com"));
    if enabled(cloud)? {
        return Err("what was disabled is still enabled".into());
    }
    cloud.run("services enable file.googleapis.com")?;
    if !enabled(cloud)? {
        return Err("what was enabled is not".into());
    }
    cloud.run("iam service-accounts create infra-test --description=infra-deployment=test")?;
    let email = "infra-test@demo.iam.gserviceaccount.com";
    same(&cloud.run("iam service-accounts list")?[0]["email"], email)?;
    let binding = format!("demo --member=serviceAccount:{email} --role=roles/artifactregistry.reader");
    cloud.run(&format!("projects add-iam-policy-binding {binding}"))?;
    holds(&cloud.run("projects get-iam-policy demo")?.to_string(), email)?;
    cloud.run(&format!("projects remove-iam-policy-binding {binding}"))?;
    cloud.run(&format!("iam service-accounts delete {email}"))?;
    same(&cloud.run("billing projects describe demo")?["billingEnabled"], "true")
}

fn quotas(cloud: &Cloud) -> Result<(), Failed> {
    let region = cloud.run("compute regions describe us-central1")?;
    same(&region["quotas"][0]["metric"], "CPUS")?;
    same(&region["quotas"][0]["limit"], "24.0")?;
    same(&cloud.run("compute project-info describe")?["quotas"][0]["metric"], "NETWORKS")?;
    holds(&cloud.run("compute machine-types list --zones=us-central1-a")?.to_string(), "e2-standard-4")?;
    holds(&cloud.run("compute accelerator-types list")?.to_string(), "nvidia-l4")?;
    holds(&cloud.run("compute zones list")?.to_string(), "europe-west4-b")?;
    holds(&cloud.run(&format!("container get-server-config {ZONE}"))?.to_string(), "validMasterVersions")
}

fn kubectl(cloud: &Cloud) -> Result<(), Failed> {
    cloud.run(&format!("container clusters create c {ZONE} --num-nodes=1 --disk-size=20"))?;
    cloud.run(&format!("container clusters get-credentials c {ZONE}"))?;
    let kubectl = |arguments: &str| -> Result<String, Failed> {
        let output = cloud.program("kubectl".as_ref()).args(arguments.split_whitespace()).output()?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() {
            Ok(out.into_owned())
        } else {
            Err(format!("kubectl {arguments}: {out}{err}").into())
        }
    };
    kubectl("create configmap greeting --from-literal=hello=world")?;
    holds(&kubectl("get configmap greeting --output=json")?, "world")?;
    holds(&kubectl("auth whoami --output=json")?, "me@example.com")?;
    cloud.run(&format!("container clusters delete c {ZONE}"))?;
    Ok(())
}
