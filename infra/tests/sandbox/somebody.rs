//! Somebody who knows nothing of infra and has the kubeconfig.

use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use crate::machine::Machine;

/// Works on objects of the core group in the namespace `default`.
pub struct Somebody {
    runtime: tokio::runtime::Runtime,
    client: kube::Client,
}

impl Somebody {
    /// With the kubeconfig of the machine, which has a cluster.
    pub fn new(machine: &Machine) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let file = Kubeconfig::read_from(machine.path("kubeconfig")).unwrap();
        let client = runtime.block_on(async {
            let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
            kube::Client::try_from(config).unwrap()
        });
        Self { runtime, client }
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind));
        Api::namespaced_with(self.client.clone(), "default", &resource)
    }

    /// Changes some fields of an object.
    pub fn change(&self, kind: &str, name: &str, fields: &Value) {
        let parameters = PatchParams { field_manager: Some("somebody".to_owned()), ..PatchParams::default() };
        let api = self.api(kind);
        self.runtime.block_on(api.patch(name, &parameters, &Patch::Merge(fields))).unwrap();
    }

    /// Makes a `ConfigMap`.
    pub fn make_map(&self, name: &str, data: &Value) {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
        let parameters = PostParams { field_manager: Some("somebody".to_owned()), ..PostParams::default() };
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        self.runtime.block_on(self.api("ConfigMap").create(&parameters, &object)).unwrap();
    }

    /// Deletes an object.
    pub fn delete(&self, kind: &str, name: &str) {
        self.runtime.block_on(self.api(kind).delete(name, &DeleteParams::default())).unwrap();
    }

    /// The object, if it is there.
    pub fn get(&self, kind: &str, name: &str) -> Option<Value> {
        let found = self.runtime.block_on(self.api(kind).get_opt(name)).unwrap();
        found.map(|found| serde_json::to_value(found).unwrap())
    }

    /// Sets the color in the map of settings.
    pub fn paint(&self, color: &str) {
        self.change("ConfigMap", "settings", &json!({"data": {"color": color}}));
    }

    /// The color in the map of settings.
    pub fn color(&self) -> String {
        let map = self.get("ConfigMap", "settings").expect("the map of settings");
        map["data"]["color"].as_str().unwrap_or_default().to_owned()
    }
}
