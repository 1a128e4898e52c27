//! Makes what a client saw comparable: what differs from run to run, or from cluster to cluster, gets a name instead.

use std::sync::LazyLock;

use regex_lite::Regex;
use serde_json::{Map, Value};

/// Texts of one run and what stands for them, in the order in which they are replaced.
#[derive(Clone, Debug, Default)]
pub struct Names(Vec<(Regex, String)>);

/// What looks the same in every run: the pattern, and what stands for it.
static PATTERNS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "TIME"),
        (r"\b[0-9a-f]{64}\b", "DIGEST"),
        (r#"(resourceVersion[\\"]*: ?[\\"]*)\d+"#, "${1}VERSION"),
        (r"\.\.\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d\.\d+", "..MOMENT"),
        (r"\b10\.244\.\d+\.\d+\b", "POD-ADDRESS"),
        (r"\b10-244-\d+-\d+\b", "POD-ADDRESS"),
        (r"\b10\.96\.\d+\.\d+\b", "SERVICE-ADDRESS"),
        (r"-[0-9bcdfghjklmnpqrstvwxz]{8,10}-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "-HASH-RANDOM"),
        (r"-[0-9bcdfghjklmnpqrstvwxz]{8,10}\b", "-HASH"),
        (r"-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "-RANDOM"),
        (r"\b3[0-2]\d{3}\b", "NODE-PORT"),
        (r"\b127\.0\.0\.1:\d{2,5}\b", "127.0.0.1:PORT"),
    ]
    .map(|(pattern, name)| (Regex::new(pattern).expect("the patterns are tried below"), name))
    .into()
});

/// Ages and columns of what kubectl prints.
static PRINTED: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    [
        (r"\b(\d+d)?(\d+h)?(\d+m)?\d+s\b", "AGE"),
        (r"\b\d+[dh](\d+[hm])?\b", "AGE"),
        (r"(?m)\b\d+m$", "AGE"),
        (r"<(unknown|invalid)>", "AGE"),
        (r"(AGE \(x\d+ over AGE\)|AGE \(x\d+\))", "AGE"),
        (r"\bpod-template-hash=[0-9a-z]+\b", "pod-template-hash=HASH"),
        // What a runtime calls itself, and an image without a name of its own after the day on which it was imported.
        (r"\b(containerd|NODE|sandbox)://DIGEST\b", "RUNTIME://DIGEST"),
        (r"\bdocker\.io/library/import-\d{4}-\d\d-\d\d@", "docker.io/library/contract-tool@"),
        // Versions of kubectl have different words for the same.
        (r"(?m)( deleted) from NAMESPACE namespace$", "${1}"),
        (r"(?m)^( *)ConfigMapOptional: ( *)<nil>$", "${1}Optional: ${2}false"),
        (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "TIME"),
        (r" {2,}", "   "),
        (r"(?m) +$", ""),
    ]
    .map(|(pattern, name)| (Regex::new(pattern).expect("the patterns are tried below"), name))
    .into()
});

impl Names {
    /// From now on `text`, where it is not a part of a longer number, is called `name`. Empty texts are left alone.
    pub fn call(&mut self, text: &str, name: &str) {
        if !text.is_empty() {
            let edge = |it: Option<char>| if it.is_some_and(|it| it.is_ascii_digit()) { r"\b" } else { "" };
            let (before, after) = (edge(text.chars().next()), edge(text.chars().last()));
            let pattern = Regex::new(&format!("{before}{}{after}", regex_lite::escape(text)));
            self.0.push((pattern.expect("a text that is escaped is a pattern"), name.to_owned()));
        }
    }

    /// A text, comparable.
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (pattern, name) in &self.0 {
            text = pattern.replace_all(&text, name).into_owned();
        }
        replace_all(&PATTERNS, text)
    }

    /// What a command line tool printed, comparable: ages have names, columns do not depend on their widest value.
    pub fn printed(&self, text: &str) -> String {
        replace_all(&PRINTED, self.text(text)).trim_end().to_owned()
    }

    /// A value, comparable: texts as [`Names::text`], versions, numbers of ports and hashes by the names of their fields.
    pub fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => {
                let mut items: Vec<Value> = items.iter().map(|item| self.value(item)).collect();
                // Managed fields say who wrote which field; the order of their writers depends on the second.
                if items.iter().all(|item| item["manager"].is_string()) {
                    items.sort_by_key(|it| format!("{} {} {}", it["manager"], it["operation"], it["subresource"]));
                }
                items.into()
            }
            Value::Object(fields) => self.fields(fields),
            other => other.clone(),
        }
    }

    fn fields(&self, fields: &Map<String, Value>) -> Value {
        let mut comparable = Map::new();
        for (name, value) in fields {
            let value = match name.as_str() {
                "resourceVersion" | "pod-template-hash" | "continue" | "nodePort" if !is_empty(value) => {
                    Value::String(name.to_uppercase())
                }
                "containerID" | "imageID" if !is_empty(value) => "SET".into(),
                _ => self.value(value),
            };
            comparable.insert(self.text(name), value);
        }
        Value::Object(comparable)
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_str() == Some("") || value.as_u64() == Some(0)
}

fn replace_all(patterns: &[(Regex, &str)], text: String) -> String {
    patterns.iter().fold(text, |text, (pattern, name)| pattern.replace_all(&text, *name).into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_differs_from_run_to_run_gets_a_name() {
        let mut names = Names::default();
        names.call("contract-4x", "NAMESPACE");
        let seen = json!({
            "metadata": {"uid": "6a0c2c5e-9f4d-4a57-8f7c-0123456789ab", "resourceVersion": "12", "name": "web-5d4f8c7b9d-x2x4z",
                "namespace": "contract-4x", "creationTimestamp": "2026-11-23T09:32:56Z"},
            "spec": {"clusterIP": "10.96.4.5", "ports": [{"nodePort": 31234, "port": 80}]},
        });
        let comparable = json!({
            "metadata": {"uid": "UID", "resourceVersion": "RESOURCEVERSION", "name": "web-HASH-RANDOM",
                "namespace": "NAMESPACE", "creationTimestamp": "TIME"},
            "spec": {"clusterIP": "SERVICE-ADDRESS", "ports": [{"nodePort": "NODEPORT", "port": 80}]},
        });
        assert_eq!(names.value(&seen), comparable);
    }

    #[test]
    fn the_widths_of_columns_and_ages_do_not_matter() {
        let names = Names::default();
        let wide = names.printed("NAME          AGE\na-long-name   2m3s   \n");
        assert_eq!(wide, names.printed("NAME   AGE\na-long-name     15s\n"));
    }

    #[test]
    fn what_differs_between_machines_and_versions_of_kubectl_does_not_matter() {
        let mut names = Names::default();
        names.call("contract-4x", "NAMESPACE");
        let digest = "0a".repeat(32);
        for (one, other) in [
            ("pod \"a\" deleted from contract-4x namespace\n".to_owned(), "pod \"a\" deleted\n".to_owned()),
            ("  ConfigMapOptional:  <nil>".to_owned(), "  Optional:           false".to_owned()),
            (format!("containerd://{digest}"), format!("sandbox://{digest}")),
            (
                format!("docker.io/library/import-2026-11-23@sha256:{digest}"),
                format!("docker.io/library/contract-tool@sha256:{digest}"),
            ),
        ] {
            assert_eq!(names.printed(&one), names.printed(&other));
        }
    }
}
